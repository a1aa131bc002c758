"""Is the daemon well, and what does it do: what the watchdog, STATUS and an alert go by."""

import logging
import time
from datetime import datetime, timedelta

from dcabot.adapters.store import Beat
from dcabot.adapters.streams import Feed, Streams
from dcabot.commands import counted, utc_now
from dcabot.core.model import CycleStatus
from dcabot.trader import Trader

log = logging.getLogger(__name__)

CONSUMER_SECONDS = 10.0  # the consumer is woken every second
DATABASE_SECONDS = 60.0
SWEEP_SECONDS = 600.0  # a sweep of many orders on a slow line ends within minutes, well or with a complaint
OVER_SECONDS = 12.0  # the beat meets what is not over again after five
STREAM_SECONDS = 60.0  # a reconnect takes a few seconds, half a minute after a refusal


class Health:
    """When each part last showed a sign of life, in monotonic seconds."""

    def __init__(self, trader: Trader, streams: Streams) -> None:
        self.trader = trader
        self.streams = streams
        now = time.monotonic()
        self._consumer_at = self._database_at = self._sweep_at = now
        self._up_at = dict.fromkeys(Feed, now)
        self._told: dict[str, float] = {}  # each outage, and when it was met last
        self._started_at = utc_now()

    def consumer_advanced(self) -> None:
        self._consumer_at = time.monotonic()

    def database_answered(self) -> None:
        self._database_at = time.monotonic()

    def sweep_ended(self) -> None:
        """Well or not: an exchange that cannot be reached is no reason to be restarted, a lane that hangs is."""
        self._sweep_at = time.monotonic()

    def beat(self, now: datetime) -> Beat:
        """What `dcabot status` shows of a daemon in another process."""
        return Beat(
            self._started_at, now, self._heard(Feed.QUOTES, now), self._heard(Feed.ORDERS, now), self.sentence()
        )

    def _heard(self, feed: Feed, now: datetime) -> datetime | None:
        heard_at = self.streams.health(feed).heard_at
        return None if heard_at is None else now - timedelta(seconds=time.monotonic() - heard_at)

    def trouble(self, sentence: str) -> None:
        """Say an outage once; `well` says when it is over."""
        if sentence not in self._told:
            log.error("%s", sentence)
        self._told[sentence] = time.monotonic()

    def well(self) -> None:
        """Some work went well. What other work met just now is not over by that: a full disk can be read."""
        quiet_since = time.monotonic() - OVER_SECONDS
        over = [sentence for sentence, met_at in self._told.items() if met_at <= quiet_since]
        if over:
            log.info("over: %s", "; ".join(over))
        self._told = {sentence: at for sentence, at in self._told.items() if sentence not in over}

    def up_since(self, feed: Feed) -> float | None:
        """Since when it is connected, in monotonic seconds; None while it is not."""
        return self.streams.health(feed).connected_since

    def is_up(self, feed: Feed) -> bool:
        return self.up_since(feed) is not None

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
        left = ", ".join(self.streams.without_room())
        room = f"; Alpaca's plan has no room on its stream for {left}" if left else ""
        return f"{counted(len(entries), 'asset')}: {words}" + (f"; {held} held, see the log" if held else "") + room
