"""The database: the real store's SQL on one SQLite in memory, behind a door that pauses and fails.

What MariaDB does at READ COMMITTED is kept: a transaction that only reads may see others' commits between its
statements; one that writes took its row lock first, so nobody runs between its first lock and its commit.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import peewee

from dcabot.adapters import schema
from dcabot.adapters.database import Database, DatabaseBusy, DatabaseUnreachable
from dcabot.adapters.dburl import parse_url
from dcabot.adapters.engines import Limits, SQLite, SQLiteSession
from dcabot.adapters.rows import Book
from dcabot.adapters.store import Store
from dcabot.core.money import text
from tests.simulation.clockwork import Program, World
from tests.simulation.queries import compiled

TROUBLES = (
    ("db: lost before", 0.004),
    ("db: deadlock", 0.006),
    ("db: lock wait timeout", 0.002),
    ("db: lost at commit", 0.004),
    ("db: lost after commit", 0.006),
    ("db: read only", 0.0005),
)
SLOW = (("db: slow", 0.06),)
LOCK = " FOR UPDATE"
NO_WAIT = " NOWAIT"
DIGITS_ONLY = str.maketrans("", "", "-: ")
TIMES = ("SUM(updated_at + 0), 0)", "sum_of_times(updated_at), '0')")
LOCK_WAIT_SECONDS = 10.0
CONNECT_SECONDS = 5.0


@cache
def template() -> sqlite3.Connection:
    """The schema, as `sql/` makes it, once for all seeds."""
    session = sqlite3.connect(":memory:", isolation_level=None)
    for script in sorted(file.name for file in (files("dcabot") / "sql" / "sqlite").iterdir()):
        session.executescript((files("dcabot") / "sql" / "sqlite" / script).read_text(encoding="utf-8"))
    return session


class SumOfTimes:
    """What MariaDB makes of times that are added up as numbers."""

    def __init__(self) -> None:
        self.sum = Decimal()

    def step(self, instant: str) -> None:
        self.sum += Decimal(instant.translate(DIGITS_ONLY))

    def finalize(self) -> str:
        return text(self.sum)


class Engine(SQLite):
    """SQLite in memory that begins its transaction at the first statement that needs it."""

    books: "Books"
    for_update = True
    is_prompt = "is_prompt()"

    def __init__(self) -> None:
        super().__init__(parse_url("sqlite:////simulation"), Limits(), create=True)

    def open_session(self, read_timeout: float) -> Any:
        session = sqlite3.connect(":memory:", isolation_level=None, factory=SQLiteSession)
        template().backup(session)
        session.execute("PRAGMA foreign_keys = ON")
        session.create_aggregate("sum_of_times", 1, SumOfTimes)
        session.create_function("is_prompt", 0, lambda: self.books.is_prompt)
        return session

    def execute(self, query: Any, **options: Any) -> Any:
        assert not options
        return self.execute_sql(*compiled(self, query))

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        self.books.before_statement(sql)
        # What is asked of MariaDB alone has its marks.
        statement = sql.removesuffix(NO_WAIT).removesuffix(LOCK).replace("%s", "?").replace(*TIMES)
        with peewee.__exception_wrapper__:
            return self.books.session.execute(statement, params or ())


class Books:
    """The server: its rows, whether it answers, and who holds the daemon's lock."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine = Engine()
        self.engine.books = self
        self.engine.connect()
        self.session: sqlite3.Connection = self.engine.connection()
        self.is_down = self.is_read_only = False
        self.lock_owner: Program | None = None
        self.commits = 0  # how many changed something
        self.known_book: tuple[int, Book] | None = None
        self._is_begun = False
        self.is_prompt = True  # whether the statement at hand was not kept waiting
        self.held_until = 0.0  # a transaction of somebody else has the rows
        self._changes = 0  # there were so many when the transaction began

    def close(self) -> None:
        """Ends the session: it holds what SQL may call, and with it the whole run, where no collector looks."""
        self.session.close()

    def go_down(self, seconds: float) -> None:
        """The server stops, and with it every session and lock; it comes back by itself."""
        self.is_down, self.lock_owner = True, None
        self.world.tell("database", "stops for %.0f s", seconds)
        self.world.at(seconds, self.come_back)

    def come_back(self) -> None:
        if self.is_down:
            self.is_down = False
            self.world.tell("database", "is back")

    def take_no_writes(self, seconds: float) -> None:
        """A server that was told to be read-only: it answers, locks, and refuses every change."""
        self.is_read_only = True
        self.world.tell("database", "is read-only for %.0f s", seconds)
        self.world.at(seconds, self.take_writes)

    def take_writes(self) -> None:
        self.is_read_only = False

    def hold_rows(self, seconds: float) -> None:
        """A person's UPDATE without its COMMIT, or a backup: whoever locks a row waits for it."""
        self.held_until = self.world.now + seconds
        self.world.tell("database", "somebody holds the rows for %.0f s", seconds)

    def before_statement(self, sql: str) -> None:
        if not self._is_begun:
            asked_at = self.world.clock()
            self._wait_for(sql)
            self.is_prompt = abs(self.world.clock() - asked_at) < timedelta(seconds=1)
        if self.is_read_only and not sql.startswith("SELECT"):
            raise DatabaseUnreachable("the server runs with read-only")

    def _wait_for(self, sql: str) -> None:
        is_lock, is_read = sql.endswith(LOCK), sql.startswith("SELECT") and not sql.endswith(NO_WAIT)
        # Another session may commit between two plain reads, and between a plain read or a decision on what is
        # remembered and the write that follows it.
        often = 0.0 if is_lock else 0.08 if is_read else 0.5
        if self.world.actor is not None and often and self.world.chance.roll("statement") < often:
            self.world.pause(self.world.chance.between("statement pause", 0.0, 0.3))
        if is_lock or not is_read:
            self._wait_for_rows(sql)
            self.begin()

    def _wait_for_rows(self, sql: str) -> None:
        seconds = self.held_until - self.world.now
        if seconds <= 0 or not any(table in sql for table in ("dca_assets", "dca_cycles", "dca_orders")):
            return
        if self.world.actor is None or sql.endswith(NO_WAIT):
            raise DatabaseBusy("somebody holds the row")
        self.world.pause(min(seconds, LOCK_WAIT_SECONDS))
        if seconds > LOCK_WAIT_SECONDS:
            raise DatabaseBusy("lock wait timeout exceeded")

    def begin(self) -> None:
        """From here to the end of the transaction nobody else runs."""
        if not self._is_begun:
            self.session.execute("BEGIN IMMEDIATE")
            self._is_begun, self._changes = True, self.session.total_changes

    def end(self, commit: bool) -> bool:
        """True when something was committed."""
        if not self._is_begun:
            return False
        self._is_begun = False
        self.session.execute("COMMIT" if commit else "ROLLBACK")
        # A lock that was taken and given back changed nothing.
        self.commits += commit and self.session.total_changes != self._changes
        return commit

    def by_hand(self, sql: str, *values: object) -> None:
        """What a person with a SQL prompt does."""
        assert not self._is_begun
        self.session.execute(sql, values)
        self.commits += 1

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.session.execute(sql, values).fetchall()


