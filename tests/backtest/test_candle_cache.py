"""Candles from Alpaca's public bars: fetched once, kept by month, and gone on with where it broke off."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.adapters import transport
from dcabot.adapters.bars import Bars
from dcabot.adapters.candle_cache import Wanted, fetch
from dcabot.adapters.config import load as load_config
from dcabot.backtest.checks import load
from dcabot.core.snapshot import ExchangeUnreachable
from dcabot.simulator import Simulator
from dcabot.simulator.bars import Bar
from dcabot.simulator.clock import ns_of
from tests.programs import alpaca_for_tests

BEGIN = datetime(2025, 1, 31, 22, tzinfo=timezone.utc)
COUNT = 240  # minutes: two hours of January, two of February


@pytest.fixture
def alpaca() -> Iterator[Simulator]:
    with alpaca_for_tests(symbols=["BTC/USD"]) as simulator:
        simulator.server.tape.load("BTC/USD", [bar(number) for number in range(COUNT)])
        yield simulator


def bar(number: int) -> Bar:
    at = BEGIN + timedelta(minutes=number)
    price = Decimal(100_000 + number * 7) / 100
    return Bar(ns_of(at), price, price + 2, price - 1, price + 1)


def bars_of(alpaca: Simulator) -> Bars:
    return Bars(load_config(set(), {"APCA_API_DATA_URL": alpaca.url}))


def wanted(minutes: int = COUNT) -> Wanted:
    return Wanted("BTC/USD", "1Min", BEGIN, BEGIN + timedelta(minutes=minutes))


def requests(alpaca: Simulator) -> int:
    return len(alpaca.journal.entries("request"))


def test_candles_are_fetched_without_keys_and_kept_by_month(alpaca: Simulator, tmp_path: Path) -> None:
    now = BEGIN + timedelta(minutes=COUNT)
    heard: list[datetime] = []

    files = fetch(bars_of(alpaca), wanted(), tmp_path, now, heard.append)

    assert [file.name for file in files] == ["2025-01.csv", "2025-02.part"]
    candles = load(files, now).candles
    assert len(candles) == COUNT
    assert [candles.price(ticks) for ticks in candles.open[:3].tolist()] == [
        Decimal("1000.00"),
        Decimal("1000.07"),
        Decimal("1000.14"),
    ]
    assert heard == sorted(heard)
    assert heard


def test_what_was_fetched_is_not_asked_for_again(alpaca: Simulator, tmp_path: Path) -> None:
    later = datetime(2025, 4, 1, tzinfo=timezone.utc)
    first = fetch(bars_of(alpaca), wanted(), tmp_path, later)
    before = requests(alpaca)

    assert fetch(bars_of(alpaca), wanted(), tmp_path, later) == first
    assert requests(alpaca) == before
    assert all(file.suffix == ".csv" for file in first)


def test_it_goes_on_after_the_last_whole_line(
    alpaca: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcabot.adapters.bars.PAGE_SIZE", 50)
    now = BEGIN + timedelta(minutes=COUNT)
    whole = [file.read_text() for file in fetch(bars_of(alpaca), wanted(), tmp_path / "a", now)]

    def break_off(at: datetime) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fetch(bars_of(alpaca), wanted(), tmp_path / "b", now, break_off)
    part = tmp_path / "b" / "BTC-USD" / "1Min" / "2025-01.part"
    assert part.read_text().count("\n") == 51
    part.write_text(part.read_text() + "2025-01-31T22:50")

    files = fetch(bars_of(alpaca), wanted(), tmp_path / "b", now)

    assert [file.read_text() for file in files] == whole


def test_an_exchange_that_does_not_answer_is_said(
    alpaca: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PAUSE_SECONDS", 0.01)
    alpaca.faults.respond(503, {"message": "no"}, method="GET", path="/bars", times=3)

    with pytest.raises(ExchangeUnreachable, match="503"):
        fetch(bars_of(alpaca), wanted(), tmp_path, BEGIN + timedelta(days=60))


def test_the_candle_that_is_still_forming_is_left_out(alpaca: Simulator, tmp_path: Path) -> None:
    now = BEGIN + timedelta(minutes=30, seconds=20)

    (file,) = fetch(bars_of(alpaca), wanted(31), tmp_path, now)

    assert load([file], now).candles.ends_at == BEGIN + timedelta(minutes=30)


def test_a_pair_without_candles_has_no_file(alpaca: Simulator, tmp_path: Path) -> None:
    nothing = Wanted("ETH/USD", "1Min", BEGIN, BEGIN + timedelta(minutes=9))

    assert fetch(bars_of(alpaca), nothing, tmp_path, BEGIN + timedelta(days=60)) == []
