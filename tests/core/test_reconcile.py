"""The laws: our book beside the exchange's snapshot. Each is broken here once and mended by its own repair."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from dcabot.core.absence import Departure
from dcabot.core.ledger import fold
from dcabot.core.model import Cycle, CycleStatus, Decision, Order, OrderReport, OrderStatus, Purpose
from dcabot.core.reconcile import (
    LAWS,
    SURFACES_WITHIN,
    Discrepancy,
    Entry,
    Limits,
    Snapshot,
    booked,
    discrepancies,
    news,
    orphans,
    to_ask,
    unowned,
)
from tests.builders import SYMBOL, make_asset, make_cycle, make_order, make_report, make_time

D = Decimal
C = CycleStatus
O = OrderStatus  # noqa: E741 - as in states.py
INTENDED = make_order(status=O.INTENDED, order_id=None)
BOUGHT = make_order(filled="0.2", price="100", fee_quantity=0)


def entry_of(cycle: Cycle, **changes: Any) -> Entry:
    return Entry(make_asset(**changes), cycle)


def snapshot(
    *open_orders: OrderReport,
    at: float = 1000,
    answers: Mapping[str, OrderReport | None] | None = None,
    position: str | None = None,
    unread: bool = False,
) -> Snapshot:
    positions = {} if position is None else {SYMBOL: D(position)}
    return Snapshot(make_time(at), open_orders, answers or {}, positions, frozenset({SYMBOL} if unread else ()))


def broken(cycle: Cycle, seen: Snapshot, *laws: str, **asset: Any) -> Discrepancy | None:
    found = discrepancies([entry_of(cycle, **asset)], seen, Limits(), laws or tuple(LAWS))
    assert len(found) < 2
    return found[0] if found else None


def mended(one: Discrepancy | None, law: str) -> Decision:
    assert one is not None
    assert one.law == law
    decision = one.repair(one.entry.asset, one.entry.cycle)
    assert decision is not None
    return decision


# News


def test_a_fill_whose_message_was_lost_is_news() -> None:
    report = make_report(make_order())
    entry = entry_of(make_cycle(make_order(), status=C.BUYING))
    seen = snapshot(answers={report.client_order_id: report})
    assert news(entry, seen) == [report]
    after = booked(entry, seen)
    assert after.cycle.orders[0].status is O.FILLED
    assert news(after, seen) == []


def test_an_order_listed_as_open_is_news_when_the_book_does_not_know_it_was_accepted() -> None:
    report = make_report(INTENDED, O.ACCEPTED)
    assert news(entry_of(make_cycle(INTENDED)), snapshot(report)) == [report]
    assert news(entry_of(make_cycle(make_order())), snapshot(make_report(make_order(), O.ACCEPTED))) == []


def test_a_booked_entry_forgets_the_stored_columns_only_when_something_was_booked() -> None:
    entry = Entry(make_asset(), make_cycle(make_order()), fold([]))
    assert booked(entry, snapshot()) == entry
    assert booked(entry, snapshot(make_report(make_order(), O.PARTIALLY_FILLED, filled="0.1"))).stored is None


def test_several_reports_of_one_cycle_are_booked_together() -> None:
    safety = make_order(Purpose.SAFETY)
    seen = snapshot(make_report(make_order(), O.CANCELED, filled="0.1"), make_report(safety))
    after = booked(entry_of(make_cycle(make_order(), safety)), seen)
    assert [order.status for order in after.cycle.orders] == [O.CANCELED, O.FILLED]


# Which orders to ask for


def test_an_open_order_that_the_exchange_does_not_list_is_asked_for_by_name() -> None:
    book = [entry_of(make_cycle(make_order(), make_order(Purpose.SAFETY, filled="0.1")))]
    assert to_ask(book, [], make_time(0)) == [make_order().client_order_id]
    assert to_ask(book, [make_report(make_order(), O.ACCEPTED)], make_time(0)) == []


def test_a_void_order_is_asked_for_as_long_as_it_may_surface() -> None:
    void = make_order(status=O.VOID, created_at=0, closed_at=7200)  # denied long after it was made
    book = [entry_of(make_cycle(void))]
    end = make_time(7200) + SURFACES_WITHIN
    assert to_ask(book, [], end - timedelta(seconds=1)) == [void.client_order_id]
    assert to_ask(book, [], end) == []
    without_time = [entry_of(make_cycle(make_order(status=O.VOID)))]
    assert to_ask(without_time, [], make_time(0) + SURFACES_WITHIN) == []


# The laws


def test_law_absent_an_intent_that_the_exchange_denies_past_its_grace_is_void() -> None:
    denied = {INTENDED.client_order_id: None}
    cycle = make_cycle(INTENDED, status=C.BUYING)
    assert broken(cycle, snapshot(at=119, answers=denied)) is None
    one = broken(cycle, snapshot(at=120, answers=denied))
    assert mended(one, "absent").cycle.orders[0].status is O.VOID
    assert one is not None
    assert not one.needs_second_look


def test_law_absent_an_order_that_nobody_asked_for_is_not_absent() -> None:
    """A question that failed is no answer."""
    assert broken(make_cycle(INTENDED, status=C.BUYING), snapshot(at=9999)) is None


def test_law_absent_an_order_that_was_accepted_once_needs_a_second_look() -> None:
    """One odd answer would put a second buy beside a living one."""
    seen = snapshot(answers={make_order().client_order_id: None})
    one = broken(make_cycle(make_order(), status=C.BUYING), seen)
    assert one is not None
    assert one.needs_second_look
    assert one.key == make_order().client_order_id
    assert mended(one, "vanished").cycle.status is C.WATCHING


def test_law_stale_a_buy_left_behind_is_cancelled() -> None:
    cycle = make_cycle(make_order(), status=C.BUYING)
    assert broken(cycle, snapshot(at=299)) is None
    assert mended(broken(cycle, snapshot(at=300)), "stale").cancel == (make_order(),)


def test_law_cooldown_ends_when_its_time_has_passed() -> None:
    cycle = make_cycle(status=C.COOLDOWN, cooldown_since=0)
    assert broken(cycle, snapshot(at=299)) is None
    assert mended(broken(cycle, snapshot(at=300)), "cooldown").cycle.status is C.WATCHING


def test_law_cooldown_looks_at_the_settings_as_they_are_when_it_is_mended() -> None:
    one = broken(make_cycle(status=C.COOLDOWN, cooldown_since=0), snapshot(at=300))
    assert one is not None
    assert one.repair(make_asset(cooldown_seconds=301), one.entry.cycle) is None


def test_law_fees_the_position_tells_what_can_be_sold() -> None:
    cycle = make_cycle(make_order(filled="0.2"))
    holding = fold(mended(broken(cycle, snapshot(position="0.1995")), "fees").cycle.orders)
    assert (holding.held, holding.settled) == (D("0.1995"), True)


def test_law_missing_needs_a_second_look_and_suspends() -> None:
    one = broken(make_cycle(BOUGHT), snapshot())
    assert one is not None
    assert one.needs_second_look
    cycle = mended(one, "missing").cycle
    assert (cycle.status, cycle.missing_since, cycle.shown) == (C.WATCHING, make_time(1000), 0)
    assert fold(cycle.orders) == fold([BOUGHT])


def test_law_missing_another_figure_is_the_same_trouble() -> None:
    keys = {broken(make_cycle(BOUGHT), snapshot(position=held)).key for held in ("0.1", "0.05")}  # type: ignore[union-attr]
    assert len(keys) == 1


def test_law_missing_ends_when_the_coins_are_back() -> None:
    lost = mended(broken(make_cycle(BOUGHT), snapshot()), "missing").cycle
    back = mended(broken(lost, snapshot(position="0.2")), "covered").cycle
    assert (back.missing_since, back.shown, back.covered_at) == (None, None, make_time(1000))
    assert broken(back, snapshot(position="0.2")) is None


def test_law_departed_asks_for_an_answer() -> None:
    lost = mended(broken(make_cycle(BOUGHT), snapshot()), "missing").cycle
    assert broken(lost, snapshot()) is None
    explained = replace(snapshot(), departures={SYMBOL: Departure(D("0.2"))})
    assert mended(broken(lost, explained), "departed").cycle.status is C.COMPLETE


@pytest.mark.parametrize("cycle", [make_cycle(BOUGHT), make_cycle(make_order(filled="0.2"))])
def test_laws_fees_and_missing_a_row_that_could_not_be_read_is_not_an_empty_position(cycle: Cycle) -> None:
    assert broken(cycle, snapshot(unread=True)) is None
    assert snapshot(unread=True).position(SYMBOL) is None
    assert snapshot().position(SYMBOL) == 0


@pytest.mark.parametrize("held", ["0.1995", "0.1"])
def test_laws_fees_and_missing_a_cycle_that_moved_since_the_snapshot_is_left_for_the_next(held: str) -> None:
    one = broken(make_cycle(make_order(filled="0.2")), snapshot(position=held))
    assert one is not None
    assert one.repair(make_asset(), one.entry.cycle.with_order(make_order(Purpose.SAFETY))) is None


@pytest.mark.parametrize("wrong", [C.BUYING, C.SELLING, C.COOLDOWN])
def test_law_columns_a_status_that_the_orders_do_not_give_is_recomputed(wrong: CycleStatus) -> None:
    decision = mended(broken(make_cycle(BOUGHT, status=wrong), snapshot(at=0, position="0.2")), "columns")
    assert decision.cycle.status is C.WATCHING


def test_law_columns_stored_figures_that_differ_are_recomputed() -> None:
    for stored, order_id in ((fold([]), BOUGHT.order_id), (fold([BOUGHT]), "an id that never existed")):
        entry = Entry(make_asset(), make_cycle(BOUGHT), stored, order_id)
        (one,) = discrepancies([entry], snapshot(position="0.2"), Limits())
        assert mended(one, "columns").cycle == entry.cycle
    true = Entry(make_asset(), make_cycle(BOUGHT, covered_at=make_time(1000)), fold([BOUGHT]), BOUGHT.order_id)
    assert discrepancies([true], snapshot(position="0.2"), Limits()) == []


def test_law_columns_a_cycle_found_sold_out_is_completed() -> None:
    sold = make_order(Purpose.TAKE_PROFIT, filled="0.2", price="102")
    decision = mended(broken(make_cycle(BOUGHT, sold, status=C.SELLING), snapshot()), "columns")
    assert (decision.successor, decision.last_sell_price) == (C.COOLDOWN, D(102))


@pytest.mark.parametrize("over", [C.COMPLETE, C.ERROR])
def test_no_law_wakes_a_cycle_that_is_over(over: CycleStatus) -> None:
    assert broken(make_cycle(BOUGHT, status=over), snapshot()) is None


def test_one_trouble_of_a_cycle_at_a_time_in_the_order_of_the_laws() -> None:
    cycle = make_cycle(INTENDED, status=C.WATCHING)
    seen = snapshot(answers={INTENDED.client_order_id: None})
    assert [one.law for one in discrepancies([entry_of(cycle)], seen, Limits())] == ["absent"]


def test_only_the_laws_asked_for_are_looked_at() -> None:
    seen = snapshot(answers={INTENDED.client_order_id: None})
    assert broken(make_cycle(INTENDED, status=C.BUYING), seen, "stale", "cooldown") is None


def test_mending_until_nothing_is_left_leaves_nothing_to_mend() -> None:
    """Every repair mends what it names: looking again finds another trouble or none."""
    cycle = make_cycle(make_order(filled="0.2"), status=C.BUYING)
    seen = snapshot(position="0.1996")
    laws: list[str] = []
    while (one := broken(cycle, seen)) and len(laws) < 10:
        laws.append(one.law)
        cycle = mended(one, one.law).cycle
    assert laws == ["fees"]
    assert cycle.status is C.WATCHING


# Coins and orders that are nobody's


def owners(*cycles: Cycle) -> list[Entry]:
    return [entry_of(cycle) for cycle in cycles]


def test_coins_that_no_cycle_owns_are_told_by_symbol() -> None:
    assert unowned(owners(make_cycle()), snapshot(position="0.5")) == {SYMBOL: D("0.5")}
    assert unowned(owners(make_cycle()), snapshot()) == {SYMBOL: D(0)}


def test_a_cycle_owns_what_it_bought_and_no_more() -> None:
    assert unowned(owners(make_cycle(BOUGHT)), snapshot(position="0.5")) == {SYMBOL: D("0.3")}


def test_what_a_cycle_that_is_over_left_behind_is_nobodys() -> None:
    over, current = make_cycle(BOUGHT, status=C.ERROR), make_cycle(id=2)
    assert unowned(owners(over, current), snapshot(position="0.5")) == {SYMBOL: D("0.5")}
    assert unowned(owners(over), snapshot(position="0.5")) == {}


def test_coins_are_unknown_where_the_position_was_not_read() -> None:
    assert unowned(owners(make_cycle()), snapshot(unread=True)) == {}


def stranger(name: str) -> OrderReport:
    return make_report(make_order(client_order_id=name), O.ACCEPTED)


@pytest.mark.parametrize(
    ("policy", "cancelled"), [("own", ["dcabot-9-1-base-1"]), ("all", ["dcabot-9-1-base-1", "by-hand"]), ("none", [])]
)
def test_untracked_orders_are_treated_as_the_policy_says(policy: str, cancelled: list[str]) -> None:
    ours, theirs, tracked = stranger("dcabot-9-1-base-1"), stranger("by-hand"), stranger("dcabot-1-1-base-1")
    cancel, report = orphans(snapshot(ours, tracked, theirs), ["dcabot-1-1-base-1"], policy)
    assert [one.client_order_id for one in cancel] == cancelled
    assert {one.client_order_id for one in cancel + report} == {"dcabot-9-1-base-1", "by-hand"}


@pytest.mark.parametrize(
    ("name", "is_orphan"),
    [("dcabot-abc-9-1-base-1", True), ("dcabot-xyz-9-1-base-1", False), ("dcabot-lost", True)],
)
def test_orphan_has_our_prefix_and_no_other_tag(name: str, is_orphan: bool) -> None:
    cancel, _ = orphans(snapshot(stranger(name)), [], "own", "abc")
    assert [one.client_order_id for one in cancel] == ([name] if is_orphan else [])


def test_an_order_that_a_cycle_waits_for_is_never_an_orphan() -> None:
    tracked: Order = make_order()
    seen = snapshot(make_report(tracked, O.ACCEPTED))
    assert orphans(seen, [tracked.client_order_id], "all") == ([], [])
