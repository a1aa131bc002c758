"""python -m benchmarks.bench_simulator [--quick]: the simulator's own load, which every other figure rests on.

Quotes: a sink that only reads bytes shows how fast the simulator can send, beside the fastest that a bare
alpaca-py raw-data stream drains. Orders: 10,000 of them stay open; the last thousand must cost what the first did.
"""

import argparse
import contextlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from rich.console import Console

from benchmarks import stage
from benchmarks.figures import Figure, Limit, table

WATCHED = "LTC/USD"
SEGMENT = 1_000
LOGIN = '{"action":"auth","key":"%s","secret":"%s"}'


def main(argv: list[str] | None = None) -> int:
    """0 when every limit is met, 1 when one is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_simulator", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny run: does it work, not how fast")
    is_quick = parser.parse_args(argv).quick
    found = [*load(4_000 if is_quick else 200_000), *orders(2_000 if is_quick else 10_000)]
    Console().print(table(found, f"The simulator, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"))
    return 0 if all(one.is_met for one in found) else 1


# --- quotes ---


def load(quotes: int) -> list[Figure]:
    """How fast quotes leave, to a sink and to the bare stream, and what a core has to do with it."""
    with stage.Alpaca() as alpaca, sink(alpaca):
        sent, busy = flood(alpaca, quotes)
    with stage.Alpaca() as alpaca, stage.floor("drain", alpaca, WATCHED=WATCHED):
        alpaca.quote([(WATCHED, stage.Decimal(0))])
        stage.until(alpaca.posts, "its order to the first quote")
        alpaca.forget()
        began = time.monotonic_ns()
        alpaca.call("POST", "/flood", {"symbols": stage.SYMBOLS, "quotes": quotes})
        stage.until(lambda: not alpaca.call("GET", "/flood")["running"], "the end of the flood")
        alpaca.quote([(WATCHED, stage.Decimal("0.01"))])
        # Its order to the last quote says that everything before it is drained.
        drained = quotes / ((stage.until(alpaca.posts, "an order")[0][0] - began) / 1e9)
    return [
        Figure("quotes sent to 20 subscriptions", "/s", (drained,), (sent,), 1, Limit.LEAST),
        Figure("of a core, while it sends so many", "%", (), (busy,), 100),
        Figure("CPU for a quote", "us", (), (busy / 100 / sent * 1e6,), 25),
    ]


def swallow(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(1 << 20):
            pass


@contextmanager
def sink(alpaca: stage.Alpaca) -> Iterator[None]:
    """A hand-made websocket: msgpack, logged in, subscribed to everything; what it reads it throws away."""
    place = urlsplit(alpaca.environment["APCA_API_STREAM_URL"] + stage.QUOTE_STREAM)
    with socket.create_connection((place.hostname, place.port)) as connection:
        head = (
            f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Content-Type: application/msgpack\r\n"
            f"APCA-API-KEY-ID: {alpaca.environment['APCA_API_KEY_ID']}\r\n"
            f"APCA-API-SECRET-KEY: {alpaca.environment['APCA_API_SECRET_KEY']}\r\n\r\n"
        )
        connection.sendall(head.encode())
        # {"action": "subscribe", "quotes": ["*"]} in msgpack, masked with zeros
        words = b"\x82\xa6action\xa9subscribe\xa6quotes\x91\xa1*"
        connection.sendall(bytes((0x82, 0x80 | len(words), 0, 0, 0, 0)) + words)
        stage.until(alpaca.has_listener, "the sink to listen")
        reading = threading.Thread(target=swallow, args=(connection,))
        reading.start()
        yield
        connection.shutdown(socket.SHUT_RDWR)
        reading.join()


def flood(alpaca: stage.Alpaca, quotes: int) -> tuple[float, float]:
    """Quotes a second, and the simulator's share of a core in percent while it sends so many."""
    cpu = alpaca.cpu_seconds()
    alpaca.call("POST", "/flood", {"symbols": stage.SYMBOLS, "quotes": quotes})
    state = stage.until(lambda: over(alpaca), "the end of the flood")
    seconds = state["nanoseconds"] / 1e9
    return state["sent"] / seconds, (alpaca.cpu_seconds() - cpu) / seconds * 100


def over(alpaca: stage.Alpaca) -> dict[str, int]:
    state: dict[str, int] = alpaca.call("GET", "/flood")
    return {} if state["running"] else state


# --- orders ---


def orders(number: int) -> list[Figure]:
    """CPU of the simulator for an order, and for a quote beside them, at the beginning and at the end of a long run."""
    with stage.Alpaca() as alpaca:
        alpaca.quote([(WATCHED, stage.Decimal(0))])
        costs = [segment(alpaca, begin) for begin in range(0, number, SEGMENT)]
        beside = quote_cost(alpaca)
    with stage.Alpaca() as alpaca:
        alpaca.quote([(WATCHED, stage.Decimal(0))])
        segment(alpaca, 0, 10)
        alone = quote_cost(alpaca)
    return [
        Figure(f"an order, the last 1,000 of {number:,} beside the first", "ms", (costs[0],), (costs[-1],), 1.2),
        Figure(f"a quote, beside {number:,} open orders and 10", "ms", (alone,), (beside,), 1.2),
    ]


def segment(alpaca: stage.Alpaca, begin: int, number: int = SEGMENT) -> float:
    """Milliseconds of the simulator's CPU for one of so many orders that rest."""
    place = urlsplit(alpaca.environment["APCA_API_BASE_URL"])
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    keys = {
        "APCA-API-KEY-ID": alpaca.environment["APCA_API_KEY_ID"],
        "APCA-API-SECRET-KEY": alpaca.environment["APCA_API_SECRET_KEY"],
    }
    before = alpaca.cpu_seconds()
    for count in range(begin, begin + number):
        body = {"symbol": WATCHED, "qty": "1", "side": "buy", "type": "limit", "time_in_force": "gtc"}
        body |= {"limit_price": f"{20 + count % 50}", "client_order_id": f"bench-{count}"}
        connection.request("POST", "/v2/orders", json.dumps(body), keys)
        answer = connection.getresponse()
        if answer.read() and answer.status != 200:
            raise RuntimeError(f"order {count}: {answer.status}")
    connection.close()
    return (alpaca.cpu_seconds() - before) / number * 1000


def quote_cost(alpaca: stage.Alpaca) -> float:
    """Milliseconds of the simulator's CPU for a quote that triggers nothing."""
    quotes = [stage.price(WATCHED, stage.Decimal(0))] * 5_000
    before = alpaca.cpu_seconds()
    for _ in range(20):
        alpaca.call("POST", "/quote", quotes)
    return (alpaca.cpu_seconds() - before) / 100_000 * 1000


if __name__ == "__main__":
    raise SystemExit(main())
