"""Columns of text as whole numbers, many rows at once. Exact: a cell that is not plain digits is left to the slow way.

A block is a piece of a file: bytes of whole lines, each with the same number of cells and no quotes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Column = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DIGITS_MAX = 18  # of a whole number of 64 bits
ZERO, DOT, NEWLINE = ord("0"), ord("."), ord("\n")
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


def times(block: Block, place: int) -> Column | None:
    """A column of times in microseconds since 1970; None if they are not all of one usual form."""
    begins, ends = block.begins[:, place], block.ends[:, place]
    length = int(ends[0] - begins[0])
    if (ends - begins != length).any():
        return None
    if length <= 19 and (found := numbers(block, place)) is not None:
        whole, decimals = found
        if decimals:
            return None
        largest = int(whole.max())
        scaled: Column = whole * scale_of(largest) // divisor_of(largest)
        return scaled
    return _iso(block.raw, begins, length)


def scale_of(number: int) -> int:
    """What makes microseconds of seconds or milliseconds since 1970, by their size."""
    return 1_000_000 if number < 10**11 else 1_000 if number < 10**14 else 1


def divisor_of(number: int) -> int:
    """What makes microseconds of nanoseconds."""
    return 1_000 if number >= 10**17 else 1


def _iso(raw: Bytes, begins: Column, length: int) -> Column | None:
    """YYYY-MM-DD, a blank or T, HH:MM, then perhaps :SS, .ffffff and Z or +00:00."""
    form = _form(raw[begins[0] : begins[0] + length].tobytes())
    if form is None:
        return None
    cells = raw[begins[:, None] + np.arange(length)]
    is_digit = (cells >= ZERO) & (cells < ZERO + 10)
    digits = np.array([sign == ord("0") for sign in form])
    if (is_digit != digits).any() or (cells[:, ~digits] != np.frombuffer(form, np.uint8)[~digits]).any():
        return None
    return _instants(cells - ZERO, form)


def _form(first: bytes) -> bytes | None:
    """The first time with a 0 for each digit, if this is a form that is known."""
    form = bytes(ZERO if 48 <= sign < 58 else sign for sign in first)
    for zone in (b"", b"Z", b"+00:00"):
        if not first.endswith(zone) or (not zone and first[16:17] not in (b"", b":")):
            continue
        bare = form[: len(form) - len(zone)]
        for gap in (b" ", b"T"):
            whole = b"0000-00-00" + gap + b"00:00:00"
            fraction = bare[20:]
            has_fraction = bare[:20] == whole + b"." and 1 <= len(fraction) <= 6 and not fraction.strip(b"0")
            if bare in (whole, whole[:16]) or has_fraction:
                return form
    return None


def _instants(cells: Bytes, form: bytes) -> Column | None:
    def number(begin: int, end: int) -> Column:
        value = np.zeros(len(cells), np.int64)
        for place in range(begin, end):
            value = value * 10 + cells[:, place]
        return value

    year, month, day, hour, minute = (number(*at) for at in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16)))
    second = number(17, 19) if form[16:17] == b":" else np.zeros_like(year)
    if (hour > 23).any() or (minute > 59).any() or (second > 59).any() or not _is_calendar(year, month, day):
        return None
    fraction = len(form[20:].rstrip(b"Z").removesuffix(b"+00:00")) if form[19:20] == b"." else 0
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
