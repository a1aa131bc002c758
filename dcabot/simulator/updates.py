"""The trading stream: login, listen, one frame for each trade update. alpaca.md section 3."""

import asyncio
import hmac
from typing import Any

from aiohttp import WSMsgType, web

from dcabot.core.venue import Event
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.faults import TRADING, UpdateFault
from dcabot.simulator.sockets import Connection, Door
from dcabot.simulator.wire import Json, ulid, update_json

TRADE_UPDATES = "trade_updates"
DEPRECATION = (
    "this authentication format is being deprecated. Please use the format: "
    '{"action": "auth", "key": "<your key>", "secret": "<your secret>"}'
)


class UpdateDoor(Door):
    """GET /stream. Nothing is replayed: an update without a listener is gone."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(TRADING, exchange)
        self._last_ulid = 0
        self._behind: list[Json] = []  # updates that wait to be overtaken
        exchange.on_event.append(self.publish)

    def refusal_at_upgrade(self) -> web.Response | None:
        refusal = super().refusal_at_upgrade()
        return web.Response(status=429) if refusal is None and self.is_taken else refusal

    async def serve(self, connection: Connection, request: web.Request) -> None:
        self.enter(connection)
        async for message in connection.socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            asked = self.hear(connection, message.data)
            if not self.fault.hangs_in_login:
                reply = self._reply(connection, asked)
                self._send(connection, reply)

    def _send(self, connection: Connection, message: Json) -> None:
        self.log_frame("out", message)
        connection.send(self.pack(connection, message), self.exchange.settings.paper or connection.is_msgpack)

    def _reply(self, connection: Connection, asked: Any) -> Json:
        if not isinstance(asked, dict):
            return {"stream": "error", "data": {"error": "invalid message"}}
        action = asked.get("action")
        if action in ("authenticate", "auth"):
            return self._authorize(connection, asked, action)
        if action == "listen":
            if not connection.is_authorized:
                return {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}
            return self._listen(connection, asked.get("data"))
        return {"stream": "error", "data": {"error": "unknown action"}}

    def _authorize(self, connection: Connection, asked: Json, action: str) -> Json:
        names = ("key_id", "secret_key") if action == "authenticate" else ("key", "secret")
        holder = asked.get("data") if action == "authenticate" else asked
        sent = [holder.get(name) if isinstance(holder, dict) else None for name in names]
        connection.is_authorized = self.fault.login_error is None and keys_match(self.exchange, sent)
        self.note("login", status="authorized" if connection.is_authorized else "unauthorized")
        data = {"action": "authenticate", "status": "authorized" if connection.is_authorized else "unauthorized"}
        if action == "authenticate" and connection.is_authorized:
            data["message"] = DEPRECATION
        elif not connection.is_authorized:
            data["message"] = "access key verification failed"
        return {"stream": "authorization", "data": data}

    def _listen(self, connection: Connection, data: Any) -> Json:
        streams = data.get("streams") if isinstance(data, dict) else None
        if not isinstance(streams, list) or not all(isinstance(name, str) for name in streams):
            return {"stream": "listening", "data": {"streams": [], "error": "invalid streams"}}
        # Only what exists is echoed.
        connection.channels = {name: set() for name in streams if name == TRADE_UPDATES}
        self.note("listen", streams=list(connection.channels))
        return {"stream": "listening", "data": {"streams": list(connection.channels)}}

    # --- events ---

    def publish(self, event: Event) -> None:
        """Send an event as the faults allow."""
        listing = self.exchange.listings[event.order.symbol]
        data = update_json(event, listing, self._next_id(event), self.exchange.settings.position_after_fee)
        self.exchange.journal.add(
            "event",
            event=event.name,
            id=event.order.id,
            client_order_id=event.order.client_order_id,
            status=event.order.status.value,
            event_id=data["event_id"],
        )
        copies, late, overtaken = 1, 0.0, False
        for rule in self.exchange.faults.update_faults(event.name):
            copies = {"drop": 0, "duplicate": 2}.get(rule.effect, copies)
            late = rule.seconds if rule.effect == "delay" else late
            overtaken = overtaken or rule.effect == "reorder"
            if rule.effect == "alter":
                data = altered(data, rule)
        if overtaken:
            self._behind.append(data)
            return
        for _ in range(copies):
            if late:
                asyncio.get_running_loop().call_later(late, self._deliver, data)
            else:
                self._deliver(data)
        self.let_go()

    def let_go(self) -> None:
        """Send the updates that wait for their successor."""
        behind, self._behind = self._behind, []
        for waiting in behind:
            self._deliver(waiting)

    def _deliver(self, data: Json) -> None:
        if self.fault.is_mute:
            return
        message = {"stream": TRADE_UPDATES, "data": data}
        for connection in self.connections:
            if TRADE_UPDATES in connection.channels:
                self._send(connection, message)

    def _next_id(self, event: Event) -> str:
        """A ULID above the one before, even within one millisecond."""
        milliseconds = self.exchange.clock.now_ns() // 1_000_000
        self._last_ulid = max(self._last_ulid + 1, milliseconds << 80)
        return ulid(self._last_ulid)


def altered(data: Json, rule: UpdateFault) -> Json:
    """The data with the rule's changes laid over it, one level deep into objects."""
    result = dict(data)
    for name, value in rule.changes.items():
        old = result.get(name)
        result[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def keys_match(exchange: Exchange, sent: list[Any]) -> bool:
    if exchange.faults.keys_are_revoked:
        return False
    wanted = (exchange.settings.key, exchange.settings.secret)
    return all(
        isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())
        for given, right in zip(sent, wanted, strict=True)
    )
