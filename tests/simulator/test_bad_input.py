"""Nonsense gets the answer Alpaca gives; nothing crashes, and no other client notices."""

import http.client
import json
import socket
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgpack
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from dcabot.simulator import Simulator, script, walk
from tests.programs import PATIENCE
from tests.simulator import raw
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import client, listening, order, quotes, said, subscribed, until, updates


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulator]:
    """One simulator for all the nonsense: what one request broke, the next would notice."""
    with make_alpaca(rate_limit=None, data_rate_limit=None) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        yield alpaca
        assert client(alpaca).get_account().cash


def ask(alpaca: Simulator, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """The answer's status and body, over a plain connection: nothing between us and the server tidies up."""
    connection = http.client.HTTPConnection(alpaca.server.host, alpaca.server.port, timeout=PATIENCE)
    keys = {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
    connection.request(method, path, body, {**keys, "Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    try:
        return answer.status, json.loads(content)
    except ValueError:
        return answer.status, content


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"{" * 100_000, b"[" * 100_000,
        b'{"symbol": NaN}', b'{"qty": Infinity}', b'{"symbol": 7}', b'{"symbol": ["BTC/USD"]}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_order_is_refused(shared: Simulator, body: bytes) -> None:
    status, answer = ask(shared, "POST", "/v2/orders", body)
    assert status in (400, 422)
    assert set(answer) >= {"code", "message"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("qty", "many"), ("qty", "NaN"), ("qty", "-1"), ("qty", True), ("qty", {}), ("qty", "1e400"), ("qty", "1e-400"),
        ("qty", "1,5"), ("qty", "9" * 60), ("qty", "0"), ("limit_price", "-5"), ("limit_price", "1e99999999"),
        ("qty", " 1 "), ("qty", "1_0"), ("qty", "\u0661"), ("limit_price", "5\n"), ("limit_price", "5e-1_0"),
        ("client_order_id", "\ud800"), ("client_order_id", "a\0b"), ("client_order_id", "line\n"),
        ("client_order_id", "\x7f"), ("client_order_id", "\x9b1m"),
        ("side", "long"), ("side", 1), ("type", "peg"), ("type", None), ("time_in_force", "forever"),
        ("time_in_force", None), ("symbol", ""), ("symbol", "BTC/USD'; DROP TABLE"), ("symbol", "../../etc"),
        ("symbol", "\u202eDSU/CTB"), ("symbol", "x" * 100_000), ("client_order_id", 5), ("client_order_id", "i" * 200),
        ("order_class", "bracket"), ("extended_hours", "yes"), ("qty", None),
    ],
)  # fmt: skip
def test_a_field_that_makes_no_sense_is_refused(shared: Simulator, name: str, value: object) -> None:
    body = {**order("0.001", kind="limit", limit_price="50000"), name: value}
    status, answer = ask(shared, "POST", "/v2/orders", json.dumps(body).encode())
    assert status in (400, 422), answer
    assert answer["code"] in (40010000, 40010001, 42210000)
    assert isinstance(answer["message"], str)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404), ("GET", "/v2", 404), ("GET", "/v2/none", 404), ("GET", "/v3/orders", 404),
        ("PUT", "/v2/orders", 405), ("POST", "/v2/account", 405), ("PROPFIND", "/v2/account", 405),
        ("GET", "/v2/orders/not-a-uuid", 404), ("DELETE", "/v2/orders/not-a-uuid", 404),
        ("GET", "/v2/orders:by_client_order_id", 404),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=%00", 404),
        ("GET", "/v2/orders?limit=-1", 422), ("GET", "/v2/orders?limit=x", 422), ("GET", "/v2/orders?status=x", 422),
        ("GET", "/v2/orders?after=yesterday", 422), ("GET", "/v2/orders?direction=up", 422),
        ("GET", "/v2/orders?limit=" + "9" * 4000, 422), ("GET", "/v2/positions/..%2f..", 404),
        ("GET", "/v2/account/activities?page_token=x::y", 422), ("GET", "/v2/account/activities?direction=up", 422),
        ("GET", "/v2/account/activities?page_token=x", 422), ("GET", "/v2/account/activities?page_size=0", 422),
        ("GET", "/v1beta3/crypto/us/latest/quotes", 400),
        ("GET", "/v1beta3/crypto/us/latest/quotes?symbols=BTCUSD", 400),
        ("GET", "/v1beta3/crypto/us/bars?symbols=BTC/USD&timeframe=soon", 400),
        ("GET", "/v1beta3/crypto/us/bars?symbols=BTC/USD&timeframe=1Min&start=x", 400),
        ("GET", "/v1beta3/crypto/us/bars?symbols=BTC/USD&timeframe=1Min&limit=0", 400),
        ("GET", "/v1beta3/crypto/mars/latest/quotes?symbols=BTC/USD", 404),
        ("DELETE", "/v2/positions/BTCUSD?qty=x", 404), ("GET", "/stream", 400),
        ("POST", "/_sim/advance", 400), ("POST", "/_sim/quote", 400), ("GET", "/_sim/none", 404),
    ],
)  # fmt: skip
def test_unknown_paths_verbs_and_queries_are_answered(shared: Simulator, method: str, path: str, status: int) -> None:
    assert ask(shared, method, path)[0] == status


