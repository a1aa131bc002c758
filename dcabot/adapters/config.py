"""The settings: one frozen Config out of the environment and its files, or all problems at once."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from dcabot.adapters.dburl import DatabaseSettings, parse_url
from dcabot.adapters.sources import PLAIN_HTTP, ConfigError, Sources
from dcabot.adapters.trust import is_loopback, is_this_machine
from dcabot.core.money import parse, ratio

__all__ = [
    "Config",
    "ConfigError",
    "MailSettings",
    "OrphanOrders",
    "Survey",
    "Venue",
    "load",
    "load_mail",
    "load_mirror",
    "sends_keys_openly",
    "speaks_openly",
    "survey",
]

DATA_URL = "https://data.alpaca.markets"
STREAM_URL = "wss://stream.data.alpaca.markets/v1beta3/crypto/us"

MIRROR = "--mirror"
MIRROR_KEY, MIRROR_SECRET = "DCABOT_MIRROR_KEY_ID", "DCABOT_MIRROR_SECRET_KEY"

HTTP, WEBSOCKET = ("http", "https"), ("ws", "wss")
URLS = {"APCA_API_BASE_URL": HTTP, "APCA_API_DATA_URL": HTTP, "APCA_API_STREAM_URL": WEBSOCKET}

SPREAD_PERCENT_LIMIT = 100

EXCHANGE = "exchange"
DATABASE = "database"


class Venue(Enum):
    """The account that orders go to. Follows from the host of the base URL alone, never from a default of the SDK."""

    LIVE = "live"
    PAPER = "paper"
    SIMULATOR = "simulator"
    UNKNOWN = "neither live nor paper"  # a proxy, or a slip of the pen: whose money it is, nobody here knows


HOSTS = {"api.alpaca.markets": Venue.LIVE, "paper-api.alpaca.markets": Venue.PAPER}


class OrphanOrders(Enum):
    """Which untracked open orders the order manager cancels; the rest it reports."""

    OWN = "own"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True)
class MailSettings:
    """Where alerts go."""

    sender: str
    receiver: str
    server: str
    port: int
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Config:
    """Everything an operator can set. `base_url` is empty and `database` None where they were not needed nor given."""

    key_id: str = field(repr=False)
    secret_key: str = field(repr=False)
    base_url: str
    data_url: str
    stream_url: str
    database: DatabaseSettings | None = field(repr=False)
    mail: MailSettings | None
    stale_order_seconds: int
    data_timeout_seconds: int
    quote_max_age_seconds: int
    asset_refresh_seconds: int
    orphan_orders: OrphanOrders
    spread_max_ratio: Decimal | None  # None for any spread
    notes: tuple[str, ...] = ()  # what is odd but stops nothing
    in_the_clear: tuple[str, ...] = ()  # those of them that are said until they are mended

    @property
    def venue(self) -> Venue:
        host = urlsplit(self.base_url).hostname or ""
        if is_loopback(host):
            return Venue.SIMULATOR
        return HOSTS.get(host, Venue.UNKNOWN)

    @property
    def trading_stream_url(self) -> str:
        scheme, rest = self.base_url.split("://", 1)
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}/stream"


@dataclass(frozen=True)
class Survey:
    """The settings as far as they can be used, and everything that is wrong with them."""

    config: Config
    problems: tuple[str, ...]
    files: tuple[Path, ...]  # that were found
    strangers: tuple[str, ...]  # set in them, named like ours, and read by nobody: a slip of the pen


def load(needs: Collection[str], environ: Mapping[str, str], env_file: str | None = None) -> Config:
    """The settings for a command that needs `EXCHANGE`, `DATABASE`, both or neither.

    Raises ConfigError with every problem found. What a command does not need may be missing, but not malformed.
    """
    reader = Sources(environ, env_file)
    config = _read(reader, needs)
    if reader.problems:
        raise ConfigError(reader.problems)
    return replace(config, notes=(*config.notes, *reader.exposed))


def survey(environ: Mapping[str, str], env_file: str | None = None) -> Survey:
    """What `dcabot check` looks at: everything is needed, and nothing is an error."""
    reader = Sources(environ, env_file)
    config = _read(reader, {EXCHANGE, DATABASE})
    return Survey(config, tuple(reader.problems), tuple(reader.files), tuple(reader.strangers()))


def load_mail(environ: Mapping[str, str], env_file: str | None = None) -> tuple[MailSettings | None, tuple[str, ...]]:
    """Where alerts go, and what is odd about that; whatever else is wrong with the settings is in no alert's way."""
    reader = Sources(environ, env_file)
    mail = _mail(reader)
    return mail, (*reader.notes, *reader.problems)


