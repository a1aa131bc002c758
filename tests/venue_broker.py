"""The broker's methods over the pure venue: no sockets, a clock stepped by hand, and a fate for every request.

    desk = Desk(database)                      # store, executor, sync and trader around one VenueBroker
    desk.add_asset("BTC/USD")
    desk.quote("BTC/USD", "60000", "60010")
    desk.broker.fates["submit"] = [Fate.LOST_RESPONSE]
    desk.trader.recover()

Nothing here is random: the same steps lead to the same orders, ids and times on every machine.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from itertools import count
from typing import Any

from dcabot.adapters import schema
from dcabot.adapters.database import Database
from dcabot.adapters.store import Store
from dcabot.core.matching import Venue
from dcabot.core.model import Instrument, Order, OrderReport, OrderStatus, Quote, Side
from dcabot.core.snapshot import (
    Accepted,
    Account,
    AlreadyOver,
    CancelOutcome,
    CancelRequested,
    ExchangeUnreachable,
    Fill,
    Listing,
    NotFound,
    Position,
    Refused,
    SubmitOutcome,
    Unknown,
)
from dcabot.core.snapshot import Transfer as Moved
from dcabot.core.venue import (
    Event,
    OrderRequest,
    Policy,
    Refusal,
    Slicer,
    Transfer,
    TransferStatus,
    VenueOrder,
    VenueStatus,
    whole,
)
from dcabot.executor import Executor
from dcabot.sync import Sync
from dcabot.trader import Occasion, Trader
from tests.builders import START, make_instrument

STATUSES = {
    VenueStatus.PENDING_NEW: OrderStatus.ACCEPTED,
    VenueStatus.NEW: OrderStatus.ACCEPTED,
    VenueStatus.PENDING_CANCEL: OrderStatus.ACCEPTED,
    VenueStatus.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    VenueStatus.FILLED: OrderStatus.FILLED,
    VenueStatus.CANCELED: OrderStatus.CANCELED,
    VenueStatus.REPLACED: OrderStatus.CANCELED,
    VenueStatus.EXPIRED: OrderStatus.EXPIRED,
    VenueStatus.REJECTED: OrderStatus.REJECTED,
}


class SteppedClock:
    """Aware UTC that only moves when it is told to."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Fate(Enum):
    """What becomes of a request."""

    DONE = auto()
    REFUSED = auto()  # the exchange says no
    LOST_REQUEST = auto()  # no answer; the exchange never saw it
    LOST_RESPONSE = auto()  # no answer; the exchange did it
    LATE = auto()  # no answer; the exchange sees it at `deliver_late`
    DIES_BEFORE = auto()  # the program is killed before the request leaves
    DIES_AFTER = auto()  # the program is killed before the answer arrives


class Killed(BaseException):
    """The program is gone: nothing of it may run any more, so no `except Exception` may see this."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the exchange: `submit`, `cancel` or the name of a question, and what it was about."""

    kind: str
    subject: str


