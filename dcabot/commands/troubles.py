"""The troubles that a command tells of: those that the daemon wrote down, and those in the rows."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from dcabot.adapters.rows import Book
from dcabot.core.model import Instrument
from dcabot.core.rules import judged
from dcabot.core.troubles import Noticed, Trouble, lasting, of_pair, of_unreadable, remembered

Listed = Callable[[str], Instrument | None]

WORTH_A_TIME = timedelta(minutes=1)  # what is younger was found by this very look


def in_rows(book: Book, instrument: Listed, now: datetime) -> list[Trouble]:
    """What the rows tell without the daemon.

    Suspended assets, absences, orders without an answer.
    """
    found = of_unreadable(book.faults)
    for entry in book.entries:
        asset = judged(entry.asset, instrument(entry.asset.symbol))
        found += of_pair(replace(entry, asset=asset), Noticed(now), now)
    return lasting(found, remembered({}, found, now), now)


def together(written: Iterable[Trouble], found: Iterable[Trouble]) -> list[Trouble]:
    """Each once. The daemon has known its own for longer."""
    by_name = {one.name: one for one in found} | {one.name: one for one in written}
    return sorted(by_name.values(), key=lambda one: (one.since, one.name))


def told(trouble: Trouble, now: datetime) -> str:
    """The whole of it in one line: what, since when, and what a person can do."""
    since = ""
    if now - trouble.since >= WORTH_A_TIME:
        since = f", since {trouble.since:%Y-%m-%d %H:%M} UTC"
    return f"{trouble.sentence.rstrip('.')}{since}. {trouble.remedy}".rstrip()
