"""A simulator whose prices are another simulator's: the whole way, over real sockets."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import requests

from dcabot import mirror
from dcabot.adapters.config import ConfigError
from dcabot.adapters.latest_quotes import LatestQuotes
from dcabot.mirror import Mirror
from dcabot.simulator import Simulator
from dcabot.simulator.clock import EPOCH, SECOND
from tests.programs import PATIENCE, until
from tests.simulator.conftest import SYMBOLS, make_alpaca

BTC, ETH = SYMBOLS
LogCapture, MonkeyPatch = pytest.LogCaptureFixture, pytest.MonkeyPatch
LATEST = "/v1beta3/crypto/us/latest/quotes"


@pytest.fixture(autouse=True)
def often(monkeypatch: MonkeyPatch, caplog: LogCapture) -> None:
    monkeypatch.setattr(mirror, "PAUSE_SECONDS", 0.2)
    caplog.set_level(logging.INFO)


@pytest.fixture
def upstream() -> Iterator[Simulator]:
    with another_alpaca() as upstream:
        yield upstream


@contextmanager
def another_alpaca(**options: object) -> Iterator[Simulator]:
    """The one that is mirrored."""
    with make_alpaca(data_rate_limit=None, **options) as upstream:
        upstream.set_quote(BTC, "60000", "60010")
        upstream.set_quote(ETH, "3000", "3001")
        yield upstream


@contextmanager
def mirroring(
    upstream: Simulator,
    symbols: tuple[str, ...] = SYMBOLS,
    **keys: str,
) -> Iterator[Simulator]:
    """The dry run under test."""
    prices = Mirror(upstream.url, environ=keys)
    with make_alpaca(symbols=symbols, mirror=prices, data_rate_limit=None) as alpaca:
        yield alpaca


def keys_of(upstream: Simulator) -> dict[str, str]:
    return {"DCABOT_MIRROR_KEY_ID": upstream.key, "DCABOT_MIRROR_SECRET_KEY": upstream.secret}


def served(alpaca: Simulator, symbol: str = BTC) -> dict[str, Any]:
    """The latest quote over REST, if there is one."""
    found = requests.get(alpaca.url + LATEST, {"symbols": symbol}, timeout=PATIENCE).json()
    quote: dict[str, Any] = found["quotes"].get(symbol, {})
    return quote


def obstacle(alpaca: Simulator, symbol: str = BTC) -> str | None:
    """Why nothing fills, as GET /_sim tells it."""
    state = requests.get(f"{alpaca.url}/_sim", timeout=PATIENCE).json()["mirror"]
    why: str | None = state["pairs"][symbol]["nothing_fills"]
    return why


def until_fills(alpaca: Simulator, symbol: str = BTC) -> None:
    until(lambda: obstacle(alpaca, symbol) is None, f"a price of now for {symbol}")


def until_stuck(alpaca: Simulator, words: str, symbol: str = BTC) -> None:
    until(lambda: words in (obstacle(alpaca, symbol) or ""), words)


def buy(alpaca: Simulator, symbol: str = BTC, **changes: str) -> str:
    body = {"symbol": symbol, "qty": "0.01", "side": "buy", "type": "market"}
    return alpaca.foreign_order(**{**body, "time_in_force": "gtc", **changes})


def until_price(alpaca: Simulator, bid: int, symbol: str = BTC) -> None:
    until(lambda: served(alpaca, symbol).get("bp") == bid, f"the bid {bid}")


def order(alpaca: Simulator, order_id: str) -> dict[str, Any]:
    return next(one for one in alpaca.orders() if one["id"] == order_id)


def until_is(alpaca: Simulator, order_id: str, status: str) -> dict[str, Any]:
    until(lambda: order(alpaca, order_id)["status"] == status, f"an order that is {status}")
    return order(alpaca, order_id)


def waits(alpaca: Simulator) -> str:
    """An order that does not fill, though a market order usually does within milliseconds."""
    order_id = buy(alpaca)
    until_is(alpaca, order_id, "new")
    return order_id


def said(caplog: LogCapture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


def test_prices_come_with_their_own_time(upstream: Simulator) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        for name in ("bp", "ap", "t"):
            assert served(alpaca)[name] == served(upstream)[name]
        upstream.set_quote(BTC, "61000", "61010")
        until_price(alpaca, 61_000)


def test_money_and_fills_stay_here(upstream: Simulator) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        filled = until_is(alpaca, buy(alpaca), "filled")
        assert filled["filled_avg_price"] == "60010"
        assert [one["symbol"] for one in alpaca.positions()] == ["BTCUSD"]
        assert Decimal(alpaca.account()["cash"]) < 100_000
    assert upstream.orders() == upstream.positions() == []


def test_a_resting_order_fills_when_the_price_comes(upstream: Simulator) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        order_id = buy(alpaca, type="limit", limit_price="59000")
        until_is(alpaca, order_id, "new")
        upstream.set_quote(BTC, "58900", "58910")
        assert until_is(alpaca, order_id, "filled")["filled_avg_price"] == "59000"


def test_subscribers_hear_each_price_once(upstream: Simulator) -> None:
    from tests.simulator.raw import data, hear, log_in, say

    with mirroring(upstream) as alpaca, data(alpaca) as stream:
        until_fills(alpaca)
        hear(stream)
        log_in(alpaca, stream)
        say(stream, action="subscribe", quotes=[BTC])
        hear(stream)
        asked = len(upstream.journal.entries("request"))
        until(lambda: len(upstream.journal.entries("request")) > asked + 2, "more questions")
        upstream.set_quote(BTC, "61000", "61010")
        assert hear(stream)[0]["ap"] == 61010


def test_a_pair_without_a_quote_is_said_once(upstream: Simulator, caplog: LogCapture) -> None:
    with mirroring(upstream, (*SYMBOLS, "SOL/USD", "X1/USD")) as alpaca:
        until_fills(alpaca)
        asked = len(upstream.journal.entries("request"))
        until(lambda: len(upstream.journal.entries("request")) > asked + 2, "more questions")
        assert said(caplog, "SOL/USD, X1/USD: ") == 1
        assert served(alpaca, "SOL/USD") == {}
        with pytest.raises(ValueError, match="has no price yet"):
            buy(alpaca, "SOL/USD")
        until_is(alpaca, buy(alpaca), "filled")  # it is in nobody's way


def rows(table: list[Any]) -> list[Any]:
    """Parameters, each with its name in the first column."""
    return [pytest.param(*row[1:], id=row[0]) for row in table]


AWAY = [
    ("nobody listens", lambda it: it.refuse_connections(), "no connection to"),
    ("500", lambda it: it.respond(500, {"message": "oops"}, times=None), "HTTP 500: oops"),
    ("429", lambda it: it.respond(429, {"message": "too many"}, times=None), "HTTP 429"),
    ("403", lambda it: it.respond(403, {"message": "forbidden."}, times=None), "asks for API keys"),
    ("403 of a gateway", lambda it: it.respond(403, "<html>", times=None), "HTTP 403"),
    ("no JSON", lambda it: it.respond(200, "<html>hello", times=None), "not JSON"),
    ("another JSON", lambda it: it.respond(200, [1, {"a": None}], times=None), "not understood"),
    ("null", lambda it: it.respond(200, {"quotes": None}, times=None), "not understood"),
    ("cut off", lambda it: it.lose_response(times=None), "broke before the answer"),
    ("maintenance", lambda it: it.maintenance(), "HTTP 503"),
]


@pytest.mark.parametrize(("spoil", "words"), rows(AWAY))
def test_an_outage_is_said_once_and_waited_for(
    upstream: Simulator,
    caplog: LogCapture,
    monkeypatch: MonkeyPatch,
    spoil: Any,
    words: str,
) -> None:
    # One question that fails is enough, however long an answer may speak for the price.
    monkeypatch.setattr("dcabot.core.quotes.REST_SPEAKS_FOR", timedelta(hours=1))
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        before = served(alpaca)
        spoil(upstream.faults)
        until_stuck(alpaca, words)
        order_id = waits(alpaca)
        assert served(alpaca) == before  # with its true time
        upstream.faults.refuse_connections(False)
        upstream.faults.clear()
        until_fills(alpaca)
        assert until_is(alpaca, order_id, "filled")["filled_avg_price"] == "60010"
    assert said(caplog, "nothing fills until it does") == 1
    assert said(caplog, "gives prices again") == 1
    assert said(caplog, words) >= 1


def test_an_outage_at_the_start_is_waited_for(upstream: Simulator) -> None:
    upstream.faults.respond(500, "down", times=None)
    with mirroring(upstream) as alpaca:
        until_stuck(alpaca, "HTTP 500")
        assert served(alpaca) == {}
        upstream.faults.clear()
        until_fills(alpaca)


def test_an_answer_that_hangs_confirms_nothing(
    upstream: Simulator,
    monkeypatch: MonkeyPatch,
) -> None:
    monkeypatch.setattr("dcabot.core.quotes.REST_SPEAKS_FOR", timedelta(seconds=1))
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        hung = upstream.faults.hold()
        until_stuck(alpaca, "does not confirm")
        order_id = waits(alpaca)
        hung.release()
        until_is(alpaca, order_id, "filled")
        upstream.faults.hold()  # and the end does not wait for it


def test_a_slow_answer_is_said(
    upstream: Simulator,
    caplog: LogCapture,
    monkeypatch: MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror, "SLOW_SECONDS", 0.3)
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        hung = upstream.faults.hold()
        until(lambda: said(caplog, "to answer; nothing fills at a price that was"), "word of it")
        hung.release()
        until(lambda: said(caplog, "answers in time again"), "the end of it")
        begun = said(caplog, "to answer; nothing fills at a price that was")
        assert begun - said(caplog, "answers in time again") in (0, 1)


NONSENSE = [
    ("crossed", ("60010", "60000"), "the bid is above the ask"),
    ("zero", ("0", "60010"), "a price of zero"),
    ("negative", ("-1", "60010"), "a price of zero or below"),
    ("far off", ("120000", "120020"), "the price jumped"),
]


@pytest.mark.parametrize(("prices", "words"), rows(NONSENSE))
def test_nonsense_is_named_and_not_believed(
    upstream: Simulator, caplog: LogCapture, prices: tuple[str, str], words: str
) -> None:
    """The venue does not take in a crossed price, so REST's answer is made up."""
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        before = served(alpaca)
        at = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        row = {"t": at, "bp": float(prices[0]), "ap": float(prices[1]), "bs": 1, "as": 1}
        other = served(upstream, ETH)
        body = {"quotes": {BTC: row, ETH: other}}
        lie = upstream.faults.respond(200, body, path=LATEST, times=None)
        until_stuck(alpaca, words)
        order_id = waits(alpaca)
        assert served(alpaca) == before
        until_is(alpaca, buy(alpaca, ETH), "filled")  # the other pair goes on
        lie.stop()
        upstream.set_quote(BTC, "60001", "60011")
        assert until_is(alpaca, order_id, "filled")["filled_avg_price"] == "60011"
    assert said(caplog, words) == 2  # once for the pair, once for the order
    assert said(caplog, "BTC/USD: a good quote came") == 1


