"""What the venue refuses, in Alpaca's own words (alpaca.md 2.11 and 5.x)."""

from decimal import Decimal
from typing import Any

import pytest

from dcabot.core.venue import VenueOrder
from tests.core.venues import NOW, ask_for, make_venue, placed, refused

ADVICE = ". use complex/limit/stop_limit orders"


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"symbol": "XYZ/USD"}, 42210000, 'asset "XYZ/USD" not found'),
        ({"symbol": "MKR/USD"}, 40010001, "asset MKR/USD is not active"),
        ({"type": "stop"}, 40010001, "invalid order type for crypto order"),
        ({"type": "trailing_stop"}, 40010001, "invalid order type for crypto order"),
        ({"time_in_force": "day"}, 42210000, "invalid crypto time_in_force"),
        ({"time_in_force": "fok"}, 42210000, "invalid crypto time_in_force"),
        ({"order_class": "otoco"}, 42210000, "crypto orders not allowed for advanced order_class: otoco"),
        ({"quantity": None}, 40010001, "qty is required"),
        ({"quantity": "0"}, 42210000, "qty must be > 0"),
        ({"quantity": "-1"}, 42210000, "qty must be > 0"),
        ({"quantity": "0.0000000009"}, 42210000, "qty must be > 0"),
        ({"notional": "10.001"}, 42210000, "notional value must be limited to 2 decimal places"),
        ({"notional": "-10"}, 42210000, "notional must be > 0"),
        ({"limit_price": "0"}, 42210000, "limit_price must be > 0"),
        ({"type": "limit"}, 42210000, "limit orders require limit price"),
        ({"limit_price": "1", "type": "stop_limit"}, 42210000, "stop limit orders require stop price"),
        ({"limit_price": "1", "type": "market"}, 42210000, "market orders must not have limit price"),
        ({"client_order_id": "x" * 129}, 40010001, "client_order_id must be no more than 128 characters"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(fields: dict[str, Any], code: int, message: str) -> None:
    refusal = refused(make_venue(), **fields)
    assert (refusal.status, refusal.code, refusal.message) == (422, code, message)


def test_quantity_and_notional_exclude_each_other() -> None:
    request = ask_for()
    both = type(request)(
        request.symbol, request.side, request.type, request.time_in_force, Decimal("0.1"), notional=Decimal(10)
    )
    assert getattr(make_venue().submit(both, NOW), "status", 0) == 422


def test_a_client_order_id_is_used_up_even_by_a_closed_order() -> None:
    venue = make_venue()
    first = placed(venue, client_order_id="mine", limit_price="50000")
    venue.cancel(first.id, NOW)
    refusal = refused(venue, client_order_id="mine")
    assert (refusal.status, refusal.code, refusal.message) == (422, 40010001, "client_order_id must be unique")


def test_a_client_order_id_of_128_characters_is_fine() -> None:
    assert placed(make_venue(), client_order_id="x" * 128).filled_quantity


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ({"quantity": "0.0001", "limit_price": "100000"}, True),
        ({"quantity": "0.000099999", "limit_price": "100000"}, False),
        ({"notional": "10"}, True),
        ({"notional": "9.99"}, False),
        ({"quantity": "0.00016"}, False),  # 9.60 at the ask
    ],
)
def test_a_buy_below_ten_dollars_is_refused(fields: dict[str, Any], passes: bool) -> None:
    outcome = make_venue().submit(ask_for(**fields), NOW)
    assert isinstance(outcome, VenueOrder) == passes
    if not isinstance(outcome, VenueOrder):
        assert (outcome.status, outcome.code) == (403, 40310000)
        assert outcome.message == "cost basis must be >= minimal amount of order 10"


def test_a_sell_of_three_dollars_passes() -> None:
    venue = make_venue()
    placed(venue)
    assert placed(venue, "sell", "0.00005").filled_quantity == Decimal("0.00005")


def test_more_than_two_hundred_thousand_dollars_are_refused() -> None:
    assert refused(make_venue(1_000_000), quantity="4").status == 403


def test_missing_dollars_are_refused_with_what_there_is() -> None:
    refusal = refused(make_venue("87.84"), notional="1000")
    assert (refusal.status, refusal.code) == (403, 40310000)
    assert refusal.message.startswith("insufficient balance for USD (requested: ")
    assert refusal.extras == {"available": "87.84", "balance": "87.84", "symbol": "USD"}


