"""A bare alpaca-py raw-data stream: it drains quotes as fast as it can, and orders when WATCHED falls."""

import asyncio
import os
from typing import Any

from alpaca.data.live import CryptoDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest

FALL = 0.005
keys = os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"]
watched = os.environ["WATCHED"]
client = TradingClient(*keys, raw_data=True, url_override=os.environ["APCA_API_BASE_URL"])
client.get_account()  # the connection is open before the first quote comes
threshold = float("inf")


async def on_quote(quote: dict[str, Any]) -> None:
    pass


async def on_watched_quote(quote: dict[str, Any]) -> None:
    global threshold
    if quote["ap"] > threshold:
        return
    threshold = quote["ap"] * (1 - FALL)
    order = LimitOrderRequest(
        symbol=watched,
        qty=round(15 / quote["ap"], 9),
        side=OrderSide.BUY,
        time_in_force=TimeInForce.GTC,
        limit_price=quote["ap"],
    )
    await asyncio.to_thread(client.submit_order, order)


stream_url = os.environ["APCA_API_STREAM_URL"] + "/v1beta3/crypto/us"
stream = CryptoDataStream(*keys, raw_data=True, url_override=stream_url)
stream.subscribe_quotes(on_quote, *(symbol for symbol in os.environ["SYMBOLS"].split(",") if symbol != watched))
stream.subscribe_quotes(on_watched_quote, watched)
stream.run()
