"""The old Python SDK, alpaca-trade-api, with nothing but the printed variables."""

import asyncio
import logging
import threading
import time
from datetime import datetime, timedelta, timezone

import alpaca_trade_api
import websockets
from alpaca_trade_api.rest import APIError, TimeFrame
from alpaca_trade_api.stream import CryptoDataStream, TradingStream
from steps import KEY, SECRET, STREAM_URL, cannot, end, refused, until

SYMBOL = "BTC/USD"
api = alpaca_trade_api.REST()
updates = []


def listen():
    """Only the trading stream: `Stream.run` opens those of stocks and news too."""

    async def hear(update):
        updates.append(update)

    stream = TradingStream(KEY, SECRET, STREAM_URL)
    stream.subscribe_trade_updates(hear)
    threading.Thread(target=asyncio.run, args=(stream._run_forever(),), daemon=True).start()
    until(lambda: stream._running, "the trading stream")
    time.sleep(1)  # it does not say when its `listen` was answered


def heard(order, event):
    found = [one for one in updates if one.order["id"] == order.id and one.event == event]
    return found[0] if found else None


def look():
    account = api.get_account()
    assert account.status == "ACTIVE"
    assert account.cash == "100000"
    assert api.get_account_configurations().suspend_trade is False
    assert api.get_clock().timestamp
    assert SYMBOL in {asset.symbol for asset in api.list_assets(asset_class="crypto")}
    assert api.get_asset("BTCUSD").symbol == SYMBOL
    quote = api.get_latest_crypto_quotes([SYMBOL])[SYMBOL]
    assert 0 < quote.bp < quote.ap
    start = (datetime.now(timezone.utc) - timedelta(days=1)).isoformat()
    bars = api.get_crypto_bars([SYMBOL], TimeFrame.Minute, start=start, limit=200)
    assert len(bars) == 200
    assert len(bars.df) == 200
    assert api.get_crypto_quotes(SYMBOL, start=start, limit=10)
    assert api.get_crypto_trades(SYMBOL, start=start, limit=10)
    assert api.get_crypto_snapshot(SYMBOL)[SYMBOL].latest_quote.ap > 0
    assert api.get_latest_crypto_orderbook(SYMBOL)[SYMBOL].asks
    return quote.ap


def buy(ask):
    terms = {"symbol": SYMBOL, "side": "buy", "type": "limit", "qty": 0.01}
    price = round(ask * 1.01, 2)
    order = api.submit_order(**terms, time_in_force="gtc", limit_price=price)
    until(lambda: heard(order, "fill"), "the fill on the stream")
    assert api.get_order(order.id).status == "filled"
    assert api.get_order_by_client_order_id(order.client_order_id).id == order.id
    with refused(APIError, "invalid crypto time_in_force"):
        api.submit_order(**terms, limit_price=price)  # the SDK's own choice is `day`
    rests = api.submit_order(**terms, time_in_force="gtc", limit_price=20_000)
    assert [one.id for one in api.list_orders(status="open", symbols=[SYMBOL])] == [rests.id]
    with cannot("replace_order", APIError, "endpoint not found"):
        api.replace_order(rests.id, qty="0.02")
    api.cancel_order(rests.id)
    until(lambda: heard(rests, "canceled"), "the cancel on the stream")


def sell():
    (position,) = api.list_positions()
    assert position.symbol == "BTCUSD"
    assert api.get_position("BTCUSD").qty == position.qty
    order = api.submit_order(SYMBOL, position.qty, "sell", "market", "gtc")
    until(lambda: heard(order, "fill"), "the sale on the stream")
    assert api.list_positions() == []
    assert {fill.side for fill in api.get_activities("FILL")} == {"buy", "sell"}


def stream_of_prices():
    """Its path is /v1beta2/crypto, and it takes no other."""
    stream = CryptoDataStream(KEY, SECRET, STREAM_URL, raw_data=True)
    with cannot("CryptoDataStream", websockets.InvalidStatusCode, "404"):
        asyncio.run(stream._connect())


logging.disable()
listen()
buy(look())
sell()
stream_of_prices()
end()
