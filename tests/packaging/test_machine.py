"""The package on a booted Debian: one story, told in order; each test goes on where the one before it stopped.

`./test --packaging`, as root: some minutes. DCABOT_DEB names a package that is built already.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from tests.packaging import machine as machines
from tests.packaging.machine import Machine, until

ROOT = Path(__file__).parents[2]
SUITE = os.environ.get("DCABOT_SUITE", "bookworm")
CARETAKERS = ("order-manager", "cooldown-manager", "consistency-checker")
ENV = "/etc/dcabot/dcabot.env"
SMTP_SECRET = "secret-of-the-mail-server"
WATCHDOG_SECONDS = 30

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deb(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package: the one that DCABOT_DEB names, or one built now from what is committed."""
    if not pytestconfig.getoption("--packaging"):
        pytest.skip("takes a quarter of an hour: ./test --packaging")
    if reason := machines.missing():
        pytest.skip(reason)
    if given := os.environ.get("DCABOT_DEB"):
        return Path(given)
    made = tmp_path_factory.mktemp("deb") / "dcabot.deb"
    subprocess.run([ROOT / "packaging/build-deb", "--suite", SUITE, "--no-lintian", "--output", made], check=True)
    return made


@pytest.fixture(scope="module")
def machine(deb: Path) -> Iterator[Machine]:
    with Machine(SUITE) as made:
        (made.root / "root/dcabot.deb").write_bytes(deb.read_bytes())
        yield made


def settle(machine: Machine, unit: str, state: str, seconds: float = 60.0) -> None:
    until(lambda: machine.show(unit, "ActiveState") == state, f"{unit} to be {state}", seconds)


def configure(machine: Machine, **values: str) -> None:
    """Variables set in the settings file, in the place of what was there, as an editor would."""
    file = machine.root / ENV.lstrip("/")
    lines = [line for line in file.read_text().splitlines() if line.split("=")[0] not in values]
    file.write_text("\n".join([*lines, *(f'{name}="{value}"' for name, value in values.items()), ""]))


def mails(machine: Machine) -> list[Message]:
    return [message_from_bytes(file.read_bytes()) for file in sorted((machine.root / "root/mails").glob("*.eml"))]


def forget_mails(machine: Machine) -> None:
    """As if an hour had passed and every mail had been read."""
    machine.run("rm -f /root/mails/*.eml /var/lib/dcabot/alert-*.json; systemctl reset-failed")
    # What was not told of is told of now; let it go by.
    machine.run("systemctl start dcabot-alert@dcabot.service.service; rm -f /root/mails/*.eml")
    machine.run('sed -i \'s/"kind": "[^"]*"/"kind": ""/\' /var/lib/dcabot/alert-*.json')


def mail_about(machine: Machine, unit: str, seconds: float = 60.0) -> str:
    """The one mail that arrived about the unit, headers and all."""

    def arrived() -> list[Message]:
        return [mail for mail in mails(machine) if unit in str(mail["Subject"])]

    (mail,) = until(arrived, f"a mail about {unit}", seconds)
    return f"{mail['Subject']}\n{mail.get_payload(decode=True).decode()}"


def quote(machine: Machine, bid: str, ask: str) -> None:
    machine.call("/_sim/quote", {"symbol": "BTC/USD", "bid": bid, "ask": ask})


def cycles(machine: Machine) -> list[list[str]]:
    return machine.sql("SELECT status, quantity > 0 FROM dca_cycles ORDER BY id")


def documented(heading: str, number: int = 0) -> str:
    """A block of commands from the README, as written."""
    section = (ROOT / "README.md").read_text().split(f"\n### {heading}\n")[1].split("\n##")[0]
    return "set -e\n" + re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[number]


def running(machine: Machine) -> int:
    """The daemon's pid, once it is ready."""
    settle(machine, "dcabot", "active", 90)
    return int(machine.show("dcabot", "MainPID"))


# Installing.


