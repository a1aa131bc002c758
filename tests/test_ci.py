"""`.ci/run` with stand-ins for what it runs: what a reader of its output learns, and its exit code."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.programs import ROOT

PASSED = "==== 7 passed, 1 skipped in 2.00s ===="
PACKAGED = "==== 3 passed in 1.00s ===="
FAILED = "==== 1 failed, 6 passed in 2.00s ===="


def ci(folder: Path, bare: str, test: str) -> tuple[int, list[str]]:
    """Its exit code and its lines, when the two scripts do this."""
    for name, body in {"packaging/bare-debian": bare, "test": test}.items():
        script = folder / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/bash\necho "ran {name} $*"\n{body}\n')
        script.chmod(0o755)
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
    done = subprocess.run(
        ["bash", folder / ".ci/run", "-k", "money"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def bare(summary: str, code: int = 0) -> str:
    """Ready, and ./test there says this; ./demo says nothing that looks like it."""
    return f'[ "$2" != ./test ] || {{ echo "{summary}"; exit {code}; }}'


def test_all_is_run_and_what_was_left_out_is_told(tmp_path: Path) -> None:
    code, lines = ci(tmp_path, bare(PASSED), f'echo "{PACKAGED}"')
    assert code == 0
    assert lines[-2:] == [PACKAGED, PASSED]
    assert [line for line in lines if line.startswith("ran ")] == [
        "ran packaging/bare-debian --ready",
        "ran packaging/bare-debian user ./test -k money",
        "ran packaging/bare-debian root ./demo",
        "ran test --packaging",
    ]
    told = "\n".join(line for line in lines if line.startswith("Left out: "))
    assert all(words in told for words in ("--suite trixie", "--long", "--clients", "./test as root"))


def test_a_failure_is_the_last_line_and_the_exit_code(tmp_path: Path) -> None:
    code, lines = ci(tmp_path, bare(FAILED, 1), f'echo "{PACKAGED}"')
    assert code == 1
    assert lines[-3:] == [PACKAGED, "FAILED: packaging/bare-debian user ./test -k money", FAILED]


def test_a_failed_package_fails_it_too(tmp_path: Path) -> None:
    code, lines = ci(tmp_path, bare(PASSED), f'echo "{FAILED}"; exit 1')
    assert code == 1
    assert lines[-3:] == [PASSED, "FAILED: ./test --packaging", FAILED]


@pytest.mark.parametrize("code", [0, 1])
def test_without_a_bare_debian_it_tests_here(tmp_path: Path, code: int) -> None:
    said, lines = ci(tmp_path, "echo 'Only root may make a bare Debian.'; exit 1", f'echo "{PASSED}"; exit {code}')
    assert said == code
    assert [line for line in lines if line.startswith("ran ")] == [
        "ran packaging/bare-debian --ready",
        "ran test -k money",
        "ran test --packaging",
    ]
    assert any("./test ran on this machine instead" in line for line in lines if line.startswith("Left out: "))
    assert lines[-1] == PASSED
