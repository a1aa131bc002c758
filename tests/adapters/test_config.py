"""Where the settings come from, in which order, and that every mistake is named at once without showing a secret."""

import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.adapters import sources, trust
from dcabot.adapters.config import Config, ConfigError, OrphanOrders, Venue, load, survey
from tests.privilege import obeying

BOTH = {"exchange", "database"}
SECRET = "the-very-secret"
WHOLE = {
    "APCA_API_KEY_ID": "PKTEST",
    "APCA_API_SECRET_KEY": SECRET,
    "APCA_API_BASE_URL": "https://paper-api.alpaca.markets",
    "DB_HOST": "db.example",
    "DB_USER": "bot",
    "DB_PASSWORD": f"db-{SECRET}",
    "DB_NAME": "dca_bot_db",
}


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, and no file of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "SYSTEM_FILE", tmp_path / "etc.env")


def problems(environ: dict[str, str], needs: set[str] = BOTH, env_file: str | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(needs, environ, env_file)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def venue(url: str) -> Venue:
    return load({"exchange"}, {**WHOLE, "APCA_API_BASE_URL": url}).venue


def test_the_defaults_are_those_of_the_table() -> None:
    found = load(BOTH, WHOLE)
    assert found.data_url == "https://data.alpaca.markets"
    assert found.stream_url == "wss://stream.data.alpaca.markets/v1beta3/crypto/us"
    assert found.trading_stream_url == "wss://paper-api.alpaca.markets/stream"
    seconds = (found.stale_order_seconds, found.data_timeout_seconds, found.quote_max_age_seconds)
    assert (*seconds, found.asset_refresh_seconds) == (300, 120, 60, 30)
    assert found.orphan_orders is OrphanOrders.OWN
    assert found.spread_max_ratio == Decimal("0.01")
    assert found.database is not None and found.database.port == 3306
    assert found.mail is None and found.notes == ()


def test_every_variable_reaches_its_setting() -> None:
    found = load(
        BOTH,
        WHOLE
        | {
            "APCA_API_DATA_URL": "http://127.0.0.1:1/v1beta3/",
            "APCA_API_STREAM_URL": "ws://127.0.0.1:1/v1beta3/crypto/us",
            "DB_PORT": "3307",
            "DCABOT_STALE_ORDER_SECONDS": "1",
            "DCABOT_DATA_TIMEOUT_SECONDS": "2",
            "DCABOT_QUOTE_MAX_AGE_SECONDS": "3",
            "DCABOT_ASSET_REFRESH_SECONDS": "4",
            "DCABOT_ORPHAN_ORDERS": "All",
            "DCABOT_SPREAD_MAX_PERCENT": "0.25",
            "ALERT_EMAIL_SENDER": "a@example",
            "ALERT_EMAIL_RECEIVER": "b@example",
            "ALERT_EMAIL_SMTP_SERVER": "smtp.example",
            "ALERT_EMAIL_SMTP_PORT": "25",
            "ALERT_EMAIL_SMTP_USER": "u",
            "ALERT_EMAIL_SMTP_PASSWORD": " p ",
        },
    )
    assert (found.key_id, found.secret_key) == ("PKTEST", SECRET)
    assert (found.data_url, found.stream_url) == ("http://127.0.0.1:1", "ws://127.0.0.1:1/v1beta3/crypto/us")
    assert found.database is not None
    database = (found.database.engine, found.database.host, found.database.port, found.database.user)
    assert (*database, found.database.password, found.database.name) == (
        "mysql", "db.example", 3307, "bot", f"db-{SECRET}", "dca_bot_db",
    )  # fmt: skip
    seconds = (found.stale_order_seconds, found.data_timeout_seconds, found.quote_max_age_seconds)
    assert (*seconds, found.asset_refresh_seconds) == (1, 2, 3, 4)
    assert found.orphan_orders is OrphanOrders.ALL
    assert found.spread_max_ratio == Decimal("0.0025")
    mail = found.mail
    assert mail is not None
    assert (mail.sender, mail.receiver, mail.server, mail.port) == ("a@example", "b@example", "smtp.example", 25)
    assert (mail.user, mail.password) == ("u", " p ")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://paper-api.alpaca.markets", Venue.PAPER),
        ("https://paper-api.alpaca.markets/v2", Venue.PAPER),
        ("https://api.alpaca.markets/", Venue.LIVE),
        ("https://API.alpaca.markets:443/v2", Venue.LIVE),
        ("https://proxy.example/paper-api", Venue.UNKNOWN),
        ("https://paper-api.evil.example", Venue.UNKNOWN),
        ("https://paper-api.alpaca.markets.evil.example", Venue.UNKNOWN),
        ("https://api.alpaca.market", Venue.UNKNOWN),
        ("http://127.0.0.1:8080", Venue.SIMULATOR),
        ("http://localhost:8080/v2/", Venue.SIMULATOR),
        ("http://[::1]:8080", Venue.SIMULATOR),
        ("https://127.0.0.1.evil.example", Venue.UNKNOWN),
    ],
)
def test_live_or_paper_follows_from_the_base_url_alone(url: str, expected: Venue) -> None:
    assert venue(url) is expected