def test_apt_installs_it_and_mariadb_without_a_question(machine: Machine) -> None:
    machine.run(documented("Install"), seconds=400)
    settle(machine, "mariadb", "active")
    until(lambda: machine.attempt("mariadb dcabot -e 'SELECT 1 FROM dca_orders'").returncode == 0, "the schema")
    assert machine.sql("SELECT plugin FROM mysql.user WHERE user = 'dcabot'") == [["unix_socket"]]
    assert machine.run("systemctl --failed --plain --no-legend") == ""


def test_the_settings_are_for_root_alone(machine: Machine) -> None:
    assert machine.run(f"stat -c '%a %U:%G' {ENV}") == "600 root:root\n"
    assert machine.run("stat -c '%a %U' /var/lib/dcabot") == "700 dcabot\n"


def test_check_complains_about_the_keys_alone(machine: Machine) -> None:
    done = machine.attempt("dcabot check")
    assert done.returncode == 78
    wrong = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert wrong and all("APCA_API" in line for line in wrong), done.stdout


def test_nothing_trades_before_someone_starts_it(machine: Machine) -> None:
    assert machine.show("dcabot", "ActiveState") == "inactive"
    assert machine.show("dcabot", "UnitFileState") == "enabled"
    for name in CARETAKERS:
        assert machine.show(f"dcabot-{name}.timer", "UnitFileState") == "enabled"


def test_the_program_its_manual_and_its_completion_are_there(machine: Machine) -> None:
    assert machine.run("cd /tmp && dcabot --version").startswith("dcabot ")
    listing = machine.run("dpkg -L dcabot")
    for page in ("man1/dcabot.1.gz", "man5/dcabot.env.5.gz", "man1/dcabot-simulator.1.gz", "completions/dcabot\n"):
        assert page in listing
    assert machine.run("find /usr/lib/dcabot -name '*.pyc' | head -1"), "every start would compile everything"


# Without keys.


def test_without_keys_it_says_what_is_missing_and_where(machine: Machine) -> None:
    assert machine.attempt("systemctl start dcabot").returncode != 0
    settle(machine, "dcabot", "failed")
    assert machine.show("dcabot", "ExecMainStatus") == "78"
    status = machine.attempt("systemctl status --no-pager --full dcabot").stdout
    assert "APCA_API_KEY_ID is not set" in status and ENV in status


def test_without_keys_it_is_not_restarted_and_alerts_once(machine: Machine) -> None:
    until(lambda: "alert: dcabot.service failed" in machine.journal("dcabot-alert@dcabot.service.service"), "the alert")
    assert machine.show("dcabot", "NRestarts") == "0"
    assert machine.journal("dcabot-alert@dcabot.service.service").count("alert: ") == 1


def test_without_keys_the_caretakers_wait_and_do_not_fail(machine: Machine) -> None:
    for name in CARETAKERS:
        machine.run(f"systemctl start dcabot-{name}.service")
        assert machine.show(f"dcabot-{name}.service", "ActiveState") == "inactive"
        assert machine.show(f"dcabot-{name}.service", "Result") == "exec-condition"


# First start.


