"""The data host: /v1beta3/crypto/us over HTTP. Numbers are numbers, symbols have their slash. alpaca.md 2.10."""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from aiohttp import web

from dcabot.core.model import Quote
from dcabot.core.venue import Refusal
from dcabot.simulator import requests
from dcabot.simulator.bars import Bar, Tape, Trade, bucket_of
from dcabot.simulator.clock import ns_of
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.protocol import answer
from dcabot.simulator.requests import BadRequest
from dcabot.simulator.wire import Json, level_json, quote_numbers, stamp_ns

SYMBOL = re.compile(r"[A-Z]+x?/[A-Z]+")
ROOT = "/v1beta3/crypto/{location:us|us-1|us-2|eu-1|bs-1}"
LIMIT, LIMIT_MAX = 1000, 10_000
T = TypeVar("T")


class DataHost:
    def __init__(self, exchange: Exchange, tape: Tape) -> None:
        self._exchange, self._tape = exchange, tape

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"{ROOT}/latest/quotes", self.latest_quotes),
            web.get(f"{ROOT}/latest/orderbooks", self.latest_orderbooks),
            web.get(f"{ROOT}/latest/trades", self.latest_trades),
            web.get(f"{ROOT}/latest/bars", self.latest_bars),
            web.get(f"{ROOT}/bars", self.bars),
            web.get(f"{ROOT}/trades", self.trades),
            web.get(f"{ROOT}/quotes", self.quotes),
            web.get(f"{ROOT}/snapshots", self.snapshots),
        ]

    # --- the latest ---

    async def latest_quotes(self, request: web.Request) -> web.Response:
        return self._latest(request, "quotes", self._quote)

    async def latest_orderbooks(self, request: web.Request) -> web.Response:
        return self._latest(request, "orderbooks", self._orderbook)

    async def latest_trades(self, request: web.Request) -> web.Response:
        return self._latest(request, "trades", self._trade)

    async def latest_bars(self, request: web.Request) -> web.Response:
        return self._latest(request, "bars", self._bar)

    async def snapshots(self, request: web.Request) -> web.Response:
        return self._latest(request, "snapshots", self._snapshot)

    def _latest(self, request: web.Request, name: str, show: Callable[[str], Json | None]) -> web.Response:
        shown = {symbol: show(symbol) for symbol in _symbols(request.query)}
        return answer({name: {symbol: row for symbol, row in shown.items() if row is not None}})

    def _quote(self, symbol: str) -> Json | None:
        quote = self._exchange.venue.quotes.get(symbol)
        if quote is None:
            return None
        return {"t": stamp_ns(ns_of(quote.at)), **self._numbers(quote)}

    def _numbers(self, quote: Quote) -> Json:
        return quote_numbers(quote, self._exchange.sizes(quote))

    def _orderbook(self, symbol: str) -> Json | None:
        quote = self._exchange.venue.quotes.get(symbol)
        if quote is None:
            return None
        book = self._exchange.book(quote)
        sides = {side: [level_json(*one) for one in levels] for side, levels in book.items()}
        return {"t": stamp_ns(ns_of(quote.at)), **sides}

    def _trade(self, symbol: str) -> Json | None:
        trades = self._tape.trades.get(symbol)
        return trade_row(trades[-1]) if trades else None

    def _bar(self, symbol: str, timeframe: str = "1Min", back: int = 1) -> Json | None:
        bar = self._tape.last(symbol, bucket_of(timeframe), back)
        return None if bar is None else bar_row(bar)

    def _snapshot(self, symbol: str) -> Json | None:
        quote = self._quote(symbol)
        return quote and {
            "dailyBar": self._bar(symbol, "1Day"),
            "latestQuote": quote,
            "latestTrade": self._trade(symbol),
            "minuteBar": self._bar(symbol),
            "prevDailyBar": self._bar(symbol, "1Day", 2),
        }

    # --- history ---

    async def bars(self, request: web.Request) -> web.Response:
        try:
            bucket = bucket_of(request.query.get("timeframe", ""))
        except ValueError as error:
            raise data_error(str(error)) from None
        start, end = self._window(request.query)
        return self._pages(
            request.query,
            "bars",
            lambda symbol: self._tape.select(symbol, bucket, start, end),
            bar_row,
        )

    async def trades(self, request: web.Request) -> web.Response:
        start, end = self._window(request.query)
        kept = self._tape.trades
        return self._pages(
            request.query,
            "trades",
            lambda symbol: (trade for trade in kept.get(symbol, ()) if start <= trade.at_ns <= end),
            trade_row,
        )

    async def quotes(self, request: web.Request) -> web.Response:
        start, end = self._window(request.query)
        kept = self._tape.quotes
        return self._pages(
            request.query,
            "quotes",
            lambda symbol: (dated for dated in kept.get(symbol, ()) if start <= dated[0] <= end),
            lambda dated: {"t": stamp_ns(dated[0]), **self._numbers(dated[1])},
        )

    def _window(self, query: Mapping[str, str]) -> tuple[int, int]:
        """From `start` (the day's beginning) to `end` (now), in nanoseconds."""
        now = self._exchange.clock.now()
        try:
            start, end = requests.instant(query, "start"), requests.instant(query, "end")
        except BadRequest as error:
            raise data_error(_format_error(str(error))) from None
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return ns_of(start or midnight), ns_of(end or now)

    def _pages(
        self, query: Mapping[str, str], name: str, rows: Callable[[str], Iterable[T]], show: Callable[[T], Json]
    ) -> web.Response:
        """One page over all symbols; the token is the number of rows already given."""
        limit = LIMIT if "limit" not in query else _count(query["limit"], LIMIT_MAX)
        done = _count(query["page_token"], 10**9) if query.get("page_token") else 0
        found = ((symbol, row) for symbol in sorted(_symbols(query)) for row in _in_order(rows(symbol), query))
        page = list(itertools.islice(found, done, done + limit + 1))
        shown: dict[str, list[Json]] = {}
        for symbol, row in page[:limit]:
            shown.setdefault(symbol, []).append(show(row))
        more = len(page) > limit
        return answer({name: shown, "next_page_token": str(done + limit) if more else None})


