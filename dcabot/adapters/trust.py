"""Whom this machine trusts: which addresses are its own, and whose certificates it takes. Imports no driver."""

import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

from dcabot.adapters.dburl import DatabaseSettings

SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")  # Debian's, with what its administrator added
CHOSEN_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
PASSING = frozenset({9, 10})  # OpenSSL: not yet valid (or a wrong clock), expired (and soon renewed)


def is_loopback(host: str) -> bool:
    """True for what is by its name, or by its address, this machine and no other. Asks nobody."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_this_machine(host: str) -> bool:
    """True when all addresses of that name are loopback: then what is sent to it cannot be read on a line.

    A name that has no address now is judged by itself.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return is_loopback(host)
    return all(is_loopback(str(place[0]).partition("%")[0]) for *_, place in found)


def needs_tls(place: DatabaseSettings) -> bool:
    """True when a database is spoken to only over TLS, and only when it proves who it is."""
    if place.socket or place.is_plain:
        return False
    return bool(place.authorities) or not is_this_machine(place.host)


def certificates(environ: Mapping[str, str] = os.environ) -> str:
    """The file of the authorities that are trusted: the operator's, else the system's; empty when there is neither."""
    chosen = next((environ[name] for name in CHOSEN_CERTIFICATES if environ.get(name)), "")
    return chosen or (str(SYSTEM_CERTIFICATES) if SYSTEM_CERTIFICATES.is_file() else "")


def context(authorities: str = "") -> ssl.SSLContext:
    """TLS with a checked certificate. `authorities` is a file; empty: those that this machine trusts.

    Raises OSError when the file cannot be used.
    """
    file = authorities or certificates()
    is_folder = bool(file) and Path(file).is_dir()
    made = ssl.create_default_context(cafile=None if is_folder else file or None, capath=file if is_folder else None)
    # Python 3.13 refuses the certificates that MariaDB and MySQL make for themselves, however well they are signed.
    made.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return made


def untrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The refusal of a certificate that is the reason of an error, if it is."""
    seen: list[BaseException] = []
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError) and error not in seen:
        seen.append(error)
        inside = [one for one in (getattr(error, "reason", None), *error.args) if isinstance(one, BaseException)]
        error = inside[0] if inside else error.__cause__ or error.__context__
    return error if isinstance(error, ssl.SSLCertVerificationError) else None


def certificate_sentence(host: str, error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a certificate, and what is done about it."""
    clock = "; is this machine's clock right?" if error.verify_code in PASSING else ""
    return f"the certificate of {host} cannot be verified: {error.verify_message}{clock}"
