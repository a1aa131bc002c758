"""The ladder is what the strategy would do, told in advance."""

from decimal import Decimal

from dcabot.core.ladder import ladder, most_spent, still_to_spend
from dcabot.core.ledger import FEE_RATIO_MAX
from dcabot.core.model import OrderStatus, Purpose
from dcabot.core.money import step_up
from tests.builders import make_asset, make_cycle, make_instrument, make_order


def test_each_rung_lies_the_deviation_below_the_one_before() -> None:
    asset = make_asset(safety_count_max=3, safety_drop_ratio="0.02")
    prices = [rung.price for rung in ladder(asset, make_instrument(), Decimal(100))]
    assert prices == [Decimal("100.00"), Decimal("98.00"), Decimal("96.04"), Decimal("94.12")]


def test_the_take_profit_follows_the_average_down() -> None:
    rungs = ladder(make_asset(safety_count_max=3, take_profit_ratio="0.01"), make_instrument(), Decimal(100))
    targets = [step_up(rung.average_price * Decimal("1.01"), Decimal("0.01")) for rung in rungs]
    assert [rung.take_profit_price for rung in rungs] == targets
    assert rungs[-1].take_profit_price < rungs[0].take_profit_price
    assert rungs[-1].rise_ratio > rungs[0].rise_ratio


def test_a_ladder_never_spends_more_than_it_says_and_counts_the_highest_fee() -> None:
    asset = make_asset(base_notional=20, safety_notional=10, safety_count_max=3)
    last = ladder(asset, make_instrument(), Decimal("61234.56"))[-1]
    assert Decimal("49.99") < last.spent <= most_spent(asset) == 50
    bought = last.spent / last.average_price
    assert abs(last.held - bought * (1 - FEE_RATIO_MAX)) < Decimal("0.00000001")


def test_without_safety_orders_there_is_one_rung() -> None:
    assert len(ladder(make_asset(safety_count_max=0), make_instrument(), Decimal(100))) == 1


def test_what_is_bought_or_ordered_is_no_longer_to_be_spent() -> None:
    asset = make_asset(base_notional=20, safety_notional=10, safety_count_max=3)
    base = make_order(filled="0.2")
    assert still_to_spend(asset, None) == still_to_spend(asset, make_cycle()) == 50
    assert still_to_spend(asset, make_cycle(make_order(status=OrderStatus.REJECTED))) == 50
    assert still_to_spend(asset, make_cycle(base)) == 30
    assert still_to_spend(asset, make_cycle(base, make_order(Purpose.SAFETY))) == 20
    safeties = [make_order(Purpose.SAFETY, filled="0.1", number=n) for n in range(4)]
    assert still_to_spend(asset, make_cycle(base, *safeties)) == 0
    assert still_to_spend(make_asset(enabled=False), make_cycle(base)) == 0
