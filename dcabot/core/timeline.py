"""What happened in one cycle, in order: each order, each fill, each end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from dcabot.core.model import Cycle, Order
from dcabot.core.money import EXACT, text
from dcabot.core.snapshot import Fill
from dcabot.core.states import OVER, is_open


@dataclass(frozen=True, slots=True)
class Moment:
    """One event. `notional` is USD; the figures are None where the event has none."""

    at: datetime
    order: str
    what: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    notional: Decimal | None = None


def timeline(cycle: Cycle, fills: Mapping[str, Sequence[Fill]]) -> list[Moment]:
    """Every event, oldest first. `fills` are the exchange's executions by its order id, as far as they are known."""
    moments = [one for order in cycle.orders for one in _of_order(order, fills.get(order.order_id or "", ()))]
    moments.sort(key=lambda moment: moment.at)  # a stable sort: events of one instant stay as they came
    # The cycle's own times have whole seconds: they would sort between events that they surround.
    moments.insert(0, Moment(cycle.opened_at, "", "cycle opened"))
    if cycle.status in OVER and cycle.completed_at is not None:
        last = max(cycle.completed_at, moments[-1].at)
        moments.append(Moment(last, "", f"cycle {cycle.status.value}"))
    return moments


def _of_order(order: Order, fills: Sequence[Fill]) -> Iterator[Moment]:
    name = order.client_order_id
    what = f"{order.purpose.value.replace('_', ' ')}: {order.side.value}{'' if order.limit_price else ' at market'}"
    notional = order.notional if order.limit_price else None
    yield Moment(order.created_at, name, what, order.quantity, order.limit_price, notional)
    for fill in sorted(fills, key=lambda one: one.at):
        yield Moment(fill.at, name, "fill", fill.quantity, fill.price, EXACT.multiply(fill.quantity, fill.price))
    if order.cancel_requested_at is not None:
        yield Moment(order.cancel_requested_at, name, "cancel asked for")
    if is_open(order):
        if order.filled_quantity and not fills:
            yield _sum(order, order.cancel_requested_at or order.created_at)
    else:
        yield _sum(order, order.closed_at or order.created_at)


def _sum(order: Order, at: datetime) -> Moment:
    """Where the order stands, with its cumulative figures."""
    what = order.status.value.replace("_", " ") + (f": {order.note}" if order.note else "")
    if order.fee_quantity:
        what += f"; fee {text(order.fee_quantity)} coins"
    if not order.filled_quantity or order.filled_price is None:
        return Moment(at, order.client_order_id, what)
    notional = EXACT.multiply(order.filled_quantity, order.filled_price)
    return Moment(at, order.client_order_id, what, order.filled_quantity, order.filled_price, notional)
