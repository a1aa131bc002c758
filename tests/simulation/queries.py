"""What peewee makes anew for every query, made once: the text, and the rows of what was read before.

It took half of a run's time. A query's shape is everything that its text depends on, values included; only instants
are left out of it, and put into their place again. What is not understood for certain is left to peewee.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import peewee

from dcabot.adapters import schema

SHAPES_MAX = 5000  # ids of orders are part of some, so they never stop coming
PLAIN = frozenset({str, int, bool, type(None)})
# What a query carries beside its text: where it runs, and what becomes of its rows.
NO_TEXT = frozenset({"_database", "_cursor_wrapper", "_row_type", "_constructor", "_hash"})
DEFAULT_NO_TEXT = NO_TEXT | {"_returning"}

Instants = list[tuple[peewee.Field, datetime]]
_fields = frozenset(type(field) for model in schema.Table.__subclasses__() for field in model._meta.sorted_fields)
_known: dict[Hashable, tuple[str, list[Any], tuple[int, ...]]] = {}


class Unclear(Exception):
    """No shape can be told."""


def compiled(engine: peewee.Database, query: Any) -> tuple[str, list[Any]]:
    """The text and its parameters, as `made` tells them."""
    found: Instants = []
    try:
        shape = _shape(query, found)
    except Unclear:
        return made(engine, query)
    instants = [field.db_value(instant) for field, instant in found]
    known = _known.get(shape)
    if known is None:
        text, parameters = made(engine, query)
        places = tuple(at for at, one in enumerate(parameters) if one in instants)
        if [parameters[place] for place in places] != instants:
            return text, parameters
        if len(_known) >= SHAPES_MAX:
            _known.clear()
        known = _known[shape] = (text, parameters, places)
    text, parameters, places = known
    if places:
        parameters = parameters.copy()
        for place, instant in zip(places, instants, strict=True):
            parameters[place] = instant
    return text, parameters


def made(engine: peewee.Database, query: Any) -> tuple[str, list[Any]]:
    """The text and its parameters by peewee itself."""
    text, parameters = engine.get_sql_context().sql(query).query()
    return text, parameters


def _shape(what: Any, found: Instants) -> Hashable:
    kind = type(what)
    if kind in PLAIN:
        return kind, what
    if kind is peewee.ModelBase or kind in _fields:
        return id(what)  # they live as long as the program
    if kind is list or kind is tuple:
        return tuple([_shape(one, found) for one in what])
    if kind is peewee.Expression:
        lhs, rhs = what.lhs, what.rhs
        if type(rhs) is datetime and type(lhs) in _fields:
            found.append((lhs, rhs))
            return kind, id(lhs), what.op, what.flat
        return kind, _shape(lhs, found), what.op, _shape(rhs, found), what.flat
    if kind is dict and not what:
        return kind
    if not isinstance(what, peewee.Node):
        raise Unclear
    # All of its model's columns go without saying.
    silent = DEFAULT_NO_TEXT if kind is peewee.ModelSelect and what._is_default else NO_TEXT
    parts = [
        (name, _shape(part, found)) for name, part in vars(what).items() if part is not None and name not in silent
    ]
    return kind, tuple(parts)


class RememberedRows(peewee.ModelObjectCursorWrapper):
    """A row that was read before is the object that was made of it then; nobody writes to them."""

    def __init__(self, cursor: Any, query: Any, known: dict[tuple[Any, ...], Any]) -> None:
        super().__init__(cursor, query.model, query._returning, query.model)
        self.known = known
        self.initialized = True  # not yet: perhaps every row is known
        self.is_ready = False

    def process_row(self, row: tuple[Any, ...]) -> Any:
        found = self.known.get(row)
        if found is None:
            if not self.is_ready:
                self.initialize()
                self.is_ready = True
            found = self.known[row] = super().process_row(row)
        return found


@contextmanager
def rows_are_remembered() -> Iterator[None]:
    """For the length of a run."""
    objects: dict[Hashable, dict[tuple[Any, ...], Any]] = defaultdict(dict)
    records: dict[Hashable, Any] = {}
    make_cursor: Callable[..., Any] = peewee.ModelSelect._get_model_cursor_wrapper
    make_record: Any = schema.Table.__dict__["_record"]

    def cursor_of(query: Any, cursor: Any) -> Any:
        is_plain = query._is_default and not query._joins
        return RememberedRows(cursor, query, objects[query.model]) if is_plain else make_cursor(query, cursor)

    def record_of(table: type[schema.Table], row: tuple[Any, ...]) -> Any:
        found = records.get((table, row))
        if found is None:
            found = records[table, row] = make_record.__func__(table, row)
        return found

    peewee.ModelSelect._get_model_cursor_wrapper = cursor_of
    schema.Table._record = classmethod(record_of)  # type: ignore[method-assign, assignment]
    schema.current.param = "?"  # asked for at every statement, and the way to the engine's own is long
    try:
        yield
    finally:
        peewee.ModelSelect._get_model_cursor_wrapper = make_cursor
        schema.Table._record = make_record
        del schema.current.param
