"""HTTP below the routes: one connection's answers in Alpaca's shape, and which connections may stay.

aiohttp answers by itself what it cannot read, in words of its own; here it is JSON like everything else.
"""

import asyncio
import json
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod

from dcabot.core.venue import Refusal
from dcabot.simulator.wire import refusal_json

KEEP_ALIVE = 3600
IDLE_MAX = 300  # connections without a whole request; a process may have about 1,000 files open
MALFORMED = Refusal(400, 40010000, "request is malformed")
UNKNOWN_METHOD = Refusal(405, 40510000, "method not allowed")
BROKEN = Refusal(500, 50010000, "internal server error occurred")


def answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json")


def refuse(refusal: Refusal) -> web.Response:
    return answer(refusal_json(refusal), refusal.status)


class Protocol(web.RequestHandler):
    """One connection, of a client that may never say anything."""

    def __init__(self, server: web.Server, idle: "dict[Protocol, None]") -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as AppRunner passes it on: no log
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=1,
        )
        self._idle = idle
        self._has_asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.rest()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.work()
        super().connection_lost(exc)

    def work(self) -> None:
        """A whole request is here: from now on the connection is not in question."""
        self._idle.pop(self, None)
        self._has_asked = True

    def rest(self) -> None:
        """Wait for a request. Where too many wait, one goes: of those that never asked, or else between two requests.

        The greater of these crowds gives way, so that neither puts out the other; in it the one that waits longest.
        """
        if self.transport is None:
            return
        self._idle[self] = None
        if len(self._idle) > IDLE_MAX:
            crowds: dict[bool, list[Protocol]] = {False: [], True: []}
            for one in self._idle:
                crowds[one._has_asked].append(one)
            longest = max(crowds.values(), key=len)[0]
            longest.work()
            if longest.transport is not None:
                longest.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or to what broke a handler."""
        if status >= 500:
            self.log_exception("Error handling request", exc_info=exc)
            refusal = BROKEN
        else:
            refusal = UNKNOWN_METHOD if isinstance(exc, BadHttpMethod) else MALFORMED
        response = refuse(refusal)
        response.force_close()
        return response

    def log_exception(self, *words: Any, **options: Any) -> None:
        """Tell stderr what broke here, not that a client vanished or packed its body badly."""
        if not isinstance(options.get("exc_info"), ConnectionError | web.RequestPayloadError):
            super().log_exception(*words, **options)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException):
            resp = refuse(Refusal(resp.status, resp.status * 100_000 + 10_000, resp.reason.lower()))
        return await super().finish_response(request, resp, start_time)


class Protocols:
    """Makes the connections of one server; what `create_server` asks for."""

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._idle: dict[Protocol, None] = {}

    def __call__(self) -> Protocol:
        return Protocol(self._server, self._idle)
