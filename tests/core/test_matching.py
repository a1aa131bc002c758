"""How orders live and fill at the venue."""

from datetime import timedelta
from decimal import Decimal

import pytest

from dcabot.core.matching import Venue
from dcabot.core.model import Quote, Side
from dcabot.core.money import text
from dcabot.core.sessions import close_after
from dcabot.core.venue import Execution, Refusal, VenueStatus
from tests.core.venues import NOW, accepted, ask_for, held, make_venue, names, placed, price


def test_an_order_is_pending_until_it_is_activated() -> None:
    venue = make_venue()
    order = accepted(venue)
    assert order.status is VenueStatus.PENDING_NEW
    assert price(venue, 59_000, 59_010) == []
    assert names(venue.activate(order.id, NOW)) == ["new", "fill"]
    assert venue.activate(order.id, NOW) == []


def test_a_market_buy_fills_at_the_ask_and_a_market_sell_at_the_bid() -> None:
    venue = make_venue()
    assert placed(venue).filled_price == 60_010
    assert placed(venue, "sell", "0.0005").filled_price == 60_000


def test_a_limit_buy_that_rests_fills_at_its_own_price() -> None:
    venue = make_venue()
    order = placed(venue, limit_price="59000")
    assert price(venue, 58_995, "59000.01") == []
    assert names(price(venue, 58_000, 58_010)) == ["fill"]
    assert venue.orders[order.id].filled_price == 59_000


def test_a_limit_sell_that_rests_fills_at_its_own_price() -> None:
    venue = make_venue()
    placed(venue)
    order = placed(venue, "sell", "0.0005", limit_price="61000")
    assert price(venue, "60999.99", 61_005) == []
    price(venue, 61_200, 61_210)
    assert venue.orders[order.id].filled_price == 61_000


def test_a_marketable_limit_fills_at_once_at_the_better_price() -> None:
    assert placed(make_venue(), limit_price="65000").filled_price == 60_010


def test_a_market_order_never_fills_beyond_the_collar_of_its_reference_quote() -> None:
    venue = make_venue()
    order = accepted(venue)
    price(venue, 61_300, 61_300)  # 2.1 % above
    assert names(venue.activate(order.id, NOW)) == ["new"]
    assert names(price(venue, 61_200, 61_210)) == ["fill"]


def test_what_lies_beyond_the_collar_is_cancelled_if_the_policy_says_so() -> None:
    venue = make_venue(market_rest_cancels=True)
    order = accepted(venue)
    price(venue, 70_000, 70_000)
    assert names(venue.activate(order.id, NOW)) == ["new", "canceled"]


def test_a_notional_buy_is_sized_at_the_collar_and_spends_less() -> None:
    order = placed(make_venue(), notional="10")
    assert order.quantity is None
    assert order.filled_quantity == Decimal("0.000163371")  # 10 / (60010 * 1.02), cut at 9 decimals
    assert order.filled_cost == Decimal("0.000163371") * 60_010


def test_an_ioc_order_fills_what_it_can_and_cancels_the_rest() -> None:
    venue = make_venue(slicer=lambda order, unfilled, quote: unfilled / 4)
    order = accepted(venue, time_in_force="ioc", limit_price="60010")
    assert names(venue.activate(order.id, NOW)) == ["new", "partial_fill", "canceled"]
    assert venue.orders[order.id].filled_quantity == Decimal("0.00025")


def fills(venue: Venue) -> list[tuple[str, str, bool]]:
    """Quantity, price and whether it was a maker's, of each execution."""
    rows = [one for one in venue.account.activities if isinstance(one, Execution)]
    return [(text(one.quantity), text(one.price), one.maker) for one in rows]


def test_the_rest_of_a_limit_order_is_a_maker_at_its_own_price() -> None:
    """As recorded: 0.25 % at the ask of the moment, then 0.15 % at the limit."""
    sizes = iter([Decimal("8578.621"), Decimal(10_000)])
    venue = make_venue(slicer=lambda order, unfilled, quote: next(sizes), cash=1000)
    price(venue, "0.03037", "0.03038")
    placed(venue, quantity="17538.11919833", limit_price="0.030442596")
    venue.rematch("BTC/USD", NOW)
    assert fills(venue) == [
        ("8578.621", "0.03038", False),
        ("8959.49819833", "0.030442596", True),
    ]


def deep(quote: Quote, side: Side) -> list[tuple[Decimal, Decimal | None]]:
    """A book of two levels, a dollar apart."""
    one = 1 if side is Side.BUY else -1
    best = quote.ask if side is Side.BUY else quote.bid
    return [(best, Decimal("0.4")), (best + one, Decimal("0.5"))]


