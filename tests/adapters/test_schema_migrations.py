"""Migrations from nothing, repeated, at once, interrupted, onto tables made by hand, and newer than the program."""

import re
import threading
from pathlib import Path

import pytest

from dcabot.adapters.database import Database, DatabaseMisconfigured, DatabaseUnreachable, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.engines import Limits
from dcabot.adapters.migrations import CHANGE_SECONDS, _session, migrate, pending, schema_version, statements
from dcabot.adapters.schema import current
from dcabot.commands.db import main
from tests import servers

ALL = ["0001_brief_tables", "0002_orders", "0003_daemon", "0004_account", "0005_cycle_version", "0006_second_edition"]
TABLES = {"dca_assets", "dca_cycles", "dca_orders", "dca_daemon", "dca_notes", "dca_migrations"}
TABLES |= {"dca_troubles"}
SQL_FOLDER = Path(__file__).parents[2] / "sql"


def scripts(engine: str) -> list[str]:
    """The statements of all migrations, in order."""
    files = sorted((SQL_FOLDER / engine).glob("*.sql"))
    return [statement for file in files for statement in statements(file.read_text(encoding="utf-8"))]


def run(database: Database, *lines: str) -> None:
    """Each statement as a client would send it, in a transaction."""
    with database.transaction():
        for line in lines:
            current.engine.execute_sql(line.replace("%", "%%") if database.settings.engine == "mysql" else line)


def tables(database: Database) -> set[str]:
    with database.transaction():
        return {name for name in current.engine.get_tables() if name.startswith("dca_")}


def test_from_nothing_to_the_whole_schema_and_again(settings: DatabaseSettings) -> None:
    assert migrate(settings) == ALL
    assert migrate(settings) == []
    database = connect(settings)
    assert tables(database) == TABLES
    database.close()


def test_pending_and_version_tell_how_far_the_schema_is(settings: DatabaseSettings) -> None:
    connect(settings, create=True).ping()
    assert pending(settings) == ALL
    assert schema_version(settings) == ""
    migrate(settings)
    assert pending(settings) == []
    assert schema_version(settings) == ALL[-1]


def test_looking_changes_nothing(settings: DatabaseSettings) -> None:
    database = connect(settings, create=True)
    database.ping()
    pending(settings)
    schema_version(settings)
    assert tables(database) == set()
    database.close()