@pytest.mark.parametrize("suffix", ["", "/", "//", "/v2", "/v2/", "/v1beta3", "/v1beta3/"])
def test_every_url_may_end_as_people_write_it(suffix: str) -> None:
    given = dict.fromkeys(("APCA_API_BASE_URL", "APCA_API_DATA_URL"), f"http://127.0.0.1:8080{suffix}")
    found = load({"exchange"}, WHOLE | given)
    assert found.base_url == found.data_url == "http://127.0.0.1:8080"
    assert found.trading_stream_url == "ws://127.0.0.1:8080/stream"


@pytest.mark.parametrize("end", ["", "/", "/v2", "/v1beta3/", "/v1beta3/crypto/us", "/v1beta3/crypto/us/"])
def test_the_feed_may_end_as_people_write_it(end: str) -> None:
    found = load({"exchange"}, WHOLE | {"APCA_API_STREAM_URL": f"wss://stream.data.alpaca.markets{end}"})
    assert found.stream_url == "wss://stream.data.alpaca.markets/v1beta3/crypto/us"


def test_a_feed_elsewhere_keeps_its_path() -> None:
    found = load({"exchange"}, {**WHOLE, "APCA_API_STREAM_URL": "wss://proxy.example"})
    assert found.stream_url == "wss://proxy.example"


def test_the_simulators_stream_is_named_by_its_host() -> None:
    found = load({"exchange"}, {**WHOLE, "APCA_API_STREAM_URL": "ws://127.0.0.1:8080"})
    assert found.stream_url == "ws://127.0.0.1:8080/v1beta3/crypto/us"


# Who may read on the way.

PLAIN = [
    ("APCA_API_BASE_URL", "http://exchange.example"),
    ("APCA_API_DATA_URL", "http://192.0.2.7:80"),
    ("APCA_API_STREAM_URL", "ws://127.0.0.1.evil.example/v2"),
]


@pytest.mark.parametrize(("name", "url"), PLAIN)
def test_the_keys_travel_in_clear_only_when_that_was_said(name: str, url: str) -> None:
    (sentence,) = problems(WHOLE | {name: url})
    assert "DCABOT_PLAIN_HTTP=yes allows it" in sentence and sentence.startswith(name)
    found = load(BOTH, WHOLE | {name: url, "DCABOT_PLAIN_HTTP": "yes"})
    assert found.notes == found.in_the_clear and "can read your API keys" in found.notes[0]
    (sentence,) = problems(WHOLE | {name: url, "DCABOT_PLAIN_HTTP": "no"})


