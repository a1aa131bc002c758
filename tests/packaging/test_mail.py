"""The alert's e-mail through a mail server with encryption and a login; the certificates are made here.

test_machine.py sends one through a real mail server of Debian's.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.packaging import certificates
from tests.packaging.machine import until
from tests.packaging.test_alert import PASSWORD, SINK, World
from tests.servers import free_port

# Every address in 127.0.0.0/8 is this machine. This one is ours alone, so that even its port 465 is.
ADDRESS = f"127.46.{os.getpid() // 256 % 256}.{os.getpid() % 256}"
LOGIN = {"ALERT_EMAIL_SMTP_USER": "bot", "ALERT_EMAIL_SMTP_PASSWORD": PASSWORD}
TLS_PORT = 465
ENCRYPTED = pytest.mark.parametrize("tls", ["starttls", "implicit"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`authority` has signed `ours` for ADDRESS, and `other` for another."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = certificates.authority(folder)
    names = {"ours": ADDRESS, "other": "127.0.0.1"}
    leaves = {name: certificates.signed(authority, name, f"IP:{address}") for name, address in names.items()}
    return {"authority": authority, **leaves}


@pytest.fixture
def server(tmp_path: Path, made: dict[str, Path]) -> Iterator[Callable[..., World]]:
    """Starts a mail server, and says what has failed that should be told of; `certificate` names the server's own."""
    running: list[subprocess.Popen[bytes]] = []

    def start(tls: str | None, certificate: str = "ours") -> World:
        world = World(tmp_path, TLS_PORT if tls == "implicit" else free_port())
        world.fails(1)
        options = ["--tls", tls, "--certificate", str(made[certificate])] if tls else []
        options += ["--address", ADDRESS, "--login", "bot", PASSWORD]
        may_listen(world.port)
        running.append(subprocess.Popen([sys.executable, SINK, str(world.port), tmp_path / "mails", *options]))
        until((tmp_path / "mails").exists, "the mail server")
        return world

    yield start
    for process in running:
        process.terminate()
        process.wait()


def may_listen(port: int) -> None:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
        except PermissionError:
            pytest.skip(f"only root may listen on port {port}; ./test --packaging tries it")


def trusting(made: dict[str, Path]) -> dict[str, str]:
    return {**LOGIN, "ALERT_EMAIL_SMTP_SERVER": ADDRESS, "SSL_CERT_FILE": str(made["authority"])}


def assert_no_mail(world: World, done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    """The alert is a line on stderr, where the journal takes it from, and the exit code makes systemd try again."""
    assert done.returncode == 75, done.stderr
    for word in ("the alert could not be mailed", *words):
        assert word in done.stderr
    assert PASSWORD not in done.stderr
    assert world.mails() == []


@ENCRYPTED
def test_an_alert_is_mailed_over_tls_with_a_login(
    server: Callable[..., World], made: dict[str, Path], tls: str
) -> None:
    world = server(tls)
    done = world.alert(**trusting(made))
    assert done.returncode == 0, done.stderr
    (mail,) = world.mails()
    before = "ehlo starttls ehlo" if tls == "starttls" else "ehlo"
    assert mail["X-Session"] == f"{before} auth mail rcpt data"


@ENCRYPTED
def test_a_server_that_nobody_vouches_for_gets_no_password(
    server: Callable[..., World], made: dict[str, Path], tls: str
) -> None:
    world = server(tls)
    done = world.alert(**{**trusting(made), "SSL_CERT_FILE": ""})
    assert_no_mail(world, done, f"the certificate of {ADDRESS}:{world.port} is not to be trusted", "unable to get")


@ENCRYPTED
def test_a_certificate_of_another_server_gets_no_password(
    server: Callable[..., World], made: dict[str, Path], tls: str
) -> None:
    world = server(tls, "other")
    done = world.alert(**trusting(made))
    assert_no_mail(world, done, f"the certificate of {ADDRESS}:{world.port} is not to be trusted", "mismatch")


def test_a_password_is_never_sent_in_the_clear(server: Callable[..., World], made: dict[str, Path]) -> None:
    """Not even where the server asks for it, and not to this very machine."""
    world = server(None)
    assert_no_mail(world, world.alert(**trusting(made)), "offers no encryption: the password is not sent")


def test_a_refused_login_is_told_without_the_password(server: Callable[..., World], made: dict[str, Path]) -> None:
    """This server repeats what it was sent."""
    world = server("starttls")
    done = world.alert(**{**trusting(made), "ALERT_EMAIL_SMTP_PASSWORD": "another"})
    assert_no_mail(world, done, f"{ADDRESS} refuses the login of bot (535)")


def test_a_password_that_smtp_cannot_carry_is_not_printed(server: Callable[..., World], made: dict[str, Path]) -> None:
    world = server("starttls")
    done = world.alert(**{**trusting(made), "ALERT_EMAIL_SMTP_PASSWORD": "pässword"})
    assert_no_mail(world, done, "ALERT_EMAIL_SMTP_PASSWORD must be ASCII")
    assert "pässword" not in done.stderr


def test_without_a_login_a_mail_server_of_this_machine_needs_no_certificate(server: Callable[..., World]) -> None:
    """Debian's own mail servers offer STARTTLS with a certificate that nobody has signed."""
    world = server("starttls")
    assert world.alert(ALERT_EMAIL_SMTP_SERVER=ADDRESS).returncode == 0
    (mail,) = world.mails()
    assert mail["X-Session"] == "ehlo mail rcpt data"
