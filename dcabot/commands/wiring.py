"""Where the parts of one program meet: settings in, store, broker, executor and sync out."""

import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from dcabot.adapters import notes
from dcabot.adapters.config import DATABASE, EXCHANGE, Config, ConfigError, load, survey
from dcabot.adapters.database import Database, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import pending, schema_version
from dcabot.adapters.store import Store
from dcabot.commands import utc_now
from dcabot.core.reconcile import LAWS, Limits
from dcabot.executor import Executor
from dcabot.sync import Sync

if TYPE_CHECKING:
    from dcabot.adapters.broker import Broker

log = logging.getLogger(__name__)


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


def awaits_keys(env_file: str | None) -> bool:
    """True on a fresh installation: systemd starts the caretakers every minute, and the keys are not filled in yet.

    Nothing is wrong then, so no alert is due. Wherever the settings come from: only this program knows.
    """
    if "CREDENTIALS_DIRECTORY" not in os.environ:
        return False
    config = survey(os.environ, env_file).config
    if config.key_id or config.secret_key:
        return False
    log.info("nothing to do until APCA_API_KEY_ID and APCA_API_SECRET_KEY are set; the daemon says where")
    return True


def assemble(env_file: str | None) -> Parts:
    """Read the settings and put the parts together.

    Raises ConfigError, also when the schema is out of date or the books are of another account.
    """
    parts = build(env_file)
    check_schema(parts.config)
    check_books_account(parts)
    return parts


def check_books_account(parts: Parts) -> None:
    """Ask Alpaca whose keys these are. Raises ConfigError when the books are of another account."""
    if notes.account_number(parts.store.database):
        check_account(parts.store.database, parts.broker.account().number)


def build(env_file: str | None) -> Parts:
    """Read the settings and put the parts together; nobody is spoken to yet. Raises ConfigError."""
    from dcabot.adapters.broker import Broker

    config = load({EXCHANGE, DATABASE}, os.environ, env_file)
    store = Store(connect(_place(config)), utc_now)
    broker = Broker(config, utc_now)
    return Parts(config, store, broker, Executor(store, broker, utc_now))


def open_books(config: Config) -> Store:
    """The store of the configured database. Raises ConfigError when its schema is older than this program."""
    check_schema(config)
    return Store(connect(_place(config)), utc_now)


def check_schema(config: Config) -> None:
    """Raises ConfigError when the database's schema is missing, or older than this program."""
    missing = pending(_place(config))
    if missing:
        if not schema_version(_place(config)):
            raise ConfigError(["the database has no tables yet: run `dcabot db init`"])
        names = ", ".join(missing)
        raise ConfigError([f"the database's schema is older than this program ({names}): run `dcabot db init`"])


def check_account(database: Database, number: str) -> None:
    """Raises ConfigError when the books are of another account: its keys would show none of their positions."""
    if fault := another_account(notes.account_number(database), number):
        raise ConfigError([fault])


def another_account(noted: str, number: str) -> str:
    """Why these keys must not touch these books, as a sentence; empty when they may, or when either is not known."""
    if not noted or not number or noted == number:
        return ""
    return (
        f"the books in this database are of the Alpaca account ...{noted[-4:]}, the API keys of ...{number[-4:]}: put "
        f"the keys of ...{noted[-4:]} back; or, to trade for the other account from now on (a paper account that was "
        "reset is another one), `dcabot db move-account`"
    )


def _place(config: Config) -> DatabaseSettings:
    if config.database is None:
        raise ConfigError(["no database is configured: set DB_URL, DB_SOCKET or DB_HOST"])
    return config.database
