"""The venue's words as frozen values: what is asked of it, what it holds, and what it tells. Pure.

Where dcabot's own `Order` says what we know, `VenueOrder` says what is so at the exchange.
Facts and evidence: alpaca.md sections 2, 3 and 5. What is not proven there is a field of `Policy`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from dcabot.core.fees import TIERS, Tier
from dcabot.core.model import Quote, Side
from dcabot.core.money import ZERO, text

USD = "USD"
QUANTITY_STEP = Decimal("0.000000001")


class OrderType(Enum):
    MARKET = "market"
    LIMIT = "limit"
    STOP_LIMIT = "stop_limit"


class TimeInForce(Enum):
    GTC = "gtc"
    IOC = "ioc"


class VenueStatus(Enum):
    """Where an order stands at the exchange; the values are the wire's."""

    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


CLOSED = frozenset(
    {VenueStatus.FILLED, VenueStatus.CANCELED, VenueStatus.EXPIRED, VenueStatus.REJECTED, VenueStatus.REPLACED}
)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for. Type and time in force are text: refusing unknown ones is the venue's work."""

    symbol: str
    side: Side
    type: str
    time_in_force: str
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    client_order_id: str | None = None
    order_class: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to what the venue does not do: HTTP status, Alpaca's code and text, and extra fields."""

    status: int
    code: int
    message: str
    extras: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """One order as the venue holds it; a step makes a new value.

    `target` is the quantity that can fill at most (of a notional order: what the notional buys at the cap), and
    `cap` the worst price it may fill at: the limit, or of a market order the collar around the reference quote.
    """

    id: str
    number: int
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    target: Decimal
    cap: Decimal
    submitted_at: datetime
    updated_at: datetime
    expires_at: datetime
    status: VenueStatus = VenueStatus.PENDING_NEW
    filled_quantity: Decimal = ZERO
    filled_cost: Decimal = ZERO
    filled_price: Decimal | None = None
    resting: bool = False
    triggered: bool = False
    closed_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED

    @property
    def unfilled(self) -> Decimal:
        return self.target - self.filled_quantity

    def __repr__(self) -> str:
        return f"<VenueOrder {self.client_order_id} {self.status.value} {self.side.value} {text(self.target)}>"


@dataclass(frozen=True, slots=True)
class Execution:
    """A quantity traded at a price. `quantity` is gross; `fee` is in `fee_currency`."""

    id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    at: datetime
    fee: Decimal
    fee_currency: str
    maker: bool
    cumulative: Decimal
    leaves: Decimal
    position: Decimal  # of the coin, after this fill and its fee


@dataclass(frozen=True, slots=True)
class FeeRow:
    """A CFEE row of the ledger: what an execution cost, posted later."""

    id: str
    execution: Execution
    at: datetime


Activity = Execution | FeeRow


class TransferStatus(Enum):
    """Where a transfer of coins stands; the values are the wire's."""

    PROCESSING = "PROCESSING"
    FAILED = "FAILED"
    COMPLETE = "COMPLETE"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Coins that come from another wallet, or go to one, without a trade."""

    id: str
    coin: str
    amount: Decimal  # above 0
    is_incoming: bool
    status: TransferStatus
    at: datetime
    price: Decimal = ZERO  # USD that a coin shall have cost; an incoming one only

    @property
    def has_moved(self) -> bool:
        """True while the coins count: sent ones are gone at once, awaited ones come at the end."""
        if self.is_incoming:
            return self.status is TransferStatus.COMPLETE
        return self.status is not TransferStatus.FAILED


@dataclass(frozen=True, slots=True)
class Standing:
    """The account's state and its blocks, in the words of the wire."""

    status: str = "ACTIVE"
    crypto_status: str = "ACTIVE"
    trading_blocked: bool = False
    account_blocked: bool = False
    transfers_blocked: bool = False
    trade_suspended_by_user: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """What the venue tells its client: `name` is the wire's word for it."""

    name: str
    order: VenueOrder
    at: datetime
    execution_id: str | None = None
    execution: Execution | None = None


@dataclass(slots=True)
class Position:
    """Coins held, and the USD they cost: quantity times average entry price."""

    coin: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Policy:
    """The venue's choices. The first block is documented, the second unproven: alpaca.md section 8."""

    buy_minimum: Decimal = Decimal(10)
    notional_maximum: Decimal = Decimal(200_000)
    collar: Decimal = Decimal("0.02")
    tiers: tuple[Tier, ...] = TIERS
    gtc_days: int = 90  # to the close, after the last session that had opened
    # A fee's row is posted so long after its fill, and a part of the spread more; None: at the end
    # of the UTC day. 17 of 31 recorded rows came after 1.0 to 3.4 s, the others in late batches.
    fee_delay: timedelta | None = timedelta(seconds=1)
    fee_spread: timedelta = timedelta(milliseconds=2400)

    duplicate_id_code: int = 40010001  # one probe saw 42210000
    duplicate_id_text: str = "client_order_id must be unique"  # "client order id" is said to exist
    poverty_symbol: str = "missing"  # `symbol` of coins missing; one log says USD, others have none
    refuses_off_tick: bool = False  # no refusal of an off-tick price was ever captured
    open_orders_maximum: int | None = None  # one user reported about 500
    stop_limit_tells_new: bool = False  # reported to be silent until triggered
    market_rest_cancels: bool = False  # what of a market order lies beyond the collar
    resting_pays_maker: bool = True  # one paper account paid the taker rate only
    resting_fills_at_limit: bool = True  # else at the quote, which may be better
    tells_pending_cancel: bool = False
    notional_maximum_text: str = "order notional exceeds the maximum of 200000"


# How much of the open quantity fills now: the order, its unfilled quantity, the quote.
Slicer = Callable[[VenueOrder, Decimal, Quote], Decimal]


def whole(order: VenueOrder, unfilled: Decimal, quote: Quote) -> Decimal:
    """Fill all of it."""
    return unfilled


# The prices that an order of this side meets at a quote, best first, and the coins at each; None is
# without end.
Levels = Callable[[Quote, Side], Iterable[tuple[Decimal, Decimal | None]]]


def one_level(quote: Quote, side: Side) -> Iterable[tuple[Decimal, Decimal | None]]:
    """Everything at the best price."""
    return [(quote.ask if side is Side.BUY else quote.bid, None)]


# Whether the venue may trade at a quote at this time; prices of elsewhere may be too old.
MayTrade = Callable[[Quote, datetime], bool]


def at_any_quote(quote: Quote, now: datetime) -> bool:
    """Trade at whatever was quoted last."""
    return True


def coins_of(symbol: str) -> tuple[str, str]:
    """The coin traded and the currency it is paid in: `BTC/USD` -> BTC, USD."""
    coin, _, currency = symbol.partition("/")
    return coin, currency