ROWS: list[Any] = [None, [], "x", {}]
ROWS += [{"t": "soon", "bp": 1, "ap": 2}, {"t": None, "bp": "a", "ap": 2}]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_that_is_no_quote_costs_its_pair_only(upstream: Simulator, row: Any) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        body = {"quotes": {BTC: row, ETH: served(upstream, ETH)}}
        upstream.faults.respond(200, body, path=LATEST, times=None)
        until_stuck(alpaca, "not understood")
        waits(alpaca)
        until_is(alpaca, buy(alpaca, ETH), "filled")


@pytest.mark.parametrize("minutes", [-2, 2])
def test_nothing_fills_at_a_time_that_is_not_now(upstream: Simulator, minutes: int) -> None:
    at = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    upstream.set_quote(BTC, "60000", "60010", at)
    with mirroring(upstream) as alpaca:
        until_fills(alpaca, ETH)
        if minutes < 0:
            assert served(alpaca)["t"] == served(upstream)["t"]
            order_id = waits(alpaca)
            gone = until_is(alpaca, buy(alpaca, time_in_force="ioc"), "canceled")
            assert gone["filled_qty"] == "0"
            upstream.set_quote(BTC, "60001", "60011")
            assert until_is(alpaca, order_id, "filled")["filled_avg_price"] == "60011"
        else:
            assert "still to come" in (obstacle(alpaca) or "")
            assert served(alpaca) == {}


