"""Where the settings come from: environment and files in, one frozen Config out, all problems at once.

Order, the first that names a variable wins: the process environment, `$CREDENTIALS_DIRECTORY/dcabot.env`
(systemd credentials), then one file: `--env-file` / `$DCABOT_ENV_FILE`, else `./.env`, else `/etc/dcabot/dcabot.env`.
The environment of this process is never changed, and no message holds a value that could be a secret.
"""

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dotenv.parser import parse_stream

from dcabot.adapters.dburl import DatabaseSettings, parse_url

SYSTEM_FILE = Path("/etc/dcabot/dcabot.env")
DATA_URL = "https://data.alpaca.markets"
STREAM_URL = "wss://stream.data.alpaca.markets/v1beta3/crypto/us"
SECONDS_MAX = 7 * 24 * 3600  # a limit in seconds beyond a week is a slip of the hand

OUR_PREFIXES = ("APCA_", "DB_", "ALERT_EMAIL_", "DCABOT_")

EXCHANGE = "exchange"
DATABASE = "database"


class Venue(Enum):
    """Where orders go. Follows from the base URL alone, never from a default of the SDK."""

    LIVE = "live"
    PAPER = "paper"
    SIMULATOR = "simulator"


class OrphanOrders(Enum):
    """Which untracked open orders the order manager cancels; the rest it reports."""

    OWN = "own"
    ALL = "all"
    NONE = "none"


