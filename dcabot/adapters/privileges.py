"""What the database lets us do, tried without leaving a trace."""

from collections.abc import Iterator

from dcabot.adapters import schema
from dcabot.adapters.database import Database, DatabaseMisconfigured


class _Undo(Exception):
    """Rolls a trial back."""


def denied(database: Database) -> list[str]:
    """Sentences for each kind of statement that trading needs and the database refuses.

    Raises DatabaseUnreachable, DatabaseBusy.
    """
    found = []
    for statement in _statements():
        try:
            with database.transaction():
                schema.current.execute_sql(statement)
                raise _Undo
        except _Undo:
            pass
        except DatabaseMisconfigured as error:
            found.append(str(error))
    return found


def _statements() -> Iterator[str]:
    """Of no row each: a server looks at the privileges first."""
    for model in schema.MODELS:
        table, columns = model._meta.table_name, ", ".join(model._meta.columns)
        key = model._meta.primary_key.column_name
        yield f"SELECT {columns} FROM {table} WHERE 1 = 0"
        yield f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE 1 = 0"
        yield f"UPDATE {table} SET {key} = {key} WHERE 1 = 0"
