"""Generated prices and bots for the backtest's tests: the same seed, the same prices."""

import random
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from dcabot.backtest.bot import Bot, Terms
from dcabot.backtest.candles import Candles, microseconds
from dcabot.backtest.path import Path as PricePath
from dcabot.backtest.walk import Walk
from tests.builders import START, make_asset, make_instrument

MINUTE = 60_000_000


def random_candles(
    seed: int, length: int = 500, *, start: int = 2_000, swing: int = 12, unit: str = "0.5", jumps: int = 0
) -> Candles:
    """A random walk in whole ticks: each candle opens at the last close, but for `jumps` of them."""
    dice = random.Random(seed)
    price, rows = start, []
    jumping = {dice.randrange(1, length) for _ in range(jumps)}
    for number in range(length):
        if number in jumping:
            price = max(50, int(price * dice.choice((0.4, 0.7, 1.2, 1.6, 2.2))))
        around = [price, *(max(20, price + dice.randint(-swing, swing)) for _ in range(3))]
        close = dice.choice(around)
        rows.append((price, max(around), min(around), close))
        price = close
    return candles(rows, unit)


def candles(rows: list[tuple[int, int, int, int]], unit: str = "0.5", seconds: int = 60) -> Candles:
    """Candles of (open, high, low, close) in ticks, one after another."""
    begin = microseconds(START)
    at = np.arange(begin, begin + len(rows) * seconds * 1_000_000, seconds * 1_000_000, dtype=np.int64)
    columns = [np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)]
    return Candles(at, *columns, Decimal(unit), seconds)


def write(path: Path, made: Candles) -> None:
    """As a CSV file that begins a month before `START`."""
    columns = (made.open, made.high, made.low, made.close)
    prices = zip(*([f"{made.price(one)}" for one in column.tolist()] for column in columns), strict=True)
    begin = START - timedelta(days=30)
    rows = [",".join([f"{begin + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}", *row]) for n, row in enumerate(prices)]
    path.write_text("\n".join(["time,open,high,low,close", *rows]) + "\n")


def make_bot(terms: Terms | None = None, steps: dict[str, Any] | None = None, **rules: Any) -> Bot:
    return Bot(make_asset(**rules), make_instrument(**(steps or {})), terms or Terms(), START)


def led(bot: Bot, prices: Candles, path: PricePath | None = None, *, slowly: bool = False) -> Bot:
    """The bot after its walk."""
    walk = Walk(bot, prices, path or PricePath())
    walk.slow() if slowly else walk.fast()
    return bot


def outcome(bot: Bot) -> tuple[Any, ...]:
    """Everything that a walk has brought about."""
    return bot.finished, bot.cycle, bot.asset, bot.executions, bot.venue.account.cash, bot.venue.account.positions
