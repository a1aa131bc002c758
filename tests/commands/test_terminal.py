"""The operator's commands at a terminal: figures whole however narrow it is, and Ctrl-C at any time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.seat import Seat
from tests.programs import PATIENCE, drawn_on_terminal, environment, until

COMMANDS = [
    ("status",),
    ("asset", "list"),
    ("asset", "show", "BTC/USD"),
    ("cycle", "show", "1"),
    ("report", "--ledger"),
    ("check",),
]


@pytest.fixture
def traded(seat: Seat) -> Seat:
    seat.books.add_asset()
    for bid, ask in (("60000", "60010"), ("59000", "59010"), ("60500", "60510")):
        seat.trade(bid, ask)
    return seat


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words[:2]).replace("/", ""))
def test_no_figure_is_cut_in_a_narrow_terminal(traded: Seat, tmp_path: Path, words: tuple[str, ...]) -> None:
    variables = environment(tmp_path, traded.alpaca.env(), traded.books.environment, TERM="xterm", COLUMNS="50")
    _, text = drawn_on_terminal(tmp_path, variables, *words)
    assert "…" not in text
    assert "Traceback" not in text
    if words[0] == "cycle":
        assert "0.000338925" in text


@pytest.mark.parametrize("columns", ["40", "66", "67", "80"])
def test_status_shows_every_figure_however_narrow_the_terminal_is(seat: Seat, tmp_path: Path, columns: str) -> None:
    seat.books.add_asset()
    seat.trade("60000", "60010")
    variables = environment(tmp_path, seat.alpaca.env(), seat.books.environment, TERM="xterm", COLUMNS=columns)
    _, text = drawn_on_terminal(tmp_path, variables, "status")
    for figure in ("0.000332443", "60,010.00", "60,000.00", "1.02 %", "-0.10", "profit"):
        assert figure in text, text


@pytest.mark.parametrize("words", COMMANDS[:1] + COMMANDS[2:], ids=lambda words: "-".join(words[:2]).replace("/", ""))
def test_ctrl_c_while_the_exchange_says_nothing_is_no_traceback(
    traded: Seat, tmp_path: Path, words: tuple[str, ...]
) -> None:
    rule = traded.alpaca.faults.hold("GET", "", times=None)
    variables = environment(tmp_path, traded.alpaca.env(), traded.books.environment)
    command = [sys.executable, "-m", "dcabot", *words]
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: rule.hits, "a question")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE)
    rule.release()
    assert process.returncode == 130
    assert told == ""
