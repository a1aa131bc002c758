"""Whether candles can be what a market did: the first thing that cannot be is named with its line and value.

Times go on by one same step, each price fits the others of its candle, nothing is missing beyond a little.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from dcabot.backtest.candles import SLICE, Candles, Column, microseconds
from dcabot.backtest.headings import BadPrices
from dcabot.backtest.reading import Columns, candles_of, read, shown
from dcabot.core.money import text

MISSING_MAX = Decimal("0.01")  # of the candles; beyond it a result would be about prices nobody knows
SECOND = 1_000_000
DAY = timedelta(days=1)
Period = tuple[datetime | None, datetime | None]  # from, and up to and without
FALL_MAX = 1_000_000  # times the lowest price; Bitcoin has risen by less since exchanges write candles
LEAP = 2  # times: what the daemon doubts until other quotes agree
STEP_MAX = 86_400  # seconds: of a day's order of prices nobody knows anything


@dataclass(frozen=True, slots=True)
class Source:
    """Candles and what should be known of them: sentences for the reader of the result."""

    candles: Candles
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Which file and line a row stands in: for each file its name, its first row and the line of that row."""

    files: tuple[tuple[Path, int, int], ...]
    rows: int = 0
    has_headings: bool = True
    is_reversed: bool = False
    skipped: int = 0  # rows before the ones that are counted

    def of(self, row: int) -> str:
        row += self.skipped
        row = self.rows - 1 - row if self.is_reversed else row
        path, first_row, first_line = next(one for one in reversed(self.files) if one[1] <= row)
        return f"{path}, line {first_line + row - first_row}"


def load(paths: Sequence[Path], now: datetime, period: Period = (None, None), allow_gaps: bool = False) -> Source:
    """The candles of these files, one after another, as far as they are in the period. Raises BadPrices."""
    parts: list[Columns] = []
    files: list[tuple[Path, int, int]] = []
    rows, has_headings = 0, True
    for path in paths:
        columns, layout = read(path)
        files.append((path, rows, layout.first_line))
        rows += sum(len(block) for block in columns.blocks[0])
        has_headings = has_headings and layout.has_headings
        parts.append(columns)
    lines = Lines(tuple(files), rows, has_headings)
    candles, lines, notes = checked(_joined(parts), lines, now)
    begin, end = _within(candles, period)
    taken = candles.part(begin, end)
    lines = replace(lines, skipped=begin)
    gaps = _gaps(taken, lines, allow_gaps)
    return Source(taken, (*notes, *_uncovered(taken, period), *gaps, *_leaps(taken, lines)))


def _within(candles: Candles, period: Period) -> tuple[int, int]:
    begin, end = (
        default if at is None else int(np.searchsorted(candles.at, microseconds(at)))
        for at, default in zip(period, (0, len(candles)), strict=True)
    )
    if end - begin < 2:
        there = f"they go from {candles.begins_at:%Y-%m-%d %H:%M} to {candles.ends_at:%Y-%m-%d %H:%M}"
        raise BadPrices(f"fewer than two candles are in that period; {there}")
    return begin, end


def _uncovered(candles: Candles, period: Period) -> Iterator[str]:
    """Sentences about what was asked for and is not there."""
    begin, end = period
    if begin is not None and candles.begins_at - begin >= DAY:
        yield f"the candles begin on {candles.begins_at:%Y-%m-%d %H:%M}, later than asked for"
    if end is not None and end - candles.ends_at >= DAY:
        yield f"the candles end on {candles.ends_at:%Y-%m-%d %H:%M}, earlier than asked for"


def _joined(parts: Sequence[Columns]) -> Candles:
    whole = parts[0]
    for part in parts[1:]:
        for number in range(len(part.blocks[0])):
            prices = [(column[number], part.decimals) for column in part.blocks[1:]]
            whole.add(part.blocks[0][number], prices)
    return candles_of(whole, 60)


def checked(candles: Candles, lines: Lines, now: datetime) -> tuple[Candles, Lines, list[str]]:
    """These candles if they can be true, oldest first, with their step and what was remarkable. Raises BadPrices."""
    notes: list[str] = []
    if len(candles) < 2:
        raise BadPrices(f"{lines.of(0)}: one candle is not enough")
    if candles.at[0] > candles.at[-1]:
        columns = {name: getattr(candles, name)[::-1].copy() for name in ("at", "open", "high", "low", "close")}
        candles, lines = replace(candles, **columns), replace(lines, is_reversed=True)
        notes.append("the candles stood newest first; they were turned around")
    _check_prices(candles, lines)
    _check_order(candles.at, lines, now)
    seconds = _step(candles.at, lines)
    lowest, highest = candles.range()
    if highest > lowest * FALL_MAX:
        low, high = (text(candles.price(ticks)) for ticks in (lowest, highest))
        raise BadPrices(
            f"{lines.of(int(candles.low.argmin()))}: from {low} to {high}: these cannot be one coin's prices"
        )
    return replace(candles, seconds=seconds).fine(), lines, notes


