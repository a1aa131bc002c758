"""The tables as peewee models: a mirror of `sql/`, nothing else. A test compares the two column by column.

The models belong to no one database: a query runs on the one whose transaction the thread is in, and nowhere else.
A value leaves its column exactly as it went in: decimals are `Decimal` (SQLite keeps them as text), instants are
aware UTC. A value that a column cannot hold is refused, never rounded in silence.
"""

import threading
from collections.abc import Sequence
from datetime import datetime, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import peewee
from peewee import SQL, AutoField, BooleanField, CharField, ForeignKeyField, IntegerField

from dcabot.core.money import EXACT, parse


class CurrentDatabase(threading.local):
    """Stands in for the engine of this thread's open transaction, which `database.py` puts here."""

    engine: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.engine is None:
            raise RuntimeError("a query outside a transaction")
        return getattr(self.engine, name)


current = CurrentDatabase()


class DecimalColumn(peewee.Field):
    """A DECIMAL(digits, places). Raises ValueError for what it cannot hold exactly; `fit` rounds on purpose."""

    field_type = "DECIMAL"

    def __init__(self, digits: int, places: int, **options: Any) -> None:
        super().__init__(**options)
        self.digits, self.places = digits, places
        self._step, self._limit = Decimal(1).scaleb(-places), Decimal(1).scaleb(digits - places)

    def fit(self, value: Decimal) -> Decimal:
        """The nearest value that the column can hold: for averages, whose digits may never end."""
        return value.quantize(self._step, context=EXACT)

    def db_value(self, value: Any) -> Any:
        if value is None:
            return None
        number = parse(value)
        # Whether it is too large comes first: `fit` cannot round what has more digits than its context.
        if number.copy_abs() >= self._limit or self.fit(number) != number:
            raise ValueError(f"{self.name} cannot hold {number}: it is a DECIMAL({self.digits}, {self.places})")
        return number

    def python_value(self, value: Any) -> Decimal | None:
        return None if value is None else Decimal(value)


