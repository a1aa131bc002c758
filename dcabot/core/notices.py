"""Notices: what was noticed of each pair while it trades, which `troubles` goes by.

Events come with their time. Quotes come tens of thousands of times a second, so one that changes
nothing costs next to nothing.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from dcabot.core.troubles import Noticed

COARSE = timedelta(seconds=1)  # how exactly the time of the last usable quote is kept


class Notices:
    """Of each pair that is traded."""

    def __init__(self) -> None:
        self._noticed: dict[str, Noticed] = {}

    def of(self, symbol: str, now: datetime) -> Noticed:
        """What was noticed of the pair since it has been traded."""
        return self._noticed.setdefault(symbol, Noticed(now))

    def follow(self, symbols: Collection[str]) -> None:
        """These are traded: what was noticed of another is forgotten."""
        for symbol in self._noticed.keys() - set(symbols):
            del self._noticed[symbol]

    def unusable(self, symbol: str, why: str, now: datetime) -> None:
        """A quote came that decides nothing. It says nothing of the price."""
        self._noticed[symbol] = replace(self.of(symbol, now), unusable=why)

    def judged(
        self,
        symbol: str,
        now: datetime,
        is_reached: bool,
        waits: str = "",
        is_wide: bool = False,
    ) -> None:
        """A usable quote was decided on. `is_reached`: it is one at which the position is sold.

        `waits` says why the rules would buy and do not, `is_wide` that it is for the spread.
        """
        old = self.of(symbol, now)
        is_same = (old.reached_at is not None) == is_reached and old.waits == waits
        if is_same and not old.unusable and abs(now - old.usable_at) < COARSE:
            return
        reached_at = (old.reached_at or now) if is_reached else None
        self._noticed[symbol] = replace(
            old, usable_at=now, reached_at=reached_at, waits=waits, is_wide=is_wide, unusable=""
        )

    def failed(self, symbol: str, why: str, now: datetime) -> None:
        """A decision was not carried out for an error."""
        old = self.of(symbol, now)
        since = old.failing_since or now
        self._noticed[symbol] = replace(old, failing_since=since, failure=why)

    def carried_out(self, symbol: str) -> None:
        """A decision was carried out, or none is wanted any more."""
        old = self._noticed.get(symbol)
        if old is not None and old.failing_since is not None:
            self._noticed[symbol] = replace(old, failing_since=None, failure="")
