"""What the exchange answers, as values: positions, the account, and the outcome of each request.

"Empty" and "could not look" are never the same: a list that could be read only in part says so (`Listing`),
a query that failed raises, and a request whose fate is unknown is `Unknown`, never `Refused`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

from dcabot.core.model import OrderReport, Refusal, Side
from dcabot.core.money import ZERO

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Position:
    """What the account holds of one symbol. `available` is what no open sell order has reserved."""

    symbol: str
    quantity: Decimal
    available: Decimal
    average_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The account as far as trading crypto needs it; `buying_power` is what crypto buys may spend, in USD.

    `number` is how Alpaca names it; empty when it does not say.
    """

    status: str
    crypto_status: str
    trading_blocked: bool
    account_blocked: bool
    suspended_by_user: bool
    buying_power: Decimal
    crypto_tier: int = 1  # of the fee table; the first is the dearest
    number: str = ""
    is_live: bool = True  # real money: an account that is for paper alone trades on paper

    @property
    def obstacle(self) -> str:
        """Why this account cannot trade crypto, as a sentence; empty when it can."""
        fit = ("ACTIVE",) if self.is_live else ("ACTIVE", "PAPER_ONLY")
        if self.status not in fit:
            return f"the account is {self.status}, not ACTIVE"
        if self.account_blocked:
            return "the account is blocked"
        if self.trading_blocked:
            return "trading is blocked on the account"
        if self.suspended_by_user:
            return "trading is suspended in the account's settings"
        # Of a paper account Alpaca tells it only when somebody asked for crypto.
        if self.crypto_status not in fit and (self.is_live or self.crypto_status):
            return f"the account's crypto status is {self.crypto_status or 'missing'}, not ACTIVE"
        return ""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution in the exchange's ledger: gross coins at a price. `symbol` is empty where it was not told."""

    order_id: str
    quantity: Decimal
    price: Decimal
    at: datetime
    symbol: str = ""
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Coins that were sent to the account or away from it. `network_fee` went with them."""

    coin: str
    quantity: Decimal
    outgoing: bool
    complete: bool
    at: datetime
    network_fee: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One row of an answer that could not be understood: whose it is (empty when even that is unknown), and why."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """A list from the exchange, and the rows of it that could not be read.

    Keys: client_order_id for orders, symbol for positions and instruments.
    """

    rows: tuple[Row, ...]
    unreadable: tuple[Unreadable, ...] = ()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def may_hide(self, key: str) -> bool:
        """True when an unreadable row may be `key`'s: then its absence from `rows` proves nothing."""
        return any(row.key in ("", key) for row in self.unreadable)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The exchange has the order; `report` is its state at that moment."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange certainly does not have the order.

    `request_id` is what Alpaca's support asks for: its name for the request, if it gave one.
    """

    why: str
    code: Refusal = Refusal.OTHER
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may or may not have arrived: only asking for the order tells."""

    why: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The exchange will try to cancel; the order's report says whether it did."""


@dataclass(frozen=True, slots=True)
class AlreadyOver:
    """The order had ended before the cancel arrived."""

    why: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The exchange denies having the order."""

    why: str


SubmitOutcome = Accepted | Refused | Unknown
CancelOutcome = CancelRequested | AlreadyOver | NotFound | Unknown


class ExchangeError(Exception):
    """The exchange gave no usable answer to a query."""


class ExchangeUnreachable(ExchangeError):
    """No answer, or none that could be understood: ask again later."""


class ExchangeMisunderstood(ExchangeUnreachable):
    """It answered, and not in words that we know: nothing is known of what was asked, and the rest can be asked."""


class ExchangeDenied(ExchangeError):
    """The exchange does not accept the API keys: asking again will not help."""
