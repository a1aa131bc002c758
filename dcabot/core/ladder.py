"""What an asset's settings mean in prices and dollars: each rung as the strategy would fill it.

Nothing is computed here that the trading does not compute: the rungs are orders, folded by the ledger and asked for
their next price by the strategy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from dcabot.core.ledger import fold
from dcabot.core.model import EPOCH, Asset, Cycle, Instrument, Order, OrderStatus, Purpose, Side
from dcabot.core.money import ONE, ZERO, step_up
from dcabot.core.profit import result
from dcabot.core.rules import buy_quantity
from dcabot.core.sale_price import sale_price
from dcabot.core.states import is_open
from dcabot.core.strategy import safety_price


@dataclass(frozen=True, slots=True)
class Rung:
    """The cycle after one more buy, each filled at its own price and charged the highest fee.

    `number` counts the safety orders. `drop_ratio` is the fall from the base order's price,
    `rise_ratio` the rise from this rung to its take profit.
    """

    purpose: Purpose
    number: int
    price: Decimal
    drop_ratio: Decimal
    spent: Decimal
    held: Decimal
    average_price: Decimal
    take_profit_price: Decimal
    rise_ratio: Decimal


def ladder(asset: Asset, instrument: Instrument, price: Decimal) -> list[Rung]:
    """Every rung of a cycle whose base order is filled at `price`, USD."""
    return list(_rungs(asset, instrument, (), price, price))


def rest_of_ladder(asset: Asset, instrument: Instrument, cycle: Cycle) -> list[Rung]:
    """The rungs that a running cycle has left, as if what it has ordered were filled whole."""
    orders = tuple(_as_filled(order) for order in cycle.orders)
    buys = [one for one in orders if one.side is Side.BUY and one.filled_price is not None]
    following = safety_price(asset, fold(orders))
    if not asset.enabled or not buys or following is None or following <= ZERO:
        return []
    return list(_rungs(asset, instrument, orders, following, buys[0].filled_price or ZERO))


def _rungs(
    asset: Asset,
    instrument: Instrument,
    past: tuple[Order, ...],
    price: Decimal,
    base_price: Decimal,
) -> Iterator[Rung]:
    """The rungs from `price` on, above them the orders that are filled already."""
    orders, spent = list(past), result(past).spent
    next_price: Decimal | None = price
    while next_price is not None and next_price > ZERO:
        purpose = Purpose.SAFETY if orders else Purpose.BASE
        rules = asset.rules
        notional = rules.safety_notional if orders else rules.base_notional
        limit = step_up(next_price, instrument.price_step)
        quantity = buy_quantity(notional, limit, instrument)
        order = _filled(purpose, len(orders), quantity, limit)
        orders.append(order)
        spent += order.notional
        holding = fold(orders)
        target = sale_price(asset, holding, instrument)
        yield Rung(
            purpose,
            holding.safety_count,
            limit,
            ONE - limit / base_price,
            spent,
            holding.held,
            holding.average_price,
            target,
            target / limit - ONE,
        )
        next_price = safety_price(asset, holding)


def _as_filled(order: Order) -> Order:
    """An open buy as it will be, unless it is cancelled; any other order as it is."""
    if order.side is not Side.BUY or not is_open(order):
        return order
    return replace(order, filled_quantity=order.quantity, filled_price=order.limit_price)


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
