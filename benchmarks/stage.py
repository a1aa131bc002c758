"""The parts that every benchmark measures with: real processes, a private MariaDB, and clocks that agree.

All times are this machine's monotonic nanoseconds, taken by the simulator when it sends a quote and when a request
comes in: both ends of a figure are read on one clock.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dcabot.simulator.listings import BUSIEST, LISTINGS
from tests.servers import Database, MariaDB

ROOT = Path(__file__).parents[1]
FLOORS = Path(__file__).parent / "floors"
PATIENCE_SECONDS = 60.0
QUOTE_STREAM = "/v1beta3/crypto/us"  # the path behind the host in APCA_API_STREAM_URL
SYMBOLS = BUSIEST  # 20 of them
# Nothing else of the rules may come between: one base order, then a safety order at each fall of half a percent.
ASSET = (
    "INSERT INTO dca_assets (asset_symbol, is_enabled, base_order_amount, safety_order_amount, max_safety_orders,"
    " safety_order_deviation, take_profit_percent, cooldown_period, buy_order_price_deviation_percent)"
    " VALUES (%s, 1, 20, 20, 100, 0.5, 50, 3600, 50)"
)


def until(ready: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `ready` answers once it is true."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        if time.monotonic() > end:
            raise RuntimeError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.01)
    return found


class Process:
    """A program that ends when the block does. Its stderr is in `log`."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self._log = tempfile.NamedTemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.terminate()
        self.popen.communicate()
        self._log.close()

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text()

    def line(self) -> str:
        """The next line on its stdout."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.popen.args} ended:\n{self.log[-2000:]}")
        return line.strip()

    def ask(self, words: str) -> str:
        """Say one line to it and read one."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{words}\n")
        self.popen.stdin.flush()
        return self.line()

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        pages = Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Alpaca(Process):
    """`dcabot simulator` in its own process: whole fills, no random prices, no limit that is reached."""

    def __init__(self) -> None:
        options = "--port 0 --no-prices --partial-fills 0 --rate-limit 10000 --cash 100000000"
        super().__init__(["-m", "dcabot", "simulator", *options.split()], {})
        self.environment: dict[str, str] = {}
        while not (line := self.line()).startswith("#"):
            name, _, value = line.partition("=")
            self.environment[name] = value
        place = urlsplit(self.environment["APCA_API_BASE_URL"])
        self._control = http.client.HTTPConnection(place.hostname or "", place.port)

    def __enter__(self) -> "Alpaca":
        return self

    def __exit__(self, *details: object) -> None:
        self._control.close()
        super().__exit__(*details)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to the control API; its JSON answer."""
        self._control.request(method, f"/_sim{path}", None if body is None else json.dumps(body))
        response = self._control.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {answer}")
        return answer

    def quote(self, falls: Iterable[tuple[str, Decimal]]) -> None:
        """New prices, sent at once: each symbol's first price less a ratio."""
        self.call("POST", "/quote", [price(symbol, fall) for symbol, fall in falls])

    def posts(self) -> list[tuple[int, str, dict[str, Any]]]:
        """When each order came in, for which symbol, and its body."""
        entries = self.call("GET", "/journal?kind=request&limit=1000000")
        orders = [e for e in entries if e["path"] == "/v2/orders" and e["method"] == "POST" and e["body"]]
        bodies = [json.loads(entry["body"]) for entry in orders]
        return [(e["monotonic_ns"], body["symbol"], body) for e, body in zip(orders, bodies, strict=True)]

    def quotes(self) -> list[tuple[int, str, str, str]]:
        """When each quote set by hand was sent: (monotonic_ns, symbol, bid, ask)."""
        return [tuple(row) for row in self.call("GET", "/quotes")]

    def forget(self) -> None:
        self.call("DELETE", "/journal")

    def has_listener(self) -> bool:
        found = self.call("GET", "/journal?kind=stream")
        return any(entry["what"] == "subscribe" for entry in found)


def price(symbol: str, fall: Decimal) -> dict[str, str]:
    """A quote `fall` (a ratio) below the symbol's first price, on its ticks, with a spread of a thousandth."""
    listing = LISTINGS[symbol]
    step = listing.quote_step
    ask = (listing.start_price * (1 - fall)).quantize(step)
    bid = min(ask, (ask * Decimal("0.999")).quantize(step))
    return {"symbol": symbol, "bid": f"{bid:f}", "ask": f"{ask:f}"}


@contextmanager
def floor(name: str, alpaca: Alpaca, **variables: str) -> Iterator[Process]:
    """One of the programs in `floors/`, once it listens."""
    environment = {**alpaca.environment, "SYMBOLS": ",".join(SYMBOLS), **variables}
    with Process([str(FLOORS / f"{name}.py")], environment) as process:
        if name != "pool":
            until(alpaca.has_listener, f"the floor {name} to listen")
        yield process


@contextmanager
def daemon(alpaca: Alpaca, database: Database) -> Iterator[Process]:
    """`dcabot run` with 20 assets, ready and listening."""
    environment = {**alpaca.environment, **database.environment()}
    program = ["-m", "dcabot"]
    subprocess.run(
        [sys.executable, *program, "db", "init", "--env-file", os.devnull],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(ASSET, [(symbol,) for symbol in SYMBOLS])
    with Process([*program, "run", "--env-file", os.devnull], environment) as process:
        until(lambda: " ready: " in process.log and alpaca.has_listener(), "the daemon to be ready")
        yield process


@contextmanager
def mariadb() -> Iterator[MariaDB]:
    """A private server that keeps what it committed through a power cut, as the service's would."""
    with MariaDB(options=("--innodb-flush-log-at-trx-commit=1",)) as server:
        yield server


def rows(database: Database, status: str = "%") -> set[str]:
    """The ids of the orders that are committed, with this status."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT client_order_id FROM dca_orders WHERE status LIKE %s", (status,))
        return {row[0] for row in cursor.fetchall()}


def decided(database: Database, client_order_id: str) -> datetime:
    """When dcabot decided on this order."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT created_at FROM dca_orders WHERE client_order_id = %s", (client_order_id,))
        at: datetime = cursor.fetchone()[0]
    return at.replace(tzinfo=timezone.utc)
