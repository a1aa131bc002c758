"""How a position is sold, and what must be out of the way first."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core.ages import has_passed
from dcabot.core.ledger import Holding, fold, sellable
from dcabot.core.model import (
    Cycle,
    CycleStatus,
    Decision,
    EndedBy,
    Instrument,
    Order,
    OrderStatus,
    Purpose,
    Quote,
    Side,
    TimeInForce,
)
from dcabot.core.money import step_down, text
from dcabot.core.profit import outcome
from dcabot.core.retry import is_backing_off, may_sell_at_limit, tried_before, waits
from dcabot.core.rules import MAXIMUM_NOTIONAL, buy_quantity
from dcabot.core.states import OVER, is_open

CANCEL_AGAIN = timedelta(seconds=30)  # a cancel that brought no report is asked for again
SELL_RESTS_AFTER = timedelta(seconds=60)  # a sell fills in milliseconds; one that is open for longer hangs
SELL_NOTIONAL_MAX = MAXIMUM_NOTIONAL / 2  # a ladder may hold more than one order may sell, and the price moves


def sell_at_market(
    cycle: Cycle,
    instrument: Instrument,
    now: datetime,
    why: str,
    purpose: Purpose,
    price: Decimal | None = None,
    quote_at: datetime | None = None,
) -> Decision | None:
    """Sell all that the cycle holds for whatever the market pays. None while that must wait.

    `price` is about what a coin brings, else what was paid for it: more than Alpaca takes at once is sold in parts.
    Alpaca refuses a market sell beside an open buy as a wash trade: ask for the buys to be cancelled, then look again.
    """
    open_buys = _open_buys(cycle)
    if open_buys:
        due = tuple(order for order in open_buys if cancel_is_due(order, now))
        return request_cancel(cycle, due, now, f"{why}: cancel the open buy first") if due else None
    holding = fold(cycle.working)
    quantity = _quantity(cycle, instrument, price or holding.average_price)
    if not quantity or not holding.settled or waits(cycle, Side.SELL, now):
        return None
    order = Order(cycle.next_id(purpose), purpose, Side.SELL, quantity, None, now, quote_at=quote_at)
    return _sale(cycle, order, f"{why}: sell {text(quantity)}")


def sell_at_limit(
    cycle: Cycle, instrument: Instrument, quote: Quote, now: datetime, price: Decimal, why: str
) -> Decision | None:
    """Sell all that the cycle holds at `price` or better, at once or not at all. None while that must wait.

    An open buy is asked to be cancelled and not waited for: Alpaca takes a limit sell beside it. Only the fee of a
    buy that is partly filled must be known first.
    """
    due = tuple(order for order in _open_buys(cycle) if cancel_is_due(order, now))
    holding = fold(cycle.working)
    quantity = _quantity(cycle, instrument, price)
    if not quantity or not holding.settled or not _may_go(cycle, quote, price, now):
        return request_cancel(cycle, due, now, f"{why}: cancel the open buy first") if due else None
    order = Order(
        cycle.next_id(Purpose.TAKE_PROFIT),
        Purpose.TAKE_PROFIT,
        Side.SELL,
        quantity,
        price,
        now,
        time_in_force=TimeInForce.IOC,
        quote_at=quote.at,
    )
    sentence = f"{why}: sell {text(quantity)} at {text(price)} or better"
    sale = _sale(cycle, order, sentence)
    if not due:
        return sale
    cancelled = request_cancel(sale.cycle, due, now, f"{sentence}; cancel the open buy")
    return replace(cancelled, submit=sale.submit)


def left_over(cycle: Cycle, holding: Holding, now: datetime) -> Decision | None:
    """The end of a cycle that sold all but less than one step of its coins; None for any other."""
    is_sold = holding.last_sell_price is not None and holding.held
    if not is_sold or cycle.status in OVER or any(is_open(order) for order in cycle.orders):
        return None
    return completed(cycle, f"{text(holding.held)} {cycle.symbol} cannot be sold and is left over", now)


def completed(cycle: Cycle, reason: str, now: datetime) -> Decision:
    """The sold cycle at its end: it opens the asset's cooldown."""
    holding = fold(cycle.orders)
    ended = replace(
        cycle,
        status=CycleStatus.COMPLETE,
        completed_at=now,
        ended_by=_ended_by(cycle),
        shown=None,
        missing_since=None,
    )
    return Decision(
        ended,
        f"{reason}; cycle complete: {outcome(cycle.orders)}",
        successor=CycleStatus.COOLDOWN,
        last_sell_price=holding.last_sell_price,
        inherited=holding.held,
    )


def _ended_by(cycle: Cycle) -> EndedBy:
    """The purpose of a cycle's last sale."""
    sales = [one for one in cycle.orders if one.side is Side.SELL and one.filled_quantity]
    is_by_hand = sales[-1].purpose is Purpose.BY_HAND
    return EndedBy.BY_HAND if is_by_hand else EndedBy.TAKE_PROFIT


def cancel_is_due(order: Order, now: datetime) -> bool:
    """True when the exchange has the order and was not asked to cancel it within the last half minute."""
    if order.order_id is None:
        return False
    asked = order.cancel_requested_at
    return asked is None or has_passed(asked, now, CANCEL_AGAIN)


def free_resting_sell(cycle: Cycle, now: datetime) -> Decision | None:
    """A market sell that hangs on the price collar is cancelled; None when none does."""
    resting = tuple(order for order in cycle.working if _rests(order, now))
    if not resting:
        return None
    sentence = "the sell rests at Alpaca's price collar: cancel it, the remainder is sold on"
    return request_cancel(cycle, resting, now, sentence)


def request_cancel(cycle: Cycle, orders: tuple[Order, ...], now: datetime, reason: str) -> Decision:
    """Ask for these orders to be cancelled. They stay open until a report says they are gone."""
    for order in orders:
        cycle = cycle.with_order(replace(order, cancel_requested_at=now))
    return Decision(cycle, reason, cancel=orders)


def _sale(cycle: Cycle, order: Order, sentence: str) -> Decision:
    sold = replace(cycle.with_order(order), status=CycleStatus.SELLING)
    return Decision(sold, sentence, submit=(order,), quiet=tried_before(sold, order) is not None)


def _quantity(cycle: Cycle, instrument: Instrument, price: Decimal) -> Decimal:
    """What one order sells: all that it can, down to the step, or as much as Alpaca takes at once."""
    quantity = step_down(sellable(cycle), instrument.quantity_step)
    most = buy_quantity(SELL_NOTIONAL_MAX, price, instrument)
    return min(quantity, max(most, instrument.quantity_step))


def _may_go(cycle: Cycle, quote: Quote, price: Decimal, now: datetime) -> bool:
    """Whether another sale at a limit may be sent beside what the cycle has open."""
    for order in cycle.working:
        if not is_open(order):
            continue
        if order.side is Side.SELL or order.status is not OrderStatus.ACCEPTED:
            return False
        if order.limit_price is None or order.limit_price >= price:
            return False  # they would trade with each other, which Alpaca refuses
    return not is_backing_off(cycle, Side.SELL, now) and may_sell_at_limit(cycle, quote, now)


def _open_buys(cycle: Cycle) -> list[Order]:
    return [order for order in cycle.working if is_open(order) and order.side is Side.BUY]


def _rests(order: Order, now: datetime) -> bool:
    """True when a sell should have been filled long ago and may be cancelled."""
    is_slow = order.side is Side.SELL and has_passed(order.created_at, now, SELL_RESTS_AFTER)
    return is_slow and is_open(order) and cancel_is_due(order, now)
