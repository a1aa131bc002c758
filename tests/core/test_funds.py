"""Money that was promised to an order is not spent a second time."""

from decimal import Decimal

from dcabot.core.funds import Funds
from dcabot.core.model import Order, Purpose
from tests.builders import make_order, make_time

D = Decimal


def buy(number: int = 1, cost: str = "20") -> Order:
    return make_order(number=number, quantity="1", price=cost)


def funds(reading: str = "100") -> Funds:
    return Funds().read(D(reading), make_time(0))


def test_nothing_is_known_before_the_first_reading() -> None:
    assert Funds().promised("BTC/USD", [buy()]).spendable() is None


def test_two_decisions_share_the_money() -> None:
    both = funds().promised("BTC/USD", [buy(1)]).promised("BTC/USD", [buy(2, "30")])
    assert both.spendable() == 50
    assert both.spendable(buy(2).client_order_id) == 80


def test_a_sale_promises_nothing() -> None:
    assert funds().promised("BTC/USD", [make_order(Purpose.TAKE_PROFIT)]).spendable() == 100


def test_an_order_that_came_to_nothing_gives_its_money_back() -> None:
    assert funds().promised("BTC/USD", [buy()]).withdrawn([buy().client_order_id]).spendable() == 100


def test_a_reading_asked_for_before_the_answer_does_not_know_the_order() -> None:
    name = buy().client_order_id
    promised = funds().promised("BTC/USD", [buy()])
    assert promised.read(D(100), make_time(5)).spendable() == 80
    answered = promised.answered([name], make_time(6))
    assert answered.read(D(100), make_time(6)).spendable() == 80
    assert answered.read(D(80), make_time(6.1)).spendable() == 80


def test_the_first_answer_counts() -> None:
    name = buy().client_order_id
    twice = funds().promised("BTC/USD", [buy()]).answered([name], make_time(6)).answered([name], make_time(60))
    assert twice.read(D(80), make_time(7)).spendable() == 80


def test_a_clock_that_was_set_back_locks_no_money() -> None:
    answered = funds().promised("BTC/USD", [buy()]).answered([buy().client_order_id], make_time(86_400))
    assert answered.read(D(80), make_time(0)).spendable() == 80
