"""Dollars that a cycle brought, and what a sale now would make of them."""

from dataclasses import replace
from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.ledger import fold
from dcabot.core.model import Order, Purpose
from dcabot.core.money import ZERO, step_down
from dcabot.core.profit import in_words, outcome, profit, profit_if_sold, result
from tests.builders import make_order

STEP = D("0.000000001")
CENT = D("0.01")


def bought(*fills: tuple[str, str]) -> list[Order]:
    """Buys of so many coins at a price, the fee not read yet."""
    purposes = [Purpose.BASE, *[Purpose.SAFETY] * (len(fills) - 1)]
    return [
        make_order(purpose, filled=filled, price=price, number=number)
        for number, (purpose, (filled, price)) in enumerate(zip(purposes, fills, strict=True))
    ]


def sale(quantity: D, price: D) -> Order:
    return make_order(Purpose.TAKE_PROFIT, filled=quantity, price=price)


def test_both_fees_are_in_what_a_sale_now_would_bring() -> None:
    orders = bought(("0.016666666", "60000"))
    assert profit_if_sold(orders, D(60300), STEP).quantize(CENT) == D("-0.02")


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**7)), min_size=1, max_size=5),
    st.integers(1, 10**7),
    st.sampled_from([STEP, D("0.0001"), D("0.01")]),
)
def test_it_is_what_the_sale_then_brings(buys: list[tuple[int, int]], bid: int, step: D) -> None:
    orders = bought(*[(str(D(coins) * STEP), str(D(price) / 100)) for coins, price in buys])
    price = D(bid) / 100
    expected = profit_if_sold(orders, price, step)
    quantity = step_down(fold(orders).held, step)
    sales = [sale(quantity, price)] if quantity else []
    assert profit([*orders, *sales]) == expected


def test_what_was_sold_before_counts_too() -> None:
    orders = bought(("1", "100"))
    part = sale(D("0.5"), D(120))
    rest = replace(sale(D("0.4975"), D(110)), client_order_id="rest")
    assert profit_if_sold([*orders, part], D(110), STEP) == profit([*orders, part, rest])


def test_dust_of_an_earlier_cycle_is_no_negative_fee() -> None:
    orders = [make_order(filled="1", price="100", fee_quantity="-0.004"), sale(D("1.004"), D(100))]
    assert result(orders).buy_fees == ZERO
    assert profit(orders) == D("0.4") - D("0.26")  # it came at no cost


def test_coins_that_came_in_by_hand_are_priced() -> None:
    """20 USD of the bot's beside 100 USD of its owner's, sold together by a program before this one."""
    orders = [
        make_order(filled="0.2", price="100", fee_quantity="-1"),
        sale(D("1.2"), D(101)),
    ]
    found = result(orders)
    assert found.spent == 120
    assert found.buy_fees == ZERO
    assert found.profit == D("121.2") - 120 - D("0.31")


def test_a_sale_of_nothing_that_was_bought_brings_no_profit() -> None:
    found = result([sale(D(2), D(50))])
    assert (found.spent, found.received) == (100, 100)


def test_an_adopted_lot_counts_at_its_price() -> None:
    adopted = make_order(Purpose.ADOPTED, filled="1", price="90", fee_quantity="0")
    assert profit([adopted, sale(D(1), D(100))]) == 100 - 90 - D("0.25")


def test_a_result_in_words() -> None:
    orders = [*bought(("1", "100")), sale(D("0.9975"), D(102))]
    assert outcome(orders) == "+1.48 USD (+1.48 %) after fees of 0.51 USD"
    assert outcome([make_order()]) == "+0.00 USD after fees of 0.00 USD"
    assert in_words(D("-0.004"), D(1000)) == "+0.00 USD (+0.00 %)"


def test_sums_name_their_first_order() -> None:
    early, late = make_order(created_at=5), make_order(filled="1", price="1", created_at=9, number=2)
    found = result([early, late])
    assert (found.filled_orders, found.first_order_at) == (1, late.created_at)
    assert result([early]).first_order_at is None
