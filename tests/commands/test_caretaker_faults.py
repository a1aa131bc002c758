"""The caretakers while the database or the exchange goes away in the middle of a pass, and killed at each request.

Each has work to do on every table it writes, so that it stops at a row we hold and is met there.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest

from dcabot.simulator import Simulator
from dcabot.simulator.faults import RequestFault
from tests.agreement import disagreement
from tests.commands.conftest import starter
from tests.programs import PATIENCE, Books, alpaca_for_tests, environment, hurried, mariadb_books, until
from tests.servers import MariaDB

NAMES = ("order-manager", "cooldown-manager", "consistency-checker")
FAULTS = ("stop", "kill", "restart", "freeze")
# So turned that every fourth is another caretaker in another trouble.
DATABASE_CASES = [(name, FAULTS[(turn + step) % 4]) for turn, name in enumerate(NAMES) for step in range(4)]
CANCEL_CASES = [(fault,) for fault in ("lose_response", "lose_request", "hold")]
KILL_CASES = [(name,) for name in NAMES]
WITH_EXCHANGE = ("order-manager", "consistency-checker")
# For an exchange that stalls; otherwise a busy machine is given its time.
HURRY = {"transport.READ_SECONDS": 1, "transport.QUERY_SECONDS": 3, "transport.PAUSE_SECONDS": 0.05}
PATIENT = {"transport.PAUSE_SECONDS": 0.05}
WORKED = {"order-manager": "1 mended", "cooldown-manager": "1 cooldown over", "consistency-checker": "1 mended"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every caretaker under every trouble with --long, else a sample."""
    known = {"database_case": DATABASE_CASES, "cancel_case": CANCEL_CASES, "kill_case": KILL_CASES}
    for fixture, cases in known.items():
        if fixture in metafunc.fixturenames:
            chosen = cases if metafunc.config.getoption("--long") else cases[::4]
            metafunc.parametrize(fixture, chosen, ids=["-".join(case) for case in chosen])


@dataclass
class Pass:
    """One caretaker at work."""

    process: "subprocess.Popen[str]"

    def end(self, seconds: float = PATIENCE) -> tuple[int, str]:
        """Its exit code and what it said."""
        _, said = self.process.communicate(timeout=seconds)
        return self.process.returncode, said


@dataclass
class Ward:
    """BTC/USD has a BUY that rests too long, ETH/USD a cooldown that is over, SOL/USD a column edited by hand."""

    alpaca: Simulator
    books: Books
    folder: Path

    def begin(self, name: str, hurry: Mapping[str, float] = PATIENT) -> Pass:
        """A caretaker that runs now."""
        settings = {"DCABOT_STALE_ORDER_SECONDS": "1"}
        variables = environment(self.folder, self.alpaca.env(), self.books.environment, settings)
        words = ["setpriv", "--pdeathsig", "KILL", sys.executable, *hurried(hurry, name)]
        return Pass(subprocess.Popen(words, cwd=self.folder, env=variables, stderr=subprocess.PIPE, text=True))

    def rows(self) -> list[list[tuple[object, ...]]]:
        return [self.books.execute(f"SELECT * FROM {name}") for name in ("dca_assets", "dca_cycles", "dca_orders")]

    def check_mended(self) -> None:
        """What was left undone is done by the next passes, once, and then the books agree with the exchange."""
        until(lambda: all(self.begin(name).end()[0] == 0 for name in NAMES), "three passes without trouble")
        # A cancel that was written down and not sent is sent again after a while.
        until(lambda: self.begin("order-manager").end() and not self.alpaca.orders(status="open"), "the cancel")
        for name in NAMES:
            assert self.begin(name).end()[0] == 0
        assert [self.books.status(one) for one in ("BTC/USD", "ETH/USD", "SOL/USD")] == ["watching"] * 3
        assert len(self.books.cycles("ETH/USD")) == 2
        assert disagreement(self.alpaca, self.books) == ""


@pytest.fixture
def ward(server: MariaDB, tmp_path: Path) -> Iterator[Ward]:
    with alpaca_for_tests(symbols=["BTC/USD", "ETH/USD", "SOL/USD"]) as alpaca:
        yield make_ward(alpaca, mariadb_books(server.create_database()), tmp_path)


