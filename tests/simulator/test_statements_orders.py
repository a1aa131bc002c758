"""alpaca.md section 7, statements 13 to 28: what orders do, through the unmodified SDK."""

import json
import time
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, TimeInForce
from alpaca.trading.requests import MarketOrderRequest, StopLimitOrderRequest, StopLossRequest, TakeProfitRequest

from dcabot.core.venue import Policy
from dcabot.simulator import Simulator, Timing
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import client, listening, order, until, updates


def submit(alpaca: Simulator, *arguments: Any, **fields: Any) -> dict[str, Any]:
    placed: dict[str, Any] = client(alpaca).post("/orders", order(*arguments, **fields))
    return placed


def filled(alpaca: Simulator, *arguments: Any, **fields: Any) -> dict[str, Any]:
    """The order after it filled."""
    placed = submit(alpaca, *arguments, **fields)
    until(lambda: shown(alpaca, placed["id"])["status"] == "filled")
    return shown(alpaca, placed["id"])


def shown(alpaca: Simulator, order_id: str) -> dict[str, Any]:
    return next(one for one in alpaca.orders() if one["id"] == order_id)


def refused(alpaca: Simulator, *arguments: Any, **fields: Any) -> tuple[int, int, str]:
    with pytest.raises(APIError) as caught:
        submit(alpaca, *arguments, **fields)
    return caught.value.status_code, caught.value.code, caught.value.message


def extras(alpaca: Simulator, *arguments: Any, **fields: Any) -> dict[str, str]:
    """What a refusal says besides code and message."""
    with pytest.raises(APIError) as caught:
        submit(alpaca, *arguments, **fields)
    body = json.loads(str(caught.value))
    return {name: value for name, value in body.items() if name not in ("code", "message")}


def settles(alpaca: Simulator, order_id: str, status: str) -> dict[str, Any]:
    until(lambda: shown(alpaca, order_id)["status"] == status)
    return shown(alpaca, order_id)


def test_13_a_post_answers_pending_new_and_the_order_is_new_and_filled_later(alpaca: Simulator) -> None:
    market = client(alpaca).submit_order(
        MarketOrderRequest(symbol="BTC/USD", qty=0.001, side=OrderSide.BUY, time_in_force=TimeInForce.GTC)
    )
    assert market.status is OrderStatus.PENDING_NEW
    assert market.filled_qty == "0"
    settles(alpaca, str(market.id), "filled")
    limit = submit(alpaca, kind="limit", limit_price="50000")
    assert limit["status"] == "pending_new"
    settles(alpaca, limit["id"], "new")


def test_14_a_client_order_id_is_unique_for_ever_and_at_most_128_characters(alpaca: Simulator) -> None:
    first = submit(alpaca, kind="limit", limit_price="50000", client_order_id="mine")
    assert refused(alpaca, client_order_id="mine") == (422, 40010001, "client_order_id must be unique")
    client(alpaca).cancel_order_by_id(first["id"])
    settles(alpaca, first["id"], "canceled")
    assert refused(alpaca, client_order_id="mine") == (422, 40010001, "client_order_id must be unique")
    too_long = refused(alpaca, client_order_id="x" * 129)
    assert too_long == (422, 40010001, "client_order_id must be no more than 128 characters")
    assert submit(alpaca, client_order_id="x" * 128)["client_order_id"] == "x" * 128
    assert len(submit(alpaca)["client_order_id"]) == 36


def test_15_a_buy_costs_at_least_ten_dollars_and_a_sell_anything(alpaca: Simulator) -> None:
    text = "cost basis must be >= minimal amount of order 10"
    assert refused(alpaca, "0.000194", kind="limit", limit_price="50000") == (403, 40310000, text)
    assert refused(alpaca, None, notional="9.99") == (403, 40310000, text)
    alpaca.transfer("BTC", "0.00005")
    assert filled(alpaca, "0.00005", "sell")["status"] == "filled"
    assert submit(alpaca, "0.0002", kind="limit", limit_price="50000")["status"] == "pending_new"


