"""Coins that left the account: which of the exchange's fills count for a cycle, and which do not."""

from datetime import datetime
from decimal import Decimal

from dcabot.core.absence import departure
from dcabot.core.model import Cycle, Side
from dcabot.core.money import ZERO
from dcabot.core.snapshot import Fill
from tests.builders import START, SYMBOL, make_cycle, make_order, make_time

PREVIOUS_SALE = "venue-of-the-cycle-before"


def sold(order_id: str, at: float) -> Fill:
    return Fill(order_id, Decimal("0.2"), Decimal(101), make_time(at), SYMBOL, Side.SELL)


def cycle_bought_at(at: float) -> Cycle:
    """A cycle that was opened at `START`, by the database's whole seconds."""
    return make_cycle(make_order(filled="0.2", created_at=make_time(at - 1), closed_at=make_time(at)))


def left(fill: Fill, ours: set[str], cycle: Cycle) -> Decimal:
    return departure(cycle, [fill], [], ours).total


def test_sale_of_cycle_before_is_no_cause() -> None:
    """It was filled within the second in which this cycle was opened, and before this one bought."""
    assert left(sold(PREVIOUS_SALE, 0.4), {PREVIOUS_SALE}, cycle_bought_at(2)) == ZERO


def test_late_sale_of_cycle_before_is_a_cause() -> None:
    assert left(sold(PREVIOUS_SALE, 5), {PREVIOUS_SALE}, cycle_bought_at(2)) == Decimal("0.2")


def test_sale_by_hand_is_a_cause() -> None:
    assert left(sold("by-hand", 5), set(), cycle_bought_at(2)) == Decimal("0.2")


def test_sale_before_the_cycle_is_no_cause() -> None:
    early: datetime = make_time(-3600)
    assert early < START
    assert left(sold("by-hand", -3600), set(), cycle_bought_at(2)) == ZERO
