"""Notices of a pair: since when its sale is wanted, when its last usable quote came, what failed."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.notices import COARSE, Notices
from tests.builders import START

PAIR = "BTC/USD"
STEP = timedelta(milliseconds=700)
quotes = st.lists(st.sampled_from(["reached", "below", "unusable"]), min_size=1, max_size=60)


@given(quotes)
def test_a_sale_is_wanted_since_its_unbroken_run(quotes: list[str]) -> None:
    notices, now = Notices(), START
    run_began: datetime | None = None
    for quote in quotes:
        now += STEP
        if quote == "unusable":  # says nothing of the price
            notices.unusable(PAIR, "too old", now)
        else:
            notices.judged(PAIR, now, is_reached=quote == "reached")
            run_began = (run_began or now) if quote == "reached" else None
        assert notices.of(PAIR, now).reached_at == run_began


@given(quotes)
def test_the_last_usable_quote_is_known_to_a_second(quotes: list[str]) -> None:
    notices, now = Notices(), START
    usable_at = notices.of(PAIR, now).usable_at
    for quote in quotes:
        now += STEP
        if quote == "unusable":
            notices.unusable(PAIR, "too old", now)
        else:
            notices.judged(PAIR, now, is_reached=False)
            usable_at = now
        noticed = notices.of(PAIR, now)
        assert usable_at - COARSE < noticed.usable_at <= usable_at
        assert noticed.unusable == ("too old" if quote == "unusable" else "")


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_failures_are_as_old_as_the_first_in_a_row(attempts: list[bool]) -> None:
    notices, now = Notices(), START
    since: datetime | None = None
    for is_good in attempts:
        now += STEP
        if is_good:
            notices.carried_out(PAIR)
        else:
            notices.failed(PAIR, "locked", now)
        since = None if is_good else since or now
        assert notices.of(PAIR, now).failing_since == since


def test_why_a_buy_waits_is_the_newest_reason() -> None:
    notices = Notices()
    notices.judged(PAIR, START, False, "the spread is 5 %", is_wide=True)
    notices.judged(PAIR, START, False, "waits for money")
    noticed = notices.of(PAIR, START)
    assert (noticed.waits, noticed.is_wide) == ("waits for money", False)
    notices.judged(PAIR, START, False)
    assert notices.of(PAIR, START).waits == ""


def test_a_pair_that_left_is_forgotten() -> None:
    notices = Notices()
    notices.failed(PAIR, "locked", START)
    notices.follow(["ETH/USD"])
    assert notices.of(PAIR, START).failing_since is None
