"""The price of a sale, and the floor below which it would be a loss."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.fees import cash_fee
from dcabot.core.ledger import FEE_RATIO_MAX, Holding, fold
from dcabot.core.model import OrderStatus, Purpose, TakeProfitOrder
from dcabot.core.money import EXACT
from dcabot.core.sale_price import floor_price, sale_price, smallest_take_profit_ratio
from tests.builders import make_asset, make_instrument, make_order

D = Decimal
CENT = D("0.01")
LIMIT = TakeProfitOrder.LIMIT
README = Holding(
    held=D("0.001012764"),
    average_price=D("59095.5008421124"),
    safety_count=2,
    last_buy_price=None,
    last_sell_price=None,
    settled=True,
    spent=D("59.999898"),
)


def test_floor_of_the_readmes_cycle() -> None:
    assert floor_price(README, CENT) == D("59411.99")


def test_sale_price_is_on_the_price_step() -> None:
    asset, coarse = make_asset(take_profit_ratio="0.01"), make_instrument(price_step="0.5")
    assert sale_price(asset, README, make_instrument()) == D("59686.46")
    assert sale_price(asset, README, coarse) == D("59686.5")


def test_limit_is_never_below_the_floor() -> None:
    instrument = make_instrument()
    market = make_asset(take_profit_ratio="0.0051")
    limit = make_asset(take_profit_ratio="0.0051", take_profit_order=LIMIT)
    assert sale_price(market, README, instrument) == D("59396.89")
    assert sale_price(limit, README, instrument) == D("59411.99")
    generous = make_asset(take_profit_ratio="0.01", take_profit_order=LIMIT)
    assert sale_price(generous, README, instrument) == D("59686.46")


def test_floor_falls_when_less_fee_was_taken() -> None:
    maker = fold([make_order(filled="1", price="100", fee_quantity="0.0015")])
    taker = fold([make_order(filled="1", price="100", fee_quantity="0.0025")])
    assert floor_price(maker, CENT) < floor_price(taker, CENT)


def test_floor_is_zero_once_all_came_back() -> None:
    sold = make_order(Purpose.TAKE_PROFIT, filled="1", price="101", limit_price=None)
    holding = fold([make_order(filled="2", price="50", fee_quantity=0), sold])
    assert floor_price(holding, CENT) == 0
    assert floor_price(fold([]), CENT) == 0


@pytest.mark.parametrize(("spent", "percent"), [("10.50", "0.694"), ("20", "0.603"), ("60", "0.536"), ("120", "0.519")])
def test_smallest_take_profit_by_size(spent: str, percent: str) -> None:
    ratio = smallest_take_profit_ratio(D(spent))
    assert D(percent) - D("0.001") <= ratio * 100 <= D(percent)


FILLS = st.tuples(
    st.decimals("0.0001", "100", places=9),
    st.decimals("1", "250000", places=2),
    st.decimals("0", "0.0025", places=6),
)


def bought(fills: list[tuple[Decimal, Decimal, Decimal]]) -> list:
    return [
        make_order(
            Purpose.SAFETY if number else Purpose.BASE,
            number=number,
            filled=quantity,
            price=price,
            fee_quantity=(quantity * fee).quantize(D("0.000000001")),
        )
        for number, (quantity, price, fee) in enumerate(fills)
    ]


@given(
    fills=st.lists(FILLS, min_size=1, max_size=6),
    parts=st.integers(1, 5),
    step=st.sampled_from([CENT, D("0.0001"), D("0.000000001")]),
)
def test_sale_at_the_floor_loses_no_more_than_a_cent_for_each_further_execution(
    fills: list[tuple[Decimal, Decimal, Decimal]], parts: int, step: Decimal
) -> None:
    holding = fold(bought(fills))
    price = floor_price(holding, step)
    size = (holding.held / parts).quantize(D("0.000000001"))
    sizes = [size] * (parts - 1) + [holding.held - size * (parts - 1)]
    money = [EXACT.multiply(one, price) for one in sizes]
    received = sum((one - cash_fee(one, FEE_RATIO_MAX) for one in money), D(0))
    allowed = CENT * max(parts - 2, 0)
    assert received >= holding.spent - allowed - D("0.00000001")


@given(
    fills=st.lists(FILLS, min_size=1, max_size=4),
    share=st.decimals("0.1", "0.9", places=2),
    above=st.decimals("0.98", "1.2", places=3),
)
def test_floor_after_a_part_was_sold_brings_the_rest_back(
    fills: list[tuple[Decimal, Decimal, Decimal]], share: Decimal, above: Decimal
) -> None:
    buys = bought(fills)
    whole = fold(buys)
    part = (whole.held * share).quantize(D("0.000000001"))
    price = (whole.average_price * above).quantize(CENT) or CENT
    sale = make_order(Purpose.TAKE_PROFIT, filled=part, price=price, limit_price=None)
    rest = fold([*buys, sale])
    assert rest.average_price == whole.average_price
    if rest.held:
        floor = floor_price(rest, CENT)
        got = [EXACT.multiply(part, price), EXACT.multiply(rest.held, floor)]
        received = sum((one - cash_fee(one, FEE_RATIO_MAX) for one in got), D(0))
        assert received >= whole.spent - D("0.00000001")


def test_a_buy_after_a_sale_weighs_by_the_coins_left() -> None:
    base = make_order(filled="1", price="100", fee_quantity=0)
    half = make_order(Purpose.TAKE_PROFIT, status=OrderStatus.CANCELED, filled_quantity="0.5", filled_price="101")
    safety = make_order(Purpose.SAFETY, filled="0.5", price="90", fee_quantity=0)
    assert fold([base, half]).average_price == 100
    assert fold([base, half, safety]).average_price == 95
    assert fold([base, safety]).average_price.quantize(CENT) == D("96.67")
    assert fold([base, half, safety]).safety_count == 1


def test_an_earlier_sales_fee_counts_a_cent_more() -> None:
    sold = make_order(Purpose.TAKE_PROFIT, filled="0.5", price="101", limit_price=None)
    holding = fold([make_order(filled="1", price="100", fee_quantity=0), sold])
    assert holding.received == D("50.5") - D("0.13") - CENT
    assert holding.spent == 100
