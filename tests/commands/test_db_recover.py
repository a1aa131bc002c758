"""`dcabot db recover`: a new database on an account whose coins dcabot had bought."""

from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from tests.commands.seat import Seat, seat_for
from tests.programs import Books, sqlite_books


@pytest.fixture
def new_books(tmp_path: Path) -> Books:
    folder = tmp_path / "new"
    folder.mkdir()
    return sqlite_books(folder)


def test_an_empty_database_takes_over_what_was_bought(
    seat: Seat,
    alpaca: Simulator,
    new_books: Books,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    seat.books.add_asset()
    seat.trade("60000", "60010")
    seat.trade("58000", "58010")
    lost = seat.books.cycles()
    folder = tmp_path / "other"
    folder.mkdir()
    with seat_for(alpaca, new_books, capsys, monkeypatch, folder) as other:
        new_books.add_asset()
        asked = other.run("db", "recover")
        assert asked.code == 2 and "BTC/USD: the cycle that was opened at" in asked.out
        said = other.run("db", "recover", "--yes")
        assert said.code == 0, said.err
        other.trade("57900", "57910")
        assert new_books.cycles() == lost
        assert "Nothing is missing" in other.run("db", "recover").out
        other.trade("70000", "70010")
        assert new_books.cycles()[0][0] == "complete"
        assert not alpaca.positions()


def test_without_coins_there_is_nothing_to_recover(seat: Seat) -> None:
    seat.books.add_asset()
    assert "no coins of this database's pairs" in seat.run("db", "recover", "--yes").out
