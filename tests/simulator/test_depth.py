"""Levels and sizes of the book: what is shown fills, about as often in pieces as recorded."""

from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from dcabot.core.model import Quote, Side
from dcabot.simulator import Simulator, walk
from dcabot.simulator.depth import LEVELS, levels
from dcabot.simulator.listings import LISTINGS
from tests.simulator.sdk import client, order, until

NOW = datetime(2026, 9, 28, tzinfo=timezone.utc)
THOUSAND = Decimal(1_000)


@pytest.mark.parametrize("symbol", LISTINGS)
def test_a_side_is_in_order_and_has_coins(symbol: str) -> None:
    listing, tick = LISTINGS[symbol], next(walk(1, [symbol]))
    quote = Quote(symbol, tick.bid, tick.ask, NOW)
    for side, best, sign in ((Side.BUY, tick.ask, 1), (Side.SELL, tick.bid, -1)):
        found = levels(listing, quote, side, THOUSAND)
        prices = [price for price, _ in found]
        assert len(found) == len(set(prices)) == LEVELS
        assert prices == sorted(prices, reverse=sign < 0)
        assert prices[0] == best
        assert all(price > 0 and size > 0 for price, size in found)


def test_about_half_of_the_orders_of_950_dollars_take_two_to_four_levels() -> None:
    pieces: Counter[int] = Counter()
    listing = LISTINGS["GRT/USD"]
    for number in range(1_000):
        ask = Decimal("0.03") + Decimal(number) / 1_000_000
        left, count = 950 / ask, 0
        for _, size in levels(listing, Quote("GRT/USD", ask, ask, NOW), Side.BUY, THOUSAND):
            left, count = left - size, count + 1
            if left <= 0:
                break
        assert left <= 0
        pieces[count] += 1
    assert 400 < 1_000 - pieces[1] < 650
    assert max(pieces) <= 5
    assert pieces[5] < 10


def test_a_large_order_is_filled_in_pieces_at_the_prices_shown() -> None:
    with Simulator(symbols=["BTC/USD"], partial_fills="0.000001", depth=100) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        client(alpaca).post("/orders", order("0.005"))
        until(lambda: alpaca.orders()[0]["status"] == "filled")
        fills = alpaca.activities(activity_types="FILL")
        quote = Quote("BTC/USD", Decimal(60_000), Decimal(60_010), NOW)
        asks = {f"{price.normalize():f}" for price, _ in alpaca.server.exchange.book(quote)["a"]}
        assert len(fills) >= 2
        assert {fill["price"] for fill in fills} <= asks
        assert sum(Decimal(fill["qty"]) for fill in fills) == Decimal("0.005")
        assert [fill["type"] for fill in fills] == ["partial_fill"] * (len(fills) - 1) + ["fill"]


def test_without_partial_fills_every_order_fills_whole() -> None:
    with Simulator(symbols=["BTC/USD"], partial_fills=0) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        client(alpaca).post("/orders", order("1"))
        until(alpaca.activities)
        (fill,) = alpaca.activities(activity_types="FILL")
        assert (fill["qty"], fill["price"]) == ("1", "60010")
