"""One backtest from its ingredients to its result, and what its unproven choices change about it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from dcabot.backtest.bot import SLIPPAGE, Bot, Terms
from dcabot.backtest.candles import MICROSECOND, Candles
from dcabot.backtest.figures import Figures, Result, result
from dcabot.backtest.path import LEGS, SPREAD, HighLow, Path, prices
from dcabot.backtest.walk import Walk
from dcabot.core.fees import TIERS
from dcabot.core.model import Asset, Instrument
from dcabot.core.money import ZERO, text


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


def dearest(setup: Setup, candles: Candles) -> Decimal:
    """No ask will be above it."""
    return prices(candles, setup.instrument, setup.path).quote(candles.range()[1], 0).ask


def walked(setup: Setup, candles: Candles) -> Walk:
    """A bot that has seen all of these candles."""
    bot = Bot(replace(setup.asset, enabled=True), setup.instrument, _terms(setup, candles), candles.begins_at)
    walk = Walk(bot, candles, setup.path)
    walk.fast()
    return walk


def _terms(setup: Setup, candles: Candles) -> Terms:
    """With four prices of a long candle the next one comes when a buy is stale: it would always be cancelled unseen."""
    if setup.path.walks:
        return setup.terms
    pause = timedelta(seconds=candles.seconds) / LEGS
    return replace(setup.terms, stale=max(setup.terms.stale, pause + MICROSECOND))


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
    for words, spread in _spreads(path.spread):
        yield words, replace(setup, path=replace(path, spread=spread))
    terms = setup.terms
    for words, slippage in _slippages(terms.slippage):
        yield words, replace(setup, terms=replace(terms, slippage=slippage))
    for tier in (TIERS[0], TIERS[-1]):
        if tier != terms.tier:
            yield (
                f"fee tier {tier.number} instead of {terms.tier.number}",
                replace(setup, terms=replace(terms, tier=tier)),
            )


def _spreads(spread: Decimal) -> list[tuple[str, Decimal]]:
    if spread:
        return [("no spread", ZERO), ("twice the spread", spread * 2)]
    return [(f"spread of {text(SPREAD * 100)} %", SPREAD)]


def _slippages(slippage: Decimal) -> list[tuple[str, Decimal]]:
    if slippage:
        return [("no slippage", ZERO), ("twice the slippage", slippage * 2)]
    return [(f"slippage of {text(SLIPPAGE * 100)} %", SLIPPAGE)]
