"""What happened, as sentences: two readings of the books compared."""

from dataclasses import dataclass, field
from decimal import Decimal

from dcabot.commands.console import price
from dcabot.commands.demo.story import Told
from dcabot.core.model import Cycle, CycleStatus, Order, OrderStatus, Side
from dcabot.core.money import ZERO, text
from dcabot.core.profit import outcome
from dcabot.core.states import is_open
from dcabot.core.strategy import restart_price


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. `is_chapter` marks what the story waited for."""

    seconds: float
    symbol: str
    sentence: str
    is_chapter: bool = False


@dataclass(slots=True)
class Chronicle:
    """All events so far, and what the books said last."""

    events: list[Event] = field(default_factory=list)
    _before: dict[int, Cycle] = field(default_factory=dict)

    def say(self, seconds: float, symbol: str, sentence: str, is_chapter: bool = False) -> None:
        self.events.append(Event(seconds, symbol, sentence, is_chapter))

    def compare(self, seconds: float, books: dict[str, Told]) -> None:
        """Add what is new in the books."""
        for symbol, told in books.items():
            for cycle in told.cycles:
                before = self._before.get(cycle.id)
                if before == cycle:
                    continue
                for sentence in _cycle_news(told, before, cycle):
                    self.say(seconds, symbol, sentence)
                self._before[cycle.id] = cycle


def _cycle_news(told: Told, before: Cycle | None, cycle: Cycle) -> list[str]:
    sentences = []
    for order in cycle.orders:
        known = before.order(order.client_order_id) if before else None
        sentences += _order_news(known, order, cycle.symbol)
    if before is not None and before.status is cycle.status:
        return sentences
    if cycle.status is CycleStatus.COMPLETE:
        sentences.append(f"cycle complete, profit {outcome(cycle.orders)}")
    elif cycle.status is CycleStatus.COOLDOWN:
        threshold = restart_price(told.asset)
        early = f", or ask down to {price(threshold)}" if threshold is not None else ""
        sentences.append(f"cooldown: {told.asset.rules.cooldown_seconds} s{early}")
    elif cycle.status is CycleStatus.ERROR:
        sentences.append("cycle ended in error")
    return sentences


def _order_news(before: Order | None, order: Order, symbol: str) -> list[str]:
    """The order placed, what was filled of it, or how else it ended."""
    name, sentences = name_of(order), []
    if before is None:
        at = "the market" if order.limit_price is None else price(order.limit_price)
        sentences.append(f"{name}: {order.side.value} {text(order.quantity)} at {at}")
    if order.filled_price is not None and order.filled_quantity > (before.filled_quantity if before else ZERO):
        verb = "bought" if order.side is Side.BUY else "sold"
        part = "" if order.status is OrderStatus.FILLED else " so far"
        sentences.append(f"{name}: {verb} {text(order.filled_quantity)} at {price(order.filled_price)}{part}")
    elif not is_open(order) and (before is None or is_open(before)):
        sentences.append(f"{name}: {order.status.value} {order.note}".rstrip())
    return sentences


def name_of(order: Order) -> str:
    """An order's purpose in words."""
    word = order.purpose.value.replace("_", " ")
    return word if order.side is Side.SELL else f"{word} order"


def usd(value: Decimal) -> str:
    return f"{value:,.2f}"
