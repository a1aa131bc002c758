"""What news does to a cycle: a report, a refusal, an absence, a position, the passing of time.

Every function takes the cycle as it stands and returns a Decision, or None when the news changes nothing.
Reports are cumulative, so one that comes twice, late or out of order changes nothing.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core.ages import has_passed
from dcabot.core.exits import cancel_is_due, completed, request_cancel
from dcabot.core.ledger import COIN_STEP, DUST_NOTIONAL, current_status, fee_of, fold
from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    Decision,
    Order,
    OrderReport,
    OrderStatus,
    Side,
    whole_seconds,
)
from dcabot.core.money import ZERO, text
from dcabot.core.retry import tried_before
from dcabot.core.snapshot import Refused
from dcabot.core.states import OPEN, ORDER_STEPS, OVER, is_open, may_step

FEE_RATIO_PLAUSIBLE = Decimal("0.01")  # four times Alpaca's highest fee: what is missing beyond it is no fee


def merge(order: Order, report: OrderReport) -> Order:
    """The order with what the report adds: its status only moves along `ORDER_STEPS`, its fills only grow."""
    # A fill without a price cannot be booked, and the order must not end without it: the next report brings both.
    if report.filled_price is None and (report.filled_quantity or report.status is OrderStatus.FILLED):
        return order
    status = report.status if may_step(ORDER_STEPS, order.status, report.status) else order.status
    merged = replace(order, status=status, order_id=report.order_id or order.order_id)
    grown = report.filled_quantity > order.filled_quantity
    if grown:
        filled, price = report.filled_quantity, report.filled_price
        merged = replace(merged, filled_quantity=filled, filled_price=price, fee_quantity=None)
    if merged.status is OrderStatus.ACCEPTED and merged.filled_quantity:
        merged = replace(merged, status=OrderStatus.PARTIALLY_FILLED)
    if is_open(merged):
        return replace(merged, closed_at=None, note="", refusal=None)
    if grown or merged.status is not order.status:
        merged = replace(merged, closed_at=report.at, note=report.note)
    return merged


def on_report(cycle: Cycle, report: OrderReport, now: datetime) -> Decision | None:
    """Book what the exchange says of one of this cycle's orders."""
    order = cycle.order(report.client_order_id)
    if order is None:
        return None
    merged = merge(order, report)
    if merged == order:
        return None
    decision = settle_status(cycle.with_order(merged), _report_sentence(order, merged), now)
    decision = replace(decision, quiet=_is_told(decision.cycle, merged))
    if order.status is OrderStatus.VOID and is_open(merged):
        # Nobody waits for it any more: the price that justified it has passed.
        return request_cancel(decision.cycle, (merged,), now, f"{decision.reason}, after it was void: cancel it")
    if order.status is OrderStatus.REJECTED and order.order_id is None and report.status in OPEN:
        # The refusal was not the exchange's last word, and another order may have been placed since.
        sentence = f"{order.client_order_id} was refused and is open at Alpaca after all: cancel it"
        return replace(request_cancel(decision.cycle, (merged,), now, sentence), odd=True)
    return decision


def on_refused(cycle: Cycle, client_order_id: str, answer: Refused, now: datetime) -> Decision | None:
    """The exchange said no: the order is over, nothing was placed."""
    order = cycle.order(client_order_id)
    if order is None or order.status is not OrderStatus.INTENDED:
        return None
    refused = replace(order, status=OrderStatus.REJECTED, closed_at=now, note=answer.why, refusal=answer.code)
    request = f" (X-Request-ID {answer.request_id})" if answer.request_id else ""
    sentence = f"{order.purpose.value} order refused: {answer.why}{request}"
    decision = settle_status(cycle.with_order(refused), sentence, now)
    return replace(decision, quiet=_is_told(decision.cycle, refused))


def on_absent(cycle: Cycle, client_order_id: str, now: datetime, grace: timedelta) -> Decision | None:
    """The exchange denies the order. Young ones may still be on their way; older than `grace` they are void."""
    order = cycle.order(client_order_id)
    if order is None or not is_open(order) or now - order.created_at < grace:
        return None
    void = replace(order, status=OrderStatus.VOID, closed_at=now, note="unknown to the exchange")
    age = whole_seconds(now - order.created_at)
    sentence = f"{order.client_order_id} is unknown to Alpaca {age} s after it was intended: void"
    return settle_status(cycle.with_order(void), sentence, now)


