"""The supervisor of both websockets, over real sockets: whatever the exchange does, the streams come back."""

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any, TypeVar

import msgpack
import pytest
from aiohttp import web

from dcabot.adapters import link, wire
from dcabot.adapters.config import load
from dcabot.adapters.streams import Feed, Streams
from dcabot.simulator import Simulator
from tests.adapters.scripted import HANG, Scripted, config_for
from tests.programs import PATIENCE, quickest

BTC, ETH = "BTC/USD", "ETH/USD"

T = TypeVar("T")


class Watcher:
    """Streams against a simulator, and what they told."""

    def __init__(self, alpaca: Simulator, **environ: str) -> None:
        self.alpaca = alpaca
        self.latest: dict[str, dict[str, Any]] = {}
        self.quotes = 0
        self.updates: list[dict[str, Any]] = []
        self.connected: list[Feed] = []
        config = load({"exchange"}, {**alpaca.env(), **environ})
        self.streams = Streams(config, self._on_quote, self.updates.append, self.connected.append)

    def _on_quote(self, raw: dict[str, Any]) -> None:
        self.latest[raw["S"]] = raw
        self.quotes += 1

    def times(self, feed: Feed) -> int:
        return self.connected.count(feed)

    def bid(self, symbol: str) -> Decimal | None:
        return wire.quote(self.latest[symbol]).bid if symbol in self.latest else None

    def fatal(self, feed: Feed) -> str:
        return self.streams.health(feed).fatal

    def is_up(self, feed: Feed) -> bool:
        return self.streams.health(feed).connected_since is not None

    async def until_up(self, times: int = 1) -> None:
        await until(lambda: all(self.is_up(feed) and self.times(feed) >= times for feed in Feed))


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(alpaca: Simulator, *symbols: str, **environ: str) -> AsyncIterator[Watcher]:
    watcher = Watcher(alpaca, **environ)
    task = asyncio.ensure_future(watcher.streams.run(symbols))
    try:
        yield watcher
    finally:
        watcher.streams.stop()
        await asyncio.wait_for(task, PATIENCE)


def play(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(story, 2 * PATIENCE))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PAUSE_MIN", 0.05)


@pytest.fixture
def alpaca() -> Any:
    with Simulator(symbols=[BTC, ETH], partial_fills=0) as simulator:
        simulator.set_quote(BTC, "60000", "60010")
        simulator.set_quote(ETH, "3000", "3001")
        yield simulator


def buy(alpaca: Simulator, name: str = "dcabot-1") -> None:
    alpaca.foreign_order(symbol=BTC, qty="0.01", side="buy", type="market", time_in_force="gtc", client_order_id=name)


def test_quotes_and_trade_updates_arrive(alpaca: Simulator) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            alpaca.set_quote(BTC, "61000.1", "61010.2")
            await until(lambda: w.bid(BTC) == Decimal("61000.1"))
            buy(alpaca)
            await until(lambda: any(frame["data"]["event"] == "fill" for frame in w.updates))
            report = wire.trade_update(w.updates[-1])
            assert report is not None and report.filled_quantity == Decimal("0.01")
            assert ETH not in w.latest

    play(story())


def test_a_symbol_is_added_and_removed_on_the_open_socket(alpaca: Simulator) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            await w.streams.set_symbols([BTC, ETH])
            await until(lambda: _said_after(alpaca, w, ETH))
            await w.streams.set_symbols([ETH])
            while not await _is_silent(alpaca, w, BTC):
                pass
            assert w.times(Feed.QUOTES) == 1

    play(story())


MALFORMED = ["BTC-USD", "btc/usd", "BTCUSD", " ETH/USD", "ETH/USD\n", "1INCH/USD", "*", ""]


def test_a_malformed_symbol_costs_the_others_nothing(alpaca: Simulator) -> None:
    async def story() -> None:
        async with watching(alpaca, *MALFORMED, BTC) as w:
            await w.until_up()
            await until(lambda: _said_after(alpaca, w, BTC))
            await w.streams.set_symbols([*MALFORMED, BTC, ETH])
            await until(lambda: _said_after(alpaca, w, ETH))
            assert w.times(Feed.QUOTES) == 1 and not w.streams.health(Feed.QUOTES).error

    play(story())


MANY = ["BTC/USD", "ETH/USD", "SOL/USD", "DOGE/USD", "LTC/USD", "AVAX/USD"]


