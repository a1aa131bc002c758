"""Where prices come from: a list or file of ticks, or a seeded random walk.

No floats: the same seed makes the same prices on every machine.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from dcabot.core.money import parse, step_down, step_up
from dcabot.simulator.listings import Listing, listing_of

PARTS = 1_000_000  # walks move in millionths of the price


class Tick(NamedTuple):
    """A quote at so many seconds of venue time after the start."""

    seconds: Decimal
    symbol: str
    bid: Decimal
    ask: Decimal


def script(rows: Iterable[tuple[int | str | Decimal, str, int | str | Decimal, int | str | Decimal]]) -> list[Tick]:
    """Ticks from (seconds, symbol, bid, ask), put in order of time."""
    ticks = [Tick(parse(seconds), symbol, parse(bid), parse(ask)) for seconds, symbol, bid, ask in rows]
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


def walk(
    seed: int,
    symbols: Sequence[str],
    interval: Decimal | int | str = 1,
    step: Decimal | int | str = "0.0005",
    spread: Decimal | int | str = "0.0010",
) -> Iterator[Tick]:
    """An endless random walk: each `interval` seconds every price moves by at most the ratio `step`."""
    dice = random.Random(seed)
    listings = [listing_of(symbol) for symbol in symbols]
    mids = [listing.start_price for listing in listings]
    reach, half = int(parse(step) * PARTS), parse(spread) / 2
    seconds = Decimal(0)
    while True:
        for number, listing in enumerate(listings):
            yield quoted(seconds, listing, mids[number], half)
            moved = mids[number] * (PARTS + dice.randint(-reach, reach)) / PARTS
            mids[number] = max(listing.instrument.price_step * 100, moved)
        seconds += parse(interval)


def quoted(seconds: Decimal, listing: Listing, mid: Decimal, half_spread: Decimal) -> Tick:
    """Bid and ask around a mid price, on the pair's ticks and never crossed."""
    price_step = listing.instrument.price_step
    return Tick(
        seconds,
        listing.symbol,
        max(price_step, step_down(mid * (1 - half_spread), price_step)),
        step_up(mid * (1 + half_spread), price_step),
    )
