"""`dcabot cycle`: a cycle shown, sold by hand, and handed over; alone and beside a running daemon."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dcabot.adapters import assets
from tests.commands.conftest import Start
from tests.commands.seat import Seat, utc_now
from tests.programs import PATIENCE, Books, environment, run_program, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcabot.commands.cycle.POLL_SECONDS", 0.05)


@pytest.fixture
def holding(seat: Seat) -> Seat:
    """A base order is filled at 60010."""
    seat.books.add_asset()
    seat.trade("60000", "60010")
    assert seat.books.status() == "watching"
    assert seat.alpaca.positions()
    return seat


def is_enabled(books: Books) -> bool:
    ((enabled,),) = books.execute("SELECT is_enabled FROM dca_assets")
    return bool(enabled)


def test_close_sells_all_at_once_and_disables_the_asset(holding: Seat) -> None:
    holding.price("59000", "59010")
    said = holding.run("cycle", "close", "btc/usd", "--yes")
    assert said.code == 0, said.err
    assert "is sold at 59,000.00 and disabled" in said.out
    assert [status for status, _, _ in holding.books.cycles()] == ["complete", "cooldown"]
    assert not is_enabled(holding.books)
    assert not holding.alpaca.positions()


def test_close_books_orders_whose_rows_were_lost(holding: Seat) -> None:
    """A restored database: what it does not know was bought by this cycle all the same, and is sold with it."""
    holding.trade("59000", "59010")
    holding.books.execute("DELETE FROM dca_orders WHERE purpose = 'safety'")
    said = holding.run("cycle", "close", "BTC/USD", "--yes")
    assert said.code == 0, said.err
    assert not holding.alpaca.positions()


def test_close_on_an_empty_database_asks_for_its_backup(holding: Seat) -> None:
    holding.books.execute("DELETE FROM dca_orders")
    said = holding.run("cycle", "close", "BTC/USD", "--yes")
    assert said.code == 1
    assert "this database knows no order at all" in said.err
    assert holding.alpaca.positions()


def test_close_cancels_an_open_buy_first_and_sells_what_it_bought(holding: Seat) -> None:
    holding.alpaca.faults.partial_fills(["0.0001"], rest_waits=True)
    holding.trade("59000", "59010", is_filled=False)
    until(lambda: holding.alpaca.orders()[-1]["filled_qty"] == "0.0001", "a part of the safety order")
    said = holding.run("cycle", "close", "BTC/USD", "--yes")
    assert said.code == 0, said.err
    sides = [(side, status) for _, side, status, _ in holding.books.orders()]
    assert sides == [("buy", "filled"), ("buy", "canceled"), ("sell", "filled")]
    assert not holding.alpaca.positions()
    assert holding.books.cycles()[0][2] == 1


def test_close_of_an_empty_cycle_only_disables_the_asset(seat: Seat) -> None:
    seat.books.add_asset()
    seat.trader.recover()
    said = seat.run("cycle", "close", "BTC/USD", "--yes")
    assert (said.code, said.out) == (0, "BTC/USD holds nothing; it is disabled.\n")
    assert not is_enabled(seat.books)


def test_close_gives_up_waiting_in_time_and_goes_on_when_asked_again(holding: Seat) -> None:
    holding.alpaca.faults.hold_fills()
    said = holding.run("cycle", "close", "BTC/USD", "--yes", "--wait", "1")
    assert said.code == 1
    assert "not done within 1 s: waiting for dcabot-1-" in said.err.splitlines()[-1]
    assert holding.books.status() == "selling"
    holding.alpaca.faults.hold_fills(False)
    assert holding.run("cycle", "close", "BTC/USD", "--yes").code == 0
    assert len(holding.books.orders()) == 2


def test_release_leaves_the_coins_and_they_block_the_next_base_order(holding: Seat) -> None:
    said = holding.run("cycle", "release", "BTC/USD", "--yes")
    assert said.code == 0, said.err
    assert "BTC/USD are yours" in said.out
    assert [status for status, _, _ in holding.books.cycles()] == ["complete", "watching"]
    assert holding.alpaca.positions()
    assert is_enabled(holding.books)
    holding.trade("58000", "58010")
    assert len(holding.books.orders()) == 1


def test_release_cancels_open_orders_first_and_enables_the_asset_again(holding: Seat) -> None:
    holding.alpaca.faults.hold_fills()
    holding.trade("59000", "59010", is_filled=False)
    assert holding.books.status() == "buying"
    said = holding.run("cycle", "release", "BTC/USD", "--yes")
    assert said.code == 0, said.err
    assert [status for _, _, status, _ in holding.books.orders()] == ["filled", "canceled"]
    assert holding.books.cycles()[0][0] == "complete"
    assert is_enabled(holding.books)


@pytest.mark.parametrize("is_over", [False, True])
def test_a_release_that_is_killed_is_finished_by_the_next_which_enables_the_asset_again(
    holding: Seat, tmp_path: Path, is_over: bool
) -> None:
    """Killed while it waits for the cancel; then the second finds it as it was, or with the buy cancelled long ago."""
    holding.alpaca.faults.hold_fills()
    holding.trade("59000", "59010", is_filled=False)
    rule = holding.alpaca.faults.hold("DELETE", "/v2/orders")
    variables = environment(tmp_path, holding.alpaca.env(), holding.books.environment)
    words = [sys.executable, "-m", "dcabot", "cycle", "release", "BTC/USD", "--yes"]
    with subprocess.Popen(words, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL) as process:
        until(lambda: not is_enabled(holding.books), "the asset to be disabled")
        process.kill()
    rule.release()
    if is_over:
        holding.alpaca.faults.clear()
        holding.books.execute("UPDATE dca_cycles SET status = 'complete', completed_at = '2026-01-01 00:00:00'")
        holding.books.execute("UPDATE dca_orders SET status = 'canceled' WHERE status = 'accepted'")
        holding.books.execute("INSERT INTO dca_cycles (asset_id, status) VALUES (1, 'watching')")
    said = holding.run("cycle", "release", "BTC/USD", "--yes")
    assert said.code == 0, said.err
    assert "a release of BTC/USD was interrupted and left it disabled" in said.err
    assert holding.books.cycles()[0][0] == "complete"
    assert is_enabled(holding.books)
    assert holding.run("cycle", "release", "BTC/USD", "--yes").code == 1


def test_who_disables_the_asset_after_an_interrupted_release_has_the_last_word(holding: Seat) -> None:
    database = holding.trader.store.database
    assert assets.pause(database, "BTC/USD", utc_now())
    assert not assets.pause(database, "BTC/USD", utc_now())
    assert holding.run("asset", "disable", "BTC/USD").code == 0
    assert holding.run("cycle", "release", "BTC/USD", "--yes").code == 0
    assert not is_enabled(holding.books)


def test_nothing_held_is_nothing_to_release(seat: Seat) -> None:
    seat.books.add_asset()
    seat.trader.recover()
    said = seat.run("cycle", "release", "BTC/USD", "--yes")
    assert said.code == 1
    assert "holds nothing" in said.err.splitlines()[-1]


@pytest.mark.parametrize("action", ["close", "release"])
def test_without_a_terminal_and_without_yes_nothing_happens(
    holding: Seat, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        said = holding.run("cycle", action, "BTC/USD")
    assert said.code == 2
    assert "--yes goes ahead" in said.err
    assert holding.books.cycles()[0][0] == "watching"
    assert is_enabled(holding.books)


@pytest.mark.parametrize(("answer", "code", "status"), [("n\n", 1, "watching"), ("y\n", 0, "complete")])
def test_on_a_terminal_it_asks(holding: Seat, tmp_path: Path, answer: str, code: int, status: str) -> None:
    ours, theirs = pty.openpty()
    variables = environment(tmp_path, holding.alpaca.env(), holding.books.environment)
    words = [sys.executable, "-m", "dcabot", "cycle", "close", "BTC/USD"]
    try:
        os.write(ours, answer.encode())
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env=variables,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "SIMULATOR: sell 0.000332443" in done.stderr
    assert "and disable the asset? [y/N]" in done.stderr
    assert holding.books.cycles()[0][0] == status


def test_ctrl_c_says_where_it_stands_and_the_same_command_goes_on(holding: Seat, tmp_path: Path) -> None:
    holding.alpaca.faults.hold_fills()
    variables = environment(tmp_path, holding.alpaca.env(), holding.books.environment)
    words = [sys.executable, "-m", "dcabot", "cycle", "close", "BTC/USD", "--yes"]
    with subprocess.Popen(words, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: holding.books.status() == "selling", "the sell")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, told
    assert "BTC/USD is selling, disabled and holds 0.000332443" in told.splitlines()[-1]
    assert "Traceback" not in told
    holding.alpaca.faults.hold_fills(False)
    assert holding.run("cycle", "close", "BTC/USD", "--yes").code == 0


@pytest.mark.parametrize("has_answer", [True, False])
def test_a_close_that_is_killed_is_gone_on_with_and_nothing_is_sold_twice(
    holding: Seat, tmp_path: Path, has_answer: bool
) -> None:
    """Killed while the sell waits for its fill, or while its request waits for the answer."""
    if has_answer:
        holding.alpaca.faults.hold_fills()
    else:
        holding.alpaca.faults.delay_response(30, "POST", "/v2/orders")
    variables = environment(tmp_path, holding.alpaca.env(), holding.books.environment)
    words = [sys.executable, "-m", "dcabot", "cycle", "close", "BTC/USD", "--yes"]
    with subprocess.Popen(words, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL) as process:
        until(lambda: len(holding.alpaca.orders()) == 2, "the sell")
        process.kill()
    holding.alpaca.faults.clear()
    said = holding.run("cycle", "close", "BTC/USD", "--yes")
    assert said.code == 0, said.err
    assert [side for _, side, _, _ in holding.books.orders()] == ["buy", "sell"]
    assert len(holding.alpaca.orders()) == 2
    assert not holding.alpaca.positions()


def test_an_exchange_that_is_away_leaves_all_as_it_was(holding: Seat) -> None:
    holding.alpaca.faults.refuse_connections()
    try:
        said = holding.run("cycle", "close", "BTC/USD", "--yes")
    finally:
        holding.alpaca.faults.refuse_connections(False)
    assert said.code == 75
    assert "no connection" in said.err.splitlines()[-1]
    assert is_enabled(holding.books)


def test_a_pair_that_nobody_knows_is_one_line(seat: Seat) -> None:
    for action in ("close", "release"):
        said = seat.run("cycle", action, "ETH/USD", "--yes")
        assert said.code == 1
        assert said.err.splitlines()[-1].startswith("dcabot cycle: there is no asset ETH/USD")
    assert "does not know the pair XXX/USD" in seat.run("cycle", "close", "XXX/USD", "--yes").err
    assert "there is no asset BTC/USD" in seat.run("cycle", "show", "BTC/USD").line
    assert "there is no cycle 17" in seat.run("cycle", "show", "17").line


def test_a_row_that_cannot_be_read_is_one_line(holding: Seat) -> None:
    holding.books.execute("UPDATE dca_cycles SET status = 'dreaming'")
    for words in (("close", "BTC/USD", "--yes"), ("show", "1"), ("show", "BTC/USD")):
        said = holding.run("cycle", *words)
        assert said.code == 1
        assert "unknown status 'dreaming'" in said.err.splitlines()[-1]
        assert "Traceback" not in said.err


def test_show_tells_every_order_and_fill_in_order(holding: Seat) -> None:
    holding.alpaca.faults.partial_fills(["0.0001", "0.0002"])
    holding.trade("59000", "59010")
    holding.run("cycle", "close", "BTC/USD", "--yes")
    told = holding.run("cycle", "show", "1", "--json").json
    assert (told["status"], told["held"], told["safety_orders"]) == ("complete", "0", 1)
    what = [one["what"].split(";")[0] for one in told["timeline"]]
    assert what[0] == "cycle opened"
    assert what.count("fill") == 1 + 3 + 1
    assert what[-1] == "cycle complete"
    assert [one["at"] for one in told["timeline"]] == sorted(one["at"] for one in told["timeline"])
    page = holding.run("cycle", "show", "1").out
    assert "Cycle 1 of BTC/USD: complete" in page
    assert "by hand: sell at market" in page


def test_show_of_a_cycle_that_has_just_begun_names_the_one_before(holding: Seat) -> None:
    holding.run("cycle", "close", "BTC/USD", "--yes")
    page = holding.run("cycle", "show", "BTC/USD").out
    assert "Cycle 2 of BTC/USD: cooldown, nothing bought yet. Opened" in page
    assert "The cycle before it: `dcabot cycle show 1`." in page
    assert "The cycle before it" not in holding.run("cycle", "show", "1").out


def test_show_does_without_the_exchange(holding: Seat) -> None:
    holding.alpaca.faults.refuse_connections()
    try:
        said = holding.run("cycle", "show", "btc/usd")
        for_programs = holding.run("cycle", "show", "btc/usd", "--json")
    finally:
        holding.alpaca.faults.refuse_connections(False)
    assert said.code == 0
    assert "Without single fills: no connection" in said.out
    assert "filled" in said.out
    assert "0 safety orders. Opened" in said.out
    assert for_programs.json["status"] == "watching"
    assert for_programs.line.startswith("dcabot cycle: Without single fills: no connection")


def test_close_and_release_work_beside_a_running_daemon(start: Start, seat: Seat, tmp_path: Path) -> None:
    books, variables = seat.books, environment(tmp_path, seat.alpaca.env(), seat.books.environment)
    books.add_asset("BTC/USD")
    books.add_asset("ETH/USD")
    with start(books) as daemon:
        daemon.until_ready()
        for symbol in ("BTC/USD", "ETH/USD"):
            daemon.until(lambda s=symbol: books.cycles(s)[-1:] and books.cycles(s)[-1][1] != "0", f"{symbol} held")
        assert run_program(tmp_path, variables, "cycle", "close", "BTC/USD", "--yes").returncode == 0
        assert run_program(tmp_path, variables, "cycle", "release", "ETH/USD", "--yes").returncode == 0
        daemon.until_said("ETH/USD that no cycle bought")
        assert daemon.stop()[0] == 0
    assert books.cycles("BTC/USD")[0][0] == "complete"
    assert [status for status, _, _ in books.cycles("ETH/USD")] == ["complete", "watching"]
    assert [position["symbol"] for position in seat.alpaca.positions()] == ["ETHUSD"]


def test_a_buy_that_fills_while_it_is_cancelled_is_sold_too(holding: Seat) -> None:
    holding.alpaca.faults.hold_fills()
    holding.trade("59000", "59010", is_filled=False)
    assets.change(holding.trader.store.database, "BTC/USD", {"max_safety_orders": 1}, utc_now())
    rule = holding.alpaca.faults.hold("DELETE", "/v2/orders")
    holding.alpaca.faults.hold_fills(False)
    until(lambda: holding.alpaca.orders()[-1]["status"] == "filled", "the safety order's fill")
    rule.release()
    said = holding.run("cycle", "close", "BTC/USD", "--yes")
    assert said.code == 0, said.err
    assert not holding.alpaca.positions()