def test_ready_comes_after_the_exchange_was_asked(machine: Machine) -> None:
    configure(
        machine,
        APCA_API_KEY_ID="AKSIMULATOR00000TEST",
        APCA_API_SECRET_KEY="unknown-until-the-simulator-runs",
        APCA_API_BASE_URL="http://127.0.0.1:8080",
        APCA_API_DATA_URL="http://127.0.0.1:8080",
        APCA_API_STREAM_URL="ws://127.0.0.1:8080/v1beta3/crypto/us",
        DCABOT_ASSET_REFRESH_SECONDS="600",
        ALERT_EMAIL_SENDER="bot@trader.example",
        ALERT_EMAIL_RECEIVER="owner@trader.example",
        ALERT_EMAIL_SMTP_SERVER="127.0.0.1",
        ALERT_EMAIL_SMTP_PORT="2525",
        ALERT_EMAIL_SMTP_PASSWORD=SMTP_SECRET,
    )
    machine.run("systemctl start --no-block dcabot")
    until(lambda: "trying again" in machine.journal(), "a start that waits for Alpaca")
    assert machine.show("dcabot", "ActiveState") == "activating"
    machine.run("systemctl stop dcabot")
    log, mails = machine.root / "root/simulator.log", machine.root / "root/mails"
    options = "--symbols BTC/USD --no-prices --rate-limit 0 --partial-fills 0 --refresh 5"
    machine.beside(log, sys.executable, "-m", "dcabot", "simulator", *options.split())
    machine.beside(Path("/dev/null"), sys.executable, str(Path(__file__).parent / "mail_sink.py"), "2525", str(mails))
    until(lambda: "# control" in log.read_text(), "the simulator")
    configure(machine, **dict(re.findall(r"^(APCA\w+)=(.*)$", log.read_text(), re.MULTILINE)))
    log.unlink()
    machine.run("systemctl start dcabot")
    assert machine.show("dcabot", "ActiveState") == "active"
    assert "ready" in machine.journal("dcabot", "-o cat -n 5")


def test_the_timers_are_at_work_once_the_daemon_was_started(machine: Machine) -> None:
    timers = machine.run("systemctl list-timers --no-pager --plain --no-legend 'dcabot-*'")
    for name in CARETAKERS:
        assert f"dcabot-{name}.timer" in timers


# Trading.


def test_an_asset_added_is_seen_at_a_reload(machine: Machine) -> None:
    quote(machine, "99.9", "100")
    # The timers may have fired before there was an exchange.
    for name in CARETAKERS:
        machine.run(f"systemctl start dcabot-{name}.service")
    machine.run(documented("Configure"))
    # The next cycle begins when the story wants it: at a price far below the last sale.
    machine.run("dcabot asset set BTC/USD --cooldown-period 86400")
    machine.run("systemctl reload dcabot")
    until(lambda: "reading the assets again" in machine.journal(), "the reload")
    settle(machine, "dcabot", "active")


def test_a_whole_cycle_is_traded(machine: Machine) -> None:
    quote(machine, "99.9", "100")
    until(lambda: ["watching", "1"] in cycles(machine), "the base order", 90)
    quote(machine, "103", "103.1")
    until(lambda: cycles(machine)[0][0] == "complete", "the take profit", 90)


def test_status_says_what_it_does(machine: Machine) -> None:
    until(lambda: "1 asset" in machine.show("dcabot", "StatusText"), "a useful STATUS")
    assert machine.show("dcabot", "StatusText") in machine.run("systemctl status --no-pager dcabot")


def test_no_secret_is_seen_anywhere(machine: Machine) -> None:
    text = (machine.root / ENV.lstrip("/")).read_text()
    secrets = re.findall(r'^(?:APCA_API_SECRET_KEY|ALERT_EMAIL_SMTP_PASSWORD)="(.*)"$', text, re.MULTILINE)
    assert len(secrets) == 2
    pid = running(machine)
    places = {
        "journal": "journalctl --no-pager -o export -u 'dcabot*' -u mariadb _PID=1",
        "properties": "systemctl show dcabot 'dcabot-*'",
        "environment": f"cat /proc/{pid}/environ",
        "processes": "ps axeww",
        "state": "cat /var/lib/dcabot/*.json",
    }
    for place, command in places.items():
        said = machine.attempt(command).stdout
        assert not [secret for secret in secrets if secret in said], place
    assert (
        machine.attempt("setpriv --reuid=nobody --clear-groups cat /run/credentials/dcabot.service/*").returncode != 0
    )


# Trouble.


