"""The two engines beneath `database.py`: how a session begins and ends, and how the daemon's lock is held."""

import fcntl
import hashlib
import os
import pwd
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import peewee
import pymysql
from pymysql.constants import CLIENT, CR, FIELD_TYPE
from pymysql.converters import conversions

from dcabot.adapters.database_errors import (
    MYSQL_NO_SCHEMA,
    MYSQL_REMEDIES,
    SCHEMA_REMEDY,
    SQLITE_NO_FILE,
    SQLITE_NO_SCHEMA,
    DatabaseMisconfigured,
    Kind,
    mysql_kind,
    sqlite_kind,
)
from dcabot.adapters.dburl import DatabaseSettings, in_the_way
from dcabot.adapters.login import open_line
from dcabot.core.money import text

SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
# The server frees a silent daemon's lock after this long; without it a lost host would hold it for hours.
LOCK_LAPSE_SECONDS = 120
PROBE_SECONDS = 0.5  # an order waits for it; a server that takes longer is asked again in a new session
LOCK_NAME_MAX = 64  # MySQL's limit
# Instants stay text: the column reads them (schema.py), ten times as fast as PyMySQL's regular expression.
CONVERSIONS = {key: to for key, to in conversions.items() if key not in (FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP)}

sqlite3.register_adapter(Decimal, text)

