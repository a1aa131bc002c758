"""Format, lint, types and shell scripts: the tools' own words are the failure."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import needed

ROOT = Path(__file__).parents[1]
SHELL_SCRIPTS = (
    "demo",
    "test",
    ".ci/run",
    "packaging/venv.sh",
    "packaging/chroots.sh",
    "packaging/bare-debian",
    "packaging/build-deb",
    "packaging/trim-environment",
    "packaging/dcabot.sh",
    "packaging/debian/tests/story",
)
MAINTAINER_SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)


def test_code_is_formatted() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", "--diff", "--quiet", ".")


def test_code_is_linted() -> None:
    run(sys.executable, "-m", "ruff", "check", "--output-format=concise", "--quiet", ".")


def test_types_fit() -> None:
    run(sys.executable, "-m", "mypy")


def test_shell_scripts_are_sound() -> None:
    debian = [str(file) for file in ROOT.glob("packaging/debian/*") if file.name.endswith(MAINTAINER_SCRIPTS)]
    run(needed("shellcheck"), "--external-sources", *SHELL_SCRIPTS, *debian)
