"""A private MariaDB: its own folder, a unix socket, stopped by pid. For the tests and for the benchmarks.

with MariaDB() as server:
    database = server.create_database()
    subprocess.run([...], env={**os.environ, **database.environment()})
"""

import contextlib
import getpass
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pymysql

from tests.needs import needed

PASSWORD = "only-for-tests"
START_SECONDS = 30.0
PORTS = range(20_000, 32_000)  # Linux gives those above to whoever connects, or asks for any port
# Small and quiet. The server's own time zone is odd on purpose: who forgets to ask for UTC is found out.
OPTIONS = (
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--innodb-fast-shutdown=1",
    "--performance-schema=OFF",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--max-connections=100",
    "--default-time-zone=+05:45",
)


@dataclass(frozen=True, slots=True)
class Database:
    """One empty database. `port` is None when the server listens on its socket alone."""

    name: str
    socket: Path
    port: int | None = None
    user: str = "dcabot"

    def environment(self) -> dict[str, str]:
        """What dcabot reads: over the socket, or host, port and password where the server has a port."""
        variables = {"DB_NAME": self.name, "DB_USER": self.user}
        if self.port is None:
            return {**variables, "DB_SOCKET": str(self.socket)}
        return {**variables, "DB_HOST": "127.0.0.1", "DB_PORT": str(self.port), "DB_PASSWORD": PASSWORD}

    @property
    def url(self) -> str:
        """As `DB_URL`; only for a server with a port."""
        if self.port is None:
            raise ValueError("this server listens on its socket alone: MariaDB(tcp=True) has URLs")
        return f"mysql://{self.user}:{PASSWORD}@127.0.0.1:{self.port}/{self.name}"

    def connect(self) -> pymysql.Connection:
        """A plain connection, for a test that looks at the rows without the product's help."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user=self.user,
            database=self.name,
            autocommit=True,
            init_command="SET time_zone = '+00:00'",
        )


class MariaDB:
    """A server of our own. `tcp=True` adds a port on 127.0.0.1; `options` are further mariadbd options."""

    def __init__(self, *, tcp: bool = False, options: tuple[str, ...] = ()) -> None:
        # Short, for a socket's path may have 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="dcabot-mariadb-"))
        self.socket = self.folder / "socket"
        self.port = free_port() if tcp else None
        self._options = (*OPTIONS, *options)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def __enter__(self) -> "MariaDB":
        try:
            self._install()
            self.start()
            self._create_users()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        network = [f"--port={self.port}", "--bind-address=127.0.0.1"] if self.port else ["--skip-networking"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # It never outlives us, however we end.
                ["setpriv", "--pdeathsig", "KILL", needed("mariadbd"), *self._places(), *network, *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mariadbd did not start:\n{self.log()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """An orderly end: what an administrator's restart does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """The end a power cut brings."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Connected, and silent: what a hung disk or a lost network looks like."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        # The signal is sent, not yet obeyed: a thread on another processor may still answer a query.
        tasks = Path(f"/proc/{process.pid}/task")
        while any(") T " not in (task / "stat").read_text() for task in tasks.iterdir()):
            time.sleep(0.001)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def create_database(self, name: str = "") -> Database:
        """A fresh empty database, which the user `dcabot` may do everything in."""
        database = Database(name or f"test_{next(self._numbers)}", self.socket, self.port)
        self.execute(f"CREATE DATABASE `{database.name}` CHARACTER SET utf8mb4")
        return database

    def drop_database(self, database: Database) -> None:
        self.execute(f"DROP DATABASE IF EXISTS `{database.name}`")

    def execute(self, *statements: str) -> None:
        """Run statements as the server's administrator."""
        connection = pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True, connect_timeout=2)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def remove(self) -> None:
        """Stop it, if it runs, and delete its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _install(self) -> None:
        done = subprocess.run(
            [
                needed("mariadb-install-db"),
                *self._places(),
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--force",  # a minimal system has no /etc/hosts, and its absence is nothing to stop for
                *self._options,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")

    def _create_users(self) -> None:
        # Whoever runs the tests may do here what root may on a Debian.
        administrator = f"'{getpass.getuser()}'@localhost"
        self.execute(
            f"CREATE USER IF NOT EXISTS {administrator}",
            f"GRANT ALL ON *.* TO {administrator} WITH GRANT OPTION",
            "CREATE USER dcabot@localhost",
            "GRANT ALL ON *.* TO dcabot@localhost",
            f"CREATE USER dcabot@127.0.0.1 IDENTIFIED BY '{PASSWORD}'",
            "GRANT ALL ON *.* TO dcabot@127.0.0.1",
        )

    def _places(self) -> list[str]:
        places = [
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--tmpdir={self.folder}",
        ]
        return [*places, "--user=root"] if os.geteuid() == 0 else places

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process = self._running()
        process.send_signal(how)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that no program beside us is given by chance later."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