def _check_prices(candles: Candles, lines: Lines) -> None:
    """A high is the highest and a low the lowest of its candle, and nothing is free."""
    for start in range(0, len(candles), SLICE):
        part = candles.part(start, start + SLICE)
        rules = (
            *((getattr(part, name) <= 0, name, "zero", "") for name in ("low", "open", "high", "close")),
            (part.high < part.low, "high", "low", "below the low"),
            (part.open > part.high, "open", "high", "above the high"),
            (part.open < part.low, "open", "low", "below the low"),
            (part.close > part.high, "close", "high", "above the high"),
            (part.close < part.low, "close", "low", "below the low"),
        )
        broken = [(int(mask.argmax()), name, other, words) for mask, name, other, words in rules if mask.any()]
        if not broken:
            continue
        row, name, other, words = min(broken, key=lambda one: one[0])
        price = text(candles.price(int(getattr(part, name)[row])))
        if other == "zero":
            raise BadPrices(f"{lines.of(start + row)}: {name} is {price}, not above zero")
        limit = text(candles.price(int(getattr(part, other)[row])))
        guess = "" if lines.has_headings else " (without headings the columns are time, open, high, low, close)"
        raise BadPrices(f"{lines.of(start + row)}: {name} {price} is {words} {limit}{guess}")


def _check_order(at: Column, lines: Lines, now: datetime) -> None:
    """Each candle after the one before it, and none of the future."""
    for start in range(0, len(at) - 1, SLICE):
        later, earlier = at[start + 1 : start + 1 + SLICE], at[start : min(start + SLICE, len(at) - 1)]
        wrong = later <= earlier
        if not wrong.any():
            continue
        row = start + int(wrong.argmax())
        place, here, before = lines.of(row + 1), int(at[row + 1]), int(at[row])
        if here == before:
            raise BadPrices(f"{place}: {shown(here)} is there twice, first in {lines.of(row)}")
        raise BadPrices(f"{place}: {shown(here)} comes after {shown(before)}; the times are out of order")
    limit = microseconds(now)
    if at[-1] > limit:
        row = int(np.searchsorted(at, limit, side="right"))
        raise BadPrices(f"{lines.of(row)}: {shown(int(at[row]))} is in the future (it is {now:%Y-%m-%d %H:%M:%S} UTC)")


def _step(at: Column, lines: Lines) -> int:
    """The seconds from one candle to the next."""
    steps = at[1:] - at[:-1]
    values, counts = np.unique(steps, return_counts=True)
    step = int(values[counts.argmax()])
    if step % SECOND or step > STEP_MAX * SECOND:
        raise BadPrices(f"{lines.of(1)}: candles of {timedelta(microseconds=step)}; from 1 second to 1 day can be used")
    odd = np.flatnonzero(steps % step)
    if len(odd):
        row = int(odd[0]) + 1
        raise BadPrices(
            f"{lines.of(row)}: {shown(int(at[row]))} comes {timedelta(microseconds=int(steps[row - 1]))} after the "
            f"candle before it, and candles here are {timedelta(microseconds=step)} long"
        )
    return step // SECOND


def _gaps(candles: Candles, lines: Lines, allow_gaps: bool) -> list[str]:
    """A sentence about what is missing. Raises BadPrices when it is too much."""
    at, step = candles.at, candles.seconds * SECOND
    steps = at[1:] - at[:-1]
    holes = np.flatnonzero(steps > step)
    if not len(holes):
        return []
    missing = int(steps[holes].sum()) // step - len(holes)
    row = int(holes[steps[holes].argmax()]) + 1
    longest = timedelta(microseconds=int(steps[row - 1]))
    sentence = (
        f"{missing} candles are missing in {len(holes)} gap{'s' if len(holes) > 1 else ''}; the longest, {longest}, "
        f"is before {lines.of(row)}, {shown(int(at[row]))}"
    )
    if not allow_gaps and missing > (len(at) + missing) * MISSING_MAX:
        raise BadPrices(f"{sentence}. That is more than {MISSING_MAX:.0%}; --allow-gaps goes on all the same")
    return [sentence]


def _leaps(candles: Candles, lines: Lines) -> list[str]:
    """A sentence about prices that perhaps no market had: a false one is bought or sold at like any other."""
    rows: list[int] = []
    for start in range(0, len(candles), SLICE):
        stop, after = min(start + SLICE, len(candles)), max(start, 1)
        within = candles.high[start:stop] >= candles.low[start:stop] * LEAP
        opened, before = candles.open[after:stop], candles.close[after - 1 : stop - 1]
        between = (opened >= before * LEAP) | (before >= opened * LEAP)
        rows += sorted({*(np.flatnonzero(within) + start).tolist(), *(np.flatnonzero(between) + after).tolist()})
    if not rows:
        return []
    row = rows[0]
    columns = [candles.close[row - 1 : row], *(column[row : row + 1] for column in (candles.low, candles.high))]
    ticks = [int(one) for column in columns for one in column]
    low, high = (text(candles.price(one)) for one in (min(ticks), max(ticks)))
    return [
        f"the price doubles or halves at once in {len(rows)} candle{'s' if len(rows) > 1 else ''}, first at "
        f"{lines.of(row)}, {shown(int(candles.at[row]))}, between {low} and {high}: see whether a market did that"
    ]