class SimStore(Store):
    """The real store; a book that nobody changed since it was last read is not read again, for speed."""

    database: "SimDatabase"

    def read_book(self) -> Book:
        books = self.database.books
        with self.database.transaction():
            if books.known_book is not None and books.known_book[0] == books.commits:
                return books.known_book[1]
        commits, book = books.commits, super().read_book()
        if commits == books.commits:
            books.known_book = (commits, book)
        return book


class SimDatabase(Database):
    """A program's way to the books."""

    def __init__(self, books: Books, program: Program) -> None:
        super().__init__(books.engine)
        self.books, self.program = books, program
        self.world = books.world

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if schema.current.engine is not None:
            raise RuntimeError("a transaction inside a transaction: its commit would not be one")
        fate = self._enter()
        is_committed = False
        schema.current.engine = self.books.engine
        try:
            yield
            self._may_fail_before_commit(fate)
            is_committed = self.books.end(commit=True)
        finally:
            self.books.end(commit=False)
            schema.current.engine = None
        if is_committed:
            self._door("after commit")
        if fate == "db: lost after commit":
            raise DatabaseUnreachable("lost connection while the commit was answered")

    def ping(self) -> None:
        self._enter()

    def hold_daemon_lock(self) -> bool:
        if self.books.is_down:
            raise DatabaseUnreachable("no server")
        if self.books.lock_owner is None or self.books.lock_owner.is_dead:
            self.books.lock_owner = self.program
        return self.books.lock_owner is self.program

    def release_daemon_lock(self) -> None:
        if self.books.lock_owner is self.program:
            self.books.lock_owner = None

    def close(self) -> None:
        """Nothing: the one session is the server itself."""

    def close_all(self) -> None:
        self.release_daemon_lock()

    def _enter(self) -> str | None:
        """The way to the server. Raises what befalls us before the first statement."""
        self._door("before transaction")
        chance = self.world.chance
        fate = chance.fault(f"{self.program.name} db", "database", TROUBLES)
        if fate is not None:
            self.world.tell(self.program.name, fate)
        if self.books.is_down:
            self.world.pause(chance.between("db refused", 0.01, CONNECT_SECONDS))
            raise DatabaseUnreachable("no server")
        if fate == "db: lost before":
            raise DatabaseUnreachable("lost connection")
        if fate == "db: read only":
            raise DatabaseUnreachable("the server runs with read-only")
        if fate == "db: lock wait timeout":
            self.world.pause(LOCK_WAIT_SECONDS)
            raise DatabaseBusy("lock wait timeout exceeded")
        return fate

    def _may_fail_before_commit(self, fate: str | None) -> None:
        if fate == "db: deadlock":
            raise DatabaseBusy("deadlock found")
        if fate == "db: lost at commit" or self.books.is_down:
            raise DatabaseUnreachable("lost connection during query")

    def _door(self, which: str) -> None:
        chance = self.world.chance
        rolled = chance.roll("db latency")
        slowness = chance.fault("db slow", "slow", SLOW)
        self.world.pause(chance.between("db slowness", 0.1, 3.0) if slowness else 0.0005 + 0.01 * rolled)
        may_crash(self.program, which)


def may_crash(program: Program, where: str) -> None:
    """Every door is a place to die at."""
    world = program.world
    if world.chance.fault(f"{program.name} crash", "crashes", (("crash", 0.004),)):
        world.tell(program.name, "is killed %s", where)
        program.kill()
        world.pause(0)
