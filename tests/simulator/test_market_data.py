"""Bars, trades, books and snapshots, over REST and the stream, through the unmodified SDK."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from alpaca.data.live import CryptoDataStream
from alpaca.data.requests import (
    CryptoBarsRequest,
    CryptoLatestBarRequest,
    CryptoLatestOrderbookRequest,
    CryptoLatestTradeRequest,
    CryptoQuoteRequest,
    CryptoSnapshotRequest,
    CryptoTradesRequest,
)
from alpaca.data.timeframe import TimeFrame

from dcabot.simulator import Simulator
from tests.simulator import raw
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import Listening, client, data_client, order, subscribed, until

START = datetime(2026, 9, 18, 10, tzinfo=timezone.utc)


@pytest.fixture
def stepped() -> Iterator[Simulator]:
    """A clock stepped by hand; three minutes of prices and a purchase in the second."""
    with make_alpaca(speed=0, start=START) as alpaca:
        for minute, mid in enumerate((100, 110, 90)):
            for change in (0, 5, -5, 1):
                alpaca.set_quote("BTC/USD", mid + change, mid + change)
            if minute == 1:
                client(alpaca).post("/orders", order("1"))
                until(alpaca.positions)
            alpaca.advance(60)
        yield alpaca


def test_minutes_become_bars_with_volume_only_where_something_traded(stepped: Simulator) -> None:
    wanted = CryptoBarsRequest(symbol_or_symbols="BTC/USD", timeframe=TimeFrame.Minute, start=START)
    bars = data_client(stepped).get_crypto_bars(wanted)["BTC/USD"]
    assert [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars] == [
        (100, 105, 95, 101, 0),
        (110, 115, 105, 111, 1),
        (90, 95, 85, 91, 0),
    ]
    assert [bar.timestamp for bar in bars] == [START + timedelta(minutes=n) for n in range(3)]
    assert (bars[1].trade_count, bars[1].vwap) == (1, 111)


def test_longer_bars_are_made_of_minutes_and_pages_of_rows(stepped: Simulator) -> None:
    data = data_client(stepped)
    hour = CryptoBarsRequest(symbol_or_symbols="BTC/USD", timeframe=TimeFrame.Hour, start=START)
    (bar,) = data.get_crypto_bars(hour)["BTC/USD"]
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (100, 115, 85, 91, 1)
    query: dict[str, Any] = {"symbols": "BTC/USD", "timeframe": "1Min", "limit": 2}
    page = data.get("/crypto/us/bars", query)
    assert page["next_page_token"] is not None
    rest = data.get("/crypto/us/bars", {**query, "page_token": page["next_page_token"]})
    assert (len(page["bars"]["BTC/USD"]), len(rest["bars"]["BTC/USD"]), rest["next_page_token"]) == (2, 1, None)
    newest_first = data.get("/crypto/us/bars", {**query, "sort": "desc"})
    assert newest_first["bars"]["BTC/USD"][0]["o"] == 90


def test_the_latest_of_everything_and_its_history(stepped: Simulator) -> None:
    data = data_client(stepped)
    assert data.get_crypto_latest_trade(CryptoLatestTradeRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"].price == 111
    assert data.get_crypto_latest_bar(CryptoLatestBarRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"].close == 91
    book = data.get_crypto_latest_orderbook(CryptoLatestOrderbookRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    assert (book.bids[0].price, book.asks[0].price) == (91, 91)
    snapshot = data.get_crypto_snapshot(CryptoSnapshotRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    assert snapshot.daily_bar is not None
    assert (snapshot.daily_bar.open, snapshot.daily_bar.close, snapshot.previous_daily_bar) == (100, 91, None)
    (trade,) = data.get_crypto_trades(CryptoTradesRequest(symbol_or_symbols="BTC/USD", start=START))["BTC/USD"]
    assert (trade.price, trade.size) == (111, 1)
    quotes = data.get_crypto_quotes(CryptoQuoteRequest(symbol_or_symbols="BTC/USD", start=START))["BTC/USD"]
    assert len(quotes) == 12


def test_a_snapshot_has_the_days_before_and_the_bar_that_forms(stepped: Simulator) -> None:
    for hours, price in ((20, 200), (1, 210), (24, 300)):  # 06:03 and 07:03 of the next day, and the day after
        stepped.advance(hours * 3600)
        stepped.set_quote("BTC/USD", price, price)
    snapshot = data_client(stepped).get_crypto_snapshot(CryptoSnapshotRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    days = (snapshot.previous_daily_bar, snapshot.daily_bar, snapshot.minute_bar)
    assert [bar and (bar.open, bar.close, bar.low) for bar in days] == [
        (200, 210, 200), (300, 300, 300), (300, 300, 300),
    ]  # fmt: skip
    wanted = CryptoBarsRequest(symbol_or_symbols=["BTC/USD", "ETH/USD"], timeframe=TimeFrame.Day, start=START.date())
    assert [bar.close for bar in data_client(stepped).get_crypto_bars(wanted)["BTC/USD"]] == [91, 210, 300]


def test_the_stream_tells_trades_bars_and_books() -> None:
    with make_alpaca(speed=0, start=START) as alpaca:
        stream = CryptoDataStream(alpaca.key, alpaca.secret, url_override=alpaca.data_stream_url, raw_data=True)
        listener = Listening(stream)
        stream.subscribe_trades(listener.handler, "BTC/USD")
        stream.subscribe_bars(listener.handler, "BTC/USD")
        stream.subscribe_daily_bars(listener.handler, "BTC/USD")
        stream.subscribe_orderbooks(listener.handler, "BTC/USD")
        with listener:
            subscribed(alpaca)
            alpaca.set_quote("BTC/USD", 100, 101)
            alpaca.set_quote("BTC/USD", 100, 102)
            client(alpaca).post("/orders", order("1"))
            until(alpaca.positions)
            alpaca.advance(60)
            until(lambda: len(listener.heard) == 5)
        book, change, trade, bar, day = listener.heard
        assert (book["T"], len(book["b"]), len(book["a"]), book["r"]) == ("o", 7, 7, True)
        assert [one["p"] for one in book["b"]] == sorted((o["p"] for o in book["b"]), reverse=True)
        assert book["a"][0]["p"] == 101
        assert "r" not in change
        assert after(book, change, "a")[0] == 102
        assert len(after(book, change, "b")) == len(after(book, change, "a")) == 7
        assert trade["i"] > 2**53
        assert (trade["T"], trade["p"], trade["s"], trade["tks"]) == ("t", 102.0, 1.0, "B")
        assert (bar["T"], bar["v"], bar["n"], bar["c"]) == ("b", 1.0, 1, 101.0)
        assert (day["T"], day["o"], day["n"]) == ("d", 100.5, 1)


def after(book: dict[str, Any], change: dict[str, Any], side: str) -> list[float]:
    """The prices of a book's side after a change, lowest first."""
    sizes = {level["p"]: level["s"] for level in [*book[side], *change[side]]}
    return sorted(price for price, size in sizes.items() if size)


def test_a_book_that_is_subscribed_to_again_begins_whole() -> None:
    with make_alpaca() as alpaca, raw.data(alpaca) as stream:
        raw.hear(stream)
        raw.log_in(alpaca, stream)
        for _ in range(2):
            raw.say(stream, action="subscribe", orderbooks=["BTC/USD"])
            raw.hear(stream)
            for ask in (101, 102):
                alpaca.set_quote("BTC/USD", 100, ask)
            first, second = raw.hear(stream)[0], raw.hear(stream)[0]
            assert (first["r"], first["a"][0]["p"], len(first["a"])) == (True, 101, 7)
            assert "r" not in second
            raw.say(stream, action="unsubscribe", orderbooks=["BTC/USD"])
            raw.hear(stream)
