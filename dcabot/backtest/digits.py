"""Columns of text as whole numbers, many rows at once. Exact: a cell that is not plain digits is left to the slow way.

A block is a piece of a file: bytes of whole lines, each with the same number of cells and no quotes.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Column = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DIGITS_MAX = 18  # of a whole number of 64 bits
ZERO, DOT, NEWLINE = ord("0"), ord("."), ord("\n")
YEAR_2008, YEAR_2100 = 1_199_145_600, 4_102_444_800  # seconds since 1970: between them a coin has a price
# A day, a blank or T or what lies between two columns, and the hour in UTC.
FORM = re.compile(
    rb"\d{4}([-/.])\d\d\1\d\d[ T,;\t|]\d\d:\d\d(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?"
    rb"(?P<zone>Z| ?UTC|\+00:00)?"
)
DAYS_TO_1970 = 719_468  # from 1 March of the year 0; howardhinnant.github.io/date_algorithms.html


@dataclass(frozen=True, slots=True)
class Block:
    """The bytes, and where the cells of each row begin and end: two arrays of rows x columns."""

    raw: Bytes
    begins: Column
    ends: Column


def block_of(piece: bytes, delimiter: str, width: int) -> Block | None:
    """The cells of these lines; None when not every line has `width` of them."""
    raw = np.frombuffer(piece, np.uint8)
    if width < 2 or b'"' in piece:
        return None
    places = np.flatnonzero((raw == ord(delimiter)) | (raw == NEWLINE))
    if not len(places) or len(places) % width:
        return None
    ends = places.reshape(-1, width)
    is_newline = raw[ends] == NEWLINE
    if not is_newline[:, -1].all() or is_newline[:, :-1].any():
        return None
    begins = np.empty_like(ends)
    begins.flat[0] = 0
    begins.flat[1:] = places[:-1] + 1
    return Block(raw, begins, ends)


def numbers(block: Block, place: int) -> tuple[Column, int] | None:
    """A column of plain decimals as whole numbers, and how many decimals they have; None if any is something else."""
    begins, ends = block.begins[:, place], block.ends[:, place]
    lengths = ends - begins
    width = int(lengths.max())
    if not lengths.min() or width > DIGITS_MAX + 1:
        return None
    values = np.zeros(len(begins), np.int64)
    decimals = np.zeros(len(begins), np.int64)
    after_dot: Mask = np.zeros(len(begins), np.bool_)
    for back in range(width, 0, -1):
        inside = lengths >= back
        cell = block.raw[np.where(inside, ends - back, 0)]
        is_dot = inside & (cell == DOT)
        digit = cell - ZERO  # wraps around below zero
        is_digit = inside & (digit < 10)
        if (inside & ~is_digit & ~is_dot).any() or (is_dot & after_dot).any():
            return None
        values = np.where(is_digit, values * 10 + digit, values)
        decimals += is_digit & after_dot
        after_dot |= is_dot
    if (lengths == after_dot).any():  # a dot alone
        return None
    most = int(decimals.max())
    if width - 1 + most - int(decimals.min()) > DIGITS_MAX:
        return None
    return values * 10 ** (most - decimals), most


def times(block: Block, places: tuple[int, ...]) -> Column | None:
    """Microseconds since 1970 of a column, or of a day and an hour beside it; None if not all are of one usual form."""
    if places[-1] - places[0] != len(places) - 1:
        return None
    begins, ends = block.begins[:, places[0]], block.ends[:, places[-1]]
    length = int(ends[0] - begins[0])
    if (ends - begins != length).any():
        return None
    if len(places) == 1 and length <= 19 and (found := numbers(block, places[0])) is not None:
        return _of_numbers(*found)
    return _iso(block.raw, begins, length)


def _of_numbers(values: Column, decimals: int) -> Column | None:
    whole, rest = np.divmod(values, 10**decimals)
    unit = unit_of(int(whole.min()))
    if rest.any() or unit is None or unit_of(int(whole.max())) != unit:
        return None
    found: Column = whole * 1_000_000 // 1000**unit if unit < 2 else whole // 1000 ** (unit - 2)
    return found


def unit_of(number: int) -> int | None:
    """The power of a thousand by which it is finer than seconds since 1970; None where no unit makes a likely day."""
    return next((unit for unit in range(4) if YEAR_2008 <= number // 1000**unit < YEAR_2100), None)


def _iso(raw: Bytes, begins: Column, length: int) -> Column | None:
    """Day and hour in the usual form, all with the same signs and the same zone, which is UTC."""
    first = raw[begins[0] : begins[0] + length].tobytes()
    match = FORM.fullmatch(first)
    if match is None:
        return None
    cells = raw[begins[:, None] + np.arange(length)]
    here = cells[0]
    digits = (here >= ZERO) & (here < ZERO + 10)
    if match["zone"]:
        digits[match.start("zone") :] = False  # its digits must be the same too
    is_digit = (cells >= ZERO) & (cells < ZERO + 10)
    if not is_digit[:, digits].all() or (cells[:, ~digits] != here[~digits]).any():
        return None
    return _instants(cells - ZERO, *(match.end(name) - match.start(name) for name in ("second", "fraction")))


def _instants(cells: Bytes, seconds: int, fraction: int) -> Column | None:
    """Seconds and their fraction have so many digits."""

    def number(begin: int, end: int) -> Column:
        value = np.zeros(len(cells), np.int64)
        for place in range(begin, end):
            value = value * 10 + cells[:, place]
        return value

    year, month, day, hour, minute = (number(*at) for at in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16)))
    second = number(17, 17 + seconds)
    if (hour > 23).any() or (minute > 59).any() or (second > 59).any() or not _is_calendar(year, month, day):
        return None
    micros = number(20, 20 + fraction) * 10 ** (6 - fraction)
    # Count from 1 March, so that the leap day is a year's last.
    shifted = np.where(month > 2, month - 3, month + 9)
    year = year - (month <= 2)
    era = year // 400
    of_era = year - era * 400
    days = (
        era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + (153 * shifted + 2) // 5 + day - 1 - DAYS_TO_1970
    )
    found: Column = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros
    return found


def _is_calendar(year: Column, month: Column, day: Column) -> bool:
    """False when any of these days does not exist."""
    if (month < 1).any() or (month > 12).any() or (day < 1).any() or (year < 1).any():
        return False
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    lengths = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[month - 1] + (leap & (month == 2))
    return not (day > lengths).any()
