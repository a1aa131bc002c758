"""`dca_notes`: whose account the books are, and what an operator began by hand and may have to go on with.

What takes a `Database` has a transaction of its own; the rest is part of the caller's.
"""

import secrets
from datetime import datetime

from dcabot.adapters import schema
from dcabot.adapters.database import Database

ACCOUNT = "account"
TAG = "tag"  # of this database, in the ids of its orders
TAG_LETTERS = "abcdefghijkmnpqrstuvwxyz"  # an id's other parts are numbers: the tag begins with none
TAG_LENGTH = 6


def account_number(database: Database) -> str:
    """Of the account at Alpaca that these books are of; empty before the daemon's first start."""
    with database.transaction():
        return read(ACCOUNT)


def keep_account(database: Database, number: str, now: datetime) -> None:
    """From now on the books are of this account, unless they are of one already or Alpaca told no number."""
    with database.transaction():
        if number and not read(ACCOUNT):
            write(ACCOUNT, number, now)


def forget_account(database: Database) -> None:
    """The next start of the daemon says whose the books are."""
    with database.transaction():
        erase(ACCOUNT)


def make_tag(database: Database, now: datetime) -> str:
    """The tag that tells this database's orders from those of another; made once."""
    with database.transaction():
        tag = read(TAG)
        if not tag:
            tag = "".join(secrets.choice(TAG_LETTERS) for _ in range(TAG_LENGTH))
            write(TAG, tag, now)
        return tag


def read(name: str) -> str:
    """What was noted; empty when nothing was."""
    found = schema.Note.read("name", name)
    return str(found[0].text) if found else ""


def write(name: str, text: str, now: datetime) -> None:
    """Note it, in place of what stood there. Raises IntegrityError when two are the first to note it."""
    fitting = text[: schema.Note.text.max_length]
    query = schema.Note.update(text=fitting, written_at=now).where(schema.Note.name == name)
    if not query.execute():
        schema.Note.add(name=name, text=fitting, written_at=now)


def erase(name: str) -> bool:
    """True when there was such a note."""
    return bool(schema.Note.delete().where(schema.Note.name == name).execute())


def first_start_after_upgrade(database: Database, version: str, now: datetime) -> bool:
    """True once for each version: at its first start on a database that has orders from before."""
    with database.transaction():
        name = f"started {version}"
        if read(name):
            return False
        write(name, "what changes was told in the log", now)
        return bool(schema.Order.select().exists())
