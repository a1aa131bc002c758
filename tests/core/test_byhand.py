"""Sold by hand, handed over by hand: each next step, and what is waited for."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from dcabot.core.byhand import adoption_obstacle, awaited, on_adopt, on_close, on_release
from dcabot.core.model import Cycle, CycleStatus, OrderStatus, Purpose, Side
from tests.builders import make_cycle, make_instrument, make_order, make_time

BTC = make_instrument()
NOW = make_time(100)


def held(**changes: object) -> Cycle:
    """0.1995 coins in one settled base order."""
    return make_cycle(make_order(filled="0.2", fee_quantity="0.0005"), **changes)  # type: ignore[arg-type]


def test_a_position_is_sold_whatever_the_price() -> None:
    decision = on_close(held(), BTC, NOW)
    assert decision is not None
    (order,) = decision.submit
    assert (order.side, str(order.quantity), order.limit_price) == (Side.SELL, "0.199500000", None)
    assert decision.cycle.status is CycleStatus.SELLING
    assert decision.reason == "closed by hand: sell 0.1995"
    assert "waiting for dcabot-1-" in awaited(decision.cycle, BTC, NOW)
    assert on_close(decision.cycle, BTC, NOW) is None


def test_more_than_one_order_may_sell_is_sold_in_parts() -> None:
    large = make_cycle(make_order(filled="5", price="100000", fee_quantity=0))
    decision = on_close(large, BTC, NOW)
    assert decision is not None
    assert decision.submit[0].quantity == 1
    order = replace(decision.submit[0], status=OrderStatus.FILLED, filled_quantity=Decimal(1), filled_price=Decimal(1))
    again = on_close(large.with_order(order), BTC, NOW)
    assert again is not None
    assert again.submit[0].quantity == 1


def test_an_open_buy_is_cancelled_first_and_asked_for_once() -> None:
    buying = held().with_order(make_order(Purpose.SAFETY))
    decision = on_close(buying, BTC, NOW)
    assert decision is not None
    assert [order.purpose for order in decision.cancel] == [Purpose.SAFETY]
    assert not decision.submit
    assert on_close(decision.cycle, BTC, NOW) is None
    assert awaited(decision.cycle, BTC, NOW).endswith("to be cancelled")


def test_a_sell_that_hangs_on_the_collar_is_sold_on() -> None:
    hanging = held().with_order(make_order(Purpose.TAKE_PROFIT))
    assert on_close(hanging, BTC, make_time(59)) is None
    decision = on_close(hanging, BTC, make_time(60))
    assert decision is not None
    assert len(decision.cancel) == 1


def test_a_position_that_is_not_known_yet_is_waited_for() -> None:
    fresh = make_cycle(make_order(filled="0.2"))
    assert on_close(fresh, BTC, NOW) is None
    assert awaited(fresh, BTC, NOW) == "waiting for Alpaca to show the position"


def test_a_refused_sell_waits_its_turn() -> None:
    refused = make_order(Purpose.TAKE_PROFIT, status=OrderStatus.REJECTED, closed_at=100, note="no", order_id=None)
    cycle = held().with_order(refused)
    assert on_close(cycle, BTC, NOW) is None
    assert awaited(cycle, BTC, NOW) == "the sell was refused (no); the next try is due at 00:01:41 UTC"
    later = NOW + timedelta(seconds=1)
    assert awaited(cycle, BTC, later) == "about to sell"
    assert on_close(cycle, BTC, later) is not None


def test_nothing_held_and_a_cycle_that_is_over_need_nothing() -> None:
    for cycle in (make_cycle(), held(status=CycleStatus.COMPLETE), held(status=CycleStatus.ERROR)):
        assert on_close(cycle, BTC, NOW) is None
        assert on_release(cycle, NOW) is None
        assert awaited(cycle, BTC, NOW) == ""


def test_a_handover_ends_the_cycle_without_a_sale() -> None:
    decision = on_release(held(), NOW)
    assert decision is not None
    assert not decision.submit
    assert (decision.cycle.status, decision.cycle.completed_at) == (CycleStatus.COMPLETE, NOW)
    assert decision.successor is CycleStatus.WATCHING
    assert decision.last_sell_price is None
    assert "0.1995 BTC/USD unsold" in decision.reason


def test_a_handover_cancels_open_orders_first() -> None:
    buying = held().with_order(make_order(Purpose.SAFETY))
    decision = on_release(buying, NOW)
    assert decision is not None
    assert len(decision.cancel) == 1
    assert decision.cycle.status is not CycleStatus.COMPLETE
    assert on_release(decision.cycle, NOW) is None


def lost() -> Cycle:
    return replace(held(), status=CycleStatus.ERROR, completed_at=NOW)


def test_a_lost_position_that_alpaca_shows_can_be_taken_back() -> None:
    assert adoption_obstacle(lost(), [make_cycle(id=2)], Decimal("0.1995")) == ""
    assert adoption_obstacle(lost(), [make_cycle(id=2)], Decimal("0.1")) == ""


def test_what_stands_in_the_way_of_taking_a_position_back() -> None:
    there, watching = Decimal("0.1995"), make_cycle(id=2)
    assert "Alpaca shows 0 BTC/USD" in adoption_obstacle(lost(), [watching], Decimal(0))
    assert "Alpaca shows 0.000001" in adoption_obstacle(lost(), [watching], Decimal("0.000001"))
    assert "did not end in error" in adoption_obstacle(held(), [watching], there)
    assert "did not end in error with coins" in adoption_obstacle(replace(lost(), orders=()), [watching], there)
    waiting, holding = replace(watching, orders=(make_order(),)), replace(watching, orders=held().orders)
    assert "cycle 2 of BTC/USD waits for an order" in adoption_obstacle(lost(), [waiting], there)
    assert "cycle 2 of BTC/USD came later and bought" in adoption_obstacle(lost(), [holding, watching], there)


def test_a_position_taken_back_goes_on_where_it_was() -> None:
    current = make_cycle(*held().orders, id=2, status=CycleStatus.COOLDOWN)
    decision = on_adopt(current, lost(), NOW)
    assert decision.cycle.status is CycleStatus.WATCHING
    assert decision.reason == "took back 0.1995 BTC/USD of cycle 1, which had ended in error"
    assert not decision.submit
    assert decision.successor is None
