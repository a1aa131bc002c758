"""For other projects: `pytest_plugins = ["dcabot.simulator.fixture"]` lets a test ask for an `alpaca` of its own."""

from collections.abc import Iterator

import pytest

from dcabot.simulator import Simulator


@pytest.fixture
def alpaca() -> Iterator[Simulator]:
    """A local Alpaca on a free port, with 100,000 USD, whole fills and no limit of requests."""
    with Simulator(partial_fills=0, rate_limit=None) as simulator:
        yield simulator
