"""Pairs that the market-data stream is silent on, and whether REST knows better.

Silence may be a quiet market or a dead socket. A value without a clock: time is an argument.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from dcabot.core.model import Quote

MUTE_MARGIN = timedelta(seconds=1)  # REST may be ahead of a healthy socket by one answer
FLOWS_SECONDS = 5.0  # quotes over so long flow


class Silence:
    """The newest quote of each pair: its time at Alpaca, and when the stream brought it."""

    def __init__(self) -> None:
        self._quoted_at: dict[str, datetime] = {}
        self._heard_at: dict[str, float] = {}

    def follow(self, symbols: Collection[str]) -> None:
        """Forget all other pairs: what is not subscribed is not silent when it comes back."""
        for symbol in self._heard_at.keys() - set(symbols):
            del self._heard_at[symbol]
            self._quoted_at.pop(symbol, None)

    def expect(self, symbols: Iterable[str], now: float) -> None:
        """The stream brings these from now on: one that it never quotes has been silent since."""
        for symbol in symbols:
            self._heard_at.setdefault(symbol, now)

    def heard(self, symbol: str, quoted_at: datetime, now: float) -> bool:
        """A quote was looked at. False for one that is looked at again: it is no sign of life."""
        if self._quoted_at.get(symbol) == quoted_at:
            return False
        self._quoted_at[symbol] = quoted_at
        self._heard_at[symbol] = now
        return True

    def silent(self, symbols: Collection[str], seconds: float, now: float) -> tuple[str, ...]:
        """Pairs without a new quote for so long."""
        self.expect(symbols, now)
        return tuple(symbol for symbol in symbols if now - self._heard_at[symbol] > seconds)

    def missed(self, quotes: Iterable[Quote], up_since: datetime) -> tuple[str, ...]:
        """Pairs of which REST has a newer quote than the stream brought: then the socket is mute.

        Nothing is missed from before the stream connected.
        """
        return tuple(
            quote.symbol
            for quote in quotes
            if quote.at > max(self._quoted_at.get(quote.symbol, up_since), up_since) + MUTE_MARGIN
        )


class Mute:
    """Pairs that a connected stream does not bring, until their quotes flow again.

    Each renewed connection may bring a quote and fall mute again, so one quote ends nothing.
    """

    def __init__(self) -> None:
        self._speaks_since: dict[str, float | None] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(self._speaks_since))

    def follow(self, symbols: Collection[str]) -> None:
        """Forget all other pairs."""
        kept = self._speaks_since.keys() & set(symbols)
        self._speaks_since = {one: self._speaks_since[one] for one in kept}

    def found(self, symbols: Iterable[str]) -> None:
        """REST had newer quotes of these."""
        self._speaks_since.update(dict.fromkeys(symbols))

    def heard(self, symbol: str, now: float) -> None:
        """The stream brought a new quote: its second one, some seconds after the first, ends it."""
        if symbol not in self._speaks_since:
            return
        since = self._speaks_since[symbol]
        if since is None:
            self._speaks_since[symbol] = now
        elif now - since >= FLOWS_SECONDS:
            del self._speaks_since[symbol]
