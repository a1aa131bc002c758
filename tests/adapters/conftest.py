"""Both engines for the tests of the database's door: `settings` is an empty database, `door` one with the schema."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dcabot.adapters.database import Database, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from tests import servers


@pytest.fixture
def mysql_settings(database: servers.Database) -> DatabaseSettings:
    """An empty MariaDB database of its own."""
    return DatabaseSettings("mysql", socket=str(database.socket), user=database.user, name=database.name)


@pytest.fixture(params=["mysql", "sqlite"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseSettings:
    """An empty database, once on each engine."""
    if request.param == "sqlite":
        return DatabaseSettings("sqlite", path=str(tmp_path / "dcabot.db"))
    mysql: DatabaseSettings = request.getfixturevalue("mysql_settings")
    return mysql


@pytest.fixture
def door(settings: DatabaseSettings) -> Iterator[Database]:
    """A database with the schema, once on each engine."""
    migrate(settings)
    database = connect(settings)
    yield database
    database.close_all()
