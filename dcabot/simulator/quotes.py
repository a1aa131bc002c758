"""The market-data stream /v1beta3/crypto/us: msgpack or JSON, login, subscriptions, quotes. alpaca.md section 4."""

import asyncio
import random
import re
import time
from decimal import Decimal
from typing import Any

from aiohttp import WSMsgType, web

from dcabot.core.model import Quote
from dcabot.core.money import ZERO, text
from dcabot.simulator.bars import Bar, Tape, Trade
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.faults import DATA
from dcabot.simulator.sockets import BACKLOG_MAX, Connection, Door
from dcabot.simulator.updates import keys_match
from dcabot.simulator.wire import (
    DATA_ERRORS,
    Json,
    level_json,
    quote_numbers,
    stamp_ns,
    timestamp,
)

CHANNELS = ("trades", "quotes", "orderbooks", "bars", "updatedBars", "dailyBars")
SYMBOL = re.compile(r"[A-Z0-9]{1,12}/[A-Z0-9]{1,12}|\*")
CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
BOOKS_MAX = 10
SYMBOLS_MAX = 1000  # of a channel without a documented limit: a set without end would be sent, whole, at each change
CLOSING = frozenset({404, 406, 407})


def changed(before: dict[Decimal, Decimal] | None, after: dict[Decimal, Decimal]) -> list[Json]:
    """The levels that differ from the book before, or all of them where there was none."""
    known = before or {}
    gone = [level_json(price, ZERO) for price in known if price not in after]
    return gone + [level_json(*one) for one in after.items() if known.get(one[0]) != one[1]]


def error(code: int) -> list[Json]:
    return [{"T": "error", "code": code, "msg": DATA_ERRORS[code]}]


