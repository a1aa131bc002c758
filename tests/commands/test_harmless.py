"""What others wrote into a row or an answer reaches no terminal and forges no line of the log."""

import logging
import os
import sys
from pathlib import Path

import pytest

from dcabot.commands import start_logging
from tests.commands.seat import Seat
from tests.programs import drawn_on_terminal, environment

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2066\r[bold][/nonsense]"
COMMANDS = [
    ("status",),
    ("status", "--json"),
    ("asset", "list"),
    ("asset", "show", "BTC/USD"),
    ("cycle", "show", "BTC/USD"),
    ("report",),
    ("report", "--ledger"),
    ("check",),
    ("order-manager",),
    ("cooldown-manager",),
    ("consistency-checker",),
    ("asset", "show", EVIL),
    ("cycle", "close", EVIL, "--yes"),
    (EVIL,),
    ("status", EVIL),
]


@pytest.fixture
def evil(seat: Seat) -> Seat:
    """A position, and foreign words wherever they can stand."""
    seat.books.add_asset()
    seat.trade("60000", "60010")
    seat.books.add_asset(f"{EVIL}/USD"[:40])
    seat.books.execute("UPDATE dca_orders SET note = ?", EVIL)
    seat.books.execute("UPDATE dca_cycles SET status = ? WHERE id = 1", f"watch{EVIL}"[:20])
    return seat


def is_harmless(said: str) -> bool:
    return all(line.isprintable() for line in said.split("\n"))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words)[:20].encode("ascii", "ignore").decode())
def test_no_command_prints_it_as_it_is(evil: Seat, words: tuple[str, ...]) -> None:
    said = evil.run(*words)
    assert is_harmless(said.out), repr(said.out)
    assert is_harmless(said.err), repr(said.err)
    assert "nobody expected" not in said.err


def test_a_refusal_in_foreign_words_is_harmless(evil: Seat) -> None:
    evil.alpaca.faults.respond(403, {"message": f"no\nCRITICAL forged {EVIL}"}, times=None)
    for words in (("report", "--ledger"), ("check",), ("order-manager",)):
        said = evil.run(*words)
        assert is_harmless(said.out + said.err)
        assert not any(line.startswith("CRITICAL") for line in said.err.splitlines())


def test_a_terminal_gets_our_colours_and_nothing_else(evil: Seat, tmp_path: Path) -> None:
    variables = environment(tmp_path, evil.alpaca.env(), evil.books.environment, TERM="xterm", COLUMNS="200")
    _, drawn = drawn_on_terminal(tmp_path, variables, "check")
    assert "\x1b[32mok" in drawn, "a verdict has its colour"
    assert (
        "]0;owned" in "".join(drawn.split())
        and "\x1b]0;" not in drawn
        and "\x07" not in drawn
        and "\u202e" not in drawn
    )


def test_an_event_is_one_line_of_the_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(logging.getLogger().handlers)
    monkeypatch.setitem(os.environ, "JOURNAL_STREAM", "1:2")
    try:
        start_logging()
        logging.getLogger("dcabot.test").warning("Alpaca says: %s", f"bad\nCRITICAL forged {EVIL}")
        try:
            raise ValueError(EVIL)
        except ValueError:
            logging.getLogger("dcabot.test").exception("it broke")
    finally:
        logging.getLogger().handlers[:] = before
    first, *others = capsys.readouterr().err.splitlines()
    assert first.startswith("WARNING Alpaca says: bad\\nCRITICAL forged \\x1b]0;owned\\x07")
    assert others[0] == "ERROR it broke" and all(map(str.isprintable, others))
    assert sys.stderr is not None
