"""Candles from a CSV file, gzip too, as ticks: each minute becomes four quotes.

Columns by name: a time (`timestamp`, `time`, `date`, `datetime`, `open_time`), open, high, low, close; volume is
not needed. Times are ISO 8601 (naive: UTC) or seconds, milliseconds, microseconds since 1970.
"""

import csv
import gzip
import io
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import IO, NamedTuple

from dcabot.core.money import parse
from dcabot.simulator.clock import EPOCH
from dcabot.simulator.listings import listing_of
from dcabot.simulator.prices import Number, Tick, exact, quoted

TIME_NAMES = ("timestamp", "time", "date", "datetime", "open_time")
PRICE_NAMES = ("open", "high", "low", "close")
QUARTER = Decimal(15)  # seconds between the quotes of a one-minute candle


class Candle(NamedTuple):
    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


def read_candles(path: str | Path) -> Iterator[Candle]:
    """The candles of a file, one by one. Raises ValueError naming file, line and value."""
    with _opened(Path(path)) as file:
        rows = csv.reader(file)
        try:
            header = [name.strip().lower() for name in next(rows, [])]
            places = _places(header)
            last: datetime | None = None
            for row in rows:
                candle = _candle(row, places)
                if last is not None and candle.at <= last:
                    raise ValueError(f"time does not go on: {candle.at:%Y-%m-%d %H:%M:%S}")
                last = candle.at
                yield candle
        except ValueError as error:
            raise ValueError(f"{path}, line {rows.line_num}: {error}") from None
        except (EOFError, OSError) as error:
            raise ValueError(f"{path}, after line {rows.line_num}: {error}") from None


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _places(header: list[str]) -> tuple[int, ...]:
    times = [header.index(name) for name in TIME_NAMES if name in header]
    missing = [name for name in PRICE_NAMES if name not in header]
    if not times or missing:
        raise ValueError(f"no column {', '.join(missing) or ' or '.join(TIME_NAMES)}")
    return (times[0], *(header.index(name) for name in PRICE_NAMES))


def _candle(row: list[str], places: tuple[int, ...]) -> Candle:
    if len(row) <= max(places):
        raise ValueError("too few columns")
    opened, high, low, close = prices = [parse(row[place].strip()) for place in places[1:]]
    if min(prices) <= 0 or not low <= min(opened, close) <= max(opened, close) <= high:
        raise ValueError(f"impossible prices {', '.join(row[place] for place in places[1:])}")
    return Candle(_instant(row[places[0]].strip()), opened, high, low, close)


def _instant(words: str) -> datetime:
    if words.isdigit():
        number = int(words)
        scale = 1_000_000 if number < 10**11 else 1_000 if number < 10**14 else 1
        return EPOCH + timedelta(microseconds=number * scale)
    at = datetime.fromisoformat(words.replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def is_inside(path: str | Path, start: datetime) -> bool:
    """True if the file has candles from before this instant and from after it."""
    has_earlier = False
    for candle in read_candles(path):
        if candle.at >= start:
            return has_earlier or candle.at == start
        has_earlier = True
    return False


def candles(
    path: str | Path,
    symbol: str,
    spread: Number = "0.0010",
    scale: Number = 1,
    start: datetime | None = None,
) -> Iterator[Tick]:
    """A file's candles as quotes of one symbol, the first at second 0. The low comes before the high.

    With a `start` inside the file that instant is second 0: the candles before it are history.
    `scale` multiplies the prices. For several symbols: `heapq.merge(candles(...), candles(...))`.
    """
    listing, half, factor = listing_of(symbol), exact(spread) / 2, exact(scale)
    first = start if start is not None and is_inside(path, start) else None
    for candle in read_candles(path):
        first = candle.at if first is None else first
        seconds = Decimal((candle.at - first) // timedelta(microseconds=1)) / 1_000_000
        for quarter, price in enumerate((candle.open, candle.low, candle.high, candle.close)):
            yield quoted(seconds + quarter * QUARTER, listing, price * factor, half)
