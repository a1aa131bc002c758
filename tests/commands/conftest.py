"""The daemon's surroundings: a local Alpaca with prices, a database with the schema, and how to start `dcabot run`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from tests.programs import Books, Daemon, alpaca_for_tests, environment, mariadb_books, running_daemon, sqlite_books
from tests.servers import Database

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


@pytest.fixture
def small_books(tmp_path: Path) -> Books:
    """On SQLite, for tests to which the database is no matter."""
    return sqlite_books(tmp_path)


@pytest.fixture
def start(alpaca: Simulator, tmp_path: Path) -> Start:
    """`with start(books, NAME="value") as daemon:` runs it on these books; it reads the assets every second."""

    def start(books: Books, has_systemd: bool = True, **more: str) -> AbstractContextManager[Daemon]:
        variables = environment(
            tmp_path, alpaca.env(), books.environment, {"DCABOT_ASSET_REFRESH_SECONDS": "1", **more}
        )
        return running_daemon(tmp_path, variables, has_systemd)

    return start