class ConfigError(Exception):
    """The settings cannot be used; `problems` holds one sentence for each reason."""

    def __init__(self, problems: Collection[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


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
    notes: tuple[str, ...] = ()  # what is odd but stops nothing

    @property
    def venue(self) -> Venue:
        host = urlsplit(self.base_url).hostname or ""
        if is_loopback(host):
            return Venue.SIMULATOR
        return Venue.PAPER if host.startswith("paper-api") else Venue.LIVE

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
    reader = _Reader(environ, env_file)
    config = _read(reader, needs)
    if reader.problems:
        raise ConfigError(reader.problems)
    return config


def survey(environ: Mapping[str, str], env_file: str | None = None) -> Survey:
    """What `dcabot check` looks at: everything is needed, and nothing is an error."""
    reader = _Reader(environ, env_file)
    config = _read(reader, {EXCHANGE, DATABASE})
    return Survey(config, tuple(reader.problems), tuple(reader.files), tuple(reader.strangers()))


def load_mail(environ: Mapping[str, str], env_file: str | None = None) -> tuple[MailSettings | None, tuple[str, ...]]:
    """Where alerts go, and what is odd about that; whatever else is wrong with the settings is in no alert's way."""
    reader = _Reader(environ, env_file)
    mail = _mail(reader)
    return mail, (*reader.notes, *reader.problems)


def is_loopback(host: str) -> bool:
    """True for the names and addresses of this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(reader: "_Reader", needs: Collection[str]) -> Config:
    exchange = EXCHANGE in needs
    seconds = reader.seconds
    return Config(
        key_id=reader.key("APCA_API_KEY_ID", exchange),
        secret_key=reader.key("APCA_API_SECRET_KEY", exchange),
        base_url=reader.url("APCA_API_BASE_URL", ("http", "https"), "", exchange).removesuffix("/v2").rstrip("/"),
        data_url=reader.url("APCA_API_DATA_URL", ("http", "https"), DATA_URL).removesuffix("/v1beta3").rstrip("/"),
        stream_url=reader.url("APCA_API_STREAM_URL", ("ws", "wss"), STREAM_URL),
        database=_database(reader, DATABASE in needs),
        mail=_mail(reader),
        stale_order_seconds=seconds("DCABOT_STALE_ORDER_SECONDS", 300),
        data_timeout_seconds=seconds("DCABOT_DATA_TIMEOUT_SECONDS", 120),
        quote_max_age_seconds=seconds("DCABOT_QUOTE_MAX_AGE_SECONDS", 60),
        asset_refresh_seconds=seconds("DCABOT_ASSET_REFRESH_SECONDS", 30),
        orphan_orders=_orphan_orders(reader),
        notes=tuple(reader.notes),
    )


def _database(reader: "_Reader", needed: bool) -> DatabaseSettings | None:
    """DB_URL alone, else DB_SOCKET, else DB_HOST and its companions; None when nothing is given nor needed."""
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


def _mail(reader: "_Reader") -> MailSettings | None:
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


def _orphan_orders(reader: "_Reader") -> OrphanOrders:
    name = "DCABOT_ORPHAN_ORDERS"
    value = reader.get(name) or OrphanOrders.OWN.value
    try:
        return OrphanOrders(value.lower())
    except ValueError:
        reader.problem(name, f"must be own, all or none, not {value!r}")
        return OrphanOrders.OWN


class _Reader:
    """Looks a name up in the sources, in order, and collects what is wrong."""

    def __init__(self, environ: Mapping[str, str], env_file: str | None) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._sources: list[tuple[str, Mapping[str, str]]] = [("the environment", environ)]
        self._absent: list[str] = []
        self._unread = False
        self._asked = {"DCABOT_ENV_FILE"}
        self.files: list[Path] = []
        credentials = environ.get("CREDENTIALS_DIRECTORY")
        if credentials:
            path = Path(credentials) / "dcabot.env"
            self._add(path, required=False, known_as=f"{path}, systemd's copy of {SYSTEM_FILE}")
        chosen = env_file or environ.get("DCABOT_ENV_FILE")
        if chosen:
            self._add(Path(chosen), required=True)
        elif not self._add(Path(".env"), required=False):
            self._add(SYSTEM_FILE, required=False)

    def _add(self, path: Path, required: bool, known_as: str = "") -> bool:
        """Read one file; True when it exists, readable or not."""
        try:
            with path.open(encoding="utf-8-sig") as stream:
                bindings = list(parse_stream(stream))
        except FileNotFoundError:
            if required:
                self._cannot(f"the environment file {path} does not exist")
            self._absent.append(str(path))
            return False
        except UnicodeDecodeError:
            self._cannot(f"{path} is not UTF-8 text")
            return True
        except PermissionError:
            # The service's user may not read /etc/dcabot/dcabot.env: systemd hands it over as a credential.
            if required or len(self._sources) == 1:
                self._cannot(f"{path} cannot be read: permission denied")
            return True
        except OSError as error:
            self._cannot(f"{path} cannot be read: {error.strerror}")
            return True
        values: dict[str, str] = {}
        for binding in bindings:
            if binding.error or (binding.key is not None and binding.value is None):
                # Never the line itself: it may hold a secret.
                self.problems.append(f"{path}, line {binding.original.line}: not NAME=VALUE")
            elif binding.key is not None and binding.value is not None:
                values[binding.key] = binding.value
        self.files.append(path)
        self._sources.append((known_as or str(path), values))
        return True

    def _cannot(self, problem: str) -> None:
        """A file is not to be had: what it would have set is not missed, too."""
        self.problems.append(problem)
        self._unread = True

    def _find(self, name: str) -> tuple[str, str] | None:
        """The value and where it was found."""
        self._asked.add(name)
        return next(((values[name], place) for place, values in self._sources if name in values), None)

    def strangers(self) -> list[str]:
        """Names in the files that begin like ours and that nobody asked for."""
        names = {name for place, values in self._sources[1:] for name in values if name.startswith(OUR_PREFIXES)}
        return sorted(names - self._asked)

    def password(self, name: str) -> str:
        """The value as it stands, spaces included, or nothing."""
        found = self._find(name)
        return found[0] if found else ""

    def get(self, name: str) -> str:
        """The value, or nothing."""
        return self.password(name).strip()

    def problem(self, name: str, why: str) -> None:
        found = self._find(name)
        self.problems.append(f"{name} {why} (from {found[1]})" if found else f"{name} {why}")

    def required(self, name: str, may_be_empty: bool = False) -> str:
        found = self._find(name)
        if found is None and self._unread:
            return ""
        if found is None:
            looked = " nor in ".join(place for place, _ in self._sources)
            absent = f"; there is no {' nor '.join(self._absent)}" if self._absent else ""
            self.problems.append(f"{name} is not set (not in {looked}{absent})")
        elif not found[0].strip() and not may_be_empty:
            self.problem(name, "is empty")
        return self.password(name) if may_be_empty else self.get(name)

    def key(self, name: str, needed: bool) -> str:
        """An API key: goes into an HTTP header, and a library's complaint about a header would print it."""
        value = self.required(name) if needed else self.get(name)
        if not value.isascii() or not value.isprintable() or " " in value:
            self.problem(name, "holds a space or an unprintable character")
        return value

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        value = self.get(name)
        if not value:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 9 and least <= int(value) <= most):
            self.problem(name, f"must be a whole number from {least} to {most}, not {value!r}")
            return default
        return int(value)

    def seconds(self, name: str, default: int) -> int:
        return self.integer(name, default, 1, SECONDS_MAX)

    def url(self, name: str, schemes: tuple[str, str], default: str, needed: bool = False) -> str:
        """A URL without its trailing slash."""
        value = self.required(name) if needed else self.get(name)
        if not value:
            return default
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            parts, host = SplitResult("", "", "", "", ""), ""
        if parts.scheme not in schemes or not host or any(c.isspace() for c in value):
            self.problem(name, f"must be a URL like {schemes[1]}://host")
        elif parts.username or parts.password:
            self.problem(name, "must not hold a user name or a password")
        elif parts.query or parts.fragment:
            self.problem(name, "must not hold a ? or a #")
        elif parts.scheme == schemes[0] and host.endswith("alpaca.markets"):
            self.problem(name, f"must start with {schemes[1]}:// or the keys would travel in the clear")
        else:
            return value.rstrip("/")
        return default