Session = Any  # a PyMySQL or a SQLite connection
Statement = tuple[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. `connect` includes the login; `read` bounds the wait for the answer to one statement."""

    connect: float = 5.0
    read: float = 15.0
    write: float = 15.0

    @property
    def lock(self) -> int:
        """How long a statement waits for a lock: less than `read`, or a busy row would look like a lost server."""
        return max(1, int(self.read * 2 / 3))


class _Unsent(threading.local):
    """The writes of this thread's transaction that wait for its next message."""

    def __init__(self) -> None:
        self.writes: list[Statement] = []


class MySQL(peewee.MySQLDatabase):
    """MariaDB and MySQL through PyMySQL."""

    # In an UPDATE: false once a table's lock has kept it waiting. NOW is when it began, SYSDATE when this is looked at.
    is_prompt = "SYSDATE(6) < NOW(6) + INTERVAL 1 SECOND"
    guard: Callable[[], AbstractContextManager[None]] = nullcontext

    def __init__(self, settings: DatabaseSettings, limits: Limits) -> None:
        super().__init__(settings.name, autoconnect=False)
        self.settings, self.limits = settings, limits
        self.daemon_lock = ServerLock(self)
        self._unsent = _Unsent()

    def open_session(self, read_timeout: float) -> Session:
        """A logged-in connection: UTC, strict, autocommit off."""
        session: Session = open_line(
            self.settings,
            # A peer login is the process's own user, whatever LOGNAME says.
            user=self.settings.user or pwd.getpwuid(os.geteuid()).pw_name,
            charset="utf8mb4",
            autocommit=None,
            conv=CONVERSIONS,
            # An UPDATE counts the rows it met, as SQLite does, not those it changed. Several statements in a message:
            # each message is a wait for another process, and an order waits for all of them.
            client_flag=CLIENT.FOUND_ROWS | CLIENT.MULTI_STATEMENTS,
            connect_timeout=self.limits.connect,
            read_timeout=self.limits.connect,  # while it logs in: a server that hangs then is as good as none
            write_timeout=self.limits.write,
        )
        with session.cursor() as cursor:
            # FOR UPDATE reads the newest row in any isolation, and a plain SELECT beside it must not show an older
            # one: READ COMMITTED. It also takes no gap locks, so that inserts of two writers do not deadlock.
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            # The last three, for a server whose administrator guards beginners: they refuse or cut what we ask.
            cursor.execute(
                "SET SESSION time_zone = '+00:00', sql_mode = %s, autocommit = 0,"
                " innodb_lock_wait_timeout = %s, lock_wait_timeout = %s,"
                " sql_safe_updates = 0, sql_big_selects = 1, sql_select_limit = 18446744073709551615",
                (SQL_MODE, self.limits.lock, self.limits.lock),
            )
        session._read_timeout = read_timeout  # it has no public name
        return session

    def begin(self, session: Session) -> None:
        """No round trip: with autocommit off the first statement begins the transaction."""
        self._unsent.writes = []  # of one that Ctrl-C ended

    def ping(self, session: Session) -> None:
        session.ping(reconnect=False)

    def probe(self, session: Session) -> None:
        """A ping for one that idled: a NAT or a balancer may have forgotten it, and then nobody ever answers."""
        patience, session._read_timeout = session._read_timeout, PROBE_SECONDS
        try:
            session.ping(reconnect=False)
        finally:
            session._read_timeout = patience

    def sever(self, session: Session) -> None:
        """End it from another thread, which wakes at once if it waits for the server."""
        line = session._sock
        if line is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def kind(self, error: Exception) -> Kind:
        return mysql_kind(error)

    def remedy(self, error: Exception) -> str:
        return MYSQL_REMEDIES.get(error.args[0], "") if error.args else ""

    def schema_is_missing(self, error: Exception) -> bool:
        return bool(error.args) and error.args[0] in MYSQL_NO_SCHEMA

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        with self.guard():
            self._send(self._waiting())
            return super().execute_sql(sql, params)

    def first_rows(self, *questions: Statement) -> list[Any]:
        """Of each question's answer the first row, or None; they are asked one after the other in one message."""
        with self.guard():
            return [cursor.fetchone() for cursor in self._answers([*self._waiting(), *questions])][-len(questions) :]

    def write(self, sql: str, params: Sequence[object]) -> None:
        """A statement whose answer nobody needs: it goes out with the COMMIT, or before the next question."""
        self._unsent.writes.append((sql, params))

    def commit(self, session: Session) -> None:
        """In one message with the writes that wait. The server stops at the first that fails, before the COMMIT."""
        writes = self._waiting()
        if writes:
            self._send([*writes, ("COMMIT", ())])
        else:
            session.commit()

    def roll_back(self, session: Session) -> None:
        self._unsent.writes = []
        session.rollback()

    def _waiting(self) -> list[Statement]:
        writes, self._unsent.writes = self._unsent.writes, []
        return writes

    def _send(self, statements: list[Statement]) -> None:
        for _ in self._answers(statements):
            pass

    def _answers(self, statements: list[Statement]) -> Iterator[Any]:
        """A cursor at the answer to each statement in turn. A statement without an answer is an error."""
        if not statements:
            return
        message = "; ".join(sql for sql, _ in statements)
        cursor = super().execute_sql(message, [value for _, params in statements for value in params])
        yield cursor
        with peewee.__exception_wrapper__:
            for _ in statements[1:]:
                # Without this a COMMIT that a proxy or a KILL QUERY swallowed would be taken for done.
                if not cursor.nextset():
                    raise pymysql.err.OperationalError(CR.CR_SERVER_LOST, "a statement was not answered")
                yield cursor

    def _connect(self) -> Session:
        return self.open_session(self.limits.read)


class SQLiteSession(sqlite3.Connection):
    """A connection that a WeakSet can hold."""


class SQLite(peewee.SqliteDatabase):
    """One file. Every transaction takes the file's only write lock, so FOR UPDATE is not needed."""

    guard: Callable[[], AbstractContextManager[None]] = nullcontext

    def __init__(self, settings: DatabaseSettings, limits: Limits, create: bool) -> None:
        super().__init__(settings.path, autoconnect=False)
        self.settings, self.limits, self.create = settings, limits, create
        self.path = Path(settings.path).absolute()
        self.daemon_lock = FileLock(Path(f"{self.path}.lock"))

    def open_session(self, read_timeout: float) -> Session:
        """A connection: write-ahead log, foreign keys on. It waits for the lock of others, never for a server."""
        if why := in_the_way(self.path):
            raise DatabaseMisconfigured(f"{self.settings}: {SQLITE_NO_FILE} database file: {why}")
        # Without `create` a wrong path is an error, not a new and empty database.
        mode = "rwc" if self.create else "rw"
        session = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}",
            uri=True,
            timeout=min(self.limits.lock, read_timeout),
            isolation_level=None,
            check_same_thread=False,
            factory=SQLiteSession,
        )
        try:
            # FULL: a committed intent survives a power cut too.
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                session.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            session.close()
            raise
        return session

    def begin(self, session: Session) -> None:
        session.execute("BEGIN IMMEDIATE")

    def ping(self, session: Session) -> None:
        session.execute("SELECT 1 FROM sqlite_master LIMIT 1").close()

    def probe(self, session: Session) -> None:
        self.ping(session)

    def sever(self, session: Session) -> None:
        with suppress(sqlite3.ProgrammingError):  # it was closed meanwhile
            session.interrupt()

    def kind(self, error: Exception) -> Kind:
        return sqlite_kind(error)

    def remedy(self, error: Exception) -> str:
        return SCHEMA_REMEDY if self.schema_is_missing(error) else ""

    def schema_is_missing(self, error: Exception) -> bool:
        said = str(error)
        return any(words in said for words in SQLITE_NO_SCHEMA) or (SQLITE_NO_FILE in said and not self.create)

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        with self.guard():
            return super().execute_sql(sql, params)

    def first_rows(self, *questions: Statement) -> list[Any]:
        """Of each question's answer the first row, or None."""
        return [self.execute_sql(*question).fetchone() for question in questions]

    def write(self, sql: str, params: Sequence[object]) -> None:
        """A statement whose answer nobody needs."""
        self.execute_sql(sql, params)

    def commit(self, session: Session) -> None:
        session.commit()

    def roll_back(self, session: Session) -> None:
        session.rollback()

    def _connect(self) -> Session:
        return self.open_session(self.limits.read)


