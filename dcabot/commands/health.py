"""Is the daemon well, and what does it do: what the watchdog, STATUS and an alert go by."""

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from dcabot.adapters.store import Beat
from dcabot.adapters.streams import Feed, Streams
from dcabot.commands import counted, utc_now
from dcabot.core.model import CycleStatus, Quote
from dcabot.trader import Trader

log = logging.getLogger(__name__)

CONSUMER_SECONDS = 10.0  # the consumer is woken every second
DATABASE_SECONDS = 60.0
SWEEP_SECONDS = 600.0  # a sweep of many orders on a slow line ends within minutes, well or with a complaint
STREAM_SECONDS = 60.0  # a reconnect takes a few seconds, half a minute after a refusal


class Health:
    """When each part last showed a sign of life, in monotonic seconds."""

    def __init__(self, trader: Trader, streams: Streams) -> None:
        self.trader = trader
        self.streams = streams
        now = time.monotonic()
        self._consumer_at = self._database_at = self._sweep_at = now
        self._up_at = dict.fromkeys(Feed, now)
        self._quoted_at: dict[str, datetime] = {}
        self._heard_at: dict[str, float] = {}
        self._told: list[str] = []
        self._started_at = utc_now()

    def consumer_advanced(self) -> None:
        self._consumer_at = time.monotonic()

    def database_answered(self) -> None:
        self._database_at = time.monotonic()

    def sweep_ended(self) -> None:
        """Well or not: an exchange that cannot be reached is no reason to be restarted, a lane that hangs is."""
        self._sweep_at = time.monotonic()

    def quoted(self, quote: Quote) -> None:
        """The stream brought a quote; one that is only looked at again is no sign of life."""
        if self._quoted_at.get(quote.symbol) != quote.at:
            self._quoted_at[quote.symbol] = quote.at
            self._heard_at[quote.symbol] = time.monotonic()

    def silent_symbols(self, symbols: Iterable[str], seconds: float) -> list[str]:
        """Those of which the stream brought nothing for so long, although it was up all that time."""
        symbols = list(symbols)
        for symbol in self._heard_at.keys() - set(symbols):  # not subscribed: no silence when it comes back
            del self._heard_at[symbol]
            self._quoted_at.pop(symbol, None)
        if self.up_seconds(Feed.QUOTES) <= seconds:
            return []
        now = time.monotonic()
        return [symbol for symbol in symbols if now - self._heard_at.setdefault(symbol, now) > seconds]

    def beat(self, now: datetime) -> Beat:
        """What `dcabot status` shows of a daemon in another process."""
        return Beat(
            self._started_at, now, self._heard(Feed.QUOTES, now), self._heard(Feed.ORDERS, now), self.sentence()
        )

    def _heard(self, feed: Feed, now: datetime) -> datetime | None:
        heard_at = self.streams.health(feed).heard_at
        return None if heard_at is None else now - timedelta(seconds=time.monotonic() - heard_at)

    def quoted_at(self, now: datetime) -> dict[str, datetime]:
        """Up to when the stream told of each symbol: its newest quote; nothing is missed from before it connected."""
        up_since = self.up_since(Feed.QUOTES, now)
        return {symbol: max(self._quoted_at.get(symbol, up_since), up_since) for symbol in self._heard_at}

    def trouble(self, sentence: str) -> None:
        """Say an outage once; `well` says when it is over."""
        if sentence not in self._told:
            self._told.append(sentence)
            log.error("%s", sentence)

    def well(self) -> None:
        if self._told:
            log.info("over: %s", "; ".join(self._told))
            self._told = []

    def is_up(self, feed: Feed) -> bool:
        return self.streams.health(feed).connected_since is not None

    def up_seconds(self, feed: Feed) -> float:
        since = self.streams.health(feed).connected_since
        return 0.0 if since is None else time.monotonic() - since

    def up_since(self, feed: Feed, now: datetime) -> datetime:
        """Since when it is connected; `now` while it is not."""
        return now - timedelta(seconds=self.up_seconds(feed))

    def sickness(self) -> str:
        """Why the watchdog must not be fed, as a sentence; empty when all is well."""
        now = time.monotonic()
        if now - self._consumer_at > CONSUMER_SECONDS:
            return f"quotes were not looked at for {now - self._consumer_at:.0f} s"
        if now - self._database_at > DATABASE_SECONDS:
            return f"the database did not answer for {now - self._database_at:.0f} s"
        if now - self._sweep_at > SWEEP_SECONDS:
            return f"no look at REST has ended for {now - self._sweep_at:.0f} s"
        for feed in Feed:
            if self.is_up(feed) or (feed is Feed.QUOTES and not self.trader.symbols()):
                self._up_at[feed] = now
            elif now - self._up_at[feed] > STREAM_SECONDS:
                down = now - self._up_at[feed]
                return f"{feed.value} is down for {down:.0f} s: {self.streams.health(feed).error}"
        return ""

    def sentence(self) -> str:
        """What `systemctl status` shows."""
        sick = self.sickness()
        if sick:
            return f"NOT WELL: {sick}"
        entries = list(self.trader.entries.values())
        if not entries and not self.trader.held:
            return "no assets are enabled; `dcabot asset add` adds one"
        held = len(self.trader.held)
        counts = {status: sum(e.cycle.status is status for e in entries) for status in CycleStatus}
        words = ", ".join(f"{count} {status.value}" for status, count in counts.items() if count)
        return f"{counted(len(entries), 'asset')}: {words}" + (f"; {held} held, see the log" if held else "")
