"""What nobody has proven about Alpaca (alpaca.md section 8): each switch as it is, and switched."""

from decimal import Decimal
from typing import Any

import pytest
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


@pytest.mark.parametrize(("accepts", "found"), [(False, 422), (True, 200)])
def test_fok_may_be_accepted(accepts: bool, found: int) -> None:
    with with_policy(accepts_fok=accepts) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        assert outcome(alpaca, time_in_force="fok")[0] == found
