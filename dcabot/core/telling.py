"""When to tell a person: at once, again after an hour, then once a day, and when it is over."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

Pauses = tuple[timedelta, ...]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TROUBLE_PAUSES = (HOUR, DAY)  # after the first telling, after the second; the last one from then on
FAILURE_PAUSES = (HOUR,)
MAILS_AN_HOUR = 10  # who gets more mails at night reads none of them


@dataclass(frozen=True, slots=True)
class Told:
    """When something was told last, and how many times so far."""

    at: datetime
    times: int = 1


@dataclass(frozen=True, slots=True)
class Telling:
    """The names to tell of now, the names that are over, and what will have been told then."""

    due: tuple[str, ...]
    over: tuple[str, ...]
    told: Mapping[str, Told]


def is_due(told: Told | None, now: datetime, pauses: Pauses = TROUBLE_PAUSES) -> bool:
    """True when it was never told, or long enough ago. A clock that was set back makes it due."""
    if told is None or told.at > now:
        return True
    return now - told.at >= pauses[min(told.times, len(pauses)) - 1]


def told_again(told: Told | None, now: datetime) -> Told:
    """What to remember after telling it now."""
    return Told(now, 1 if told is None else told.times + 1)


def tell(told: Mapping[str, Told], names: Iterable[str], now: datetime) -> Telling:
    """What to say now of the troubles with these names, after what was told of earlier ones."""
    names = list(names)
    due = tuple(name for name in names if is_due(told.get(name), now))
    over = tuple(name for name in told if name not in names)
    kept = {name: told[name] for name in names if name in told}
    return Telling(due, over, kept | {name: told_again(told.get(name), now) for name in due})


def may_mail(mailed_at: Iterable[datetime], now: datetime) -> bool:
    """False when this hour has had its mails."""
    return sum(now - HOUR < at <= now for at in mailed_at) < MAILS_AN_HOUR
