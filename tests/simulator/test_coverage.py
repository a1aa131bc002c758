"""The table of what is here, kept true: every endpoint is asked, every parameter is looked at."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import requests as http
from aiohttp import web

from dcabot.simulator import Simulator, requests
from dcabot.simulator.coverage import ENDPOINTS, NOT, Endpoint, table
from dcabot.simulator.marketdata import ROOT, DataHost
from dcabot.simulator.quotes import CHANNELS
from dcabot.simulator.trading import TradingHost
from dcabot.simulator.updates import TRADE_UPDATES
from tests.programs import PATIENCE
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import client, order, until
from tests.test_floors import ROOT as CHECKOUT

VALUES = {"symbols": "BTC/USD", "timeframe": "1Min", "start": "2026-01-01", "end": "2026-01-02"}
VALUES |= {"after": "2026-01-01", "until": "2026-01-02", "date": "2026-01-01"}
VALUES |= {"page_token": "1", "limit": "5", "page_size": "5", "direction": "asc"}
VALUES |= {"status": "active", "asset_class": "crypto"}
BASE = {f"{ROOT}/bars": ("symbols", "timeframe")}
BODIES = {
    "/v2/orders": order(
        client_order_id="x", notional="1", limit_price="1", stop_price="1", order_class="simple",
        extended_hours=False, kind="limit",
    ),
    "/v2/orders/{id}": {"qty": "0.002", "limit_price": "51000", "client_order_id": "y"},
    "/v2/account/configurations": {"suspend_trade": False},
}  # fmt: skip
ASKED = [one for one in ENDPOINTS if one.method != "WS"]


class Spy(dict[str, Any]):
    """What was sent, and the names that were looked at."""

    seen: ClassVar[set[str]] = set()

    def get(self, name: str, default: Any = None) -> Any:
        Spy.seen.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        Spy.seen.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        Spy.seen.add(str(name))
        return super().__contains__(name)


@pytest.fixture
def alpaca(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """With a position, a resting order, and eyes on every query and body."""
    read_json = requests.read_json
    monkeypatch.setattr(requests, "read_json", lambda body: Spy(read_json(body)))
    monkeypatch.setattr(web.BaseRequest, "query", property(lambda self: Spy(self._rel_url.query)))
    with make_alpaca(allows_replace=True, rate_limit=None, data_rate_limit=None) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        client(alpaca).post("/orders", order("0.01"))
        until(alpaca.positions)
        client(alpaca).post("/orders", order(kind="limit", limit_price="50000"))
        yield alpaca


def ask(alpaca: Simulator, endpoint: Endpoint, **query: str) -> http.Response:
    """A request; its path's places are filled."""
    path = endpoint.path.replace("{symbol or id}", "BTCUSD").replace("{type}", "FILL")
    path = path.replace("{id}", alpaca.orders()[-1]["id"])
    keys = {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
    body = BODIES.get(endpoint.path) if endpoint.method in ("POST", "PATCH") else None
    sent = {"params": query, "json": body, "headers": keys, "timeout": PATIENCE}
    return http.request(endpoint.method, alpaca.url + path, **sent)


def is_unknown(answer: http.Response) -> bool:
    return answer.status_code == 404 and answer.json()["message"] == "endpoint not found."


@pytest.mark.parametrize("endpoint", ASKED, ids=lambda one: f"{one.method} {one.path}")
def test_what_is_told_to_be_here_is(alpaca: Simulator, endpoint: Endpoint) -> None:
    is_missing = endpoint.state == NOT
    answer = ask(alpaca, endpoint)
    assert (is_unknown(answer) or answer.status_code == 405) == is_missing
    if is_missing:
        assert endpoint.parameters == endpoint.missing == ()
        return
    Spy.seen = set()
    for name in (*endpoint.parameters, *endpoint.missing):
        sent = {one: VALUES[one] for one in ("symbols", "timeframe") if one in endpoint.parameters}
        ask(alpaca, endpoint, **sent, **{name: VALUES.get(name, "x")} if name not in sent else {})
    assert set(endpoint.parameters) <= Spy.seen
    assert Spy.seen.isdisjoint(endpoint.missing)


def test_every_route_is_in_the_table(alpaca: Simulator) -> None:
    server = alpaca.server
    routes = TradingHost(server.exchange).routes() + DataHost(server.exchange, server.tape).routes()
    known = {(one.method, bare(one.path)) for one in ASKED if one.state != NOT}
    assert {(one.method, bare(one.path)) for one in routes if one.method != "*"} == known


def bare(path: str) -> str:
    """A path without the names of its places."""
    return re.sub(r"\{[^/]*\}", "{}", path.replace(ROOT, "/v1beta3/crypto/us"))


def test_the_streams_have_the_channels_of_the_table() -> None:
    streams = {one.path: set(one.parameters) for one in ENDPOINTS if one.method == "WS"}
    assert streams == {"/stream": {TRADE_UPDATES}, "/v1beta3/crypto/us": set(CHANNELS)}


def test_the_document_has_the_table() -> None:
    page = (CHECKOUT / "docs" / "simulator.md").read_text(encoding="utf-8")
    assert "\n".join(table()) in page


def test_the_control_api_shows_the_table(alpaca: Simulator) -> None:
    told = http.get(f"{alpaca.url}/_sim", timeout=PATIENCE).json()["endpoints"]
    assert told == [one.row() for one in ENDPOINTS]


def test_configurations_change_the_account() -> None:
    with make_alpaca() as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        trading = client(alpaca)
        known = trading.get_account_configurations()
        assert (known.suspend_trade, known.no_shorting) == (False, False)  # type: ignore[union-attr]
        wished = known.model_copy(update={"suspend_trade": True, "no_shorting": True})  # type: ignore[union-attr]
        wished.max_margin_multiplier = "1"
        assert trading.set_account_configurations(wished) == wished
        account = alpaca.account()
        assert (account["trade_suspended_by_user"], account["shorting_enabled"]) == (True, False)
        assert (account["multiplier"], account["buying_power"]) == ("1", "100000")
        with pytest.raises(ValueError, match="new orders are rejected by user request"):
            alpaca.foreign_order(**order())
        trading.patch("/account/configurations", {"suspend_trade": False, "other": 5})
        alpaca.foreign_order(**order())
        alpaca.set_account(trade_suspended_by_user=True)
        assert trading.get_account_configurations().suspend_trade  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "body",
    [
        {"suspend_trade": "yes"},
        {"max_margin_multiplier": 3},
        {"max_options_trading_level": True},
        {"trade_confirm_email": ["all"]},
        {"no_shorting": 1},
    ],
)
def test_configurations_of_nonsense_are_refused(body: dict[str, object]) -> None:
    with make_alpaca() as alpaca:
        keys = {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
        url = f"{alpaca.url}/v2/account/configurations"
        found = http.patch(url, json=body, headers=keys, timeout=PATIENCE)
        assert (found.status_code, found.json()["message"]) == (422, f"invalid {next(iter(body))}")
        assert not http.get(url, headers=keys, timeout=PATIENCE).json()["suspend_trade"]
