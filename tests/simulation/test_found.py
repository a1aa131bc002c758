"""What seeds found: each story told again in a few lines, so that it stays mended."""

from decimal import Decimal

from dcabot.core.ledger import fold
from dcabot.core.lifecycle import on_short_position
from dcabot.core.model import CycleStatus, OrderStatus
from dcabot.core.quotes import Screen, remembered, screen
from dcabot.core.reconcile import Entry, Snapshot, unowned
from tests.builders import START, SYMBOL, make_asset, make_cycle, make_order, make_quote


def test_seed_3406_dust_that_lost_more_than_a_plausible_fee_to_rounding_was_not_sold_by_hand() -> None:
    """Two fills of 3e-9 each pay a fee of 1e-9, a third of what they bought; then the buy was cancelled."""
    base = make_order(filled="0.000000006", price="60004.575", quantity="0.00333294", status=OrderStatus.CANCELED)
    decision = on_short_position(make_cycle(base), Decimal("0.000000004"), START)
    assert decision is not None
    assert (decision.cycle.status, decision.successor) == (CycleStatus.WATCHING, None)
    assert fold(decision.cycle.orders).held == Decimal("0.000000004")


def test_seed_3596_a_cycle_that_holds_dust_does_not_own_the_coins_beside_it() -> None:
    """A base order filled 0.016 of 15945 and was cancelled; then 398 were bought by hand, and a base order went out."""
    base = make_order(filled="0.015945", price="0.012543", quantity="15945", status=OrderStatus.CANCELED)
    entry = Entry(make_asset(), make_cycle(base))
    held = Decimal("398.879907377")
    found = unowned([entry], Snapshot(START, (), {}, {SYMBOL: held}))
    assert found[SYMBOL] == held - Decimal("0.015945")  # its fee is not known yet


def test_seed_4619_a_first_quote_is_not_borne_out_by_being_looked_at_again() -> None:
    """The first quote of all was three times the price; what it bought was sold at once on that same quote."""
    first = make_quote(bid="0.7197", ask="0.7203")
    seen_twice = screen(screen(Screen(), first, first.at), first, first.at)
    assert not seen_twice.compared
    later = make_quote(bid="0.7195", ask="0.7201", at=1)
    assert screen(seen_twice, later, later.at).compared


def test_seed_1105_what_is_older_than_a_first_quote_decides_nothing() -> None:
    """The first quote bought; the next was seconds older, compared with the price paid, and believed."""
    first = make_quote(bid="0.7197", ask="0.7203", at=6)
    after = remembered(SYMBOL, first.ask, first.at)
    old = make_quote(bid="0.7208", ask="0.7214", at=1)
    assert screen(after, old, first.at).believed == after.believed
    later = make_quote(bid="0.7195", ask="0.7201", at=7)
    assert screen(after, later, later.at).believed == later
