"""Quotes as fast as the clients drain them: frames made beforehand, only prices and times are written anew.

One frame for each quote unless `batch` says more. Every quote is also the venue's price, so orders fill from it.
"""

import asyncio
import struct
import time
from dataclasses import dataclass
from decimal import Decimal

from dcabot.core.model import Quote
from dcabot.core.money import ZERO
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.listings import listing_of
from dcabot.simulator.prices import quoted
from dcabot.simulator.quotes import QuoteDoor
from dcabot.simulator.sockets import BINARY, Connection, frame
from dcabot.simulator.wire import number, packed, timestamp_place

HIGH_WATER = 256 * 1024
VARIANTS = 16  # different prices of each symbol, sent round and round


@dataclass(slots=True)
class Template:
    """A frame of one quote, with the places of its time."""

    frame: bytearray
    time_at: int
    quote: Quote


class Flood:
    """One flood at a time; `sent` counts quotes handed to sockets."""

    def __init__(self, exchange: Exchange, door: QuoteDoor) -> None:
        self._exchange, self._door = exchange, door
        self._task: asyncio.Task[None] | None = None
        self._rounds: list[dict[str, Template]] = []
        self.sent = 0
        self.started_ns = self.ended_ns = 0
        exchange.on_quote.append(self._follow)

    def start(
        self, symbols: list[str], quotes: int | None = None, seconds: float | None = None, per_second: int | None = None
    ) -> None:
        """Send `quotes` quotes, or for so many seconds, or until `stop`; at most `per_second`.

        Raises ValueError for a pair that is not listed, and beside a mirror.
        """
        self._exchange.refuse_beside_mirror("no flood can be sent")
        for symbol in symbols:
            if symbol not in self._exchange.listings:
                raise ValueError(f"{symbol[:40]} is not listed")
        self.stop()
        self._rounds = [{symbol: self._template(symbol, variant) for symbol in symbols} for variant in range(VARIANTS)]
        self.sent, self.ended_ns = 0, 0
        self.started_ns = time.monotonic_ns()
        self._task = asyncio.get_running_loop().create_task(self._run(quotes, seconds, per_second))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.ended_ns = self.ended_ns or time.monotonic_ns()

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def state(self) -> dict[str, int | bool]:
        ended_ns = time.monotonic_ns() if self.is_running else self.ended_ns
        return {"sent": self.sent, "running": self.is_running, "nanoseconds": ended_ns - self.started_ns}

    async def _run(self, quotes: int | None, seconds: float | None, per_second: int | None) -> None:
        turn = 0
        try:
            while quotes is None or self.sent < quotes:
                elapsed_ns = time.monotonic_ns() - self.started_ns
                if seconds is not None and elapsed_ns >= seconds * 1_000_000_000:
                    return
                if per_second is not None and self.sent * 1_000_000_000 > per_second * elapsed_ns:
                    await asyncio.sleep(0.0005)
                    continue
                self._send(self._rounds[turn % VARIANTS])
                turn += 1
                await self._drained()
        finally:
            if asyncio.current_task() is self._task:
                self.ended_ns = time.monotonic_ns()

    def _template(self, symbol: str, variant: int) -> Template:
        """A quote of the symbol a millionth or more off its present price: enough to differ, too little to trigger."""
        listing = listing_of(symbol)
        last = self._exchange.venue.quotes.get(symbol)
        mid = (last.bid + last.ask) / 2 if last else listing.start_price
        tick = quoted(ZERO, listing, mid * (1 + Decimal(variant) / 1_000_000), Decimal("0.0005"))
        return template(Quote(symbol, tick.bid, tick.ask, self._exchange.clock.now()))

    def _follow(self, quote: Quote, at_ns: int) -> None:
        """A price set by hand in the middle of a flood lasts: the flood goes on from it."""
        if self.is_running:
            for variant, frames in enumerate(self._rounds):
                if quote.symbol in frames:
                    frames[quote.symbol] = self._template(quote.symbol, variant)

    def _send(self, frames: dict[str, Template]) -> None:
        now_ns = self._exchange.clock.now_ns()
        now = self._exchange.clock.now()
        at = struct.pack(">Iq", now_ns % 1_000_000_000, now_ns // 1_000_000_000)
        parts = []
        for one in frames.values():
            one.frame[one.time_at : one.time_at + 12] = at
            parts.append(one.frame)
            self._exchange.take_quote(Quote(one.quote.symbol, one.quote.bid, one.quote.ask, now), now)
        blob = b"".join(parts)
        for connection in self._listeners():
            connection.transport.write(blob)
        self.sent += len(frames)

    def _listeners(self) -> list[Connection]:
        return [c for c in self._door.connections if c.is_msgpack and c.channels.get("quotes") and c.is_up]

    async def _drained(self) -> None:
        await asyncio.sleep(0)
        while any(c.transport.get_write_buffer_size() > HIGH_WATER for c in self._listeners()):
            await asyncio.sleep(0.0005)


def template(quote: Quote) -> Template:
    """The frame of a quote with a 12-byte timestamp, which any time fits."""
    body = packed(
        [
            {
                "T": "q",
                "S": quote.symbol,
                "bp": number(quote.bid),
                "bs": 1.0,
                "ap": number(quote.ask),
                "as": 1.0,
                "t": timestamp_place(),
            }
        ]
    )
    whole = bytearray(frame(body, BINARY))
    return Template(whole, len(whole) - 12, quote)
