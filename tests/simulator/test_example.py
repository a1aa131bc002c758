"""The example of docs/simulator.md for other projects: what stands there is run here."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_of_the_documentation_is_twenty_lines_and_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(# test_mine\.py\n.*?)```", page, re.DOTALL)
    assert example is not None
    assert len([line for line in example[1].splitlines() if line.strip()]) <= 20
    (tmp_path / "test_mine.py").write_text(example[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_mine.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
