"""`dcabot alert` as systemd starts it, with a real mail server; what the journal and systemd say is written down here.

What they really say is proven on a booted machine, in test_machine.py.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
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
        self.logs("a line of the log")
        self._program("systemctl", "cat unit")

    def _program(self, name: str, script: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        file.chmod(0o755)

    def logs(self, *lines: str) -> None:
        """What the unit said last."""
        (self.folder / "lines").write_text("".join(f"{line}\n" for line in lines))
        script = 'case "$*" in *--output=json*) cat journal ;; *) cat lines ;; esac'
        self._program("journalctl", script)

    def needs(self, *troubles: str) -> None:
        """What the consistency checker said last: one trouble a line, `name: sentence`."""
        pairs = [one.split(": ", 1) for one in troubles]
        at = "2026-11-30T03:00:00+00:00 dcabot[17]: ERROR"
        self.logs(*(f"{at} needs a person ({name}): {sentence}" for name, sentence in pairs))

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

    def subjects(self) -> list[str]:
        return ["".join(str(mail["Subject"]).splitlines()) for mail in self.mails()]

    def hours_pass(self, hours: int = 1) -> None:
        """What it remembers becomes so much older."""
        (memory,) = (self.folder / "state").glob("*.json")
        times = r"20\d\d-[^\"]*"
        memory.write_text(re.sub(times, lambda at: earlier(at[0], hours), memory.read_text()))


def earlier(at: str, hours: int) -> str:
    return (datetime.fromisoformat(at) - timedelta(hours=hours)).isoformat()


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
    world.hours_pass()
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


def test_what_stays_down_again_is_told_again(world: World) -> None:
    """Nothing fails after it that a later mail could count it with."""
    world.state("failed")
    for number in (1, 2):
        world.fails(number, "exit-code", ("exited", "78"))
        world.alert()
    assert ["is down" in subject for subject in world.subjects()] == [True, True]


def test_failures_by_turns_are_one_mail_of_each(world: World) -> None:
    world.state("failed", "oneshot")
    for number in range(8):
        world.fails(number, "exit-code", ("exited", "75" if number % 2 else "1"))
        world.alert()
    assert len(world.mails()) == 2


def test_an_hour_has_ten_mails_and_those_of_what_is_down(world: World) -> None:
    for number in range(13):
        world.fails(number, "exit-code", ("exited", str(number)))
        world.alert()
    assert len(world.mails()) == 10
    world.state("failed")
    world.fails(14)
    world.alert()
    assert len(world.mails()) == 11


SALE = "sale BTC/USD: BTC/USD is not sold: Alpaca refuses it: liquidation only. Ask Alpaca."
KEYS = "keys: Alpaca does not accept the API keys."


def test_a_trouble_of_a_living_daemon_is_the_subject(world: World) -> None:
    world.state("failed", "oneshot")
    world.needs(SALE)
    world.fails(1, "exit-code", ("exited", "1"))
    world.alert()
    (mail,) = world.mails()
    (subject,) = world.subjects()
    assert subject.partition(": ")[2].startswith("BTC/USD is not sold: Alpaca refuses it")
    assert "needs you" in text(mail) and "Ask Alpaca." in text(mail)


def test_a_trouble_is_told_after_an_hour_then_daily(world: World) -> None:
    world.state("failed", "oneshot")
    world.needs(SALE)
    mails = []
    for number, hours in enumerate((0, 0, 1, 1, 22, 1, 1)):
        if hours:
            world.hours_pass(hours)
        world.fails(number, "exit-code", ("exited", "1"))
        world.alert()
        mails.append(len(world.mails()))
    assert mails == [1, 1, 2, 2, 2, 3, 3]


def test_another_trouble_is_told_within_the_hour(world: World) -> None:
    world.state("failed", "oneshot")
    world.needs(SALE)
    world.fails(1, "exit-code", ("exited", "1"))
    world.alert()
    world.needs(SALE, KEYS)
    world.fails(2, "exit-code", ("exited", "1"))
    world.alert()
    last = world.mails()[-1]
    assert "does not accept the API keys. (and 1 more)" in str(last["Subject"])
    assert "is not sold" in text(last)


def test_the_end_of_a_trouble_is_told(world: World) -> None:
    world.state("failed", "oneshot")
    world.needs(SALE)
    world.fails(1, "exit-code", ("exited", "1"))
    world.alert()
    world.state("inactive", "oneshot")
    for _ in range(2):
        assert world.alert().returncode == 0
    assert [subject.partition(": ")[2][:6] for subject in world.subjects()] == ["BTC/US", "over: "]


def test_a_running_pass_ends_no_trouble(world: World) -> None:
    """The mail server was away; the next try comes while the checker looks again."""
    world.state("failed", "oneshot")
    world.needs(SALE)
    world.fails(1, "exit-code", ("exited", "1"))
    world.alert()
    world.state("activating", "oneshot")
    world.alert(MONITOR_SERVICE_RESULT="success")
    assert [subject.partition(": ")[2][:6] for subject in world.subjects()] == ["BTC/US"]


def test_a_trouble_told_late_is_told_with_its_end(world: World) -> None:
    world.state("failed", "oneshot")
    world.needs(SALE)
    world.fails(1, "exit-code", ("exited", "1"))
    world.alert(ALERT_EMAIL_SMTP_PORT=str(free_port()))
    world.state("inactive", "oneshot")
    world.alert(MONITOR_SERVICE_RESULT="success")
    assert [subject.partition(": ")[2][:6] for subject in world.subjects()] == ["BTC/US", "over: "]


def test_a_failed_pass_says_nothing_of_a_trouble(world: World) -> None:
    """The database was away: whether it is over, nobody knows."""
    world.state("failed", "oneshot")
    world.needs(SALE)
    world.fails(1, "exit-code", ("exited", "1"))
    world.alert()
    world.logs("dcabot: the database could not be reached")
    world.fails(2, "exit-code", ("exited", "75"))
    world.alert()
    meaning = "Alpaca or the database cannot be reached"
    assert [subject.split(": ")[-1] for subject in world.subjects()][1:] == [meaning]


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
    # systemd has started the daemon again meanwhile, and says so to the next try.
    world.state("active")
    world.alert(MONITOR_SERVICE_RESULT="success")
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
