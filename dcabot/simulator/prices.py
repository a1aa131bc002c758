"""Where prices come from: a list or file of ticks, or a seeded random walk. (Candles: `candles.py`.)

No floats: the same seed makes the same prices on every machine.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from dcabot.core.money import ONE, parse, step_down, step_up
from dcabot.simulator.listings import Listing, listing_of

PARTS = 1_000_000_000  # walks move in billionths of the price
Number = Decimal | int | str | float


def exact(number: Number) -> Decimal:
    """The number as it is written: a program's 0.1 is meant as 0.1. Raises ValueError for what is no finite number."""
    return parse(repr(number) if isinstance(number, float) else number)


class Tick(NamedTuple):
    """A quote at so many seconds of venue time after the start."""

    seconds: Decimal
    symbol: str
    bid: Decimal
    ask: Decimal


def script(rows: Iterable[tuple[Number, str, Number, Number]]) -> list[Tick]:
    """Ticks from (seconds, symbol, bid, ask), put in order of time."""
    ticks = []
    for row in rows:
        try:
            seconds, symbol, bid, ask = row
            ticks.append(Tick(exact(seconds), symbol, exact(bid), exact(ask)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"a row is (seconds, symbol, bid, ask), not {row!r}: {error}") from None
    return sorted(ticks, key=lambda tick: tick.seconds)


def read_script(path: str | Path) -> list[Tick]:
    """Ticks from lines `SECONDS SYMBOL BID ASK`; `+5` counts from the line before; # begins a comment.

    Raises ValueError naming the file and line.
    """
    ticks: list[Tick] = []
    seconds = Decimal(0)
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            when, symbol, bid, ask = words
            seconds = seconds + parse(when[1:]) if when.startswith("+") else parse(when)
            ticks.append(Tick(seconds, symbol, parse(bid), parse(ask)))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: expected SECONDS SYMBOL BID ASK: {error}") from None
    return sorted(ticks, key=lambda tick: tick.seconds)


@dataclass(frozen=True, slots=True)
class WalkShape:
    """How a walk moves. Ratios are of the price; chances are for each symbol and step.

    `correlation` is the share of every move that is the same for all symbols. A jump is a single move of the
    ratio `jump`, up or down; while a spread is wide it is `wide_spread`.
    """

    interval: Number = 1  # seconds between the quotes of a symbol
    step: Number = "0.0005"
    spread: Number = "0.0010"
    correlation: Number = 0
    jump_chance: Number = 0
    jump: Number = "0.02"
    wide_chance: Number = 0
    wide_spread: Number = "0.01"


def walk(seed: int, symbols: Sequence[str], shape: WalkShape | None = None, **changes: Number) -> Iterator[Tick]:
    """An endless random walk; `changes` are fields of WalkShape."""
    form = WalkShape(**changes) if shape is None else shape
    if exact(form.interval) <= 0:
        raise ValueError(f"a walk's interval is above 0, not {form.interval}")
    for name in ("correlation", "jump_chance", "wide_chance"):
        if not 0 <= exact(getattr(form, name)) <= ONE:
            raise ValueError(f"a walk's {name} is between 0 and 1, not {getattr(form, name)}")
    dice = random.Random(seed)
    listings = [listing_of(symbol) for symbol in symbols]
    mids = [listing.start_price for listing in listings]
    reach, common = int(exact(form.step) * PARTS), exact(form.correlation)
    seconds = Decimal(0)
    while True:
        shared = dice.randint(-reach, reach)
        for number, listing in enumerate(listings):
            spread = form.wide_spread if _happens(dice, form.wide_chance) else form.spread
            yield quoted(seconds, listing, mids[number], exact(spread) / 2)
            move = common * shared + (ONE - common) * dice.randint(-reach, reach)
            if _happens(dice, form.jump_chance):
                move += dice.choice((-1, 1)) * exact(form.jump) * PARTS
            moved = step_down(mids[number] * (PARTS + move) / PARTS, listing.quote_step / 1000)
            mids[number] = max(listing.quote_step * 100, moved)
        seconds += exact(form.interval)


def _happens(dice: random.Random, chance: Number) -> bool:
    # Not drawn when it cannot happen, so that a walk without jumps is the same with and without this feature.
    return bool(exact(chance)) and dice.randrange(PARTS) < exact(chance) * PARTS


def quoted(seconds: Decimal, listing: Listing, mid: Decimal, half_spread: Decimal) -> Tick:
    """Bid and ask around a mid price, on the pair's ticks and never crossed."""
    price_step = listing.quote_step
    return Tick(
        seconds,
        listing.symbol,
        max(price_step, step_down(mid * (1 - half_spread), price_step)),
        step_up(mid * (1 + half_spread), price_step),
    )
