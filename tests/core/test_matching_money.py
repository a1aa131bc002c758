"""Fees, the ledger, and laws that hold whatever happens."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.fees import TIERS, cash_fee, coin_fee, tier_of
from dcabot.core.matching import Venue
from dcabot.core.model import Side
from dcabot.core.venue import Execution, FeeRow, VenueOrder
from tests.core.venues import NOW, ask_for, held, make_venue, placed, price


def test_a_buy_pays_its_fee_in_coins_at_once() -> None:
    venue = make_venue()
    order = placed(venue, quantity="0.1")
    assert order.filled_quantity == Decimal("0.1")
    assert held(venue) == Decimal("0.09975")
    assert venue.account.cash == 100_000 - Decimal("0.1") * 60_010


def test_a_coin_fee_is_rounded_up_to_a_billionth() -> None:
    assert coin_fee(Decimal("0.000153355"), Decimal("0.0025")) == Decimal("0.000000384")
    assert coin_fee(Decimal("0.0002"), Decimal("0.0025")) == Decimal("0.0000005")


def test_a_dollar_fee_is_rounded_up_to_the_cent() -> None:
    assert cash_fee(Decimal("60"), Decimal("0.0025")) == Decimal("0.15")
    assert cash_fee(Decimal("60.01"), Decimal("0.0025")) == Decimal("0.16")


def test_a_sell_pays_its_fee_in_dollars_at_the_end_of_the_day() -> None:
    venue = make_venue(fee_delay=None)
    venue.account.move("BTC", Decimal(1), Decimal(50_000))
    placed(venue, "sell", "0.1")
    assert venue.account.cash == 106_000
    assert venue.account.accrued_fees() == 15
    venue.advance(NOW + timedelta(hours=23))
    assert venue.account.cash == 106_000
    venue.advance(NOW + timedelta(hours=24))
    assert venue.account.cash == 105_985
    assert venue.account.accrued_fees() == 0


def test_a_fee_is_posted_one_to_three_seconds_after_its_fill() -> None:
    venue = make_venue()
    for _ in range(40):
        placed(venue, quantity="0.001")
    venue.advance(NOW + timedelta(seconds=10))
    rows = [row for row in venue.account.activities if isinstance(row, FeeRow)]
    delays = [row.at - row.execution.at for row in rows]
    assert len(delays) == 40
    assert (min(delays), max(delays)) == (timedelta(seconds=1), timedelta(seconds=3.4))


def test_the_ledger_has_the_fill_gross_and_the_fee_later() -> None:
    venue = make_venue(fee_delay=timedelta(hours=6), fee_spread=timedelta())
    placed(venue, quantity="0.1")
    (fill,) = venue.account.activities
    assert isinstance(fill, Execution)
    assert fill.quantity == Decimal("0.1")
    venue.advance(NOW + timedelta(hours=6))
    row = venue.account.activities[-1]
    assert isinstance(row, FeeRow)
    assert (row.execution, row.at) == (fill, NOW + timedelta(hours=6))
    assert held(venue) == Decimal("0.09975")


def test_a_resting_order_pays_the_maker_rate() -> None:
    venue = make_venue()
    placed(venue, quantity="0.1", limit_price="59000")
    price(venue, 58_990, 59_000)
    assert held(venue) == Decimal("0.09985")


def test_a_resting_order_pays_the_taker_rate_if_the_policy_says_so() -> None:
    venue = make_venue(resting_pays_maker=False)
    placed(venue, quantity="0.1", limit_price="59000")
    price(venue, 58_990, 59_000)
    assert held(venue) == Decimal("0.09975")


def test_the_tier_follows_the_volume_of_the_days_before() -> None:
    assert tier_of(Decimal("99999.99")).number == 1
    assert tier_of(Decimal(100_000)).taker == Decimal("0.0022")
    assert tier_of(Decimal(10**9)) == TIERS[-1]
    venue = make_venue(1_000_000)
    placed(venue, quantity="3")
    assert venue.account.tier(NOW).number == 1
    assert venue.account.tier(NOW + timedelta(days=1)).number == 2
    assert venue.account.tier(NOW + timedelta(days=32)).number == 1


def test_the_average_price_of_a_position_is_that_of_its_buys() -> None:
    venue = make_venue()
    placed(venue, quantity="0.1")
    price(venue, 50_000, 50_010)
    placed(venue, quantity="0.1")
    position = venue.account.positions["BTC"]
    assert position.cost / position.quantity == Decimal(55_010)
    placed(venue, "sell", "0.1")
    assert position.cost / position.quantity == Decimal(55_010)
    placed(venue, "sell", "0.0995")
    assert venue.account.positions == {}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("price"), st.integers(90, 110)),
        st.tuples(
            st.just("order"),
            st.sampled_from(["buy", "sell"]),
            st.sampled_from(["market", "limit", "stop_limit"]),
            st.integers(1, 50),
            st.integers(90, 110),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 10)),
        st.tuples(st.just("wait"), st.integers(0, 100)),
    ),
    max_size=40,
)


@given(steps=STEPS, tenths=st.integers(0, 10))
def test_money_and_coins_are_never_made_or_lost(steps: list[tuple], tenths: int) -> None:  # type: ignore[type-arg]
    venue = make_venue(1_000, slicer=lambda order, unfilled, quote: unfilled * tenths / 10)
    price(venue, 100, 100)
    now = NOW
    for step in steps:
        if step[0] == "price":
            price(venue, step[1], step[1], now=now)
        elif step[0] == "order":
            place(venue, *step[1:])
        elif step[0] == "cancel" and venue.open:
            venue.cancel(list(venue.open)[step[1] % len(venue.open)], now)
        elif step[0] == "wait":
            now += timedelta(days=step[1])
            venue.advance(now)
        check(venue)
        if tenths == 10:
            check_that_nothing_waits_in_vain(venue)


def place(venue: Venue, side: str, kind: str, quantity: int, limit: int) -> None:
    fields: dict[str, object] = {} if kind == "market" else {"limit_price": limit}
    if kind == "stop_limit":
        fields["stop_price"] = limit
    outcome = venue.submit(ask_for(side, Decimal(quantity) / 10, **fields), NOW)
    if isinstance(outcome, VenueOrder):
        venue.activate(outcome.id, NOW)


def check(venue: Venue) -> None:
    account = venue.account
    fills = [row for row in account.activities if isinstance(row, Execution)]
    paid = sum(
        (row.execution.fee for row in account.activities if isinstance(row, FeeRow) and is_sell(row)), Decimal(0)
    )
    spent = sum((fill.quantity * fill.price * sign(fill) for fill in fills), Decimal(0))
    assert account.cash == 1_000 - spent - paid
    bought = sum((fill.quantity * sign(fill) for fill in fills), Decimal(0))
    kept = sum((fill.fee for fill in fills if fill.side is Side.BUY), Decimal(0))
    assert held(venue) == bought - kept
    open_orders = [order for order in venue.orders.values() if order.is_open]
    assert open_orders == list(venue.open.values())
    assert account.held("USD") == sum((o.unfilled * o.cap for o in open_orders if o.side is Side.BUY), Decimal(0))
    assert account.held("BTC") == sum((o.unfilled for o in open_orders if o.side is Side.SELL), Decimal(0))
    assert account.held("BTC") <= held(venue)
    for fill in fills:
        order = venue.orders[fill.order_id]
        assert fill.price <= order.cap if fill.side is Side.BUY else fill.price >= order.cap
    for order in venue.orders.values():
        assert order.filled_quantity == sum((f.quantity for f in fills if f.order_id == order.id), Decimal(0))


def check_that_nothing_waits_in_vain(venue: Venue) -> None:
    """What the index of the book says nobody waits for, nobody waits for."""
    quote = venue.quotes["BTC/USD"]
    for order in venue.open.values():
        if order.stop_price is not None and not order.triggered:
            is_reached = quote.ask >= order.stop_price if order.side is Side.BUY else quote.bid <= order.stop_price
            assert not is_reached
        else:
            assert quote.ask > order.cap if order.side is Side.BUY else quote.bid < order.cap


def is_sell(row: FeeRow) -> bool:
    return row.execution.side is Side.SELL


def sign(fill: Execution) -> int:
    return 1 if fill.side is Side.BUY else -1
