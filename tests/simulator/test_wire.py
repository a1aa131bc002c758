"""Times, ids and numbers as the wire writes them."""

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from dcabot.core.sessions import new_york
from dcabot.simulator.clock import Clock, ns_of
from dcabot.simulator.wire import stamp, stamp_ns, ulid
from tests.simulator.conftest import make_alpaca


@pytest.mark.parametrize(
    ("utc", "local"),
    [
        ("2026-01-15T12:00:00", "2026-01-15T07:00:00"),
        ("2026-03-08T06:59:59", "2026-03-08T01:59:59"),
        ("2026-03-08T07:00:00", "2026-03-08T03:00:00"),
        ("2026-07-18T02:11:31", "2026-07-17T22:11:31"),
        ("2026-11-01T05:59:59", "2026-11-01T01:59:59"),
        ("2026-11-01T06:00:00", "2026-11-01T01:00:00"),
        ("2027-03-14T07:00:00", "2027-03-14T03:00:00"),
    ],
)
def test_new_york_has_its_summer(utc: str, local: str) -> None:
    assert new_york(datetime.fromisoformat(utc + "+00:00")) == datetime.fromisoformat(local)


def test_times_have_nanoseconds() -> None:
    at = datetime(2026, 9, 18, 10, 0, 0, 123456, tzinfo=timezone.utc)
    assert stamp(at, 789) == "2026-09-18T10:00:00.123456789Z"
    assert stamp(None) is None
    assert stamp_ns(ns_of(at) + 7) == "2026-09-18T10:00:00.123456007Z"


def test_a_ulid_sorts_as_its_number() -> None:
    numbers = [0, 1, 31, 32, 1 << 80, (1 << 80) + 1, (1 << 128) - 1]
    texts = [ulid(number) for number in numbers]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {26}


def test_a_stepped_clock_stands_and_runs_its_timers_at_their_instants() -> None:
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    clock = Clock(0, start)
    ran: list[datetime] = []
    for seconds in (30, 10, 20, 90):
        clock.call_at(ns_of(start) + seconds * 10**9, lambda: ran.append(clock.now()))
    assert clock.now() == start
    asyncio.run(clock.advance(60))
    assert ran == [start + timedelta(seconds=seconds) for seconds in (10, 20, 30)]
    assert clock.now() == start + timedelta(seconds=60)
    asyncio.run(clock.advance(-120))
    assert clock.now() == start - timedelta(seconds=60)
    assert len(ran) == 3


def test_the_equity_of_yesterday_is_that_of_midnight() -> None:
    with make_alpaca(speed=0, start=datetime(2026, 1, 1, 12, tzinfo=timezone.utc), cash=1000) as alpaca:
        alpaca.transfer("BTC", "0.01", "50000")
        alpaca.set_quote("BTC/USD", 50_000, 50_000)
        alpaca.advance(86_400)
        alpaca.set_quote("BTC/USD", 60_000, 60_000)
        account = alpaca.account()
        assert (account["last_equity"], account["equity"]) == ("1500", "1600")
        (position,) = alpaca.positions()
        assert (position["lastday_price"], position["current_price"], position["change_today"]) == (
            "50000",
            "60000",
            "0.2",
        )