def test_an_absent_symbol_is_absent_from_the_answer(shared: Simulator) -> None:
    assert ask(shared, "GET", "/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD,NO/SUCH")[1]["quotes"].keys() == {
        "BTC/USD"
    }


def test_a_body_of_megabytes_is_refused(shared: Simulator) -> None:
    body = json.dumps({**order(), "client_order_id": "x" * 2_000_000}).encode()
    assert ask(shared, "POST", "/v2/orders", body) == (
        413, {"code": 41310000, "message": "request body is too large"},
    )  # fmt: skip
    request, response = shared.journal.entries()[-2:]
    assert (request["path"], response["request"], response["status"]) == ("/v2/orders", request["number"], 413)


@pytest.mark.parametrize(
    "request_line", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\xfc", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http_ends_only_its_own_connection(shared: Simulator, request_line: bytes) -> None:
    with socket.create_connection((shared.server.host, shared.server.port), timeout=PATIENCE) as connection:
        connection.sendall(request_line)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    assert client(shared).get_account().cash


FRAMES: list[str | bytes] = [
    "", "{", "[]", "null", "7", '{"action": 7}', '{"action": "dance"}', '{"data": {}}', '{"action": "listen"}',
    '{"action": "listen", "data": {"streams": "trade_updates"}}', '{"action": "listen", "data": {"streams": [7]}}',
    '{"action": "authenticate"}', '{"action": "authenticate", "data": []}', '{"action": "auth", "key": {}}',
    b"", b"\xc1", b"\xff" * 50, msgpack.packb([1]), msgpack.packb({"action": "auth"}), "[" * 50_000,
    msgpack.packb({b"action": b"auth"}), msgpack.packb({"action": {b"x": 1}}), '{"action": "\\ud800", "\\ud800": 1}',
]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_a_trading_frame_that_makes_no_sense_is_answered(alpaca: Simulator, frame: str | bytes) -> None:
    with raw.trading(alpaca) as stream:
        stream.send(frame)
        answer = raw.hear(stream)
        assert answer["stream"] in ("error", "authorization", "listening")
        assert answer["data"].get("status") != "authorized"
        assert raw.log_in(alpaca, stream)["data"]["status"] == "authorized"


@pytest.mark.parametrize("is_msgpack", [True, False])
@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_a_data_frame_that_makes_no_sense_is_answered(alpaca: Simulator, frame: str | bytes, is_msgpack: bool) -> None:
    with raw.data(alpaca, is_msgpack) as stream:
        raw.hear(stream)
        stream.send(frame)
        (answer,) = raw.hear(stream)
        assert (answer["T"], answer["code"] in (400, 401, 402)) == ("error", True)
        keys = {"action": "auth", "key": alpaca.key, "secret": alpaca.secret}
        stream.send(msgpack.packb(keys) if is_msgpack else json.dumps(keys))
        assert raw.hear(stream) == [{"T": "success", "msg": "authenticated"}]


def test_a_subscription_to_everything_imaginable_is_refused(alpaca: Simulator) -> None:
    with raw.data(alpaca) as stream:
        raw.hear(stream)
        raw.log_in(alpaca, stream)
        for channel in ("bars", "updatedBars", "dailyBars"):
            raw.say(stream, action="subscribe", **{channel: [f"A{number}/USD" for number in range(1001)]})
            assert raw.hear(stream) == [{"T": "error", "code": 405, "msg": "symbol limit exceeded"}]
            raw.say(stream, action="subscribe", **{channel: ["BTC/USD"]})
            assert raw.hear(stream)[0][channel] == ["BTC/USD"]


def test_of_a_long_frame_the_journal_keeps_the_beginning(alpaca: Simulator) -> None:
    with raw.trading(alpaca) as stream:
        raw.say(stream, action="dance", steps="x" * 200_000)
        raw.hear(stream)
        raw.log_in(alpaca, stream)
    kept = [entry["message"] for entry in alpaca.journal.entries("frame") if entry["direction"] == "in"]
    assert (kept[0][:19], len(kept[0])) == ('{"action": "dance",', 10_000)
    assert kept[1] == {"action": "auth", "keys": "not kept"}


@pytest.mark.parametrize("path", ["stream", "data"])
def test_an_oversized_frame_ends_only_its_own_connection(alpaca: Simulator, path: str) -> None:
    with raw.trading(alpaca) if path == "stream" else raw.data(alpaca) as stream:
        with pytest.raises(ConnectionClosed):
            stream.send("x" * 5_000_000)
            while True:
                stream.recv(PATIENCE)
        assert stream.close_code in (1009, 1006, None)
    assert client(alpaca).get_account().cash


def test_a_client_that_does_not_read_is_cut_and_others_go_on(alpaca: Simulator) -> None:
    with raw.data(alpaca) as sleeper, updates(alpaca) as stream:
        listening(alpaca)
        raw.hear(sleeper)
        raw.log_in(alpaca, sleeper)
        raw.say(sleeper, action="subscribe", quotes=["*"])
        raw.hear(sleeper)
        for _ in range(80):  # more than the sockets' buffers and the server's patience hold
            alpaca.faults.send_raw("data", "x" * 1_000_000)
        until(lambda: said(alpaca, "data", "disconnect"))
        client(alpaca).post("/orders", order())
        until(lambda: len(stream.heard) == 3)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("quote", {"symbol": "BTCUSD", "bid": 1, "ask": 2}), ("quote", {"symbol": "BTC/USD", "bid": "x", "ask": 2}),
        ("quote", {"symbol": "BTC/USD"}), ("quote", 7), ("transfer", {"coin": "BTC", "quantity": "-1", "price": 0}),
        ("transfer", {"coin": "../x", "quantity": "1", "price": 0}), ("advance", {"seconds": "x"}), ("order", {}),
        ("cancel", {"id": "none"}), ("release", {"rule": 99}), ("flood", []), ("flood", {"symbols": ["x"]}),
        ("flood", {"quotes": "many"}),
    ],
)  # fmt: skip
def test_the_control_api_refuses_nonsense(shared: Simulator, path: str, body: object) -> None:
    assert ask(shared, "POST", f"/_sim/{path}", json.dumps(body).encode())[0] in (400, 404, 422)
    assert ask(shared, "GET", "/v2/account")[0] == 200


