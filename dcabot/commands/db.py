"""`dcabot db init`: create the schema, or bring it up to date. Safe to repeat."""

import os

from dcabot.adapters.config import DATABASE, load
from dcabot.adapters.migrations import migrate
from dcabot.commands import DONE, parser


def main(argv: list[str]) -> int:
    """0 when the schema is up to date; what was done is one line on stdout."""
    options = parser("db", "Create the database's tables, or bring them up to date. Safe to repeat.")
    options.add_argument("action", choices=["init"])
    arguments = options.parse_args(argv)
    settings = load({DATABASE}, os.environ, arguments.env_file).database
    if settings is None:
        raise AssertionError("load() answers only with a database when one is needed")
    applied = migrate(settings)
    print(f"{settings}: {'applied ' + ', '.join(applied) if applied else 'the schema is up to date'}")
    return DONE
