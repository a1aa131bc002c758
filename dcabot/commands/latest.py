"""When REST is asked for its latest quotes, which stand in for the market-data stream.

Three things ask for them: a sale at the market that needs a second look, a stream that is away, and
a pair that a living stream is silent on. All pairs go into one request. A value without a clock.
"""

from collections.abc import Collection, Iterable
from math import inf

from dcabot.commands import paces


class Latest:
    """What is asked, since when the stream is away, and which newer quotes it still owes us."""

    def __init__(self) -> None:
        self._is_asking = False
        self._looks: tuple[str, ...] = ()
        self._away_since: float | None = None
        self._asked_at = self._looked_at = -inf
        self._silent_asked_at: dict[str, float] = {}  # of each pair that was silent then
        self._owed_since: dict[str, float] = {}  # pairs of which REST had a newer quote

    def looks_are(self, symbols: Iterable[str]) -> None:
        """The pairs whose sale at the market waits for a second look."""
        self._looks = tuple(symbols)

    @property
    def looks(self) -> tuple[str, ...]:
        return self._looks

    def stream_is(self, is_up: bool, now: float) -> None:
        """Whether the market-data stream is connected."""
        if is_up:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = now
            self._owed_since.clear()

    def away_seconds(self, now: float) -> float:
        """How long the stream has been away; zero while it is there."""
        return 0.0 if self._away_since is None else now - self._away_since

    def asks_at(self) -> float:
        """When the next question is due, silent pairs aside."""
        if self._is_asking:
            return inf
        times = [inf]
        if self._looks:
            times.append(self._asked_at + paces.LOOK_AGAIN_SECONDS)
        if self._away_since is not None:
            stands_in_from = self._away_since + paces.AWAY_SECONDS
            times.append(max(stands_in_from, self._asked_at + paces.STAND_IN_SECONDS))
        return min(times)

    def may_ask_of_silence(self, now: float) -> bool:
        """Whether silent pairs are worth looking for: in a flood this is asked thousands of times a second."""
        if self._is_asking or now < self._looked_at + paces.TURN_SECONDS:
            return False
        self._looked_at = now
        return True

    def ask(self, symbols: Collection[str], silent: Collection[str], now: float) -> tuple[str, ...]:
        """The pairs to ask for now; empty nearly always. Said once: then `told` or `failed` follows."""
        if self._is_asking:
            return ()
        wanted: set[str] = set()
        if now >= self.asks_at():
            wanted.update(symbols if self._away_since is not None else self._looks)
        if any(now >= self._silent_at(symbol) for symbol in silent):
            # One that fell silent just now is asked about at once, and the others with it.
            self._silent_asked_at = dict.fromkeys(silent, now)
            wanted.update(silent)
        if not wanted:
            return ()
        self._is_asking, self._asked_at = True, now
        return tuple(sorted(wanted))

    def told(self, missed: Iterable[str], now: float) -> tuple[str, ...]:
        """REST answered. `missed` are pairs of which it has a newer quote than the stream brought.

        Returned are the pairs of which the stream has owed one for so long that it must be mute.
        """
        self._is_asking = False
        owed = {symbol: self._owed_since.get(symbol, now) for symbol in missed}
        mute = tuple(symbol for symbol, since in owed.items() if now - since >= paces.MUTE_SECONDS)
        self._owed_since = {} if mute else owed
        return mute

    def failed(self) -> None:
        """REST did not answer."""
        self._is_asking = False

    def _silent_at(self, symbol: str) -> float:
        pause = paces.MUTE_SECONDS if self._owed_since else paces.SILENT_AGAIN_SECONDS
        return self._silent_asked_at.get(symbol, -inf) + pause
