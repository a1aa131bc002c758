"""Candles from Alpaca, kept on disk by month: what was fetched once is not asked for again, what broke off goes on.

A month that is over and complete is `2022-01.csv`; one that is not, `2022-01.part`, and the next run goes on after its
last whole line.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from dcabot.core.model import EPOCH

if TYPE_CHECKING:  # its SDK costs half a second, and who brings candles along does not need it
    from dcabot.adapters.bars import Bar, Bars

HEADINGS = "timestamp,open,high,low,close\n"
STAMP = "%Y-%m-%dT%H:%M:%SZ"
TIMEFRAMES = {
    "1Min": timedelta(minutes=1),
    "5Min": timedelta(minutes=5),
    "15Min": timedelta(minutes=15),
    "1Hour": timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which candles: those that begin from `begin` to before `end`."""

    symbol: str
    timeframe: str
    begin: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """Of one candle."""
        return TIMEFRAMES[self.timeframe]


def default_folder() -> Path:
    """Where programs of this user keep what can be had again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcabot" / "candles"


def fetch(
    bars: "Bars", wanted: Wanted, folder: Path, now: datetime, told: Callable[[datetime], None] = lambda at: None
) -> list[Path]:
    """The files that hold these candles, oldest first; `told` hears how far it is.

    Raises ExchangeUnreachable, and OSError where the folder cannot be used or a file in it is not of this program.
    """
    place = folder / wanted.symbol.replace("/", "-") / wanted.timeframe
    place.mkdir(parents=True, exist_ok=True)
    return [
        file
        for begin, end in _months(wanted.begin, wanted.end)
        if (file := _month(bars, wanted, place, (begin, end), now, told)) is not None
    ]


def _months(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The whole months that touch the period."""
    first = begin.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while first < end:
        following = (first + timedelta(days=32)).replace(day=1)
        yield first, following
        first = following


def _month(
    bars: "Bars",
    wanted: Wanted,
    place: Path,
    month: tuple[datetime, datetime],
    now: datetime,
    told: Callable[[datetime], None],
) -> Path | None:
    """One month's file, complete as far as it can be; None when there is no candle in it."""
    begin, end = month
    whole, part = (place / f"{begin:%Y-%m}.{ending}" for ending in ("csv", "part"))
    if not whole.exists():
        last_closed = min(end, now - (now - EPOCH) % wanted.length)
        _go_on(bars, wanted, part, (begin, last_closed), told)
        if last_closed < end:
            return part if part.stat().st_size > len(HEADINGS) else None
        part.rename(whole)
    told(end)
    return whole if whole.stat().st_size > len(HEADINGS) else None


def _go_on(
    bars: "Bars", wanted: Wanted, part: Path, period: tuple[datetime, datetime], told: Callable[[datetime], None]
) -> None:
    """Add what is missing, page by page; each is on the disk before the next is asked for."""
    begin, end = period
    last = _last(part)
    begin = begin if last is None else last + wanted.length
    token = ""
    while begin < end:
        found, token = bars.page(wanted.symbol, wanted.timeframe, begin, end, token)
        with part.open("a", encoding="ascii") as file:
            file.writelines(_line(bar) for bar in found)
        if found:
            told(found[-1].at)
        if not token:
            return


def _last(part: Path) -> datetime | None:
    """The time of the last candle that was written whole; a torn line is cut off."""
    if not part.exists():
        part.write_text(HEADINGS, encoding="ascii")
        return None
    words = part.read_text(encoding="ascii", errors="replace")
    kept = words[: words.rfind("\n") + 1] or HEADINGS
    if kept != words:
        part.write_text(kept, encoding="ascii")
    line = kept.rstrip("\n").rpartition("\n")[2]
    if line == HEADINGS.strip():
        return None
    try:
        return datetime.strptime(line.partition(",")[0], STAMP).replace(tzinfo=timezone.utc)
    except ValueError:
        raise OSError(
            0, f"its last line is no candle: {line[:40]!r}; delete the file to fetch it again", part
        ) from None


def _line(bar: "Bar") -> str:
    return f"{bar.at:{STAMP}},{bar.open},{bar.high},{bar.low},{bar.close}\n"