def load_mirror(url: str, environ: Mapping[str, str]) -> Config:
    """The data host that a simulator mirrors (empty: Alpaca's), as a Config without an account.

    Only the environment has its keys, under names of their own: those of an account that is traded
    with must not get here by accident. Raises ConfigError with every problem found.
    """
    reader = Sources(environ, os.devnull)
    keys = reader.key(MIRROR_KEY, False), reader.key(MIRROR_SECRET, False)
    if bool(keys[0]) != bool(keys[1]):
        reader.problem(MIRROR_SECRET if keys[0] else MIRROR_KEY, "is missing beside the other one")
    # Without keys there is nothing that must not travel in the clear.
    is_plain = reader.get(PLAIN_HTTP) if any(keys) else "yes"
    words = Sources({MIRROR: url, PLAIN_HTTP: is_plain}, os.devnull, "the command line")
    data_url = words.url(MIRROR, HTTP, DATA_URL)
    problems = [*reader.problems, *words.problems]
    if problems:
        raise ConfigError(problems)
    nothing = _read(Sources({}, os.devnull), ())
    stream_url = _stream_beside(data_url)
    return replace(
        nothing,
        key_id=keys[0],
        secret_key=keys[1],
        data_url=data_url,
        stream_url=stream_url,
    )


def _stream_beside(data_url: str) -> str:
    """The feed of a data host: Alpaca's is on a host of its own, the simulator's on the same."""
    parts, path = urlsplit(data_url), urlsplit(STREAM_URL).path
    host = f"stream.{parts.netloc}" if parts.netloc.startswith("data.") else parts.netloc
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{host}{parts.path}{path}"


def speaks_openly(file: Path) -> bool:
    """True for a settings file whose database is elsewhere, or named elsewhere, and that says nothing of encryption."""
    reader = Sources({}, str(file))
    if reader.get("DB_SSL") or reader.get("DB_SSL_CA"):
        return False
    place = _place(reader, needed=False)
    if place is None:
        names = ("DB_URL", "DB_SOCKET", "DB_HOST")
        return file.exists() and not any(reader.get(name) for name in names)
    return place.engine == "mysql" and not place.socket and not is_this_machine(place.host)


def sends_keys_openly(file: Path) -> bool:
    """True for a settings file that sends the API keys in clear text to another machine, and does not say so."""
    reader = Sources({}, str(file))
    return any(reader.travels_openly(name, schemes) for name, schemes in URLS.items())


def _read(reader: Sources, needs: Collection[str]) -> Config:
    exchange = EXCHANGE in needs
    seconds = reader.seconds
    return Config(
        key_id=reader.key("APCA_API_KEY_ID", exchange),
        secret_key=reader.key("APCA_API_SECRET_KEY", exchange),
        base_url=reader.url("APCA_API_BASE_URL", HTTP, "", exchange),
        data_url=reader.url("APCA_API_DATA_URL", HTTP, DATA_URL),
        stream_url=_stream_url(reader),
        database=_database(reader, DATABASE in needs),
        mail=_mail(reader),
        stale_order_seconds=seconds("DCABOT_STALE_ORDER_SECONDS", 300),
        data_timeout_seconds=seconds("DCABOT_DATA_TIMEOUT_SECONDS", 120),
        quote_max_age_seconds=seconds("DCABOT_QUOTE_MAX_AGE_SECONDS", 60),
        asset_refresh_seconds=seconds("DCABOT_ASSET_REFRESH_SECONDS", 30),
        orphan_orders=_orphan_orders(reader),
        spread_max_ratio=_spread_max(reader),
        notes=(*reader.notes, *reader.in_the_clear),
        in_the_clear=tuple(reader.in_the_clear),
    )


def _stream_url(reader: Sources) -> str:
    """The whole URL of a feed.

    Of Alpaca's host alone, of the simulator's on this machine, or with a version behind it, the
    crypto feed is meant: SDKs name the host and add the path themselves.
    """
    name = "APCA_API_STREAM_URL"
    url = reader.url(name, WEBSOCKET, STREAM_URL)
    alpaca, host = urlsplit(STREAM_URL), urlsplit(url).hostname or ""
    is_short = url != reader.get(name).rstrip("/") or host == alpaca.hostname or is_loopback(host)
    return f"{url}{alpaca.path}" if is_short and not urlsplit(url).path else url


