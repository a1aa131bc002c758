"""The control API, on its own path and without keys: what Python can do to a simulator, over HTTP.

It is for programs of this machine: `guard.py` turns away what a page in a browser sends.

GET  /_sim                        counts, the mirror, the faults with their arguments, what is here
GET  /_sim/journal?kind=&after=&limit=   entries, oldest first; DELETE forgets them
GET  /_sim/quotes                 [monotonic_ns, symbol, bid, ask] of every quote sent
POST /_sim/quote                  {"symbol", "bid", "ask"}, or a list of them
POST /_sim/advance                {"seconds"}: step the clock
POST /_sim/faults/NAME            a method of Faults, its arguments as an object; answers {"rule": n} for rules
POST /_sim/release                {"rule": n}: end a rule, let go what it holds
POST /_sim/order                  a foreign order, as the body of POST /v2/orders
POST /_sim/cancel                 {"id"}: someone cancels an order by hand
POST /_sim/transfer               {"coin", "quantity"}, perhaps "price" and "status": coins or USD
                                  come or go without an order; answers {"id"}
POST /_sim/transfer/settle        {"id", "status"}: a transfer under way is COMPLETE or FAILED
POST /_sim/account                blocks, as GET /v2/account names them: {"trading_blocked": true}
POST /_sim/flood                  {"symbols", "quotes", "seconds", "per_second"}; GET its state, DELETE stops it
"""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from dcabot.core.venue import Refusal
from dcabot.simulator import requests
from dcabot.simulator.clock import TURN
from dcabot.simulator.coverage import ENDPOINTS
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.faults import FAULTS, Faults, PositionFault, RequestFault, UpdateFault
from dcabot.simulator.flood import Flood
from dcabot.simulator.listings import BUSIEST
from dcabot.simulator.protocol import answer, refuse
from dcabot.simulator.requests import unreadable

PAGE = 500  # journal entries, or quotes, before everybody else has a turn


