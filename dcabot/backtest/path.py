"""How a candle becomes quotes.

A candle tells four prices and not their order. The price is taken to start at the open, pass both extremes and end at
the close; a quote is dated at the quarter of the candle in which it falls. Two things are unknown, and chosen:

`order`: by default the high comes first. Then no coin that was bought at a candle's low is sold at the high of the
same candle, which is where backtests of dip buyers lie most. `low-first` is the opposite, `nearest` takes the extreme
that is closer to the open first.

`walks`: by default the price passes through every tick between these points, so an order comes at its own threshold
and several can come in one candle. Without it, only the four prices are quoted: buys get the very low.

Between one candle's close and the next one's open the price jumps. Bid and ask lie half a `spread` around the price,
rounded away from it to the instrument's step.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from dcabot.backtest.candles import Candles, instant
from dcabot.core.model import Instrument, Quote
from dcabot.core.money import EXACT, ONE, step_down, step_up

LEGS = 4
SPREAD = Decimal("0.001")  # of the price, ask over bid: what Alpaca's BTC/USD often shows, and more than it often is


class HighLow(Enum):
    """Which extreme of a candle comes first."""

    HIGH_FIRST = "high-first"
    LOW_FIRST = "low-first"
    NEAREST = "nearest"


@dataclass(frozen=True, slots=True)
class Path:
    """The choices that turn candles into quotes. `spread` is a ratio."""

    order: HighLow = HighLow.HIGH_FIRST
    walks: bool = True
    spread: Decimal = SPREAD

    def points(self, opened: int, high: int, low: int, close: int) -> tuple[int, int, int, int]:
        """The four prices in their order."""
        low_first = self.order is HighLow.LOW_FIRST or (self.order is HighLow.NEAREST and opened - low < high - opened)
        return (opened, low, high, close) if low_first else (opened, high, low, close)


@dataclass(frozen=True, slots=True)
class Prices:
    """Ticks of a candle <-> quotes of an instrument. Exact, and monotonous: that is what thresholds rest on."""

    instrument: Instrument
    unit: Decimal
    over: Decimal
    under: Decimal

    def quote(self, ticks: int, at: int) -> Quote:
        """The quote when the price is at so many ticks; `at` is in microseconds."""
        step, count = self.instrument.price_step, Decimal(ticks)
        bid = max(step, step_down(EXACT.multiply(count, self.under), step))
        return Quote(self.instrument.symbol, bid, step_up(EXACT.multiply(count, self.over), step), instant(at))

    def highest_for_ask(self, ask: Decimal) -> int:
        """The highest price, in ticks, whose ask is at or below `ask`."""
        return int(EXACT.divide_int(step_down(ask, self.instrument.price_step), self.over))

    def lowest_for_bid(self, bid: Decimal) -> int:
        """The lowest price, in ticks, whose bid is at or above `bid`."""
        step = self.instrument.price_step
        if bid <= step:
            return 0
        whole, rest = EXACT.divmod(step_up(bid, step), self.under)
        return int(whole) + bool(rest)


def prices(candles: Candles, instrument: Instrument, path: Path) -> Prices:
    half = path.spread / 2
    over, under = (EXACT.multiply(candles.unit, one) for one in (ONE + half, ONE - half))
    return Prices(instrument, candles.unit, over, under)