def test_16_missing_cash_is_refused_and_open_buys_hold_cash() -> None:
    with make_alpaca(cash="87.84") as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        status, code, message = refused(alpaca, "0.02", kind="limit", limit_price="50000")
        assert (status, code) == (403, 40310000)
        assert message == "insufficient balance for USD (requested: 1000, available: 87.84)"
        assert extras(alpaca, "0.02", kind="limit", limit_price="50000") == {
            "available": "87.84", "balance": "87.84", "symbol": "USD",
        }  # fmt: skip
        submit(alpaca, "0.001", kind="limit", limit_price="50000")
        account = client(alpaca).get_account()
        assert (account.non_marginable_buying_power, account.cash) == ("37.84", "37.84")
        assert account.equity == "87.84"


def test_17_open_sells_hold_coins_and_a_billionth_too_much_is_refused(alpaca: Simulator) -> None:
    alpaca.transfer("BTC", "1.33898895", "100")
    status, code, message = refused(alpaca, "1.338988951", "sell", kind="limit", limit_price="70000")
    assert (status, code) == (403, 40310000)
    assert message == "insufficient balance for BTC (requested: 1.338988951, available: 1.33898895)"
    submit(alpaca, "1.33898895", "sell", kind="limit", limit_price="70000")
    position = client(alpaca).get_open_position("BTCUSD")
    assert (position.qty, position.qty_available) == ("1.33898895", "0")
    assert extras(alpaca, "0.5", "sell", kind="limit", limit_price="71000") == {
        "available": "0", "balance": "1.33898895", "symbol": "BTC",
    }  # fmt: skip


def test_18_opposite_orders_that_could_meet_are_a_wash_trade(alpaca: Simulator) -> None:
    filled(alpaca, "0.01")
    sell = submit(alpaca, "0.005", "sell", kind="limit", limit_price="61000")
    text = "potential wash trade detected. use complex orders"
    assert refused(alpaca) == (403, 40310000, text)
    assert extras(alpaca) == {
        "existing_order_id": sell["id"],
        "reject_reason": "opposite side limit order exists. use complex/limit/stop_limit orders",
    }
    assert extras(alpaca, kind="limit", limit_price="61000") == {
        "existing_order_id": sell["id"],
        "reject_reason": "opposite side limit order exists",
    }
    assert refused(alpaca, kind="limit", limit_price="61000")[2] == text
    assert refused(alpaca, kind="limit", limit_price="62000")[2] == text
    assert submit(alpaca, kind="limit", limit_price="60999.99")["status"] == "pending_new"


def test_19_a_tenth_decimal_is_cut_and_a_third_of_a_notional_refused(alpaca: Simulator) -> None:
    assert filled(alpaca, "0.00021739130434782607")["qty"] == "0.000217391"
    assert refused(alpaca, None, notional="10.005") == (
        422, 42210000, "notional value must be limited to 2 decimal places",
    )  # fmt: skip


def test_20_crypto_knows_gtc_and_ioc_and_three_types(alpaca: Simulator) -> None:
    for known in ("day", "fok", "opg"):
        told = refused(alpaca, time_in_force=known)
        assert told == (422, 42210000, "invalid crypto time_in_force")
    for unknown in ("PO", "GTC"):
        told = refused(alpaca, time_in_force=unknown)
        assert told == (422, 40010001, "invalid time_in_force for crypto order")
    assert refused(alpaca, kind="stop", stop_price="61000") == (
        422, 40010001, "invalid order type for crypto order",
    )  # fmt: skip
    bracket = MarketOrderRequest(
        symbol="BTC/USD", qty=0.001, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, order_class=OrderClass.BRACKET,
        take_profit=TakeProfitRequest(limit_price=70_000), stop_loss=StopLossRequest(stop_price=50_000),
    )  # fmt: skip
    with pytest.raises(APIError) as caught:
        client(alpaca).submit_order(bracket)
    assert (caught.value.status_code, caught.value.code) == (422, 42210000)
    assert caught.value.message == "crypto orders not allowed for advanced order_class: otoco"
    stop_limit = client(alpaca).submit_order(
        StopLimitOrderRequest(
            symbol="BTC/USD", qty=0.001, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, stop_price=61_000,
            limit_price=61_500,
        )
    )  # fmt: skip
    settles(alpaca, str(stop_limit.id), "new")
    alpaca.faults.partial_fills(["0.0004"])
    ioc = submit(alpaca, time_in_force="ioc", kind="limit", limit_price="60010")
    assert settles(alpaca, ioc["id"], "canceled")["filled_qty"] == "0.0004"


