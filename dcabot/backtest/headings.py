"""Which column of a CSV file is what, by its headings; or by their places where there are none."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from dcabot.core.money import parse

TITLES = ("open", "high", "low", "close")
PRICES = tuple((title, title[0], f"{title}_price", f"price_{title}") for title in TITLES)
# Where a candle begins. The first that a file has is taken: what says so before what may be either, numbers before
# words; a date beside a time of day belong together.
BEGINS = (
    *("open_time", "opentime", "time_open", "timeopen", "open_timestamp", "start", "start_time", "begin", "begin_time"),
    *("candle_begin_time", "time_period_start", "unix", "unix_timestamp", "unix_time", "unixtime", "epoch"),
    *("timestamp", "timestamp_ms", "ts", "datetime", "date_time", "date+time", "time", "date", "t"),
)
ENDS = ("close_time", "closetime", "time_close", "timeclose", "close_timestamp", "end_time", "time_period_end")
DELIMITERS = "\t;|,"  # a comma last: it may stand in a number or a date
STRANGERS = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"PAR1": "Parquet",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
SHOWN_MAX = 60  # characters of the headings that a message repeats


class BadPrices(Exception):
    """These prices cannot be used; the message names the file, the line and the value."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns are, of how many, and in which line the first candle is. Two places of a time: day and hour.

    With `ends` the times say when a candle ends.
    """

    time: tuple[int, ...]
    prices: tuple[int, ...]
    width: int
    delimiter: str
    first_line: int
    has_headings: bool
    ends: bool = False


def layout_of(path: Path, head: bytes) -> Layout:
    """By the first line, or the second where the first tells the source. Raises BadPrices."""
    lines = head.split(b"\n", 2)
    line = 2 if lines[0].startswith((b"http", b"\xef\xbb\xbfhttp")) and len(lines) > 1 else 1
    first = lines[line - 1]
    if not head.strip(b"\xef\xbb\xbf\r\n\t "):
        raise BadPrices(f"{path}: the file is empty")
    if stranger := next((words for magic, words in STRANGERS.items() if head.startswith(magic)), None):
        raise BadPrices(f"{path}: this is {stranger}, not CSV as text; unpack it or save it as UTF-8 CSV")
    words = first.decode("utf-8-sig", "replace").strip("\r\n")
    if not words.strip():
        raise BadPrices(f"{path}, line {line}: empty")
    delimiter = next((one for one in DELIMITERS if words.count(one) >= len(TITLES)), ",")
    try:
        cells = [cell.strip() for cell in next(csv.reader([words], delimiter=delimiter))]
    except csv.Error as error:
        raise BadPrices(f"{path}, line {line}: {error}") from None
    return _by_place(cells, delimiter, line) or _by_name(path, cells, delimiter, line)


def _by_place(cells: list[str], delimiter: str, line: int) -> Layout | None:
    """Time, open, high, low, close; or day and hour first. None when these are headings."""
    for first in (1, 2):
        prices = tuple(range(first, first + len(TITLES)))
        if len(cells) <= prices[-1]:
            return None
        is_clock = first == 1 or re.match(r"\d{1,2}:\d\d", cells[1]) is not None
        if is_clock and all(_is_number(cells[place]) for place in prices):
            return Layout(tuple(range(first)), prices, len(cells), delimiter, line, has_headings=False)
    return None


def _by_name(path: Path, cells: list[str], delimiter: str, line: int) -> Layout:
    names = [_plain(cell) for cell in cells]
    prices = [next((name for name in wanted if name in names), None) for wanted in PRICES]
    both = ("date", "time") if {"date", "time"} <= set(names) else ()
    offered = {*names, *(["date+time"] if both else [])}
    time = next((name for name in (*BEGINS, *ENDS) if name in offered), None)
    titles = zip(("time", *TITLES), (time, *prices), strict=True)
    if missing := [title for title, name in titles if name is None]:
        shown = delimiter.join(cells)[:SHOWN_MAX]
        raise BadPrices(f"{path}, line {line}: no column for {', '.join(missing)} among {shown!r}")
    times = both if time == "date+time" else (str(time),)
    found = [*times, *map(str, prices)]
    if twice := next((name for name in found if names.count(name) > 1), None):
        raise BadPrices(f"{path}, line {line}: the column {twice!r} is there twice")
    places = tuple(map(names.index, found))
    width = len(times)
    return Layout(places[:width], places[width:], len(cells), delimiter, line + 1, True, time in ENDS)


def _plain(heading: str) -> str:
    """As the names above are written: `<OPEN>`, `Open time` and `Gmt time`, `Date (UTC)` are such."""
    words = re.sub(r"[\s_-]+", "_", heading.strip().strip('<>"').lower())
    return re.sub(r"^gmt_|_?\(?(utc|gmt)\)?$", "", words)


def _is_number(cell: str) -> bool:
    try:
        parse(cell)
    except ValueError:
        return False
    return True