Engine = MySQL | SQLite


def engine_for(settings: DatabaseSettings, limits: Limits | None = None, create: bool = False) -> Engine:
    if settings.engine == "sqlite":
        return SQLite(settings, limits or Limits(), create)
    return MySQL(settings, limits or Limits())


class ServerLock:
    """The daemon's lock on MariaDB: GET_LOCK in a session of its own, so it ends with the process."""

    def __init__(self, engine: MySQL) -> None:
        self._engine = engine
        self._session: Session = None
        # Such names are the whole server's, and each database has its own daemon.
        name = f"dcabot:{engine.settings.name}"
        self._name = name if len(name) <= LOCK_NAME_MAX else hashlib.sha256(name.encode()).hexdigest()

    def hold(self) -> bool:
        if self._session is not None:
            try:
                if self._ask("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()") == 1:
                    return True
            except pymysql.err.Error:
                self.release()
        if self._session is None:
            self._session = self._engine.open_session(self._engine.limits.connect)
            with self._session.cursor() as cursor:
                cursor.execute("SET SESSION autocommit = 1, wait_timeout = %s", (LOCK_LAPSE_SECONDS,))
        # One second: the server may take a moment to notice that the former daemon died.
        if self._ask("SELECT GET_LOCK(%s, 1)") == 1:
            return True
        self.release()
        return False

    def release(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._engine.sever(session)
            with suppress(pymysql.err.Error):
                session.close()

    def _ask(self, question: str) -> Any:
        with self._session.cursor() as cursor:
            cursor.execute(question, (self._name,))
            return cursor.fetchone()[0]


class FileLock:
    """The daemon's lock on SQLite: an advisory lock on a file beside the database, which ends with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def hold(self) -> bool:
        if self._file is not None and self._is_in_place(self._file):
            return True
        self.release()
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DatabaseMisconfigured(f"{self._path}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _is_in_place(self, file: int) -> bool:
        """False when somebody deleted the file: the next process would lock another one of that name."""
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except OSError:
            return False