@pytest.mark.parametrize("room", [1, 2, 3, 5])
def test_those_that_the_plan_has_room_for_are_brought(room: int, caplog: pytest.LogCaptureFixture) -> None:
    """At the start, after a reconnection, and when the plan or the wishes change."""

    async def story() -> None:
        with Simulator(symbols=MANY, symbols_maximum=room) as alpaca:
            async with watching(alpaca, *MANY) as w:
                await w.until_up()
                await until(lambda: w.streams.without_room() == tuple(MANY[room:]))
                await until(lambda: _all_said(alpaca, w, MANY[:room]))
                assert set(w.latest) == set(MANY[:room])
                alpaca.faults.cut("data")
                await until(lambda: w.times(Feed.QUOTES) == 2)
                w.latest.clear()
                await until(lambda: _all_said(alpaca, w, MANY[:room]))
                assert set(w.latest) == set(MANY[:room])
                last_first = MANY[::-1]
                await w.streams.set_symbols(last_first)
                await until(lambda: _all_said(alpaca, w, last_first[:room]))
                await w.streams.set_symbols(MANY[:room])
                await until(lambda: _all_said(alpaca, w, MANY[:room]))
                assert w.streams.without_room() == ()
                assert w.times(Feed.QUOTES) == 2

    play(story())
    assert (
        f"has room for {room} of 6 pairs on this stream and sends no prices of {', '.join(MANY[room:])}" in caplog.text
    )


def test_one_more_than_the_plan_allows_leaves_the_others_alone() -> None:
    async def story() -> None:
        with Simulator(symbols=MANY, symbols_maximum=2) as alpaca:
            async with watching(alpaca, BTC, ETH) as w:
                await w.until_up()
                await w.streams.set_symbols([BTC, ETH, "SOL/USD"])
                await until(lambda: w.streams.without_room() == ("SOL/USD",))
                await until(lambda: _all_said(alpaca, w, [BTC, ETH]))
                assert w.times(Feed.QUOTES) == 1

    play(story())


def _all_said(alpaca: Simulator, w: Watcher, symbols: list[str]) -> bool:
    for symbol in symbols:
        alpaca.set_quote(symbol, "100", "102")
    return set(w.latest) >= set(symbols)


def _said_after(alpaca: Simulator, w: Watcher, symbol: str) -> bool:
    alpaca.set_quote(symbol, "3000", "3002")
    return symbol in w.latest


async def _is_silent(alpaca: Simulator, w: Watcher, symbol: str) -> bool:
    """Two quotes go out in order: when the other symbol's has come, this one's has not been sent."""
    w.latest.clear()
    alpaca.set_quote(symbol, "59000", "59001")
    alpaca.set_quote(ETH, "3000", "3002")
    await until(lambda: ETH in w.latest)
    return symbol not in w.latest


def test_without_symbols_no_market_data_is_asked_for_until_there_is_one(alpaca: Simulator) -> None:
    async def story() -> None:
        async with watching(alpaca) as w:
            await until(lambda: w.is_up(Feed.ORDERS))
            assert not w.is_up(Feed.QUOTES)
            await w.streams.set_symbols([BTC])
            await until(lambda: w.is_up(Feed.QUOTES))
            await w.streams.set_symbols([])
            assert not w.is_up(Feed.QUOTES)
            await w.streams.set_symbols([BTC])
            await until(lambda: w.times(Feed.QUOTES) == 2)

    play(story())


@pytest.mark.parametrize("code", [None, 1011])
def test_a_dropped_connection_comes_back_and_says_so(alpaca: Simulator, code: int | None) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            alpaca.faults.cut("trading", code)
            alpaca.faults.cut("data", code)
            await w.until_up(times=2)
            alpaca.set_quote(BTC, "62000", "62010")
            await until(lambda: w.bid(BTC) == 62000)

    play(story())


