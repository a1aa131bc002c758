"""All 20 assets trigger in the same instant, and the exchange takes 100 ms for every answer."""

import statistics
import time
from decimal import Decimal

from benchmarks import stage
from benchmarks.figures import Figure
from tests.servers import MariaDB

ANSWER_SECONDS = 0.1
FALL = Decimal("0.01")
PAUSE_SECONDS = 1.0  # between two crashes: everything is answered and booked


def run(server: MariaDB, quick: bool) -> list[Figure]:
    """Crash after crash, the bare pool's and dcabot's in turn: until the 20th order is received."""
    crashes = 2 if quick else 11
    database = server.create_database()
    floor, dcabot = [], []
    with stage.Alpaca() as theirs, stage.Alpaca() as ours:
        theirs.quote((symbol, Decimal(0)) for symbol in stage.SYMBOLS)
        with stage.floor("pool", theirs) as pool, stage.daemon(ours, database):
            for alpaca in (theirs, ours):
                slow = {"seconds": ANSWER_SECONDS, "path": "^/v2/", "times": None}
                alpaca.call("POST", "/faults/delay_response", slow)
            for level in range(crashes):
                began_ns = int(pool.ask("go"))
                floor.append((last_post(theirs) - began_ns) / 1e6)
                ours.quote((symbol, FALL * level) for symbol in stage.SYMBOLS)
                received_ns = last_post(ours)
                missing = {body["client_order_id"] for _, _, body in ours.posts()} - stage.rows(database)
                if missing:
                    raise RuntimeError(f"orders without a committed row: {missing}")
                dcabot.append((received_ns - ours.quotes()[0][0]) / 1e6)
                time.sleep(PAUSE_SECONDS)
                for alpaca in (theirs, ours):
                    alpaca.forget()
    what = "crash of the market, 20th order"
    return [Figure(what, "ms", (statistics.median(floor),), (statistics.median(dcabot),), 5)]


def last_post(alpaca: stage.Alpaca) -> int:
    """When the last of the 20 orders was received. Nobody looks before it should be there: looking costs time."""
    time.sleep(ANSWER_SECONDS * 3)
    posts = stage.until(lambda: len(found := alpaca.posts()) >= len(stage.SYMBOLS) and found, "20 orders", 20)
    return max(at_ns for at_ns, _, _ in posts)
