"""What the account may still spend: its last reading, less what was promised to orders since.

Two assets that decide at once must not spend the same money: a buy is promised when it is decided, and
stays so until a reading of the account was asked for after Alpaca's answer to it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core.ages import has_passed
from dcabot.core.model import Order, Side
from dcabot.core.money import ZERO

LATER = timedelta.resolution


@dataclass(frozen=True, slots=True)
class Promise:
    """Money for one buy; `answered_at` is None while Alpaca may not know of it yet."""

    symbol: str
    amount: Decimal
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Funds:
    """USD: `reading` is what the account had to spend, None before the first look."""

    reading: Decimal | None = None
    promises: Mapping[str, Promise] = field(default_factory=dict)

    def spendable(self, order_id: str = "") -> Decimal | None:
        """What an order may spend; its own promise does not stand in its way."""
        if self.reading is None:
            return None
        others = (one.amount for name, one in self.promises.items() if name != order_id)
        return self.reading - sum(others, ZERO)

    def promised(self, symbol: str, orders: Iterable[Order]) -> "Funds":
        """After the decision to send these orders."""
        buys = {one.client_order_id: Promise(symbol, one.notional) for one in orders if one.side is Side.BUY}
        return replace(self, promises={**self.promises, **buys}) if buys else self

    def withdrawn(self, order_ids: Iterable[str]) -> "Funds":
        """After orders that were not sent, or ended with nothing bought."""
        gone = set(order_ids) & self.promises.keys()
        if not gone:
            return self
        kept = {name: one for name, one in self.promises.items() if name not in gone}
        return replace(self, promises=kept)

    def answered(self, order_ids: Iterable[str], at: datetime) -> "Funds":
        """After Alpaca's answers: the next reading that is asked for has these orders in it."""
        answered = {
            name: replace(self.promises[name], answered_at=at)
            for name in order_ids
            if name in self.promises and self.promises[name].answered_at is None
        }
        return replace(self, promises={**self.promises, **answered}) if answered else self

    def read(self, reading: Decimal, asked_at: datetime) -> "Funds":
        """After a look at the account."""
        kept = {
            name: one
            for name, one in self.promises.items()
            if one.answered_at is None or not has_passed(one.answered_at, asked_at, LATER)
        }
        return Funds(reading, kept)
