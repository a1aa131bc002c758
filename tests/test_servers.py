"""The private MariaDB that the other tests stand on: both logins, and its ways to fail and come back."""

import pymysql
import pytest

from tests.servers import PASSWORD, Database, MariaDB


def test_each_test_gets_an_empty_database_over_the_socket(database: Database) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW TABLES") == 0
        cursor.execute("SELECT @@skip_networking, @@global.time_zone, @@sql_mode")
        networking_off, zone, mode = cursor.fetchone() or ()
    assert networking_off == 1
    assert zone == "+05:45", "a server in UTC would not find out who forgets to ask for UTC"
    assert "STRICT_TRANS_TABLES" in mode


def test_a_committed_row_survives_a_kill_and_a_frozen_server_is_silent(own_mariadb_server: MariaDB) -> None:
    server = own_mariadb_server
    database = server.create_database()
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a INT) ENGINE=InnoDB")
        cursor.execute("INSERT INTO t VALUES (7)")
    server.kill()
    with pytest.raises(pymysql.err.OperationalError):
        database.connect()
    server.start()
    with (
        pymysql.connect(
            host="127.0.0.1",
            port=server.port or 0,
            user=database.user,
            password=PASSWORD,
            database=database.name,
            read_timeout=0.2,
        ) as connection,
        connection.cursor() as cursor,
    ):
        assert cursor.execute("SELECT a FROM t WHERE a = 7") == 1
        server.freeze()
        with pytest.raises(pymysql.err.OperationalError, match="timed out"):
            cursor.execute("SELECT 1")
        server.thaw()
