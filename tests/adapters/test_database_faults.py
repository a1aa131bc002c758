"""A MariaDB that dies, restarts, freezes, throws us out or forbids: what each looks like from inside a transaction."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pymysql
import pytest

from dcabot.adapters import database as database_module
from dcabot.adapters.database import (
    Database,
    DatabaseBusy,
    DatabaseMisconfigured,
    DatabaseUnreachable,
    Limits,
    connect,
)
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.adapters.schema import Asset, current
from tests.programs import PATIENCE, quickest, until
from tests.relay import Relay
from tests.servers import PASSWORD, MariaDB

LIMITS = Limits(connect=1, read=1, write=1)
PATIENT = Limits(connect=20, read=20, write=20)
names = itertools.count(1)


@pytest.fixture(scope="module")
def server(mariadb_server: MariaDB) -> Iterator[MariaDB]:
    """A server for this file, on a port; each test leaves it running. (The session's says whether there is one.)"""
    assert mariadb_server
    with MariaDB(tcp=True) as server:
        yield server


@pytest.fixture
def door(server: MariaDB) -> Iterator[Database]:
    place = server.create_database()
    migrate(_settings(server, place.name))
    database = connect(_settings(server, place.name), PATIENT)
    yield database
    database.close_all()


def _settings(server: MariaDB, name: str, user: str = "dcabot") -> DatabaseSettings:
    return DatabaseSettings("mysql", "127.0.0.1", server.port or 0, user=user, password=PASSWORD, name=name)


def add_asset() -> int:
    columns = dict.fromkeys((f.name for f in Asset._meta.sorted_fields if not f.null and not f.primary_key), 1)
    return int(Asset.insert(**(columns | {"asset_symbol": f"C{next(names)}/USD"})).execute())


def count_assets(door: Database) -> int:
    with door.transaction():
        return int(Asset.select().count())


def session_number() -> int:
    return int(current.engine.execute_sql("SELECT CONNECTION_ID()").fetchone()[0])


def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every session had idled for long."""
    monkeypatch.setattr(database_module, "IDLE_SECONDS", -1.0)


def test_an_idle_session_survives_a_restart_of_the_server(
    server: MariaDB, door: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle(monkeypatch)
    assert count_assets(door) == 0
    server.restart()
    assert count_assets(door) == 0


def test_a_session_thrown_out_while_it_idled_is_replaced(
    server: MariaDB, door: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle(monkeypatch)
    with door.transaction():
        number = session_number()
    server.execute(f"KILL {number}")
    with door.transaction():
        assert session_number() != number


def test_after_a_restart_a_busy_session_fails_once_and_then_works(server: MariaDB, door: Database) -> None:
    assert count_assets(door) == 0
    server.restart()
    with pytest.raises(DatabaseUnreachable):
        count_assets(door)
    assert count_assets(door) == 0


def test_a_session_killed_in_the_middle_writes_nothing(server: MariaDB, door: Database) -> None:
    with pytest.raises(DatabaseUnreachable), door.transaction():
        add_asset()
        server.execute(f"KILL {session_number()}")
        add_asset()
    assert count_assets(door) == 0


def test_a_session_killed_before_the_commit_says_so(server: MariaDB, door: Database) -> None:
    with pytest.raises(DatabaseUnreachable), door.transaction():
        add_asset()
        server.execute(f"KILL {session_number()}")
    assert count_assets(door) == 0


def test_a_swallowed_loss_is_not_committed_by_a_new_session(server: MariaDB, door: Database) -> None:
    with pytest.raises(DatabaseUnreachable), door.transaction():
        add_asset()
        server.execute(f"KILL {session_number()}")
        with pytest.raises(DatabaseUnreachable):
            add_asset()
        with pytest.raises(DatabaseUnreachable):
            add_asset()
    assert count_assets(door) == 0


def test_a_killed_query_is_busy_and_the_session_lives(server: MariaDB, door: Database) -> None:
    with door.transaction():
        number = session_number()
    killer = threading.Thread(target=kill_query, args=(server, number))
    killer.start()
    with pytest.raises(DatabaseBusy), door.transaction():
        current.engine.execute_sql("SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_10000 b WHERE a.seq %% b.seq = 7")
    killer.join()
    assert count_assets(door) == 0


def kill_query(server: MariaDB, session: int) -> None:
    """As soon as the server works on it."""
    with closing(pymysql.connect(unix_socket=str(server.socket), user="root")) as root, root.cursor() as cursor:
        at_work = "SELECT 1 FROM information_schema.processlist WHERE id = %s AND info LIKE '%%seq_1_to_10000 %%'"
        until(lambda: cursor.execute(at_work, (session,)), "the query")
        cursor.execute("KILL QUERY %s", (session,))


def test_a_frozen_server_is_unreachable_within_the_read_timeout(server: MariaDB, door: Database) -> None:
    hurried = connect(door.settings, LIMITS)

    def wait() -> float:
        assert count_assets(hurried) == 0
        server.freeze()
        try:
            return max(until_unreachable(hurried), until_unreachable(hurried))  # in the session, in a login
        finally:
            server.thaw()

    assert quickest(wait, 1.9) < 1.9
    assert count_assets(door) == 0
    hurried.close_all()


def test_a_frozen_server_is_unreachable_within_the_write_timeout(server: MariaDB, door: Database) -> None:
    """More than the socket takes: it is the writing that waits."""
    hurried = connect(door.settings, replace(LIMITS, read=60))
    try:
        with pytest.raises(DatabaseUnreachable), hurried.transaction():
            current.engine.execute_sql("SELECT 1")
            server.freeze()
            begun = time.monotonic()
            current.engine.execute_sql("SELECT %s", ("x" * 8_000_000,))
        assert time.monotonic() - begun < Limits().write
    finally:
        server.thaw()
        hurried.close_all()


def until_unreachable(door: Database) -> float:
    """The seconds until it is said."""
    begun = time.monotonic()
    with pytest.raises(DatabaseUnreachable):
        count_assets(door)
    return time.monotonic() - begun


def test_a_stopped_server_is_unreachable_at_once_and_found_again(server: MariaDB, door: Database) -> None:
    server.stop()
    try:
        with pytest.raises(DatabaseUnreachable, match=r"127\.0\.0\.1") as caught:
            count_assets(door)
        assert quickest(lambda: until_unreachable(door), 0.9) < 0.9
        assert PASSWORD not in repr(caught.value)
    finally:
        server.start()
    assert count_assets(door) == 0


def test_the_daemons_lock_tells_a_server_that_is_away_from_another_daemon(server: MariaDB, door: Database) -> None:
    assert door.hold_daemon_lock()
    server.stop()
    try:
        with pytest.raises(DatabaseUnreachable):
            door.hold_daemon_lock()
    finally:
        server.start()
    assert door.hold_daemon_lock()


def test_a_server_killed_while_we_write_loses_nothing_that_was_committed(server: MariaDB, door: Database) -> None:
    with door.transaction():
        add_asset()
    with pytest.raises(DatabaseUnreachable), door.transaction():
        add_asset()
        server.kill()
        server.start()
    assert count_assets(door) == 1


def test_close_all_wakes_a_thread_that_waits_for_the_server(server: MariaDB) -> None:
    door = connect(_settings(server, server.create_database().name), Limits(read=30))
    began, caught = threading.Event(), []

    def wait() -> None:
        try:
            with door.transaction():
                session_number()
                began.set()
                current.engine.execute_sql("SELECT SLEEP(30)")
        except DatabaseUnreachable as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert began.wait(PATIENCE)
    begun = time.monotonic()
    door.close_all()
    thread.join(PATIENCE)
    assert len(caught) == 1
    assert time.monotonic() - begun < 15  # half of its sleep


def test_a_server_that_takes_no_more_sessions_is_unreachable_and_not_misconfigured(server: MariaDB) -> None:
    name = server.create_database().name
    server.execute(f"CREATE USER single@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' WITH MAX_USER_CONNECTIONS 1")
    server.execute(f"GRANT ALL ON {name}.* TO single@'127.0.0.1'")
    first, second = (connect(_settings(server, name, "single"), PATIENT) for _ in range(2))
    first.ping()
    with pytest.raises(DatabaseUnreachable):
        second.ping()
    first.close_all()


def test_a_server_that_became_read_only_is_away_for_now(server: MariaDB) -> None:
    name = server.create_database().name
    server.execute(
        f"CREATE USER plain@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'", f"GRANT ALL ON {name}.* TO plain@'127.0.0.1'"
    )
    migrate(_settings(server, name, "plain"))
    door = connect(_settings(server, name, "plain"), PATIENT)
    server.execute("SET GLOBAL read_only = ON")
    try:
        with pytest.raises(DatabaseUnreachable, match=r"read.only"), door.transaction():
            add_asset()
    finally:
        server.execute("SET GLOBAL read_only = OFF")
    assert count_assets(door) == 0
    door.close_all()


def test_a_user_who_may_not_create_tables_is_told(server: MariaDB) -> None:
    name = server.create_database().name
    server.execute(
        f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'", f"GRANT SELECT ON {name}.* TO reader@'127.0.0.1'"
    )
    with pytest.raises(DatabaseMisconfigured, match="denied"):
        migrate(_settings(server, name, "reader"))


@pytest.mark.parametrize("resets", [False, True])
def test_a_session_that_a_nat_forgot_costs_a_moment(
    server: MariaDB, door: Database, monkeypatch: pytest.MonkeyPatch, resets: bool
) -> None:
    """Nobody answers on it, and nobody says so."""
    with Relay(("127.0.0.1", door.settings.port), resets) as relay:
        patient = connect(replace(door.settings, port=relay.port), Limits(read=3600))
        try:
            assert count_assets(patient) == 0
            relay.forget()
            idle(monkeypatch)
            begun = time.monotonic()
            assert count_assets(patient) == 0
            assert time.monotonic() - begun < Limits().read, "it waited for an answer"
        finally:
            patient.close_all()
    assert relay.connections == 2
