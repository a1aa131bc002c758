"""The clock that is stepped by hand: within its bounds, in order, and without keeping others waiting."""

import socket
import threading
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
import requests

from dcabot.simulator import Simulator, walk
from dcabot.simulator.clock import Clock
from tests.simulator.conftest import SYMBOLS, make_alpaca
from tests.simulator.sdk import client, until

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
TOO_FAR = [1e9, -1e9, "1e17", "-1e17", 31_622_401]


def walking() -> Simulator:
    return make_alpaca(prices=walk(1, SYMBOLS), speed=0, start=START, rate_limit=None)


def step(alpaca: Simulator, seconds: object) -> requests.Response:
    return requests.post(f"{alpaca.url}/_sim/advance", json={"seconds": seconds}, timeout=300)


def test_others_are_answered_while_a_long_step_plays_its_prices() -> None:
    with walking() as alpaca:
        stepping = threading.Thread(target=alpaca.advance, args=(21_600,))
        stepping.start()
        answered = 0
        while stepping.is_alive():
            client(alpaca).get_account()
            answered += 1
        assert answered > 20
        assert alpaca.clock.now() == START + timedelta(hours=6)


def test_steps_at_the_same_time_follow_one_another() -> None:
    with walking() as alpaca:
        moments: list[int] = []

        def ask(seconds: int) -> None:
            moments.append(step(alpaca, seconds).json()["at_ns"])

        asking = [threading.Thread(target=ask, args=(seconds,)) for seconds in (7_200, 60, 3_600, 1)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        assert alpaca.clock.now() == START + timedelta(seconds=7_200 + 60 + 3_600 + 1)
        assert sorted(moments) == moments


@pytest.mark.parametrize("seconds", TOO_FAR)
def test_a_step_that_is_too_long_is_refused_and_changes_nothing(seconds: float | str) -> None:
    with make_alpaca(speed=0, start=START) as alpaca:
        answer = step(alpaca, seconds)
        assert (answer.status_code, answer.json()["message"]) == (
            422, "a step is at most 366 days (31622400 seconds), forward or back",
        )  # fmt: skip
        with pytest.raises(ValueError, match="at most 366 days"):
            alpaca.advance(Decimal(str(seconds)))
        assert alpaca.clock.now() == START
        assert client(alpaca).get_clock().timestamp == START


def test_the_clock_does_not_leave_its_years() -> None:
    with make_alpaca(speed=0, start=datetime(1971, 6, 1, tzinfo=timezone.utc)) as alpaca:
        with pytest.raises(ValueError, match="from 1971 to 2500"):
            alpaca.advance(-300 * 86_400)
        assert step(alpaca, -300 * 86_400).status_code == 422
        assert client(alpaca).get_clock().timestamp.year == 1971
    with make_alpaca(speed=1e15) as alpaca:
        until(lambda: alpaca.clock.now().year == 2500)
        assert client(alpaca).get_account().cash == "100000"
        assert step(alpaca, 1).status_code == 422


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf")])
def test_a_clock_that_cannot_be_is_named(speed: float) -> None:
    with pytest.raises(ValueError, match="a clock's speed"):
        make_alpaca(speed=speed)
    with pytest.raises(ValueError, match="between 1971 and 2500"):
        make_alpaca(start=datetime(1, 1, 1, tzinfo=timezone.utc))
    with pytest.raises(ValueError, match="time zone"):
        Clock(1, datetime(2026, 1, 1))  # noqa: DTZ001


def test_who_hangs_up_ends_the_step_where_it_stands() -> None:
    with walking() as alpaca:
        with socket.create_connection((alpaca.server.host, alpaca.server.port)) as asking:
            body = b'{"seconds": 31622400}'
            head = b"POST /_sim/advance HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
            asking.sendall(head + body)
            until(lambda: alpaca.clock.now() > START)
        assert step(alpaca, 1).status_code == 200
        assert alpaca.clock.now() < START + timedelta(days=300)
