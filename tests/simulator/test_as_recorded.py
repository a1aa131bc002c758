"""Answers that others recorded of the real exchange, word for word where words were recorded."""

import re
from datetime import datetime, timezone
from decimal import Decimal

import pytest
import requests

from dcabot.simulator import LISTINGS, Policy, Simulator
from dcabot.simulator.wire import stamp_ns
from tests.programs import PATIENCE
from tests.simulator import raw
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import client, order, until

BARS = "/v1beta3/crypto/us/bars"


def ask(alpaca: Simulator, path: str, **query: str) -> requests.Response:
    keys = {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
    return requests.get(alpaca.url + path, query, headers=keys, timeout=PATIENCE)


@pytest.mark.parametrize(
    "timeframe",
    [
        "1min",
        "1Min",
        "15min",
        "59T",
        "1h",
        "1hour",
        "23Hour",
        "1H",
        "1day",
        "1Day",
        "1D",
        "1week",
        "1W",
        "1month",
        "12Month",
        "3M",
    ],
)
def test_frames_are_asked_for_in_any_letters(alpaca: Simulator, timeframe: str) -> None:
    assert ask(alpaca, BARS, symbols="BTC/USD", timeframe=timeframe).status_code == 200


@pytest.mark.parametrize(
    "timeframe",
    [
        *[
            "1",
            "min",
            "0min",
            "60Min",
            "24Hour",
            "59Hour",
            "30Day",
            "2D",
            "3Week",
            "5Month",
            "1m",
            "1y",
            "1.5Hour",
            "-1Min",
        ],
        *("", "1Min ", "\u0661Min"),
    ],
)
def test_frames_that_alpaca_does_not_have(alpaca: Simulator, timeframe: str) -> None:
    told = ask(alpaca, BARS, symbols="BTC/USD", timeframe=timeframe)
    assert (told.status_code, told.json()) == (400, {"message": f"invalid timeframe: {timeframe}"})


def test_an_empty_minute_has_no_average(alpaca: Simulator) -> None:
    row = ask(alpaca, "/v1beta3/crypto/us/latest/bars", symbols="BTC/USD").json()["bars"]["BTC/USD"]
    assert (row["n"], row["v"], row["vw"]) == (0, 0, 0)
    assert row["o"] == 60_005


def test_a_bad_start_is_told_in_the_words_of_the_data_host(alpaca: Simulator) -> None:
    told = ask(alpaca, BARS, symbols="BTC/USD", timeframe="1Min", start="0")
    words = "Invalid format for parameter start: error parsing '0' as RFC3339 or 2006-01-02 time: "
    assert told.status_code == 400
    assert told.json()["message"].startswith(words)


@pytest.mark.parametrize("path", ["/stream", "/stream/"])
def test_the_trading_stream_has_a_slash_or_none(alpaca: Simulator, path: str) -> None:
    with raw.connect(f"ws://{alpaca.url.removeprefix('http://')}{path}") as stream:
        raw.say(stream, action="auth", key="x", secret="y")
        assert raw.hear(stream)["data"] == {
            "action": "authenticate",
            "status": "unauthorized",
            "message": "access key verification failed",
        }


def test_every_answer_has_an_id_of_its_request(alpaca: Simulator) -> None:
    paths = ("/v2/account", "/v2/nothing", "/v1beta3/crypto/us/latest/quotes", "/nothing")
    found = {ask(alpaca, path).headers["X-Request-ID"] for path in paths}
    assert len(found) == len(paths)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in found)


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [(319731210, "19.31973121"), (500000000, "19.5"), (0, "19"), (18953300, "19.0189533")],
)
def test_times_have_no_zeros_at_their_end(nanoseconds: int, shown: str) -> None:
    second = int(datetime(2026, 9, 18, 13, 24, 19, tzinfo=timezone.utc).timestamp())
    assert stamp_ns(second * 10**9 + nanoseconds) == f"2026-09-18T13:24:{shown}Z"


@pytest.mark.parametrize(
    ("start", "timestamp", "opens"),
    [
        ("2026-09-18T13:24:19.310+00:00", "2026-09-18T09:24:19.31-04:00", "2026-09-18T09:30:00-04:00"),
        ("2026-09-18T13:24:19+00:00", "2026-09-18T09:24:19-04:00", "2026-09-18T09:30:00-04:00"),
        # the clocks go back on the Sunday between
        ("2026-10-31T12:00:00+00:00", "2026-10-31T08:00:00-04:00", "2026-11-02T09:30:00-05:00"),
    ],
)
def test_the_clock_tells_the_time_of_new_york(start: str, timestamp: str, opens: str) -> None:
    with make_alpaca(speed=0, start=datetime.fromisoformat(start)) as alpaca:
        told = ask(alpaca, "/v2/clock").json()
        assert (told["timestamp"], told["next_open"]) == (timestamp, opens)


