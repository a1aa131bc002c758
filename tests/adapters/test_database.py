"""Transactions on both engines: all or nothing, errors in three kinds, sessions by thread, round trips counted."""

import threading
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import peewee
import pytest

from dcabot.adapters.database import (
    Database,
    DatabaseBusy,
    DatabaseMisconfigured,
    DatabaseUnreachable,
    IntegrityError,
    Limits,
    connect,
)
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.adapters.schema import Asset, Cycle, Note, Order, current
from tests.servers import MariaDB

AT = datetime(2026, 11, 22, 17, 45, tzinfo=timezone.utc)
HURRIED = Limits(connect=2, read=1.6, write=2)  # lock waits of one second


def an_asset(symbol: str = "BTC/USD") -> int:
    settings = dict.fromkeys(("safety_order_deviation", "take_profit_percent", "buy_order_price_deviation_percent"), 1)
    amounts = {"base_order_amount": 20, "safety_order_amount": 20, "max_safety_orders": 5, "cooldown_period": 300}
    return int(Asset.insert(asset_symbol=symbol, **settings, **amounts).execute())


def a_cycle() -> int:
    return int(Cycle.insert(asset=an_asset(), status="watching").execute())


def an_order(cycle: int, name: str = "dcabot-1") -> int:
    order = {"cycle": cycle, "purpose": "base", "side": "buy", "quantity": Decimal("0.1"), "status": "intended"}
    return int(Order.insert(client_order_id=name, created_at=AT, **order).execute())


def count(model: Any) -> int:
    return int(model.select().count())


