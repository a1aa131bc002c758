"""Ctrl-C at `dcabot cycle close`: exit code 130 and where it stands, wherever it strikes."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from dcabot.adapters.database import Database, DatabaseUnreachable
from dcabot.commands import INTERRUPTED, cycle, guard, was_interrupted
from dcabot.executor import Executor
from tests.commands.seat import Seat

WORDS = ("cycle", "close", "BTC/USD", "--yes")
PLACES = ("dcabot", "peewee", "pymysql", "urllib3", "requests")


@pytest.fixture
def holding(seat: Seat) -> Seat:
    seat.books.add_asset()
    seat.trade("60000", "60010")
    return seat


def striking_at(line: int) -> Callable[..., Any]:
    """A trace function that raises Ctrl-C at this line of what runs beneath a command."""
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if not any(f"/{place}" in frame.f_code.co_filename for place in PLACES):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    return trace


@pytest.mark.parametrize("line", [40, 900, 13_000, 14_000, 14_400, 15_500])
def test_ctrl_c_at_any_line(holding: Seat, monkeypatch: pytest.MonkeyPatch, line: int) -> None:
    steps = cycle._until_done

    def traced(*arguments: Any) -> Any:
        sys.settrace(striking_at(line))
        try:
            return steps(*arguments)
        finally:
            sys.settrace(None)

    monkeypatch.setattr(cycle, "_until_done", traced)
    holding.alpaca.faults.hold_fills()
    said = holding.run(*WORDS)
    assert said.code == INTERRUPTED, said.err
    assert "goes on from here" in said.err.splitlines()[-1]
    monkeypatch.setattr(cycle, "_until_done", steps)
    holding.alpaca.faults.hold_fills(False)
    assert holding.run(*WORDS).code == 0
    assert [side for _, side, _, _ in holding.books.orders()] == ["buy", "sell"]


def struck(*_: Any) -> int:
    """What is tidied up after a Ctrl-C fails in its place."""
    try:
        raise KeyboardInterrupt
    finally:
        raise DatabaseUnreachable("the answer to the last statement is missing")


def test_error_in_place_of_ctrl_c(holding: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no outage that is waited for, and no 75."""
    monkeypatch.setattr(Executor, "carry_out", struck)
    said = holding.run(*WORDS)
    assert said.code == INTERRUPTED
    assert "BTC/USD is watching, disabled and holds 0.000332443" in said.err.splitlines()[-1]


def test_ctrl_c_beside_a_database_that_is_away(holding: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Database) -> None:
        raise DatabaseUnreachable("no database")

    def strike(*_: Any) -> None:
        monkeypatch.setattr(Database, "transaction", away)
        raise KeyboardInterrupt

    monkeypatch.setattr(Executor, "carry_out", strike)
    said = holding.run(*WORDS)
    assert said.code == INTERRUPTED
    assert said.err.splitlines()[-1] == (
        "dcabot cycle: stopped. Where BTC/USD stands could not be read (no database); "
        "`dcabot cycle close BTC/USD` goes on from here"
    )


def test_every_command_knows_a_ctrl_c_behind_an_error() -> None:
    assert guard(struck, []) == INTERRUPTED
    assert not was_interrupted(None)
    assert not was_interrupted(DatabaseUnreachable("away"))
