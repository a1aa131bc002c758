"""Strangers at the control API: pages in a browser, names that were made to point here."""

import http.client
import json

import pytest

from dcabot.simulator import Simulator
from dcabot.simulator.guard import refuse_stranger
from tests.simulator.conftest import make_alpaca

QUOTE = json.dumps({"symbol": "BTC/USD", "bid": "1", "ask": "2"})


def status(headers: dict[str, str], bound_to: str = "127.0.0.1") -> int:
    refusal = refuse_stranger(headers, bound_to)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("host", "found"),
    [
        *[(name, 200) for name in ("127.0.0.1:8080", "localhost", "[::1]:8080", "sim.localhost:1")],
        *[(name, 200) for name in ("127.8.8.8", "LOCALHOST:8080")],
        *[(name, 403) for name in ("rebound.evil.example", "192.0.2.1:8080", "", "localhost.evil")],
        *[(name, 403) for name in ("127.0.0.1.evil.example", "127.0.0.1@evil.example", "[x")],
    ],
)
def test_the_host_is_this_machine(host: str, found: int) -> None:
    assert status({"Host": host}) == found


@pytest.mark.parametrize(
    ("bound_to", "host", "found"),
    [
        ("192.0.2.1", "192.0.2.1:8080", 200),
        ("192.0.2.1", "192.0.2.2:8080", 403),
        ("0.0.0.0", "192.0.2.2:8080", 200),
        ("::", "[2001:db8::1]:8080", 200),
        ("0.0.0.0", "evil.example", 403),
    ],
)
def test_the_host_may_be_the_address_served(bound_to: str, host: str, found: int) -> None:
    assert status({"Host": host}, bound_to) == found


@pytest.mark.parametrize(
    ("origin", "found"),
    [
        ("http://127.0.0.1:8080", 200),
        ("http://127.0.0.1:9090", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_the_origin_is_our_own(origin: str, found: int) -> None:
    assert status({"Host": "127.0.0.1:8080", "Origin": origin}) == found


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/x-www-form-urlencoded", 200),  # curl -d
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
def test_what_a_form_can_send_is_not_taken(kind: str, found: int) -> None:
    assert status({"Host": "localhost", "Content-Type": kind}) == found


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.evil.example"},
        {"Origin": "https://evil.example"},
        {"Content-Type": "text/plain"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/_sim/quote"), ("GET", "/_sim/journal"), ("GET", "/_sim"), ("GET", "//_sim/journal")],
)
def test_a_page_in_a_browser_does_nothing(
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    with make_alpaca() as alpaca:
        found = ask(alpaca, method, path, headers)
        assert found in (403, 404, 415)
        assert alpaca.server.exchange.venue.quotes == {}


def test_a_program_without_a_content_type_is_served() -> None:
    with make_alpaca() as alpaca:
        assert ask(alpaca, "POST", "/_sim/quote", {}) == 200


def ask(alpaca: Simulator, method: str, path: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", alpaca.server.port, timeout=10)
    try:
        connection.request(method, path, QUOTE if method == "POST" else None, headers)
        return connection.getresponse().status
    finally:
        connection.close()
