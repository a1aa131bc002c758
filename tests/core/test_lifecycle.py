"""What reports, refusals, absences, positions and time do to a cycle."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from dcabot.core.ledger import fold
from dcabot.core.lifecycle import (
    foreign_coins,
    merge,
    on_absent,
    on_cooldown_over,
    on_position,
    on_refused,
    on_report,
    on_short_position,
    on_stale,
    on_unknown_fee,
    settle_status,
)
from dcabot.core.model import Cycle, CycleStatus, Decision, EndedBy, Order, OrderStatus, Purpose, Side
from dcabot.core.retry import backoff_until
from dcabot.core.snapshot import Refused
from dcabot.core.states import OPEN
from tests.builders import make_asset, make_cycle, make_order, make_report, make_time

D = Decimal
C = CycleStatus
O = OrderStatus  # noqa: E741 - as in states.py
NOW = make_time(1000)
GRACE = timedelta(seconds=120)
INTENDED = make_order(status=O.INTENDED, order_id=None)


def only_order(decision: Decision | None) -> Order:
    assert decision is not None
    (order,) = decision.cycle.orders
    return order


def held_cycle(*later: Order, **changes: Any) -> Cycle:
    """0.2 bought at 100, position read, nothing lost to fees."""
    return make_cycle(make_order(filled="0.2", price="100", fee_quantity=0), *later, **changes)


# Reports


def test_a_fill_is_booked_with_its_price_and_ends_the_order() -> None:
    decision = on_report(make_cycle(INTENDED, status=C.BUYING), make_report(INTENDED, at=7), NOW)
    order = only_order(decision)
    assert (order.status, order.filled_quantity, order.filled_price) == (O.FILLED, D("0.2"), D("100.10"))
    assert order.closed_at == make_time(7)
    assert order.order_id == f"venue-of-{INTENDED.client_order_id}"
    assert decision is not None
    assert decision.cycle.status is C.WATCHING
    assert decision.reason == "base order filled, 0.2 of 0.2 at 100.1"


def test_a_report_that_comes_twice_changes_nothing() -> None:
    first = on_report(make_cycle(INTENDED), make_report(INTENDED), NOW)
    assert first is not None
    assert on_report(first.cycle, make_report(INTENDED), NOW) is None


def test_a_report_of_somebody_elses_order_changes_nothing() -> None:
    assert on_report(make_cycle(), make_report(INTENDED), NOW) is None


def test_an_older_report_does_not_take_back_a_fill() -> None:
    part = make_report(INTENDED, O.PARTIALLY_FILLED, filled="0.1")
    done = on_report(make_cycle(INTENDED), make_report(INTENDED), NOW)
    assert done is not None
    assert on_report(done.cycle, part, NOW) is None


def test_a_report_of_acceptance_that_tells_of_a_fill_is_a_partial_fill() -> None:
    order = merge(INTENDED, make_report(INTENDED, O.ACCEPTED, filled="0.1"))
    assert (order.status, order.filled_quantity) == (O.PARTIALLY_FILLED, D("0.1"))


def test_a_fill_reported_after_the_cancel_is_booked() -> None:
    cancelled = make_order(status=O.CANCELED, closed_at=5)
    order = merge(cancelled, make_report(cancelled, O.CANCELED, filled="0.1", at=6))
    assert (order.status, order.filled_quantity, order.closed_at) == (O.CANCELED, D("0.1"), make_time(6))


@pytest.mark.parametrize("status", [O.FILLED, O.PARTIALLY_FILLED, O.CANCELED])
def test_a_fill_without_a_price_neither_counts_nor_ends_the_order(status: OrderStatus) -> None:
    """An order that is over is never asked for again: its fill would be lost."""
    assert merge(make_order(), make_report(make_order(), status, filled="0.1", filled_price=None)) == make_order()


def test_a_fill_of_nothing_does_not_end_the_order() -> None:
    assert merge(make_order(), make_report(make_order(), O.FILLED, filled="0")) == make_order()


def test_a_buy_that_grew_has_a_fee_to_be_read_anew() -> None:
    read = make_order(status=O.CANCELED, filled_quantity="0.1", filled_price="100", fee_quantity="0.0001")
    assert merge(read, make_report(read, O.CANCELED, filled="0.2")).fee_quantity is None
    assert merge(read, make_report(read, O.CANCELED, filled="0.1")).fee_quantity == D("0.0001")


def test_a_rejection_by_the_exchange_keeps_its_words() -> None:
    decision = on_report(make_cycle(make_order()), make_report(make_order(), O.REJECTED, note="no money"), NOW)
    assert decision is not None
    assert decision.reason == "base order rejected (no money)"
    assert only_order(decision).note == "no money"


def test_rule_4_the_fill_of_the_sell_completes_the_cycle_and_opens_a_cooldown() -> None:
    sell = make_order(Purpose.TAKE_PROFIT)
    report = make_report(sell, price="101.5")
    decision = on_report(held_cycle(sell, status=C.SELLING), report, NOW)
    assert decision is not None
    assert (decision.cycle.status, decision.cycle.completed_at) == (C.COMPLETE, NOW)
    assert decision.cycle.ended_by is EndedBy.TAKE_PROFIT
    assert (decision.successor, decision.last_sell_price) == (C.COOLDOWN, D("101.5"))
    told = "; cycle complete: +0.24 USD (+1.20 %) after fees of 0.06 USD"
    assert decision.reason.endswith(told)


def test_rule_4_a_cycle_is_completed_once() -> None:
    sell = make_order(Purpose.TAKE_PROFIT)
    first = on_report(held_cycle(sell, status=C.SELLING), make_report(sell), NOW)
    assert first is not None
    again = settle_status(first.cycle, "looked again", NOW)
    assert (again.cycle, again.successor, again.last_sell_price) == (first.cycle, None, None)


@pytest.mark.parametrize("status", [O.CANCELED, O.EXPIRED, O.REJECTED])
def test_rule_4_a_sell_that_ends_early_leaves_the_rest_watching(status: OrderStatus) -> None:
    sell = make_order(Purpose.TAKE_PROFIT)
    decision = on_report(held_cycle(sell, status=C.SELLING), make_report(sell, status, filled="0.15"), NOW)
    assert decision is not None
    assert (decision.cycle.status, decision.successor) == (C.WATCHING, None)
    assert fold(decision.cycle.orders).held == D("0.05")


def test_rule_6_a_buy_that_ends_unfilled_leaves_the_cycle_watching() -> None:
    decision = on_report(make_cycle(make_order(), status=C.BUYING), make_report(make_order(), O.CANCELED), NOW)
    assert decision is not None
    assert decision.cycle.status is C.WATCHING
    assert not fold(decision.cycle.orders).held


def test_rule_6_a_partly_filled_base_order_is_a_held_position() -> None:
    decision = on_report(make_cycle(make_order()), make_report(make_order(), O.CANCELED, filled="0.05"), NOW)
    assert decision is not None
    holding = fold(decision.cycle.orders)
    assert (holding.held, holding.last_buy_price) == (D("0.05") - D("0.000125"), D("100.10"))


def test_rule_6_a_partly_filled_safety_order_counts_as_one() -> None:
    safety = make_order(Purpose.SAFETY)
    decision = on_report(held_cycle(safety), make_report(safety, O.CANCELED, filled="0.05"), NOW)
    assert decision is not None
    assert fold(decision.cycle.orders).safety_count == 1


# Refusals and absences


def test_rule_8_a_refused_order_is_over_and_says_why() -> None:
    decision = on_refused(
        make_cycle(INTENDED, status=C.BUYING), INTENDED.client_order_id, Refused("insufficient balance"), NOW
    )
    order = only_order(decision)
    assert (order.status, order.closed_at, order.note) == (O.REJECTED, NOW, "insufficient balance")
    assert decision is not None
    assert decision.cycle.status is C.WATCHING
    assert decision.reason == "base order refused: insufficient balance"
    assert backoff_until(decision.cycle, Side.BUY) == NOW + timedelta(seconds=1)


def test_a_refusal_that_comes_after_news_of_the_order_changes_nothing() -> None:
    """The stream was faster than the answer, or the refusal was heard before."""
    for order in (make_order(), make_order(filled="0.2"), make_order(status=O.REJECTED)):
        assert on_refused(make_cycle(order), order.client_order_id, Refused("late"), NOW) is None
    assert on_refused(make_cycle(), INTENDED.client_order_id, Refused("nobody's"), NOW) is None


def test_a_refusal_in_the_log_names_its_request() -> None:
    answer = Refused("HTTP 403: no", request_id="0f3a")
    decision = on_refused(make_cycle(INTENDED), INTENDED.client_order_id, answer, NOW)
    assert decision is not None
    assert decision.reason.endswith("order refused: HTTP 403: no (X-Request-ID 0f3a)")
    assert decision.cycle.orders[-1].note == "HTTP 403: no"  # the same refusal again is the same


def test_an_order_the_exchange_denies_is_void_only_after_its_grace() -> None:
    cycle = make_cycle(INTENDED, status=C.BUYING)
    assert on_absent(cycle, INTENDED.client_order_id, make_time(119), GRACE) is None
    decision = on_absent(cycle, INTENDED.client_order_id, make_time(120), GRACE)
    order = only_order(decision)
    assert (order.status, order.closed_at, order.note) == (O.VOID, make_time(120), "unknown to the exchange")
    assert decision is not None
    assert decision.cycle.status is C.WATCHING
    assert "unknown to Alpaca 120 s after it was intended" in decision.reason


def test_an_order_that_is_over_or_unknown_does_not_become_void() -> None:
    over = make_order(status=O.CANCELED)
    assert on_absent(make_cycle(over), over.client_order_id, NOW, GRACE) is None
    assert on_absent(make_cycle(), over.client_order_id, NOW, GRACE) is None


def test_a_void_order_that_surfaces_is_cancelled_and_the_cancel_is_on_record() -> None:
    void = make_order(status=O.VOID, order_id=None, closed_at=120, note="unknown to the exchange")
    decision = on_report(make_cycle(void), make_report(void, O.ACCEPTED), NOW)
    order = only_order(decision)
    assert (order.status, order.closed_at, order.note) == (O.ACCEPTED, None, "")
    assert order.cancel_requested_at == NOW
    assert decision is not None
    (cancelled,) = decision.cancel
    assert cancelled.order_id == f"venue-of-{void.client_order_id}"
    assert decision.cycle.status is C.BUYING
    assert decision.reason == "base order accepted, after it was void: cancel it"


def test_a_void_order_that_surfaces_filled_is_booked() -> None:
    void = make_order(status=O.VOID, order_id=None)
    decision = on_report(make_cycle(void), make_report(void), NOW)
    assert decision is not None
    assert decision.cancel == ()
    assert fold(decision.cycle.orders).held


def test_a_report_of_a_cycle_that_is_over_is_booked_and_leaves_it_over() -> None:
    late = make_order(status=O.VOID)
    decision = on_report(make_cycle(late, status=C.ERROR), make_report(late), NOW)
    assert decision is not None
    assert (decision.cycle.status, decision.successor) == (C.ERROR, None)
    assert only_order(decision).status is O.FILLED


# Time


def test_rule_5_a_cooldown_is_over_when_its_seconds_have_passed_since_the_last_cycle_was_completed() -> None:
    cycle = make_cycle(status=C.COOLDOWN, cooldown_since=100, opened_at=150)
    assert on_cooldown_over(make_asset(), cycle, make_time(399)) is None
    decision = on_cooldown_over(make_asset(), cycle, make_time(400))
    assert decision is not None
    assert decision.cycle.status is C.WATCHING
    assert decision.reason == "cooldown of 300 s is over"


def test_rule_5_a_cooldown_with_no_completed_cycle_before_it_counts_from_its_opening() -> None:
    cycle = make_cycle(status=C.COOLDOWN, opened_at=150)
    assert on_cooldown_over(make_asset(), cycle, make_time(449)) is None
    assert on_cooldown_over(make_asset(), cycle, make_time(450))


def test_rule_5_only_a_cooldown_can_be_over() -> None:
    assert on_cooldown_over(make_asset(), make_cycle(), NOW) is None


def test_a_buy_open_longer_than_the_limit_is_cancelled_once_in_half_a_minute() -> None:
    limit = timedelta(seconds=300)
    buy = make_order()
    assert on_stale(make_cycle(buy), make_time(299), limit) is None
    decision = on_stale(make_cycle(buy), make_time(300), limit)
    assert decision is not None
    assert decision.cancel == (buy,)
    assert decision.reason == f"buy open longer than 300 s, cancelling: {buy.client_order_id}"
    assert on_stale(decision.cycle, make_time(329), limit) is None
    assert on_stale(decision.cycle, make_time(330), limit)


def test_whatever_is_open_of_a_cycle_that_is_over_is_cancelled_until_it_is_gone() -> None:
    """Simulation seed 33907: a sale given up came late, and its one cancel was lost."""
    sell = make_order(Purpose.TAKE_PROFIT, status=O.PARTIALLY_FILLED, order_id="v1")
    over = make_cycle(sell, status=C.COMPLETE)
    decision = on_stale(over, NOW, timedelta(seconds=300))
    assert decision is not None and decision.cancel[0].client_order_id == sell.client_order_id
    assert on_stale(decision.cycle, NOW + timedelta(seconds=29), timedelta(seconds=300)) is None
    assert on_stale(decision.cycle, NOW + timedelta(seconds=30), timedelta(seconds=300)) is not None
    assert on_stale(make_cycle(sell, status=C.SELLING), NOW + timedelta(hours=1), timedelta(seconds=300)) is None


@pytest.mark.parametrize("order", [make_order(Purpose.TAKE_PROFIT), make_order(filled="0.2"), INTENDED])
def test_sells_finished_buys_and_buys_not_known_to_be_accepted_are_never_stale(order: Order) -> None:
    assert on_stale(make_cycle(order), NOW, timedelta(seconds=300)) is None


# Positions


def test_the_fee_of_a_buy_is_learnt_from_the_position() -> None:
    decision = on_position(make_cycle(make_order(filled="0.2")), D("0.1996"), NOW)
    assert only_order(decision).fee_quantity == D("0.0004")
    assert decision is not None
    holding = fold(decision.cycle.orders)
    assert (holding.held, holding.settled) == (D("0.1996"), True)
    assert decision.reason == "0.1996 held after a fee of 0.0004"


def test_a_position_without_a_fee_is_learnt_too() -> None:
    assert only_order(on_position(make_cycle(make_order(filled="0.2")), D("0.2"), NOW)).fee_quantity == 0


def test_rest_of_the_earlier_cycle_is_taken() -> None:
    cycle = make_cycle(make_order(filled="0.2", price="100"), inherited=D("0.0094"))
    assert foreign_coins(make_cycle(inherited=D("0.0094")), D("0.0094")) == 0
    decision = on_position(cycle, D("0.2094"), NOW)
    assert only_order(decision).fee_quantity == D("-0.0094")  # 94 cents
    assert decision is not None
    later = decision.cycle.with_order(make_order(Purpose.SAFETY, filled="0.1", price="100"))
    assert on_position(later, D("0.3188"), NOW) is None  # it is taken once


def test_dust_that_no_cycle_left_is_foreign() -> None:
    cycle = make_cycle(make_order(filled="0.2", price="100"))
    assert on_position(cycle, D("0.2094"), NOW) is None
    assert foreign_coins(cycle, D("0.2094")) == D("0.0094")


def test_fee_beside_foreign_coins_is_learnt_from_the_change() -> None:
    cycle = make_cycle(make_order(filled="0.2", price="100", foreign_quantity=D(5)))
    assert only_order(on_position(cycle, D("5.1995"), NOW)).fee_quantity == D("0.0005")


@pytest.mark.parametrize("position", ["0.2001", "1", "60"])
def test_fee_hidden_by_foreign_coins_is_the_worst(position: str) -> None:
    cycle = make_cycle(make_order(filled="0.2", price="100"))
    assert on_position(cycle, D(position), NOW) is None
    decision = on_unknown_fee(cycle, D(position), NOW)
    assert only_order(decision).fee_quantity == D("0.0005")
    assert decision is not None and fold(decision.cycle.orders).held == D("0.1995")
    assert on_unknown_fee(decision.cycle, D(position), NOW) is None


def test_fee_is_the_worst_when_foreign_coins_went() -> None:
    """Simulation seed 184: foreign coins were there when the buy was written, and were sold."""
    cycle = make_cycle(make_order(filled="0.2", price="100", foreign_quantity=D(1)))
    decision = on_unknown_fee(cycle, D("0.1999"), NOW)
    assert decision is not None and fold(decision.cycle.orders).held == D("0.1995")


def test_a_position_that_is_no_larger_hides_no_fee() -> None:
    for position in ("0.2", "0.1995", "0.198"):
        assert on_unknown_fee(make_cycle(make_order(filled="0.2", price="100")), D(position), NOW) is None
    assert on_unknown_fee(held_cycle(), D(5), NOW) is None


def test_fees_of_several_buys_sum_to_what_is_missing() -> None:
    buys = [make_order(filled="0.2"), make_order(Purpose.SAFETY, filled="0.4")]
    decision = on_position(make_cycle(*buys), D("0.5987"), NOW)
    assert decision is not None
    assert [order.fee_quantity for order in decision.cycle.orders] == [D("0.0005"), D("0.0008")]


def test_a_known_fee_stays_when_the_next_one_is_learnt() -> None:
    buys = [make_order(filled="0.2", fee_quantity="0.0003"), make_order(Purpose.SAFETY, filled="0.4")]
    decision = on_position(make_cycle(*buys), D("0.5987"), NOW)
    assert decision is not None
    assert [order.fee_quantity for order in decision.cycle.orders] == [D("0.0003"), D("0.0010")]


def test_coins_sold_are_not_taken_for_a_fee() -> None:
    sold = make_order(Purpose.TAKE_PROFIT, status=O.CANCELED, filled_quantity="0.1", filled_price="101")
    decision = on_position(held_cycle(sold, make_order(Purpose.SAFETY, filled="0.4")), D("0.499"), NOW)
    assert decision is not None
    assert decision.cycle.orders[-1].fee_quantity == D("0.001")


def test_as_much_as_one_percent_may_be_a_fee() -> None:
    assert only_order(on_position(make_cycle(make_order(filled="0.2")), D("0.198"), NOW)).fee_quantity == D("0.002")


def test_the_fee_of_the_smallest_fill_may_be_all_of_it() -> None:
    smallest = make_order(status=O.CANCELED, filled_quantity="0.000000001", filled_price="100")
    assert only_order(on_position(make_cycle(smallest), D(0), NOW)).fee_quantity == D("0.000000001")


@pytest.mark.parametrize("position", ["0", "0.197999999", "0.21", "1"])
def test_a_difference_that_is_no_fee_teaches_nothing(position: str) -> None:
    assert on_position(make_cycle(make_order(filled="0.2", price="100")), D(position), NOW) is None


def test_a_position_teaches_nothing_while_an_order_is_open_or_when_the_cycle_is_over_or_all_is_known() -> None:
    unread = make_order(filled="0.2")
    for cycle in (make_cycle(unread, make_order(Purpose.SAFETY)), make_cycle(unread, status=C.ERROR), held_cycle()):
        assert on_position(cycle, D("0.1996"), NOW) is None


def test_learning_the_fee_of_a_late_buy_can_complete_the_cycle() -> None:
    """What is left is dust once the fee is known: nothing else would look at the status."""
    late = make_order(status=O.VOID, quantity="0.01", price="100", number=2)
    late = merge(late, make_report(late, filled="0.0101", price="100"))
    sold = make_order(Purpose.TAKE_PROFIT, filled="0.2", price="100")
    decision = on_position(held_cycle(sold, late), D("0.0099995"), NOW)
    assert decision is not None
    assert (decision.cycle.status, decision.successor) == (C.COMPLETE, C.COOLDOWN)


def test_a_larger_position_is_never_the_cycles() -> None:
    for position in ("0.3", "60"):
        for learn in (on_position, on_short_position, on_unknown_fee):
            assert learn(held_cycle(), D(position), NOW) is None
        assert foreign_coins(held_cycle(), D(position)) == D(position) - D("0.2")


@pytest.mark.parametrize("position", ["0.190000001", "0.199999999"])
def test_less_than_a_dollar_that_is_lacking_is_a_fee(position: str) -> None:
    unfilled = make_order(Purpose.SAFETY, status=O.CANCELED)
    decision = on_short_position(held_cycle(unfilled), D(position), NOW)
    assert decision is not None
    assert fold(decision.cycle.orders).held == D(position)
    assert [order.fee_quantity for order in decision.cycle.orders] == [D("0.2") - D(position), None]
    assert on_short_position(decision.cycle, D(position), NOW) is None


@pytest.mark.parametrize("position", ["0", "0.1", "0.19", "0.2", "0.3"])
def test_a_dollar_or_more_that_is_lacking_is_no_fee(position: str) -> None:
    assert on_short_position(held_cycle(), D(position), NOW) is None


def test_no_position_speaks_while_an_order_is_open() -> None:
    for cycle in (held_cycle(make_order(Purpose.SAFETY)), held_cycle(status=C.COMPLETE)):
        assert on_short_position(cycle, D("0.1999"), NOW) is None


def test_the_rest_of_a_sale_goes_to_the_successor() -> None:
    sell = make_order(Purpose.TAKE_PROFIT)
    decision = on_report(held_cycle(sell, status=C.SELLING), make_report(sell, filled="0.199", price="100"), NOW)
    assert decision is not None and decision.successor is C.COOLDOWN
    assert decision.inherited == D("0.001")


def test_no_open_status_is_left_out_of_the_tests_here() -> None:
    assert {O.INTENDED, O.ACCEPTED, O.PARTIALLY_FILLED} == OPEN
