"""Candles from CSV files, plain or gzip. What is wrong is named with its line and value; nothing wrong is let through.

Columns are found by name, or by place in a file without headings: time, open, high, low, close. Times are ISO 8601
(without a zone: UTC) or seconds, milliseconds, microseconds or nanoseconds since 1970, and say when a candle begins.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import IO, cast

import numpy as np

from dcabot.backtest import digits
from dcabot.backtest.candles import Candles, Column, instant, microseconds
from dcabot.core.money import parse

NAMES: tuple[tuple[str, ...], ...] = (
    ("timestamp", "time", "date", "datetime", "open_time", "open time", "opentime", "unix", "t"),
    ("open", "o"),
    ("high", "h"),
    ("low", "l"),
    ("close", "c"),
)
TITLES = ("time", "open", "high", "low", "close")
DELIMITERS = ",;\t"
PIECE = 1 << 20  # bytes read at once
DECIMALS_MAX = 12
TICKS_MAX = 10**16  # of the highest price: what is computed of it has room in 64 bits
SHOWN_MAX = 40  # characters of a value that a message repeats
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s?(Z|UTC|[+-]\d\d:?\d\d)?)?", re.ASCII
)


class BadPrices(Exception):
    """These prices cannot be used; the message names the file, the line and the value."""


class Unfit(BadPrices):
    """Prices that are numbers each, and not of one market."""


@dataclass(slots=True)
class Columns:
    """What was read so far: blocks of each column, prices with so many decimals."""

    blocks: list[list[Column]] = field(default_factory=lambda: [[] for _ in TITLES])
    decimals: int = 0
    largest: int = 0

    def add(self, at: Column, prices: Sequence[tuple[Column, int]]) -> None:
        """Raises Unfit when the largest price is too long in steps of the finest decimals."""
        decimals = max(self.decimals, *(one for _, one in prices))
        wider = 10 ** (decimals - self.decimals)
        scaled = [(values, 10 ** (decimals - one)) for values, one in prices]
        self.largest = max(self.largest * wider, *(int(values.max()) * factor for values, factor in scaled))
        if self.largest > TICKS_MAX:
            largest = Decimal(self.largest).scaleb(-decimals).normalize()
            raise Unfit(f"prices up to {largest:f} and others with {decimals} decimals: they cannot belong together")
        self.blocks[0].append(at)
        for column, (values, factor) in zip(self.blocks[1:], scaled, strict=True):
            if wider > 1:
                column[:] = [block * wider for block in column]
            column.append(values * factor)
        self.decimals = decimals


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns are, in how many, and in which line the first candle is."""

    places: tuple[int, ...]
    width: int
    delimiter: str
    first_line: int