def test_prices_and_transfers_that_cannot_be_are_named(alpaca: Simulator) -> None:
    with pytest.raises(ValueError, match="BTCUSD is not listed"):
        alpaca.set_quote("BTCUSD", 1, 2)
    with pytest.raises(ValueError, match="there is only 0 BTC"):
        alpaca.transfer("BTC", -1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("data_error", {"code": 501}), ("data_error", {"code": 399}), ("data_error", {"code": 10**30}),
        ("answer_login", {"stream": "data", "code": 412}), ("answer_subscribe", {"code": 1}),
        ("cut", {"stream": "data", "code": 70000}), ("cut", {"stream": "data", "code": 1006}),
        ("cut", {"stream": "data", "code": 7}), ("respond", {"status": 101}), ("respond_after", {"status": 600}),
        ("refuse_upgrade", {"stream": "data", "status": 99}), ("delay_fees", {"seconds": 10**17}),
        ("delay", {"seconds": 10**40}), ("delay", {"seconds": 1e300}), ("hold", {"path": "(" * 5_000}),
        ("hold", {"path": "a{999999999999999999999}"}), ("hold_fills", {"is_on": "no"}),
        ("mute", {"stream": "data", "is_on": 1}),
        ("respond", {"status": 200, "body": "\ud800"}), ("alter_updates", {"changes": {"event": "\ud800"}}),
        ("alter_updates", {"changes": {"price": 10**40}}), ("spoil_quotes", {"duplicates": "no"}),
        ("cut", {"stream": "nowhere"}), ("cut", {"stream": []}), ("cut", {"stream": "data", "code": "x"}),
        ("delay", {"seconds": "long"}), ("delay", {"seconds": -1}), ("respond", {"status": 7}),
        ("respond", {"status": "OK"}), ("hold", {"path": "("}), ("hold", {"path": "(a|a)*$"}),
        ("hold", {"path": "/v2/.*"}), ("hold", {"path": "a^b"}), ("hold", {"path": r"\."}),
        ("hold", {"times": "many"}), ("hold", {"method": 5}),
        ("partial_fills", {"sizes": ["x"]}), ("partial_fills", {"sizes": 7}), ("alter_updates", {"changes": 5}),
        ("hide_position", {"symbol": 5}), ("spoil_quotes", {"drop_ratio": "x"}), ("send_raw", {"stream": "data"}),
        ("partial_fills", {"sizes": ["-1"]}), ("partial_fills", {"sizes": [0]}), ("partial_fills", {"sizes": "0.4"}),
        ("spoil_quotes", {"drop_ratio": 7}), ("delay", {"seconds": None}), ("reject_orders", {"times": None}),
        ("attach", {}), ("__init__", {}), ("_reset", {}),
    ],
)  # fmt: skip
def test_the_control_api_refuses_what_is_no_fault(shared: Simulator, name: str, arguments: dict[str, Any]) -> None:
    status, _ = ask(shared, "POST", f"/_sim/faults/{name}", json.dumps(arguments).encode())
    assert status == (404 if name in ("attach", "__init__", "_reset") else 400)
    assert ask(shared, "GET", "/v2/account")[0] == 200
    if status == 400:
        with pytest.raises((ValueError, TypeError)):
            getattr(shared.faults, name)(**arguments)
        assert ask(shared, "GET", "/v2/account")[0] == 200


