"""The daemon's health: able to trade or not, and alive or stuck.

Unhealthy is what keeps it from trading: the troubles of `core/troubles.py`, told to STATUS, to the
log and, with the beat, to the database. The watchdog is another matter. It is starved only by what
a restart mends: a consumer or a worker that is stuck, a stream that is no longer tried.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dcabot.adapters.store import Beat
from dcabot.adapters.streams import Feed, Streams
from dcabot.commands import UNHEALTHY, counted, utc_now
from dcabot.core.model import CycleStatus
from dcabot.core.snapshot import ExchangeDenied
from dcabot.core.telling import Told, tell
from dcabot.core.troubles import (
    Contact,
    Kind,
    Trouble,
    lasting,
    of_contact,
    of_pair,
    of_unexplained,
    of_unreadable,
    patience,
    remembered,
)
from dcabot.trader import Trader

log = logging.getLogger(__name__)

Seconds = Callable[[], float]

CONSUMER_SECONDS = 10.0  # the consumer is woken every second
OVER_SECONDS = 12.0  # the beat meets what is not over again after five
WORKER_SECONDS = 600.0  # a reconciliation of many orders on a slow line takes minutes
STREAM_SECONDS = 120.0  # a login is given up after 15 s, the next pause is 30 s at most
WORDS = {
    CycleStatus.WATCHING: "waiting",
    CycleStatus.BUYING: "buying",
    CycleStatus.SELLING: "selling",
    CycleStatus.COOLDOWN: "in cooldown",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """The troubles and notes at one moment, and when each was told."""

    troubles: tuple[Trouble, ...] = ()
    told: Mapping[str, Told] | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """What is written down: another time alone is nothing new."""
        return tuple(f"{one.name}: {one.sentence}" for one in self.troubles)


class Health:
    """What was seen of each part, and what follows from it. Plain times are monotonic seconds."""

    def __init__(self, trader: Trader, streams: Streams, worker_seconds: Seconds) -> None:
        self.trader = trader
        self.streams = streams
        self.findings = Findings()
        self._worker_seconds = worker_seconds  # how long the longest work of a worker has taken
        now = time.monotonic()
        self._consumer_at = self._reconciled_at = now
        self._up_at = dict.fromkeys(Feed, now)
        self._failure: Exception | None = None  # of the last reconciliation
        self._since: dict[str, datetime] = {}  # of each condition
        self._earlier: list[Trouble] = []  # of the daemon before this one
        self._complaints: dict[str, float] = {}  # each outage, and when it was met last
        self._started_at = utc_now()
        self._is_stood_in_for = False

    # What happens.

    def consumer_advanced(self) -> None:
        self._consumer_at = time.monotonic()

    def reconciled(self) -> None:
        self._reconciled_at, self._failure = time.monotonic(), None

    def reconciliation_failed(self, error: Exception) -> None:
        self._failure = error
        self.complain(str(error))

    def acted(self, symbol: str, error: Exception | None) -> None:
        """A decision was carried out, or not."""
        if error is None:
            self.trader.notices.carried_out(symbol)
        else:
            self.trader.notices.failed(symbol, str(error), utc_now())

    def inherit(self, troubles: list[Trouble], told: Mapping[str, Told]) -> None:
        """The troubles of the daemon before this one stand until their patience has passed here."""
        self._earlier = [one for one in troubles if one.kind.is_trouble]
        self.findings = Findings(tuple(self._earlier), told)

    def stands_in(self, is_away: bool, mute: Collection[str]) -> None:
        """Whether REST's latest quotes stand in for a market-data stream. Said once.

        It is away, or connected and mute: it does not bring the quotes of these pairs, and is
        renewed until it does. Then it is away by turns, which is not said.
        """
        is_stood_in_for = is_away or bool(mute)
        if is_stood_in_for == self._is_stood_in_for:
            return
        self._is_stood_in_for = is_stood_in_for
        if mute:
            log.warning(
                "the market-data stream is mute (silent on %s, and REST has newer quotes): REST's "
                "latest quotes stand in, and it is renewed until its own flow again",
                ", ".join(mute),
            )
        elif is_away:
            why = self.streams.health(Feed.QUOTES).error or "not connected"
            log.warning("the market-data stream is away (%s): REST's latest quotes stand in", why)
        else:
            log.info("the market-data stream is back")

    def complain(self, sentence: str) -> None:
        """Say an outage once; `over` says when it is over."""
        if sentence not in self._complaints:
            log.error("%s", sentence)
        self._complaints[sentence] = time.monotonic()

    def over(self) -> None:
        """Some work went well. What other work met just now is not over by that.

        A full disk can be read.
        """
        quiet_since = time.monotonic() - OVER_SECONDS
        over = [sentence for sentence, met_at in self._complaints.items() if met_at <= quiet_since]
        if over:
            log.info("over: %s", "; ".join(over))
        for sentence in over:
            del self._complaints[sentence]

    # The streams.

    def up_since(self, feed: Feed) -> float | None:
        """Since when it is connected, in monotonic seconds; None while it is not."""
        return self.streams.health(feed).connected_since

    def is_up(self, feed: Feed) -> bool:
        return self.up_since(feed) is not None

    # What follows.

    def look(self, now: datetime) -> None:
        """Find out what is so, and tell what is new."""
        found = of_contact(self._contact(now))
        hindrance = found[0].sentence if found else ""
        entries = dict(self.trader.entries)
        held = self.trader.held
        found += of_unreadable({name: held[name] for name in held if name not in entries})
        # Orders that nobody here can explain: what they bought is a person's matter.
        unexplained = dict(self.trader.suspended)
        found += of_unexplained(unexplained)
        for symbol, entry in entries.items():
            if symbol in unexplained:
                continue
            found += of_pair(entry, self.trader.notices.of(symbol, now), now, hindrance)
        self._since = remembered(self._since, found, now)
        troubles = lasting(found, self._since, now)
        names = {one.name for one in troubles}
        earlier = [one for one in self._earlier if one.name not in names]
        troubles += [one for one in earlier if self._may_last(one, now)]
        self._tell(sorted(troubles, key=lambda one: (one.since, one.name)), now)

    def _may_last(self, earlier: Trouble, now: datetime) -> bool:
        """True until this daemon would have found the trouble of the one before."""
        return now - self._started_at < patience(earlier.kind) + timedelta(minutes=1)

    def _contact(self, now: datetime) -> Contact:
        error = self._failure
        reconciled_at = now - timedelta(seconds=time.monotonic() - self._reconciled_at)
        return Contact(
            reconciled_at,
            failure=str(error) if error is not None else self._overdue(),
            keys_refused=str(error) if isinstance(error, ExchangeDenied) else "",
            obstacle=self.trader.obstacle,
        )

    def _overdue(self) -> str:
        """A sentence when a reconciliation has neither ended well nor failed for too long.

        A request that hangs or a row that somebody keeps locked can hold it for minutes.
        """
        seconds = time.monotonic() - self._reconciled_at
        is_late = seconds >= patience(Kind.RECONCILIATION).total_seconds()
        return "one is at work and does not end" if is_late else ""

    def _tell(self, troubles: list[Trouble], now: datetime) -> None:
        needed = {one.name: one for one in troubles if one.kind.is_trouble}
        telling = tell(self.findings.told or {}, needed, now)
        for name in telling.due:
            one = needed[name]
            sentences = f"{one.sentence.rstrip('.')}. {one.remedy}".rstrip()
            log.error("unhealthy (%s): %s", name, sentences)
        for name in telling.over:
            log.info("healthy again (%s)", name)
        self.findings = Findings(tuple(troubles), telling.told)

    def stuck(self) -> str:
        """Why only a restart helps, as a sentence: then the watchdog is not fed. Else empty."""
        now = time.monotonic()
        if now - self._consumer_at > CONSUMER_SECONDS:
            return f"quotes were not looked at for {now - self._consumer_at:.0f} s"
        if (seconds := self._worker_seconds()) > WORKER_SECONDS:
            return f"a worker has been stuck for {seconds:.0f} s"
        for feed in Feed:
            health = self.streams.health(feed)
            is_wanted = feed is Feed.ORDERS or bool(self.trader.symbols())
            if health.connected_since is not None or not is_wanted:
                self._up_at[feed] = now
            tried_at = max(self._up_at[feed], health.tried_at)
            if now - tried_at > STREAM_SECONDS:
                return f"{feed.value}: no attempt to connect has ended for {now - tried_at:.0f} s"
        return ""

    def beat(self, now: datetime) -> Beat:
        """What `dcabot status` shows of a daemon in another process."""
        quote_at, update_at = self._heard(Feed.QUOTES, now), self._heard(Feed.ORDERS, now)
        return Beat(self._started_at, now, quote_at, update_at, self.sentence())

    def _heard(self, feed: Feed, now: datetime) -> datetime | None:
        heard_at = self.streams.health(feed).heard_at
        return None if heard_at is None else now - timedelta(seconds=time.monotonic() - heard_at)

    def sentence(self) -> str:
        """What `systemctl status` shows."""
        if stuck := self.stuck():
            return f"{UNHEALTHY}, a restart follows: {stuck}"
        troubles = [one for one in self.findings.troubles if one.kind.is_trouble]
        if troubles:
            more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
            return f"{UNHEALTHY}: {troubles[0].sentence}{more}"
        return "; ".join([self._counts(), *self._waits()])

    def _counts(self) -> str:
        entries = list(self.trader.entries.values())
        if not entries and not self.trader.held:
            return "no assets are enabled; `dcabot asset add` adds one"
        counts = {status: sum(e.cycle.status is status for e in entries) for status in WORDS}
        words = ", ".join(f"{count} {WORDS[status]}" for status, count in counts.items() if count)
        suspended = len(self.trader.held)
        more = f"; {suspended} suspended, see the log" if suspended else ""
        return f"{counted(len(entries), 'asset')}: {words}".rstrip(": ") + more

    def _waits(self) -> list[str]:
        """What is said and waited for."""
        waits = [one.sentence for one in self.findings.troubles]
        for feed in Feed:
            if not self.is_up(feed) and (feed is Feed.ORDERS or self.trader.symbols()):
                why = self.streams.health(feed).error
                waits += [f"{feed.value} away: {why}"] if why else []
        if self._is_stood_in_for:
            waits.append("REST's latest quotes stand in for the stream's")
        if left := self.streams.without_room():
            waits.append(f"Alpaca's plan has no room on its stream for {', '.join(left)}")
        return waits + list(self._complaints)[-1:]