def _database(reader: Sources, needed: bool) -> DatabaseSettings | None:
    """DB_URL alone, else DB_SOCKET, else DB_HOST and its companions; None when nothing is given nor needed."""
    authorities, is_plain = _encryption(reader)
    place = _place(reader, needed)
    if place is None or place.engine != "mysql" or place.socket:
        return place
    if is_plain and not is_loopback(place.host):
        reader.in_the_clear.append(
            f"DB_SSL=off: everybody on the way to the database at {place.host} can read and change what is sent there; "
            "DB_SSL_CA=FILE in its place ends that"
        )
    return replace(place, authorities=authorities, is_plain=is_plain)


def _encryption(reader: Sources) -> tuple[str, bool]:
    """The file of authorities, and whether the operator does without an encrypted line to the database."""
    authorities, said = reader.get("DB_SSL_CA"), reader.get("DB_SSL").lower()
    if said not in ("", "on", "off"):
        reader.problem("DB_SSL", f"must be off, or not be there, and not {said!r}")
    if authorities and not Path(authorities).exists():
        reader.problem("DB_SSL_CA", f"names a file that is not there: {authorities}")
    if authorities and said == "off":
        reader.problem("DB_SSL_CA", "is of no use beside DB_SSL=off; take one of the two away")
    return authorities, said == "off"


def _place(reader: Sources, needed: bool) -> DatabaseSettings | None:
    url = reader.get("DB_URL")
    if url:
        try:
            return parse_url(url)
        except ValueError as error:
            reader.problem("DB_URL", f"cannot be used: {error}")
            return None
    socket = reader.get("DB_SOCKET")
    if socket:
        # Peer login: the server asks the kernel who we are, so neither user nor password is needed.
        user, password = reader.get("DB_USER"), reader.password("DB_PASSWORD")
        return DatabaseSettings(
            "mysql", socket=socket, user=user, password=password, name=reader.get("DB_NAME") or "dcabot"
        )
    port = reader.integer("DB_PORT", 3306, 1, 65535)
    if not needed and not reader.get("DB_HOST"):
        return None
    before = len(reader.problems)
    host, user = reader.required("DB_HOST"), reader.required("DB_USER")
    password, name = reader.required("DB_PASSWORD", may_be_empty=True), reader.required("DB_NAME")
    if len(reader.problems) > before or not (host and user and name):
        return None
    return DatabaseSettings("mysql", host, port, user=user, password=password, name=name)


def _mail(reader: Sources) -> MailSettings | None:
    """Where alerts go, or None with a note: alerting never blocks trading."""
    names = ("ALERT_EMAIL_SENDER", "ALERT_EMAIL_RECEIVER", "ALERT_EMAIL_SMTP_SERVER")
    port = reader.integer("ALERT_EMAIL_SMTP_PORT", 587, 1, 65535)
    sender, receiver, server = (reader.get(name) for name in names)
    missing = [name for name, value in zip(names, (sender, receiver, server), strict=True) if not value]
    if missing:
        if len(missing) < len(names):
            reader.notes.append(f"alerts are not mailed: {' and '.join(missing)} not set")
        return None
    user, password = reader.get("ALERT_EMAIL_SMTP_USER"), reader.password("ALERT_EMAIL_SMTP_PASSWORD")
    return MailSettings(sender, receiver, server, port, user, password)


def _spread_max(reader: Sources) -> Decimal | None:
    name = "DCABOT_SPREAD_MAX_PERCENT"
    value = reader.get(name) or "1"
    try:
        percent = parse(value)
    except ValueError:
        percent = Decimal(-1)
    if not 0 <= percent <= SPREAD_PERCENT_LIMIT:
        reader.problem(name, f"must be a number from 0 to {SPREAD_PERCENT_LIMIT}, not {value!r}")
        return None
    return ratio(percent) if percent else None


def _orphan_orders(reader: Sources) -> OrphanOrders:
    name = "DCABOT_ORPHAN_ORDERS"
    value = reader.get(name) or OrphanOrders.OWN.value
    try:
        return OrphanOrders(value.lower())
    except ValueError:
        reader.problem(name, f"must be own, all or none, not {value!r}")
        return OrphanOrders.OWN
