"""Who waits at a terminal sees how far it is; what is sent into a file holds nothing of it."""

import re
import subprocess
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from dcabot.simulator.bars import Bar
from dcabot.simulator.clock import ns_of
from tests.backtest.test_command import AMOUNTS, prices
from tests.programs import alpaca_for_tests, drawn_on_terminal, environment, run_program

__all__ = ["prices"]  # the fixture

BEGIN = datetime(2025, 12, 1, tzinfo=timezone.utc)
FETCH = ("backtest", "--fetch", "--from", "2025-12-04", "--to", "2025-12-11", *AMOUNTS, "--cache", "cache")


def percents(what: str, words: str) -> list[int]:
    return [int(one) for one in re.findall(rf"{what} [^\r\n]*?(\d+) %", re.sub(r"\x1b\[[\d;]*m", "", words))]


def bar(minute: int) -> Bar:
    price = Decimal(1_000 + minute % 7)
    return Bar(ns_of(BEGIN + timedelta(minutes=minute)), price, price + 2, price - 1, price + 1)


def test_fetching_shows_how_far_it_is_and_goes_on_from_there(tmp_path: Path) -> None:
    """The second of two pages does not come: a third of the month is drawn, kept, and not asked for again."""
    with alpaca_for_tests(symbols=["BTC/USD"]) as alpaca:
        alpaca.server.tape.load("BTC/USD", [bar(minute) for minute in range(15_000)])
        variables = environment(tmp_path, TERM="xterm", APCA_API_DATA_URL=alpaca.url)
        first = alpaca.faults.delay(0, path="/bars")
        broken = alpaca.faults.respond(503, {"message": "no"}, path="/bars", times=None)
        code, words = drawn_on_terminal(tmp_path, variables, *FETCH, stdout=subprocess.DEVNULL)
        assert (code, first.hits) == (75, 1)
        assert max(percents("candles", words)) == 100 * 10_000 // (31 * 1440)

        broken.stop()
        before = len(alpaca.journal.entries("request"))
        code, words = drawn_on_terminal(tmp_path, variables, *FETCH, stdout=subprocess.DEVNULL)
        assert (code, percents("candles", words)[-1]) == (0, 100)
        assert len(alpaca.journal.entries("request")) == before + 1
        assert run_program(tmp_path, variables, *FETCH).stderr == ""


def test_a_search_shows_how_far_it_is(tmp_path: Path, prices: Path) -> None:
    variables = environment(tmp_path, TERM="xterm")
    words = ("backtest", "--prices", str(prices), *AMOUNTS, "--sweep", "take-profit-percent=0.8:1.2:0.1")
    code, told = drawn_on_terminal(tmp_path, variables, *words, stdout=subprocess.DEVNULL)

    assert (code, percents("settings", told)[-1]) == (0, 100)
    assert run_program(tmp_path, variables, *words).stderr == ""
