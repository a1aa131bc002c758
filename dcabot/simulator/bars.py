"""Bars and trades, made of what the venue saw: prices from quote mids, volume from its own executions.

So a bar without a trade has v = 0, as on Alpaca's venue. Only minutes with a quote have a bar.
What was before the start is remembered from the prices; its trades are made up.
"""

import itertools
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from dcabot.core.model import Quote, Side
from dcabot.core.money import EXACT, ZERO, step_up
from dcabot.core.venue import QUANTITY_STEP, Event, Execution
from dcabot.simulator.clock import SECOND, Clock, at_of, ns_of
from dcabot.simulator.wire import Json, number

MINUTE = 60 * SECOND
KEPT = 50_000  # bars and trades of a symbol
QUOTES_KEPT = 2_000
QUIET = 8  # of so many quotes of the history one is traded at
FIRST_TRADE = 5_046_874_561_900_000_000  # ids pass 2**53: who reads them as floats mixes them up


@dataclass(slots=True)
class Bar:
    """One minute, or a bucket of minutes. `at_ns` is where it begins."""

    at_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    turnover: Decimal = ZERO
    trades: int = 0

    def add(self, later: "Bar") -> None:
        """Take a later bar into this one."""
        self.high, self.low, self.close = max(self.high, later.high), min(self.low, later.low), later.close
        self.volume += later.volume
        self.turnover += later.turnover
        self.trades += later.trades

    def numbers(self) -> Json:
        """The bar's fields on the data host, without its time."""
        average = EXACT.divide(self.turnover, self.volume) if self.volume else ZERO
        return {
            "o": number(self.open),
            "h": number(self.high),
            "l": number(self.low),
            "c": number(self.close),
            "v": number(self.volume),
            "n": self.trades,
            "vw": number(average),
        }


@dataclass(frozen=True, slots=True)
class Trade:
    """An execution as market data: `taker` is B or S."""

    number: int
    at_ns: int
    price: Decimal
    quantity: Decimal
    taker: str

    def numbers(self) -> Json:
        return {"p": number(self.price), "s": number(self.quantity), "i": self.number, "tks": self.taker}


class Tape:
    """What market data remembers, of each symbol. `on_bar(channel, symbol, bar)` hears of bars as they close."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.bars: dict[str, deque[Bar]] = {}
        self.quotes: dict[str, deque[tuple[int, Quote]]] = {}
        self.trades: dict[str, deque[Trade]] = {}
        self._open: dict[str, Bar] = {}
        self._days: dict[str, Bar] = {}
        self._closes_at: int | None = None
        self._count = FIRST_TRADE
        self.on_bar: list[Callable[[str, str, Bar], None]] = []
        self.on_trade: list[Callable[[str, Trade], None]] = []

    def load(self, symbol: str, bars: list[Bar]) -> None:
        """Bars from before the start, oldest first."""
        self.bars.setdefault(symbol, deque(maxlen=KEPT)).extend(bars)

    def remember(self, quote: Quote, at_ns: int) -> None:
        """A quote from before the start, oldest first; now and then somebody traded at it."""
        if not 0 < quote.bid <= quote.ask:
            return
        mid, minute = (quote.bid + quote.ask) / 2, at_ns - at_ns % MINUTE
        self.quotes.setdefault(quote.symbol, deque(maxlen=QUOTES_KEPT)).append((at_ns, quote))
        bars = self.bars.setdefault(quote.symbol, deque(maxlen=KEPT))
        if not bars or bars[-1].at_ns != minute:
            bars.append(Bar(minute, mid, mid, mid, mid))
        bar = bars[-1]
        bar.high, bar.low, bar.close = max(bar.high, mid), min(bar.low, mid), mid
        dice = zlib.crc32(f"{quote.symbol}{at_ns}".encode())
        if dice % QUIET == 0:
            taker, price = ("B", quote.ask) if dice % 2 else ("S", quote.bid)
            coins = step_up(Decimal(dice % 100 + 1) / price, QUANTITY_STEP)
            self._print(quote.symbol, Trade(self._next_trade(), at_ns, price, coins, taker), bar)
        day_ns = minute - minute % (1440 * MINUTE)
        day = self._days.get(quote.symbol)
        if day is None or day.at_ns != day_ns:
            self._days[quote.symbol] = _copy(bar, day_ns)

    def end_history(self) -> None:
        """The running day bars begin with what the day had before the start."""
        for symbol, day in self._days.items():
            bars = [bar for bar in self.bars[symbol] if bar.at_ns >= day.at_ns]
            (self._days[symbol],) = _merged(bars, bucket_of("1Day"))

    def _next_trade(self) -> int:
        self._count += 1
        return self._count

    def _print(self, symbol: str, trade: Trade, bar: Bar) -> None:
        """A trade becomes known, and a part of its bar."""
        self.trades.setdefault(symbol, deque(maxlen=KEPT)).append(trade)
        bar.volume += trade.quantity
        bar.turnover += EXACT.multiply(trade.quantity, trade.price)
        bar.trades += 1

    def hear_quote(self, quote: Quote, at_ns: int) -> None:
        if not 0 < quote.bid <= quote.ask:
            return
        mid = (quote.bid + quote.ask) / 2
        self.quotes.setdefault(quote.symbol, deque(maxlen=QUOTES_KEPT)).append((at_ns, quote))
        bar = self._current(quote.symbol, mid)
        bar.high, bar.low, bar.close = max(bar.high, mid), min(bar.low, mid), mid

    def hear_event(self, event: Event) -> None:
        if event.execution is not None:
            self._add_trade(event.execution)

    def _add_trade(self, execution: Execution) -> None:
        is_buyer_taker = (execution.side is Side.BUY) != execution.maker
        trade = Trade(
            self._next_trade(),
            self._clock.now_ns(),
            execution.price,
            execution.quantity,
            "B" if is_buyer_taker else "S",
        )
        self._print(execution.symbol, trade, self._current(execution.symbol, execution.price))
        for listener in self.on_trade:
            listener(execution.symbol, trade)

    def _current(self, symbol: str, price: Decimal) -> Bar:
        """The symbol's bar of this minute; the first of a minute sets the timer that closes it."""
        now_ns = self._clock.now_ns()
        if self._closes_at is not None and now_ns >= self._closes_at:
            self._close()
        if self._closes_at is None:
            self._closes_at = now_ns - now_ns % MINUTE + MINUTE
            self._clock.call_at(self._closes_at, self._close)
        bar = self._open.get(symbol)
        if bar is None:
            bar = self._open[symbol] = Bar(now_ns - now_ns % MINUTE, price, price, price, price)
        return bar

    def _close(self) -> None:
        """End the minute: its bars are history and news, and each day bar grows."""
        if self._closes_at is None or self._clock.now_ns() < self._closes_at:
            return
        closed, self._open, self._closes_at = self._open, {}, None
        for symbol, bar in closed.items():
            self.bars.setdefault(symbol, deque(maxlen=KEPT)).append(bar)
            day_ns = bar.at_ns - bar.at_ns % (1440 * MINUTE)
            day = self._days.get(symbol)
            if day is None or day.at_ns != day_ns:
                day = self._days[symbol] = _copy(bar, day_ns)
            else:
                day.add(bar)
            for listener in self.on_bar:
                listener("bars", symbol, bar)
                listener("dailyBars", symbol, day)

    def select(self, symbol: str, bucket: Callable[[int], int], start_ns: int, end_ns: int) -> Iterator[Bar]:
        """The symbol's bars in buckets, from `start_ns` to `end_ns` inclusive, the forming one last."""
        bars = itertools.chain(self.bars.get(symbol, ()), self._forming(symbol))
        return _merged((bar for bar in bars if start_ns <= bucket(bar.at_ns) <= end_ns), bucket)

    def last(self, symbol: str, bucket: Callable[[int], int], back: int) -> Bar | None:
        """The last bar (`back` 1), or the one before it (2), in buckets. It looks no further than it must."""
        recent: list[Bar] = []
        seen: set[int] = set()
        for bar in itertools.chain(self._forming(symbol), reversed(self.bars.get(symbol, ()))):
            seen.add(bucket(bar.at_ns))
            if len(seen) > back:
                break
            recent.append(bar)
        found = list(_merged(reversed(recent), bucket))
        return found[-back] if len(found) >= back else None

    def _forming(self, symbol: str) -> list[Bar]:
        return [self._open[symbol]] if symbol in self._open else []


