"""alpaca-py with its request classes, in the order of its own notebook crypto-trading-basic."""

from datetime import datetime, timedelta, timezone

from alpaca.common.exceptions import APIError
from alpaca.data.historical.crypto import CryptoHistoricalDataClient
from alpaca.data.requests import CryptoBarsRequest, CryptoLatestQuoteRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import AssetClass, OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    StopLimitOrderRequest,
)
from steps import KEY, SECRET, URL, cannot, end, until

SYMBOL = "BTC/USD"
client = TradingClient(KEY, SECRET, url_override=URL)
history = CryptoHistoricalDataClient(url_override=URL)
BUY = {"symbol": SYMBOL, "side": OrderSide.BUY, "time_in_force": TimeInForce.GTC}
SELL = {**BUY, "side": OrderSide.SELL}


def until_status(order, status):
    until(lambda: client.get_order_by_id(order.id).status == status, status)


assert client.get_account().cash == "100000"
configurations = client.get_account_configurations()
assert not configurations.suspend_trade
assets = client.get_all_assets(GetAssetsRequest(asset_class=AssetClass.CRYPTO))
assert SYMBOL in {asset.symbol for asset in assets}
start = datetime.now(timezone.utc) - timedelta(days=1)
asked = CryptoBarsRequest(
    symbol_or_symbols=SYMBOL, timeframe=TimeFrame.Minute, start=start, limit=200
)
assert len(history.get_crypto_bars(asked).df) == 200
latest = CryptoLatestQuoteRequest(symbol_or_symbols=[SYMBOL])
ask = history.get_crypto_latest_quote(latest)[SYMBOL].ask_price
# The notebook is older than the rule of ten dollars.
with cannot("MarketOrderRequest of 1.11 USD", APIError, "minimal amount of order 10"):
    client.submit_order(MarketOrderRequest(notional=1.11, **BUY))
bought = client.submit_order(LimitOrderRequest(qty=0.01, limit_price=round(ask * 1.01, 2), **BUY))
until_status(bought, "filled")
rests = client.submit_order(LimitOrderRequest(qty=0.01, limit_price=20_000, **BUY))
wanted = GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=[SYMBOL])
assert [order.id for order in client.get_orders(wanted)] == [rests.id]
client.cancel_order_by_id(rests.id)
until_status(rests, "canceled")
stop = client.submit_order(
    StopLimitOrderRequest(qty=0.004, stop_price=15_500, limit_price=15_000, **SELL)
)
assert [order.id for order in client.get_orders(wanted)] == [stop.id]
client.cancel_orders()
until(lambda: not client.get_orders(wanted), "the cancels")
position = client.get_open_position("BTCUSD")
assert position.symbol == "BTCUSD"
until_status(client.close_position("BTCUSD", ClosePositionRequest(qty="0.005")), "filled")
client.close_all_positions(cancel_orders=True)
until(lambda: not client.get_all_positions(), "the sale of the rest")
end()
