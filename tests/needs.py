"""Programs that not every Debian has: `tests/needed-programs` lists them, ./test installs them."""

import os
import shutil
from pathlib import Path

import pytest

LISTED = [
    line.split()
    for line in Path(__file__).with_name("needed-programs").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
PACKAGES = {program: package for program, package, _ in LISTED}
FOR_PACKAGING = {program: package for program, package, kind in LISTED if kind != "test"}
# Debian puts daemons where only root's PATH looks.
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def found(program: str) -> str:
    """The path of a program on the list; empty when it is not installed."""
    assert program in PACKAGES, f"{program} is not in tests/needed-programs"
    return shutil.which(program, path=PLACES) or ""


def needed(program: str) -> str:
    """The path of a program. Without it a test is skipped; in CI it fails, for nobody reads skips there."""
    path = found(program)
    if not path:
        complain(f"{program} is not installed (apt install {PACKAGES[program]})")
    return path


def complain(sentence: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
