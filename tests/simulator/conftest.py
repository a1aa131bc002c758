"""The simulator that most of these tests want: two pairs, whole fills, prices set by hand, a price to begin with."""

from collections.abc import Iterator

import pytest

from dcabot.simulator import Simulator, Timing

SYMBOLS = ("BTC/USD", "ETH/USD")


def make_alpaca(**options: object) -> Simulator:
    return Simulator(**{"symbols": SYMBOLS, "partial_fills": 0, "timing": Timing(remainder=0.001), **options})


@pytest.fixture
def alpaca() -> Iterator[Simulator]:
    with make_alpaca() as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        yield alpaca
