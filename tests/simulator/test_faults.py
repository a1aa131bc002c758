"""Every fault, seen by the unmodified SDK."""

import socket
import threading

import pytest
import requests
from alpaca.common.exceptions import APIError

from dcabot.simulator import Simulator, Timing
from tests.programs import PATIENCE
from tests.simulator import raw
from tests.simulator.sdk import client, listening, order, quotes, said, subscribed, until, updates


def alpaca_with(**options: object) -> Simulator:
    return Simulator(**{"symbols": ("BTC/USD", "ETH/USD"), "partial_fills": 0, **options})


def priced(alpaca: Simulator) -> None:
    alpaca.set_quote("BTC/USD", "60000", "60010")


def test_a_lost_request_never_reaches_the_venue() -> None:
    with alpaca_with() as alpaca:
        priced(alpaca)
        alpaca.faults.lose_request("POST", "/v2/orders")
        with pytest.raises(requests.exceptions.ConnectionError):
            client(alpaca).post("/orders", order())
        assert alpaca.orders() == []
        client(alpaca).post("/orders", order())
        assert len(alpaca.orders()) == 1


def test_a_lost_response_leaves_the_order_at_the_venue() -> None:
    with alpaca_with() as alpaca:
        priced(alpaca)
        alpaca.faults.lose_response("POST", "/v2/orders")
        with pytest.raises(requests.exceptions.ConnectionError):
            client(alpaca).post("/orders", order(client_order_id="mine"))
        assert [one["client_order_id"] for one in alpaca.orders()] == ["mine"]


def test_a_delayed_request_arrives_after_its_client_gave_up() -> None:
    with alpaca_with() as alpaca:
        priced(alpaca)
        alpaca.faults.delay(2, "POST")
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.post(f"{alpaca.url}/v2/orders", json=order(), headers=keys(alpaca), timeout=0.05)
        assert alpaca.orders() == []
        until(alpaca.orders)


def keys(alpaca: Simulator) -> dict[str, str]:
    return {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}


def test_a_held_request_waits_for_its_release() -> None:
    with alpaca_with() as alpaca:
        rule = alpaca.faults.hold("GET", "/v2/account$")
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(str(client(alpaca).get_account().cash)))
        asking.start()
        until(lambda: rule.hits)
        client(alpaca).get_clock()
        assert answers == []
        rule.release()
        asking.join(PATIENCE)
        assert answers == ["100000"]


@pytest.mark.parametrize("status", [400, 403, 500, 502])
def test_any_answer_can_be_given_to_the_next_requests(status: int) -> None:
    with alpaca_with() as alpaca:
        alpaca.faults.respond(status, {"code": 1, "message": "no"}, path="/v2/account", times=2)
        for _ in range(2):
            with pytest.raises(APIError) as caught:
                client(alpaca).get_account()
            assert caught.value.status_code == status
        assert client(alpaca).get_account().cash == "100000"


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("", [500, 500, 500]), ("/account", [500, 500, 200]), ("^/v2/", [500, 500, 500]),
        ("^/account", [200, 200, 200]),
        ("account$", [500, 200, 200]), ("/activities$", [200, 500, 200]), ("^/v2/account$", [500, 200, 200]),
        ("^/v2/account/activities$", [200, 500, 200]), ("^v2", [200, 200, 200]), ("^", [500, 500, 500]),
    ],
)  # fmt: skip
def test_a_rule_is_for_the_paths_that_contain_begin_with_or_end_with_its_text(path: str, statuses: list[int]) -> None:
    with alpaca_with() as alpaca:
        alpaca.faults.respond(500, path=path, times=None)
        paths = ("/v2/account", "/v2/account/activities", "/v2/clock")
        assert [
            requests.get(alpaca.url + p, headers=keys(alpaca), timeout=PATIENCE).status_code for p in paths
        ] == statuses


def test_the_limit_of_requests_is_reached_at_once() -> None:
    with alpaca_with() as alpaca:
        alpaca.faults.rate_limit(times=4)
        with pytest.raises(APIError) as caught:
            client(alpaca).get_account()
        assert (caught.value.status_code, caught.value.code) == (429, 42910000)
        assert client(alpaca).get_account().cash == "100000"


