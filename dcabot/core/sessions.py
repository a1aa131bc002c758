"""The regular sessions of the stock exchange in New York, which date the expiry of orders. Pure.

Monday to Friday, 9:30 to 16:00, without the holidays by rule. Half days end at 16:00 here, and days
of mourning are not known.
"""

from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache

OPENS, CLOSES = time(9, 30), time(16)
DAY = timedelta(days=1)
MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6


def new_york(at: datetime) -> datetime:
    """Naive local time in New York."""
    return (at - timedelta(hours=_hours_behind(at))).replace(tzinfo=None)


def _hours_behind(at: datetime) -> int:
    """Summer is from the second Sunday of March to the first of November, since 2007."""
    begins = datetime.combine(_nth(at.year, 3, SUNDAY, 2), time(7), timezone.utc)
    ends = datetime.combine(_nth(at.year, 11, SUNDAY, 1), time(6), timezone.utc)
    return 4 if begins <= at < ends else 5


def utc(local: datetime) -> datetime:
    """A naive time of a New York day, which no change of the clocks meets, in UTC."""
    noon = datetime.combine(local.date(), time(17), timezone.utc)
    return local.replace(tzinfo=timezone.utc) + timedelta(hours=_hours_behind(noon))


def has_session(day: date) -> bool:
    return day.weekday() < SATURDAY and day not in _holidays(day.year)


def last_opened(now: datetime) -> date:
    """The date of the last session that had opened by now."""
    local = new_york(now)
    day = local.date() if local.time() >= OPENS else local.date() - DAY
    while not has_session(day):
        day -= DAY
    return day


def is_open(now: datetime) -> bool:
    local = new_york(now)
    return has_session(local.date()) and OPENS <= local.time() < CLOSES


def next_at(now: datetime, bell: time) -> datetime:
    """The next opening or closing after now, as naive New York time."""
    local = new_york(now)
    day = local.date()
    while not has_session(day) or datetime.combine(day, bell) <= local:
        day += DAY
    return datetime.combine(day, bell)


def close_after(now: datetime, days: int) -> datetime:
    """The hour of the close so many days after the last session that had opened, in UTC."""
    return utc(datetime.combine(last_opened(now) + days * DAY, CLOSES))


def _nth(year: int, month: int, weekday: int, number: int) -> date:
    """The first (1), second ... such day of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def _observed(day: date) -> date:
    """A holiday on Sunday is kept on Monday, one on Saturday on Friday."""
    return day + DAY if day.weekday() == SUNDAY else day - DAY if day.weekday() == SATURDAY else day


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[date]:
    new_year = date(year, 1, 1)
    last_of_may = _nth(year, 6, MONDAY, 1) - 7 * DAY
    fixed = [date(year, 7, 4), date(year, 12, 25)]
    if year >= 2022:
        fixed.append(date(year, 6, 19))
    return frozenset(
        {
            # On a Saturday it is not kept: the Friday before ends the year's books.
            new_year if new_year.weekday() == SATURDAY else _observed(new_year),
            _nth(year, 1, MONDAY, 3),
            _nth(year, 2, MONDAY, 3),
            _easter(year) - 2 * DAY,
            last_of_may,
            _nth(year, 9, MONDAY, 1),
            _nth(year, 11, THURSDAY, 4),
            *map(_observed, fixed),
        }
    )


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar, by the anonymous rule."""
    golden, century, rest = year % 19, year // 100, year % 100
    moon = (19 * golden + century - century // 4 - (8 * century + 13) // 25 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    shift = (golden + 11 * moon + 22 * sunday) // 451
    month, day = divmod(moon + sunday - 7 * shift + 114, 31)
    return date(year, month, day + 1)