def test_21_a_notional_buy_is_sized_at_the_collar_and_keeps_qty_null(alpaca: Simulator) -> None:
    alpaca.set_quote("BTC/USD", "63900", "63930.5")
    done = filled(alpaca, None, notional="10")
    assert (done["qty"], done["notional"]) == (None, "10")
    assert done["filled_qty"] == "0.000153352"  # 10 / (63930.5 x 1.02), cut at 9 decimals
    assert done["filled_avg_price"] == "63930.5"
    spent = Decimal(done["filled_qty"]) * Decimal(done["filled_avg_price"])
    assert Decimal("9.80") < spent < Decimal("9.81")


def test_22_a_market_order_never_fills_beyond_two_percent() -> None:
    with make_alpaca(timing=Timing(new=0.1)) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60000")
        placed = submit(alpaca)
        alpaca.set_quote("BTC/USD", "61200.01", "61200.01")
        settles(alpaca, placed["id"], "new")
        alpaca.set_quote("BTC/USD", "61200", "61200")
        assert settles(alpaca, placed["id"], "filled")["filled_avg_price"] == "61200"


def test_23_limits_fill_when_marketable_at_the_quote_or_better(alpaca: Simulator) -> None:
    resting = submit(alpaca, kind="limit", limit_price="59000")
    settles(alpaca, resting["id"], "new")
    alpaca.set_quote("BTC/USD", "58000", "59000.01")
    assert shown(alpaca, resting["id"])["filled_qty"] == "0"
    alpaca.set_quote("BTC/USD", "58000", "58900")
    assert shown(alpaca, resting["id"])["filled_avg_price"] == "59000"  # its own
    assert filled(alpaca, kind="limit", limit_price="65000")["filled_avg_price"] == "58900"
    assert filled(alpaca, "0.001", "sell", kind="limit", limit_price="57000")["filled_avg_price"] == "58000"


def test_24_partial_fills_are_cumulative_and_come_in_ten_of_a_hundred_orders() -> None:
    with make_alpaca(partial_fills="0.1", rate_limit=None, seed=3) as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        for _ in range(100):
            submit(alpaca)
        until(lambda: all(one["status"] == "filled" for one in alpaca.orders()))
        until(lambda: stream.events().count("fill") == 100)
        partials = [update for update in stream.heard if update.event == "partial_fill"]
        assert 4 <= len(partials) <= 20
        for partial in partials:
            slices = [u for u in stream.heard if u.order.id == partial.order.id and u.event in ("partial_fill", "fill")]
            total = Decimal(0)
            for one in slices:
                total += Decimal(str(one.qty))
                assert Decimal(one.order.filled_qty) == total
                assert (one.price, one.order.filled_avg_price) == (60_010.0, "60010")
            assert total == Decimal("0.001")


def test_24_the_size_of_a_partial_fill_can_be_chosen(alpaca: Simulator) -> None:
    alpaca.faults.partial_fills(["0.0001", "0.0002"])
    filled(alpaca)
    assert [row["qty"] for row in alpaca.activities()] == ["0.0001", "0.0002", "0.0007"]
    assert [row["type"] for row in alpaca.activities()] == ["partial_fill", "partial_fill", "fill"]


def test_25_a_buy_pays_in_coins_at_once_and_a_sell_in_dollars_later(alpaca: Simulator) -> None:
    alpaca.faults.delay_fees(3600)
    done = filled(alpaca, "0.1")
    assert done["filled_qty"] == "0.1"
    assert client(alpaca).get_open_position("BTCUSD").qty == "0.09975"
    assert [row["activity_type"] for row in alpaca.activities()] == ["FILL"]
    filled(alpaca, "0.000123456", "sell")
    cash = Decimal(client(alpaca).get_account().cash)
    alpaca.advance(86_400)
    fees = [row for row in alpaca.activities() if row["activity_type"] == "CFEE"]
    assert [row.get("qty") for row in fees] == ["-0.00025", None]
    assert fees[1]["net_amount"] == "-0.02"  # 7.40736 x 0.25 % = 0.0185184, up to the cent
    assert Decimal(client(alpaca).get_account().cash) == cash - Decimal("0.02")
    assert client(alpaca).get_open_position("BTCUSD").qty == "0.099626544"


