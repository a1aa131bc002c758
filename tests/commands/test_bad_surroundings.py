"""Every command of an operator in bad surroundings: one clear line, the documented exit code, nothing half done."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dcabot.commands import UNREAD
from tests import servers
from tests.commands.seat import Seat
from tests.privilege import OBEYING
from tests.programs import ROOT, Books, environment, mariadb_books, until

ADD = ("asset", "add", "ETH/USD", "--base-order-amount", "20", "--safety-order-amount", "20")
READ = [("status",), ("report",), ("asset", "list"), ("asset", "show", "BTC/USD"), ("cycle", "show", "BTC/USD")]
WRITE = [
    ADD,
    ("asset", "set", "BTC/USD", "--take-profit-percent", "2"),
    ("asset", "disable", "BTC/USD"),
    ("asset", "enable", "BTC/USD"),
    ("asset", "remove", "BTC/USD", "--yes"),
]
TRADE = [("cycle", "close", "BTC/USD", "--yes"), ("cycle", "release", "BTC/USD", "--yes")]
LEDGER = ("report", "--ledger")
EVERY = [*READ, LEDGER, *WRITE, *TRADE]
TABLES = ("dca_assets", "dca_cycles", "dca_orders")


def name(words: Sequence[str]) -> str:
    return "-".join(word.strip("-") for word in words[:2])


@pytest.fixture
def holding(seat: Seat) -> Seat:
    """One asset, whose cycle holds coins."""
    seat.books.add_asset()
    seat.trade("60000", "60010")
    return seat


def rows(seat: Seat) -> list[object]:
    return [seat.books.execute(f"SELECT * FROM {table}") for table in TABLES]


@pytest.mark.parametrize("words", EVERY, ids=name)
def test_a_database_that_is_away_is_75(seat: Seat, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("DB_URL", f"mysql://me:geheim@127.0.0.1:{servers.free_port()}/books")
    said = seat.run(*words)
    assert (said.code, said.out) == (75, "")
    assert "/books: Can't connect" in said.line
    assert "geheim" not in said.line


@pytest.mark.parametrize("words", EVERY, ids=name)
def test_a_database_without_tables_is_78_and_told_how_to_get_them(
    seat: Seat, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DB_URL", "sqlite:///nothing.db")
    said = seat.run(*words)
    assert (said.code, said.out) == (78, "")
    assert "`dcabot db init`" in said.line
    assert not Path("nothing.db").exists()


@pytest.mark.parametrize("words", [("db", "init"), *EVERY], ids=name)
@pytest.mark.parametrize(
    ("path", "why"),
    [("", "it is not a file"), ("/missing/x.db", "there is no folder"), ("/notes.txt", "not a database")],
)
def test_a_path_where_sqlite_can_have_no_file_is_78_and_told_why(
    seat: Seat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], path: str, why: str
) -> None:
    (tmp_path / "notes.txt").write_text("These are no books. " * 100)
    monkeypatch.setenv("DB_URL", f"sqlite:///{tmp_path}{path}")
    said = seat.run(*words)
    assert (said.code, said.out) == (78, "")
    assert why in said.line


@pytest.mark.parametrize("words", [("db", "init"), ("status",)], ids=name)
def test_a_sqlite_file_without_permission_is_78_and_told_why(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "books"
    folder.mkdir(0o555)
    done = subprocess.run(
        [*OBEYING, sys.executable, "-m", "dcabot", *words],
        env=environment(tmp_path, {"DB_URL": f"sqlite:///{folder}/x.db", "DCABOT_ENV_FILE": "/dev/null"}),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines() == [
        f"dcabot: sqlite {folder}/x.db: unable to open database file: permission denied in {folder}"
    ]


@pytest.mark.parametrize("words", WRITE, ids=name)
def test_who_may_only_read_the_books_changes_nothing(
    holding: Seat,
    database: servers.Database,
    mariadb_server: servers.MariaDB,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    books = only_reading(database, mariadb_server, monkeypatch)
    before = books.execute("SELECT * FROM dca_assets")
    said = holding.run(*words)
    assert said.code == 78, said
    assert "denied" in said.line
    assert books.execute("SELECT * FROM dca_assets") == before
    assert len(holding.alpaca.positions()) == 1


@pytest.mark.parametrize("words", [*READ[:4], LEDGER], ids=name)
def test_who_may_only_read_the_books_may_look(
    holding: Seat,
    database: servers.Database,
    mariadb_server: servers.MariaDB,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    only_reading(database, mariadb_server, monkeypatch)
    said = holding.run(*words)
    assert said.code == (1 if words == ("status",) else 0)  # the daemon never ran on it
    assert said.out and not said.err


def only_reading(database: servers.Database, server: servers.MariaDB, monkeypatch: pytest.MonkeyPatch) -> Books:
    books = mariadb_books(database)
    books.add_asset()
    server.execute(
        "CREATE OR REPLACE USER reader@localhost", f"GRANT SELECT ON `{database.name}`.* TO reader@localhost"
    )
    monkeypatch.delenv("DB_URL")
    for variable, value in {**database.environment(), "DB_USER": "reader"}.items():
        monkeypatch.setenv(variable, value)
    return books


@pytest.mark.parametrize("words", [LEDGER, *TRADE], ids=name)
@pytest.mark.parametrize(("secret", "code"), [("", 75), ("wrong", 78)])
def test_what_needs_the_exchange_does_nothing_without_it(
    holding: Seat, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], secret: str, code: int
) -> None:
    before = rows(holding)
    if secret:
        monkeypatch.setenv("APCA_API_SECRET_KEY", secret)
    else:
        monkeypatch.setenv("APCA_API_BASE_URL", f"http://127.0.0.1:{servers.free_port()}")
    said = holding.run(*words)
    assert (said.code, said.out) == (code, "")
    assert ("does not accept the API keys" if secret else "no connection") in said.line
    assert rows(holding) == before


@pytest.mark.parametrize("words", [*READ, ADD, *WRITE[1:4]], ids=name)
def test_what_can_do_without_the_exchange_does(
    holding: Seat, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("APCA_API_BASE_URL", f"http://127.0.0.1:{servers.free_port()}")
    said = holding.run(*words)
    assert said.code == (1 if words == ("status",) else 0)
    assert not said.err


BESIDE_THE_POINT = [
    (404, {"message": "endpoint not found."}),
    (403, "<html>blocked</html>"),
    (400, {"message": "invalid symbol"}),
    (422, None),
    (451, "<html>"),
    (301, ""),
    (200, "<html>Please log in to the hotel"),
    (200, {"quotes": [1]}),
]


@pytest.mark.parametrize(("status", "body"), BESIDE_THE_POINT)
def test_a_data_host_that_talks_nonsense_stops_no_command(holding: Seat, status: int, body: object) -> None:
    holding.alpaca.faults.respond(status, body, path="/latest/quotes", times=None)
    for words in (*READ, ADD, ("check",), *TRADE[1:]):
        said = holding.run(*words)
        assert said.code in (0, 1, 75), said
        assert "Traceback" not in said.err and "nobody expected" not in said.err
    assert "APCA_API_DATA_URL right?" in holding.run("check").out


@pytest.mark.parametrize("words", [*READ, ADD, ("check",), *TRADE, LEDGER, ("order-manager",)], ids=name)
@pytest.mark.parametrize(("status", "body"), BESIDE_THE_POINT)
def test_an_exchange_that_talks_nonsense_is_named(
    holding: Seat, words: tuple[str, ...], status: int, body: object
) -> None:
    holding.alpaca.faults.respond(status, body, times=None)
    said = holding.run(*words)
    assert said.code in (0, 1, 75), said
    assert "Traceback" not in said.err and "nobody expected" not in said.err


@pytest.mark.parametrize("words", EVERY, ids=name)
def test_no_settings_at_all_is_78_and_names_them(
    seat: Seat, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    for variable in (*seat.alpaca.env(), *seat.books.environment):
        monkeypatch.delenv(variable)
    said = seat.run(*words)
    assert (said.code, said.out) == (78, "")
    lines = said.err.splitlines()
    assert all(line.startswith("dcabot: ") and " is not set" in line for line in lines)
    assert any("DB_NAME" in line for line in lines)


@pytest.mark.parametrize(
    "words", [("asset", "show"), ("asset", "remove", "--yes"), ("cycle", "show"), ("report", "--asset")]
)
@pytest.mark.parametrize("symbol", ["DOGE/USD", "doge/usd"])
def test_an_unknown_asset_is_1(holding: Seat, words: tuple[str, ...], symbol: str) -> None:
    before = rows(holding)
    said = holding.run(*words, symbol)
    assert said.code == 1
    assert "there is no asset DOGE/USD" in said.line
    assert rows(holding) == before


def test_the_settings_file_may_be_named_anywhere(seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.env"
    file.write_text(f'DB_URL="{os.environ["DB_URL"]}"\n')
    monkeypatch.delenv("DB_URL")
    for command, *words in (("asset", "list"), ("db", "init"), ("cycle", "show", "1")):
        expected = 1 if command == "cycle" else 0  # there is no cycle 1
        assert seat.run(command, "--env-file", str(file), *words).code == expected
        assert seat.run(command, *words, "--env-file", str(file)).code == expected
        assert seat.run(command, *words).code == 78


@pytest.mark.parametrize("which", ["", "-5", "0x1", "5.5", "1,5", "nan", "1e400", "BTC", "٣", "9999999999"])
@pytest.mark.parametrize("action", ["show", "close", "release", "adopt"])
def test_a_cycle_is_a_number_or_a_pair_and_anything_else_wrong_usage(seat: Seat, action: str, which: str) -> None:
    said = seat.run("cycle", action, which)
    assert (said.code, said.out) == (2, "")
    assert f"{which!r} is n" in said.line  # neither a number nor a pair; no pair


@pytest.mark.parametrize("words", [*READ, LEDGER, ADD, ("check",), ("asset", "--help"), ("--help",)], ids=name)
def test_a_reader_who_has_gone_is_no_traceback(holding: Seat, tmp_path: Path, words: tuple[str, ...]) -> None:
    variables = environment(tmp_path, holding.alpaca.env(), holding.books.environment)
    with subprocess.Popen(
        [sys.executable, "-m", "dcabot", *words],
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (UNREAD, "")


@pytest.mark.parametrize("words", [ADD, WRITE[1], LEDGER, ("check",), ("status",)], ids=name)
def test_ctrl_c_while_the_exchange_is_silent_leaves_the_books_as_they_were(
    holding: Seat, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = rows(holding)
    asked = len(holding.alpaca.journal.entries("request"))
    holding.alpaca.faults.delay_response(60, "GET")
    variables = environment(tmp_path, holding.alpaca.env(), holding.books.environment)
    with subprocess.Popen(
        [sys.executable, "-m", "dcabot", *words],
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: len(holding.alpaca.journal.entries("request")) > asked, "a question")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        told = process.stderr.read()
    assert (process.returncode, told) == (130, "")
    assert rows(holding) == before
