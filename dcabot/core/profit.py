"""Dollars that a cycle's orders brought so far, and what a sale now would make of them.

Alpaca keeps the fee of a buy in coins: they are paid for and never sold, so that fee is in every
figure here already. It charges the fee of a sale in dollars, for each execution, rounded up to the
cent, and tells no order about it. Where the executions are known the fee is exact; else it is taken
of the whole order, which can be a cent or two less.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal

from dcabot.core.fees import CENT, TIERS, cash_fee
from dcabot.core.ledger import DUST_NOTIONAL, fee_of, fold
from dcabot.core.model import Order, Side
from dcabot.core.money import EXACT, HUNDRED, ZERO, step_down
from dcabot.core.snapshot import Fill


@dataclass(frozen=True, slots=True)
class Fees:
    """How sales are charged: the taker rate, and the executions by Alpaca's order id, as known.

    `rates` are those of single UTC days, where they differ from `rate`.
    """

    rate: Decimal = TIERS[0].taker
    fills: Mapping[str, Sequence[Fill]] | None = None
    rates: Mapping[date, Decimal] | None = None

    def of_sale(self, order: Order) -> Decimal:
        """USD charged for a sell order; nothing for coins that left otherwise, booked at their cost."""
        if not order.is_request:
            return ZERO
        fills = self._known(order)
        if not fills:
            return cash_fee(notional(order), self._rate_at(order.closed_at or order.created_at))
        charged = ZERO
        for fill in fills:
            charged += cash_fee(EXACT.multiply(fill.quantity, fill.price), self._rate_at(fill.at))
        return charged

    def knows(self, order: Order) -> bool:
        return bool(self._known(order))

    def notional(self, order: Order) -> Decimal:
        """USD of an order's fills: of the single ones where they are known, else of the average."""
        fills = self._known(order)
        if not fills:
            return notional(order)
        return sum((EXACT.multiply(fill.quantity, fill.price) for fill in fills), ZERO)

    def _rate_at(self, at: datetime) -> Decimal:
        return (self.rates or {}).get(at.astimezone(timezone.utc).date(), self.rate)

    def _known(self, order: Order) -> Sequence[Fill]:
        """All fills of this order; none when not all of them are known."""
        fills = (self.fills or {}).get(order.order_id or "", ())
        known = sum((fill.quantity for fill in fills), ZERO)
        return fills if known == order.filled_quantity else ()


@dataclass(frozen=True, slots=True)
class Result:
    """The sums of a cycle's fills, USD. `dca_cycles` keeps them from the cycle's end on.

    `buy_fees`, what the coins kept back were worth, is in `profit` already: fewer were sold.
    """

    spent: Decimal = ZERO
    received: Decimal = ZERO
    buy_fees: Decimal = ZERO
    sale_fees: Decimal = ZERO
    filled_orders: int = 0
    first_order_at: datetime | None = None

    @property
    def profit(self) -> Decimal:
        return self.received - self.spent - self.sale_fees

    @property
    def fees(self) -> Decimal:
        return self.buy_fees + self.sale_fees


def notional(order: Order) -> Decimal:
    """USD that an order's fills came to."""
    return EXACT.multiply(order.filled_quantity, order.filled_price or ZERO)


def result(orders: Iterable[Order], fees: Fees | None = None) -> Result:
    """The sums of these orders, oldest first."""
    rates = fees or Fees()
    filled = [order for order in orders if order.filled_quantity]
    spent = received = buy_fees = sale_fees = bought = sold = ZERO
    for order in filled:
        if order.side is Side.BUY:
            bought += order.filled_quantity
            spent += rates.notional(order)
            # Dust of an earlier cycle makes it negative: coins that came for nothing are no fee.
            buy_fees += max(EXACT.multiply(fee_of(order), order.filled_price or ZERO), ZERO)
        else:
            sold += order.filled_quantity
            received += rates.notional(order)
            sale_fees += rates.of_sale(order)
    spent += _cost_of_strangers(bought, spent, sold, received)
    first = filled[0].created_at if filled else None
    return Result(spent, received, buy_fees, sale_fees, len(filled), first)


def _cost_of_strangers(
    bought: Decimal,
    spent: Decimal,
    sold: Decimal,
    received: Decimal,
) -> Decimal:
    """USD for coins that were sold and never bought: they came in by hand, and are no profit.

    They count at the average that the cycle paid; without a buy at what they brought.
    """
    strangers = sold - bought
    if strangers <= ZERO:
        return ZERO
    coins, dollars = (bought, spent) if bought else (sold, received)
    cost = EXACT.divide(EXACT.multiply(strangers, dollars), coins)
    return cost if cost >= DUST_NOTIONAL else ZERO


def profit(orders: Iterable[Order], fees: Fees | None = None) -> Decimal:
    """USD that a cycle's orders brought so far, after the fees of both sides."""
    return result(orders, fees).profit


def proceeds(quantity: Decimal, bid: Decimal, rate: Decimal) -> Decimal:
    """USD that selling these coins brings, after the fee."""
    amount = EXACT.multiply(quantity, bid)
    return amount - cash_fee(amount, rate)


def profit_if_sold(
    orders: Sequence[Order],
    bid: Decimal,
    quantity_step: Decimal,
    rate: Decimal = TIERS[0].taker,
) -> Decimal:
    """USD that the cycle would have brought if all it holds were sold at this bid."""
    quantity = step_down(fold(orders).held, quantity_step)
    return profit(orders, Fees(rate)) + proceeds(quantity, bid, rate)


def outcome(orders: Iterable[Order]) -> str:
    """What a sold cycle brought, for a sentence: `+0.29 USD (+0.48 %) after fees of 0.25 USD`."""
    found = result(orders)
    return f"{in_words(found.profit, found.spent)} after fees of {found.fees:,.2f} USD"


def in_words(amount: Decimal, spent: Decimal) -> str:
    """A profit in dollars, and in percent of what was spent."""
    if not spent:
        return f"{_signed(amount)} USD"
    return f"{_signed(amount)} USD ({_signed(EXACT.divide(amount, spent) * HUNDRED)} %)"


def _signed(value: Decimal) -> str:
    # A zero added takes the sign from what rounds to zero.
    return f"{value.quantize(CENT) + ZERO:+,.2f}"