def test_an_answer_can_come_late_after_the_venue_acted() -> None:
    with alpaca_with() as alpaca:
        priced(alpaca)
        rule = alpaca.faults.delay_response(60, "POST", "/v2/orders")

        def post() -> None:
            with pytest.raises(OSError):  # this test ends first
                client(alpaca).post("/orders", order())

        posting = threading.Thread(target=post)
        posting.start()
        until(lambda: alpaca.orders() and alpaca.orders()[0]["status"] == "filled")
        assert (rule.hits, posting.is_alive()) == (1, True)
    posting.join(PATIENCE)


def test_a_subscription_is_answered_with_an_error_until_it_is_switched_off() -> None:
    with alpaca_with() as alpaca, raw.data(alpaca) as stream:
        raw.hear(stream)
        raw.log_in(alpaca, stream)
        alpaca.faults.answer_subscribe(405)
        raw.say(stream, action="subscribe", quotes=["BTC/USD"])
        assert raw.hear(stream) == [{"T": "error", "code": 405, "msg": "symbol limit exceeded"}]
        alpaca.faults.answer_subscribe(None)
        raw.say(stream, action="subscribe", quotes=["BTC/USD"])
        assert raw.hear(stream)[0]["T"] == "subscription"


def test_maintenance_answers_with_html_and_refuses_streams() -> None:
    with alpaca_with() as alpaca, updates(alpaca):
        listening(alpaca)
        alpaca.faults.maintenance()
        answer = requests.get(f"{alpaca.url}/v2/account", headers=keys(alpaca), timeout=PATIENCE)
        assert (answer.status_code, answer.text[:6]) == (503, "<html>")
        until(lambda: said(alpaca, "trading", "refused"))
        alpaca.faults.maintenance(False)
        listening(alpaca, 2)


def test_a_maintenance_window_is_planned_in_venue_time() -> None:
    with alpaca_with(speed=0) as alpaca, updates(alpaca):

        def status() -> int:
            return requests.get(f"{alpaca.url}/v2/account", headers=keys(alpaca), timeout=PATIENCE).status_code

        def plan(**window: object) -> int:
            return requests.post(f"{alpaca.url}/_sim/faults/maintenance", json=window, timeout=PATIENCE).status_code

        listening(alpaca)
        alpaca.faults.maintenance(after=3600, seconds=9000)
        alpaca.advance(3599)
        assert (status(), said(alpaca, "trading", "cut")) == (200, [])
        alpaca.advance(1)
        assert status() == 503
        until(lambda: said(alpaca, "trading", "refused"))
        alpaca.advance(8999)
        assert status() == 503
        alpaca.advance(1)
        assert status() == 200
        listening(alpaca, 2)
        assert plan(after=60, seconds=60) == 200
        assert plan(after=600, seconds=60) == 200  # the last plan counts
        alpaca.advance(60)
        assert status() == 200
        alpaca.advance(540)
        assert status() == 503
        alpaca.faults.clear()
        assert status() == 200
        assert plan(after=-1) == plan(seconds=1e12) == plan(after="soon") == 400
        with pytest.raises(ValueError, match="within 366 days"):
            alpaca.faults.maintenance(after=1e12)


def test_refused_connections_come_back_on_the_same_port() -> None:
    with alpaca_with() as alpaca:
        alpaca.faults.refuse_connections()
        with pytest.raises(requests.exceptions.ConnectionError):
            client(alpaca).get_account()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((alpaca.server.host, alpaca.server.port))  # nobody else is given it meanwhile
        alpaca.faults.refuse_connections(False)
        assert client(alpaca).get_account().cash == "100000"


def test_connections_can_be_refused_for_a_while_over_http() -> None:
    with alpaca_with() as alpaca:
        requests.post(f"{alpaca.url}/_sim/faults/refuse_connections", json={"seconds": 2}, timeout=PATIENCE)
        with pytest.raises(requests.exceptions.ConnectionError):
            client(alpaca).get_account()
        until(lambda: answers(alpaca))


def answers(alpaca: Simulator) -> bool:
    try:
        return bool(client(alpaca).get_account().cash)
    except requests.exceptions.ConnectionError:
        return False


