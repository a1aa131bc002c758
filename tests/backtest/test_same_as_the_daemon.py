"""The same quotes through everything that trades (daemon, SDK, simulator, MariaDB) and through the backtest.

The daemon needs moments of its own: an answer, a fill's message, a sweep that learns the fee. So the next quote comes
when it has done what the backtest did at this one; whatever it did otherwise is there at the end.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcabot.backtest.bot import Bot, Terms
from dcabot.backtest.candles import Candles, microseconds
from dcabot.backtest.figures import Result, fingerprint, result
from dcabot.backtest.path import Path as PricePath
from dcabot.backtest.walk import Walk
from dcabot.core.model import Order, Quote
from dcabot.core.money import text
from dcabot.simulator import Simulator
from dcabot.simulator.listings import listing_of
from tests.backtest.prices import led, make_bot, random_candles
from tests.builders import START, make_asset
from tests.commands.conftest import QUICK
from tests.programs import (
    Books,
    Daemon,
    alpaca_for_tests,
    environment,
    mariadb_books,
    plain,
    run_program,
    running_daemon,
)
from tests.servers import Database

STEPS = 60
REST = 100_000  # seconds: what a cooldown takes here
RULES = {
    "base_notional": 25,
    "safety_notional": "17.5",
    "safety_count_max": 3,
    "safety_drop_ratio": "0.013",
    "take_profit_ratio": "0.0085",
    "cooldown_seconds": REST,
    "restart_drop_ratio": "0.004",
}
COLUMNS = {
    "base_order_amount": "25",
    "safety_order_amount": "17.5",
    "max_safety_orders": 3,
    "safety_order_deviation": "1.3",
    "take_profit_percent": "0.85",
    "cooldown_period": REST,
    "buy_order_price_deviation_percent": "0.4",
}


@dataclass(frozen=True)
class Step:
    """One quote, whether a cooldown passes before it, and what the backtest had ordered when it was over."""

    quote: Quote
    rests: bool
    orders: int
    status: str


def story(seed: int) -> tuple[Walk, list[Step]]:
    """A walk of single prices; after some sales the cooldown is waited for, after others the price restarts early."""
    dice = random.Random(seed)
    price, at = 6_000_000, microseconds(START)
    bot = new_bot()
    rows: list[tuple[int, int]] = []
    steps = []
    for _ in range(STEPS):
        rests = bool(steps) and steps[-1].status == "cooldown" and dice.random() < 0.5
        at += (REST + 1 if rests else 1) * 1_000_000
        price = price if rests else price + dice.randint(-60_000, 60_000)
        rows.append((at, price))
        walk = Walk(bot, flat(rows), PricePath())
        quote = walk.prices.quote(price, at)
        bot.on_quote(quote)
        orders = sum(len(cycle.orders) for cycle in [*bot.finished, bot.cycle])
        steps.append(Step(quote, rests, orders, bot.cycle.status.value))
    fast = Walk(new_bot(), flat(rows), PricePath())
    fast.fast()
    assert fast.bot.finished == bot.finished
    return fast, steps


def new_bot() -> Bot:
    return Bot(make_asset(**RULES), listing_of("BTC/USD").instrument, Terms(cash=Decimal(10_000)), START)


def flat(rows: list[tuple[int, int]]) -> Candles:
    """Candles of one second in which the price stands still, in cents."""
    at, price = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Candles(at, price, price, price, price, Decimal("0.01"), 1)


@pytest.fixture
def books(database: Database) -> Books:
    return mariadb_books(database)


@pytest.fixture
def alpaca() -> Iterator[Simulator]:
    with alpaca_for_tests(symbols=["BTC/USD"]) as simulator:
        yield simulator


@pytest.mark.slow
def test_the_daemon_and_the_backtest_trade_alike_to_the_last_digit(
    books: Books, alpaca: Simulator, tmp_path: Path
) -> None:
    walk, steps = story(seed=27)
    wanted = result(walk)
    rests = sum(step.rests for step in steps)
    assert (len(wanted.cycles), len(wanted.fills), rests) == (6, 16, 4)  # a story with everything in it
    books.add_asset(**COLUMNS)
    show(alpaca, steps[0].quote)
    variables = environment(tmp_path, alpaca.env(), books.environment, {"DCABOT_ASSET_REFRESH_SECONDS": "1"})
    with running_daemon(tmp_path, variables, hurry=QUICK) as daemon:
        for step in steps:
            if step.rests:
                rest(books, tmp_path, variables)
            show(alpaca, step.quote)
            follow(daemon, books, step)
        assert daemon.stop()[0] == 0

    assert orders_of(books) == [order_row(order) for cycle in all_cycles(walk) for order in cycle]
    assert cycles_of(tmp_path, variables) == cycle_rows(wanted)
    assert lines(executions(alpaca)) == lines(fill_rows(wanted))


def test_the_story_that_the_daemon_trades_is_always_the_same_one() -> None:
    """So a change of both, in the code that they share, is seen as well."""
    assert result(story(seed=27)[0]).figures.fingerprint == "056b85ff4ff2e967"


def test_a_hash_of_all_fills_guards_against_drift() -> None:
    bot = led(make_bot(safety_notional=30, take_profit_ratio="0.006"), random_candles(7, 2_000, swing=8))
    fills = result(Walk(bot, random_candles(7, 2_000, swing=8), PricePath())).fills

    assert (len(fills), fingerprint(fills)) == (34, "6ec79475d0096c52")


# --- the daemon's side ---


def show(alpaca: Simulator, quote: Quote) -> None:
    alpaca.set_quote(quote.symbol, bid=text(quote.bid), ask=text(quote.ask))


def follow(daemon: Daemon, books: Books, step: Step) -> None:
    """Wait until the daemon has come as far as the backtest: the same orders, all booked, all fees learnt."""

    def is_there() -> bool:
        rows = books.execute("SELECT status, side, fee_quantity FROM dca_orders")
        settled = all(status == "filled" and (side == "sell" or fee is not None) for status, side, fee in rows)
        return len(rows) >= step.orders and settled and books.status() == step.status

    daemon.until(is_there, f"{step.orders} orders and {step.status} at {step.quote}")


def rest(books: Books, folder: Path, variables: dict[str, str]) -> None:
    """The cooldown passes: for the daemon in a moment, by the cooldown manager's own hand."""
    books.execute("UPDATE dca_assets SET cooldown_period = 0")
    done = run_program(folder, variables, "cooldown-manager")
    assert done.returncode == 0, done.stderr
    books.execute("UPDATE dca_assets SET cooldown_period = ?", REST)


