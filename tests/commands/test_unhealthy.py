"""A daemon that lives and cannot trade: it says so everywhere, and the watchdog is fed meanwhile."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pymysql
import pytest

from dcabot.simulator import Simulator
from tests.commands.conftest import Start
from tests.commands.test_daemon_faults import bought, is_fed
from tests.programs import Books, Daemon, environment, run_program

# Everything that takes minutes takes a second.
HURRY = {
    "troubles.PATIENCE": 1,
    "paces.HEALTH_SECONDS": 0.2,
    "paces.PULSE_SECONDS": 0.2,
    "paces.SWEEP_IDLE_SECONDS": 0.5,
}
LIQUIDATION = {"code": 40310000, "message": "account is restricted to liquidation only"}
Program = Callable[..., "tuple[int, str]"]


@pytest.fixture
def program(alpaca: Simulator, tmp_path: Path) -> Program:
    """The exit code and the words of a command on these books."""

    def run(books: Books, *words: str) -> tuple[int, str]:
        variables = environment(tmp_path, alpaca.env(), books.environment)
        done = run_program(tmp_path, variables, *words)
        return done.returncode, done.stdout + done.stderr

    return run


def names(books: Books) -> list[str]:
    """The troubles in the database."""
    rows = books.execute("SELECT kind, asset FROM dca_troubles ORDER BY kind, asset")
    return [f"{kind} {asset}".rstrip() for kind, asset in rows]


def until_told(daemon: Daemon, books: Books, name: str) -> None:
    """In the log, in STATUS and in the database; and nobody restarts a daemon for it."""
    daemon.until_said(rf"ERROR unhealthy \({re.escape(name)}\): ")
    daemon.until(lambda: name in names(books), f"{name} in the database")
    told = [word for word in daemon.notify.words() if word.startswith("STATUS=unhealthy: ")]
    assert told
    assert is_fed(daemon, 5)


def until_over(daemon: Daemon, books: Books, name: str) -> None:
    daemon.until_said(rf"INFO healthy again \({re.escape(name)}\)")
    daemon.until(lambda: name not in names(books), f"{name} to leave the database")


@pytest.mark.parametrize("status", [503, 429])
def test_a_rest_host_that_refuses_everything_is_told(
    small_books: Books, alpaca: Simulator, start: Start, program: Program, status: int
) -> None:
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)
        rule = alpaca.faults.respond(status, {"message": "later"}, path="^/v2/", times=None)
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        until_told(daemon, small_books, "reconciliation")
        code, said = program(small_books, "status")
        assert code == 1 and said.startswith("Unhealthy")
        assert "no reconciliation with Alpaca: " in said
        assert program(small_books, "consistency-checker")[0] == 1
        rule.stop()
        until_over(daemon, small_books, "reconciliation")
        daemon.until(lambda: small_books.status() == "cooldown", "the sale after all")


def test_revoked_keys_are_told(small_books: Books, alpaca: Simulator, start: Start, program: Program) -> None:
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)
        alpaca.faults.revoke_keys()
        until_told(daemon, small_books, "keys")
        code, said = program(small_books, "status")
        assert code == 1 and "does not accept the API keys" in said
        code, said = program(small_books, "consistency-checker")
        assert code == 1 and "needs a person (keys): " in said
        alpaca.faults.revoke_keys(False)
        until_over(daemon, small_books, "keys")


@pytest.mark.parametrize(
    "changes",
    [
        {"trading_blocked": True},
        {"account_blocked": True},
        {"trade_suspended_by_user": True},
        {"status": "ACCOUNT_UPDATED"},
        {"crypto_status": "INACTIVE"},
    ],
)
def test_a_blocked_account_is_told_and_sends_no_order(
    small_books: Books, alpaca: Simulator, start: Start, changes: dict[str, object]
) -> None:
    alpaca.set_account(**changes)
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        daemon.until_ready()  # it may pass: nobody has to start it again then
        until_told(daemon, small_books, "account")
        assert small_books.orders() == []
        alpaca.set_account(
            status="ACTIVE",
            crypto_status="ACTIVE",
            trading_blocked=False,
            account_blocked=False,
            trade_suspended_by_user=False,
        )
        until_over(daemon, small_books, "account")
        bought(daemon, small_books)


@pytest.mark.parametrize("changes", [{"status": "PAPER_ONLY"}, {"crypto_status": "PAPER_ONLY"}])
def test_a_paper_only_account_trades_here(
    small_books: Books, alpaca: Simulator, start: Start, changes: dict[str, object]
) -> None:
    alpaca.set_account(**changes)
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)


def test_quotes_that_always_come_old_are_told_of_a_position(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    small_books.add_asset("ETH/USD")
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)
        bought(daemon, small_books, "ETH/USD")
        alpaca.faults.hold_prices()
        alpaca.faults.respond(503, {"message": "later"}, path="latest/quotes", times=None)

        def old() -> bool:
            at = datetime.now(timezone.utc) - timedelta(seconds=75)
            alpaca.set_quote("BTC/USD", "61000", "61010", at=at)
            alpaca.set_quote("ETH/USD", "1999", "2001", at=at)
            rows = small_books.execute("SELECT sentence FROM dca_troubles WHERE kind = 'quotes'")
            return any("is this machine's clock right?" in sentence for (sentence,) in rows)

        daemon.until(old, "the trouble")
        assert is_fed(daemon, 5)


def test_a_sale_refused_for_ever_is_told_with_the_reason(
    small_books: Books, alpaca: Simulator, start: Start, program: Program
) -> None:
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)
        alpaca.faults.respond(403, LIQUIDATION, "POST", "/v2/orders", times=None)
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        until_told(daemon, small_books, "sale BTC/USD")
        code, said = program(small_books, "status")
        assert code == 1 and "restricted to liquidation only" in said
        alpaca.set_quote("BTC/USD", bid="60000", ask="60010")
        until_over(daemon, small_books, "sale BTC/USD")


def test_an_owners_order_in_the_way_of_a_sale_is_named(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)
        alpaca.foreign_order(
            symbol="BTC/USD",
            qty="0.01",
            side="buy",
            type="limit",
            limit_price="30000",
            time_in_force="gtc",
        )
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        until_told(daemon, small_books, "sale BTC/USD")
        assert daemon.said("an open buy order of yours is in the way")


def test_a_row_that_somebody_else_keeps_locked_is_told(
    books: Books, alpaca: Simulator, start: Start, program: Program
) -> None:
    books.add_asset()
    with start(books, hurry=HURRY) as daemon:
        bought(daemon, books)
        place = books.settings
        operator = pymysql.connect(unix_socket=place.socket, user=place.user, database=place.name)
        try:
            with operator.cursor() as cursor:
                cursor.execute("UPDATE dca_assets SET max_safety_orders = 6")
            alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
            until_told(daemon, books, "decision BTC/USD")
            assert program(books, "status")[0] == 1
            operator.rollback()
        finally:
            operator.close()
        until_over(daemon, books, "decision BTC/USD")
        daemon.until(lambda: books.status() == "cooldown", "the sale after all")


def test_one_refusal_of_the_keys_at_the_start_passes(small_books: Books, alpaca: Simulator, start: Start) -> None:
    alpaca.faults.respond(401, {"message": "unauthorized."}, path="^/v2/account$", times=1)
    alpaca.faults.respond(403, {"message": "forbidden."}, path="^/v2/assets$", times=1)
    with start(small_books, hurry=HURRY) as daemon:
        daemon.until_ready()


def test_keys_that_never_worked_are_a_mistake_and_others_an_outage(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    impatient = {**HURRY, "paces.START_PATIENCE_SECONDS": 0.5, "paces.RETRY_SECONDS": 0.2}
    with start(small_books, hurry=impatient, APCA_API_SECRET_KEY="never-valid-secret") as daemon:
        assert daemon.ended() == 78
    with start(small_books, hurry=HURRY) as daemon:
        daemon.until_ready()
        daemon.stop()
    with start(small_books, hurry=impatient, APCA_API_SECRET_KEY="never-valid-secret") as daemon:
        assert daemon.ended() == 75
        assert daemon.said("does not accept the API keys")


def test_a_trouble_outlives_a_restart_and_is_told_once(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)
        alpaca.faults.respond(403, LIQUIDATION, "POST", "/v2/orders", times=None)
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        until_told(daemon, small_books, "sale BTC/USD")
        daemon.kill()
    with start(small_books, hurry=HURRY) as daemon:
        daemon.until_ready()
        assert names(small_books) == ["sale BTC/USD"]
        daemon.until(lambda: is_fed(daemon, 2), "a look")
        assert not daemon.said(r"unhealthy \(sale")


def test_a_daemon_that_is_stopped_takes_its_troubles_with_it(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    alpaca.set_account(trading_blocked=True)
    with start(small_books, hurry=HURRY) as daemon:
        daemon.until_ready()
        until_told(daemon, small_books, "account")
        daemon.stop()
    assert names(small_books) == []
