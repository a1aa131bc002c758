"""`dcabot db create` and `dcabot db init --backup`, as the package calls them, against a real MariaDB."""

import getpass
import gzip
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dcabot.adapters.migrations import HISTORY
from tests.needs import needed
from tests.programs import ROOT
from tests.servers import Database, MariaDB


def dcabot(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "dcabot", *words],
        env={**bare, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_create_makes_a_database_and_a_user_without_a_password(mariadb_server: MariaDB) -> None:
    environment = {"DB_SOCKET": str(mariadb_server.socket), "DB_NAME": "made_here"}
    for _ in range(2):
        done = dcabot("db", "create", "--user", "some-bot", **environment)
        assert done.returncode == 0, done.stderr
    mariadb_server.execute("USE made_here", "DROP DATABASE made_here")
    with pytest.raises(Exception, match="Access denied"):
        Database("made_here", mariadb_server.socket, user="some-bot").connect()


def test_create_leaves_a_database_with_a_password_alone() -> None:
    done = dcabot("db", "create", DB_HOST="db.example", DB_USER="u", DB_PASSWORD="p", DB_NAME="n")
    assert done.returncode == 0 and "nothing to make" in done.stdout


def test_create_says_that_nobody_answers() -> None:
    done = dcabot("db", "create", DB_SOCKET="/nonexistent/socket")
    assert done.returncode == 75 and "socket" in done.stderr


def test_create_refuses_names_that_are_no_names(mariadb_server: MariaDB) -> None:
    done = dcabot("db", "create", DB_SOCKET=str(mariadb_server.socket), DB_NAME="a`b")
    assert done.returncode == 1 and "letters, digits" in done.stderr


def test_init_backs_up_before_it_changes_anything(database: Database, tmp_path: Path) -> None:
    needed("mariadb-dump")
    environment = database.environment()
    assert dcabot("db", "init", "--backup", str(tmp_path), **environment).returncode == 0
    assert list(tmp_path.iterdir()) == [], "an empty database needs no backup"
    connection = database.connect()
    with connection, connection.cursor() as cursor:
        # As an older version left it.
        cursor.execute("DELETE FROM dca_migrations WHERE name >= '0002'")
        cursor.execute("DROP TABLE dca_orders")
    done = dcabot("db", "init", "--backup", str(tmp_path), **environment)
    assert done.returncode == 0, done.stderr
    (backup,) = tmp_path.iterdir()
    assert backup.name.endswith(".sql.gz") and backup.stat().st_mode & 0o777 == 0o600
    text = gzip.decompress(backup.read_bytes()).decode()
    assert "CREATE TABLE `dca_cycles`" in text and "dca_orders" not in text
    assert "Dump completed" in text
    assert dcabot("db", "init", "--backup", str(tmp_path), **environment).returncode == 0
    assert len(list(tmp_path.iterdir())) == 1, "nothing changes, nothing is backed up"


def test_no_backup_no_migration(own_mariadb_server: MariaDB, tmp_path: Path) -> None:
    database = own_mariadb_server.create_database()
    environment = database.environment()
    assert dcabot("db", "init", **environment).returncode == 0
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM dca_migrations WHERE name = '0002_orders'")
    (tmp_path / "bin").mkdir()
    done = dcabot("db", "init", "--backup", str(tmp_path / "b"), **{**environment, "PATH": str(tmp_path / "bin")})
    assert done.returncode == 1 and "mariadb-dump is not installed" in done.stderr
    assert environment["DB_PASSWORD"] not in done.stderr + done.stdout
    assert not list((tmp_path / "b").iterdir())
    needed("mariadb-dump")
    # With the program, and over TCP with a password, it goes through.
    done = dcabot("db", "init", "--backup", str(tmp_path / "b"), **environment)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "b").iterdir())) == 1


def test_a_sqlite_file_is_backed_up_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    with closing(sqlite3.connect(tmp_path / "books.db")) as connection:
        # As an older version left it.
        connection.executescript((ROOT / "sql/sqlite/0001_brief_tables.sql").read_text())
        connection.execute(HISTORY)
        connection.execute("INSERT INTO dca_migrations (name) VALUES ('0001_brief_tables')")
        connection.commit()
    done = dcabot("db", "init", "--backup", str(tmp_path / "b"), DB_URL=url)
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in (tmp_path / "b").iterdir()] == [".db"]
    assert getpass.getuser() == (tmp_path / "b").owner()


