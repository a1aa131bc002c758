"""The examples of docs/simulator.md for other projects: what stands there is run here."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = [f"test_{name}.py" for name in ("mine", "streams", "past", "requests", "asyncio")]
# Everything that the daemon needs and the simulator does not.
OTHERS = ("alpaca", "requests", "websockets", "peewee", "pymysql", "sdnotify", "dotenv", "rich")
OTHERS += ("numpy", "pandas")
ALONE = f"""
import sys
for name in {OTHERS!r}:
    sys.modules[name] = None
import json, urllib.request
from dcabot.simulator import Simulator, walk
with Simulator(symbols=["BTC/USD"], prices=walk(1, ["BTC/USD"])) as alpaca:
    url = alpaca.url + "/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD"
    print(sorted(json.load(urllib.request.urlopen(url))["quotes"]))

"""


def example(name: str) -> str:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    found = re.search(rf"```python\n(# {name}\n.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_documentation_passes_in_another_project(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(example(name), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_first_example_has_twenty_lines() -> None:
    assert len([line for line in example("test_mine.py").splitlines() if line.strip()]) <= 20


def test_it_needs_nothing_of_what_the_daemon_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout == "['BTC/USD']\n", done.stderr


def test_the_plugin_is_what_the_entry_point_names() -> None:
    """A project that has it installed asks for `alpaca`, and need not name a plugin."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    assert settings["options.entry_points"]["pytest11"].strip() == "dcabot = dcabot.pytest_plugin"


def test_a_project_asks_for_the_fixture_without_naming_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(alpaca):\n    assert alpaca.orders() == []\n")
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
