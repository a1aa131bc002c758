"""Many settings on the same candles: tried on the first part, judged on the part they have not seen."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, product
from math import prod

from dcabot.backtest.candles import Candles
from dcabot.backtest.figures import Figures
from dcabot.backtest.run import Setup, run

Values = Mapping[str, Sequence[Decimal]]  # for each column of dca_assets, what to try
TRIES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Periods:
    """The candles to search on, and those that only judge."""

    training: Candles
    held_out: Candles


@dataclass(frozen=True, slots=True)
class Trial:
    """One choice of settings, and what it came to in both periods."""

    settings: Mapping[str, Decimal]
    training: Figures
    held_out: Figures

    @property
    def score(self) -> Decimal:
        """Profit of the training period for each dollar that must lie ready: who spends more is not better."""
        return self.training.of_capital(self.training.profit)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much of what the search found was left in the period it had not seen."""

    trials: int
    top: int
    top_training: Decimal
    top_held_out: Decimal
    all_held_out: Decimal
    top_that_lost: int


def split(candles: Candles, held_out: Decimal) -> Periods:
    """The last part, a ratio of the candles, is held out."""
    cut = len(candles) - int(len(candles) * held_out)
    return Periods(candles.part(0, cut), candles.part(cut, len(candles)))


def choices(values: Values, draws: int | None, seed: int) -> list[dict[str, Decimal]]:
    """Every combination, or so many different ones at random."""
    names = list(values)
    total = prod(len(values[name]) for name in names)
    if draws is None or draws >= total:
        combinations = islice(product(*(values[name] for name in names)), TRIES_MAX)
        return [dict(zip(names, one, strict=True)) for one in combinations]
    dice = random.Random(seed)
    return [dict(zip(names, _nth(values, number), strict=True)) for number in dice.sample(range(total), draws)]


def _nth(values: Values, number: int) -> Iterator[Decimal]:
    """The combination of that number, without making those before it."""
    for column in values.values():
        number, place = divmod(number, len(column))
        yield column[place]


def count(values: Values) -> int:
    return prod(len(column) for column in values.values())


def attempt(setup: Setup, settings: Mapping[str, Decimal], periods: Periods) -> Trial:
    """Both periods, each from the beginning with nothing held."""
    return Trial(settings, run(setup, periods.training).figures, run(setup, periods.held_out).figures)


def judged(trials: Sequence[Trial], top: int) -> Verdict:
    """The best by training beside all of them; `trials` come best first."""
    best = trials[:top]
    held_out = [one.held_out.of_capital(one.held_out.profit) for one in trials]
    return Verdict(
        trials=len(trials),
        top=len(best),
        top_training=_middle([one.score for one in best]),
        top_held_out=_middle(held_out[: len(best)]),
        all_held_out=_middle(held_out),
        top_that_lost=sum(one < 0 for one in held_out[: len(best)]),
    )


def _middle(numbers: Sequence[Decimal]) -> Decimal:
    return sorted(numbers)[len(numbers) // 2]
