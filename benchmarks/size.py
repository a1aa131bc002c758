"""Memory and processor time of a daemon with 20 assets at two quotes a second each."""

import time
from decimal import Decimal

from benchmarks import stage
from benchmarks.figures import Figure
from tests.servers import MariaDB

QUOTES_PER_SECOND = 2
LEAST_MOVE = Decimal("0.0001")  # prices change, and trigger nothing


def run(server: MariaDB, quick: bool) -> list[Figure]:
    """The share of a core and the resident memory, after every asset has bought."""
    seconds = 2 if quick else 25
    database = server.create_database()
    with stage.Process([str(stage.FLOORS / "imports.py")], {}) as imports:
        imports.line()
        floor_mib = imports.resident_mib()
    with stage.Alpaca() as alpaca, stage.daemon(alpaca, database) as dcabot:
        quote_evenly(alpaca, seconds=1)
        stage.until(lambda: len(alpaca.posts()) >= len(stage.SYMBOLS), "20 base orders", 10)
        # Their follow-up questions belong to the orders, not to the quotes.
        quote_evenly(alpaca, seconds=1 if quick else 8)
        cpu_before, before = dcabot.cpu_seconds(), time.monotonic()
        quote_evenly(alpaca, seconds)
        share = (dcabot.cpu_seconds() - cpu_before) / (time.monotonic() - before)
        mib = dcabot.resident_mib()
    return [
        Figure("resident memory", "MiB", (floor_mib,), (mib,), 1.3),
        Figure("processor, 20 assets at 2 quotes/s", "%", (), (share * 100,), 2),
    ]


def quote_evenly(alpaca: stage.Alpaca, seconds: float) -> None:
    """Each symbol's quotes at its own moments, never all at once: that costs more wake-ups."""
    between = 1 / (QUOTES_PER_SECOND * len(stage.SYMBOLS))
    began = time.monotonic()
    for number in range(int(seconds / between)):
        symbol = stage.SYMBOLS[number % len(stage.SYMBOLS)]
        alpaca.quote([(symbol, LEAST_MOVE * (number // len(stage.SYMBOLS) % 5))])
        time.sleep(max(0.0, began + (number + 1) * between - time.monotonic()))
