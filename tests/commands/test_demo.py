"""The demo as a person starts it: the whole story, and every way of ending it before its time."""

import contextlib
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path

import pytest

from dcabot.commands import UNREAD

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "dcabot", "demo"]
CHAPTERS = [
    "base order",
    "first safety order",
    "second safety order",
    "take profit",
    "cooldown",
    "early restart",
]
PATIENCE = 120.0
CTRL_C = b"\x03"


@dataclass
class Run:
    """A demo at work. Its temporary files are below `folder`, so that what it leaves behind is seen."""

    folder: Path
    process: subprocess.Popen[bytes]
    line: int  # what we read from, and in a terminal type into; -1 when we have gone
    output: bytes = b""
    daemons: set[int] = field(default_factory=set)

    def read(self) -> None:
        """Take what has been written, without waiting."""
        self.daemons |= children_of(self.process.pid)
        with contextlib.suppress(OSError):  # nothing there, or nobody left who writes
            while piece := os.read(self.line, 1 << 16):
                self.output += piece

    def type(self, keys: bytes) -> None:
        os.write(self.line, keys)

    def go_away(self) -> None:
        """Close our end."""
        if self.line >= 0:
            os.close(self.line)
            self.line = -1

    def wait_until(self, happened: Callable[["Run"], bool]) -> None:
        self._poll(lambda: happened(self))

    def wait(self) -> int:
        """Its exit code."""
        self._poll(lambda: self.process.poll() is not None)
        self.read()
        return self.process.returncode

    def _poll(self, happened: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE
        while not happened():
            self.read()
            assert time.monotonic() < ends, f"waited {PATIENCE} s; the output so far:\n{self.text}"
            time.sleep(0.01)

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")

    @property
    def leftovers(self) -> list[str]:
        """Files and processes that are still there."""
        files = [str(path) for path in self.folder.iterdir()]
        return files + [f"process {pid}" for pid in self.daemons if Path(f"/proc/{pid}").exists()]


def children_of(pid: int) -> set[int]:
    """The processes that it has started, whichever thread did."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return {int(one) for task in Path(f"/proc/{pid}/task").glob("*/children") for one in task.read_text().split()}
    return set()


@contextlib.contextmanager
def started(folder: Path, *options: str, **changes: str) -> Iterator[Run]:
    """A demo whose output is a pipe."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    environment = {**os.environ, "TMPDIR": str(folder), **changes}
    process = subprocess.Popen([*DEMO, *options], cwd=ROOT, env=environment, stdout=writer, stderr=writer)
    os.close(writer)
    run = Run(folder, process, reader)
    try:
        yield run
    finally:
        run.go_away()
        end(process)


@contextlib.contextmanager
def in_terminal(folder: Path, *options: str, size: tuple[int, int] = (30, 100), **changes: str) -> Iterator[Run]:
    """A demo in a terminal of its own: Ctrl-C is a byte that is typed."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    plain = {"NO_COLOR", "COLUMNS", "LINES"}
    environment = {name: value for name, value in os.environ.items() if name not in plain}
    environment |= {"TMPDIR": str(folder), "TERM": "xterm-256color", **changes}
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *DEMO, *options],
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    run = Run(folder, process, ours)
    try:
        yield run
    finally:
        run.go_away()
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(PATIENCE)


def is_under_way(run: Run) -> bool:
    """At the very start: no handler, no file, no process yet."""
    return run.process.poll() is None


def has_a_folder(run: Run) -> bool:
    return any(run.folder.iterdir())


def has_a_daemon(run: Run) -> bool:
    return any("run" in words_of(pid) for pid in children_of(run.process.pid))


def has_bought(run: Run) -> bool:
    return "bought" in run.text


def words_of(pid: int) -> list[str]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


MOMENTS = [is_under_way, has_a_folder, has_a_daemon, has_bought]


def chapters_in(text: str) -> list[str]:
    return re.findall(r"^ .*BTC/USD +(.*) done", text, re.MULTILINE)


def test_whole_story_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    # What a user has set for a real bot is neither used nor in the way.
    theirs = {"APCA_API_KEY_ID": "not\nours", "DB_URL": "nonsense", "http_proxy": "http://127.0.0.1:1", "DB_PORT": "x"}
    with started(tmp_path, "--speed", "20", **theirs) as run:
        assert run.wait() == 0, run.text
    assert chapters_in(run.text) == CHAPTERS
    assert "cycle complete, profit" in run.text
    assert re.search(r"BTC/USD +take profit +sell +\S+ +\S+ +filled", run.text)
    assert "Completed cycles" in run.text and run.text.rstrip().splitlines()[-1].startswith("Next:")
    assert run.daemons and not run.leftovers
    assert "\x1b" not in run.text


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_at_any_moment_leaves_nothing(
    tmp_path: Path, number: signal.Signals, moment: Callable[[Run], bool]
) -> None:
    with started(tmp_path, "--speed", "4") as run:
        run.wait_until(moment)
        run.process.send_signal(number)
        # Before our first line of code Python itself dies of the signal, or says that it could not start.
        assert run.wait() in ({-number, 1} if moment is is_under_way else set()) | {128 + number}
    assert not run.leftovers
    assert moment is is_under_way or "Traceback" not in run.text


def test_reader_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    with started(tmp_path, "--speed", "4") as run:
        run.wait_until(has_bought)
        run.go_away()
        assert run.wait() == UNREAD
    assert run.daemons and not run.leftovers


def test_daemon_that_dies_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.wait_until(has_bought)
        for pid in run.daemons:
            os.kill(pid, signal.SIGKILL)
        assert run.wait() == 1
    assert "the daemon ended by itself, exit code -9" in run.text
    assert "base order" in run.text.partition("last words:")[2]
    assert not run.leftovers


def is_drawn(run: Run) -> bool:
    return "What happened" in run.text


@pytest.mark.parametrize("moment", [has_a_folder, has_a_daemon, is_drawn, has_bought])
def test_ctrl_c_in_the_live_view_gives_the_terminal_back(tmp_path: Path, moment: Callable[[Run], bool]) -> None:
    with in_terminal(tmp_path, "--speed", "4") as run:
        before = termios.tcgetattr(run.line)
        run.wait_until(moment)
        run.type(CTRL_C)
        assert run.wait() == 128 + signal.SIGINT
        assert termios.tcgetattr(run.line) == before
    for taken, given_back in (("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?25l", "\x1b[?25h")):
        assert run.text.rfind(given_back) >= run.text.rfind(taken)
    assert "Traceback" not in run.text
    assert not run.leftovers


def test_live_view_ends_in_the_tables(tmp_path: Path) -> None:
    with in_terminal(tmp_path, "--speed", "20") as run:
        assert run.wait() == 0, run.text
    live, _, after = run.text.rpartition("\x1b[?1049l")
    for words in ("What happened", "early restart", "sells at", "last order"):
        assert words in live
    for words in ("Orders", "Completed cycles", "Next:"):
        assert words in after
    assert not run.leftovers


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        ((30, 100), {"TERM": "dumb"}),
        ((30, 100), {"NO_COLOR": "1"}),
        ((20, 70), {}),
        ((30, 100), {"PYTHONIOENCODING": "ascii"}),
    ],
)
def test_terminal_that_cannot_show_the_view_gets_lines(
    tmp_path: Path, size: tuple[int, int], changes: dict[str, str]
) -> None:
    with in_terminal(tmp_path, "--speed", "4", size=size, **changes) as run:
        run.wait_until(has_bought)
        run.type(CTRL_C)
        assert run.wait() == 128 + signal.SIGINT
    assert "base order: buy" in run.text and "\x1b[?1049h" not in run.text
    assert not run.leftovers


def test_terminal_that_is_closed_leaves_nothing(tmp_path: Path) -> None:
    with in_terminal(tmp_path, "--speed", "4") as run:
        run.wait_until(has_bought)
        run.go_away()
        assert run.wait() == 128 + signal.SIGHUP
    assert run.daemons and not run.leftovers