@pytest.mark.parametrize(
    "host", ["paper-api.alpaca.markets", "api.alpaca.markets", "alpaca.markets", "DATA.Alpaca.Markets"]
)
def test_never_to_alpaca(host: str) -> None:
    for name, scheme in (("APCA_API_BASE_URL", "http"), ("APCA_API_DATA_URL", "http"), ("APCA_API_STREAM_URL", "ws")):
        (sentence,) = problems(WHOLE | {name: f"{scheme}://{host}", "DCABOT_PLAIN_HTTP": "yes"})
        assert "in the clear" in sentence and "allows" not in sentence


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    found = [(0, 0, 0, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(trust.socket, "getaddrinfo", lambda *given, **named: found)


@pytest.mark.parametrize(
    ("addresses", "is_ours"),
    [
        (["127.0.0.1", "::1"], True),
        (["127.3.2.1"], True),
        (["::ffff:127.0.0.1"], True),
        (["127.0.0.1", "192.0.2.7"], False),
        (["::1", "2001:db8::1"], False),
        (["0.0.0.0"], False),
        (["fe80::1%eth0"], False),
    ],
)
def test_this_machine_is_known_by_all_its_addresses(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], is_ours: bool
) -> None:
    resolving(monkeypatch, *addresses)
    assert trust.is_this_machine("localhost") is is_ours
    if is_ours:
        load(BOTH, WHOLE | {"APCA_API_BASE_URL": "http://trader.example"})
    else:
        problems(WHOLE | {"APCA_API_BASE_URL": "http://localhost:9"})


# Who may write the file.


@pytest.mark.parametrize(
    ("mode", "is_fine"), [(0o600, True), (0o640, True), (0o644, True), (0o602, False), (0o666, False)]
)
def test_an_env_file_that_all_may_write_is_an_error(tmp_path: Path, mode: int, is_fine: bool) -> None:
    for name, env_file in ((".env", None), ("mine.env", str(tmp_path / "mine.env"))):
        file = tmp_path / name
        file.write_text("DCABOT_ORPHAN_ORDERS=none\n")
        file.chmod(mode)
        if is_fine:
            found = load(BOTH, WHOLE, env_file)
            assert found.orphan_orders is OrphanOrders.NONE
            assert bool(found.notes) is (mode == 0o644)
        else:
            (sentence,) = problems(WHOLE, env_file=env_file)
            owner = Path.owner(file)
            assert f"{mode:o}" in sentence and f"owner {owner}" in sentence and "chmod 600" in sentence
        file.unlink()


def test_a_group_may_write_only_if_it_is_the_owners_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("DCABOT_ORPHAN_ORDERS=none\n")
    file.chmod(0o660)
    monkeypatch.setattr(sources, "_is_private", lambda found: False)
    (sentence,) = problems(WHOLE)
    assert "can be changed by its group: `chmod 600 .env`" in sentence
    monkeypatch.setattr(sources, "_is_private", lambda found: True)
    assert load(BOTH, WHOLE).orphan_orders is OrphanOrders.NONE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_an_env_file_of_somebody_else_is_an_error(tmp_path: Path, mode: int) -> None:
    file = tmp_path / ".env"
    file.write_text("APCA_API_BASE_URL=https://evil.example\n")
    file.chmod(mode)
    os.chown(file, 65534, 65534)
    without = {name: value for name, value in WHOLE.items() if name != "APCA_API_BASE_URL"}
    (sentence,) = problems(without)
    assert "belongs to somebody else" in sentence and f"mode {mode:o}" in sentence and "owner nobody" in sentence
    assert load(BOTH, WHOLE, "/dev/null").venue is Venue.PAPER  # another file was named


# The line to the database.


def test_a_database_elsewhere_is_encrypted_unless_off_is_said(tmp_path: Path) -> None:
    place = load(BOTH, WHOLE).database
    assert place is not None and not place.is_plain and not place.authorities
    found = load(BOTH, WHOLE | {"DB_SSL": "off"})
    assert found.database is not None and found.database.is_plain
    (note,) = found.in_the_clear
    assert "DB_SSL=off" in note and "db.example" in note and found.notes == (note,)
    authority = tmp_path / "ca.pem"
    authority.touch()
    by_url = load(BOTH, WHOLE | {"DB_URL": "mysql://u:p@db.example/x", "DB_SSL_CA": str(authority)}).database
    assert by_url is not None and by_url.authorities == str(authority)


@pytest.mark.parametrize("more", [{"DB_HOST": "127.0.0.1"}, {"DB_SOCKET": "/run/x"}, {"DB_URL": "sqlite:///x.db"}])
def test_on_this_machine_off_means_nothing(more: dict[str, str]) -> None:
    assert load(BOTH, WHOLE | more | {"DB_SSL": "off"}).notes == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"DB_SSL": "maybe"}, "DB_SSL must be off"),
        ({"DB_SSL_CA": "/nowhere.pem"}, "not there: /nowhere.pem"),
        ({"DB_SSL": "off", "DB_SSL_CA": "/dev/null"}, "take one of the two away"),
    ],
)
def test_nonsense_about_the_line_is_named(given: dict[str, str], words: str) -> None:
    (sentence,) = problems(WHOLE | given)
    assert words in sentence


