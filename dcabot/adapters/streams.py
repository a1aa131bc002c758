"""Both websockets of Alpaca under a supervisor: whatever happens to them, they come back, and never in a storm.

alpaca-py's streams run unmodified; what they leave open is closed here: a login that hangs, a loop that ends without
a word, errors that are only logged, back-off that forgets to start anew. Quotes are handed on raw: the newest of each
symbol is all that counts, and only what is looked at is worth converting. Trade updates are handed on raw, all and in
order. Streams are hints: what was missed while one was down, only REST knows (`on_connected`).
Source: alpaca.md 1.7 to 1.10 and 5.8.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from alpaca.data.live import CryptoDataStream
from alpaca.trading.stream import TradingStream

from dcabot.adapters.config import Config
from dcabot.adapters.link import RECYCLE_SECONDS, Feed, Health, Link
from dcabot.adapters.room import Room
from dcabot.core.rules import is_pair

__all__ = ["Feed", "Health", "Streams"]

log = logging.getLogger(__name__)

Raw = dict[str, Any]

SYMBOL_LIMIT = 405  # more pairs than the plan allows; nothing of that subscription was done (alpaca.md 4)


class Streams:
    """The quotes of some symbols, and the trade updates of the account. All methods belong to the event loop's thread.

    `on_quote(raw)` and `on_trade_update(frame)` are plain functions that return at once and do not raise: while they
    work, nothing is read. `on_connected(feed)` comes after each (re)connection, once the exchange has confirmed it.
    Without `on_trade_update` there are market data alone, and the account is left in peace.
    """

    def __init__(
        self,
        config: Config,
        on_quote: Callable[[Raw], None],
        on_trade_update: Callable[[Raw], None] | None,
        on_connected: Callable[[Feed], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        quotes = Link(Feed.QUOTES, on_connected, monotonic)
        self._quotes = quotes.stream = _Quotes(config, quotes, on_quote)
        self._links = {Feed.QUOTES: quotes}
        if on_trade_update is not None:
            orders = self._links[Feed.ORDERS] = Link(Feed.ORDERS, on_connected, monotonic)
            orders.stream = _Orders(config, orders, on_trade_update)
            orders.wanted.set()
        self._stopped = asyncio.Event()

    async def run(self, symbols: Iterable[str] = ()) -> None:
        """Keep both streams up until `stop`, or until this task is cancelled."""
        await self.set_symbols(symbols)
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(link.keep_up()) for link in self._links.values()]
        tasks.append(asyncio.ensure_future(self._stopped.wait()))
        if Feed.ORDERS in self._links:
            tasks.append(asyncio.ensure_future(self._recycle_orders()))
        quiet = [(logging.getLogger(link.stream.logger_name), link.sdk_log) for link in self._links.values()]
        for logger, sdk_log in quiet:
            logger.addFilter(sdk_log)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for logger, sdk_log in quiet:
                logger.removeFilter(sdk_log)

    def stop(self) -> None:
        """End `run` within a second, also in the middle of a login."""
        self._stopped.set()

    async def set_symbols(self, symbols: Iterable[str]) -> None:
        """Have the quotes of exactly these symbols; the socket stays open unless there are none.

        A malformed one would have the others refused with it, and is left out. Where the plan allows fewer, the first
        are the ones that matter most.
        """
        await self._quotes.watch(list(dict.fromkeys(filter(is_pair, symbols))))

    def without_room(self) -> tuple[str, ...]:
        """The symbols that the plan's stream has no room for: it takes a number, and the first count."""
        return self._quotes.without_room()

    def health(self, feed: Feed) -> Health:
        return self._links[feed].health()

    async def recycle(self, feed: Feed, why: str, level: int = logging.INFO) -> None:
        """Close a socket that is suspected of being mute; the supervisor opens a new one."""
        await self._links[feed].recycle(why, level)

    async def _recycle_orders(self) -> None:
        """Alpaca's trade updates were seen to starve on a healthy socket after 19 minutes (alpaca.md 5.8)."""
        link = self._links[Feed.ORDERS]
        while True:
            await asyncio.sleep(max(1.0, RECYCLE_SECONDS - link.age()))
            if link.age() >= RECYCLE_SECONDS:
                await link.recycle("the connection is renewed now and then", logging.DEBUG)


class _Orders(TradingStream):
    """Trade updates. Its only subscription is made before it starts."""

    logger_name = "alpaca.trading.stream"

    def __init__(self, config: Config, link: Link, on_trade_update: Callable[[Raw], None]) -> None:
        super().__init__(
            config.key_id,
            config.secret_key,
            raw_data=True,
            url_override=config.trading_stream_url,
            websocket_params=link.websocket_params(config.trading_stream_url),
        )
        self._link = link

        async def hand_on(frame: Raw) -> None:
            on_trade_update(frame)

        self.subscribe_trade_updates(hand_on)

    async def _start_ws(self) -> None:
        await self._link.log_in(super()._start_ws)

    async def _dispatch(self, msg: Raw) -> None:
        self._link.heard()
        if msg.get("stream") == "listening":
            self._link.confirmed()
        await super()._dispatch(msg)

    def _reconnect_delay(self, retries: int) -> float:
        return self._link.delay()

    async def close(self) -> None:
        self._link.closed()
        await super().close()


