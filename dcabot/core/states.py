"""The two tables of the bot: how an order may move, and how a cycle may move.

Rule 1: the law is a table; a step that is not in it does not happen.
Rule 2: an order moves only by a report of the exchange, by a refusal, or to `void`.
Rule 3: a cycle's status is computed from its orders; it is stored only for operators' SELECTs.
The README's diagrams are printed from these tables (`diagram`), and a test keeps them true.
"""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from dcabot.core.model import OPEN as OPEN
from dcabot.core.model import Cycle, CycleStatus, Order, OrderStatus, Side

O = OrderStatus  # noqa: E741 - one letter keeps the table a table
C = CycleStatus
S = TypeVar("S", bound=Enum)

# Terminal states still step up to a state that tells of a fill: exchanges do report a fill after a cancel.
ORDER_STEPS: Mapping[OrderStatus, tuple[OrderStatus, ...]] = {
    O.INTENDED: (O.VOID, O.ACCEPTED, O.PARTIALLY_FILLED, O.REJECTED, O.EXPIRED, O.CANCELED, O.FILLED),
    O.VOID: (O.ACCEPTED, O.PARTIALLY_FILLED, O.REJECTED, O.EXPIRED, O.CANCELED, O.FILLED),
    O.ACCEPTED: (O.VOID, O.PARTIALLY_FILLED, O.REJECTED, O.EXPIRED, O.CANCELED, O.FILLED),
    O.PARTIALLY_FILLED: (O.VOID, O.REJECTED, O.EXPIRED, O.CANCELED, O.FILLED),
    O.REJECTED: (O.EXPIRED, O.CANCELED, O.FILLED),
    O.EXPIRED: (O.CANCELED, O.FILLED),
    O.CANCELED: (O.FILLED,),
    O.FILLED: (),
}

CYCLE_STEPS: Mapping[CycleStatus, tuple[CycleStatus, ...]] = {
    C.WATCHING: (C.BUYING, C.SELLING, C.COMPLETE, C.ERROR),
    C.BUYING: (C.WATCHING, C.SELLING, C.COMPLETE, C.ERROR),
    C.SELLING: (C.WATCHING, C.BUYING, C.COMPLETE, C.ERROR),
    C.COOLDOWN: (C.WATCHING, C.BUYING, C.ERROR),
    C.COMPLETE: (),
    C.ERROR: (),
}

OVER = frozenset({C.COMPLETE, C.ERROR})


def is_open(order: Order) -> bool:
    """True while the exchange may still fill it, as far as we know."""
    return order.status in OPEN


def may_step(table: Mapping[S, tuple[S, ...]], old: S, new: S) -> bool:
    return new in table[old]


def status_of(cycle: Cycle, sold_out: bool) -> CycleStatus:
    """The status the facts give a cycle: its open orders first, then whether it is sold out."""
    if cycle.status in OVER:
        return cycle.status
    open_sides = {order.side for order in cycle.orders if is_open(order)}
    if Side.BUY in open_sides:
        return C.BUYING
    if Side.SELL in open_sides:
        return C.SELLING
    if sold_out:
        return C.COMPLETE
    traded = any(order.filled_quantity for order in cycle.orders)
    if cycle.status is C.COOLDOWN and not traded:
        return C.COOLDOWN
    return C.WATCHING


def diagram(table: Mapping[S, tuple[S, ...]]) -> str:
    """The table as a Mermaid state diagram."""
    lines = [f"    {old.value} --> {new.value}" for old, news in table.items() for new in news]
    return "\n".join(["stateDiagram-v2", *lines])
