"""What the story of the package on a booted Debian is told with: settings, mails, prices, and README's own commands."""

import json
import os
import re
import shutil
import subprocess
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from tests.packaging.machine import Machine, until

ROOT = Path(__file__).parents[2]
SUITE = os.environ.get("DCABOT_SUITE", "bookworm")
CARETAKERS = ("order-manager", "cooldown-manager", "consistency-checker")
ENV = "/etc/dcabot/dcabot.env"


def documented(heading: str, number: int = 0) -> str:
    """A block of commands from the README, as written."""
    section = (ROOT / "README.md").read_text().split(f"\n### {heading}\n")[1].split("\n##")[0]
    return "set -e\n" + re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[number]


def settle(machine: Machine, unit: str, state: str, seconds: float = 60.0) -> None:
    until(lambda: machine.show(unit, "ActiveState") == state, f"{unit} to be {state}", seconds)


def running(machine: Machine) -> int:
    """The daemon's pid, once it is ready."""
    settle(machine, "dcabot", "active", 90)
    return int(machine.show("dcabot", "MainPID"))


def settings(machine: Machine) -> Path:
    """The settings file, as this host sees it."""
    return machine.root / ENV.lstrip("/")


def configure(machine: Machine, **values: str) -> None:
    """Variables set in the settings file, in the place of what was there, as an editor would."""
    lines = [line for line in settings(machine).read_text().splitlines() if line.split("=")[0] not in values]
    assert not [value for value in values.values() if "'" in value]
    settings(machine).write_text("\n".join([*lines, *(f"{name}='{value}'" for name, value in values.items()), ""]))


def quote(machine: Machine, bid: str, ask: str) -> None:
    machine.call("/_sim/quote", {"symbol": "BTC/USD", "bid": bid, "ask": ask})


def cycles(machine: Machine) -> list[list[str]]:
    """Status and whether coins are held, of every cycle, oldest first."""
    return machine.sql("SELECT status, quantity > 0 FROM dca_cycles ORDER BY id")


def buy_a_base_order(machine: Machine) -> None:
    """Far below the last sale: the cooldown is over at once."""
    quote(machine, "99.9", "100")
    until(lambda: cycles(machine)[-1] == ["watching", "1"], "the base order of a new cycle", 90)


def take_profit(machine: Machine) -> None:
    """Of the open cycle, which is the newest."""
    bought = machine.sql("SELECT MAX(id) FROM dca_cycles WHERE quantity > 0")[0][0]
    quote(machine, "103", "103.1")
    sold = f"SELECT status FROM dca_cycles WHERE id = {bought}"
    until(lambda: machine.sql(sold) == [["complete"]], "the take profit", 120)


def mails(machine: Machine, folder: str = "root/mails") -> list[Message]:
    files = sorted(file for file in (machine.root / folder).glob("*") if file.is_file())
    return [message_from_bytes(file.read_bytes()) for file in files if file.name != "draft"]


def forget_mails(machine: Machine) -> None:
    """As if an hour had passed and every mail had been read."""
    machine.run("rm -f /root/mails/*.eml /var/lib/dcabot/alert-*.json; systemctl reset-failed")
    # What was not told of is told of now; let it go by.
    machine.run("systemctl start dcabot-alert@dcabot.service.service; rm -f /root/mails/*.eml")
    an_hour_passes(machine)


def an_hour_passes(machine: Machine) -> None:
    """For the alerts: the next failure is mailed, of whatever kind it is."""
    for file in (machine.root / "var/lib/dcabot").glob("alert-*.json"):
        told = json.loads(file.read_text())
        file.write_text(json.dumps({**told, "failures": {}, "mails": []}))


def mail_about(machine: Machine, unit: str, seconds: float = 60.0) -> str:
    """The one mail that arrived about the unit, headers and all."""

    def arrived() -> list[Message]:
        return [mail for mail in mails(machine) if unit in str(mail["Subject"])]

    (mail,) = until(arrived, f"a mail about {unit}", seconds)
    return f"{mail['Subject']}\n{body(mail)}"


def body(mail: Message) -> str:
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def variant(deb: Path, folder: Path, version: str, *, files: dict[str, str] | None = None, **scripts: str) -> Path:
    """The package as another version: with more files, and with maintainer scripts (`postinst="exit 1"`) of its own."""
    unpacked, packed = folder / "unpacked", folder / f"dcabot{version}.deb"
    subprocess.run(["dpkg-deb", "-R", deb, unpacked], check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: (.*)$", rf"Version: \1{version}", control.read_text(), flags=re.MULTILINE))
    for name, text in (files or {}).items():
        (python,) = (unpacked / "usr/lib/dcabot/lib").glob("python3*")
        (python / "site-packages/dcabot" / name).write_text(text)
    for name, script in scripts.items():
        file = unpacked / "DEBIAN" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    subprocess.run(["dpkg-deb", "-Znone", "-b", unpacked, packed], check=True, capture_output=True)
    shutil.rmtree(unpacked)
    return packed