class _Quotes(CryptoDataStream):
    """Market data. It must not run without a symbol: alpaca-py would spin."""

    logger_name = "alpaca.data.live.websocket"

    def __init__(self, config: Config, link: Link, on_quote: Callable[[Raw], None]) -> None:
        super().__init__(
            config.key_id,
            config.secret_key,
            raw_data=True,
            url_override=config.stream_url,
            websocket_params=link.websocket_params(config.stream_url),
        )
        self._link = link
        self._on_quote = on_quote
        self._wanted: list[str] = []
        self._taken: set[str] = set()  # what this connection brings
        self._room = Room()
        self._told = ""

    def without_room(self) -> tuple[str, ...]:
        return tuple(self._wanted[self._room.share(len(self._wanted)) :])

    async def watch(self, symbols: list[str]) -> None:
        """Subscribe and unsubscribe until these symbols are asked for.

        alpaca-py's own subscribe blocks the thread that it is called from, which is the one that would have to answer.
        """
        self._wanted = symbols
        is_changed = self._choose()
        if not symbols:
            await self._link.rest()
            return
        self._link.wanted.set()
        if is_changed:
            await self._send_change()

    def _choose(self) -> bool:
        """As many as there is room for, as far as that is known; True when they are others than before.

        alpaca-py subscribes to what its handlers hold.
        """
        before = set(self._handlers["quotes"])
        chosen = self._wanted[: self._room.share(len(self._wanted))]
        self._handlers["quotes"] = dict.fromkeys(chosen, self._dispatch)
        return before != set(chosen)

    async def _send_change(self) -> None:
        socket = self._link.stream._ws
        if self._running and socket is not None and socket.open:
            # When the socket closes meanwhile, the next login subscribes to what `handlers` holds then.
            gone = sorted(self._taken - self._handlers["quotes"].keys())
            await self._link.unless_closed(self._send_unsubscribe_msg("quotes", gone))
            await self._link.unless_closed(self._send_subscribe_msg())

    async def _subscribed(self, symbols: object) -> None:
        """The exchange tells what it brings from now on; there may be room for more."""
        self._taken = set(symbols) if isinstance(symbols, list) else set(self._handlers["quotes"])
        self._room.take(len(self._taken))
        self._link.confirmed()
        if self._taken >= self._handlers["quotes"].keys():
            await self._ask_for_more()

    async def _refused(self) -> None:
        """More than the plan allows: nothing of the last question was done."""
        self._room.refuse(len(self._handlers["quotes"]))
        await self._ask_for_more()

    async def _ask_for_more(self) -> None:
        if self._choose() and set(self._handlers["quotes"]) != self._taken:
            await self._send_change()
        elif left := ", ".join(self.without_room()):
            self._tell(
                f"Alpaca's plan has room for {self._room.taken} of {len(self._wanted)} pairs on this stream "
                f"and sends no prices of {left}: `dcabot asset disable` makes room, and so does a larger plan"
            )

    def _tell(self, sentence: str) -> None:
        if sentence != self._told:
            log.warning("%s: %s", self._link.feed.value, sentence)
            self._told = sentence

    async def _start_ws(self) -> None:
        await self._link.log_in(super()._start_ws)
        self._room, self._taken = Room(), set()
        self._choose()

    async def _send_subscribe_msg(self) -> None:
        sent: set[str] | None = None
        while sent != (wanted := set(self._handlers["quotes"])):
            await super()._send_subscribe_msg()
            sent = wanted

    async def _dispatch(self, msg: Raw) -> None:
        # Runs tens of thousands of times a second in a flood: a quote goes the shortest way.
        kind = msg.get("T")
        self._link.heard()
        if kind == "q":
            if type(msg["S"]) is str:
                self._on_quote(msg)
            else:  # for an error alpaca-py would give up what else is in the frame
                self._link.unreadable(TypeError("a quote's symbol is no text"))
        elif kind == "subscription":
            await self._subscribed(msg.get("quotes"))
        elif kind == "error" and msg.get("code") == SYMBOL_LIMIT and len(self._handlers["quotes"]) > 1:
            await self._refused()
        elif kind == "error":
            self._link.complained(msg)

    def _reconnect_delay(self, retries: int) -> float:
        return self._link.delay()

    async def close(self) -> None:
        self._link.closed()
        await super().close()