def test_two_at_once_apply_each_migration_once(settings: DatabaseSettings) -> None:
    applied: list[str] = []
    start = threading.Barrier(4)

    def init() -> None:
        start.wait()
        applied.extend(migrate(settings))

    threads = [threading.Thread(target=init) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(applied) == ALL


@pytest.mark.parametrize("done", range(1, 4))
def test_a_run_that_was_killed_after_any_statement_is_finished_by_the_next(
    mysql_settings: DatabaseSettings, done: int
) -> None:
    # MariaDB commits each CREATE by itself; SQLite's run is one transaction and leaves nothing behind.
    database = connect(mysql_settings)
    run(database, *scripts("mysql")[:done])
    assert migrate(mysql_settings) == ALL
    assert tables(database) == TABLES
    database.close()


def test_tables_made_by_hand_as_the_brief_tells_are_kept_with_their_rows(mysql_settings: DatabaseSettings) -> None:
    database = connect(mysql_settings)
    run(
        database,
        *scripts("mysql")[:2],
        "INSERT INTO dca_assets (asset_symbol, base_order_amount, safety_order_amount, max_safety_orders,"
        " safety_order_deviation, take_profit_percent, cooldown_period, buy_order_price_deviation_percent)"
        " VALUES ('BTC/USD', 20, 20, 5, 1.5, 1, 300, 2)",
    )
    migrate(mysql_settings)
    with database.transaction():
        rows = current.engine.execute_sql("SELECT asset_symbol, take_profit_percent FROM dca_assets").fetchall()
    assert [(symbol, str(percent)) for symbol, percent in rows] == [("BTC/USD", "1.0000")]
    database.close()


def test_a_table_of_that_name_which_is_another_is_named_with_what_it_lacks(mysql_settings: DatabaseSettings) -> None:
    database = connect(mysql_settings)
    run(database, "CREATE TABLE dca_assets (id INT AUTO_INCREMENT PRIMARY KEY, asset_symbol VARCHAR(25)) ENGINE=InnoDB")
    with pytest.raises(DatabaseMisconfigured, match=r"dca_assets was there already .* base_order_amount"):
        migrate(mysql_settings)
    database.close()


def test_a_schema_newer_than_the_program_is_said_and_left_alone(settings: DatabaseSettings) -> None:
    migrate(settings)
    database = connect(settings)
    run(database, "INSERT INTO dca_migrations (name) VALUES ('9999_from_the_future')")
    for ask in (pending, migrate):
        with pytest.raises(DatabaseMisconfigured, match="newer than this program, which does not know 9999_from"):
            ask(settings)
    database.close()


def test_a_failing_migration_leaves_sqlite_as_it_was(tmp_path: Path) -> None:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db"))
    database = connect(settings, create=True)
    run(database, "CREATE TABLE dca_orders (id INTEGER PRIMARY KEY)")
    with pytest.raises(Exception, match="already exists"):
        migrate(settings)
    assert tables(database) == {"dca_orders"}
    database.close()


def test_a_script_is_split_where_its_statements_end() -> None:
    script = "-- it's; a comment\nCREATE TABLE a (\n  b TEXT DEFAULT ';' -- no; end\n);\n\nDROP TABLE a;\n"
    assert [re.sub(r"\s+", " ", statement) for statement in statements(script)] == [
        "-- it's; a comment CREATE TABLE a ( b TEXT DEFAULT ';' -- no; end );",
        "DROP TABLE a;",
    ]
    with pytest.raises(ValueError, match="unfinished"):
        list(statements("CREATE TABLE a (\n"))


def test_db_init_says_what_it_did(
    settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert main(["init"]) == 0
    assert f"applied {', '.join(ALL)}" in capsys.readouterr().out
    assert main(["init"]) == 0
    assert "up to date" in capsys.readouterr().out


def environment(settings: DatabaseSettings) -> dict[str, str]:
    if settings.engine == "sqlite":
        return {"DB_URL": f"sqlite:///{settings.path}"}
    return {"DB_SOCKET": settings.socket, "DB_USER": settings.user, "DB_NAME": settings.name}


def test_db_without_an_action_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "action" in capsys.readouterr().err


def test_db_init_tells_a_server_that_is_not_there_from_a_wrong_name(
    monkeypatch: pytest.MonkeyPatch, database: servers.Database
) -> None:
    monkeypatch.setenv("DB_URL", f"mysql://dcabot:secret@127.0.0.1:{servers.free_port()}/dcabot")
    with pytest.raises(DatabaseUnreachable):
        main(["init"])
    monkeypatch.setenv("DB_URL", "sqlite:////no/such/folder/dcabot.db")
    with pytest.raises(
        DatabaseMisconfigured,
        match=r"unable to open database file: there is no folder /no/such/folder$",
    ):
        main(["init"])
    monkeypatch.setenv("DB_URL", f"mysql://dcabot@/nothing_here?socket={database.socket}")
    with pytest.raises(DatabaseMisconfigured, match="nothing_here"):
        main(["init"])


def test_cycles_from_before_the_pair_was_written_down_get_it(settings: DatabaseSettings) -> None:
    database = connect(settings, create=True)
    database.ping()
    names = sorted(file for file in (SQL_FOLDER / settings.engine).glob("*.sql"))[:3]
    run(database, *(one for file in names for one in statements(file.read_text(encoding="utf-8"))))
    run(
        database,
        "CREATE TABLE dca_migrations (name VARCHAR(100) NOT NULL PRIMARY KEY,"
        " applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
        *(f"INSERT INTO dca_migrations (name) VALUES ('{file.stem}')" for file in names),
        "INSERT INTO dca_assets (asset_symbol, base_order_amount, safety_order_amount, max_safety_orders,"
        " safety_order_deviation, take_profit_percent, cooldown_period, buy_order_price_deviation_percent)"
        " VALUES ('BTC/USD', '20', '20', 5, '1.5', '1', 300, '2')",
        "INSERT INTO dca_cycles (asset_id, status, updated_at) VALUES (1, 'watching', '2026-01-02 03:04:05')",
    )
    assert migrate(settings) == ALL[3:]
    with database.transaction():
        ((symbol, written),) = current.engine.execute_sql("SELECT symbol, updated_at FROM dca_cycles").fetchall()
    assert (symbol, str(written)) == ("BTC/USD", "2026-01-02 03:04:05")
    database.close()


def test_a_look_is_as_impatient_as_any_question_and_a_change_is_not(mysql_settings: DatabaseSettings) -> None:
    """A server that freezes behind the login would hold up `check` and every start for ten minutes."""
    for settings, seconds in (({}, Limits().read), ({"read_seconds": CHANGE_SECONDS}, CHANGE_SECONDS)):
        with _session(mysql_settings, **settings) as (_, session):
            assert session._read_timeout == seconds
