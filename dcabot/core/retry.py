"""When an order may be tried again: the pause after refusals, and the pace of sales at a limit."""

from datetime import datetime, timedelta
from itertools import islice, takewhile

from dcabot.core.ages import has_passed
from dcabot.core.model import Cycle, Order, OrderStatus, Quote, Refusal, Side, TimeInForce
from dcabot.core.states import is_open

BACKOFF_SECONDS_MAX = 600  # a refused order is tried again after 1, 2, 4 ... seconds, at most this
REFUSALS_COUNTED = 64  # more of them make no pause longer
NO_VERDICT_SECONDS = 5  # one that Alpaca never judged: by then there are requests, or a line, again
NO_VERDICT = frozenset({Refusal.RATE_LIMITED, Refusal.UNREACHABLE})
REFUSALS = frozenset({OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.EXPIRED})
ENDED_EARLY = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED})
IOC_SPACING = timedelta(seconds=1)  # a pair sends no more sales at a limit than one in this


def waits(cycle: Cycle, side: Side, now: datetime) -> bool:
    """True while an order is open or the last refusal of this side is too fresh."""
    return any(is_open(order) for order in cycle.working) or is_backing_off(cycle, side, now)


def is_backing_off(cycle: Cycle, side: Side, now: datetime) -> bool:
    """True while the last refusal of this side is too fresh."""
    until = backoff_until(cycle, side)
    longest = timedelta(seconds=BACKOFF_SECONDS_MAX)
    return until is not None and now < until and not has_passed(until - longest, now, longest)


def backoff_until(cycle: Cycle, side: Side) -> datetime | None:
    """When the next order may be tried after refusals in a row; None when the last order was not refused.

    Each side has its own: buys that cannot be paid must not hold up the take profit. A limit of requests and a line
    that is down say nothing of the order, so they do not double the pause.
    """
    mine = (order for order in reversed(cycle.orders) if order.side is side)
    refused = list(islice(takewhile(_was_refused, mine), REFUSALS_COUNTED))
    if not refused:
        return None
    rejections = sum(order.refusal not in NO_VERDICT for order in refused)
    seconds = min(2 ** min(rejections - 1, 20), BACKOFF_SECONDS_MAX) if rejections else 0
    if refused[0].refusal in NO_VERDICT:
        seconds = max(seconds, NO_VERDICT_SECONDS)
    return (refused[0].closed_at or refused[0].created_at) + timedelta(seconds=seconds)


def _was_refused(order: Order) -> bool:
    """True when the exchange ended it with nothing filled and nobody here asked for that."""
    if order.filled_quantity or order.cancel_requested_at is not None or missed(order):
        return False
    return order.status in REFUSALS


def missed(order: Order) -> bool:
    """True for a sale at a limit that found no buyer at once: it was not refused, the price was gone."""
    is_over = order.status in ENDED_EARLY and not order.filled_quantity
    return order.time_in_force is TimeInForce.IOC and is_over


def may_sell_at_limit(cycle: Cycle, quote: Quote, now: datetime) -> bool:
    """False in the second after a sale at a limit, and at the quote that one was not filled at."""
    last = _last_at_limit(cycle)
    if last is None:
        return True
    if abs(now - last.created_at) < IOC_SPACING:
        return False
    if last.status not in ENDED_EARLY or last.quote_at is None:
        return True
    return quote.at > last.quote_at


def next_sale_at_limit(cycle: Cycle) -> datetime | None:
    """Before this instant no other sale at a limit is sent; None before the first."""
    last = _last_at_limit(cycle)
    return None if last is None else last.created_at + IOC_SPACING


def _last_at_limit(cycle: Cycle) -> Order | None:
    mine = (order for order in reversed(cycle.orders) if order.side is Side.SELL)
    return next((order for order in mine if order.time_in_force is TimeInForce.IOC), None)


def tried_before(cycle: Cycle, order: Order) -> Order | None:
    """The order of the same side before this one, if nothing came of it: then this one is another try."""
    earlier = takewhile(lambda one: one.client_order_id != order.client_order_id, cycle.orders)
    mine = [one for one in earlier if one.side is order.side]
    if not mine:
        return None
    return mine[-1] if mine[-1].status is OrderStatus.REJECTED or missed(mine[-1]) else None
