"""What an operator asks for by hand: sell a cycle now, take its position over, or give one back. Pure, like the rules.

The first two are asked again and again, on the locked row, until nothing is left to wait for: an interrupted one is
begun again by asking again.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_UP, Decimal

from dcabot.core.absence import suspension
from dcabot.core.exits import (
    cancel_is_due,
    free_resting_sell,
    left_over,
    request_cancel,
    sell_at_market,
)
from dcabot.core.ledger import DUST_NOTIONAL, PRICE_STEP, fold
from dcabot.core.lifecycle import settle_status
from dcabot.core.model import (
    Cycle,
    CycleStatus,
    Decision,
    EndedBy,
    Instrument,
    Order,
    OrderStatus,
    Purpose,
    Side,
)
from dcabot.core.money import EXACT, ZERO, step_down, text
from dcabot.core.retry import backoff_until
from dcabot.core.snapshot import Fill
from dcabot.core.states import OVER, is_open


def on_close(cycle: Cycle, instrument: Instrument, now: datetime) -> Decision | None:
    """The next step of a sale by hand: open buys go first, then all is sold. None while it waits, and at its end."""
    if cycle.status in OVER or cycle.missing_since is not None:
        return None
    freed = free_resting_sell(cycle, now)
    if freed is not None:
        return freed
    holding = fold(cycle.orders)
    if not step_down(holding.held, instrument.quantity_step):
        return left_over(cycle, holding, now)
    return sell_at_market(cycle, instrument, now, "closed by hand", Purpose.BY_HAND)


def on_release(cycle: Cycle, now: datetime) -> Decision | None:
    """The next step of a handover: open orders go first, then the cycle ends with its coins unsold."""
    if cycle.status in OVER:
        return None
    open_orders = tuple(order for order in cycle.orders if is_open(order))
    if open_orders:
        due = tuple(order for order in open_orders if cancel_is_due(order, now))
        return request_cancel(cycle, due, now, "released by hand: cancel the open orders first") if due else None
    held = fold(cycle.orders).held
    if not held:
        return None
    return Decision(
        replace(
            cycle,
            status=CycleStatus.COMPLETE,
            completed_at=now,
            ended_by=EndedBy.RELEASED,
            missing_since=None,
            shown=None,
        ),
        f"released by hand: {text(held)} {cycle.symbol} unsold, cycle complete",
        successor=CycleStatus.WATCHING,
    )


def adoption_obstacle(lost: Cycle, later: Iterable[Cycle], position: Decimal) -> str:
    """Why a cycle that ended in error cannot have its coins back, as a sentence; empty when it can.

    `later` are the asset's cycles that came after it; `position` is what Alpaca shows.
    """
    holding = fold(lost.orders)
    if lost.status is not CycleStatus.ERROR or not holding.held:
        return f"cycle {lost.id} did not end in error with coins; there is nothing to take back"
    if position * holding.average_price < DUST_NOTIONAL:
        return f"Alpaca shows {text(position)} {lost.symbol}; there is nothing to take back"
    for cycle in later:
        if any(is_open(order) for order in cycle.orders):
            return f"cycle {cycle.id} of {lost.symbol} waits for an order; ask again when that is over"
        if fold(cycle.orders).notional >= DUST_NOTIONAL:
            return f"cycle {cycle.id} of {lost.symbol} came later and bought what Alpaca shows, or a part of it"
    return ""


def on_adopt(current: Cycle, lost: Cycle, now: datetime) -> Decision:
    """The current cycle, to which the orders of the lost one have moved, goes on with their coins."""
    held = text(fold(current.orders).held)
    sentence = f"took back {held} {current.symbol} of cycle {lost.id}, which had ended in error"
    return settle_status(current, sentence, now)


def taking_obstacle(cycle: Cycle) -> str:
    """Why a cycle cannot take foreign coins in now, as a sentence; empty when it can."""
    if missing := suspension(cycle):
        return missing
    if any(is_open(order) for order in cycle.orders):
        return f"cycle {cycle.id} of {cycle.symbol} waits for an order; ask again when that is over"
    if not fold(cycle.orders).settled:
        return f"the fee of cycle {cycle.id} is not known yet; ask again in a minute"
    return ""


def on_take(cycle: Cycle, coins: Decimal, price: Decimal, now: datetime) -> Decision:
    """Foreign coins become the cycle's: booked as a buy that was filled at this price and never sent."""
    lot = Order(
        client_order_id=cycle.next_id(Purpose.ADOPTED),
        purpose=Purpose.ADOPTED,
        side=Side.BUY,
        quantity=coins,
        limit_price=price,
        created_at=now,
        status=OrderStatus.FILLED,
        filled_quantity=coins,
        filled_price=price,
        fee_quantity=ZERO,
        closed_at=now,
        note="adopted by hand",
    )
    taken = replace(cycle.with_order(lot), covered_at=now, foreign=None)
    return settle_status(taken, f"took in {text(coins)} {cycle.symbol} at {text(price)} each", now)


def cost_of(coins: Decimal, symbol: str, fills: Iterable[Fill], mine: Collection[str]) -> Decimal | None:
    """What foreign coins cost, by the exchange's own ledger: the newest buys that no later sale has used up.

    `mine` are Alpaca's ids of the cycle's own orders. None where the ledger does not tell.
    """
    lacking, cost, sold = coins, ZERO, ZERO
    for fill in sorted(fills, key=lambda one: one.at, reverse=True):
        if fill.symbol != symbol or fill.order_id in mine:
            continue
        if fill.side is Side.SELL:
            sold += fill.quantity
            continue
        gone = min(sold, fill.quantity)
        sold -= gone
        counted = min(fill.quantity - gone, lacking)
        lacking -= counted
        cost = EXACT.add(cost, EXACT.multiply(counted, fill.price))
        if not lacking:
            break
    known = coins - lacking
    if not known:
        return None
    price = EXACT.divide(cost, known).quantize(PRICE_STEP, rounding=ROUND_UP)
    return price if lacking * price < DUST_NOTIONAL else None


def awaited(cycle: Cycle, instrument: Instrument, now: datetime) -> str:
    """What a sale or handover waits for, as a sentence; empty when there is nothing left to do."""
    if cycle.status in OVER:
        return ""
    if missing := suspension(cycle):
        return missing
    for order in cycle.orders:
        if is_open(order):
            doing = "to be cancelled" if order.cancel_requested_at else "to end"
            return f"waiting for {order.client_order_id} {doing}"
    holding = fold(cycle.orders)
    if not step_down(holding.held, instrument.quantity_step):
        return ""
    if not holding.settled:
        return "waiting for Alpaca to show the position"
    until = backoff_until(cycle, Side.SELL)
    if until is not None and now < until:
        return f"the sell was refused ({cycle.orders[-1].note}); the next try is due at {until:%H:%M:%S} UTC"
    return "about to sell"
