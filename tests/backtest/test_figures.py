"""The figures add up: with the account's own money, with each other, and for the slow walk as for the fast."""

from datetime import timedelta
from decimal import Decimal

import pytest

from dcabot.backtest.bot import ENDLESS
from dcabot.backtest.candles import Candles
from dcabot.backtest.figures import Result, result
from dcabot.backtest.path import HighLow, Path
from dcabot.backtest.walk import Walk
from dcabot.core.profit import proceeds, profit_if_sold
from tests.backtest.prices import candles, make_bot, random_candles

FREE = Path(spread=Decimal(0))
RULES = {"safety_notional": 30, "take_profit_ratio": "0.008", "safety_drop_ratio": "0.01"}


def came_to(prices: Candles, path: Path | None = None, *, slowly: bool = False) -> tuple[Walk, Result]:
    walk = Walk(make_bot(**RULES), prices, path or Path())
    walk.slow() if slowly else walk.fast()
    return walk, result(walk)


@pytest.mark.parametrize("seed", range(6))
def test_the_profit_is_what_the_account_has_more(seed: int) -> None:
    walk, found = came_to(random_candles(seed, 800))
    account, figures = walk.bot.venue.account, found.figures

    owed = account.accrued_fees()
    assert figures.profit == account.cash - owed - ENDLESS + figures.held_worth
    assert figures.profit == figures.realised + figures.unrealised
    assert figures.realised == sum(one.profit for one in found.cycles)
    assert figures.held == account.balance("BTC")


def test_slow_and_fast_come_to_the_same_figures() -> None:
    for order in HighLow:
        path = Path(order=order)
        prices = random_candles(3, 150)
        assert came_to(prices, path)[1] == came_to(prices, path, slowly=True)[1]


def test_the_drawdown_is_the_deepest_fall_from_a_height() -> None:
    """Seen tick by tick on the way, it is what the columns say."""
    for seed in range(5):
        prices = random_candles(seed, 150)
        walk, found = came_to(prices)
        flow = held = peak = deepest = Decimal(0)
        fills = list(found.fills)
        for number in range(len(prices)):
            here = 0
            for leg, end in enumerate(walk._points(number)):
                at = walk._at(number, leg)
                ticks = list(walk._ticks(leg, here, end))
                due = [fill for fill in fills if fill.at == walk.prices.quote(1, at).at]
                for price in [*(fill.price for fill in due), *(prices.price(one) for one in ticks[-1:])]:
                    peak = max(peak, flow + held * price)
                    deepest = max(deepest, peak - flow - held * price)
                    if due and price == due[0].price:
                        flow, held = due[0].flow, due[0].held
                        fills.remove(due.pop(0))
                        peak = max(peak, flow + held * price)
                        deepest = max(deepest, peak - flow - held * price)
                here = end
        assert found.figures.deepest_fall == deepest


def test_capital_times_and_counts() -> None:
    fall = [(10_000, 10_000, 10_000, 10_000), (10_000, 10_000, 9_600, 9_600), (9_600, 9_600, 9_500, 9_500)]
    rise = [(9_500, 9_800, 9_500, 9_800), (10_200, 10_200, 10_200, 10_200)]
    found = came_to(candles(fall + [(9_500, 9_500, 9_500, 9_500)] * 60 + rise, "0.01"), FREE)[1]
    figures = found.figures

    assert (figures.cycles, figures.safety_orders, figures.capital) == (1, 3, 110)
    assert Decimal("109.9") < figures.capital_used <= 110
    # All three came in the second candle's fall, in its third quarter; the sale at the open of the last.
    assert figures.out_of_safety == timedelta(minutes=62, seconds=30)
    assert figures.longest_cycle == timedelta(minutes=64)
    assert found.fills[-1].invested == 0


def test_what_else_could_have_been_done() -> None:
    day = [(10_000, 10_000, 10_000, 10_000)] * 1440
    next_day = [(20_000, 20_000, 20_000, 20_000)] * 1440
    figures = came_to(candles(day + next_day, "0.01"), FREE)[1].figures

    # 110 USD at 100 less 0.25 %, sold at 200 less 0.25 %; a half of it on the second day gains nothing but fees.
    coins = Decimal("1.1") * (1 - Decimal("0.0025"))
    assert figures.buy_and_hold == proceeds(coins, Decimal(200), Decimal("0.0025")) - 110
    half = (Decimal("0.55") + Decimal("0.275")) * (1 - Decimal("0.0025"))
    assert abs(figures.periodic - (proceeds(half, Decimal(200), Decimal("0.0025")) - 110)) < Decimal("0.01")


def test_an_amount_that_rounds_below_the_minimum_is_told() -> None:
    walk = Walk(make_bot(base_notional=10), random_candles(1, 50), Path())
    walk.fast()

    assert "raise the amount" in result(walk).figures.note


@pytest.mark.parametrize("seed", range(6))
def test_profits_and_the_open_one_are_the_change_of_equity(seed: int) -> None:
    """Of the account at the venue, if it sold what it holds at the last bid."""
    walk, found = came_to(random_candles(seed, 3000))
    bot = walk.bot
    bid, rate = walk.prices.quote(int(walk.candles.close[-1]), 0).bid, bot.terms.tier.taker
    account = bot.venue.account
    worth = proceeds(account.balance(bot.coin), bid, rate)
    change = account.cash - account.accrued_fees() - ENDLESS + worth
    still = profit_if_sold(bot.cycle.orders, bid, bot.instrument.quantity_step, rate)
    total = sum((one.profit for one in found.cycles), Decimal(0)) + still
    assert found.cycles
    # What rounding left over after a sale is in no cycle's profit.
    assert abs(total - change) < Decimal("0.01")
