"""The fast walk is the slow walk in less time: the same orders at the same instants, to the last digit."""

import random
import tracemalloc
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from dcabot.backtest.bot import SLIPPAGE, Terms
from dcabot.backtest.candles import Candles, microseconds
from dcabot.backtest.figures import result
from dcabot.backtest.path import HighLow, Path
from dcabot.backtest.run import Setup, walked
from dcabot.backtest.walk import Walk
from dcabot.core.fees import TIERS, coin_fee
from dcabot.core.model import TakeProfitOrder
from tests.backtest.prices import candles, led, make_bot, outcome, random_candles
from tests.builders import START, make_asset, make_instrument


def drawn(seed: int) -> tuple[dict[str, Any], dict[str, Any], Terms, Path]:
    """Settings, prices, terms and a path of that seed: usual ones, and all that the walks could differ about."""
    dice = random.Random(seed)
    rules = {
        "base_notional": dice.choice([10, 20, 100, 150_000]),
        "safety_notional": dice.choice([10, 30]),
        "safety_count_max": dice.choice([0, 1, 3, 8]),
        "safety_drop_ratio": dice.choice(["0.002", "0.01", "0.03"]),
        "take_profit_ratio": dice.choice(["0.001", "0.006", "0.02"]),
        "cooldown_seconds": dice.choice([0, 7, 300, 7200]),
        "restart_drop_ratio": dice.choice(["0", "0.001", "0.02"]),
        "take_profit_order": random.Random(f"sale {seed}").choice(list(TakeProfitOrder)),
    }
    prices = {
        "swing": dice.choice([3, 12, 60]),
        "start": dice.choice([400, 2_000, 5_000]),
        "jumps": dice.choice([0, 0, 4]),
    }
    terms = Terms(
        cash=Decimal(dice.choice([10**9, 10**9, 10**9, 60, 15])),
        tier=dice.choice(TIERS),
        slippage=Decimal(dice.choice(["0", "0", "0.001", "0.03"])),
        stale=timedelta(seconds=dice.choice([30, 300, 3600])),
    )
    path = Path(
        order=dice.choice(list(HighLow)),
        walks=dice.random() < 0.5,
        spread=Decimal(dice.choice(["0", "0.0005", "0.004"])),
    )
    return rules, prices, terms, path


@pytest.mark.parametrize("seed", range(50))
def test_fast_is_slow_to_the_last_digit(seed: int, pytestconfig: pytest.Config) -> None:
    for number in range(30 if pytestconfig.getoption("--long") else 1):
        rules, shape, terms, path = drawn(seed + 1000 * number)
        prices = random_candles(seed, 80, **shape)
        steps = {"price_step": random.Random(seed).choice(["0.01", "0.5", "0.07"])}
        if seed % 5 == 4:
            steps["quantity_step"] = random.Random(seed).choice(["0.1", "0.03", "2"])
        slow = led(make_bot(terms, steps, **rules), prices, path, slowly=True)
        fast = led(make_bot(terms, steps, **rules), prices, path)
        assert outcome(fast) == outcome(slow), (rules, shape, terms, path)


def test_the_random_walks_make_everything_happen() -> None:
    bots = [
        led(make_bot(terms, **rules), random_candles(seed, 80, **shape), path)
        for seed in range(50)
        for rules, shape, terms, path in [drawn(seed)]
    ]
    orders = [order for bot in bots for cycle in [*bot.finished, bot.cycle] for order in cycle.orders]

    assert {order.purpose.value for order in orders} == {"base", "safety", "take_profit"}
    assert {order.status.value for order in orders} >= {"filled", "canceled"}
    assert sum(len(bot.finished) for bot in bots) > 100
    assert any("waits for money" in bot.note for bot in bots)


def test_a_sale_at_a_limit_pays_for_its_slippage() -> None:
    """It is sold where the price that arrives still reaches the limit, and never below."""
    rising = candles([(10_000, 10_000, 10_000, 10_000), (10_000, 11_000, 10_000, 11_000)], "0.01")
    rules = {"take_profit_ratio": "0.02", "take_profit_order": TakeProfitOrder.LIMIT}
    for slippage in ("0", "0.0005", "0.01"):
        bot = led(make_bot(Terms(slippage=Decimal(slippage)), **rules), rising, Path(spread=Decimal(0)))
        cycle = bot.finished[0]
        (sale,) = [order for order in cycle.orders if order.side.value == "sell"]
        assert sale.limit_price is not None and sale.filled_price is not None
        assert sale.limit_price <= sale.filled_price < sale.limit_price + Decimal("0.02")


