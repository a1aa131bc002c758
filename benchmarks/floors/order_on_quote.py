"""The smallest alpaca-py program that answers a quote with an order: raw quotes, one thread hop, one POST."""

import asyncio
import os
from typing import Any

from alpaca.data.live import CryptoDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest

keys = os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"]
client = TradingClient(*keys, raw_data=True, url_override=os.environ["APCA_API_BASE_URL"])
client.get_account()  # the connection is open before the first quote comes


async def on_quote(quote: dict[str, Any]) -> None:
    order = LimitOrderRequest(
        symbol=quote["S"],
        qty=round(15 / quote["ap"], 9),
        side=OrderSide.BUY,
        time_in_force=TimeInForce.GTC,
        limit_price=quote["ap"],
    )
    await asyncio.to_thread(client.submit_order, order)


stream_url = os.environ["APCA_API_STREAM_URL"] + "/v1beta3/crypto/us"
stream = CryptoDataStream(*keys, raw_data=True, url_override=stream_url)
stream.subscribe_quotes(on_quote, *os.environ["SYMBOLS"].split(","))
stream.run()