def _format_error(told: str) -> str:
    """`invalid start: 0` in the data host's words, which are those of its language's library."""
    name, _, value = told.removeprefix("invalid ").partition(": ")
    words = f'parsing time "{value}" as "2006-01-02": cannot parse "{value}" as "2006"'
    expected = f"error parsing '{value}' as RFC3339 or 2006-01-02 time: {words}"
    return f"Invalid format for parameter {name}: {expected}"


def _in_order(rows: Iterable[T], query: Mapping[str, str]) -> Iterable[T]:
    return reversed(list(rows)) if query.get("sort") == "desc" else rows


def _symbols(query: Mapping[str, str]) -> list[str]:
    """The well-formed symbols asked for. Raises BadRequest."""
    symbols = [symbol.strip() for symbol in query.get("symbols", "").split(",") if symbol.strip()]
    if not symbols:
        raise data_error("symbols is required")
    for symbol in symbols:
        if not SYMBOL.fullmatch(symbol):
            raise data_error(f"invalid symbol: {symbol[:100]} does not match ^[A-Z]+x?/[A-Z]+$")
    return list(dict.fromkeys(symbols))


def _count(text: str, largest: int) -> int:
    found = requests.whole(text)
    if found is None or not 1 <= found <= largest:
        raise data_error(f"invalid limit or page_token: {text[:40]}")
    return found


def data_error(message: str) -> BadRequest:
    """The data host's refusals have a message and no code."""
    return BadRequest(Refusal(400, 0, message))


def bar_row(bar: Bar) -> Json:
    return {"t": stamp_ns(bar.at_ns)[:19] + "Z", **bar.numbers()}


def trade_row(trade: Trade) -> Json:
    return {"t": stamp_ns(trade.at_ns), **trade.numbers()}