class InstantColumn(peewee.Field):
    """An instant: aware UTC in Python, UTC in the database; cut to whole seconds unless `micro`.

    Raises ValueError for a naive datetime.
    """

    def __init__(self, micro: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.micro = micro

    def db_value(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise ValueError(f"{self.name} takes an aware datetime, not {value!r}")
        # Cut here, for MariaDB would round, and half a second in the future is not when it happened.
        form = "%Y-%m-%d %H:%M:%S.%f" if self.micro else "%Y-%m-%d %H:%M:%S"
        return value.astimezone(timezone.utc).strftime(form)

    def python_value(self, value: Any) -> Any:
        """The instant, or None. What is no time is given as it stands: only its own row is at fault."""
        if value is None:
            return None
        try:
            instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            return value
        return instant.astimezone(timezone.utc) if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


def default(literal: str) -> dict[str, Any]:
    """The database's own default for a column, used when an INSERT leaves it out."""
    return {"constraints": [SQL(f"DEFAULT {literal}")]}


Seen = tuple[Any, ...]  # of a cycle as the database gives it: equal means that nobody wrote in between


class Table(peewee.Model):
    """A table, and three plain statements for what lies between a quote and its order.

    peewee builds every query anew, which takes longer than the server takes to answer it.
    """

    class Meta:
        database = current

    @classmethod
    def read(cls, column: str, value: object) -> list[SimpleNamespace]:
        """The rows with this value, oldest first."""
        names = ", ".join(cls._meta.columns)
        text = f"SELECT {names} FROM {cls._meta.table_name} WHERE {column} = {current.param} ORDER BY id"
        return [cls._record(row) for row in current.execute_sql(text, (value,)).fetchall()]

    @classmethod
    def _record(cls, row: Sequence[object]) -> SimpleNamespace:
        fields = cls._meta.columns.items()
        return SimpleNamespace(**{name: field.python_value(v) for (name, field), v in zip(fields, row, strict=True)})

    @classmethod
    def as_stored(cls, row: Any) -> tuple[object, ...]:
        """A row's values as the database gives them."""
        return tuple(field.db_value(getattr(row, name)) for name, field in cls._meta.columns.items())

    @classmethod
    def add(cls, **values: object) -> None:
        """One more row."""
        marks = ", ".join([current.param] * len(values))
        cls._write(f"INSERT INTO {cls._meta.table_name} ({', '.join(values)}) VALUES ({marks})", values)

    @classmethod
    def change(cls, column: str, value: object, **values: object) -> None:
        """New values for the rows with this value."""
        news = ", ".join(f"{name} = {current.param}" for name in values)
        if "version" in cls._meta.columns:
            news += ", version = version + 1"
        cls._write(f"UPDATE {cls._meta.table_name} SET {news} WHERE {column} = {current.param}", values, value)

    @classmethod
    def _write(cls, text: str, values: dict[str, object], *others: object) -> None:
        stored = [cls._meta.columns[name].db_value(value) for name, value in values.items()]
        current.write(text, (*stored, *others))


class Asset(Table):
    """`dca_assets`: what is traded and how. Percentages are percentages here, USD amounts USD."""

    id = AutoField()
    asset_symbol = CharField(max_length=25, unique=True)
    is_enabled = BooleanField(**default("1"))
    base_order_amount = DecimalColumn(20, 10)
    safety_order_amount = DecimalColumn(20, 10)
    max_safety_orders = IntegerField()
    safety_order_deviation = DecimalColumn(10, 4)
    take_profit_percent = DecimalColumn(10, 4)
    cooldown_period = IntegerField()
    buy_order_price_deviation_percent = DecimalColumn(10, 4)
    last_sell_price = DecimalColumn(20, 10, null=True)
    created_at = InstantColumn(null=True, **default("CURRENT_TIMESTAMP"))
    updated_at = InstantColumn(null=True, **default("CURRENT_TIMESTAMP"))
    take_profit_order = CharField(max_length=10, default="market", **default("'market'"))
    trade_beside_foreign_coins = BooleanField(default=False, **default("0"))
    disabled_because = CharField(max_length=20, null=True)

    class Meta:
        table_name = "dca_assets"


class Cycle(Table):
    """`dca_cycles`: computed from the cycle's orders, kept for operators who read it with SELECT."""

    id = AutoField()
    asset = ForeignKeyField(Asset, on_delete="CASCADE", lazy_load=False)
    status = CharField(max_length=20)
    quantity = DecimalColumn(30, 15, **default("0"))
    average_purchase_price = DecimalColumn(20, 10, **default("0"))
    safety_orders = IntegerField(**default("0"))
    latest_order_id = CharField(max_length=255, null=True)
    last_order_fill_price = DecimalColumn(20, 10, null=True)
    completed_at = InstantColumn(null=True)
    created_at = InstantColumn(null=True, **default("CURRENT_TIMESTAMP"))
    updated_at = InstantColumn(null=True, **default("CURRENT_TIMESTAMP"))
    symbol = CharField(max_length=25, null=True)  # whose orders these are, even when the asset is renamed
    version = IntegerField(**default("1"))
    ended_by = CharField(max_length=20, null=True)
    covered_at = InstantColumn(micro=True, null=True)
    foreign_quantity = DecimalColumn(30, 15, null=True)
    missing_since = InstantColumn(micro=True, null=True)
    inherited_quantity = DecimalColumn(30, 15, **default("0"))
    spent = DecimalColumn(36, 18, null=True)
    received = DecimalColumn(36, 18, null=True)
    buy_fees = DecimalColumn(36, 18, null=True)
    sale_fees = DecimalColumn(36, 18, null=True)
    filled_orders = IntegerField(null=True)
    first_order_at = InstantColumn(micro=True, null=True)

    class Meta:
        table_name = "dca_cycles"
        indexes = ((("status",), False), (("asset", "status", "completed_at"), False))

    @classmethod
    def seen(cls, cycle_id: int, lock: bool) -> Seen | None:
        """A cycle's row, its asset's, and the version of its orders; None without either row.

        `lock` keeps the two rows ours until the transaction ends.
        """
        names = ", ".join([f"c.{name}" for name in cls._meta.columns] + [f"a.{name}" for name in Asset._meta.columns])
        rows = f"SELECT {names} FROM dca_cycles c JOIN dca_assets a ON a.id = c.asset_id WHERE c.id = {current.param}"
        rows += " FOR UPDATE" if lock and current.for_update else ""
        # In a statement of its own: it must look after the lock was granted, whoever held it before.
        orders = f"{Order.VERSION} WHERE cycle_id = {current.param}"
        found, version = current.first_rows((rows, (cycle_id,)), (orders, (cycle_id,)))
        return None if found is None else (*found, *version)

    @classmethod
    def change_seen(cls, seen: Seen, **values: object) -> None:
        """New values for the row in `seen`. Raises IntegrityError unless all that it shows is still as it was.

        DatabaseBusy when somebody has the row or its asset's: waiting would make the decision old. Has to be the
        transaction's first write: none follows a failed one.
        """
        mine, mark = len(cls._meta.columns), current.param
        # In a statement of its own: an UPDATE looks at other tables before it has its row, and only what it looks at
        # with both rows locked is sure to be still so when it commits.
        rows = f"SELECT 1 FROM dca_cycles c JOIN dca_assets a ON a.id = c.asset_id WHERE c.id = {mark}"
        current.write(f"{rows} FOR UPDATE NOWAIT", (seen[0],))
        cycle, asset = _same(cls, seen[:mine]), _same(Asset, seen[mine:-3])
        is_same = (
            f"{cycle} AND EXISTS (SELECT 1 FROM dca_assets WHERE {asset}) AND {current.is_prompt}"
            f" AND ({mark}, {mark}, {mark}) = ({Order.VERSION} WHERE cycle_id = {mark})"
        )
        shown = (*(value for value in seen if value is not None), seen[0])
        # NULL is what this column refuses, whoever made the table: it came with a migration of ours. It is set first,
        # for what comes after would be compared with its new value.
        news = f"version = CASE WHEN {is_same} THEN version + 1 ELSE NULL END"
        news += "".join(f", {name} = {mark}" for name in values)
        stored = [cls._meta.columns[name].db_value(value) for name, value in values.items()]
        current.write(f"UPDATE dca_cycles SET {news} WHERE id = {mark}", (*shown, *stored, seen[0]))

    @classmethod
    def read_seen(cls, seen: Seen) -> tuple[SimpleNamespace, SimpleNamespace]:
        """The two rows in what `seen` gave."""
        mine = len(cls._meta.columns)
        return cls._record(seen[:mine]), Asset._record(seen[mine:-3])


class Order(Table):
    """`dca_orders`: the write-ahead record of every order, committed before the request is sent."""

    id = AutoField()
    client_order_id = CharField(max_length=128, unique=True)
    cycle = ForeignKeyField(Cycle, on_delete="RESTRICT", lazy_load=False)
    purpose = CharField(max_length=20)
    side = CharField(max_length=4)
    quantity = DecimalColumn(30, 15)
    limit_price = DecimalColumn(20, 10, null=True)
    status = CharField(max_length=20, index=True)
    order_id = CharField(max_length=255, null=True, index=True)
    filled_quantity = DecimalColumn(30, 15, **default("0"))
    filled_price = DecimalColumn(30, 15, null=True)
    fee_quantity = DecimalColumn(30, 15, null=True)
    cancel_requested_at = InstantColumn(micro=True, null=True)
    closed_at = InstantColumn(micro=True, null=True)
    created_at = InstantColumn(micro=True)
    updated_at = InstantColumn(micro=True, **default("CURRENT_TIMESTAMP(6)"))
    note = CharField(max_length=255, **default("''"))
    version = IntegerField(**default("1"))
    time_in_force = CharField(max_length=3, **default("'gtc'"))
    refusal = CharField(max_length=20, null=True)
    quote_at = InstantColumn(micro=True, null=True)
    foreign_quantity = DecimalColumn(30, 15, null=True)

    class Meta:
        table_name = "dca_orders"

    # All times and not the newest: who edits by hand writes times of the server's clock and of his own time zone.
    VERSION = "SELECT COUNT(*), COALESCE(SUM(version), 0), COALESCE(SUM(updated_at + 0), 0) FROM dca_orders"

    @classmethod
    def version_of(cls, rows: Sequence[Any]) -> Seen:
        """What `Cycle.seen` says of a cycle's orders: SQL adds times up as numbers."""
        times = (Decimal(f"{row.updated_at:%Y%m%d%H%M%S.%f}") for row in rows)
        return (len(rows), sum(row.version for row in rows), sum(times, Decimal()))


def _same(table: type[Table], stored: Seen) -> str:
    """The condition that a row is as it was; its parameters are what of it is not None."""
    names = zip(table._meta.columns, stored, strict=True)
    return " AND ".join(f"{name} IS NULL" if value is None else f"{name} = {current.param}" for name, value in names)


class Daemon(Table):
    """`dca_daemon`: one row in which the daemon says how it is."""

    id = IntegerField(primary_key=True)
    started_at = InstantColumn(micro=True)
    beat_at = InstantColumn(micro=True)
    quote_at = InstantColumn(micro=True, null=True)
    trade_update_at = InstantColumn(micro=True, null=True)
    sentence = CharField(max_length=255, **default("''"))

    class Meta:
        table_name = "dca_daemon"


class Note(Table):
    """`dca_notes`: what must be remembered beside the books, by name."""

    id = AutoField()
    name = CharField(max_length=64, unique=True)
    text = CharField(max_length=255)
    written_at = InstantColumn(micro=True)

    class Meta:
        table_name = "dca_notes"


class Trouble(Table):
    """`dca_troubles`: why the bot does not trade, as the daemon sees it."""

    id = AutoField()
    kind = CharField(max_length=20)
    asset = CharField(max_length=50, **default("''"))
    since = InstantColumn(micro=True)
    sentence = CharField(max_length=500)
    remedy = CharField(max_length=255, **default("''"))
    told_at = InstantColumn(micro=True, null=True)
    told = IntegerField(**default("0"))

    class Meta:
        table_name = "dca_troubles"


MODELS: tuple[type[Table], ...] = (Asset, Cycle, Order, Daemon, Note, Trouble)
