"""A MySQL session from the first byte to the end of the login: encrypted where it must be, and no password in clear."""

import ssl
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from dcabot.adapters import trust
from dcabot.adapters.database_errors import DatabaseMisconfigured, DatabaseUnreachable
from dcabot.adapters.dburl import DatabaseSettings

CLEAR_TEXT = "mysql_clear_password"
DIALOG = "dialog"  # PAM's: the password as it is, too
NO_TLS = (
    "the server offers no TLS and is not this machine: give it a certificate and name its authority in DB_SSL_CA, or "
    "say DB_SSL=off (then everybody on the way can read and change what is sent)"
)


def open_line(place: DatabaseSettings, **options: Any) -> Connection:
    """A logged-in connection. Raises DatabaseMisconfigured, DatabaseUnreachable, and PyMySQL's own errors."""
    try:
        return _Line(place, **options)
    except pymysql.err.OperationalError as error:
        refusal = trust.untrusted(getattr(error, "original_exception", None))
        if refusal is None:
            raise
        kind = DatabaseUnreachable if refusal.verify_code in trust.PASSING else DatabaseMisconfigured
        said = trust.certificate_sentence(place.host, refusal)
        raise kind(f"{place}: {said}; its authority belongs into the file that DB_SSL_CA names") from None


class _Line(Connection):
    """PyMySQL's connection, which looks at what the server asks for before it answers with the password."""

    # PyMySQL's own, without public names.
    _auth_plugin_name: str
    _secure: bool
    server_capabilities: int

    def __init__(self, place: DatabaseSettings, **options: Any) -> None:
        self._place = place
        self._must_be_encrypted = trust.needs_tls(place)
        super().__init__(
            unix_socket=place.socket or None,
            host=place.host or None,
            port=place.port,
            # As bytes, for PyMySQL would encode the text as latin-1.
            password=place.password.encode(),
            database=place.name,
            # On a socket a TLS context is wasted work. Over TCP it is taken if it is offered; MySQL 8 wants it even on
            # localhost.
            ssl_disabled=bool(place.socket),
            ssl=_context(place) if self._must_be_encrypted else None,
            **options,
        )

    def _request_authentication(self) -> None:
        self._look_at(self._auth_plugin_name)
        if self._must_be_encrypted and not self.server_capabilities & CLIENT.SSL:
            raise DatabaseMisconfigured(f"{self._place}: {NO_TLS}")
        try:
            super()._request_authentication()  # type: ignore[misc]
        except RuntimeError as error:
            # Without TLS these logins need a library that is not part of this program, and trust in a key that the
            # server sends over the same line.
            raise DatabaseMisconfigured(f"{self._place}: {_too_much_asked(str(error))}") from None

    def _process_auth(self, plugin_name: bytes, auth_packet: Any, handler: Any = None) -> Any:
        self._look_at(plugin_name.decode(errors="replace"))
        return super()._process_auth(plugin_name, auth_packet, handler)  # type: ignore[misc]

    def _look_at(self, plugin: str) -> None:
        if plugin == CLEAR_TEXT or (plugin == DIALOG and not self._secure):
            raise DatabaseMisconfigured(
                f"{self._place}: the server asks for the password in clear text ({plugin}); it was not sent. Is that "
                "your server? Give the user another login plugin"
            )


def _context(place: DatabaseSettings) -> ssl.SSLContext:
    try:
        return trust.context(place.authorities)
    except OSError as error:
        name = place.authorities or trust.certificates()
        raise DatabaseMisconfigured(f"{place}: {name} holds no certificates: {error.strerror or error}") from None


def _too_much_asked(said: str) -> str:
    """In words for who has to mend it."""
    if "ed25519" in said:
        return "the login plugin ed25519 is not supported: give the user another one (mysql_native_password)"
    return (
        "this user's login plugin (sha256_password or caching_sha2_password) needs TLS, which the server does not "
        "offer: switch TLS on there, or use its unix socket (DB_SOCKET), or give the user another plugin"
    )
