"""`dcabot alert UNIT`: a mail about a unit that failed. `dcabot-alert@.service` starts it.

It tells of every failure in the journal that it has not told of, so it does not matter how often it
is started for one. A failure that repeats is counted, and told again after an hour. That a service
stays down is told always. When the consistency checker failed because a living daemon needs a
person, the trouble is the subject, and its end is told too. It reads the mail settings alone: the
rest of the configuration may be broken.
"""

import argparse
import json
import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dcabot.adapters import journal, mail
from dcabot.adapters.config import MailSettings, load_mail
from dcabot.adapters.journal import JournalError, Stop
from dcabot.commands import DONE, FAILED, NEEDS_PERSON, UNREACHABLE, parser, start_logging, utc_now
from dcabot.core.telling import FAILURE_PAUSES, HOUR, Told, is_due, may_mail, tell, told_again

log = logging.getLogger(__name__)

LOG_LINES = 250  # the stacks of all threads, which the watchdog asks for, and what came before
SUBJECT_MAX = 150  # a telephone shows about half of it
JOURNAL_PATIENCE_SECONDS = 5.0  # systemd starts us while it is still writing down what happened
STATE_FOLDER = "/var/lib/dcabot"
KINDS_MAX = 50
MEANINGS = {
    "exited 75": "Alpaca or the database cannot be reached",
    "exited 78": "the settings are wrong",
}
# What the consistency checker logs of each trouble: its name and its sentence.
NEEDED = re.compile(rf": ERROR {NEEDS_PERSON} \(([^()]+)\): (.*)$")


@dataclass(frozen=True, slots=True)
class Memory:
    """What was told of one unit.

    `cursor`: up to which failure. `failures`: when each kind of failure was mailed. `untold`: how
    many of each were not mailed since. `troubles`: when each trouble of a living daemon was mailed.
    """

    cursor: str = ""
    failures: Mapping[str, Told] = field(default_factory=dict)
    untold: Mapping[str, int] = field(default_factory=dict)
    troubles: Mapping[str, Told] = field(default_factory=dict)
    mailed_at: tuple[datetime, ...] = ()

    def mailed(self, now: datetime) -> "Memory":
        """One mail more in this hour."""
        recent = tuple(at for at in self.mailed_at if now - HOUR < at <= now)
        return replace(self, mailed_at=(*recent, now))


def make_parser() -> argparse.ArgumentParser:
    what = "Tell by e-mail of a unit's failures that were not told yet. systemd starts this."
    options = parser("alert", what, logs=True)
    options.add_argument("unit", metavar="UNIT", help="for example dcabot.service")
    return options


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    start_logging(args.verbose)
    settings, notes = load_mail(os.environ, args.env_file)
    for note in notes:
        log.warning("%s", note)
    file = Path(os.environ.get("STATE_DIRECTORY", STATE_FOLDER)) / f"alert-{args.unit}.json"
    try:
        _tell(args.unit, file, settings)
    except mail.MailError as error:
        log.error("the alert could not be mailed: %s", error)
        return UNREACHABLE
    except JournalError as error:
        log.error("%s failed, and its journal cannot be read: %s", args.unit, error)
        return FAILED
    return DONE


def _tell(unit: str, file: Path, settings: MailSettings | None) -> None:
    """Tell until there is nothing new, and of the end of what was told before.

    A failure during a slow conversation with the mail server starts no second alert. Whether a
    failure or a success started this one does not matter: systemd's MONITOR_SERVICE_RESULT says
    "success" of a daemon that was killed and has been started again.
    """
    memory = _recall(file)
    patience_ends = time.monotonic() + JOURNAL_PATIENCE_SECONDS
    told = False
    while True:
        fresh = _untold_stops(unit, memory)
        if fresh:
            memory = _tell_of(unit, fresh, memory, settings)
            _remember(file, memory)
            told = True
        elif told or _went_well(unit) or time.monotonic() > patience_ends:
            break
        else:
            time.sleep(0.1)
    if memory.troubles and _went_well(unit):
        _remember(file, _tell_of_troubles({}, [], memory, settings))


