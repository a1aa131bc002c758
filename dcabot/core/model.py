"""The words of the bot as frozen values. Read this file first.

Prices are USD per coin, notionals USD, quantities coins, ratios plain numbers (0.015 is 1.5 %).
Instants are aware UTC and arrive with the event. Symbols are written `BTC/USD`.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum

from dcabot.core.money import ONE, ZERO, text

ID_PREFIX = "dcabot-"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Side(Enum):
    BUY = "buy"
    SELL = "sell"


class Purpose(Enum):
    """Why an order was made; `dca_orders.purpose` and its id say so."""

    BASE = "base"
    SAFETY = "safety"
    TAKE_PROFIT = "take_profit"
    BY_HAND = "by_hand"  # a sale that an operator asked for
    ADOPTED = "adopted"  # coins that an operator took in: a filled buy that was never a request
    OUTSIDE = "outside"  # coins that left without an order of ours: a filled sale, likewise


class TakeProfitOrder(Enum):
    """How an asset's take profit is sold; `dca_assets.take_profit_order` says so."""

    MARKET = "market"  # the brief's: at whatever the market pays
    LIMIT = "limit"  # immediate or cancel, never below the sale price


class TimeInForce(Enum):
    """How long an order waits at the exchange."""

    GTC = "gtc"  # until it is filled or cancelled
    IOC = "ioc"  # what is not filled at once is cancelled


class Refusal(Enum):
    """Why the exchange did not take an order. Read from Alpaca's message text, never from its code alone."""

    INSUFFICIENT_BALANCE = "insufficient_balance"
    MINIMUM_COST = "minimum_cost"
    WASH_TRADE = "wash_trade"
    NOT_TRADABLE = "not_tradable"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate_limited"  # Alpaca's limit, or our own that keeps below it
    UNREACHABLE = "unreachable"  # nothing was sent
    INVALID = "invalid"
    OTHER = "other"


class Obstacle(Enum):
    """What a buy waits for that may last: a person is told of it in time, not at once."""

    SPREAD = "spread"


class OrderStatus(Enum):
    """Where an order stands. The allowed steps are a table in `states.py`."""

    INTENDED = "intended"  # the row exists; whether the exchange has the order is not known
    VOID = "void"  # the exchange denied it long after it was intended; if it surfaces, it is cancelled
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELED = "canceled"
    FILLED = "filled"


OPEN = frozenset({OrderStatus.INTENDED, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})


class EndedBy(Enum):
    """How a cycle ended; `dca_cycles.ended_by` says so."""

    TAKE_PROFIT = "take_profit"
    BY_HAND = "by_hand"
    RELEASED = "released"
    SOLD_OUTSIDE = "sold_outside"
    WITHDRAWN = "withdrawn"
    ERROR = "error"


class CycleStatus(Enum):
    """What `dca_cycles.status` says; the words are the brief's."""

    WATCHING = "watching"
    BUYING = "buying"
    SELLING = "selling"
    COOLDOWN = "cooldown"
    COMPLETE = "complete"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the exchange allows for one symbol. Source: GET /v2/assets."""

    symbol: str
    price_step: Decimal
    quantity_step: Decimal
    quantity_min: Decimal
    tradable: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """One row of `dca_assets` as the strategy reads it: percentages are ratios, seconds are ints."""

    base_notional: Decimal
    safety_notional: Decimal
    safety_count_max: int
    safety_drop_ratio: Decimal
    take_profit_ratio: Decimal
    cooldown_seconds: int
    restart_drop_ratio: Decimal


@dataclass(frozen=True, slots=True)
class Asset:
    """What we trade and how. `held_back` is a sentence when the asset must not trade, else empty.

    `sells_on`: the sentence is about its buys alone, and what it holds is still sold at the take profit.
    """

    id: int
    symbol: str
    enabled: bool
    rules: Rules
    last_sell_price: Decimal | None = None
    held_back: str = ""
    sells_on: bool = False
    take_profit_order: TakeProfitOrder = TakeProfitOrder.MARKET
    trades_beside_foreign_coins: bool = False
    disabled_because: str = ""  # set when dcabot itself switched the asset off


@dataclass(frozen=True, slots=True)
class Quote:
    """The best prices at an instant: we buy at the ask and sell at the bid."""

    symbol: str
    bid: Decimal
    ask: Decimal
    at: datetime

    def __repr__(self) -> str:
        return f"<Quote {self.symbol} {text(self.bid)}/{text(self.ask)} {self.at:%H:%M:%S}>"


@dataclass(frozen=True, slots=True)
class Order:
    """One row of `dca_orders`: written and committed before the request is sent.

    `filled_quantity` and `filled_price` are cumulative, gross and as the exchange reports them.
    `fee_quantity` is what of a buy did not arrive in the position; None until the position was read.
    `refusal` is why the exchange did not take it; `quote_at` the time of the quote it was decided on.
    `foreign_quantity`: coins at the exchange that no cycle had bought when it was written; None while unknown.
    """

    client_order_id: str
    purpose: Purpose
    side: Side
    quantity: Decimal
    limit_price: Decimal | None
    created_at: datetime
    status: OrderStatus = OrderStatus.INTENDED
    order_id: str | None = None
    filled_quantity: Decimal = ZERO
    filled_price: Decimal | None = None
    fee_quantity: Decimal | None = None
    cancel_requested_at: datetime | None = None
    closed_at: datetime | None = None
    note: str = ""
    time_in_force: TimeInForce = TimeInForce.GTC
    refusal: Refusal | None = None
    quote_at: datetime | None = None
    foreign_quantity: Decimal | None = None

    @property
    def is_request(self) -> bool:
        """False for what is only booked: the exchange never had an order of that id."""
        return self.purpose not in (Purpose.ADOPTED, Purpose.OUTSIDE)

    @property
    def notional(self) -> Decimal:
        """USD this order asks for; a market order is priced by its fill and counts zero here."""
        return self.quantity * (self.limit_price or ZERO)

    def __repr__(self) -> str:
        at = f" @ {text(self.limit_price)}" if self.limit_price is not None else ""
        filled = f" filled {text(self.filled_quantity)}" if self.filled_quantity else ""
        return f"<Order {self.client_order_id} {self.status.value} {self.side.value} {text(self.quantity)}{at}{filled}>"


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The cumulative state of an order, as the stream or REST tells it. Both make this one type."""

    client_order_id: str
    order_id: str
    symbol: str
    side: Side
    status: OrderStatus
    filled_quantity: Decimal
    filled_price: Decimal | None
    at: datetime
    quantity: Decimal = ZERO
    limit_price: Decimal | None = None
    created_at: datetime | None = None
    note: str = ""

    def __repr__(self) -> str:
        return f"<Report {self.client_order_id} {self.status.value} filled {text(self.filled_quantity)}>"