def test_updates_are_dropped_doubled_and_turned_round() -> None:
    with alpaca_with() as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        priced(alpaca)
        alpaca.faults.drop_updates("pending_new")
        client(alpaca).post("/orders", order())
        until(lambda: stream.events() == ["new", "fill"])
        stream.heard.clear()
        alpaca.faults.duplicate_updates("fill")
        client(alpaca).post("/orders", order())
        until(lambda: stream.events() == ["pending_new", "new", "fill", "fill"])
        stream.heard.clear()
        alpaca.faults.reorder_updates("new")
        client(alpaca).post("/orders", order())
        until(lambda: stream.events() == ["pending_new", "fill", "new"])


def test_an_update_can_be_late() -> None:
    with alpaca_with() as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        priced(alpaca)
        alpaca.faults.delay_updates(0.1, "new")
        client(alpaca).post("/orders", order())
        until(lambda: stream.events() == ["pending_new", "fill", "new"])


def test_odd_updates_and_broken_frames_go_out_as_told() -> None:
    with alpaca_with() as alpaca, updates(alpaca, raw_data=True) as stream:
        listening(alpaca)
        priced(alpaca)
        alpaca.faults.alter_updates({"event": "odd", "order": {"status": "odder"}}, "new")
        client(alpaca).post("/orders", order())
        until(lambda: len(stream.heard) == 3)
        assert stream.heard[1]["data"]["event"] == "odd"
        assert stream.heard[1]["data"]["order"]["status"] == "odder"
        alpaca.faults.send_raw("trading", b'{"stream":"trade_updates","da')
        alpaca.faults.send_raw("trading", b'{"stream":"trade_updates","data":null}')
        until(lambda: len(stream.heard) == 4)
        assert stream.heard[3]["data"] is None


def test_a_mute_stream_says_nothing_and_keeps_its_connection() -> None:
    with alpaca_with() as alpaca, quotes(alpaca) as stream:
        subscribed(alpaca)
        priced(alpaca)
        until(lambda: stream.heard)
        alpaca.faults.mute("data")
        priced(alpaca)
        alpaca.faults.mute("data", False)
        alpaca.set_quote("BTC/USD", 1, 2)
        until(lambda: stream.heard[-1].ask_price == 2)
        assert len(stream.heard) == 2
        assert len(said(alpaca, "data", "connect")) == 1


def test_a_cut_stream_comes_back() -> None:
    with alpaca_with() as alpaca, updates(alpaca), quotes(alpaca):
        listening(alpaca)
        subscribed(alpaca)
        alpaca.faults.cut("trading")
        alpaca.faults.cut("data", 1011)
        listening(alpaca, 2)
        subscribed(alpaca, 2)


def test_an_upgrade_is_refused_as_often_as_told() -> None:
    with alpaca_with() as alpaca:
        alpaca.faults.refuse_upgrade("trading", 403, times=1)
        with updates(alpaca):
            listening(alpaca)
        assert [entry["status"] for entry in said(alpaca, "trading", "refused")] == [403]


def test_partial_fills_have_the_sizes_that_were_chosen() -> None:
    with alpaca_with(timing=Timing(remainder=0.001)) as alpaca:
        priced(alpaca)
        alpaca.faults.partial_fills(["0.0002", "0.0003"])
        client(alpaca).post("/orders", order())
        until(lambda: alpaca.orders()[0]["status"] == "filled")
        assert [row["qty"] for row in alpaca.activities()] == ["0.0002", "0.0003", "0.0005"]
        assert [row["cum_qty"] for row in alpaca.activities()] == ["0.0002", "0.0005", "0.001"]


def test_the_rest_of_a_partial_fill_can_be_made_to_wait() -> None:
    with alpaca_with(timing=Timing(remainder=0.001)) as alpaca:
        priced(alpaca)
        alpaca.faults.partial_fills(["0.0002"], rest_waits=True)
        client(alpaca).post("/orders", order())
        until(lambda: alpaca.orders()[0]["status"] == "partially_filled")
        priced(alpaca)
        assert alpaca.orders()[0]["filled_qty"] == "0.0002"
        alpaca.faults.clear()
        assert alpaca.orders()[0]["status"] == "filled"


def test_held_fills_happen_at_the_price_of_their_release() -> None:
    with alpaca_with() as alpaca:
        priced(alpaca)
        alpaca.faults.hold_fills()
        client(alpaca).post("/orders", order(kind="limit", limit_price="60010"))
        until(lambda: alpaca.orders()[0]["status"] == "new")
        alpaca.set_quote("BTC/USD", "59000", "59010")
        alpaca.faults.hold_fills(False)
        assert alpaca.orders()[0]["filled_avg_price"] == "59010"