class QuoteDoor(Door):
    """GET /v1beta3/crypto/us as a websocket."""

    def __init__(self, exchange: Exchange, tape: Tape) -> None:
        super().__init__(DATA, exchange)
        self._dice = random.Random(exchange.settings.seed + 2)
        self._waiting: tuple[str, Json, int] | None = None
        exchange.on_quote.append(self.publish)
        tape.on_trade.append(self._publish_trade)
        tape.on_bar.append(self._publish_bar)

    async def serve(self, connection: Connection, request: web.Request) -> None:
        if self.fault.hangs_in_login:
            self.enter(connection)
            async for _ in connection.socket:
                pass
            return
        self._send(connection, CONNECTED)
        keys = [request.headers.get(name) for name in ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY")]
        if any(keys) and not await self._log_in(connection, keys):
            return
        timeout = self.exchange.settings.timing.auth_timeout
        timer = asyncio.get_running_loop().call_later(timeout, self._give_up, connection)
        try:
            async for message in connection.socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._obey(connection, message.data)
                if connection.is_authorized:
                    timer.cancel()
        finally:
            timer.cancel()

    def _give_up(self, connection: Connection) -> None:
        if not connection.is_authorized:
            self._send(connection, error(404))
            connection.cut(self.exchange.settings.data_error_close)

    async def _obey(self, connection: Connection, data: str | bytes) -> None:
        asked = self.hear(connection, data)
        if not isinstance(asked, dict) or not isinstance(asked.get("action"), str):
            self._send(connection, error(400))
            return
        action = asked["action"]
        if action == "auth":
            if connection.is_authorized:
                self._send(connection, error(403))
            elif not self.fault.hangs_in_login:
                await self._log_in(connection, [asked.get("key"), asked.get("secret")])
        elif action not in ("subscribe", "unsubscribe"):
            self._send(connection, error(400))
        elif not connection.is_authorized:
            self._send(connection, error(401))
        else:
            self._subscribe(connection, asked, action == "subscribe")

    async def _log_in(self, connection: Connection, keys: list[Any]) -> bool:
        """Answer a login. False when the connection is over."""
        if self.fault.login_error is not None:
            self._send(connection, error(self.fault.login_error))
            return True
        if not keys_match(self.exchange, keys):
            self.note("login", status="auth failed")
            self._send(connection, error(402))
            return True
        if self.is_taken:
            self.note("login", status="connection limit exceeded")
            self._send(connection, error(406))
            await connection.socket.close(code=self.exchange.settings.data_error_close, drain=False)
            return False
        connection.is_authorized = True
        connection.channels = {channel: set() for channel in CHANNELS}
        self.enter(connection)
        self.note("login", status="authenticated")
        self._send(connection, AUTHENTICATED)
        return True

    def _subscribe(self, connection: Connection, asked: Json, is_more: bool) -> None:
        if self.fault.subscribe_error is not None:
            self._send(connection, error(self.fault.subscribe_error))
            return
        wanted: dict[str, set[str]] = {}
        for channel in asked:
            if channel == "action":
                continue
            names = asked[channel]
            if channel not in CHANNELS:
                self._send(connection, error(410))
                return
            if not isinstance(names, list) or not all(isinstance(n, str) and SYMBOL.fullmatch(n) for n in names):
                self._send(connection, error(400))
                return
            wanted[channel] = set(names)
        after = {
            channel: symbols | wanted.get(channel, set()) if is_more else symbols - wanted.get(channel, set())
            for channel, symbols in connection.channels.items()
        }
        limit = self.exchange.settings.symbols_maximum
        limits = {"trades": limit, "quotes": limit, "orderbooks": BOOKS_MAX}
        if any(len(names) > limits.get(channel, SYMBOLS_MAX) for channel, names in after.items()):
            self._send(connection, error(405))
            return
        connection.channels = after
        # A book that is subscribed to again begins whole.
        books = connection.books
        connection.books = {symbol: books[symbol] for symbol in books if {symbol, "*"} & after["orderbooks"]}
        self.note("subscribe", channels={channel: sorted(names) for channel, names in after.items() if names})
        self._send(connection, [{"T": "subscription", **{c: sorted(after[c]) for c in CHANNELS}}])

    def _send(self, connection: Connection, message: list[Json]) -> None:
        self.log_frame("out", message)
        connection.send(self.pack(connection, message), connection.is_msgpack)

    def send_error(self, code: int) -> None:
        for connection in list(self.connections):
            self._send(connection, error(code))
            if code in CLOSING:
                connection.cut(self.exchange.settings.data_error_close)

    # --- quotes ---

    def publish(self, quote: Quote, at_ns: int) -> None:
        """Send a quote to who subscribed, as the faults allow."""
        fault = self.fault
        if fault.is_mute or not self.connections:
            return
        if fault.drop_ratio and self._dice.randrange(1_000_000) < fault.drop_ratio * 1_000_000:
            return
        body = quote_numbers(quote, self.exchange.sizes(quote))
        self._publish_book(quote, at_ns)
        if any({quote.symbol, "*"} & connection.channels.get("quotes", set()) for connection in self.connections):
            self.exchange.journal.add_quote(time.monotonic_ns(), quote.symbol, text(quote.bid), text(quote.ask))
        if fault.reorders and self._waiting is None:
            self._waiting = (quote.symbol, body, at_ns)
            return
        for _ in range(2 if fault.duplicates else 1):
            if fault.delay_seconds:
                loop = asyncio.get_running_loop()
                loop.call_later(fault.delay_seconds, self.send_data, "quotes", "q", quote.symbol, body, at_ns)
            else:
                self.send_data("quotes", "q", quote.symbol, body, at_ns)
        self.let_go()

    def let_go(self) -> None:
        """Send the quote that waits for its successor."""
        if self._waiting is not None:
            symbol, body, at_ns = self._waiting
            self._waiting = None
            self.send_data("quotes", "q", symbol, body, at_ns)

    def _publish_trade(self, symbol: str, trade: Trade) -> None:
        if not self.fault.is_mute:
            self.send_data("trades", "t", symbol, trade.numbers(), trade.at_ns)

    def _publish_bar(self, channel: str, symbol: str, bar: Bar) -> None:
        if not self.fault.is_mute:
            self.send_data(channel, "b" if channel == "bars" else "d", symbol, bar.numbers(), bar.at_ns)

    def _publish_book(self, quote: Quote, at_ns: int) -> None:
        """The book: whole and marked as a reset at first, then its changes; size 0 ends a level."""
        symbol = quote.symbol
        for connection in self.connections:
            if not {symbol, "*"} & connection.channels.get("orderbooks", set()):
                continue
            book = {side: dict(levels) for side, levels in self.exchange.book(quote).items()}
            before = connection.books.get(symbol)
            connection.books[symbol] = book
            sides = {side: changed(before and before[side], book[side]) for side in book}
            at = timestamp(at_ns) if connection.is_msgpack else stamp_ns(at_ns)
            reset = {"r": True} if before is None else {}
            self._send(connection, [{"T": "o", "S": symbol, "t": at, **sides, **reset}])

    def send_data(self, channel: str, kind: str, symbol: str, body: Json, at_ns: int) -> None:
        """One data message, alone in its array, to every subscriber of the symbol."""
        packed: dict[bool, bytes] = {}
        for connection in self.connections:
            names = connection.channels.get(channel, ())
            if symbol not in names and "*" not in names:
                continue
            if connection.is_msgpack not in packed:
                at = timestamp(at_ns) if connection.is_msgpack else stamp_ns(at_ns)
                packed[connection.is_msgpack] = self.pack(connection, [{"T": kind, "S": symbol, **body, "t": at}])
                if kind != "q":  # quotes are too many, and kept apart
                    self.log_frame("out", [{"T": kind, "S": symbol, **body, "t": stamp_ns(at_ns)}])
            connection.send(packed[connection.is_msgpack], connection.is_msgpack)
            if connection.transport.get_write_buffer_size() > BACKLOG_MAX // 2:
                self._send(connection, error(407))
                connection.cut(self.exchange.settings.data_error_close)
