"""The daemon's schedule: when it does what. A value without a clock, a thread, a socket or a log.

Each event is a method. It changes the schedule and does nothing else. `due` says what begins now,
and `wakes_at` when to ask again if no event comes before. The asyncio daemon (`daemon.py`) and the
seeded simulation (`tests/simulation/daemon.py`) carry out what the same object says.

A new rule has three places: its pause in `paces.py`, its event or its line in `due` here, and its
pure test. Times are monotonic seconds; `utc` is the same moment by the machine's clock.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, Protocol

from dcabot.commands import paces
from dcabot.commands.heard import Heard
from dcabot.commands.latest import Latest
from dcabot.commands.silence import Mute, Silence
from dcabot.core.model import OrderReport, Quote

# What the daemon begins when `due` says so.


@dataclass(frozen=True, slots=True)
class Decide:
    """Decide on these quotes; then tell `decided`.

    The quotes are as they came, of each symbol the newest first, then one that came later and is
    older: it counts where the first cannot. There may be none: the consumer shows that it lives.
    Of the pairs in `again` the newest quote in memory is decided on once more.
    """

    quotes: dict[str, tuple[Any, ...]]
    again: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Compare with REST; then tell `reconciled` or `reconciliation_failed`."""


@dataclass(frozen=True, slots=True)
class AskQuotes:
    """Ask REST for the latest quotes; then tell `quotes_told` or `quotes_failed`."""

    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LearnInstruments:
    """Read Alpaca's list of pairs; then tell `instruments_learnt` or `reconciliation_failed`."""


@dataclass(frozen=True, slots=True)
class EndRound:
    """Record that a round of reconciliation has ended, and whether it went well to its end."""

    went_well: bool


@dataclass(frozen=True, slots=True)
class Refresh:
    """Read the assets again; then tell `refreshed` or `refresh_failed`."""

    on_request: bool  # of SIGHUP


@dataclass(frozen=True, slots=True)
class Beat:
    """Prove that the database answers and that we are its only daemon; then tell `beat_ended`."""


@dataclass(frozen=True, slots=True)
class TellHealth:
    """Tell systemd how we are."""


@dataclass(frozen=True, slots=True)
class RenewQuotes:
    """Connect the market-data stream anew."""

    why: str


@dataclass(frozen=True, slots=True)
class RenewOrders:
    """Connect the trade-update stream anew."""

    why: str


Action = (
    Decide
    | Reconcile
    | AskQuotes
    | LearnInstruments
    | EndRound
    | Refresh
    | Beat
    | TellHealth
    | RenewQuotes
    | RenewOrders
)