def test_all_that_is_missing_is_named_at_once_with_where_it_was_looked_for() -> None:
    found = problems({})
    assert [sentence.split()[0] for sentence in found] == list(WHOLE)
    assert "not in the environment; there is no .env nor" in found[0]


def test_only_what_a_command_needs_must_be_there() -> None:
    assert load(set(), {}).database is None
    assert load({"database"}, {"DB_URL": "sqlite:///x.db"}).base_url == ""
    assert all(sentence.startswith("APCA_") for sentence in problems({}, {"exchange"}))
    assert all(sentence.startswith("DB_") for sentence in problems({}, {"database"}))


def test_what_is_given_must_be_right_even_where_it_is_not_needed() -> None:
    environ = {"APCA_API_BASE_URL": "alpaca", "DB_URL": f"oracle://bot:{SECRET}@h/n", "DB_PORT": "x"}
    assert len(problems(environ, set())) == 2


def test_the_environment_wins_over_the_credentials_and_those_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "dcabot.env").write_text("DB_HOST=from-credentials\nDB_USER=from-credentials\n")
    (tmp_path / ".env").write_text("DB_HOST=from-file\nDB_USER=from-file\nDB_NAME=from-file\nDB_PASSWORD=x\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"), "DB_HOST": "from-environment"}
    database = load({"database"}, environ).database
    assert database is not None
    assert (database.host, database.user, database.name) == ("from-environment", "from-credentials", "from-file")


def test_a_file_that_is_named_takes_the_place_of_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DB_HOST=usual\n")
    (tmp_path / "named.env").write_text("DB_URL=sqlite:///named.db\n")
    (tmp_path / "other.env").write_text("DB_URL=sqlite:///other.db\n")
    environ = {"DCABOT_ENV_FILE": "named.env"}
    by_variable, by_option = load({"database"}, environ), load({"database"}, environ, "other.env")
    assert by_variable.database is not None and by_variable.database.path == "named.db"
    assert by_option.database is not None and by_option.database.path == "other.db"


def test_the_system_file_is_read_only_where_there_is_no_env_file(tmp_path: Path) -> None:
    (tmp_path / "etc.env").write_text("DB_URL=sqlite:///system.db\n")
    found = load({"database"}, {}).database
    assert found is not None and found.path == "system.db"
    (tmp_path / ".env").write_text("")
    assert "not in the environment nor in .env" in problems({}, {"database"})[0]


def test_the_file_is_written_as_in_the_brief(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# Alpaca\nAPCA_API_KEY_ID=\"PK\"\nexport APCA_API_SECRET_KEY='s#$x{HOME}'\n"
        'APCA_API_BASE_URL="https://paper-api.alpaca.markets" # For paper trading\n\nDB_URL=sqlite:///${HOME}.db\n',
        encoding="utf-8-sig",
    )
    before = dict(os.environ)
    found = load(BOTH, {})
    assert (found.key_id, found.secret_key, found.venue) == ("PK", "s#$x{HOME}", Venue.PAPER)
    assert found.database is not None and found.database.path == "${HOME}.db"
    assert os.environ == before


