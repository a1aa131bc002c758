"""The story of test_machine.py goes on: other versions, a backup, a removal, another host, and Debian's own trial."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.packaging.machine import Machine, until
from tests.packaging.story import (
    CARETAKERS,
    ENV,
    ROOT,
    buy_a_base_order,
    cycles,
    documented,
    forget_mails,
    mails,
    running,
    settings,
    take_profit,
    variant,
)

# What a new version brings: a migration that this one does not have.
MIGRATION = {f"sql/{engine}/9999_story.sql": "CREATE TABLE dca_story (id INT);\n" for engine in ("mysql", "sqlite")}


def lay(machine: Machine, package: Path, name: str = "dcabot.deb") -> None:
    """As a download would."""
    package.replace(machine.root / "root" / name)


def backups(machine: Machine) -> set[str]:
    """One may be there from the start: MariaDB restarts while apt sets it up, in the middle of the first migrations."""
    return set(machine.attempt("ls /var/lib/dcabot/backups").stdout.split())


# Upgrades.


def test_an_upgrade_in_mid_cycle_backs_up_migrates_and_goes_on(machine: Machine, deb: Path, tmp_path: Path) -> None:
    buy_a_base_order(machine)
    before, orders = running(machine), machine.sql("SELECT COUNT(*) FROM dca_orders")
    written = settings(machine).read_text()
    forget_mails(machine)
    kept = backups(machine)
    lay(machine, variant(deb, tmp_path, "+1", files=MIGRATION))
    machine.run(documented("Upgrade"), seconds=400)
    assert machine.run("dpkg-query -W dcabot").endswith("+1\n")
    assert running(machine) != before
    assert settings(machine).read_text() == written
    machine.sql("SELECT id FROM dca_story")
    (backup,) = backups(machine) - kept
    assert "dca_cycles" in machine.run(f"zcat /var/lib/dcabot/backups/{backup}")
    for name in CARETAKERS:
        assert machine.show(f"dcabot-{name}.timer", "ActiveState") == "active"
    assert cycles(machine)[-1] == ["watching", "1"]
    assert machine.sql("SELECT COUNT(*) FROM dca_orders") == orders
    take_profit(machine)
    assert mails(machine) == []


def test_an_upgrade_of_a_stopped_daemon_leaves_it_stopped(machine: Machine) -> None:
    machine.run("systemctl stop dcabot && apt-get install --reinstall ./dcabot.deb", seconds=400)
    assert machine.show("dcabot", "ActiveState") == "inactive"
    assert machine.show("dcabot-order-manager.timer", "ActiveState") == "active"


def test_a_daemon_that_runs_without_being_enabled_runs_after_an_upgrade(machine: Machine) -> None:
    machine.run("systemctl disable dcabot && systemctl start dcabot")
    machine.run("apt-get install --reinstall ./dcabot.deb", seconds=400)
    running(machine)
    assert machine.show("dcabot", "UnitFileState") == "disabled"
    machine.run("systemctl enable dcabot")


def test_an_upgrade_that_is_refused_leaves_everything_as_it_was(machine: Machine, deb: Path, tmp_path: Path) -> None:
    running(machine)
    lay(machine, variant(deb, tmp_path, "+2", files=MIGRATION, preinst="exit 1"), "refused.deb")
    assert machine.attempt("dpkg -i refused.deb", seconds=400).returncode != 0
    assert machine.run("dpkg-query -W -f '${Version} ${db:Status-Status}' dcabot").endswith("+1 installed")
    running(machine)
    assert machine.show("dcabot-order-manager.timer", "ActiveState") == "active"
    assert machine.run("find /usr/lib/dcabot -name '*.pyc' | head -1"), "every start would compile everything"


def test_an_upgrade_that_broke_half_way_is_mended_by_the_next(machine: Machine, deb: Path, tmp_path: Path) -> None:
    lay(machine, variant(deb, tmp_path, "+3", files=MIGRATION, postinst="exit 1"), "broken.deb")
    assert machine.attempt("dpkg -i broken.deb", seconds=400).returncode != 0
    assert machine.show("dcabot", "ActiveState") == "inactive"
    lay(machine, variant(deb, tmp_path, "+4", files=MIGRATION))
    machine.run("dpkg -i dcabot.deb", seconds=400)
    running(machine)
    assert machine.show("dcabot-order-manager.timer", "ActiveState") == "active"
    assert machine.run("systemctl --failed --plain --no-legend") == ""


def test_the_three_timers_have_fired(machine: Machine) -> None:
    """The slowest fires every five minutes, and the machine was booted a while ago."""
    for name in CARETAKERS:
        unit = f"dcabot-{name}.service"
        words = name.replace("-", " ")
        until(lambda unit=unit, words=words: f"{words}:" in machine.journal(unit, "-o cat"), f"{unit} to run", 330)


# Backup, removal, another host.


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
    # An alert is at work.
    machine.run("systemctl start --no-block dcabot-alert@dcabot.service.service")
    machine.run(documented("Uninstall", 0))
    assert machine.attempt("command -v dcabot").returncode != 0
    assert machine.run("systemctl list-units --plain --no-legend 'dcabot*'") == ""
    assert machine.run(f"ls {ENV} /var/lib/dcabot/backups")
    assert not (machine.root / "usr/lib/dcabot").exists(), "compiled files are left"
    count = machine.sql("SELECT COUNT(*) FROM dca_orders")
    machine.run(documented("Install"), seconds=400)
    assert machine.sql("SELECT COUNT(*) FROM dca_orders") == count
    assert machine.show("dcabot", "ActiveState") == "inactive"
    machine.run("systemctl start dcabot")
    running(machine)


def test_purge_removes_settings_and_state_and_keeps_the_database(machine: Machine) -> None:
    machine.run("apt-get purge dcabot")
    for folder in ("/etc/dcabot", "/var/lib/dcabot", "/usr/lib/dcabot", "/run/dcabot-to-start"):
        assert machine.attempt(f"test -e {folder}").returncode != 0, folder
    assert machine.sql("SELECT COUNT(*) > 0 FROM dca_orders") == [["1"]]


def test_purge_drops_the_database_when_it_is_told_to(machine: Machine) -> None:
    machine.run(documented("Install"), seconds=400)
    machine.run(documented("Uninstall", 1))
    assert machine.sql("SHOW DATABASES LIKE 'dcabot'", "mysql") == []
    assert machine.sql("SELECT user FROM mysql.user WHERE user = 'dcabot'", "mysql") == []


def test_it_moves_to_another_host_as_documented(machine: Machine) -> None:
    """The same machine, which has forgotten everything but the files of Back up."""
    machine.run(documented("Move to another host", 1), seconds=400)
    running(machine)
    assert machine.sql("SELECT COUNT(*) > 0 FROM dca_orders") == [["1"]]
    until(lambda: machine.attempt(documented("Watch")).returncode == 0, "a daemon that is well", 60)
    machine.run(documented("Move to another host", 0))
    assert machine.show("dcabot", "ActiveState") == "inactive"
    assert machine.show("dcabot", "UnitFileState") == "disabled"
    machine.run(documented("Uninstall", 1))


def test_it_makes_its_database_when_mariadb_is_installed_later(machine: Machine) -> None:
    machine.run("apt-get purge --autoremove 'mariadb-*' && rm -rf /var/lib/mysql; systemctl reset-failed")
    machine.run("apt-get install --no-install-recommends ./dcabot.deb", seconds=400)
    assert machine.run("systemctl --failed --plain --no-legend") == ""
    machine.run("apt-get install mariadb-server", seconds=400)
    until(lambda: machine.attempt("mariadb dcabot -e 'SELECT 1 FROM dca_orders'").returncode == 0, "the schema")
    machine.run("apt-get purge dcabot")


def test_debians_own_autopkgtest_passes(machine: Machine) -> None:
    """As packaging/README.md says. It installs the package itself, and uses the package's own simulator."""
    for name, place in {"packaging/debian": "debian", "tests/packaging": "tests/packaging"}.items():
        shutil.copytree(ROOT / name, machine.root / "root/source" / place)
    script = [sys.executable, ROOT / "packaging/make_changelog.py", ROOT / "CHANGELOG.md"]
    with (machine.root / "root/source/debian/changelog").open("wb") as changelog:
        subprocess.run(script, stdout=changelog, check=True)
    machine.stop_beside()
    machine.run("mariadb -e 'DROP DATABASE dcabot'")
    machine.run("apt-get install --no-install-recommends autopkgtest dpkg-dev")
    # The machine around it is the container that null itself is not.
    how = "--no-built-binaries --ignore-restrictions=isolation-container"
    said = machine.run(f"autopkgtest {how} ./dcabot.deb ./source -- null", seconds=400)
    assert "story                PASS" in said
