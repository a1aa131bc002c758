"""What is written without reading first is written only on rows that are as they were last read."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.adapters import schema
from dcabot.adapters.database import DatabaseUnreachable, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.adapters.store import Store
from dcabot.core.model import Asset, Cycle, CycleStatus, Decision, OrderStatus
from dcabot.core.reconcile import Entry, Repair
from dcabot.executor import commit
from tests.adapters.test_store import columns, edit, opened, save
from tests.builders import START, make_order
from tests.servers import Database, MariaDB
from tests.venue_broker import SteppedClock

SECOND = "dcabot-second"
EDITS = {
    "dca_cycles": {
        "asset_id": "2",
        "status": "'buying'",
        "quantity": "0.000000000000001",
        "average_purchase_price": "1",
        "safety_orders": "1",
        "latest_order_id": "'x'",
        "last_order_fill_price": "1",
        "completed_at": "'2026-01-01 00:00:00'",
        "created_at": "'2025-01-01 00:00:00'",
        "updated_at": "'2025-01-01 00:00:00'",
        "symbol": "NULL",
        "version": "9, updated_at = updated_at",  # as a program's write does within the same second
        "ended_by": "'error'",
        "covered_at": "'2026-01-01 00:00:00'",
        "foreign_quantity": "'1'",
        "missing_since": "'2026-01-01 00:00:00'",
        "inherited_quantity": "'1'",
        "spent": "'1'",
        "received": "'1'",
        "buy_fees": "'1'",
        "sale_fees": "'1'",
        "filled_orders": "1",
        "first_order_at": "'2026-01-01 00:00:00'",
    },
    "dca_assets": {
        "asset_symbol": "'SOL/USD'",
        "is_enabled": "0",
        "base_order_amount": "20",
        "safety_order_amount": "10.0000000001",
        "max_safety_orders": "4",
        "safety_order_deviation": "1.4999",
        "take_profit_percent": "1.2501",
        "cooldown_period": "301",
        "buy_order_price_deviation_percent": "2.1",
        "last_sell_price": "1",
        "created_at": "'2025-01-01 00:00:00'",
        "updated_at": "'2025-01-01 00:00:00'",
        "take_profit_order": "'limit'",
        "trade_beside_foreign_coins": "1",
        "disabled_because": "'withdrawn'",
    },
    "dca_orders": {
        "client_order_id": "'dcabot-other'",
        "purpose": "'safety'",
        "side": "'sell'",
        "quantity": "0.3",
        "limit_price": "NULL",
        "status": "'filled'",
        "order_id": "'x'",
        "filled_quantity": "0.1",
        "filled_price": "1",
        "fee_quantity": "0.1",
        "cancel_requested_at": "'2026-01-01 00:00:00'",
        "closed_at": "'2026-01-01 00:00:00'",
        "created_at": "'2026-01-02 00:00:00'",
        "updated_at": "'2026-01-02 00:00:00'",
        "note": "'by hand'",
        "version": "2",
        "time_in_force": "'ioc'",
        "refusal": "'other'",
        "quote_at": "'2026-01-01 00:00:00'",
        "foreign_quantity": "'1'",
    },
}


@pytest.fixture
def mariadb(mysql_settings: DatabaseSettings) -> Iterator[Store]:
    migrate(mysql_settings)
    database = connect(mysql_settings)
    yield Store(database, SteppedClock())
    database.close_all()


@pytest.fixture
def known(mariadb: Store) -> Entry:
    """A cycle with an open order, as the daemon remembers it; there is another asset's beside it."""
    return with_an_order(mariadb)


def with_an_order(store: Store) -> Entry:
    entry = opened(store)
    opened(store, "ETH/USD")
    return save(store, entry, Decision(entry.cycle.with_order(make_order(created_at=START)), "base"))


def second_order(entry: Entry, name: str = SECOND) -> Decision:
    """What a quote could lead to: one more order, and the status that shows it."""
    cycle = entry.cycle.with_order(make_order(created_at=START, client_order_id=name))
    return Decision(replace(cycle, status=CycleStatus.BUYING), "test")


def always(decision: Decision | None) -> Repair:
    return lambda asset, cycle: decision


def names(store: Store) -> list[str]:
    return [row[0] for row in rows(store, "SELECT client_order_id FROM dca_orders ORDER BY id")]


def rows(store: Store, sql: str) -> Sequence[tuple[object, ...]]:
    with store.database.transaction():
        found: Sequence[tuple[object, ...]] = schema.current.execute_sql(sql).fetchall()
    return found


def everything(store: Store) -> list[Sequence[tuple[object, ...]]]:
    return [rows(store, f"SELECT * FROM {table} ORDER BY id") for table in EDITS]


