"""What can go wrong, on demand. From Python: `alpaca.faults.<method>`; over HTTP: POST /_sim/faults/<method>.

Requests: the first rule that matches and is not used up decides. Streams: `trading` or `data`.
Seconds are real seconds, but those of `maintenance` and of positions are venue time.
`times=None` means until `clear()` or `rule.stop()`. A `symbol` is BTC/USD or BTCUSD.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from dcabot.core.venue import VenueOrder
from dcabot.simulator.arguments import check_close, check_error, check_status, checked
from dcabot.simulator.prices import Number, exact

TRADING, DATA = "trading", "data"
MAINTENANCE_BODY = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"


def bare(symbol: str) -> str:
    """A pair as every spelling of it: BTCUSD of BTC/USD too."""
    return symbol.replace("/", "")


@dataclass(eq=False)
class RequestFault:
    """One rule for requests. `effect`: delay, hold, lose_request, lose_response, respond, respond_after.

    `method` None matches all; `path` is a text looked for in the path: `/v2/orders$` ends with it, `^/v2/` begins.
    """

    effect: str
    method: str | None = None
    path: str = ""
    times: int | None = 1
    seconds: float = 0
    status: int = 500
    body: Any = None
    hits: int = 0
    released: threading.Event = field(default_factory=threading.Event, repr=False)

    def matches(self, method: str, path: str) -> bool:
        is_spent = self.times is not None and self.hits >= self.times
        return not is_spent and self.method in (None, method) and self._is_in(path)

    def _is_in(self, path: str) -> bool:
        words = self.path.removeprefix("^").removesuffix("$")
        begins, ends = self.path.startswith("^"), self.path.endswith("$")
        if begins and ends:
            return path == words
        return path.startswith(words) if begins else path.endswith(words) if ends else words in path

    def stop(self) -> None:
        """Match no more, and let go what is held."""
        self.times = 0
        self.released.set()

    release = stop


@dataclass(eq=False)
class UpdateFault:
    """One rule for trade updates. `effect`: drop, duplicate, delay, reorder, alter. `event` None matches all."""

    effect: str
    event: str | None = None
    times: int | None = 1
    seconds: float = 0
    changes: dict[str, Any] = field(default_factory=dict)
    hits: int = 0

    def takes(self, event: str) -> bool:
        """Count one more use if it matches."""
        if self.event not in (None, event) or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True

    def stop(self) -> None:
        self.times = 0


@dataclass
class StreamFault:
    """The state of one stream's troubles."""

    refuse_status: int | None = None
    refuse_times: int | None = None
    hangs_in_login: bool = False
    login_error: int | None = None
    subscribe_error: int | None = None
    is_mute: bool = False
    drop_ratio: Decimal = Decimal(0)  # of market data messages
    duplicates: bool = False
    delay_seconds: float = 0
    reorders: bool = False


@dataclass(eq=False)
class FillPlan:
    """The next `times` orders that match fill in slices of these sizes, one per look; the rest fills whole or waits."""

    sizes: tuple[Decimal, ...]
    symbol: str | None
    client_order_id: str | None
    times: int | None
    rest_waits: bool
    orders: dict[str, int] = field(default_factory=dict)  # order id -> slices done

    def takes(self, order: VenueOrder) -> bool:
        if order.id in self.orders:
            return True
        if self.symbol not in (None, bare(order.symbol)) or self.client_order_id not in (None, order.client_order_id):
            return False
        if self.times is not None and len(self.orders) >= self.times:
            return False
        self.orders[order.id] = 0
        return True


@dataclass(eq=False)
class PositionFault:
    """One rule for what the positions show: for so many reads, or until `stop()`."""

    symbol: str
    quantity: Decimal | None  # None: the position is not shown at all
    times: int | None = 1
    hits: int = 0

    def takes(self, symbol: str) -> bool:
        """Count one more read if it matches."""
        is_spent = self.times is not None and self.hits >= self.times
        if self.symbol != symbol or is_spent:
            return False
        self.hits += 1
        return True

    def stop(self) -> None:
        self.times = 0


class Doors(Protocol):
    """What the server lends the faults; every method is called in the server's loop."""

    def cut(self, stream: str, code: int | None) -> None: ...
    def send_raw(self, stream: str, payload: bytes, is_binary: bool) -> None: ...
    def listen(self, is_open: bool, seconds: float | None) -> Awaitable[None]: ...
    def send_error(self, code: int) -> None: ...
    def rematch_all(self) -> None: ...
    def let_go(self) -> None: ...
    def delay_fees(self, seconds: float | None) -> None: ...
    def later(self, seconds: float, action: Callable[[], None]) -> None: ...


