"""The package's manual, completion and settings file name what the program has."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from dcabot.__main__ import COMMANDS
from dcabot.adapters.config import DATABASE, EXCHANGE, load
from tests.needs import needed

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "packaging/debian"
NAMES = re.compile(r"\b(?:APCA|DB|ALERT_EMAIL|DCABOT)_[A-Z_]+\b")
# Read from the environment alone: in a file it would come too late.
NOT_IN_A_FILE = {"DCABOT_ENV_FILE"}


def settings() -> set[str]:
    source = "".join((ROOT / f"dcabot/adapters/{name}.py").read_text() for name in ("config", "sources"))
    return set(re.findall(r'"((?:APCA|DB|ALERT_EMAIL|DCABOT)_[A-Z_]+)"', source)) - NOT_IN_A_FILE


def test_the_settings_file_names_every_setting() -> None:
    assert set(NAMES.findall((DEBIAN / "dcabot.env").read_text())) >= settings()


def test_the_example_names_every_setting_and_no_other() -> None:
    assert set(NAMES.findall((ROOT / ".env.example").read_text())) - NOT_IN_A_FILE == settings()


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    shown = tmp_path / "shown"
    shown.write_text(re.sub(r"^#(?=APCA_|DCABOT_)", "", example, flags=re.MULTILINE))
    needs = {EXCHANGE, DATABASE}
    found = [load(needs, {}, str(file)) for file in (shown, ROOT / ".env.example")]
    assert replace(found[0], notes=()) == replace(found[1], notes=())  # the notes are about the files
    assert shown.read_text().count("\nDCABOT_") == 7 and shown.read_text().count("\nAPCA_") == 5


def test_the_manual_names_every_setting() -> None:
    assert set(NAMES.findall((DEBIAN / "dcabot.env.5").read_text())) - NOT_IN_A_FILE == settings()


def test_the_manual_and_the_completion_name_every_command() -> None:
    manual = (DEBIAN / "dcabot.1").read_text().replace("\\-", "-")
    completion = (DEBIAN / "dcabot.bash-completion").read_text()
    for command in COMMANDS:
        assert re.search(rf'^\.(B|BI|BR) "?{command}\b', manual, re.MULTILINE), command
        assert re.search(rf'commands="[^"]*\b{command}\b', completion), command


def test_the_story_runs_every_block_of_an_administrators_day() -> None:
    """README's sections from Install to Uninstall, block by block, as written."""
    part = (ROOT / "README.md").read_text().split("\n### Install\n")[1].split("\n### From a checkout")[0]
    written = []
    for section in f"Install\n{part}".split("\n### "):
        heading, _, text = section.partition("\n")
        written += [(heading, number) for number in range(text.count("```sh\n"))]
    story = "".join(file.read_text() for file in Path(__file__).parent.glob("test_machine*.py"))
    run = re.findall(r'documented\("([^"]+)"(?:, (\d+))?\)', story)
    assert {(heading, int(number or 0)) for heading, number in run} == set(written)


def test_the_settings_file_asks_for_nothing_but_the_keys() -> None:
    lines = (DEBIAN / "dcabot.env").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [
        'APCA_API_BASE_URL="https://paper-api.alpaca.markets"',
        'DB_SOCKET="/run/mysqld/mysqld.sock"',
    ]


@pytest.mark.parametrize("page", ["dcabot.1", "dcabot.env.5", "dcabot-simulator.1"])
def test_a_manual_page_is_well_formed(page: str) -> None:
    done = subprocess.run(
        [needed("groff"), "-man", "-Tutf8", "-ww", "-z", DEBIAN / page], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_the_changelog_has_the_programs_version() -> None:
    from dcabot import __version__

    assert (DEBIAN / "changelog").read_text().startswith(f"dcabot ({__version__})")