@dataclass
class VenueBroker:
    """`dcabot.adapters.broker.Broker` without a wire.

    `fates` prescribes, by kind of request, what becomes of the next ones; then all is well. `on_request` sees each
    request before anything becomes of it. `updates` collects what the trade-update stream would tell.
    """

    clock: SteppedClock
    listed: tuple[Instrument, ...] = (make_instrument(),)
    cash: Decimal = Decimal(100_000)
    policy: Policy = field(default_factory=Policy)
    slicer: Slicer = whole
    fates: dict[str, list[Fate]] = field(default_factory=dict)
    on_request: Callable[[Request], None] = lambda request: None
    is_reachable: bool = True
    hidden_positions: set[str] = field(default_factory=set)
    shown_positions: dict[str, Decimal] = field(default_factory=dict)  # less or more than there is
    requests: list[Request] = field(default_factory=list)
    updates: deque[OrderReport] = field(default_factory=deque)

    def __post_init__(self) -> None:
        numbers = count(1)
        self.venue = Venue(self.listed, self.cash, lambda: f"venue-{next(numbers)}", self.policy, self.slicer)
        self._late: list[OrderRequest] = []
        self.executed: list[Fill] = []

    # What the program calls.

    def submit(self, symbol: str, order: Order) -> SubmitOutcome:
        fate = self._fate("submit", order.client_order_id)
        if not self.is_reachable:
            return Refused("no connection: connection refused")
        request = request_of(symbol, order)
        if fate is Fate.REFUSED:
            return Refused("HTTP 403: insufficient balance for USD (requested: 20, available: 1)")
        if fate is Fate.LATE:
            self._late.append(request)
        if fate in (Fate.LATE, Fate.LOST_REQUEST):
            return Unknown("no answer within 15 s")
        outcome = self._admit(request)
        if fate is Fate.DIES_AFTER:
            raise Killed
        return Unknown("no answer within 15 s") if fate is Fate.LOST_RESPONSE else outcome

    def cancel(self, order_id: str) -> CancelOutcome:
        fate = self._fate("cancel", order_id)
        if not self.is_reachable or fate is Fate.LOST_REQUEST:
            return Unknown("no answer within 15 s")
        outcome = self.venue.request_cancel(order_id, self.clock())
        if isinstance(outcome, Refusal):
            return not_cancelled(outcome)
        self._tell(outcome + self.venue.cancel(order_id, self.clock()))
        if fate is Fate.DIES_AFTER:
            raise Killed
        return Unknown("no answer within 15 s") if fate is Fate.LOST_RESPONSE else CancelRequested()

    def report(self, client_order_id: str) -> OrderReport | None:
        self._ask("report", client_order_id)
        order = self.venue.order_of(client_order_id)
        return None if order is None else report_of(order)

    def open_orders(self) -> Listing[OrderReport]:
        self._ask("open_orders")
        return Listing(tuple(report_of(order) for order in self.venue.open.values()))

    def positions(self) -> Listing[Position]:
        self._ask("positions")
        shown = positions_of(self.venue, self.hidden_positions, self.shown_positions)
        return Listing(tuple(shown))

    def orders_since(self, after: datetime) -> Listing[OrderReport]:
        self._ask("orders_since")
        orders = self.venue.orders.values()
        return Listing(tuple(report_of(order) for order in orders if order.submitted_at > after))

    def recent_orders(self) -> Listing[OrderReport]:
        self._ask("recent_orders")
        return Listing(tuple(report_of(order) for order in reversed(self.venue.orders.values())))

    def fills(self, after: datetime) -> Listing[Fill]:
        self._ask("fills")
        return Listing(tuple(fill for fill in self.executed if fill.at > after))

    def transfers(self) -> Listing[Moved]:
        self._ask("transfers")
        return Listing(tuple(moved_of(one) for one in self.venue.account.transfers.values()))

    def instruments(self) -> Listing[Instrument]:
        self._ask("instruments")
        return Listing(tuple(self.venue.instruments.values()))

    def account(self) -> Account:
        self._ask("account")
        return account_of(self.venue)

    def latest_quotes(self, symbols: Iterable[str]) -> Listing[Quote]:
        self._ask("latest_quotes")
        return quotes_of(self.venue, symbols)

    # What the test does.

    def quote(self, quote: Quote) -> None:
        """A new price at the exchange, which may fill what rests there."""
        self._tell(self.venue.on_quote(quote, self.clock()))

    def deliver_late(self) -> None:
        """The requests that were believed lost arrive."""
        late, self._late = self._late, []
        for request in late:
            self._admit(request)

    def foreign_order(self, request: OrderRequest) -> VenueOrder:
        """An order of a person, or of another program, on the same account."""
        order = self.venue.submit(request, self.clock())
        assert isinstance(order, VenueOrder), order
        self._tell(self.venue.activate(order.id, self.clock()))
        return self.venue.orders[order.id]

    def transfer(self, coin: str, quantity: Decimal) -> Transfer:
        """Coins come from another wallet (+) or go to one (-), as the exchange lists them."""
        return self.venue.account.transfer(coin, quantity, self.clock())

    def move(self, coin: str, quantity: Decimal) -> None:
        """Coins come or go, and nothing that the exchange lists says why."""
        self.venue.account.move(coin, quantity, Decimal(1))

    def sell_by_hand(self, symbol: str, quantity: Decimal) -> None:
        """The owner sells at the market, with an order of his own."""
        name = f"by-hand-{len(self.venue.orders)}"
        self.foreign_order(OrderRequest(symbol, Side.SELL, "market", "gtc", quantity, client_order_id=name))

    def position(self, coin: str) -> Decimal:
        return self.venue.account.balance(coin)

    def sent(self, kind: str) -> list[str]:
        """What the requests of this kind were about, oldest first."""
        return [request.subject for request in self.requests if request.kind == kind]

    def _admit(self, request: OrderRequest) -> SubmitOutcome:
        order = self.venue.submit(request, self.clock())
        if isinstance(order, Refusal):
            return not_taken(order)
        # The answer is older than the fill: Alpaca answers `pending_new` too.
        accepted = Accepted(report_of(order))
        self._tell(self.venue.activate(order.id, self.clock()))
        return accepted

    def _fate(self, kind: str, subject: str) -> Fate:
        request = Request(kind, subject)
        self.requests.append(request)
        self.on_request(request)
        prescribed = self.fates.get(kind)
        fate = prescribed.pop(0) if prescribed else Fate.DONE
        if fate is Fate.DIES_BEFORE:
            raise Killed
        return fate

    def _ask(self, kind: str, subject: str = "") -> None:
        fate = self._fate(kind, subject)
        if not self.is_reachable or fate in (Fate.LOST_REQUEST, Fate.LOST_RESPONSE, Fate.REFUSED):
            raise ExchangeUnreachable("no answer within 15 s")
        if fate is Fate.DIES_AFTER:
            raise Killed

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if (one := event.execution) is not None:
                self.executed.append(Fill(one.order_id, one.quantity, one.price, one.at, one.symbol, one.side))
        self.updates.extend(report_of(event.order) for event in events)


