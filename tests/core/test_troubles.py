"""Troubles and notes: what is told, from when on, and what a person can do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.model import Cycle, Order, OrderStatus, Purpose, Refusal
from dcabot.core.reconcile import Entry
from dcabot.core.troubles import (
    PATIENCE,
    Condition,
    Contact,
    Kind,
    Noticed,
    Trouble,
    lasting,
    of_contact,
    of_pair,
    of_unreadable,
    refused_in_a_row,
    remembered,
)
from tests.builders import START, make_asset, make_cycle, make_order, make_time

BOUGHT = make_order(filled="0.2", price="100", fee_quantity="0.0005")


def refused(number: int, at: float, refusal: Refusal, purpose: Purpose, note: str) -> Order:
    return make_order(
        purpose,
        number=number,
        status=OrderStatus.REJECTED,
        order_id=None,
        created_at=at,
        closed_at=at,
        refusal=refusal,
        note=note,
    )


def refusals(
    count: int, refusal: Refusal = Refusal.OTHER, purpose: Purpose = Purpose.BASE, note: str = "no"
) -> tuple[Order, ...]:
    """So many in a row, each as soon as the pause before it allows: at 0, 1, 3, 7 ... seconds."""
    return tuple(refused(n, 2**n - 1, refusal, purpose, note) for n in range(count))


def told(cycle: Cycle, at: float, seen: Noticed | None = None, **asset: Any) -> list[Trouble]:
    """What is told of this cycle so many seconds after the start, if it was so all the time."""
    now = make_time(at)
    conditions = of_pair(Entry(make_asset(**asset), cycle), seen or Noticed(now), now)
    first = remembered({}, conditions, START)
    return lasting(conditions, remembered(first, conditions, now), now)


def kinds(troubles: list[Trouble]) -> list[Kind]:
    return [one.kind for one in troubles]


# Ages.


@given(st.sampled_from(Kind), st.integers(0, 100_000))
def test_a_condition_is_told_from_its_patience_on(kind: Kind, seconds: int) -> None:
    found = [Condition(kind, "so it is", asset="BTC/USD", since=START)]
    now = make_time(seconds)
    troubles = lasting(found, remembered({}, found, now), now)
    assert bool(troubles) == (timedelta(seconds=seconds) >= PATIENCE[kind])


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 100)), max_size=50))
def test_what_is_seen_is_as_old_as_its_unbroken_run(looks: list[tuple[bool, int]]) -> None:
    since: dict[str, Any] = {}
    now, run_began = START, None
    for is_so, seconds in looks:
        now += timedelta(seconds=seconds)
        run_began = (run_began or now) if is_so else None
        found = [Condition(Kind.SUSPENDED, "it is", asset="BTC/USD")] if is_so else []
        since = remembered(since, found, now)
        assert since.get("suspended BTC/USD") == run_began


@given(st.integers(1, 1000))
def test_a_time_in_the_future_counts_from_now(seconds: int) -> None:
    found = [Condition(Kind.SALE, "not sold", since=make_time(seconds))]
    assert remembered({}, found, START) == {"sale": START}


# The exchange as a whole.


def test_keys_that_are_refused_are_told_at_once() -> None:
    contact = Contact(START, failure="HTTP 401", keys_refused="Alpaca does not accept the API keys")
    (found,) = of_contact(contact)
    assert (found.kind, PATIENCE[found.kind]) == (Kind.KEYS, timedelta())
    assert "restart dcabot" in found.remedy


def test_a_blocked_account_is_told_at_once() -> None:
    (found,) = of_contact(Contact(START, obstacle="the account is blocked"))
    assert (found.kind, found.sentence) == (Kind.ACCOUNT, "Alpaca: the account is blocked")


def test_a_failed_reconciliation_is_as_old_as_the_last_good_one() -> None:
    (found,) = of_contact(Contact(START, failure="HTTP 503"))
    assert (found.kind, found.since) == (Kind.RECONCILIATION, START)
    assert "HTTP 503" in found.sentence


def test_a_good_reconciliation_is_no_condition() -> None:
    assert of_contact(Contact(START)) == []


def test_a_row_that_cannot_be_read_is_told() -> None:
    (found,) = of_unreadable({"BTC/USD": "dca_orders: x: unknown status"})
    assert (found.kind, found.asset) == (Kind.UNREADABLE, "BTC/USD")


# A pair.


def test_a_healthy_pair_has_nothing_to_tell() -> None:
    assert told(make_cycle(BOUGHT), 10_000) == []
    assert told(make_cycle(), 10_000) == []


@pytest.mark.parametrize(("seconds", "is_told"), [(119, False), (120, True)])
def test_a_wanted_sale_is_told_after_two_minutes(seconds: int, is_told: bool) -> None:
    seen = Noticed(make_time(seconds), reached_at=START)
    assert kinds(told(make_cycle(BOUGHT), seconds, seen)) == [Kind.SALE] * is_told


@pytest.mark.parametrize(
    ("refusal", "words", "remedy"),
    [
        (Refusal.WASH_TRADE, "an open buy order of yours", "buy orders of BTC/USD"),
        (Refusal.INSUFFICIENT_BALANCE, "an open sell order of yours", "sell orders of BTC/USD"),
        (Refusal.OTHER, "Alpaca refuses it: liquidation only", "Ask Alpaca"),
    ],
)
def test_a_sale_names_what_is_in_its_way(refusal: Refusal, words: str, remedy: str) -> None:
    sells = refusals(8, refusal, Purpose.TAKE_PROFIT, "liquidation only")
    (trouble,) = told(make_cycle(BOUGHT, *sells), 200, Noticed(make_time(200), reached_at=START))
    assert words in trouble.sentence and remedy in trouble.remedy


def test_a_sale_that_meets_an_error_names_it() -> None:
    seen = Noticed(make_time(200), START, START, "the row is locked")
    troubles = told(make_cycle(BOUGHT), 200, seen)
    assert kinds(troubles) == [Kind.DECISION, Kind.SALE]
    assert all("the row is locked" in one.sentence for one in troubles)


@pytest.mark.parametrize(("seconds", "is_told"), [(59, False), (60, True)])
def test_a_decision_that_fails_is_told_after_a_minute(seconds: int, is_told: bool) -> None:
    seen = Noticed(make_time(seconds), failing_since=START, failure="the row is locked")
    assert kinds(told(make_cycle(), seconds, seen)) == [Kind.DECISION] * is_told


def test_an_order_without_an_answer_is_told_after_a_minute() -> None:
    order = make_order(status=OrderStatus.INTENDED, order_id=None)
    (trouble,) = told(make_cycle(order), 61)
    assert trouble.kind is Kind.DECISION and order.client_order_id in trouble.sentence


@pytest.mark.parametrize("refusal", [*Refusal])
def test_a_buy_refused_for_a_minute_is_told_unless_money_lacks(refusal: Refusal) -> None:
    tries = refusals(7, refusal)  # the last at 63 s
    expected = [] if refusal is Refusal.INSUFFICIENT_BALANCE else [Kind.DECISION]
    assert kinds(told(make_cycle(*tries), 64)) == expected


def test_a_refused_buy_whose_price_has_gone_is_no_trouble() -> None:
    tries = refusals(7)
    assert told(make_cycle(*tries), 63 + 64 + 61) == []


@given(st.integers(1, 10), st.integers(0, 4000))
def test_a_run_of_refusals_is_as_old_as_its_first(count: int, later: int) -> None:
    """And a run of long ago does not make the one of today older."""
    old, tries = refusals(2), refusals(count)
    moved = tuple(
        replace(
            one,
            client_order_id=f"{one.client_order_id}-again",
            created_at=one.created_at + timedelta(seconds=later + 1),
            closed_at=one.created_at + timedelta(seconds=later + 1),
        )
        for one in tries
    )
    run = refused_in_a_row(make_cycle(*old, *moved), moved[-1].side, moved[-1].created_at)
    assert run[-1] == moved[-1]
    assert run[0] == (old[0] if later <= 660 else moved[0])


@pytest.mark.parametrize(("seconds", "is_told"), [(299, False), (300, True)])
def test_a_position_without_quotes_is_told_after_five_minutes(seconds: int, is_told: bool) -> None:
    seen = Noticed(START, unusable="quotes come 75 s old; this machine's clock is probably wrong")
    troubles = told(make_cycle(BOUGHT), seconds, seen)
    assert kinds(troubles) == [Kind.QUOTES] * is_told
    assert all("clock" in one.sentence for one in troubles)


def test_a_suspended_asset_is_a_trouble_while_it_has_coins() -> None:
    assert kinds(told(make_cycle(BOUGHT), 0, held_back="renamed")) == [Kind.SUSPENDED]
    assert kinds(told(make_cycle(), 0, held_back="renamed")) == [Kind.CANNOT_BUY]
    assert told(make_cycle(), 0, held_back="renamed", enabled=False) == []


def test_bad_buy_settings_are_a_note() -> None:
    troubles = told(make_cycle(BOUGHT), 0, held_back="base_order_amount 5", sells_on=True)
    assert kinds(troubles) == [Kind.CANNOT_BUY]
    assert not troubles[0].kind.is_trouble


@pytest.mark.parametrize(("seconds", "is_told"), [(299, False), (300, True)])
def test_an_absence_is_told_after_five_minutes(seconds: int, is_told: bool) -> None:
    cycle = make_cycle(BOUGHT, missing_since=START)
    assert kinds(told(cycle, seconds)) == [Kind.ABSENCE] * is_told


def test_a_sale_that_an_absence_forbids_is_told_as_the_absence() -> None:
    cycle = make_cycle(BOUGHT, missing_since=START)
    assert kinds(told(cycle, 400, Noticed(make_time(400), reached_at=START))) == [Kind.ABSENCE]


@pytest.mark.parametrize("enabled", [True, False])
def test_waiting_is_a_note_of_enabled_assets(enabled: bool) -> None:
    seen = Noticed(START, waits="waits for money")
    troubles = told(make_cycle(), 0, seen, enabled=enabled)
    assert kinds(troubles) == [Kind.CANNOT_BUY] * enabled
    assert not any(one.kind.is_trouble for one in troubles)