def test_coarse_steps_end_each_cycle_with_what_cannot_be_sold() -> None:
    prices = random_candles(1, 200, swing=60, start=2_000)
    for step in ("0.3", "0.07"):
        rules = {"base_notional": 2000, "safety_count_max": 0, "take_profit_ratio": "0.006"}
        bot = led(make_bot(Terms(), {"quantity_step": step}, cooldown_seconds=0, **rules), prices, Path())
        assert bot.finished
        for cycle in bot.finished:
            assert [order.purpose.value for order in cycle.orders] == ["base", "take_profit"]


@pytest.mark.parametrize("tick", ["6000000", "30000000", "60000000"])
def test_prices_in_millionths_come_to_an_end(tick: str) -> None:
    """What one step of coins costs is as much as a base order."""
    rows = [(1000, 1020, 1000, 1000)] * 20
    bot = make_bot(Terms(), {"price_step": "1"}, base_notional=100, cooldown_seconds=0)
    led(bot, candles(rows, tick), Path(walks=False))
    bought = [one for one in bot.executions if one.side.value == "buy"]
    assert len(bought) <= 40


def test_a_price_that_falls_through_several_thresholds_buys_at_each() -> None:
    falling = candles([(10_000, 10_000, 9_000, 9_000)], unit="0.01")
    path = Path(spread=Decimal(0))

    bought = led(make_bot(safety_notional=30, safety_drop_ratio="0.02"), falling, path).executions
    at_once = led(
        make_bot(safety_notional=30, safety_drop_ratio="0.02"), falling, Path(walks=False, spread=Decimal(0))
    ).executions

    assert [str(one.price) for one in bought] == ["100.00", "98.00", "96.04", "94.11"]
    assert [str(one.price) for one in at_once] == ["100.00", "90.00"]


def test_by_default_nothing_is_bought_low_and_sold_high_within_a_candle() -> None:
    wild = candles([(10_000, 10_000, 10_000, 10_000), (10_000, 10_200, 9_700, 10_000)], unit="0.01")
    rules = {"take_profit_ratio": "0.022", "safety_drop_ratio": "0.02", "safety_notional": 30}

    careful = led(make_bot(**rules), wild, Path(spread=Decimal(0)))
    rosy = led(make_bot(**rules), wild, Path(order=HighLow.LOW_FIRST, spread=Decimal(0)))

    assert (len(careful.finished), len(rosy.finished)) == (0, 1)


def test_a_price_that_runs_away_leaves_the_buy_behind_until_it_is_cancelled() -> None:
    flat = candles([(10_000, 10_000, 10_000, 10_000)], "0.01")
    terms = Terms(slippage=Decimal("0.01"), stale=timedelta(seconds=10))

    first, second, *_ = led(make_bot(terms), flat, Path(spread=Decimal(0))).cycle.orders

    assert (first.status.value, str(first.filled_quantity)) == ("canceled", "0")
    assert first.closed_at == first.created_at + timedelta(seconds=10)
    assert second.created_at == first.created_at + timedelta(seconds=15)


def test_four_prices_of_long_candles_are_traded_at() -> None:
    """The next of them comes when a buy would be stale: each would be cancelled and placed again, at every quote."""
    rows = random_candles(3, 600)
    columns = [column.tolist() for column in (rows.open, rows.high, rows.low, rows.close)]
    for hours in (1, 24):
        setup = Setup(make_asset(safety_notional=20), make_instrument(), Terms(slippage=SLIPPAGE), Path(walks=False))
        long = candles(list(zip(*columns, strict=True)), seconds=hours * 3600)

        bot = walked(setup, long).bot

        orders = [order for cycle in [*bot.finished, bot.cycle] for order in cycle.orders]
        assert len(bot.executions) > 10, hours
        assert len(orders) < 100, hours


