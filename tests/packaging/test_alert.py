"""`dcabot alert` as systemd starts it, with a real mail server; what the journal and systemd say is written down here.

What they really say is proven on a booted machine, in test_machine.py.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from tests.packaging.machine import until
from tests.servers import free_port

SINK = Path(__file__).parent / "mail_sink.py"
PROCESS_ENDED = "98e322203f7a4ed290d09fe03c09fe15"
UNIT_FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
PASSWORD = "not-to-be-seen"


class World:
    """A journal, a unit's state and a mail server, in one folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.state("activating")
        (folder / "state").mkdir()
        (folder / "journal").touch()
        (folder / "bin").mkdir()
        self._program("journalctl", 'case "$*" in *--output=json*) cat journal ;; *) echo a line of the log ;; esac')
        self._program("systemctl", "cat unit")

    def _program(self, name: str, script: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        file.chmod(0o755)

    def state(self, active: str, kind: str = "notify") -> None:
        (self.folder / "unit").write_text(f"Type={kind}\nActiveState={active}\n")

    def fails(self, number: int, result: str = "signal", ending: tuple[str, str] = ("killed", "9")) -> None:
        """systemd writes down one more failure."""
        common = {"INVOCATION_ID": f"{number:032x}", "__REALTIME_TIMESTAMP": str(1_800_000_000_000_000 + number)}
        ended = {**common, "MESSAGE_ID": PROCESS_ENDED, "EXIT_CODE": ending[0], "EXIT_STATUS": ending[1]}
        failed = {**common, "MESSAGE_ID": UNIT_FAILED, "UNIT_RESULT": result}
        with (self.folder / "journal").open("a") as journal:
            for which, entry in enumerate((ended, failed)):
                journal.write(json.dumps({**entry, "__CURSOR": f"s=1;i={number}.{which}"}) + "\n")

    def alert(self, **environment: str) -> "subprocess.CompletedProcess[str]":
        """One run, as after a failure."""
        settings = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "STATE_DIRECTORY": str(self.folder / "state"),
            "ALERT_EMAIL_SENDER": "bot@trader.example",
            "ALERT_EMAIL_RECEIVER": "owner@trader.example",
            "ALERT_EMAIL_SMTP_SERVER": "127.0.0.1",
            "ALERT_EMAIL_SMTP_PORT": str(self.port),
            "ALERT_EMAIL_SMTP_PASSWORD": PASSWORD,
        }
        return subprocess.run(
            [sys.executable, "-m", "dcabot", "alert", "dcabot.service"],
            env={**settings, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def mails(self) -> list[Message]:
        return [message_from_bytes(file.read_bytes()) for file in sorted((self.folder / "mails").glob("*.eml"))]

    def an_hour_passes(self) -> None:
        (memory,) = (self.folder / "state").glob("*.json")
        memory.write_text(json.dumps({**json.loads(memory.read_text()), "mailed_at": 1}))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, free_port())
    folder = tmp_path / "mails"
    with subprocess.Popen([sys.executable, SINK, str(made.port), folder]) as sink:
        until(folder.exists, "the mail server")
        try:
            yield made
        finally:
            sink.terminate()


def text(mail: Message) -> str:
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def test_a_mail_says_which_unit_how_it_ended_and_what_it_said_last(world: World) -> None:
    world.fails(1)
    done = world.alert()
    assert done.returncode == 0, done.stderr
    (mail,) = world.mails()
    assert str(mail["Subject"]).startswith("dcabot.service on ") and str(mail["Subject"]).endswith("failed: signal")
    assert mail["To"] == "owner@trader.example" and mail["Auto-Submitted"] == "auto-generated"
    assert "result:  signal (killed 9)" in text(mail) and "a line of the log" in text(mail)
    assert PASSWORD not in done.stderr + text(mail)


def test_a_failure_is_told_of_once_however_often_the_alert_is_started(world: World) -> None:
    world.fails(1)
    for _ in range(2):
        assert world.alert().returncode == 0
    assert len(world.mails()) == 1


def test_repeats_are_counted_and_told_after_an_hour(world: World) -> None:
    for number in range(1, 4):
        world.fails(number)
        world.alert()
    assert len(world.mails()) == 1
    world.an_hour_passes()
    world.fails(4)
    world.alert()
    _, second = world.mails()
    assert "times:   3 since the last mail" in text(second)


def test_that_it_stays_down_is_told_at_once(world: World) -> None:
    world.fails(1)
    world.alert()
    world.state("failed")
    world.fails(2)
    world.alert()
    last = world.mails()[-1]
    assert "is down: signal" in str(last["Subject"]) and "systemctl start dcabot.service" in text(last)


def test_another_kind_of_failure_is_no_repeat(world: World) -> None:
    world.fails(1)
    world.alert()
    world.fails(2, "watchdog", ("killed", "6"))
    world.alert()
    assert [str(mail["Subject"]).split(": ")[1] for mail in world.mails()] == ["signal", "watchdog"]


def test_without_mail_settings_it_is_a_line_and_no_error(world: World) -> None:
    world.fails(1)
    done = world.alert(ALERT_EMAIL_SENDER="", ALERT_EMAIL_RECEIVER="", ALERT_EMAIL_SMTP_SERVER="")
    assert done.returncode == 0
    assert "dcabot.service failed: signal (killed 9)" in done.stderr and "nobody is mailed" in done.stderr


def test_it_works_when_the_rest_of_the_configuration_does_not(world: World) -> None:
    world.fails(1)
    done = world.alert(DB_URL="nonsense", DCABOT_STALE_ORDER_SECONDS="soon", APCA_API_BASE_URL="x")
    assert done.returncode == 0 and len(world.mails()) == 1


def test_what_could_not_be_mailed_is_told_when_the_mail_server_is_back(world: World) -> None:
    world.fails(1)
    done = world.alert(ALERT_EMAIL_SMTP_PORT=str(free_port()))
    assert done.returncode == 75 and "could not be mailed" in done.stderr and PASSWORD not in done.stderr
    world.alert()
    assert len(world.mails()) == 1


def test_the_journal_may_be_unreadable(world: World) -> None:
    (world.folder / "bin/journalctl").write_text("#!/bin/sh\necho no such journal >&2; exit 1\n")
    done = world.alert()
    assert done.returncode == 1 and "no such journal" in done.stderr


def test_a_state_that_makes_no_sense_is_forgotten(world: World) -> None:
    (world.folder / "state/alert-dcabot.service.json").write_text('{"cursor": ')
    world.fails(1)
    assert world.alert().returncode == 0 and len(world.mails()) == 1
    assert [file.name for file in (world.folder / "state").iterdir()] == ["alert-dcabot.service.json"]
