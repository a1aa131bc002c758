"""The data host: /v1beta3/crypto/us over HTTP. Numbers are numbers, symbols have their slash. alpaca.md 2.10."""

import re
from collections.abc import Callable

from aiohttp import web

from dcabot.core.model import Quote
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.gate import answer
from dcabot.simulator.wire import Json, quote_numbers, stamp

SYMBOL = re.compile(r"[A-Z]+x?/[A-Z]+")
ROOT = "/v1beta3/crypto/{location:us|us-1|us-2|eu-1|bs-1}"


class DataHost:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"{ROOT}/latest/quotes", self.latest_quotes),
            web.get(f"{ROOT}/latest/orderbooks", self.latest_orderbooks),
        ]

    async def latest_quotes(self, request: web.Request) -> web.Response:
        return self._latest(request, "quotes", lambda quote: {"t": stamp(quote.at), **quote_numbers(quote)})

    async def latest_orderbooks(self, request: web.Request) -> web.Response:
        return self._latest(request, "orderbooks", orderbook)

    def _latest(self, request: web.Request, name: str, show: Callable[[Quote], Json]) -> web.Response:
        symbols = [symbol.strip() for symbol in request.query.get("symbols", "").split(",") if symbol.strip()]
        if not symbols:
            return answer({"message": "symbols is required"}, 400)
        refusal = refuse_symbols(symbols)
        if refusal is not None:
            return refusal
        quotes = self._exchange.venue.quotes
        return answer({name: {symbol: show(quotes[symbol]) for symbol in symbols if symbol in quotes}})


def refuse_symbols(symbols: list[str]) -> web.Response | None:
    for symbol in symbols:
        if not SYMBOL.fullmatch(symbol):
            return answer({"message": f"invalid symbol: {symbol[:100]} does not match ^[A-Z]+x?/[A-Z]+$"}, 400)
    return None


def orderbook(quote: Quote) -> Json:
    numbers = quote_numbers(quote)
    return {
        "t": stamp(quote.at),
        "b": [{"p": numbers["bp"], "s": numbers["bs"]}],
        "a": [{"p": numbers["ap"], "s": numbers["as"]}],
    }
