"""`DB_URL` becomes settings or a sentence that says what is wrong, and never a piece of the password."""

import pytest

from dcabot.adapters.dburl import DatabaseSettings, parse_url


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        (
            "mysql://dcabot:secret@db.example.com:3307/dca_bot_db",
            DatabaseSettings("mysql", "db.example.com", 3307, user="dcabot", password="secret", name="dca_bot_db"),
        ),
        (
            "mysql://dcabot:p%40ss%2Fw%3Ard%25%C3%A9@127.0.0.1/dca%20bot",
            DatabaseSettings("mysql", "127.0.0.1", user="dcabot", password="p@ss/w:rd%é", name="dca bot"),
        ),
        ("mysql://dcabot@[::1]:3306/d", DatabaseSettings("mysql", "::1", user="dcabot", name="d")),
        (
            "mysql:///dcabot?socket=/run/mysqld/mysqld.sock",
            DatabaseSettings("mysql", socket="/run/mysqld/mysqld.sock", name="dcabot"),
        ),
        ("sqlite:///relative.db", DatabaseSettings("sqlite", path="relative.db")),
        ("sqlite:////var/lib/dcabot/dcabot.db", DatabaseSettings("sqlite", path="/var/lib/dcabot/dcabot.db")),
        ("sqlite://///var/dcabot.db", DatabaseSettings("sqlite", path="/var/dcabot.db")),
        ("sqlite:///%2F/var/dcabot.db", DatabaseSettings("sqlite", path="/var/dcabot.db")),
        ("sqlite:///50%25%20off%3F.db", DatabaseSettings("sqlite", path="50% off?.db")),
    ],
)
def test_a_url_becomes_settings(url: str, settings: DatabaseSettings) -> None:
    assert parse_url(url) == settings


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "neither mysql:// nor sqlite:///"),
        ("postgres://u:hunter2@h/d", "neither mysql:// nor sqlite:///"),
        ("mysql://u:hunter2@h", "database name"),
        ("mysql://u:hunter2@h/", "database name"),
        ("mysql://u:hunter2@h/a/b", "database name"),
        ("mysql://u:hunter2@/d", "host is missing"),
        ("mysql://h/d", "user is missing"),
        ("mysql://:hunter2@h/d", "user is missing"),
        ("mysql://u:p@h:hunter2/d", "port"),
        ("mysql://u:p@h:0/d", "port"),
        ("mysql://u:p@h:65536/d", "port"),
        # A password whose reserved characters were not encoded: every piece of it may be anywhere.
        ("mysql://u:hun/hunter2@h/d", "percent-encoded"),
        ("mysql://u:hun#hunter2@h/d", "percent-encoded"),
        ("mysql://u:hun?hunter2@h/d", "percent-encoded"),
        ("mysql://u:hun[hunter2@h/d", "percent-encoded"),
        ("mysql://u:p@h/d?hunter2=1", "socket"),
        ("mysql://u:p@h/d?socket=", "socket"),
        ("sqlite://hunter2.db", "three slashes"),
        ("sqlite:///", "missing"),
        ("sqlite:///:memory:", "memory"),
        ("sqlite:///hun%00.db", "unprintable"),
        ("sqlite:///hun%0A.db", "unprintable"),
        ("sqlite:///a.db?hunter2", "nothing after the path"),
    ],
)
def test_a_wrong_url_is_told_without_a_piece_of_it(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_url(url)
    assert "hun" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_settings_show_everything_but_the_password() -> None:
    settings = parse_url("mysql://dcabot:hunter2@h:1/d")
    assert str(settings) == "mysql dcabot@h:1/d"
    assert "hunter2" not in repr(settings)
    assert str(parse_url("mysql:///d?socket=/s")) == "mysql /s/d"
    assert str(parse_url("sqlite:///a.db")) == "sqlite a.db"
