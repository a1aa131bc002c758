"""The store on both engines: what is written comes back, what is current, what is refused, what cannot be trusted."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from dcabot.adapters import schema
from dcabot.adapters.database import Database, DatabaseBusy
from dcabot.adapters.rows import RowFault
from dcabot.adapters.store import Collision, Store
from dcabot.core.ledger import fold
from dcabot.core.model import CycleStatus, Decision, OrderStatus, Purpose
from dcabot.core.reconcile import Entry
from tests.builders import START, make_order, make_time
from tests.venue_broker import SteppedClock

SATOSHI = Decimal("0.000000001")


@pytest.fixture
def store(door: Database) -> Store:
    return Store(door, SteppedClock())


def add_asset(store: Store, symbol: str = "BTC/USD", **columns: Any) -> int:
    row = {
        "asset_symbol": symbol,
        "base_order_amount": Decimal("20.0000000001"),
        "safety_order_amount": 10,
        "max_safety_orders": 5,
        "safety_order_deviation": Decimal("1.5"),
        "take_profit_percent": Decimal("1.25"),
        "cooldown_period": 300,
        "buy_order_price_deviation_percent": 2,
        **columns,
    }
    with store.database.transaction():
        asset_id: int = schema.Asset.insert(**row).execute()
    return asset_id


def opened(store: Store, symbol: str = "BTC/USD") -> Entry:
    """A new asset's current cycle."""
    store.open_cycle(add_asset(store, symbol), CycleStatus.WATCHING)
    return next(entry for entry in store.read_book().entries if entry.asset.symbol == symbol)


def edit(store: Store, sql: str) -> None:
    with store.database.transaction():
        schema.current.engine.execute_sql(sql)


def save(store: Store, entry: Entry, decision: Decision) -> Entry:
    with store.locked(entry.cycle.id) as locked:
        assert locked is not None
        store.save(locked, decision)
    fresh = store.read_entry(entry.cycle.id)
    assert fresh is not None
    return fresh


def columns(store: Store, cycle_id: int) -> tuple[str, str | None, Decimal, int]:
    """What an operator reads of a cycle: status, latest order, quantity, safety orders."""
    with store.database.transaction():
        row = schema.Cycle.get_by_id(cycle_id)
    return row.status, row.latest_order_id, row.quantity, row.safety_orders


def full_order(entry: Entry, **changes: Any) -> Any:
    """An order with something in every column."""
    order = make_order(
        quantity="123456789012345.123456789012345",
        price="9999999999.0123456789",
        filled_quantity="0.000000000000001",
        filled_price="0.000000000000007",
        fee_quantity="0.000000000000001",
        status=OrderStatus.CANCELED,
        created_at=START + timedelta(microseconds=123456),
        cancel_requested_at=make_time(1.5),
        closed_at=make_time(2.25),
        note="why not, ä ö ü",
        client_order_id=entry.cycle.next_id(Purpose.BASE),
    )
    return replace(order, **changes)


def test_an_order_comes_back_as_it_was_written(store: Store) -> None:
    entry = opened(store)
    order = full_order(entry)
    fresh = save(store, entry, Decision(entry.cycle.with_order(order), "test"))
    assert fresh.cycle.orders == (order,)
    assert fresh.stored == fold(fresh.cycle.orders)


def test_orders_come_back_oldest_first_and_in_one_piece(store: Store) -> None:
    entry = opened(store)
    for number in range(12):
        order = full_order(entry, client_order_id=f"dcabot-x-{number}", note=str(number))
        entry = save(store, entry, Decision(entry.cycle.with_order(order), "test"))
    assert [order.note for order in entry.cycle.orders] == [str(number) for number in range(12)]
    assert store.read_book().entries == (entry,)


def test_settings_become_rules_exactly(store: Store) -> None:
    rules = opened(store).asset.rules
    assert (rules.base_notional, rules.safety_drop_ratio) == (Decimal("20.0000000001"), Decimal("0.015"))
    assert rules.take_profit_ratio == Decimal("0.0125")


def test_the_computed_columns_are_what_an_operator_reads(store: Store) -> None:
    entry = opened(store)
    order = make_order(filled="0.2", price="100.10", fee_quantity="0.0005", client_order_id="dcabot-x-1")
    save(store, entry, Decision(entry.cycle.with_order(order), "test"))
    with store.database.transaction():
        row = schema.Cycle.get_by_id(entry.cycle.id)
        assert (row.quantity, row.average_purchase_price) == (Decimal("0.1995"), Decimal("100.1"))
        assert (row.latest_order_id, row.last_order_fill_price) == (order.order_id, Decimal("100.1"))


