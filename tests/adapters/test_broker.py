"""The REST door over real sockets: the outcome of each request, and that a failed question is never an empty answer."""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from dcabot.adapters import transport
from dcabot.adapters.broker import Broker
from dcabot.adapters.budget import AGAIN_RATIO, SALES_RATIO, Budget
from dcabot.adapters.config import load
from dcabot.commands import paces
from dcabot.core.model import Order, OrderStatus, Purpose, Refusal, Side, TimeInForce
from dcabot.core.snapshot import (
    Accepted,
    AlreadyOver,
    CancelRequested,
    ExchangeDenied,
    ExchangeError,
    ExchangeUnreachable,
    NotFound,
    Refused,
    Unknown,
)
from dcabot.simulator import Simulator
from tests.adapters.scripted import CUT, HANG, Scripted, answer, config_for
from tests.programs import PATIENCE
from tests.relay import Relay

BTC, ETH = "BTC/USD", "ETH/USD"
AT = datetime(2026, 9, 18, 10, tzinfo=timezone.utc)
BUY = Order("dcabot-1", Purpose.BASE, Side.BUY, Decimal("0.01"), Decimal("60000.1"), AT)
MARKETABLE = replace(BUY, limit_price=Decimal(60010))
ROW: dict[str, Any] = {
    "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
    "client_order_id": "dcabot-1",
    "symbol": BTC,
    "asset_class": "crypto",
    "side": "buy",
    "status": "new",
    "qty": "0.01",
    "filled_qty": "0",
    "filled_avg_price": None,
    "limit_price": "60000.1",
    "created_at": "2026-09-18T10:00:00Z",
    "updated_at": "2026-09-18T10:00:00Z",
    "submitted_at": "2026-09-18T10:00:00Z",
}
OK = answer(200, ROW)


def now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def make_broker() -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(url: str, **environ: str) -> Broker:
        made.append(Broker(config_for(url, **environ), now))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def alpaca() -> Iterator[Simulator]:
    with Simulator(symbols=[BTC, ETH], partial_fills=0) as simulator:
        simulator.set_quote(BTC, "60000", "60010")
        simulator.set_quote(ETH, "3000", "3001")
        yield simulator


@pytest.fixture
def broker(alpaca: Simulator) -> Iterator[Broker]:
    broker = Broker(load({"exchange"}, alpaca.env()), now)
    yield broker
    broker.close()


def order(name: str, price: str = "50000", quantity: str = "0.01") -> Order:
    return replace(BUY, client_order_id=name, limit_price=Decimal(price), quantity=Decimal(quantity))


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


# Submit


def test_an_order_is_accepted_and_found_again(broker: Broker) -> None:
    outcome = broker.submit(BTC, MARKETABLE)
    assert isinstance(outcome, Accepted)
    assert outcome.report.status is OrderStatus.ACCEPTED
    filled = until(lambda: (r := broker.report("dcabot-1")) and r.status is OrderStatus.FILLED and r)
    assert (filled.filled_quantity, filled.order_id) == (Decimal("0.01"), outcome.report.order_id)


def test_the_wire_has_decimal_strings(make_broker: Callable[..., Broker]) -> None:
    with Scripted(OK) as server:
        make_broker(server.url).submit(BTC, replace(BUY, quantity=Decimal("0.000000001")))
    ((verb, path, _, body),) = server.requests
    assert (verb, path) == ("POST", "/v2/orders")
    assert isinstance(body, dict) and (body["qty"], body["limit_price"]) == ("0.000000001", "60000.1")


POOR = Refusal.INSUFFICIENT_BALANCE
REFUSALS = [
    (401, {"message": "unauthorized."}, Refusal.UNAUTHORIZED),
    (401, b"", Refusal.UNAUTHORIZED),
    (403, {"message": "forbidden."}, Refusal.UNAUTHORIZED),
    (403, {"code": 40310000, "message": "insufficient balance for USD (requested: 1, available: 0)"}, POOR),
    (403, {"code": 40310000, "message": "insufficient qty available for order"}, POOR),
    (403, {"code": 40310000, "message": "cost basis must be >= minimal amount of order 10"}, Refusal.MINIMUM_COST),
    (403, {"code": 40310000, "message": "potential wash trade detected. use complex orders"}, Refusal.WASH_TRADE),
    (403, {"code": 40310000, "message": "something new"}, Refusal.OTHER),
    (404, {"code": 40410000, "message": "asset not found for X"}, Refusal.NOT_TRADABLE),
    (422, {"code": 42210000, "message": 'asset "X/USD" not found'}, Refusal.NOT_TRADABLE),
    (422, {"code": 40010001, "message": "asset MKR/USD is not active"}, Refusal.NOT_TRADABLE),
    (422, {"code": 42210000, "message": "invalid crypto time_in_force"}, Refusal.INVALID),
    (429, {"code": 42910000, "message": "rate limit exceeded"}, Refusal.RATE_LIMITED),
    (429, b"<html>slow down</html>", Refusal.RATE_LIMITED),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "code"), REFUSALS)
