"""One simulator on one port, in a thread and an event loop of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID

from aiohttp import web

from dcabot.core.venue import Refusal
from dcabot.simulator.arguments import check_close
from dcabot.simulator.bars import Tape
from dcabot.simulator.clock import SECOND, Clock
from dcabot.simulator.control import Control
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.faults import DATA, TRADING, Faults
from dcabot.simulator.flood import Flood
from dcabot.simulator.gate import BODY_MAX, LOCATIONS, TRADING_STREAMS, Gate
from dcabot.simulator.journal import Journal
from dcabot.simulator.marketdata import DataHost
from dcabot.simulator.prices import Number, exact
from dcabot.simulator.protocol import Protocols
from dcabot.simulator.quotes import QuoteDoor
from dcabot.simulator.settings import Settings
from dcabot.simulator.sockets import Door
from dcabot.simulator.trading import TradingHost
from dcabot.simulator.updates import UpdateDoor

T = TypeVar("T")

BACKLOG = 1024


class Server:
    """The listening socket and everything behind it. All methods run in the loop that `start` ran in."""

    def __init__(self, settings: Settings) -> None:
        check_close(settings.data_error_close)
        self.clock = Clock(settings.speed, settings.start)
        self.journal = Journal(self.clock)
        self.faults = Faults()
        self.exchange = Exchange(settings, self.clock, self.journal, self.faults)
        self.trading = TradingHost(self.exchange)
        self.doors: dict[str, Door] = {TRADING: UpdateDoor(self.exchange)}
        self.tape = Tape(self.clock)
        self.exchange.on_quote.append(self.tape.hear_quote)
        self.exchange.on_event.append(self.tape.hear_event)
        self.exchange.on_history.append(self.tape.remember)
        self.exchange.on_history_end.append(self.tape.end_history)
        self._quotes = QuoteDoor(self.exchange, self.tape)
        self.doors[DATA] = self._quotes
        self.flood = Flood(self.exchange, self._quotes)
        self._socket = bound(settings.host, settings.port)
        self.host, self.port = self._socket.getsockname()[:2]
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._mirroring: asyncio.Future[None] | None = None

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[Gate(self.exchange).middleware()], client_max_size=BODY_MAX)
        app.add_routes(self.trading.routes())
        app.add_routes(DataHost(self.exchange, self.tape).routes())
        app.add_routes(Control(self.exchange, self.flood).routes())
        trading = self.doors[TRADING].upgrade
        app.add_routes([web.get(path, trading) for path in TRADING_STREAMS])
        app.add_routes([web.get(f"/v1beta3/crypto/{{location:{'|'.join(LOCATIONS)}}}", self.doors[DATA].upgrade)])
        return app

    async def start(self) -> None:
        self._runner = web.AppRunner(self._application(), shutdown_timeout=0.1)
        await self._runner.setup()
        await self._open()
        self.clock.attach(asyncio.get_running_loop())
        self.exchange.start()
        mirror = self.exchange.settings.mirror
        if mirror is not None:
            self._mirroring = asyncio.ensure_future(mirror.run(self.exchange))
            self._mirroring.add_done_callback(self._mirror_ended)

    def _mirror_ended(self, task: "asyncio.Future[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.exchange.price_error = f"the mirror ended by an unexpected error: {error!r}"

    async def _open(self) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        protocols = Protocols(self._runner.server)
        self._listener = await asyncio.get_running_loop().create_server(protocols, sock=self._socket, backlog=BACKLOG)

    async def stop(self) -> None:
        self.flood.stop()
        if self._mirroring is not None:
            self._mirroring.cancel()
            await asyncio.wait({self._mirroring})
        for door in self.doors.values():
            door.cut(None)
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self.release()

    def release(self) -> None:
        """Free the port."""
        self._socket.close()

    # --- what the faults borrow ---

    def cut(self, stream: str, code: int | None) -> None:
        self.doors[stream].cut(code)

    def send_raw(self, stream: str, payload: bytes, is_binary: bool) -> None:
        self.doors[stream].send_raw(payload, is_binary)

    def send_error(self, code: int) -> None:
        self._quotes.send_error(code)

    def delay_fees(self, seconds: float | None) -> None:
        policy, account = self.exchange.settings.policy, self.exchange.venue.account
        if seconds is None:
            account.fee_delay, account.fee_spread = policy.fee_delay, policy.fee_spread
        else:
            account.fee_delay, account.fee_spread = timedelta(seconds=seconds), timedelta()

    def let_go(self) -> None:
        for door in self.doors.values():
            door.let_go()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self.clock.call_at(self.clock.now_ns() + int(seconds * SECOND), action)

    def rematch_all(self) -> None:
        self.exchange.rematch_all()

    async def listen(self, is_open: bool, seconds: float | None) -> None:
        """Stop listening (for so long, or until told) and end every connection, or listen again on the same port."""
        if is_open and self._listener is None:
            await self._open()
        elif not is_open and self._listener is not None and self._runner is not None:
            self._listener.close()
            self._listener = None
            self._socket = bound(self.host, self.port, listens=False)  # or another program would be given the port
            for door in self.doors.values():
                door.cut(None)
            server = self._runner.server
            for protocol in [] if server is None else server.connections:
                if protocol.transport is not None:
                    protocol.transport.close()
            if seconds is not None:
                loop = asyncio.get_running_loop()
                loop.call_later(seconds, lambda: loop.create_task(self.listen(True, None)))


def bound(host: str, port: int, listens: bool = True) -> socket.socket:
    """A socket for the server; the port is known and taken from here on."""
    if not 0 <= port <= 65535:
        raise ValueError(f"no port: {port}")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        if listens:
            listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class Simulator:
    """A local Alpaca. See the package's docstring for its use; the arguments are the fields of `Settings`."""

    def __init__(self, settings: Settings | None = None, **options: Any) -> None:
        if settings is not None and options:
            raise TypeError(f"Settings, or their fields, not both: {', '.join(options)}")
        self.settings = Settings(**options) if settings is None else settings
        self.server = Server(self.settings)
        self.journal, self.faults, self.clock = self.server.journal, self.server.faults, self.server.clock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="dcabot-simulator", daemon=True)
        self._is_ready = threading.Event()
        self._failure: BaseException | None = None

    # --- life ---

    def __enter__(self) -> "Simulator":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, once; returns when requests are answered. Raises ValueError if the prices cannot be read."""
        self._thread.start()
        self._is_ready.wait()
        if self._failure is not None:
            raise self._failure
        if self.price_error is not None:
            self.stop()
            raise ValueError(self.price_error)

    @property
    def price_error(self) -> str | None:
        """Why the prices ended before their time, if they did."""
        return self.server.exchange.price_error

    def stop(self) -> None:
        """End every connection and free the port. Safe to repeat."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        elif not self._loop.is_closed():  # never started
            self.server.release()
            self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self.faults.attach(self.server, self._do)
        try:
            starting = self._loop.create_task(self.server.start())
            self._loop.run_until_complete(asyncio.wait({starting}))
            self._failure = starting.exception()
            if self._failure is None:
                self._is_ready.set()
                self._loop.run_forever()
            self._loop.run_until_complete(self.server.stop())
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
        finally:
            self._is_ready.set()
            self._loop.close()

    def _call(self, function: Callable[[], T]) -> T:
        """The function's result, from the simulator's own loop. Who is interrupted while waiting ends the work."""
        if threading.current_thread() is self._thread:
            return function()
        if not self._thread.is_alive():
            raise RuntimeError("the simulator does not run: use it between start() and stop(), or in its `with` block")

        async def run() -> T:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        future = asyncio.run_coroutine_threadsafe(run(), self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def _do(self, action: Callable[[], Any]) -> None:
        if threading.current_thread() is not self._thread:
            self._call(action)
            return
        result = action()
        if asyncio.iscoroutine(result):
            self._loop.create_task(result)

    # --- where it is ---

    @property
    def url(self) -> str:
        return f"http://{self._address}"

    @property
    def _address(self) -> str:
        host = self.server.host
        return f"[{host}]:{self.server.port}" if ":" in host else f"{host}:{self.server.port}"

    @property
    def stream_url(self) -> str:
        """The trading stream; market data comes from `data_stream_url`."""
        return f"ws://{self._address}/stream"

    @property
    def data_stream_url(self) -> str:
        return f"ws://{self._address}/v1beta3/crypto/us"

    @property
    def key(self) -> str:
        return self.settings.key

    @property
    def secret(self) -> str:
        return self.settings.secret

    def env(self) -> dict[str, str]:
        """The variables that point a program here.

        SDKs read APCA_API_STREAM_URL as the host of market data and add the path themselves;
        the JavaScript SDK 3 reads APCA_DATA_BASE_URL for its data host.
        """
        return {
            "APCA_API_KEY_ID": self.key,
            "APCA_API_SECRET_KEY": self.secret,
            "APCA_API_BASE_URL": self.url,
            "APCA_API_DATA_URL": self.url,
            "APCA_DATA_BASE_URL": self.url,
            "APCA_API_STREAM_URL": f"ws://{self._address}",
        }

    # --- what happens ---

    def set_quote(self, symbol: str, bid: Number, ask: Number, at: datetime | None = None) -> None:
        """A new price for quotes, fills and positions; `at` sends a quote with another date than now."""
        self._call(lambda: self.server.exchange.set_quote(symbol, exact(bid), exact(ask), at))

    def advance(self, seconds: Number) -> None:
        """Step the clock; prices play, orders expire and fees are posted on the way.

        Raises ValueError for more than 366 days, for a year before 1971 or after 2499, and
        beside a mirror.
        """
        step = exact(seconds)
        self.server.exchange.refuse_beside_mirror("the clock cannot be stepped")
        self._do(lambda: self.clock.advance(step))

    def foreign_order(self, **body: Any) -> str:
        """Another program's or a person's order on the same account; its id. Raises ValueError if refused."""
        wanted = {name: exact(value) if isinstance(value, float) else value for name, value in body.items()}
        outcome = self._call(lambda: self.server.exchange.foreign_order(wanted))
        if isinstance(outcome, Refusal):
            raise ValueError(outcome.message)
        return outcome.id

    def foreign_cancel(self, order_id: str | UUID) -> None:
        """Someone cancels an order by hand. Raises ValueError if refused, as for an order that nobody knows."""
        refusal = self._call(lambda: self.server.exchange.cancel(str(order_id)))
        if refusal is not None:
            raise ValueError(refusal.message)

    def transfer(
        self,
        coin: str,
        quantity: Number,
        price: Number = 0,
        status: str = "COMPLETE",
    ) -> str:
        """Coins (`BTC`) or dollars (`USD`) come, or go when negative, without an order.

        Coins make a row of GET /v2/wallets/transfers, whose id this is. What is sent is gone while
        it is PROCESSING and back when it FAILED; what comes is there when it is COMPLETE.
        """
        amounts = exact(quantity), exact(price)
        return self._call(lambda: self.server.exchange.transfer(coin, *amounts, status))

    def deposit(
        self,
        coin: str,
        quantity: Number,
        price: Number = 0,
        status: str = "COMPLETE",
    ) -> str:
        """Coins come from another wallet, at a cost of `price` each. The transfer's id."""
        return self.transfer(coin, exact(quantity), price, status)

    def withdraw(self, coin: str, quantity: Number, status: str = "COMPLETE") -> str:
        """Coins go to another wallet. The transfer's id."""
        return self.transfer(coin, -exact(quantity), 0, status)

    def settle_transfer(self, transfer_id: str, status: str = "COMPLETE") -> None:
        """A transfer under way is complete, or FAILED. Raises ValueError if nobody knows it."""
        self._call(lambda: self.server.exchange.settle_transfer(transfer_id, status))

    def set_account(self, **changes: Any) -> None:
        """Block the account, or free it, in the words of GET /v2/account.

        `status`, `crypto_status`, `trading_blocked`, `account_blocked`, `transfers_blocked`,
        `trade_suspended_by_user`.
        """
        self._call(lambda: self.server.exchange.set_account(changes))

    def transfers(self) -> list[dict[str, Any]]:
        """All transfers of coins, oldest first."""
        return self._call(self.server.trading.transfers_view)

    # --- what is there: the same shapes as over REST ---

    def account(self) -> dict[str, Any]:
        return self._call(self.server.trading.account_view)

    def orders(self, **query: str) -> list[dict[str, Any]]:
        """All orders, oldest first; a query narrows them as in GET /v2/orders."""
        wanted: Mapping[str, str] = {"status": "all", "direction": "asc", **query}
        trading = self.server.trading
        return self._call(lambda: [trading.view(order) for order in trading.select_orders(wanted, None)])

    def positions(self) -> list[dict[str, Any]]:
        return self._call(lambda: self.server.trading.positions_view(is_true=True))

    def activities(self, **query: str) -> list[dict[str, Any]]:
        """All ledger rows, oldest first."""
        wanted: Mapping[str, str] = {"direction": "asc", **query}
        return self._call(lambda: self.server.trading.select_activities(wanted, None, None))