def in_thread(work: Callable[[], object]) -> list[BaseException]:
    """Run it in a thread of its own; what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            raised.append(error)
            if not isinstance(error, Exception):
                raise

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(120)
    assert not thread.is_alive()
    return raised


def test_a_transaction_is_committed_as_a_whole(door: Database) -> None:
    with door.transaction():
        an_order(a_cycle())
    with door.transaction():
        assert (count(Asset), count(Cycle), count(Order)) == (1, 1, 1)


def test_whatever_is_raised_undoes_the_whole_transaction(door: Database) -> None:
    with pytest.raises(KeyError), door.transaction():
        an_order(a_cycle())
        raise KeyError
    with pytest.raises(KeyboardInterrupt), door.transaction():
        an_asset()
        raise KeyboardInterrupt
    with door.transaction():
        assert (count(Asset), count(Order)) == (0, 0)


def test_two_writers_of_one_order_collide_and_the_loser_writes_nothing(door: Database) -> None:
    with door.transaction():
        cycle = a_cycle()
        an_order(cycle)

    def again() -> None:
        with door.transaction():
            Cycle.update(status="buying").where(Cycle.id == cycle).execute()
            an_order(cycle)

    [error] = in_thread(again)
    assert isinstance(error, IntegrityError)
    with door.transaction():
        assert [row.status for row in Cycle.select()] == ["watching"]


def test_a_transaction_can_go_on_after_a_collision_it_expected(door: Database) -> None:
    with door.transaction():
        cycle = a_cycle()
        an_order(cycle)
        with pytest.raises(IntegrityError):
            an_order(cycle)
        an_order(cycle, "dcabot-2")
    with door.transaction():
        assert count(Order) == 2


def test_transactions_do_not_nest(door: Database) -> None:
    with door.transaction(), pytest.raises(RuntimeError, match="inside a transaction"), door.transaction():
        pass
    with door.transaction():
        an_asset()


def test_an_update_counts_the_rows_it_met_even_if_it_changed_nothing(door: Database) -> None:
    with door.transaction():
        asset = an_asset()
        update = Asset.update(max_safety_orders=5).where(Asset.id == asset)
        assert update.execute() == 1
        assert Asset.update(max_safety_orders=5).where(Asset.id == asset + 1).execute() == 0


def test_a_locked_row_is_ours_until_the_commit(settings: DatabaseSettings) -> None:
    migrate(settings)
    # MariaDB's own answer may be late, and is waited for.
    door = connect(settings) if settings.engine == "mysql" else connect(settings, HURRIED)
    with door.transaction():
        cycle = a_cycle()

    def take() -> None:
        with door.transaction():
            if settings.engine == "mysql":
                current.engine.execute_sql("SET SESSION innodb_lock_wait_timeout = 1")
            door.for_update(Cycle.select().where(Cycle.id == cycle)).get()

    with door.transaction():
        door.for_update(Cycle.select().where(Cycle.id == cycle)).get()
        [error] = in_thread(take)
    assert isinstance(error, DatabaseBusy)
    assert in_thread(take) == []
    door.close_all()


def test_a_waiting_writer_sees_what_the_first_one_wrote(door: Database) -> None:
    with door.transaction():
        cycle = a_cycle()
    begun, seen = threading.Event(), []

    def second() -> None:
        with door.transaction():
            # On MariaDB this read would fix the snapshot in any isolation but READ COMMITTED.
            list(Asset.select())
            begun.set()
            seen.append(door.for_update(Cycle.select().where(Cycle.id == cycle)).get().status)
            seen.append(count(Order))

    with door.transaction():
        door.for_update(Cycle.select().where(Cycle.id == cycle)).get()
        thread = threading.Thread(target=second)
        thread.start()
        # SQLite's second writer waits at its very begin.
        begun.wait(5 if door.settings.engine == "mysql" else 0.05)
        Cycle.update(status="buying").where(Cycle.id == cycle).execute()
        an_order(cycle)
    thread.join(120)
    assert seen == ["buying", 1]


def test_a_broken_transaction_is_never_committed_even_if_the_error_was_swallowed(settings: DatabaseSettings) -> None:
    migrate(settings)
    door = connect(settings)
    with pytest.raises(DatabaseMisconfigured, match="no_such"), door.transaction():
        an_asset()
        with pytest.raises(DatabaseMisconfigured):
            current.engine.execute_sql("SELECT * FROM no_such_table")
    with door.transaction():
        assert count(Asset) == 0
    door.close_all()


def test_a_missing_table_names_the_remedy(settings: DatabaseSettings) -> None:
    door = connect(settings, create=True)
    with pytest.raises(DatabaseMisconfigured, match="dcabot db init"), door.transaction():
        count(Asset)
    door.close_all()


def test_each_thread_has_its_own_session(door: Database) -> None:
    with door.transaction():
        cycle = a_cycle()
    names = [f"dcabot-{number}" for number in range(4)]

    def write(name: str) -> None:
        for attempt in range(10):
            with door.transaction():
                an_order(cycle, f"{name}-{attempt}")
        door.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    with door.transaction():
        assert count(Order) == 40


def test_ping_asks_the_database(door: Database) -> None:
    door.ping()
    door.close()
    door.ping()


def test_a_database_can_be_used_again_after_close_all(door: Database) -> None:
    door.close_all()
    with door.transaction():
        an_asset()


def test_other_errors_pass_unchanged(door: Database) -> None:
    with pytest.raises((peewee.OperationalError, peewee.ProgrammingError)), door.transaction():
        current.engine.execute_sql("SELEKT 1")
    with door.transaction():
        an_asset()


# MariaDB alone.


def test_the_session_is_utc_strict_and_read_committed(mysql_settings: DatabaseSettings) -> None:
    door = connect(mysql_settings, Limits(read=9))
    with door.transaction():
        [row] = current.engine.execute_sql(
            "SELECT @@session.time_zone, @@tx_isolation, @@autocommit, @@innodb_lock_wait_timeout, @@sql_mode,"
            " @@character_set_client, NOW() - UTC_TIMESTAMP()"
        ).fetchall()
    assert row[:4] == ("+00:00", "READ-COMMITTED", 0, 6)
    assert "STRICT_ALL_TABLES" in row[4]
    assert row[5:] == ("utf8mb4", 0)
    door.close_all()


def test_a_transaction_costs_its_statements_and_the_commit(mysql_settings: DatabaseSettings) -> None:
    migrate(mysql_settings)
    door = connect(mysql_settings)
    with door.transaction():
        cycle = a_cycle()
    asked = "SHOW SESSION STATUS LIKE 'Questions'"
    with door.transaction():
        before = int(current.engine.execute_sql(asked).fetchone()[1])
    with door.transaction():
        door.for_update(Cycle.select(Cycle, Asset).join(Asset).where(Cycle.id == cycle)).first()
        list(Order.select().where(Order.cycle == cycle))
        an_order(cycle)
        Cycle.update(status="buying").where(Cycle.id == cycle).execute()
    with door.transaction():
        after = int(current.engine.execute_sql(asked).fetchone()[1])
    # The commit of the first question, four statements and their commit, the second question.
    assert after - before == 1 + 5 + 1
    door.close_all()


def test_of_two_that_deadlock_one_is_told_and_the_other_goes_on(mysql_settings: DatabaseSettings) -> None:
    migrate(mysql_settings)
    door = connect(mysql_settings)
    with door.transaction():
        first, second = an_asset("BTC/USD"), an_asset("ETH/USD")
    both = threading.Barrier(2, timeout=120)
    busy, done = [], []

    def take(one: int, other: int) -> None:
        try:
            with door.transaction():
                Asset.update(max_safety_orders=1).where(Asset.id == one).execute()
                both.wait()
                Asset.update(max_safety_orders=1).where(Asset.id == other).execute()
            done.append(one)
        except DatabaseBusy:
            busy.append(one)
            with door.transaction():
                assert count(Asset) == 2
        door.close()

    threads = [threading.Thread(target=take, args=pair) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert (len(busy), len(done)) == (1, 1)
    door.close_all()


def test_a_socket_without_a_user_logs_in_as_the_systems_user(mariadb_server: MariaDB) -> None:
    # The server's root may log in on its socket without a password, as dcabot may on an installed system.
    door = connect(DatabaseSettings("mysql", socket=str(mariadb_server.socket), name="mysql"))
    with door.transaction():
        [(user,)] = current.engine.execute_sql("SELECT CURRENT_USER()").fetchall()
    assert user.endswith("@localhost")
    door.close_all()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"name": "no_such_database"}, "no_such_database"), ({"user": "nobody"}, "Access denied")],
)
def test_a_wrong_name_or_login_is_a_configuration_error(
    mysql_settings: DatabaseSettings, change: dict[str, str], said: str
) -> None:
    values = {"socket": mysql_settings.socket, "user": mysql_settings.user, "name": mysql_settings.name} | change
    door = connect(DatabaseSettings("mysql", password="s3cret-päß€", **values))
    with pytest.raises(DatabaseMisconfigured, match=said) as caught, door.transaction():
        pass
    chain = f"{caught.value!r} {caught.value.__cause__!r} {door!r}"
    assert "s3cret" not in chain


# SQLite alone.


def test_a_wrong_path_is_an_error_and_not_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "wrong.db"
    door = connect(f"sqlite:///{path}")
    with pytest.raises(DatabaseMisconfigured, match="dcabot db init"), door.transaction():
        count(Asset)
    assert not path.exists()


def test_a_path_may_hold_what_a_url_would_stumble_over(tmp_path: Path) -> None:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "50% off? #1.db"))
    migrate(settings)
    door = connect(settings)
    with door.transaction():
        an_asset()
    assert Path(settings.path).exists()
    door.close_all()


def test_a_file_that_is_no_database_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("a shopping list, long enough to have a header" * 10, encoding="utf-8")
    with (
        pytest.raises(DatabaseMisconfigured, match="not a database"),
        connect(f"sqlite:///{tmp_path}/text.db").transaction(),
    ):
        count(Asset)


def test_a_full_disk_is_an_outage_and_not_a_broken_program(tmp_path: Path) -> None:
    migrate(DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db")))
    door = connect(f"sqlite:///{tmp_path}/dcabot.db")
    with pytest.raises(DatabaseUnreachable, match="disk is full"), door.transaction():
        current.engine.execute_sql("PRAGMA max_page_count = 1")  # SQLite then has as many as the file has now
        for number in range(10_000):
            note = {"name": str(number), "text": "x" * 255, "written_at": datetime.now(timezone.utc)}
            Note.insert(**note).execute()
    door.close_all()


def test_sqlite_writes_ahead_and_holds_foreign_keys(tmp_path: Path) -> None:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db"))
    migrate(settings)
    door = connect(settings)
    with door.transaction():
        pragmas = [
            current.engine.execute_sql(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "synchronous")
        ]
    assert pragmas == ["wal", 1, 2]
    with pytest.raises(IntegrityError), door.transaction():
        an_order(17)
    door.close_all()