def _went_well(unit: str) -> bool:
    """True of a caretaker whose last pass is over and did not fail; false of the daemon."""
    state = journal.unit_state(unit)
    return state.get("Type") == "oneshot" and state.get("ActiveState") == "inactive"


def _untold_stops(unit: str, memory: Memory) -> list[Stop]:
    found = journal.stops(unit)
    cursors = [stop.cursor for stop in found]
    if memory.cursor in cursors:
        return found[cursors.index(memory.cursor) + 1 :]
    # The first alert of all, or the journal was rotated: what is older is no news.
    return found[-1:]


def _tell_of(unit: str, fresh: list[Stop], memory: Memory, settings: MailSettings | None) -> Memory:
    """A mail, or a line where there is nobody to mail to, or a count. Raises MailError."""
    newest = fresh[-1]
    memory = replace(memory, cursor=newest.cursor)
    lines = _log(newest)
    needed = [found for line in lines if (found := NEEDED.search(line))]
    troubles = {found[1]: found[2] for found in needed}
    if troubles:
        return _tell_of_troubles(troubles, lines, memory, settings)
    return _tell_of_failure(unit, fresh, memory, settings, lines)


# A unit that failed.


def _tell_of_failure(
    unit: str, fresh: list[Stop], memory: Memory, settings: MailSettings | None, lines: list[str]
) -> Memory:
    state = journal.unit_state(unit)
    newest = fresh[-1]
    is_caretaker = state.get("Type") == "oneshot"
    is_down = not is_caretaker and state.get("ActiveState", "failed") == "failed"
    # A caretaker fails once a minute, always for good; a daemon that stays down is another matter
    # than a restart.
    kind = f"{newest}, stays down" if is_down else str(newest)
    if settings is None:
        log.warning("alert: %s failed: %s; nobody is mailed, ALERT_EMAIL_* is not set", unit, kind)
        return memory
    now = utc_now()
    times = memory.untold.get(kind, 0) + len(fresh)
    # Nothing fails again of what is down, so no later mail would count it.
    is_new = is_due(memory.failures.get(kind), now, FAILURE_PAUSES)
    if not is_down and not (is_new and may_mail(memory.mailed_at, now)):
        log.warning("alert: %s failed again: %s; the next mail of it will count it", unit, kind)
        return replace(memory, untold={**memory.untold, kind: times})
    if is_caretaker:
        outlook = "Its timer starts it again."
    elif is_down:
        outlook = f"It stays down until someone starts it: systemctl start {unit}"
    else:
        outlook = "systemd starts it again."
    mail.send(settings, _subject(unit, newest, is_down), _body(unit, newest, outlook, times, lines))
    log.warning("alert: %s failed: %s; mailed to %s", unit, kind, settings.receiver)
    failures = {**memory.failures, kind: told_again(memory.failures.get(kind), now)}
    kinds = sorted(failures, key=lambda one: failures[one].at)[-KINDS_MAX:]
    return replace(
        memory.mailed(now),
        failures={one: failures[one] for one in kinds},
        untold={one: memory.untold[one] for one in kinds if one in memory.untold and one != kind},
    )


def _subject(unit: str, stop: Stop, is_down: bool) -> str:
    why = MEANINGS.get(stop.ending, stop.result)
    return f"{unit} on {socket.gethostname()} {'is down' if is_down else 'failed'}: {why}"


