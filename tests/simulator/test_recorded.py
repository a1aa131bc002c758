"""The simulator's shapes against what was recorded of the real exchange: every file in `recorded/`, field by field."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
import requests

from dcabot.simulator import Simulator
from tests.programs import PATIENCE
from tests.simulator import raw
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import order, until

FOLDER = Path(__file__).parent / "recorded"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ACTIVITY_ID = re.compile(r"\d{17}::" + UUID.pattern)
FEE_ID = re.compile(r"\d{8}0{9}::" + UUID.pattern)  # a day, and no time
LONG_TIME = re.compile(r"\S+\.\d*0Z")  # with zeros that Alpaca leaves out
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
KINDS = {
    "uuid": UUID,
    "fee id": FEE_ID,
    "activity id": ACTIVITY_ID,
    "long time": LONG_TIME,
    "time": TIME,
    "day": DAY,
}
VARIES = re.compile(r'[(:"]| for | [A-Z]')
LATEST = ("quotes", "trades", "bars", "orderbooks")
CHANNELS = ("quotes", "trades", "bars", "dailyBars", "orderbooks")
LONG = 10**12  # ids of trades, which pass what a float can hold
Record = dict[str, Any]


def kind(value: object) -> str:
    """What sort of thing a field holds."""
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "long number" if value > LONG else "number"
    if not isinstance(value, str):
        return type(value).__name__
    for name, pattern in KINDS.items():
        if pattern.fullmatch(value):
            return f"text of a {name}"
    try:
        Decimal(value)
    except InvalidOperation:
        return "text"
    return "text of a decimal"


def differences(theirs: object, ours: object, place: str = "") -> Iterator[str]:
    """What differs between a recording and the simulator, one line for each field."""
    if theirs is None or ours is None:
        return
    if kind(theirs) != kind(ours):
        yield f"{place}: recorded {kind(theirs)} {theirs!r:.60}, simulated {kind(ours)} {ours!r:.60}"
    elif isinstance(theirs, dict) and isinstance(ours, dict):
        yield from (f"{place}.{name}: not simulated" for name in theirs.keys() - ours.keys())
        yield from (f"{place}.{name}: not recorded" for name in ours.keys() - theirs.keys())
        for name in theirs.keys() & ours.keys() - {"client_order_id"}:  # any text: the client chose it
            yield from differences(theirs[name], ours[name], f"{place}.{name}")
    elif isinstance(theirs, list) and isinstance(ours, list) and theirs and ours:
        yield from differences(theirs[0], ours[0], f"{place}[0]")


def rest_samples(method: str, path: str, status: int, body: Any) -> Iterator[tuple[str, Any]]:
    """The things in an answer, each with the name under which it is compared."""
    if status >= 400:
        yield f"refusal {status}: {re.split(VARIES, body.get('message', ''))[0].strip()}", body
    elif path.startswith("/v1beta3"):
        yield path.rpartition("/")[2], body
    elif path.startswith("/v2/account/activities"):
        for row in body:
            yield f"activity {row['activity_type']} {row.get('description', '')}", row
    else:
        name = path.split("/")[2].partition(":")[0].rstrip("s")
        if status == 207:
            name = f"{name} of all"
        elif (method, name) == ("DELETE", "position"):
            name = "order"  # the sale
        for row in body if isinstance(body, list) else [body]:
            if row:
                yield name, row


def frame_samples(stream: str, message: Any) -> Iterator[tuple[str, Any]]:
    if stream == "trading":
        yield f"{message['stream']} {message['data'].get('event', '')}", message
    else:
        for one in message:
            yield f"data {one['T']}", one


def samples(record: Record) -> Iterator[tuple[str, Any]]:
    if "stream" in record:
        return frame_samples(record["stream"], record["message"])
    return rest_samples(record["method"], record["path"], record["status"], record["body"])


def recordings(folder: Path = FOLDER) -> Iterator[Any]:
    """What was recorded. Raises ValueError naming the file, and the record, that is not as the README says."""
    for file in sorted(folder.glob("*.json")):
        place = file.name
        try:
            for number, record in enumerate(json.loads(file.read_text(encoding="utf-8"))):
                place = f"{file.name}, record {number}"
                for name, sample in samples(record):
                    yield pytest.param(name, sample, id=f"{file.stem}-{number}-{name}".replace(" ", "_"))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{place} is not as the README of that folder says: {error!r}") from None


@pytest.fixture(scope="module")
def simulated() -> dict[str, list[Any]]:
    """Everything a story on the simulator shows, by name."""
    found: dict[str, list[Any]] = defaultdict(list)
    for record in story():
        for name, sample in samples(record):
            found[name].append(sample)
    return found


def story() -> list[Record]:
    """Buys, sells, refusals, a cancel, a day's fees, and every question about them."""
    records: list[Record] = []
    start = datetime(2026, 9, 18, 10, tzinfo=timezone.utc)
    with make_alpaca(speed=0, start=start, cash=50_000) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        with raw.trading(alpaca) as updates, raw.data(alpaca) as quotes:
            raw.say(updates, action="auth", key="wrong", secret="wrong")
            keys = {"key_id": alpaca.key, "secret_key": alpaca.secret}
            raw.say(updates, action="authenticate", data=keys)
            raw.say(updates, action="listen", data={"streams": ["trade_updates"]})
            raw.say(quotes, action="auth", key="wrong", secret="wrong")
            raw.say(quotes, action="auth", key=alpaca.key, secret=alpaca.secret)
            raw.say(quotes, action="subscribe", **{c: ["BTC/USD"] for c in CHANNELS})
            until(lambda: len(alpaca.journal.entries("stream")) >= 7)
            trade(alpaca, records)
            look(alpaca, records)
            be_refused(alpaca, records)
            end(alpaca, records)
            for stream, connection in (("trading", updates), ("data", quotes)):
                records += ({"stream": stream, "message": message} for message in everything(connection))
    return records


