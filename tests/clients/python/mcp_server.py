"""alpaca-mcp-server, asked through an MCP client in the same process.

Its trading host is a constant of its own; the keys and the data host are read from variables.
"""

import asyncio
import logging
import os
import time

from steps import KEY, SECRET, URL, cannot, end, refused

os.environ.update(ALPACA_API_KEY=KEY, ALPACA_SECRET_KEY=SECRET, DATA_API_URL=URL)

import alpaca_mcp_server.server as server
from fastmcp import Client
from fastmcp.exceptions import ToolError

SYMBOL = "BTC/USD"
TERMS = {"symbol": SYMBOL, "side": "buy", "type": "limit", "qty": "0.01", "time_in_force": "gtc"}


async def ask(client, tool, **arguments):
    answer = (await client.call_tool(tool, arguments)).structured_content["data"]
    return answer.get("result", answer)  # lists come below this name


async def until_status(client, order, status):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = await ask(client, "get_order_by_id", order_id=order["id"])
        if found["status"] == status:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{order['id']} is not {status} after 60 s")


async def look(client):
    assert (await ask(client, "get_account_info"))["cash"] == "100000"
    assert (await ask(client, "get_account_config"))["suspend_trade"] is False
    assert (await ask(client, "get_clock"))["timestamp"]
    assets = await ask(client, "get_all_assets", asset_class="crypto")
    assert SYMBOL in {asset["symbol"] for asset in assets}
    bars = await ask(client, "get_crypto_bars", symbols=SYMBOL, timeframe="1Min", limit=200)
    assert len(bars["bars"][SYMBOL]) == 200
    for tool in ("get_crypto_quotes", "get_crypto_trades"):
        found = await ask(client, tool, symbols=SYMBOL, limit=5)
        assert len(next(iter(found.values()))[SYMBOL]) == 5
    latest = ("get_crypto_latest_bar", "get_crypto_latest_orderbook", "get_crypto_latest_trade")
    for tool in (*latest, "get_crypto_snapshot"):
        found = await ask(client, tool, loc="us", symbols=SYMBOL)
        assert SYMBOL in next(iter(found.values()))
    quotes = await ask(client, "get_crypto_latest_quote", loc="us", symbols=SYMBOL)
    return quotes["quotes"][SYMBOL]["ap"]


async def buy(client, price):
    order = await ask(client, "place_crypto_order", **TERMS, limit_price=f"{price * 1.01:.2f}")
    assert (await until_status(client, order, "filled"))["filled_qty"] == "0.01"
    fills = await ask(
        client, "get_account_activities_by_type", activity_type="FILL", order_id=order["id"]
    )
    assert {fill["order_id"] for fill in fills} == {order["id"]}
    rests = await ask(client, "place_crypto_order", **TERMS, limit_price="20000")
    opened = await ask(client, "get_orders", status="open")
    assert [one["id"] for one in opened] == [rests["id"]]
    with cannot("replace_order_by_id", ToolError, "endpoint not found"):
        await ask(client, "replace_order_by_id", order_id=rests["id"], qty="0.02")
    await ask(client, "cancel_order_by_id", order_id=rests["id"])
    await until_status(client, rests, "canceled")


async def sell(client):
    (position,) = await ask(client, "get_all_positions")
    assert position["symbol"] == "BTCUSD"
    half = await ask(client, "close_position", symbol_or_asset_id="BTCUSD", percentage=50)
    await until_status(client, half, "filled")
    (rest,) = await ask(client, "get_all_positions")
    assert float(rest["qty"]) < 0.6 * float(position["qty"])
    await ask(client, "close_all_positions", cancel_orders=True)
    while await ask(client, "get_all_positions"):
        await asyncio.sleep(0.1)
    with refused(ToolError, "404"):
        await ask(client, "get_open_position", symbol_or_asset_id="BTCUSD")


async def main():
    server.TRADING_API_BASE_URLS["paper"] = URL
    async with Client(server.build_server()) as client:
        await buy(client, await look(client))
        await sell(client)


logging.disable()
asyncio.run(asyncio.wait_for(main(), 240))
end()
