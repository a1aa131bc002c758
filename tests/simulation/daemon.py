"""`dcabot run` without sockets and systemd: the real Trader and Schedule, the lanes as actors.

Played is what carries the schedule's actions out, which is asyncio and threads in the real daemon.
An error that the daemon does not expect ends the real one, and fails the seed.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from datetime import datetime, timedelta

from dcabot.adapters.database import DatabaseBusy, DatabaseError, DatabaseUnreachable
from dcabot.commands import schedule
from dcabot.commands.paces import RETRY_SECONDS, START_PATIENCE_SECONDS
from dcabot.commands.schedule import Action, Found, Schedule, Standing
from dcabot.core.model import OrderReport, Quote
from dcabot.core.reconcile import LAWS, Limits
from dcabot.core.snapshot import ExchangeError, ExchangeUnreachable
from dcabot.executor import Executor
from dcabot.sync import Sync
from dcabot.trader import Occasion, Trader
from tests.simulation.books import Books, SimDatabase, SimStore
from tests.simulation.clockwork import Program, Signal, World
from tests.simulation.exchange import Exchange, Feeds, SimBroker

# The product's defaults, of settings that it reads from the environment and from systemd.
REFRESH_SECONDS = 30.0
QUOTE_MAX_AGE = timedelta(seconds=60)
DATA_TIMEOUT_SECONDS = 120.0
TELL_HEALTH_SECONDS = 5.0
# What sockets take.
PACE_SECONDS = 0.005
CONNECT_SECONDS = 0.4


FOREVER = float("inf")


class Ended(Exception):
    """The daemon stops by itself, as it does when it is not alone."""


class Lane:
    """A worker thread of the daemon: one work after the other."""

    def __init__(self, world: World, program: Program) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._wanted = Signal(world)
        program.start(self._live)

    def put(self, work: Callable[[], None]) -> None:
        self._waiting.append(work)
        self._wanted.set()

    def _live(self) -> None:
        while True:
            while self._waiting:
                self._waiting.popleft()()
            self._wanted.wait(3600.0)


class Daemon:
    """One daemon process: its trader, its schedule, its lanes, its streams."""

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
        settings = schedule.Settings(DATA_TIMEOUT_SECONDS, REFRESH_SECONDS, TELL_HEALTH_SECONDS)
        self.schedule = Schedule(settings)
        self.books_lane, self.sweeps_lane = Lane(world, self.program), Lane(world, self.program)
        self.data_lane = Lane(world, self.program)
        self._wakes_at = FOREVER
        self.acting: dict[str, Quote] = {}  # the quote that each asset's last decision was taken on
        self.acting_after: dict[str, datetime | None] = {}  # and the last look at REST before it
        self.on_act: Callable[[Daemon, str], None] = lambda daemon, symbol: None
        self.came: dict[str, deque[tuple[float, Quote]]] = defaultdict(lambda: deque(maxlen=80))
        self.is_ready = False
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
        self._tell(self.schedule.start, Standing.of(self.trader), self.world.now)

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

    def reload(self) -> None:
        """SIGHUP."""
        self._tell(self.schedule.reload)

    # The schedule: what it says is begun, and what came is told.

    def _tell(self, event: Callable[..., None], *given: object) -> None:
        event(*given)
        self._arm()

    def _arm(self) -> None:
        wakes_at = self.schedule.wakes_at()
        if wakes_at < self._wakes_at:
            self._wakes_at = wakes_at
            delay = max(PACE_SECONDS, wakes_at - self.world.now)
            self.world.at(delay, lambda: self._wake(wakes_at))

    def _wake(self, wakes_at: float) -> None:
        if self.program.is_dead or wakes_at != self._wakes_at:
            return
        self._wakes_at = FOREVER
        for action in self.schedule.due(self.world.now):
            self._begin(action)
        self._arm()

    def _begin(self, action: Action) -> None:
        match action:
            case schedule.Decide():
                self._decide(action.quotes, action.again)
            case schedule.Reconcile():
                self.sweeps_lane.put(lambda: self._in_round(self._reconcile))
            case schedule.AskQuotes():
                symbols = action.symbols
                self.data_lane.put(lambda: self._ask_quotes(symbols))
            case schedule.LearnInstruments():
                self.sweeps_lane.put(lambda: self._in_round(self._learn_instruments))
            case schedule.Refresh():
                self.books_lane.put(self._refresh)
            case schedule.Beat():
                self._beat()
            case schedule.RenewQuotes():
                self.world.saw("mute data stream renewed")
                self.feeds.lose("quotes", CONNECT_SECONDS)
            case schedule.RenewOrders():
                self.world.saw("starving stream renewed")
                self.feeds.lose("orders", CONNECT_SECONDS)
            case schedule.EndRound() | schedule.TellHealth():
                pass  # systemd is not here

    # The consumer

    def _on_quote(self, quote: Quote) -> None:
        self.came[quote.symbol].append((self.world.now, quote))
        if self.schedule.quote_came(quote.symbol, quote, quote.at):
            self._arm()

    def _on_connected(self) -> None:
        self._notice_streams()
        self._arm()

    def _notice_streams(self) -> None:
        feeds = self.feeds
        self.trader.stream_up = feeds.orders_up
        self.trader.data_comes(feeds.up_since["quotes"] if feeds.quotes_up else None)
        self.schedule.streams_are(
            feeds.up_since["quotes"] if feeds.quotes_up else None,
            feeds.up_since["orders"] if feeds.orders_up else None,
        )

    def _decide(self, quotes: dict[str, tuple[Quote, ...]], again: tuple[str, ...]) -> None:
        self._notice_streams()
        for symbol, came in quotes.items():
            occasions = (self._consider(quote) for quote in came)
            self._begin_to_act(symbol, next((one for one in occasions if one is not None), None))
        for symbol in again:
            if symbol not in quotes:
                self._begin_to_act(symbol, self.trader.reconsider(symbol))
        self.schedule.decided(len(quotes), self.world.now, self.trader.looks)

    def _consider(self, quote: Quote) -> Occasion | None:
        self.schedule.quote_read(quote, self.world.now)
        return self.trader.consider(quote)

    def _begin_to_act(self, symbol: str, occasion: Occasion | None) -> None:
        if occasion is not None:
            self.acting[symbol], self.acting_after[symbol] = occasion.market.quote, self.trader.swept_at
            self.on_act(self, symbol)
            self.schedule.request_began(symbol)
            self.program.start(self._act, symbol, occasion)

    def _act(self, symbol: str, occasion: Occasion) -> None:
        """In the orders lane, one at a time for each asset."""
        try:
            self.trader.act(symbol, occasion)
        except (DatabaseError, ExchangeError) as error:
            self.world.tell(self.program.name, "act %s: %s", symbol, error)
            self._tell(self.schedule.request_failed, symbol, self.world.now)
        else:
            standing = Standing.of(self.trader)
            self._tell(self.schedule.request_ended, symbol, standing, self.world.now)

    # The books lane

    def _on_report(self, report: OrderReport) -> None:
        self.books_lane.put(lambda: self._book(report))

    def _book(self, report: OrderReport) -> None:
        is_understood = True
        try:
            self.trader.on_report(report)
        except (DatabaseError, ExchangeError) as error:
            self.world.tell(self.program.name, "report %r: %s", report, error)
            is_understood = False
        self._tell(self.schedule.update_booked, is_understood, Standing.of(self.trader))

    def _refresh(self) -> None:
        try:
            self.trader.refresh()
        except DatabaseError as error:
            self.world.tell(self.program.name, "refresh: %s", error)
            self._tell(self.schedule.refresh_failed, self.world.now)
        else:
            self.schedule.follow(self.trader.symbols())
            self._tell(self.schedule.refreshed, Standing.of(self.trader), self.world.now)

    # The sweeps lane

    def _in_round(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (ExchangeError, DatabaseError) as error:
            self.world.tell(self.program.name, "sweep: %s", error)
            self._tell(self.schedule.reconciliation_failed, self.world.now)

    def _reconcile(self) -> None:
        swept = self.trader.sweep()
        self._notice_streams()
        found = Found(tuple(swept.late_news), bool(swept.mended or swept.doubtful))
        standing = Standing.of(self.trader)
        self._tell(self.schedule.reconciled, found, standing, self.world.clock(), self.world.now)

    def _ask_quotes(self, symbols: tuple[str, ...]) -> None:
        """In the data lane."""
        asked_at = self.world.clock()
        try:
            rows = self.broker.latest_quotes(symbols).rows
        except ExchangeError as error:
            self.world.tell(self.program.name, "latest quotes: %s", error)
            self._tell(self.schedule.quotes_failed)
        else:
            self.trader.hear_latest(rows, asked_at)
            self._tell(self.schedule.quotes_told, rows, self.world.clock(), self.world.now)

    def _learn_instruments(self) -> None:
        self.trader.learn_instruments()
        self._tell(self.schedule.instruments_learnt, Standing.of(self.trader), self.world.now)

    # The pulse lane asks nothing of the rows, so it needs no actor.

    def _beat(self) -> None:
        try:
            self._be_alone()
        except Ended as error:
            self._stop(str(error))
            return
        except DatabaseError:
            pass
        self._tell(self.schedule.beat_ended, self.world.now)
