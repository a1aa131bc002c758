"""What an error number means: whatever a server or a proxy invents is an outage, and only our own mistakes are not."""

import sqlite3
from datetime import datetime, timezone

import peewee
import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.adapters.database import Database, DatabaseBusy, DatabaseMisconfigured, DatabaseUnreachable, connect
from dcabot.adapters.database_errors import (
    MYSQL_BUSY,
    MYSQL_MISCONFIGURED,
    MYSQL_MISTAKES,
    mysql_kind,
    sqlite_kind,
)
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.adapters.privileges import denied
from dcabot.adapters.schema import Asset, current
from tests.servers import MariaDB

# Full disks and tables, Galera that is not ready, proxies, a crashed table, memory, locks of a backup.
SEEN = (
    *(1015, 1016, 1021, 1026, 1030, 1034, 1037, 1041, 1047, 1105, 1114, 1135, 1180, 1194, 1206, 1223, 1296, 1297),
    *(1637, 1712, 1877, 1878, 1932, 3100, 9001, 1040, 1290, 1836, 2006, 2013, 4031),
)


@pytest.mark.parametrize("code", SEEN)
@pytest.mark.parametrize("kind", [peewee.OperationalError, pymysql.err.OperationalError, peewee.InternalError])
def test_an_outage_by_any_number_is_waited_for(code: int, kind: type[Exception]) -> None:
    assert mysql_kind(kind(code, "said")) is DatabaseUnreachable


@given(st.integers(-40_000, 70_000), st.sampled_from([peewee.OperationalError, pymysql.err.InternalError]))
def test_a_number_nobody_ever_saw_is_an_outage(code: int, kind: type[Exception]) -> None:
    found = mysql_kind(kind(code, "said"))
    if code in MYSQL_BUSY:
        assert found is DatabaseBusy
    elif code in MYSQL_MISCONFIGURED:
        assert found is DatabaseMisconfigured
    else:
        assert found is (None if code in MYSQL_MISTAKES else DatabaseUnreachable)


def test_an_outage_needs_no_number() -> None:
    for error in (peewee.InternalError("Packet sequence number wrong"), pymysql.err.OperationalError()):
        assert mysql_kind(error) is DatabaseUnreachable


@pytest.mark.parametrize("kind", [peewee.ProgrammingError, peewee.DataError, peewee.NotSupportedError])
@pytest.mark.parametrize("code", [1064, 1366, 1235, 9999])
def test_a_programmers_mistake_is_none_of_these(code: int, kind: type[Exception]) -> None:
    assert mysql_kind(kind(code, "said")) is None
    assert sqlite_kind(kind("said")) is None


@pytest.mark.parametrize("code", [1052, 1093, 1136, 1241, 1305, 3819, 4025])
def test_a_wrong_statement_is_no_outage(code: int) -> None:
    assert mysql_kind(peewee.OperationalError(code, "said")) is None


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("database or disk is full", DatabaseUnreachable),
        ("disk I/O error", DatabaseUnreachable),
        ("locking protocol", DatabaseUnreachable),
        ("something nobody ever read", DatabaseUnreachable),
        ("database is locked", DatabaseBusy),
        ("attempt to write a readonly database", DatabaseMisconfigured),
        ("no such table: dca_assets", DatabaseMisconfigured),
        ('near "SELEC": syntax error', None),
        ("no such function: now", None),
    ],
)
def test_sqlite_says_it_in_words(said: str, kind: object) -> None:
    assert sqlite_kind(sqlite3.OperationalError(said)) is kind
    assert sqlite_kind(peewee.OperationalError(said)) is kind


@pytest.mark.parametrize(
    "statement", ["SELEC 1", "SELECT nothing_like_it()", "INSERT INTO dca_notes (name) VALUES (1, 2)"]
)
def test_a_wrong_statement_ends_the_program(door: Database, statement: str) -> None:
    with pytest.raises(peewee.DatabaseError), door.transaction():
        current.engine.execute_sql(statement)


NOW = datetime(2026, 9, 18, 10, tzinfo=timezone.utc)

# Servers.


STATEMENTS = ("--log-bin=bin", "--binlog-format=STATEMENT", "--server-id=7")


def test_a_statement_based_log_is_one_sentence() -> None:
    with MariaDB(options=STATEMENTS) as server:
        base = server.create_database()
        place = DatabaseSettings("mysql", socket=str(base.socket), user=base.user, name=base.name)
        with pytest.raises(DatabaseMisconfigured, match="set binlog_format=ROW"):
            migrate(place)
        server.execute("SET GLOBAL binlog_format = 'ROW'")
        migrate(place)
        server.execute("SET GLOBAL binlog_format = 'STATEMENT'")
        door = connect(place)
        try:
            assert any("binlog_format=ROW" in refusal for refusal in denied(door))
            with pytest.raises(DatabaseMisconfigured, match="binlog_format"), door.transaction():
                add_asset()
        finally:
            door.close_all()


def add_asset() -> None:
    Asset.insert(
        asset_symbol="BTC/USD",
        base_order_amount=20,
        safety_order_amount=20,
        max_safety_orders=5,
        safety_order_deviation=1,
        take_profit_percent=1,
        cooldown_period=60,
        buy_order_price_deviation_percent=1,
        created_at=NOW,
        updated_at=NOW,
    ).execute()


GUARDED = (
    "SET GLOBAL init_connect = 'SET sql_safe_updates = 1, sql_select_limit = 1, sql_big_selects = 0, max_join_size = 1'"
)


def test_a_server_that_guards_beginners_is_lived_with() -> None:
    """Its settings would refuse updates without a key, and cut lists off without a word."""
    with MariaDB() as server:
        base = server.create_database()
        server.execute(
            GUARDED, "CREATE USER plain@localhost", f"GRANT ALL ON `{base.name}`.* TO plain@localhost"
        )  # init_connect is not for administrators
        place = DatabaseSettings("mysql", socket=str(base.socket), user="plain", name=base.name)
        migrate(place)
        door = connect(place)
        try:
            with door.transaction():
                add_asset()
                current.engine.execute_sql(
                    "INSERT INTO dca_notes (name, text, written_at) VALUES ('a', 'b', NOW()), ('c', 'd', NOW())"
                )
                assert len(current.engine.execute_sql("SELECT name FROM dca_notes").fetchall()) >= 2
                current.engine.execute_sql("UPDATE dca_notes SET text = 'e'")
        finally:
            door.close_all()
