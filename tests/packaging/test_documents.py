"""The package's manual, settings file and changelog name what the program has."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from dcabot import __version__
from dcabot.adapters.config import DATABASE, EXCHANGE, load
from tests.needs import needed

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "packaging/debian"
NAMES = re.compile(r"\b(?:APCA|DB|ALERT_EMAIL|DCABOT)_[A-Z_]+\b")
# Read from the environment alone: the first would come too late in a file, the others are the simulator's.
NOT_IN_A_FILE = {"DCABOT_ENV_FILE", "DCABOT_MIRROR_KEY_ID", "DCABOT_MIRROR_SECRET_KEY"}


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


def debian_changelog(page: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "packaging/make_changelog.py"
    return subprocess.run([sys.executable, script, page], capture_output=True, text=True, check=False)


def test_the_changelog_has_the_programs_version() -> None:
    done = debian_changelog(ROOT / "CHANGELOG.md")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"dcabot ({__version__}) unstable; urgency=medium\n\n  * ")


def test_debians_changelog_has_each_version() -> None:
    page = (ROOT / "CHANGELOG.md").read_text()
    made = debian_changelog(ROOT / "CHANGELOG.md").stdout
    versions = re.findall(r"^## \[([\d.]+)\]", page, re.MULTILINE)
    assert re.findall(r"^dcabot \((.*)\)", made, re.MULTILINE) == versions
    days = [f"{day:%a, %d %b %Y}" for day in map(date.fromisoformat, re.findall(r"\] - (\S+)$", page, re.MULTILINE))]
    assert re.findall(r"^ -- .* <.*>  (.*) 12:00:00 \+0000$", made, re.MULTILINE) == days
    assert max(len(line) for line in made.splitlines() if not line.startswith(" -- ")) <= 80
    assert not re.search(r"[`\[\]]", made)


def test_a_version_without_entry_is_named(tmp_path: Path) -> None:
    page = tmp_path / "CHANGELOG.md"
    page.write_text("## [2.0.0] - 2027-01-02\n\n### Added\n\n- Something.\n")
    done = debian_changelog(page)
    assert done.returncode == 1
    assert "2.0.0" in done.stderr


def test_the_news_begin_with_this_version() -> None:
    assert (DEBIAN / "NEWS").read_text().startswith(f"dcabot ({__version__})")