def test_a_killed_daemon_is_restarted_and_told_of(machine: Machine) -> None:
    forget_mails(machine)
    before = running(machine)
    machine.run(f"kill -9 {before}")
    mail = mail_about(machine, "dcabot.service")
    assert "result:  signal (killed KILL)" in mail or "result:  signal (killed 9)" in mail, mail
    assert "systemd starts it again" in mail and "Main process exited" in mail and "dcabot trades on" in mail
    until(lambda: machine.show("dcabot", "MainPID") not in ("0", str(before)), "the restart")
    running(machine)


def test_a_frozen_daemon_is_caught_by_the_watchdog(machine: Machine) -> None:
    forget_mails(machine)
    before = running(machine)
    started = time.monotonic()
    machine.run(f"kill -STOP {before}")
    until(lambda: machine.show("dcabot", "MainPID") != str(before), "the watchdog", WATCHDOG_SECONDS + 30)
    assert time.monotonic() - started < WATCHDOG_SECONDS + 25
    mail = mail_about(machine, "dcabot.service")
    assert "failed: watchdog" in mail and "Watchdog timeout" in mail
    running(machine)


def test_a_stop_by_hand_is_no_failure(machine: Machine) -> None:
    forget_mails(machine)
    running(machine)
    machine.run("systemctl stop dcabot")
    assert machine.show("dcabot", "Result") == "success"
    machine.run("systemctl start dcabot")
    running(machine)
    assert mails(machine) == []


def test_mariadb_restarted_in_mid_cycle_stops_nothing(machine: Machine) -> None:
    before = running(machine)
    # Far below the last sale: the cooldown is over at once.
    quote(machine, "99.9", "100")
    until(lambda: cycles(machine)[-1] == ["watching", "1"], "a second cycle", 90)
    machine.run("systemctl restart mariadb")
    quote(machine, "103", "103.1")
    until(lambda: [row[0] for row in cycles(machine)].count("complete") == 2, "its take profit", 120)
    assert running(machine) == before


def test_a_failed_caretaker_is_told_of_once(machine: Machine) -> None:
    forget_mails(machine)
    configure(machine, DCABOT_STALE_ORDER_SECONDS="soon")
    for _ in range(2):
        assert machine.attempt("systemctl start dcabot-order-manager").returncode != 0
        # The alert works although the configuration does not.
        mail = mail_about(machine, "dcabot-order-manager.service")
        assert "result:  exit-code (exited 78)" in mail and "DCABOT_STALE_ORDER_SECONDS" in mail
    configure(machine, DCABOT_STALE_ORDER_SECONDS="300")
    machine.run("systemctl start dcabot-order-manager")


def test_crashes_in_a_row_end_in_one_final_alert(machine: Machine) -> None:
    forget_mails(machine)
    # A program that dies at once, and less waiting between the attempts than in real life.
    override = machine.root / "etc/systemd/system/dcabot.service.d/crash.conf"
    override.parent.mkdir()
    override.write_text("[Service]\nRestartSec=1\nExecStart=\nExecStart=/bin/sh -c 'kill -9 $$$$'\n")
    machine.run("systemctl daemon-reload")
    machine.run("systemctl restart --no-block dcabot")
    settle(machine, "dcabot", "failed")

    def final() -> list[Message]:
        return [mail for mail in mails(machine) if "is down" in str(mail["Subject"])]

    (last,) = until(final, "the final alert")
    words = last.get_payload(decode=True).decode()
    assert "It stays down" in words and "repeated too quickly" in words, words
    assert len(mails(machine)) == 2, "the first crash, and the giving up"
    shutil.rmtree(override.parent)
    machine.run("systemctl daemon-reload && systemctl reset-failed && systemctl start dcabot")
    running(machine)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"APCA_API_SECRET_KEY": "not-the-key"}, "key"),
        ({"DB_URL": "mysql://dcabot:not-the-password@127.0.0.1/dcabot"}, "dcabot@127.0.0.1"),
    ],
    ids=["keys", "database password"],
)
def test_wrong_secrets_stop_it_and_it_stays_stopped(machine: Machine, wrong: dict[str, str], named: str) -> None:
    good = (machine.root / ENV.lstrip("/")).read_text()
    configure(machine, **wrong)
    try:
        assert machine.attempt("systemctl restart dcabot").returncode != 0
        settle(machine, "dcabot", "failed")
        assert machine.show("dcabot", "ExecMainStatus") == "78"
        assert machine.show("dcabot", "NRestarts") == "0"
        said = machine.journal("dcabot", "-o cat -n 15")
        assert named in said
        assert "not-the" not in said
    finally:
        (machine.root / ENV.lstrip("/")).write_text(good)
    machine.run("systemctl reset-failed; systemctl start dcabot")
    running(machine)


