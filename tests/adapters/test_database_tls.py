"""The line to a database elsewhere: encrypted to a server that proves who it is, and no password in clear text."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dcabot.adapters import trust
from dcabot.adapters.database import DatabaseMisconfigured, connect
from dcabot.adapters.dburl import DatabaseSettings
from tests.packaging import certificates
from tests.servers import PASSWORD, MariaDB

SALT = b"0123456789abcdefghij"
RSA = b"-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMZ4xk0oRLk3z\n-----END PUBLIC KEY-----\n"
NATIVE, CLEAR, SHA2 = b"mysql_native_password", b"mysql_clear_password", b"caching_sha2_password"


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in trust.CHOSEN_CERTIFICATES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 127.0.0.1 were another machine."""
    monkeypatch.setattr(trust, "is_this_machine", lambda host: False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    signer = certificates.authority(made)
    certificates.signed(signer, "server", "IP:127.0.0.1")
    certificates.signed(signer, "stranger", "DNS:db.example")
    certificates.authority(made, "other")
    return made


@pytest.fixture(scope="module")
def encrypted(folder: Path) -> Iterator[DatabaseSettings]:
    """A database on a server with a certificate for 127.0.0.1."""
    with MariaDB(tcp=True, options=(f"--ssl-cert={folder}/server.pem", f"--ssl-key={folder}/server.key")) as server:
        yield settings_of(server)


@pytest.fixture(scope="module")
def misnamed(folder: Path) -> Iterator[DatabaseSettings]:
    with MariaDB(tcp=True, options=(f"--ssl-cert={folder}/stranger.pem", f"--ssl-key={folder}/stranger.key")) as server:
        yield settings_of(server)


@pytest.fixture(scope="module")
def plain() -> Iterator[DatabaseSettings]:
    """A database on a server without TLS."""
    with MariaDB(tcp=True, options=("--skip-ssl",)) as server:
        yield settings_of(server)


def settings_of(server: MariaDB) -> DatabaseSettings:
    base = server.create_database()
    place = {"host": "127.0.0.1", "port": server.port or 0}
    return DatabaseSettings("mysql", **place, user=base.user, password=PASSWORD, name=base.name)  # type: ignore[arg-type]


def cipher(place: DatabaseSettings) -> str:
    """What the line is encrypted with; empty when it is not."""
    door = connect(place)
    try:
        session = door._ready()
        with session.cursor() as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
            return str(cursor.fetchone()[1])
    finally:
        door.close_all()


def refusal(place: DatabaseSettings, kind: type[Exception] = DatabaseMisconfigured) -> str:
    with pytest.raises(kind) as caught:
        cipher(place)
    assert PASSWORD not in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checked_certificate_is_all_it_takes(encrypted: DatabaseSettings, folder: Path, elsewhere: None) -> None:
    assert cipher(replace(encrypted, authorities=str(folder / "authority.pem")))


def test_the_systems_authorities_count_where_none_is_named(
    encrypted: DatabaseSettings, folder: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "cannot be verified" in refusal(encrypted)
    monkeypatch.setattr(trust, "SYSTEM_CERTIFICATES", folder / "authority.pem")
    assert cipher(encrypted)


def test_an_authority_that_did_not_sign_is_no_proof(encrypted: DatabaseSettings, folder: Path) -> None:
    said = refusal(replace(encrypted, authorities=str(folder / "other.pem")))
    assert "the certificate of 127.0.0.1 cannot be verified: " in said and "DB_SSL_CA" in said


def test_the_name_of_another_is_no_proof(misnamed: DatabaseSettings, folder: Path, elsewhere: None) -> None:
    said = refusal(replace(misnamed, authorities=str(folder / "authority.pem")))
    assert "IP address mismatch" in said


def test_a_file_without_certificates_is_named(encrypted: DatabaseSettings, tmp_path: Path) -> None:
    for content in ("", "nonsense"):
        (tmp_path / "ca.pem").write_text(content)
        assert "ca.pem holds no certificates" in refusal(replace(encrypted, authorities=str(tmp_path / "ca.pem")))


def test_a_server_elsewhere_without_tls_gets_no_login(plain: DatabaseSettings, elsewhere: None) -> None:
    said = refusal(plain)
    assert "offers no TLS" in said and "DB_SSL_CA" in said and "DB_SSL=off" in said


def test_off_said_in_so_many_words_is_obeyed(
    plain: DatabaseSettings, encrypted: DatabaseSettings, elsewhere: None
) -> None:
    assert cipher(replace(plain, is_plain=True)) == ""
    cipher(replace(encrypted, is_plain=True))  # as before: encrypted or not, but unchecked


def test_this_machine_needs_no_tls(plain: DatabaseSettings, encrypted: DatabaseSettings) -> None:
    assert cipher(plain) == ""
    cipher(encrypted)


def test_what_passes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that expired will be renewed; a daemon that ended with 78 would stay down."""
    error = ssl.SSLCertVerificationError(1, "said")
    error.verify_code, error.verify_message = 10, "certificate has expired"
    assert error.verify_code in trust.PASSING
    said = trust.certificate_sentence("db.example", error)
    assert said == (
        "the certificate of db.example cannot be verified: certificate has expired; is this machine's clock right?"
    )


# A server's side of the login, by hand.


def packet(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number]) + body


class Fake:
    """A server without TLS that greets with one plugin and asks for another. `heard` is all that was sent to it."""

    def __init__(self, greets: bytes, asks: bytes) -> None:
        self.greets, self.asks = greets, asks
        self.heard = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def place(self) -> DatabaseSettings:
        port = self._listening.getsockname()[1]
        return DatabaseSettings("mysql", "127.0.0.1", port, user="bot", password=PASSWORD, name="books", is_plain=True)

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        can = (0xFFFFFFFF & ~(1 << 11)).to_bytes(4, "little")  # everything but TLS
        hello = b"\x0a8.4.2\0\x09\0\0\0" + SALT[:8] + b"\0" + can[:2] + b"\xff\x02\0" + can[2:] + b"\x15" + bytes(10)
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(5)
                    connection.sendall(packet(0, hello + SALT[8:] + b"\0" + self.greets + b"\0"))
                    self.heard += connection.recv(4096)
                    if self.asks == SHA2:
                        connection.sendall(packet(2, b"\x01\x04"))  # full authentication, please
                        self.heard += connection.recv(4096)
                        connection.sendall(packet(4, b"\x01" + RSA))
                    else:
                        connection.sendall(packet(2, b"\xfe" + self.asks + b"\0" + SALT + b"\0"))
                    while part := connection.recv(4096):
                        self.heard += part


@pytest.mark.parametrize("greets", [NATIVE, CLEAR, b"dialog"])
@pytest.mark.parametrize("asks", [CLEAR, b"dialog"])
def test_the_password_never_goes_in_clear_text(greets: bytes, asks: bytes) -> None:
    fake = Fake(greets, asks)
    said = refusal(fake.place)
    fake.close()
    assert "in clear text" in said
    assert PASSWORD.encode() not in fake.heard


def test_a_login_that_needs_tls_is_one_sentence() -> None:
    fake = Fake(SHA2, SHA2)
    said = refusal(fake.place)
    fake.close()
    assert "needs TLS" in said and "DB_SOCKET" in said


def test_a_login_that_nobody_knows_is_one_sentence() -> None:
    fake = Fake(NATIVE, b"quantum_password")
    assert "quantum_password" in refusal(fake.place)
    fake.close()