def test_an_empty_value_is_no_value_but_an_empty_password_is_one() -> None:
    assert problems(WHOLE | {"APCA_API_KEY_ID": " "}) == ("APCA_API_KEY_ID is empty (from the environment)",)
    found = load(BOTH, WHOLE | {"DB_PASSWORD": "", "DB_URL": "", "DCABOT_STALE_ORDER_SECONDS": ""})
    assert found.database is not None and found.database.password == ""


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert problems(WHOLE, env_file="no.env") == ("the environment file no.env does not exist",)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "directory.env").mkdir()
    (tmp_path / "binary.env").write_bytes(b"A=\xff\xfe")
    (tmp_path / "bad.env").write_text(f"DB_PORT=3306\nDB_PASSWORD\nB={SECRET}\n'{SECRET} C\n")
    assert problems(WHOLE, env_file="directory.env") == ("directory.env cannot be read: Is a directory",)
    assert problems(WHOLE, env_file="binary.env") == ("binary.env is not UTF-8 text",)
    assert problems(WHOLE, env_file="bad.env") == (
        "bad.env, line 2: not NAME=VALUE",
        "bad.env, line 4: not NAME=VALUE",
    )


def test_a_file_that_cannot_be_used_is_the_only_thing_missed(tmp_path: Path) -> None:
    (tmp_path / "directory.env").mkdir()
    (tmp_path / "binary.env").write_bytes(b"A=\xff\xfe")
    assert problems({}, env_file="directory.env") == ("directory.env cannot be read: Is a directory",)
    assert problems({}, env_file="binary.env") == ("binary.env is not UTF-8 text",)
    assert problems({"DB_HOST": "h", "DB_PORT": "x"}, env_file="no.env") == (
        "the environment file no.env does not exist",
        "DB_PORT must be a whole number from 1 to 65535, not 'x' (from the environment)",
    )
    found = survey({"DB_HOST": "h"}, "no.env")
    assert found.problems == ("the environment file no.env does not exist",)
    assert found.config.database is None


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / ".env").touch(0o644)
    with obeying():
        load(BOTH, WHOLE)
    (tmp_path / ".env").chmod(0)
    with obeying():
        assert problems(WHOLE) == (".env cannot be read: permission denied",)


def test_the_credential_is_known_by_the_file_to_edit(tmp_path: Path) -> None:
    (tmp_path / "dcabot.env").write_text("")
    found = problems({"CREDENTIALS_DIRECTORY": str(tmp_path)}, {"exchange"})
    assert f"systemd's copy of {tmp_path / 'etc.env'}" in found[0]


def test_no_limit_of_the_spread_is_zero() -> None:
    assert load(BOTH, WHOLE | {"DCABOT_SPREAD_MAX_PERCENT": "0"}).spread_max_ratio is None


@pytest.mark.parametrize("value", ["-1", "101", "one", "nan", "1e400", "1 %"])
def test_a_spread_that_is_no_percentage_is_named(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(BOTH, WHOLE | {"DCABOT_SPREAD_MAX_PERCENT": value})
    (problem,) = caught.value.problems
    assert "DCABOT_SPREAD_MAX_PERCENT must be a number from 0 to 100" in problem


@pytest.mark.parametrize("value", ["0", "-5", "1,5", "1.5", "1e3", "nan", "٣", "9" * 40, "x", "604801"])
@pytest.mark.parametrize("name", ["DCABOT_STALE_ORDER_SECONDS", "DCABOT_QUOTE_MAX_AGE_SECONDS"])
def test_nonsense_seconds_are_named(name: str, value: str) -> None:
    (sentence,) = problems(WHOLE | {name: value})
    assert sentence.startswith(f"{name} must be a whole number from 1 to 604800, not {value!r}")


@pytest.mark.parametrize("value", ["0", "65536", "mysql"])
@pytest.mark.parametrize("name", ["DB_PORT", "ALERT_EMAIL_SMTP_PORT"])
def test_nonsense_ports_are_named(name: str, value: str) -> None:
    (sentence,) = problems(WHOLE | {name: value})
    assert sentence.startswith(f"{name} must be a whole number from 1 to 65535")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("paper-api.alpaca.markets", "must be a URL like https://host"),
        ("ftp://paper-api.alpaca.markets", "must be a URL like"),
        ("https://", "must be a URL like"),
        ("https://host:99999", "must be a URL like"),
        ("https://[::1", "must be a URL like"),
        ("https://ho st", "must be a URL like"),
        (f"https://bot:{SECRET}@host", "must not hold a user name or a password"),
        (f"https://host/?key={SECRET}", "must not hold a ?"),
        ("http://api.alpaca.markets", "in the clear"),
    ],
)
def test_nonsense_urls_are_named(url: str, words: str) -> None:
    (sentence,) = problems(WHOLE | {"APCA_API_BASE_URL": url})
    assert sentence.startswith("APCA_API_BASE_URL") and words in sentence


