"""How a position is sold: at a limit without a witness, at the market with one."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from dcabot.core.byhand import on_close
from dcabot.core.lifecycle import on_report
from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    Decision,
    EndedBy,
    Order,
    OrderStatus,
    Purpose,
    Refusal,
    Side,
    TakeProfitOrder,
    TimeInForce,
)
from dcabot.core.retry import backoff_until
from dcabot.core.second_look import SecondLook
from dcabot.core.strategy import Market, on_quote, reaches_sale_price
from tests import builders
from tests.builders import make_cycle, make_instrument, make_order, make_quote, make_report, make_time

D = Decimal
BUY_AT = "98"


def make_asset(order: TakeProfitOrder = TakeProfitOrder.LIMIT, **changes: Any) -> Asset:
    return builders.make_asset(safety_notional=20, take_profit_order=order, **changes)


LIMIT, MARKET = make_asset(), make_asset(TakeProfitOrder.MARKET)


def holding_cycle(*later: Order, quantity: str = "0.2") -> Cycle:
    """A cycle that bought at 100; its position was read."""
    return make_cycle(make_order(filled=quantity, price="100", fee_quantity=0), *later)


def make_market(bid: str = "101", at: float = 0, now: float | None = None, **changes: Any) -> Market:
    steps = {name: changes.pop(name) for name in list(changes) if name.endswith("_step")}
    quote = make_quote(bid, D(bid) + D("0.1"), at=at)
    return Market(make_instrument(**steps), quote, D(0), make_time(at if now is None else now), **changes)


def missed(at: float = 0, number: int = 1, **changes: Any) -> Order:
    """A sale at a limit that nobody bought from."""
    fields = {"price": "101", "limit_price": "101", "time_in_force": TimeInForce.IOC, **changes}
    fields = {"status": OrderStatus.CANCELED, "closed_at": at, "quote_at": at, **fields}
    return make_order(Purpose.TAKE_PROFIT, number=number, created_at=at, **fields)


def submitted(decision: Decision | None) -> Order:
    assert decision is not None
    (order,) = decision.submit
    return order


# 'limit'


def test_limit_sells_at_the_sale_price_or_not_at_all() -> None:
    decision = on_quote(LIMIT, holding_cycle(), make_market("105"))
    order = submitted(decision)
    assert (order.side, order.quantity, order.limit_price) == (Side.SELL, D("0.2"), D("101"))
    assert (order.time_in_force, order.quote_at) == (TimeInForce.IOC, make_time(0))
    assert decision is not None
    assert decision.reason.endswith("sell 0.2 at 101 or better")


def test_limit_waits_below_its_price() -> None:
    assert on_quote(LIMIT, holding_cycle(), make_market("100.99")) is None


def test_limit_needs_no_second_look() -> None:
    decision = on_quote(LIMIT, holding_cycle(), make_market())
    assert decision is not None
    assert not decision.looks


def test_missed_sale_waits_for_a_newer_quote() -> None:
    cycle = holding_cycle(missed(at=0))
    assert on_quote(LIMIT, cycle, make_market(at=0, now=30)) is None
    submitted(on_quote(LIMIT, cycle, make_market(at=1)))


def test_one_sale_at_a_limit_a_second() -> None:
    cycle = holding_cycle(missed(at=0))
    assert on_quote(LIMIT, cycle, make_market(at=0.9)) is None
    submitted(on_quote(LIMIT, cycle, make_market(at=1)))


def test_missed_sales_never_back_off() -> None:
    many = [missed(at=n, number=n) for n in range(1, 30)]
    assert backoff_until(holding_cycle(*many), Side.SELL) is None
    submitted(on_quote(LIMIT, holding_cycle(*many), make_market(at=31)))


def test_refused_sale_at_a_limit_backs_off() -> None:
    refused = missed(status=OrderStatus.REJECTED, refusal=Refusal.OTHER)
    cycle = holding_cycle(refused)
    assert backoff_until(cycle, Side.SELL) == make_time(1)
    submitted(on_quote(LIMIT, cycle, make_market(at=0, now=2)))  # its quote was never used


def test_repeated_misses_are_said_once() -> None:
    first = on_quote(LIMIT, holding_cycle(), make_market())
    assert first is not None and not first.quiet
    gone = make_report(first.submit[0], OrderStatus.CANCELED)
    ended = on_report(first.cycle, gone, make_time(0))
    assert ended is not None and not ended.quiet
    again = on_quote(LIMIT, ended.cycle, make_market(at=2))
    assert again is not None and again.quiet
    gone = make_report(again.submit[0], OrderStatus.CANCELED, at=2)
    ended = on_report(again.cycle, gone, make_time(2))
    assert ended is not None and ended.quiet


def test_part_of_a_limit_sale_is_sold_on() -> None:
    part = missed(filled_quantity="0.05", filled_price="101")
    order = submitted(on_quote(LIMIT, holding_cycle(part), make_market("110", at=1)))
    assert (order.quantity, order.limit_price) == (D("0.15"), D("101"))


def test_limit_sells_beside_an_open_buy_and_has_it_cancelled() -> None:
    buy = make_order(Purpose.SAFETY, price=BUY_AT)
    decision = on_quote(LIMIT, holding_cycle(buy), make_market())
    assert decision is not None
    assert decision.cancel == (buy,)
    assert submitted(decision).limit_price == D("101")
    asked = decision.cycle.order(buy.client_order_id)
    assert asked is not None and asked.cancel_requested_at == make_time(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": OrderStatus.PARTIALLY_FILLED, "filled_quantity": "0.1", "filled_price": BUY_AT},
        {"price": "101"},
    ],
)
def test_limit_waits_for_a_buy_that_is_partly_filled_or_would_cross(changes: dict[str, Any]) -> None:
    buy = make_order(Purpose.SAFETY, **({"price": BUY_AT} | changes))
    decision = on_quote(LIMIT, holding_cycle(buy), make_market())
    assert decision is not None
    assert (decision.submit, decision.cancel) == ((), (buy,))


def test_limit_waits_for_a_buy_of_unknown_fate() -> None:
    buy = make_order(Purpose.SAFETY, price=BUY_AT, status=OrderStatus.INTENDED, order_id=None)
    assert on_quote(LIMIT, holding_cycle(buy), make_market()) is None


def test_one_limit_sale_at_a_time() -> None:
    assert on_quote(LIMIT, holding_cycle(missed(status=OrderStatus.ACCEPTED)), make_market(at=9)) is None


def test_sold_beside_a_buy_ends_when_the_buy_is_gone() -> None:
    buy = make_order(Purpose.SAFETY, price=BUY_AT, cancel_requested_at=1)
    sold = missed(status=OrderStatus.FILLED, quantity="0.2", filled_quantity="0.2", filled_price="101")
    cycle = holding_cycle(buy, sold)
    ended = on_report(cycle, make_report(buy, OrderStatus.CANCELED, at=2), make_time(2))
    assert ended is not None
    assert (ended.cycle.status, ended.cycle.ended_by) == (CycleStatus.COMPLETE, EndedBy.TAKE_PROFIT)
    bought = on_report(cycle, make_report(buy, filled="0.2", price=BUY_AT, at=2), make_time(2))
    assert bought is not None
    assert bought.cycle.status is CycleStatus.WATCHING
    assert not bought.successor


# 'market'


def seen(*, first: str = "101", rest: str | None, rest_at: float = 1, asked_at: float = 1) -> SecondLook:
    look = SecondLook(make_quote(first, "102", at=0), make_time(0))
    if rest is None:
        return look
    return look.answered(make_quote(rest, "102", at=rest_at), make_time(asked_at))


def test_market_asks_for_a_second_look_first() -> None:
    decision = on_quote(MARKET, holding_cycle(), make_market())
    assert decision is not None
    assert decision.looks and not decision.acts
    assert decision.reason == ""


def test_market_sells_when_rest_agrees() -> None:
    order = submitted(on_quote(MARKET, holding_cycle(), make_market(at=1, look=seen(rest="101.2"))))
    assert (order.limit_price, order.time_in_force) == (None, TimeInForce.GTC)


def test_market_does_not_sell_what_rest_contradicts() -> None:
    decision = on_quote(MARKET, holding_cycle(), make_market(at=1, look=seen(rest="45")))
    assert decision is not None
    assert decision.looks and not decision.submit
    assert decision.reason == (
        "the stream's bid of 101 reaches the sale price 101, but REST's latest is 45: nothing is sold until both agree"
    )


def test_market_sells_at_a_limit_when_the_data_host_is_silent() -> None:
    look = seen(rest=None)
    assert not submitted_at_limit(on_quote(MARKET, holding_cycle(), make_market(at=9, look=look)))
    decision = on_quote(MARKET, holding_cycle(), make_market(at=10, look=look))
    assert submitted_at_limit(decision)
    assert decision is not None
    assert "data host does not answer, so at a limit" in decision.reason


def submitted_at_limit(decision: Decision | None) -> bool:
    return any(order.limit_price is not None for order in (decision.submit if decision else ()))


def test_market_keeps_its_buy_until_rest_agrees() -> None:
    buy = make_order(Purpose.SAFETY, price=BUY_AT)
    doubted = on_quote(MARKET, holding_cycle(buy), make_market())
    assert doubted is not None
    assert not doubted.cancel
    agreed = on_quote(MARKET, holding_cycle(buy), make_market(at=1, look=seen(rest="101")))
    assert agreed is not None
    assert (agreed.cancel, agreed.submit) == ((buy,), ())


def test_sale_price_counts_as_reached_while_a_sale_waits() -> None:
    waiting = holding_cycle(make_order(Purpose.SAFETY, price=BUY_AT, cancel_requested_at=0))
    assert reaches_sale_price(MARKET, waiting, make_market())
    assert not reaches_sale_price(MARKET, waiting, make_market("100.99"))
    assert not reaches_sale_price(MARKET, make_cycle(), make_market())


# What is left over, and sales by hand


def test_what_cannot_be_sold_is_left_over_and_the_cycle_ends() -> None:
    sold = make_order(Purpose.TAKE_PROFIT, filled="0.0002", price="61000", limit_price=None)
    base = make_order(filled="0.0003", price="60000", fee_quantity="0.00000075")
    decision = on_quote(MARKET, make_cycle(base, sold), make_market("60000", quantity_step="0.0001"))
    assert decision is not None
    assert decision.cycle.status is CycleStatus.COMPLETE
    assert (decision.successor, decision.last_sell_price) == (CycleStatus.COOLDOWN, D("61000"))
    assert decision.reason.startswith("0.00009925 BTC/USD cannot be sold and is left over; cycle complete")
    assert decision.inherited == D("0.00009925")


def test_a_base_order_that_its_fee_makes_unsellable_is_not_bought() -> None:
    decision = on_quote(MARKET, make_cycle(), make_market("19", quantity_step="1"))
    assert decision is not None
    assert not decision.submit
    assert "of which the fee leaves none to sell in steps of 1" in decision.reason


def test_a_sale_by_hand_says_so_to_the_end() -> None:
    instrument, now = make_instrument(), make_time(0)
    decision = on_close(holding_cycle(), instrument, now)
    order = submitted(decision)
    assert (order.purpose, order.limit_price) == (Purpose.BY_HAND, None)
    assert order.client_order_id.endswith("-by_hand-1")
    assert decision is not None
    ended = on_report(decision.cycle, make_report(order, price="90"), now)
    assert ended is not None
    assert ended.cycle.ended_by is EndedBy.BY_HAND


def test_by_hand_ends_what_is_left_over() -> None:
    sold = make_order(Purpose.BY_HAND, filled="0.0002", price="61000", limit_price=None)
    base = make_order(filled="0.0003", price="60000", fee_quantity="0.00000075")
    coarse = make_instrument(quantity_step="0.0001")
    decision = on_close(make_cycle(base, sold), coarse, make_time(0))
    assert decision is not None
    assert decision.cycle.ended_by is EndedBy.BY_HAND


# The spread


@pytest.mark.parametrize(("most", "buys"), [("0.01", False), ("0.02", True), (None, True)])
def test_wide_spread_holds_back_a_base_order(most: str | None, buys: bool) -> None:
    quote = make_quote("100", "101.5")
    limit = None if most is None else D(most)
    market = replace(make_market(), quote=quote, spread_max=limit)
    decision = on_quote(LIMIT, make_cycle(), market)
    assert decision is not None
    assert bool(decision.submit) is buys
    if not buys:
        assert decision.reason == (
            "no base order: the spread is 1.5 % (bid 100, ask 101.5), above DCABOT_SPREAD_MAX_PERCENT 1"
        )


def test_a_spread_at_the_limit_buys() -> None:
    market = replace(make_market(), quote=make_quote("100", "101"), spread_max=D("0.01"))
    assert submitted(on_quote(LIMIT, make_cycle(), market))


def test_wide_spread_does_not_hold_back_a_safety_order() -> None:
    market = replace(make_market(), quote=make_quote("60", "97"), spread_max=D("0.01"))
    assert submitted(on_quote(LIMIT, holding_cycle(), market)).purpose is Purpose.SAFETY
