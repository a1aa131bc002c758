"""What finished cycles brought."""

from datetime import date, timedelta
from decimal import Decimal as D

from dcabot.core.fees import TIERS, tier_on
from dcabot.core.model import CycleStatus, Purpose
from dcabot.core.profit import Fees, profit
from dcabot.core.report import from_ledger, report
from dcabot.core.snapshot import Fill
from tests.builders import make_cycle, make_order, make_time


def test_profit_is_what_came_in_less_what_went_out_and_the_fee_on_the_sale() -> None:
    bought = make_order(filled="1", price="100")
    sold = make_order(Purpose.TAKE_PROFIT, filled="0.9975", price="102")
    assert profit([bought, sold]) == D("101.745") - 100 - D("0.26")  # a quarter percent, up to the cent


def test_an_order_that_never_filled_earns_and_costs_nothing() -> None:
    assert profit([make_order(), make_order(Purpose.TAKE_PROFIT)]) == 0


def test_single_fills_count_where_all_of_them_are_known() -> None:
    """An average price of a cheap coin is rounded; and the fee of each fill goes up to the cent."""
    sold = make_order(Purpose.TAKE_PROFIT, filled="3", price="10.3333333333", order_id="a")
    fills = [Fill("a", D(1), D(price), make_time()) for price in (10, 10, 11)]
    bought = make_order(filled="3", price="10", fee_quantity="0")
    assert profit([bought, sold], Fees(fills={"a": fills})) == 31 - 30 - D("0.03") * 3
    assert profit([bought, sold], Fees(fills={"a": fills[:2]})) == D("30.9999999999") - 30 - D("0.08")


def test_each_days_sales_are_charged_at_that_days_rate() -> None:
    volumes = {date(2026, 1, 1): D(100_000), date(2026, 1, 20): D(400_000)}
    days = [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 21), date(2026, 1, 31), date(2026, 2, 1)]
    assert [tier_on(day, volumes).number for day in days] == [1, 2, 3, 3, 2]
    sold = make_order(Purpose.TAKE_PROFIT, filled="2", price="1000", order_id="a")
    fills = [Fill("a", D(1), D(1000), at) for at in (make_time(), make_time(86_400))]
    rates = {make_time().date(): D("0.001")}
    assert Fees(fills={"a": fills}, rates=rates).of_sale(sold) == D("1") + D("2.5")
    assert Fees(rates={sold.created_at.date(): D("0.001")}).of_sale(sold) == D("2")


def test_a_tier_that_the_executions_do_not_explain_is_said() -> None:
    day = make_time().date()
    fills = [Fill("a", D(1), D(5000), make_time()), Fill("b", D(1), D(5000), make_time(86_400))]
    fees, odd = from_ledger(fills, TIERS[2], day + timedelta(days=1))
    assert odd == "Alpaca has the account in fee tier 3, its executions say 1: fees of earlier days are an estimate"
    assert (fees.rate, fees.rates) == (TIERS[2].taker, {day: TIERS[0].taker})
    assert from_ledger(fills, TIERS[0], day + timedelta(days=1))[1] == ""
    assert from_ledger(fills[:1], TIERS[2], day)[1] == ""  # of today Alpaca's word is the last


def test_what_was_not_sold_counts_at_its_cost() -> None:
    bought = make_order(filled="1", price="100", fee_quantity="0.0025")
    told = report(make_cycle(bought, status=CycleStatus.COMPLETE, completed_at=60))
    assert told is not None
    assert (told.unsold, told.unsold_cost) == (D("0.9975"), D("99.75"))
    assert told.profit == D("-0.25")
    assert told.duration.seconds == 60


def test_dust_counts_as_sold() -> None:
    bought = make_order(filled="1", price="100", fee_quantity="0")
    sold = make_order(Purpose.TAKE_PROFIT, filled="0.999", price="102")
    told = report(make_cycle(bought, sold, status=CycleStatus.COMPLETE))
    assert told is not None
    assert told.unsold == 0


def test_a_cycle_without_fills_is_no_line() -> None:
    assert report(make_cycle(make_order(), status=CycleStatus.ERROR)) is None
