"""docs/operator.md, lived through: every command on it, in its order, beside a daemon that trades."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from tests.programs import PATIENCE, ROOT, alpaca_for_tests, environment, run_program, running_daemon, sqlite_books

PAGE = ROOT / "docs" / "operator.md"
UNITS = {file.name.partition(".")[0].rstrip("@") for file in (ROOT / "systemd").iterdir()}
# Not those of dcabot's own: tests/packaging runs them on a booted machine.
MACHINE = ("journalctl", "systemctl")


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_page_names_every_command_of_an_operator() -> None:
    named = {words[1] for words in commands() if words[0] == "dcabot"}
    assert named == {"check", "asset", "status", "cycle", "report"}


def test_what_is_asked_of_systemd_exists() -> None:
    for words in commands():
        if words[0] in MACHINE:
            assert {word.rstrip("*-") for word in words if word.startswith("dcabot")} <= UNITS


@pytest.mark.slow
def test_every_command_on_the_page_works(tmp_path: Path) -> None:
    books = sqlite_books(tmp_path)
    with alpaca_for_tests() as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        alpaca.set_quote("ETH/USD", "2000", "2001")
        variables = environment(tmp_path, alpaca.env(), books.environment, DCABOT_ASSET_REFRESH_SECONDS="1")
        with running_daemon(tmp_path, variables, has_systemd=False) as daemon:
            daemon.until_said("ready:")
            for words in commands():
                if words[:2] == ["dcabot", "cycle"]:
                    for symbol in ("BTC/USD", "ETH/USD"):
                        daemon.until(lambda s=symbol: traded(books, s), f"{symbol} to be bought")
                run(tmp_path, variables, words, alpaca)
            assert daemon.stop()[0] == 0
    assert books.cycles("BTC/USD")[0][0] == "complete"
    assert books.cycles("ETH/USD")[0][0] == "complete"


def traded(books: object, symbol: str) -> bool:
    cycles = books.cycles(symbol)  # type: ignore[attr-defined]
    return bool(cycles) and (cycles[0][0] == "complete" or cycles[0][1] != "0")


def run(folder: Path, variables: dict[str, str], words: list[str], alpaca: Simulator) -> None:
    if words[0] in MACHINE:
        return
    if words[0] == "python":
        done = subprocess.run(
            [sys.executable, str(ROOT / words[1]), "--simulator", *words[2:]],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    elif "--watch" in words:
        watch(folder, variables, words)
        return
    else:
        done = run_program(folder, variables, *words[1:])
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    assert alpaca.secret not in done.stdout + done.stderr


def watch(folder: Path, variables: dict[str, str], words: list[str]) -> None:
    """Until it has shown something, then Ctrl-C."""
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Healthy.\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
