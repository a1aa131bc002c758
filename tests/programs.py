"""Programs under test as systemd runs them, and the plain SQL beside them.

with running_daemon(books, alpaca, tmp_path) as daemon:
    daemon.until_ready()
    books.add_asset("BTC/USD")
    until(lambda: alpaca.orders(), "an order")
    assert daemon.stop() == 0
"""

import os
import pty
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pymysql

from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.simulator import Simulator
from tests import servers

ROOT = Path(__file__).parents[1]
# What a command says last when nobody listens there.
NO_ALPACA = (
    r"dcabot: Alpaca could not be asked: no connection to 127\.0\.0\.1:\d+: Connection refused; "
    "`dcabot check` looks for the cause"
)
PATIENCE = 120.0  # for anything that should happen soon, on a machine that is busy with something else

T = TypeVar("T")


def drawn_on_terminal(
    folder: Path, variables: Mapping[str, str], *words: str, stdout: int | None = None
) -> tuple[int, str]:
    """What `dcabot WORDS` ends with, and what it draws on a terminal; its output too unless that goes elsewhere."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dcabot", *words]
    output = theirs if stdout is None else stdout
    with subprocess.Popen(command, cwd=folder, env=dict(variables), stdout=output, stderr=theirs) as process:
        os.close(theirs)
        found = b""
        try:
            while piece := os.read(ours, 65536):
                found += piece
        except OSError:  # how a terminal says that nobody is left at its other end
            pass
        code = process.wait(2 * PATIENCE)
    os.close(ours)
    return code, found.decode()


def until(look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)


def quickest(attempt: Callable[[], float], limit: float) -> float:
    """The seconds that it takes at best: one within the limit is enough, for a busy machine makes others late."""
    taken = attempt()
    for _ in range(9):
        taken = taken if taken < limit else min(taken, attempt())
    return taken


@dataclass(frozen=True)
class Books:
    """A database with the schema, and what an operator does with it by hand."""

    settings: DatabaseSettings
    environment: Mapping[str, str]

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement, committed; `?` for values."""
        if self.settings.engine == "sqlite":
            with closing(sqlite3.connect(self.settings.path, timeout=PATIENCE, isolation_level=None)) as connection:
                return connection.execute(sql, values).fetchall()
        place = self.settings
        with (
            closing(
                pymysql.connect(
                    unix_socket=place.socket or None,
                    host=place.host or None,
                    port=place.port,
                    user=place.user,
                    password=place.password,
                    database=place.name,
                    autocommit=True,
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql.replace("%", "%%").replace("?", "%s"), values)
            return list(cursor.fetchall())

    def add_asset(self, symbol: str = "BTC/USD", **columns: object) -> None:
        """The brief's own INSERT, but for `columns`."""
        row: dict[str, object] = {
            "asset_symbol": symbol,
            "is_enabled": 1,
            "base_order_amount": "20.00",
            "safety_order_amount": "20.00",
            "max_safety_orders": 5,
            "safety_order_deviation": "1.5",
            "take_profit_percent": "1.0",
            "cooldown_period": 300,
            "buy_order_price_deviation_percent": "2.0",
            **columns,
        }
        marks = ", ".join("?" * len(row))
        self.execute(f"INSERT INTO dca_assets ({', '.join(row)}) VALUES ({marks})", *row.values())

    def cycles(self, symbol: str = "BTC/USD") -> list[tuple[Any, ...]]:
        """(status, quantity, safety_orders) of the asset's cycles, oldest first; quantities as text."""
        found = self.execute(
            "SELECT status, quantity, safety_orders FROM dca_cycles WHERE asset_id ="
            " (SELECT id FROM dca_assets WHERE asset_symbol = ?) ORDER BY id",
            symbol,
        )
        return [(status, plain(quantity), count) for status, quantity, count in found]

    def status(self, symbol: str = "BTC/USD") -> str:
        """The status of the asset's newest cycle; empty when it has none."""
        cycles = self.cycles(symbol)
        return str(cycles[-1][0]) if cycles else ""

    def orders(self) -> list[tuple[str, str, str, str]]:
        """(client_order_id, side, status, filled_quantity) of every row, oldest first."""
        rows = self.execute("SELECT client_order_id, side, status, filled_quantity FROM dca_orders ORDER BY id")
        return [(name, side, status, plain(filled)) for name, side, status, filled in rows]


def plain(number: object) -> str:
    """A decimal without its trailing zeros: MariaDB pads them, SQLite keeps what was written."""
    words = f"{number:f}" if not isinstance(number, str) else number
    return words.rstrip("0").rstrip(".") if "." in words else words


def sqlite_books(folder: Path) -> Books:
    settings = DatabaseSettings("sqlite", path=str(folder / "books.db"))
    migrate(settings)
    return Books(settings, {"DB_URL": f"sqlite:///{settings.path}"})


def mariadb_books(database: servers.Database) -> Books:
    """Over the socket, or over the port where the server has one."""
    if database.port is None:
        settings = DatabaseSettings("mysql", socket=str(database.socket), user=database.user, name=database.name)
    else:
        settings = DatabaseSettings(
            "mysql", "127.0.0.1", database.port, user=database.user, password=servers.PASSWORD, name=database.name
        )
    migrate(settings)
    return Books(settings, database.environment())


class NotifySocket:
    """The service manager's side of sd_notify: what came, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._reading = threading.Lock()
        self._ends = threading.Event()
        # A thread, for the kernel queues a few datagrams only and then the program would wait.
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._read()
        self._ends.set()
        self._thread.join()
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _listen(self) -> None:
        while not self._ends.is_set():
            select.select([self._socket], [], [], 0.1)
            self._read()

    def _read(self) -> None:
        with self._reading, suppress(BlockingIOError):
            while not self._ends.is_set():
                message = self._socket.recv(65536).decode()
                self.messages.append((time.monotonic(), message))

    def words(self) -> list[str]:
        """Every assignment that was sent until now, in order: `READY=1`, `STATUS=...`."""
        self._read()  # the thread may not have had its turn yet
        return [line for _, message in list(self.messages) for line in message.splitlines()]

    def count(self, word: str) -> int:
        return self.words().count(word)


@dataclass
class Daemon:
    """One `dcabot run`."""

    process: subprocess.Popen[bytes]
    log_file: Path
    notify: NotifySocket
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def log(self) -> str:
        """Everything it has said on stderr."""
        return self.log_file.read_text(errors="replace")

    def said(self, pattern: str) -> bool:
        return re.search(pattern, self.log()) is not None

    def until_ready(self, seconds: float = PATIENCE) -> None:
        self.until(lambda: self.notify.count("READY=1"), "READY=1", seconds)

    def until_said(self, pattern: str, seconds: float = PATIENCE) -> None:
        self.until(lambda: self.said(pattern), f"the log to say {pattern!r}", seconds)

    def until(self, look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """As `until`, but a daemon that ended meanwhile is a failure at once; the failure shows the log."""

        def watch() -> T:
            found = look()
            if not found and self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode} before {what}")
            return found

        try:
            return until(watch, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- the daemon's log ---\n{self.log()[-5000:]}") from None

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> tuple[int, float]:
        """SIGTERM: the exit code, and how many seconds it took."""
        begun = time.monotonic()
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - begun

    def ended(self, seconds: float = PATIENCE) -> int:
        """The exit code of a daemon that ends by itself."""
        return self.process.wait(seconds)


def environment(folder: Path, *parts: Mapping[str, str], **more: str) -> dict[str, str]:
    """A clean environment, as systemd gives one: nothing of the tests' own, no home, no configuration file."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    for part in parts:
        clean.update(part)
    return {**clean, **more}


def run_program(folder: Path, variables: Mapping[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """`dcabot WORDS` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "dcabot", *words],
        cwd=folder,
        env=dict(variables),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


@contextmanager
def running_daemon(
    folder: Path, variables: Mapping[str, str], has_systemd: bool = True, hurry: Mapping[str, float] | None = None
) -> Iterator[Daemon]:
    """`dcabot run`, killed at the end unless it ended before. Nobody's secret may be in its log.

    `hurry` shortens its patience, so that a test need not wait a minute: {"health.STREAM_SECONDS": 2}.
    "troubles.PATIENCE" is that of every kind of trouble which is not told at once.
    """
    number = next(n for n in range(1000) if not (folder / f"daemon-{n}.log").exists())
    log_file = folder / f"daemon-{number}.log"
    # Beside the tests' folder, whose path may be too long for a socket.
    notify = NotifySocket(Path(f"/tmp/dcabot-notify-{os.getpid()}-{time.monotonic_ns()}"))
    told = {"NOTIFY_SOCKET": str(notify.path), "WATCHDOG_USEC": "1500000"} if has_systemd else {}
    try:
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", sys.executable, *hurried(hurry or {}, "run")],
                cwd=folder,
                env={**variables, **told},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        daemon = Daemon(process, log_file, notify)
        try:
            yield daemon
        finally:
            if process.poll() is None:
                daemon.kill()
            for name in ("APCA_API_SECRET_KEY", "DB_PASSWORD"):
                assert not variables.get(name) or variables[name] not in daemon.log(), f"{name} is in the log"
    finally:
        notify.close()


def hurried(hurry: Mapping[str, float], *words: str) -> list[str]:
    """What Python is told in order to run `dcabot WORDS` with less patience."""
    if not hurry:
        return ["-m", "dcabot", *words]
    lines = ["import sys", "from dcabot.__main__ import main"]
    for name, seconds in hurry.items():
        module, constant = name.split(".")
        if module == "troubles":
            lines += ["from datetime import timedelta", "from dcabot.core import troubles"]
            lines += [f"least = timedelta(seconds={seconds})"]
            lines += ["troubles.PATIENCE = {k: min(v, least) for k, v in troubles.PATIENCE.items()}"]
            continue
        folder = "adapters" if module in ("transport", "link") else "commands"
        lines += [f"import dcabot.{folder}.{module} as {module}", f"assert {module}.{constant}"]
        lines += [f"{module}.{constant} = {seconds}"]
    return ["-c", "\n".join([*lines, f"sys.exit(main({list(words)}))"])]


def alpaca_for_tests(**options: Any) -> Simulator:
    """Two pairs, whole fills, and each price sent again five times a second."""
    settings: dict[str, Any] = {
        "symbols": ["BTC/USD", "ETH/USD"],
        "cash": 10_000,
        "partial_fills": 0,
        "refresh_seconds": 0.2,
        "rate_limit": None,
        "data_rate_limit": None,
        **options,
    }
    return Simulator(**settings)
