"""One daemon for a database: the second is refused, and the lock ends with the process that held it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dcabot.adapters import engines
from dcabot.adapters.database import Database, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.adapters.schema import current
from tests import servers
from tests.programs import PATIENCE, until

HOLDER = """
import sys, time
from dcabot.adapters.database import connect
from dcabot.adapters.dburl import DatabaseSettings
database = connect(DatabaseSettings(**eval(sys.argv[1])))
print(database.hold_daemon_lock(), flush=True)
time.sleep(60)
"""


def arguments(settings: DatabaseSettings) -> dict[str, str]:
    names = ("engine", "socket", "user", "name", "path")
    return {name: getattr(settings, name) for name in names}


def taken_within(door: Database, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not door.hold_daemon_lock():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_second_daemon_is_refused_until_the_first_lets_go(door: Database) -> None:
    other = connect(door.settings)
    assert door.hold_daemon_lock()
    assert door.hold_daemon_lock()
    assert not other.hold_daemon_lock()
    door.release_daemon_lock()
    assert taken_within(other, PATIENCE)
    assert not door.hold_daemon_lock()
    other.close_all()
    assert taken_within(door, PATIENCE)


def test_the_lock_is_free_when_its_process_is_killed(door: Database) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, repr(arguments(door.settings))],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not door.hold_daemon_lock()
        holder.send_signal(signal.SIGKILL)
        assert taken_within(door, PATIENCE)
    finally:
        holder.kill()
        holder.communicate()


def test_two_databases_have_two_daemons(door: Database, tmp_path: Path) -> None:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "other.db"))
    migrate(settings)
    other = connect(settings)
    assert door.hold_daemon_lock()
    assert other.hold_daemon_lock()
    other.close_all()


def test_two_databases_of_one_server_have_two_daemons(mariadb_server: servers.MariaDB) -> None:
    long = "a" * 60
    places = [mariadb_server.create_database(name) for name in (f"{long}_1", f"{long}_2")]
    doors = [connect(DatabaseSettings("mysql", socket=str(p.socket), user=p.user, name=p.name)) for p in places]
    try:
        assert [door.hold_daemon_lock() for door in doors] == [True, True]
        assert not connect(doors[0].settings).hold_daemon_lock()
    finally:
        for door, place in zip(doors, places, strict=True):
            door.close_all()
            mariadb_server.drop_database(place)


def test_a_lock_that_the_server_lost_is_taken_again(
    mysql_settings: DatabaseSettings, mariadb_server: servers.MariaDB
) -> None:
    door = connect(mysql_settings)
    assert door.hold_daemon_lock()
    mariadb_server.execute(f"KILL {lock_session(door)}")
    until(lambda: lock_session(door) is None, "the server to notice")
    assert door.hold_daemon_lock()
    door.close_all()


def test_a_lock_that_another_took_meanwhile_is_not_ours(
    mysql_settings: DatabaseSettings, mariadb_server: servers.MariaDB
) -> None:
    door, other = connect(mysql_settings), connect(mysql_settings)
    assert door.hold_daemon_lock()
    mariadb_server.execute(f"KILL {lock_session(door)}")
    assert taken_within(other, PATIENCE)
    assert not door.hold_daemon_lock()
    door.close_all()
    other.close_all()


def test_the_server_frees_the_lock_of_a_daemon_that_fell_silent(
    mysql_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LOCK_LAPSE_SECONDS", 3)
    door, other = connect(mysql_settings), connect(mysql_settings)
    assert door.hold_daemon_lock()
    assert not other.hold_daemon_lock()
    assert taken_within(other, PATIENCE)
    door.close_all()
    other.close_all()


def test_a_deleted_lock_file_is_no_lock(tmp_path: Path) -> None:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db"))
    door, other = connect(settings), connect(settings)
    assert door.hold_daemon_lock()
    Path(f"{settings.path}.lock").unlink()
    assert other.hold_daemon_lock()
    assert not door.hold_daemon_lock()
    door.close_all()
    other.close_all()


def lock_session(door: Database) -> int | None:
    """The server's number of the session that holds the lock."""
    with door.transaction():
        question = current.engine.execute_sql("SELECT IS_USED_LOCK(%s)", (f"dcabot:{door.settings.name}",))
        (number,) = question.fetchone()
        return None if number is None else int(number)