@pytest.mark.parametrize(
    ("classes", "number"),
    [("crypto", 1), ("us_equity,crypto", 1), ("all", 1), ("", 1), ("us_equity,us_option", 0)],
)
def test_orders_are_asked_for_by_classes(alpaca: Simulator, classes: str, number: int) -> None:
    alpaca.set_quote("BTC/USD", "60000", "60010")
    client(alpaca).post("/orders", order(kind="limit", limit_price="50000"))
    assert len(ask(alpaca, "/v2/orders", asset_class=classes).json()) == number


@pytest.mark.parametrize("path", ["/v2/orders", "/v2/assets"])
@pytest.mark.parametrize("name", ["status", "side", "direction", "asset_class", "symbols"])
def test_an_empty_parameter_is_none(alpaca: Simulator, path: str, name: str) -> None:
    alpaca.set_quote("BTC/USD", "60000", "60010")
    client(alpaca).post("/orders", order(kind="limit", limit_price="50000"))
    asked = [row["id"] for row in ask(alpaca, path, **{name: ""}).json()]
    assert asked == [row["id"] for row in ask(alpaca, path).json()] != []


def test_cash_is_without_what_open_buys_hold() -> None:
    with make_alpaca(cash=10_000) as alpaca:
        alpaca.set_quote("BTC/USD", 60_000, 60_010)
        client(alpaca).post("/orders", order("0.1", kind="limit", limit_price="50000"))
        told = alpaca.account()
        names = ("equity", "position_market_value", "cash")
        equity, coins, cash = (Decimal(told[name]) for name in names)
        held = equity - coins - cash
        assert (told["cash"], told["equity"], held) == ("5000", "10000", 5_000)


@pytest.mark.parametrize(
    ("ask_price", "shown"),
    [("2328.34729", "2328.34"), ("0.03038", "0.0303"), ("0.00000365", "0"), ("1", "1")],
)
def test_the_price_of_a_fee_is_cut(ask_price: str, shown: str) -> None:
    start = datetime(2026, 9, 29, 2, 51, tzinfo=timezone.utc)  # still the 28th in New York
    with make_alpaca(speed=0, start=start, symbols=["GRT/USD"]) as alpaca:
        alpaca.set_quote("GRT/USD", ask_price, ask_price)
        client(alpaca).post("/orders", order(None, symbol="GRT/USD", notional="20"))
        until(alpaca.activities)
        alpaca.advance(4)
        (row,) = alpaca.activities(activity_types="CFEE")
        assert (row["price"], row["cusip"], row["date"]) == (shown, "GRT123456", "2026-09-29")
        assert row["id"].startswith("20260929000000000::")
        assert {"order_id", "transaction_time"}.isdisjoint(row)


def test_the_rest_of_a_limit_buy_pays_as_a_maker() -> None:
    with make_alpaca(symbols=["GRT/USD"], policy=Policy(fee_delay=None)) as alpaca:
        alpaca.set_quote("GRT/USD", "0.03037", "0.03038")
        alpaca.faults.partial_fills(["8578.621"])
        wanted = order("17538.11919833", kind="limit", limit_price="0.030442596", symbol="GRT/USD")
        client(alpaca).post("/orders", wanted)
        until(lambda: alpaca.orders()[0]["status"] == "filled")
        fees = [entry["fee"] for entry in alpaca.journal.entries("fill")]
        assert [row["price"] for row in alpaca.activities()] == ["0.03038", "0.030442596"]
        assert fees == ["21.4465525", "13.439247298"]  # 0.25 % and 0.15 %


@pytest.mark.parametrize("symbol", LISTINGS)
def test_every_pair_has_nine_decimals(symbol: str) -> None:
    instrument = LISTINGS[symbol].instrument
    assert str(instrument.price_step) == str(instrument.quantity_step) == "1E-9"


def test_the_pairs_are_those_of_september_2026(alpaca: Simulator) -> None:
    with Simulator() as whole:
        rows = {row["symbol"]: row for row in ask(whole, "/v2/assets").json()}
    assert len(rows) == 73
    assert "MKR/USD" not in rows
    assert rows["DOGE/USD"]["id"] == "03e005f7-4bfc-4616-b1b0-225dd64074fa"
    assert (rows["SHIB/USDT"]["fractionable"], rows["SHIB/USDT"]["attributes"]) == (False, [])
    assert rows["ETH/BTC"]["min_order_size"] == "36.390366742"
