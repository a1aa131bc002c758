"""`dcabot check`: what it finds, what it says to do, and the exit code."""

import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from dcabot.__main__ import main
from dcabot.adapters import schema
from tests import servers
from tests.commands.seat import Said, Seat, utc_now
from tests.programs import ROOT, mariadb_books, until

SINK = ROOT / "tests" / "packaging" / "mail_sink.py"


def check(seat: Seat, *words: str) -> Said:
    """`dcabot check`; whatever is wrong has a remedy on the next line."""
    said = seat.run("check", *words)
    told = said.out.splitlines()
    for number, line in enumerate(told[:-1]):
        if line.startswith(("FAILED", "warning")):
            assert told[number + 1].lstrip().startswith("-> "), line
    return said


def lines(said: Said, verdict: str) -> list[str]:
    """The lines with this verdict, without it."""
    return [line[9:] for line in said.out.splitlines() if line.startswith(verdict)]


def names(said: Said, verdict: str) -> set[str]:
    return {line.split()[0] for line in lines(said, verdict)}


@pytest.fixture
def ready(seat: Seat) -> Seat:
    seat.books.add_asset()
    return seat


def test_all_is_well(ready: Seat) -> None:
    said = check(ready)
    assert said.code == 0, said.out
    assert names(said, "ok") >= {
        "settings", "venue", "keys", "account", "clock", "prices", "database", "schema", "rights", "asset", "funds"
    }  # fmt: skip
    assert lines(said, "FAILED") == []
    assert "SIMULATOR (no real money)" in said.out
    assert said.out.splitlines()[-1].startswith("Healthy")


