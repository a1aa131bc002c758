"""The package on a booted Debian: one story, told in order; each test goes on where the one before it stopped.

Here: installed, started, trading, in trouble. test_machine_versions.py goes on with upgrades and with goodbyes.
`./test --packaging`, as root: some minutes. DCABOT_DEB names a package that is built already.
"""

import re
import shutil
import sys
import time
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from tests.packaging import certificates, completion
from tests.packaging.machine import Machine, until
from tests.packaging.story import (
    CARETAKERS,
    ENV,
    an_hour_passes,
    body,
    buy_a_base_order,
    configure,
    cycles,
    documented,
    forget_mails,
    mail_about,
    mails,
    quote,
    running,
    settings,
    settle,
    take_profit,
)

SMTP_SECRET = 'p#a"s$s%w;o=r&d'
WATCHDOG_SECONDS = 30
# As in exim4.conf. Not an address of the loopback: the machine's own mail server and database are strangers there.
MAIL_ADDRESS, MAILBOX = "192.0.2.25", "var/mail/owner"

# Installing.


def test_apt_installs_it_and_mariadb_without_a_question(machine: Machine) -> None:
    machine.run(documented("Install"), seconds=400)
    settle(machine, "mariadb", "active")
    until(lambda: machine.attempt("mariadb dcabot -e 'SELECT 1 FROM dca_orders'").returncode == 0, "the schema")
    # apt may set up MariaDB last, and its start brings the schema up to date beside apt.
    settle(machine, "dcabot-database", "inactive")
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


def test_every_unit_is_shut_in_as_this_systemd_sees_it(machine: Machine) -> None:
    """Each version of systemd counts more; test_units.py asks that of the developer's machine."""
    for name in ("dcabot", "dcabot-database", "dcabot-alert@dcabot.service", *(f"dcabot-{one}" for one in CARETAKERS)):
        machine.run(f"systemd-analyze security --no-pager --threshold=15 {name}.service >/dev/null")


def test_the_program_its_manual_and_its_completion_are_there(machine: Machine) -> None:
    assert machine.run("cd /tmp && dcabot --version").startswith("dcabot ")
    listing = machine.run("dpkg -L dcabot")
    for page in ("man1/dcabot.1.gz", "man5/dcabot.env.5.gz", "man1/dcabot-simulator.1.gz"):
        assert page in listing
    for place in completion.maker().PLACES.values():
        assert f"/usr/share/{place}\n" in listing
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
        assert machine.show(f"dcabot-{name}.service", "Result") == "success"


def test_without_its_settings_file_it_says_so_too(machine: Machine) -> None:
    machine.run(f"mv {ENV} away; systemctl reset-failed")
    assert machine.attempt("systemctl start dcabot").returncode != 0
    assert machine.show("dcabot", "ExecMainStatus") == "78"
    status = machine.attempt("systemctl status --no-pager --full dcabot").stdout
    assert "is not set" in status and f"there is no .env nor {ENV}" in status
    machine.run(f"mv away {ENV}; systemctl reset-failed")


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
    quote(machine, "99.9", "100")
    # A caretaker whose minute it was while nobody answered has failed, and rightly.
    machine.run("systemctl reset-failed 'dcabot-*'")
    machine.run(documented("Configure"))
    # For the story alone: nothing is to be traded yet, and the next cycle begins at a price far below the last sale.
    machine.run("dcabot asset set BTC/USD --cooldown-period 86400 && dcabot asset disable BTC/USD")
    assert "Active: active (running)" in machine.run(documented("First start"))
    assert "ready" in machine.journal("dcabot", "-o cat -n 5")


def test_the_timers_are_at_work_once_the_daemon_was_started(machine: Machine) -> None:
    timers = machine.run("systemctl list-timers --no-pager --plain --no-legend 'dcabot-*'")
    for name in CARETAKERS:
        assert f"dcabot-{name}.timer" in timers


