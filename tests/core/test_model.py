"""The values: how they read in a failure, and how orders get their ids."""

from datetime import timedelta
from decimal import Decimal

from dcabot.core.model import OrderStatus, Purpose, dropped, raised, whole_seconds
from tests.builders import START, make_cycle, make_order, make_quote, make_report

D = Decimal


def test_an_id_is_a_function_of_cycle_opening_purpose_and_attempt() -> None:
    cycle = make_cycle(make_order(), id=17, opened_at=START + timedelta(milliseconds=999))
    assert cycle.next_id(Purpose.BASE) == f"dcabot-17-{whole_seconds(START - START.replace(year=1970))}-base-2"
    assert cycle.next_id(Purpose.SAFETY).endswith("-safety-1")


def test_two_writers_of_the_same_row_make_the_same_id() -> None:
    assert make_cycle(make_order()).next_id(Purpose.BASE) == make_cycle(make_order()).next_id(Purpose.BASE)


def test_refused_and_void_orders_use_up_their_id() -> None:
    refused = make_order(status=OrderStatus.REJECTED, number=1)
    void = make_order(status=OrderStatus.VOID, number=2)
    assert make_cycle(refused, void).next_id(Purpose.BASE).endswith("-base-3")


def test_an_id_that_is_taken_is_passed_over() -> None:
    """Somebody deleted the first safety order's row: the second one's must not be overwritten."""
    second = make_order(Purpose.SAFETY, number=2, filled="0.2")
    assert make_cycle(second).next_id(Purpose.SAFETY).endswith("-safety-3")


def test_a_cycle_with_an_order_replaces_its_older_self_in_place_or_appends_it() -> None:
    base, safety = make_order(), make_order(Purpose.SAFETY)
    cycle = make_cycle(base).with_order(safety)
    assert cycle.orders == (base, safety)
    filled = make_order(filled="0.2")
    assert cycle.with_order(filled).orders == (filled, safety)
    assert cycle.order(filled.client_order_id) == base
    assert cycle.order("nobody's") is None


def test_an_order_asks_for_its_quantity_at_its_limit_and_a_market_order_for_nothing_known() -> None:
    assert make_order(quantity="0.2", price="100").notional == 20
    assert make_order(Purpose.TAKE_PROFIT).notional == 0


def test_a_price_drops_and_rises_by_a_ratio() -> None:
    assert (dropped(D(100), D("0.015")), raised(D(100), D("0.015"))) == (D("98.5"), D("101.5"))


def test_values_read_as_one_line() -> None:
    buy = make_order(status=OrderStatus.PARTIALLY_FILLED, filled_quantity="0.1", filled_price="100")
    name = buy.client_order_id
    assert repr(buy) == f"<Order {name} partially_filled buy 0.2 @ 100.1 filled 0.1>"
    sell = make_order(Purpose.TAKE_PROFIT)
    assert repr(sell) == f"<Order {sell.client_order_id} accepted sell 0.2>"
    assert repr(make_report(buy)) == f"<Report {name} filled filled 0.2>"
    assert repr(make_quote()) == "<Quote BTC/USD 100/100.1 00:00:00>"
    assert repr(make_cycle()) == "<Cycle 1 BTC/USD watching []>"
