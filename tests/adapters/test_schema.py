"""The models against the tables as `sql/` makes them, and what goes through their columns and comes back."""

import hashlib
import re
import sqlite3
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import peewee
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.adapters.database import Database, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.adapters.schema import MODELS, Asset, Cycle, DecimalColumn, InstantColumn, Order, Table, current

AT = datetime(2026, 11, 22, 17, 45, 1, 987654, timezone.utc)
SQL_FOLDER = Path(__file__).parents[2] / "sql"


def tell(sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Rows of a plain statement, inside a transaction."""
    return list(current.engine.execute_sql(sql, arguments).fetchall())


def an_asset(**changes: Any) -> int:
    columns: dict[str, Any] = {
        "asset_symbol": "BTC/USD",
        "base_order_amount": Decimal("20"),
        "safety_order_amount": Decimal("10"),
        "max_safety_orders": 5,
        "safety_order_deviation": Decimal("1.5"),
        "take_profit_percent": Decimal("1"),
        "cooldown_period": 300,
        "buy_order_price_deviation_percent": Decimal("2"),
    }
    return int(Asset.insert(**(columns | changes)).execute())


def a_cycle(asset: int, **changes: Any) -> int:
    return int(Cycle.insert(**({"asset": asset, "status": "watching"} | changes)).execute())


def an_order(cycle: int, **changes: Any) -> int:
    columns: dict[str, Any] = {
        "client_order_id": "dcabot-1-1763833501-base-1",
        "cycle": cycle,
        "purpose": "base",
        "side": "buy",
        "quantity": Decimal("0.000217391"),
        "status": "intended",
        "created_at": AT,
    }
    return int(Order.insert(**(columns | changes)).execute())


# What MariaDB calls a column of each kind. MySQL 8 leaves the (11) away.
def mysql_type(field: peewee.Field) -> str:
    if isinstance(field, DecimalColumn):
        return f"decimal({field.digits},{field.places})"
    if isinstance(field, InstantColumn):
        return "datetime(6)" if field.micro else "timestamp"
    if isinstance(field, peewee.CharField):
        return f"varchar({field.max_length})"
    return "tinyint(1)" if isinstance(field, peewee.BooleanField) else "int"


def sqlite_type(field: peewee.Field) -> str:
    text = isinstance(field, DecimalColumn | InstantColumn | peewee.CharField)
    return "TEXT" if text else "INTEGER"


def default_of(field: peewee.Field) -> str | None:
    """The default that the model claims for the database, in one spelling."""
    literals = [re.fullmatch(r"DEFAULT (.*)", constraint.sql) for constraint in field.constraints or []]
    return plain_default(literals[0].group(1)) if literals and literals[0] else None


def plain_default(literal: str | None) -> str | None:
    """The engines' spellings of one default: quotes, brackets, zeros after the point, names of functions."""
    if literal is None or literal == "NULL":
        return None
    literal = literal.upper().strip("'").replace("TRUE", "1")
    if literal.startswith("STRFTIME"):
        return "CURRENT_TIMESTAMP(6)"
    literal = literal.replace("CURRENT_TIMESTAMP()", "CURRENT_TIMESTAMP")
    return re.sub(r"\.0+$", "", literal)


@pytest.mark.parametrize("model", MODELS)
def test_the_models_are_the_tables_column_by_column_on_mariadb(mysql_settings: DatabaseSettings, model: Table) -> None:
    migrate(mysql_settings)
    database = connect(mysql_settings)
    with database.transaction():
        rows = tell(
            "SELECT column_name, column_type, is_nullable, column_default FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
            model._meta.table_name,
        )
    database.close()
    found = [
        (name, re.sub(r"^int\(\d+\)$", "int", kind), null == "YES", plain_default(default))
        for name, kind, null, default in rows
    ]
    told = [(f.column_name, mysql_type(f), bool(f.null), default_of(f)) for f in model._meta.sorted_fields]
    assert found == told


@pytest.mark.parametrize("model", MODELS)
def test_the_models_are_the_tables_column_by_column_on_sqlite(tmp_path: Path, model: Table) -> None:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db"))
    migrate(settings)
    database = connect(settings)
    with database.transaction():
        rows = tell(f"PRAGMA table_info({model._meta.table_name})")
        strict = tell(f"SELECT strict FROM pragma_table_list('{model._meta.table_name}')")
    database.close()
    found = [
        (name, kind, not (notnull or key), plain_default(default)) for _, name, kind, notnull, default, key in rows
    ]
    told = [
        (f.column_name, sqlite_type(f), bool(f.null) and not f.primary_key, default_of(f))
        for f in model._meta.sorted_fields
    ]
    assert [column if column[0] != "id" else ("id", "INTEGER", False, None) for column in found] == told
    assert strict == [(1,)]


def test_the_models_know_the_unique_columns_and_the_foreign_keys(door: Database) -> None:
    for model in MODELS:
        fields = model._meta.sorted_fields
        told = {(f.column_name, f.rel_model._meta.table_name, f.on_delete) for f in fields if hasattr(f, "rel_model")}
        uniques = {f.column_name for f in fields if f.unique}
        with door.transaction():
            engine = current.engine
            keys = engine.get_foreign_keys(model._meta.table_name)
            indexes = engine.get_indexes(model._meta.table_name)
            rules = foreign_key_rules(door, model._meta.table_name)
        assert {(key.column, key.dest_table, rules[key.column]) for key in keys} == told
        found = {index.columns[0] for index in indexes if index.unique and index.columns != ["id"]}
        assert found == uniques


def foreign_key_rules(door: Database, table: str) -> dict[str, str]:
    """What happens to a row whose parent is deleted, by column."""
    if door.settings.engine == "sqlite":
        return {row[3]: row[6] for row in tell(f"PRAGMA foreign_key_list({table})")}
    rows = tell(
        "SELECT k.column_name, r.delete_rule FROM information_schema.referential_constraints r"
        " JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)"
        " WHERE r.constraint_schema = DATABASE() AND r.table_name = %s AND k.table_name = %s",
        table,
        table,
    )
    return dict(rows)


def test_the_briefs_tables_stand_in_sql_as_the_brief_has_them() -> None:
    """Word for word: whatever this project adds is a later migration."""
    script = (SQL_FOLDER / "mysql" / "0001_brief_tables.sql").read_text(encoding="utf-8")
    tables = re.findall(r"^CREATE TABLE .*?;$", script, re.DOTALL | re.MULTILINE)
    digests = [hashlib.sha256(table.encode()).hexdigest()[:16] for table in tables]
    assert digests == ["b57d206f8a4a8e31", "bdc0edb936423451"]  # of the brief's section 5.2


def test_both_engines_have_the_same_migrations() -> None:
    names = [sorted(file.name for file in (SQL_FOLDER / engine).iterdir()) for engine in ("mysql", "sqlite")]
    assert names[0] == names[1]


def test_the_briefs_insert_works_as_it_stands(door: Database) -> None:
    insert = """INSERT INTO dca_assets (
    asset_symbol, is_enabled, base_order_amount, safety_order_amount,
    max_safety_orders, safety_order_deviation, take_profit_percent,
    cooldown_period, buy_order_price_deviation_percent
) VALUES (
    'BTC/USD', TRUE, 20.00, 20.00, -- Base and Safety order amounts in USD
    5, 1.5, 1.0, -- Max 5 safety orders, 1.5%% drop for SO, 1.0%% take profit
    300, 2.0 -- 300s (5 min) cooldown, 2%% drop from last sell to restart early
);"""
    with door.transaction():
        # PyMySQL's placeholders make %% of a percent sign; SQLite reads it in a comment.
        current.engine.execute_sql(insert)
        [asset] = Asset.select()
    assert (asset.asset_symbol, asset.is_enabled, asset.base_order_amount) == ("BTC/USD", True, Decimal(20))
    assert (asset.max_safety_orders, asset.safety_order_deviation) == (5, Decimal("1.5"))
    assert (asset.take_profit_percent, asset.buy_order_price_deviation_percent) == (Decimal(1), Decimal(2))
    assert asset.last_sell_price is None
    assert abs(asset.created_at - datetime.now(timezone.utc)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "quantity",
    [
        "123456789012345.123456789012345",
        "0.000000000000001",
        "999999999999999.999999999999999",
        "1E-15",
        "1E+14",
        "0",
        "-0.1",
        "100000000000000.000000000000001",
    ],
)
def test_thirty_digits_survive_the_round_trip(door: Database, quantity: str) -> None:
    with door.transaction():
        cycle = a_cycle(an_asset(last_sell_price=Decimal("9999999999.9999999999")), quantity=Decimal(quantity))
    with door.transaction():
        row = Cycle.select(Cycle, Asset).join(Asset).where(Cycle.id == cycle).get()
        found = Cycle.select().where(Cycle.quantity == Decimal(quantity)).first()
    assert row.quantity == Decimal(quantity)
    assert row.asset.last_sell_price == Decimal("9999999999.9999999999")
    assert found is not None


@pytest.mark.parametrize("value", ["1E-16", "1E+15", "1E+999", "1E-999", "NaN", "Infinity", "0.1234567890123456"])
def test_what_a_column_cannot_hold_is_refused_and_not_rounded(door: Database, value: str) -> None:
    with door.transaction():
        asset = an_asset()
        with pytest.raises(ValueError):
            a_cycle(asset, quantity=Decimal(value))


def test_a_float_is_refused(door: Database) -> None:
    with door.transaction():
        asset = an_asset()
        with pytest.raises(ValueError, match="not a decimal"):
            a_cycle(asset, quantity=0.1)


def test_an_average_is_fitted_to_its_column_on_purpose(door: Database) -> None:
    third = Decimal(100) / Decimal(3)
    with door.transaction():
        cycle = a_cycle(an_asset(), average_purchase_price=Cycle.average_purchase_price.fit(third))
    with door.transaction():
        row = Cycle.get_by_id(cycle)
    assert row.average_purchase_price == Decimal("33.3333333333")


@pytest.mark.parametrize("value", ["abc", "", "1,5", "1.2.3", "nan"])
def test_sqlite_refuses_text_that_is_no_number_in_a_decimals_place(tmp_path: Path, value: str) -> None:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db"))
    migrate(settings)
    database = connect(settings)
    with database.transaction():
        asset = an_asset()
        with pytest.raises(peewee.IntegrityError, match="CHECK"):
            current.engine.execute_sql("UPDATE dca_assets SET base_order_amount = ? WHERE id = ?", (value, asset))
        with pytest.raises(peewee.IntegrityError, match="INTEGER"):
            current.engine.execute_sql("UPDATE dca_assets SET max_safety_orders = 'five' WHERE id = ?", (asset,))
    database.close()


@pytest.mark.parametrize("value", ["yesterday", "2026-11-22", "2026-02-30 10:00:00", "now", "1763833501", ""])
def test_sqlite_refuses_text_that_is_no_instant_in_an_instants_place(tmp_path: Path, value: str) -> None:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db"))
    migrate(settings)
    database = connect(settings)
    with database.transaction():
        cycle = a_cycle(an_asset())
        with pytest.raises(peewee.DatabaseError):
            current.engine.execute_sql("UPDATE dca_cycles SET completed_at = ? WHERE id = ?", (value, cycle))
    database.close()


@given(st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 31), timezones=st.just(timezone.utc)))  # noqa: DTZ001
def test_sqlite_takes_every_instant(at: datetime) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript((SQL_FOLDER / "sqlite" / "0001_brief_tables.sql").read_text(encoding="utf-8"))
    written = Cycle.completed_at.db_value(at)
    connection.execute("INSERT INTO dca_cycles (asset_id, status, completed_at) VALUES (1, 'complete', ?)", (written,))
    connection.close()
    assert Cycle.completed_at.python_value(written) == at.replace(microsecond=0)
    assert Order.created_at.python_value(Order.created_at.db_value(at)) == at


