"""What finished cycles brought, in dollars, and their sums by asset and by time.

Coins that a cycle did not sell, because its owner took them over or sold them by hand, count at
what they cost: neither profit nor loss.

How sales are charged, `profit.py` says. The rate of a day follows from what the account traded in
the 30 days before it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from dcabot.core.fees import Tier, tier_on
from dcabot.core.ledger import DUST_NOTIONAL, fold
from dcabot.core.model import Cycle, CycleStatus
from dcabot.core.money import EXACT, HUNDRED, ZERO
from dcabot.core.profit import Fees, result
from dcabot.core.snapshot import Fill


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
    def profit_percent(self) -> Decimal:
        """Of what was spent."""
        return EXACT.divide(self.profit, self.spent) * HUNDRED if self.spent else ZERO

    @property
    def fees(self) -> Decimal:
        return self.buy_fees + self.sale_fees

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


def report(cycle: Cycle, fees: Fees | None = None) -> CycleReport | None:
    """What a finished cycle brought; None when nothing was traded in it."""
    sums, holding = result(cycle.orders, fees), fold(cycle.orders)
    if not sums.filled_orders or sums.first_order_at is None:
        return None
    filled = [order for order in cycle.orders if order.filled_quantity]
    last = filled[-1].closed_at or filled[-1].created_at
    line = CycleReport(
        symbol=cycle.symbol,
        cycle_id=cycle.id,
        status=cycle.status,
        opened_at=sums.first_order_at,
        closed_at=cycle.completed_at or last,
        orders=sums.filled_orders,
        safety_orders=holding.safety_count,
        spent=sums.spent,
        sold=sums.received,
        buy_fees=sums.buy_fees,
        sale_fees=sums.sale_fees,
    )
    return with_unsold(line, holding.held, holding.average_price)


def with_unsold(line: CycleReport, held: Decimal, average_price: Decimal) -> CycleReport:
    """The line with the coins left at the cycle's end, at what they had cost; dust is sold."""
    if not held:
        return line
    cost = EXACT.multiply(held, average_price)
    return line if cost < DUST_NOTIONAL else replace(line, unsold=held, unsold_cost=cost)


def totals(reports: Iterable[CycleReport], key: Callable[[CycleReport], str]) -> list[Total]:
    """Sums by whatever `key` says of a cycle, in the order of the keys. Keeps no report."""
    sums: dict[str, Sum] = {}
    for one in reports:
        name = key(one)
        if name not in sums:
            sums[name] = Sum()
        sums[name].add(one)
    return [sums[name].total(name) for name in sorted(sums)]


@dataclass(slots=True)
class Sum:
    """A total that grows by one cycle after the other."""

    cycles: int = 0
    spent: Decimal = ZERO
    sold: Decimal = ZERO
    fees: Decimal = ZERO
    profit: Decimal = ZERO

    def add(self, one: CycleReport) -> None:
        self.cycles += 1
        self.spent += one.spent
        self.sold += one.sold
        self.fees += one.fees
        self.profit += one.profit

    def total(self, name: str) -> Total:
        return Total(name, self.cycles, self.spent, self.sold, self.fees, self.profit)


def by_period(period: str, zone: tzinfo = timezone.utc) -> Callable[[CycleReport], str]:
    """The key of a cycle's sum: its asset, or the day, week or month in which it ended."""
    if period == "asset":
        return lambda one: one.symbol
    named = PERIODS[period]
    return lambda one: named(one.closed_at.astimezone(zone).date())


def _week(day: date) -> str:
    year, number, _ = day.isocalendar()
    return f"{year}-W{number:02}"


# Each by its name; strftime would take longer than all the sums.
PERIODS: Mapping[str, Callable[[date], str]] = {
    "asset": str,
    "day": date.isoformat,
    "week": _week,
    "month": lambda day: day.isoformat()[:7],
}
