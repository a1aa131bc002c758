"""When a person is told: at once, after an hour, once a day, and when it is over."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.telling import (
    DAY,
    FAILURE_PAUSES,
    HOUR,
    MAILS_AN_HOUR,
    Told,
    is_due,
    may_mail,
    tell,
    told_again,
)

START = datetime(2026, 11, 30, 3, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
NAMES = ("sale BTC/USD", "keys", "quotes ETH/USD")


def told_at(minutes: int, pauses: tuple[timedelta, ...]) -> list[timedelta]:
    """When a trouble is told that lasts this long and is looked at each minute."""
    told: Told | None = None
    times = []
    for minute in range(minutes):
        now = START + minute * MINUTE
        if is_due(told, now, pauses):
            told = told_again(told, now)
            times.append(now - START)
    return times


def test_at_once_after_an_hour_then_daily() -> None:
    assert told_at(3 * 24 * 60, (HOUR, DAY)) == [0 * HOUR, HOUR, HOUR + DAY, HOUR + 2 * DAY]


def test_a_failure_is_told_every_hour() -> None:
    assert told_at(4 * 60, FAILURE_PAUSES) == [0 * HOUR, HOUR, 2 * HOUR, 3 * HOUR]


def test_a_clock_set_back_silences_nothing() -> None:
    assert is_due(Told(START, 7), START - DAY)


looks = st.lists(st.tuples(st.sets(st.sampled_from(NAMES)), st.integers(1, 90)), max_size=60)


@given(looks)
def test_each_trouble_begins_and_ends_aloud(looks: list[tuple[set[str], int]]) -> None:
    told: Mapping[str, Told] = {}
    before: set[str] = set()
    now = START
    for names, minutes in looks:
        now += minutes * MINUTE
        telling = tell(told, sorted(names), now)
        assert names - before <= set(telling.due) <= names
        assert set(telling.over) == before - names
        assert telling.told.keys() == names
        told, before = telling.told, names


@given(st.lists(st.integers(0, 20), min_size=1, max_size=200))
def test_no_hour_has_more_mails_than_the_ceiling(pauses: list[int]) -> None:
    now = START
    mailed: list[datetime] = []
    for minutes in pauses:
        now += minutes * MINUTE
        if may_mail(mailed, now):
            mailed.append(now)
        assert sum(now - HOUR < at <= now for at in mailed) <= MAILS_AN_HOUR
