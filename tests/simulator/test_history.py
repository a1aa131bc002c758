"""Prices from before the start: what a program finds that looks back."""

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import requests
from alpaca.data.requests import CryptoBarsRequest
from alpaca.data.timeframe import TimeFrame

from dcabot.simulator import Simulator, candles, script, walk
from tests.programs import PATIENCE
from tests.simulator.conftest import SYMBOLS, make_alpaca
from tests.simulator.sdk import data_client

START = datetime(2026, 6, 1, 12, 0, 30, tzinfo=timezone.utc)


def ask(alpaca: Simulator, what: str, **query: str) -> dict[str, list[dict[str, float | str]]]:
    url = f"{alpaca.url}/v1beta3/crypto/us/{what}"
    wanted = {"symbols": "BTC/USD", **query}
    found = requests.get(url, wanted, timeout=PATIENCE).json()
    rows: dict[str, list[dict[str, float | str]]] = found[what]
    return rows


@pytest.fixture
def alpaca() -> Iterator[Simulator]:
    """Half a day of history, and a clock that stands."""
    with make_alpaca(speed=0, start=START, prices=walk(7, SYMBOLS), history=43_200) as alpaca:
        yield alpaca


def test_the_last_200_bars_are_there(alpaca: Simulator) -> None:
    wanted = CryptoBarsRequest(
        symbol_or_symbols=list(SYMBOLS),
        timeframe=TimeFrame.Minute,
        start=START - timedelta(minutes=200),
    )
    bars = data_client(alpaca).get_crypto_bars(wanted)
    for symbol in SYMBOLS:
        times = [bar.timestamp for bar in bars[symbol]]
        first = START.replace(second=0) - timedelta(minutes=199)
        assert times == [first + timedelta(minutes=number) for number in range(200)]


def test_history_goes_on_without_a_gap(alpaca: Simulator) -> None:
    alpaca.advance(90)
    rows = ask(alpaca, "bars", timeframe="1Min", start="2026-06-01T11:58:00Z")["BTC/USD"]
    minutes = ("11:58", "11:59", "12:00", "12:01", "12:02")
    assert [row["t"] for row in rows] == [f"2026-06-01T{at}:00Z" for at in minutes]
    assert all(row["l"] <= row["o"] <= row["h"] for row in rows)
    noon = {"start": "2026-06-01T12:00:00Z", "limit": "1"}
    (now,) = ask(alpaca, "bars", timeframe="1Min", **noon)["BTC/USD"]
    assert now["t"] == "2026-06-01T12:00:00Z"  # one bar of the half before and the half after


def test_the_day_before_is_there() -> None:
    prices = walk(7, SYMBOLS, interval=60)
    with make_alpaca(speed=0, start=START, prices=prices, history=172_800) as alpaca:
        url = f"{alpaca.url}/v1beta3/crypto/us/snapshots?symbols=BTC/USD"
        shown = requests.get(url, timeout=PATIENCE).json()["snapshots"]["BTC/USD"]
        assert shown["prevDailyBar"]["t"] == "2026-05-31T00:00:00Z"
        assert shown["dailyBar"]["t"] == "2026-06-01T00:00:00Z"
        assert shown["dailyBar"]["n"] > 0
        assert shown["latestTrade"]["t"] < "2026-06-01T12:00:31Z"


def test_trades_and_quotes_of_before_are_there(alpaca: Simulator) -> None:
    since = {"start": "2026-06-01T11:30:00Z", "end": "2026-06-01T12:00:30Z"}
    trades = ask(alpaca, "trades", **since)["BTC/USD"]
    quotes = ask(alpaca, "quotes", **since)["BTC/USD"]
    assert len(quotes) == 1_000  # the first page
    assert 100 < len(trades) < 400
    assert len({trade["i"] for trade in trades}) == len(trades)
    assert trades[-1]["t"] < "2026-06-01T12:00:30Z"
    assert alpaca.activities() == []


def test_history_fills_no_order_and_is_not_streamed(alpaca: Simulator) -> None:
    assert alpaca.journal.entries() == []
    assert alpaca.account()["last_equity"] == "100000"
    alpaca.foreign_order(symbol="BTC/USD", qty=1, side="buy", type="market", time_in_force="gtc")


def test_the_running_day_bar_has_the_history_of_the_day(alpaca: Simulator) -> None:
    before = alpaca.server.tape.last("BTC/USD", lambda at_ns: 0, 1)
    assert before is not None
    heard: list[tuple[str, str, int]] = []
    tape = alpaca.server.tape
    tape.on_bar.append(lambda channel, symbol, bar: heard.append((channel, symbol, bar.trades)))
    alpaca.advance(31)
    assert ("dailyBars", "BTC/USD", before.trades) in heard


def test_prices_at_negative_seconds_are_history() -> None:
    rows = [(-60, 100, 101), (-1, 102, 103), (5, 104, 105)]
    ticks = script((seconds, "BTC/USD", bid, ask_price) for seconds, bid, ask_price in rows)
    with make_alpaca(speed=0, start=START, prices=ticks) as alpaca:
        rows = ask(alpaca, "bars", timeframe="1Min", start="2026-06-01T11:00:00Z")["BTC/USD"]
        assert [row["c"] for row in rows] == [100.5, 102.5]
        alpaca.advance(5)
        rows = ask(alpaca, "bars", timeframe="1Min", start="2026-06-01T11:00:00Z")["BTC/USD"]
        assert [row["c"] for row in rows] == [100.5, 104.5]


def candle_file(folder: Path, name: str = "btc.csv", base: int = 100) -> Path:
    """Ten minutes from noon; each opens one higher."""
    prices = [(base + n, base + n + 3, base + n - 1, base + n) for n in range(10)]
    lines = [f"2026-06-01T12:0{n}:00Z,{','.join(map(str, row))}" for n, row in enumerate(prices)]
    file = folder / name
    file.write_text("\n".join(["timestamp,open,high,low,close", *lines]))
    return file


@pytest.mark.parametrize(
    ("minute", "history"),
    [(-5, 0), (0, 0), (4, 4), (9, 9), (15, 0)],  # outside of the file, the file begins at the start
)
def test_candles_before_a_start_inside_the_file_are_history(
    tmp_path: Path,
    minute: int,
    history: int,
) -> None:
    start = datetime(2026, 6, 1, 12, tzinfo=timezone.utc) + timedelta(minutes=minute)
    ticks = candles(candle_file(tmp_path), "BTC/USD", start=start)
    with make_alpaca(speed=0, start=start, prices=ticks) as alpaca:
        rows = ask(alpaca, "bars", timeframe="1Min", start="2026-06-01T00:00:00Z")["BTC/USD"]
        assert len(rows) == history + 1
        assert round(float(rows[-1]["o"])) == 100 + history


def test_files_that_begin_at_different_times_meet_at_the_start(tmp_path: Path) -> None:
    start = datetime(2026, 6, 1, 12, 4, tzinfo=timezone.utc)
    files = {"BTC/USD": candle_file(tmp_path), "ETH/USD": candle_file(tmp_path, "eth.csv", 50)}
    each = [candles(file, symbol, start=start) for symbol, file in files.items()]
    prices = heapq.merge(*each, key=lambda tick: tick.seconds)
    with make_alpaca(speed=0, start=start, prices=prices) as alpaca:
        alpaca.advance(1)
        url = f"{alpaca.url}/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD,ETH/USD"
        shown = requests.get(url, timeout=PATIENCE).json()["quotes"]
        asks = {symbol: round(row["ap"]) for symbol, row in shown.items()}
        assert asks == {"BTC/USD": 104, "ETH/USD": 54}
