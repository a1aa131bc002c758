"""Whoever stops a backtest gets his terminal back: no traceback, no process left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dcabot.commands import UNREAD
from tests.backtest.test_command import AMOUNTS, prices

__all__ = ["prices"]  # the fixture

PATIENCE = 120  # seconds


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "dcabot", "backtest", *map(str, words), *AMOUNTS]


def children(parent: int) -> list[int]:
    """Every process below it."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(") ")[2].split()[1])
    direct = [one for one, above in parents.items() if above == parent]
    return [below for child in direct for below in (child, *children(child))]


def is_running(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("how", "started", "after"),
    [
        (signal.SIGINT, 1, 0),
        (signal.SIGINT, 2, 0),
        *((signal.SIGINT, 3, after) for after in (0, 0.06, 0.15, 1)),
        (signal.SIGTERM, 3, 1),
        (signal.SIGKILL, 3, 0),
        (signal.SIGKILL, 3, 1),
    ],
)
def test_a_search_that_is_stopped_leaves_nothing_behind(
    prices: Path, how: signal.Signals, started: int, after: float
) -> None:
    """While its processes come up and when they are at work; `after` so many seconds, whatever it is then doing.

    With three it has `started` all: two for the work and multiprocessing's tracker, which is the first.
    """
    words = ["--prices", prices, "--jobs", "2", "--sweep", "take-profit-percent=0.6:30:0.003"]
    with subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as search:
        try:
            until(lambda: len(children(search.pid)) >= started)
            time.sleep(after)
            below = children(search.pid)
            os.killpg(search.pid, how) if how is signal.SIGINT else search.send_signal(how)
            out, err = search.communicate(timeout=PATIENCE)
        finally:
            search.kill()

    assert search.returncode == (130 if how is signal.SIGINT else -how)
    assert out == ""
    # Python itself writes one in a process that was starting when kill -9 took the pipe it read from.
    if how is not signal.SIGKILL:
        assert "Traceback" not in err
    until(lambda: not any(is_running(one) for one in below))


def test_a_reader_who_has_seen_enough_may_go(prices: Path) -> None:
    words = ["--prices", prices, "--csv", "--fills"]
    with subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert all(line.startswith("dcabot backtest: note: ") for line in run.stderr)
        assert run.wait(PATIENCE) == UNREAD
