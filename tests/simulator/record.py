"""Record what the exchange answers and streams, in the form that `recorded/README.md` describes.

`python integration_test.py --record FOLDER` calls it. A short tour of a paper account: two buys, a cancel, four
refusals, a sale, and every question that dcabot asks. Keys, the account's id and number, and what else only its owner
should know are replaced before anything is written.
"""

import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import msgpack
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from dcabot.adapters.config import Config

Record = dict[str, Any]
QUIET_SECONDS = 3.0  # after the last frame, nothing more is expected of an order
PATIENCE_SECONDS = 20.0
KIND_MAX = 5  # messages of one kind on the data stream
NOBODY = "00000000-0000-4000-8000-000000000000"
# Fields whose values are the owner's business; their shape stays.
PRIVATE = {"account_number": "PA0000000000", "account_id": NOBODY, "owner_id": NOBODY, "user_id": NOBODY}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Recorder:
    """What was said, oldest first, one list for answers and one for frames."""

    def __init__(self, config: Config, symbol: str) -> None:
        self.config, self.symbol = config, symbol
        self.answers: list[Record] = []
        self.frames: list[Record] = []
        self.kinds: Counter[str] = Counter()
        self.heard_at = time.monotonic()
        self.source = f"recorded {datetime.now(timezone.utc):%Y-%m-%d}, {config.venue.value} account"

    def ask(self, method: str, path: str, body: object = None, query: str = "") -> Any:
        """One request; its answer, recorded."""
        config = self.config
        root = config.data_url if path.startswith("/v1beta3") else config.base_url
        headers = {"APCA-API-KEY-ID": config.key_id, "APCA-API-SECRET-KEY": config.secret_key}
        answer = requests.request(method, f"{root}{path}{query}", json=body, headers=headers, timeout=30)
        content = answer.json() if answer.content else None
        if content is not None:
            self.answers.append({"method": method, "path": path, "status": answer.status_code, "body": content})
        return content

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Both sockets, logged in and subscribed; every frame is recorded until the block ends."""
        config = self.config
        login = {"action": "authenticate", "data": {"key_id": config.key_id, "secret_key": config.secret_key}}
        key = {"key": config.key_id, "secret": config.secret_key}
        wanted = {channel: [self.symbol] for channel in ("quotes", "trades", "bars", "orderbooks")}
        threads = []
        with self._socket(config.trading_stream_url) as trading, self._socket(config.stream_url) as data:
            for stream, socket, greeting in (
                ("trading", trading, [login, _listen()]),
                ("data", data, [{"action": "auth", **key}, {"action": "subscribe", **wanted}]),
            ):
                thread = threading.Thread(target=self._hear, args=(stream, socket), daemon=True)
                thread.start()
                threads.append(thread)
                for message in greeting:
                    socket.send(json.dumps(message))
                    time.sleep(0.5)  # the subscription must not overtake the login
            yield
        for thread in threads:
            thread.join(PATIENCE_SECONDS)

    def _socket(self, url: str) -> ClientConnection:
        return connect(url, compression=None, proxy=None, close_timeout=1)

    def _hear(self, stream: str, socket: ClientConnection) -> None:
        try:
            for frame in socket:
                message = self._new_kinds(_content(frame)) if stream == "data" else _content(frame)
                if message:
                    self.frames.append({"stream": stream, "message": message})
                if stream == "trading":
                    self.heard_at = time.monotonic()
        except ConnectionClosed:
            pass

    def _new_kinds(self, messages: list[Record]) -> list[Record]:
        """A few of each kind are enough: an order book moves many times a second."""
        kept = []
        for message in messages:
            self.kinds[message.get("T", "")] += 1
            if self.kinds[message.get("T", "")] <= KIND_MAX:
                kept.append(message)
        return kept

    def wait(self, order: Record) -> Record:
        """The order once it is over, or the last look at it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            order = self.ask("GET", f"/v2/orders/{order['id']}")
            if order["status"] in ("filled", "canceled", "rejected", "expired"):
                break
            self.answers.pop()  # the looks in between tell nothing new
            time.sleep(0.3)
        return order

    def settle(self) -> None:
        """Until the trading stream has said what it has to say."""
        self.heard_at = time.monotonic()
        while time.monotonic() - self.heard_at < QUIET_SECONDS:
            time.sleep(0.1)