def test_a_refusal_in_alpacas_words_is_certain_and_has_its_reason(
    make_broker: Callable[..., Broker], status: int, body: object, code: Refusal
) -> None:
    with Scripted(answer(status, body)) as server:
        outcome = make_broker(server.url).submit(BTC, BUY)
    assert isinstance(outcome, Refused) and outcome.code is code
    assert f"HTTP {status}" in outcome.why
    assert len(server.requests) == 1


UNKNOWN = {
    "500": answer(500, {"code": 50010000, "message": "internal server error"}),
    "502 of a proxy": answer(502, b"<html>bad gateway</html>"),
    "504": answer(504, {"message": "gateway timeout"}),
    "408": answer(408, {"message": "timeout"}),
    "409": answer(409, {"message": "conflict"}),
    "403 of a proxy": answer(403, b"<html>forbidden</html>"),
    "404 of a proxy": answer(404, b"<html>not found</html>"),
    "a redirect": answer(301, b"", Location="http://127.0.0.1:1/"),
    "duplicate id": answer(422, {"code": 40010001, "message": "client_order_id must be unique"}),
    "duplicate id with blanks": answer(422, {"message": "client order id must be unique"}),
    "empty answer": answer(200),
    "no content": answer(204),
    "broken JSON": answer(200, b'{"id": "61e'),
    "deep JSON": answer(200, b"[" * 200_000),
    "huge number": answer(200, b"1" * 5000),
    "a list": answer(200, [ROW]),
    "a bare null": answer(200, b"null"),
    "no order in it": answer(200, {"message": "ok"}),
    "another order": answer(200, {**ROW, "client_order_id": "dcabot-2"}),
    "a cut connection": CUT,
    "half an answer": OK[:-20].replace(b"Content-Length", b"Connection: close\r\nContent-Length"),
    "not HTTP": b"hello\r\n\r\n",
}


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"X_Request_ID": "0f3a1b2c-77"}, "0f3a1b2c-77"),
        ({}, ""),
        ({"X_Request_ID": "\x1b[2J red"}, ""),
        ({"X_Request_ID": "x" * 65}, ""),
    ],
)
def test_a_refusal_has_the_id_of_its_request(
    make_broker: Callable[..., Broker],
    sent: dict[str, str],
    told: str,
) -> None:
    for status in (401, 403, 422, 429):
        with Scripted(answer(status, {"message": "no"}, **sent)) as server:
            outcome = make_broker(server.url).submit(BTC, BUY)
        assert isinstance(outcome, Refused)
        assert outcome.request_id == told
        assert told not in outcome.why or not told