def _body(unit: str, stop: Stop, outlook: str, times: int, lines: list[str]) -> str:
    meaning = MEANINGS.get(stop.ending)
    head = [f"{meaning}; the log below says more.", ""] if meaning else []
    head += [
        f"unit:    {unit}",
        f"host:    {socket.gethostname()}",
        f"result:  {stop}",
        f"at:      {stop.at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if times > 1:
        head.append(f"times:   {times} since the last mail; a repeat is mailed once an hour")
    return "\n".join([*head, "", outlook, "", *lines, "", f"More: journalctl -u {unit}", ""])


# A daemon that lives and cannot trade.


def _tell_of_troubles(
    sentences: Mapping[str, str], lines: list[str], memory: Memory, settings: MailSettings | None
) -> Memory:
    """Each at once, again after an hour, then once a day; and that it is over. Raises MailError."""
    now = utc_now()
    telling = tell(memory.troubles, sentences, now)
    if not (telling.due or telling.over):
        log.warning("alert: nothing new; told before: %s", ", ".join(telling.told))
        return memory
    subject = f"dcabot on {socket.gethostname()}: {_headline(sentences, telling.due, telling.over)}"
    if settings is None:
        log.warning("alert: %s; nobody is mailed, ALERT_EMAIL_* is not set", subject)
    elif may_mail(memory.mailed_at, now):
        mail.send(settings, subject, _account_of(sentences, telling.over, lines))
        log.warning("alert: %s; mailed to %s", subject, settings.receiver)
        memory = memory.mailed(now)
    else:
        log.warning("alert: %s; not mailed yet, for this hour has had its mails", subject)
        return memory
    return replace(memory, troubles=telling.told)


def _headline(sentences: Mapping[str, str], due: tuple[str, ...], over: tuple[str, ...]) -> str:
    """What a telephone shows at night."""
    if not due:
        return f"over: {', '.join(over)}"[:SUBJECT_MAX]
    others = f" (and {len(sentences) - 1} more)" if len(sentences) > 1 else ""
    return sentences[due[0]][: SUBJECT_MAX - len(others)] + others


def _account_of(sentences: Mapping[str, str], over: tuple[str, ...], lines: list[str]) -> str:
    parts = []
    if sentences:
        parts += [
            "The daemon runs, and this needs you:",
            "",
            *(f"- {one}" for one in sentences.values()),
            "",
        ]
        parts += ["You are told again after an hour, then once a day, and when it is over.", ""]
    if over:
        parts += ["Over:", "", *(f"- {name}" for name in over), ""]
    if not sentences:
        parts += ["Nothing else needs you.", ""]
    parts += ["Now: dcabot status", "More: journalctl -u dcabot", ""]
    return "\n".join([*parts, *lines, ""] if lines else parts)


def _log(stop: Stop) -> list[str]:
    try:
        return ["The last lines of its log:", "", *journal.last_lines(stop, LOG_LINES)]
    except JournalError as error:
        return [f"Its log cannot be read: {error}"]


# The memory, a file.


def _recall(file: Path) -> Memory:
    """What was told. Nothing when the file is missing or unusable: better one mail too many."""
    try:
        stored = json.loads(file.read_text())
        return Memory(
            cursor=str(stored["cursor"]),
            failures=_read_told(stored.get("failures", {})),
            untold={str(kind): int(count) for kind, count in stored.get("untold_of", {}).items()},
            troubles=_read_told(stored.get("troubles", {})),
            mailed_at=tuple(datetime.fromisoformat(at) for at in stored.get("mails", ())),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Memory()


def _read_told(stored: dict[str, Any]) -> dict[str, Told]:
    rows = ((str(name), at, times) for name, (at, times) in stored.items())
    return {name: Told(datetime.fromisoformat(at), int(times)) for name, at, times in rows}


def _remember(file: Path, memory: Memory) -> None:
    stored = {
        "cursor": memory.cursor,
        "failures": _as_stored(memory.failures),
        "untold_of": dict(memory.untold),
        "troubles": _as_stored(memory.troubles),
        "mails": [at.isoformat() for at in memory.mailed_at],
    }
    try:
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(stored))
        draft.replace(file)
    except OSError as error:
        log.warning("what was told cannot be kept in %s: %s", file, error.strerror)


def _as_stored(told: Mapping[str, Told]) -> dict[str, tuple[str, int]]:
    return {name: (one.at.isoformat(), one.times) for name, one in told.items()}