def first_cycles(seed: int, path: Path) -> list[tuple[list[tuple[Any, ...]], list[Any]]]:
    """Of the first cycle at no, little and more slippage: its buys with their fees, and what was got for each coin."""
    found = []
    for slippage in ("0", "0.0001", "0.001", "0.004", "0.02"):
        bot = led(make_bot(Terms(slippage=Decimal(slippage)), safety_notional=20), random_candles(seed, 150), path)
        ids = {order.order_id for cycle in bot.finished[:1] for order in cycle.orders}
        mine = [one for one in bot.executions if one.order_id in ids]
        buys = [(one.quantity, one.price, one.fee) for one in mine if one.side.value == "buy"]
        found.append((buys, [one.price for one in mine if one.side.value == "sell"]))
    return found


def test_more_slippage_makes_no_fill_better() -> None:
    """As long as the same is bought; what a missed buy leads to may be luck."""
    compared = without = 0
    for seed in range(60):
        for walks in (True, False):
            none, *some = first_cycles(seed, Path(walks=walks))
            for less, more in pairwise(some):
                if less[1] and more[1]:
                    assert less[0] == more[0]
                    assert less[1] > more[1] or less[1] == [Decimal("0.01")]
                    compared += 1
            for one in some:
                if none[1] and one[1] and one[0] == none[0]:
                    assert one[1] < none[1]
                    without += 1

    assert (compared > 100, without > 100) == (True, True), (compared, without)


def test_a_buy_that_the_price_ran_away_from_comes_at_its_limit_and_at_the_taker_rate() -> None:
    falling = candles([(10_000, 10_000, 10_000, 10_000), (9_000, 9_000, 9_000, 9_000)], "0.01")
    terms = Terms(slippage=Decimal("0.001"))

    first = led(make_bot(terms), falling, Path(spread=Decimal(0))).executions[0]

    assert (str(first.price), first.fee) == ("100.00", coin_fee(first.quantity, TIERS[0].taker))


def test_a_leap_of_the_price_is_doubted_as_the_daemon_doubts_it() -> None:
    leap = [(1_000, 1_001, 999, 1_000)] * 5 + [(100, 100, 100, 100)] + [(1_000, 1_001, 999, 1_000)] * 5

    bot = led(make_bot(take_profit_ratio="0.5", safety_notional=30), candles(leap))

    # The open of the candle that leaps is doubted; when the price is still there a quarter later it is believed.
    first = bot.finished[0]
    assert [order.purpose.value for order in first.orders] == ["base", "safety", "take_profit"]
    assert [order.created_at.second for order in first.orders] == [0, 15, 15]


def test_a_bag_beyond_one_order_is_sold_in_parts_at_once() -> None:
    rise = candles([(10_000, 10_000, 10_000, 10_000), (10_000, 10_300, 10_000, 10_300)], "0.01")

    (cycle,) = led(make_bot(base_notional=150_000), rise, Path(spread=Decimal(0))).finished

    assert [order.side.value for order in cycle.orders] == ["buy", "sell", "sell"]
    assert len({order.created_at for order in cycle.orders[1:]}) == 1


def test_dust_and_fees_are_the_ledgers() -> None:
    prices = random_candles(7, 400, swing=40)
    bot = led(make_bot(take_profit_ratio="0.006"), prices)

    assert bot.finished
    for cycle in bot.finished:
        bought = sum(order.filled_quantity for order in cycle.orders if order.side.value == "buy")
        fees = sum(order.fee_quantity or 0 for order in cycle.orders if order.side.value == "buy")
        sold = sum(order.filled_quantity for order in cycle.orders if order.side.value == "sell")
        assert fees > 0
        assert bought - fees == sold


def test_memory_grows_with_the_orders_and_not_with_the_candles() -> None:
    """What a walk and its figures add to the candles: as much for 100,000 as for 800,000 when the same is bought."""
    added = []
    for length in (100_000, 800_000):
        prices = np.full(length, 10_000, dtype=np.int64)
        at = microseconds(START) + np.arange(length, dtype=np.int64) * 60_000_000
        flat = Candles(at, prices, prices + 1, prices - 1, prices, Decimal("0.01"), 60)
        tracemalloc.start()
        walk = Walk(make_bot(safety_notional=20), flat, Path())
        walk.fast()
        assert len(result(walk).fills) == 1
        added.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert added[1] < added[0] * 1.2
    assert added[1] < 3 * 2**20