@pytest.mark.parametrize("said", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_everything_else_leaves_the_outcome_unknown_and_is_sent_once(
    make_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.5)
    with Scripted(said) as server:
        outcome = make_broker(server.url).submit(BTC, BUY)
    assert isinstance(outcome, Unknown) and 0 < len(outcome.why) < 250
    assert len(server.requests) == 1


def test_no_answer_leaves_the_outcome_unknown_after_the_timeout(
    make_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.3)
    with Scripted(HANG) as server:
        outcome = make_broker(server.url).submit(BTC, BUY)
        until(lambda: server.requests)
    assert isinstance(outcome, Unknown) and re.match(r"no answer from 127\.0\.0\.1:\d+ within", outcome.why)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://nowhere.invalid"])
def test_without_a_connection_nothing_was_sent(make_broker: Callable[..., Broker], url: str) -> None:
    outcome = make_broker(url, DCABOT_PLAIN_HTTP="yes").submit(BTC, BUY)
    assert isinstance(outcome, Refused) and outcome.code is Refusal.UNREACHABLE
    assert outcome.why.startswith(f"no connection to {url.removeprefix('http://')}: ")


def test_an_order_that_the_exchange_took_before_the_line_broke_is_unknown_and_found_by_asking(
    alpaca: Simulator, broker: Broker
) -> None:
    alpaca.faults.lose_response("POST", "/v2/orders")
    assert isinstance(broker.submit(BTC, BUY), Unknown)
    assert broker.report("dcabot-1") is not None
    again = broker.submit(BTC, BUY)
    assert isinstance(again, Unknown) and "already" in again.why
    assert len(alpaca.orders()) == 1


def test_a_504_after_acceptance_sends_no_second_order(alpaca: Simulator, broker: Broker) -> None:
    alpaca.faults.respond_after(504, {"message": "gateway timeout"}, "POST", "/v2/orders")
    assert isinstance(broker.submit(BTC, BUY), Unknown)
    assert [one["client_order_id"] for one in alpaca.orders()] == ["dcabot-1"]
    assert [entry["method"] for entry in alpaca.journal.entries("request")] == ["POST"]  # a second one is refused


def test_one_slow_order_does_not_hold_up_twenty_others(alpaca: Simulator, broker: Broker) -> None:
    slow = alpaca.faults.hold("POST", "/v2/orders")
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(broker.submit, BTC, order("dcabot-slow"))
        until(lambda: slow.hits == 1)
        others = list(pool.map(lambda n: broker.submit(BTC, order(f"dcabot-{n}", quantity="0.001")), range(20)))
        assert all(isinstance(outcome, Accepted) for outcome in others)
        assert not first.done()
        slow.release()
        assert isinstance(first.result(), Accepted)


# Cancel


def test_a_cancel_is_requested_and_the_report_says_what_came_of_it(broker: Broker) -> None:
    placed = broker.submit(BTC, order("dcabot-1"))
    assert isinstance(placed, Accepted)
    assert broker.cancel(placed.report.order_id) == CancelRequested()
    until(lambda: (r := broker.report("dcabot-1")) and r.status is OrderStatus.CANCELED)


def test_a_cancel_that_comes_too_late_says_so(broker: Broker) -> None:
    placed = broker.submit(BTC, MARKETABLE)
    assert isinstance(placed, Accepted)
    until(lambda: (r := broker.report("dcabot-1")) and r.status is OrderStatus.FILLED)
    outcome = broker.cancel(placed.report.order_id)
    assert isinstance(outcome, AlreadyOver) and "filled" in outcome.why


def test_a_cancel_of_what_is_not_there_says_so(broker: Broker) -> None:
    assert isinstance(broker.cancel("61e69015-8549-4bfd-b9c3-01e75843f47d"), NotFound)


@pytest.mark.parametrize(
    "said", [answer(500), CUT, answer(404, b"<html>"), answer(401, {"message": "no"}), answer(302)]
)
def test_a_cancel_without_a_clear_answer_is_unknown(make_broker: Callable[..., Broker], said: bytes) -> None:
    with Scripted(said) as server:
        assert isinstance(make_broker(server.url).cancel("../orders"), Unknown)
    ((verb, path, _, _),) = server.requests
    assert (verb, path) == ("DELETE", "/v2/orders/..%2Forders")


def test_an_order_that_is_being_cancelled_counts_as_requested(make_broker: Callable[..., Broker]) -> None:
    with Scripted(answer(422, {"message": 'order is already in "pending_cancel" state'})) as server:
        assert make_broker(server.url).cancel("x") == CancelRequested()


# Questions


def test_an_order_that_the_exchange_denies_is_none(broker: Broker) -> None:
    assert broker.report("dcabot-nothing") is None


@pytest.mark.parametrize(
    "said",
    [
        *(answer(404, b"<html>not found</html>"), answer(404), answer(404, {"message": "no such endpoint"})),
        *(answer(500), answer(400, {"message": "bad"}), answer(301)),
        *(answer(200), answer(200, {}), answer(200, b"{"), CUT),
    ],
)
def test_a_question_without_a_clear_answer_raises_and_is_never_none(
    make_broker: Callable[..., Broker], said: bytes
) -> None:
    with Scripted(said) as server, pytest.raises(ExchangeUnreachable):
        make_broker(server.url).report("dcabot-1")


@pytest.mark.parametrize("status", [401, 403])
def test_keys_that_are_not_accepted_are_another_error(make_broker: Callable[..., Broker], status: int) -> None:
    with Scripted(answer(status, {"message": "forbidden."})) as server:
        broker = make_broker(server.url)
        for ask in (lambda: broker.report("x"), broker.open_orders, broker.positions, broker.account):
            with pytest.raises(ExchangeDenied, match="API keys"):
                ask()
    assert len(server.requests) == 4


def test_a_gateways_403_says_nothing_about_the_keys(make_broker: Callable[..., Broker]) -> None:
    with Scripted(answer(403, b"<html>forbidden</html>")) as server, pytest.raises(ExchangeUnreachable):
        make_broker(server.url).account()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_question_is_asked_again_a_few_times_and_then_answered(
    make_broker: Callable[..., Broker], status: int
) -> None:
    with Scripted(answer(status, b""), CUT, OK) as server:
        assert make_broker(server.url).report("dcabot-1") is not None
    assert len(server.requests) == 3


def test_a_question_is_given_up_in_bounded_time(make_broker: Callable[..., Broker]) -> None:
    with Scripted(answer(503, b"", Retry_After="3600")) as server:
        began = time.monotonic()
        with pytest.raises(ExchangeUnreachable, match="503"):
            make_broker(server.url).account()
    assert len(server.requests) == 1 and time.monotonic() - began < 10  # half of QUERY_SECONDS


def test_retry_after_is_respected(make_broker: Callable[..., Broker]) -> None:
    with Scripted(answer(429, b"", Retry_After="1"), OK) as server:
        began = time.monotonic()
        make_broker(server.url).report("dcabot-1")
    assert time.monotonic() - began >= 1


def test_open_orders_are_all_there_beyond_the_first_page(make_broker: Callable[..., Broker]) -> None:
    def row(number: int) -> dict[str, Any]:
        at = f"2026-09-18T10:00:00.{number // 100:06}Z"  # many share their instant
        return ROW | {"id": f"id-{number}", "client_order_id": f"dcabot-{number}", "submitted_at": at}

    first, second = [row(n) for n in range(500)], [row(n) for n in range(400, 700)]
    with Scripted(answer(200, first), answer(200, second)) as server:
        orders = make_broker(server.url).open_orders()
    assert len(orders.rows) == 700 and not orders.unreadable
    assert server.requests[1][2]["after"] == "2026-09-18T10:00:00.000003Z"


def test_open_orders_that_never_end_are_an_error(make_broker: Callable[..., Broker]) -> None:
    page = [ROW | {"id": f"id-{n}"} for n in range(500)]
    with Scripted(answer(200, page)) as server, pytest.raises(ExchangeUnreachable, match="does not end"):
        make_broker(server.url).open_orders()
    assert len(server.requests) == 2


def test_orders_since_are_closed_ones_too_page_by_page(make_broker: Callable[..., Broker]) -> None:
    def row(number: int) -> dict[str, Any]:
        at = f"2026-09-18T10:{number // 60:02}:{number % 60:02}Z"
        return ROW | {"id": f"id-{number}", "client_order_id": f"c-{number}", "status": "canceled", "submitted_at": at}

    pages = [row(n) for n in range(500)], [row(n) for n in range(499, 520)]
    with Scripted(*(answer(200, page) for page in pages)) as server:
        orders = make_broker(server.url).orders_since(AT)
    assert len(orders.rows) == 520
    asked = [request[2] for request in server.requests]
    assert [one["status"] for one in asked] == ["all", "all"]
    assert [one["after"] for one in asked] == ["2026-09-18T10:00:00Z", "2026-09-18T10:08:18.999999Z"]


def test_recent_orders_come_newest_first(make_broker: Callable[..., Broker]) -> None:
    with Scripted(answer(200, [ROW])) as server:
        assert len(make_broker(server.url).recent_orders().rows) == 1
    assert (server.requests[0][2]["direction"], server.requests[0][2]["status"]) == ("desc", "all")


def test_what_left_the_account(alpaca: Simulator, broker: Broker) -> None:
    """Sales by hand and transfers, as the local Alpaca tells them; both spellings of a pair are one."""
    alpaca.set_quote(BTC, "60000", "60010")
    alpaca.transfer("BTC", "1")
    alpaca.transfer("BTC", "-0.25")
    alpaca.foreign_order(symbol=BTC, qty="0.5", side="sell", type="market", time_in_force="gtc")
    broker.instruments()
    until(lambda: broker.fills(now() - timedelta(hours=1)).rows)
    (fill,) = broker.fills(now() - timedelta(hours=1)).rows
    assert (fill.symbol, fill.side, fill.quantity) == (BTC, Side.SELL, Decimal("0.5"))
    moved = [(one.coin, one.quantity, one.outgoing, one.complete) for one in broker.transfers().rows]
    assert moved == [("BTC", 1, False, True), ("BTC", Decimal("0.25"), True, True)]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_transfers_that_may_not_be_asked_are_no_answer(make_broker: Callable[..., Broker], status: int) -> None:
    with Scripted(answer(status, {"message": "not found"})) as server, pytest.raises(ExchangeError):
        make_broker(server.url).transfers()


def test_an_order_that_cannot_be_read_is_named_and_hides_nothing_else(make_broker: Callable[..., Broker]) -> None:
    rows = [ROW, ROW | {"id": "2", "client_order_id": "dcabot-2", "side": "odd"}, ROW | {"id": "3", "symbol": None}]
    stock = ROW | {"id": "4", "asset_class": "us_equity", "symbol": "AAPL", "side": ""}
    with Scripted(answer(200, [*rows, stock])) as server:
        orders = make_broker(server.url).open_orders()
    assert [report.client_order_id for report in orders] == ["dcabot-1"]
    assert [row.key for row in orders.unreadable] == ["dcabot-2", "dcabot-1"]
    assert orders.may_hide("dcabot-2") and not orders.may_hide("dcabot-7")


def test_a_row_that_is_no_object_may_be_anyones(make_broker: Callable[..., Broker]) -> None:
    with Scripted(answer(200, [ROW, None])) as server:
        orders = make_broker(server.url).open_orders()
    assert len(orders.rows) == 1 and orders.may_hide("dcabot-7")


def test_positions_have_the_symbol_of_the_assets(alpaca: Simulator, broker: Broker) -> None:
    assert broker.positions().rows == ()
    broker.submit(BTC, MARKETABLE)
    position = until(lambda: broker.positions().rows)[0]
    assert position.symbol == BTC
    assert Decimal("0.0099") < position.quantity == position.available < Decimal("0.01")


def test_a_position_that_cannot_be_read_is_not_taken_for_none(make_broker: Callable[..., Broker]) -> None:
    assets = [{"symbol": BTC, "status": "active", "tradable": True}]
    with Scripted(answer(200, [{"symbol": "BTCUSD", "qty": None}]), answer(200, assets)) as server:
        positions = make_broker(server.url).positions()
    assert positions.rows == () and positions.may_hide(BTC) and not positions.may_hide(ETH)


def test_a_pair_that_was_listed_lately_gets_its_slash_too(make_broker: Callable[..., Broker]) -> None:
    position = {"symbol": "NEWUSD", "qty": "1", "qty_available": "1"}
    odd = position | {"symbol": "GONEUSD"}
    assets = [{"symbol": BTC, "status": "active"}, {"symbol": "NEW/USD", "status": "active"}]
    with Scripted(
        answer(200, assets[:1]), answer(200, [position, odd]), answer(200, assets), answer(200, [odd])
    ) as server:
        broker = make_broker(server.url)
        broker.instruments()
        assert [one.symbol for one in broker.positions()] == ["NEW/USD", "GONEUSD"]
        assert [one.symbol for one in broker.positions()] == ["GONEUSD"]
    assert len(server.requests) == 4


def test_instruments_are_the_pairs_in_usd_and_a_bad_one_is_named(make_broker: Callable[..., Broker]) -> None:
    good = {"symbol": BTC, "status": "active", "tradable": True, "min_order_size": "0.00001"}
    good |= {"min_trade_increment": "0.000000001", "price_increment": "1"}
    rows = [good, good | {"status": "inactive"}, good | {"symbol": "BTC/USDT"}, good | {"symbol": ETH, "tradable": "?"}]
    with Scripted(answer(200, [*rows, {"symbol": "OLDUSD"}])) as server:
        instruments = make_broker(server.url).instruments()
    assert [(one.symbol, one.tradable) for one in instruments] == [(BTC, True)]
    assert [row.key for row in instruments.unreadable] == [ETH]


def test_the_account_quotes_and_the_clock_are_read(alpaca: Simulator, broker: Broker) -> None:
    account = broker.account()
    assert account.obstacle == "" and account.buying_power == 100_000
    assert {q.symbol: q.ask for q in broker.latest_quotes([BTC, ETH])} == {BTC: Decimal(60010), ETH: Decimal(3001)}
    assert abs(broker.clock_skew()) < timedelta(seconds=1)
    assert {one.symbol for one in broker.instruments()} >= {BTC, ETH}


@pytest.mark.parametrize("body", [{}, [], {"quotes": None}, {"quotes": []}])
def test_quotes_that_are_none_are_an_error(make_broker: Callable[..., Broker], body: object) -> None:
    with Scripted(answer(200, body)) as server, pytest.raises(ExchangeUnreachable, match="not understood"):
        make_broker(server.url).latest_quotes([BTC])


def test_a_quote_that_cannot_be_read_costs_only_itself(make_broker: Callable[..., Broker]) -> None:
    good = {"t": "2026-09-18T10:00:00Z", "bp": 1.5, "bs": 2, "ap": 3, "as": 4}
    with Scripted(answer(200, {"quotes": {BTC: good, ETH: None, "X/USD": {"bp": "?"}}})) as server:
        quotes = make_broker(server.url).latest_quotes([BTC, ETH, "X/USD"])
    assert [quote.symbol for quote in quotes] == [BTC]
    assert {row.key for row in quotes.unreadable} == {ETH, "X/USD"}


# Connections


@pytest.mark.parametrize("resets", [False, True])
def test_a_connection_that_a_nat_forgot_carries_no_order(
    make_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch, resets: bool
) -> None:
    """What is sent on it is answered by nobody, and its fate would be unknown."""
    with Scripted(OK) as server, Relay(("127.0.0.1", urlsplit(server.url).port or 0), resets) as relay:
        broker = make_broker(f"http://127.0.0.1:{relay.port}")
        assert broker.warm_up(1) == 1
        assert isinstance(broker.submit(BTC, BUY), Accepted)
        relay.forget()
        monkeypatch.setattr(transport, "IDLE_SECONDS", -1.0)  # as if it had idled
        assert isinstance(broker.submit(BTC, BUY), Accepted)
    assert len(server.requests) == 2


def test_a_connection_is_renewed_before_it_is_too_old(
    make_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scripted(OK) as server:
        broker = make_broker(server.url)
        assert broker.warm_up(1) == broker.warm_up(1) == 1
        until(lambda: server.connections == 1)
        monkeypatch.setattr(transport, "RENEWED_SECONDS", -1.0)
        assert broker.warm_up(1) == 1
        until(lambda: server.connections == 2)
        assert isinstance(broker.submit(BTC, BUY), Accepted)
        assert server.connections == 2, "the order went out on the renewed one"
    assert paces.PULSE_SECONDS + transport.RENEWED_SECONDS < transport.IDLE_SECONDS


def test_warm_connections_cost_no_request_and_are_the_ones_that_orders_use(make_broker: Callable[..., Broker]) -> None:
    with Scripted(OK) as server:
        broker = make_broker(server.url)
        assert broker.warm_up(5) == 5
        assert broker.warm_up(5) == 5
        until(lambda: server.connections == 5)
        broker.submit(BTC, BUY)
        assert (server.connections, len(server.requests)) == (5, 1)


def test_warming_up_without_an_exchange_opens_nothing(make_broker: Callable[..., Broker]) -> None:
    assert make_broker("http://127.0.0.1:1").warm_up(5) == 0


def test_a_proxy_is_not_used_for_this_machine(
    make_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scripted(OK) as server, Scripted(answer(502)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert isinstance(make_broker(server.url).submit(BTC, BUY), Accepted)
        make_broker("http://exchange.invalid", DCABOT_PLAIN_HTTP="yes").submit(BTC, BUY)
    assert len(server.requests) == len(proxy.requests) == 1


def test_no_secret_is_in_the_log_or_an_error(
    make_broker: Callable[..., Broker], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), Scripted(answer(401, {"message": "unauthorized."}), CUT) as server:
        broker = make_broker(server.url)
        said = [repr(broker.submit(BTC, BUY)), repr(broker.submit(BTC, BUY)), repr(broker.cancel("x"))]
        with pytest.raises(ExchangeUnreachable) as caught:
            broker.account()
    assert "secret-of-the-test" not in "\n".join([caplog.text, *said, repr(caught.value), repr(broker)])


# The budget


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_runaway_loop_leaves_a_quarter_of_the_limit_to_other_programs() -> None:
    clock = Clock()
    budget = Budget(clock.monotonic, clock.sleep)
    sent = []
    while clock.now < 300:
        if budget.take():
            sent.append(clock.now)
        else:
            clock.now += 0.1
    busiest = max(sum(1 for at in sent if begin <= at < begin + 60) for begin in sent)
    assert 120 < busiest <= 130


def test_queries_leave_a_reserve_to_orders() -> None:
    clock = Clock()
    budget = Budget(clock.monotonic, clock.sleep)
    queries = 0
    while budget.wait(0):
        queries += 1
    orders = 0
    while budget.take():
        orders += 1
    assert queries == 30 and orders == 30
    assert budget.wait(60) and clock.now > 15


def test_a_question_about_an_order_takes_the_last_request() -> None:
    clock = Clock()
    budget = Budget(clock.monotonic, clock.sleep)
    while budget.wait(0):
        pass
    assert sum(1 for _ in range(100) if budget.wait(0, is_urgent=True)) == 30
    assert not budget.take()


def test_report_asks_when_no_list_may() -> None:
    budget = Budget(monotonic=lambda: 0.0, sleep=lambda _: None)
    while budget.take(SALES_RATIO):
        pass
    with Scripted(OK) as server, closing(Broker(config_for(server.url), now, budget)) as broker:
        with pytest.raises(ExchangeUnreachable, match="our own limit"):
            broker.open_orders()
        assert broker.report("dcabot-1") is not None
    assert len(server.requests) == 1


def test_buys_leave_twenty_requests_to_sales_and_cancels() -> None:
    clock = Clock()
    budget = Budget(clock.monotonic, clock.sleep)
    while budget.take(SALES_RATIO):
        pass
    assert sum(1 for _ in range(100) if budget.take()) == 20


@pytest.mark.parametrize(("seconds", "rests"), [(7.0, 7.0), (3600.0, 30.0), (-5.0, 0.0)])
def test_too_many_requests_are_waited_out_and_no_longer_than_half_a_minute(seconds: float, rests: float) -> None:
    clock = Clock()
    budget = Budget(clock.monotonic, clock.sleep)
    budget.rest(seconds)
    assert budget.take() is (rests == 0.0)
    clock.now = rests
    assert budget.take()


def test_a_query_waits_until_the_limit_resets() -> None:
    clock = Clock()
    budget = Budget(clock.monotonic, clock.sleep)
    budget.rest(7.0)
    assert not budget.wait(5.0)
    assert budget.wait(10.0) and clock.now == 7.0


def test_the_answers_headers_teach_the_real_limit_and_what_others_have_used() -> None:
    clock = Clock()
    budget = Budget(clock.monotonic, clock.sleep)
    budget.learn(1000, 900)
    assert sum(1 for _ in range(1000) if budget.take()) == 300
    budget = Budget(clock.monotonic, clock.sleep)
    budget.learn(200, 1)
    assert budget.take() and not budget.take()


def test_threads_share_one_budget() -> None:
    budget = Budget(lambda: 0.0)
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda: taken.extend(budget.take() for _ in range(50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(True) == 60


def test_an_order_beyond_the_budget_is_refused_and_not_sent() -> None:
    with Scripted(OK) as server:
        broker = Broker(config_for(server.url), now, Budget(lambda: 0.0, limit=2))
        outcome = broker.submit(BTC, BUY)
        broker.close()
    assert isinstance(outcome, Refused) and outcome.code is Refusal.RATE_LIMITED
    assert server.requests == []


def test_sales_that_miss_leave_questions_their_share() -> None:
    """Three pairs whose sale at a limit misses each second, for ten minutes: every question is answered."""
    clock = Clock()
    budget = Budget(clock.monotonic, clock.sleep)
    starved = 0
    for second in range(600):
        for _ in range(3):
            budget.take(AGAIN_RATIO)
        if second % 5 == 0:
            starved += not budget.wait(5)
        clock.now += 1
    assert starved == 0


def test_sale_tried_again_leaves_more() -> None:
    """The first may take the last requests; the one a second later may not."""
    budget = Budget(monotonic=lambda: 0.0, sleep=lambda _: None)
    while budget.take(SALES_RATIO):
        pass
    sale = replace(BUY, side=Side.SELL, time_in_force=TimeInForce.IOC)
    with Scripted(OK) as server, closing(Broker(config_for(server.url), now, budget)) as broker:
        broker.submit(BTC, sale)
        again = broker.submit(BTC, sale)
    assert isinstance(again, Refused) and again.code is Refusal.RATE_LIMITED
    assert len(server.requests) == 1
