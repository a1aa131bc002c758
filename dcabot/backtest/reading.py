"""Candles from CSV files, plain or gzip. What is wrong is named with its line and value; nothing wrong is let through.

Cells become whole numbers here; what the columns are is told by `headings.py`, what the times mean by `times.py`.
"""

import csv
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dcabot.backtest import digits
from dcabot.backtest.candles import Candles, Column, instant
from dcabot.backtest.headings import TITLES, BadPrices, Layout, layout_of
from dcabot.backtest.times import BadTime, instant_of
from dcabot.core.money import parse

PIECE = 1 << 20  # bytes read at once
PACKED = 1 << 16
GZIP = b"\x1f\x8b"  # its first bytes
DECIMALS_MAX = 12
TICKS_MAX = 10**16  # of the highest price: what is computed of it has room in 64 bits
SECOND = 1_000_000  # microseconds
SHOWN_MAX = 40  # characters of a value that a message repeats


class Torn(Exception):
    """A gzip that ends too early, or is damaged from here on."""


class Unfit(BadPrices):
    """Prices that are numbers each, and not of one market."""


@dataclass(slots=True)
class Columns:
    """What was read so far: blocks of each column, prices with so many decimals."""

    blocks: list[list[Column]] = field(default_factory=lambda: [[] for _ in ("time", *TITLES)])
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


def read(path: Path) -> tuple[Columns, Layout]:
    """Every row of a file, unchecked but for what a single cell can tell. Raises BadPrices."""
    columns, layout = Columns(), None
    line, last = 1, b""
    try:
        with path.open("rb") as file:
            packed = _unpacked(file) if file.peek(2)[:2] == GZIP else None  # whatever its name says
            for piece in _pieces(packed or iter(lambda: file.read(PIECE), b"")):
                with _damage_named(packed or iter(())):
                    if layout is None:
                        layout = layout_of(path, piece)
                        line = layout.first_line
                        piece = piece.split(b"\n", line - 1)[-1].removeprefix(b"\xef\xbb\xbf")
                    if piece:
                        _take(path, columns, layout, piece, line)
                        line, last = line + piece.count(b"\n"), piece.rstrip().rpartition(b"\n")[2]
    except Torn as error:
        whole = f"after line {line - 1}, {last[:SHOWN_MAX].decode(errors='replace')!r}" if last else "before any candle"
        raise BadPrices(f"{path}, {whole}: the gzip is damaged or cut off ({error})") from None
    except OSError as error:
        raise BadPrices(f"{path}: {error.strerror or error}") from None
    if layout is None:
        raise BadPrices(f"{path}: the file is empty")
    if not columns.blocks[0]:
        raise BadPrices(f"{path}: no candles, only headings")
    last = columns.blocks[0][0][0] % SECOND  # no candle begins in the last instant of a second
    if layout.ends or last in (999_000, 999_999):
        _from_end_to_begin(path, columns)
    return columns, layout


@contextmanager
def _damage_named(rest: Iterator[bytes]) -> Iterator[None]:
    """A bad cell in a damaged gzip is most likely the damage; its checksum, at the end of the rest, knows."""
    try:
        yield
    except BadPrices as error:
        try:
            for _ in rest:
                pass
        except Torn as torn:
            raise BadPrices(f"{error}; and the gzip is damaged or cut off ({torn}), here or elsewhere") from None
        raise


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """One gzip after another, as far as it goes. Raises Torn after the last byte that can be had."""
    unpacker = zlib.decompressobj(wbits=31)
    while packed := file.read(PACKED):
        while packed:
            before = unpacker.copy()
            try:
                more = unpacker.decompress(packed)
            except zlib.error as error:
                yield _salvaged(before, packed)
                raise Torn(str(error)) from None
            yield more
            packed = unpacker.unused_data.lstrip(b"\0")
            if unpacker.eof and packed:
                unpacker = zlib.decompressobj(wbits=31)
    if not unpacker.eof:
        raise Torn("the end is missing")


