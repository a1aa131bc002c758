"""A simulator's prices from another Alpaca: its public latest quotes, or its stream for keys.

    with Simulator(symbols=["BTC/USD"], mirror=Mirror()) as alpaca: ...

Money, orders, fills and fees stay in the simulator. Orders fill only at a price of now: the other
Alpaca confirmed it a moment ago, it makes sense, and its own time is young. Any other price is
served with its time, and nothing fills at it. The log says when a trouble begins and when it ends.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dcabot.adapters import wire
from dcabot.adapters.config import MIRROR_KEY, MIRROR_SECRET, load_mirror
from dcabot.adapters.latest_quotes import LatestQuotes
from dcabot.adapters.streams import Feed, Streams
from dcabot.adapters.wire import WireError
from dcabot.core.model import Quote
from dcabot.core.money import text
from dcabot.core.quotes import REST_SPEAKS_FOR, Seen, stale
from dcabot.core.snapshot import ExchangeDenied, ExchangeError, Listing
from dcabot.core.venue import Event
from dcabot.simulator.prices import Number, exact
from dcabot.simulator.source import Market

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0  # from one question to the next
PAUSE_SECONDS_MIN = 0.2  # also after an answer that took longer than that
BESIDE_STREAM_SECONDS = 10.0  # the same while the stream brings the quotes
SLOW_SECONDS = 5.0  # an answer that takes longer is mentioned
MUTE_SECONDS = 120.0  # a stream that is silent for so long, while REST has news, is opened anew
FROM_THE_FUTURE = "its quote is of a time that is still to come by this machine's clock"
QUOTE_MAX_AGE_SECONDS, QUOTE_MAX_AGE_LIMIT = 60, 86_400

T = TypeVar("T")


@dataclass(slots=True)
class Trouble:
    """One trouble of the host; the log has its beginning and its end."""

    end: str
    reason: str = ""
    since: float = 0.0

    def begins(self, reason: str, what_then: str) -> None:
        if not self.reason:
            self.since = time.monotonic()
            log.warning("mirror: %s; %s", reason, what_then)
        self.reason = reason

    def ends(self) -> None:
        if self.reason:
            log.info("mirror: %s after %.0f s", self.end, time.monotonic() - self.since)
        self.reason = ""


class Mirror:
    """The prices of one Alpaca for one simulator. Only its requests run outside that one's loop."""

    def __init__(
        self,
        url: str = "",
        quote_max_age: Number = QUOTE_MAX_AGE_SECONDS,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`url` is a data host; empty means Alpaca's own. Raises ConfigError and ValueError."""
        seconds = exact(quote_max_age)
        if not 0 < seconds <= QUOTE_MAX_AGE_LIMIT:
            raise ValueError(f"a quote's age is above 0 and at most a day, not {text(seconds)} s")
        self._config = load_mirror(url, environ)
        self._max_age = timedelta(microseconds=int(seconds * 1_000_000))
        self._host = urlsplit(self._config.data_url).netloc
        self._no_quote = f"{self._host} has no quote"
        self._rest = LatestQuotes(self._config)
        self._stream: Streams | None = None
        self._market: Market
        self._symbols: tuple[str, ...] = ()
        self._seen: dict[str, Seen] = {}
        self._published: dict[str, Quote] = {}
        self._wrong: dict[str, str] = {}  # of each pair without a good quote, the reason
        self._mentioned: set[str] = set()  # the pairs with an order that is known to wait
        self._away = Trouble(f"{self._host} gives prices again")
        self._slow = Trouble(f"{self._host} answers in time again")
        self._old = Trouble("there are young quotes again")
        self._asked_at = 0.0

    # What the simulator asks

    async def run(self, market: Market) -> None:
        """Tell the market the prices of its pairs until cancelled."""
        self._market, self._symbols = market, market.symbols
        market.on_event.append(self._hear_event)
        tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(self._follow())]
        if self._config.key_id:
            self._stream = Streams(self._config, self._hear_frame, None, self._hear_connected)
            tasks.append(asyncio.ensure_future(self._stream.run(self._symbols)))
        ways = "its stream and its REST API" if self._stream else "its REST API, every second"
        log.info("mirror: prices come from %s, by %s", self._config.data_url, ways)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._rest.close()

    def may_fill(self, quote: Quote, now: datetime) -> bool:
        """True when this quote is the newest one and a price of now."""
        newest = self._seen.get(quote.symbol, Seen()).newest
        return newest == quote and not self._obstacle(quote.symbol, now)

    def state(self) -> dict[str, Any]:
        """Where the prices come from, what is wrong, and which pairs do not fill."""
        troubles = [one.reason for one in (self._away, self._slow, self._old) if one.reason]
        return {
            "url": self._config.data_url,
            "stream": None if self._stream is None else self._is_streaming,
            "troubles": troubles,
            "quote_max_age_seconds": self._max_age // timedelta(seconds=1),
            "pairs": {symbol: self._pair_state(symbol) for symbol in self._symbols},
        }

    def _pair_state(self, symbol: str) -> dict[str, Any]:
        now = self._market.now()
        quote = self._seen.get(symbol, Seen()).newest
        return {
            "t": None if quote is None else quote.at.isoformat().replace("+00:00", "Z"),
            "age_ms": None if quote is None else (now - quote.at) // timedelta(milliseconds=1),
            "nothing_fills": self._obstacle(symbol, now) or None,
        }

    # What may fill

    @property
    def _is_streaming(self) -> bool:
        if self._stream is None:
            return False
        return self._stream.health(Feed.QUOTES).connected_since is not None

    def _obstacle(self, symbol: str, now: datetime) -> str:
        """Why nothing fills for the pair; empty when orders fill."""
        seen = self._seen.get(symbol, Seen())
        quote = seen.newest
        if symbol in self._wrong:
            return self._wrong[symbol]
        if quote is None:
            return self._away.reason or self._no_quote
        if stale(quote, now, self._max_age):
            seconds = (now - quote.at) // timedelta(seconds=1)
            return f"the newest quote is {seconds} s old by this machine's clock"
        if not (seen if self._is_streaming else seen.cut_off()).is_usable(now, self._max_age):
            return self._away.reason or f"{self._host} does not confirm the newest quote"
        return ""

    def _take(self, told: Quote, seen: Seen, now: datetime) -> None:
        """What is known after a quote: a new price is told, and what waited for it may fill."""
        symbol = told.symbol
        could_fill = not self._obstacle(symbol, now)
        self._seen[symbol] = seen
        if told.at > now + self._max_age:
            self._wrong[symbol] = FROM_THE_FUTURE
        elif seen.screen.fault:
            self._wrong[symbol] = seen.screen.fault
        else:
            self._wrong.pop(symbol, None)
        if not self._obstacle(symbol, now):
            self._mentioned.discard(symbol)
        quote = seen.newest
        if quote is None:
            return
        if quote != self._published.get(symbol):
            if self._market.publish(quote):
                self._published[symbol] = quote
        elif not could_fill and not self._obstacle(symbol, now):
            self._market.rematch(symbol)

    def _hear_event(self, event: Event) -> None:
        """Say of the first order that comes at a bad time why it does not fill."""
        symbol = event.order.symbol
        obstacle = self._obstacle(symbol, self._market.now())
        if event.name == "new" and obstacle and symbol not in self._mentioned:
            self._mentioned.add(symbol)
            name = event.order.client_order_id
            log.info("mirror: order %s: nothing fills for %s now: %s", name, symbol, obstacle)

    # REST

    @property
    def _pause(self) -> float:
        """Seconds from one question to the next: few, unless the stream brings every pair."""
        if self._stream is None or not self._is_streaming or self._stream.without_room():
            return 0.0
        return BESIDE_STREAM_SECONDS

    async def _follow(self) -> None:
        while True:
            began = time.monotonic()
            await self._market.keep_time()
            if began - self._asked_at >= self._pause:
                self._asked_at = began
                await self._ask()
            took = time.monotonic() - began
            await asyncio.sleep(max(PAUSE_SECONDS_MIN, PAUSE_SECONDS - took))

    async def _ask(self) -> None:
        asked_at = self._market.now()
        asking = asyncio.ensure_future(_in_thread(lambda: self._rest.of(self._symbols)))
        try:
            done, _ = await asyncio.wait({asking}, timeout=SLOW_SECONDS)
            if not done:
                self._say_slow()
            listing = await asking
        except ExchangeError as error:
            self._lose(self._reason(error))
            return
        finally:
            asking.cancel()
        if done:
            self._slow.ends()
        self._away.ends()
        await self._hear_answer(listing, asked_at)

    def _say_slow(self) -> None:
        limit = REST_SPEAKS_FOR // timedelta(seconds=1)
        what_then = f"nothing fills at a price that was asked for more than {limit} s ago"
        self._slow.begins(f"{self._host} takes more than {SLOW_SECONDS:.0f} s to answer", what_then)

    def _reason(self, error: ExchangeError) -> str:
        if isinstance(error, ExchangeDenied) and not self._config.key_id:
            return f"it asks for API keys ({MIRROR_KEY}, {MIRROR_SECRET}): {error}"
        return str(error)

    def _lose(self, reason: str) -> None:
        """No answer: what was known is a price of before, but for what the stream brings."""
        is_streaming = self._is_streaming
        what_then = "its stream goes on" if is_streaming else "nothing fills until it does"
        self._away.begins(f"{self._host} gives no prices: {reason}", what_then)
        for symbol, seen in self._seen.items():
            if not (is_streaming and seen.is_live):
                self._seen[symbol] = seen.unfollowed()

    async def _hear_answer(self, listing: Listing[Quote], asked_at: datetime) -> None:
        now = self._market.now()
        quotes = {quote.symbol: quote for quote in listing}
        unreadable = {row.key: _unreadable(row.why) for row in listing.unreadable}
        before = dict(self._wrong)
        has_news = False
        for symbol in self._symbols:
            seen = self._seen.get(symbol, Seen())
            if symbol in quotes:
                told = quotes[symbol]
                after = seen.answered(told, asked_at, now + self._max_age)
                is_newer = seen.newest is None or told.at > seen.newest.at
                has_news = has_news or (is_newer and not after.is_live)
                self._take(told, after, now)
            else:
                self._wrong[symbol] = unreadable.get(symbol, self._no_quote)
                self._seen[symbol] = seen.unfollowed()
        self._say_pairs(before)
        self._say_age(quotes.values(), now)
        if has_news and self._stream is not None:
            await self._open_mute_stream(self._stream)

    def _say_pairs(self, before: Mapping[str, str]) -> None:
        """Say which pairs lost their good quote, and which have one again."""
        lost: dict[str, list[str]] = {}
        for symbol, reason in self._wrong.items():
            if symbol not in before:
                lost.setdefault(reason.removeprefix(f"{symbol}: "), []).append(symbol)
        for reason, symbols in lost.items():
            names = ", ".join(symbols)
            log.warning("mirror: %s: %s; nothing fills until a good quote comes", names, reason)
        found = [symbol for symbol in before if symbol not in self._wrong]
        if found:
            log.info("mirror: %s: a good quote came", ", ".join(found))

    def _say_age(self, quotes: Collection[Quote], now: datetime) -> None:
        """Say when no quote is of now: a single old one may be of a pair that nobody trades."""
        if not all(stale(quote, now, self._max_age) for quote in quotes):
            self._old.ends()
        elif quotes:
            newest = max(quote.at for quote in quotes)
            reason = f"no quote is of now, the newest is of {newest:%Y-%m-%d %H:%M:%S} UTC"
            self._old.begins(reason, "nothing fills (is this machine's clock right?)")

    # The stream

    def _hear_frame(self, raw: dict[str, Any]) -> None:
        now, before = self._market.now(), dict(self._wrong)
        try:
            quote = wire.quote(raw)
        except WireError as error:
            symbol = str(raw.get("S"))
            if symbol in self._seen:
                self._wrong[symbol] = _unreadable(error)
                self._say_pairs(before)
            return
        if quote.symbol in self._symbols:
            seen = self._seen.get(quote.symbol, Seen())
            self._take(quote, seen.streamed(quote, now + self._max_age), now)
            self._say_pairs(before)

    def _hear_connected(self, feed: Feed) -> None:
        """After a gap: what the stream brought before it may have been overtaken."""
        for symbol, seen in self._seen.items():
            self._seen[symbol] = seen.cut_off()

    async def _open_mute_stream(self, stream: Streams) -> None:
        health = stream.health(Feed.QUOTES)
        if health.connected_since is None:
            return
        silent = time.monotonic() - max(health.connected_since, health.heard_at or 0.0)
        if silent > MUTE_SECONDS:
            why = f"silent for {silent:.0f} s while REST has news"
            await stream.recycle(Feed.QUOTES, why)


def _unreadable(why: object) -> str:
    return f"the quote was not understood: {why}"


async def _in_thread(work: Callable[[], T]) -> T:
    """The work's result. A request that hangs in its thread does not delay the program's end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def deliver(take: Callable[[Any], None], outcome: object) -> None:
        def give() -> None:
            if not done.cancelled():
                take(outcome)

        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(give)

    def run() -> None:
        try:
            result = work()
        except ExchangeError as error:
            deliver(done.set_exception, error)
            return
        except BaseException as error:  # nobody expected it: whoever waits hears of it, and stderr
            deliver(done.set_exception, error)
            raise
        deliver(done.set_result, result)

    threading.Thread(target=run, name="dcabot-mirror", daemon=True).start()
    return await done
