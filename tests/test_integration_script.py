"""`integration_test.py` itself: what it runs, refuses, cleans up and records. The simulator stands for the account."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from tests import servers
from tests.programs import (
    PATIENCE,
    ROOT,
    Books,
    alpaca_for_tests,
    environment,
    mariadb_books,
    running_daemon,
    sqlite_books,
    until,
)
from tests.simulator.test_recorded import differences, samples, story

SCRIPT = ROOT / "integration_test.py"


def start(folder: Path, variables: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", str(SCRIPT), *words],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder: Path, variables: dict[str, str], *words: str) -> tuple[int, str]:
    with start(folder, variables, *words) as process:
        told, _ = process.communicate(timeout=600)
    return process.returncode, told


@pytest.fixture
def account() -> Iterator[Simulator]:
    """An account that was there before, whose prices the script cannot command."""
    with alpaca_for_tests() as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        yield alpaca


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return sqlite_books(tmp_path)


@pytest.mark.slow
def test_all_scenarios_pass_on_its_own_simulator(tmp_path: Path) -> None:
    code, told = run(tmp_path, environment(tmp_path))
    assert code == 0, told
    assert "11 passed, 0 FAILED, 0 skipped" in told
    listed = run(tmp_path, environment(tmp_path), "--list")[1].splitlines()
    assert len(listed) == 11
    assert [p for p in Path("/tmp").glob("dcabot-integration-*") if p.name in told] == []


def test_on_an_account_it_runs_without_commanding_prices_and_leaves_all_clean(
    tmp_path: Path, account: Simulator, books: Books
) -> None:
    variables = environment(tmp_path, account.env(), books.environment)
    code, told = run(tmp_path, variables, "safety-order", "rejection", "partial-fill", "order-manager")
    assert code == 0, told
    assert "3 passed, 0 FAILED, 1 skipped" in told
    assert "skipped: partial fills come by chance" in told
    assert account.orders(status="open") == []
    assert account.positions() == []
    assert books.orders() == []
    assert books.execute("SELECT COUNT(*) FROM dca_assets") == [(0,)]
    for secret in (account.key, account.secret):
        assert secret not in told


def test_it_runs_on_a_given_mariadb(tmp_path: Path, database: servers.Database) -> None:
    code, told = run(tmp_path, environment(tmp_path, database.environment()), "take-profit", "kill")
    assert code == 0, told
    assert f"Database: mysql dcabot@{database.socket}/{database.name}" in told
    assert "2 passed, 0 FAILED" in told
    assert mariadb_books(database).execute("SELECT COUNT(*) FROM dca_cycles") == [(0,)]


def test_a_daemon_at_work_on_the_database_is_not_disturbed(tmp_path: Path, account: Simulator, books: Books) -> None:
    variables = environment(tmp_path, account.env(), books.environment)
    with running_daemon(tmp_path, variables, has_systemd=False) as daemon:
        daemon.until_said("ready:")
        code, told = run(tmp_path, variables, "rejection", "--yes")
        assert code == 75
        assert "a dcabot daemon works on it; stop it first" in told
        assert daemon.stop()[0] == 0


@pytest.mark.parametrize("url", ["https://api.alpaca.markets", "https://api.alpaca.markets/v2", "https://example.com"])
@pytest.mark.parametrize("keys", [True, False])
def test_a_live_url_is_refused(tmp_path: Path, url: str, keys: bool) -> None:
    given = {"APCA_API_KEY_ID": "AK", "APCA_API_SECRET_KEY": "geheim"} if keys else {}
    code, told = run(tmp_path, environment(tmp_path, given, APCA_API_BASE_URL=url), "base-order", "--yes")
    assert code == 78
    assert "is not a paper account; this test never goes near real money" in told
    assert "geheim" not in told


def test_what_an_account_holds_is_only_cleared_with_yes(tmp_path: Path, account: Simulator) -> None:
    variables = environment(tmp_path, account.env())
    account.foreign_order(symbol="BTC/USD", qty="0.01", side="buy", type="market", time_in_force="gtc")
    until(account.positions, "a position")
    code, told = run(tmp_path, variables, "rejection")
    assert code == 1
    assert "the account has 0 open orders of BTC/USD or of dcabot, and 0.009975 BTC/USD; --yes cancels and" in told
    assert account.positions()
    code, told = run(tmp_path, variables, "rejection", "--yes")
    assert code == 0, told
    assert not account.positions()


def test_orders_of_another_dcabot_are_only_cancelled_with_yes(tmp_path: Path, account: Simulator) -> None:
    account.set_quote("ETH/USD", "2000", "2001")
    account.foreign_order(
        symbol="ETH/USD", qty="0.1", side="buy", type="limit", limit_price="1000", time_in_force="gtc",
        client_order_id="dcabot-7-1795391700-base-1",
    )  # fmt: skip
    until(lambda: account.orders(status="open"), "the order")
    code, told = run(tmp_path, environment(tmp_path, account.env()), "order-manager")
    assert code == 1
    assert "the account has 1 open order of BTC/USD or of dcabot" in told
    assert account.orders(status="open")


def test_what_a_database_holds_is_only_deleted_with_yes(tmp_path: Path, books: Books) -> None:
    variables = environment(tmp_path, books.environment)
    books.add_asset()
    code, told = run(tmp_path, variables, "rejection")
    assert code == 1
    assert "holds 1 row; --yes deletes them" in told
    assert books.execute("SELECT COUNT(*) FROM dca_assets") == [(1,)]
    beside = {**variables, "DB_URL": "sqlite:///new.db"}
    assert run(tmp_path, beside, "rejection")[0] == 0
    assert books.execute("SELECT COUNT(*) FROM dca_assets") == [(1,)]
    assert run(tmp_path, variables, "rejection", "--yes")[0] == 0
    assert books.execute("SELECT COUNT(*) FROM dca_assets") == [(0,)]


def test_a_failure_is_told_counted_and_cleaned_up(tmp_path: Path, account: Simulator, books: Books) -> None:
    account.faults.reject_orders(times=1000)
    code, told = run(tmp_path, environment(tmp_path, account.env(), books.environment), "cancellation", "rejection")
    assert code == 1
    assert "FAILED: not true: " in told
    assert "1 passed, 1 FAILED" in told
    assert books.orders() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing_behind(
    tmp_path: Path, account: Simulator, books: Books, number: signal.Signals
) -> None:
    variables = environment(tmp_path, account.env(), books.environment)
    with start(tmp_path, variables, "base-order") as process:
        until(books.orders, "the base order's row")
        process.send_signal(number)
        told, _ = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 130, told
    assert "Cleaning up" in told
    assert "Traceback" not in told
    assert re.search(r"Summary\n  base-order +not finished\n  0 passed", told)
    assert books.orders() == []
    assert account.positions() == []
    assert account.orders(status="open") == []
    until(lambda: not daemons_in(tmp_path), "nothing of it to run")


def test_a_reader_who_goes_away_ends_it_and_all_is_clean(tmp_path: Path, account: Simulator, books: Books) -> None:
    variables = environment(tmp_path, account.env(), books.environment)
    with start(tmp_path, variables, "base-order") as process:
        assert process.stdout is not None
        until(account.positions, "the base order's coins")
        process.stdout.close()
        assert process.wait(2 * PATIENCE) == 130
    assert books.orders() == []
    assert account.positions() == []
    until(lambda: not daemons_in(tmp_path), "nothing of it to run")


@pytest.mark.parametrize(
    "said", ["Database:", r"\[1/2\]", "the daemon starts", r"\$ dcabot order-manager", "Cleaning up"]
)
def test_ctrl_c_at_any_moment_and_twice_leaves_nothing_behind(
    tmp_path: Path, account: Simulator, books: Books, said: str
) -> None:
    variables = environment(tmp_path, account.env(), books.environment)
    with start(tmp_path, variables, "cancellation", "base-order") as process:
        assert process.stdout is not None
        heard = ""
        while not re.search(said, heard):
            line = process.stdout.readline()
            assert line, heard
            heard += line
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        heard += process.communicate(timeout=2 * PATIENCE)[0]
    assert "Traceback" not in heard
    assert process.returncode == (0 if said == "Cleaning up" else 130), heard
    assert (books.orders(), account.positions(), account.orders(status="open")) == ([], [], [])
    until(lambda: not daemons_in(tmp_path), "nothing of it to run")


def test_after_kill_9_no_daemon_lives_and_what_is_left_needs_a_yes(
    tmp_path: Path, account: Simulator, books: Books
) -> None:
    variables = environment(tmp_path, account.env(), books.environment, TMPDIR=str(tmp_path))
    with start(tmp_path, variables, "base-order") as process:
        until(account.positions, "the base order's coins")
        process.kill()
    until(lambda: not daemons_in(tmp_path), "the daemon's end")
    assert "--yes deletes them" in run(tmp_path, variables, "rejection")[1]
    assert account.positions()
    assert run(tmp_path, variables, "rejection", "--yes")[0] == 0
    assert (books.orders(), account.positions()) == ([], [])


def daemons_in(folder: Path) -> list[str]:
    """Programs whose environment names this folder as home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"HOME={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("words", "given", "code", "said"),
    [
        (["tea"], {}, 2, "integration_test.py: no scenario tea"),
        (["--colour"], {}, 2, "integration_test.py: unrecognized arguments"),
        ([], {"DB_HOST": "localhost"}, 78, "DB_USER is not set"),
        ([], {"DB_URL": "mysql://me:geheim@127.0.0.1:9/books"}, 75, "mysql"),
        (
            [],
            {"APCA_API_KEY_ID": "a", "APCA_API_SECRET_KEY": "b", "APCA_API_BASE_URL": "http://127.0.0.1:9"},
            75,
            "Alpaca could",
        ),
        ([], {"DB_URL": "sqlite:////nonexistent/books.db"}, 78, "unable to open database file"),
    ],
)
def test_bad_surroundings_are_one_line(
    tmp_path: Path, words: list[str], given: dict[str, str], code: int, said: str
) -> None:
    returned, told = run(tmp_path, environment(tmp_path, given), *words)
    assert returned == code, told
    assert said in told
    assert code != 2 or len(told.splitlines()) == 1
    assert "Traceback" not in told
    assert "geheim" not in told