def test_prices_that_stand_still_are_said_once(upstream: Simulator, caplog: LogCapture) -> None:
    long_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    for symbol, bid in ((BTC, "60000"), (ETH, "3000")):
        upstream.set_quote(symbol, bid, bid, long_ago)
    with mirroring(upstream) as alpaca:
        until_stuck(alpaca, "s old by this machine's clock")
        upstream.set_quote(BTC, "60000", "60010")
        until_fills(alpaca)
        assert "s old" in (obstacle(alpaca, ETH) or "")
    assert (said(caplog, "no quote is of now"), said(caplog, "young quotes again")) == (1, 1)


def test_a_price_that_stands_still_grows_too_old(upstream: Simulator) -> None:
    with make_alpaca(mirror=Mirror(upstream.url, Decimal("0.5"), {})) as alpaca:
        until(lambda: served(alpaca), "a price")
        until_stuck(alpaca, "s old")
        order_id = waits(alpaca)
        upstream.set_quote(BTC, "60001", "60011")
        assert until_is(alpaca, order_id, "filled")["filled_avg_price"] == "60011"


def test_a_jump_is_believed_once_others_agree() -> None:
    now = datetime.now(timezone.utc)
    with make_alpaca(data_rate_limit=None) as upstream:
        upstream.set_quote(BTC, "60000", "60010", now - timedelta(seconds=30))
        with mirroring(upstream) as alpaca:
            until_price(alpaca, 60_000)
            upstream.set_quote(BTC, "120000", "120010", now - timedelta(seconds=20))
            until_stuck(alpaca, "the price jumped")
            assert served(alpaca)["bp"] == 60_000
            upstream.set_quote(BTC, "120500", "120510", now - timedelta(seconds=5))
            until_price(alpaca, 120_500)
            until_is(alpaca, buy(alpaca), "filled")


