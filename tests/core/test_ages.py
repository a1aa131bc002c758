"""Ages by a clock that was set back: none of them stands still until it has caught up."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.ages import SET_BACK, has_passed
from dcabot.core.exits import cancel_is_due
from dcabot.core.lifecycle import on_cooldown_over, on_stale
from dcabot.core.model import CycleStatus, OrderStatus, Refusal, Side
from dcabot.core.retry import is_backing_off
from tests.builders import make_asset, make_cycle, make_order, make_time

DAY = 86400.0


@given(st.integers(-300_000, 300_000), st.integers(1, 86_400))
def test_an_age_counts_from_the_past_and_from_no_future(age: int, limit: int) -> None:
    passed = has_passed(make_time(0), make_time(age), timedelta(seconds=limit))
    assert passed is (age >= limit or age < -SET_BACK.total_seconds())


@pytest.mark.parametrize(("ahead", "is_over"), [(DAY, True), (300, True), (30, False), (0, False)])
def test_what_a_clock_wrote_that_was_ahead_is_old(ahead: float, is_over: bool) -> None:
    """An hour's cooldown, a resting buy, a cancel that was asked for, a pause after a refusal."""
    now, then = make_time(1000), make_time(1000 + ahead)
    cooling = make_cycle(status=CycleStatus.COOLDOWN, cooldown_since=then, opened_at=then)
    assert (on_cooldown_over(make_asset(), cooling, now) is not None) is is_over
    buy = make_order(status=OrderStatus.ACCEPTED, created_at=then)
    assert (on_stale(make_cycle(buy), now, timedelta(seconds=300)) is not None) is is_over
    assert cancel_is_due(make_order(status=OrderStatus.ACCEPTED, cancel_requested_at=then), now) is is_over


@pytest.mark.parametrize(("ahead", "waits"), [(3 * DAY, False), (5, True)])
def test_a_pause_after_a_refusal_does_not_last_for_days(ahead: float, waits: bool) -> None:
    then = make_time(1000 + ahead)
    refused = make_order(
        status=OrderStatus.REJECTED, order_id=None, created_at=then, closed_at=then, refusal=Refusal.OTHER
    )
    assert is_backing_off(make_cycle(refused), Side.BUY, make_time(1000)) is waits
