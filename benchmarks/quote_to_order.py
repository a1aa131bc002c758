"""From the quote that triggers an order until the exchange has the request, dcabot's row being committed by then."""

import random
import time
from decimal import Decimal

from benchmarks import stage
from benchmarks.figures import Figure, percentile
from tests.servers import MariaDB

FALL = Decimal("0.01")  # from one level to the next: twice what triggers a safety order
PAUSE_SECONDS = 0.03


def run(server: MariaDB, quick: bool) -> list[Figure]:
    """Levels of 20 quotes, each sent to the floor's simulator and to dcabot's in turn; each triggers an order."""
    levels = 2 if quick else 12
    database = server.create_database()
    with (
        stage.Alpaca() as theirs,
        stage.Alpaca() as ours,
        stage.floor("order_on_quote", theirs),
        stage.daemon(ours, database),
    ):
        dice = random.Random(1)
        for level in range(levels):
            for symbol in stage.SYMBOLS:
                for alpaca in (theirs, ours):
                    alpaca.quote([(symbol, FALL * level)])
                    # Of uneven length, so as not to dance in step with anybody's timer.
                    time.sleep(PAUSE_SECONDS * dice.uniform(0.5, 1.5))
            # An order is booked before the next quote of its symbol asks for one more.
            wanted = (level + 1) * len(stage.SYMBOLS)
            stage.until(lambda n=wanted: len(stage.rows(database, "filled")) == n, f"{wanted} filled orders", 10)
        missing = {body["client_order_id"] for _, _, body in ours.posts()} - stage.rows(database)
        if missing:
            raise RuntimeError(f"orders without a committed row: {missing}")
        floor, dcabot = milliseconds(theirs), milliseconds(ours)
    return [
        Figure("quote to order, median", "ms", (percentile(floor, 0.5),), (percentile(dcabot, 0.5),), 2.25),
        Figure("quote to order, p99", "ms", (percentile(floor, 0.99),), (percentile(dcabot, 0.99),), 3),
    ]


def milliseconds(alpaca: stage.Alpaca) -> list[float]:
    """From each quote to the next order of its symbol."""
    orders = [(at_ns, symbol) for at_ns, symbol, _ in alpaca.posts()]
    found = []
    for sent_ns, symbol, _, _ in alpaca.quotes():
        answer = next((index for index, (at_ns, name) in enumerate(orders) if name == symbol and at_ns > sent_ns), None)
        if answer is None:
            raise RuntimeError(f"no order came for a quote of {symbol}")
        found.append((orders.pop(answer)[0] - sent_ns) / 1e6)
    return found