def make_ward(alpaca: Simulator, books: Books, folder: Path) -> Ward:
    prices = {"BTC/USD": ("60000", "60010"), "ETH/USD": ("2000", "2001"), "SOL/USD": ("100", "100.1")}
    for symbol, (bid, ask) in prices.items():
        alpaca.set_quote(symbol, bid=bid, ask=ask)
    alpaca.faults.hold_fills(symbol="BTC/USD")
    for symbol in prices:
        books.add_asset(symbol)
    with starter(alpaca, folder)(books) as daemon:
        daemon.until(lambda: sorted(row[2] for row in books.orders()) == ["accepted", "filled", "filled"], "the orders")
        daemon.until(lambda: daemon.said("ETH/USD cycle .* fee") and daemon.said("SOL/USD cycle .* fee"), "the fees")
        alpaca.set_quote("ETH/USD", bid="2100", ask="2101")
        daemon.until(lambda: books.status("ETH/USD") == "cooldown", "the take profit")
        daemon.kill()
    books.execute("UPDATE dca_cycles SET completed_at = '2026-01-01 00:00:00' WHERE status = 'complete'")
    books.execute(
        "UPDATE dca_cycles SET safety_orders = 3 WHERE asset_id = (SELECT id FROM dca_assets WHERE asset_symbol = ?)",
        "SOL/USD",
    )
    time.sleep(1)  # until the BUY has rested too long
    return Ward(alpaca, books, folder)


@contextmanager
def met_at_a_row(ward: Ward, name: str) -> Iterator[Pass]:
    """A caretaker that waits for a row which we hold; the row is let go at the end."""
    place = ward.books.settings
    login = {"user": place.user, "password": place.password, "database": place.name}
    holder = pymysql.connect(host=place.host, port=place.port, **login)
    try:
        with holder.cursor() as cursor:
            cursor.execute("SELECT id FROM dca_cycles FOR UPDATE")
        work = ward.begin(name)
        until(lambda: waiters(ward), f"{name} to wait for the row")
        yield work
    finally:
        holder._force_close()


def waiters(ward: Ward) -> int:
    found = ward.books.execute(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%FOR UPDATE%' AND id <> CONNECTION_ID()"
    )
    return int(found[0][0])


def check_one_clear_line(ended: tuple[int, str]) -> None:
    code, said = ended
    assert code == 75, said
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if "INFO" not in line and "WARNING" not in line]
    assert len(lines) == 1 and lines[0].startswith("dcabot: "), said


# The database.


@pytest.mark.slow
def test_a_database_that_goes_in_the_middle_of_a_pass_is_one_line_and_75_and_the_next_pass_mends(
    ward: Ward, server: MariaDB, database_case: tuple[str, str]
) -> None:
    name, fault = database_case
    before = ward.rows()
    with met_at_a_row(ward, name) as work:
        getattr(server, fault)()
        try:
            check_one_clear_line(work.end())
            if fault != "restart":
                begun = time.monotonic()
                check_one_clear_line(ward.begin(name).end())
                assert time.monotonic() - begun < 60
        finally:
            if fault == "freeze":
                server.thaw()
            elif fault != "restart":
                server.start()
    assert ward.rows() == before
    code, said = ward.begin(name).end()
    assert (code, WORKED[name] in said) == (0, True), said
    ward.check_mended()


@pytest.mark.slow
def test_a_row_that_is_held_for_long_is_waited_for_and_then_mended(ward: Ward) -> None:
    for name in ("cooldown-manager", "consistency-checker", "order-manager"):
        with met_at_a_row(ward, name) as work:
            time.sleep(1)
            assert work.process.poll() is None
        code, said = work.end()
        assert (code, WORKED[name] in said) == (0, True), said
    ward.check_mended()


@pytest.mark.slow
def test_a_database_that_restarts_while_the_exchange_is_asked_is_one_line_and_the_next_pass_mends(
    ward: Ward, server: MariaDB
) -> None:
    for name in WITH_EXCHANGE:
        held = ward.alpaca.faults.hold("GET", "^/v2/orders$")
        work = ward.begin(name)
        until(lambda: held.hits, "the question")  # noqa: B023 - asked before the next round
        server.restart()
        held.release()
        check_one_clear_line(work.end())
    ward.check_mended()


