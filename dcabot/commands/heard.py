"""Quotes that nobody has looked at yet, and pairs whose newest quote is looked at once more."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Unseen:
    """Quotes of one pair, as they came: the newest by its own time, and one beside it: the last
    if that is older, or another of the same time.

    An old quote that comes late must not take the place of a newer one. Nor may one that decides
    nothing, from the future or too far from the others, take the place of all beside it.
    """

    at: datetime | None  # of the newest; None when it cannot be read
    quotes: tuple[Any, ...]

    def then(self, raw: Any, at: datetime | None) -> "Unseen":
        """After one more quote."""
        if self.at is not None and (at is None or at < self.at):
            return Unseen(self.at, (self.quotes[0], raw))
        if at is not None and at == self.at:
            return Unseen(at, (raw, self.quotes[0]))
        return Unseen(at, (raw,))


class Heard:
    """Of what is not followed nothing is kept: the last quote from before would be an old price when the pair comes
    back.
    """

    def __init__(self) -> None:
        self._unseen: dict[str, Unseen] = {}
        self._again: set[str] = set()
        self._followed: frozenset[str] = frozenset()

    def follow(self, symbols: Collection[str]) -> None:
        """Keep what comes of these from now on."""
        self._followed = frozenset(symbols)
        self._unseen = {one: raw for one, raw in self._unseen.items() if one in self._followed}
        self._again &= self._followed

    def put(self, symbol: str, raw: Any, at: datetime | None) -> None:
        """A quote came; `at` is its own time, None when that cannot be read."""
        if symbol in self._followed:
            before = self._unseen.get(symbol)
            self._unseen[symbol] = before.then(raw, at) if before else Unseen(at, (raw,))

    def take(self, busy: Collection[str]) -> dict[str, tuple[Any, ...]]:
        """The quotes that were not looked at yet, but for the busy; of each pair the newest first."""
        free = [symbol for symbol in self._unseen if symbol not in busy]
        return {symbol: self._unseen.pop(symbol).quotes for symbol in free}

    def take_again(self, busy: Collection[str]) -> tuple[str, ...]:
        """The pairs whose newest quote is to be looked at once more, but for the busy."""
        free = self._again - set(busy)
        self._again -= free
        return tuple(sorted(free))

    def again(self, symbols: Iterable[str] | None = None) -> None:
        """Let the newest quote of these be looked at once more; of all without naming any."""
        self._again |= self._followed if symbols is None else self._followed & set(symbols)
