"""Where the parts of one program meet: settings in, store, broker, executor and sync out."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from dcabot.adapters.config import DATABASE, EXCHANGE, Config, ConfigError, load
from dcabot.adapters.database import connect
from dcabot.adapters.migrations import pending
from dcabot.adapters.store import Store
from dcabot.commands import utc_now
from dcabot.core.reconcile import LAWS, Limits
from dcabot.executor import Executor
from dcabot.sync import Sync

if TYPE_CHECKING:
    from dcabot.adapters.broker import Broker


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a program which trades or repairs needs."""

    config: Config
    store: Store
    broker: "Broker"
    executor: Executor

    def sync(self, laws: tuple[str, ...] = tuple(LAWS)) -> Sync:
        """Reconciliation with these laws."""
        limits = Limits(stale=timedelta(seconds=self.config.stale_order_seconds))
        return Sync(self.store, self.broker, self.executor, utc_now, limits, laws)


def assemble(env_file: str | None) -> Parts:
    """Read the settings and put the parts together. Raises ConfigError, also when the schema is out of date."""
    from dcabot.adapters.broker import Broker

    config = load({EXCHANGE, DATABASE}, os.environ, env_file)
    store = open_books(config)
    broker = Broker(config, utc_now)
    return Parts(config, store, broker, Executor(store, broker, utc_now))


def open_books(config: Config) -> Store:
    """The store of the configured database. Raises ConfigError when its schema is older than this program."""
    if config.database is None:
        raise ConfigError(["no database is configured: set DB_URL, DB_SOCKET or DB_HOST"])
    missing = pending(config.database)
    if missing:
        names = ", ".join(missing)
        raise ConfigError([f"the database's schema is older than this program ({names}): run `dcabot db init`"])
    return Store(connect(config.database), utc_now)
