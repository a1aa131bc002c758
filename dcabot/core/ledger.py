"""What a cycle's orders amount to. Nothing here is stored truth: the columns in `dca_cycles` are this fold.

Alpaca keeps its fee of a buy in coins and tells nobody: a fill reports gross quantities, the position is less.
So every buy carries `fee_quantity`, what of it did not arrive. Until the position was read it is None and the
fold takes the worst fee (`FEE_RATIO_MAX`), which makes `held` at most what can be sold; `settled` says which.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from dcabot.core.fees import CENT, cash_fee
from dcabot.core.model import Cycle, CycleStatus, Order, Purpose, Side
from dcabot.core.money import EXACT, ZERO, step_up
from dcabot.core.states import is_open, status_of

FEE_RATIO_MAX = Decimal("0.0025")  # taker fee of the lowest volume tier; docs.alpaca.markets/docs/crypto-fees, 2026-11
COIN_STEP = Decimal("0.000000001")  # Alpaca books coins to 9 decimals and rounds its fee up
PRICE_STEP = Decimal("0.0000000001")  # DECIMAL(20,10), the brief's price column
DUST_NOTIONAL = Decimal(1)  # USD; less than this is not worth a cycle


@dataclass(frozen=True, slots=True)
class Holding:
    """The fold of a cycle's orders. `held` coins, `average_price` USD, the average cost, rounded up.

    A buy weighs its fills in, a sale leaves the average as it is. `spent` is USD for all buys, `received`
    what all sales brought, after the highest fee.
    """

    held: Decimal
    average_price: Decimal
    safety_count: int
    last_buy_price: Decimal | None
    last_sell_price: Decimal | None
    settled: bool
    spent: Decimal = ZERO
    received: Decimal = ZERO

    @property
    def notional(self) -> Decimal:
        """USD value of what is held, at the average price."""
        return self.held * self.average_price


EMPTY = Holding(ZERO, ZERO, 0, None, None, True)


def fee_of(order: Order) -> Decimal:
    """Coins of this buy that are not in the position: as read, else the worst case."""
    if order.fee_quantity is not None:
        return order.fee_quantity
    return step_up(order.filled_quantity * FEE_RATIO_MAX, COIN_STEP)


def fold(orders: Iterable[Order]) -> Holding:
    """What these orders, oldest first, amount to."""
    bought = fees = sold = spent = received = ZERO
    weighed = cost = average = ZERO  # coins that the average is of, what they cost, and the quotient
    safety_count, settled, has_bought = 0, True, False
    last_buy_price = last_sell_price = None
    for order in orders:
        if not order.filled_quantity or order.filled_price is None:
            continue
        money = EXACT.multiply(order.filled_quantity, order.filled_price)
        if order.side is Side.SELL:
            sold += order.filled_quantity
            received += money
            if order.is_request:
                received -= _highest_fee(money)
                last_sell_price = order.filled_price.quantize(PRICE_STEP)
            # From here on the average weighs as much as the coins that are left.
            average = _average(cost, weighed) or average
            weighed = max(bought - fees - sold, ZERO)
            cost = EXACT.multiply(weighed, average)
            continue
        bought += order.filled_quantity
        fees += fee_of(order)
        spent = EXACT.add(spent, money)
        weighed += order.filled_quantity
        cost = EXACT.add(cost, money)
        safety_count += order.purpose is Purpose.SAFETY
        settled = settled and order.fee_quantity is not None
        # The next safety order is measured from what the cycle bought: an adopted lot says what its
        # coins cost, perhaps years ago. It counts only where there is no other.
        if order.is_request or not has_bought:
            last_buy_price = order.filled_price.quantize(PRICE_STEP)
        has_bought = has_bought or order.is_request
    if not bought:
        return EMPTY
    return Holding(
        max(bought - fees - sold, ZERO),
        _average(cost, weighed) or average,
        safety_count,
        last_buy_price,
        last_sell_price,
        settled,
        spent,
        received,
    )


def _average(cost: Decimal, coins: Decimal) -> Decimal:
    """Rounded up: a take profit computed from it is never below the true average. Zero without coins."""
    return EXACT.divide(cost, coins).quantize(PRICE_STEP, rounding=ROUND_UP) if coins else ZERO


def _highest_fee(money: Decimal) -> Decimal:
    """What a sale of so much USD may have cost: Alpaca's ledger tells later, and is not read."""
    return cash_fee(money, FEE_RATIO_MAX) + CENT  # a cent for a second execution


def sellable(cycle: Cycle) -> Decimal:
    """Coins that the cycle can sell: its own, or as many as the exchange shows, whichever is smaller."""
    held = fold(cycle.orders).held
    return held if cycle.shown is None else min(held, cycle.shown)


def sold_out(cycle: Cycle, holding: Holding) -> bool:
    """True when the cycle sold, waits for nothing, and what is left is dust."""
    if holding.last_sell_price is None or any(is_open(order) for order in cycle.orders):
        return False
    return holding.held * holding.last_sell_price < DUST_NOTIONAL


def current_status(cycle: Cycle) -> CycleStatus:
    """The status that the cycle's orders give it."""
    return status_of(cycle, sold_out(cycle, fold(cycle.orders)))
