"""On MariaDB the writes of a transaction travel together with its COMMIT: all of them count, or none."""

import threading

import pytest

from dcabot.adapters import schema
from dcabot.adapters.database import Database, DatabaseUnreachable, IntegrityError
from dcabot.core.model import CycleStatus
from tests.adapters.test_store import START

NAMES = ("one", "two", "three")


@pytest.fixture
def cycle(door: Database) -> int:
    """A cycle to write orders for."""
    with door.transaction():
        numbers = dict.fromkeys(("base_order_amount", "safety_order_amount", "safety_order_deviation"), 20)
        more = dict.fromkeys(("take_profit_percent", "buy_order_price_deviation_percent", "cooldown_period"), 2)
        asset = schema.Asset.insert(asset_symbol="BTC/USD", max_safety_orders=2, **numbers, **more).execute()
        return int(schema.Cycle.insert(asset=asset, status=CycleStatus.WATCHING.value).execute())


def add(cycle: int, name: str) -> None:
    place = {"client_order_id": name, "cycle_id": cycle, "purpose": "base", "side": "buy", "quantity": 1}
    schema.Order.add(**place, status="intended", created_at=START)


def stored(door: Database) -> set[str]:
    with door.transaction():
        return {row.client_order_id for row in schema.Order.select()}


def test_a_read_sees_the_writes_before_it_in_its_transaction(door: Database, cycle: int) -> None:
    with door.transaction():
        add(cycle, "one")
        schema.Order.change("client_order_id", "one", note="changed")
        assert [row.note for row in schema.Order.read("client_order_id", "one")] == ["changed"]
        add(cycle, "two")
        found, other = schema.current.first_rows(
            ("SELECT COUNT(*) FROM dca_orders", ()), ("SELECT MAX(note) FROM dca_orders", ())
        )
    assert (found[0], other[0]) == (2, "changed")
    assert stored(door) == {"one", "two"}


@pytest.mark.parametrize("twice", range(3))
def test_one_write_that_fails_undoes_those_before_and_after_it(door: Database, cycle: int, twice: int) -> None:
    with door.transaction():
        add(cycle, NAMES[twice])
    with pytest.raises(IntegrityError), door.transaction():
        for name in NAMES:
            add(cycle, name)
    assert stored(door) == {NAMES[twice]}


@pytest.mark.parametrize("end", [ZeroDivisionError, KeyboardInterrupt])
def test_writes_of_a_transaction_that_was_given_up_are_never_sent(
    door: Database, cycle: int, end: type[BaseException]
) -> None:
    with pytest.raises(end), door.transaction():
        add(cycle, "one")
        raise end
    with door.transaction():
        add(cycle, "two")
    assert stored(door) == {"two"}


@pytest.mark.parametrize("settings", ["mysql"], indirect=True)
def test_a_commit_that_was_swallowed_is_not_taken_for_done(door: Database, cycle: int) -> None:
    """As a KILL QUERY between two statements does, or a proxy that passes on the first of several."""
    with pytest.raises(DatabaseUnreachable, match="not answered"), door.transaction():
        add(cycle, "one")
        schema.current.write("DO 1 -- ", ())
    assert stored(door) == set()


def test_a_failed_question_leaves_nothing_to_be_sent(door: Database, cycle: int) -> None:
    with pytest.raises(Exception, match="no_such"), door.transaction():
        add(cycle, "one")
        schema.current.first_rows(("SELECT 1", ()), ("SELECT no_such FROM dca_orders", ()))
    with door.transaction():
        add(cycle, "two")
    assert stored(door) == {"two"}


def test_a_row_that_is_not_there_is_none(door: Database, cycle: int) -> None:
    with door.transaction():
        there = ("SELECT id FROM dca_cycles", ())
        gone = ("SELECT id FROM dca_orders", ())
        assert schema.current.first_rows(there, gone, there) == [(cycle,), None, (cycle,)]


def test_threads_do_not_send_each_others_writes(door: Database, cycle: int) -> None:
    """On SQLite the second writer would wait for the first: there the two go one after the other."""
    if door.settings.engine == "sqlite":
        pytest.skip("one writer at a time")

    def write_and_give_up() -> None:
        with pytest.raises(ZeroDivisionError), door.transaction():
            add(cycle, "two")
            raise ZeroDivisionError
        door.close()

    other = threading.Thread(target=write_and_give_up)
    with door.transaction():
        add(cycle, "one")
        other.start()
        other.join()
    assert stored(door) == {"one"}
