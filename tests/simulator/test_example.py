"""The examples of docs/simulator.md for other projects: what stands there is run here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def example(name: str) -> str:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    found = re.search(rf"```python\n(# {name}\n.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", ["test_mine.py", "test_streams.py", "test_past.py"])
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
