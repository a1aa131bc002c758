"""The two tables, and the status that the facts give a cycle."""

from itertools import combinations

import pytest

from dcabot.core.model import CycleStatus, OrderStatus, Purpose
from dcabot.core.states import CYCLE_STEPS, OPEN, ORDER_STEPS, OVER, diagram, is_open, may_step, status_of
from tests.builders import make_cycle, make_order

C = CycleStatus
O = OrderStatus  # noqa: E741 - as in states.py


def test_each_table_has_a_line_for_every_status() -> None:
    assert set(ORDER_STEPS) == set(OrderStatus)
    assert set(CYCLE_STEPS) == set(CycleStatus)


def test_nothing_follows_a_filled_order_or_a_cycle_that_is_over() -> None:
    assert ORDER_STEPS[O.FILLED] == ()
    assert all(CYCLE_STEPS[status] == () for status in OVER)


def test_reports_move_an_order_one_way_only() -> None:
    """Any two reported statuses have one order between them, so no arrival order leads back."""
    reported = [status for status in OrderStatus if status not in {O.INTENDED, O.VOID}]
    for one, other in combinations(reported, 2):
        assert may_step(ORDER_STEPS, one, other) != may_step(ORDER_STEPS, other, one)


def test_only_an_order_that_may_still_be_open_becomes_void() -> None:
    assert {status for status in OrderStatus if O.VOID in ORDER_STEPS[status]} == OPEN


def test_a_void_order_that_surfaces_may_be_anything() -> None:
    assert set(ORDER_STEPS[O.VOID]) == set(OrderStatus) - {O.INTENDED, O.VOID}


def test_an_order_is_open_while_the_exchange_may_still_fill_it() -> None:
    assert {status for status in OrderStatus if is_open(make_order(status=status))} == OPEN
    assert frozenset({O.INTENDED, O.ACCEPTED, O.PARTIALLY_FILLED}) == OPEN


@pytest.mark.parametrize("status", [O.INTENDED, O.ACCEPTED, O.PARTIALLY_FILLED])
def test_an_open_order_makes_the_cycle_buying_or_selling(status: OrderStatus) -> None:
    assert status_of(make_cycle(make_order(status=status)), sold_out=False) is C.BUYING
    assert status_of(make_cycle(make_order(Purpose.TAKE_PROFIT, status=status)), sold_out=False) is C.SELLING


def test_an_open_buy_weighs_more_than_an_open_sell() -> None:
    both = make_cycle(make_order(Purpose.TAKE_PROFIT), make_order())
    assert status_of(both, sold_out=False) is C.BUYING


def test_a_cycle_that_sold_out_is_complete() -> None:
    assert status_of(make_cycle(make_order(filled="0.2")), sold_out=True) is C.COMPLETE


@pytest.mark.parametrize("over", sorted(OVER, key=str))
def test_a_cycle_that_is_over_stays_over(over: CycleStatus) -> None:
    assert status_of(make_cycle(make_order(), status=over), sold_out=False) is over


def test_a_cooldown_lasts_until_something_was_traded() -> None:
    assert status_of(make_cycle(status=C.COOLDOWN), sold_out=False) is C.COOLDOWN
    assert status_of(make_cycle(make_order(filled="0.2"), status=C.COOLDOWN), sold_out=False) is C.WATCHING


def test_a_buy_that_ended_unfilled_leaves_the_cycle_watching() -> None:
    assert status_of(make_cycle(make_order(status=O.CANCELED), status=C.BUYING), sold_out=False) is C.WATCHING


def test_the_diagram_has_one_arrow_for_every_step() -> None:
    lines = diagram(CYCLE_STEPS).splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert "    watching --> buying" in lines
    assert len(lines) == 1 + sum(len(steps) for steps in CYCLE_STEPS.values())
