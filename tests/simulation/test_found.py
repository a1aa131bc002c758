"""What seeds found: each story told again in a few lines, so that it stays mended."""

from decimal import Decimal

from dcabot.core.ledger import fold
from dcabot.core.lifecycle import on_position_differs
from dcabot.core.model import CycleStatus, OrderStatus
from tests.builders import START, make_cycle, make_order


def test_seed_3406_dust_that_lost_more_than_a_plausible_fee_to_rounding_was_not_sold_by_hand() -> None:
    """Two fills of 3e-9 each pay a fee of 1e-9, a third of what they bought; then the buy was cancelled."""
    base = make_order(filled="0.000000006", price="60004.575", quantity="0.00333294", status=OrderStatus.CANCELED)
    decision = on_position_differs(make_cycle(base), Decimal("0.000000004"), START)
    assert decision is not None
    assert (decision.cycle.status, decision.successor) == (CycleStatus.WATCHING, None)
    assert fold(decision.cycle.orders).held == Decimal("0.000000004")
