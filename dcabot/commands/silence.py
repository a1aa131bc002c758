"""Pairs that the market-data stream is silent on, and whether REST knows better.

Silence may be a quiet market or a dead socket. A value without a clock: time is an argument.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from dcabot.core.model import Quote

MUTE_MARGIN = timedelta(seconds=1)  # REST may be ahead of a healthy socket by one answer


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

    def heard(self, symbol: str, quoted_at: datetime, now: float) -> None:
        """A quote was looked at. One that is only looked at again is no sign of life."""
        if self._quoted_at.get(symbol) != quoted_at:
            self._quoted_at[symbol] = quoted_at
            self._heard_at[symbol] = now

    def silent(self, symbols: Iterable[str], seconds: float, now: float) -> tuple[str, ...]:
        """Pairs without a new quote for so long. One never heard of counts from the first ask."""
        heard_at = {symbol: self._heard_at.setdefault(symbol, now) for symbol in symbols}
        return tuple(symbol for symbol, at in heard_at.items() if now - at > seconds)

    def missed(self, quotes: Iterable[Quote], up_since: datetime) -> tuple[str, ...]:
        """Pairs of which REST has a newer quote than the stream brought: then the socket is mute.

        Nothing is missed from before the stream connected.
        """
        return tuple(
            quote.symbol
            for quote in quotes
            if quote.at > max(self._quoted_at.get(quote.symbol, up_since), up_since) + MUTE_MARGIN
        )
