"""`dcabot run`: the daemon. Streams in, decisions out, health told to systemd.

Lanes of worker threads keep slow things apart (`lanes.py`); of an asset one request is in flight at a time. The event
loop itself only keeps the newest quote of each symbol and decides on it (see `Trader.consider`).
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from dcabot.adapters import notes, wire
from dcabot.adapters.config import ConfigError
from dcabot.adapters.database import DatabaseBusy, DatabaseError, DatabaseUnreachable
from dcabot.adapters.store import STOPPED
from dcabot.adapters.streams import Feed, Streams, mute_symbols
from dcabot.adapters.systemd import Systemd
from dcabot.commands import DONE, FAILED, STARTING, paces, parser, start_logging, utc_now
from dcabot.commands.health import Health
from dcabot.commands.heard import Heard
from dcabot.commands.lanes import ORDER_THREADS, Lanes, leave_within
from dcabot.commands.wiring import Parts, build, check_account, check_schema
from dcabot.core.snapshot import ExchangeError, ExchangeUnreachable
from dcabot.trader import Trader

log = logging.getLogger(__name__)

T = TypeVar("T")


def main(argv: list[str]) -> int:
    what = "The daemon: trades until it is stopped. SIGHUP reads the assets again."
    args = parser("run", what, logs=True).parse_args(argv)
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
    """The event loop's side: what is waiting, who is busy, and when to look again."""

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
        )
        self.systemd = Systemd(os.environ)
        self.streams = Streams(config, self.on_quote, self.on_trade_update, self.on_connected)
        self.health = Health(self.trader, self.streams)
        self.heard = Heard()
        self.busy: set[str] = set()
        self.quotes_wait = asyncio.Event()
        self.sweep_wanted = asyncio.Event()
        self.refresh_wanted = asyncio.Event()
        self.stopping = asyncio.Event()
        self.reload_wanted = False
        self.is_seen = False  # by `dcabot status`
        self.lanes: Lanes
        self.streaming: asyncio.Task[None]

    async def run(self) -> None:
        """Start, trade, stop. SIGTERM and SIGINT end it at any moment; an error that nobody expects is raised."""
        self.loop = asyncio.get_running_loop()
        self.lanes = Lanes(self._trouble)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.stopping.set)
        self.loop.add_signal_handler(signal.SIGHUP, self._reload)
        life = asyncio.create_task(self._live())
        stop = asyncio.create_task(self.stopping.wait())
        ends: list[asyncio.Future[Any]] = [life, stop, self.lanes.failed]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        leave_within(paces.STOP_SECONDS, DONE if self.stopping.is_set() else FAILED)
        self.systemd.stopping("stopping")
        log.info("stopping")
        ended = [one for one in (life, self.lanes.failed) if one.done()]
        self.streams.stop()
        life.cancel()
        if self.is_seen:
            self.lanes.pulse.submit(self._say_goodbye)
        await self.lanes.close(paces.STOP_PATIENCE_SECONDS)
        for one in ended:
            one.result()

    def _reload(self) -> None:
        self.reload_wanted = True
        self.refresh_wanted.set()

    # What the streams call. It runs between two reads of a socket, so it only puts things where they wait.

    def on_quote(self, raw: dict[str, Any]) -> None:
        self.heard.put(raw.get("S", ""), raw)
        self.quotes_wait.set()

    def on_trade_update(self, frame: dict[str, Any]) -> None:
        self.lanes.put(self.lanes.books, self._booked, self._book, frame)

    def on_connected(self, feed: Feed) -> None:
        """Whatever happened while a stream was away is only known to REST."""
        self.trader.stream_up = self.health.is_up(Feed.ORDERS)
        self.sweep_wanted.set()

    # The daemon's life.

    async def _live(self) -> None:
        """Start, and then do these things at once until one of them fails."""
        await self._start()
        gc.collect()
        gc.freeze()  # what is loaded by now stays: looking through it again and again would hold up orders by 50 ms
        self.systemd.ready(self.health.sentence())
        log.info("ready: %s", self.health.sentence())
        await asyncio.gather(
            self._consume(),
            self._wake_consumer(),
            self._sweep_for_ever(),
            self._refresh_for_ever(),
            self._stay_alone(),
            self._tell_health(),
            self.streaming,
        )

    async def _start(self) -> None:
        """Be the only daemon, listen, and agree with the exchange before anything is decided."""
        self.systemd.status("starting: agreeing with the exchange")
        await self._patiently(partial(check_schema, self.parts.config))
        await self._patiently(self._be_alone)
        account = await self._patiently(self.parts.broker.account)
        if account.obstacle:
            raise ConfigError([f"Alpaca: {account.obstacle}"])
        database = self.parts.store.database
        await self._patiently(partial(check_account, database, account.number))
        await self._patiently(self.trader.recover)
        await self._patiently(partial(notes.keep_account, database, account.number, utc_now()))
        # What happens between the recovery and the connection is only known to REST: `on_connected` asks for it.
        self.heard.follow(self.trader.symbols())
        self.streaming = asyncio.create_task(self.streams.run(self.trader.symbols()))
        for _ in range(ORDER_THREADS):
            self.lanes.orders.submit(self._warm_up)
        await self._patiently(self._beat)  # so that `dcabot status` sees us as soon as systemd does

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
            except AnotherDaemon:
                raise
            except (DatabaseUnreachable, DatabaseBusy, ExchangeUnreachable) as error:
                if time.monotonic() > patience_ends:
                    raise
                self.systemd.status(f"starting: {error}")
                log.warning("%s; trying again", error)
                if isinstance(error, ExchangeUnreachable):  # the database answers, and is ours by now
                    with contextlib.suppress(DatabaseError):
                        await self.lanes.run(self.lanes.pulse, partial(self._beat, f"{STARTING}: {error}"))
                await asyncio.sleep(paces.RETRY_SECONDS)

    async def _consume(self) -> None:
        """Decide on the newest quote of every symbol that is not busy."""
        rested_at = time.monotonic()
        while True:
            await self.quotes_wait.wait()
            rest = rested_at - time.monotonic()
            if rest > 0:
                await asyncio.sleep(rest)
            self.quotes_wait.clear()
            self._notice_stream()
            waiting = self.heard.take(self.busy)
            for symbol, raw in waiting.items():
                self._decide(symbol, raw)
            self.health.consumer_advanced()
            rested_at = time.monotonic() + paces.REST_SECONDS * len(waiting)

    def _notice_stream(self) -> None:
        """While trade updates are away, what happens is only known to REST: begin to ask at once."""
        was_up, self.trader.stream_up = self.trader.stream_up, self.health.is_up(Feed.ORDERS)
        if was_up and not self.trader.stream_up:
            self.sweep_wanted.set()

    def _decide(self, symbol: str, raw: dict[str, Any]) -> None:
        try:
            quote = wire.quote(raw)
        except wire.WireError as error:
            self.trader.say(symbol, f"a quote that cannot be read: {error}")
            return
        self.health.quoted(quote)
        occasion = self.trader.consider(quote)
        if occasion is not None:
            self.busy.add(symbol)
            self.lanes.put(self.lanes.orders, partial(self._acted, symbol), self.trader.act, symbol, occasion)

    def _look_again(self) -> None:
        """The book has changed: the newest quotes may mean something else now, and the next may be a minute away."""
        self.heard.again()
        self.quotes_wait.set()

    async def _wake_consumer(self) -> None:
        """So that a consumer without quotes can show that it lives."""
        while True:
            self.quotes_wait.set()
            await asyncio.sleep(1)

    def _acted(self, symbol: str, error: Exception | None) -> None:
        if error is not None:
            # Without the database no order goes out; the quote after the pause tries again.
            self.loop.call_later(paces.RETRY_SECONDS, self.busy.discard, symbol)
            return
        self.busy.discard(symbol)
        self._look_again()
        self._ask_if_unsettled()
        self.loop.call_later(paces.EVENT_PATIENCE_SECONDS, self.sweep_wanted.set)

    def _book(self, frame: dict[str, Any]) -> None:
        """In the books lane: one report of the stream."""
        try:
            report = wire.trade_update(frame)
        except wire.WireError as error:
            log.warning("a trade update that cannot be read (%s); asking REST instead", error)
            self._ask_soon()
            return
        if report is None:
            return
        if report.note:
            log.warning("%s: %s; asking REST instead", report.client_order_id, report.note)
            self._ask_soon()
        self.trader.on_report(report)

    def _ask_soon(self) -> None:
        """From a lane: have REST asked."""
        self.loop.call_soon_threadsafe(self.sweep_wanted.set)

    def _booked(self, error: Exception | None) -> None:
        """Any report may have ended an order: REST knows the position now."""
        self._look_again()
        self._ask_if_unsettled()

    def _ask_if_unsettled(self) -> None:
        """A new asset waits for its position, a sale for a fee: REST knows both now."""
        if self.trader.is_unsettled():
            self.sweep_wanted.set()

    async def _sweep_for_ever(self) -> None:
        instruments_at = time.monotonic()
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.sweep_wanted.wait(), self._sweep_pause())
            self.sweep_wanted.clear()
            try:
                await self.lanes.run(self.lanes.sweeps, self._sweep)
                self._look_again()
                await self._check_for_mute_data()
                wait = paces.INSTRUMENTS_SECONDS if self.trader.knows_its_pairs() else paces.INSTRUMENTS_AGAIN_SECONDS
                if time.monotonic() - instruments_at > wait:
                    await self.lanes.run(self.lanes.sweeps, self.trader.learn_instruments)
                    instruments_at = time.monotonic()
                self.health.well()
            except (ExchangeError, DatabaseError) as error:
                self.health.trouble(str(error))
            self.health.sweep_ended()
            await asyncio.sleep(paces.SWEEP_SPACING_SECONDS)

    def _sweep_pause(self) -> float:
        if not self.health.is_up(Feed.ORDERS):
            return paces.SWEEP_STREAM_DOWN_SECONDS
        if self.trader.is_unsettled():
            return paces.SWEEP_UNSETTLED_SECONDS
        pause = paces.SWEEP_ORDER_OPEN_SECONDS if self.trader.has_open_orders() else paces.SWEEP_IDLE_SECONDS
        return min(pause, self.parts.config.data_timeout_seconds)

    def _sweep(self) -> None:
        """In the sweeps lane."""
        swept = self.trader.sweep()
        self.health.database_answered()
        # An order must not wait for a handshake; an idle connection is closed by the other side now and then.
        self.parts.broker.warm_up(min(ORDER_THREADS, len(self.trader.symbols())))
        up_since = self.health.up_since(Feed.ORDERS, utc_now())
        if late := [report.client_order_id for report in swept.late_news if report.at > up_since]:
            # Connected, and silent about an order: Alpaca's streams are known to starve.
            why = f"REST told of {', '.join(late)} before the stream did"
            asyncio.run_coroutine_threadsafe(self.streams.recycle(Feed.ORDERS, why), self.loop)
        if swept.mended or swept.doubtful:
            self._ask_soon()

    async def _check_for_mute_data(self) -> None:
        """Silence may be a quiet market or a dead socket: REST knows which."""
        limit = self.parts.config.data_timeout_seconds
        silent = self.health.silent_symbols(self.trader.symbols(), limit)
        if not silent:
            return
        listing = await self.lanes.run(self.lanes.sweeps, partial(self.parts.broker.latest_quotes, silent))
        mute = mute_symbols(self.health.quoted_at(utc_now()), listing.rows)
        if mute:
            why = f"silent on {', '.join(mute)} for over {limit} s, and REST has newer quotes"
            await self.streams.recycle(Feed.QUOTES, why)

    async def _refresh_for_ever(self) -> None:
        """Settings, and what the caretakers did, at the operator's pace or at once on SIGHUP."""
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.refresh_wanted.wait(), self.parts.config.asset_refresh_seconds)
            self.refresh_wanted.clear()
            reloading, self.reload_wanted = self.reload_wanted, False
            if reloading:
                log.info("reading the assets again")
                self.systemd.reloading()
            try:
                await self.lanes.run(self.lanes.books, self.trader.refresh)
                self.heard.follow(symbols := self.trader.symbols())
                await self.streams.set_symbols(symbols)
                self._look_again()
                self._ask_if_unsettled()
            except DatabaseError as error:
                self.health.trouble(str(error))
            if reloading:
                self.systemd.ready(self.health.sentence())

    async def _stay_alone(self) -> None:
        """Prove, whatever else waits, that the database answers and that we are its only daemon."""
        while True:
            await asyncio.sleep(paces.PULSE_SECONDS)
            try:
                await self.lanes.run(self.lanes.pulse, self._beat)
            except AnotherDaemon:
                raise
            except DatabaseError as error:
                self.health.trouble(str(error))

    def _beat(self, sentence: str = "") -> None:
        """In the pulse lane, which waits for nobody else."""
        self._be_alone()  # or it is another daemon's beat by now
        beat = self.health.beat(utc_now())
        self.parts.store.write_beat(replace(beat, sentence=sentence) if sentence else beat)  # for `dcabot status`
        self.is_seen = True
        self.health.database_answered()

    def _say_goodbye(self) -> None:
        """The last of the pulse lane. Nobody waits for a database that is away: the beat grows old all the same."""
        with contextlib.suppress(DatabaseError):
            self._beat(STOPPED)

    async def _tell_health(self) -> None:
        pause = min(paces.HEALTH_SECONDS, (self.systemd.watchdog_seconds or paces.HEALTH_SECONDS * 3) / 3)
        told, was_sick = "", False
        while True:
            sick = self.health.sickness()
            if not sick:
                self.systemd.watchdog()
            elif not was_sick:
                log.error("not well, the watchdog is not fed: %s", sick)
            was_sick = bool(sick)
            sentence = self.health.sentence()
            if sentence != told:
                self.systemd.status(sentence)
                told = sentence
            await asyncio.sleep(pause)

    def _trouble(self, sentence: str) -> None:
        self.health.trouble(sentence)
        self.sweep_wanted.set()