def read(path: Path) -> tuple[Columns, Layout]:
    """Every row of a file, unchecked but for what a single cell can tell. Raises BadPrices."""
    columns = Columns()
    line = 0
    try:
        with _opened(path) as source:
            layout, rest = _layout(path, source)
            line = layout.first_line
            for piece in _pieces(source, rest):
                try:
                    _take(path, columns, layout, piece, line)
                except Unfit as error:
                    raise BadPrices(f"{path}, from line {line} on: {error}") from None
                line += piece.count(b"\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadPrices(f"{path}, after line {max(line - 1, 0)}: the gzip is damaged or cut off ({error})") from None
    except OSError as error:
        raise BadPrices(f"{path}: {error.strerror or error}") from None
    if not columns.blocks[0]:
        raise BadPrices(f"{path}: no candles, only {'headings' if layout.first_line > 1 else 'nothing'}")
    return columns, layout


def _opened(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where its first two say gzip, whatever its name says."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if is_gzip else path.open("rb")


def _pieces(source: IO[bytes], rest: bytes) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time; every line ends with a bare newline."""
    while more := source.read(PIECE):
        whole, newline, rest = (rest + more).rpartition(b"\n")
        if newline:
            yield (whole + newline).replace(b"\r\n", b"\n")
    if rest.strip():
        yield rest.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"


def _layout(path: Path, source: IO[bytes]) -> tuple[Layout, bytes]:
    """The headings, and what was read beyond them."""
    line = 1
    first = source.readline()
    if first.startswith(b"http"):  # where the file is from, before its headings
        line, first = 2, source.readline()
    words = first.decode("utf-8-sig", "replace").strip("\r\n")
    if not words.strip():
        raise BadPrices(f"{path}: the file is empty" if not first else f"{path}, line {line}: empty")
    delimiter = max(DELIMITERS, key=words.count)
    cells = [cell.strip().strip('"').lower() for cell in words.split(delimiter)]
    if len(cells) >= len(TITLES) and _is_number(cells[1]):
        return Layout(tuple(range(len(TITLES))), len(cells), delimiter, line), first.lstrip(b"\xef\xbb\xbf")
    places = [next((cells.index(name) for name in names if name in cells), None) for names in NAMES]
    missing = [title for title, place in zip(TITLES, places, strict=True) if place is None]
    if missing:
        raise BadPrices(f"{path}, line {line}: no column for {', '.join(missing)} among {words[:60]!r}")
    found = tuple(place for place in places if place is not None)
    return Layout(found, len(cells), delimiter, line + 1), b""


def _is_number(cell: str) -> bool:
    try:
        parse(cell)
    except ValueError:
        return False
    return True


def _take(path: Path, columns: Columns, layout: Layout, piece: bytes, line: int) -> None:
    """Add a piece of whole lines, all at once where they are plain."""
    block = digits.block_of(piece, layout.delimiter, layout.width)
    if block is not None:
        at = digits.times(block, layout.places[0])
        prices = [digits.numbers(block, place) for place in layout.places[1:]]
        known = [one for one in prices if one is not None and one[1] <= DECIMALS_MAX]
        if at is not None and len(known) == len(prices):
            columns.add(at, known)
            return
    _take_slowly(path, columns, layout, piece, line)


def _take_slowly(path: Path, columns: Columns, layout: Layout, piece: bytes, line: int) -> None:
    """Row by row, to read what is unusual and to name what is wrong."""
    times: list[int] = []
    rows: list[list[Decimal]] = []
    text = piece.decode("utf-8", "replace").rstrip("\n")
    for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=layout.delimiter), start=line):
        place = f"{path}, line {number}"
        if len(row) <= max(layout.places):
            shown = layout.delimiter.join(row)[:SHOWN_MAX]
            raise BadPrices(f"{place}: {len(row)} columns instead of {layout.width}: {shown!r}")
        times.append(_time(row[layout.places[0]].strip(), place))
        cells = zip(TITLES[1:], layout.places[1:], strict=True)
        rows.append([_price(row[at].strip(), title, place) for title, at in cells])
    if not rows:
        return
    decimals = max(max(-int(price.as_tuple().exponent), 0) for row in rows for price in row)
    whole = [[int(price.scaleb(decimals)) for price in column] for column in zip(*rows, strict=True)]
    if max(map(max, whole)) > TICKS_MAX:
        raise Unfit(f"prices up to {max(map(max, rows)):f} and others with {decimals} decimals")
    prices = [(np.array(column, np.int64), decimals) for column in whole]
    columns.add(np.array(times, np.int64), prices)


def _price(cell: str, title: str, place: str) -> Decimal:
    try:
        price = parse(cell)
    except ValueError:
        raise BadPrices(f"{place}: {title} is {cell[:SHOWN_MAX]!r}, no number") from None
    if price <= 0:
        raise BadPrices(f"{place}: {title} is {cell[:SHOWN_MAX]}, not above zero")
    price = price.normalize()
    decimals = -int(price.as_tuple().exponent)
    if decimals > DECIMALS_MAX or price.adjusted() + decimals + 1 > digits.DIGITS_MAX - 2 or price.adjusted() > 12:
        raise BadPrices(f"{place}: {title} is {cell[:SHOWN_MAX]}: no price has so many digits")
    return price


def _time(cell: str, place: str) -> int:
    """Microseconds since 1970."""
    plain = cell.removesuffix(".0")
    if plain.isascii() and plain.isdigit() and len(plain) <= 19:
        number = int(plain)
        return number * digits.scale_of(number) // digits.divisor_of(number)
    match = _ISO.fullmatch(cell)
    if match is None:
        raise BadPrices(f"{place}: time is {cell[:SHOWN_MAX]!r}; write it like 2022-01-31 23:59:00 or 1643673540")
    *parts, fraction, zone = match.groups()
    try:
        at = datetime(*(int(part or 0) for part in parts), tzinfo=timezone.utc)  # type: ignore[arg-type, misc]
    except ValueError as error:
        raise BadPrices(f"{place}: time is {cell[:SHOWN_MAX]!r}: {error}") from None
    at += timedelta(microseconds=int((fraction or "")[:6].ljust(6, "0")))
    if zone and zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        at = at - offset if zone[0] == "+" else at + offset
    return microseconds(at)


def shown(at: int) -> str:
    """A time for a message."""
    try:
        return f"{instant(at):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{at} us"


def candles_of(columns: Columns, seconds: int) -> Candles:
    """The columns in one piece each."""
    at, opened, high, low, close = (
        np.concatenate(blocks) if len(blocks) > 1 else blocks[0] for blocks in columns.blocks
    )
    return Candles(at, opened, high, low, close, Decimal(1).scaleb(-columns.decimals), seconds)