def test_an_older_quote_changes_nothing(upstream: Simulator) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        before = served(alpaca)
        earlier = datetime.now(timezone.utc) - timedelta(seconds=30)
        upstream.set_quote(BTC, "50000", "50010", earlier)
        until_stuck(alpaca, "does not confirm")
        assert served(alpaca) == before
        waits(alpaca)


def test_a_stop_is_not_set_off_by_an_old_price(upstream: Simulator) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        upstream.faults.respond(500, times=None)
        until_stuck(alpaca, "HTTP 500")
        stop = {"type": "stop_limit", "stop_price": "50000", "limit_price": "70000"}
        order_id = buy(alpaca, **stop)
        until_is(alpaca, order_id, "new")
        upstream.faults.clear()
        until_is(alpaca, order_id, "filled")


def test_held_prices_are_held_here_too(upstream: Simulator) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        alpaca.faults.hold_prices(symbol=BTC)
        upstream.set_quote(BTC, "61000", "61010")
        upstream.set_quote(ETH, "3100", "3101")
        until(lambda: served(alpaca, ETH)["ap"] == 3101, "the other pair's price")
        assert served(alpaca)["ap"] == 60010
        order_id = waits(alpaca)
        alpaca.faults.hold_prices(False)
        assert until_is(alpaca, order_id, "filled")["filled_avg_price"] == "61010"


# The stream


def until_streaming(alpaca: Simulator) -> None:
    def is_up() -> bool:
        state = requests.get(f"{alpaca.url}/_sim", timeout=PATIENCE).json()
        return state["mirror"]["stream"] is True

    until(is_up, "the stream")


def test_with_keys_the_stream_brings_the_prices(upstream: Simulator) -> None:
    with mirroring(upstream, **keys_of(upstream)) as alpaca:
        until_streaming(alpaca)
        asked = len(upstream.journal.entries("request"))
        for price in range(61_000, 61_020):
            upstream.set_quote(BTC, price, price + 1)
            until_price(alpaca, price)
        until_is(alpaca, buy(alpaca), "filled")
        assert len(upstream.journal.entries("request")) <= asked + 3
    streams = {entry["stream"] for entry in upstream.journal.entries("stream")}
    assert streams == {"data"}  # nobody listens to the account's orders


