"""`dcabot run` as systemd runs it: its start, its signs of life, its reload, its end, and trading in between."""

import itertools
import re
import signal
import time
from pathlib import Path

import pytest

from dcabot.commands import paces
from dcabot.simulator import Simulator
from tests.commands.conftest import ENDS_WITHIN, Start
from tests.programs import Books, Daemon, environment, run_program, running_daemon, until

PATIENT = {"paces.STOP_PATIENCE_SECONDS": 25, "paces.STOP_SECONDS": 28}


@pytest.fixture(params=["mariadb", "sqlite"])
def both_books(request: pytest.FixtureRequest) -> Books:
    found: Books = request.getfixturevalue("books" if request.param == "mariadb" else "small_books")
    return found


def test_a_whole_cycle_on_a_real_daemon(both_books: Books, alpaca: Simulator, start: Start) -> None:
    both_books.add_asset(max_safety_orders=1)
    with start(both_books) as daemon:
        daemon.until_ready()
        daemon.until(lambda: daemon.said("held after a fee"), "the base order")
        assert both_books.cycles() == [("watching", "0.000332443", 0)]
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until(lambda: both_books.cycles()[0][2] == 1, "the safety order")
        daemon.until(lambda: len(re.findall("held after a fee", daemon.log())) == 2, "its fee")
        alpaca.set_quote("BTC/USD", bid="60500", ask="60510")
        daemon.until(lambda: both_books.status() == "cooldown", "the take profit")
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until(lambda: len(alpaca.orders()) == 4, "the early restart")
        daemon.until(lambda: both_books.status() == "watching", "its fill")
        code, seconds = daemon.stop()
        assert (code, daemon.notify.words()[-2]) == (0, "STOPPING=1")
        assert seconds < ENDS_WITHIN
    statuses = [status for status, _, _ in both_books.cycles()]
    assert statuses == ["complete", "watching"]
    assert [(side, status) for _, side, status, _ in both_books.orders()] == [
        ("buy", "filled"),
        ("buy", "filled"),
        ("sell", "filled"),
        ("buy", "filled"),
    ]
    (price,) = both_books.execute("SELECT last_sell_price FROM dca_assets")[0]
    assert float(price) == 60500


