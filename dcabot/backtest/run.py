"""One backtest from its ingredients to its result, and what its unproven choices change about it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dcabot.backtest.bot import Bot, Terms
from dcabot.backtest.candles import Candles
from dcabot.backtest.figures import Figures, Result, result
from dcabot.backtest.path import HighLow, Path
from dcabot.backtest.walk import Walk
from dcabot.core.model import Asset, Instrument


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything but the prices."""

    asset: Asset
    instrument: Instrument
    terms: Terms = field(default_factory=Terms)
    path: Path = field(default_factory=Path)


@dataclass(frozen=True, slots=True)
class Influence:
    """The same settings on the same candles with one choice made otherwise."""

    choice: str
    figures: Figures


def walked(setup: Setup, candles: Candles) -> Walk:
    """A bot that has seen all of these candles."""
    bot = Bot(replace(setup.asset, enabled=True), setup.instrument, setup.terms, candles.begins_at)
    walk = Walk(bot, candles, setup.path)
    walk.fast()
    return walk


def run(setup: Setup, candles: Candles) -> Result:
    return result(walked(setup, candles))


def influences(setup: Setup, candles: Candles) -> list[Influence]:
    """How the result changes with what a candle does not tell."""
    return [Influence(choice, run(other, candles).figures) for choice, other in _others(setup)]


def _others(setup: Setup) -> Iterator[tuple[str, Setup]]:
    path = setup.path
    for order in HighLow:
        if order is not path.order:
            yield f"{order.value} instead of {path.order.value}", replace(setup, path=replace(path, order=order))
    told = "only four prices of each candle" if path.walks else "every price in between"
    yield told, replace(setup, path=replace(path, walks=not path.walks))
    yield "no spread", replace(setup, path=replace(path, spread=path.spread * 0))
    yield "twice the spread", replace(setup, path=replace(path, spread=path.spread * 2))
    if setup.terms.slippage:
        yield "no slippage", replace(setup, terms=replace(setup.terms, slippage=setup.terms.slippage * 0))