# An upgrade from a version that never checked the certificate of a database's server.

POSTINST = Path(__file__).parents[2] / "packaging" / "debian" / "postinst"


def upgraded(tmp_path: Path, settings: str, old_version: str = "1.0.9") -> str:
    """What the settings file holds after the package's own script, run on files of the test's."""
    file = tmp_path / "dcabot.env"
    file.write_text(settings)
    file.chmod(0o600)
    script = POSTINST.read_text().replace("#DEBHELPER#", "").replace("py3compile -p dcabot /usr/lib/dcabot", "true")
    for ours, theirs in {
        "/etc/dcabot/dcabot.env": str(file),
        "dcabot db keep-plain": f"{sys.executable} -m dcabot db keep-plain",
        "/run/systemd/system": str(tmp_path / "no-systemd"),
        "/run/dcabot-to-start": str(tmp_path / "to-start"),
    }.items():
        assert ours in script
        script = script.replace(ours, theirs)
    done = subprocess.run(
        ["sh", "-c", script, "postinst", "configure", old_version],
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert text.startswith(settings)
    assert (" was added, because " in done.stdout) is (text != settings)
    return text[len(settings) :]


REMOTE = "DB_HOST=192.0.2.77\nDB_USER=bot\nDB_PASSWORD='a # b'\nDB_NAME=books"


@pytest.mark.parametrize(
    "settings",
    [
        REMOTE,
        f"{REMOTE}\n",
        "DB_URL=mysql://bot:p%23w@192.0.2.77/books\n",
        "#DB_SSL=off\n" + REMOTE,
        "APCA_API_KEY_ID=x\n",
    ],
)
def test_an_upgrade_keeps_a_remote_database_in_reach(tmp_path: Path, settings: str) -> None:
    added = upgraded(tmp_path, settings)
    assert added.rstrip().splitlines()[-1] == "DB_SSL=off"
    assert all(line.startswith("#") or line in ("", "DB_SSL=off") for line in added.splitlines())
    again = settings + added
    assert upgraded(tmp_path, again) == "", "it is said once"


@pytest.mark.parametrize(
    "settings",
    [
        'DB_SOCKET="/run/mysqld/mysqld.sock"\n',
        REMOTE.replace("192.0.2.77", "127.0.0.1"),
        REMOTE.replace("192.0.2.77", "::1"),
        f"{REMOTE}\nDB_SSL_CA=/etc/ssl/ca.pem\n",
        f"{REMOTE}\nDB_SSL=on\n",
        "DB_URL=sqlite:////var/lib/dcabot/x.db\n",
        "DB_URL=nonsense\n",
    ],
)
def test_an_upgrade_leaves_other_settings_alone(tmp_path: Path, settings: str) -> None:
    assert upgraded(tmp_path, settings) == ""


@pytest.mark.parametrize("url", ["APCA_API_BASE_URL=http://192.0.2.7", "APCA_API_STREAM_URL=ws://192.0.2.7/x"])
def test_an_upgrade_keeps_a_plain_url(tmp_path: Path, url: str) -> None:
    settings = f"DB_URL=sqlite:////x.db\n{url}\n"
    added = upgraded(tmp_path, settings)
    assert added.rstrip().splitlines()[-1] == "DCABOT_PLAIN_HTTP=yes"
    assert upgraded(tmp_path, settings + added) == "", "it is said once"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://192.0.2.7", "http://api.alpaca.markets", "http://["])
def test_an_upgrade_allows_no_other_url(tmp_path: Path, url: str) -> None:
    assert upgraded(tmp_path, f"DB_URL=sqlite:////x.db\nAPCA_API_BASE_URL={url}\n") == ""


@pytest.mark.parametrize("old_version", ["", "1.1.0", "1.2.0"])
def test_only_an_upgrade_from_before_adds_anything(tmp_path: Path, old_version: str) -> None:
    assert upgraded(tmp_path, REMOTE, old_version) == ""


def test_the_line_that_an_upgrade_adds_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "dcabot.env"
    text = REMOTE + upgraded(tmp_path, REMOTE)
    file.write_text(text)
    file.chmod(0o600)
    done = dcabot("check", "--env-file", str(file))
    assert "DB_SSL=off: everybody on the way to the database at 192.0.2.77" in done.stdout