def ask(alpaca: Simulator, records: list[Record], method: str, path: str, body: object = None, key: str = "") -> Any:
    headers = {"APCA-API-KEY-ID": key or alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
    answer = requests.request(method, alpaca.url + path, json=body, headers=headers, timeout=PATIENCE)
    content = answer.json() if answer.content else None
    if content is not None:
        records.append(
            {"method": method, "path": path.partition("?")[0], "status": answer.status_code, "body": content}
        )
    return content


def trade(alpaca: Simulator, records: list[Record]) -> None:
    alpaca.faults.partial_fills(["0.004"])
    for body in (
        order("0.01", client_order_id="mine"),
        order("0.01", client_order_id="mine"),
        order(None, notional="10"),
        order("0.0001", kind="limit", limit_price="50000"),
        order("3", kind="limit", limit_price="50000"),
        order(None, notional="25", kind="limit", limit_price="60010"),
        order(time_in_force="day"),
        order(time_in_force="PO"),
        order("0.005", "sell"),
    ):
        ask(alpaca, records, "POST", "/v2/orders", body)
        until(lambda: all(one["status"] == "filled" for one in alpaca.orders()))
    resting = ask(alpaca, records, "POST", "/v2/orders", order("0.001", "sell", kind="limit", limit_price="70000"))
    ask(alpaca, records, "POST", "/v2/orders", order())
    ask(alpaca, records, "PATCH", f"/v2/orders/{resting['id']}", {"limit_price": "71000"})
    ask(alpaca, records, "DELETE", f"/v2/orders/{resting['id']}")
    until(lambda: alpaca.orders()[-1]["status"] == "canceled")
    alpaca.advance(86_400)
    alpaca.set_quote("BTC/USD", "61000", "61010")
    alpaca.set_quote("BTC/USD", "61001", "61011")  # only the first order book is a reset
    alpaca.advance(60)


def look(alpaca: Simulator, records: list[Record]) -> None:
    for path in (
        "/v2/account", "/v2/positions", "/v2/positions/BTC%2FUSD", "/v2/orders?status=all", "/v2/assets/BTCUSD",
        "/v2/clock", "/v2/account/activities",
    ):  # fmt: skip
        ask(alpaca, records, "GET", path)
    ask(alpaca, records, "GET", "/v2/account", key="wrong")
    ask(alpaca, records, "GET", "/v1beta3/crypto/us/bars?symbols=BTC/USD&timeframe=1Min&start=0")
    for what in (*(f"latest/{one}" for one in LATEST), "bars", "trades", "snapshots"):
        query = "symbols=BTC/USD&timeframe=1Min&start=2026-09-18T00:00:00Z"
        ask(alpaca, records, "GET", f"/v1beta3/crypto/us/{what}?{query}")


def be_refused(alpaca: Simulator, records: list[Record]) -> None:
    for body in (
        order(None), order(None, notional="10.005"), order(kind="stop", stop_price="61000"),
        order(order_class="bracket"), order(client_order_id="x" * 129), order(symbol="NONE/USD"),
        order("5", "sell", kind="limit", limit_price="70000"),
    ):  # fmt: skip
        ask(alpaca, records, "POST", "/v2/orders", body)
    for path in ("/v2/orders:by_client_order_id?client_order_id=nobody", "/v2/assets/NONE", "/v2/orders?limit=501"):
        ask(alpaca, records, "GET", path)
    ask(alpaca, records, "DELETE", f"/v2/orders/{alpaca.orders()[0]['id']}")
    alpaca.set_account(trade_suspended_by_user=True)
    ask(alpaca, records, "POST", "/v2/orders", order())
    alpaca.set_account(trade_suspended_by_user=False)
    alpaca.faults.rate_limit(times=1)
    ask(alpaca, records, "GET", "/v2/account")


def end(alpaca: Simulator, records: list[Record]) -> None:
    """A rejection, an expiry, and the end of everything at once."""
    alpaca.faults.reject_orders()
    low = order(kind="limit", limit_price="50000")
    for status, days in (("rejected", 0), ("expired", 90)):
        ask(alpaca, records, "POST", "/v2/orders", low)
        until(lambda: alpaca.orders()[-1]["status"] in ("rejected", "new"))
        alpaca.advance(days * 86_400)
        assert alpaca.orders()[-1]["status"] == status
    ask(alpaca, records, "POST", "/v2/orders", low)
    ask(alpaca, records, "DELETE", "/v2/orders")
    until(lambda: alpaca.orders()[-1]["status"] == "canceled")
    ask(alpaca, records, "DELETE", "/v2/positions/BTCUSD?percentage=50")
    until(lambda: alpaca.orders()[-1]["status"] == "filled")
    ask(alpaca, records, "DELETE", "/v2/positions")


def everything(connection: Any) -> Iterator[Any]:
    while True:
        try:
            yield raw.hear(connection, 0.1)
        except TimeoutError:
            return


@pytest.mark.parametrize(("name", "sample"), list(recordings()))
def test_the_simulator_has_the_shape_of_what_was_recorded(
    simulated: dict[str, list[Any]], name: str, sample: Any
) -> None:
    assert name in simulated, f"the simulator never shows {name!r}; it shows {sorted(simulated)}"
    closest = min((sorted(differences(sample, ours)) for ours in simulated[name]), key=len)
    if closest:
        pytest.fail("\n".join([f"{name} differs:", *closest]), pytrace=False)


def test_a_difference_is_named() -> None:
    theirs = {"qty": "1", "at": "2026-09-18T10:00:00Z", "gone": 1, "rows": [{"id": 7}], "empty": None}
    ours = {"qty": 1, "at": "2026-09-18", "new": 1, "rows": [{"id": "7"}], "empty": "x"}
    assert sorted(differences(theirs, ours)) == [
        ".at: recorded text of a time '2026-09-18T10:00:00Z', simulated text of a day '2026-09-18'",
        ".gone: not simulated",
        ".new: not recorded",
        ".qty: recorded text of a decimal '1', simulated number 1",
        ".rows[0].id: recorded number 7, simulated text of a decimal '7'",
    ]


def test_what_a_program_is_likely_to_record_has_its_like(simulated: dict[str, list[Any]]) -> None:
    assert {
        "order of all", "position of all", "snapshots", "data d", "trade_updates rejected", "trade_updates expired",
        "refusal 404: order not found", "refusal 404: asset not found", "refusal 422: qty is required",
        "refusal 422: order is already in", "refusal 403: insufficient balance", "refusal 429: rate limit exceeded",
    } <= set(simulated)  # fmt: skip


def test_no_time_has_zeros_at_its_end(simulated: dict[str, list[Any]]) -> None:
    assert {"account", "clock"} <= set(simulated)
    told = json.dumps(simulated, default=str)
    assert re.findall(r"T[0-9:]{8}(?:\.[0-9]*0)(?:Z|[-+][0-9]{2}:[0-9]{2})", told) == []


def test_answers_are_compared_with_what_they_show(simulated: dict[str, list[Any]]) -> None:
    shown = {"id": "61e69015-8549-4bfd-b9c3-01e75843f47d", "status": 200}
    ((name, sample),) = rest_samples("DELETE", "/v2/orders", 207, [shown])
    assert [list(differences(sample, ours)) for ours in simulated[name]] == [[]]
    ((name, sample),) = rest_samples("DELETE", "/v2/orders", 207, [{**shown, "status": "200"}])
    assert [len(list(differences(sample, ours))) for ours in simulated[name]] == [1]
    assert [name for name, _ in rest_samples("DELETE", "/v2/positions/BTCUSD", 200, {"id": "x"})] == ["order"]


@pytest.mark.parametrize("content", ['{"bro', '[{"source": "x"}]', "[5]", '[{"stream": "data", "message": [5]}]', "5"])
def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"^mine\.json(, record 0)? is not as the README"):
        list(recordings(tmp_path))
