"""What systemd knows of a unit's failures: its journal, through `journalctl`, and the unit's state.

The journal is asked rather than the unit: a service that was restarted at once has forgotten how it ended before.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

COMMAND_SECONDS = 20.0
STOPS_MAX = 100  # a crash loop and a bad night of caretakers fit in
# The catalogue's names of two messages of systemd's: "a process of the unit ended", "the unit failed with a result".
PROCESS_ENDED = "98e322203f7a4ed290d09fe03c09fe15"
UNIT_FAILED = "d9b373ed55a64feb8242e02dbe79a49c"


class JournalError(Exception):
    """The journal could not be read."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One failure of a unit. `result` is systemd's word for it; `ending` says how its process ended, if one ran."""

    cursor: str
    at: datetime
    invocation: str
    result: str
    ending: str

    def __str__(self) -> str:
        return f"{self.result} ({self.ending})" if self.ending else self.result


def stops(unit: str) -> list[Stop]:
    """The unit's newest failures, oldest first. Raises JournalError."""
    # _PID=1: nobody but systemd can have written it.
    matches = [f"UNIT={unit}", "_PID=1", f"MESSAGE_ID={PROCESS_ENDED}", f"MESSAGE_ID={UNIT_FAILED}"]
    listing = _journalctl("--output=json", f"--lines={2 * STOPS_MAX}", *matches)
    return list(_read_stops(listing))


def last_lines(stop: Stop, count: int) -> list[str]:
    """The end of the log of the run that ended there: what the program said, and what systemd said of it."""
    if not stop.invocation:
        return []
    theirs, about = f"_SYSTEMD_INVOCATION_ID={stop.invocation}", f"INVOCATION_ID={stop.invocation}"
    return _journalctl("--output=short-iso", "--utc", "--no-hostname", f"--lines={count}", theirs, "+", about)


def unit_state(unit: str) -> dict[str, str]:
    """`Type`, `LoadState`, `ActiveState` and `UnitFileState` of the unit; empty when systemd does not answer."""
    properties = "--property=Type,LoadState,ActiveState,UnitFileState"
    try:
        return dict(line.split("=", 1) for line in _run("systemctl", "show", unit, properties))
    except JournalError:
        return {}


def _read_stops(listing: list[str]) -> Iterator[Stop]:
    endings: dict[str, str] = {}
    for line in listing:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        invocation = entry.get("INVOCATION_ID", "")
        if entry["MESSAGE_ID"] == PROCESS_ENDED:
            endings[invocation] = f"{entry.get('EXIT_CODE', '')} {entry.get('EXIT_STATUS', '')}".strip()
            continue
        yield Stop(
            cursor=entry["__CURSOR"],
            at=datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000, timezone.utc),
            invocation=invocation,
            result=entry.get("UNIT_RESULT", "failed"),
            ending=endings.get(invocation, ""),
        )


def _journalctl(*arguments: str) -> list[str]:
    return _run("journalctl", "--quiet", "--no-pager", *arguments)


def _run(*command: str) -> list[str]:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JournalError(f"{command[0]}: {type(error).__name__}") from None
    if done.returncode:
        raise JournalError(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout.decode(errors="replace").splitlines()