def test_check_asks_this_systemd_of_every_unit(machine: Machine) -> None:
    told = machine.attempt("dcabot check").stdout
    for unit in ("dcabot.service", *(f"dcabot-{name}.timer" for name in CARETAKERS)):
        assert f"{unit} is active, enabled" in told, told


# Trading.


def test_an_asset_enabled_is_traded_after_a_reload(machine: Machine) -> None:
    """DCABOT_ASSET_REFRESH_SECONDS is ten minutes here: nothing else can tell the daemon so soon."""
    machine.run("dcabot asset enable BTC/USD")
    machine.run("systemctl start dcabot-cooldown-manager")
    machine.run("systemctl reload dcabot")
    until(lambda: "reading the assets again" in machine.journal(), "the reload")
    settle(machine, "dcabot", "active")
    quote(machine, "99.9", "100")
    until(lambda: ["watching", "1"] in cycles(machine), "the base order", 90)


def test_a_whole_cycle_is_traded(machine: Machine) -> None:
    take_profit(machine)
    assert cycles(machine)[0][0] == "complete"


def test_status_says_what_it_does(machine: Machine) -> None:
    until(lambda: "1 asset" in machine.show("dcabot", "StatusText"), "a useful STATUS")
    assert machine.show("dcabot", "StatusText") in machine.run("systemctl status --no-pager dcabot")


def test_no_secret_is_seen_anywhere(machine: Machine) -> None:
    names = "APCA_API_SECRET_KEY|ALERT_EMAIL_SMTP_PASSWORD"
    secrets = re.findall(rf"^(?:{names})='(.*)'$", settings(machine).read_text(), re.MULTILINE)
    assert len(secrets) == 2 and SMTP_SECRET in secrets
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
    # A caretaker in the middle of its pass, too.
    machine.run("systemctl start --no-block dcabot-consistency-checker")
    until(lambda: machine.show("dcabot-consistency-checker", "MainPID") != "0", "a pass to begin")
    machine.run("systemctl stop dcabot-consistency-checker")
    assert machine.show("dcabot-consistency-checker", "Result") == "success"
    assert machine.run("systemctl list-units --failed --plain --no-legend 'dcabot*'") == ""
    assert mails(machine) == []


def test_mariadb_restarted_in_mid_cycle_stops_nothing(machine: Machine) -> None:
    before = running(machine)
    buy_a_base_order(machine)
    machine.run("systemctl restart mariadb")
    take_profit(machine)
    assert running(machine) == before


def test_a_failed_caretaker_is_told_of_once(machine: Machine) -> None:
    forget_mails(machine)
    # A pass that the timer began just now would be taken for the one that is asked for here.
    machine.run("systemctl stop dcabot-order-manager.timer dcabot-order-manager.service")
    configure(machine, DCABOT_STALE_ORDER_SECONDS="soon")
    for _ in range(2):
        assert machine.attempt("systemctl start dcabot-order-manager").returncode != 0
        # The alert works although the configuration does not.
        mail = mail_about(machine, "dcabot-order-manager.service")
        assert "result:  exit-code (exited 78)" in mail and "DCABOT_STALE_ORDER_SECONDS" in mail
    configure(machine, DCABOT_STALE_ORDER_SECONDS="300")
    machine.run("systemctl start dcabot-order-manager.service dcabot-order-manager.timer")


def test_a_blocked_account_and_its_end_are_told(machine: Machine) -> None:
    """The daemon lives and needs a person: the checker fails, and OnFailure and OnSuccess tell of it."""
    forget_mails(machine)
    checker = "systemctl start dcabot-consistency-checker"
    machine.call("/_sim/account", {"trade_suspended_by_user": True})
    try:
        until(lambda: account_trouble(machine), "the daemon's word of it in the database")
        assert machine.attempt(checker).returncode != 0
        (begun,) = until(lambda: mails(machine), "the mail about the account")
        assert "Alpaca" in str(begun["Subject"]) and "over" not in str(begun["Subject"])
    finally:
        machine.call("/_sim/account", {"trade_suspended_by_user": False})
    until(lambda: not account_trouble(machine), "a daemon that is well")
    machine.run(checker)
    until(lambda: [mail for mail in mails(machine) if ": over: " in str(mail["Subject"])], "the mail of its end")