# The exchange.


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_EXCHANGE)
def test_an_exchange_that_refuses_stalls_or_drops_is_one_line_and_75_and_nothing_is_concluded(
    ward: Ward, name: str
) -> None:
    before, faults = ward.rows(), ward.alpaca.faults
    troubles: dict[str, Callable[[], object]] = {
        "refuses": faults.refuse_connections,
        "stalls": lambda: faults.hold("GET", "^/v2/", times=None),
        "drops the question": lambda: faults.lose_request("GET", "^/v2/", times=None),
        "drops the answer": lambda: faults.lose_response("GET", "^/v2/", times=None),
        "drops the positions": lambda: faults.lose_response("GET", "^/v2/positions", times=None),
        "is maintained": faults.maintenance,
        "counts too many requests": faults.rate_limit,
    }
    for what, begin in troubles.items():
        begin()
        ended = ward.begin(name, HURRY).end()
        faults.clear()
        faults.hold_fills(symbol="BTC/USD")
        check_one_clear_line(ended)
        assert ward.rows() == before, what
    ward.check_mended()


@pytest.mark.slow
def test_an_answer_that_is_lost_once_is_asked_for_again(ward: Ward) -> None:
    for name in WITH_EXCHANGE:
        lost = ward.alpaca.faults.lose_response("GET", "^/v2/orders$")
        code, said = ward.begin(name).end()
        assert (code, lost.hits, " 0 mended" in said) == (0, 1, False), said
    ward.check_mended()


@pytest.mark.slow
def test_a_cancel_whose_fate_is_unknown_is_settled_by_the_next_pass(ward: Ward, cancel_case: tuple[str]) -> None:
    rule = getattr(ward.alpaca.faults, cancel_case[0])("DELETE", "^/v2/orders/")
    code, said = ward.begin("order-manager", {**PATIENT, "transport.READ_SECONDS": 4}).end()
    assert (code, rule.hits, "Traceback" in said) == (0, 1, False), said
    rule.release()
    ward.check_mended()
    assert [row[2] for row in ward.books.orders()].count("canceled") == 1


# kill -9.


@dataclass(eq=False)
class Kill(RequestFault):
    """Kills the caretaker at its request number `skip` + 1."""

    target: "subprocess.Popen[str] | None" = None
    skip: int = 0
    seen: int = 0

    def matches(self, method: str, path: str) -> bool:
        if self.target is None or not super().matches(method, path):
            return False
        self.seen += 1
        if self.seen != self.skip + 1:
            return False
        if self.effect:
            os.kill(self.target.pid, signal.SIGKILL)
        else:
            threading.Timer(0.002 * (self.skip % 4), self.target.kill).start()
        return True


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_EXCHANGE)
def test_killed_at_each_request_of_a_pass(ward: Ward, name: str, request: pytest.FixtureRequest) -> None:
    """Before it is sent, after the exchange did it, after it is answered; the next passes do what was left undone."""
    effects = ("lose_request", "lose_response", "")
    for skip in range(20):
        for effect in effects if request.config.getoption("--long") else (effects[skip % 3],):
            kill = Kill(effect, None, "^/v2/", skip=skip)
            ward.alpaca.faults.requests = (kill,)
            work = ward.begin(name)
            kill.target = work.process
            code, said = work.end()
            assert code in (0, -signal.SIGKILL), said
        if kill.seen <= skip:
            break
    assert skip >= 3, "a pass asks at least for the orders, one of them and the positions"
    ward.alpaca.faults.requests = ()
    ward.check_mended()


@pytest.mark.slow
def test_killed_while_it_waits_for_a_row(ward: Ward, kill_case: tuple[str]) -> None:
    (name,) = kill_case
    before = ward.rows()
    with met_at_a_row(ward, name) as work:
        work.process.kill()
        assert work.end()[0] == -signal.SIGKILL
    until(lambda: not waiters(ward), "the server to notice")
    assert ward.rows() == before
    ward.check_mended()


# Several at once.


@pytest.mark.slow
def test_two_of_each_at_once_do_each_thing_once(ward: Ward) -> None:
    crowd = {name: [ward.begin(name), ward.begin(name)] for name in NAMES}
    for name, works in crowd.items():
        ended = [work.end() for work in works]
        assert [code for code, _ in ended] == [0, 0], ended
        assert not any("Traceback" in said for _, said in ended)
        summaries = [line for _, said in ended for line in said.splitlines() if f"{name.replace('-', ' ')}: " in line]
        assert len(summaries) == 2, ended
    ward.check_mended()
    assert len(ward.books.execute("SELECT id FROM dca_cycles")) == 4
