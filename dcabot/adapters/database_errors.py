"""Meanings of an error of the database: not there now, busy, misconfigured, or a programmer's mistake.

A server, a cluster or a proxy may send any number on any day. So an operational error is taken for an outage, which is
waited for, unless its number is known: only a programmer's mistake ends the program.
"""

import sqlite3
from typing import Protocol

import peewee
import pymysql

from dcabot.adapters.dburl import DatabaseSettings

DRIVER_ERRORS = (peewee.PeeweeException, pymysql.err.Error, sqlite3.Error)
OPERATIONAL = (
    *(peewee.OperationalError, peewee.InternalError),
    *(pymysql.err.OperationalError, pymysql.err.InternalError),
    *(sqlite3.OperationalError, sqlite3.InternalError),
)


class DatabaseError(Exception):
    """Expected trouble with the database; always one of the three below. Its text names the place, never a secret."""


class DatabaseUnreachable(DatabaseError):
    """No server, or it was lost (at a commit, nobody knows whether that was done), or it takes no writes for now."""


class DatabaseBusy(DatabaseError):
    """Somebody else held a lock for too long, or both held what the other wanted. Nothing was changed."""


class DatabaseMisconfigured(DatabaseError):
    """It answers, and does not let us work: login, rights, a missing database or table."""


Kind = type[DatabaseError] | None


class Engine(Protocol):
    """The part of MySQL or SQLite that `translated` needs to know."""

    settings: DatabaseSettings

    def kind(self, error: Exception) -> Kind: ...
    def remedy(self, error: Exception) -> str: ...


# Codes: mariadb.com/kb/en/mariadb-error-codes and dev.mysql.com/doc/mysql-errors/8.0, seen 2026-11.
# Codes of the client's own and of a broken line, which are not always operational errors.
MYSQL_UNREACHABLE = frozenset({2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2027, 2055})
MYSQL_BUSY = frozenset({1020, 1205, 1213, 1317, 1969, 3024, 3572})
MYSQL_MISCONFIGURED = frozenset(
    {1044, 1045, 1049, 1054, 1130, 1142, 1143, 1146, 1175, 1227, 1251, 1275, 1370, 1665, 1698, 1792, 1820, 1862}
    | {2054, 2059, 2061, 3118, 3159, 3955, 4151}
)
MYSQL_NO_SCHEMA = frozenset({1146, 1054})  # no such table, no such column
# A statement or a value that is wrong today and will be tomorrow. Those that the driver itself calls an error of
# programming, of data or of integrity need no line here.
MYSQL_MISTAKES = frozenset(
    {1050, 1051, 1052, 1055, 1056, 1058, 1059, 1060, 1061, 1063, 1064, 1065, 1066, 1067, 1068, 1070, 1071, 1072, 1073}
    | {1074, 1075, 1089, 1090, 1091, 1093, 1101, 1103, 1109, 1110, 1111, 1112, 1113, 1115, 1117, 1118, 1120, 1121, 1128}
    | {1136, 1138, 1139, 1140, 1149, 1164, 1166, 1170, 1171, 1172, 1176, 1191, 1193, 1210, 1215, 1221, 1222, 1228, 1229}
    | {1230, 1231, 1232, 1233, 1238, 1239, 1241, 1242, 1247, 1248, 1250, 1253, 1264, 1265, 1267, 1270, 1271, 1273, 1286}
    | {1288, 1292, 1294, 1295, 1304, 1305, 1318, 1327, 1364, 1365, 1366, 1367, 1390, 1406, 1411, 1425, 1426, 1427, 1441}
    | {1582, 1584, 1649, 1690, 3819, 4025}
)
SCHEMA_REMEDY = "; `dcabot db init` creates the tables and brings them up to date"
MYSQL_REMEDIES = {
    **dict.fromkeys(MYSQL_NO_SCHEMA, SCHEMA_REMEDY),
    1665: "; set binlog_format=ROW (or MIXED) in the server's configuration and restart it",
}
SQLITE_NO_FILE = "unable to open"
SQLITE_NO_SCHEMA = ("no such table", "no such column")
SQLITE_MISCONFIGURED = (*SQLITE_NO_SCHEMA, SQLITE_NO_FILE, "readonly database", "not a database", "malformed")
SQLITE_MISTAKES = (
    *("syntax error", "unrecognized token", "incomplete input", "no such function", "has no column named"),
    *("ambiguous column", "wrong number of arguments", "values for", "too many", "already exists", "duplicate column"),
    *("misuse of", "non-deterministic", "cannot start a transaction", "no transaction is active"),
)


def mysql_kind(error: Exception) -> Kind:
    """The kind of an error; None for a programmer's mistake."""
    code = error.args[0] if error.args else None
    if code in MYSQL_BUSY:
        return DatabaseBusy
    if code in MYSQL_MISCONFIGURED:
        return DatabaseMisconfigured
    if code in MYSQL_UNREACHABLE or (code == 0 and isinstance(error, peewee.InterfaceError | pymysql.InterfaceError)):
        return DatabaseUnreachable
    return DatabaseUnreachable if isinstance(error, OPERATIONAL) and code not in MYSQL_MISTAKES else None


def sqlite_kind(error: Exception) -> Kind:
    """The kind of an error; None for a programmer's mistake. Python 3.10 has no codes, only sentences."""
    said = str(error)
    if "is locked" in said:
        return DatabaseBusy
    if any(words in said for words in SQLITE_MISCONFIGURED):
        return DatabaseMisconfigured
    if any(words in said for words in SQLITE_MISTAKES):
        return None
    return DatabaseUnreachable if isinstance(error, OPERATIONAL) else None


def translated(engine: Engine, error: Exception) -> DatabaseError | None:
    """The driver's error as one of ours; None when it is a programmer's mistake."""
    own = getattr(error, "orig", None)
    if isinstance(own, DatabaseError):
        return own  # said in our words already; peewee wraps whatever has such a name
    kind = engine.kind(error)
    if kind is None:
        return None
    said = str(error.args[-1]) if error.args and error.args[-1] != "" else type(error).__name__
    return kind(f"{engine.settings}: {said}{engine.remedy(error)}")
