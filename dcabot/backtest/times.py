"""A cell that says when, as microseconds since 1970. What could be two different times is refused.

A plain number is seconds, milliseconds, microseconds or nanoseconds, whichever makes it a day from 2008 to 2100; eight
digits are a date. A date has its year first, or dots (day first), or the month's name. No zone means UTC.
"""

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from dcabot.backtest import digits
from dcabot.backtest.candles import microseconds

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
CLOCK = (
    r"(?:(?:T|,? )(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?)?"
    r"(?:[ -]?(?P<half>[AP]M))?)?"
)
ZONE = r"(?: ?(?:Z|UTC|GMT)?(?P<zone>[+-]\d\d(?::?\d\d)?)?)"
DATES = (
    r"(?P<year>\d{4})(?P<sign>[-/.])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",
    r"(?P<day>\d{1,2})[ -](?P<name>[a-z]{3,9})\.?[ -](?P<year>\d{4})",
    r"(?P<name>[a-z]{3,9})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})",
)
FORMS = tuple(re.compile(date + CLOCK + ZONE, re.ASCII | re.IGNORECASE) for date in DATES)
COMPACT = re.compile(r"(\d{8})[T ]?(\d\d)(\d\d)(\d\d)?(Z?)", re.ASCII)
NUMBER = re.compile(r"\d{9,19}(?:\.\d{1,6})?", re.ASCII)
UNCLEAR = re.compile(r"\d{1,2}([-/])\d{1,2}\1\d{2,4}(?!\d)", re.ASCII)
LIKE = "write it like 2022-01-31 23:59:00 or 1643673540"


class BadTime(ValueError):
    """Not a time, or nobody can say which; the message goes on from the cell."""


def instant_of(cell: str) -> int:
    """Microseconds since 1970. Raises BadTime."""
    if NUMBER.fullmatch(cell) and (unit := digits.unit_of(int(Decimal(cell)))) is not None:
        return int(Decimal(cell) * 1_000_000 / 1000**unit)
    if match := COMPACT.fullmatch(cell):
        date, hour, minute, second, zone = match.groups()
        cell = f"{date} {hour}:{minute}:{second or '00'}{zone}"
    match = next((found for form in FORMS if (found := form.fullmatch(cell))), None)
    if match is None:
        unclear = "; the day or the month may come first" if UNCLEAR.match(cell) else ""
        raise BadTime(f"{unclear}; {LIKE}")
    try:
        return _of_parts(match.groupdict())
    except (ValueError, OverflowError) as error:
        raise BadTime(f": {error}") from None


def _of_parts(parts: dict[str, str | None]) -> int:
    name = parts.get("name")
    if name is not None and name[:3].lower() not in MONTHS:
        raise ValueError(f"{name} is no month")
    month = int(parts.get("month") or 0) if name is None else MONTHS.index(name[:3].lower()) + 1
    hour, half = int(parts["hour"] or 0), (parts["half"] or "").upper()
    if half and not 1 <= hour <= 12:
        raise ValueError(f"there is no {hour} {half}")
    if parts["hour"] and not (half or parts["minute"]):
        raise ValueError("an hour without minutes")
    at = datetime(
        int(parts["year"] or 0),
        month,
        int(parts["day"] or 0),
        hour % 12 + (12 if half == "PM" else 0) if half else hour,
        int(parts["minute"] or 0),
        int(parts["second"] or 0),
        int((parts["fraction"] or "")[:6].ljust(6, "0")),
        timezone.utc,
    )
    return microseconds(at - _offset(parts["zone"] or "+00"))


def _offset(zone: str) -> timedelta:
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].lstrip(":") or 0))
    return -size if zone[0] == "-" else size