def test_a_sale_is_one_transaction_cycle_price_and_cooldown(store: Store) -> None:
    entry = opened(store)
    done = replace(entry.cycle, status=CycleStatus.COMPLETE, completed_at=START)
    decision = Decision(done, "sold", successor=CycleStatus.COOLDOWN, last_sell_price=Decimal("101.2345678901"))
    with pytest.raises(ZeroDivisionError), store.locked(entry.cycle.id) as locked:
        assert locked is not None
        store.save(locked, decision)
        raise ZeroDivisionError
    assert store.read_book().entries == (entry,)
    save(store, entry, decision)
    (cooling,) = store.read_book().entries
    assert (cooling.cycle.status, cooling.cycle.cooldown_since) == (CycleStatus.COOLDOWN, START)
    assert cooling.asset.last_sell_price == Decimal("101.2345678901")
    assert cooling.cycle.id != entry.cycle.id


def test_the_cooldown_counts_from_the_newest_complete_cycle(store: Store) -> None:
    entry = opened(store)
    for seconds in (0, 500):
        done = replace(entry.cycle, status=CycleStatus.COMPLETE, completed_at=make_time(seconds))
        save(store, entry, Decision(done, "sold", successor=CycleStatus.COOLDOWN))
        (entry,) = store.read_book().entries
    assert entry.cycle.cooldown_since == make_time(500)


@pytest.mark.parametrize(("bought", "still_cools"), [("0.009", True), ("0.1", False)])
def test_the_cooldown_goes_on_when_its_early_restart_brought_only_dust(
    store: Store, bought: str, still_cools: bool
) -> None:
    """Simulation seed 33965: a tiny fill of the early restart, and the next base order came at any price."""
    entry = opened(store)
    done = replace(entry.cycle, status=CycleStatus.COMPLETE, completed_at=make_time(0))
    save(store, entry, Decision(done, "sold", successor=CycleStatus.COOLDOWN))
    (entry,) = store.read_book().entries
    order = make_order(created_at=START, quantity="1", filled=bought, price="100", status=OrderStatus.CANCELED)
    restarted = replace(entry.cycle.with_order(order), status=CycleStatus.WATCHING)
    save(store, entry, Decision(restarted, "canceled"))
    (entry,) = store.read_book().entries
    assert (entry.cycle.cooldown_since == make_time(0)) is still_cools


def test_an_id_that_somebody_else_wrote_is_a_collision_and_nothing_is_written(store: Store) -> None:
    entry = opened(store)
    order = full_order(entry)
    save(store, entry, Decision(entry.cycle.with_order(order), "first"))
    other = opened(store, "ETH/USD")
    with pytest.raises(Collision), store.locked(other.cycle.id) as locked:
        assert locked is not None
        store.save(locked, Decision(replace(other.cycle.with_order(order), status=CycleStatus.BUYING), "second"))
    assert issubclass(Collision, DatabaseBusy)
    fresh = store.read_entry(other.cycle.id)
    assert fresh is not None
    assert (fresh.cycle.orders, fresh.cycle.status) == ((), CycleStatus.WATCHING)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal("1e15")},
        {"filled_quantity": Decimal("0.0000000000000001")},
        {"limit_price": Decimal("1e10")},
        {"order_id": "x" * 300},
        {"order_id": "über"},
    ],
    ids=["too large", "too fine", "too dear", "too long", "not ascii"],
)
def test_what_a_column_cannot_hold_is_a_fault_that_names_the_cycle(store: Store, changes: dict[str, Any]) -> None:
    entry = opened(store)
    order = full_order(entry, **changes)
    with pytest.raises(RowFault, match=rf"cycle {entry.cycle.id} of BTC/USD: {next(iter(changes))} cannot hold"):
        save(store, entry, Decision(entry.cycle.with_order(order), "test"))
    assert store.read_book().entries == (entry,)


def test_a_long_note_is_cut(store: Store) -> None:
    entry = opened(store)
    fresh = save(store, entry, Decision(entry.cycle.with_order(full_order(entry, note="ü" * 300)), "test"))
    assert fresh.cycle.orders[0].note == "ü" * 255


# What is current.


