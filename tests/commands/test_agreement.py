"""The comparison that the tests of real processes end with is known to bite."""

import pytest

from tests.agreement import disagreement
from tests.commands.seat import Seat
from tests.programs import Books

EDITS = {
    "UPDATE dca_orders SET filled_quantity = '0.000333276' WHERE id = 1": "is booked as",
    "UPDATE dca_orders SET filled_price = '60010.000000001' WHERE id = 1": "is booked as",
    "UPDATE dca_orders SET order_id = 'x' WHERE id = 1": "is booked as",
    "UPDATE dca_orders SET status = 'canceled' WHERE id = 1": "is booked as",
    "UPDATE dca_orders SET client_order_id = 'dcabot-x' WHERE id = 1": "the exchange never had it",
    "DELETE FROM dca_orders WHERE id = 1": "no row knows",
    "UPDATE dca_cycles SET quantity = '0.000332442' WHERE id = 2": "cycle 2 says",
    "UPDATE dca_cycles SET latest_order_id = NULL WHERE id = 2": "its latest order is None",
    "UPDATE dca_cycles SET completed_at = NULL WHERE id = 1": "cycle 1 is complete, completed at None",
    "UPDATE dca_assets SET last_sell_price = '61000.0000000001' WHERE id = 1": "was last sold at",
    "INSERT INTO dca_cycles (asset_id, status) VALUES (1, 'watching')": "has 2 current cycles",
}


@pytest.fixture
def twice(seat: Seat, small_books: Books) -> Seat:
    """One complete cycle, and one that holds a base order and a safety order."""
    small_books.add_asset(cooldown_period=0)
    for bid, ask in (("60000", "60010"), ("61000", "61010"), ("61000", "61010"), ("60000", "60010")):
        seat.trade(bid, ask)
    return seat


@pytest.mark.parametrize("edit", EDITS)
def test_a_difference_of_one_digit_in_any_table_is_named(twice: Seat, small_books: Books, edit: str) -> None:
    assert disagreement(twice.alpaca, small_books) == ""
    small_books.execute(edit)
    assert EDITS[edit] in disagreement(twice.alpaca, small_books)


def test_coins_that_no_cycle_holds_are_named(twice: Seat, small_books: Books) -> None:
    twice.alpaca.transfer("BTC", "0.000000001")
    assert "BTC/USD holds 0.000659438, the exchange 0.000659439" in disagreement(twice.alpaca, small_books)