def _merged(bars: Iterable[Bar], bucket: Callable[[int], int]) -> Iterator[Bar]:
    """One bar for each bucket, of those that follow one another in it."""
    current: Bar | None = None
    for bar in bars:
        begins = bucket(bar.at_ns)
        if current is not None and current.at_ns == begins:
            current.add(bar)
            continue
        if current is not None:
            yield current
        current = _copy(bar, begins)
    if current is not None:
        yield current


def _copy(bar: Bar, at_ns: int) -> Bar:
    return Bar(at_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.turnover, bar.trades)


# The units, in small letters but for a month's M, and how many of each make a bar.
UNITS = {
    ("min", "t"): ("minute", range(1, 60)),
    ("hour", "h"): ("hour", range(1, 24)),
    ("day", "d"): ("day", (1,)),
    ("week", "w"): ("week", (1,)),
    ("month", "M"): ("month", (1, 2, 3, 4, 6, 12)),
}


def bucket_of(timeframe: str) -> Callable[[int], int]:
    """The beginning of the bar that a minute belongs to: 15Min, 1hour, 1D, 1Week, 3M.

    Raises ValueError for what Alpaca does not have: 60Min, 24Hour, 2Day.
    """
    digits = timeframe.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    unit, count = _unit(timeframe[len(digits) :], digits)
    if unit == "month":
        return lambda at_ns: _month(at_of(at_ns), count)
    if unit == "week":
        week, offset = 7 * 1440 * MINUTE, 3 * 1440 * MINUTE  # 1970 began on a Thursday
        return lambda at_ns: at_ns - (at_ns + offset) % week
    if unit in ("minute", "hour", "day"):
        size = count * {"minute": 1, "hour": 60, "day": 1440}[unit] * MINUTE
        return lambda at_ns: at_ns - at_ns % size
    raise ValueError(f"invalid timeframe: {timeframe[:40]}")


def _unit(word: str, digits: str) -> tuple[str, int]:
    """The unit and its count; no unit if there is no such bar."""
    count = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 2 else 0
    name = word if word == "M" else word.lower() if len(word) > 1 or word != "m" else ""
    for names, (unit, counts) in UNITS.items():
        if name in names and count in counts:
            return unit, count
    return "", 0


def _month(at: datetime, months: int) -> int:
    first = at.replace(month=(at.month - 1) // months * months + 1, day=1, hour=0, minute=0, second=0, microsecond=0)
    return ns_of(first)