@dataclass(frozen=True, slots=True)
class Cycle:
    """One round trip: base order to sold out, or the cooldown before it. Everything else is a fold of `orders`."""

    id: int
    asset_id: int
    symbol: str
    status: CycleStatus
    opened_at: datetime
    orders: tuple[Order, ...] = ()
    completed_at: datetime | None = None
    cooldown_since: datetime | None = None  # the previous cycle's completed_at
    ended_by: EndedBy | None = None
    covered_at: datetime | None = None  # when Alpaca's position last showed all the coins of the cycle
    foreign: Decimal | None = None  # coins that it showed beside them at that time
    missing_since: datetime | None = None  # since when it shows fewer, without a break
    shown: Decimal | None = None  # how many of them it shows meanwhile
    inherited: Decimal = ZERO  # the rest that the asset's earlier cycle left: taken over at no cost
    tag: str = ""  # of the database, in the ids of its orders
    _working: tuple[Order, ...] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def working(self) -> tuple[Order, ...]:
        """The orders that are open or brought something: a quote need not look at all that were refused for months.

        Computed once: a cycle never changes.
        """
        if self._working is None:
            kept = tuple(one for one in self.orders if one.filled_quantity or one.status in OPEN)
            object.__setattr__(self, "_working", kept)
        return self._working or ()

    def with_order(self, order: Order) -> "Cycle":
        """This cycle with `order` in place of its older self, or added."""
        if self.order(order.client_order_id) is None:
            return replace(self, orders=(*self.orders, order))
        orders = tuple(order if o.client_order_id == order.client_order_id else o for o in self.orders)
        return replace(self, orders=orders)

    def order(self, client_order_id: str) -> Order | None:
        return next((o for o in self.orders if o.client_order_id == client_order_id), None)

    @property
    def latest_order_id(self) -> str | None:
        """Alpaca's id of the newest order that has one."""
        return next((order.order_id for order in reversed(self.orders) if order.order_id), None)

    def next_id(self, purpose: Purpose) -> str:
        """The id of this purpose's next order: a function of the row, so two writers collide."""
        attempt = 1 + sum(1 for o in self.orders if o.purpose is purpose)
        tag = f"{self.tag}-" if self.tag else ""
        opened = whole_seconds(self.opened_at - EPOCH)
        stem = f"{ID_PREFIX}{tag}{self.id}-{opened}-{purpose.value}-"
        # A row deleted by hand leaves a gap, and a taken id would overwrite the order that has it.
        while self.order(f"{stem}{attempt}") is not None:
            attempt += 1
        return f"{stem}{attempt}"

    def __repr__(self) -> str:
        return f"<Cycle {self.id} {self.symbol} {self.status.value} {list(self.orders)}>"


@dataclass(frozen=True, slots=True)
class Decision:
    """What should happen to one cycle: the new value, the requests, and the sentence for the log.

    `submit` orders are already part of `cycle`. `successor` opens the asset's next cycle in the same
    transaction, and `last_sell_price` goes to the asset's row in it. A `quiet` one repeats what the log has said,
    an `odd` one is a warning there. `disables` says why the asset is switched off with it: then the last sale is
    forgotten too, so that no early restart follows. `inherited` is the rest that goes to the successor.
    One that `looks` would sell at the market once REST bears its price out; one that `waits_for` something
    does nothing meanwhile.
    """

    cycle: Cycle
    reason: str
    submit: tuple[Order, ...] = ()
    cancel: tuple[Order, ...] = ()
    successor: CycleStatus | None = None
    last_sell_price: Decimal | None = None
    quiet: bool = False
    odd: bool = False
    disables: str = ""
    inherited: Decimal = ZERO
    looks: bool = False
    waits_for: "Obstacle | None" = None

    @property
    def acts(self) -> bool:
        """False for a sentence that is only said."""
        return bool(self.submit or self.cancel or self.successor)


def whole_seconds(duration: timedelta) -> int:
    return duration // timedelta(seconds=1)


def dropped(price: Decimal, drop_ratio: Decimal) -> Decimal:
    """`price` less a ratio: the price at which a fall of that ratio is reached."""
    return price * (ONE - drop_ratio)


def raised(price: Decimal, rise_ratio: Decimal) -> Decimal:
    return price * (ONE + rise_ratio)