def test_25_a_fee_in_coins_is_rounded_up_to_a_billionth(alpaca: Simulator) -> None:
    filled(alpaca, "0.000200001")
    assert client(alpaca).get_open_position("BTCUSD").qty == "0.0001995"  # 0.0000005000025 up to 0.000000501


def test_25_a_sale_that_is_paid_in_coins_owes_coins_and_no_whole_hundredth_of_one() -> None:
    with make_alpaca(symbols=("BTC/USD", "ETH/BTC")) as alpaca:
        alpaca.set_quote("ETH/BTC", "0.029", "0.0291")
        alpaca.transfer("BTC", "1", "60000")
        alpaca.transfer("ETH", "1", "1800")
        filled(alpaca, "0.1", "sell", symbol="ETH/BTC")
        alpaca.advance(86_400)
        assert alpaca.activities()[-1]["qty"] == "-0.00000725"  # 0.0029 x 0.25 %
        assert client(alpaca).get_open_position("BTCUSD").qty == "1.00289275"


def test_26_what_is_over_cannot_be_cancelled_and_a_cancel_may_come_too_late(alpaca: Simulator) -> None:
    done = filled(alpaca)
    with pytest.raises(APIError) as caught:
        client(alpaca).cancel_order_by_id(done["id"])
    assert (caught.value.status_code, caught.value.code) == (422, 42210000)
    assert caught.value.message == 'order is already in "filled" state'
    unknown = "61e69015-8549-4bfd-b9c3-01e75843f47d"
    with pytest.raises(APIError) as caught:
        client(alpaca).cancel_order_by_id(unknown)
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)
    assert caught.value.message == f"order not found for {unknown}"


def test_26_a_cancel_may_lose_the_race_against_a_fill() -> None:
    with make_alpaca(timing=Timing(cancel=1.5)) as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        resting = submit(alpaca, kind="limit", limit_price="59000")
        settles(alpaca, resting["id"], "new")
        client(alpaca).cancel_order_by_id(resting["id"])
        alpaca.set_quote("BTC/USD", "58000", "58010")
        assert shown(alpaca, resting["id"])["status"] == "filled"
        until(lambda: stream.events() == ["pending_new", "new", "fill", "order_cancel_rejected"])


def test_27_an_order_expires_after_about_ninety_days_under_a_clock_that_is_stepped() -> None:
    start = datetime(2026, 9, 18, 10, tzinfo=timezone.utc)
    with make_alpaca(speed=0, start=start) as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        resting = submit(alpaca, kind="limit", limit_price="50000")
        assert resting["expires_at"] == "2026-12-16T21:00:00Z"
        settles(alpaca, resting["id"], "new")
        alpaca.advance(89 * 86_400)
        assert shown(alpaca, resting["id"])["status"] == "new"
        alpaca.advance(86_400)
        assert shown(alpaca, resting["id"])["status"] == "expired"
        assert shown(alpaca, resting["id"])["expired_at"].startswith("2026-12-16T21:00:00")
        until(lambda: stream.events() == ["pending_new", "new", "expired"])
        assert stream.heard[-1].timestamp == start.replace(month=12, day=16, hour=21)


def test_27_a_faster_clock_lets_orders_expire_too() -> None:
    start = datetime(2026, 9, 18, 10, tzinfo=timezone.utc)
    with make_alpaca(speed=1_000_000, start=start, policy=Policy(gtc_days=1)) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        resting = submit(alpaca, kind="limit", limit_price="50000")
        assert settles(alpaca, resting["id"], "expired")["expired_at"][:19] == resting["expires_at"][:19]


def test_28_an_order_can_be_rejected_after_its_acceptance(alpaca: Simulator) -> None:
    with updates(alpaca) as stream:
        listening(alpaca)
        alpaca.faults.reject_orders()
        placed = submit(alpaca)
        assert placed["status"] == "pending_new"
        done = settles(alpaca, placed["id"], "rejected")
        assert done["failed_at"] is not None
        until(lambda: stream.events() == ["pending_new", "rejected"])
        assert filled(alpaca)["failed_at"] is None


def test_answers_and_fills_come_when_the_settings_say() -> None:
    with make_alpaca(timing=Timing(response=0.1)) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        before = time.monotonic()
        submit(alpaca)
        assert time.monotonic() - before >= 0.1
        assert alpaca.orders()[0]["status"] == "filled"
