"""What else could have been done with the same money, and how deep it went under on the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

import numpy as np

from dcabot.backtest.candles import MICROSECOND, SLICE, Candles, microseconds
from dcabot.backtest.path import LEGS, Path, Prices
from dcabot.core.fees import coin_fee
from dcabot.core.money import EXACT, ZERO, step_down
from dcabot.core.profit import proceeds
from dcabot.core.venue import QUANTITY_STEP

Standing = tuple[datetime, Decimal, Decimal, Decimal]  # at, price, coins held and flow of USD after that fill


def bought(dollars: Decimal, ask: Decimal, rate: Decimal) -> Decimal:
    """Coins that arrive for so many USD."""
    quantity = step_down(EXACT.divide(dollars, ask), QUANTITY_STEP)
    return quantity - coin_fee(quantity, rate)


def buy_and_hold(prices: Prices, candles: Candles, dollars: Decimal, rate: Decimal) -> Decimal:
    """The profit of buying for all of it at the first open and selling at the last close."""
    coins = bought(dollars, prices.quote(int(candles.open[0]), 0).ask, rate)
    return proceeds(coins, prices.quote(int(candles.close[-1]), 0).bid, rate) - dollars


def buy_periodically(prices: Prices, candles: Candles, dollars: Decimal, rate: Decimal, every: timedelta) -> Decimal:
    """The profit of buying for an equal part of it at the beginning of each period and selling at the last close."""
    step = every // MICROSECOND
    begins = np.arange(int(candles.at[0]), int(candles.at[-1]) + 1, step)
    places = np.searchsorted(candles.at, begins).tolist()
    part = EXACT.divide(dollars, Decimal(len(places)))
    asks = (prices.quote(int(candles.open[place]), 0).ask for place in places)
    coins = sum((bought(part, ask, rate) for ask in asks), ZERO)
    return proceeds(coins, prices.quote(int(candles.close[-1]), 0).bid, rate) - dollars


@dataclass(slots=True)
class _Water:
    """The profit as it goes up and down with the price: flow plus coins times price."""

    flow: Decimal = ZERO
    held: Decimal = ZERO
    peak: Decimal = ZERO
    deepest: Decimal = ZERO

    def see(self, price: Decimal) -> None:
        now = self.flow + self.held * price
        self.peak = max(self.peak, now)
        self.deepest = max(self.deepest, self.peak - now)

    def pass_by(self, candles: Candles) -> None:
        """Candles without a fill; of each the high is taken to come first."""
        if not self.held:
            return
        for start in range(0, len(candles), SLICE):
            high, low = candles.high[start : start + SLICE], candles.low[start : start + SLICE]
            within = int((np.maximum.accumulate(high) - low).max())
            self.deepest = max(self.deepest, self.held * candles.price(within))
            top, bottom = (self.flow + self.held * candles.price(int(at)) for at in (high.max(), low.min()))
            self.deepest = max(self.deepest, self.peak - bottom)
            self.peak = max(self.peak, top)


def deepest_fall(candles: Candles, path: Path, fills: Sequence[Standing]) -> Decimal:
    """The most that the profit, with what is held at its price, ever lay below its highest before."""
    water, passed = _Water(), 0
    for number, here in groupby(_placed(candles, fills), key=lambda one: one[0]):
        water.pass_by(candles.part(passed, number))
        _pass_fills(water, candles, path, number, [(leg, fill) for _, leg, fill in here])
        passed = number + 1
    water.pass_by(candles.part(passed, len(candles)))
    return water.deepest


def _placed(candles: Candles, fills: Sequence[Standing]) -> Iterator[tuple[int, int, Standing]]:
    """In which candle, and in which quarter of it, each fill was."""
    quarter = candles.seconds * 1_000_000 // LEGS
    for fill in fills:
        at = microseconds(fill[0])
        number = int(np.searchsorted(candles.at, at, side="right")) - 1
        yield number, min((at - int(candles.at[number])) // quarter, LEGS - 1), fill


def _pass_fills(water: _Water, candles: Candles, path: Path, number: int, fills: list[tuple[int, Standing]]) -> None:
    columns = (candles.open, candles.high, candles.low, candles.close)
    opened, high, low, close = (int(column[number]) for column in columns)
    for leg, end in enumerate(path.points(opened, high, low, close)):
        for _, (_, price, held, flow) in (one for one in fills if one[0] == leg):
            water.see(price)
            water.held, water.flow = held, flow
            water.see(price)
        water.see(candles.price(end))