def test_an_order_takes_one_level_of_the_book_after_another() -> None:
    venue = make_venue(levels=deep)
    order = accepted(venue, quantity="0.6")
    assert names(venue.activate(order.id, NOW)) == ["new", "partial_fill", "fill"]
    assert fills(venue) == [("0.4", "60010", False), ("0.2", "60011", False)]
    placed(venue, "sell", "0.5")
    assert fills(venue)[2:] == [("0.4", "60000", False), ("0.1", "59999", False)]


def test_no_level_beyond_the_limit_is_taken() -> None:
    venue = make_venue(levels=deep)
    order = placed(venue, quantity="0.6", limit_price="60010.5")
    assert (order.status, order.filled_quantity) == (VenueStatus.PARTIALLY_FILLED, Decimal("0.4"))
    assert names(venue.rematch("BTC/USD", NOW)) == ["fill"]
    assert fills(venue) == [("0.4", "60010", False), ("0.2", "60010.5", True)]


def test_an_order_larger_than_the_book_goes_on_at_the_next_look() -> None:
    venue = make_venue(levels=deep)
    order = placed(venue, quantity="1")
    assert order.filled_quantity == Decimal("0.9")
    assert names(venue.rematch("BTC/USD", NOW)) == ["fill"]
    assert fills(venue)[2] == ("0.1", "60010", False)


def test_a_stop_limit_buy_waits_for_the_ask_to_reach_the_stop() -> None:
    venue = make_venue()
    order = accepted(venue, limit_price="61500", stop_price="61000")
    assert names(venue.activate(order.id, NOW)) == []
    assert names(price(venue, 60_900, 60_990)) == []
    assert names(price(venue, 61_000, 61_010)) == ["new", "fill"]


def test_a_triggered_stop_limit_rests_at_its_limit() -> None:
    venue = make_venue(stop_limit_tells_new=True)
    placed(venue)
    order = accepted(venue, "sell", "0.0005", limit_price="59500", stop_price="59600")
    assert names(venue.activate(order.id, NOW)) == ["new"]
    assert names(price(venue, 59_000, 59_010)) == []
    assert names(price(venue, 59_550, 59_560)) == ["fill"]
    assert venue.orders[order.id].resting


@pytest.mark.parametrize(("side", "limit", "stop"), [("buy", "61500", "61000"), ("sell", "58000", "59000")])
def test_a_stop_is_reached_at_its_very_price(side: str, limit: str, stop: str) -> None:
    venue = make_venue()
    venue.account.move("BTC", Decimal(1), Decimal(1))
    order = placed(venue, side, limit_price=limit, stop_price=stop)
    step = Decimal("0.01") if side == "sell" else Decimal("-0.01")
    assert names(price(venue, Decimal(stop) + step, Decimal(stop) + step)) == []
    assert names(price(venue, stop, stop)) == ["new", "fill"]
    assert venue.orders[order.id].triggered


def test_partial_fills_add_up() -> None:
    slices = iter([Decimal("0.0002"), Decimal("0.0003")])
    venue = make_venue(slicer=lambda order, unfilled, quote: next(slices, unfilled))
    order = accepted(venue)
    assert names(venue.activate(order.id, NOW)) == ["new", "partial_fill"]
    (second,) = price(venue, 60_000, 60_020)
    assert second.execution is not None
    assert (second.execution.quantity, second.execution.cumulative) == (Decimal("0.0003"), Decimal("0.0005"))
    (last,) = venue.rematch("BTC/USD", NOW)
    assert last.name == "fill"
    filled = venue.orders[order.id]
    assert filled.filled_quantity == Decimal("0.001")
    assert filled.filled_price == Decimal("60018")  # (0.0002 x 60010 + 0.0008 x 60020) / 0.001


def test_a_fill_that_is_held_back_happens_later_at_the_price_of_then() -> None:
    sizes = {"now": Decimal(0)}
    venue = make_venue(slicer=lambda order, unfilled, quote: min(sizes["now"], unfilled))
    order = placed(venue)
    assert order.filled_quantity == 0
    sizes["now"] = Decimal(1)
    price(venue, 60_100, 60_110)
    assert venue.orders[order.id].filled_price == 60_110


def test_a_cancel_ends_an_order_and_frees_its_money() -> None:
    venue = make_venue(100)
    order = placed(venue, limit_price="50000")
    assert venue.account.available("USD") == 50
    assert venue.request_cancel(order.id, NOW) == []
    assert names(venue.cancel(order.id, NOW)) == ["canceled"]
    assert venue.account.available("USD") == 100
    assert venue.open == {}


def test_a_cancel_may_lose_the_race_against_a_fill() -> None:
    venue = make_venue()
    order = placed(venue, limit_price="59000")
    venue.request_cancel(order.id, NOW)
    price(venue, 58_000, 58_010)
    assert names(venue.cancel(order.id, NOW)) == ["order_cancel_rejected"]
    assert venue.orders[order.id].status is VenueStatus.FILLED


