"""Candles as columns of whole numbers: times in microseconds, prices in ticks of `unit` USD, never rounded."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from dcabot.core.model import EPOCH
from dcabot.core.money import EXACT

Column = npt.NDArray[np.int64]

TICKS_LEAST = 10_000  # of the lowest price: finer than any rule looks
SLICE = 1 << 16  # candles looked at together: memory must not grow with their number
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles of one asset, oldest first; `seconds` is the length of each, `at` where it begins."""

    at: Column
    open: Column
    high: Column
    low: Column
    close: Column
    unit: Decimal
    seconds: int

    def __len__(self) -> int:
        return len(self.at)

    @property
    def begins_at(self) -> datetime:
        return instant(self.at[0].item())

    @property
    def ends_at(self) -> datetime:
        """The end of the last candle."""
        return instant(self.at[-1].item()) + timedelta(seconds=self.seconds)

    def price(self, ticks: int) -> Decimal:
        return EXACT.multiply(Decimal(ticks), self.unit)

    def part(self, begin: int, end: int) -> "Candles":
        """The candles from `begin` up to `end`, without a copy."""
        columns = {name: getattr(self, name)[begin:end] for name in ("at", "open", "high", "low", "close")}
        return replace(self, **columns)

    def range(self) -> tuple[int, int]:
        """The lowest and the highest price, in ticks."""
        starts = range(0, len(self), SLICE)
        lowest = min(self.low[start : start + SLICE].min().item() for start in starts)
        return lowest, max(self.high[start : start + SLICE].max().item() for start in starts)

    def fine(self) -> "Candles":
        """The same prices in ticks small enough for a price to pass through."""
        lowest, shift = self.range()[0], 0
        while lowest * 10**shift < TICKS_LEAST:
            shift += 1
        if not shift:
            return self
        columns = {name: getattr(self, name) * 10**shift for name in ("open", "high", "low", "close")}
        return replace(self, **columns, unit=self.unit.scaleb(-shift))


def instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND
