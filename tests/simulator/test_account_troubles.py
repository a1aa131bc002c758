"""The account's troubles: coins that come and go, positions misread, blocks, revoked keys."""

import pytest
import requests
from alpaca.common.exceptions import APIError

from dcabot.simulator import Policy, Simulator, walk
from tests.programs import PATIENCE
from tests.simulator import sdk
from tests.simulator.conftest import SYMBOLS, make_alpaca
from tests.simulator.sdk import client, order, until


def ask(alpaca: Simulator, path: str, **query: str) -> requests.Response:
    keys = {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
    return requests.get(f"{alpaca.url}{path}", query, headers=keys, timeout=PATIENCE)


def control(alpaca: Simulator, path: str, body: object) -> requests.Response:
    return requests.post(f"{alpaca.url}/_sim{path}", json=body, timeout=PATIENCE)


def bought(alpaca: Simulator, quantity: str = "0.1") -> str:
    """A filled purchase; its order's id."""
    order_id: str = client(alpaca, raw_data=True).post("/orders", order(quantity))["id"]
    until(lambda: alpaca.positions() and not alpaca.orders(status="open"))
    return order_id


def refusal(alpaca: Simulator) -> tuple[int, str]:
    with pytest.raises(APIError) as caught:
        client(alpaca).post("/orders", order())
    return caught.value.status_code, caught.value.message


def statuses(alpaca: Simulator, stream: str) -> list[str]:
    return [entry["status"] for entry in sdk.said(alpaca, stream, "login")]


# --- transfers ---


def test_a_deposit_is_listed_and_held(alpaca: Simulator) -> None:
    transfer_id = alpaca.deposit("BTC", "0.5", price="40000")
    (row,) = ask(alpaca, "/v2/wallets/transfers").json()
    assert row["id"] == transfer_id
    assert (row["direction"], row["status"]) == ("INCOMING", "COMPLETE")
    assert (row["amount"], row["chain"], row["asset"]) == ("0.5", "BTC", "NATIVE")
    assert {"created_at", "fees", "network_fee"} <= row.keys()
    assert alpaca.positions()[0]["cost_basis"] == "20000"
    assert ask(alpaca, f"/v2/wallets/transfers/{transfer_id}").json() == row
    assert ask(alpaca, "/v2/wallets/transfers/other").status_code == 404


def test_a_token_is_named_and_a_native_coin_is_not(alpaca: Simulator) -> None:
    alpaca.deposit("LINK", 3)
    alpaca.deposit("ETH", 1)
    rows = ask(alpaca, "/v2/wallets/transfers").json()
    assert [(row["chain"], row["asset"]) for row in rows] == [("ETH", "LINK"), ("ETH", "NATIVE")]
    assert len(ask(alpaca, "/v2/wallets/transfers", asset="LINK").json()) == 1


@pytest.mark.parametrize(("status", "held"), [("COMPLETE", []), ("FAILED", ["0.5"])])
def test_sent_coins_are_gone(alpaca: Simulator, status: str, held: list[str]) -> None:
    alpaca.deposit("BTC", "0.5")
    sent = alpaca.withdraw("BTC", "0.5", status="PROCESSING")
    assert alpaca.positions() == []
    assert alpaca.transfers()[1]["direction"] == "OUTGOING"
    assert control(alpaca, "/transfer/settle", {"id": sent, "status": status}).status_code == 200
    assert alpaca.transfers()[1]["status"] == status
    assert [one["qty"] for one in alpaca.positions()] == held


def test_awaited_coins_come_when_it_is_complete(alpaca: Simulator) -> None:
    body = {"coin": "BTC", "quantity": "0.5", "price": "100", "status": "PROCESSING"}
    awaited = control(alpaca, "/transfer", body).json()["id"]
    assert alpaca.positions() == []
    alpaca.settle_transfer(awaited)
    assert alpaca.positions()[0]["avg_entry_price"] == "100"


def test_dollars_are_no_transfer_of_coins(alpaca: Simulator) -> None:
    alpaca.transfer("USD", 5)
    assert alpaca.account()["cash"] == "100005"
    assert alpaca.transfers() == []


def test_nonsense_about_transfers_is_refused(alpaca: Simulator) -> None:
    with pytest.raises(ValueError, match="no transfer 'x'"):
        alpaca.settle_transfer("x")
    with pytest.raises(ValueError, match="a transfer is PROCESSING, FAILED, COMPLETE, not 'GONE'"):
        alpaca.deposit("BTC", 1, status="GONE")
    with pytest.raises(ValueError, match="there is only 0 BTC"):
        alpaca.withdraw("BTC", 1)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_the_list_of_transfers_can_be_refused(alpaca: Simulator, status: int) -> None:
    alpaca.faults.refuse_transfers(status)
    assert ask(alpaca, "/v2/wallets/transfers").status_code == status
    alpaca.faults.clear()
    assert ask(alpaca, "/v2/wallets/transfers").json() == []


# --- positions ---


def quantities(alpaca: Simulator) -> list[str]:
    return [one["qty"] for one in ask(alpaca, "/v2/positions").json()]


def test_a_position_is_missing_for_ever(alpaca: Simulator) -> None:
    alpaca.deposit("BTC", "0.5")
    rule = alpaca.faults.hide_position("BTC/USD", times=None)
    assert [quantities(alpaca) for _ in range(5)] == [[]] * 5
    assert ask(alpaca, "/v2/positions/BTCUSD").status_code == 404
    rule.stop()
    assert quantities(alpaca) == ["0.5"]


def test_a_position_is_missing_for_an_hour() -> None:
    with make_alpaca(speed=0) as alpaca:
        alpaca.deposit("BTC", "0.5")
        alpaca.faults.hide_position("BTCUSD", seconds=3600)
        alpaca.advance(3599)
        assert quantities(alpaca) == []
        alpaca.advance(2)
        assert quantities(alpaca) == ["0.5"]


def test_a_position_shows_less_and_more_than_it_is(alpaca: Simulator) -> None:
    bought(alpaca)
    told = {"symbol": "BTCUSD", "quantity": "0.05", "times": None}
    less = control(alpaca, "/faults/show_position", told)
    (shown,) = ask(alpaca, "/v2/positions").json()
    assert (shown["qty"], shown["qty_available"]) == ("0.05", "0.05")
    assert alpaca.positions()[0]["qty"] == "0.09975"
    assert control(alpaca, "/release", less.json()).json() == {"hits": 1}
    alpaca.faults.show_position("ETH/USD", 2)
    assert quantities(alpaca) == ["0.09975", "2"]
    assert quantities(alpaca) == ["0.09975"]


# --- prices that stand ---


def test_held_prices_keep_their_time_at_rest() -> None:
    with make_alpaca(speed=0, prices=walk(1, SYMBOLS)) as alpaca:
        alpaca.advance(5)
        alpaca.faults.hold_prices(symbol="BTC/USD")
        path, query = "/v1beta3/crypto/us/latest/quotes", {"symbols": "BTC/USD,ETH/USD"}
        before = ask(alpaca, path, **query).json()["quotes"]
        alpaca.advance(600)
        held = ask(alpaca, path, **query).json()["quotes"]
        assert held["BTC/USD"] == before["BTC/USD"]
        assert held["ETH/USD"]["t"] > before["ETH/USD"]["t"]
        alpaca.faults.hold_prices(False)
        alpaca.advance(1)
        assert ask(alpaca, path, **query).json()["quotes"]["BTC/USD"]["t"] > held["BTC/USD"]["t"]


# --- the ledger ---


def test_the_fills_of_one_order_are_asked_for(alpaca: Simulator) -> None:
    first, second = bought(alpaca), bought(alpaca)
    for path in ("/v2/account/activities/FILL", "/v2/account/activities"):
        rows = ask(alpaca, path, order_id=first).json()
        assert [row["order_id"] for row in rows] == [first], path
    assert len(ask(alpaca, "/v2/account/activities/FILL").json()) == 2
    assert first != second


def test_fees_are_posted_within_seconds() -> None:
    with make_alpaca(speed=0) as alpaca:
        alpaca.set_quote("BTC/USD", 60000, 60010)
        bought(alpaca)
        alpaca.advance("0.9")
        assert alpaca.activities(activity_types="CFEE") == []
        alpaca.advance("2.6")
        assert len(alpaca.activities(activity_types="CFEE")) == 1


def test_fees_wait_for_midnight_if_told_to() -> None:
    with make_alpaca(speed=0, policy=Policy(fee_delay=None)) as alpaca:
        alpaca.set_quote("BTC/USD", 60000, 60010)
        bought(alpaca)
        alpaca.advance(86_400)
        assert len(alpaca.activities(activity_types="CFEE")) == 1


# --- what the account may do ---


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trade_suspended_by_user": True}, "new orders are rejected by user request"),
        ({"account_blocked": True}, "account is blocked"),
        ({"trading_blocked": True}, "account is blocked from trading"),
        ({"status": "ACCOUNT_UPDATED"}, "account is not active: ACCOUNT_UPDATED"),
        ({"status": "APPROVAL_PENDING"}, "account is not active: APPROVAL_PENDING"),
        ({"crypto_status": "INACTIVE"}, "crypto trading is not active: INACTIVE"),
    ],
)
def test_a_blocked_account_refuses_orders(
    alpaca: Simulator,
    change: dict[str, object],
    words: str,
) -> None:
    assert control(alpaca, "/account", change).status_code == 200
    assert change.items() <= ask(alpaca, "/v2/account").json().items()
    assert refusal(alpaca) == (403, words)
    free = {name: False if value is True else "ACTIVE" for name, value in change.items()}
    alpaca.set_account(**free)
    bought(alpaca)


def test_a_paper_only_account_trades_where_no_money_is_real(alpaca: Simulator) -> None:
    alpaca.set_account(status="PAPER_ONLY")
    bought(alpaca)
    assert alpaca.account()["status"] == "PAPER_ONLY"


def test_nonsense_about_the_account_is_refused(alpaca: Simulator) -> None:
    assert control(alpaca, "/account", {"cash": "5"}).status_code == 400
    assert control(alpaca, "/account", {"trading_blocked": "yes"}).status_code == 400
    assert control(alpaca, "/account", ["x"]).status_code == 400


def test_revoked_keys_open_no_door(alpaca: Simulator) -> None:
    with sdk.updates(alpaca), sdk.quotes(alpaca):
        sdk.listening(alpaca)
        sdk.subscribed(alpaca)
        alpaca.faults.revoke_keys()
        for stream, status in (("trading", "unauthorized"), ("data", "auth failed")):
            until(lambda s=stream, w=status: w in statuses(alpaca, s))
        assert ask(alpaca, "/v2/account").status_code == 401
        assert ask(alpaca, "/v1beta3/crypto/us/latest/quotes", symbols="BTC/USD").status_code == 401
        alpaca.faults.revoke_keys(False)
        assert ask(alpaca, "/v2/account").status_code == 200
        sdk.listening(alpaca, 2)
