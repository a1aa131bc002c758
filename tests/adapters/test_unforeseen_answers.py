"""Answers that nobody foresaw, to every question and from both hosts: one sentence, and never an error of Python's."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest

from dcabot.adapters import transport
from dcabot.adapters.broker import Broker
from dcabot.adapters.budget import LIMIT_MIN, Budget
from dcabot.core.snapshot import ExchangeDenied, ExchangeError, ExchangeMisunderstood
from tests.adapters.scripted import CUT, Scripted, answer, config_for

BTC = "BTC/USD"
AT = datetime(2026, 9, 18, 10, tzinfo=timezone.utc)
HTML = b"<html><title>Blocked</title>Nothing to see here.</html>"
QUESTIONS: dict[str, Callable[[Broker], object]] = {
    "report": lambda broker: broker.report("dcabot-1"),
    "open_orders": lambda broker: broker.open_orders(),
    "positions": lambda broker: broker.positions(),
    "account": lambda broker: broker.account(),
    "instruments": lambda broker: broker.instruments(),
    "latest_quotes": lambda broker: broker.latest_quotes([BTC]),
    "fills": lambda broker: broker.fills(AT),
    "clock_skew": lambda broker: broker.clock_skew(),
}
JSON = {"Content_Type": "application/json"}
ANSWERS: dict[str, bytes] = {
    "400": answer(400, {"message": "invalid symbol: X does not match"}),
    "400 in HTML": answer(400, HTML),
    "403 in HTML": answer(403, HTML),
    "404": answer(404, {"message": "endpoint not there."}),
    "404 in HTML": answer(404, HTML),
    "405": answer(405),
    "409 list": answer(409, [1, 2]),
    "418 text": answer(418, b"short and stout"),
    "422": answer(422, {"code": 42210000, "message": "unprocessable"}),
    "451": answer(451, HTML),
    "301": answer(301, Location="https://elsewhere.example/"),
    "302 loop": answer(302, HTML, Location="/v2/account"),
    "500": answer(500, HTML),
    "503": answer(503, {"message": "maintenance"}),
    "599": answer(599),
    "200 HTML": answer(200, HTML),
    "200 nothing": answer(200),
    "200 null": answer(200, None) + b"",
    "200 number": answer(200, 17),
    "200 text": answer(200, "nonsense"),
    "200 list of nonsense": answer(200, [None, 1, "x", {}, [], {"symbol": 7}, {"symbol": "A/USD"}]),
    "200 object of nonsense": answer(200, {"quotes": {"": 1, BTC: [], "x": {"t": 1}}, "timestamp": "noon"}),
    "200 bytes": answer(200, bytes(range(256))),
    "200 half a gzip": answer(200, b"\x1f\x8b\x08garbage", Content_Encoding="gzip"),
    "200 odd charset": answer(200, b"\xff\xfe{", Content_Type="text/html; charset=x-nobody"),
    "200 a million brackets": answer(200, b"[" * 1_000_000, **JSON),
    "200 a number without end": answer(200, b"[" + b"9" * 10_000 + b"]", **JSON),
    "cut": CUT,
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "99": b"HTTP/1.1 99 \r\n\r\n",
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PAUSE_SECONDS", 0.001)


@pytest.fixture
def asked() -> Iterator[Callable[[str, bytes], None]]:
    made: list[Broker] = []

    def ask(question: str, reply: bytes) -> None:
        with Scripted(reply) as server:
            broker = Broker(config_for(server.url), lambda: datetime.now(timezone.utc))
            made.append(broker)
            QUESTIONS[question](broker)

    yield ask
    for broker in made:
        broker.close()


@pytest.mark.parametrize("reply", ANSWERS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_any_answer_is_read_or_named(asked: Callable[[str, bytes], None], question: str, reply: str) -> None:
    try:
        asked(question, ANSWERS[reply])
    except ExchangeDenied as error:
        raise AssertionError("nobody said anything about the keys") from error
    except ExchangeError as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 300


@pytest.mark.parametrize("status", [400, 404, 405, 409, 418, 422, 451])
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_beside_the_point_is_named(asked: Callable[[str, bytes], None], question: str, status: int) -> None:
    with pytest.raises(ExchangeMisunderstood, match=f"HTTP {status}"):
        asked(question, answer(status, HTML))


def test_a_malformed_name_reaches_no_question() -> None:
    with Scripted(answer(200, {"quotes": {}})) as server:
        broker = Broker(config_for(server.url), lambda: AT)
        odd = ["BTC-USD", "btc/usd", "BTCUSD", " ETH/USD", "ETH/USD\n", "1INCH/USD", "*", "", "A/B/C", "B\u0410D/USD"]
        broker.latest_quotes([*odd, BTC])
        broker.latest_quotes(odd)
        broker.close()
    assert [query for _, _, query, _ in server.requests] == [{"symbols": BTC}]


# The limit of requests

ODD = ["1", "2", "3", "0", "-1", "nan", "", "many", "59", "1e3", "9" * 40, "\u0662\u0660\u0660", "1" * 9]


@pytest.mark.parametrize("remaining", ["0", "-1", "nan", "", "7", "9" * 40])
@pytest.mark.parametrize("limit", ODD)
def test_one_odd_header_stops_nothing(limit: str, remaining: str) -> None:
    """Not even one that every answer has."""
    headers = {"X-Ratelimit-Limit": limit, "X-Ratelimit-Remaining": remaining, "X-Ratelimit-Reset": "9" * 12}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    body = b'{"timestamp": "2026-09-18T10:00:00Z"}'
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)
    with Scripted(reply) as server:
        budget = Budget()
        broker = Broker(config_for(server.url), lambda: AT, budget)
        for _ in range(5):
            assert broker.clock_skew() == timedelta()
        assert budget.take()
        broker.close()
    assert len(server.requests) == 5


def test_one_question_a_minute_always_goes_out() -> None:
    """Whatever others draw from the account: only an answer can tell that they stopped."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    budget = Budget(lambda: now, sleep)
    sent: list[float] = []
    while now < 3600:
        budget.learn(LIMIT_MIN, 0)
        if budget.wait(5):
            sent.append(now)
        else:
            now += 1
    gaps = [later - before for before, later in pairwise(sent)]
    assert 59 <= len(sent) <= 61 and max(gaps) <= 66
