"""The same cycle again and again, and each time one call of one door goes wrong: the end must be the same.

In process, on the pure venue and SQLite: every transaction and every request of a whole cycle is once the one that
fails, is lost, is refused, or is the program's last.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.adapters.database import Database, DatabaseBusy, DatabaseError, DatabaseUnreachable
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.engines import engine_for
from dcabot.adapters.migrations import migrate
from dcabot.core.model import Quote
from dcabot.core.snapshot import ExchangeError
from dcabot.core.venue import VenueOrder
from tests.builders import make_quote
from tests.programs import Books
from tests.venue_broker import Desk, Fate, Killed, Request

STEPS = 200
Trouble = Callable[[], BaseException]


class FrailDatabase(Database):
    """A database of which one transaction fails: number `at`, before it begins or after it was committed."""

    count = 0
    at = 0
    is_committed = False
    trouble: Trouble = Killed

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.count += 1
        fails = self.count == self.at
        if fails and not self.is_committed:
            raise self.trouble()
        with super().transaction():
            yield
        if fails:
            raise self.trouble()


class Play:
    """One cycle with one safety order, from the first quote to the cooldown.

    When it `rests`, the safety order fills by half and must be cancelled before the take profit.
    """

    def __init__(self, folder: Path, rests: bool = False) -> None:
        settings = DatabaseSettings("sqlite", path=str(folder / "books.db"))
        migrate(settings)
        self.books = Books(settings, {})
        self.books.add_asset(max_safety_orders=1)
        self.database = FrailDatabase(engine_for(settings))
        self.desk = Desk(self.database)
        self.desk.broker.quote(make_quote("60000", "60010", at=self.desk.clock()))
        if rests:
            self.desk.broker.venue.slicer = _half_of_the_safety_order

    def run(self) -> None:
        """Live on until the cycle is sold, starting again whenever the program was killed."""
        self._start()
        for _ in range(STEPS):
            self._attempt(self._step)
            if len(self.books.cycles()) == 2:
                break
        self._attempt(self.desk.settle)
        self._attempt(self.desk.settle)
        self.database.close_all()

    def _start(self) -> None:
        """A start is tried again until it has agreed with the exchange."""
        is_ready = False

        def recover() -> None:
            nonlocal is_ready
            self.desk.trader.recover()
            is_ready = True

        while not is_ready:
            self._attempt(recover)

    def _step(self) -> None:
        desk = self.desk
        desk.clock.advance(5)
        if desk.clock().second % 30 == 0:
            desk.broker.deliver_late()
            desk.trader.refresh()
        _, quantity, safety_orders = (self.books.cycles() or [("", "0", 0)])[0]
        bid = 60000
        if Decimal(quantity):
            bid = 59000 if safety_orders == 0 else 61000
        desk.quote(str(bid), str(bid + 10))
        desk.stream()
        desk.trader.sweep()

    def _attempt(self, work: Callable[[], None]) -> None:
        """As the daemon does it: trouble with a door is waited for, a killed program starts again."""
        try:
            work()
        except (DatabaseError, ExchangeError):
            self.desk.clock.advance(5)
        except Killed:
            self.database.close_all()
            self.desk.broker.updates.clear()
            self.desk.restart()
            self._start()

    def check(self) -> None:
        rows = {name: (status, Decimal(filled)) for name, _, status, filled in self.books.orders()}
        venue = self.desk.broker.venue
        orders = {order.client_order_id: order for order in venue.orders.values()}
        assert orders.keys() <= rows.keys(), "an order that no row knows"
        for name, (status, filled) in rows.items():
            if name in orders:
                assert (status, filled) == (orders[name].status.value, orders[name].filled_quantity), name
            else:
                assert status in ("void", "rejected"), (name, status)
        bought = [name.split("-")[3] for name, order in orders.items() if order.side.value == "buy"]
        assert bought == ["base", "safety"], bought
        assert self.desk.broker.position("BTC") == 0
        assert [status for status, _, _ in self.books.cycles()] == ["complete", "cooldown"]


def _half_of_the_safety_order(order: VenueOrder, unfilled: Decimal, quote: Quote) -> Decimal:
    if "-safety-" not in order.client_order_id:
        return unfilled
    return Decimal(0) if order.filled_quantity else unfilled / 2


@pytest.fixture(scope="module", params=[False, True], ids=["fills", "rests"])
def rests(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, rests: bool) -> Play:
    play = Play(tmp_path_factory.mktemp("undisturbed"), rests)
    play.run()
    play.check()
    assert bool(play.desk.broker.sent("cancel")) is rests
    return play


@pytest.fixture
def every(request: pytest.FixtureRequest) -> int:
    """Which of the calls go wrong: all with --long, else every tenth."""
    return 1 if request.config.getoption("--long") else 10


def played(folder: Path, rests: bool, prepare: Callable[[Play], None], what: str) -> None:
    folder.mkdir()
    play = Play(folder, rests)
    prepare(play)
    play.run()
    try:
        play.check()
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error


@pytest.mark.parametrize("is_committed", [False, True], ids=["before", "after its commit"])
@pytest.mark.parametrize("trouble", [Killed, DatabaseUnreachable, DatabaseBusy])
def test_every_transaction_is_once_the_one_that_fails(
    undisturbed: Play, rests: bool, tmp_path: Path, trouble: type[BaseException], is_committed: bool, every: int
) -> None:
    assert undisturbed.database.count > 30
    first = 1 + len(trouble.__name__) % every + is_committed  # so that the samples differ
    for number in range(first, undisturbed.database.count + 1, every):

        def prepare(play: Play, number: int = number) -> None:
            play.database.at, play.database.is_committed, play.database.trouble = number, is_committed, trouble

        played(tmp_path / str(number), rests, prepare, f"transaction {number}")


@pytest.mark.parametrize("fate", [fate for fate in Fate if fate is not Fate.DONE])
def test_every_request_is_once_the_one_that_goes_wrong(
    undisturbed: Play, rests: bool, tmp_path: Path, fate: Fate, every: int
) -> None:
    for number, request in enumerate(undisturbed.desk.broker.requests, 1):
        if request.kind not in ("submit", "cancel") and (fate is Fate.LATE or number % every):
            continue

        def prepare(play: Play, number: int = number) -> None:
            broker = play.desk.broker

            def decide(now: Request) -> None:
                if len(broker.requests) == number:
                    broker.fates[now.kind] = [fate]

            broker.on_request = decide

        played(tmp_path / str(number), rests, prepare, f"request {number} ({request.kind})")