def test_keys_that_are_not_accepted_are_78(tmp_path: Path, account: Simulator) -> None:
    code, told = run(tmp_path, environment(tmp_path, account.env(), APCA_API_SECRET_KEY="wrong"))
    assert code == 78
    assert "does not accept the API keys" in told


def test_a_recording_has_the_replays_form_and_no_secret(tmp_path: Path, account: Simulator) -> None:
    folder = tmp_path / "recorded"
    code, told = run(tmp_path, environment(tmp_path, account.env()), "--record", str(folder), "order-manager")
    assert code == 0, told
    text = "".join(file.read_text() for file in folder.iterdir())
    theirs = account.account()
    for secret in (account.key, account.secret, theirs["id"], theirs["account_number"]):
        assert secret not in text
    records = [record for file in sorted(folder.glob("*.json")) for record in json.loads(file.read_text())]
    assert {record.get("method", record.get("stream")) for record in records} == {"GET", "POST", "trading", "data"}
    simulated: dict[str, list[object]] = {}
    for told_before in story():
        for name, sample in samples(told_before):
            simulated.setdefault(name, []).append(sample)
    names = set()
    for record in records:
        for name, sample in samples(record):
            names.add(name)
            closest = min((sorted(differences(sample, ours)) for ours in simulated[name]), key=len)
            assert not closest, (name, closest)
    assert {"order", "position", "account", "clock", "asset", "quotes", "trade_updates fill", "data q"} <= names
    assert sum(name.startswith("refusal") for name in names) >= 4


def test_it_can_be_started_from_anywhere_by_any_python(tmp_path: Path) -> None:
    variables = {**environment(tmp_path), "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--list"], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
    )
    assert re.match(r"base-order +the first buy", done.stdout)
    assert os.access(SCRIPT, os.X_OK)
