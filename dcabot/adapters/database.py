"""The database's door: sessions, transactions, and the daemon's lock, on MariaDB/MySQL and on SQLite.

    database = connect(settings)
    with database.transaction():
        cycle = database.for_update(Cycle.select().where(Cycle.id == 17)).first()
        Cycle.update(status="buying").where(Cycle.id == 17).execute()

Every thread has its own session. Nothing runs outside a transaction, so none is left open by mistake, and on MariaDB
a transaction costs its own statements and the COMMIT, no round trip more. No transaction is repeated here: whoever
asked must look at the fresh rows and decide again.
"""

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import peewee

from dcabot.adapters.database_errors import (
    DRIVER_ERRORS,
    DatabaseBusy,
    DatabaseError,
    DatabaseMisconfigured,
    DatabaseUnreachable,
    translated,
)
from dcabot.adapters.dburl import DatabaseSettings, parse_url
from dcabot.adapters.engines import Engine, Limits, Session, engine_for
from dcabot.adapters.schema import current

__all__ = [
    "Database",
    "DatabaseBusy",
    "DatabaseError",
    "DatabaseMisconfigured",
    "DatabaseUnreachable",
    "IntegrityError",
    "Limits",
    "connect",
]

# A session unused for longer is asked whether it is still there before a transaction relies on it.
IDLE_SECONDS = 5.0

IntegrityError = peewee.IntegrityError
Query = TypeVar("Query", bound=peewee.ModelSelect)


class _Thread(threading.local):
    """What a thread knows of its own session."""

    used_at = 0.0
    broken: DatabaseError | None = None


class Database:
    """One database, for use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        engine.guard = self._statement
        self._thread = _Thread()
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._sessions_lock = threading.Lock()
        self._daemon_lock = threading.Lock()

    @property
    def settings(self) -> DatabaseSettings:
        return self._engine.settings

    def __repr__(self) -> str:
        return f"<Database {self.settings}>"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block is committed, or, when anything is raised, nothing of it. Does not nest.

        A session that idled and was lost is replaced before the block begins; one lost in the block is an error.
        Raises DatabaseUnreachable, DatabaseBusy, DatabaseMisconfigured. peewee's IntegrityError, and what is no
        ordinary trouble, pass unchanged.
        """
        thread = self._thread
        if current.engine is not None:
            raise RuntimeError("a transaction inside a transaction: its commit would not be one")
        session = self._ready()
        try:
            current.engine, thread.broken = self._engine, None
            with self._translated():
                self._engine.begin(session)
                yield
                if thread.broken is not None:
                    raise thread.broken
                self._engine.commit(session)
        except Exception:
            self._roll_back(session)
            raise
        except BaseException:
            # Ctrl-C may have come between question and answer: this session cannot be trusted.
            self.close()
            raise
        finally:
            current.engine = None
            thread.used_at = time.monotonic()

    def for_update(self, query: Query) -> Query:
        """The query, keeping the rows it finds ours until the transaction ends."""
        locked: Query = query.for_update() if self._engine.for_update else query
        return locked

    def ping(self) -> None:
        """Ask whether the database answers, outside a transaction. Raises as `transaction` does."""
        with self._translated():
            self._engine.ping(self._ready())

    def hold_daemon_lock(self) -> bool:
        """Be the one daemon of this database: True when we are, False when another process is.

        Call it again every few seconds: it proves that the lock is still ours, or takes it again after the server
        was away. The lock is free when the process dies, and LOCK_LAPSE_SECONDS after the last call; a refusal takes
        a second. Raises as `transaction` does.
        """
        with self._daemon_lock, self._translated():
            return self._engine.daemon_lock.hold()

    def release_daemon_lock(self) -> None:
        """Let another daemon have it. Also from another thread, while `hold_daemon_lock` waits for the server."""
        self._engine.daemon_lock.release()

    def close(self) -> None:
        """Close this thread's session; the next transaction opens a new one."""
        if self._engine.is_closed():
            return
        with self._sessions_lock:
            self._sessions.discard(self._engine.connection())
        with suppress(*DRIVER_ERRORS):
            self._engine.close()

    def close_all(self) -> None:
        """Close this thread's session, cut off the others, free the lock. A thread that waits for the server wakes."""
        self.close()
        with self._sessions_lock:
            sessions = list(self._sessions)
            self._sessions.clear()
        for session in sessions:
            self._engine.sever(session)
        self.release_daemon_lock()

    def _ready(self) -> Session:
        """This thread's session, proved alive if it idled, or a new one."""
        if not self._engine.is_closed() and time.monotonic() - self._thread.used_at > IDLE_SECONDS:
            try:
                self._engine.probe(self._engine.connection())
            except DRIVER_ERRORS:
                self.close()
        if self._engine.is_closed():
            with self._translated():
                self._engine.connect()
            with self._sessions_lock:
                self._sessions.add(self._engine.connection())
        self._thread.used_at = time.monotonic()
        session: Session = self._engine.connection()
        return session

    def _roll_back(self, session: Session) -> None:
        try:
            self._engine.roll_back(session)
        except DRIVER_ERRORS:
            self.close()

    @contextmanager
    def _statement(self) -> Iterator[None]:
        """Around every query: after trouble in this transaction there is nothing more to do in it."""
        if self._thread.broken is not None:
            raise self._thread.broken
        with self._translated():
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Driver errors become ours. What became of the transaction is then open: its commit is refused."""
        try:
            yield
        except DRIVER_ERRORS as error:
            trouble = translated(self._engine, error)
            if trouble is None:
                raise
            self._thread.broken = trouble
            if isinstance(trouble, DatabaseUnreachable):
                self.close()
            raise trouble from error


def connect(place: DatabaseSettings | str, limits: Limits | None = None, create: bool = False) -> Database:
    """A database that opens its sessions when they are needed. `create` allows a new SQLite file."""
    settings = parse_url(place) if isinstance(place, str) else place
    return Database(engine_for(settings, limits, create))