def account_trouble(machine: Machine) -> list[list[str]]:
    """The daemon's trouble with the account, while there is one."""
    return machine.sql("SELECT sentence FROM dca_troubles WHERE kind = 'account'")


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
    assert "It stays down" in body(last) and "repeated too quickly" in body(last), body(last)
    assert len(mails(machine)) == 2, "the first crash, and the giving up"
    shutil.rmtree(override.parent)
    machine.run("systemctl daemon-reload && systemctl reset-failed && systemctl start dcabot")
    running(machine)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"DB_URL": "mysql://dcabot:not-the-password@127.0.0.1/dcabot"}, "dcabot@127.0.0.1")],
    ids=["database password"],
)
def test_wrong_secrets_stop_it_and_it_stays_stopped(machine: Machine, wrong: dict[str, str], named: str) -> None:
    good = settings(machine).read_text()
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
        settings(machine).write_text(good)
    machine.run("systemctl reset-failed; systemctl start dcabot")
    running(machine)


def test_refused_keys_are_waited_for(machine: Machine) -> None:
    """Books that know their account were traded with keys that worked: Alpaca may take them again."""
    good = settings(machine).read_text()
    configure(machine, APCA_API_SECRET_KEY="not-the-key")
    try:
        machine.run("systemctl restart --no-block dcabot")
        until(lambda: "trying again" in machine.journal("dcabot", "-o cat -n 5"), "a start that waits")
        said = machine.journal("dcabot", "-o cat -n 15")
        assert "key" in said and "not-the" not in said
    finally:
        settings(machine).write_text(good)
    machine.run("systemctl stop dcabot; systemctl reset-failed; systemctl start dcabot")
    running(machine)


@pytest.fixture
def mail_server(machine: Machine, tmp_path: Path) -> Iterator[Path]:
    """Debian's Exim: a login is wanted on port 587 and on 465, encrypted. The one whom its certificate is signed by."""
    machine.run("apt-get install --no-install-recommends exim4-daemon-light")
    machine.run(f"ip address replace {MAIL_ADDRESS}/32 dev lo; install -d -o Debian-exim /{MAILBOX}")
    authority = certificates.authority(tmp_path)
    exim = machine.root / "etc/exim4"
    (exim / "exim4.conf").write_bytes((Path(__file__).parent / "exim4.conf").read_bytes())
    (exim / "mail.pem").write_text(certificates.signed(authority, "mail", "DNS:mail.trader.example").read_text())
    (exim / "password").write_text(SMTP_SECRET)
    with (machine.root / "etc/hosts").open("a") as file:
        file.write(f"{MAIL_ADDRESS} mail.trader.example\n")
    machine.run("cd /etc/exim4 && chown Debian-exim mail.pem password && chmod 600 mail.pem password")
    machine.run("systemctl restart exim4")
    good = settings(machine).read_text()
    server = {"ALERT_EMAIL_SMTP_SERVER": "mail.trader.example", "ALERT_EMAIL_SMTP_USER": "bot"}
    configure(machine, **server, ALERT_EMAIL_SMTP_PORT="587")
    yield authority
    settings(machine).write_text(good)
    machine.run("systemctl stop exim4; systemctl stop 'dcabot-alert@*'")


