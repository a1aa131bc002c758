"""What every HTTP request passes: the journal, the faults, the keys, the rate limit. An aiohttp middleware."""

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from dcabot.core.venue import Refusal
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.faults import MAINTENANCE_BODY, RequestFault, until_released
from dcabot.simulator.guard import refuse_stranger
from dcabot.simulator.protocol import MALFORMED, UNKNOWN_METHOD, Protocol, answer, refuse
from dcabot.simulator.requests import BadRequest

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONTROL = "/_sim"
TRADING_HOST = "/v2"
LOCATIONS = ("us", "us-1", "us-2", "eu-1", "bs-1")
TRADING_STREAMS = ("/stream", "/stream/")  # the legacy SDK asks for the second
STREAM_PATHS = frozenset({*TRADING_STREAMS, *(f"/v1beta3/crypto/{place}" for place in LOCATIONS)})
BODY_MAX = 1_000_000
TOO_LARGE = Refusal(413, 41310000, "request body is too large")


class Bucket:
    """Requests of the last minute, in real seconds."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._times: deque[float] = deque()

    def take(self) -> bool:
        """Count one more request; False if it is one too many."""
        if self.limit is None:
            return True
        self._forget()
        if len(self._times) >= self.limit:
            return False
        self._times.append(time.monotonic())
        return True

    def headers(self, now_ns: int, is_refusal: bool) -> dict[str, str]:
        """What is left of the minute; nothing for who is told that it was one too many."""
        limit = 200 if self.limit is None else self.limit
        self._forget()
        free_in = 60 - (time.monotonic() - self._times[0]) if self._times else 60
        return {
            "X-Ratelimit-Limit": str(limit),
            "X-Ratelimit-Remaining": "0" if is_refusal else str(limit - len(self._times)),
            "X-Ratelimit-Reset": str(now_ns // 1_000_000_000 + int(free_in) + 1),
        }

    def _forget(self) -> None:
        while self._times and self._times[0] < time.monotonic() - 60:
            self._times.popleft()


class Gate:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._trading = Bucket(exchange.settings.rate_limit)
        self._data = Bucket(exchange.settings.data_rate_limit)

    def middleware(self) -> Any:
        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = request.protocol
            assert isinstance(connection, Protocol)
            try:
                response = await self._hear(request, connection, handler)
            finally:
                connection.rest()
            if not request.path.startswith(CONTROL) and not response.prepared:
                response.headers["X-Request-ID"] = uuid.uuid4().hex
            if request.path.startswith(TRADING_HOST):  # whatever the answer is, and whoever made it
                response.headers.update(self._trading.headers(self._exchange.clock.now_ns(), response.status == 429))
            return response

        return gate

    async def _hear(self, request: web.Request, connection: Protocol, handler: Handler) -> web.StreamResponse:
        try:
            await request.read()
            connection.work()
            return await self._let(request, handler)
        except web.HTTPRequestEntityTooLarge:
            return self._unread(request, TOO_LARGE)
        except web.RequestPayloadError:
            return self._unread(request, MALFORMED)

    async def _let(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_upgrade = request.path in STREAM_PATHS and "upgrade" in request.headers.get("Connection", "").lower()
        if request.path.startswith(CONTROL):
            stranger = refuse_stranger(request.headers, self._exchange.settings.host)
            return await _translated(request, handler) if stranger is None else refuse(stranger)
        if is_upgrade:
            return await _translated(request, handler)
        return await self._pass(request, handler)

    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        number = self._note(request, (await request.read())[:10_000].decode("utf-8", "replace"))
        rule = self._exchange.faults.request_fault(request.method, request.path)
        response = await self._suffer(rule, request, handler)
        self._exchange.journal.add(
            "response",
            request=number,
            status=response.status,
            fault=None if rule is None else rule.effect,
            body=response.text[:10_000] if isinstance(response, web.Response) and response.text else "",
        )
        return response

    def _note(self, request: web.Request, body: str) -> int:
        entry = self._exchange.journal.add(
            "request",
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string[:2000],
            body=body,
        )
        number: int = entry["number"]
        return number

    def _unread(self, request: web.Request, refusal: Refusal) -> web.Response:
        """The answer to a body that nobody can take."""
        number = self._note(request, "")
        self._exchange.journal.add("response", request=number, status=refusal.status, fault=None, body=refusal.message)
        return refuse(refusal)

    async def _suffer(self, rule: RequestFault | None, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the request, or what a fault leaves of it."""
        effect = "" if rule is None else rule.effect
        if rule is not None:
            if effect == "delay":
                await asyncio.sleep(rule.seconds)
            elif effect == "hold":
                await until_released(rule)
            elif effect == "respond":
                return _prescribed(rule)
        if effect == "lose_request":
            return _broken(request)
        if self._exchange.faults.in_maintenance:
            return web.Response(status=503, text=MAINTENANCE_BODY, content_type="text/html")
        response = await self._admit(request, handler)
        if rule is not None and effect == "delay_response":
            await asyncio.sleep(rule.seconds)
        if effect == "lose_response":
            return _broken(request)
        return _prescribed(rule) if rule is not None and effect == "respond_after" else response

    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(TRADING_HOST):
            stranger = self._refuse_data_keys(request)
            if stranger is not None:
                return stranger
            if not self._data.take():
                return answer({"message": "too many requests."}, 429)
            return await _translated(request, handler)
        stranger = self._refuse_keys(request)
        if stranger is not None:
            return stranger
        if self._trading.take():
            response = await _translated(request, handler)
        else:
            response = answer({"code": 42910000, "message": "rate limit exceeded"}, 429)
        if self._exchange.settings.timing.response:
            await asyncio.sleep(self._exchange.settings.timing.response)
        return response

    def _refuse_data_keys(self, request: web.Request) -> web.Response | None:
        """Market data needs no keys, unless the settings say so; revoked ones are refused."""
        sends_keys = "APCA-API-KEY-ID" in request.headers
        is_revoked = self._exchange.faults.keys_are_revoked and sends_keys
        if self._exchange.settings.data_needs_keys or is_revoked:
            return self._refuse_keys(request)
        return None

    def _refuse_keys(self, request: web.Request) -> web.Response | None:
        """Wrong keys are unauthorized, missing ones forbidden."""
        settings = self._exchange.settings
        if self._exchange.faults.keys_are_revoked:
            return answer({"message": "unauthorized."}, 401)
        sent = request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY")
        if sent == (settings.key, settings.secret):
            return None
        return answer({"message": "unauthorized."}, 401) if all(sent) else answer({"message": "forbidden."}, 403)


async def _translated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, with refusals and aiohttp's own errors in Alpaca's shape."""
    try:
        return await handler(request)
    except BadRequest as error:
        return refuse(error.refusal)
    except web.HTTPNotFound:
        return answer({"code": 40410000, "message": "endpoint not found."}, 404)
    except web.HTTPMethodNotAllowed:
        return refuse(UNKNOWN_METHOD)
    except web.HTTPBadRequest as error:  # an upgrade that is none
        return answer({"code": 40010000, "message": error.text}, 400)


def _prescribed(rule: RequestFault) -> web.Response:
    if isinstance(rule.body, str):
        return web.Response(status=rule.status, text=rule.body, content_type="text/html")
    body = b"" if rule.body is None else json.dumps(rule.body).encode()
    return web.Response(status=rule.status, body=body, content_type="application/json")


def _broken(request: web.Request) -> web.Response:
    """No answer: the connection is reset."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
