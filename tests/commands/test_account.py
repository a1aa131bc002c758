"""The books are of one account: the keys of another one touch nothing, and there is a way to move."""

import pytest

from tests.commands.conftest import Start
from tests.commands.seat import Seat
from tests.programs import Books, environment, run_program

OURS, THEIRS = "PA3SIMULATOR", "PA3ELSEWHERE"  # the simulator's number; the account that the books are of


def account_of(books: Books) -> list[str]:
    return [text for (text,) in books.execute("SELECT text FROM dca_notes WHERE name = 'account'")]


def belongs_to(books: Books, number: str) -> None:
    books.execute("DELETE FROM dca_notes")
    books.execute(
        "INSERT INTO dca_notes (name, text, written_at) VALUES ('account', ?, '2026-01-01 00:00:00.000')", number
    )


@pytest.fixture
def foreign(seat: Seat) -> Seat:
    """A position is held, and the keys are another account's."""
    seat.books.add_asset()
    seat.trade("60000", "60010")
    belongs_to(seat.books, THEIRS)
    return seat


def test_the_first_start_of_the_daemon_notes_its_account_and_later_ones_keep_it(start: Start, books: Books) -> None:
    for _ in range(2):
        with start(books) as daemon:
            daemon.until_ready()
            daemon.stop()
        assert account_of(books) == [OURS]


def test_the_daemon_with_the_keys_of_another_account_ends_with_one_line_and_touches_nothing(
    foreign: Seat, start: Start
) -> None:
    before = foreign.books.cycles(), foreign.books.orders()
    with start(foreign.books) as daemon:
        assert daemon.ended() == 78
        (line,) = [line for line in daemon.log().splitlines() if "account" in line]
    assert "are of the Alpaca account ...HERE, the API keys of ...ATOR: put the keys of ...HERE back" in line
    assert "dcabot db move-account" in line
    assert not daemon.said(f"{OURS}|{THEIRS}")
    assert (foreign.books.cycles(), foreign.books.orders()) == before
    assert account_of(foreign.books) == [THEIRS]


@pytest.mark.parametrize(
    "words",
    [("order-manager",), ("consistency-checker",), ("consistency-checker", "--dry-run")]
    + [("cycle", action, "BTC/USD", "--yes") for action in ("close", "release", "adopt")],
)
def test_who_repairs_or_trades_by_hand_refuses_too(foreign: Seat, words: tuple[str, ...]) -> None:
    before = foreign.books.cycles(), foreign.books.orders()
    said = foreign.run(*words)
    assert said.code == 78
    assert "the API keys of ...ATOR" in said.line
    assert (foreign.books.cycles(), foreign.books.orders()) == before


def test_check_says_so(foreign: Seat) -> None:
    said = foreign.run("check")
    assert said.code == 78
    assert "FAILED   account     the books in this database are of the Alpaca account ...HERE" in said.out


def test_books_that_hold_nothing_are_moved_and_the_next_start_takes_them(seat: Seat, start: Start) -> None:
    belongs_to(seat.books, THEIRS)
    assert seat.run("db", "move-account").code == 2  # there is no terminal to ask on
    assert account_of(seat.books) == [THEIRS]
    said = seat.run("db", "move-account", "--yes")
    assert (said.code, account_of(seat.books)) == (0, [])
    assert "the books are of account ...HERE no more" in said.out
    assert "of no account yet" in seat.run("db", "move-account", "--yes").out
    with start(seat.books) as daemon:
        daemon.until_ready()
        daemon.stop()
    assert account_of(seat.books) == [OURS]


def test_books_that_hold_coins_are_only_moved_anyway(foreign: Seat) -> None:
    said = foreign.run("db", "move-account", "--yes")
    assert said.code == 1
    assert said.line.startswith("dcabot db: BTC/USD: a position is held")
    assert account_of(foreign.books) == [THEIRS]
    assert foreign.run("db", "move-account", "--yes", "--anyway").code == 0
    assert account_of(foreign.books) == []


def test_a_running_daemon_is_not_moved_from_under_its_feet(start: Start, books: Books) -> None:
    with start(books) as daemon:
        daemon.until_ready()
        folder = daemon.log_file.parent
        done = run_program(folder, environment(folder, books.environment), "db", "move-account", "--yes")
        assert done.returncode == 75
        assert "stop it first" in done.stderr
        daemon.stop()
    assert account_of(books) == [OURS]


def test_an_answer_without_a_number_is_no_other_account(foreign: Seat) -> None:
    account = foreign.alpaca.account()
    foreign.alpaca.faults.respond(200, {**account, "account_number": None}, method="GET", path="/v2/account")
    assert foreign.run("order-manager").code == 0