def settle_status(cycle: Cycle, reason: str, now: datetime) -> Decision:
    """The cycle with the status its orders give it; a sold-out one is complete and opens the cooldown."""
    status = current_status(cycle)
    if status is not CycleStatus.COMPLETE or cycle.status is CycleStatus.COMPLETE:
        return Decision(replace(cycle, status=status), reason)
    return completed(cycle, reason, now)


def on_cooldown_over(asset: Asset, cycle: Cycle, now: datetime) -> Decision | None:
    """The cooldown ends when its seconds have passed since the previous cycle was completed."""
    if cycle.status is not CycleStatus.COOLDOWN:
        return None
    since = cycle.cooldown_since or cycle.opened_at
    if not has_passed(since, now, timedelta(seconds=asset.rules.cooldown_seconds)):
        return None
    return Decision(
        replace(cycle, status=CycleStatus.WATCHING), f"cooldown of {asset.rules.cooldown_seconds} s is over"
    )


def on_stale(cycle: Cycle, now: datetime, limit: timedelta) -> Decision | None:
    """Buys open longer than the limit are cancelled; the price has left them behind.

    So is whatever is open of a cycle that is over: a sale given up that arrived after all blocks the next buys.
    """
    aged = [one for one in cycle.orders if one.side is Side.BUY and has_passed(one.created_at, now, limit)]
    mine = cycle.orders if cycle.status in OVER else aged
    due = tuple(order for order in mine if is_open(order) and cancel_is_due(order, now))
    if not due:
        return None
    names = ", ".join(order.client_order_id for order in due)
    why = "its cycle is over" if cycle.status in OVER else f"buy open longer than {whole_seconds(limit)} s"
    return request_cancel(cycle, due, now, f"{why}, cancelling: {names}")


def on_position(cycle: Cycle, position: Decimal, now: datetime) -> Decision | None:
    """Learn from the position what Alpaca kept of the buys. None when nothing is to be learnt or it is no fee.

    The caller has seen to it that no order was open between the reading of the position and now.
    """
    if not may_compare(cycle):
        return None
    missing = _learnt_fee(cycle, position)
    if missing is None or missing > highest_fee(cycle) or missing < -unclaimed_rest(cycle):
        return None
    return _with_fees(cycle, missing, position, now)


def on_short_position(cycle: Cycle, position: Decimal, now: datetime) -> Decision | None:
    """Coins worth less than a dollar are not there: roundings of Alpaca's. The last buy's fee was that much higher."""
    if not may_compare(cycle) or not is_short(cycle, position):
        return None
    buys = [order for order in cycle.orders if order.side is Side.BUY and order.filled_quantity]
    lacking = fold(cycle.orders).held - position
    for order in buys:
        cycle = cycle.with_order(replace(order, fee_quantity=fee_of(order)))
    last = replace(buys[-1], fee_quantity=fee_of(buys[-1]) + lacking)
    sentence = f"{text(lacking)} {cycle.symbol} less than bought is there: booked as a fee"
    return settle_status(covered(cycle.with_order(last), position, now), sentence, now)


def is_short(cycle: Cycle, position: Decimal) -> bool:
    """True when fewer coins are there than the cycle owns, by less than a dollar's worth."""
    holding = fold(cycle.orders)
    lacking = holding.held - position
    return lacking > 0 and lacking * holding.average_price < DUST_NOTIONAL


def on_unknown_fee(cycle: Cycle, position: Decimal, now: datetime) -> Decision | None:
    """Foreign coins came or went meanwhile, so the position cannot tell the fee: take the worst."""
    if not may_compare(cycle) or not hides_fee(cycle, position):
        return None
    for order in cycle.orders:
        if is_unsettled(order):
            cycle = cycle.with_order(replace(order, fee_quantity=fee_of(order)))
    held = fold(cycle.orders).held
    sentence = (
        f"Alpaca shows {text(position)} {cycle.symbol}, and foreign coins among them came or went: the fee is "
        f"taken as the highest, {text(held)} are the cycle's"
    )
    return settle_status(covered(cycle, position, now), sentence, now)


def hides_fee(cycle: Cycle, position: Decimal) -> bool:
    """True when the fee of a buy is not known and foreign coins that came or went meanwhile hide it."""
    missing = _learnt_fee(cycle, position)
    return missing is not None and not -unclaimed_rest(cycle) <= missing <= highest_fee(cycle)