# What events tell.


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's and systemd's settings, in seconds.

    `data_timeout` shortens the silence of a pair and the pause between reconciliations, and never
    makes one longer.
    """

    data_timeout: float
    asset_refresh: float
    tell_health: float


class OpenCycles(Protocol):
    """The trader's answers that the pauses depend on."""

    def symbols(self) -> list[str]: ...
    def is_unsettled(self) -> bool: ...
    def has_open_orders(self) -> bool: ...
    def knows_its_pairs(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """The open cycles in memory at the time of an event."""

    symbols: tuple[str, ...] = ()
    is_unsettled: bool = False  # a fee or a position is known only in part
    has_open_orders: bool = False
    knows_its_pairs: bool = True

    @classmethod
    def of(cls, cycles: OpenCycles) -> "Standing":
        return cls(
            tuple(cycles.symbols()),
            cycles.is_unsettled(),
            cycles.has_open_orders(),
            cycles.knows_its_pairs(),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A reconciliation's findings."""

    late_news: tuple[OrderReport, ...]  # the trade-update stream should have told them before
    is_unfinished: bool  # something was mended, or must be seen a second time


class Schedule:
    """Who is busy, what is at work, and when each thing was last done."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._is_running = False
        self._standing = Standing()
        self._next: list[Action] = []  # what the last events led to
        # the consumer
        self._heard = Heard()
        self._busy_until: dict[str, float] = {}  # by symbol; without end while a request is made
        self._turn_wanted = False
        self._rested_at = self._turn_at = 0.0
        # the streams
        self._silence = Silence()
        self._mute = Mute()
        self._latest = Latest()
        self._quotes_since: float | None = None
        self._without_room: Collection[str] = ()
        self._orders_since: float | None = None
        # reconciliation
        self._reconciling = False
        self._reconcile_wanted = False
        self._ask_at: list[float] = []  # when a request that brought no event is asked about
        self._round_ended_at = self._instruments_at = 0.0
        # the others
        self._refreshing = False
        self._refresh_wanted = self._reload_wanted = False
        self._refreshed_at = 0.0
        self._beating = False
        self._beat_at = self._tell_at = 0.0

    def start(self, standing: Standing, now: float) -> None:
        """The books agree with the exchange: from now on there is something to do."""
        self._is_running = True
        self._standing = standing
        self.follow(standing.symbols)
        self._silence.expect(standing.symbols, now)
        self._rested_at = self._turn_at = self._tell_at = now
        self._instruments_at = self._refreshed_at = now
        self._round_ended_at = now - paces.SWEEP_SPACING_SECONDS
        self._beat_at = now + paces.PULSE_SECONDS

    def stop(self) -> None:
        """Nothing begins any more. What is at work may still tell its end."""
        self._is_running = False

    # What is to be done, and when.

    def due(self, now: float) -> list[Action]:
        """Everything that begins now. Each thing is said once."""
        if not self._is_running:
            return []
        actions, self._next = self._next, []
        self._let_time_pass(now)
        if now >= self._next_turn_at():
            self._turn_wanted = False
            self._turn_at = now + paces.TURN_SECONDS
            self._heard.again(self._latest.looks)  # REST's silence is an answer too
            quotes = self._heard.take(self._busy_until)
            actions.append(Decide(quotes, self._heard.take_again(self._busy_until)))
        silent = self._silent_symbols(now) if self._latest.may_ask_of_silence(now) else ()
        wanted = self._latest.ask(self._standing.symbols, silent, now)
        if wanted:
            actions.append(AskQuotes(wanted))
        if now >= self._reconcile_at():
            self._reconciling, self._reconcile_wanted = True, False
            actions.append(Reconcile())
        if now >= self._refresh_at():
            actions.append(Refresh(on_request=self._reload_wanted))
            self._refreshing, self._refresh_wanted, self._reload_wanted = True, False, False
        if now >= self._beat_at and not self._beating:
            self._beating = True
            actions.append(Beat())
        if now >= self._tell_at:
            self._tell_at = now + self.settings.tell_health
            actions.append(TellHealth())
        return actions

    def wakes_at(self) -> float:
        """The time at which `due` has something to say again, unless an event comes before."""
        if not self._is_running:
            return inf
        if self._next:
            return 0.0
        times = [self._reconcile_at(), self._refresh_at(), self._tell_at, self._next_turn_at()]
        times.append(self._latest.asks_at())
        if not self._beating:
            times.append(self._beat_at)
        return min(*times, *self._busy_until.values())

    @property
    def at_work(self) -> tuple[str, ...]:
        """Symbols that are busy, and the reconciliation while it runs; empty when all rests."""
        return (*self._busy_until, *(("reconciliation",) if self._reconciling else ()))

    def _let_time_pass(self, now: float) -> None:
        self._latest.stream_is(self._quotes_since is not None, now)
        while self._ask_at and self._ask_at[0] <= now:
            del self._ask_at[0]
            self._reconcile_wanted = True
        for symbol, until in list(self._busy_until.items()):
            if until <= now:
                del self._busy_until[symbol]
                self._turn_wanted = True

    # The consumer: quotes come, and are decided on.

    def quote_came(self, symbol: str, raw: Any, at: datetime | None) -> bool:
        """The stream brought a quote of this time. False when it changes nothing of when to wake.

        A flood calls this tens of thousands of times a second.
        """
        self._heard.put(symbol, raw, at)
        is_first, self._turn_wanted = not self._turn_wanted, True
        return is_first

    def quote_read(self, quote: Quote, now: float) -> None:
        """A quote was looked at and can be read."""
        if self._silence.heard(quote.symbol, quote.at, now):
            self._mute.heard(quote.symbol, now)

    def request_began(self, symbol: str) -> None:
        """A decision is being carried out: of an asset one request is in flight at a time."""
        self._busy_until[symbol] = inf

    def decided(self, count: int, now: float, looks: Iterable[str] = ()) -> None:
        """So many quotes were looked at: the sockets have their time before the next turn.

        Sales of the pairs in `looks` wait for REST to bear their price out.
        """
        self._rested_at = now + paces.REST_SECONDS * count
        self._latest.looks_are(looks)

    def request_ended(self, symbol: str, standing: Standing, now: float) -> None:
        """A decision was carried out. When no event comes of it, REST is asked."""
        del self._busy_until[symbol]
        self._cycles_changed(standing)
        self._ask_at.append(now + paces.EVENT_PATIENCE_SECONDS)

    def request_failed(self, symbol: str, now: float) -> None:
        """Without the database no order goes out: the newest quote after a pause tries again."""
        self._busy_until[symbol] = now + paces.RETRY_SECONDS
        self._heard.again([symbol])
        self._reconcile_wanted = True

    def _next_turn_at(self) -> float:
        return self._rested_at if self._turn_wanted else self._turn_at

    def _look_again(self) -> None:
        """The open cycles have changed, and the newest quotes may mean something else now.

        The next quotes may be a minute away.
        """
        self._heard.again()
        self._turn_wanted = True

    def _cycles_changed(self, standing: Standing) -> None:
        """A new asset waits for its position, a sale for a fee: REST knows both now."""
        self._standing = standing
        self._look_again()
        if standing.is_unsettled:
            self._reconcile_wanted = True

    # The streams: hints. What happened while one was away is only known to REST.

    def streams_are(
        self,
        quotes_since: float | None,
        orders_since: float | None,
        without_room: Collection[str] = (),
    ) -> None:
        """Each stream is connected since then, or not. Told at every change, or again and again.

        Of the pairs in `without_room` it cannot bring anything.
        """
        self._without_room = without_room
        if quotes_since != self._quotes_since and quotes_since is not None:
            self._reconcile_wanted = True
        if orders_since != self._orders_since:
            self._reconcile_wanted = True
        self._quotes_since, self._orders_since = quotes_since, orders_since

    def update_booked(self, is_understood: bool, standing: Standing) -> None:
        """A trade update was handled. One that was not understood or not booked is asked of REST.

        Any report may have ended an order, and then REST knows the position.
        """
        self._cycles_changed(standing)
        if not is_understood:
            self._reconcile_wanted = True

    # REST's latest quotes: they stand in for the stream and bear it out.

    def quotes_told(self, quotes: Iterable[Quote], utc: datetime, now: float) -> None:
        """REST told its latest quotes, and they are in memory."""
        quotes = list(quotes)
        if quotes:
            self._heard.again(quote.symbol for quote in quotes)
            self._turn_wanted = True
        if self._quotes_since is None:
            self._latest.told((), now)
            return
        silent = set(self._silent_symbols(now))
        missed = self._silence.missed(quotes, _earlier(utc, now - self._quotes_since))
        silent -= set(self._without_room)
        mute = self._latest.told([symbol for symbol in missed if symbol in silent], now)
        if mute:
            self._mute.found(mute)
            why = f"silent on {', '.join(mute)}, and REST has newer quotes"
            self._next.append(RenewQuotes(why))

    def quotes_failed(self) -> None:
        """REST did not tell them."""
        self._latest.failed()

    def away_seconds(self, now: float) -> float:
        """How long the market-data stream has been away, once REST stands in for it."""
        seconds = self._latest.away_seconds(now)
        return seconds if seconds >= paces.AWAY_SECONDS else 0.0

    @property
    def mute(self) -> tuple[str, ...]:
        """Pairs that the connected stream does not bring, until their quotes flow again."""
        return self._mute.symbols

    # Reconciliation: a round compares, and now and then reads the pairs.

    def reconciled(self, found: Found, standing: Standing, utc: datetime, now: float) -> None:
        """REST was compared with. Decisions need not wait for the rest of the round."""
        self._standing = standing
        self._look_again()
        if found.is_unfinished:
            self._reconcile_wanted = True
        self._suspect_orders(found.late_news, utc, now)
        self._go_on_to_instruments(now)

    def instruments_learnt(self, standing: Standing, now: float) -> None:
        self._standing = standing
        self._instruments_at = now
        self._end_round(True, now)

    def reconciliation_failed(self, now: float) -> None:
        """Any step of a round met trouble: the next round begins with the first."""
        self._end_round(False, now)

    def _reconcile_at(self) -> float:
        if self._reconciling:
            return inf
        soonest = self._round_ended_at + paces.SWEEP_SPACING_SECONDS
        if self._reconcile_wanted:
            return soonest
        return max(soonest, min([soonest + self._reconcile_pause(), *self._ask_at]))

    def _reconcile_pause(self) -> float:
        """How long REST need not be asked if nothing happens."""
        if self._orders_since is None:
            return paces.SWEEP_STREAM_DOWN_SECONDS
        if self._standing.is_unsettled:
            return paces.SWEEP_UNSETTLED_SECONDS
        has_open_orders = self._standing.has_open_orders
        pause = paces.SWEEP_ORDER_OPEN_SECONDS if has_open_orders else paces.SWEEP_IDLE_SECONDS
        return min(pause, self.settings.data_timeout)

    def _suspect_orders(self, late_news: Iterable[OrderReport], utc: datetime, now: float) -> None:
        """Connected, and silent about an order: Alpaca's streams are known to starve."""
        if self._orders_since is None:
            return
        up_since = _earlier(utc, now - self._orders_since)
        late = [report.client_order_id for report in late_news if report.at > up_since]
        if late:
            why = f"REST told of {', '.join(late)} before the stream did"
            self._next.append(RenewOrders(why))

    def _silent_symbols(self, now: float) -> tuple[str, ...]:
        """Pairs without a quote for too long, although the stream was up all the time."""
        limit = min(paces.SILENT_SECONDS, self.settings.data_timeout)
        if self._quotes_since is None or now - self._quotes_since <= limit:
            return ()
        return self._silence.silent(self._standing.symbols, limit, now)

    def _go_on_to_instruments(self, now: float) -> None:
        pause = paces.INSTRUMENTS_SECONDS
        if not self._standing.knows_its_pairs:
            pause = paces.INSTRUMENTS_AGAIN_SECONDS
        if now - self._instruments_at > pause:
            self._next.append(LearnInstruments())
        else:
            self._end_round(True, now)

    def _end_round(self, went_well: bool, now: float) -> None:
        self._reconciling = False
        self._round_ended_at = now
        self._next.append(EndRound(went_well))

    # The assets: read again at the operator's pace, or at once on SIGHUP.

    def follow(self, symbols: Collection[str]) -> None:
        """The stream is about to bring these pairs: what it brings of others is not kept."""
        self._heard.follow(symbols)
        self._silence.follow(symbols)
        self._mute.follow(symbols)

    def reload(self) -> None:
        """SIGHUP came."""
        self._refresh_wanted = self._reload_wanted = True

    def refreshed(self, standing: Standing, now: float) -> None:
        """The assets were read, and the stream is subscribed to their pairs."""
        self._refreshing, self._refreshed_at = False, now
        self._silence.expect(standing.symbols, now)
        self._cycles_changed(standing)

    def refresh_failed(self, now: float) -> None:
        self._refreshing, self._refreshed_at = False, now

    def _refresh_at(self) -> float:
        if self._refreshing:
            return inf
        if self._refresh_wanted:
            return self._refreshed_at
        return self._refreshed_at + self.settings.asset_refresh

    # The pulse.

    def beat_ended(self, now: float) -> None:
        """Well or not: the next one comes."""
        self._beating, self._beat_at = False, now + paces.PULSE_SECONDS


def _earlier(utc: datetime, seconds: float) -> datetime:
    return utc - timedelta(seconds=seconds)
