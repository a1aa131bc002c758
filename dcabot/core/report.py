"""What finished cycles brought, in dollars, and their sums by asset and by time.

What a cycle did not sell, because its owner took the coins over or sold them by hand, counts at what it cost: neither
profit nor loss.

Alpaca charges the fee of a sale in dollars, for each execution, rounded up to the cent, and tells no order about it.
Where the executions are known the fee is exact; else it is taken of the whole order, which can be a cent or two less.
The rate of a day follows from what the account traded in the 30 days before it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from dcabot.core.fees import TIERS, Tier, cash_fee, tier_on
from dcabot.core.ledger import DUST_NOTIONAL, fee_of, fold
from dcabot.core.model import Cycle, CycleStatus, Order, Purpose, Side
from dcabot.core.money import EXACT, ZERO
from dcabot.core.snapshot import Fill


@dataclass(frozen=True, slots=True)
class Fees:
    """How sales are charged: the taker rate, and the executions by the exchange's order id as far as they are known.

    `rates` are those of single UTC days, where they differ from `rate`.
    """

    rate: Decimal = TIERS[0].taker
    fills: Mapping[str, Sequence[Fill]] | None = None
    rates: Mapping[date, Decimal] | None = None

    def of_sale(self, order: Order) -> Decimal:
        """USD charged for a sell order."""
        fills = self._known(order)
        if fills:
            return sum(
                (cash_fee(EXACT.multiply(fill.quantity, fill.price), self._rate_at(fill.at)) for fill in fills), ZERO
            )
        return cash_fee(notional(order), self._rate_at(order.closed_at or order.created_at))

    def knows(self, order: Order) -> bool:
        return bool(self._known(order))

    def _rate_at(self, at: datetime) -> Decimal:
        return (self.rates or {}).get(at.astimezone(timezone.utc).date(), self.rate)

    def notional(self, order: Order) -> Decimal:
        """USD that an order's fills came to: of the single fills where they are known, else of the average price."""
        fills = self._known(order)
        return sum((EXACT.multiply(fill.quantity, fill.price) for fill in fills), ZERO) if fills else notional(order)

    def _known(self, order: Order) -> Sequence[Fill]:
        """All fills of this order; none when not all of them are known."""
        fills = (self.fills or {}).get(order.order_id or "", ())
        return fills if sum((fill.quantity for fill in fills), ZERO) == order.filled_quantity else ()


def from_ledger(rows: Iterable[Fill], now: Tier, today: date) -> tuple[Fees, str]:
    """The executions by order, and each day's rate: `today`'s by the tier of `now`, earlier ones by what was traded.

    With a sentence when that tier does not follow from the executions; empty when it does.
    """
    fills: dict[str, list[Fill]] = {}
    volumes: dict[date, Decimal] = {}
    for fill in rows:
        fills.setdefault(fill.order_id, []).append(fill)
        day = fill.at.astimezone(timezone.utc).date()
        volumes[day] = volumes.get(day, ZERO) + EXACT.multiply(fill.quantity, fill.price)
    rates = {day: tier_on(day, volumes).taker for day in volumes if day < today}
    expected = tier_on(today, volumes)
    if not rates or expected.taker == now.taker:
        return Fees(now.taker, fills, rates), ""
    odd = f"Alpaca has the account in fee tier {now.number}, its executions say {expected.number}"
    return Fees(now.taker, fills, rates), f"{odd}: fees of earlier days are an estimate"


@dataclass(frozen=True, slots=True)
class CycleReport:
    """One finished cycle. `buy_fees`, what the coins kept back were worth, is in `profit` already: fewer were sold.

    `unsold` are coins that the cycle ended with, and `unsold_cost` the USD they had cost; dust counts as sold.
    """

    symbol: str
    cycle_id: int
    status: CycleStatus
    opened_at: datetime
    closed_at: datetime
    orders: int
    safety_orders: int
    spent: Decimal
    sold: Decimal
    buy_fees: Decimal
    sale_fees: Decimal
    unsold: Decimal = ZERO
    unsold_cost: Decimal = ZERO

    @property
    def profit(self) -> Decimal:
        return self.sold - self.spent - self.sale_fees + self.unsold_cost

    @property
    def duration(self) -> timedelta:
        return self.closed_at - self.opened_at


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of some cycles."""

    key: str
    cycles: int
    spent: Decimal
    sold: Decimal
    fees: Decimal
    profit: Decimal


def notional(order: Order) -> Decimal:
    """USD that an order's fills came to."""
    return EXACT.multiply(order.filled_quantity, order.filled_price or ZERO)


def report(cycle: Cycle, fees: Fees | None = None) -> CycleReport | None:
    """What a finished cycle brought; None when nothing was traded in it."""
    traded = [order for order in cycle.orders if order.filled_quantity]
    if not traded:
        return None
    buys = [order for order in traded if order.side is Side.BUY]
    spent, sold, sale_fees = _sums(traded, fees or Fees())
    holding = fold(cycle.orders)
    unsold = holding.held if holding.notional >= DUST_NOTIONAL else ZERO
    return CycleReport(
        symbol=cycle.symbol,
        cycle_id=cycle.id,
        status=cycle.status,
        opened_at=traded[0].created_at,
        closed_at=cycle.completed_at or traded[-1].closed_at or traded[-1].created_at,
        orders=len(traded),
        safety_orders=sum(order.purpose is Purpose.SAFETY for order in buys),
        spent=spent,
        sold=sold,
        buy_fees=sum((fee_of(order) * (order.filled_price or ZERO) for order in buys), ZERO),
        sale_fees=sale_fees,
        unsold=unsold,
        unsold_cost=EXACT.multiply(unsold, holding.average_price),
    )


def profit(orders: Iterable[Order], fees: Fees | None = None) -> Decimal:
    """USD that a cycle's orders brought: sold less spent, less the fee of the sales.

    The fee of a buy is in it already: fewer coins were there to sell.
    """
    spent, sold, sale_fees = _sums(orders, fees or Fees())
    return sold - spent - sale_fees


def _sums(orders: Iterable[Order], fees: Fees) -> tuple[Decimal, Decimal, Decimal]:
    """USD spent on buys, got for sells, and charged for the sells."""
    spent = sold = sale_fees = ZERO
    for order in orders:
        if order.side is Side.BUY:
            spent += fees.notional(order)
        elif order.filled_quantity:
            sold += fees.notional(order)
            sale_fees += fees.of_sale(order)
    return spent, sold, sale_fees


def totals(reports: Iterable[CycleReport], key: Callable[[CycleReport], str]) -> list[Total]:
    """Sums by whatever `key` says of a cycle, in the order of the keys."""
    groups: dict[str, list[CycleReport]] = {}
    for one in reports:
        groups.setdefault(key(one), []).append(one)
    return [total(name, groups[name]) for name in sorted(groups)]


def total(name: str, reports: Sequence[CycleReport]) -> Total:
    return Total(
        name,
        len(reports),
        sum((one.spent for one in reports), ZERO),
        sum((one.sold for one in reports), ZERO),
        sum((one.sale_fees + one.buy_fees for one in reports), ZERO),
        sum((one.profit for one in reports), ZERO),
    )


PERIODS: Mapping[str, Callable[[CycleReport], str]] = {
    "asset": lambda one: one.symbol,
    "day": lambda one: f"{one.closed_at:%Y-%m-%d}",
    "week": lambda one: f"{one.closed_at:%G-W%V}",
    "month": lambda one: f"{one.closed_at:%Y-%m}",
}