class Faults:
    """The board of switches. Thread-safe: a switch is one assignment, an action runs in the server's loop."""

    def __init__(self) -> None:
        self._run: Callable[[Callable[[], object]], object] = lambda action: action()
        self._doors: Doors | None = None
        self._reset()

    def _reset(self) -> None:
        self.requests: tuple[RequestFault, ...] = ()
        self.updates: tuple[UpdateFault, ...] = ()
        self.streams = {TRADING: StreamFault(), DATA: StreamFault()}
        self.fill_plans: tuple[FillPlan, ...] = ()
        self.held_symbols: frozenset[str] | None = frozenset()  # None: all
        self.rejections = 0
        self.positions: tuple[PositionFault, ...] = ()
        self.still_symbols: frozenset[str] | None = frozenset()  # None: all
        self.keys_are_revoked = False
        self.in_maintenance = False
        self._window = object()  # the last call of maintenance()
        self.dead_slot_seconds: float | None = None  # None: as the settings say

    def attach(self, doors: Doors, run: Callable[[Callable[[], object]], object]) -> None:
        self._doors, self._run = doors, run

    def _do(self, action: Callable[[Doors], object]) -> None:
        doors = self._doors
        if doors is not None:
            self._run(lambda: action(doors))

    def clear(self) -> None:
        """All well again; what was held is let go. Sockets that were cut stay cut."""
        for rule in self.requests:
            rule.stop()
        self._reset()
        self._do(lambda doors: doors.delay_fees(None))
        self._do(lambda doors: doors.let_go())
        self._do(lambda doors: doors.rematch_all())
        self._do(lambda doors: doors.listen(True, None))

    # --- requests ---

    def _add(self, rule: RequestFault) -> RequestFault:
        rule.method = None if rule.method is None else rule.method.upper()
        self.requests = (*self.requests, rule)
        return rule

    def delay(self, seconds: float, method: str | None = None, path: str = "", times: int | None = 1) -> RequestFault:
        """The request reaches the venue late, even when its client has given up."""
        return self._add(RequestFault("delay", method, path, times, seconds=seconds))

    def delay_response(
        self, seconds: float, method: str | None = None, path: str = "", times: int | None = 1
    ) -> RequestFault:
        """The venue acts at once and answers late."""
        return self._add(RequestFault("delay_response", method, path, times, seconds=seconds))

    def hold(self, method: str | None = None, path: str = "", times: int | None = 1) -> RequestFault:
        """The request waits before the venue until `rule.release()`."""
        return self._add(RequestFault("hold", method, path, times))

    def lose_request(self, method: str | None = None, path: str = "", times: int | None = 1) -> RequestFault:
        """The connection breaks before the venue sees the request."""
        return self._add(RequestFault("lose_request", method, path, times))

    def lose_response(self, method: str | None = None, path: str = "", times: int | None = 1) -> RequestFault:
        """The venue acts, and the connection breaks instead of an answer."""
        return self._add(RequestFault("lose_response", method, path, times))

    def respond(
        self, status: int, body: Any = None, method: str | None = None, path: str = "", times: int | None = 1
    ) -> RequestFault:
        """Any answer, without asking the venue. A str body goes out as it is, everything else as JSON."""
        check_status(status)
        return self._add(RequestFault("respond", method, path, times, status=status, body=body))

    def respond_after(
        self, status: int, body: Any = None, method: str | None = None, path: str = "", times: int | None = 1
    ) -> RequestFault:
        """The venue acts, and this answer goes out instead of its own (a 504 after acceptance)."""
        check_status(status)
        return self._add(RequestFault("respond_after", method, path, times, status=status, body=body))

    def rate_limit(self, times: int | None = None) -> RequestFault:
        """Every trading request is one too many."""
        return self.respond(429, {"code": 42910000, "message": "rate limit exceeded"}, path="^/v2/", times=times)

    def maintenance(self, is_on: bool = True, after: float = 0, seconds: float | None = None) -> None:
        """A window as on a second Saturday: 503 with a page of HTML, streams cut and refused.

        It opens `after` so many seconds of venue time and lasts `seconds` of them, or until it is switched off.
        The last call counts.
        """
        self._window = window = object()
        if not is_on:
            self.in_maintenance = False
        elif after:
            self._do(lambda doors: doors.later(after, lambda: self._open(window, seconds)))
        else:
            self._open(window, seconds)

    def _open(self, window: object, seconds: float | None) -> None:
        if window is not self._window:
            return
        self.in_maintenance = True
        self.cut(TRADING)
        self.cut(DATA)
        if seconds is not None:
            self._do(lambda doors: doors.later(seconds, lambda: self._close(window)))

    def _close(self, window: object) -> None:
        if window is self._window:
            self.in_maintenance = False

    def refuse_connections(self, is_on: bool = True, seconds: float | None = None) -> None:
        """Nobody listens on the port and open connections break: for so long, or until Python switches it off."""
        self._do(lambda doors: doors.listen(not is_on, seconds))

    # --- streams ---

    def cut(self, stream: str, code: int | None = None) -> None:
        """End the stream's connections: without a code by a reset (1006), else by a close frame with it."""
        if code is not None:
            check_close(code)
        self._do(lambda doors: doors.cut(stream, code))

    def refuse_upgrade(self, stream: str, status: int = 429, times: int | None = None) -> None:
        check_status(status)
        self.streams[stream].refuse_status, self.streams[stream].refuse_times = status, times

    def accept_upgrade(self, stream: str) -> None:
        self.streams[stream].refuse_status = None

    def hang_in_login(self, stream: str, is_on: bool = True) -> None:
        """The upgrade works, the login is never answered; pings are."""
        self.streams[stream].hangs_in_login = is_on

    def keep_dead_slots(self, seconds: float = 90) -> None:
        """A client that vanishes from now on, without a closing handshake, keeps its slot so long."""
        self.dead_slot_seconds = seconds

    def answer_login(self, stream: str, code: int | None) -> None:
        """Refuse every login, right keys or not: with this error on `data`, as unauthorized on `trading`."""
        check_error(code)
        self.streams[stream].login_error = code

    def answer_subscribe(self, code: int | None) -> None:
        """Answer every subscription to market data with this error."""
        check_error(code)
        self.streams[DATA].subscribe_error = code

    def data_error(self, code: int) -> None:
        """Send this error to the data stream's clients now; 404, 406 and 407 end the connection."""
        check_error(code)
        self._do(lambda doors: doors.send_error(code))

    def mute(self, stream: str, is_on: bool = True) -> None:
        """The stream says nothing more, but answers pings."""
        self.streams[stream].is_mute = is_on

    def spoil_quotes(
        self, drop_ratio: Number = 0, duplicates: bool = False, delay_seconds: float = 0, reorders: bool = False
    ) -> None:
        """Market data that is dropped in part, doubled, late, or swapped in pairs."""
        state = self.streams[DATA]
        state.drop_ratio, state.duplicates = exact(drop_ratio), duplicates
        state.delay_seconds, state.reorders = delay_seconds, reorders

    def send_raw(self, stream: str, payload: bytes | str, is_binary: bool | None = None) -> None:
        """Any bytes as one frame to the stream's clients: broken JSON, null data, unknown shapes."""
        content = payload.encode() if isinstance(payload, str) else payload
        binary = isinstance(payload, bytes) if is_binary is None else is_binary
        self._do(lambda doors: doors.send_raw(stream, content, binary))

    # --- trade updates ---

    def _add_update(self, rule: UpdateFault) -> UpdateFault:
        self.updates = (*self.updates, rule)
        return rule

    def drop_updates(self, event: str | None = None, times: int | None = 1) -> UpdateFault:
        return self._add_update(UpdateFault("drop", event, times))

    def duplicate_updates(self, event: str | None = None, times: int | None = 1) -> UpdateFault:
        return self._add_update(UpdateFault("duplicate", event, times))

    def delay_updates(self, seconds: float, event: str | None = None, times: int | None = 1) -> UpdateFault:
        return self._add_update(UpdateFault("delay", event, times, seconds))

    def reorder_updates(self, event: str | None = None, times: int | None = 1) -> UpdateFault:
        """The update comes after its successor."""
        return self._add_update(UpdateFault("reorder", event, times))

    def alter_updates(self, changes: dict[str, Any], event: str | None = None, times: int | None = 1) -> UpdateFault:
        """Put these fields into the update's data: {"event": "odd"}, {"order": {"status": "odd"}}."""
        return self._add_update(UpdateFault("alter", event, times, changes=changes))

    # --- fills ---

    def partial_fills(
        self,
        sizes: Sequence[Number],
        symbol: str | None = None,
        client_order_id: str | None = None,
        times: int | None = 1,
        rest_waits: bool = False,
    ) -> None:
        """The next orders fill in slices of these sizes; then the rest whole, or not before `clear()`."""
        pair = None if symbol is None else bare(symbol)
        plan = FillPlan(tuple(exact(size) for size in sizes), pair, client_order_id, times, rest_waits)
        self.fill_plans = (*self.fill_plans, plan)

    def hold_fills(self, is_on: bool = True, symbol: str | None = None) -> None:
        """Marketable orders do not fill; when it is switched off they do at the price of that moment."""
        if symbol is None:
            self.held_symbols = None if is_on else frozenset()
        elif self.held_symbols is not None or not is_on:
            held = self.held_symbols or frozenset()
            self.held_symbols = held | {bare(symbol)} if is_on else held - {bare(symbol)}
        if not is_on:
            self._do(lambda doors: doors.rematch_all())

    def reject_orders(self, times: int = 1) -> None:
        """The next orders are accepted with 200 and rejected afterwards."""
        self.rejections = times

    def delay_fees(self, seconds: float | None) -> None:
        """Fees of fills from now on are posted so many venue seconds later; None: as the policy says."""
        self._do(lambda doors: doors.delay_fees(seconds))

    # --- the account ---

    def hide_position(
        self,
        symbol: str,
        times: int | None = 1,
        seconds: float | None = None,
    ) -> PositionFault:
        """The position is missing from the next reads, or for so many seconds of venue time."""
        return self._add_position(PositionFault(bare(symbol), None, times), seconds)

    def show_position(
        self,
        symbol: str,
        quantity: Number,
        times: int | None = 1,
        seconds: float | None = None,
    ) -> PositionFault:
        """The next reads show this quantity: less, more, or coins that are not there."""
        return self._add_position(PositionFault(bare(symbol), exact(quantity), times), seconds)

    def _add_position(self, rule: PositionFault, seconds: float | None) -> PositionFault:
        if seconds is not None:
            rule.times = None
            self._do(lambda doors: doors.later(seconds, rule.stop))
        self.positions = (*self.positions, rule)
        return rule

    def refuse_transfers(self, status: int = 403, times: int | None = None) -> RequestFault:
        """The list of transfers is refused: 403, 404, or another status."""
        words = "endpoint not found." if status == 404 else "crypto transfers are not available"
        body = {"code": status * 100_000 + 10_000, "message": words}
        return self.respond(status, body, "GET", "^/v2/wallets", times)

    def revoke_keys(self, is_on: bool = True) -> None:
        """The keys are not accepted any more: 401, no login, and open streams are cut."""
        self.keys_are_revoked = is_on
        if is_on:
            self.cut(TRADING)
            self.cut(DATA)

    # --- prices ---

    def hold_prices(self, is_on: bool = True, symbol: str | None = None) -> None:
        """No quote comes of the walk, file or candles: the last one's time stands still.

        What is set by hand still counts. Afterwards the prices go on where they are by then.
        """
        if symbol is None:
            self.still_symbols = None if is_on else frozenset()
        elif self.still_symbols is not None or not is_on:
            still = self.still_symbols or frozenset()
            self.still_symbols = still | {bare(symbol)} if is_on else still - {bare(symbol)}

    # --- for the server ---

    def request_fault(self, method: str, path: str) -> RequestFault | None:
        for rule in self.requests:
            if rule.matches(method, path):
                rule.hits += 1
                return rule
        return None

    def update_faults(self, event: str) -> list[UpdateFault]:
        return [rule for rule in self.updates if rule.takes(event)]

    def holds(self, order: VenueOrder) -> bool:
        return self.held_symbols is None or bare(order.symbol) in self.held_symbols

    def is_still(self, symbol: str) -> bool:
        """True while this pair's prices are held."""
        return self.still_symbols is None or bare(symbol) in self.still_symbols

    def position_fault(self, symbol: str) -> PositionFault | None:
        """The rule for this read of a position."""
        return next((rule for rule in self.positions if rule.takes(symbol)), None)


NOT_SWITCHES = {"attach", "request_fault", "update_faults", "holds", "is_still", "position_fault"}
FAULTS = frozenset(name for name in vars(Faults) if not name.startswith("_") and name not in NOT_SWITCHES)
for _name in FAULTS:
    setattr(Faults, _name, checked(getattr(Faults, _name)))


async def until_released(rule: RequestFault) -> None:
    while not rule.released.is_set():
        await asyncio.sleep(0.005)