def test_rest_stands_in_for_the_stream(upstream: Simulator, caplog: LogCapture) -> None:
    with mirroring(upstream, **keys_of(upstream)) as alpaca:
        until_streaming(alpaca)
        upstream.faults.refuse_upgrade("data", 503)
        upstream.faults.cut("data")
        upstream.set_quote(BTC, "61000", "61010")
        until_price(alpaca, 61_000)
        until_is(alpaca, buy(alpaca), "filled")
        upstream.faults.accept_upgrade("data")
        until_streaming(alpaca)
    assert said(caplog, "market data: connected again") == 1


def test_a_gap_in_the_stream_is_no_price_of_now(
    upstream: Simulator,
    caplog: LogCapture,
    monkeypatch: MonkeyPatch,
) -> None:
    with mirroring(upstream, **keys_of(upstream)) as alpaca:
        until_streaming(alpaca)
        upstream.set_quote(BTC, "60001", "60011", datetime.now(timezone.utc))
        until_price(alpaca, 60_001)
        monkeypatch.setattr(mirror, "PAUSE_SECONDS", 3600)
        monkeypatch.setattr("dcabot.core.quotes.REST_SPEAKS_FOR", timedelta())
        assert obstacle(alpaca) is None
        upstream.faults.cut("data")
        until(lambda: said(caplog, "market data: connected again"), "the end of the gap")
        until_stuck(alpaca, "does not confirm")
        upstream.set_quote(BTC, "60002", "60012")
        until_fills(alpaca)


def test_without_both_nothing_fills(upstream: Simulator) -> None:
    with mirroring(upstream, **keys_of(upstream)) as alpaca:
        until_streaming(alpaca)
        upstream.faults.refuse_connections()
        until_stuck(alpaca, "no connection")
        order_id = waits(alpaca)
        upstream.faults.refuse_connections(False)
        until_is(alpaca, order_id, "filled")


def test_the_stream_goes_on_without_rest(
    upstream: Simulator,
    caplog: LogCapture,
    monkeypatch: MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror, "BESIDE_STREAM_SECONDS", 0.2)
    with mirroring(upstream, **keys_of(upstream)) as alpaca:
        until_streaming(alpaca)
        upstream.set_quote(BTC, "60001", "60011")
        upstream.faults.respond(500, times=None)
        until(lambda: said(caplog, "its stream goes on"), "word of it")
        upstream.set_quote(BTC, "61000", "61010")
        until_price(alpaca, 61_000)
        until_is(alpaca, buy(alpaca), "filled")


def test_a_mute_stream_is_opened_anew(
    upstream: Simulator,
    caplog: LogCapture,
    monkeypatch: MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror, "BESIDE_STREAM_SECONDS", 0.2)
    monkeypatch.setattr(mirror, "MUTE_SECONDS", 0.1)
    with mirroring(upstream, **keys_of(upstream)) as alpaca:
        until_streaming(alpaca)
        upstream.set_quote(BTC, "60001", "60011")
        until(lambda: served(alpaca)["ap"] == 60011, "a price by the stream")
        upstream.faults.mute("data")
        # The first news may come before the silence was long enough: later ones count too.
        for price in range(61_000, 62_000):
            upstream.set_quote(BTC, price, price + 10)
            until_price(alpaca, price)
            if said(caplog, "while REST has news"):
                return
        raise AssertionError("the mute stream was not opened anew")


def test_a_stream_without_room_is_filled_up() -> None:
    with (
        another_alpaca(symbols_maximum=1) as upstream,
        mirroring(upstream, **keys_of(upstream)) as alpaca,
    ):
        until_streaming(alpaca)
        for step in range(3):
            for symbol, price in ((BTC, 60_000 + step), (ETH, 3_000 + step)):
                upstream.set_quote(symbol, price, price + 1)
                until_price(alpaca, price, symbol)
                until_is(alpaca, buy(alpaca, symbol), "filled")


def test_a_frame_of_nonsense_stops_its_pair(upstream: Simulator) -> None:
    with mirroring(upstream, **keys_of(upstream)) as alpaca:
        until_streaming(alpaca)
        upstream.set_quote(BTC, "60010", "60000")
        until_stuck(alpaca, "the bid is above the ask")
        order_id = waits(alpaca)
        upstream.set_quote(BTC, "60001", "60011")
        assert until_is(alpaca, order_id, "filled")["filled_avg_price"] == "60011"


