"""`dcabot db`: the database made, and its tables brought up to date."""

import os
import sys
from pathlib import Path

from dcabot.adapters.config import DATABASE, load
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.mariadb_tools import ServerAbsent, ToolError, back_up, create_local, is_peer_login
from dcabot.adapters.migrations import migrate, pending, schema_version
from dcabot.commands import DONE, FAILED, UNREACHABLE, parser, utc_now


def main(argv: list[str]) -> int:
    """0 when it is as it should be; what was done is one line on stdout."""
    options = parser("db", "Make the database, or create its tables and bring them up to date. Safe to repeat.")
    options.add_argument(
        "action",
        choices=["init", "create"],
        help="init: create the tables, or bring them up to date; create: as root, make a database on this host that "
        "is reached over a unix socket (DB_SOCKET), and a user without a password for it",
    )
    options.add_argument("--backup", metavar="FOLDER", type=Path, help="init: back up to FOLDER before a change")
    options.add_argument("--user", default="dcabot", help="create: the system user it is for (default: %(default)s)")
    arguments = options.parse_args(argv)
    settings = load({DATABASE}, os.environ, arguments.env_file).database
    if settings is None:
        raise AssertionError("load() answers only with a database when one is needed")
    try:
        if arguments.action == "create":
            return _create(settings, arguments.user)
        return _init(settings, arguments.backup)
    except ToolError as error:
        print(f"dcabot: {error}", file=sys.stderr)
        return UNREACHABLE if isinstance(error, ServerAbsent) else FAILED


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
    print(f"{settings}: {'applied ' + ', '.join(applied) if applied else 'the schema is up to date'}")
    return DONE


def _back_up_before_change(settings: DatabaseSettings, folder: Path) -> None:
    """Nothing is backed up where there is nothing yet, or nothing to change."""
    version, missing = schema_version(settings), pending(settings)
    if version and missing:
        file = back_up(settings, folder, f"{utc_now():%Y%m%dT%H%M%SZ}-before-{missing[-1]}")
        print(f"{settings}: backed up to {file}")
