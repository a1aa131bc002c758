"""`dcabot ... | head -1`: whoever read has gone, and that is no error to tell of."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcabot.__main__ import COMMANDS
from dcabot.commands import MISCONFIGURED, UNREAD, USAGE, guard
from tests.programs import ROOT, environment

SCRIPT = str(ROOT / "integration_test.py")
DCABOT = ("-m", "dcabot")
ALL = [*((*DCABOT, name, "--help") for name in COMMANDS), DCABOT, (*DCABOT, "--help"), (*DCABOT, "--version")]
ALL += [(*DCABOT, "simulator", "--port", "0"), (SCRIPT, "--list"), (SCRIPT, "--help")]


def unread(folder: Path, *words: str, closed: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A program whose stdout, or stderr, is a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writer}
    settings = {**environment(folder, variables), "DCABOT_ENV_FILE": os.devnull}
    try:
        return subprocess.run(
            [sys.executable, *words], cwd=folder, env=settings, stdin=subprocess.DEVNULL, text=True, **streams
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_closed_pipe_ends_it_quietly(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = unread(tmp_path, *words, closed="stdout")
    assert (done.returncode, done.stderr) == (UNREAD, "")


@pytest.mark.parametrize(
    ("words", "code"), [(("nonsense",), UNREAD), (("check", "--nonsense"), USAGE), (("status",), MISCONFIGURED)]
)
def test_unread_errors_keep_their_code(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    """systemd acts on the code, also while the journal is away."""
    done = unread(tmp_path, *DCABOT, *words, closed="stderr")
    assert (done.returncode, done.stdout) == (code, "")


def test_another_broken_pipe_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    def stumble(words: list[str]) -> int:
        raise BrokenPipeError("a socket")

    assert guard(stumble, []) == 1
    assert "nobody expected" in caplog.text
