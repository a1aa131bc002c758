"""Coins that left the account: which of the exchange's fills count for a cycle, and which do not."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from dcabot.core.absence import departure, on_covered, on_departure
from dcabot.core.model import Cycle, CycleStatus, Decision, EndedBy, Side
from dcabot.core.money import ZERO
from dcabot.core.snapshot import Fill, Transfer
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


# Foreign coins beside the cycle: the owner's sales of them must not pass for a sale of the cycle's.


def booked(cycle: Cycle, shown: str, *fills: Fill) -> Decision | None:
    left_now = departure(cycle, fills, [], set())
    return on_departure(replace(cycle, missing_since=make_time(700)), Decimal(shown), left_now, make_time(800))


def beside(foreign: str, at: float = 600) -> Cycle:
    """A cycle of 0.2 coins, last seen whole with so many foreign coins beside it."""
    order = make_order(filled="0.2", fee_quantity=ZERO, created_at=make_time(0), closed_at=make_time(1))
    return make_cycle(order, covered_at=make_time(at), foreign=Decimal(foreign))


def by_hand(quantity: str, at: float, side: Side = Side.SELL) -> Fill:
    return Fill(f"by-hand-{at}", Decimal(quantity), Decimal(101), make_time(at), SYMBOL, side)


def test_sold_foreign_coins_explain_no_hiding() -> None:
    assert booked(beside("5"), "0", by_hand("5", 650)) is None
    assert booked(beside("5"), "0", by_hand("1", 650)) is None
    assert booked(beside("5"), "0.1", by_hand("1", 650)) is None


def test_all_coins_sold_is_explained() -> None:
    decision = booked(beside("5"), "0", by_hand("5.2", 650))
    assert decision is not None
    assert decision.cycle.ended_by is EndedBy.SOLD_OUTSIDE


def test_part_sold_with_foreign_coins() -> None:
    decision = booked(beside("5"), "0.1", by_hand("5.1", 650))
    assert decision is not None
    assert decision.cycle.status is CycleStatus.WATCHING
    assert decision.cycle.foreign == ZERO


def test_sale_near_the_last_look() -> None:
    """It was filled just before the position was seen whole: that position showed it or not."""
    early = by_hand("5", 570)
    assert booked(beside("0"), "0", early, by_hand("0.2", 650)) is not None
    assert booked(beside("5"), "0", early, by_hand("0.2", 650)) is not None
    assert booked(beside("0"), "0", early) is None


def test_position_read_between_two_moves() -> None:
    """Of what happened just before the last look, it may have shown the first and not the second."""
    sold, came = by_hand("7", 560), by_hand("5", 590, Side.BUY)
    assert booked(beside("0"), "0", sold, came, by_hand("5.2", 650)) is not None
    assert booked(beside("5"), "0", sold, came, by_hand("5.2", 650)) is not None
    assert booked(beside("0"), "0", sold, came) is None


def test_bought_by_hand_then_all_sold() -> None:
    """Alpaca keeps a fee of what was bought, so a little less could be sold."""
    bought = by_hand("4", 640, Side.BUY)
    assert booked(beside("0"), "0", bought, by_hand("4.19", 650)) is not None
    assert booked(beside("0"), "0", bought, by_hand("4", 650)) is None


def test_foreign_coins_are_written_when_they_change() -> None:
    cycle = beside("0")
    seen = on_covered(cycle, Decimal("3.2"), make_time(660))
    assert seen is not None
    assert (seen.cycle.foreign, seen.cycle.covered_at) == (Decimal(3), make_time(660))
    assert on_covered(seen.cycle, Decimal("3.2"), make_time(690)) is None


# Withdrawals that take their time: asked for before the position was seen whole, complete later.


def withdrawn(quantity: str, at: float, fee: str = "0") -> Transfer:
    coin = SYMBOL.partition("/")[0]
    return Transfer(coin, Decimal(quantity), True, True, make_time(at), Decimal(fee))


def taken(cycle: Cycle, shown: str, *transfers: Transfer) -> Decision | None:
    left_now = departure(cycle, [], transfers, set())
    missing = replace(cycle, missing_since=make_time(700))
    return on_departure(missing, Decimal(shown), left_now, make_time(800))


def test_withdrawal_complete_late_is_a_cause() -> None:
    for asked_at in (10, 300, 539, 570, 650):
        decision = taken(beside("0"), "0", withdrawn("0.2", asked_at))
        assert decision is not None
        assert decision.cycle.ended_by is EndedBy.WITHDRAWN
    assert taken(beside("0"), "0", withdrawn("0.1998", 300, fee="0.0002")) is not None
    assert taken(beside("5"), "0.1", withdrawn("5.1", 300)) is not None


def test_old_withdrawal_is_no_cause() -> None:
    """It left long ago: only one of exactly what is missing can be the one that took it."""
    assert taken(beside("0"), "0", withdrawn("0.199", 300)) is None
    assert taken(beside("5"), "0", withdrawn("5", 300)) is None
    assert taken(beside("0"), "0", withdrawn("0.2", -10)) is None  # before the cycle bought


def test_late_withdrawal_is_booked_once() -> None:
    first = taken(beside("0"), "0.1", withdrawn("0.1", 300))
    assert first is not None
    assert taken(first.cycle, "0", withdrawn("0.1", 300)) is None
    both = (withdrawn("0.1", 300), withdrawn("0.05", 310))
    second = taken(first.cycle, "0.05", *both)
    assert second is not None
    assert second.cycle.status is CycleStatus.WATCHING


# Another dcabot on the account: it sold the coins, and it is named.


def test_sale_of_another_dcabot_is_named() -> None:
    theirs = by_hand("0.2", 650)
    of_both = (by_hand("0.1", 650), by_hand("0.1", 660))
    cycle = replace(beside("0"), missing_since=make_time(700))
    others = {theirs.order_id: "x7q2"}
    for fills, said in (((theirs,), "sold by another"), (of_both, "sold in part by another")):
        left_now = departure(cycle, fills, [], set(), others)
        decision = on_departure(cycle, ZERO, left_now, make_time(800))
        assert decision is not None
        assert f"{said} dcabot on this account (ids of its orders: dcabot-x7q2-...)" in decision.reason
        assert decision.cycle.ended_by is EndedBy.SOLD_OUTSIDE
        assert decision.disables == "sold_by_other_dcabot"