# Reboots.


def test_a_reboot_in_mid_cycle_and_mariadb_late(machine: Machine) -> None:
    quote(machine, "99.9", "100")
    until(lambda: cycles(machine)[-1] == ["watching", "1"], "a third cycle", 90)
    machine.run("systemctl mask mariadb")
    machine.reboot()
    # No database: it waits, and says so.
    until(lambda: "trying again" in machine.journal("dcabot", "-b"), "the daemon to wait")
    assert machine.show("dcabot", "ActiveState") == "activating"
    machine.run("systemctl unmask mariadb && systemctl start mariadb")
    running(machine)
    assert cycles(machine)[-1] == ["watching", "1"]
    quote(machine, "103", "103.1")
    until(lambda: [row[0] for row in cycles(machine)].count("complete") == 3, "its take profit", 120)


# Versions.


def newer(deb: Path, folder: Path) -> Path:
    """The same package with a higher version: what an upgrade is to dpkg."""
    unpacked, packed = folder / "unpacked", folder / "newer.deb"
    subprocess.run(["dpkg-deb", "-R", deb, unpacked], check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: (.*)$", r"Version: \1+newer", control.read_text(), flags=re.MULTILINE))
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "-b", unpacked, packed], check=True, capture_output=True)
    return packed


def test_an_upgrade_backs_up_migrates_and_goes_on(machine: Machine, deb: Path, tmp_path: Path) -> None:
    before = running(machine)
    (machine.root / "root/newer.deb").write_bytes(newer(deb, tmp_path).read_bytes())
    settings = (machine.root / ENV.lstrip("/")).read_text()
    # As if the newest migration had come with the new version.
    machine.sql("DELETE FROM dca_migrations ORDER BY name DESC LIMIT 1")
    forget_mails(machine)
    machine.run("apt-get install -y /root/newer.deb", seconds=400)
    assert "+newer" in machine.run("dpkg-query -W dcabot")
    assert running(machine) != before
    assert (machine.root / ENV.lstrip("/")).read_text() == settings
    (backup,) = machine.run("ls /var/lib/dcabot/backups").split()
    assert "dca_cycles" in machine.run(f"zcat /var/lib/dcabot/backups/{backup}")
    for name in CARETAKERS:
        assert machine.show(f"dcabot-{name}.timer", "ActiveState") == "active"
    # A caretaker may have met the schema that this test made old.
    assert not [mail for mail in mails(machine) if str(mail["Subject"]).startswith("dcabot.service on")]


def test_an_upgrade_of_a_stopped_daemon_leaves_it_stopped(machine: Machine) -> None:
    machine.run("systemctl stop dcabot && apt-get install -y --reinstall /root/newer.deb", seconds=400)
    assert machine.show("dcabot", "ActiveState") == "inactive"
    assert machine.show("dcabot-order-manager.timer", "ActiveState") == "active"
    machine.run("systemctl start dcabot")


def test_the_three_timers_have_fired(machine: Machine) -> None:
    """The slowest fires every five minutes, and the machine was booted a while ago."""
    for name in CARETAKERS:
        unit = f"dcabot-{name}.service"
        words = name.replace("-", " ")
        until(lambda unit=unit, words=words: f"{words}:" in machine.journal(unit, "-o cat"), f"{unit} to run", 330)