def test_a_refused_port_is_tried_again(alpaca: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        alpaca.faults.refuse_connections()
        async with watching(alpaca, BTC) as w:
            await until(lambda: all("no connection" in w.streams.health(feed).error for feed in Feed))
            alpaca.faults.refuse_connections(False)
            await w.until_up()

    play(story())
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("status", [429, 503])
def test_an_upgrade_that_is_refused_is_tried_again(alpaca: Simulator, status: int) -> None:
    async def story() -> None:
        for name in ("trading", "data"):
            alpaca.faults.refuse_upgrade(name, status)
        async with watching(alpaca, BTC) as w:
            await until(lambda: all(f"HTTP {status}" in w.streams.health(feed).error for feed in Feed))
            assert not any(w.fatal(feed) for feed in Feed)
            for name in ("trading", "data"):
                alpaca.faults.accept_upgrade(name)
            await w.until_up()

    play(story())


@pytest.mark.parametrize("status", [401, 403])
def test_an_upgrade_that_is_forbidden_is_fatal_until_it_is_mended(alpaca: Simulator, status: int) -> None:
    async def story() -> None:
        for name in ("trading", "data"):
            alpaca.faults.refuse_upgrade(name, status)
        async with watching(alpaca, BTC) as w:
            await until(lambda: all(f"HTTP {status}" in w.fatal(feed) for feed in Feed))
            for name in ("trading", "data"):
                alpaca.faults.accept_upgrade(name)
            await w.until_up()
            assert not any(w.fatal(feed) for feed in Feed)

    play(story())


def test_a_peer_that_is_gone_without_a_word_is_given_up(alpaca: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PING_SECONDS", 0.2)
    monkeypatch.setattr(link, "PONG_SECONDS", 0.3)

    async def story() -> None:
        flows = asyncio.Event()
        flows.set()
        async with _line_to(alpaca, flows) as url:
            stream_url = url.replace("http", "ws") + "/v1beta3/crypto/us"
            async with watching(alpaca, BTC, APCA_API_BASE_URL=url, APCA_API_STREAM_URL=stream_url) as w:
                await w.until_up()
                flows.clear()
                await until(lambda: all("connection lost" in w.streams.health(feed).error for feed in Feed))
                flows.set()
                await w.until_up(times=2)

    play(story())


@asynccontextmanager
async def _line_to(alpaca: Simulator, flows: asyncio.Event) -> AsyncIterator[str]:
    """Another address of the simulator: a line whose ends stay open while nothing flows."""
    host, port = alpaca.url.removeprefix("http://").split(":")
    ends: set[asyncio.Task[None]] = set()

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await flows.wait()
                target.write(data)
        target.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        ends.update(
            (asyncio.ensure_future(carry(reader, far_writer)), asyncio.ensure_future(carry(far_reader, writer)))
        )

    server = await asyncio.start_server(join, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def test_wrong_keys_are_fatal_on_both_streams_and_never_printed(
    alpaca: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC, APCA_API_SECRET_KEY="not-the-secret") as w:
            await until(lambda: all("refused" in w.fatal(feed) for feed in Feed))

    with caplog.at_level(logging.DEBUG):
        play(story())
    assert "secret" not in caplog.text


def test_a_login_that_hangs_is_given_up(alpaca: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LOGIN_SECONDS", 0.3)

    async def story() -> None:
        for name in ("trading", "data"):
            alpaca.faults.hang_in_login(name)
        async with watching(alpaca, BTC) as w:
            await until(lambda: all("no answer to the login" in w.streams.health(feed).error for feed in Feed))
            for name in ("trading", "data"):
                alpaca.faults.hang_in_login(name, False)
            await w.until_up()

    play(story())


def test_stopping_takes_less_than_a_second_even_in_a_hanging_login(alpaca: Simulator) -> None:
    async def story() -> float:
        for name in ("trading", "data"):
            alpaca.faults.hang_in_login(name)
        watcher = Watcher(alpaca)
        links = watcher.streams._links.values()
        return await _stop_when(watcher, lambda: all(one.stream._ws is not None for one in links))

    assert quickest(lambda: play(story()), 1) < 1


def test_stopping_takes_less_than_a_second_even_when_the_upgrade_is_never_answered() -> None:
    async def story() -> float:
        with Scripted(HANG) as nobody:
            streams = Streams(config_for(nobody.url), print, print, print)
            task = asyncio.ensure_future(streams.run([BTC]))
            await until(lambda: len(nobody.requests) == 2)
            began = time.monotonic()
            streams.stop()
            await task
            return time.monotonic() - began

    assert quickest(lambda: play(story()), 1) < 1


def test_stopping_takes_less_than_a_second_even_in_a_flood(alpaca: Simulator) -> None:
    """Python 3.11's wait_for forgets a cancel when the next message is there already, which in a flood it is."""

    async def story() -> float:
        watcher = Watcher(alpaca)
        _post(alpaca.url + "/_sim/flood", {"symbols": [BTC, ETH], "seconds": 600})
        taken = await _stop_when(watcher, lambda: watcher.quotes > 5_000)
        assert len(asyncio.all_tasks()) <= 2  # this one and its wait_for
        return taken

    assert quickest(lambda: play(story()), 1) < 1


def _post(url: str, body: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).close()


async def _stop_when(watcher: Watcher, condition: Callable[[], object]) -> float:
    """The seconds that stopping takes."""
    task = asyncio.ensure_future(watcher.streams.run([BTC]))
    await until(condition)
    began = time.monotonic()
    watcher.streams.stop()
    await task
    return time.monotonic() - began


def test_stopping_a_healthy_stream_frees_the_accounts_slot_at_once(alpaca: Simulator) -> None:
    async def story() -> float:
        async with watching(alpaca, BTC) as first:
            await first.until_up()
        began = time.monotonic()
        async with watching(alpaca, BTC) as second:
            await second.until_up()
            return time.monotonic() - began

    assert quickest(lambda: play(story()), 1) < 1


def test_a_cancelled_run_closes_both_sockets(alpaca: Simulator) -> None:
    async def story() -> None:
        watcher = Watcher(alpaca)
        task = asyncio.ensure_future(watcher.streams.run([BTC]))
        await watcher.until_up()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) <= 2  # this one and its wait_for

    play(story())


def test_a_second_connection_waits_for_the_slot(alpaca: Simulator) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as first:
            await first.until_up()
            async with watching(alpaca, BTC) as second:
                await until(lambda: "HTTP 429" in second.streams.health(Feed.ORDERS).error)
                await until(lambda: "connection limit" in second.streams.health(Feed.QUOTES).error)
                first.streams.stop()
                await second.until_up()

    play(story())


NONSENSE = [
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b'{"stream":"trade_updates"}',
    b'{"stream":"trade_updates","data":null}',
]


def test_nonsense_on_the_trading_stream_costs_only_itself(alpaca: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            for payload in [*NONSENSE, b"\xff\xfe"]:
                alpaca.faults.send_raw("trading", payload)
            buy(alpaca)
            await until(lambda: any(f.get("data") and f["data"]["event"] == "fill" for f in w.updates))
            assert w.times(Feed.ORDERS) == 1

    play(story())
    assert "Traceback" not in caplog.text
    assert "a message could not be used" in caplog.text


def test_nonsense_on_the_data_stream_costs_only_itself(alpaca: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            for payload in (b"\xc1", b"\x80", b"\x91\x01", b"\xc0", b"\x91\x80", b"\x91\x81\xa1T\xa1q"):
                alpaca.faults.send_raw("data", payload)
            alpaca.faults.send_raw("data", '[{"T":"q"}]', is_binary=False)
            alpaca.set_quote(BTC, "63000", "63010")
            await until(lambda: w.bid(BTC) == 63000)
            assert w.times(Feed.QUOTES) == 1

    play(story())
    assert "Traceback" not in caplog.text


def test_a_quote_without_a_usable_symbol_costs_none_of_its_frame(alpaca: Simulator) -> None:
    """alpaca-py gives up the rest of a frame in which a handler fails (alpaca.md 1.9)."""

    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            good = {"T": "q", "S": BTC, "bp": 63000, "ap": 63010, "t": msgpack.Timestamp(1_763_833_501)}
            alpaca.faults.send_raw("data", _packed([{"T": "q", "S": [BTC], "bp": 1, "ap": 2}, {"T": "q"}, good]))
            await until(lambda: w.bid(BTC) == 63000)
            assert "could not be used" in w.streams.health(Feed.QUOTES).error

    play(story())


def test_the_same_complaint_about_messages_is_said_once(alpaca: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            for _ in range(50):
                alpaca.faults.send_raw("trading", b"{")
            buy(alpaca)
            await until(lambda: w.updates)

    play(story())
    assert caplog.text.count("could not be used") == 1


def test_a_failing_handler_stops_nothing(alpaca: Simulator) -> None:
    async def story() -> None:
        watcher = Watcher(alpaca)
        seen = []

        def clumsy(raw: dict[str, Any]) -> None:
            seen.append(raw)
            raise KeyError("handler")

        config = load({"exchange"}, alpaca.env())
        streams = Streams(config, clumsy, clumsy, watcher.connected.append)
        task = asyncio.ensure_future(streams.run([BTC]))
        await until(lambda: len(watcher.connected) == 2)
        alpaca.set_quote(BTC, "63000", "63010")
        buy(alpaca)
        await until(lambda: len(seen) >= 4)
        assert "KeyError" in streams.health(Feed.ORDERS).error
        streams.stop()
        await task

    play(story())


def test_an_error_that_ends_alpaca_pys_loop_does_not_end_ours(caplog: pytest.LogCaptureFixture) -> None:
    """Without a word `_run_forever` returns on this one (alpaca.md 1.9)."""

    async def refuse(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_bytes(_packed([{"T": "success", "msg": "connected"}]))
        await socket.receive()
        await socket.send_bytes(_packed([{"T": "error", "code": 409, "msg": "insufficient subscription"}]))
        logins.append(request)
        return socket

    logins: list[web.Request] = []

    async def story() -> None:
        app = web.Application()
        app.add_routes([web.get("/v1beta3/crypto/us", refuse)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        streams = Streams(config_for(f"http://127.0.0.1:{runner.addresses[0][1]}"), print, print, print)
        task = asyncio.ensure_future(streams.run([BTC]))
        await until(lambda: len(logins) >= 3)
        assert "insufficient subscription" in streams.health(Feed.QUOTES).fatal
        streams.stop()
        await task
        await runner.cleanup()

    play(story())
    assert caplog.text.count("insufficient subscription") == 1


def test_an_error_after_the_subscription_is_noticed_and_named(alpaca: Simulator) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            error = {"T": "error", "code": 409, "msg": "insufficient subscription"}
            alpaca.faults.send_raw("data", _packed([error]))
            await until(lambda: "insufficient subscription (409)" in w.fatal(Feed.QUOTES))
            assert w.is_up(Feed.QUOTES)

    play(story())


def test_a_plan_without_room_for_one_symbol_is_a_fatal_trouble() -> None:
    async def story(alpaca: Simulator) -> None:
        async with watching(alpaca, BTC, ETH) as w:
            await until(lambda: "symbol limit" in w.fatal(Feed.QUOTES))
            assert not w.is_up(Feed.QUOTES)

    with Simulator(symbols=[BTC, ETH], symbols_maximum=0) as alpaca:
        play(story(alpaca))


def test_a_recycled_stream_is_replaced_at_once(alpaca: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            alpaca.faults.mute("data")
            await w.streams.recycle(Feed.QUOTES, "the socket is mute")
            alpaca.faults.mute("data", False)
            await until(lambda: w.times(Feed.QUOTES) == 2)

    with caplog.at_level(logging.INFO, "dcabot"):
        play(story())
    assert "market data: reconnecting: the socket is mute" in caplog.text
    assert "connection lost" not in caplog.text


def test_a_recycled_stream_that_does_not_come_back_says_why(
    alpaca: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            alpaca.faults.refuse_upgrade("data", 503)
            await w.streams.recycle(Feed.QUOTES, "the socket is mute")
            await until(lambda: "HTTP 503" in w.streams.health(Feed.QUOTES).error)
            alpaca.faults.accept_upgrade("data")
            await w.until_up()

    with caplog.at_level(logging.INFO, "dcabot"):
        play(story())
    assert caplog.text.count("refused with HTTP 503") == 1
    assert "connected again" in caplog.text


def test_a_loss_after_a_renewal_that_met_a_login_is_no_planned_one(
    alpaca: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "LOGIN_SECONDS", 0.5)

    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await w.until_up()
            alpaca.faults.hang_in_login("data")
            alpaca.faults.cut("data")
            quotes = w.streams._links[Feed.QUOTES].stream
            await until(lambda: not w.is_up(Feed.QUOTES) and quotes._ws is not None)
            await w.streams.recycle(Feed.QUOTES, "it was mute when somebody asked")
            alpaca.faults.hang_in_login("data", False)
            await w.until_up()
            alpaca.faults.cut("data", 1011)
            await until(lambda: "connection lost (code 1011)" in w.streams.health(Feed.QUOTES).error)

    play(story())


def test_the_trading_stream_is_renewed_now_and_then_without_noise(
    alpaca: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dcabot.adapters.streams.RECYCLE_SECONDS", 1.0)
    caplog.set_level(logging.INFO, "dcabot")

    async def story() -> None:
        async with watching(alpaca, BTC) as w:
            await until(lambda: w.times(Feed.ORDERS) >= 2)
            assert w.times(Feed.QUOTES) == 1

    play(story())
    assert caplog.text.count("trade updates") == 1


def test_pauses_grow_while_it_fails_and_start_anew_after_a_steady_connection() -> None:
    def pauses(one: link.Link, count: int) -> list[float]:
        return [one.delay() for _ in range(count)]

    now = [0.0]
    one = link.Link(Feed.ORDERS, lambda feed: None, lambda: now[0])
    one.stream = type("Closed", (), {"_ws": type("Socket", (), {"close_code": 1006})})()
    grown = pauses(one, 12)
    assert grown[0] <= 0.05 < grown[5] and 15 <= grown[-1] <= 30

    async def a_steady_connection() -> None:
        await one.log_in(lambda: asyncio.sleep(0))
        one.confirmed()
        now[0] += link.STEADY_SECONDS
        one.closed()

    asyncio.run(a_steady_connection())
    assert one.delay() <= 0.05


def _packed(messages: list[dict[str, Any]]) -> bytes:
    return msgpack.packb(messages)