def test_ready_comes_only_after_the_recovery(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    held = alpaca.faults.hold(method="GET", path="^/v2/positions$")
    with start(small_books) as daemon:
        daemon.until(lambda: held.hits, "the recovery's question")
        time.sleep(0.3)  # if it did not wait for the answer, it would be ready by then
        assert daemon.notify.count("READY=1") == 0
        assert "STATUS=starting: agreeing with the exchange" in daemon.notify.words()
        held.release()
        daemon.until_ready()


def test_status_sees_the_daemon_as_soon_as_it_is_ready(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books) as daemon:
        daemon.until_ready()
        assert small_books.execute("SELECT sentence FROM dca_daemon") == [("1 asset: 1 waiting",)]


def test_the_watchdog_is_fed_and_the_status_is_a_sentence(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books) as daemon:
        daemon.until(lambda: are_in_time(daemon, 1.5), "three signs of life, each in the watchdog's time")
        daemon.until(lambda: "STATUS=1 asset: 1 waiting" in daemon.notify.words(), "a status")


def are_in_time(daemon: Daemon, seconds: float) -> bool:
    """Whether the latest three signs of life are no further apart; on a busy machine others may be late."""
    at = [when for when, message in daemon.notify.messages if "WATCHDOG=1" in message][-3:]
    return len(at) == 3 and max(b - a for a, b in itertools.pairwise(at)) < seconds


def test_a_hang_up_reads_the_assets_again_and_says_so_to_systemd(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    with start(small_books, DCABOT_ASSET_REFRESH_SECONDS="3600") as daemon:
        daemon.until_ready()
        assert any("no assets are enabled" in word for word in daemon.notify.words())
        small_books.add_asset()
        daemon.hang_up()
        daemon.until(lambda: daemon.notify.count("READY=1") == 2, "READY=1 after the reload")
        words = daemon.notify.words()
        reloading = words.index("RELOADING=1")
        assert words[reloading + 1].startswith("MONOTONIC_USEC=")
        assert "READY=1" in words[reloading:]
        daemon.until(lambda: alpaca.orders(), "the first order of the new asset")


def test_it_works_without_systemd_and_ends_at_ctrl_c(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books, has_systemd=False) as daemon:
        daemon.until(lambda: alpaca.orders(), "an order")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.ended() == 0
        assert daemon.notify.messages == []


def test_the_first_line_says_where_it_trades_and_no_secret_is_shown(
    books: Books, alpaca: Simulator, start: Start
) -> None:
    with start(books) as daemon:
        daemon.until_ready()
        first = daemon.log().splitlines()[0]
        assert f"trades on SIMULATOR ({alpaca.url})" in first
        assert alpaca.secret not in daemon.log()
        command_line = Path(f"/proc/{daemon.process.pid}/cmdline").read_text()
        assert alpaca.secret not in command_line


# Assets come, change and go while it runs.


def test_new_changed_and_disabled_assets_are_picked_up(books: Books, alpaca: Simulator, start: Start) -> None:
    with start(books) as daemon:
        daemon.until_ready()
        books.add_asset()
        daemon.until(lambda: books.status() == "watching" and alpaca.orders(), "the new asset's order")
        daemon.until_said("held after a fee")
        books.execute("UPDATE dca_assets SET take_profit_percent = 3 WHERE asset_symbol = 'BTC/USD'")
        books.add_asset("ETH/USD")
        daemon.until(lambda: len(alpaca.orders()) == 2, "the second asset's order: the change was read too")
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        books.execute("UPDATE dca_assets SET is_enabled = 0")
        books.add_asset("WOW/USD")
        daemon.until_said("WOW/USD is suspended")  # so what was changed before has been read too
        daemon.until(lambda: len(re.findall("held after a fee", daemon.log())) == 2, "the fee of ETH/USD")
        alpaca.set_quote("ETH/USD", bid="1900", ask="1901")
        alpaca.set_quote("BTC/USD", bid="62000", ask="62010")
        daemon.until(lambda: books.status() == "cooldown", "a disabled asset is still sold at its take profit")
        assert [order["side"] for order in alpaca.orders()] == ["buy", "buy", "sell"]
        assert books.cycles("ETH/USD")[0][2] == 0


def test_an_impossible_setting_holds_that_asset_only_until_it_is_mended(
    books: Books, alpaca: Simulator, start: Start
) -> None:
    books.add_asset(base_order_amount="9.99", take_profit_percent="0.1")
    books.add_asset("ETH/USD")
    books.add_asset("ETH/BTC")
    books.add_asset("WOW/USD")
    with start(books) as daemon:
        daemon.until(lambda: alpaca.orders(), "the order of the good one")
        assert daemon.said(
            "BTC/USD is suspended: base_order_amount 9.99 is below .*; take_profit_percent 0.1 does not cover"
        )
        assert daemon.said("ETH/BTC is suspended: asset_symbol ETH/BTC: only pairs quoted in USD")
        assert daemon.said("WOW/USD is suspended: asset_symbol WOW/USD: Alpaca does not know")
        daemon.until(lambda: any("3 suspended, see the log" in word for word in daemon.notify.words()), "the status")
        assert {order["symbol"] for order in alpaca.orders()} == {"ETH/USD"}
        books.execute("UPDATE dca_assets SET base_order_amount = 20, take_profit_percent = 1 WHERE id = 1")
        daemon.until_said("BTC/USD is no longer suspended")
        daemon.until(lambda: len(alpaca.orders()) == 2, "the order of the mended one")
        assert len(re.findall("ERROR BTC/USD is suspended", daemon.log())) == 1


def test_a_row_edited_into_nonsense_holds_its_asset_and_names_the_row(
    books: Books, alpaca: Simulator, start: Start
) -> None:
    books.add_asset()
    books.add_asset("ETH/USD")
    with start(books) as daemon:
        daemon.until(lambda: len(alpaca.orders()) == 2, "two orders")
        daemon.until(lambda: len(re.findall("held after a fee", daemon.log())) == 2, "their fees")
        books.execute("UPDATE dca_cycles SET status = 'bying' WHERE asset_id = 1")
        daemon.until_said(r"BTC/USD is suspended: dca_cycles: cycle 1 of BTC/USD: unknown status 'bying'")
        alpaca.set_quote("BTC/USD", bid="62000", ask="62010")
        alpaca.set_quote("ETH/USD", bid="2100", ask="2101")
        daemon.until(lambda: books.status("ETH/USD") == "cooldown", "the other asset's take profit")
        assert books.status() == "bying"
        books.execute("UPDATE dca_cycles SET status = 'watching' WHERE asset_id = 1")
        daemon.until(lambda: books.status() == "cooldown", "its own take profit, once the row is mended")
        assert len(re.findall("ERROR BTC/USD is suspended", daemon.log())) == 1


def test_an_asset_whose_row_disappears_is_named_and_stops_nothing(
    books: Books, alpaca: Simulator, start: Start
) -> None:
    books.add_asset()
    books.add_asset("ETH/USD")
    with start(books) as daemon:
        daemon.until(lambda: len(alpaca.orders()) == 2, "two orders")
        daemon.until(lambda: len(re.findall("held after a fee", daemon.log())) == 2, "their fees")
        books.execute("SET STATEMENT foreign_key_checks = 0 FOR DELETE FROM dca_assets WHERE id = 1")
        daemon.until_said(r"dca_cycles: cycle 1 belongs to asset 1, which has no row")
        alpaca.set_quote("ETH/USD", bid="2100", ask="2101")
        daemon.until(lambda: books.status("ETH/USD") == "cooldown", "the other asset's take profit")


def test_it_waits_with_no_asset_at_all(small_books: Books, alpaca: Simulator, start: Start) -> None:
    with start(small_books) as daemon:
        daemon.until(lambda: daemon.notify.count("WATCHDOG=1") >= 3, "signs of life")
        assert not daemon.said("market data")
        small_books.add_asset()
        daemon.until(lambda: alpaca.orders(), "an order as soon as there is an asset")


def test_one_slow_request_never_holds_up_another_asset(books: Books, alpaca: Simulator, start: Start) -> None:
    books.add_asset()
    held = alpaca.faults.hold(method="POST", path="^/v2/orders$")
    with start(books, hurry={"transport.READ_SECONDS": 600, "transport.ANSWER_SECONDS": 600}) as daemon:
        daemon.until(lambda: held.hits, "the order that hangs")
        books.add_asset("ETH/USD")
        daemon.until(lambda: len(alpaca.orders()) == 1, "the other asset's order")
        daemon.until_said("ETH/USD cycle 2: .* held after a fee")
        alpaca.set_quote("ETH/USD", bid="2100", ask="2101")
        daemon.until(lambda: books.status("ETH/USD") == "cooldown", "its take profit")
        assert books.orders()[0][2] == "intended"
        assert not daemon.said("no answer to"), "the other asset waited until the slow request was given up"
        held.release()
        daemon.until(lambda: books.orders()[0][2] == "filled", "the hanging order's answer")


# Its end, at any moment. On a busy machine all takes longer, so the tests are given more than the five seconds.


def test_it_gives_what_hangs_less_than_five_seconds() -> None:
    assert paces.STOP_PATIENCE_SECONDS < paces.STOP_SECONDS <= 4


def test_a_sigterm_while_the_exchange_hangs_at_the_start_ends_it_within_five_seconds(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    held = alpaca.faults.hold(method="GET", times=None)
    with start(small_books) as daemon:
        daemon.until(lambda: held.hits, "the first question")
        code, seconds = daemon.stop()
        assert code == 0
        assert seconds < ENDS_WITHIN
        assert "STOPPING=1" in daemon.notify.words()
    held.release()


def test_a_sigterm_while_an_order_is_held_ends_it_within_five_seconds_and_the_order_is_found_again(
    books: Books, alpaca: Simulator, start: Start
) -> None:
    books.add_asset()
    held = alpaca.faults.hold(method="POST", path="^/v2/orders$")
    with start(books) as daemon:
        daemon.until(lambda: held.hits, "the order")
        code, seconds = daemon.stop()
        assert (code, seconds < ENDS_WITHIN) == (0, True), seconds
    assert books.orders()[0][2] == "intended"
    held.release()
    until(lambda: [one["status"] for one in alpaca.orders()] == ["filled"], "the late order at the exchange")
    with start(books) as daemon:
        daemon.until_ready()
        assert books.orders()[0][2] == "filled"
    assert len(alpaca.orders()) == 1


def test_a_sigterm_in_the_middle_of_many_orders_loses_none(books: Books, alpaca: Simulator, start: Start) -> None:
    books.add_asset()
    books.add_asset("ETH/USD")
    slow = alpaca.faults.delay_response(0.5, method="POST", times=None)
    with start(books, hurry=PATIENT) as daemon:
        daemon.until(lambda: slow.hits == 2, "two orders on their way")
        assert daemon.stop()[0] == 0
    # It had the time to hear the answers.
    assert {status for _, _, status, _ in books.orders()} <= {"accepted", "filled"}


# Who may run.


def test_a_second_daemon_says_so_and_exits_75(both_books: Books, alpaca: Simulator, start: Start) -> None:
    with start(both_books) as first:
        first.until_ready()
        with start(both_books, hurry={"paces.START_PATIENCE_SECONDS": 1}) as second:
            assert second.ended() == 75
            assert second.said("another dcabot daemon works on this database")
            assert second.notify.count("READY=1") == 0
        assert first.process.poll() is None


def test_the_lock_is_free_as_soon_as_a_daemon_is_killed(both_books: Books, alpaca: Simulator, start: Start) -> None:
    with start(both_books) as first:
        first.until_ready()
        first.kill()
    with start(both_books) as second:
        second.until_ready()


def test_wrong_keys_are_said_clearly_and_exit_78(small_books: Books, alpaca: Simulator, start: Start) -> None:
    impatient = {"paces.START_PATIENCE_SECONDS": 1}
    wrong = "wrong-secret-0123456789"
    with start(small_books, hurry=impatient, APCA_API_SECRET_KEY=wrong) as daemon:
        assert daemon.ended() == 78
        assert daemon.said("does not accept the API keys")
        assert daemon.notify.count("READY=1") == 0


def test_all_missing_variables_are_named_at_once(tmp_path: Path) -> None:
    done = run_program(tmp_path, environment(tmp_path), "run")
    assert done.returncode == 78
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "APCA_API_BASE_URL", "DB_HOST", "DB_USER", "DB_NAME"):
        assert f"{name} is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_schema_is_named_with_its_remedy(database: object, alpaca: Simulator, tmp_path: Path) -> None:
    variables = environment(tmp_path, alpaca.env(), database.environment())  # type: ignore[attr-defined]
    done = run_program(tmp_path, variables, "run")
    assert done.returncode == 78
    assert "run `dcabot db init`" in done.stderr
    init = run_program(tmp_path, variables, "db", "init")
    assert init.returncode == 0
    with running_daemon(tmp_path, variables) as daemon:
        daemon.until_ready()


@pytest.mark.parametrize("seconds", [0, 0.2, 0.5, 1])
def test_a_sigterm_at_any_moment_of_the_start_ends_it(
    small_books: Books, alpaca: Simulator, start: Start, seconds: float
) -> None:
    """Before Python has read its modules, while it does, before and after there is a handler."""
    alpaca.faults.hold(method="GET", times=None)  # it would not end by itself
    with start(small_books) as daemon:
        time.sleep(seconds)
        code, took = daemon.stop()
        assert code in (-signal.SIGTERM, 0)
        assert took < ENDS_WITHIN
        assert "Traceback" not in daemon.log()
