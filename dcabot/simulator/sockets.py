"""What both websockets share: who may connect, what goes out, how a connection ends.

Frames go straight to the transport: whole, in order, and without waiting, so that one event is one write.
"""

import asyncio
import json
from typing import Any

from aiohttp import WSCloseCode, web

from dcabot.simulator.exchange import Exchange
from dcabot.simulator.faults import StreamFault
from dcabot.simulator.protocol import answer
from dcabot.simulator.wire import packed, unpacked

TEXT, BINARY = 0x81, 0x82
FRAME_MAX = 256 * 1024  # of a client; a larger one closes the connection with 1009
KEPT_MAX = 10_000  # characters of a frame in the journal
BACKLOG_MAX = 16 * 1024 * 1024


def frame(payload: bytes, opcode: int) -> bytes:
    """One unmasked websocket frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload


class Connection:
    """One client on one stream."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, is_msgpack: bool) -> None:
        assert request.transport is not None
        self.socket = socket
        self.transport: asyncio.Transport = request.transport
        self.is_msgpack = is_msgpack
        self.is_authorized = False
        self.was_cut = False
        self.channels: dict[str, set[str]] = {}
        self.books: dict[str, Any] = {}  # the last order book sent, of each symbol

    @property
    def is_up(self) -> bool:
        return not self.socket.closed and not self.transport.is_closing()

    def send(self, payload: bytes, is_binary: bool) -> None:
        if self.is_up:
            self.transport.write(frame(payload, BINARY if is_binary else TEXT))
            if self.transport.get_write_buffer_size() > BACKLOG_MAX:
                self.cut(None)  # it does not read: its frames would fill the memory

    def cut(self, code: int | None) -> None:
        """Reset the connection, or close it with a code."""
        self.was_cut = True
        if code is None:
            self.transport.abort()
        else:
            asyncio.get_running_loop().create_task(self.socket.close(code=code, drain=False))


class Door:
    """One stream's door. Subclasses say what is spoken behind it."""

    def __init__(self, name: str, exchange: Exchange) -> None:
        self.name = name
        self.exchange = exchange
        self.connections: list[Connection] = []
        self._dead_slots = 0

    @property
    def fault(self) -> StreamFault:
        return self.exchange.faults.streams[self.name]

    @property
    def is_taken(self) -> bool:
        """True while another connection of the account is open, or not yet missed."""
        return self.exchange.settings.one_connection and (len(self.connections) + self._dead_slots > 0)

    def refusal_at_upgrade(self) -> web.Response | None:
        fault = self.fault
        if self.exchange.faults.in_maintenance:
            return web.Response(status=503)
        if fault.refuse_status is not None:
            status = fault.refuse_status
            if fault.refuse_times is not None:
                fault.refuse_times -= 1
                if fault.refuse_times <= 0:
                    fault.refuse_status = None
            return answer({"message": "refused"}, status)
        return None

    async def upgrade(self, request: web.Request) -> web.StreamResponse:
        """One connection from its upgrade to its end."""
        refusal = self.refusal_at_upgrade()
        self.note("connect" if refusal is None else "refused", status=101 if refusal is None else refusal.status)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(compress=False, max_msg_size=FRAME_MAX, timeout=1)
        await socket.prepare(request)
        is_msgpack = request.headers.get("Content-Type", "") == "application/msgpack"
        connection = Connection(request, socket, is_msgpack)
        try:
            await self.serve(connection, request)
        finally:
            self._leave(connection)
        return socket

    async def serve(self, connection: Connection, request: web.Request) -> None:
        raise NotImplementedError

    def let_go(self) -> None:
        """Send what a fault keeps for later."""
        raise NotImplementedError

    def enter(self, connection: Connection) -> None:
        self.connections.append(connection)

    def _leave(self, connection: Connection) -> None:
        self.note("disconnect", code=connection.socket.close_code)
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        has_vanished = connection.socket.close_code in (None, WSCloseCode.ABNORMAL_CLOSURE) and not connection.was_cut
        chosen = self.exchange.faults.dead_slot_seconds
        seconds = self.exchange.settings.timing.dead_slot if chosen is None else chosen
        if has_vanished and seconds:
            self._dead_slots += 1
            asyncio.get_running_loop().call_later(seconds, self._reap)

    def _reap(self) -> None:
        self._dead_slots -= 1

    def note(self, what: str, **facts: Any) -> None:
        self.exchange.journal.add("stream", stream=self.name, what=what, **facts)

    def log_frame(self, direction: str, message: Any) -> None:
        """Keep a frame (`in` or `out`) in the journal, without the keys of a login."""
        if isinstance(message, dict) and message.get("action") in ("auth", "authenticate"):
            message = {"action": message["action"], "keys": "not kept"}
        content = json.dumps(message, default=str)
        if len(content) > KEPT_MAX:
            content = json.dumps(content[:KEPT_MAX])
        self.exchange.journal.add("frame", stream=self.name, direction=direction, message=content)

    def hear(self, connection: Connection, data: str | bytes) -> Any:
        """A client's frame as what it says; None if nobody can read it."""
        try:
            asked = self.unpack(connection, data)
            self.log_frame("in", asked)
        except (ValueError, TypeError) as error:  # TypeError: msgpack whose maps have bytes for names
            self.log_frame("in", str(error))
            return None
        return asked

    def pack(self, connection: Connection, message: Any) -> bytes:
        return packed(message) if connection.is_msgpack else json.dumps(message).encode()

    def unpack(self, connection: Connection, data: str | bytes) -> Any:
        """A client's frame. Raises ValueError for what cannot be read."""
        if isinstance(data, bytes) and connection.is_msgpack:
            return unpacked(data)
        try:
            return json.loads(data)
        except RecursionError:
            raise ValueError("nested too deep") from None

    def send_raw(self, payload: bytes, is_binary: bool) -> None:
        self.note("raw frame", size=len(payload))
        for connection in self.connections:
            connection.send(payload, is_binary)

    def cut(self, code: int | None) -> None:
        self.note("cut", code=code, connections=len(self.connections))
        for connection in list(self.connections):
            connection.cut(code)
