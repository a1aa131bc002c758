"""HTTP that is none, or hardly: every answer is Alpaca's JSON, and nobody else notices."""

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from dcabot.simulator import Simulator
from dcabot.simulator.protocol import IDLE_MAX
from tests.programs import PATIENCE
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import client, until


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulator]:
    with make_alpaca(rate_limit=None, data_rate_limit=None) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        yield alpaca
        assert client(alpaca).get_account().cash


def connect(alpaca: Simulator) -> socket.socket:
    return socket.create_connection((alpaca.server.host, alpaca.server.port), timeout=PATIENCE)


def exchange(alpaca: Simulator, line: bytes, headers: bytes = b"", body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of the answer to a request of these bytes and the right keys."""
    keys = f"Host: localhost\r\nAPCA-API-KEY-ID: {alpaca.key}\r\nAPCA-API-SECRET-KEY: {alpaca.secret}\r\n".encode()
    with connect(alpaca) as connection:
        connection.sendall(line + b"\r\n" + keys + b"Connection: close\r\n" + headers + b"\r\n" + body)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, content = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


POST = b"POST /v2/orders HTTP/1.1"
GET = b"GET /v2/account HTTP/1.1"
SLOW_BODY = POST + b"\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"


@pytest.mark.parametrize(
    ("status", "line", "headers", "body"),
    [
        (405, b"FOO /v2/account HTTP/1.1", b"", b""), (405, b"get /v2/account HTTP/1.1", b"", b""),
        (405, b"FOO /nowhere HTTP/1.1", b"", b""), (405, b"OPTIONS /v2/account HTTP/1.1", b"", b""),
        (404, b"TRACE /nowhere HTTP/1.1", b"", b""), (404, b"OPTIONS * HTTP/1.1", b"", b""),
        (404, b"CONNECT example.com:443 HTTP/1.1", b"", b""), (405, b"POST /stream HTTP/1.1", b"", b""),
        (405, b"PUT /_sim/quote HTTP/1.1", b"", b""), (404, b"MKCOL /_sim/none HTTP/1.1", b"", b""),
        (400, b"GET /stream HTTP/1.1", b"", b""), (400, b"GET /v2/account HTTP/9.9", b"", b""),
        (400, b"GET /stream HTTP/1.1", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b""),
        (404, b"GET /v2/../../etc/passwd HTTP/1.1", b"", b""),
        (404, b"GET /v2/assets/..%2f..%2fetc HTTP/1.1", b"", b""),
        (404, b"GET /v2/assets/%zz%ff%00 HTTP/1.1", b"", b""), (400, b"GET /v2/assets/\xff HTTP/1.1", b"", b""),
        (400, b"GET /" + b"a" * 100_000 + b" HTTP/1.1", b"", b""), (400, GET, b"X: " + b"y" * 100_000 + b"\r\n", b""),
        (400, GET, b"".join(b"X-%d: y\r\n" % n for n in range(5_000)), b""), (400, GET, b"no colon\r\n", b""),
        (400, GET, b"X: a\0b\r\n", b""), (400, POST, b"Content-Length: -5\r\n", b"{}"),
        (400, POST, b"Content-Length: 99999999999999999999999\r\n", b"{}"),
        (400, POST, b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (400, POST, b"Transfer-Encoding: chunked\r\n", b"ZZ\r\nhello\r\n0\r\n\r\n"),
        (400, POST, b"Content-Encoding: gzip\r\nContent-Length: 5\r\n", b"hello"),
        (417, POST, b"Expect: 200-ok\r\nContent-Length: 2\r\n", b"{}"),
        (422, b"GET /_sim/journal?after=%C2%B2 HTTP/1.1", b"", b""),
        (422, b"GET /_sim/journal?after=" + b"9" * 5_000 + b" HTTP/1.1", b"", b""),
        (422, b"GET /v2/account/activities?date=0001-01-01 HTTP/1.1", b"", b""),
        (422, b"GET /v2/account/activities?date=9999-12-31 HTTP/1.1", b"", b""),
        (422, b"GET /v2/orders?after=0001-01-01T00:00:00%2B14:00 HTTP/1.1", b"", b""),
    ],
)  # fmt: skip
def test_whatever_is_asked_the_answer_is_json(
    shared: Simulator, status: int, line: bytes, headers: bytes, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    found, content = exchange(shared, line, headers, body)
    answer = json.loads(content)
    assert (found, set(answer)) == (status, {"code", "message"})
    assert str(answer["code"]).startswith(str(status)) or answer["code"] == 40010001
    assert caplog.records == []


@pytest.mark.parametrize(
    "query",
    [
        "timeframe=%C2%B2Min", "timeframe=" + "9" * 5_000 + "Min", "timeframe=1Min&start=0001-01-01T00:00:00%2B14:00",
        "timeframe=1Min&limit=" + "0" * 20 + "9", "timeframe=1Min&page_token=000000000001" + "9" * 4_900,
    ],
)  # fmt: skip
def test_a_query_of_market_data_that_makes_no_sense_is_refused(shared: Simulator, query: str) -> None:
    path = f"/v1beta3/crypto/us/bars?symbols=BTC/USD&{query}"
    status, content = exchange(shared, f"GET {path} HTTP/1.1".encode())
    assert (status, set(json.loads(content))) == (400, {"message"})


def test_keys_that_are_no_text_are_wrong_keys(shared: Simulator) -> None:
    with connect(shared) as connection:
        connection.sendall(
            b"GET /v2/clock HTTP/1.1\r\nHost: localhost\r\nAPCA-API-KEY-ID: \xff\r\nAPCA-API-SECRET-KEY: \xff\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    with connect(shared) as connection:
        connection.sendall(
            b"GET /v1beta3/crypto/us HTTP/1.1\r\nHost: localhost\r\nAPCA-API-KEY-ID: \xff\xfe\r\n"
            + upgrade + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )  # fmt: skip
        received = b""
        while b"auth failed" not in received:
            piece = connection.recv(4096)
            assert piece, received
            received += piece


def test_clients_that_vanish_at_any_moment_are_no_news(shared: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    for number in range(60):
        vanishing = connect(shared)
        vanishing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream = b"/stream" if number % 2 else b"/v1beta3/crypto/us"
        vanishing.sendall(SLOW_BODY if number % 3 else b"GET " + stream + b" HTTP/1.1\r\nHost: localhost\r\n" + upgrade)
        if number % 5 == 0:
            vanishing.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                vanishing.recv(1)
        vanishing.close()
    assert client(shared).get_account().cash
    until(lambda: not any(door.connections for door in shared.server.doors.values()))
    assert caplog.records == []


def is_over(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_clients_that_never_finish_a_request_make_room_for_others(shared: Simulator) -> None:
    endless = []
    for number in range(IDLE_MAX + 20):
        endless.append(connect(shared))
        endless[-1].sendall(b"GET /v2/acc" if number % 2 else SLOW_BODY)
    try:
        assert client(shared).get_account().cash
        assert is_over(endless[0])
        endless[-1].sendall(b"ount HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"forbidden" in endless[-1].recv(4096)
    finally:
        for one in endless:
            one.close()


def test_a_client_between_two_requests_is_not_put_out_by_those_that_never_ask(shared: Simulator) -> None:
    with connect(shared) as working:
        keys = f"APCA-API-KEY-ID: {shared.key}\r\nAPCA-API-SECRET-KEY: {shared.secret}\r\n"
        request = f"GET /v2/clock HTTP/1.1\r\nHost: localhost\r\n{keys}\r\n".encode()
        working.sendall(request)
        assert working.recv(4096).startswith(b"HTTP/1.1 200 OK")
        waiting = [connect(shared) for _ in range(IDLE_MAX + 5)]
        until(lambda: is_over(waiting[0]))
        working.sendall(request)
        assert working.recv(4096).startswith(b"HTTP/1.1 200 OK")
        for one in waiting:
            one.close()


def test_a_client_that_works_is_not_put_out_by_those_that_wait(shared: Simulator) -> None:
    rule = shared.faults.hold("GET", "/v2/clock")
    with connect(shared) as working:
        keys = f"APCA-API-KEY-ID: {shared.key}\r\nAPCA-API-SECRET-KEY: {shared.secret}\r\n"
        working.sendall(f"GET /v2/clock HTTP/1.1\r\nHost: localhost\r\n{keys}\r\n".encode())
        until(lambda: rule.hits)
        waiting = [connect(shared) for _ in range(IDLE_MAX + 5)]
        rule.release()
        assert working.recv(4096).startswith(b"HTTP/1.1 200 OK")
        for one in waiting:
            one.close()
