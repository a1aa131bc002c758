"""`dcabot run` without sockets and systemd: the real Trader, and the lanes of `commands/daemon.py` as actors.

The lanes are written again here, because the daemon's own are asyncio and threads; what they call is the product's.
An error that the daemon does not expect ends the real one, and fails the seed.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from dcabot.adapters.database import DatabaseBusy, DatabaseError, DatabaseUnreachable
from dcabot.adapters.streams import mute_symbols
from dcabot.commands.paces import (
    EVENT_PATIENCE_SECONDS,
    INSTRUMENTS_AGAIN_SECONDS,
    INSTRUMENTS_SECONDS,
    PULSE_SECONDS,
    RETRY_SECONDS,
    START_PATIENCE_SECONDS,
    SWEEP_IDLE_SECONDS,
    SWEEP_ORDER_OPEN_SECONDS,
    SWEEP_SPACING_SECONDS,
    SWEEP_STREAM_DOWN_SECONDS,
    SWEEP_UNSETTLED_SECONDS,
)
from dcabot.core.model import OrderReport, Quote
from dcabot.core.reconcile import LAWS, Limits
from dcabot.core.snapshot import ExchangeError, ExchangeUnreachable
from dcabot.executor import Executor
from dcabot.sync import Sync
from dcabot.trader import Occasion, Trader
from tests.simulation.books import Books, SimDatabase, SimStore
from tests.simulation.clockwork import Program, Signal, World
from tests.simulation.exchange import Exchange, Feeds, SimBroker

# The product's defaults, of settings that it reads from the environment.
REFRESH_SECONDS = 30.0
QUOTE_MAX_AGE = timedelta(seconds=60)
DATA_TIMEOUT_SECONDS = 120.0
# What sockets take.
PACE_SECONDS = 0.005
CONNECT_SECONDS = 0.4


class Ended(Exception):
    """The daemon stops by itself, as it does when it is not alone."""


class Daemon:
    """One daemon process: its trader, its lanes, its streams."""

    def __init__(self, world: World, books: Books, exchange: Exchange, name: str, limits: Limits) -> None:
        self.world = world
        self.program = Program(world, name)
        self.database = SimDatabase(books, self.program)
        self.store = SimStore(self.database, world.clock)
        self.broker = SimBroker(exchange, self.program)
        executor = Executor(self.store, self.broker, world.clock)  # type: ignore[arg-type]
        sync = Sync(self.store, self.broker, executor, world.clock, limits, tuple(LAWS))  # type: ignore[arg-type]
        self.trader = Trader(self.store, self.broker, executor, sync, world.clock, QUOTE_MAX_AGE)  # type: ignore[arg-type]
        self.feeds = Feeds(world, self.program)
        self.feeds.on_report = self._on_report
        self.feeds.on_quote = self._on_quote
        self.feeds.on_connected = self._on_connected
        self.sweep_wanted, self.refresh_wanted, self._books_wanted = Signal(world), Signal(world), Signal(world)
        self._books_queue: deque[Callable[[], None]] = deque()
        self._newest: dict[str, Quote] = {}
        self._latest: dict[str, Quote] = {}
        self._heard_at: dict[str, float] = {}
        self.busy: set[str] = set()
        self.acting: dict[str, Quote] = {}  # the quote that each asset's last decision was taken on
        self.acting_after: dict[str, datetime | None] = {}  # and the last look at REST before it
        self.on_act: Callable[[Daemon, str], None] = lambda daemon, symbol: None
        self._look_is_due = False
        self.is_ready = False
        self.is_sweeping = False
        self.started_at = world.now
        self.program.at_end.append(self._end)
        self.program.start(self._live)

    # Life

    def _live(self) -> None:
        try:
            self._patiently(self._be_alone)
            self._patiently(self.broker.account)
            self._patiently(self.trader.recover)
        except (Ended, DatabaseError, ExchangeError) as error:
            self._stop(f"does not start: {error}")
            return
        self.is_ready = True
        self.world.tell(self.program.name, "is ready")
        self.world.saw("daemon started")
        for feed in ("orders", "quotes"):
            self.world.at(CONNECT_SECONDS, lambda feed=feed: self.feeds.connect(feed))  # type: ignore[misc]
        self.program.start(self._keep_books)
        self.program.start(self._refresh_for_ever)
        self.world.at(PULSE_SECONDS, self._pulse)
        self._sweep_for_ever()

    def _patiently(self, work: Callable[[], object]) -> None:
        patience_ends = self.world.now + START_PATIENCE_SECONDS
        while True:
            try:
                work()
                return
            except (DatabaseUnreachable, DatabaseBusy, ExchangeUnreachable):
                if self.world.now > patience_ends:
                    raise
                self.world.pause(RETRY_SECONDS)

    def _be_alone(self) -> None:
        if not self.database.hold_daemon_lock():
            raise Ended("another daemon works on this database")

    def _stop(self, why: str) -> None:
        self.world.tell(self.program.name, "stops: %s", why)
        self.world.saw("daemon stopped by itself")
        self.program.kill()

    def _end(self) -> None:
        self.feeds.orders_up = self.feeds.quotes_up = False

    def _pulse(self) -> None:
        """The pulse lane asks nothing of the rows, so it needs no actor."""
        if self.program.is_dead:
            return
        try:
            self._be_alone()
        except Ended as error:
            self._stop(str(error))
            return
        except DatabaseError:
            pass
        self.world.at(PULSE_SECONDS, self._pulse)

    # The consumer

    def _on_quote(self, quote: Quote) -> None:
        self._latest[quote.symbol] = self._newest[quote.symbol] = quote
        self._heard_at[quote.symbol] = self.world.now
        self._look()

    def _look(self) -> None:
        if not self._look_is_due and self.is_ready:
            self._look_is_due = True
            self.world.at(PACE_SECONDS, self._consume)

    def _consume(self) -> None:
        self._look_is_due = False
        if self.program.is_dead:
            return
        self.trader.stream_up = self.feeds.orders_up
        for symbol in [symbol for symbol in self._latest if symbol not in self.busy]:
            occasion = self.trader.consider(self._latest.pop(symbol))
            if occasion is not None:
                self.acting[symbol], self.acting_after[symbol] = occasion.market.quote, self.trader.swept_at
                self.on_act(self, symbol)
                self.busy.add(symbol)
                self.program.start(self._act, symbol, occasion)

    def _act(self, symbol: str, occasion: Occasion) -> None:
        """In the orders lane, one at a time for each asset."""
        try:
            self.trader.act(symbol, occasion)
        except (DatabaseError, ExchangeError) as error:
            self.world.tell(self.program.name, "act %s: %s", symbol, error)
            self.sweep_wanted.set()
            self.world.at(RETRY_SECONDS, lambda: self.busy.discard(symbol))
            return
        self.busy.discard(symbol)
        self._look_again()
        self._ask_if_unsettled()
        self.world.at(EVENT_PATIENCE_SECONDS, self.sweep_wanted.set)

    def _look_again(self) -> None:
        self._latest = {**self._newest, **self._latest}
        self._look()

    # The books lane

    def _on_report(self, report: OrderReport) -> None:
        self._books_queue.append(lambda: self._book(report))
        self._books_wanted.set()

    def _keep_books(self) -> None:
        while True:
            while self._books_queue:
                self._books_queue.popleft()()
            self._books_wanted.wait(3600.0)

    def _book(self, report: OrderReport) -> None:
        failed = False
        try:
            self.trader.on_report(report)
        except (DatabaseError, ExchangeError) as error:
            self.world.tell(self.program.name, "report %r: %s", report, error)
            failed = True
        if failed:
            self.sweep_wanted.set()
        self._look_again()
        self._ask_if_unsettled()

    def _ask_if_unsettled(self) -> None:
        if self.trader.is_unsettled():
            self.sweep_wanted.set()

    def _refresh_for_ever(self) -> None:
        while True:
            self.refresh_wanted.wait(REFRESH_SECONDS)
            done = Signal(self.world)

            def refresh(done: Signal = done) -> None:
                try:
                    self.trader.refresh()
                    self._look_again()
                    self._ask_if_unsettled()
                except DatabaseError as error:
                    self.world.tell(self.program.name, "refresh: %s", error)
                done.set()

            self._books_queue.append(refresh)
            self._books_wanted.set()
            done.wait(3600.0)

    # The sweeps lane

    def _on_connected(self) -> None:
        self.trader.stream_up = self.feeds.orders_up
        self.sweep_wanted.set()

    def _sweep_for_ever(self) -> None:
        instruments_at = self.world.now
        while True:
            self.sweep_wanted.wait(self._sweep_pause())
            self.is_sweeping = True
            try:
                self._sweep()
                self._look_again()
                self._check_for_mute_data()
                wait = INSTRUMENTS_SECONDS if self.trader.knows_its_pairs() else INSTRUMENTS_AGAIN_SECONDS
                if self.world.now - instruments_at > wait:
                    self.trader.learn_instruments()
                    instruments_at = self.world.now
            except (ExchangeError, DatabaseError) as error:
                self.world.tell(self.program.name, "sweep: %s", error)
            self.is_sweeping = False
            self.world.pause(SWEEP_SPACING_SECONDS)

    def _sweep_pause(self) -> float:
        if not self.feeds.orders_up:
            return SWEEP_STREAM_DOWN_SECONDS
        if self.trader.is_unsettled():
            return SWEEP_UNSETTLED_SECONDS
        pause = SWEEP_ORDER_OPEN_SECONDS if self.trader.has_open_orders() else SWEEP_IDLE_SECONDS
        return min(pause, DATA_TIMEOUT_SECONDS)

    def _sweep(self) -> None:
        swept = self.trader.sweep()
        up_since = self._up_since("orders")
        if any(report.at > up_since for report in swept.late_news):
            self.world.saw("starving stream renewed")
            self.feeds.lose("orders", CONNECT_SECONDS)
        if swept.mended or swept.doubtful:
            self.sweep_wanted.set()

    def _up_since(self, feed: str) -> datetime:
        """As the bot's clock has it; now, while it is not connected."""
        is_up = self.feeds.orders_up if feed == "orders" else self.feeds.quotes_up
        return self.world.clock() - timedelta(seconds=self.world.now - self.feeds.up_since[feed] if is_up else 0.0)

    def _check_for_mute_data(self) -> None:
        now, up_since = self.world.now, self._up_since("quotes")
        if not self.feeds.quotes_up or now - self.feeds.up_since["quotes"] <= DATA_TIMEOUT_SECONDS:
            return
        symbols = self.trader.symbols()
        silent = [one for one in symbols if now - self._heard_at.setdefault(one, now) > DATA_TIMEOUT_SECONDS]
        if not silent:
            return
        listing = self.broker.latest_quotes(silent)
        told = {symbol: max(quote.at, up_since) for symbol, quote in self._newest.items()}
        if mute_symbols({symbol: told.get(symbol, up_since) for symbol in self._heard_at}, listing.rows):
            self.world.saw("mute data stream renewed")
            self.feeds.lose("quotes", CONNECT_SECONDS)
