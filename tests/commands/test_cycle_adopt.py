"""`dcabot cycle adopt`: the way back from `error`, alone and beside a running daemon, on both databases."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from tests.commands.conftest import Start
from tests.commands.seat import Seat, seat_for
from tests.programs import Books, environment, run_program

WORDS = ("cycle", "adopt", "BTC/USD", "--yes")


def lose(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base and a safety order are filled; the first edition ended such a cycle in error on two odd answers."""
    seat.books.add_asset()
    seat.trade("60000", "60010")
    seat.trade("58000", "58010")
    seat.books.execute("UPDATE dca_cycles SET status = 'error', completed_at = '2026-01-01 00:00:00'")
    seat.trader.refresh()
    seat.trader.sweep()
    assert [status for status, _, _ in seat.books.cycles()] == ["error", "watching"]


@pytest.fixture(params=["sqlite", "mysql"])
def lost(
    request: pytest.FixtureRequest,
    alpaca: Simulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Seat]:
    books: Books = request.getfixturevalue("small_books" if request.param == "sqlite" else "books")
    with seat_for(alpaca, books, capsys, monkeypatch, tmp_path) as seat:
        lose(seat, monkeypatch)
        yield seat


def test_the_current_cycle_takes_the_position_and_sells_it(lost: Seat) -> None:
    held = lost.books.cycles()[0]
    lost.trade("57000", "57010")
    assert len(lost.books.orders()) == 2  # nobody owns the coins, and nobody buys beside them
    said = lost.run(*WORDS)
    assert said.code == 0, said.err
    assert "Cycle 2 of BTC/USD holds " in said.out
    assert "again, with 1 safety order, as cycle 1 did" in said.out
    assert [(status, safeties) for status, _, safeties in lost.books.cycles()] == [("error", 0), ("watching", 1)]
    assert Decimal(lost.books.cycles()[1][1]) == Decimal(held[1])
    assert lost.run("report").code == 0
    lost.trade("70000", "70010")
    assert lost.books.cycles()[1][0] == "complete"
    assert not lost.alpaca.positions()


def test_a_second_time_there_is_nothing_to_take_back(lost: Seat) -> None:
    assert lost.run(*WORDS).code == 0
    said = lost.run(*WORDS)
    assert said.code == 1
    assert "Alpaca shows no BTC/USD that no cycle bought; there is nothing to take in" in said.line
    assert lost.books.cycles()[1][2] == 1


def test_what_alpaca_does_not_show_is_not_taken_back(lost: Seat) -> None:
    before = lost.books.cycles()
    lost.alpaca.faults.respond(200, [], method="GET", path="/v2/positions")
    said = lost.run(*WORDS)
    assert said.code == 1
    assert "Alpaca shows no BTC/USD that no cycle bought; there is nothing to take in" in said.line
    assert lost.books.cycles() == before


def test_coins_of_another_pair_are_not_taken_under_a_new_name(lost: Seat) -> None:
    lost.books.execute("UPDATE dca_assets SET asset_symbol = 'ETH/USD'")
    positions = [{**lost.alpaca.positions()[0], "symbol": "ETHUSD"}]
    lost.alpaca.faults.respond(200, positions, method="GET", path="/v2/positions")
    said = lost.run("cycle", "adopt", "ETH/USD", "--yes")
    assert said.code == 1
    assert "do not tell what 0.000" in said.line and "say it with --price" in said.line


def test_foreign_coins_join_the_cycle_at_what_they_cost(seat: Seat) -> None:
    seat.books.add_asset()
    seat.trade("60000", "60010")
    seat.alpaca.foreign_order(symbol="BTC/USD", qty="0.001", side="buy", type="market", time_in_force="gtc")
    said = seat.run(*WORDS)
    assert said.code == 0, said.err
    assert "Cycle 1 of BTC/USD holds 0.00132" in said.out and "at an average of 60,010.00" in said.out
    lot = seat.books.execute("SELECT side, status, filled_price, order_id FROM dca_orders WHERE purpose = 'adopted'")
    assert [(side, status, Decimal(paid), name) for side, status, paid, name in lot] == [
        ("buy", "filled", Decimal(60010), None)
    ]
    seat.trade("70000", "70010")
    assert seat.books.cycles()[0][0] == "complete"
    assert not seat.alpaca.positions()
    assert seat.run("report").code == 0


def test_deposited_coins_need_a_price(seat: Seat) -> None:
    seat.books.add_asset(is_enabled=0)
    seat.books.execute("UPDATE dca_assets SET is_enabled = 1")
    seat.alpaca.transfer("BTC", "0.001")
    seat.trade("60000", "60010")
    assert "say it with --price" in seat.run(*WORDS).line
    said = seat.run(*WORDS, "--price", "50000")
    assert said.code == 0, said.err
    assert "holds 0.001 at an average of 50,000.00 now" in said.out
    assert seat.run(*WORDS, "--price", "0").code == 2


def test_it_asks_and_an_unknown_pair_is_one_line(lost: Seat) -> None:
    before = lost.books.cycles()
    said = lost.run("cycle", "adopt", "BTC/USD")
    assert said.code == 2
    assert "Cycle 1 of BTC/USD ended in error with 0.000" in said.err
    assert lost.books.cycles() == before
    assert "there is no asset DOT/USD" in lost.run("cycle", "adopt", "DOT/USD", "--yes").line


def test_it_works_beside_a_running_daemon(lost: Seat, start: Start, tmp_path: Path) -> None:
    books, variables = lost.books, environment(tmp_path, lost.alpaca.env(), lost.books.environment)
    with start(books) as daemon:
        daemon.until_said("BTC/USD that no cycle bought")
        done = run_program(tmp_path, variables, *WORDS)
        assert done.returncode == 0, done.stderr
        lost.price("70000", "70010")
        daemon.until(lambda: books.cycles()[1][0] == "complete", "the take profit")
        assert daemon.stop()[0] == 0
    assert [status for status, _, _ in books.cycles()] == ["error", "complete", "cooldown"]
    assert not lost.alpaca.positions()
