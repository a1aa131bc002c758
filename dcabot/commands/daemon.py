"""`dcabot run`: the daemon. Streams in, decisions out, health told to systemd.

`schedule.py` says when what begins. Here its actions are carried out, in lanes of worker threads
that keep slow things apart (`lanes.py`), and it is told what came of them. The event loop itself
only decides on the newest quote of each symbol (see `Trader.consider`).
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn, TypeVar

from dcabot.adapters import notes, wire
from dcabot.adapters.database import DatabaseBusy, DatabaseError, DatabaseUnreachable
from dcabot.adapters.store import STOPPED
from dcabot.adapters.streams import Feed, Streams
from dcabot.adapters.systemd import Systemd
from dcabot.commands import DONE, FAILED, STARTING, news, paces, parser, start_logging, utc_now
from dcabot.commands.health import Findings, Health
from dcabot.commands.lanes import ORDER_THREADS, Lanes, leave_within
from dcabot.commands.schedule import (
    Action,
    AskQuotes,
    Beat,
    Decide,
    EndRound,
    Found,
    LearnInstruments,
    Reconcile,
    Refresh,
    RenewOrders,
    RenewQuotes,
    Schedule,
    Settings,
    Standing,
    TellHealth,
)
from dcabot.commands.wiring import Parts, build, check_account, check_schema
from dcabot.core.model import Decision
from dcabot.core.snapshot import ExchangeDenied, ExchangeError, ExchangeUnreachable
from dcabot.sync import Swept
from dcabot.trader import Occasion, Trader

log = logging.getLogger(__name__)

T = TypeVar("T")


def make_parser() -> argparse.ArgumentParser:
    what = "The daemon: trades until it is stopped. SIGHUP reads the assets again."
    return parser("run", what, logs=True)


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    start_logging(args.verbose)
    sys.setswitchinterval(paces.SWITCH_SECONDS)
    parts = build(args.env_file)
    venue = parts.config.venue.value.upper()
    log.info("dcabot trades on %s (%s), books in %s", venue, parts.config.base_url, parts.store.database.settings)
    for note in parts.config.notes:
        log.warning("%s", note)
    daemon = Daemon(parts)
    try:
        asyncio.run(daemon.run())
    finally:
        parts.store.database.close_all()
    if daemon.lanes.are_stuck():
        # A thread waits for the exchange. Its row is committed and its outcome will be asked for at the next start;
        # Python would wait for it, systemd would not.
        logging.shutdown()
        os._exit(DONE)
    return DONE


class AnotherDaemon(DatabaseUnreachable):
    """Two daemons on one database would each see half of the events."""


class Daemon:
    """Carries out what the schedule says, and tells it what came."""

    def __init__(self, parts: Parts) -> None:
        config = parts.config
        self.parts = parts
        self.trader = Trader(
            parts.store,
            parts.broker,
            parts.executor,
            parts.sync(),
            utc_now,
            timedelta(seconds=config.quote_max_age_seconds),
            config.spread_max_ratio,
        )
        self.systemd = Systemd(os.environ)
        self.streams = Streams(config, self.on_quote, self.on_trade_update, self.on_connected)
        self.health = Health(self.trader, self.streams, lambda: self.lanes.longest())
        watchdog = self.systemd.watchdog_seconds or paces.HEALTH_SECONDS * 3
        self.schedule = Schedule(
            Settings(
                data_timeout=config.data_timeout_seconds,
                asset_refresh=config.asset_refresh_seconds,
                tell_health=min(paces.HEALTH_SECONDS, watchdog / 3),
            )
        )
        self.woken = asyncio.Event()  # the schedule may have something to do
        self.stopping = asyncio.Event()
        self.is_seen = False  # by `dcabot status`
        self.is_renewing = False
        self.told_sentence = self.told_stuck = ""
        self.written: tuple[str, ...] | None = None  # of the troubles in the database
        self.tasks: set[asyncio.Task[None]] = set()
        self.lanes: Lanes
        self.streaming: asyncio.Task[None]

    async def run(self) -> None:
        """Start, trade, stop. SIGTERM and SIGINT end it at any moment; an error that nobody expects is raised."""
        self.loop = asyncio.get_running_loop()
        self.lanes = Lanes(self.health.complain)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.stopping.set)
        self.loop.add_signal_handler(signal.SIGHUP, self._tell, self.schedule.reload)
        life = asyncio.create_task(self._live())
        stop = asyncio.create_task(self.stopping.wait())
        ends: list[asyncio.Future[Any]] = [life, stop, self.lanes.failed]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        leave_within(paces.STOP_SECONDS, DONE if self.stopping.is_set() else FAILED)
        self.systemd.stopping("stopping")
        log.info("stopping")
        ended = [one for one in (life, self.lanes.failed) if one.done()]
        self.schedule.stop()
        self.streams.stop()
        life.cancel()
        if self.is_seen:
            self.lanes.pulse.submit(self._say_goodbye)
        await self.lanes.close(paces.STOP_PATIENCE_SECONDS)
        for one in ended:
            one.result()

    # What the streams call. It runs between two reads of a socket, so it only puts things where they wait.

    def on_quote(self, raw: dict[str, Any]) -> None:
        if self.schedule.quote_came(raw.get("S", ""), raw, wire.quoted_at(raw)):
            self.woken.set()

    def on_trade_update(self, frame: dict[str, Any]) -> None:
        self.lanes.put(self.lanes.books, self._booked, self._book, frame)

    def on_connected(self, feed: Feed) -> None:
        self._notice_streams()
        self.woken.set()

    # The daemon's life.

    async def _live(self) -> None:
        """Start, and then do what the schedule says until something fails."""
        await self._start()
        gc.collect()
        gc.freeze()  # what is loaded by now stays: looking through it again and again would hold up orders by 50 ms
        self.systemd.ready(self.health.sentence())
        log.info("ready: %s", self.health.sentence())
        await asyncio.gather(self._follow_schedule(), self.streaming)

    async def _start(self) -> None:
        """Be the only daemon, listen, and agree with the exchange before anything is decided."""
        self.systemd.status("starting: agreeing with the exchange")
        await self._patiently(partial(check_schema, self.parts.config))
        await self._patiently(self._be_alone)
        database, store = self.parts.store.database, self.parts.store
        # Written down by the daemon before this one; what still is so need not be told anew.
        written = await self._patiently(store.read_troubles)
        self.health.inherit(written, await self._patiently(store.read_told))
        # A blocked account is no reason to stay away: it may be free again at the next look.
        account = await self._patiently(self.parts.broker.account)
        await self._patiently(partial(check_account, database, account.number))
        await self._patiently(self.trader.recover)
        self.health.reconciled()
        await self._patiently(partial(notes.keep_account, database, account.number, utc_now()))
        is_upgraded = partial(notes.first_start_after_upgrade, database, news.VERSION, utc_now())
        if await self._patiently(is_upgraded):
            news.tell_news(entry.asset for entry in self.trader.entries.values())
        # What happens between here and the connection is only known to REST: the schedule asks.
        self.schedule.start(Standing.of(self.trader), time.monotonic())
        self.streaming = asyncio.create_task(self.streams.run(self.trader.symbols()))
        for _ in range(ORDER_THREADS):
            self.lanes.orders.submit(self._warm_up)
        await self._patiently(self._beat)  # so that `dcabot status` sees us as soon as systemd does
        self.is_seen = True

    def _be_alone(self) -> None:
        if not self.parts.store.database.hold_daemon_lock():
            raise AnotherDaemon("another dcabot daemon works on this database; only one may")

    def _warm_up(self) -> None:
        """The first order of a thread must not wait for the database's handshake."""
        with contextlib.suppress(DatabaseError):
            self.parts.store.database.ping()

    async def _patiently(self, work: Callable[[], T]) -> T:
        """Try again while the database or the exchange is not there yet; then their error ends the start."""
        patience_ends = time.monotonic() + paces.START_PATIENCE_SECONDS
        while True:
            try:
                return await self.lanes.run(self.lanes.sweeps, work)
            except (DatabaseUnreachable, DatabaseBusy, ExchangeError) as error:
                # Another daemon is waited for too: a lost host's lock lapses after two minutes, and systemd gives up
                # what ends at once ten times.
                if time.monotonic() > patience_ends:
                    await self._give_up(error)
                self.systemd.status(f"{STARTING}: {error}")
                log.warning("%s; trying again", error)
                if isinstance(error, ExchangeError):  # the database answers, and is ours by now
                    with contextlib.suppress(DatabaseError):
                        await self.lanes.run(self.lanes.pulse, partial(self._beat, f"{STARTING}: {error}"))
                        self.is_seen = True
                await asyncio.sleep(paces.RETRY_SECONDS)

    async def _give_up(self, error: Exception) -> NoReturn:
        """End a start with the error that it met again and again.

        Keys that worked before may work again: systemd starts us until they do. Keys that never
        worked on this database are a mistake in the settings.
        """
        if isinstance(error, ExchangeDenied):
            known = partial(notes.account_number, self.parts.store.database)
            if await self.lanes.run(self.lanes.sweeps, known):
                raise ExchangeUnreachable(str(error)) from error
        raise error

    # The schedule: what it says is begun, and what came is told.

    async def _follow_schedule(self) -> None:
        while True:
            for action in self.schedule.due(time.monotonic()):
                self._begin(action)
            alarm = self.loop.call_at(self.schedule.wakes_at(), self.woken.set)
            await self.woken.wait()
            alarm.cancel()
            self.woken.clear()

    def _tell(self, event: Callable[..., None], *given: Any) -> None:
        event(*given)
        self.woken.set()

    def _begin(self, action: Action) -> None:
        match action:
            case Decide():
                self._decide(action.quotes, action.again)
            case Reconcile():
                failed = self.health.reconciliation_failed
                self._spawn(self._in_round(self._sweep, self._reconciled, failed))
            case AskQuotes():
                self._spawn(self._ask_quotes(action.symbols))
            case LearnInstruments():
                self._spawn(self._in_round(self.trader.learn_instruments, self._instruments_learnt))
            case EndRound():
                if action.went_well:
                    self.health.over()
            case Refresh():
                self._spawn(self._refresh(action.on_request))
            case Beat():
                self._spawn(self._prove_alone())
            case TellHealth():
                self._tell_health()
            case RenewQuotes():
                # The log has said once that the stream is mute, and each renewal is no news.
                self._spawn(self.streams.recycle(Feed.QUOTES, action.why, logging.DEBUG))
            case RenewOrders():
                self._spawn(self.streams.recycle(Feed.ORDERS, action.why))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it run beside the rest. An error that nobody expects ends the daemon."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.lanes.fail(error)

    # Quotes, orders and trade updates.

    def _decide(self, quotes: dict[str, tuple[dict[str, Any], ...]], again: tuple[str, ...]) -> None:
        self._notice_streams()
        now = time.monotonic()
        for symbol, raws in quotes.items():
            # What the newest leads to is done; the one that came after it counts where it is none.
            occasions = (self._consider(symbol, raw, now) for raw in raws)
            self._act(symbol, next((one for one in occasions if one is not None), None))
        for symbol in again:
            if symbol not in quotes:
                self._act(symbol, self.trader.reconsider(symbol))
        self.health.consumer_advanced()
        self.schedule.decided(len(quotes), time.monotonic(), self.trader.looks)

    def _consider(self, symbol: str, raw: dict[str, Any], now: float) -> Occasion | None:
        try:
            quote = wire.quote(raw)
        except wire.WireError as error:
            self.trader.say(symbol, f"a quote that cannot be read: {error}")
            return None
        self.schedule.quote_read(quote, now)
        return self.trader.consider(quote)

    def _act(self, symbol: str, occasion: Occasion | None) -> None:
        if occasion is not None:
            self.schedule.request_began(symbol)
            done = partial(self._acted, symbol)
            self.lanes.put(self.lanes.orders, done, self.trader.act, symbol, occasion)

    def _notice_streams(self) -> None:
        quotes_since = self.health.up_since(Feed.QUOTES)
        orders_since = self.health.up_since(Feed.ORDERS)
        self.trader.stream_up = orders_since is not None
        self.trader.data_comes(quotes_since)
        without_room = self.streams.without_room()
        self.schedule.streams_are(quotes_since, orders_since, without_room)
        is_away = bool(self.schedule.away_seconds(time.monotonic()))
        self.health.stands_in(is_away, self.schedule.mute)

    def _acted(self, symbol: str, decision: Decision | None, error: Exception | None) -> None:
        self.health.acted(symbol, error)
        if error is not None:
            self._tell(self.schedule.request_failed, symbol, time.monotonic())
        else:
            standing = Standing.of(self.trader)
            self._tell(self.schedule.request_ended, symbol, standing, time.monotonic())

    def _book(self, frame: dict[str, Any]) -> bool:
        """In the books lane: one report of the stream. False when REST must be asked instead."""
        try:
            report = wire.trade_update(frame)
        except wire.WireError as error:
            log.warning("a trade update that cannot be read (%s); asking REST instead", error)
            return False
        if report is None:
            return True
        if report.note:
            log.warning("%s: %s; asking REST instead", report.client_order_id, report.note)
        self.trader.on_report(report)
        return not report.note

    def _booked(self, is_understood: bool | None, error: Exception | None) -> None:
        self._tell(self.schedule.update_booked, bool(is_understood), Standing.of(self.trader))

    async def _ask_quotes(self, symbols: tuple[str, ...]) -> None:
        """REST's latest quotes, in a lane of their own: a price must not wait for a reconciliation."""
        asked_at = utc_now()
        ask = partial(self.parts.broker.latest_quotes, symbols)
        try:
            listing = await self.lanes.run(self.lanes.data, ask)
        except ExchangeError as error:
            self.trader.say("market data", f"REST's latest quotes: {error}")
            self._tell(self.schedule.quotes_failed)
        else:
            self.trader.hear_latest(listing.rows, asked_at)
            self._tell(self.schedule.quotes_told, listing.rows, utc_now(), time.monotonic())

    # Reconciliation.

    async def _in_round(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """One step of a round, in the sweeps lane."""
        try:
            result = await self.lanes.run(self.lanes.sweeps, work)
        except (ExchangeError, DatabaseError) as error:
            if failed is not None:
                failed(error)
            else:
                self.health.complain(str(error))
            self._tell(self.schedule.reconciliation_failed, time.monotonic())
        else:
            done(result)

    def _sweep(self) -> Swept:
        """In the sweeps lane."""
        return self.trader.sweep()

    def _reconciled(self, swept: Swept) -> None:
        self.health.reconciled()
        self._notice_streams()
        found = Found(tuple(swept.late_news), bool(swept.mended or swept.doubtful))
        standing = Standing.of(self.trader)
        self._tell(self.schedule.reconciled, found, standing, utc_now(), time.monotonic())

    def _instruments_learnt(self, _: None) -> None:
        self._tell(self.schedule.instruments_learnt, Standing.of(self.trader), time.monotonic())

    # The assets, the pulse and the health.

    async def _refresh(self, on_request: bool) -> None:
        """Settings, and what the caretakers did."""
        if on_request:
            log.info("reading the assets again")
            self.systemd.reloading()
        try:
            await self.lanes.run(self.lanes.books, self.trader.refresh)
        except DatabaseError as error:
            self.health.complain(str(error))
            self._tell(self.schedule.refresh_failed, time.monotonic())
        else:
            symbols = self.trader.symbols()
            self.schedule.follow(symbols)
            await self.streams.set_symbols(symbols)
            self._tell(self.schedule.refreshed, Standing.of(self.trader), time.monotonic())
        if on_request:
            self.systemd.ready(self.health.sentence())

    async def _prove_alone(self) -> None:
        """Prove, whatever else waits, that the database answers and that we are its only daemon."""
        try:
            await self.lanes.run(self.lanes.pulse, self._beat)
        except AnotherDaemon:
            raise
        except DatabaseError as error:
            self.health.complain(str(error))
        self._renew_connection()
        self._tell(self.schedule.beat_ended, time.monotonic())

    def _renew_connection(self) -> None:
        """An order must not wait for a handshake, and a connection that idles is not used again."""
        if self.is_renewing or not self.trader.symbols():
            return
        self.is_renewing = True
        self.lanes.put(self.lanes.sweeps, self._renewed, self.parts.broker.warm_up, 1)

    def _renewed(self, count: int | None, error: Exception | None) -> None:
        self.is_renewing = False

    def _beat(self, sentence: str = "") -> None:
        """In the pulse lane, which waits for nobody else."""
        self._be_alone()  # or it is another daemon's beat by now
        beat, findings = self.health.beat(utc_now()), self.health.findings
        beat = replace(beat, sentence=sentence) if sentence else beat
        if sentence == STOPPED:
            findings = Findings()
        # For `dcabot status` and the consistency checker.
        if findings.words == self.written:
            self.parts.store.write_beat(beat)
        else:
            self.parts.store.write_beat(beat, findings.troubles, findings.told)
            self.written = findings.words

    def _say_goodbye(self) -> None:
        """The last of the pulse lane. Nobody waits for a database that is away: the beat grows old all the same."""
        with contextlib.suppress(DatabaseError):
            self._beat(STOPPED)

    def _tell_health(self) -> None:
        self.health.look(utc_now())
        stuck, sentence = self.health.stuck(), self.health.sentence()
        if not stuck:
            self.systemd.watchdog()
        elif not self.told_stuck:
            log.error("stuck, and the watchdog is not fed: %s", stuck)
        self.told_stuck = stuck
        if sentence != self.told_sentence:
            self.systemd.status(sentence)
            self.told_sentence = sentence
