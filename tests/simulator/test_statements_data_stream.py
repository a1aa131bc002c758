"""alpaca.md section 7, statements 36 to 40: the market-data stream, through the SDK and raw sockets."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from alpaca.data.live import CryptoDataStream
from alpaca.data.requests import CryptoLatestQuoteRequest
from websockets.exceptions import ConnectionClosed

from dcabot.simulator import Simulator, Timing
from tests.programs import PATIENCE
from tests.simulator import raw
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import Listening, client, data_client, order, quotes, said, subscribed, until, updates

CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
NOTHING: dict[str, list[str]] = {
    "trades": [], "quotes": [], "orderbooks": [], "bars": [], "updatedBars": [], "dailyBars": [],
}  # fmt: skip


def error(code: int, message: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": message}]


def test_36_msgpack_in_binary_frames_if_asked_for_and_json_text_if_not(alpaca: Simulator) -> None:
    with raw.data(alpaca, is_msgpack=True) as stream:
        greeting = stream.recv(PATIENCE)
        assert isinstance(greeting, bytes)
        assert msgpack.unpackb(greeting) == CONNECTED
        stream.send(msgpack.packb({"action": "auth", "key": alpaca.key, "secret": alpaca.secret}))
        answer = stream.recv(PATIENCE)
        assert isinstance(answer, bytes)
        assert msgpack.unpackb(answer) == AUTHENTICATED
    until(lambda: said(alpaca, "data", "disconnect"))
    with raw.data(alpaca) as stream:
        greeting = stream.recv(PATIENCE)
        assert isinstance(greeting, str)
        assert raw.log_in(alpaca, stream) == AUTHENTICATED
        raw.say(stream, action="subscribe", quotes=["BTC/USD"])
        raw.hear(stream)
        alpaca.set_quote("BTC/USD", "63920.1", "63941.0")
        (quote,) = raw.hear(stream)
        at = datetime.fromisoformat(quote.pop("t")[:19] + "+00:00")
        assert abs(at - datetime.now(timezone.utc)) < timedelta(seconds=PATIENCE)
        sizes = quote.pop("bs"), quote.pop("as")
        assert all(200 < 63_930 * size < 1_801 * 1.01 for size in sizes)
        assert quote == {"T": "q", "S": "BTC/USD", "bp": 63920.1, "ap": 63941.0}


def test_36_keys_at_the_upgrade_log_in_at_once(alpaca: Simulator) -> None:
    headers = {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
    with raw.data(alpaca, **headers) as stream:
        assert [raw.hear(stream), raw.hear(stream)] == [CONNECTED, AUTHENTICATED]


def test_37_the_sdks_fragmented_subscribe_is_put_together_and_acknowledged(alpaca: Simulator) -> None:
    stream = CryptoDataStream(alpaca.key, alpaca.secret, url_override=alpaca.data_stream_url)
    listener = Listening(stream)
    stream.subscribe_quotes(listener.handler, "BTC/USD", "ETH/USD")
    stream.subscribe_trades(listener.handler, "BTC/USD")
    with listener:
        subscribed(alpaca)
    channels = said(alpaca, "data", "subscribe")[0]["channels"]
    assert channels == {"quotes": ["BTC/USD", "ETH/USD"], "trades": ["BTC/USD"]}


def test_37_an_acknowledgement_has_all_six_lists_and_is_the_whole_set(alpaca: Simulator) -> None:
    with raw.data(alpaca) as stream:
        raw.hear(stream)
        raw.log_in(alpaca, stream)
        raw.say(stream, action="subscribe", quotes=["ETH/USD"])
        assert raw.hear(stream) == [{"T": "subscription", **NOTHING, "quotes": ["ETH/USD"]}]
        raw.say(stream, action="subscribe", trades=["BTC/USD"])
        assert raw.hear(stream) == [{"T": "subscription", **NOTHING, "quotes": ["ETH/USD"], "trades": ["BTC/USD"]}]
        raw.say(stream, action="unsubscribe", quotes=["ETH/USD"])
        assert raw.hear(stream) == [{"T": "subscription", **NOTHING, "trades": ["BTC/USD"]}]


def test_38_time_is_a_msgpack_timestamp_with_nanoseconds() -> None:
    start = datetime(2026, 9, 18, 10, 0, 0, 123456, tzinfo=timezone.utc)
    with make_alpaca(speed=0, start=start) as alpaca:
        with raw.data(alpaca, is_msgpack=True) as stream:
            stream.recv(PATIENCE)
            stream.send(msgpack.packb({"action": "auth", "key": alpaca.key, "secret": alpaca.secret}))
            stream.recv(PATIENCE)
            stream.send(msgpack.packb({"action": "subscribe", "quotes": ["BTC/USD"]}))
            stream.recv(PATIENCE)
            alpaca.set_quote("BTC/USD", "60000", "60010")
            frame = stream.recv(PATIENCE)
            assert isinstance(frame, bytes)
            (quote,) = msgpack.unpackb(frame)
            assert quote["t"] == msgpack.Timestamp(int(start.timestamp()), 123456000)
        with quotes(alpaca) as listener:
            subscribed(alpaca, 2)
            alpaca.set_quote("BTC/USD", "60000", "60010")
            until(lambda: listener.heard)
            assert listener.heard[0].timestamp == start


def test_38_several_messages_may_share_an_array(alpaca: Simulator) -> None:
    with quotes(alpaca, "BTC/USD", "ETH/USD", raw_data=True) as listener:
        subscribed(alpaca)
        at = msgpack.Timestamp(1_800_000_000, 1)
        both = [
            {"T": "q", "S": symbol, "bp": 1.0, "bs": 1.0, "ap": 2.0, "as": 1.0, "t": at}
            for symbol in ("BTC/USD", "ETH/USD")
        ]
        alpaca.faults.send_raw("data", msgpack.packb(both))
        until(lambda: [message["S"] for message in listener.heard] == ["BTC/USD", "ETH/USD"])


def test_39_errors_of_syntax_login_and_limits(alpaca: Simulator) -> None:
    with raw.data(alpaca) as stream:
        raw.hear(stream)
        stream.send("{not json")
        assert raw.hear(stream) == error(400, "invalid syntax")
        raw.say(stream, action="subscribe", quotes=["BTC/USD"])
        assert raw.hear(stream) == error(401, "not authenticated")
        raw.say(stream, action="auth", key="no", secret="no")
        assert raw.hear(stream) == error(402, "auth failed")
        assert raw.log_in(alpaca, stream) == AUTHENTICATED
        assert raw.log_in(alpaca, stream) == error(403, "already authenticated")
        raw.say(stream, action="subscribe", quotes=["BTCUSD"])
        assert raw.hear(stream) == error(400, "invalid syntax")
        raw.say(
            stream, action="subscribe", quotes=[f"A{'BCDEFGHIJKLMNOPQRSTUVWXYZABCDEF'[n]}{n}/USD" for n in range(31)]
        )
        assert raw.hear(stream) == error(405, "symbol limit exceeded")
        raw.say(stream, action="subscribe", news=["BTC/USD"])
        assert raw.hear(stream) == error(410, "invalid subscribe action for this feed")
        raw.say(stream, action="subscribe", quotes=["BTC/USD"])
        assert raw.hear(stream) == [{"T": "subscription", **NOTHING, "quotes": ["BTC/USD"]}]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (400, "invalid syntax"), (401, "not authenticated"), (402, "auth failed"), (403, "already authenticated"),
        (404, "auth timeout"), (405, "symbol limit exceeded"), (406, "connection limit exceeded"),
        (407, "slow client"), (408, "v2 not enabled"), (409, "insufficient subscription"),
        (410, "invalid subscribe action for this feed"), (500, "internal error"),
    ],
)  # fmt: skip
def test_39_errors_that_come_by_themselves(alpaca: Simulator, code: int, message: str) -> None:
    with raw.data(alpaca) as stream:
        raw.hear(stream)
        raw.log_in(alpaca, stream)
        alpaca.faults.data_error(code)
        assert raw.hear(stream) == error(code, message)
        if code in (404, 406, 407):
            with pytest.raises(ConnectionClosed):
                stream.recv(PATIENCE)


def test_39_without_a_login_the_connection_ends_with_404() -> None:
    with make_alpaca(timing=Timing(auth_timeout=0.1)) as alpaca, raw.data(alpaca) as stream:
        raw.hear(stream)
        assert raw.hear(stream) == error(404, "auth timeout")
        with pytest.raises(ConnectionClosed):
            stream.recv(PATIENCE)


def test_39_a_second_connection_is_told_406_after_its_login(alpaca: Simulator) -> None:
    with raw.data(alpaca) as first, raw.data(alpaca) as second:
        raw.hear(first)
        raw.hear(second)
        assert raw.log_in(alpaca, first) == AUTHENTICATED
        assert raw.log_in(alpaca, second) == error(406, "connection limit exceeded")
        with pytest.raises(ConnectionClosed):
            second.recv(PATIENCE)
        raw.say(first, action="subscribe", quotes=["BTC/USD"])
        assert raw.hear(first)[0]["T"] == "subscription"


def test_39_insufficient_subscription_in_reply_to_the_login_ends_the_sdks_loop(alpaca: Simulator) -> None:
    alpaca.faults.answer_login("data", 409)
    with quotes(alpaca) as listener:
        assert listener.returned.wait(PATIENCE)
    alpaca.faults.answer_login("data", 402)
    with quotes(alpaca) as listener:
        until(lambda: len(said(alpaca, "data", "connect")) >= 4)
        assert not listener.returned.is_set()


def test_40_one_price_drives_quotes_fills_and_positions(alpaca: Simulator) -> None:
    with quotes(alpaca) as listener:
        subscribed(alpaca)
        alpaca.set_quote("BTC/USD", "61000", "61010")
        until(lambda: listener.heard)
        assert (listener.heard[0].bid_price, listener.heard[0].ask_price) == (61_000, 61_010)
    latest = data_client(alpaca).get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD"))
    assert (latest["BTC/USD"].bid_price, latest["BTC/USD"].ask_price) == (61_000, 61_010)
    client(alpaca).post("/orders", order())
    until(alpaca.positions)
    assert alpaca.orders()[0]["filled_avg_price"] == "61010"
    position = client(alpaca).get_open_position("BTCUSD")
    assert Decimal(position.current_price or 0) == 61_005
    assert Decimal(position.market_value or 0) == Decimal(61_005) * Decimal(position.qty)


def test_40_one_clock_dates_orders_quotes_and_activities() -> None:
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    with (
        make_alpaca(speed=0, start=start) as alpaca,
        updates(alpaca, raw_data=True) as told,
        quotes(alpaca) as listener,
    ):
        until(lambda: said(alpaca, "trading", "listen") and said(alpaca, "data", "subscribe"))
        alpaca.advance(3600)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        client(alpaca).post("/orders", order())
        until(lambda: len(told.heard) == 3 and listener.heard)
        day = "2026-01-02T04:04:05"
        assert alpaca.orders()[0]["created_at"].startswith(day)
        assert alpaca.activities()[0]["transaction_time"].startswith(day)
        assert told.heard[2]["data"]["timestamp"].startswith(day)
        assert listener.heard[0].timestamp == start + timedelta(hours=1)
        assert client(alpaca).get_clock().timestamp == start + timedelta(hours=1)


def test_40_a_quote_can_be_stale(alpaca: Simulator) -> None:
    old = datetime.now(timezone.utc) - timedelta(seconds=181)
    with quotes(alpaca) as listener:
        subscribed(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010", at=old)
        until(lambda: listener.heard)
        assert abs(listener.heard[0].timestamp - old) < timedelta(seconds=1)
    latest = data_client(alpaca).get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD"))
    assert abs(latest["BTC/USD"].timestamp - old) < timedelta(seconds=1)