@pytest.mark.parametrize("symbol", ["BTC/USD", "BTCUSD"])
def test_fills_of_one_pair_are_held_or_sliced_however_it_is_spelt(symbol: str) -> None:
    with alpaca_with(timing=Timing(remainder=0.001)) as alpaca:
        priced(alpaca)
        alpaca.set_quote("ETH/USD", "1800", "1801")
        alpaca.faults.hold_fills(symbol=symbol)
        for fields in ({}, {"symbol": "ETH/USD", "qty": "1"}):
            client(alpaca).post("/orders", order(**fields))
        until(lambda: [one["status"] for one in alpaca.orders()] == ["new", "filled"])
        alpaca.faults.hold_fills(False, symbol)
        assert alpaca.orders()[0]["status"] == "filled"
        alpaca.faults.partial_fills(["0.0004"], symbol=symbol, rest_waits=True)
        for fields in ({"symbol": "ETH/USD", "qty": "1"}, {}):
            client(alpaca).post("/orders", order(**fields))
        until(lambda: [one["filled_qty"] for one in alpaca.orders()[2:]] == ["1", "0.0004"])


def test_holding_one_pair_too_does_not_let_the_others_go() -> None:
    with alpaca_with() as alpaca:
        alpaca.set_quote("ETH/USD", "1800", "1801")
        alpaca.faults.hold_fills()
        alpaca.faults.hold_fills(symbol="BTC/USD")
        client(alpaca).post("/orders", order("1", symbol="ETH/USD"))
        until(lambda: alpaca.orders()[0]["status"] == "new")
        alpaca.faults.hold_fills(False)
        assert alpaca.orders()[0]["status"] == "filled"


def test_a_position_is_missing_for_one_read() -> None:
    with alpaca_with() as alpaca:
        priced(alpaca)
        client(alpaca).post("/orders", order())
        until(alpaca.positions)
        alpaca.faults.hide_position("BTC/USD")
        assert client(alpaca).get_all_positions() == []
        assert [one.symbol for one in client(alpaca).get_all_positions()] == ["BTCUSD"]


def test_foreign_orders_and_transfers_happen_on_the_same_account() -> None:
    with alpaca_with() as alpaca:
        priced(alpaca)
        order_id = alpaca.foreign_order(**order(kind="limit", limit_price="50000"))
        assert [str(one.id) for one in client(alpaca).get_orders()] == [order_id]
        alpaca.foreign_cancel(order_id)
        until(lambda: alpaca.orders()[0]["status"] == "canceled")
        alpaca.transfer("BTC", "0.5", "40000")
        assert alpaca.positions()[0]["qty"] == "0.5"
        alpaca.transfer("BTC", "-0.5")
        assert alpaca.positions() == []


def test_the_control_api_does_what_python_does() -> None:
    with alpaca_with() as alpaca:
        sim = f"{alpaca.url}/_sim"

        def post(path: str, body: object) -> requests.Response:
            return requests.post(f"{sim}{path}", json=body, timeout=PATIENCE)

        assert post("/quote", [{"symbol": "BTC/USD", "bid": "60000", "ask": 60010.5}]).status_code == 200
        answer = {"status": 418, "body": {"message": "tea"}, "path": "/v2/account", "times": None}
        rule = post("/faults/respond", answer).json()["rule"]
        with pytest.raises(APIError):
            client(alpaca).get_account()
        assert post("/release", {"rule": rule}).json() == {"hits": 1}
        assert client(alpaca).get_account().cash == "100000"
        foreign = post("/order", order(kind="limit", limit_price="50000")).json()["id"]
        assert post("/cancel", {"id": foreign}).status_code == 200
        assert post("/transfer", {"coin": "ETH", "quantity": "1", "price": 0}).status_code == 200
        assert [one["symbol"] for one in alpaca.positions()] == ["ETHUSD"]
        assert post("/faults/nonsense", {}).status_code == 404
        assert post("/faults/respond", {"no": 1}).status_code == 400
        assert requests.get(f"{sim}/journal?kind=request", timeout=PATIENCE).json()[0]["path"] == "/v2/account"
        assert requests.get(sim, timeout=PATIENCE).json()["orders"] == 1