def test_a_backup_is_restored_as_documented(machine: Machine) -> None:
    machine.run(documented("Back up"))
    before = machine.sql("SELECT COUNT(*), MAX(client_order_id) FROM dca_orders")
    machine.sql("DROP TABLE dca_orders")
    machine.run(documented("Restore"))
    assert machine.sql("SELECT COUNT(*), MAX(client_order_id) FROM dca_orders") == before
    running(machine)
    until(lambda: machine.attempt("dcabot status && dcabot report").returncode == 0, "a daemon that is well", 60)
    assert machine.show("dcabot-order-manager.timer", "ActiveState") == "active"


def test_remove_keeps_everything_and_installing_again_finds_it(machine: Machine) -> None:
    machine.run(documented("Uninstall", 0))
    assert machine.attempt("command -v dcabot").returncode != 0
    assert machine.run("systemctl list-units --plain --no-legend 'dcabot*' | grep -v failed || true").strip() == ""
    assert machine.run(f"ls {ENV} /var/lib/dcabot/backups")
    assert not (machine.root / "usr/lib/dcabot").exists(), "compiled files are left"
    count = machine.sql("SELECT COUNT(*) FROM dca_orders")
    machine.run("apt-get install -y /root/newer.deb", seconds=400)
    assert machine.sql("SELECT COUNT(*) FROM dca_orders") == count
    machine.run("systemctl start dcabot")
    running(machine)


def test_purge_removes_settings_and_state_and_keeps_the_database(machine: Machine) -> None:
    machine.run("apt-get purge -y dcabot")
    for folder in ("/etc/dcabot", "/var/lib/dcabot", "/usr/lib/dcabot"):
        assert machine.attempt(f"test -e {folder}").returncode != 0, folder
    assert machine.sql("SELECT COUNT(*) > 0 FROM dca_orders") == [["1"]]


def test_purge_drops_the_database_when_it_is_told_to(machine: Machine) -> None:
    machine.run("apt-get install -y /root/newer.deb", seconds=400)
    machine.run(documented("Uninstall", 1))
    assert machine.sql("SHOW DATABASES LIKE 'dcabot'", "mysql") == []
    assert machine.sql("SELECT user FROM mysql.user WHERE user = 'dcabot'", "mysql") == []


def test_it_moves_to_another_host_as_documented(machine: Machine) -> None:
    """The same machine, which has forgotten everything."""
    machine.run(documented("Move to another host", 1), seconds=400)
    running(machine)
    assert machine.sql("SELECT COUNT(*) > 0 FROM dca_orders") == [["1"]]
    until(lambda: machine.attempt(documented("Watch")).returncode == 0, "a daemon that is well", 60)
    machine.run(documented("Move to another host", 0))
    assert machine.show("dcabot", "ActiveState") == "inactive"
    machine.run(documented("Uninstall", 1))


def test_it_makes_its_database_when_mariadb_comes_later(machine: Machine) -> None:
    machine.run("systemctl stop mariadb; systemctl reset-failed")
    machine.run("apt-get install -y /root/newer.deb", seconds=400)
    assert machine.run("systemctl --failed --plain --no-legend") == ""
    machine.run("systemctl start mariadb")
    until(lambda: machine.attempt("mariadb dcabot -e 'SELECT 1 FROM dca_orders'").returncode == 0, "the schema")


def test_the_autopkgtest_passes(machine: Machine) -> None:
    """Debian's own way of trying a package, on what the test before it installed; with the package's simulator."""
    for name, place in {"packaging/debian/tests": "debian/tests", "tests/packaging": "tests/packaging"}.items():
        shutil.copytree(ROOT / name, machine.root / "root/source" / place)
    machine.stop_beside()
    said = machine.run("/root/source/debian/tests/story", seconds=400)
    assert "== done" in said