def test_open_buys_reserve_dollars() -> None:
    venue = make_venue(100)
    placed(venue, "buy", "0.001", limit_price="50000")
    refusal = refused(venue, "buy", "0.001", limit_price="50000.01")
    assert refusal.message == "insufficient balance for USD (requested: 50.00001, available: 50)"
    assert refusal.extras["balance"] == "100"
    placed(venue, "buy", "0.001", limit_price="50000")


def test_selling_a_billionth_too_much_is_refused() -> None:
    venue = make_venue()
    placed(venue)
    refusal = refused(venue, "sell", "0.000997501")
    assert refusal.message == "insufficient balance for BTC (requested: 0.000997501, available: 0.0009975)"
    assert refusal.extras == {"available": "0.0009975", "balance": "0.0009975", "symbol": "BTC"}
    assert placed(venue, "sell", "0.0009975").filled_quantity


def test_open_sells_reserve_coins() -> None:
    venue = make_venue()
    placed(venue)
    placed(venue, "sell", "0.0009975", limit_price="70000")
    assert venue.account.available("BTC") == 0
    refusal = refused(venue, "sell", "0.0009975", limit_price="71000")
    assert refusal.extras == {"available": "0", "balance": "0.0009975", "symbol": "BTC"}


def test_selling_what_was_never_bought_is_refused() -> None:
    assert refused(make_venue(), "sell").extras == {"available": "0", "balance": "0", "symbol": "BTC"}


def resting_sell(limit_price: str = "61000") -> tuple[Any, str]:
    venue = make_venue()
    placed(venue)
    return venue, placed(venue, "sell", "0.0005", limit_price=limit_price).id


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ({}, False),
        ({"limit_price": "60999.99"}, True),
        ({"limit_price": "61000"}, False),
        ({"limit_price": "62000"}, False),
        ({"limit_price": "60500", "stop_price": "60400"}, True),
        ({"limit_price": "61000", "stop_price": "60900"}, False),
    ],
)
def test_a_buy_against_a_resting_sell_is_a_wash_trade_if_they_cross(fields: dict[str, Any], passes: bool) -> None:
    venue, sell_id = resting_sell()
    outcome = venue.submit(ask_for(**fields), NOW)
    assert isinstance(outcome, VenueOrder) == passes
    if not passes:
        assert (outcome.status, outcome.code) == (403, 40310000)
        assert outcome.message == "potential wash trade detected. use complex orders"
        assert outcome.extras == {
            "existing_order_id": sell_id,
            "reject_reason": f"opposite side limit order exists{'' if fields else ADVICE}",
        }


def test_a_market_order_is_a_wash_trade_however_far_the_opposite_order_is() -> None:
    venue, sell_id = resting_sell("90000")
    assert refused(venue).extras["existing_order_id"] == sell_id


def test_anything_against_an_open_market_order_is_a_wash_trade() -> None:
    venue = make_venue(slicer=lambda order, unfilled, quote: Decimal("0.0004"))
    market = placed(venue)
    refusal = refused(venue, "sell", "0.0001", limit_price="90000")
    assert refusal.extras == {
        "existing_order_id": market.id,
        "reject_reason": "opposite side market order exists",
    }


def test_a_wash_trade_looks_at_orders_that_are_still_pending() -> None:
    venue = make_venue()
    placed(venue)
    venue.submit(ask_for("sell", "0.0005", limit_price="61000"), NOW)
    reason = refused(venue).extras["reject_reason"]
    assert reason == f"opposite side limit order exists{ADVICE}"


def test_orders_of_another_symbol_are_no_wash_trade() -> None:
    venue, _ = resting_sell()
    assert placed(venue, "buy", "0.1", symbol="ETH/USD").filled_quantity


def test_a_quantity_beyond_nine_decimals_is_cut() -> None:
    assert placed(make_venue(), quantity="0.00021739130434782607").quantity == Decimal("0.000217391")


def test_the_switches_of_the_policy_change_the_answer() -> None:
    venue = make_venue(duplicate_id_code=42210000, refuses_off_tick=True, open_orders_maximum=1)
    placed(venue, client_order_id="mine", limit_price="50000")
    assert refused(venue, client_order_id="mine").code == 42210000
    assert refused(venue, limit_price="50000.001").status == 422
    assert refused(venue, limit_price="50000").message == "too many open orders"
