"""`dcabot alert UNIT`: tell by e-mail that a unit failed. systemd starts it (`dcabot-alert@.service`).

It tells of every failure in the journal that it has not told of, so it does not matter how often it is started for
one. A failure that repeats is counted, and told again after an hour; that a service stays down is told at once. It
reads the mail settings alone: the rest of the configuration may be what is broken.
"""

import json
import logging
import os
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dcabot.adapters import journal, mail
from dcabot.adapters.config import MailSettings, load_mail
from dcabot.adapters.journal import JournalError, Stop
from dcabot.commands import DONE, FAILED, UNREACHABLE, parser, start_logging

log = logging.getLogger(__name__)

REPEAT_SECONDS = 3600
LOG_LINES = 250  # the stacks of all threads, which the watchdog asks for, and what came before
JOURNAL_PATIENCE_SECONDS = 5.0  # systemd starts us while it is still writing down what happened
STATE_FOLDER = "/var/lib/dcabot"


@dataclass(frozen=True, slots=True)
class Memory:
    """What was told of one unit: up to which failure, which kind was mailed last and when, how many were not since."""

    cursor: str = ""
    kind: str = ""
    mailed_at: int = 0
    untold: int = 0


def main(argv: list[str]) -> int:
    what = "Tell by e-mail of a unit's failures that were not told yet. systemd starts this."
    options = parser("alert", what, logs=True)
    options.add_argument("unit", metavar="UNIT", help="for example dcabot.service")
    args = options.parse_args(argv)
    start_logging(args.verbose)
    settings, notes = load_mail(os.environ, args.env_file)
    for note in notes:
        log.warning("%s", note)
    try:
        return _tell(args.unit, settings)
    except mail.MailError as error:
        log.error("the alert could not be mailed: %s", error)
        return UNREACHABLE
    except JournalError as error:
        log.error("%s failed, and its journal cannot be read: %s", args.unit, error)
        return FAILED


def _tell(unit: str, settings: MailSettings | None) -> int:
    """Until there is nothing new: a failure during a slow conversation with the mail server starts no second alert."""
    file = Path(os.environ.get("STATE_DIRECTORY", STATE_FOLDER)) / f"alert-{unit}.json"
    memory = _recall(file)
    patience_ends = time.monotonic() + JOURNAL_PATIENCE_SECONDS
    told = False
    while True:
        fresh = _untold_stops(unit, memory)
        if fresh:
            memory = _tell_of(unit, fresh, memory, settings)
            _remember(file, memory)
            told = True
        elif told or time.monotonic() > patience_ends:
            return DONE
        else:
            time.sleep(0.1)


def _untold_stops(unit: str, memory: Memory) -> list[Stop]:
    found = journal.stops(unit)
    cursors = [stop.cursor for stop in found]
    if memory.cursor in cursors:
        return found[cursors.index(memory.cursor) + 1 :]
    # The first alert of all, or the journal was rotated: what is older is no news.
    return found[-1:]


def _tell_of(unit: str, fresh: list[Stop], memory: Memory, settings: MailSettings | None) -> Memory:
    """One mail, or one line where there is nobody to mail to, or a count. Raises MailError."""
    state = journal.unit_state(unit)
    newest = fresh[-1]
    is_caretaker = state.get("Type") == "oneshot"
    is_down = not is_caretaker and state.get("ActiveState", "failed") == "failed"
    # A caretaker fails once a minute, always for good; a daemon that stays down is another matter than a restart.
    kind = f"{newest}, stays down" if is_down else str(newest)
    memory = replace(memory, cursor=newest.cursor)
    if settings is None:
        log.warning("alert: %s failed: %s; nobody is mailed, ALERT_EMAIL_* is not set", unit, kind)
        return memory
    now = int(time.time())
    if kind == memory.kind and 0 <= now - memory.mailed_at < REPEAT_SECONDS:
        log.warning("alert: %s failed again: %s; the next mail of it will count it", unit, kind)
        return replace(memory, untold=memory.untold + len(fresh))
    if is_caretaker:
        outlook = "Its timer starts it again."
    elif is_down:
        outlook = f"It stays down until someone starts it: systemctl start {unit}"
    else:
        outlook = "systemd starts it again."
    times = memory.untold + len(fresh)
    mail.send(settings, _subject(unit, newest, is_down), _body(unit, newest, outlook, times))
    log.warning("alert: %s failed: %s; mailed to %s", unit, kind, settings.receiver)
    return replace(memory, kind=kind, mailed_at=now, untold=0)


def _subject(unit: str, stop: Stop, is_down: bool) -> str:
    return f"{unit} on {socket.gethostname()} {'is down' if is_down else 'failed'}: {stop.result}"


def _body(unit: str, stop: Stop, outlook: str, times: int) -> str:
    lines = [
        f"unit:    {unit}",
        f"host:    {socket.gethostname()}",
        f"result:  {stop}",
        f"at:      {stop.at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if times > 1:
        lines.append(f"times:   {times} since the last mail; the same failure is mailed once an hour")
    return "\n".join([*lines, "", outlook, "", *_log(stop), "", f"More: journalctl -u {unit}", ""])


def _log(stop: Stop) -> list[str]:
    try:
        return ["The last lines of its log:", "", *journal.last_lines(stop, LOG_LINES)]
    except JournalError as error:
        return [f"Its log cannot be read: {error}"]


def _recall(file: Path) -> Memory:
    """What was told; nothing when there is no file, or none that can be used: better one mail too many."""
    try:
        return Memory(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return Memory()


def _remember(file: Path, memory: Memory) -> None:
    try:
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(memory)))
        draft.replace(file)
    except OSError as error:
        log.warning("what was told cannot be kept in %s: %s", file, error.strerror)