def record(config: Config, symbol: str, folder: Path, say: Callable[[str], None]) -> None:
    """The tour, written to `rest-DATE.json` and `streams-DATE.json`. The account must be clean, and is left clean."""
    recorder = Recorder(config, symbol)
    with recorder.listening():
        _tour(recorder)
        recorder.settle()
    secrets = _secrets(recorder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in (("rest", recorder.answers), ("streams", recorder.frames)):
        file = folder / f"{name}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}.json"
        told = [{"source": recorder.source, **one} for one in records]
        file.write_text(_without(json.dumps(_private(told), indent=1), secrets) + "\n", encoding="utf-8")
        say(f"      {len(records)} records in {file}")


def _tour(recorder: Recorder) -> None:
    ask, symbol = recorder.ask, recorder.symbol
    quote = ask("GET", "/v1beta3/crypto/us/latest/quotes", query=f"?symbols={symbol}")["quotes"][symbol]
    price = Decimal(str(quote["ap"]))
    far = str((price * Decimal("0.8")).quantize(Decimal(1)))
    quantity = str((Decimal(20) / price).quantize(Decimal("0.000001"), ROUND_DOWN))
    bought = ask("POST", "/v2/orders", _order(symbol, qty=quantity))
    recorder.wait(bought)
    recorder.wait(ask("POST", "/v2/orders", _order(symbol, notional="15")))
    resting = ask("POST", "/v2/orders", _order(symbol, qty=quantity, type="limit", limit_price=far))
    ask("GET", "/v2/orders", query="?status=open")
    ask("GET", "/v2/orders:by_client_order_id", query=f"?client_order_id={resting['client_order_id']}")
    ask("DELETE", f"/v2/orders/{resting['id']}")
    recorder.wait(resting)
    account = ask("GET", "/v2/account")
    too_many = str((Decimal(account["cash"]) * 2 / price).quantize(Decimal("0.000001"), ROUND_DOWN))
    ask("POST", "/v2/orders", _order(symbol, qty=too_many, type="limit", limit_price=far))
    ask("POST", "/v2/orders", _order(symbol, qty="0.00001", type="limit", limit_price=far))
    ask("POST", "/v2/orders", _order(symbol, qty=quantity, client_order_id=resting["client_order_id"]))
    ask("POST", "/v2/orders", {**_order(symbol, qty=quantity), "time_in_force": "day"})
    for position in ask("GET", "/v2/positions"):
        if position["symbol"] == symbol.replace("/", ""):
            recorder.wait(ask("POST", "/v2/orders", _order(symbol, qty=position["qty_available"], side="sell")))
    for path in ("/v2/clock", f"/v2/assets/{symbol.replace('/', '')}", "/v2/account/activities/FILL"):
        ask("GET", path, query="?page_size=5" if path.endswith("FILL") else "")


def _order(symbol: str, **fields: str) -> dict[str, str]:
    name = f"by-hand-{uuid.uuid4()}"
    common = {"symbol": symbol, "side": "buy", "type": "market", "time_in_force": "gtc", "client_order_id": name}
    return {**common, **fields}


def _listen() -> dict[str, Any]:
    return {"action": "listen", "data": {"streams": ["trade_updates"]}}


def _content(frame: str | bytes) -> Any:
    """A frame's content: JSON as text or bytes, or msgpack."""
    try:
        return json.loads(frame)
    except ValueError:
        return json.loads(json.dumps(msgpack.unpackb(frame, timestamp=3), default=_plain))


def _plain(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _private(value: Any) -> Any:
    """The same without what is the owner's business."""
    if isinstance(value, list):
        return [_private(one) for one in value]
    if isinstance(value, dict):
        return {name: _hidden(name, one) for name, one in value.items()}
    return value


def _hidden(name: str, value: Any) -> Any:
    if name in PRIVATE and value is not None:
        return PRIVATE[name]
    if name.endswith("configurations") and value is not None:
        return {}
    return _private(value)


def _secrets(recorder: Recorder) -> dict[str, str]:
    """Every text that must not be written, wherever it may occur, and what stands for it."""
    secrets = {recorder.config.key_id: "KEY", recorder.config.secret_key: "SECRET"}
    for one in recorder.answers:
        if one["path"] == "/v2/account" and UUID.fullmatch(str(one["body"].get("id"))):
            secrets[one["body"]["id"]] = NOBODY
            secrets[one["body"]["account_number"]] = PRIVATE["account_number"]
    return secrets


def _without(text: str, secrets: dict[str, str]) -> str:
    for secret, replacement in secrets.items():
        text = text.replace(secret, replacement)
    return text
