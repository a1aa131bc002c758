"""The numbered files of `sql/` brought to the database: which it has, which it lacks, and applying them.

A runner of our own, because the ready ones do not fit a package that upgrades unattended. yoyo-migrations 9.0.0
leaves a lock row behind when it is killed and then refuses to run, takes no timeouts, and creates tables merely to
look. peewee's runner knows no SQL files and no lock.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files

from dcabot.adapters.database_errors import (
    DRIVER_ERRORS,
    DatabaseBusy,
    DatabaseMisconfigured,
    translated,
)
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.engines import Engine, Limits, Session, engine_for
from dcabot.adapters.schema import MODELS

CHANGE_SECONDS = 600.0  # one statement of a migration, on a table that grew for years
OTHERS_SECONDS = 60  # another `dcabot db init` at work
HISTORY = """CREATE TABLE IF NOT EXISTS dca_migrations (
    name VARCHAR(100) NOT NULL PRIMARY KEY,
    applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
)"""
# What a statement says whose work is there already: MariaDB commits every CREATE and ALTER by itself, so a migration
# that was killed is begun again from its first statement. Table, column, index; index to drop.
DONE_BEFORE = frozenset({1050, 1060, 1061, 1091})


def migrate(settings: DatabaseSettings) -> list[str]:
    """Create the schema or bring it up to date: the names of the migrations this took, oldest first.

    Safe to repeat, to run twice at once, and to run again after it was killed. Creates a SQLite file, never a
    MariaDB database. Raises as `Database.transaction` does; DatabaseMisconfigured too when the schema is newer than
    the program, or a table was there already and is not the brief's.
    """
    with (
        _session(settings, CHANGE_SECONDS, create=True) as (engine, session),
        _alone(engine, session),
        closing(session.cursor()) as cursor,
    ):
        cursor.execute(HISTORY)
        names = _pending(engine, session)
        for name in names:
            for statement in statements(_scripts(engine)[name]):
                _apply(cursor, statement)
            cursor.execute(f"INSERT INTO dca_migrations (name) VALUES ('{name}')")
        _check_columns(engine, session)
        session.commit()
    return names


def pending(settings: DatabaseSettings) -> list[str]:
    """The migrations that `dcabot db init` would apply. Changes nothing; raises as `migrate` does."""
    with _session(settings) as (engine, session):
        return _pending(engine, session)


def schema_version(settings: DatabaseSettings) -> str:
    """The name of the newest migration that the database has; empty when it has none."""
    with _session(settings) as (engine, session):
        return max(_applied(engine, session), default="")


def statements(script: str) -> Iterator[str]:
    """The statements of a SQL file, with the comments before them. One ends at a line's end."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise ValueError(f"a SQL file ends in an unfinished statement: {statement.strip()[:60]}")


def _scripts(engine: Engine) -> dict[str, str]:
    """The migrations in the package: each one's name and text, oldest first."""
    # `dcabot/sql` is a link to `sql/` in a checkout, and the folder itself when installed.
    folder = files("dcabot") / "sql" / engine.settings.engine
    scripts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".sql")}
    return {name.removesuffix(".sql"): scripts[name] for name in sorted(scripts)}


def _pending(engine: Engine, session: Session) -> list[str]:
    known, applied = _scripts(engine), _applied(engine, session)
    if unknown := sorted(applied - set(known)):
        raise DatabaseMisconfigured(
            f"{engine.settings}: the schema is newer than this program, which does not know {', '.join(unknown)}; "
            "install the newer dcabot again, or restore the database's backup"
        )
    return [name for name in known if name not in applied]


def _applied(engine: Engine, session: Session) -> set[str]:
    with closing(session.cursor()) as cursor:
        try:
            cursor.execute("SELECT name FROM dca_migrations")
        except DRIVER_ERRORS as error:
            if engine.schema_is_missing(error):
                return set()
            raise
        return {name for (name,) in cursor.fetchall()}


def _apply(cursor: Session, statement: str) -> None:
    try:
        cursor.execute(statement)
    except DRIVER_ERRORS as error:
        if not error.args or error.args[0] not in DONE_BEFORE:
            raise


def _check_columns(engine: Engine, session: Session) -> None:
    """A table that was there before us may be another one of that name: say it now, not at the first order."""
    for model in MODELS:
        table = model._meta.table_name
        with closing(session.cursor()) as cursor:
            cursor.execute(f"SELECT * FROM {table} LIMIT 0")
            found = {column[0] for column in cursor.description}
        if missing := sorted(set(model._meta.columns) - found):
            raise DatabaseMisconfigured(
                f"{engine.settings}: the table {table} was there already and has no column {', '.join(missing)}"
            )


@contextmanager
def _alone(engine: Engine, session: Session) -> Iterator[None]:
    """Hold off other runs. On SQLite this is the one transaction that all migrations are part of."""
    if engine.settings.engine == "sqlite":
        engine.begin(session)
        yield
        return
    with closing(session.cursor()) as cursor:
        # Freed when the session ends, however it ends.
        cursor.execute("SELECT GET_LOCK(LEFT(CONCAT('dcabot-schema:', DATABASE()), 64), %s)", (OTHERS_SECONDS,))
        if cursor.fetchone()[0] != 1:
            raise DatabaseBusy(f"{engine.settings}: another `dcabot db init` has been at work for {OTHERS_SECONDS} s")
    yield


@contextmanager
def _session(
    settings: DatabaseSettings, read_seconds: float = Limits().read, create: bool = False
) -> Iterator[tuple[Engine, Session]]:
    """A session of our own, which ends with the block and takes what was not committed with it."""
    engine = engine_for(settings, create=create)
    try:
        with closing(engine.open_session(read_seconds)) as session:
            yield engine, session
    except DRIVER_ERRORS as error:
        if (trouble := translated(engine, error)) is None:
            raise
        raise trouble from error
