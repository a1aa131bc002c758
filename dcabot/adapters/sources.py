"""The environment and the files that settings come from: which are read, which are refused, and what is wrong in them.

Order, the first that names a variable wins: the process environment, `$CREDENTIALS_DIRECTORY/dcabot.env`
(systemd credentials), then one file: `--env-file` / `$DCABOT_ENV_FILE`, else `./.env`, else `/etc/dcabot/dcabot.env`.
The environment of this process is never changed, and no message holds a value that could be a secret.
"""

import grp
import os
import pwd
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dotenv.parser import parse_stream

from dcabot.adapters.trust import is_this_machine

SYSTEM_FILE = Path("/etc/dcabot/dcabot.env")
HERE = Path(".env")
SECONDS_MAX = 7 * 24 * 3600  # a limit in seconds beyond a week is a slip of the hand
OUR_PREFIXES = ("APCA_", "DB_", "ALERT_EMAIL_", "DCABOT_")
ALPACA = "alpaca.markets"
PLAIN_HTTP = "DCABOT_PLAIN_HTTP"
VERSIONS = ("/v2", "/v1beta3")  # how people write the end of Alpaca's URLs


class ConfigError(Exception):
    """The settings cannot be used; `problems` holds one sentence for each reason."""

    def __init__(self, problems: Collection[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Sources:
    """Looks a name up in the sources, in order, and collects what is wrong."""

    def __init__(
        self,
        environ: Mapping[str, str],
        env_file: str | None,
        place: str = "the environment",
    ) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.in_the_clear: list[str] = []  # what others can read on its way, because the operator said so
        self.exposed: list[str] = []  # files that too many may read
        self._sources: list[tuple[str, Mapping[str, str]]] = [(place, environ)]
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
        elif not self._add(HERE, required=False):
            self._add(SYSTEM_FILE, required=False)

    def _add(self, path: Path, required: bool, known_as: str = "") -> bool:
        """Read one file; True when it exists, readable or not."""
        try:
            with path.open(encoding="utf-8-sig") as stream:
                if not self._may_decide(path, os.fstat(stream.fileno())):
                    return True
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
            if path == HERE and not self._may_decide(path, path.stat()):
                return True
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

    def _may_decide(self, path: Path, found: os.stat_result) -> bool:
        """False for a file that somebody else could have written: it says where the keys are sent."""
        if not stat.S_ISREG(found.st_mode):
            return True  # /dev/null, a pipe of the shell
        told = f"{path.absolute() if path == HERE else path} ({_owner(found)}, mode {stat.S_IMODE(found.st_mode):o})"
        if path == HERE and found.st_uid not in (os.geteuid(), 0):
            self._cannot(
                f"{told} belongs to somebody else, and its settings could send your keys anywhere: "
                f"`chown {_name(os.geteuid())} .env` if it is yours, or name the right file with --env-file"
            )
        elif found.st_mode & stat.S_IWOTH:
            self._cannot(f"{told} can be changed by every user of this machine: `chmod 600 {path}`")
        elif path == HERE and found.st_mode & stat.S_IWGRP and not _is_private(found):
            self._cannot(f"{told} can be changed by its group: `chmod 600 {path}`")
        else:
            if found.st_mode & stat.S_IROTH:
                self.exposed.append(f"{told} can be read by every user of this machine: `chmod 600 {path}`")
            return True
        return False

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
        """A URL without the slash and the version that people write behind it."""
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
        elif parts.scheme == schemes[0] and (why := self._too_open(host, schemes)):
            self.problem(name, why)
        else:
            return _without_version(value)
        return default

    def travels_openly(self, name: str, schemes: tuple[str, str]) -> bool:
        """True for a URL by which the keys go to another host in clear text, and nobody said so.

        Alpaca's hosts have never been spoken to like that.
        """
        try:
            parts = urlsplit(self.get(name))
            host = parts.hostname or ""
        except ValueError:
            return False
        if parts.scheme != schemes[0] or not host or self.get(PLAIN_HTTP):
            return False
        return not (host == ALPACA or host.endswith(f".{ALPACA}") or is_this_machine(host))

    def _too_open(self, host: str, schemes: tuple[str, str]) -> str:
        """Why the keys must not go to this host in clear text; empty when they may."""
        open_scheme, closed = schemes
        if host == ALPACA or host.endswith(f".{ALPACA}"):
            return f"must start with {closed}:// or the keys would travel in the clear"
        allowed = self.get(PLAIN_HTTP).lower() == "yes"
        if is_this_machine(host):
            return ""
        if allowed:
            self.in_the_clear.append(f"{PLAIN_HTTP}=yes: everybody on the way to {host} can read your API keys")
            return ""
        return (
            f"must start with {closed}://, for with {open_scheme}:// the keys would travel in the clear; "
            f"{PLAIN_HTTP}=yes allows it"
        )


def _without_version(url: str) -> str:
    short = url.rstrip("/")
    for version in VERSIONS:
        short = short.removesuffix(version).rstrip("/")
    return short


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _owner(found: os.stat_result) -> str:
    return f"owner {_name(found.st_uid)}"


def _is_private(found: os.stat_result) -> bool:
    """True for the owner's own group, which Debian makes for each user: nobody else is in it."""
    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    if owner.pw_gid != group.gr_gid or set(group.gr_mem) - {owner.pw_name}:
        return False
    return all(one.pw_gid != group.gr_gid or one.pw_uid == owner.pw_uid for one in pwd.getpwall())
