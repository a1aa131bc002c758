"""The unmodified alpaca-py, pointed at a simulator; streams run in threads and end at once."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from alpaca.data.historical import CryptoHistoricalDataClient
from alpaca.data.live import CryptoDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.stream import TradingStream

from dcabot.simulator import Simulator
from tests.programs import PATIENCE


def client(alpaca: Simulator, **options: Any) -> TradingClient:
    """A trading client; its fixed 3 s between retries is left out."""
    made = TradingClient(alpaca.key, alpaca.secret, url_override=alpaca.url, **options)
    made._retry_wait = 0
    return made


def data_client(alpaca: Simulator, **options: Any) -> CryptoHistoricalDataClient:
    return CryptoHistoricalDataClient(url_override=alpaca.url, **options)


def order(quantity: str | None = "0.001", side: str = "buy", kind: str = "market", **fields: Any) -> dict[str, Any]:
    """The body of a POST /orders."""
    body = {"symbol": "BTC/USD", "qty": quantity, "side": side, "type": kind, "time_in_force": "gtc", **fields}
    return {name: value for name, value in body.items() if value is not None}


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The condition's value once it is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.002)
    return value


class Listening:
    """An SDK stream that runs in a thread while the block lasts; `heard` are the messages of its handler."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        stream._reconnect_min_backoff = 0.01
        self.heard: list[Any] = []
        self.returned = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._task: asyncio.Task[None] | None = None

    async def handler(self, message: Any) -> None:
        self.heard.append(message)

    def _run(self) -> None:
        async def run() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            await self.stream._run_forever()
            self.returned.set()

        # Not `stream.run()`: it waits up to 5 s for its own end, and for ever in a hung login.
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(run())

    def __enter__(self) -> "Listening":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + PATIENCE
        # The SDK swallows a cancel that meets it between two awaits: ask again.
        while self._thread.is_alive() and time.monotonic() < deadline:
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # it ended by itself in between
                    self._loop.call_soon_threadsafe(self._end)
            self._thread.join(0.1)

    def _end(self) -> None:
        assert self._task is not None
        if self.stream._ws is not None:
            self.stream._ws.transport.abort()  # a closing handshake may take 10 s
        self._task.cancel()

    def events(self) -> list[str]:
        return [getattr(update, "event", None) or update["data"]["event"] for update in self.heard]


def updates(alpaca: Simulator, wait: bool = True, **options: Any) -> Listening:
    """A TradingStream. Use `with`, then `listening(alpaca)` to know that it listens."""
    stream = TradingStream(alpaca.key, alpaca.secret, url_override=alpaca.stream_url, **options)
    made = Listening(stream)
    stream.subscribe_trade_updates(made.handler)
    return made


def quotes(alpaca: Simulator, *symbols: str, **options: Any) -> Listening:
    stream = CryptoDataStream(alpaca.key, alpaca.secret, url_override=alpaca.data_stream_url, **options)
    made = Listening(stream)
    stream.subscribe_quotes(made.handler, *(symbols or ("BTC/USD",)))
    return made


def listening(alpaca: Simulator, times: int = 1) -> None:
    """Wait until the trading stream has been listened to so many times."""
    until(lambda: len(said(alpaca, "trading", "listen")) >= times)


def subscribed(alpaca: Simulator, times: int = 1) -> None:
    until(lambda: len(said(alpaca, "data", "subscribe")) >= times)


def said(alpaca: Simulator, stream: str, what: str) -> list[dict[str, Any]]:
    return [e for e in alpaca.journal.entries("stream") if e["stream"] == stream and e["what"] == what]