def may_compare(cycle: Cycle) -> bool:
    """True when a position can speak of the cycle: it is not over, and no order of it can change that position."""
    return cycle.status not in OVER and not any(is_open(order) for order in cycle.orders)


def unclaimed_rest(cycle: Cycle) -> Decimal:
    """What the asset's earlier cycle left and this one has not taken yet: the first fee that is read takes it."""
    bought = (o for o in cycle.orders if o.side is Side.BUY and o.filled_quantity)
    return ZERO if any(order.fee_quantity is not None for order in bought) else cycle.inherited


def foreign_coins(cycle: Cycle, position: Decimal) -> Decimal:
    """Coins at the exchange that no cycle bought. The rest that an earlier cycle left is none of them."""
    holding = fold(cycle.orders)
    own = holding.held if holding.settled else _gross(cycle) - _known_fees(cycle)
    return max(position - own - unclaimed_rest(cycle), ZERO)


def covered(cycle: Cycle, position: Decimal, now: datetime) -> Cycle:
    """The cycle with what was seen now: all its coins, and how many others beside them."""
    return replace(cycle, covered_at=now, foreign=max(position - fold(cycle.orders).held, ZERO))


def _learnt_fee(cycle: Cycle, position: Decimal) -> Decimal | None:
    """What of the unsettled buys did not arrive, by the change of the position since they were written.

    Below zero when more arrived than was bought. None when every fee is known.
    """
    unsettled = [order for order in cycle.orders if is_unsettled(order)]
    if not unsettled:
        return None
    foreign = unsettled[0].foreign_quantity or ZERO
    return _gross(cycle) - _known_fees(cycle) - (position - foreign)


def highest_fee(cycle: Cycle) -> Decimal:
    """Coins that the unsettled buys may have lost to fees and their roundings."""
    bought = sum((order.filled_quantity for order in cycle.orders if is_unsettled(order)), ZERO)
    return max(bought * FEE_RATIO_PLAUSIBLE, COIN_STEP)


def _is_told(cycle: Cycle, order: Order) -> bool:
    """True when the try before this order came as far and ended in the same words, whatever their figures."""
    before = tried_before(cycle, order)
    if before is None or order.filled_quantity or bool(before.order_id) is not bool(order.order_id):
        return False
    return is_open(order) or (before.status is order.status and _words(before.note) == _words(order.note))


def _words(note: str) -> list[str]:
    return [word for word in note.split() if not any(character.isdigit() for character in word)]


def _report_sentence(order: Order, merged: Order) -> str:
    words = f"{order.purpose.value} order {merged.status.value}"
    if merged.filled_quantity != order.filled_quantity and merged.filled_price is not None:
        words += f", {text(merged.filled_quantity)} of {text(order.quantity)} at {text(merged.filled_price)}"
    return f"{words} ({merged.note})" if merged.note else words


def _gross(cycle: Cycle) -> Decimal:
    """Coins bought less coins sold, before fees."""
    signed = (o.filled_quantity if o.side is Side.BUY else -o.filled_quantity for o in cycle.orders)
    return sum(signed, ZERO)


def is_unsettled(order: Order) -> bool:
    """True for a buy whose coins no position has shown yet."""
    return order.side is Side.BUY and bool(order.filled_quantity) and order.fee_quantity is None


def _known_fees(cycle: Cycle) -> Decimal:
    return sum((o.fee_quantity for o in cycle.orders if o.fee_quantity is not None), ZERO)


def _with_fees(cycle: Cycle, missing: Decimal, position: Decimal, now: datetime) -> Decision:
    """Book `missing` coins on the unsettled buys: the estimate on each, the rest on the last."""
    unsettled = [order for order in cycle.orders if is_unsettled(order)]
    rest = missing
    for order in unsettled[:-1]:
        fee = min(fee_of(order), max(rest, ZERO))
        cycle = cycle.with_order(replace(order, fee_quantity=fee))
        rest -= fee
    cycle = cycle.with_order(replace(unsettled[-1], fee_quantity=rest))
    held = fold(cycle.orders).held
    sentence = f"{text(held)} held after a fee of {text(missing)}"
    return settle_status(covered(cycle, position, now), sentence, now)
