"""Everything at once on real processes: `kill -9` at random moments, a database and an exchange that come and go.

A seed decides what happens and when; what the programs make of it is up to the machine. When the storm is over, the
exchange's ledger and the three tables agree to the last digit.
"""

import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from dcabot.simulator.faults import DATA, TRADING
from tests.agreement import disagreement
from tests.commands.conftest import QUICK
from tests.programs import (
    PATIENCE,
    Books,
    Daemon,
    alpaca_for_tests,
    environment,
    hurried,
    mariadb_books,
    running_daemon,
)
from tests.servers import MariaDB

NAMES = ("order-manager", "cooldown-manager", "consistency-checker")
PRICES = {"BTC/USD": 60000, "ETH/USD": 2000}
HURRY = {"transport.READ_SECONDS": 2, "transport.QUERY_SECONDS": 5, "transport.PAUSE_SECONDS": 0.05}
LATEST_SECONDS = 3.0  # how long a request may be on its way
KINDS = ("kills", "database", "exchange", "all of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Two short storms; several long ones of each kind with --long."""
    if "storm_case" in metafunc.fixturenames:
        cases = [("kills", 1), ("all of them", 1)]
        if metafunc.config.getoption("--long"):
            cases = [(kind, seed) for kind in KINDS for seed in range(1, 4)]
        metafunc.parametrize("storm_case", cases, ids=[f"{kind}-{seed}" for kind, seed in cases])


class Storm:
    """A daemon as systemd keeps it, caretakers as timers start them, prices that walk, and what goes wrong."""

    def __init__(self, server: MariaDB, alpaca: Simulator, folder: Path, kind: str, seed: int) -> None:
        self.server, self.alpaca, self.folder, self.kind = server, alpaca, folder, kind
        self.books: Books = mariadb_books(server.create_database())
        self.dice = random.Random(f"{kind} {seed}")
        self.told: list[str] = []
        self.crowd: list[tuple[str, subprocess.Popen[str], threading.Timer | None]] = []
        self.daemon: Daemon | None = None
        self.room: AbstractContextManager[Daemon] | None = None
        settings = {"DCABOT_ASSET_REFRESH_SECONDS": "1", "DCABOT_STALE_ORDER_SECONDS": "3"}
        self.variables = environment(folder, alpaca.env(), self.books.environment, settings)
        for symbol in PRICES:
            self.books.add_asset(symbol, cooldown_period=1, max_safety_orders=3)

    def say(self, what: str) -> None:
        self.told.append(f"{datetime.now(timezone.utc):%H:%M:%S.%f} {what}")

    # What is usual.

    def walk(self) -> None:
        for symbol, price in PRICES.items():
            bid = price * (1 + self.dice.choice((-4, -2, -1, 0, 1, 2, 4)) / 100)
            self.alpaca.set_quote(symbol, bid=f"{bid:.2f}", ask=f"{bid * 1.0001:.2f}")

    def keep_daemon(self) -> None:
        """As `Restart=on-failure` does."""
        if self.daemon is not None and self.daemon.process.poll() is None:
            return
        self.leave_daemon()
        self.room = running_daemon(self.folder, self.variables, hurry={**QUICK, **HURRY})
        self.daemon = self.room.__enter__()
        self.say("a daemon starts")

    def leave_daemon(self) -> None:
        if self.daemon is not None and self.room is not None:
            if self.daemon.process.poll() is None:
                self.daemon.stop()
            code, log = self.daemon.process.returncode, self.daemon.log()
            self.room.__exit__(None, None, None)
            self.daemon = self.room = None
            self.say(f"the daemon ended with {code}")
            # SIGTERM ends it by itself as long as Python reads its modules.
            assert code in (0, 75, -signal.SIGKILL, -signal.SIGTERM), log[-3000:]
            assert "Traceback" not in log, log[-5000:]

    def care(self, name: str) -> None:
        words = ["setpriv", "--pdeathsig", "KILL", sys.executable, *hurried(HURRY, name)]
        work = subprocess.Popen(words, cwd=self.folder, env=self.variables, stderr=subprocess.PIPE, text=True)
        killer = None
        if self.kind in ("kills", "all of them") and self.dice.random() < 0.6:
            killer = threading.Timer(self.dice.uniform(0.3, 2.0), work.kill)
            killer.start()
        self.crowd.append((name, work, killer))

    def reap(self, seconds: float | None = None) -> None:
        for one in list(self.crowd):
            name, work, killer = one
            if seconds is None and work.poll() is None:
                continue
            _, said = work.communicate(timeout=seconds)
            self.crowd.remove(one)
            if killer is not None:
                killer.cancel()
            assert work.returncode in (0, 75, -signal.SIGKILL), f"{name} ended with {work.returncode}: {said}"
            assert "Traceback" not in said, said
            if work.returncode == 75:
                assert re.match("dcabot: ", said.splitlines()[-1]), said

    # What goes wrong.

    def trouble(self) -> None:
        kinds: dict[str, list[Callable[[], None]]] = {
            "kills": [self.kill_daemon],
            "database": [self.trouble_database],
            "exchange": [self.trouble_exchange],
        }
        chosen = kinds.get(self.kind) or [one for some in kinds.values() for one in some]
        self.dice.choice(chosen)()

    def kill_daemon(self) -> None:
        if self.daemon is not None:
            time.sleep(self.dice.uniform(0, 0.3))
            self.daemon.process.kill()
            self.daemon.process.wait()

    def trouble_database(self) -> None:
        how, seconds = self.dice.choice(("stop", "kill", "restart", "freeze")), self.dice.uniform(0, 2)
        self.say(f"the database: {how} for {seconds:.1f} s")
        getattr(self.server, how)()
        if how != "restart":
            time.sleep(seconds)
            self.server.thaw() if how == "freeze" else self.server.start()

    def trouble_exchange(self) -> None:
        faults, late = self.alpaca.faults, self.dice.uniform(0.2, LATEST_SECONDS)
        troubles: dict[str, Callable[[], object]] = {
            "lost requests": lambda: faults.lose_request(path="^/v2/", times=3),
            "lost orders": lambda: faults.lose_request("POST", "^/v2/orders", times=2),
            "lost answers": lambda: faults.lose_response(path="^/v2/", times=3),
            "orders whose answers are lost": lambda: faults.lose_response("POST", "^/v2/orders", times=2),
            "late requests": lambda: faults.delay(late, path="^/v2/", times=3),
            "late answers": lambda: faults.delay_response(late, path="^/v2/", times=3),
            "errors": lambda: faults.respond(503, "<html>", path="^/v2/", times=4),
            "an error after the order": lambda: faults.respond_after(504, "<html>", "POST", "^/v2/orders"),
            "nobody listens": lambda: faults.refuse_connections(seconds=late),
            "no trade updates": lambda: faults.cut(TRADING),
            "no market data": lambda: faults.cut(DATA),
            "lost updates": lambda: faults.drop_updates(times=3),
            "doubled updates": lambda: faults.duplicate_updates(times=3),
            "updates in disorder": lambda: faults.reorder_updates(times=3),
            "rejections": lambda: faults.reject_orders(1),
        }
        name = self.dice.choice(list(troubles))
        self.say(name)
        troubles[name]()

    def rage(self, steps: int) -> None:
        for _ in range(steps):
            self.keep_daemon()
            self.walk()
            if self.dice.random() < 0.5:
                self.care(self.dice.choice(NAMES))
            time.sleep(self.dice.uniform(0.2, 1.0))
            if self.dice.random() < 0.35:
                self.trouble()
            self.reap()

    # When it is over.

    def calm(self) -> None:
        """All well again: one daemon and the caretakers bring the books to rest."""
        self.alpaca.faults.clear()
        self.reap(PATIENCE)
        self.leave_daemon()
        time.sleep(LATEST_SECONDS)  # what is still on its way arrives
        earlier = datetime.now(timezone.utc) - timedelta(seconds=130)
        self.books.execute(
            "UPDATE dca_orders SET created_at = ? WHERE status = 'intended'", earlier.strftime("%Y-%m-%d %H:%M:%S.%f")
        )
        self.keep_daemon()
        assert self.daemon is not None
        self.daemon.until_ready()
        self.daemon.until(lambda: self.rests() and time.sleep(1) is None and self.rests(), "the books to rest")
        self.leave_daemon()
        for name in NAMES:
            self.care(name)
            self.reap(PATIENCE)

    def rests(self) -> bool:
        """Nothing is open or unsettled. What differs then is said by `disagreement`."""
        rows = self.books.execute(
            "SELECT COUNT(*) FROM dca_orders WHERE status IN ('intended', 'accepted',"
            " 'partially_filled') OR (side = 'buy' AND filled_quantity > 0 AND fee_quantity IS NULL)"
        )
        return rows[0][0] == 0 and not self.alpaca.orders(status="open")


@pytest.mark.slow
def test_after_the_storm_the_books_agree_with_the_exchange(
    server: MariaDB, tmp_path: Path, storm_case: tuple[str, int], request: pytest.FixtureRequest
) -> None:
    kind, seed = storm_case
    with alpaca_for_tests(partial_fills="0.2", seed=seed) as alpaca:
        storm = Storm(server, alpaca, tmp_path, kind, seed)
        try:
            storm.rage(30 if request.config.getoption("--long") else 12)
            storm.calm()
            assert disagreement(alpaca, storm.books) == ""
            assert len(alpaca.orders()) > 1, "it traded"
        except BaseException:
            print("\n".join(storm.told))
            raise
        finally:
            for _, work, _ in storm.crowd:
                work.kill()
            if storm.daemon is not None and storm.room is not None:
                storm.daemon.kill()
                storm.room.__exit__(None, None, None)
