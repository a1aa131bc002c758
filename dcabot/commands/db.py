"""`dcabot db`: the database made, and its tables brought up to date."""

import argparse
import os
import sys
from pathlib import Path

from dcabot.adapters import notes
from dcabot.adapters.config import DATABASE, Config, load, sends_keys_openly, speaks_openly
from dcabot.adapters.database import connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.mariadb_tools import ServerAbsent, ToolError, back_up, create_local, is_peer_login
from dcabot.adapters.migrations import migrate, pending, schema_version
from dcabot.adapters.sources import SYSTEM_FILE
from dcabot.adapters.store import Store
from dcabot.commands import DONE, FAILED, UNREACHABLE, parser, utc_now
from dcabot.commands.console import refused
from dcabot.commands.db_recover import recover
from dcabot.commands.wiring import assemble, check_schema
from dcabot.core.ledger import fold
from dcabot.core.states import OVER, is_open

KEPT_PLAIN = """
# Written by the upgrade to dcabot 1.1.0. Until then the certificate of the database's server was never checked, and
# with this line it still is not: everybody on the way to the server can read and change what is sent. To end that,
# give the server a certificate, name its authority in DB_SSL_CA, and take this line away. See: man dcabot.env
DB_SSL=off
"""
KEPT_PLAIN_HTTP = """
# Written by the upgrade to dcabot 1.1.0. Until then a URL with http:// or ws:// to another machine was taken without a
# word: everybody on the way there can read your API keys. To end that, write https:// and wss://, and take this line
# away. See: man dcabot.env
DCABOT_PLAIN_HTTP=yes
"""


def make_parser() -> argparse.ArgumentParser:
    options = parser("db", "Make the database, or create its tables and bring them up to date. Safe to repeat.")
    options.add_argument(
        "action",
        choices=["init", "create", "move-account", "recover", "keep-plain"],
        help="init: create the tables, or bring them up to date; create: as root, make a database on this host that "
        "is reached over a unix socket (DB_SOCKET), and a user without a password for it; move-account: trade for the "
        "account of other keys from the next start of the daemon on; recover: book what orders of dcabot bought, from "
        "Alpaca's list of orders, where the database and its backups are lost; keep-plain: for an upgrade, say "
        "DB_SSL=off (or DCABOT_PLAIN_HTTP=yes) in the file of --env-file where its database (or a URL) was reached "
        "without a checked certificate until now",
    )
    options.add_argument("--backup", metavar="FOLDER", type=Path, help="init: back up to FOLDER before a change")
    options.add_argument("--user", default="dcabot", help="create: the system user it is for (default: %(default)s)")
    options.add_argument("--yes", action="store_true", help="move-account, recover: do not ask")
    options.add_argument("--tag", metavar="TAG", help="recover: only orders whose ids begin with dcabot-TAG-")
    options.add_argument("--anyway", action="store_true", help="move-account: even while something is held")
    return options


def main(argv: list[str]) -> int:
    """0 when it is as it should be; what was done is one line on stdout."""
    arguments = make_parser().parse_args(argv)
    if arguments.action == "keep-plain":
        return _keep_plain(Path(arguments.env_file or SYSTEM_FILE))
    config = load({DATABASE}, os.environ, arguments.env_file)
    settings = config.database
    if settings is None:
        raise AssertionError("load() answers only with a database when one is needed")
    try:
        if arguments.action == "create":
            return _create(settings, arguments.user)
        if arguments.action == "move-account":
            return _move_account(config, settings, arguments.yes, arguments.anyway)
        if arguments.action == "recover":
            return recover(assemble(arguments.env_file), arguments.tag, arguments.yes)
        return _init(settings, arguments.backup)
    except ToolError as error:
        print(f"dcabot: {error}", file=sys.stderr)
        return UNREACHABLE if isinstance(error, ServerAbsent) else FAILED


def _keep_plain(file: Path) -> int:
    """No upgrade stops a bot that trades: what the file leaves to an older version is now said in it."""
    if speaks_openly(file):
        _append(file, KEPT_PLAIN)
        print(
            f"{file}: DB_SSL=off was added, because the database is not on this machine; the file says what that means"
        )
    if sends_keys_openly(file):
        _append(file, KEPT_PLAIN_HTTP)
        print(f"{file}: DCABOT_PLAIN_HTTP=yes was added, because a URL is not encrypted; the file says what that means")
    return DONE


def _append(file: Path, lines: str) -> None:
    text = file.read_text(encoding="utf-8-sig")
    with file.open("a", encoding="utf-8") as stream:
        stream.write(("" if text.endswith("\n") or not text else "\n") + lines)


def _create(settings: DatabaseSettings, user: str) -> int:
    if is_peer_login(settings):
        create_local(settings, user)
        print(f"{settings}: there is a database, and {user} may use it")
    else:
        print(f"{settings}: not a database of this host with peer login; there is nothing to make")
    return DONE


def _init(settings: DatabaseSettings, backups: Path | None) -> int:
    if backups is not None and (settings.engine == "mysql" or Path(settings.path).exists()):
        _back_up_before_change(settings, backups)
    applied = migrate(settings)
    database = connect(settings)
    try:
        notes.make_tag(database, utc_now())
    finally:
        database.close_all()
    print(f"{settings}: {'applied ' + ', '.join(applied) if applied else 'the schema is up to date'}")
    return DONE


def _back_up_before_change(settings: DatabaseSettings, folder: Path) -> None:
    """Nothing is backed up where there is nothing yet, or nothing to change."""
    version, missing = schema_version(settings), pending(settings)
    if version and missing:
        file = back_up(settings, folder, f"{utc_now():%Y%m%dT%H%M%SZ}-before-{missing[-1]}")
        print(f"{settings}: backed up to {file}")


def _move_account(config: Config, settings: DatabaseSettings, yes: bool, anyway: bool) -> int:
    """Let the next start of the daemon say whose the books are. Nobody may trade while that is open."""
    check_schema(config)
    database = connect(settings)
    try:
        if not database.hold_daemon_lock():
            print("dcabot db: the daemon works on this database; stop it first", file=sys.stderr)
            return UNREACHABLE
        number = notes.account_number(database)
        if not number:
            print(f"{settings}: the books are of no account yet; the next start of the daemon says whose they are")
            return DONE
        held = _held(Store(database, utc_now))
        if held and not anyway:
            print(
                f"dcabot db: {', '.join(held)}: a position is held, an order is open or a row cannot be read. With the "
                f"keys of ...{number[-4:]}, `dcabot cycle close` or `release` comes first; --anyway goes ahead, and "
                "cycles whose coins the other account does not have are suspended until you release them",
                file=sys.stderr,
            )
            return FAILED
        if no := refused(f"Shall the books of account ...{number[-4:]} be another account's?", yes):
            return no
        notes.forget_account(database)
    finally:
        database.close_all()
    print(f"{settings}: the books are of account ...{number[-4:]} no more; the next start of the daemon says whose")
    return DONE


def _held(store: Store) -> list[str]:
    """Assets that another account cannot take over as they stand."""
    book = store.read_book()
    busy = {
        entry.asset.symbol
        for entry in book.entries
        if any(is_open(order) for order in entry.cycle.orders)
        or (entry.cycle.status not in OVER and fold(entry.cycle.orders).held)
    }
    return sorted(busy | set(book.faults))
