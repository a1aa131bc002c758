"""The exchange with its network: the pure venue, doors that delay, lose, repeat and refuse, and two streams.

`Exchange` is what is true. `SimBroker` has the methods and outcomes of `adapters/broker.py`; each request is on its
way, arrives, and is answered, and at each of these moments others run and programs may die.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import TypeVar

from dcabot.adapters.broker import OWN_LIMIT
from dcabot.adapters.budget import Budget
from dcabot.core.matching import Venue
from dcabot.core.model import EPOCH, ID_PREFIX, Instrument, Order, OrderReport, Quote, Refusal
from dcabot.core.snapshot import (
    Accepted,
    Account,
    CancelOutcome,
    CancelRequested,
    ExchangeDenied,
    ExchangeUnreachable,
    Fill,
    Listing,
    Position,
    Refused,
    SubmitOutcome,
    Unknown,
    Unreadable,
)
from dcabot.core.snapshot import Transfer as Moved
from dcabot.core.venue import Event, Execution, OrderRequest, Transfer, VenueOrder, coins_of
from dcabot.core.venue import Refusal as VenueRefusal
from tests.simulation.books import may_crash
from tests.simulation.clockwork import Program, World
from tests.venue_broker import (
    account_of,
    moved_of,
    not_cancelled,
    not_taken,
    positions_of,
    quotes_of,
    report_of,
    request_of,
)

TIMEOUT_SECONDS = 15.0
YOUNG = timedelta(seconds=3)  # so long a query may still miss an order that was just placed

SUBMIT_TROUBLES = (
    ("submit: no connection", 0.02),
    ("submit: request lost", 0.03),
    ("submit: request late", 0.08),
    ("submit: response lost", 0.05),
    ("submit: sent twice", 0.02),
    ("submit: 5xx, not done", 0.02),
    ("submit: 5xx, done", 0.02),
)
REFUSALS = (
    ("submit: rate limit", 0.03),
    ("submit: insufficient balance", 0.03),
    ("submit: wash trade", 0.02),
    ("submit: unauthorized", 0.01),
)
REFUSED = {
    "submit: no connection": Refused("no connection", Refusal.UNREACHABLE),
    "submit: rate limit": Refused("HTTP 429: too many requests", Refusal.RATE_LIMITED),
    "submit: insufficient balance": Refused("HTTP 403: insufficient balance", Refusal.INSUFFICIENT_BALANCE),
    "submit: wash trade": Refused("HTTP 403: potential wash trade detected", Refusal.WASH_TRADE),
    "submit: unauthorized": Refused("HTTP 401: unauthorized", Refusal.UNAUTHORIZED),
}
CANCEL_TROUBLES = (
    ("cancel: request lost", 0.15),
    ("cancel: response lost", 0.12),
    ("cancel: 5xx", 0.08),
)
ASK_TROUBLES = (("query: timeout", 0.012), ("query: 5xx", 0.008), ("query: rate limit", 0.008))
ASK_DENIED = (("query: keys denied", 0.001),)
LAGS = (("query: young order denied", 0.5),)
POSITION_LAGS = (("positions: a row vanishes", 0.03), ("positions: a row unreadable", 0.02))
FILLS = (("partial fill", 0.25), ("tiny partial fill", 0.08), ("no liquidity", 0.12))
SLOW = (("slow answer", 0.02), ("very slow answer", 0.006))

Row = TypeVar("Row")


class Exchange:
    """The venue as it truly is, and what befalls its orders."""

    def __init__(self, world: World, listed: Iterable[Instrument], cash: Decimal) -> None:
        self.world, self.chance = world, world.chance
        numbers = count(1)
        self.venue = Venue(listed, cash, lambda: f"v{next(numbers)}", slicer=self._slice)
        account = self.venue.account
        account.fee_delay, account.fee_spread = timedelta(seconds=90), timedelta()
        self.is_closed = False  # maintenance
        self.storm_of = ""  # the status that every request is answered with
        self.changes = 0
        self.on_event: Callable[[Event], None] = lambda event: None
        self.on_admission: Callable[[VenueOrder], None] = lambda order: None
        self.on_cancel: Callable[[str, Program | None], None] = lambda order_id, program: None
        self._rematches: set[str] = set()  # symbols with a rest that is looked at again
        self.odd_at = -60.0  # when a position was last misread
        self.hand_moved: dict[str, float] = {}  # symbol -> when a person last traded it
        self.hidden: set[str] = set()  # positions that the answers leave out
        self.shown: dict[str, Decimal] = {}  # positions that the answers tell less or more of

    def quote(self, quote: Quote) -> None:
        self._publish(self.venue.on_quote(quote, self.world.true_time()))

    def close(self, seconds: float) -> None:
        """A maintenance window: every request is answered with 503."""
        self.is_closed = True
        self.world.tell("exchange", "closes for maintenance, %.0f s", seconds)
        self.world.at(seconds, self.reopen)

    def reopen(self) -> None:
        self.is_closed = False
        self.storm_of = ""

    def storm(self, status: str, seconds: float) -> None:
        """Every request is answered with 429 or 503: a storm that says nothing of any order."""
        self.storm_of = status
        self.world.tell("exchange", "answers %s for %.0f s", status, seconds)
        self.world.at(seconds, self.reopen)

    def admit(self, request: OrderRequest, who: str) -> VenueOrder | VenueRefusal:
        """The request arrives. What is admitted starts to work a moment later, or is rejected after all."""
        outcome = self.venue.submit(request, self.world.true_time())
        limit = request.limit_price or "market"
        words = (who, request.client_order_id, request.side.value, request.quantity, limit, outcome)
        self.world.tell("exchange", "%s asks for %s: %s %s at %s -> %s", *words)
        if isinstance(outcome, VenueOrder):
            self.changes += 1
            self.on_admission(outcome)
            self.world.at(self.chance.between("activation", 0.002, 0.25), lambda: self._activate(outcome.id))
        return outcome

    def cancel(self, order_id: str, program: Program | None) -> VenueRefusal | None:
        """The wish to cancel arrives; the order works on for a moment."""
        self.on_cancel(order_id, program)
        outcome = self.venue.request_cancel(order_id, self.world.true_time())
        if isinstance(outcome, VenueRefusal):
            return outcome
        self._publish(outcome)
        delay = self.chance.between("cancel delay", 0.005, 0.6)
        self.world.at(delay, lambda: self._publish(self.venue.cancel(order_id, self.world.true_time())))
        return None

    def move(self, symbol: str, quantity: Decimal) -> None:
        """Coins come or go by hand."""
        self.hand_moved[symbol] = self.world.now
        self.venue.account.move(coins_of(symbol)[0], quantity, Decimal(1))
        self.changes += 1

    def transfer(self, symbol: str, quantity: Decimal) -> Transfer:
        """Coins come from another wallet (+) or go to one (-), as the exchange lists them."""
        self.hand_moved[symbol] = self.world.now
        self.changes += 1
        coin, _ = coins_of(symbol)
        return self.venue.account.transfer(coin, quantity, self.world.true_time(), price=Decimal(1))

    def hide_position(self, symbol: str, seconds: float | None) -> None:
        """The position is missing from every answer: for so long, or for ever."""
        self.hidden.add(symbol)
        self.world.tell("exchange", "%s is missing from the positions", symbol)
        if seconds is not None:
            self.world.at(seconds, lambda: self.hidden.discard(symbol))

    def show_position(self, symbol: str, quantity: Decimal, seconds: float | None) -> None:
        """The position is told as this, less or more than it is: for so long, or for ever."""
        self.shown[symbol] = quantity
        self.world.tell("exchange", "%s is shown as %s", symbol, quantity)
        if seconds is not None:
            self.world.at(seconds, lambda: self.shown.pop(symbol, None))

    def position(self, symbol: str) -> Decimal:
        return self.venue.account.balance(coins_of(symbol)[0])

    def last_fill(self, report: OrderReport) -> Decimal | None:
        """The quantity of the execution that brought an order to this report; None when it tells of no fill."""
        for one in reversed(self.venue.account.activities):
            is_it = isinstance(one, Execution) and one.order_id == report.order_id
            if is_it and one.cumulative == report.filled_quantity:
                return one.quantity
        return None

    def _activate(self, order_id: str) -> None:
        order = self.venue.orders[order_id]
        if not order.is_open:
            return
        now = self.world.true_time()
        if order.client_order_id.startswith(ID_PREFIX) and self.chance.fault(
            "activation", "refusals", (("rejected after acceptance", 0.04),)
        ):
            self._publish(self.venue.reject(order_id, now))
            return
        self._publish(self.venue.activate(order_id, now))

    def _slice(self, order: VenueOrder, unfilled: Decimal, quote: Quote) -> Decimal:
        """How much fills now: mostly all, sometimes a part of any size, and the rest later, or nothing yet."""
        fate = self.chance.fault("fill", "fills", FILLS)
        if fate is None:
            return unfilled
        if order.symbol not in self._rematches:
            self._rematches.add(order.symbol)
            self.world.at(self.chance.between("rematch", 0.2, 120.0), lambda: self._rematch(order.symbol))
        if fate == "no liquidity":
            return Decimal(0)
        share = Decimal("0.000001") if fate == "tiny partial fill" else Decimal(f"{self.chance.roll('share'):.6f}")
        return unfilled * share

    def _rematch(self, symbol: str) -> None:
        self._rematches.discard(symbol)
        self._publish(self.venue.rematch(symbol, self.world.true_time()))

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            self.changes += 1
            self.on_event(event)


class SimBroker:
    """`adapters/broker.Broker` of one program, over the simulated network."""

    def __init__(self, exchange: Exchange, program: Program) -> None:
        self.exchange, self.program = exchange, program
        self.world, self.chance = exchange.world, exchange.world.chance
        # A real clock moves by itself; this one would stand still for a pause that is too small for a float.
        self._budget = Budget(self.world.monotonic, lambda seconds: self.world.pause(max(seconds, 0.001)))
        self.on_send: Callable[[Program, str, Order], None] = lambda program, symbol, order: None
        self.told: dict[str, deque[tuple[float, Quote]]] = defaultdict(lambda: deque(maxlen=80))  # asked at
        self.invents_emptiness = False  # a planted bug: a failed query is answered with "nothing there"

    def close(self) -> None:
        """Nothing to close."""

    def warm_up(self, count: int) -> int:
        return count

    # Requests

    def submit(self, symbol: str, order: Order) -> SubmitOutcome:
        self._door("before a request is sent")
        if not self._budget.take():
            return Refused(OWN_LIMIT, Refusal.RATE_LIMITED)
        self.on_send(self.program, symbol, order)
        if self.exchange.storm_of:
            return self._stormy()
        fate = self.chance.fault("submit", "network", SUBMIT_TROUBLES)
        fate = fate or self.chance.fault("submit refused", "refusals", REFUSALS)
        if fate:
            self.world.tell(self.program.name, "%s: %s", fate, order.client_order_id)
        if fate in REFUSED:
            self.world.pause(self._latency())
            return REFUSED[fate]
        if fate == "submit: request lost":
            return self._no_answer()
        request = request_of(symbol, order)
        if fate == "submit: request late":
            # Rarely so late that its row is void by then.
            delay = self.chance.pick("lateness", (3.0, 24.0, 30.0, 50.0, 70.0, 130.0, 200.0))
            self.world.at(delay, lambda: self.exchange.admit(request, "late request"))
            return self._no_answer()
        self._travel("before an order arrives")
        if self.exchange.is_closed or fate == "submit: 5xx, not done":
            self.world.pause(self._latency())
            return Unknown("HTTP 503")
        outcome = self.exchange.admit(request, self.program.name)
        # Made now: what fills while the answer travels is not in it.
        report = report_of(outcome) if isinstance(outcome, VenueOrder) else None
        if fate == "submit: sent twice":
            outcome = self.exchange.admit(request, "the same again")
        self._travel("before an order is answered")
        if fate == "submit: response lost":
            return self._no_answer()
        if fate == "submit: 5xx, done":
            return Unknown("HTTP 504")
        if isinstance(outcome, VenueRefusal):
            return not_taken(outcome)
        assert report is not None
        return Accepted(report)

    def cancel(self, order_id: str) -> CancelOutcome:
        self._door("before a cancel is sent")
        if not self._budget.take():
            return Unknown(OWN_LIMIT)
        if self.exchange.storm_of:
            self.world.pause(self._latency())
            return Unknown(f"HTTP {self.exchange.storm_of}")
        fate = self.chance.fault("cancel", "network", CANCEL_TROUBLES)
        if fate:
            self.world.tell(self.program.name, "%s: %s", fate, order_id)
        if fate == "cancel: request lost":
            return self._no_answer()
        self._travel("before a cancel arrives")
        if self.exchange.is_closed or fate == "cancel: 5xx":
            return Unknown("HTTP 503")
        refusal = self.exchange.cancel(order_id, self.program)
        self._travel("before a cancel is answered")
        if fate == "cancel: response lost":
            return self._no_answer()
        return CancelRequested() if refusal is None else not_cancelled(refusal)

    # Questions

    def report(self, client_order_id: str) -> OrderReport | None:
        def answer() -> OrderReport | None:
            order = self.exchange.venue.order_of(client_order_id)
            if order is None:
                return None
            is_young = self.world.true_time() - order.submitted_at < YOUNG
            if is_young and self.chance.fault("report", "lag", LAGS):
                return None
            return report_of(order)

        return self._ask("report", answer, None)

    def open_orders(self) -> Listing[OrderReport]:
        def answer() -> Listing[OrderReport]:
            orders = self.exchange.venue.open.values()
            now = self.world.true_time()
            shown = [
                order
                for order in orders
                if not (now - order.submitted_at < YOUNG and self.chance.fault("open orders", "lag", LAGS))
            ]
            return Listing(tuple(report_of(order) for order in shown))

        return self._ask("open_orders", answer, Listing(()))

    def positions(self) -> Listing[Position]:
        def answer() -> Listing[Position]:
            exchange = self.exchange
            rows = positions_of(exchange.venue, exchange.hidden, exchange.shown)
            # One odd read is known to happen; two in a row within seconds are not.
            is_due = self.world.now - self.exchange.odd_at > 60
            fate = self.chance.fault("positions", "lag", POSITION_LAGS) if rows and is_due else None
            if fate is None:
                return Listing(tuple(rows))
            self.exchange.odd_at = self.world.now
            gone = rows.pop(self.chance.integer("vanished position", 0, len(rows) - 1))
            unreadable = (Unreadable(gone.symbol, "not a number"),) if fate == "positions: a row unreadable" else ()
            return Listing(tuple(rows), unreadable)

        return self._ask("positions", answer, Listing(()))

    def orders_since(self, after: datetime) -> Listing[OrderReport]:
        def answer() -> Listing[OrderReport]:
            orders = self.exchange.venue.orders.values()
            return Listing(tuple(report_of(order) for order in orders if order.submitted_at > after))

        return self._ask("orders_since", answer, Listing(()))

    def recent_orders(self) -> Listing[OrderReport]:
        return self.orders_since(EPOCH)

    def fills(self, after: datetime) -> Listing[Fill]:
        def answer() -> Listing[Fill]:
            ledger = self.exchange.venue.account.activities
            done = [one for one in ledger if isinstance(one, Execution) and one.at > after]
            rows = [Fill(one.order_id, one.quantity, one.price, one.at, one.symbol, one.side) for one in done]
            return Listing(tuple(rows))

        return self._ask("fills", answer, Listing(()))

    def transfers(self) -> Listing[Moved]:
        def answer() -> Listing[Moved]:
            return Listing(tuple(moved_of(one) for one in self.exchange.venue.account.transfers.values()))

        return self._ask("transfers", answer, Listing(()))

    def instruments(self) -> Listing[Instrument]:
        return self._ask("instruments", lambda: Listing(tuple(self.exchange.venue.instruments.values())), Listing(()))

    def account(self) -> Account:
        told = account_of(self.exchange.venue)
        return self._ask("account", lambda: told, None)

    def latest_quotes(self, symbols: Iterable[str]) -> Listing[Quote]:
        wanted, asked_at = list(symbols), self.world.now
        found = self._ask("latest_quotes", lambda: quotes_of(self.exchange.venue, wanted), Listing(()))
        for quote in found.rows:
            self.told[quote.symbol].append((asked_at, quote))
        return found

    def clock_skew(self) -> timedelta:
        return timedelta(seconds=-self.world.skew)

    # The network

    def _ask(self, kind: str, answer: Callable[[], Row], nothing: Row) -> Row:
        try:
            return self._answered(kind, answer)
        except ExchangeUnreachable:
            if self.invents_emptiness and kind in ("report", "open_orders", "positions"):
                return nothing
            raise

    def _answered(self, kind: str, answer: Callable[[], Row]) -> Row:
        self._door(f"before {kind} is asked")
        if not self._budget.wait(5.0):
            raise ExchangeUnreachable(OWN_LIMIT)
        fate = self.chance.fault(f"ask {kind}", "network", ASK_TROUBLES)
        fate = fate or self.chance.fault(f"ask {kind} denied", "refusals", ASK_DENIED)
        if fate:
            self.world.tell(self.program.name, "%s: %s", kind, fate)
        if fate == "query: timeout":
            self.world.pause(TIMEOUT_SECONDS)
            raise ExchangeUnreachable("no answer")
        self.world.pause(self._latency())
        if fate == "query: keys denied":
            raise ExchangeDenied("HTTP 401")
        if self.exchange.storm_of:
            raise ExchangeUnreachable(f"HTTP {self.exchange.storm_of}")
        if fate or self.exchange.is_closed:
            raise ExchangeUnreachable("HTTP 503")
        found = answer()
        self._travel(f"before {kind} is answered")
        return found

    def _stormy(self) -> SubmitOutcome:
        """What a storm makes of an order: 429 says that it was not taken, 503 says nothing."""
        self.world.pause(self._latency())
        if self.exchange.storm_of == "429":
            return Refused("HTTP 429: too many requests", Refusal.RATE_LIMITED)
        return Unknown("HTTP 503")

    def _travel(self, where: str) -> None:
        self.world.pause(self._latency())
        may_crash(self.program, where)

    def _no_answer(self) -> Unknown:
        self._travel("while it waits for an answer")
        self.world.pause(TIMEOUT_SECONDS)
        return Unknown("no answer within 15 s")

    def _latency(self) -> float:
        fate = self.chance.fault("latency", "slow", SLOW)
        if fate:
            return self.chance.between("slowness", 0.5, 3.0 if fate == "slow answer" else TIMEOUT_SECONDS)
        return self.chance.between("latency", 0.01, 0.15)

    def _door(self, where: str) -> None:
        self.world.pause(0)
        may_crash(self.program, where)


class Feeds:
    """Both streams of one daemon: whether they are up, mute, and what arrives when."""

    def __init__(self, world: World, program: Program) -> None:
        self.world, self.chance, self.program = world, world.chance, program
        self.orders_up = self.quotes_up = False
        self.orders_mute = self.quotes_mute = False
        self.up_since = {"orders": 0.0, "quotes": 0.0}
        self.lost_at = world.now  # of the trade updates
        self.on_report: Callable[[OrderReport], None] = lambda report: None
        self.on_quote: Callable[[Quote], None] = lambda quote: None
        self.on_connected: Callable[[], None] = lambda: None
        self._last_at = 0.0

    def connect(self, feed: str) -> None:
        """The subscription is confirmed: from now on nothing is missed."""
        if self.program.is_dead:
            return
        setattr(self, f"{feed}_up", True)
        setattr(self, f"{feed}_mute", False)
        self.up_since[feed] = self.world.now
        self.on_connected()

    def lose(self, feed: str, seconds: float) -> None:
        """The socket is gone; the supervisor connects again. A mute one says nothing and looks well."""
        if feed == "orders" and self.orders_up:
            self.lost_at = self.world.now
        setattr(self, f"{feed}_up", False)
        self.world.at(seconds, lambda: self.connect(feed))
        self.on_connected()

    def mute(self, feed: str) -> None:
        setattr(self, f"{feed}_mute", True)

    def tell_order(self, event: Event) -> None:
        """A trade update sets out: it is dropped, doubled, late, or in order behind the one before."""
        if not self.orders_up or self.orders_mute:
            return
        report = report_of(event.order)
        fate = self.chance.fault(
            "update",
            "stream",
            (("update dropped", 0.06), ("update twice", 0.06), ("update late", 0.06)),
        )
        if fate:
            self.world.tell("stream", "%s: %r", fate, report)
        if fate == "update dropped":
            return
        delay = self.chance.between("update delay", 0.003, 0.12)
        if fate == "update late":
            delay = self.chance.between("update lateness", 0.5, 40.0)
        else:
            self._last_at = max(self._last_at, self.world.now + delay)
            delay = self._last_at - self.world.now
        self.world.at(delay, lambda: self._deliver(report))
        if fate == "update twice":
            again = delay + self.chance.between("update repeated", 0.0, 10.0)
            self.world.at(again, lambda: self._deliver(report))

    def tell_quote(self, quote: Quote) -> None:
        if self.quotes_up and not self.quotes_mute:
            self.world.at(self.chance.between("quote delay", 0.003, 0.05), lambda: self._deliver_quote(quote))

    def _deliver(self, report: OrderReport) -> None:
        if self.orders_up and not self.program.is_dead:
            self.on_report(report)

    def _deliver_quote(self, quote: Quote) -> None:
        if self.quotes_up and not self.program.is_dead:
            self.on_quote(quote)