def test_an_id_that_is_not_ours_may_hold_any_letters(door: Database) -> None:
    # The exchange shows us orders of other programs, and we ask whether we know their ids.
    with door.transaction():
        an_order(a_cycle(an_asset()), client_order_id="dcabot-1")
        strange = ["ümlaut-\U0001f680", "dcabot-1", "it's; --", "x" * 300]
        known = Order.select().where(Order.client_order_id.in_(strange) | Order.order_id.in_(strange))
        assert [order.client_order_id for order in known] == ["dcabot-1"]


def test_instants_come_back_aware_and_in_utc(door: Database) -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    with door.transaction():
        cycle = a_cycle(an_asset(), created_at=AT.astimezone(nepal), completed_at=AT)
        an_order(cycle, created_at=AT.astimezone(nepal), closed_at=AT.replace(microsecond=0))
    with door.transaction():
        row, order = Cycle.get_by_id(cycle), Order.get()
        latest = Cycle.select(Cycle.asset, peewee.fn.MAX(Cycle.completed_at).alias("at")).group_by(Cycle.asset).get()
    # The brief's TIMESTAMP has whole seconds: cut, never rounded into the future.
    assert row.created_at == row.completed_at == latest.at == AT.replace(microsecond=0)
    assert order.created_at == AT
    assert order.closed_at == AT.replace(microsecond=0)
    assert {at.tzinfo for at in (row.created_at, latest.at, order.created_at, order.updated_at)} == {timezone.utc}
    assert abs(order.updated_at - datetime.now(timezone.utc)) < timedelta(minutes=1)


