"""The sessions in New York, and the expiry of orders that they date: four recorded ones among it."""

from datetime import date, datetime, timedelta, timezone

import pytest

from dcabot.core.sessions import CLOSES, OPENS, close_after, has_session, is_open, next_at, utc
from dcabot.core.sessions import new_york as local


def at(words: str) -> datetime:
    return datetime.fromisoformat(words).replace(tzinfo=timezone.utc)


def naive(words: str) -> datetime:
    return datetime.fromisoformat(words)


@pytest.mark.parametrize(
    ("sent", "ends"),
    [
        ("2024-11-05T19:57:41", "2025-02-03T21:00:00"),  # recorded
        ("2024-11-06T17:42:21", "2025-02-04T21:00:00"),  # recorded
        ("2024-11-03T06:59:23", "2025-01-30T21:00:00"),  # recorded: a Sunday counts from Friday
        ("2026-09-18T13:24:50", "2026-12-16T21:00:00"),  # recorded: six minutes before the bell
        ("2026-09-18T13:30:00", "2026-12-17T21:00:00"),
        ("2026-05-04T15:00:00", "2026-08-02T20:00:00"),  # summer
        ("2026-11-27T01:00:00", "2027-02-23T21:00:00"),  # Thanksgiving has no session
    ],
)
def test_an_order_ends_90_days_after_the_last_session(sent: str, ends: str) -> None:
    assert close_after(at(sent), 90) == at(ends)


def test_the_holidays_of_2026_and_2027() -> None:
    weekdays = [day for number in range(730) if (day := date(2026, 1, 1) + timedelta(days=number)).weekday() < 5]
    closed = [f"{day:%Y-%m-%d}" for day in weekdays if not has_session(day)]
    assert closed == [
        *("2026-01-01", "2026-01-19", "2026-02-16", "2026-04-03", "2026-05-25", "2026-06-19"),
        *("2026-07-03", "2026-09-07", "2026-11-26", "2026-12-25"),
        *("2027-01-01", "2027-01-18", "2027-02-15", "2027-03-26", "2027-05-31", "2027-06-18"),
        *("2027-07-05", "2027-09-06", "2027-11-25", "2027-12-24"),
    ]


def test_new_year_on_a_saturday_is_not_kept() -> None:
    assert has_session(date(2021, 12, 31))


def test_local_time_changes_with_the_seasons() -> None:
    assert local(at("2026-03-08T06:59:59")) == naive("2026-03-08T01:59:59")
    assert local(at("2026-03-08T07:00:00")) == naive("2026-03-08T03:00:00")
    assert local(at("2026-11-01T05:59:59")) == naive("2026-11-01T01:59:59")
    assert local(at("2026-11-01T06:00:00")) == naive("2026-11-01T01:00:00")
    assert utc(naive("2026-07-01T16:00:00")) == at("2026-07-01T20:00:00")


def test_the_bells_ring_on_session_days_only() -> None:
    evening = at("2026-07-02T20:00:00")  # a Thursday; Friday is the holiday
    assert not is_open(evening)
    assert next_at(evening, OPENS) == naive("2026-07-06T09:30:00")
    assert next_at(evening, CLOSES) == naive("2026-07-06T16:00:00")
    assert is_open(at("2026-07-06T13:30:00"))
    assert next_at(at("2026-07-06T13:30:00"), CLOSES) == naive("2026-07-06T16:00:00")