def test_a_cancelled_order_keeps_what_it_filled() -> None:
    venue = make_venue(slicer=lambda order, unfilled, quote: Decimal("0.0004"))
    order = placed(venue)
    venue.cancel(order.id, NOW)
    assert venue.orders[order.id].status is VenueStatus.CANCELED
    assert venue.orders[order.id].filled_quantity == Decimal("0.0004")


def test_what_is_over_cannot_be_cancelled() -> None:
    venue = make_venue()
    filled = placed(venue)
    refusal = venue.request_cancel(filled.id, NOW)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (422, 42210000)
    assert refusal.message == 'order is already in "filled" state'
    unknown = venue.request_cancel("nobody", NOW)
    assert isinstance(unknown, Refusal)
    assert (unknown.status, unknown.code, unknown.message) == (404, 40410000, "order not found for nobody")


def test_cancelling_twice_is_no_error() -> None:
    venue = make_venue()
    order = placed(venue, limit_price="50000")
    venue.cancel(order.id, NOW)
    assert venue.request_cancel(order.id, NOW) == []


def test_pending_cancel_is_told_if_the_policy_says_so() -> None:
    venue = make_venue(tells_pending_cancel=True)
    order = placed(venue, limit_price="50000")
    events = venue.request_cancel(order.id, NOW)
    assert isinstance(events, list)
    assert names(events) == ["pending_cancel"]


def test_an_accepted_order_can_be_rejected_afterwards() -> None:
    venue = make_venue()
    order = accepted(venue)
    (event,) = venue.reject(order.id, NOW)
    assert (event.name, event.order.status, event.order.closed_at) == ("rejected", VenueStatus.REJECTED, NOW)
    assert venue.account.held("USD") == 0
    assert venue.activate(order.id, NOW) == []


def test_an_order_expires_90_days_after_the_last_session_at_its_close() -> None:
    venue = make_venue()
    order = placed(venue, limit_price="50000")
    expires_at = close_after(NOW, 90)
    assert order.expires_at == venue.due_at == expires_at
    assert venue.advance(expires_at - timedelta(seconds=1)) == []
    (event,) = venue.advance(expires_at + timedelta(hours=1))
    assert (event.name, event.at) == ("expired", expires_at)
    assert venue.account.held("USD") == 0


def test_time_also_passes_with_the_quotes() -> None:
    venue = make_venue()
    order = placed(venue, limit_price="50000")
    assert names(price(venue, 1, 2, symbol="ETH/USD", now=order.expires_at)) == ["expired"]


@pytest.mark.parametrize("price_now", ["59000", "58000"])
def test_orders_of_one_symbol_fill_best_price_first(price_now: str) -> None:
    venue = make_venue()
    low = placed(venue, limit_price="59000")
    high = placed(venue, limit_price="59500")
    events = price(venue, "57000", price_now)
    assert [event.order.id for event in events] == [high.id, low.id]


def test_a_quote_of_another_symbol_fills_nothing() -> None:
    venue = make_venue()
    placed(venue, limit_price="59000")
    assert price(venue, 1, 2, symbol="ETH/USD") == []
    assert held(venue) == 0


def test_the_last_quote_of_the_day_before_is_kept() -> None:
    venue = make_venue()
    price(venue, 61_000, 61_010, now=NOW + timedelta(days=1))
    assert venue.last_day["BTC/USD"].bid == 60_000


def test_an_amended_order_takes_the_place_and_the_money_of_the_old_one() -> None:
    venue = make_venue(60)
    old = placed(venue, limit_price="50000")
    outcome = venue.amend(old.id, ask_for(limit_price="55000"), NOW)
    assert not isinstance(outcome, Refusal)
    order, events = outcome
    assert names(events) == ["replaced"]
    assert (order.replaces, venue.orders[old.id].replaced_by) == (old.id, order.id)
    assert venue.account.held("USD") == 55
    assert list(venue.open) == [order.id]
    assert names(venue.activate(order.id, NOW)) == ["new"]
    assert names(price(venue, 54_000, 54_010)) == ["fill"]


@pytest.mark.parametrize(
    ("limit_price", "message"),
    [("50000", "order parameters are not changed"), ("70000", "insufficient balance for USD")],
)
def test_an_amendment_that_is_refused_leaves_the_order_as_it_was(limit_price: str, message: str) -> None:
    venue = make_venue(60)
    old = placed(venue, limit_price="50000")
    refusal = venue.amend(old.id, ask_for(limit_price=limit_price), NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.message.startswith(message)
    assert venue.account.held("USD") == 50
    assert names(price(venue, 49_000, 49_010)) == ["fill"]
    over = venue.amend(old.id, ask_for(limit_price="1"), NOW)
    assert isinstance(over, Refusal)
    assert over.message == 'order is already in "filled" state'