def test_an_unknown_policy_for_orphans_is_named_with_the_choices() -> None:
    (sentence,) = problems(WHOLE | {"DCABOT_ORPHAN_ORDERS": "mine"})
    assert sentence == "DCABOT_ORPHAN_ORDERS must be own, all or none, not 'mine' (from the environment)"


@pytest.mark.parametrize("name", ["APCA_API_KEY_ID", "APCA_API_SECRET_KEY"])
@pytest.mark.parametrize("value", [f"{SECRET}\n{SECRET}", f"{SECRET} x", f"{SECRET}\x00", f"{SECRET}é"])
def test_a_key_that_no_header_can_hold_is_refused_before_a_library_prints_it(name: str, value: str) -> None:
    (sentence,) = problems(WHOLE | {name: value})
    assert sentence.startswith(f"{name} holds a space or an unprintable character")


def test_a_database_url_that_cannot_be_used_is_named_without_its_password() -> None:
    (sentence,) = problems({"DB_URL": f"mysql://bot:{SECRET}@host"}, {"database"})
    assert sentence.startswith("DB_URL cannot be used: ")


def test_the_database_is_the_url_else_the_socket_else_host_and_companions() -> None:
    socket = load({"database"}, {"DB_SOCKET": "/run/mysqld/mysqld.sock"}).database
    assert socket is not None
    assert (socket.socket, socket.user, socket.password, socket.name) == ("/run/mysqld/mysqld.sock", "", "", "dcabot")
    both = load({"database"}, {"DB_SOCKET": "/run/x.sock", "DB_URL": "sqlite:///x.db", "DB_HOST": "h"}).database
    assert both is not None and both.engine == "sqlite"


def test_mail_settings_that_are_half_there_stop_nothing_but_are_said() -> None:
    found = load(BOTH, WHOLE | {"ALERT_EMAIL_SENDER": "a@example"})
    assert found.mail is None
    assert found.notes == ("alerts are not mailed: ALERT_EMAIL_RECEIVER and ALERT_EMAIL_SMTP_SERVER not set",)


def test_no_secret_is_in_a_repr() -> None:
    mail = {"ALERT_EMAIL_SENDER": "a", "ALERT_EMAIL_RECEIVER": "b", "ALERT_EMAIL_SMTP_SERVER": "c"}
    found = load(BOTH, WHOLE | mail | {"ALERT_EMAIL_SMTP_PASSWORD": SECRET})
    assert SECRET not in repr(found) and "PKTEST" not in repr(found)


@given(st.dictionaries(st.sampled_from([*WHOLE, "DB_URL", "DB_SOCKET", "DB_PORT", "DCABOT_ORPHAN_ORDERS"]), st.text()))
def test_whatever_the_variables_hold_it_loads_or_names_the_problems(environ: dict[str, str]) -> None:
    try:
        assert isinstance(load(BOTH, environ), Config)
    except ConfigError as error:
        assert error.problems
