"""The trading rules, one quote at a time. A test's name says which rule it holds."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from dcabot.core.exits import cancel_is_due
from dcabot.core.ledger import fold
from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    Decision,
    Order,
    OrderStatus,
    Purpose,
    Quote,
    Refusal,
    Side,
)
from dcabot.core.retry import backoff_until
from dcabot.core.sale_price import sale_price
from dcabot.core.second_look import borne_out
from dcabot.core.strategy import Market, is_dust, on_quote, restart_price, safety_price
from tests import builders
from tests.builders import Amount, make_cycle, make_instrument, make_order, make_quote, make_time

D = Decimal
REJECTED = OrderStatus.REJECTED


def make_asset(**changes: Any) -> Asset:
    """A safety order of 10 USD would be less than Alpaca takes once it is rounded down: 20."""
    return builders.make_asset(**({"safety_notional": 20} | changes))


def make_market(
    bid: Amount = "100.00", ask: Amount = "100.10", *, now: float = 0, unowned: Amount | None = 0, **steps: Any
) -> Market:
    quote = make_quote(bid, ask, at=now)
    coins = None if unowned is None else D(unowned)
    return Market(make_instrument(**steps), quote, coins, make_time(now), look=borne_out(quote))


def decide(cycle: Cycle, bid: Amount, ask: Amount, asset: Asset | None = None, **market: Any) -> Decision | None:
    return on_quote(asset or make_asset(), cycle, make_market(bid, ask, **market))


def submitted(decision: Decision | None) -> Order:
    """The one order that a decision sends, which must be in its cycle already."""
    assert decision is not None
    (order,) = decision.submit
    assert decision.cycle.order(order.client_order_id) == order
    assert order.status is OrderStatus.INTENDED
    return order


def holding_cycle(*later: Order, price: str = "100", quantity: str = "0.2") -> Cycle:
    """A cycle that bought at 100; its position was read."""
    return make_cycle(make_order(filled=quantity, price=price, fee_quantity=0), *later)


def refused(purpose: Purpose = Purpose.BASE, number: int = 1, at: float = 0, **changes: Any) -> Order:
    return make_order(purpose, number=number, status=REJECTED, created_at=at, closed_at=at, **changes)


# Rule 1: the base order


def test_rule_1_a_watching_cycle_that_holds_nothing_buys_the_base_amount_at_the_ask() -> None:
    decision = decide(make_cycle(), "100.00", "100.10", quantity_step="0.0001")
    order = submitted(decision)
    assert (order.side, order.purpose, order.quantity, order.limit_price) == (
        Side.BUY,
        Purpose.BASE,
        D("0.1998"),
        D("100.10"),
    )
    assert decision is not None
    assert decision.cycle.status is CycleStatus.BUYING
    assert decision.reason == "base order: buy 0.1998 at 100.1"


def test_rule_1_the_limit_goes_up_to_the_tick_and_the_quantity_down_to_the_increment() -> None:
    order = submitted(decide(make_cycle(), "99", "99.3", price_step="0.5", quantity_step="0.01"))
    assert (order.limit_price, order.quantity) == (D("99.5"), D("0.20"))


def test_rule_1_a_base_order_waits_while_an_order_is_open() -> None:
    assert decide(make_cycle(make_order(status=OrderStatus.INTENDED)), "100", "100.10") is None


def test_rule_1_a_position_that_no_cycle_owns_is_said_and_waited_for() -> None:
    decision = decide(make_cycle(), "100", "100.10", unowned="0.5")
    assert decision is not None
    assert not decision.submit
    assert decision.reason == "foreign coins: Alpaca shows 0.5 BTC/USD that no cycle bought; no base order beside them"


def test_rule_1_dust_that_no_cycle_owns_does_not_keep_the_base_order_away() -> None:
    submitted(decide(make_cycle(), "100", "100.10", unowned="0.0099"))
    thirty = make_asset(base_notional=30)
    submitted(decide(make_cycle(), "100", "100.10", thirty, unowned="0.09", quantity_step="0.1"))


def test_rule_1_nothing_is_bought_while_the_position_is_not_known() -> None:
    assert decide(make_cycle(), "100", "100.10", unowned=None) is None


def test_dust_is_worth_less_than_a_dollar_or_cannot_be_sold() -> None:
    assert is_dust(D("0.0099"), make_market(bid="100"))
    assert not is_dust(D("0.01"), make_market(bid="100"))
    assert is_dust(D("0.5"), make_market(bid="100", quantity_step="1"))
    assert not is_dust(D(1), make_market(bid="100", quantity_step="1"))


def test_rule_1_an_amount_that_rounds_below_ten_dollars_is_said_and_not_sent() -> None:
    decision = decide(make_cycle(), "100", "100.10", make_asset(base_notional="10"))
    assert decision is not None
    assert not decision.submit
    assert decision.reason.startswith("base order of 10 USD comes to 9.99")
    assert decision.reason.endswith("below Alpaca's minimum of 10 USD; raise the amount")


def test_rule_1_a_quantity_below_the_instruments_smallest_is_said_and_not_sent() -> None:
    decision = decide(make_cycle(), "100", "100.10", quantity_min="1")
    assert decision is not None
    assert not decision.submit
    assert "below Alpaca's minimum of 1; raise" in decision.reason


def test_a_second_base_order_follows_one_that_ended_unfilled() -> None:
    stale = make_order(status=OrderStatus.CANCELED, cancel_requested_at=300, closed_at=301)
    order = submitted(decide(make_cycle(stale), "100", "100.10", now=301))
    assert order.client_order_id.endswith("-base-2")


def test_rule_6_coins_too_few_to_be_sold_do_not_keep_the_next_base_order_away() -> None:
    cycle = make_cycle(make_order(status=OrderStatus.CANCELED, quantity=9, filled_quantity=1, filled_price="1"))
    order = submitted(decide(cycle, "5", "5", quantity_step="1"))
    assert order.purpose is Purpose.BASE


# Rule 2: safety orders


def test_rule_2_a_safety_order_is_bought_when_the_ask_has_fallen_far_enough() -> None:
    decision = decide(holding_cycle(), "97.90", "98.00", quantity_step="0.0001")
    order = submitted(decision)
    assert (order.purpose, order.quantity, order.limit_price) == (Purpose.SAFETY, D("0.2040"), D("98.00"))
    assert decision is not None
    assert decision.reason == "safety order 1 of 3, ask 98 at or below 98: buy 0.204 at 98"


def test_rule_2_no_safety_order_above_its_price() -> None:
    assert decide(holding_cycle(), "97.90", "98.01") is None


def test_rule_2_the_next_safety_price_hangs_on_the_last_fill_and_not_on_the_average() -> None:
    cycle = holding_cycle(make_order(Purpose.SAFETY, filled="0.1", price="97", fee_quantity=0))
    assert decide(cycle, "95", "95.07") is None
    assert submitted(decide(cycle, "95", "95.06")).client_order_id.endswith("-safety-2")


def test_rule_2_no_more_safety_orders_than_allowed() -> None:
    cycle = holding_cycle(make_order(Purpose.SAFETY, filled="0.1", price="97", fee_quantity=0))
    assert decide(cycle, "50", "50", make_asset(safety_count_max=1)) is None
    assert decide(holding_cycle(), "50", "50", make_asset(safety_count_max=0)) is None


def test_rule_2_safety_order_waits_while_a_buy_is_open() -> None:
    assert decide(holding_cycle(make_order(Purpose.SAFETY)), "90", "90") is None


def test_rule_2_safety_order_waits_while_a_sell_is_open() -> None:
    assert decide(holding_cycle(make_order(Purpose.TAKE_PROFIT)), "90", "90") is None


def test_rule_2_a_safety_order_does_not_wait_for_the_fee_to_be_read() -> None:
    submitted(decide(make_cycle(make_order(filled="0.2", price="100")), "97", "97"))


def test_rule_2_a_coin_held_without_a_fill_price_has_no_safety_price() -> None:
    assert safety_price(make_asset(), fold([])) is None


# Rule 3: take profit


def test_rule_3_all_is_sold_at_market_when_the_bid_reaches_the_take_profit_price() -> None:
    decision = decide(holding_cycle(), "101.00", "101.10")
    order = submitted(decision)
    assert (order.side, order.quantity, order.limit_price) == (Side.SELL, D("0.2"), None)
    assert decision is not None
    assert decision.cycle.status is CycleStatus.SELLING
    assert decision.reason == "take profit, bid 101 over average 100: sell 0.2"


def test_rule_3_nothing_is_sold_below_the_take_profit_price() -> None:
    assert decide(holding_cycle(), "100.99", "101.10") is None


def test_rule_3_the_quantity_sold_is_rounded_down() -> None:
    assert submitted(decide(holding_cycle(quantity="0.2999"), "101", "101", quantity_step="0.01")).quantity == D("0.29")


def test_rule_3_more_than_one_order_may_sell_is_sold_in_parts() -> None:
    """Alpaca takes no order above 200,000 USD, and a ladder may hold many times that."""
    cycle = holding_cycle(price="50000", quantity="5")
    first = submitted(decide(cycle, "62500", "62510"))
    assert first.quantity == D("1.6")
    sold = replace(first, status=OrderStatus.FILLED, filled_quantity=D("1.6"), filled_price=D("62500"))
    rest = cycle.with_order(sold)
    assert submitted(decide(rest, "62500", "62510")).quantity == D("1.6")
    assert decide(rest, "50100", "50110") is None


def test_rule_3_nothing_is_sold_before_the_position_was_read() -> None:
    assert decide(make_cycle(make_order(filled="0.2", price="100")), "101", "101") is None


def test_rule_3_one_sell_at_a_time() -> None:
    assert decide(holding_cycle(make_order(Purpose.TAKE_PROFIT)), "101", "101") is None


def test_rule_3_an_open_buy_is_cancelled_before_anything_is_sold() -> None:
    buy = make_order(Purpose.SAFETY)
    decision = decide(holding_cycle(buy), "101", "101", now=10)
    assert decision is not None
    assert (decision.submit, decision.cancel) == ((), (buy,))
    asked = decision.cycle.order(buy.client_order_id)
    assert asked is not None
    assert asked.cancel_requested_at == make_time(10)
    assert asked.status is OrderStatus.ACCEPTED  # until Alpaca says it is gone


def test_rule_3_a_cancel_is_not_asked_for_twice_within_half_a_minute() -> None:
    asked = make_order(Purpose.SAFETY, cancel_requested_at=10)
    assert decide(holding_cycle(asked), "101", "101", now=39) is None
    decision = decide(holding_cycle(asked), "101", "101", now=40)
    assert decision is not None
    assert decision.cancel == (asked,)


def test_rule_3_an_order_whose_acceptance_is_unknown_cannot_be_cancelled_yet() -> None:
    intended = make_order(Purpose.SAFETY, status=OrderStatus.INTENDED, order_id=None)
    assert not cancel_is_due(intended, make_time(999))
    assert decide(holding_cycle(intended), "101", "101", now=999) is None


def test_rule_3_after_the_buy_is_gone_all_of_it_is_sold() -> None:
    gone = make_order(Purpose.SAFETY, status=OrderStatus.CANCELED, filled_quantity="0.05", filled_price="98")
    gone_and_read = make_order(
        Purpose.SAFETY, status=OrderStatus.CANCELED, filled_quantity="0.05", filled_price="98", fee_quantity="0.000125"
    )
    assert decide(holding_cycle(gone), "101", "101") is None
    assert submitted(decide(holding_cycle(gone_and_read), "101", "101")).quantity == D("0.249875")


# Rule 4: sells that end early


def test_rule_4_what_an_early_end_of_a_sell_leaves_is_sold_on() -> None:
    part = make_order(
        Purpose.TAKE_PROFIT, status=OrderStatus.CANCELED, quantity="0.2", filled_quantity="0.05", filled_price="101"
    )
    order = submitted(decide(holding_cycle(part), "101", "101"))
    assert order.quantity == D("0.15")
    assert order.client_order_id.endswith("-take_profit-2")


def test_rule_4_a_sell_that_rests_at_the_collar_is_cancelled_after_a_minute() -> None:
    sell = make_order(Purpose.TAKE_PROFIT)
    assert decide(holding_cycle(sell), "90", "90", now=59) is None
    decision = decide(holding_cycle(sell), "90", "90", now=60)
    assert decision is not None
    assert decision.cancel == (sell,)
    assert on_quote(make_asset(), decision.cycle, make_market("90", "90", now=61)) is None


# Rule 5: cooldown


def cooling(**changes: Any) -> Cycle:
    return make_cycle(status=CycleStatus.COOLDOWN, **changes)


def test_rule_5_a_cooldown_ends_at_once_when_the_ask_falls_far_enough_below_the_last_sale() -> None:
    decision = decide(cooling(), "97.90", "98.00", make_asset(last_sell_price=100))
    assert submitted(decision).purpose is Purpose.BASE
    assert decision is not None
    assert decision.reason.startswith("early restart, ask 98 at or below 98: base order: buy")
    assert decision.cycle.status is CycleStatus.BUYING


def test_rule_5_no_base_order_in_a_cooldown_otherwise() -> None:
    assert decide(cooling(), "98", "98.01", make_asset(last_sell_price=100)) is None


def test_rule_5_without_a_sale_before_it_a_cooldown_does_not_end_early() -> None:
    assert restart_price(make_asset()) is None
    assert decide(cooling(), "1", "1") is None


def test_rule_5_an_early_restart_respects_coins_that_no_cycle_owns() -> None:
    decision = decide(cooling(), "97", "97", make_asset(last_sell_price=100), unowned=1)
    assert decision is not None
    assert not decision.submit


# Rule 7: disabled assets, changed settings


def test_rule_7_a_disabled_asset_buys_no_base_and_no_safety_order() -> None:
    disabled = make_asset(enabled=False, last_sell_price=100)
    assert decide(make_cycle(), "100", "100", disabled) is None
    assert decide(cooling(), "50", "50", disabled) is None
    assert decide(holding_cycle(), "50", "50", disabled) is None


def test_rule_7_a_disabled_asset_is_still_sold_at_its_take_profit() -> None:
    assert submitted(decide(holding_cycle(), "101", "101", make_asset(enabled=False))).side is Side.SELL


def test_rule_7_changed_settings_apply_from_the_next_decision() -> None:
    assert decide(holding_cycle(), "101", "101", make_asset(take_profit_ratio="0.02")) is None
    submitted(decide(holding_cycle(), "99.5", "99.5", make_asset(safety_drop_ratio="0.005")))


def test_prices_follow_from_the_settings() -> None:
    holding = fold(holding_cycle().orders)
    assert sale_price(make_asset(), holding, make_instrument()) == 101
    assert safety_price(make_asset(), holding) == 98
    assert restart_price(make_asset(last_sell_price=100)) == 98


# Rule 8: refused orders


@pytest.mark.parametrize(
    ("refusals", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (10, 512), (11, 600), (40, 600), (2000, 600)]
)
def test_rule_8_refusals_back_off_from_a_second_doubling_to_minutes(refusals: int, seconds: int) -> None:
    cycle = make_cycle(*(refused(number=n, at=n) for n in range(1, refusals + 1)))
    assert backoff_until(cycle, Side.BUY) == make_time(refusals + seconds)


def test_rule_8_a_refused_buy_is_not_repeated_before_its_time() -> None:
    cycle = make_cycle(refused(at=10))
    assert decide(cycle, "100", "100.10", now=10.9) is None
    submitted(decide(cycle, "100", "100.10", now=11))


def test_rule_8_a_refused_sell_is_not_repeated_before_its_time() -> None:
    cycle = holding_cycle(refused(Purpose.TAKE_PROFIT, 1, at=10), refused(Purpose.TAKE_PROFIT, 2, at=12))
    assert decide(cycle, "101", "101", now=13.9) is None
    submitted(decide(cycle, "101", "101", now=14))


def test_rule_8_buys_that_nobody_can_pay_do_not_hold_up_the_take_profit() -> None:
    unpaid = [refused(Purpose.SAFETY, n, at=n) for n in range(1, 12)]
    assert decide(holding_cycle(*unpaid), "90", "90", now=12) is None
    submitted(decide(holding_cycle(*unpaid), "101", "101", now=12))


def test_rule_8_the_count_starts_anew_after_an_order_that_was_not_refused() -> None:
    cycle = make_cycle(refused(number=1), make_order(filled="0.2", number=2), refused(Purpose.SAFETY, 1, at=50))
    assert backoff_until(cycle, Side.BUY) == make_time(51)
    assert backoff_until(cycle, Side.SELL) is None


def test_rule_8_an_order_that_the_exchange_ends_unfilled_by_itself_counts_as_refused() -> None:
    """A market sell that dies at the collar would be sent again at every quote."""
    ended = [
        make_order(Purpose.TAKE_PROFIT, status=status, number=n, closed_at=n)
        for n, status in enumerate((OrderStatus.CANCELED, OrderStatus.EXPIRED, REJECTED))
    ]
    assert backoff_until(holding_cycle(*ended), Side.SELL) == make_time(2 + 4)


def test_rule_8_an_order_that_we_cancelled_or_that_filled_in_part_was_not_refused() -> None:
    ours = make_order(status=OrderStatus.CANCELED, cancel_requested_at=1, closed_at=2)
    part = refused(filled_quantity="0.1", filled_price="100")
    assert backoff_until(make_cycle(ours), Side.BUY) is None
    assert backoff_until(make_cycle(part), Side.BUY) is None


def test_rule_8_a_refusal_without_its_time_counts_from_its_creation() -> None:
    assert backoff_until(make_cycle(make_order(status=REJECTED, created_at=5)), Side.BUY) == make_time(6)


# Rule 9: assets that are held


def test_rule_9_an_asset_that_is_held_neither_buys_nor_sells() -> None:
    held = make_asset(held_back="take_profit_percent 0.1 does not cover the round-trip fee")
    assert decide(make_cycle(), "100", "100", held) is None
    assert decide(holding_cycle(), "101", "101", held) is None


@pytest.mark.parametrize("over", [CycleStatus.COMPLETE, CycleStatus.ERROR])
def test_a_cycle_that_is_over_decides_nothing(over: CycleStatus) -> None:
    assert decide(make_cycle(status=over), "100", "100.10") is None


def test_a_decision_depends_on_its_arguments_alone() -> None:
    """It is asked for twice: on the book in memory, and on the row under its lock."""
    quote: Quote = make_quote("97", "97")
    market = Market(make_instrument(), quote, D(0), make_time(0))
    assert on_quote(make_asset(), holding_cycle(), market) == on_quote(make_asset(), holding_cycle(), market)
    decision = on_quote(make_asset(), holding_cycle(), market)
    assert decision is not None
    assert on_quote(make_asset(), decision.cycle, market) is None


def test_a_buy_that_the_account_cannot_pay_waits_without_a_row() -> None:
    quote = make_quote()
    poor = Market(make_instrument(), quote, D(0), make_time(0), D("19.99"))
    decision = on_quote(make_asset(base_notional=20), make_cycle(), poor)
    assert decision is not None and not decision.submit
    assert "waits for money" in decision.reason
    rich = Market(make_instrument(), quote, D(0), make_time(0), D("20"))
    decision = on_quote(make_asset(base_notional=20), make_cycle(), rich)
    assert decision is not None and decision.submit


def test_bad_settings_for_buys_keep_nothing_that_is_held_from_being_sold() -> None:
    asset = make_asset(held_back="base_order_amount 1 is below Alpaca's minimum", sells_on=True)
    assert submitted(decide(holding_cycle(), "101.20", "101.30", asset)).side is Side.SELL
    assert decide(holding_cycle(), "90", "90", asset) is None
    assert decide(make_cycle(), "100", "100", asset) is None


def kept_back(number: int, at: int) -> Order:
    return make_order(number=number, status=REJECTED, order_id=None, closed_at=at, refusal=Refusal.RATE_LIMITED)


def test_what_our_own_limit_kept_back_does_not_double_the_pause() -> None:
    many = [kept_back(number, number * 10) for number in range(1, 9)]
    assert backoff_until(make_cycle(*many), Side.BUY) == make_time(85)
    refused = [make_order(number=n, status=REJECTED, closed_at=n) for n in range(11, 16)]
    assert backoff_until(make_cycle(*refused, *many), Side.BUY) == make_time(80 + 16)
    assert backoff_until(make_cycle(*many, *refused), Side.BUY) == make_time(15 + 16)
