"""Fixtures that every folder of tests may use: a private MariaDB and a fresh database on it."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import Database, MariaDB

for name, examples in (("default", 100), ("long", 5000)):
    # How long an example takes is the machine's matter.
    settings.register_profile(name, deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="more examples and seeds: minutes instead of seconds")
    parser.addoption("--packaging", action="store_true", help="build the package and try it on a booted Debian; root")
    parser.addoption("--clients", action="store_true", help="try other people's clients against the simulator")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "default")


def _server(*, tcp: bool) -> Iterator[MariaDB]:
    with MariaDB(tcp=tcp) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """The session's server, on a unix socket. A test that stops or freezes it takes `own_mariadb_server`."""
    yield from _server(tcp=False)


@pytest.fixture
def own_mariadb_server() -> Iterator[MariaDB]:
    """A server for one test alone, with a port too: to be killed, frozen and restarted."""
    yield from _server(tcp=True)


@pytest.fixture
def database(mariadb_server: MariaDB) -> Iterator[Database]:
    """A fresh empty database on the session's server; `database.environment()` is its configuration."""
    database = mariadb_server.create_database()
    yield database
    mariadb_server.drop_database(database)