def test_an_alert_waits_until_the_mail_server_can_be_trusted(machine: Machine, mail_server: Path) -> None:
    an_hour_passes(machine)
    alert = "dcabot-alert@dcabot.service.service"
    machine.run(f"kill -9 {running(machine)}")
    until(lambda: "the certificate of mail.trader.example:587 is not to be trusted" in machine.journal(alert), "a line")
    # Trading goes on; nobody is told of the alert's own failure but the journal, and it is tried again.
    running(machine)
    settle(machine, alert, "activating")
    assert machine.show(alert, "ExecMainStatus") == "75"
    assert mails(machine, f"{MAILBOX}/new") == []
    certificate = mail_server.read_text().split("-----BEGIN PRIVATE")[0]
    (machine.root / "usr/local/share/ca-certificates/story.crt").write_text(certificate)
    # Now, and not in five minutes; a mere start would wait for that.
    machine.run(f"update-ca-certificates && systemctl restart {alert}")

    def arrived() -> list[Message]:
        return mails(machine, f"{MAILBOX}/new")

    (mail,) = until(arrived, "the mail in its box")
    # RFC 3848: esmtp, over tls (s), with a login (a).
    assert "with esmtpsa" in str(mail["Received"])
    assert "result:  signal (killed 9)" in body(mail) and "Main process exited" in body(mail)
    # Port 465, which is encrypted from the first byte.
    configure(machine, ALERT_EMAIL_SMTP_PORT="465")
    assert "accepted by mail.trader.example:465" in machine.run("dcabot check --send-mail")
    until(lambda: len(arrived()) == 2, "the mail of the check")
    assert all("with esmtpsa" in str(mail["Received"]) for mail in arrived())
    assert SMTP_SECRET not in machine.run("journalctl --no-pager -o cat")


def test_another_database_works_by_editing_the_settings(machine: Machine, tmp_path: Path) -> None:
    """Over the network, encrypted, with a password that would break every careless way of handing it on."""
    password = 'sl/ash qu"ote #$dollar%percent@colon:back\\slash;'
    authority = certificates.authority(tmp_path)
    (machine.root / "etc/dcabot/database-ca.pem").write_text(authority.read_text().split("-----BEGIN PRIVATE")[0])
    certificate = certificates.signed(authority, "database", f"IP:{MAIL_ADDRESS}").read_text()
    (machine.root / "etc/mysql/server.pem").write_text(certificate)
    options = "bind-address = *\nssl-cert = /etc/mysql/server.pem\nssl-key = /etc/mysql/server.pem"
    (machine.root / "etc/mysql/mariadb.conf.d/99-story.cnf").write_text(f"[mysqld]\n{options}\n")
    machine.run("chown mysql /etc/mysql/server.pem; chmod 600 /etc/mysql/server.pem")
    machine.run(f"ip address replace {MAIL_ADDRESS}/32 dev lo; systemctl restart mariadb")
    written = password.replace("\\", "\\\\")
    grant = f"GRANT ALL ON far.* TO trader@'%' IDENTIFIED BY '{written}' REQUIRE SSL"
    machine.sql(f"CREATE DATABASE far; {grant}", "mysql")
    good = settings(machine).read_text()
    settings(machine).write_text(re.sub("^DB_SOCKET=.*\n", "", good, flags=re.MULTILINE))
    configure(machine, DB_HOST=MAIL_ADDRESS, DB_USER="trader", DB_PASSWORD=written, DB_NAME="far")
    try:
        untrusted = machine.attempt("dcabot db init")
        assert untrusted.returncode == 78 and "DB_SSL_CA" in untrusted.stdout
        configure(machine, DB_SSL_CA="/etc/dcabot/database-ca.pem")
        machine.run("dcabot db init && systemctl restart dcabot")
        running(machine)
        assert machine.sql("SELECT COUNT(*) > 0 FROM dca_migrations", "far") == [["1"]]
        assert password not in machine.run("journalctl --no-pager -o cat; ps axeww")
    finally:
        settings(machine).write_text(good)
    machine.run("systemctl restart dcabot")
    running(machine)


# Reboots.


def test_a_reboot_in_mid_cycle_and_mariadb_late(machine: Machine) -> None:
    buy_a_base_order(machine)
    machine.run("systemctl mask mariadb")
    machine.reboot()
    # No database: it waits, and says so.
    until(lambda: "trying again" in machine.journal("dcabot", "-b"), "the daemon to wait")
    assert machine.show("dcabot", "ActiveState") == "activating"
    machine.run("systemctl unmask mariadb && systemctl start mariadb")
    running(machine)
    assert cycles(machine)[-1] == ["watching", "1"]
    take_profit(machine)
