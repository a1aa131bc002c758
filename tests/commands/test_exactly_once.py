"""`kill -9` at a request, and a restart: no order twice, nothing lost, the books equal the exchange's ledger."""

import os
import signal
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from dcabot.simulator.faults import RequestFault
from tests.agreement import disagreement
from tests.commands.conftest import Start, starter
from tests.programs import Books, Daemon, alpaca_for_tests, mariadb_books, until
from tests.servers import MariaDB


class When(Enum):
    """The moment of the kill, and what becomes of the request."""

    BEFORE = "lose_request"  # it never leaves
    LATE = "delay"  # it is on its way, and arrives when the next daemon is at work
    UNANSWERED = "lose_response"  # the exchange did it, and nobody heard
    ANSWERED = ""  # the answer is there, and perhaps half of what follows


@dataclass(eq=False)
class Kill(RequestFault):
    """Kills the daemon at its request number `skip` + 1 of those that match."""

    daemon: Daemon | None = field(default=None, repr=False)
    skip: int = 0
    seen: int = 0
    after: float = 0.0
    method_killed_at: str = ""

    def matches(self, method: str, path: str) -> bool:
        if self.daemon is None or not super().matches(method, path):
            return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        pid = self.daemon.process.pid
        self.method_killed_at = method
        if self.effect:
            os.kill(pid, signal.SIGKILL)
        else:
            threading.Timer(self.after, os.kill, (pid, signal.SIGKILL)).start()
        return True


def arm(alpaca: Simulator, daemon: Daemon, when: When, method: str | None, skip: int) -> Kill:
    kill = Kill(when.value, method, "^/v2/", daemon=daemon, skip=skip, seconds=1.0, after=0.001 * (skip % 9))
    alpaca.faults.requests = (*alpaca.faults.requests, kill)
    return kill


class Story:
    """One cycle, base order, safety order, take profit, driven by what the books say; daemons come and go."""

    def __init__(self, alpaca: Simulator, books: Books, start: Start) -> None:
        self.alpaca, self.books, self.start = alpaca, books, start
        self.kill: Kill | None = None
        books.add_asset(max_safety_orders=1)

    def is_over(self) -> bool:
        """Set the price that the cycle waits for; True when it is sold."""
        cycles = self.books.cycles()
        if not cycles:
            return False
        status, quantity, safety_orders = cycles[0]
        if status == "watching" and Decimal(quantity):
            bid, ask = ("59000", "59010") if safety_orders == 0 else ("61000", "61010")
            self.alpaca.set_quote("BTC/USD", bid=bid, ask=ask)
        return len(cycles) == 2

    def run(self, when: When | None = None, method: str | None = None, skip: int = 0) -> bool:
        """One daemon's life, to the end of the story or to the kill; whether the story is over."""
        with self.start(self.books) as daemon:
            if when is not None:
                self.kill = arm(self.alpaca, daemon, when, method, skip)
            try:
                return until(lambda: self._ended(daemon), "the cycle to end or the daemon to be killed") == "over"
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.books.orders()}\n{daemon.log()[-3000:]}") from None

    def _ended(self, daemon: Daemon) -> str:
        if daemon.process.poll() is not None:
            assert daemon.process.returncode == -signal.SIGKILL, daemon.log()
            return "killed"
        return "over" if self.is_over() else ""

    def is_order_on_its_way(self) -> bool:
        """It must arrive within the grace, or it is rightly taken for lost."""
        return self.kill is not None and self.kill.effect == When.LATE.value and self.kill.method_killed_at == "POST"

    def let_time_pass(self) -> None:
        """The daemon was away for two minutes: an order that the exchange denies is then given up."""
        earlier = datetime.now(timezone.utc) - timedelta(seconds=130)
        self.books.execute(
            "UPDATE dca_orders SET created_at = ? WHERE status = 'intended'", earlier.strftime("%Y-%m-%d %H:%M:%S.%f")
        )

    def check(self) -> None:
        """No order twice, nothing lost, and the books equal the ledger."""
        assert disagreement(self.alpaca, self.books) == ""
        rows = {name for name, _, _, _ in self.books.orders()}
        orders = {order["client_order_id"]: order["side"] for order in self.alpaca.orders()}
        assert orders.keys() <= rows, "an order at the exchange that no row knows"
        bought = [name for name, side in orders.items() if side == "buy"]
        assert [name.split("-")[3] for name in bought] == ["base", "safety"], "each purchase exactly once"
        assert self.alpaca.positions() == [], "everything that was bought is sold"
        assert [status for status, _, _ in self.books.cycles()] == ["complete", "cooldown"]


@pytest.fixture(params=["mariadb", "sqlite"])
def story(request: pytest.FixtureRequest, alpaca: Simulator, start: Start) -> Story:
    books: Books = request.getfixturevalue("books" if request.param == "mariadb" else "small_books")
    return Story(alpaca, books, start)


@pytest.mark.parametrize("story", ["mariadb"], indirect=True)
@pytest.mark.parametrize("when", list(When))
def test_killed_at_each_order_of_a_cycle(story: Story, when: When) -> None:
    if when is When.BEFORE:
        # The lost order is tried again first.
        for skip in (0, 1, 1):
            assert not story.run(when, "POST", skip)
            story.let_time_pass()
    else:
        for _ in range(3):
            if story.run(when, "POST"):
                break  # the sale was heard of before the kill
    if not story.is_over():
        assert story.run()
    story.check()


def test_killed_while_an_order_rests_and_filled_while_nobody_runs(
    alpaca: Simulator, small_books: Books, start: Start
) -> None:
    story = Story(alpaca, small_books, start)
    alpaca.faults.hold_fills()
    with start(small_books) as daemon:
        daemon.until(lambda: [row[2] for row in small_books.orders()] == ["accepted"], "the order to rest")
        daemon.kill()
    alpaca.faults.hold_fills(False)
    until(lambda: alpaca.orders()[0]["status"] == "filled", "the fill")
    with start(small_books) as daemon:
        daemon.until_ready()
        assert small_books.orders()[0][2] == "filled"  # before READY=1
    assert story.run()
    story.check()


@pytest.mark.slow
def test_killed_at_every_request_of_a_cycle(
    alpaca: Simulator, tmp_path: Path, mariadb_server: MariaDB, request: pytest.FixtureRequest
) -> None:
    """A sample of the requests and of the moments; all of them with --long."""
    quiet = Story(alpaca, mariadb_books(mariadb_server.create_database()), starter(alpaca, tmp_path))
    assert quiet.run()
    quiet.check()
    count = len([entry for entry in alpaca.journal.entries("request") if entry["path"].startswith("/v2/")])
    everything = [(skip, when) for skip in range(count) for when in When]
    chosen = everything if request.config.getoption("--long") else everything[1 :: max(1, len(everything) // 6)]
    for skip, when in chosen:
        folder = tmp_path / f"{skip}-{when.name}"
        folder.mkdir()
        with alpaca_for_tests() as simulator:
            simulator.set_quote("BTC/USD", bid="60000", ask="60010")
            database = mariadb_server.create_database()
            story = Story(simulator, mariadb_books(database), starter(simulator, folder))
            try:
                if not story.run(when, None, skip):
                    # Killed at a question, it may have been about to send an order: that one will never arrive.
                    if not story.is_order_on_its_way():
                        story.let_time_pass()
                    assert story.run()
                story.check()
            except AssertionError as error:
                raise AssertionError(f"killed {when.name} at request {skip + 1}: {error}") from error
        mariadb_server.drop_database(database)
