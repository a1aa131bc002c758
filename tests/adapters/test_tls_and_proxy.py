"""Certificates and proxies between us and Alpaca: named for what they are, and no order is taken for sent."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.adapters import transport, trust
from dcabot.adapters.broker import Broker
from dcabot.adapters.streams import Feed, Streams
from dcabot.core.model import Order, Purpose, Side
from dcabot.core.snapshot import ExchangeUnreachable, Refusal, Refused
from tests.adapters.scripted import Scripted, answer, config_for
from tests.adapters.test_broker import BTC, OK
from tests.packaging import certificates
from tests.programs import PATIENCE
from tests.servers import free_port

AT = datetime(2026, 9, 18, 10, tzinfo=timezone.utc)
ORDER = Order("dcabot-1", Purpose.BASE, Side.BUY, Decimal("0.01"), Decimal("60000.1"), AT)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*trust.CHOSEN_CERTIFICATES, "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transport, "PAUSE_SECONDS", 0.01)


class Encrypted:
    """An https server before a plain one."""

    def __init__(self, certificate: Path, target: str) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._target = ("127.0.0.1", int(target.rpartition(":")[2]))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(self._target) as far,
            self._context.wrap_socket(near, server_side=True) as line,
        ):
            while part := line.recv(65536):
                far.sendall(part)
                line.sendall(far.recv(65536))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    certificates.signed(certificates.authority(made), "server", "IP:127.0.0.1")
    certificates.signed(made / "authority.pem", "stranger", "DNS:elsewhere.example")
    return made


@pytest.fixture
def plain() -> Iterator[Scripted]:
    with Scripted(OK) as server:
        yield server


def broker_for(url: str) -> Broker:
    return Broker(config_for(url, DCABOT_PLAIN_HTTP="yes"), lambda: datetime.now(timezone.utc))


def test_an_unknown_authority_is_named_and_nothing_was_sent(folder: Path, plain: Scripted) -> None:
    server = Encrypted(folder / "server.pem", plain.url)
    broker = broker_for(server.url)
    with pytest.raises(ExchangeUnreachable, match=r"the certificate of 127\.0\.0\.1:\d+ cannot be verified: .*issuer"):
        broker.account()
    outcome = broker.submit(BTC, ORDER)
    assert isinstance(outcome, Refused) and outcome.code is Refusal.UNREACHABLE and "certificate" in outcome.why
    assert plain.requests == []
    broker.close()
    server.close()


def test_the_certificate_of_another_name_is_named(
    folder: Path, plain: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "SYSTEM_CERTIFICATES", folder / "authority.pem")
    server = Encrypted(folder / "stranger.pem", plain.url)
    broker = broker_for(server.url)
    with pytest.raises(ExchangeUnreachable, match=r"cannot be verified: .*mismatch"):
        broker.account()
    broker.close()
    server.close()


@pytest.mark.parametrize("variable", ["", *trust.CHOSEN_CERTIFICATES])
def test_the_systems_authorities_count_and_an_operators_choice_wins(
    folder: Path, plain: Scripted, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(folder / "authority.pem"))
    else:
        monkeypatch.setattr(trust, "SYSTEM_CERTIFICATES", folder / "authority.pem")
    server = Encrypted(folder / "server.pem", plain.url)
    broker = broker_for(server.url)
    assert broker.report("dcabot-1") is not None
    broker.close()
    server.close()


def test_a_stream_names_the_certificate_too(folder: Path, plain: Scripted) -> None:
    server = Encrypted(folder / "server.pem", plain.url)

    async def story() -> str:
        streams = Streams(config_for(server.url), lambda raw: None, lambda raw: None, lambda feed: None)
        task = asyncio.ensure_future(streams.run([BTC]))
        for _ in range(int(PATIENCE * 100)):
            await asyncio.sleep(0.01)
            if all(streams.health(feed).error for feed in Feed):
                break
        streams.stop()
        await task
        return " / ".join(streams.health(feed).error for feed in Feed)

    said = asyncio.run(story())
    server.close()
    assert said.count("the certificate of Alpaca's stream cannot be verified: ") == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    port = free_port()
    monkeypatch.setenv(f"{scheme}_proxy", f"http://bot:geheim@127.0.0.1:{port}")
    broker = broker_for(f"{scheme}://exchange.invalid")
    with pytest.raises(ExchangeUnreachable) as caught:
        broker.account()
    outcome = broker.submit(BTC, ORDER)
    broker.close()
    assert str(caught.value) == f"no connection to the proxy 127.0.0.1:{port} ({scheme}_proxy): Connection refused"
    assert isinstance(outcome, Refused) and outcome.code is Refusal.UNREACHABLE
    assert "geheim" not in str(caught.value) + outcome.why


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with Scripted(answer(status, b"<html>")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        broker = broker_for("https://exchange.invalid")
        with pytest.raises(ExchangeUnreachable) as caught:
            broker.account()
        outcome = broker.submit(BTC, ORDER)
        broker.close()
    assert f"the proxy {proxy.url.removeprefix('http://')} (https_proxy) did not let us through: {status}" in str(
        caught.value
    )
    assert isinstance(outcome, Refused) and outcome.code is Refusal.UNREACHABLE