def test_a_decision_on_what_still_stands_is_written(mariadb: Store, known: Entry) -> None:
    assert mariadb.save_unread(known, always(second_order(known)))
    fresh = mariadb.read_entry(known.cycle.id)
    assert fresh is not None and fresh.cycle == second_order(known).cycle
    assert columns(mariadb, known.cycle.id)[0] == "buying"
    assert rows(mariadb, "SELECT version FROM dca_orders") == ((1,), (1,))
    assert rows(mariadb, "SELECT version FROM dca_cycles WHERE id = 1") == ((3,),)


def test_on_sqlite_it_is_always_read_first(tmp_path: Path) -> None:
    """SQLite has no trace of an edit by hand."""
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db"))
    migrate(settings)
    store = Store(connect(settings), SteppedClock())
    entry = with_an_order(store)
    assert not store.save_unread(entry, always(second_order(entry)))
    assert SECOND not in names(store)
    store.database.close_all()


def test_what_changes_an_order_is_written_too(mariadb: Store, known: Entry) -> None:
    filled = replace(known.cycle.orders[0], status=OrderStatus.FILLED, order_id="x")
    assert mariadb.save_unread(known, always(Decision(known.cycle.with_order(filled), "filled")))
    assert rows(mariadb, "SELECT status, version FROM dca_orders") == (("filled", 2),)


def test_where_nothing_is_decided_nothing_is_written(mariadb: Store, known: Entry) -> None:
    before = everything(mariadb)
    assert mariadb.save_unread(known, always(None)) is None
    assert everything(mariadb) == before


def test_it_is_believed_once(mariadb: Store, known: Entry) -> None:
    assert mariadb.save_unread(known, always(second_order(known)))
    before = everything(mariadb)
    assert not mariadb.save_unread(known, always(second_order(known, "dcabot-third")))
    assert everything(mariadb) == before


@pytest.mark.parametrize(("table", "column"), [(table, column) for table in EDITS for column in EDITS[table]])
def test_an_edit_by_hand_of_any_column_is_noticed(mariadb: Store, known: Entry, table: str, column: str) -> None:
    edit(mariadb, f"UPDATE {table} SET {column} = {EDITS[table][column]} WHERE id = 1")
    before = everything(mariadb)
    assert not mariadb.save_unread(known, always(second_order(known)))
    assert everything(mariadb) == before


def test_every_column_was_edited() -> None:
    for table, model in (("dca_cycles", schema.Cycle), ("dca_assets", schema.Asset), ("dca_orders", schema.Order)):
        # Of an order without its cycle the other cycle's count tells; an id is what a row is found by.
        assert set(model._meta.columns) - {"id", "cycle_id"} == set(EDITS[table])


def test_rows_that_come_or_go_are_noticed(mariadb: Store, known: Entry) -> None:
    for change in (
        "INSERT INTO dca_orders (client_order_id, cycle_id, purpose, side, quantity, status, created_at, version)"
        " VALUES ('dcabot-by-hand', 1, 'base', 'buy', 1, 'filled', '2026-01-01', 0)",
        "UPDATE dca_orders SET cycle_id = 2 WHERE id = 1",
        "DELETE FROM dca_orders",
        "DELETE FROM dca_cycles",
    ):
        edit(mariadb, change)
        before = everything(mariadb)
        assert not mariadb.save_unread(known, always(second_order(known))), change
        assert everything(mariadb) == before


def test_an_asset_that_is_gone_is_noticed(mariadb: Store, known: Entry) -> None:
    edit(mariadb, "SET STATEMENT foreign_key_checks = 0 FOR DELETE FROM dca_assets WHERE id = 1")
    assert not mariadb.save_unread(known, always(second_order(known)))
    assert names(mariadb) == [known.cycle.orders[0].client_order_id]


@pytest.mark.parametrize("zone", ["-11:00", "+00:00", "+13:00"])
def test_an_edit_by_hand_in_any_time_zone_is_noticed(mariadb: Store, known: Entry, zone: str) -> None:
    """A row's time is that of the editor's session: west of Greenwich it is older than what the bot wrote."""
    more = save(mariadb, known, second_order(known))
    edit(mariadb, f"SET time_zone = '{zone}'")
    edit(mariadb, "UPDATE dca_orders SET filled_quantity = 0.1 WHERE id = 1")
    edit(mariadb, "SET time_zone = '+00:00'")
    assert not mariadb.save_unread(more, always(second_order(more, "dcabot-third")))


def test_a_cooldown_is_read_first_for_its_length_stands_in_another_row(mariadb: Store) -> None:
    entry = opened(mariadb)
    over = replace(entry.cycle, status=CycleStatus.COMPLETE, completed_at=START)
    assert mariadb.save_unread(entry, always(Decision(over, "over")))
    assert mariadb.open_cycle(entry.asset.id, CycleStatus.COOLDOWN)
    (cooling,) = mariadb.read_book().entries
    assert cooling.cycle.cooldown_since == START
    assert not mariadb.save_unread(cooling, always(second_order(cooling)))


