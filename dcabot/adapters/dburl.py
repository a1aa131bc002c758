"""Where the database is: `DatabaseSettings`, and how a `DB_URL` becomes one. Imports no driver."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

MYSQL_PORT = 3306
ENCODING_HINT = "in user and password, write characters like / # ? @ : % percent-encoded"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where the database is and who we are there. `str()` is for messages and holds no password.

    MySQL or MariaDB: `name`, and `socket` or `host` and `port`. With a socket and no password the login is by peer:
    an empty `user` then means the system's user. A host that is not this machine is spoken to over TLS with a checked
    certificate; `authorities` is the file of those who may have signed it (empty: those that the machine trusts), and
    `is_plain` does without. SQLite: `path`.
    """

    engine: Literal["mysql", "sqlite"]
    host: str = ""
    port: int = MYSQL_PORT
    socket: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    name: str = ""
    path: str = ""
    authorities: str = ""
    is_plain: bool = False

    def __str__(self) -> str:
        if self.engine == "sqlite":
            return f"sqlite {self.path}"
        place = self.socket or f"{self.host}:{self.port}"
        return f"mysql {self.user}@{place}/{self.name}" if self.user else f"mysql {place}/{self.name}"


def parse_url(url: str) -> DatabaseSettings:
    """Settings from `mysql://user:password@host:port/name`, `sqlite:///relative.db` or `sqlite:////absolute.db`.

    `mysql://user@/name?socket=/run/mysqld/mysqld.sock` is a unix socket. User, password, name and path are
    percent-decoded. Raises ValueError that says what is wrong, and never holds a piece of the URL: any piece may be
    a part of the password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"not a URL; {ENCODING_HINT}") from None
    if parts.scheme == "sqlite":
        return _sqlite(parts)
    if parts.scheme == "mysql":
        return _mysql(parts)
    raise ValueError("starts with neither mysql:// nor sqlite:///")


def _sqlite(parts: SplitResult) -> DatabaseSettings:
    if parts.netloc:
        raise ValueError("a SQLite path begins with three slashes (sqlite:///relative.db), four when it is absolute")
    if parts.query or parts.fragment:
        raise ValueError("a SQLite URL takes nothing after the path; write ? and # in it percent-encoded")
    path = unquote(parts.path[1:])
    if path.startswith("//"):
        path = "/" + path.lstrip("/")  # SQLite takes what follows two slashes for a host
    if not path:
        raise ValueError("the path of the SQLite file is missing")
    if not path.isprintable():
        raise ValueError("there is an unprintable character in the path of the SQLite file")
    if path == ":memory:":
        raise ValueError("a database in memory is seen by one connection only; name a file")
    return DatabaseSettings("sqlite", path=path)


def in_the_way(file: Path) -> str:
    """Why SQLite can neither open a file nor make it, which it does not say; empty when nothing is to be seen."""
    try:
        if file.exists():
            if not file.is_file():
                return "it is not a file"
            return "" if os.access(file, os.R_OK | os.W_OK) else "permission denied"
        if not file.parent.is_dir():
            return f"there is no folder {file.parent}"
        return "" if os.access(file.parent, os.W_OK | os.X_OK) else f"permission denied in {file.parent}"
    except OSError as error:  # a folder on the way that may not be looked into, a name that is too long
        return error.strerror or str(error)


def _mysql(parts: SplitResult) -> DatabaseSettings:
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"the port is not a number between 1 and 65535; {ENCODING_HINT}") from None
    if port == 0:
        raise ValueError("the port is not a number between 1 and 65535")
    if parts.fragment:
        raise ValueError(f"there is a # in it; {ENCODING_HINT}")
    name = unquote(parts.path[1:])
    if not name or "/" in name:
        raise ValueError(f"it does not end in one database name, mysql://user:password@host:port/name; {ENCODING_HINT}")
    socket = _socket(parts.query)
    if not socket and not host:
        raise ValueError("the host is missing")
    if not socket and not parts.username:
        raise ValueError("the user is missing")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return DatabaseSettings(
        "mysql", host=host, port=port or MYSQL_PORT, socket=socket, user=user, password=password, name=name
    )


def _socket(query: str) -> str:
    if not query:
        return ""
    options = parse_qs(query, keep_blank_values=True)
    if list(options) != ["socket"] or len(options["socket"]) != 1 or not options["socket"][0]:
        raise ValueError(f"?socket=/path is the only option it may end in; {ENCODING_HINT}")
    return options["socket"][0]