def test_keys_are_never_printed(upstream: Simulator, caplog: LogCapture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = {"DCABOT_MIRROR_KEY_ID": "WRONGKEY", "DCABOT_MIRROR_SECRET_KEY": "wrong-secret"}
    with mirroring(upstream, **keys) as alpaca:
        until(lambda: said(caplog, "the login was refused"), "a refusal")
        until_is(alpaca, buy(alpaca), "filled")  # by REST, which asks for no keys there
    assert not said(caplog, "WRONGKEY") and not said(caplog, "wrong-secret")


# What cannot be


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_nobody_expects_ends_it(
    upstream: Simulator,
    monkeypatch: MonkeyPatch,
) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        monkeypatch.setattr(LatestQuotes, "of", lambda *_: 1 // 0)
        until(lambda: alpaca.price_error, "its end")
        assert "ZeroDivisionError" in str(alpaca.price_error)


def test_prices_and_time_are_the_mirrors_alone(upstream: Simulator) -> None:
    with mirroring(upstream) as alpaca:
        with pytest.raises(ValueError, match="no price can be set by hand"):
            alpaca.set_quote(BTC, 1, 2)
        with pytest.raises(ValueError, match="the clock cannot be stepped"):
            alpaca.advance(5)
        price = {"symbol": BTC, "bid": 1, "ask": 2}
        for path, body in (("quote", price), ("advance", {"seconds": 1}), ("flood", {})):
            answer = requests.post(f"{alpaca.url}/_sim/{path}", json=body, timeout=PATIENCE)
            assert (answer.status_code, "the mirror tells" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "other",
    [{"speed": 2}, {"history": 5}, {"refresh_seconds": 1}, {"start": EPOCH}],
    ids=lambda other: next(iter(other)),
)
def test_nothing_else_makes_prices_beside_it(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"leave out {next(iter(other))} beside it"):
        Simulator(mirror=Mirror("http://127.0.0.1:9"), **other)


@pytest.mark.parametrize(
    ("url", "keys", "words"),
    [
        ("nonsense", {}, "--mirror must be a URL like https://host"),
        ("ftp://x", {}, "--mirror must be a URL"),
        ("http://data.alpaca.markets", {}, "must start with https://"),
        ("https://me:secret@host", {}, "must not hold a user name or a password"),
        ("", {"DCABOT_MIRROR_KEY_ID": "x"}, "DCABOT_MIRROR_SECRET_KEY is missing"),
        ("", {"DCABOT_MIRROR_SECRET_KEY": "x"}, "DCABOT_MIRROR_KEY_ID is missing"),
        ("", {"DCABOT_MIRROR_KEY_ID": "a b", "DCABOT_MIRROR_SECRET_KEY": "x"}, "holds a space"),
        (
            "http://192.0.2.1",
            {"DCABOT_MIRROR_KEY_ID": "a", "DCABOT_MIRROR_SECRET_KEY": "b"},
            "in the clear",
        ),
    ],
)
def test_settings_that_cannot_be_are_named(url: str, keys: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Mirror(url, environ=keys)
    assert "secret@" not in str(caught.value)


def test_the_hosts_are_alpacas_unless_named() -> None:
    from dcabot.adapters.config import DATA_URL, STREAM_URL, load_mirror

    config = load_mirror("", {})
    assert (config.data_url, config.stream_url, config.key_id) == (DATA_URL, STREAM_URL, "")
    there = load_mirror("http://192.0.2.1:8080/", {"APCA_API_KEY_ID": "not used"})
    assert there.stream_url == "ws://192.0.2.1:8080/v1beta3/crypto/us"
    assert there.key_id == ""


@pytest.mark.parametrize("days", [-400, -1, 2])
def test_a_clock_that_is_wrong_is_set(upstream: Simulator, days: int) -> None:
    with mirroring(upstream) as alpaca:
        until_fills(alpaca)
        off = days * 86_400 * SECOND
        alpaca._call(lambda: alpaca.clock._set(alpaca.clock.now_ns() + off))
        until_fills(alpaca)
        upstream.set_quote(BTC, "60001", "60011")
        until_price(alpaca, 60_001)
        until_is(alpaca, buy(alpaca), "filled")