def test_an_enabled_asset_without_a_cycle_is_idle_and_gets_exactly_one(store: Store) -> None:
    asset_id = add_asset(store)
    assert [asset.id for asset in store.read_book().idle] == [asset_id]
    assert store.open_cycle(asset_id, CycleStatus.WATCHING)
    assert not store.open_cycle(asset_id, CycleStatus.WATCHING)
    assert not store.open_cycle(asset_id + 1, CycleStatus.WATCHING)
    assert not store.open_cycle(add_asset(store, "ETH/USD", is_enabled=False), CycleStatus.WATCHING)
    assert len(store.read_book().entries) == 1


def test_two_writers_at_once_open_one_cycle(store: Store) -> None:
    asset_id = add_asset(store)
    gate = threading.Barrier(4)
    opened_by: list[bool] = []

    def work() -> None:
        gate.wait()
        opened_by.append(store.open_cycle(asset_id, CycleStatus.WATCHING))
        store.database.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened_by) == [False, False, False, True]
    assert len(store.read_book().entries) == 1


def test_a_cycle_that_is_over_stays_in_the_book_while_its_order_may_still_fill(store: Store) -> None:
    entry = opened(store)
    void = full_order(entry, status=OrderStatus.VOID, closed_at=START, filled_quantity=Decimal(0), filled_price=None)
    over = replace(entry.cycle.with_order(void), status=CycleStatus.ERROR, completed_at=START)
    save(store, entry, Decision(over, "lost", successor=CycleStatus.WATCHING))
    assert entry.cycle.id in [one.cycle.id for one in store.read_book().entries]
    clock = store.clock
    assert isinstance(clock, SteppedClock)
    clock.advance(3601)
    assert entry.cycle.id not in [one.cycle.id for one in store.read_book().entries]


def test_an_order_is_handed_to_the_current_cycle(store: Store) -> None:
    entry = opened(store)
    order = full_order(entry)
    over = replace(entry.cycle.with_order(order), status=CycleStatus.COMPLETE, completed_at=START)
    save(store, entry, Decision(over, "sold", successor=CycleStatus.COOLDOWN))
    with store.locked(entry.cycle.id) as locked:
        assert locked is not None
        moved = store.move_to_current(locked, order.client_order_id)
    assert moved is not None
    assert (moved.cycle.id != entry.cycle.id, moved.cycle.orders) == (True, (order,))
    assert store.cycle_of(order.client_order_id) == moved.cycle.id


def test_an_order_that_was_handed_on_is_the_latest_of_its_new_cycle_and_no_more_of_the_former(store: Store) -> None:
    """Seed 4895: the former cycle went on naming it."""
    entry = opened(store)
    base = make_order(filled="0.2", client_order_id="dcabot-base")
    sale = make_order(Purpose.TAKE_PROFIT, filled="0.2", client_order_id="dcabot-sale")
    late = make_order(Purpose.SAFETY, status=OrderStatus.VOID, client_order_id="dcabot-late")
    cycle = entry.cycle.with_order(base).with_order(sale).with_order(late)
    over = replace(cycle, status=CycleStatus.COMPLETE, completed_at=START)
    save(store, entry, Decision(over, "sold", successor=CycleStatus.COOLDOWN))
    assert columns(store, entry.cycle.id) == ("complete", late.order_id, Decimal(0), 0)
    with store.locked(entry.cycle.id) as locked:
        assert locked is not None
        moved = store.move_to_current(locked, late.client_order_id)
        assert moved is not None
        filled = {
            "filled_quantity": Decimal("0.2"),
            "filled_price": late.limit_price,
            "fee_quantity": Decimal("0.0005"),
        }
        came = replace(late, status=OrderStatus.FILLED, **filled)
        store.save(moved, Decision(moved.cycle.with_order(came), "it came after all"))
    assert columns(store, entry.cycle.id) == ("complete", sale.order_id, Decimal(0), 0)
    assert columns(store, moved.cycle.id) == ("cooldown", late.order_id, Decimal("0.1995"), 1)


def test_without_a_current_cycle_no_order_is_handed_on(store: Store) -> None:
    entry = opened(store)
    order = full_order(entry)
    over = replace(entry.cycle.with_order(order), status=CycleStatus.COMPLETE, completed_at=START)
    save(store, entry, Decision(over, "sold"))
    with store.locked(entry.cycle.id) as locked:
        assert locked is not None
        assert store.move_to_current(locked, order.client_order_id) is None
    assert store.cycle_of(order.client_order_id) == entry.cycle.id
    assert columns(store, entry.cycle.id)[1] == order.order_id


def test_known_ids(store: Store) -> None:
    entry = opened(store)
    save(store, entry, Decision(entry.cycle.with_order(full_order(entry, client_order_id="dcabot-a")), "test"))
    assert store.known_ids(["dcabot-a", "dcabot-A", "dcabot-b", "über"]) == {"dcabot-a"}
    assert store.known_ids([]) == set()
    assert store.cycle_of("über") is None


