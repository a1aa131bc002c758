"""The pytest plugin of the installed package: a local Alpaca for each test that asks for `alpaca`.

pytest finds it by its entry point; a fixture of that name in a conftest.py goes first.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dcabot.simulator import Simulator


@pytest.fixture
def alpaca() -> Iterator["Simulator"]:
    """A local Alpaca on a free port, with 100,000 USD, whole fills and no limit of requests."""
    from dcabot.simulator import Simulator  # a run of tests that ask for none does not wait for it

    with Simulator(partial_fills=0, rate_limit=None) as simulator:
        yield simulator