def _salvaged(unpacker: "zlib._Decompress", packed: bytes) -> bytes:
    """What comes before the damage."""
    found = []
    try:
        for place in range(len(packed)):
            found.append(unpacker.decompress(packed[place : place + 1]))
    except zlib.error:
        pass
    return b"".join(found)


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines, about a megabyte at a time; every one ends with a bare newline, and no empty ones end the file."""
    rest = b""
    for more in chunks:
        whole, newline, rest = (rest + more).rpartition(b"\n")
        lines = (whole + newline).replace(b"\r\n", b"\n")
        body = lines.rstrip(b"\n")
        rest = lines[len(body) + 1 :] + rest
        if body:
            yield body + b"\n"
    if rest.strip():
        yield rest.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"


def _from_end_to_begin(path: Path, columns: Columns) -> None:
    """Times that say when candles end: at their last millisecond or microsecond, or with the next one's begin."""
    at = np.concatenate(columns.blocks[0])
    steps, counts = np.unique(np.abs(np.diff(at)), return_counts=True)
    if not len(steps):
        raise BadPrices(f"{path}: one candle is not enough to know how long it is")
    whole = ((1, SECOND), (1_000, SECOND), (SECOND, 60 * SECOND))
    after = next((short for short, full in whole if (at[0] + short) % full == 0), 0)
    columns.blocks[0] = [at + after - steps[counts.argmax()]]


def _take(path: Path, columns: Columns, layout: Layout, piece: bytes, line: int) -> None:
    """Add a piece of whole lines, all at once where they are plain."""
    try:
        block = digits.block_of(piece, layout.delimiter, layout.width)
        if block is None or not _take_at_once(columns, layout, block):
            _take_slowly(path, columns, layout, piece, line)
    except Unfit as error:
        raise BadPrices(f"{path}, from line {line} on: {error}") from None


def _take_at_once(columns: Columns, layout: Layout, block: digits.Block) -> bool:
    at = digits.times(block, layout.time)
    prices = [digits.numbers(block, place) for place in layout.prices]
    known = [one for one in prices if one is not None and one[1] <= DECIMALS_MAX]
    if at is None or len(known) < len(prices):
        return False
    columns.add(at, known)
    return True


def _take_slowly(path: Path, columns: Columns, layout: Layout, piece: bytes, line: int) -> None:
    """Row by row, to read what is unusual and to name what is wrong."""
    times: list[int] = []
    rows: list[list[Decimal]] = []
    text = piece.decode("utf-8", "replace").removesuffix("\n")
    for number, words in enumerate(text.split("\n"), start=line):
        place = f"{path}, line {number}"
        try:
            row = [cell.strip() for cell in next(csv.reader([words], delimiter=layout.delimiter), [])]
        except csv.Error as error:
            raise BadPrices(f"{place}: {error}") from None
        if len(row) <= max(*layout.time, *layout.prices):
            shown = layout.delimiter.join(row)[:SHOWN_MAX]
            raise BadPrices(f"{place}: {len(row)} columns instead of {layout.width}: {shown!r}")
        times.append(_time(" ".join(row[at] for at in layout.time), place))
        cells = zip(TITLES, layout.prices, strict=True)
        rows.append([_price(row[at], title, place) for title, at in cells])
    decimals = max(max(-int(price.as_tuple().exponent), 0) for row in rows for price in row)
    whole = [[int(price.scaleb(decimals)) for price in column] for column in zip(*rows, strict=True)]
    if max(map(max, whole)) > TICKS_MAX:
        raise Unfit(f"prices up to {max(map(max, rows)):f} and others with {decimals} decimals")
    prices = [(np.array(column, np.int64), decimals) for column in whole]
    columns.add(np.array(times, np.int64), prices)


def _price(cell: str, title: str, place: str) -> Decimal:
    try:
        if not cell.isascii() or "_" in cell:
            raise ValueError
        price = parse(cell)
    except ValueError:
        hint = "; decimals stand after a point here, and nothing between thousands" if "," in cell else ""
        raise BadPrices(f"{place}: {title} is {cell[:SHOWN_MAX]!r}, no number{hint}") from None
    if price <= 0:
        raise BadPrices(f"{place}: {title} is {cell[:SHOWN_MAX]}, not above zero")
    price = price.normalize()
    decimals = -int(price.as_tuple().exponent)
    if decimals > DECIMALS_MAX or price.adjusted() + decimals + 1 > digits.DIGITS_MAX - 2 or price.adjusted() > 12:
        raise BadPrices(f"{place}: {title} is {cell[:SHOWN_MAX]}: no price has so many digits")
    return price


def _time(cell: str, place: str) -> int:
    try:
        return instant_of(cell)
    except BadTime as error:
        raise BadPrices(f"{place}: time is {cell[:SHOWN_MAX]!r}{error}") from None


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
