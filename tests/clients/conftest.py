"""The simulator as a user starts it, one for each client's script; only with `--clients`."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.programs import PATIENCE, ROOT

ASKED = "other people's clients are tried by ./test --clients, which installs them; some minutes"
PAIRS = "BTC/USD,ETH/USD,DOGE/USD,LTC/USD,USDT/USD"
# Two days, so that a program that asks for minutes and for days finds both.
SETTINGS = (
    "--walk",
    "12",
    "--interval",
    "1",
    "--history",
    "172800",
    "--partial-fills",
    "0",
    "--rate-limit",
    "0",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "printed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
            if not config.getoption("--clients"):
                item.add_marker(pytest.mark.skip(reason=ASKED))


@pytest.fixture
def printed() -> Iterator[dict[str, str]]:
    """The variables that `dcabot simulator` prints."""
    command = [
        sys.executable,
        "-m",
        "dcabot",
        "simulator",
        "--port",
        "0",
        "--symbols",
        PAIRS,
        *SETTINGS,
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        variables = {}
        while "=" in (line := process.stdout.readline().strip()):
            name, _, value = line.partition("=")
            variables[name] = value
        try:
            yield variables
        finally:
            process.terminate()
            process.wait(PATIENCE)
