"""Which settings can work, and how large a buy is."""

from decimal import Decimal
from typing import Any

import pytest

from dcabot.core.ledger import FEE_RATIO_MAX
from dcabot.core.rules import ROUND_TRIP_FEE_RATIO, buy_quantity, faults, may_sell, tight, too_small
from tests.builders import make_asset, make_instrument

D = Decimal


def faults_of(**changes: Any) -> list[str]:
    return faults(make_asset(**changes), make_instrument())


def test_sane_settings_have_no_fault() -> None:
    assert faults_of() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_notional": "9.99"}, "base_order_amount 9.99 is below Alpaca's minimum of 10 USD"),
        ({"base_notional": "-20"}, "base_order_amount -20 is below"),
        ({"base_notional": "200000.01"}, "base_order_amount 200000.01 is above Alpaca's maximum of 200000 USD"),
        ({"safety_notional": "0"}, "safety_order_amount 0 is below Alpaca's minimum"),
        ({"safety_count_max": -1}, "max_safety_orders -1 must be between 0 and 1000"),
        ({"safety_count_max": 1001}, "max_safety_orders 1001 must be between"),
        ({"safety_drop_ratio": "0"}, "safety_order_deviation 0 must be above 0 and below 100"),
        ({"safety_drop_ratio": "-0.01"}, "safety_order_deviation -1 must be above 0"),
        ({"safety_drop_ratio": "1"}, "safety_order_deviation 100 must be above 0 and below 100"),
        ({"take_profit_ratio": "-0.01"}, "take_profit_percent -1 does not cover the round-trip fee"),
        ({"take_profit_ratio": "0.005"}, "take_profit_percent 0.5 does not cover the round-trip fee of 0.5019 %"),
        ({"cooldown_seconds": -1}, "cooldown_period -1 must not be negative"),
        ({"restart_drop_ratio": "-0.01"}, "buy_order_price_deviation_percent -1 must be at least 0"),
        ({"restart_drop_ratio": "1"}, "buy_order_price_deviation_percent 100 must be at least 0 and below 100"),
    ],
)
def test_rule_9_a_setting_that_cannot_work_is_named_by_its_column(changes: dict[str, Any], said: str) -> None:
    (fault,) = faults_of(**changes)
    assert fault.startswith(said)


def test_rule_9_several_faults_are_all_said() -> None:
    assert len(faults_of(base_notional="1", take_profit_ratio="0", cooldown_seconds=-5)) == 3


def test_rule_9_amounts_at_alpacas_limits_can_work() -> None:
    assert faults_of(base_notional="10", safety_notional="200000") == []


def test_rule_9_safety_settings_do_not_matter_without_safety_orders() -> None:
    assert faults_of(safety_count_max=0, safety_notional="0", safety_drop_ratio="0") == []


def test_rule_9_zero_cooldown_and_zero_restart_drop_can_work() -> None:
    assert faults_of(cooldown_seconds=0, restart_drop_ratio="0") == []


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDC", "ETH/BTC", "BTCUSD", ""])
def test_rule_9_a_pair_that_is_not_quoted_in_usd_is_named(symbol: str) -> None:
    (fault,) = faults(make_asset(symbol), make_instrument(symbol))
    assert fault.startswith(f"asset_symbol {symbol}: only pairs quoted in USD")


def test_rule_9_an_unknown_symbol_is_named() -> None:
    assert faults(make_asset("NOPE/USD"), None) == ["asset_symbol NOPE/USD: Alpaca does not know this crypto pair"]


def test_rule_9_an_asset_that_alpaca_halted_is_named() -> None:
    (fault,) = faults(make_asset(), make_instrument(tradable=False))
    assert fault == "asset_symbol BTC/USD: Alpaca does not let it be traded at the moment"


def test_rule_9_the_smallest_take_profit_allowed_does_not_lose_money() -> None:
    kept = (1 - FEE_RATIO_MAX) ** 2
    assert (1 + ROUND_TRIP_FEE_RATIO) * kept >= 1 > (1 + ROUND_TRIP_FEE_RATIO - D("0.000001")) * kept
    assert faults_of(take_profit_ratio=str(ROUND_TRIP_FEE_RATIO)) == []


def test_a_buy_never_costs_more_than_its_amount() -> None:
    instrument = make_instrument(quantity_step="0.0001")
    quantity = buy_quantity(D(20), D("100.10"), instrument)
    assert quantity == D("0.1998")
    assert quantity * D("100.10") <= 20 < (quantity + D("0.0001")) * D("100.10")


def test_an_amount_that_is_a_multiple_buys_all_of_it() -> None:
    assert buy_quantity(D(20), D(100), make_instrument()) == D("0.2")


@pytest.mark.parametrize(("amount", "is_tight"), [("10", True), ("10.00005", True), ("10.0001", False), ("20", False)])
def test_an_amount_that_rounding_takes_below_alpacas_minimum_is_tight(amount: str, is_tight: bool) -> None:
    instrument, ask = make_instrument(quantity_step="0.000000001"), D("60000.01")
    asset = make_asset(base_notional=amount, safety_notional=amount)
    assert faults(asset, instrument) == []
    assert [doubt.split()[0] for doubt in tight(asset, instrument, ask)] == (
        ["base_order_amount", "safety_order_amount"] if is_tight else []
    )
    assert bool(too_small(buy_quantity(D(amount), ask, instrument), ask, instrument)) <= is_tight


def test_an_amount_that_nobody_buys_for_is_not_tight() -> None:
    asset = make_asset(safety_notional="10", safety_count_max=0)
    assert tight(asset, make_instrument(), D(60000)) == []


def test_a_buy_below_alpacas_minimum_is_told_from_one_below_the_smallest_order() -> None:
    instrument = make_instrument(quantity_min="0.5")
    assert too_small(D("0.0999"), D(100), instrument) == (
        "9.99 USD after rounding down, below Alpaca's minimum of 10 USD"
    )
    assert too_small(D("0.4"), D(100), instrument) == "0.4 coins, below Alpaca's minimum of 0.5"
    assert too_small(D("0.5"), D(20), instrument) == ""


@pytest.mark.parametrize(
    ("changes", "sells"),
    [
        ({}, True),
        ({"base_notional": -1}, True),
        ({"safety_notional": 5, "safety_drop_ratio": "2"}, True),
        ({"safety_count_max": -1, "cooldown_seconds": -1, "restart_drop_ratio": "-1"}, True),
        ({"take_profit_ratio": "0.001"}, False),
        ({"symbol": "ETH/BTC"}, False),
    ],
)
def test_what_is_wrong_with_the_buys_alone_does_not_stop_a_sale(changes: dict[str, Any], sells: bool) -> None:
    assert may_sell(make_asset(**changes), make_instrument()) is sells
    assert not may_sell(make_asset(), None)
    assert not may_sell(make_asset(), make_instrument(tradable=False))