def test_what_breaks_off_is_an_error_and_not_a_no(mariadb: Store, known: Entry, mariadb_server: MariaDB) -> None:
    """Whether it was committed nobody knows then: who asked must not simply write it once more."""
    ((session,),) = rows(mariadb, "SELECT CONNECTION_ID()")
    mariadb_server.execute(f"KILL {session}")
    with pytest.raises(DatabaseUnreachable):
        mariadb.save_unread(known, always(second_order(known)))
    assert SECOND not in names(mariadb)


@pytest.mark.parametrize("row", ["dca_cycles", "dca_assets"])
def test_a_lock_of_somebody_else_is_not_waited_for(mariadb: Store, known: Entry, database: Database, row: str) -> None:
    """Who holds it may be writing: an `asset disable` that is committed is followed by no buy."""
    before = everything(mariadb)
    with closing(database.connect()) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE {row} SET created_at = NULL WHERE id = 1")
        began = time.monotonic()
        assert not mariadb.save_unread(known, always(second_order(known)))
        assert time.monotonic() - began < mariadb.database._engine.limits.lock / 2
    assert everything(mariadb) == before


def test_who_found_the_row_locked_decides_on_what_its_holder_wrote(mariadb: Store, known: Entry) -> None:
    is_held, decided_on = threading.Event(), []

    def fill() -> None:
        with mariadb.locked(known.cycle.id) as entry:
            assert entry is not None
            filled = replace(entry.cycle.orders[0], status=OrderStatus.FILLED)
            mariadb.save(entry, Decision(entry.cycle.with_order(filled), "filled"))
            is_held.set()
            may_end.wait(30)
        mariadb.database.close()

    def decide(asset: Asset, cycle: Cycle) -> Decision:
        decided_on.append(cycle.orders[0].status)
        may_end.set()
        return second_order(replace(known, cycle=cycle))

    may_end = threading.Event()
    holder = threading.Thread(target=fill)
    holder.start()
    is_held.wait(30)
    assert commit(mariadb, known.cycle.id, decide, known)
    holder.join(30)
    assert decided_on[0] is not OrderStatus.FILLED
    assert decided_on[-1] is OrderStatus.FILLED
    assert names(mariadb)[1:] == [SECOND]


def test_who_waited_for_a_table_looks_again(mariadb: Store, known: Entry, database: Database) -> None:
    """By then the price is not the one decided on. A migration holds a table; it has no row's lock."""
    before = everything(mariadb)
    other = database.connect()
    other.cursor().execute("LOCK TABLES dca_orders WRITE")
    let_go = threading.Timer(1.3, other.close)
    let_go.start()
    assert not mariadb.save_unread(known, always(second_order(known)))
    let_go.join(30)
    assert everything(mariadb) == before


def test_a_table_made_by_hand_may_allow_what_ours_refuse(mariadb: Store, known: Entry) -> None:
    edit(mariadb, "ALTER TABLE dca_cycles MODIFY status VARCHAR(20) NULL")
    edit(mariadb, "UPDATE dca_assets SET is_enabled = 0")
    before = everything(mariadb)
    assert not mariadb.save_unread(known, always(second_order(known)))
    assert everything(mariadb) == before


def test_the_end_of_a_cycle_is_written_whole_or_not_at_all(mariadb: Store, known: Entry) -> None:
    over = replace(known.cycle, status=CycleStatus.COMPLETE, completed_at=START)
    end = Decision(over, "over", successor=CycleStatus.COOLDOWN, last_sell_price=Decimal("7.5"))
    edit(mariadb, "UPDATE dca_orders SET note = 'by hand' WHERE id = 1")
    before = everything(mariadb)
    assert not mariadb.save_unread(known, always(end))
    assert everything(mariadb) == before
    fresh = mariadb.read_entry(known.cycle.id)
    assert fresh is not None and mariadb.save_unread(fresh, always(end))
    assert rows(mariadb, "SELECT status FROM dca_cycles WHERE asset_id = 1") == (("complete",), ("cooldown",))
    assert rows(mariadb, "SELECT last_sell_price FROM dca_assets WHERE id = 1") == ((Decimal("7.5"),),)


def test_of_many_at_once_one_is_believed(mariadb: Store, known: Entry) -> None:
    start, believed = threading.Barrier(12), []

    def write(number: int) -> None:
        start.wait(30)
        if mariadb.save_unread(known, always(second_order(known, f"dcabot-{number}"))):
            believed.append(f"dcabot-{number}")
        mariadb.database.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(believed) == 1
    assert names(mariadb)[1:] == believed
