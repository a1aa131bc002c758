"""The newest quote of each symbol that the market-data stream is to bring."""

from collections.abc import Collection
from typing import Any


class Heard:
    """What came last, and what of it was not looked at yet. Of what is not followed nothing is kept: the last quote
    from before would be an old price when the symbol comes back.
    """

    def __init__(self) -> None:
        self._newest: dict[str, Any] = {}
        self._unseen: dict[str, Any] = {}
        self._followed: frozenset[str] = frozenset()

    def follow(self, symbols: Collection[str]) -> None:
        """Keep what comes of these from now on."""
        self._followed = frozenset(symbols)
        self._newest = {symbol: raw for symbol, raw in self._newest.items() if symbol in self._followed}
        self._unseen = {symbol: raw for symbol, raw in self._unseen.items() if symbol in self._followed}

    def put(self, symbol: str, raw: dict[str, Any]) -> None:
        if symbol in self._followed:
            self._unseen[symbol] = self._newest[symbol] = raw

    def take(self, busy: Collection[str]) -> dict[str, Any]:
        """Those that were not looked at yet, but for the busy."""
        return {symbol: self._unseen.pop(symbol) for symbol in list(self._unseen) if symbol not in busy}

    def again(self) -> None:
        """Let the newest of each be looked at once more."""
        self._unseen = {**self._newest, **self._unseen}
