"""The systemd units as files: what can be said about them without booting anything."""

import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from dcabot.commands.paces import START_PATIENCE_SECONDS
from tests.needs import needed
from tests.programs import environment, run_program, sqlite_books
from tests.servers import free_port

FOLDER = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(FOLDER.glob("*.service"))
TIMERS = sorted(FOLDER.glob("*.timer"))
EXPOSURE_MAX = 1.5
CARETAKERS = ("order-manager", "cooldown-manager", "consistency-checker")


def directives(path: Path) -> dict[str, list[str]]:
    """Every value of every directive; a unit may repeat one."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_every_service_is_shut_in_well(unit: Path) -> None:
    judge = [needed("systemd-analyze"), "security", "--offline=true", "--no-pager"]
    done = subprocess.run(
        [*judge, f"--threshold={EXPOSURE_MAX * 10:.0f}", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_the_sandbox_is_the_same_in_every_service() -> None:
    blocks = {path.read_text().split("# The sandbox:")[1].split("\n\n")[0].strip() for path in SERVICES}
    assert len(blocks) == 1


@pytest.mark.parametrize("unit", SERVICES + TIMERS, ids=lambda path: path.name)
def test_every_unit_can_be_read_by_systemd(unit: Path, tmp_path: Path) -> None:
    for path in (*SERVICES, *TIMERS):
        # The programs and the manual pages are not installed here.
        lines = [line for line in path.read_text().splitlines() if not line.startswith(("Documentation=", "Exec"))]
        if path.suffix == ".service":
            lines = [line if line != "[Service]" else "[Service]\nExecStart=/bin/true" for line in lines]
        (tmp_path / path.name).write_text("\n".join(lines) + "\n")
    name = unit.name.replace("@.", "@dcabot.service.")
    if name != unit.name:
        (tmp_path / name).write_text((tmp_path / unit.name).read_text())
    done = subprocess.run(
        [needed("systemd-analyze"), "verify", "--man=no", tmp_path / name], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "dcabot" in line]
    assert not ours


def test_no_secret_enters_the_environment() -> None:
    for path in SERVICES:
        unit = directives(path)
        assert "EnvironmentFile" not in unit
        assert unit["LoadCredential"] == ["dcabot.env:/etc/dcabot/dcabot.env"]
        assert not [value for value in unit["Environment"] if "APCA" in value or "PASSWORD" in value]


def test_the_daemon_and_every_caretaker_tell_of_their_failure() -> None:
    for name in ("dcabot", *(f"dcabot-{caretaker}" for caretaker in CARETAKERS)):
        assert directives(FOLDER / f"{name}.service")["OnFailure"] == ["dcabot-alert@%n.service"]


def test_an_outage_at_the_start_is_never_given_up() -> None:
    """A start that finds no database, no Alpaca, or another daemon ends with 75, again and again."""
    unit = directives(FOLDER / "dcabot.service")
    assert unit["Restart"] == ["on-failure"] and unit["RestartPreventExitStatus"] == ["78"]
    seconds, starts = float(unit["StartLimitIntervalSec"][0]), int(unit["StartLimitBurst"][0])
    assert (START_PATIENCE_SECONDS + float(unit["RestartSec"][0])) * starts > 2 * seconds


def test_an_alert_that_fails_does_not_cause_an_alert() -> None:
    assert "OnFailure" not in directives(FOLDER / "dcabot-alert@.service")


@pytest.mark.parametrize("caretaker", CARETAKERS)
def test_a_caretaker_runs_once_at_a_time_and_not_for_ever(caretaker: str) -> None:
    unit = directives(FOLDER / f"dcabot-{caretaker}.service")
    assert unit["Type"] == ["oneshot"]
    assert int(unit["TimeoutStartSec"][0]) <= 300


@pytest.mark.parametrize("caretaker", CARETAKERS)
@pytest.mark.parametrize("kind", ["fresh", "in systemd's credential", "in the environment", "by hand"])
def test_a_caretaker_waits_for_keys_wherever_they_will_be(tmp_path: Path, caretaker: str, kind: str) -> None:
    """Keys in a credential of another origin were not seen by a look at one file: the caretakers never ran."""
    books = sqlite_books(tmp_path)
    keys = "APCA_API_KEY_ID=PK\nAPCA_API_SECRET_KEY=secret\n" if kind == "in systemd's credential" else "\n"
    (tmp_path / "dcabot.env").write_text(f"{keys}APCA_API_BASE_URL=http://127.0.0.1:{free_port()}\n")
    more = {"CREDENTIALS_DIRECTORY": str(tmp_path)} if kind != "by hand" else {}
    if kind == "in the environment":
        more |= {"APCA_API_KEY_ID": "PK", "APCA_API_SECRET_KEY": "secret"}
    done = run_program(tmp_path, environment(tmp_path, books.environment, more), caretaker)
    waits = "nothing to do until APCA_API_KEY_ID" in done.stderr
    assert waits is (kind == "fresh"), done.stderr
    if caretaker == "cooldown-manager":
        assert done.returncode == 0  # it works on the database alone
    else:
        assert done.returncode == {"fresh": 0, "by hand": 78}.get(kind, 75)
    assert "ExecCondition" not in directives(FOLDER / f"dcabot-{caretaker}.service")


def test_every_unit_runs_as_our_own_user() -> None:
    for path in SERVICES:
        assert directives(path)["User"] == ["dcabot"]


def test_timers_have_one_service_each_and_are_punctual() -> None:
    assert [path.stem for path in TIMERS] == sorted(f"dcabot-{name}" for name in CARETAKERS)
    for path in TIMERS:
        timer = RawConfigParser()
        timer.read(path)
        assert timer["Timer"]["AccuracySec"] == "1s"
        assert path.with_suffix(".service").exists()