class Control:
    def __init__(self, exchange: Exchange, flood: Flood) -> None:
        self._exchange, self._flood = exchange, flood
        self._rules: list[RequestFault | UpdateFault | PositionFault] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sim", self.state),
            web.get("/_sim/journal", self.journal),
            web.delete("/_sim/journal", self.forget),
            web.get("/_sim/quotes", self.quotes),
            web.post("/_sim/quote", self.quote),
            web.post("/_sim/advance", self.advance),
            web.post("/_sim/faults/{name}", self.fault),
            web.post("/_sim/release", self.release),
            web.post("/_sim/order", self.order),
            web.post("/_sim/cancel", self.cancel),
            web.post("/_sim/transfer", self.transfer),
            web.post("/_sim/transfer/settle", self.settle_transfer),
            web.post("/_sim/account", self.account),
            web.post("/_sim/flood", self.flood),
            web.get("/_sim/flood", self.flood_state),
            web.delete("/_sim/flood", self.flood_stop),
        ]

    async def state(self, request: web.Request) -> web.Response:
        venue = self._exchange.venue
        faults = {name: _usage(getattr(Faults, name)) for name in sorted(FAULTS)}
        counts = {"orders": len(venue.orders), "open": len(venue.open)}
        endpoints = [one.row() for one in ENDPOINTS]
        mirror = self._exchange.settings.mirror
        return answer(
            {
                **counts,
                "mirror": None if mirror is None else mirror.state(),
                "faults": faults,
                "endpoints": endpoints,
            }
        )

    async def journal(self, request: web.Request) -> web.Response:
        after = requests.count(request.query, "after", 0, 10**12, least=0)
        limit = requests.count(request.query, "limit", 10_000, 1_000_000)
        parts: list[str] = []
        while limit > 0:
            # A page at a time: a whole journal at once would keep the other clients waiting.
            page = self._exchange.journal.entries(request.query.get("kind"), after, min(limit, PAGE))
            parts += [json.dumps(entry) for entry in page]
            if len(page) < PAGE:
                break
            limit, after = limit - len(page), page[-1]["number"]
            await asyncio.sleep(TURN)
        return web.Response(text=f"[{','.join(parts)}]", content_type="application/json")

    async def forget(self, request: web.Request) -> web.Response:
        self._exchange.journal.clear()
        return answer({})

    async def quotes(self, request: web.Request) -> web.Response:
        quotes = self._exchange.journal.quotes()
        parts: list[str] = []
        for begin in range(0, len(quotes), 10 * PAGE):
            parts += [json.dumps(quote) for quote in quotes[begin : begin + 10 * PAGE]]
            await asyncio.sleep(TURN)
        return web.Response(text=f"[{','.join(parts)}]", content_type="application/json")

    async def quote(self, request: web.Request) -> web.Response:
        body = await _body(request)
        for number, one in enumerate(body if isinstance(body, list) else [body]):
            if number % PAGE == PAGE - 1:
                await asyncio.sleep(TURN)
            symbol, bid, ask = _fields(one, "symbol", "bid", "ask")
            prices = requests.number(bid, "bid"), requests.number(ask, "ask")
            with _as_refusal():
                self._exchange.set_quote(str(symbol), *prices)
        return answer({})

    async def advance(self, request: web.Request) -> web.Response:
        """Step the clock; a client that hangs up ends its step where it stands."""
        (seconds,) = _fields(await _body(request), "seconds")
        clock = self._exchange.clock
        with _as_refusal():
            self._exchange.refuse_beside_mirror("the clock cannot be stepped")
        step = asyncio.ensure_future(clock.advance(requests.number(seconds, "seconds")))
        try:
            while not step.done() and request.transport is not None:
                await asyncio.wait({step}, timeout=0.1)
            if step.done():
                step.result()
        except ValueError as error:
            raise requests.invalid(str(error)) from None
        finally:
            step.cancel()
        return answer({"at_ns": clock.now_ns()})

    async def fault(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in FAULTS:
            raise web.HTTPNotFound
        body = await _body(request, is_exact=False)
        method = getattr(self._exchange.faults, name)
        if not isinstance(body, dict):
            raise unreadable()
        with _as_refusal():
            rule = method(**body)
        if not isinstance(rule, RequestFault | UpdateFault | PositionFault):
            return answer({})
        self._rules.append(rule)
        return answer({"rule": len(self._rules)})

    async def release(self, request: web.Request) -> web.Response:
        (index,) = _fields(await _body(request), "rule")
        if not isinstance(index, int) or not 1 <= index <= len(self._rules):
            raise unreadable("no such rule")
        rule = self._rules[index - 1]
        rule.stop()
        return answer({"hits": rule.hits})

    async def order(self, request: web.Request) -> web.Response:
        outcome = self._exchange.foreign_order(requests.read_json(await request.read()))
        return refuse(outcome) if isinstance(outcome, Refusal) else answer({"id": outcome.id})

    async def cancel(self, request: web.Request) -> web.Response:
        (order_id,) = _fields(await _body(request), "id")
        refusal = self._exchange.cancel(str(order_id))
        return answer({}) if refusal is None else refuse(refusal)

    async def transfer(self, request: web.Request) -> web.Response:
        body = await _body(request)
        coin, quantity = _fields(body, "coin", "quantity")
        price, status = body.get("price", 0), body.get("status", "COMPLETE")
        amounts = requests.number(quantity, "quantity"), requests.number(price, "price")
        with _as_refusal():
            transfer_id = self._exchange.transfer(str(coin), *amounts, str(status))
        return answer({"id": transfer_id})

    async def settle_transfer(self, request: web.Request) -> web.Response:
        transfer_id, status = _fields(await _body(request), "id", "status")
        with _as_refusal():
            self._exchange.settle_transfer(str(transfer_id), str(status))
        return answer({})

    async def account(self, request: web.Request) -> web.Response:
        body = await _body(request)
        if not isinstance(body, dict):
            raise unreadable()
        with _as_refusal():
            self._exchange.set_account(body)
        return answer({})

    async def flood(self, request: web.Request) -> web.Response:
        body = await _body(request, is_exact=False)
        if not isinstance(body, dict):
            raise unreadable()
        listed = self._exchange.listings
        symbols = body.get("symbols") or [symbol for symbol in BUSIEST if symbol in listed] or list(listed)
        limits = [body.get(name) for name in ("quotes", "seconds", "per_second")]
        if not all(limit is None or (isinstance(limit, int | float) and limit > 0) for limit in limits):
            raise unreadable("quotes, seconds and per_second are numbers above 0")
        with _as_refusal():
            self._flood.start([str(symbol) for symbol in symbols], *limits)
        return answer({})

    async def flood_state(self, request: web.Request) -> web.Response:
        return answer(self._flood.state())

    async def flood_stop(self, request: web.Request) -> web.Response:
        self._flood.stop()
        return answer(self._flood.state())


def _usage(method: Callable[..., Any]) -> str:
    """A fault's arguments: `stream, code=None`."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in parameters]
    return ", ".join(str(one) for one in bare)


@contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise unreadable(str(error)) from None


async def _body(request: web.Request, is_exact: bool = True) -> Any:
    content = await request.read()
    return requests.read_any(content, is_exact) if content else {}


def _fields(body: Any, *names: str) -> list[Any]:
    if not isinstance(body, dict):
        raise unreadable()
    missing = [name for name in names if name not in body]
    if missing:
        raise unreadable(f"missing: {', '.join(missing)}")
    return [body[name] for name in names]
