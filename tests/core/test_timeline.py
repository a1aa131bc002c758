"""A cycle as a timeline."""

from decimal import Decimal

from dcabot.core.model import CycleStatus, OrderStatus, Purpose
from dcabot.core.snapshot import Fill
from dcabot.core.timeline import timeline
from tests.builders import make_cycle, make_order, make_time


def test_every_order_fill_and_end_in_order() -> None:
    base = make_order(filled="0.2", price="100", created_at=1, closed_at=3, fee_quantity="0.0005", order_id="a")
    sale = make_order(Purpose.TAKE_PROFIT, filled="0.1995", price="102", created_at=10, closed_at=11, order_id="b")
    fills = {
        "a": [
            Fill("a", Decimal("0.1"), Decimal(100), make_time(2)),
            Fill("a", Decimal("0.1"), Decimal(100), make_time(3)),
        ]
    }
    cycle = make_cycle(base, sale, status=CycleStatus.COMPLETE, completed_at=11)
    told = [(one.what, one.quantity and str(one.quantity), one.at) for one in timeline(cycle, fills)]
    assert told == [
        ("cycle opened", None, make_time(0)),
        ("base: buy", "0.2", make_time(1)),
        ("fill", "0.1", make_time(2)),
        ("fill", "0.1", make_time(3)),
        ("filled; fee 0.0005 coins", "0.2", make_time(3)),
        ("take profit: sell at market", "0.1995", make_time(10)),
        ("filled", "0.1995", make_time(11)),
        ("cycle complete", None, make_time(11)),
    ]


def test_a_time_without_fractions_never_puts_the_end_before_the_last_event() -> None:
    base = make_order(filled="0.2", created_at=10.7, closed_at=10.9)
    cycle = make_cycle(base, status=CycleStatus.ERROR, completed_at=10, opened_at=10)
    assert [one.what for one in timeline(cycle, {})] == ["cycle opened", "base: buy", "filled", "cycle error"]


def test_open_orders_tell_how_far_they_are() -> None:
    waiting = make_order(created_at=1)
    partly = make_order(
        number=2, status=OrderStatus.PARTIALLY_FILLED, filled_quantity="0.1", filled_price="100", created_at=2,
        cancel_requested_at=5,
    )  # fmt: skip
    told = [one.what for one in timeline(make_cycle(waiting, partly), {})]
    assert told == ["cycle opened", "base: buy", "base: buy", "cancel asked for", "partially filled"]


def test_a_refusal_tells_its_reason() -> None:
    refused = make_order(status=OrderStatus.REJECTED, closed_at=2, note="insufficient balance")
    assert timeline(make_cycle(refused), {})[-1].what == "rejected: insufficient balance"