class Desk:
    """Everything between the quotes and the exchange, as `dcabot run` puts it together, on one database."""

    def __init__(self, database: Database, broker: VenueBroker | None = None) -> None:
        self.clock = broker.clock if broker else SteppedClock()
        self.broker = broker or VenueBroker(self.clock)
        self.database = database
        self.store = Store(database, self.clock)
        self.restart()

    def restart(self) -> None:
        """A new process on the same database: what was only in memory is gone."""
        self.executor = Executor(self.store, self.broker, self.clock)
        self.sync = Sync(self.store, self.broker, self.executor, self.clock)
        self.trader = Trader(self.store, self.broker, self.executor, self.sync, self.clock, timedelta(seconds=60))
        self.trader.stream_up = True

    def caretaker(self, *laws: str) -> Sync:
        """Reconciliation as a caretaker runs it, beside the daemon."""
        return Sync(self.store, self.broker, self.executor, self.clock, laws=laws)

    def add_asset(self, symbol: str = "BTC/USD", **columns: Any) -> int:
        """A row of `dca_assets`: the brief's example, but for `columns`."""
        row = {
            "asset_symbol": symbol,
            "base_order_amount": 20,
            "safety_order_amount": 20,
            "max_safety_orders": 5,
            "safety_order_deviation": Decimal("1.5"),
            "take_profit_percent": 1,
            "cooldown_period": 300,
            "buy_order_price_deviation_percent": 2,
        }
        with self.database.transaction():
            asset_id: int = schema.Asset.insert(**{**row, **columns}).execute()
        return asset_id

    def quote(self, bid: str, ask: str, symbol: str = "BTC/USD") -> Any:
        """A price at the exchange, and what the daemon does at it: the decision that was carried out, or None."""
        quote = Quote(symbol, Decimal(bid), Decimal(ask), self.clock())
        self.broker.quote(quote)
        occasion = self.trader.consider(quote)
        if symbol in self.trader.looks:
            occasion = self.look_again(symbol)
        return None if occasion is None else self.trader.act(symbol, occasion)

    def look_again(self, symbol: str = "BTC/USD") -> Occasion | None:
        """Two seconds later REST is asked whether the price still stands."""
        self.clock.advance(2)
        asked_at = self.clock()
        self.trader.hear_latest(self.broker.latest_quotes([symbol]), asked_at)
        return self.trader.reconsider(symbol)

    def stream(self) -> None:
        """What the trade-update stream tells arrives, in order."""
        while self.broker.updates:
            self.trader.on_report(self.broker.updates.popleft())

    def settle(self, seconds: float = 10) -> None:
        """The stream is heard, time passes, and REST is asked until nothing is left to mend."""
        self.stream()
        self.clock.advance(seconds)
        while self.trader.sweep().mended:
            self.clock.advance(1)
            self.stream()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database holds, beside the store."""
        with self.database.transaction():
            found: list[tuple[Any, ...]] = list(schema.current.engine.execute_sql(sql).fetchall())
        return found

    def execute(self, sql: str, *values: object) -> None:
        """An edit by hand."""
        with self.database.transaction():
            schema.current.engine.execute_sql(sql, values)


def report_of(order: VenueOrder) -> OrderReport:
    """The order as REST and the stream tell it."""
    status = STATUSES[order.status]
    if order.is_open and order.filled_quantity:
        status = OrderStatus.PARTIALLY_FILLED
    return OrderReport(
        client_order_id=order.client_order_id,
        order_id=order.id,
        symbol=order.symbol,
        side=order.side,
        status=status,
        filled_quantity=order.filled_quantity,
        filled_price=order.filled_price,
        at=order.updated_at,
        quantity=order.target,
        limit_price=order.limit_price,
        created_at=order.submitted_at,
    )


def not_taken(refusal: Refusal) -> SubmitOutcome:
    """The answer to a request that the exchange refused."""
    if "unique" in refusal.message:
        return Unknown("the exchange has that order already")
    return Refused(f"HTTP {refusal.status}: {refusal.message}")


def not_cancelled(refusal: Refusal) -> CancelOutcome:
    return NotFound(refusal.message) if refusal.status == 404 else AlreadyOver(refusal.message)


def positions_of(
    venue: Venue,
    hidden: Collection[str] = (),
    shown: Mapping[str, Decimal] | None = None,
) -> list[Position]:
    """The positions as the exchange tells them: some hidden, some with another quantity."""
    account, told = venue.account, dict(shown or {})
    true = {f"{coin}/USD": position.quantity for coin, position in account.positions.items()}
    rows = []
    for symbol, quantity in {**true, **told}.items():
        if symbol not in hidden and quantity:
            held = account.held(symbol.removesuffix("/USD"))
            rows.append(Position(symbol, quantity, max(Decimal(0), quantity - held)))
    return rows


def account_of(venue: Venue) -> Account:
    standing = venue.account.standing
    return Account(
        standing.status,
        standing.crypto_status,
        standing.trading_blocked,
        standing.account_blocked,
        standing.trade_suspended_by_user,
        venue.account.available("USD"),
    )


def moved_of(one: Transfer) -> Moved:
    """The transfer as REST tells it."""
    is_complete = one.status is TransferStatus.COMPLETE
    return Moved(one.coin, one.amount, not one.is_incoming, is_complete, one.at)


def quotes_of(venue: Venue, symbols: Iterable[str]) -> Listing[Quote]:
    return Listing(tuple(venue.quotes[symbol] for symbol in symbols if symbol in venue.quotes))


def request_of(symbol: str, order: Order) -> OrderRequest:
    kind = "market" if order.limit_price is None else "limit"
    return OrderRequest(
        symbol,
        order.side,
        kind,
        order.time_in_force.value,
        quantity=order.quantity,
        limit_price=order.limit_price,
        client_order_id=order.client_order_id,
    )