def orders_of(books: Books) -> list[tuple[str, ...]]:
    """Every order's row, without its ids and times."""
    found = books.execute(
        "SELECT purpose, side, status, quantity, limit_price, filled_quantity, filled_price, fee_quantity"
        " FROM dca_orders ORDER BY id"
    )
    return [(*row[:3], *("" if number is None else plain(number) for number in row[3:])) for row in found]


def order_row(order: Order) -> tuple[str, ...]:
    numbers = (order.quantity, order.limit_price, order.filled_quantity, order.filled_price, order.fee_quantity)
    words = (order.purpose.value, order.side.value, order.status.value)
    return (*words, *("" if number is None else text(number) for number in numbers))


def all_cycles(walk: Walk) -> list[tuple[Order, ...]]:
    return [cycle.orders for cycle in [*walk.bot.finished, walk.bot.cycle]]


NAMES = ("orders", "safety_orders", "spent", "sold", "buy_fees", "sale_fees", "profit")


def cycles_of(folder: Path, variables: dict[str, str]) -> list[tuple[Any, ...]]:
    done = run_program(folder, variables, "report", "--json")
    assert done.returncode == 0, done.stderr
    return [tuple(str(one[name]) for name in NAMES) for one in json.loads(done.stdout)]


def cycle_rows(wanted: Result) -> list[tuple[Any, ...]]:
    rows = ([getattr(one, name) for name in NAMES] for one in wanted.cycles)
    return [tuple(text(one) if isinstance(one, Decimal) else str(one) for one in row) for row in rows]


def executions(alpaca: Simulator) -> list[tuple[str, ...]]:
    return [
        (entry["side"], entry["quantity"], entry["price"], entry["fee"], entry["fee_currency"])
        for entry in alpaca.journal.entries("fill")
    ]


def fill_rows(wanted: Result) -> list[tuple[str, ...]]:
    return [
        (one.side.value, text(one.quantity), text(one.price), text(one.fee), one.fee_currency) for one in wanted.fills
    ]


def lines(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(" ".join(row) for row in rows)


def test_a_story_has_no_waiting_that_the_backtest_does_not_know() -> None:
    """The times between its quotes matter only where a cooldown passes."""
    walk, steps = story(seed=27)
    pauses = [b.quote.at - a.quote.at for a, b in pairwise(steps)]

    assert set(pauses) == {timedelta(seconds=1), timedelta(seconds=REST + 1)}
    assert walk.bot.note == ""
