"""What nobody has proven about Alpaca (alpaca.md section 8): each switch as it is, and switched."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from websockets.exceptions import ConnectionClosed

from dcabot.core.venue import Policy
from dcabot.simulator import Simulator, Timing
from tests.programs import PATIENCE
from tests.simulator import raw
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import client, listening, order, until, updates


def with_policy(timing: Timing | None = None, **switches: Any) -> Simulator:
    return make_alpaca(policy=Policy(**switches), timing=timing or Timing())


def outcome(alpaca: Simulator, *arguments: Any, **fields: Any) -> tuple[int, str]:
    """HTTP status of a POST, and the refusal's words or the order's id."""
    try:
        return 200, client(alpaca).post("/orders", order(*arguments, **fields))["id"]
    except APIError as error:
        return error.status_code, error.message


def status(alpaca: Simulator) -> str:
    found: str = alpaca.orders()[-1]["status"]
    return found


@pytest.mark.parametrize(
    ("switches", "answer"),
    [
        ({}, (403, "order notional exceeds the maximum of 200000")),
        ({"notional_maximum_text": "too much"}, (403, "too much")),
        ({"notional_maximum": Decimal(300_000)}, (403, "insufficient balance for USD")),
    ],
)  # fmt: skip
def test_an_order_has_a_maximum_worth_and_a_refusal_of_chosen_words(
    switches: dict[str, Any], answer: tuple[int, str]
) -> None:
    with with_policy(**switches) as alpaca:
        alpaca.set_quote("BTC/USD", "50000", "50000")
        found = outcome(alpaca, "4.00001", kind="limit", limit_price="50000")
        assert (found[0], found[1].partition(" (")[0]) == answer
        assert outcome(alpaca, "4", kind="limit", limit_price="50000")[1].startswith("insufficient")


@pytest.mark.parametrize(("maximum", "statuses"), [(None, [200, 200, 200]), (2, [200, 200, 403])])
def test_open_orders_may_have_a_maximum(maximum: int | None, statuses: list[int]) -> None:
    with with_policy(open_orders_maximum=maximum) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        assert [outcome(alpaca, kind="limit", limit_price="50000")[0] for _ in range(3)] == statuses


@pytest.mark.parametrize(("refuses", "found"), [(False, 200), (True, 422)])
def test_a_price_beside_its_tick_may_be_refused(refuses: bool, found: int) -> None:
    with with_policy(refuses_off_tick=refuses) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        assert outcome(alpaca, kind="limit", limit_price="50000.0000000005")[0] == found


@pytest.mark.parametrize(("cancels", "ends_as"), [(False, "new"), (True, "canceled")])
def test_what_of_a_market_order_lies_beyond_the_collar_rests_or_ends(cancels: bool, ends_as: str) -> None:
    with with_policy(Timing(new=0.1), market_rest_cancels=cancels) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60000")
        outcome(alpaca)
        alpaca.set_quote("BTC/USD", "70000", "70000")
        until(lambda: status(alpaca) == ends_as)


@pytest.mark.parametrize(("pays_maker", "bought"), [(True, "0.09985"), (False, "0.09975")])
def test_a_resting_limit_pays_the_maker_rate_or_not(pays_maker: bool, bought: str) -> None:
    with with_policy(resting_pays_maker=pays_maker) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        outcome(alpaca, "0.1", kind="limit", limit_price="59000")
        until(lambda: status(alpaca) == "new")
        alpaca.set_quote("BTC/USD", "58990", "59000")
        assert alpaca.positions()[0]["qty"] == bought


@pytest.mark.parametrize(("tells", "events"), [(False, ["pending_new"]), (True, ["pending_new", "new"])])
def test_a_stop_limit_may_be_silent_until_it_triggers(tells: bool, events: list[str]) -> None:
    with with_policy(stop_limit_tells_new=tells) as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        outcome(alpaca, kind="stop_limit", stop_price="61000", limit_price="61500")
        until(lambda: status(alpaca) == "new" and stream.events() == events)
        alpaca.set_quote("BTC/USD", "60990", "61000")
        until(lambda: stream.events() == ["pending_new", "new", "fill"])


@pytest.mark.parametrize(("options", "code"), [({}, 1000), ({"data_error_close": 4006}, 4006)])
def test_the_close_code_after_a_data_error_can_be_chosen(options: dict[str, Any], code: int) -> None:
    with make_alpaca(**options) as alpaca, raw.data(alpaca) as first, raw.data(alpaca) as second:
        for stream in (first, second):
            raw.hear(stream)
            raw.log_in(alpaca, stream)
        with pytest.raises(ConnectionClosed):
            second.recv(PATIENCE)
        assert second.close_code == code
        alpaca.faults.data_error(407)
        raw.hear(first)
        with pytest.raises(ConnectionClosed):
            first.recv(PATIENCE)
        assert first.close_code == code


@pytest.mark.parametrize(("code", "switches"), [(40010001, {}), (42210000, {"duplicate_id_code": 42210000})])
def test_a_known_id_is_refused_with_the_chosen_code(code: int, switches: dict[str, Any]) -> None:
    with with_policy(**switches) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        outcome(alpaca, client_order_id="mine")
        with pytest.raises(APIError) as caught:
            client(alpaca).post("/orders", order(client_order_id="mine"))
        assert (caught.value.status_code, caught.value.code) == (422, code)


def test_a_duplicate_id_may_be_told_in_other_words() -> None:
    with with_policy(duplicate_id_text="client order id must be unique") as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        outcome(alpaca, client_order_id="mine")
        with pytest.raises(APIError, match="client order id must be unique"):
            client(alpaca).post("/orders", order(client_order_id="mine"))


@pytest.mark.parametrize(
    ("symbol", "told"),
    [("missing", {"symbol": "BTC"}), ("USD", {"symbol": "USD"}), ("", {})],
)
def test_coins_missing_are_named_or_not(symbol: str, told: dict[str, str]) -> None:
    with with_policy(poverty_symbol=symbol) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        with pytest.raises(APIError) as caught:
            client(alpaca).post("/orders", order(side="sell"))
        body = caught.value.response.json()
        assert {name: value for name, value in body.items() if name == "symbol"} == told


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(404, 40410000, "order not found for azerty"), (422, 40010001, "order_id is missing")],
)
def test_an_order_id_that_is_none(status: int, code: int, message: str) -> None:
    with make_alpaca(malformed_order_id=status) as alpaca:
        for method in ("GET", "DELETE"):
            told = asked(alpaca, method, "/v2/orders/azerty")
            assert (told.status_code, told.json()) == (status, {"code": code, "message": message})
        assert asked(alpaca, "GET", f"/v2/orders/{uuid.uuid4()}").status_code == 404


@pytest.mark.parametrize(("cuts", "status"), [(True, 200), (False, 422)])
def test_a_limit_above_the_most_is_cut_or_refused(cuts: bool, status: int) -> None:
    with make_alpaca(cuts_limit=cuts) as alpaca:
        assert asked(alpaca, "GET", "/v2/orders?limit=1000").status_code == status
        assert asked(alpaca, "GET", "/v2/orders?limit=0").status_code == 422


@pytest.mark.parametrize("needed", [False, True])
def test_market_data_may_need_keys(needed: bool) -> None:
    with make_alpaca(data_needs_keys=needed) as alpaca:
        path = f"{alpaca.url}/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD"
        assert requests.get(path, timeout=PATIENCE).status_code == (403 if needed else 200)
        wrong = {"APCA-API-KEY-ID": "x", "APCA-API-SECRET-KEY": "y"}
        found = requests.get(path, headers=wrong, timeout=PATIENCE).status_code
        assert found == (401 if needed else 200)


@pytest.mark.parametrize("shows", [True, False])
def test_an_asset_is_easy_to_borrow_or_has_a_status(shows: bool) -> None:
    with make_alpaca(shows_easy_to_borrow=shows) as alpaca:
        row = asked(alpaca, "GET", "/v2/assets/BTCUSD").json()
        assert ("easy_to_borrow" in row, "borrow_status" in row) == (shows, not shows)


@pytest.mark.parametrize(("at_limit", "price"), [(True, "59000"), (False, "58000")])
def test_a_resting_order_fills_at_its_own_price(at_limit: bool, price: str) -> None:
    with with_policy(resting_fills_at_limit=at_limit) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        outcome(alpaca, kind="limit", limit_price="59000")
        until(lambda: status(alpaca) == "new")
        alpaca.set_quote("BTC/USD", "57990", "58000")
        until(lambda: status(alpaca) == "filled")
        assert alpaca.orders()[0]["filled_avg_price"] == price


def asked(alpaca: Simulator, method: str, path: str) -> requests.Response:
    keys = {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
    return requests.request(method, alpaca.url + path, headers=keys, timeout=PATIENCE)
