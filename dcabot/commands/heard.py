"""What of each pair must be looked at: the quote that came last, or the newest in memory once more."""

from collections.abc import Collection, Iterable
from typing import Any


class Heard:
    """Of what is not followed nothing is kept: the last quote from before would be an old price when the pair comes
    back.
    """

    def __init__(self) -> None:
        self._unseen: dict[str, Any] = {}
        self._again: set[str] = set()
        self._followed: frozenset[str] = frozenset()

    def follow(self, symbols: Collection[str]) -> None:
        """Keep what comes of these from now on."""
        self._followed = frozenset(symbols)
        self._unseen = {one: raw for one, raw in self._unseen.items() if one in self._followed}
        self._again &= self._followed

    def put(self, symbol: str, raw: Any) -> None:
        if symbol in self._followed:
            self._unseen[symbol] = raw

    def take(self, busy: Collection[str]) -> dict[str, Any]:
        """The quotes that were not looked at yet, but for the busy."""
        free = [symbol for symbol in self._unseen if symbol not in busy]
        return {symbol: self._unseen.pop(symbol) for symbol in free}

    def take_again(self, busy: Collection[str]) -> tuple[str, ...]:
        """The pairs whose newest quote is to be looked at once more, but for the busy."""
        free = self._again - set(busy)
        self._again -= free
        return tuple(sorted(free))

    def again(self, symbols: Iterable[str] | None = None) -> None:
        """Let the newest quote of these be looked at once more; of all without naming any."""
        self._again |= self._followed if symbols is None else self._followed & set(symbols)
