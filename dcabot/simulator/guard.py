"""Who may use the control API: programs of this machine, no page in a browser.

It asks for no keys, so a page that somebody visits must not reach it: neither by sending a request
of its own (it names its origin) nor under a name that it makes point here (its host is not ours).
"""

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from dcabot.core.venue import Refusal

# As programs send them; curl -d says the second. Text and multipart forms are what pages can send.
CONTENT_TYPES = frozenset({"", "application/json", "application/x-www-form-urlencoded"})
EVERYWHERE = frozenset({"0.0.0.0", "::"})


def refuse_stranger(headers: Mapping[str, str], bound_to: str) -> Refusal | None:
    """The refusal of a request that was not meant for this server, or not sent by a program."""
    host = _host_of(f"//{headers.get('Host', '')}")
    if not _is_ours(host, bound_to):
        return _forbidden(f"the control API is not asked under the name {host[:100]!r}")
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("Host"):
        return _forbidden("the control API is not for pages of other origins")
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in CONTENT_TYPES:
        return Refusal(415, 41510000, "the control API takes application/json")
    return None


def _forbidden(message: str) -> Refusal:
    return Refusal(403, 40310000, message)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_ours(host: str, bound_to: str) -> bool:
    """True for this machine's names and the address that is served; a server of all has many."""
    name = socket.gethostname().lower()
    if host in ("localhost", bound_to.lower(), name) or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or bound_to in EVERYWHERE
