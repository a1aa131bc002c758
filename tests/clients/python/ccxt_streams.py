"""ccxt.pro over its streams: prices as they come, an order and its fill without asking."""

import asyncio

import ccxt
import ccxt.pro
from steps import KEY, SECRET, STREAM_URL, URL, cannot, end

SYMBOL = "BTC/USD"


def exchange(prices="/v1beta3/crypto/us"):
    made = ccxt.pro.alpaca({"apiKey": KEY, "secret": SECRET})
    streams = {"crypto": f"{STREAM_URL}{prices}", "trading": f"{STREAM_URL}/stream"}
    made.urls["api"] = {**dict.fromkeys(("broker", "trader", "market"), URL), "ws": streams}
    return made


async def order_until(alpaca, status):
    while True:
        for order in await alpaca.watch_orders(SYMBOL):
            if order["status"] == status:
                return order


async def story(alpaca):
    await alpaca.load_markets()
    ticker = await alpaca.watch_ticker(SYMBOL)
    assert 0 < ticker["bid"] < ticker["ask"]
    for _ in range(2):
        book = await alpaca.watch_order_book(SYMBOL)
        assert book["bids"][0][0] < book["asks"][0][0]
    watched = asyncio.ensure_future(order_until(alpaca, "closed"))
    mine = asyncio.ensure_future(alpaca.watch_my_trades(SYMBOL))
    trades = asyncio.ensure_future(alpaca.watch_trades(SYMBOL))
    await asyncio.sleep(1)  # both subscriptions are answered by then
    bought = await alpaca.create_order(SYMBOL, "limit", "buy", 0.01, ticker["ask"] * 1.01)
    order = await watched
    assert order["id"] == bought["id"]
    assert order["filled"] == 0.01
    trade = (await mine)[0]
    assert trade["order"] == bought["id"]
    assert trade["amount"] == 0.01
    assert (await trades)[0]["price"] > 0
    await cancel(alpaca)
    coins = (await alpaca.fetch_balance())["BTC"]["free"]
    watched = asyncio.ensure_future(order_until(alpaca, "closed"))
    sold = await alpaca.create_order(SYMBOL, "market", "sell", coins)
    while (order := await watched)["id"] != sold["id"]:
        watched = asyncio.ensure_future(order_until(alpaca, "closed"))
    assert order["filled"] == coins
    candle = (await alpaca.watch_ohlcv(SYMBOL))[-1]  # the next whole minute
    assert candle[3] <= candle[1] <= candle[2]


async def cancel(alpaca):
    rests = await alpaca.create_order(SYMBOL, "limit", "buy", 0.01, 20_000)
    watched = asyncio.ensure_future(order_until(alpaca, "canceled"))
    await alpaca.cancel_order(rests["id"])
    assert (await watched)["id"] == rests["id"]


async def main():
    alpaca = exchange()
    try:
        await asyncio.wait_for(story(alpaca), 240)
    finally:
        await alpaca.close()
    alpaca = exchange(prices="/v1beta2/crypto")  # as ccxt has it
    try:
        with cannot("watch_ticker by its own path", ccxt.NetworkError, "404"):
            await alpaca.watch_ticker(SYMBOL)
    finally:
        await alpaca.close()


asyncio.run(main())
end()
