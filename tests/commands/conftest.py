"""The daemon's surroundings: a local Alpaca with prices, a database with the schema, and how to start `dcabot run`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from tests.commands.seat import Seat, seat_for
from tests.programs import Books, Daemon, alpaca_for_tests, environment, mariadb_books, running_daemon, sqlite_books
from tests.servers import Database, MariaDB

# REST is asked as often as a test is patient.
QUICK = {
    "paces.SWEEP_SPACING_SECONDS": 0.2,
    "paces.SWEEP_UNSETTLED_SECONDS": 1,
    "paces.SWEEP_STREAM_DOWN_SECONDS": 0.5,
    "paces.EVENT_PATIENCE_SECONDS": 1,
    "transport.PAUSE_SECONDS": 0.05,
    "paces.STOP_PATIENCE_SECONDS": 1,
    "paces.STOP_SECONDS": 1.5,
}

# A question that hangs is given up after 15 s. What is promised, five, the paces say: test_daemon_life.py
ENDS_WITHIN = 12.0

Start = Callable[..., AbstractContextManager[Daemon]]


@pytest.fixture
def alpaca() -> Iterator[Simulator]:
    with alpaca_for_tests() as simulator:
        simulator.set_quote("BTC/USD", bid="60000", ask="60010")
        simulator.set_quote("ETH/USD", bid="2000", ask="2001")
        yield simulator


@pytest.fixture
def books(database: Database) -> Books:
    """On the session's MariaDB."""
    return mariadb_books(database)


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    """A server to be killed and frozen; every test leaves it running."""
    with MariaDB(tcp=True) as server:
        yield server


@pytest.fixture
def small_books(tmp_path: Path) -> Books:
    """On SQLite, for tests to which the database is no matter."""
    return sqlite_books(tmp_path)


@pytest.fixture
def start(alpaca: Simulator, tmp_path: Path) -> Start:
    """`with start(books, NAME="value") as daemon:` runs it on these books; it reads the assets every second."""
    return starter(alpaca, tmp_path)


def starter(alpaca: Simulator, folder: Path) -> Start:
    """How to run the daemon against this exchange."""

    def start(
        books: Books, has_systemd: bool = True, hurry: Mapping[str, float] | None = None, **more: str
    ) -> AbstractContextManager[Daemon]:
        settings = {"DCABOT_ASSET_REFRESH_SECONDS": "1", **more}
        variables = environment(folder, alpaca.env(), books.environment, settings)
        return running_daemon(folder, variables, has_systemd, QUICK if hurry is None else {**QUICK, **hurry})

    return start


@pytest.fixture
def seat(
    alpaca: Simulator,
    small_books: Books,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Seat]:
    """An operator's commands on these books, and a trader driven by hand."""
    with seat_for(alpaca, small_books, capsys, monkeypatch, tmp_path) as seat:
        yield seat
