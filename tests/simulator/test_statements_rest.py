"""alpaca.md section 7, statements 1 to 12: the REST transport, through the unmodified SDK."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.requests import CryptoLatestQuoteRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import ClosePositionRequest, GetOrdersRequest, LimitOrderRequest, MarketOrderRequest

from dcabot.simulator import Policy, Simulator
from tests.programs import PATIENCE
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import client, data_client, order, until


def headers(alpaca: Simulator) -> dict[str, str]:
    return {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}


def get(alpaca: Simulator, path: str, **query: str) -> requests.Response:
    return requests.get(alpaca.url + path, params=query, headers=headers(alpaca), timeout=PATIENCE)


def post(alpaca: Simulator, **fields: Any) -> requests.Response:
    return requests.post(f"{alpaca.url}/v2/orders", json=order(**fields), headers=headers(alpaca), timeout=PATIENCE)


def refused(call: Any, *arguments: Any) -> APIError:
    with pytest.raises(APIError) as caught:
        call(*arguments)
    return caught.value


def test_01_get_account_asks_for_v2_account_and_wrong_keys_are_unauthorized(alpaca: Simulator) -> None:
    assert client(alpaca).get_account().non_marginable_buying_power == "100000"
    (request,) = alpaca.journal.entries("request")
    assert (request["method"], request["path"]) == ("GET", "/v2/account")
    error = refused(TradingClient("wrong", alpaca.secret, url_override=alpaca.url).get_account)
    assert error.status_code == 401
    assert str(error) == '{"message": "unauthorized."}'
    with pytest.raises(KeyError):
        _ = error.code
    missing = requests.get(f"{alpaca.url}/v2/account", timeout=PATIENCE)
    assert (missing.status_code, missing.text) == (403, '{"message": "forbidden."}')


def test_02_every_trading_response_counts_and_request_201_of_a_minute_is_refused(alpaca: Simulator) -> None:
    with requests.Session() as session:
        session.headers.update(headers(alpaca))
        for number in range(1, 201):
            answer = session.get(f"{alpaca.url}/v2/clock", timeout=PATIENCE)
            assert answer.status_code == 200
            assert answer.headers["X-Ratelimit-Limit"] == "200"
            assert answer.headers["X-Ratelimit-Remaining"] == str(200 - number)
            assert int(answer.headers["X-Ratelimit-Reset"]) > 1_700_000_000
    error = refused(client(alpaca).get_account)
    assert (error.status_code, error.code, error.message) == (429, 42910000, "rate limit exceeded")
    # Its three waits take the SDK 9 s; they are left out here.
    assert len([e for e in alpaca.journal.entries("request") if e["path"] == "/v2/account"]) == 4
    unmodified = TradingClient(alpaca.key, alpaca.secret, url_override=alpaca.url)
    assert unmodified._retry * unmodified._retry_wait == 9


def test_02_answers_that_are_refusals_or_faults_count_too(alpaca: Simulator) -> None:
    def left(**options: Any) -> list[str]:
        answer = requests.request(**{"method": "GET", "url": f"{alpaca.url}/v2/orders", "timeout": 5, **options})
        shown = [answer.headers[f"X-Ratelimit-{name}"] for name in ("Limit", "Remaining")]
        assert int(answer.headers["X-Ratelimit-Reset"]) > 1_700_000_000
        return [str(answer.status_code), *shown]

    assert left() == ["403", "200", "200"]
    assert left(headers={**headers(alpaca), "APCA-API-SECRET-KEY": "no"}) == ["401", "200", "200"]
    assert left(headers=headers(alpaca), method="POST", data="{") == ["400", "200", "199"]
    assert left(headers=headers(alpaca), method="POST", data="x" * 1_000_001) == ["413", "200", "199"]
    assert left(headers=headers(alpaca), method="PUT") == ["405", "200", "198"]
    alpaca.faults.respond(502, "<html>")
    assert left(headers=headers(alpaca)) == ["502", "200", "198"]
    alpaca.faults.rate_limit(times=1)
    assert left(headers=headers(alpaca)) == ["429", "200", "0"]
    alpaca.faults.maintenance()
    assert left(headers=headers(alpaca)) == ["503", "200", "198"]


def test_03_flags_are_understood_in_any_case_and_encoded_lists_are_split(alpaca: Simulator) -> None:
    alpaca.set_quote("ETH/USD", "1800", "1801")
    client(alpaca).post("/orders", order(kind="limit", limit_price="50000"))
    client(alpaca).post("/orders", order("1", kind="limit", limit_price="1700", symbol="ETH/USD"))
    wanted = GetOrdersRequest(symbols=["BTC/USD", "ETH/USD"], nested=True)
    assert len(client(alpaca).get_orders(wanted)) == 2
    assert alpaca.journal.entries("request")[-1]["query"].endswith("symbols=BTC%2FUSD%2CETH%2FUSD")
    assert len(get(alpaca, "/v2/orders", symbols="ETHUSD", nested="true").json()) == 1
    for spelling in ("True", "true", "1"):
        resting = alpaca.foreign_order(**order(kind="limit", limit_price="50000"))
        requests.delete(
            f"{alpaca.url}/v2/positions", params={"cancel_orders": spelling}, headers=headers(alpaca), timeout=PATIENCE
        )
        assert {one["id"]: one["status"] for one in alpaca.orders()}[resting] == "canceled"


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [(1e-05, "0.00001"), ("1e-05", "0.00001"), (1.0, "1"), ("1.0", "1"), (0.123456789, "0.123456789"), (2, "2")],
)
def test_04_numbers_and_texts_and_exponents_are_accepted_and_echoed_plain(
    alpaca: Simulator, sent: float | str, echoed: str
) -> None:
    limit = 1_200_000 if Decimal(str(sent)) < Decimal("0.001") else 40_000
    answer = post(alpaca, quantity=sent, kind="limit", limit_price=limit)
    assert answer.status_code == 200, answer.text
    assert answer.json()["qty"] == echoed
    assert answer.json()["limit_price"] == str(limit)


def test_04_notional_comes_as_a_number_from_the_sdk(alpaca: Simulator) -> None:
    wanted = MarketOrderRequest(symbol="BTC/USD", notional=10.5, side=OrderSide.BUY, time_in_force=TimeInForce.GTC)
    placed = client(alpaca).submit_order(wanted)
    assert (placed.notional, placed.qty) == ("10.5", None)


NATIVE = {
    "shorting_enabled", "trading_blocked", "transfers_blocked", "account_blocked", "trade_suspended_by_user",
    "admin_configurations", "user_configurations", "crypto_tier", "options_approved_level", "options_trading_level",
    "marginable", "shortable", "easy_to_borrow", "fractionable", "tradable", "attributes", "asset_marginable",
    "maintenance_margin_requirement", "extended_hours",
}  # fmt: skip


def test_05_trading_numbers_are_texts_and_market_data_numbers_are_numbers(alpaca: Simulator) -> None:
    raw = client(alpaca, raw_data=True)
    raw.post("/orders", order())
    until(alpaca.positions)
    rows = [raw.get_account(), *raw.get_all_positions(), *raw.get_all_assets(), *alpaca.orders(), *alpaca.activities()]
    for row in rows:
        for name, value in row.items():
            assert name in NATIVE or value is None or isinstance(value, str), (name, value)
    quote = data_client(alpaca, raw_data=True).get_crypto_latest_quote(
        CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD")
    )["BTC/USD"]
    assert {name: type(value) for name, value in quote.items()} == {
        "t": str, "bp": float, "bs": float, "ap": float, "as": float,
    }  # fmt: skip


def test_06_a_cancel_answers_204_without_a_body_and_the_sdk_none(alpaca: Simulator) -> None:
    placed = client(alpaca).post("/orders", order(kind="limit", limit_price="50000"))
    assert client(alpaca).cancel_order_by_id(placed["id"]) is None
    last = alpaca.journal.entries("response")[-1]
    assert (last["status"], last["body"]) == (204, "")
    until(lambda: alpaca.orders()[0]["status"] == "canceled")


def test_07_cancelling_all_and_closing_all_answer_207_with_a_row_for_each(alpaca: Simulator) -> None:
    raw = client(alpaca, raw_data=True)
    assert raw.cancel_orders() == []
    ids = {raw.post("/orders", order(kind="limit", limit_price=limit))["id"] for limit in ("50000", "40000")}
    rows = raw.cancel_orders()
    assert {row["id"] for row in rows} == ids
    assert {row["status"] for row in rows} == {200}
    assert alpaca.journal.entries("response")[-1]["status"] == 207
    until(lambda: {one["status"] for one in alpaca.orders()} == {"canceled"})
    raw.post("/orders", order())
    until(alpaca.positions)
    (closed,) = raw.close_all_positions()
    assert alpaca.journal.entries("response")[-1]["status"] == 207
    assert (closed["symbol"], closed["status"], closed["body"]["side"]) == ("BTCUSD", 200, "sell")
    until(lambda: alpaca.positions() == [])
    client(alpaca).post("/orders", order())
    until(alpaca.positions)
    assert client(alpaca).close_all_positions(cancel_orders=True)[0].body.side is OrderSide.SELL  # type: ignore[union-attr]


def test_07_a_position_is_closed_in_part_but_not_what_a_sell_holds(alpaca: Simulator) -> None:
    raw = client(alpaca, raw_data=True)
    assert refused(raw.close_position, "BTCUSD").code == 40410000
    alpaca.transfer("BTC", "0.01", "60000")
    for wanted, sold in (
        (ClosePositionRequest(percentage="25"), "0.0025"),
        (ClosePositionRequest(qty="0.001"), "0.001"),
    ):
        closed = raw.close_position("BTCUSD", wanted)
        assert (closed["qty"], closed["side"], closed["type"]) == (sold, "sell", "market")
        until(lambda: alpaca.orders()[-1]["status"] == "filled")
    raw.post("/orders", order("0.005", "sell", kind="limit", limit_price="70000"))
    error = refused(raw.close_position, "BTCUSD")
    assert (error.status_code, error.code) == (403, 40310000)
    assert error.message == "insufficient balance for BTC (requested: 0.0065, available: 0.0015)"
    for nonsense in ("0", "100.1", "x"):
        assert refused(raw.close_position, "BTCUSD", ClosePositionRequest(percentage=nonsense)).status_code == 422


def test_08_a_504_after_acceptance_makes_the_sdk_meet_its_own_order(alpaca: Simulator) -> None:
    alpaca.faults.respond_after(504, method="POST", path="/v2/orders")
    wanted = LimitOrderRequest(
        symbol="BTC/USD", qty=0.001, limit_price=50_000, side=OrderSide.BUY, time_in_force=TimeInForce.GTC,
        client_order_id="mine",
    )  # fmt: skip
    error = refused(client(alpaca).submit_order, wanted)
    assert (error.status_code, error.code, error.message) == (422, 40010001, "client_order_id must be unique")
    assert client(alpaca).get_order_by_client_id("mine").client_order_id == "mine"
    assert len(alpaca.orders()) == 1


def test_09_a_position_has_no_slash_in_its_path(alpaca: Simulator) -> None:
    client(alpaca).post("/orders", order())
    until(alpaca.positions)
    for name in ("BTC/USD", "BTC%2FUSD"):
        error = refused(client(alpaca).get_open_position, name)
        assert (error.status_code, error.code, error.message) == (404, 40410000, "position does not exist")
    assert client(alpaca).get_open_position("BTCUSD").symbol == "BTCUSD"
    asset_id = client(alpaca).get_asset("BTCUSD").id
    assert client(alpaca).get_open_position(asset_id).symbol == "BTCUSD"
    assert refused(client(alpaca).get_open_position, "ETHUSD").code == 40410000


def test_10_an_asset_answers_to_its_names_and_shows_its_increments_as_texts(alpaca: Simulator) -> None:
    for name in ("BTCUSD", "BTC%2FUSD", "BTC/USD"):
        asset = client(alpaca, raw_data=True).get_asset(name)
        assert (asset["symbol"], asset["class"]) == ("BTC/USD", "crypto")
        for increment in ("min_order_size", "min_trade_increment", "price_increment"):
            assert Decimal(asset[increment]) > 0
            assert isinstance(asset[increment], str)
    assert client(alpaca).get_asset("BTCUSD").min_trade_increment == 1e-09
    error = refused(client(alpaca).get_asset, "NONE")
    assert (error.status_code, error.message) == (404, "asset not found for NONE")


def test_11_orders_are_listed_as_asked(alpaca: Simulator) -> None:
    alpaca.set_quote("ETH/USD", "1800", "1801")
    trading = client(alpaca)
    for _ in range(52):
        alpaca.foreign_order(**order(kind="limit", limit_price="50000"))
    alpaca.foreign_order(**order("0.1", symbol="ETH/USD"))
    until(lambda: alpaca.orders()[-1]["status"] == "filled")
    found = trading.get_orders()
    assert len(found) == 50
    assert [one.submitted_at for one in found] == sorted((one.submitted_at for one in found), reverse=True)
    assert len(trading.get_orders(GetOrdersRequest(limit=500))) == 52
    assert len(trading.get("/orders", {"limit": 501})) == 52
    every = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500, direction="asc"))
    assert len(every) == 53
    closed = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert [one.symbol for one in closed] == ["ETH/USD"]
    assert len(trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, symbols=["ETH/USD"]))) == 1
    assert trading.get_orders(GetOrdersRequest(side=OrderSide.SELL)) == []
    third = every[2].submitted_at
    after = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500, direction="asc", after=third))
    assert [one.id for one in after] == [one.id for one in every[3:]]
    before = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, direction="asc", until=third))
    assert [one.id for one in before] == [one.id for one in every[:2]]
    middle = {"status": "all", "after_order_id": str(every[2].id), "before_order_id": str(every[5].id)}
    assert [row["id"] for row in trading.get("/orders", middle)] == [str(every[4].id), str(every[3].id)]
    assert refused(trading.get, "/orders", {"after_order_id": "none"}).status_code == 422


def test_12_activities_have_the_ledgers_shapes_and_pages() -> None:
    start = datetime(2026, 7, 18, 2, 11, 31, 261291, tzinfo=timezone.utc)
    policy = Policy(fee_delay=timedelta(hours=10), fee_spread=timedelta())
    with make_alpaca(speed=0, start=start, policy=policy) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        trading = client(alpaca)
        trading.post("/orders", order("0.01"))
        until(alpaca.activities)
        (fill,) = trading.get("/account/activities/FILL")
        assert fill["id"].startswith("20260717221131261::")  # New York, four hours behind
        assert fill == {
            "id": fill["id"], "activity_type": "FILL", "transaction_time": "2026-07-18T02:11:31.261291Z",
            "type": "fill", "price": "60010", "qty": "0.01", "side": "buy", "symbol": "BTC/USD", "leaves_qty": "0",
            "order_id": alpaca.orders()[0]["id"], "cum_qty": "0.01", "order_status": "filled", "swap_rate": "1",
        }  # fmt: skip
        trading.post("/orders", order("0.005", "sell"))
        until(lambda: len(alpaca.activities()) == 2)
        alpaca.advance(86_400)
        coin_fee, cash_fee = trading.get("/account/activities", {"activity_types": "CFEE", "direction": "asc"})
        assert coin_fee == {
            "id": coin_fee["id"], "activity_type": "CFEE", "date": "2026-07-18", "net_amount": "0",
            "description": "Coin Pair Transaction Fee (Non USD)", "symbol": "BTCUSD", "qty": "-0.000025",
            "price": "60010", "status": "executed", "currency": "USD", "created_at": "2026-07-18T12:11:31.261291Z",
            "cusip": "BTC123456",
        }  # fmt: skip
        assert cash_fee == {
            "id": cash_fee["id"], "activity_type": "CFEE", "date": "2026-07-18", "net_amount": "-0.75",
            "description": "Coin Pair Transaction Fee (USD)", "status": "executed", "currency": "USD",
            "created_at": "2026-07-18T12:11:31.261291Z",
        }  # fmt: skip
        assert coin_fee["id"].startswith("20260718000000000::")  # the UTC day, and no time
        newest_first = trading.get("/account/activities")
        assert [row["id"] for row in newest_first] == [row["id"] for row in reversed(alpaca.activities())]
        page = trading.get("/account/activities", {"page_size": 3})
        rest = trading.get("/account/activities", {"page_size": 3, "page_token": page[-1]["id"]})
        assert page + rest == newest_first
        assert refused(trading.get, "/account/activities", {"page_size": 101}).status_code == 422
        other_time = f"{'0' * 17}{fill['id'][17:]}"
        assert refused(trading.get, "/account/activities", {"page_token": other_time}).status_code == 422
        assert trading.get("/account/activities", {"after": "2026-07-18T12:00:00Z", "direction": "asc"}) == [
            coin_fee,
            cash_fee,
        ]
