"""Quotes of 20 symbols as fast as the client drains them, and a trigger in the middle of a flood.

The last quote of a flood triggers an order: when that is received, everything before it has been drained, whatever
buffers lie between the simulator and the client.
"""

import statistics
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from benchmarks import stage
from benchmarks.figures import Figure, Limit
from tests.servers import Database, MariaDB

WATCHED = "LTC/USD"
FALL = Decimal("0.01")  # twice what triggers
STEP = Decimal("0.0005")  # of a market that falls little by little
STEP_SECONDS = 0.02
SHARE_OF_THE_FLOOR = 0.7  # the rate at which the trigger is looked at: both keep up, so nothing lies in buffers


class Drained(NamedTuple):
    per_second: float
    cost: float  # processor time of each quote in microseconds: on a busy machine the truer figure


class Client:
    """A program that listens, its own simulator, and the prices that it has seen."""

    def __init__(self, alpaca: stage.Alpaca, process: stage.Process) -> None:
        self.alpaca, self.process = alpaca, process
        self.fall = Decimal(0)
        alpaca.quote((symbol, self.fall) for symbol in stage.SYMBOLS)

    def flood(self, quotes: int) -> Drained:
        """So many quotes, until the order that the last one triggers is received."""
        self.alpaca.forget()
        cpu_before, began_ns = self.process.cpu_seconds(), time.monotonic_ns()
        self.alpaca.call("POST", "/flood", {"symbols": stage.SYMBOLS, "quotes": quotes})
        stage.until(lambda: not self.alpaca.call("GET", "/flood")["running"], "the end of the flood")
        self.fall += FALL
        self.alpaca.quote([(WATCHED, self.fall)])
        seconds = (self._order()[0] - began_ns) / 1e9
        return Drained(quotes / seconds, (self.process.cpu_seconds() - cpu_before) / quotes * 1e6)

    def falling(self, per_second: float) -> tuple[str, Decimal]:
        """A flood in which a price falls step by step: the id and the price of the order that this triggers."""
        self.alpaca.forget()
        self.alpaca.call("POST", "/flood", {"symbols": stage.SYMBOLS, "per_second": int(per_second)})
        time.sleep(0.5)
        for _ in range(int(FALL / STEP)):
            self.fall += STEP
            self.alpaca.quote([(WATCHED, self.fall)])
            time.sleep(STEP_SECONDS)
        self.alpaca.call("DELETE", "/flood")
        body = self._order()[1]
        return body["client_order_id"], Decimal(str(body["limit_price"]))

    def age_when_decided(self, database: Database, per_second: float) -> float:
        """Milliseconds from the sending of the quote that an order was made from until that was decided.

        Whoever works through a queue of quotes answers an old one; the order's price tells which.
        """
        name, limit = self.falling(per_second)
        sent_ns, *_ = min(self.alpaca.quotes(), key=lambda row: abs(Decimal(row[3]) - limit))
        decided_ns = stage.decided(database, name).timestamp() * 1e9 - (time.time_ns() - time.monotonic_ns())
        return (decided_ns - sent_ns) / 1e6

    def _order(self) -> tuple[int, dict[str, str]]:
        posts = stage.until(self.alpaca.posts, "an order in the flood", 30)
        time.sleep(1)  # it is filled and booked, and its follow-up questions are answered
        return posts[0][0], posts[0][2]


def run(server: MariaDB, quick: bool) -> list[Figure]:
    """Floods of the bare stream and of dcabot in turn; then, in a flood that both can bear, a price that falls."""
    rounds, quotes = (1, 4_000) if quick else (3, 160_000)
    database = server.create_database()
    with (
        stage.Alpaca() as theirs,
        stage.Alpaca() as ours,
        stage.floor("drain", theirs, WATCHED=WATCHED) as drain,
        stage.daemon(ours, database) as daemon,
    ):
        bare, dcabot = Client(theirs, drain), Client(ours, daemon)
        stage.until(lambda: len(ours.posts()) == len(stage.SYMBOLS), "20 base orders", 10)
        time.sleep(1)
        mib_before = daemon.resident_mib()
        floods = [(bare.flood(quotes), dcabot.flood(quotes)) for _ in range(rounds)]
        mib_grown = daemon.resident_mib() - mib_before
        rate = statistics.median(floor.per_second for floor, _ in floods) * SHARE_OF_THE_FLOOR
        ages = [dcabot.age_when_decided(database, rate) for _ in range(rounds)]
    return [
        _figure("flood, quotes drained", "/s", ((a.per_second, b.per_second) for a, b in floods), 0.8, Limit.LEAST),
        _figure("flood, processor time a quote", "us", ((a.cost, b.cost) for a, b in floods), 1.25),
        Figure("flood, age of a quote decided on", "ms", (), (statistics.median(ages),), STEP_SECONDS * 1000),
        Figure("flood, growth of memory", "MiB", (), (mib_grown,), 2),
    ]


def _figure(
    what: str, unit: str, pairs: Iterable[tuple[float, float]], bound: float, limit: Limit = Limit.MOST
) -> Figure:
    floor, dcabot = zip(*pairs, strict=True)
    return Figure(what, unit, (statistics.median(floor),), (statistics.median(dcabot),), bound, limit)
