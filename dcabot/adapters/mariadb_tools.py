"""MariaDB's own programs, for what an installation needs: a local database with peer login, and a backup of any."""

import gzip
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.trust import certificates, needs_tls

CREATE_SECONDS = 60.0
SQL_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
# What the client says when no server answers, and not that the server says no.
NOBODY_THERE = ("ERROR 2002", "ERROR 2003", "ERROR 2013")


class ToolError(Exception):
    """A program of MariaDB's is missing or failed; the text says why and holds no password."""


class ServerAbsent(ToolError):
    """Nobody answers at the socket."""


def is_peer_login(settings: DatabaseSettings) -> bool:
    """A database on this host that knows us by our system user: the only kind that needs no password to create."""
    return settings.engine == "mysql" and bool(settings.socket) and not settings.password


def create_local(settings: DatabaseSettings, user: str) -> None:
    """Make the database, and the user who logs in as the system user of that name. Safe to repeat. Raises ToolError.

    The caller is the administrator of a local MariaDB, which is root on Debian.
    """
    if not SQL_NAME.fullmatch(settings.name) or not SQL_NAME.fullmatch(user):
        raise ToolError("the names of the database and of its user may hold letters, digits, _ and -")
    # In a GRANT, _ stands for any character.
    pattern = settings.name.replace("_", "\\_")
    script = f"""
        CREATE DATABASE IF NOT EXISTS `{settings.name}` CHARACTER SET utf8mb4;
        CREATE USER IF NOT EXISTS '{user}'@'localhost' IDENTIFIED VIA unix_socket;
        GRANT ALL PRIVILEGES ON `{pattern}`.* TO '{user}'@'localhost';
    """
    command = [_program("mariadb"), f"--socket={settings.socket}", "--batch", "--connect-timeout=10"]
    try:
        done = subprocess.run(
            command, input=script, text=True, capture_output=True, timeout=CREATE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServerAbsent(f"{settings.socket}: no answer for {CREATE_SECONDS:.0f} s") from None
    if done.returncode:
        why = done.stderr.strip()
        raise (ServerAbsent if any(sign in why for sign in NOBODY_THERE) else ToolError)(why)


def back_up(settings: DatabaseSettings, folder: Path, name: str) -> Path:
    """All of the database as one file in the folder, whole or not at all: where it is. Raises ToolError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    suffix = ".db" if settings.engine == "sqlite" else ".sql.gz"
    whole = folder / f"{name}{suffix}"
    part = folder / f"{name}.part"
    part.touch(mode=0o600)
    try:
        if settings.engine == "sqlite":
            _copy_sqlite(settings, part)
        else:
            _dump(settings, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(whole)
    finally:
        part.unlink(missing_ok=True)
    return whole


def _copy_sqlite(settings: DatabaseSettings, part: Path) -> None:
    try:
        with closing(sqlite3.connect(settings.path)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
    except sqlite3.Error as error:
        raise ToolError(f"{settings}: no backup: {error}") from None


def _dump(settings: DatabaseSettings, part: Path) -> None:
    with _options(settings) as options, gzip.open(part, "wb") as packed, tempfile.TemporaryFile() as complaints:
        # One consistent view, without locks: the caretakers may be at work.
        tail = ["--single-transaction", "--no-tablespaces", settings.name]
        command = [_program("mariadb-dump"), f"--defaults-extra-file={options}", *tail]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints) as dump:
            if dump.stdout is None:
                raise AssertionError("Popen gives a pipe when it is asked for one")
            shutil.copyfileobj(dump.stdout, packed)
        if dump.returncode:
            complaints.seek(0)
            raise ToolError(f"{settings}: no backup: {complaints.read().decode(errors='replace').strip()[:500]}")


@contextmanager
def _options(settings: DatabaseSettings) -> Iterator[str]:
    """The way to the server as a file that only we can read: an argument or a variable could be seen in `ps`."""
    given = {"user": settings.user, "password": settings.password, "socket": settings.socket}
    if not settings.socket:
        given |= {"host": settings.host, "port": str(settings.port), "protocol": "tcp"}
    lines = [f"{name}={_quoted(value)}" for name, value in given.items() if value]
    if needs_tls(settings):
        # As our own sessions have it: no backup, and no password, over a line that others can read.
        lines += [f"ssl-ca={_quoted(settings.authorities or certificates())}", "ssl-verify-server-cert"]
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:
        file.write("\n".join(["[client]", *lines, ""]))
        file.flush()
        yield file.name


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"{name} is not installed (on Debian it is in mariadb-client)")
    return found
