"""ccxt over REST: what a bot that is written for a hundred exchanges asks of this one."""

import ccxt
from steps import KEY, SECRET, URL, cannot, end, refused, until

SYMBOL = "BTC/USD"
exchange = ccxt.alpaca({"apiKey": KEY, "secret": SECRET})
# ccxt reads no variables: its three hosts are told.
exchange.urls["api"] = dict.fromkeys(("broker", "trader", "market"), URL)


def filled(order):
    def closed():
        found = exchange.fetch_order(order["id"], SYMBOL)
        return found if found["status"] == "closed" else None

    return until(closed, "a fill")


def market_data():
    markets = exchange.load_markets()
    assert markets[SYMBOL]["active"]
    assert exchange.fetch_time() > 1_700_000_000_000
    ticker = exchange.fetch_ticker(SYMBOL)
    assert 0 < ticker["bid"] < ticker["ask"]
    assert set(exchange.fetch_tickers([SYMBOL, "ETH/USD"])) == {SYMBOL, "ETH/USD"}
    book = exchange.fetch_order_book(SYMBOL)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(book["bids"]) > 1
    assert exchange.fetch_trades(SYMBOL, limit=5)
    for timeframe in ("1m", "15m", "1h", "1d"):
        since = exchange.milliseconds() - 2 * 86_400_000
        candles = exchange.fetch_ohlcv(SYMBOL, timeframe, since=since, limit=100)
        assert candles, timeframe
        assert all(low <= opened <= high for _, opened, high, low, _, _ in candles), timeframe
    assert len(exchange.fetch_ohlcv(SYMBOL, "1m", since=since, limit=100)) == 100
    return ticker["ask"]


def orders(ask):
    usd = exchange.fetch_balance()["USD"]
    assert usd["free"] == 100_000
    assert usd["used"] == 0
    bought = filled(exchange.create_order(SYMBOL, "limit", "buy", 0.01, ask * 1.01))
    assert bought["filled"] == 0.01
    assert bought["average"] <= ask * 1.01
    rests = exchange.create_order(SYMBOL, "limit", "buy", 0.01, 20_000)
    usd = exchange.fetch_balance()["USD"]
    assert usd["used"] == 200  # cash excludes what an open buy holds
    opened = exchange.fetch_open_orders(SYMBOL)
    assert [order["id"] for order in opened] == [rests["id"]]
    assert opened[0]["price"] == 20_000
    with cannot("edit_order", ccxt.ExchangeError, "endpoint not found"):
        exchange.edit_order(rests["id"], SYMBOL, "limit", "buy", 0.01, 19_000)
    exchange.cancel_order(rests["id"])
    until(lambda: not exchange.fetch_open_orders(SYMBOL), "the cancel")
    with_cost = filled(exchange.create_market_buy_order_with_cost("ETH/USD", 50))
    assert with_cost["status"] == "closed"
    stop = exchange.create_order(SYMBOL, "limit", "sell", 0.005, 15_000, {"triggerPrice": 15_500})
    assert exchange.fetch_order(stop["id"], SYMBOL)["triggerPrice"] == 15_500
    exchange.cancel_all_orders(SYMBOL)
    until(lambda: not exchange.fetch_open_orders(SYMBOL), "the cancels")


def sell_everything():
    coins = exchange.fetch_balance()["BTC"]["free"]
    assert 0.00997 < coins < 0.01  # less the fee
    sold = filled(exchange.create_order(SYMBOL, "market", "sell", coins))
    assert sold["filled"] == coins
    assert {order["side"] for order in exchange.fetch_closed_orders(SYMBOL)} == {"buy", "sell"}
    mine = exchange.fetch_my_trades(SYMBOL)
    assert {(trade["side"], trade["amount"]) for trade in mine} == {("buy", 0.01), ("sell", coins)}


def refusals():
    for error, words, arguments in (
        (ccxt.InvalidOrder, "minimal amount of order 10", ("limit", "buy", 0.0001, 50_000)),
        (ccxt.InsufficientFunds, "insufficient balance", ("limit", "buy", 3, 50_000)),
        (ccxt.InsufficientFunds, "insufficient balance", ("limit", "sell", 1, 90_000)),
    ):
        with refused(error, words):
            exchange.create_order(SYMBOL, *arguments)


orders(market_data())
refusals()
sell_everything()
end()