def test_a_refused_fault_says_what_it_takes(alpaca: Simulator) -> None:
    with pytest.raises(ValueError, match="stream is one of trading, data, not 'quotes'"):
        alpaca.faults.mute("quotes")
    with pytest.raises(ValueError, match="body cannot be"):
        alpaca.faults.respond(500, object())
    usage = ask(alpaca, "GET", "/_sim")[1]["faults"]
    assert usage["cut"] == "stream, code=None"
    assert usage["respond"] == "status, body=None, method=None, path='', times=1"


def test_methods_are_matched_however_they_are_written(alpaca: Simulator) -> None:
    alpaca.faults.respond(500, {"message": "boom"}, "get", "/v2/account")
    assert [ask(alpaca, "GET", "/v2/account")[0] for _ in range(2)] == [500, 200]


def test_python_takes_floats_as_they_are_written() -> None:
    with make_alpaca(cash=1000.1, prices=script([(0, "BTC/USD", 60000.5, 60010.1)]), speed=0) as alpaca:
        assert alpaca.account()["cash"] == "1000.1"
        alpaca.faults.partial_fills([0.1])
        alpaca.faults.spoil_quotes(drop_ratio=0.5)
        alpaca.transfer("ETH", 0.1)
        assert alpaca.positions()[0]["qty"] == "0.1"
        alpaca.foreign_order(
            symbol="BTC/USD", qty=0.001, side="buy", type="limit", limit_price=50000.5, time_in_force="gtc"
        )
        assert (alpaca.orders()[0]["qty"], alpaca.orders()[0]["limit_price"]) == ("0.001", "50000.5")
        alpaca.advance(0.5)
        with pytest.raises(ValueError, match="not a finite number: 'nan'"):
            alpaca.set_quote("BTC/USD", float("nan"), 1)
        with pytest.raises(ValueError, match="has a time zone, unlike 2026-01-01"):
            alpaca.set_quote("BTC/USD", 1, 2, at=datetime.fromisoformat("2026-01-01"))
        assert alpaca.server.exchange.venue.quotes["BTC/USD"].bid == Decimal("60000.5")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"symbols": "BTC/USD"}, r'symbols is a list of pairs, as \["BTC/USD"\], not \'BTC/USD\''),
        ({"start": "2026-01-01"}, "start is a datetime with a time zone, not '2026-01-01'"),
        ({"policy": {"accepts_fok": True}}, "policy is a Policy, not"), ({"timing": 5}, "timing is a Timing, not 5"),
        ({"rate_limit": 0}, "rate_limit is None or a whole number above 0, not 0"),
        ({"data_rate_limit": "x"}, "data_rate_limit is None or"),
        ({"refresh_seconds": -1}, "refresh_seconds is None or"),
        ({"seed": "a"}, "seed is a whole number, not 'a'"), ({"key": None}, "key is a text, not None"),
        ({"speed": "2"}, "speed is a number, not '2'"), ({"cash": -5}, "cash is 0 or more, not -5"),
        ({"prices": walk(1, ["BTC/USD"], correlation=5)}, "a walk's correlation is between 0 and 1, not 5"),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words), make_alpaca(**options):
        pass