# What cannot be trusted.


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE dca_cycles SET status = 'bying'", "cycle 1 of BTC/USD: unknown status 'bying'"),
        ("UPDATE dca_cycles SET quantity = '-1'", "cycle 1 of BTC/USD: a negative quantity"),
        ("UPDATE dca_cycles SET created_at = NULL", "cycle 1 of BTC/USD: created_at is missing"),
        ("UPDATE dca_cycles SET safety_orders = -1", "cycle 1 of BTC/USD: a negative quantity, price or count"),
        ("UPDATE dca_orders SET status = 'lost'", "dca_orders: dcabot-a: 'lost' is not a valid OrderStatus"),
        ("UPDATE dca_orders SET side = 'hold'", "dca_orders: dcabot-a: 'hold'"),
        ("UPDATE dca_orders SET purpose = ''", "dca_orders: dcabot-a: ''"),
        ("UPDATE dca_orders SET quantity = '0'", "dca_orders: dcabot-a: a quantity is not positive"),
        ("INSERT INTO dca_cycles (asset_id, status) VALUES (1, 'watching')", "BTC/USD has 2 current cycles (ids 1,"),
    ],
)
def test_nonsense_in_a_row_holds_that_asset_only_and_names_it(store: Store, sql: str, words: str) -> None:
    entry = opened(store)
    save(store, entry, Decision(entry.cycle.with_order(full_order(entry, client_order_id="dcabot-a")), "test"))
    edit(store, sql)
    good = opened(store, "ETH/USD")
    book = store.read_book()
    assert [one.asset.symbol for one in book.entries] == ["ETH/USD"]
    assert book.idle == ()
    assert words in book.faults["BTC/USD"]
    assert store.read_entry(good.cycle.id) == good


@pytest.mark.parametrize(
    "edit",
    [
        *(f"dca_cycles SET {one} = 'noon'" for one in ("covered_at", "missing_since", "first_order_at")),
        *(f"dca_orders SET {one} = 'noon'" for one in ("created_at", "closed_at", "quote_at", "updated_at")),
        "dca_orders SET cancel_requested_at = '2026-13-45 99:00:00'",
        "dca_orders SET filled_price = '1e30'",
        "dca_cycles SET inherited_quantity = '1e30'",
        "dca_assets SET base_order_amount = '1e30'",
    ],
)
def test_what_only_sqlite_takes_holds_one_asset(store: Store, edit: str) -> None:
    if store.database.settings.engine != "sqlite":
        pytest.skip("MariaDB refuses the edit")
    entry = opened(store)
    order = full_order(entry, client_order_id="dcabot-a")
    save(store, entry, Decision(entry.cycle.with_order(order), "test"))
    with closing(sqlite3.connect(store.database.settings.path)) as by_hand, by_hand:
        by_hand.execute(f"UPDATE {edit}")
    good = opened(store, "ETH/USD")
    book = store.read_book()
    assert [one.asset.symbol for one in book.entries] == ["ETH/USD"]
    assert list(book.faults) == ["BTC/USD"]
    assert store.read_entry(good.cycle.id) == good


def test_a_cycle_whose_asset_was_deleted_is_named(store: Store) -> None:
    entry = opened(store)
    good = opened(store, "ETH/USD")
    if store.database.settings.engine == "sqlite":
        with closing(sqlite3.connect(store.database.settings.path)) as by_hand, by_hand:
            by_hand.execute("DELETE FROM dca_assets WHERE id = 1")
    else:
        edit(store, "SET STATEMENT foreign_key_checks = 0 FOR DELETE FROM dca_assets WHERE id = 1")
    book = store.read_book()
    assert book.entries == (good,)
    assert "cycle 1 belongs to asset 1, which has no row" in book.faults["asset 1"]
    assert store.read_entry(entry.cycle.id) is None


def test_an_asset_with_orders_cannot_be_deleted(store: Store) -> None:
    entry = opened(store)
    save(store, entry, Decision(entry.cycle.with_order(full_order(entry)), "test"))
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        edit(store, "DELETE FROM dca_assets WHERE id = 1")


def test_the_book_and_a_single_entry_show_the_same(store: Store) -> None:
    entry = opened(store)
    written = save(store, entry, Decision(entry.cycle.with_order(make_order(created_at=START)), "base"))
    if store.database.settings.engine == "mysql":
        assert store.read_book().entries[0].seen == written.seen is not None
