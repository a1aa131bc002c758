"""An answer that drips in byte by byte: each byte keeps the ordinary timeout from ending, so the whole has a limit."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.adapters import transport
from dcabot.adapters.broker import Broker
from dcabot.core.model import Order, Purpose, Side
from dcabot.core.snapshot import ExchangeUnreachable, Unknown
from tests.adapters.scripted import Scripted, answer, config_for
from tests.needs import needed
from tests.programs import PATIENCE

BUY = Order("dcabot-1", Purpose.BASE, Side.BUY, Decimal(1), Decimal(100), datetime(2026, 1, 1, tzinfo=timezone.utc))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nX-Long: "
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW_AND_WHOLE = answer(200, [])


@contextmanager
def dripping(at_once: bytes, drops: bytes = b"9" * 100_000, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers the first bytes at once and then one every 50 ms."""
    ends = threading.Event()

    def serve(connection: socket.socket) -> None:
        try:
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection:
                connection.recv(65536)
                connection.sendall(at_once)
                for drop in drops:
                    if ends.wait(0.05):
                        return
                    connection.sendall(bytes([drop]))
                ends.wait(10)
        except OSError:
            return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ends.set()
            listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def broker_for(url: str) -> Iterator[Broker]:
    broker = Broker(config_for(url), lambda: datetime.now(timezone.utc))
    try:
        yield broker
    finally:
        broker.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.5)


@pytest.mark.parametrize("at_once", [HEAD, BODY, CHUNKED], ids=["head", "body", "chunked"])
def test_a_question_whose_answer_drips_ends(at_once: bytes) -> None:
    begun = time.monotonic()
    with dripping(at_once) as url, broker_for(url) as broker, pytest.raises(ExchangeUnreachable):
        broker.open_orders()
    assert time.monotonic() - begun < PATIENCE  # all of it takes an hour


@pytest.mark.parametrize("at_once", [HEAD, BODY], ids=["head", "body"])
def test_an_order_whose_answer_drips_is_of_unknown_fate(at_once: bytes) -> None:
    begun = time.monotonic()
    with dripping(at_once) as url, broker_for(url) as broker:
        assert isinstance(broker.submit("BTC/USD", BUY), Unknown)
    assert time.monotonic() - begun < PATIENCE


def test_an_answer_that_drips_and_ends_in_time_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_SECONDS", PATIENCE)
    with dripping(SLOW_AND_WHOLE[:-4], SLOW_AND_WHOLE[-4:]) as url, broker_for(url) as broker:
        assert broker.open_orders().rows == ()


def test_a_line_that_was_late_once_has_all_its_time_for_the_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 3)
    with Scripted(answer(200, [])) as server, broker_for(server.url) as broker:
        for _ in range(3):
            assert broker.open_orders().rows == ()
            time.sleep(1.6)
        assert server.connections == 1


def test_behind_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = [needed("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*words, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    begun = time.monotonic()
    with dripping(BODY, tls=context) as url, broker_for(url) as broker:
        assert isinstance(broker.submit("BTC/USD", BUY), Unknown)
    assert time.monotonic() - begun < PATIENCE
    monkeypatch.setattr(transport, "ANSWER_SECONDS", PATIENCE)
    with dripping(SLOW_AND_WHOLE[:-2], SLOW_AND_WHOLE[-2:], tls=context) as url, broker_for(url) as broker:
        assert broker.open_orders().rows == ()
