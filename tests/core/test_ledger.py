"""What a cycle's orders amount to."""

from decimal import Decimal

from dcabot.core.ledger import COIN_STEP, EMPTY, current_status, fee_of, fold, sold_out
from dcabot.core.model import CycleStatus, OrderStatus, Purpose
from tests.builders import make_cycle, make_order

D = Decimal


def test_nothing_filled_amounts_to_nothing() -> None:
    assert fold([]) == fold([make_order()]) == EMPTY
    assert EMPTY.settled


def test_a_fill_whose_price_is_unknown_is_not_counted() -> None:
    assert fold([make_order(filled_quantity="0.1", filled_price=None)]) == EMPTY


def test_a_buy_whose_fee_is_unknown_counts_with_the_worst_fee() -> None:
    bought = make_order(filled="0.2", price="100")
    holding = fold([bought])
    assert fee_of(bought) == D("0.0005")
    assert (holding.held, holding.settled) == (D("0.1995"), False)


def test_the_worst_fee_is_rounded_up_to_the_smallest_coin() -> None:
    assert fee_of(make_order(filled="0.000000001")) == COIN_STEP


def test_a_fee_that_was_read_counts_as_read() -> None:
    holding = fold([make_order(filled="0.2", price="100", fee_quantity="0.0003")])
    assert (holding.held, holding.settled) == (D("0.1997"), True)


def test_dust_that_lay_there_before_is_a_fee_below_zero_and_can_be_sold() -> None:
    assert fold([make_order(filled="0.2", fee_quantity="-0.001")]).held == D("0.201")


def test_the_average_is_weighted_over_all_buys() -> None:
    holding = fold([make_order(filled="1", price="100"), make_order(Purpose.SAFETY, filled="3", price="90")])
    assert (holding.average_price, holding.last_buy_price) == (D("92.5"), D(90))


def test_the_average_is_rounded_up_so_that_no_sale_starts_below_it() -> None:
    holding = fold([make_order(filled="1", price="100"), make_order(Purpose.SAFETY, filled="2", price="99")])
    assert holding.average_price == D("99.3333333334")


def test_selling_a_part_changes_what_is_held_and_not_the_average() -> None:
    orders = [make_order(filled="2", price="100", fee_quantity=0), make_order(Purpose.TAKE_PROFIT, filled="0.5")]
    holding = fold(orders)
    assert (holding.held, holding.average_price) == (D("1.5"), D(100))
    assert holding.notional == 150


def test_safety_orders_count_once_however_little_was_filled() -> None:
    part = make_order(Purpose.SAFETY, status=OrderStatus.CANCELED, filled_quantity="0.0001", filled_price="90")
    empty = make_order(Purpose.SAFETY, number=2, status=OrderStatus.CANCELED)
    assert fold([make_order(filled="1"), part, empty]).safety_count == 1


def test_a_void_order_that_was_filled_after_all_does_not_hide_the_later_buy() -> None:
    """The safety price hangs on the last order placed, whichever report came last."""
    surfaced = make_order(filled="1", price="100", number=1)
    assert fold([surfaced, make_order(filled="1", price="95", number=2)]).last_buy_price == 95


def test_adopted_lot_moves_no_safety_price() -> None:
    """What the owner's coins cost says nothing of how far the price fell since the cycle bought."""
    bought = make_order(filled="1", price="100")
    dear = make_order(Purpose.ADOPTED, filled="1", price="200")
    cheap = make_order(Purpose.ADOPTED, filled="1", price="10", number=2)
    later = make_order(Purpose.SAFETY, filled="1", price="98")
    assert fold([bought, dear]).last_buy_price == fold([bought, cheap]).last_buy_price == 100
    assert fold([dear, bought]).last_buy_price == 100
    assert fold([bought, dear, later]).last_buy_price == 98


def test_lot_alone_is_where_safety_orders_start() -> None:
    dear = make_order(Purpose.ADOPTED, filled="1", price="200")
    cheap = make_order(Purpose.ADOPTED, filled="1", price="10", number=2)
    assert fold([dear]).last_buy_price == 200
    assert fold([dear, cheap]).last_buy_price == 10


def test_more_sold_than_bought_is_nothing_held() -> None:
    assert fold([make_order(filled="1"), make_order(Purpose.TAKE_PROFIT, filled="2")]).held == 0


def test_a_cycle_is_sold_out_when_less_than_a_dollar_is_left() -> None:
    bought = make_order(filled="1", price="100", fee_quantity=0)

    def left(sold: str) -> bool:
        cycle = make_cycle(bought, make_order(Purpose.TAKE_PROFIT, filled=sold, price="100"))
        return sold_out(cycle, fold(cycle.orders))

    assert not left("0.99")  # one dollar
    assert left("0.9901")


def test_a_cycle_that_sold_nothing_or_waits_for_an_order_is_not_sold_out() -> None:
    little = make_order(filled="0.001", price="100")
    bought = make_cycle(little)
    assert not sold_out(bought, fold(bought.orders))
    waiting = make_cycle(little, make_order(Purpose.TAKE_PROFIT, filled="0.001"), make_order(Purpose.SAFETY))
    assert not sold_out(waiting, fold(waiting.orders))


def test_the_status_follows_from_the_orders() -> None:
    bought = make_order(filled="1", price="100")
    assert current_status(make_cycle(bought)) is CycleStatus.WATCHING
    assert current_status(make_cycle(bought, make_order(Purpose.TAKE_PROFIT, filled="1"))) is CycleStatus.COMPLETE


def test_refused_orders_of_months_cost_a_quote_nothing() -> None:
    many = [make_order(Purpose.SAFETY, number=n, status=OrderStatus.REJECTED) for n in range(1, 2000)]
    bought = make_order(filled="1", price="100")
    waiting = make_order(Purpose.TAKE_PROFIT)
    cycle = make_cycle(bought, *many, waiting)
    assert cycle.working == (bought, waiting)
    assert cycle.working is cycle.working
    assert fold(cycle.working) == fold(cycle.orders)
    assert cycle == make_cycle(bought, *many, waiting)
    assert cycle.with_order(many[0]).working == (bought, waiting)
