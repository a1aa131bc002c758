"""What an asset's settings mean in prices and dollars: each rung as the strategy would fill it.

Nothing is computed here that the trading does not compute: the rungs are orders, folded by the ledger and asked for
their next price by the strategy.
"""

from dataclasses import dataclass
from decimal import Decimal

from dcabot.core.ledger import fold
from dcabot.core.model import EPOCH, Asset, Cycle, Instrument, Order, OrderStatus, Purpose, Side
from dcabot.core.money import ONE, ZERO, step_up
from dcabot.core.rules import buy_quantity
from dcabot.core.sale_price import sale_price
from dcabot.core.states import is_open
from dcabot.core.strategy import safety_price


@dataclass(frozen=True, slots=True)
class Rung:
    """The cycle after one more buy, each filled at its own price and charged the highest fee.

    `drop_ratio` is the fall from the base order's price, `rise_ratio` the rise from this rung to its take profit.
    """

    purpose: Purpose
    price: Decimal
    drop_ratio: Decimal
    spent: Decimal
    held: Decimal
    average_price: Decimal
    take_profit_price: Decimal
    rise_ratio: Decimal


def ladder(asset: Asset, instrument: Instrument, price: Decimal) -> list[Rung]:
    """Every rung of a cycle whose base order is filled at `price`, USD."""
    orders: list[Order] = []
    rungs: list[Rung] = []
    spent, next_price = ZERO, price
    for number in range(asset.rules.safety_count_max + 1):
        purpose = Purpose.SAFETY if number else Purpose.BASE
        notional = asset.rules.safety_notional if number else asset.rules.base_notional
        limit = step_up(next_price, instrument.price_step)
        order = _filled(purpose, number, buy_quantity(notional, limit, instrument), limit)
        orders.append(order)
        spent += order.notional
        holding = fold(orders)
        target = sale_price(asset, holding, instrument)
        rungs.append(
            Rung(
                purpose,
                limit,
                ONE - limit / price,
                spent,
                holding.held,
                holding.average_price,
                target,
                target / limit - ONE,
            )
        )
        following = safety_price(asset, holding)
        if following is None or following <= ZERO:
            break
        next_price = following
    return rungs


def most_spent(asset: Asset) -> Decimal:
    """USD that one cycle of this asset can cost when every safety order fills."""
    return asset.rules.base_notional + asset.rules.safety_count_max * asset.rules.safety_notional


def still_to_spend(asset: Asset, cycle: Cycle | None) -> Decimal:
    """USD that the buys to come can cost: the current cycle's, or a whole one's. What is ordered is spent."""
    if not asset.enabled:
        return ZERO
    buys = [o for o in cycle.orders if is_open(o) or o.filled_quantity] if cycle else []
    if not any(order.side is Side.BUY for order in buys):
        return most_spent(asset)
    taken = sum(order.purpose is Purpose.SAFETY for order in buys)
    return max(asset.rules.safety_count_max - taken, 0) * asset.rules.safety_notional


def _filled(purpose: Purpose, number: int, quantity: Decimal, price: Decimal) -> Order:
    return Order(
        client_order_id=f"rung-{number}",
        purpose=purpose,
        side=Side.BUY,
        quantity=quantity,
        limit_price=price,
        created_at=EPOCH,
        status=OrderStatus.FILLED,
        filled_quantity=quantity,
        filled_price=price,
    )