def test_a_row_of_a_script_that_makes_no_sense_is_named() -> None:
    for row in ((0, "BTC/USD", 1), (0, "BTC/USD", "x", 2), 5):
        with pytest.raises(ValueError, match="a row is"):
            script([row])  # type: ignore[list-item]


def test_a_flood_has_no_pair_that_is_not_listed(alpaca: Simulator) -> None:
    assert ask(alpaca, "POST", "/_sim/flood", b'{"symbols": ["SOL/USD"]}')[0] == 400
    assert ask(alpaca, "POST", "/_sim/flood", b'{"quotes": 100}')[0] == 200
    until(lambda: not ask(alpaca, "GET", "/_sim/flood")[1]["running"])
    assert set(alpaca.server.exchange.venue.quotes) == {"BTC/USD", "ETH/USD"}
    alpaca.faults.clear()


def test_python_refuses_codes_that_do_not_exist(alpaca: Simulator) -> None:
    for wrong in (
        lambda: alpaca.faults.data_error(501),
        lambda: alpaca.faults.answer_login("data", 200),
        lambda: alpaca.faults.cut("trading", 1006),
        lambda: alpaca.faults.respond(1000),
        lambda: make_alpaca(data_error_close=99),
    ):
        with pytest.raises(ValueError, match=r"not \d+$"):
            wrong()


def test_nonsense_on_one_stream_leaves_the_other_alone(alpaca: Simulator) -> None:
    with quotes(alpaca) as listener:
        subscribed(alpaca)
        with raw.trading(alpaca) as stream:
            for frame in FRAMES:
                stream.send(frame)
            raw.vanish(stream)
        alpaca.set_quote("BTC/USD", "61000", "61010")
        until(lambda: listener.heard)
    assert len(said(alpaca, "data", "connect")) == 1


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(
    fields=st.dictionaries(
        st.sampled_from(["symbol", "qty", "notional", "side", "type", "time_in_force", "limit_price", "stop_price",
                         "client_order_id", "order_class", "position_intent", "extended_hours"]),
        JUNK | st.sampled_from(["BTC/USD", "buy", "sell", "market", "limit", "gtc", "0.001", 1, "-1", "1e30"]),
    )
)  # fmt: skip
def test_any_json_is_an_order_or_refused(shared: Simulator, fields: dict[str, Any]) -> None:
    body = json.dumps({**order("0.001", kind="limit", limit_price="50000"), **fields}).encode()
    status, answer = ask(shared, "POST", "/v2/orders", body)
    assert status in (200, 400, 403, 422), answer
    if status == 200:
        requests.delete(
            f"{shared.url}/v2/orders/{answer['id']}",
            headers={"APCA-API-KEY-ID": shared.key, "APCA-API-SECRET-KEY": shared.secret},
            timeout=PATIENCE,
        )