def test_instants_compare_in_the_database(door: Database) -> None:
    with door.transaction():
        cycle = a_cycle(an_asset())
        for number, seconds in enumerate((0, 0.5, 1, 10)):
            an_order(
                cycle, client_order_id=f"dcabot-{number}", created_at=AT.replace(microsecond=0) + timedelta(0, seconds)
            )
    with door.transaction():
        later = Order.select().where(Order.created_at > AT.replace(microsecond=0)).order_by(Order.created_at)
        assert [order.client_order_id for order in later] == ["dcabot-1", "dcabot-2", "dcabot-3"]


def test_a_naive_instant_is_refused(door: Database) -> None:
    with door.transaction():
        asset = an_asset()
        with pytest.raises(ValueError, match="aware"):
            a_cycle(asset, created_at=datetime(2026, 11, 22))  # noqa: DTZ001


def test_deleting_an_asset_takes_its_cycles_but_never_an_order(door: Database) -> None:
    with door.transaction():
        idle, traded = an_asset(asset_symbol="ETH/USD"), an_asset()
        a_cycle(idle)
        an_order(a_cycle(traded))
    with door.transaction():
        Asset.delete().where(Asset.id == idle).execute()
        assert Cycle.select().count() == 1
    with pytest.raises(peewee.IntegrityError), door.transaction():
        Asset.delete().where(Asset.id == traded).execute()
    with door.transaction():
        assert (Asset.select().count(), Cycle.select().count(), Order.select().count()) == (1, 1, 1)


def test_order_ids_differ_by_case(door: Database) -> None:
    with door.transaction():
        cycle = a_cycle(an_asset())
        an_order(cycle, client_order_id="dcabot-a")
        an_order(cycle, client_order_id="dcabot-A")
        assert Order.select().where(Order.client_order_id == "dcabot-A").count() == 1


def test_a_query_outside_a_transaction_is_refused(door: Database) -> None:
    with pytest.raises(RuntimeError, match="outside a transaction"):
        list(Asset.select())
