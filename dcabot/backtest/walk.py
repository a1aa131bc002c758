"""Lead a bot along candles: slowly past every quote, or fast past those that can make nothing happen.

`slow` is the meaning, `fast` the same in less time: between two events nothing happens unless the price reaches one of
the strategy's own thresholds or a time is due (`Bot.trigger`), so the next candle that reaches one is searched for in
the columns, whole numbers against whole numbers. `tests/backtest/test_walk.py` holds the two against each other.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from dcabot.backtest.bot import Bot, Trigger
from dcabot.backtest.candles import SLICE, Candles, microseconds
from dcabot.backtest.path import LEGS, Path, Prices, prices
from dcabot.core.quotes import Screen

FIRST_LOOK = 64  # candles; each further look is twice as far
FAR = 4  # a price that moved by a quarter since the last one looked at may be a jump to the bot
COARSE = 20  # steps of the instrument; rounding alone moves a price of fewer by leaps
NEVER = 1 << 62


@dataclass(slots=True)
class Walk:
    """One bot and its way. Prices are ticks, times microseconds."""

    bot: Bot
    candles: Candles
    path: Path
    prices: Prices = field(init=False)
    quarter: int = field(init=False)
    lowest: int = field(init=False)
    buy: int = -1  # the thresholds as they stand: at or below `buy`, at or above `sell`, at or after `due`
    sell: int = NEVER
    due: int = NEVER
    always: bool = True
    seen: int = 0  # the last price that the bot looked at
    jumps: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prices = prices(self.candles, self.bot.instrument, self.path)
        self.quarter = self.candles.seconds * 1_000_000 // LEGS
        self.lowest, highest = self.candles.range()
        self.bot.dearest = self.prices.quote(highest, 0).ask

    def slow(self) -> None:
        """Every quote, one after another."""
        for number in range(len(self.candles)):
            here = 0
            for leg, end in enumerate(self._points(number)):
                at = self._at(number, leg)
                for ticks in self._ticks(leg, here, end):
                    self.bot.on_quote(self.prices.quote(ticks, at))
                here = end
        self._end()

    def fast(self) -> None:
        """Only the quotes that matter."""
        if self.candles.price(self.lowest) < self.bot.instrument.price_step * COARSE:
            self.slow()  # one step of the instrument may be a jump
            return
        self.jumps = self._find_jumps()
        self._aim(self.bot.trigger())
        number = self._next_candle(0)
        while number < len(self.candles):
            self._pass(number)
            number = self._next_candle(number + 1)
        self._end()

    def _end(self) -> None:
        last = self._at(len(self.candles) - 1, LEGS - 1)
        self.bot.pass_time(self.prices.quote(1, last).at)

    # --- one candle ---

    def _points(self, number: int) -> tuple[int, int, int, int]:
        columns = self.candles
        return self.path.points(
            int(columns.open[number]), int(columns.high[number]), int(columns.low[number]), int(columns.close[number])
        )

    def _at(self, number: int, leg: int) -> int:
        return int(self.candles.at[number]) + leg * self.quarter

    def _ticks(self, leg: int, here: int, end: int) -> range:
        """The prices quoted on the way from `here`, which was quoted already, to `end`."""
        if leg == 0 or not self.path.walks or here == end:
            return range(end, end + 1)
        return range(here - 1, end - 1, -1) if end < here else range(here + 1, end + 1)

    def _pass(self, number: int) -> None:
        """Look at what matters in a candle."""
        is_jump = bool(self.jumps) and self.jumps[min(bisect_left(self.jumps, number), len(self.jumps) - 1)] == number
        before = self.candles.close[number - 1].item() if number else 0
        for leg, end in enumerate(self._points(number)):
            ticks = self._ticks(leg, before, end)
            at = self._at(number, leg)
            if is_jump and leg == 0:
                self.seen = 0
            looks_anyway = is_jump and (leg == 0 or not self.path.walks)
            reached = 0 if looks_anyway else self._reached(ticks, at)
            while reached is not None:
                self._look(ticks[reached], ticks[reached - 1] if reached else before, at)
                ticks = ticks[reached + 1 :]
                before = self.seen
                reached = self._reached(ticks, at) if ticks else None
            before = end

    def _reached(self, ticks: range, at: int) -> int | None:
        """The place of the first price on the way that reaches a threshold."""
        first, last = ticks[0], ticks[-1]
        if self.always or self.due <= at or first <= self.buy or first >= self.sell:
            return 0
        if last <= self.buy:
            return first - self.buy if len(ticks) > 1 else 0
        if last >= self.sell:
            return self.sell - first if len(ticks) > 1 else 0
        return None

    def _look(self, ticks: int, before: int, at: int) -> None:
        """Show the bot a quote; of the ones it has not seen it only needs the last, to know a jump from a way."""
        if before and self.bot.screen.doubted is None and abs(ticks - self.seen) * FAR >= self.seen:
            self.bot.screen = Screen(self.prices.quote(before, at))
        self._aim(self.bot.look(self.prices.quote(ticks, at)))
        self.seen = ticks

    def _aim(self, trigger: Trigger) -> None:
        """Take the bot's thresholds over into ticks and microseconds."""
        self.always = trigger.always
        self.buy = -1 if trigger.ask is None else self.prices.highest_for_ask(trigger.ask)
        self.sell = NEVER if trigger.bid is None else self.prices.lowest_for_bid(trigger.bid)
        self.due = NEVER if trigger.due is None else microseconds(trigger.due)

    # --- between candles ---

    def _next_candle(self, number: int) -> int:
        """The next candle in which anything can happen, from `number` on; the end when there is none."""
        if self.always:
            return number
        end = len(self.candles)
        if self.due != NEVER:
            last_quote_due = self.due - (LEGS - 1) * self.quarter
            end = min(end, int(np.searchsorted(self.candles.at, last_quote_due)))
        if self.jumps and (place := bisect_left(self.jumps, number)) < len(self.jumps):
            end = min(end, self.jumps[place])
        low, high, size = self.candles.low, self.candles.high, FIRST_LOOK
        while number < end:
            stop = min(number + size, end)
            hits = low[number:stop] <= self.buy
            if self.sell != NEVER:
                hits |= high[number:stop] >= self.sell
            place = int(hits.argmax())
            if hits[place]:
                return number + place
            number, size = stop, min(size * 2, SLICE)
        return max(number, end)

    def _find_jumps(self) -> list[int]:
        """Candles that begin far from the last close, or in which the quoted prices lie far apart: look at them all."""
        found: list[int] = []
        columns = self.candles
        for start in range(0, len(columns), SLICE):
            stop = min(start + SLICE, len(columns))
            before = columns.close[max(start - 1, 0) : stop - 1]
            opened = columns.open[max(start, 1) : stop]
            far = np.flatnonzero(np.abs(opened - before) * FAR >= before) + max(start, 1)
            found += far.tolist()
            if not self.path.walks:
                low = columns.low[start:stop]
                found += (np.flatnonzero((columns.high[start:stop] - low) * FAR >= low) + start).tolist()
        return sorted(set(found))