def test_each_missing_setting_is_a_line_and_the_rest_is_still_looked_at(
    ready: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APCA_API_KEY_ID")
    monkeypatch.setenv("DCABOT_STALE_ORDER_SECONDS", "nan")
    said = check(ready)
    assert said.code == 78
    assert len(lines(said, "FAILED")) == 2
    assert "APCA_API_KEY_ID is not set" in said.out
    assert "DCABOT_STALE_ORDER_SECONDS must be a whole number" in said.out
    assert {"keys", "account", "clock", "funds"} <= names(said, "skipped")
    assert {"database", "schema", "rights", "asset"} <= names(said, "ok")


@pytest.mark.parametrize(("mode", "code"), [(0o600, 0), (0o640, 0), (0o644, 78), (0o604, 78)])
def test_an_environment_file_that_others_can_read_is_a_fault(ready: Seat, tmp_path: Path, mode: int, code: int) -> None:
    file = tmp_path / "mine.env"
    file.write_text("DCABOT_ORPHAN_ORDERS=own\n")
    file.chmod(mode)
    said = check(ready, "--env-file", str(file))
    assert said.code == code
    assert (f"chmod 600 {file}" in said.out) is bool(code)


def test_an_environment_file_that_is_not_there_is_named(ready: Seat, tmp_path: Path) -> None:
    said = check(ready, "--env-file", str(tmp_path / "nowhere.env"))
    assert said.code == 78
    assert "nowhere.env does not exist" in said.out


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://api.alpaca.markets", "LIVE (REAL MONEY): https://api.alpaca.markets"),
        ("https://paper-api.alpaca.markets", "PAPER (no real money): https://paper-api.alpaca.markets"),
    ],
)
def test_paper_or_live_is_said(ready: Seat, monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    monkeypatch.setenv("APCA_API_BASE_URL", url)
    monkeypatch.delenv("APCA_API_KEY_ID")  # so that nobody is asked
    assert words in check(ready).out


def test_a_misspelt_name_is_noticed(ready: Seat, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DB_PASWORD=geheim\nPATH=/bin\n")
    file.chmod(0o600)
    said = check(ready)
    assert said.code == 0
    assert "DB_PASWORD is set and means nothing" in said.out
    assert "geheim" not in said.out


def test_no_secret_is_shown(ready: Seat) -> None:
    said = check(ready)
    assert ready.alpaca.secret not in said.out + said.err
    assert ready.alpaca.key not in said.out + said.err


def test_keys_that_are_not_accepted_are_a_matter_of_configuration(ready: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APCA_API_SECRET_KEY", "wrong")
    said = check(ready)
    assert said.code == 78
    assert names(said, "FAILED") == {"keys"}
    assert "take the key and the secret that belong to" in said.out
    assert {"account", "clock", "prices", "funds"} <= names(said, "skipped")


def test_an_exchange_that_is_away_is_75(ready: Seat) -> None:
    ready.alpaca.faults.refuse_connections()
    try:
        said = check(ready)
    finally:
        ready.alpaca.faults.refuse_connections(False)
    assert said.code == 75
    assert names(said, "FAILED") == {"keys"}
    assert {"database", "schema", "asset"} <= names(said, "ok")


def test_a_clock_that_is_off_is_told(ready: Seat) -> None:
    ready.alpaca.faults.respond(200, {"timestamp": "2026-01-01T00:00:00Z"}, "GET", "/v2/clock")
    said = check(ready)
    assert said.code == 78
    assert names(said, "FAILED") == {"clock"}
    assert "ahead of Alpaca" in said.out
    assert "timedatectl set-ntp true" in said.out


def test_a_clock_a_little_off_is_a_warning(ready: Seat) -> None:
    at = utc_now() + timedelta(seconds=15)
    ready.alpaca.faults.respond(200, {"timestamp": at.isoformat()}, "GET", "/v2/clock")
    said = check(ready)
    assert said.code == 0
    assert any("s behind Alpaca" in line for line in lines(said, "warning"))


def test_prices_that_stand_still_or_are_missing_are_told(ready: Seat) -> None:
    old = {"t": "2026-01-01T00:00:00Z", "bp": 60000, "ap": 60010, "bs": 1, "as": 1}
    for quotes, words in (({"BTC/USD": old}, " d "), ({}, "has no quote of BTC/USD")):
        ready.alpaca.faults.respond(200, {"quotes": quotes}, "GET", "/v1beta3/crypto/us/latest/quotes")
        (line,) = [line for line in lines(check(ready), "warning") if line.startswith("prices")]
        assert words in line


@pytest.mark.parametrize("status", ["ACCOUNT_CLOSED", "SUBMITTED"])
def test_an_account_that_is_not_active_is_told(ready: Seat, status: str) -> None:
    ready.alpaca.faults.respond(200, {**ready.alpaca.account(), "status": status}, "GET", "/v2/account")
    said = check(ready)
    assert said.code == 78
    assert names(said, "FAILED") == {"account"}
    assert status in said.out


def test_an_account_that_may_not_trade_is_told(ready: Seat) -> None:
    account = {**ready.alpaca.account(), "crypto_status": "INACTIVE"}
    ready.alpaca.faults.respond(200, account, "GET", "/v2/account")
    said = check(ready)
    assert said.code == 78
    assert "crypto status is INACTIVE" in said.out


def test_ladders_that_the_account_cannot_pay_are_a_warning(ready: Seat) -> None:
    ready.books.add_asset("ETH/USD", base_order_amount="9000", safety_order_amount="9000")
    said = check(ready)
    assert said.code == 0
    assert "the buys to come can cost 54,120.00 USD, the account has 10,000.00" in said.out


def test_what_is_bought_already_is_not_counted_again(ready: Seat) -> None:
    ready.trade("60000", "60010")
    assert "the buys to come can cost 100.00 USD" in check(ready).out


def test_no_database_is_one_failed_line_and_the_rest_goes_on(
    seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_URL", f"mysql://me:geheim@127.0.0.1:{servers.free_port()}/books")
    said = check(seat)
    assert said.code == 75
    assert names(said, "FAILED") == {"database"}
    assert {"keys", "account", "clock", "prices"} <= names(said, "ok")
    assert "geheim" not in said.out


def test_a_login_that_fails_names_the_password(
    ready: Seat, server: servers.MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DB_URL")
    for variable, value in {**server.create_database().environment(), "DB_PASSWORD": "not-it"}.items():
        monkeypatch.setenv(variable, value)
    said = check(ready)
    assert said.code == 78
    assert "Access denied" in said.out and "is DB_PASSWORD (or DB_USER) right?" in said.out
    assert "not-it" not in said.out


def test_a_database_without_tables_is_told_how_to_get_them(
    seat: Seat, database: servers.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(database, monkeypatch)
    said = check(seat)
    assert said.code == 78
    assert names(said, "FAILED") == {"schema"}
    assert "-> dcabot db init" in said.out


def test_a_user_without_the_rights_is_told_which(
    seat: Seat, database: servers.Database, mariadb_server: servers.MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    mariadb_books(database)
    mariadb_server.execute(
        "CREATE OR REPLACE USER reader@localhost",
        f"GRANT SELECT, INSERT ON `{database.name}`.* TO reader@localhost",
    )
    use(database, monkeypatch)
    monkeypatch.setenv("DB_USER", "reader")
    said = check(seat)
    assert said.code == 78
    assert names(said, "FAILED") == {"rights"}
    assert len(lines(said, "FAILED")) == len(schema.MODELS)
    assert "UPDATE command denied" in said.out


def test_the_rights_are_tried_without_a_trace(
    seat: Seat, database: servers.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = mariadb_books(database)
    use(database, monkeypatch)
    assert check(seat).code == 0
    names = ("assets", "cycles", "orders", "daemon", "notes", "troubles")
    for table in (f"dca_{name}" for name in names):
        assert books.execute(f"SELECT COUNT(*) FROM {table}") == [(0,)]
    books.add_asset()
    assert books.execute("SELECT id FROM dca_assets") == [(1,)]


def use(database: servers.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB_URL")
    for name, value in database.environment().items():
        monkeypatch.setenv(name, value)


def test_each_asset_that_cannot_work_is_named_and_the_others_are_well(ready: Seat) -> None:
    ready.books.add_asset("ETH/USD", take_profit_percent="0.1", base_order_amount="5")
    ready.books.add_asset("FOO/USD")
    ready.books.add_asset("BAR/USD", is_enabled=0)
    said = check(ready)
    assert said.code == 78
    failures = lines(said, "FAILED")
    assert len(failures) == 2
    assert "base_order_amount 5 is below" in failures[0]
    assert "take_profit_percent 0.1 does not cover" in failures[0]
    assert "Alpaca does not know this crypto pair" in failures[1]
    assert any("BAR/USD is disabled" in line for line in lines(said, "warning"))
    assert any("BTC/USD can trade" in line for line in lines(said, "ok"))


def test_a_cycle_that_cannot_be_read_is_named(ready: Seat) -> None:
    ready.trader.recover()
    ready.books.execute("UPDATE dca_cycles SET status = 'dreaming'")
    said = check(ready)
    assert said.code == 1
    assert "unknown status 'dreaming'" in said.out


def test_units_are_asked_of_systemd(ready: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemctl as a script that answers as `systemctl show` does; the real one is asked in tests/packaging."""
    answers = {
        "dcabot.service": "loaded active enabled",
        "dcabot-order-manager.timer": "loaded inactive disabled",
        "dcabot-cooldown-manager.timer": "loaded active disabled",
        "dcabot-consistency-checker.timer": "not-found inactive ",
        "dcabot-order-manager.service": "loaded failed static",
    }
    cases = "".join(
        f"{name}) printf 'LoadState=%s\\nActiveState=%s\\nUnitFileState=%s\\n' {states};;\n"
        for name, states in answers.items()
    )
    program = tmp_path / "systemctl"
    asked = tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho $2 >>{asked}\ncase $2 in\n{cases}esac\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("dcabot.commands.checks.SYSTEMD", tmp_path)
    said = check(ready)
    assert said.code == 1
    assert lines(said, "FAILED") == ["unit        dcabot-order-manager.service failed at its last run"]
    assert "dcabot.service is active, enabled" in said.out
    assert "-> systemctl enable --now dcabot-order-manager.timer" in said.out
    assert "will not come back after a reboot" in said.out
    assert "dcabot-consistency-checker.timer is not installed: not-found" in said.out
    shipped = {file.name for file in (ROOT / "systemd").iterdir() if file.suffix == ".timer"}
    assert {name for name in asked.read_text().split() if name.endswith(".timer")} == shipped


def test_a_test_mail_arrives(ready: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = servers.free_port()
    for name, value in {"SENDER": "a@b.example", "RECEIVER": "c@d.example", "SMTP_SERVER": "127.0.0.1"}.items():
        monkeypatch.setenv(f"ALERT_EMAIL_{name}", value)
    monkeypatch.setenv("ALERT_EMAIL_SMTP_PORT", str(port))
    with subprocess.Popen([sys.executable, str(SINK), str(port), str(tmp_path / "mails")]) as sink:
        until(lambda: listens(port), "the mail server")
        said = check(ready, "--send-mail")
        sink.kill()
    assert said.code == 0, said.out
    assert f"a test mail to c@d.example was accepted by 127.0.0.1:{port}" in said.out
    (mail,) = (tmp_path / "mails").glob("*.eml")
    assert "a test of its alerts" in mail.read_text()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_mail_is_sent_only_when_asked(ready: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    port = servers.free_port()
    for name, value in {"SENDER": "a@b.example", "RECEIVER": "c@d.example", "SMTP_SERVER": "127.0.0.1"}.items():
        monkeypatch.setenv(f"ALERT_EMAIL_{name}", value)
    monkeypatch.setenv("ALERT_EMAIL_SMTP_PORT", str(port))
    assert "not tried, --send-mail tries it" in check(ready).out
    said = check(ready, "--send-mail")
    assert said.code == 75
    assert names(said, "FAILED") == {"mail"}


def test_nothing_at_all_is_told_in_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("APCA_API_KEY_ID", "DB_URL", "DB_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert main(["check"]) == 78
    out = capsys.readouterr().out
    assert "APCA_API_KEY_ID is not set" in out
    assert "DB_NAME is not set" in out
