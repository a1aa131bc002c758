"""What finished cycles brought."""

from decimal import Decimal as D

from dcabot.core.model import Purpose
from dcabot.core.report import profit
from tests.builders import make_order


def test_profit_is_what_came_in_less_what_went_out_and_the_fee_on_the_sale() -> None:
    bought = make_order(filled="1", price="100")
    sold = make_order(Purpose.TAKE_PROFIT, filled="0.9975", price="102")
    assert profit([bought, sold]) == D("101.745") - 100 - D("0.26")  # a quarter percent, up to the cent


def test_an_order_that_never_filled_earns_and_costs_nothing() -> None:
    assert profit([make_order(), make_order(Purpose.TAKE_PROFIT)]) == 0
