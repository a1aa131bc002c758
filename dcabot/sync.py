"""Bring the book and the exchange into agreement: fetch a snapshot, ask `core.reconcile`, hand repairs to the executor.

Start-up, the daemon's sweep after a reconnect and every half minute, and the three caretakers are this one
function with different laws. Streams are hints; this is the truth.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from dcabot.adapters.rows import Book, RowFault
from dcabot.adapters.store import Store
from dcabot.core import absence, reconcile
from dcabot.core.absence import Departure
from dcabot.core.model import Cycle, CycleStatus, Decision, OrderReport
from dcabot.core.money import step_down
from dcabot.core.order_ids import is_own
from dcabot.core.reconcile import LAWS, Discrepancy, Entry, Limits, Snapshot
from dcabot.core.snapshot import ExchangeError, ExchangeMisunderstood
from dcabot.executor import Executor
from dcabot.recovery import Recovery

if TYPE_CHECKING:  # as in the executor: the cooldown manager never speaks to the exchange
    from dcabot.adapters.broker import Broker

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

SECOND_LOOK_AFTER = timedelta(seconds=5)
SECOND_LOOK_WITHIN = timedelta(seconds=45)  # with nothing seen in between, a later one is another first look
LATE_NEWS_AFTER = timedelta(seconds=4)  # the daemon asks five seconds after each order: that must be late enough
CAUSE_ASKED_EVERY = timedelta(seconds=30)  # of coins that are missing
QUANTITY_STEP = Decimal("0.000000000000001")  # DECIMAL(30,15); Alpaca may know finer ones
ROUNDS_MAX = 20  # each round mends the first broken law of every cycle; two or three are usual


@dataclass(slots=True)
class Suspicions:
    """What was seen once and is believed only when it is seen again, seconds later."""

    seen: dict[str, datetime] = field(default_factory=dict)

    def confirmed(self, found: Iterable[Discrepancy], now: datetime) -> list[Discrepancy]:
        """Those to mend now; the others are remembered, and forgotten when they are not seen again."""
        doubtful = [one for one in found if one.needs_second_look]
        recent = {key: since for key, since in self.seen.items() if abs(now - since) <= SECOND_LOOK_WITHIN}
        self.seen = {one.key: recent.get(one.key, now) for one in doubtful}
        young = {key for key, since in self.seen.items() if now - since < SECOND_LOOK_AFTER}
        return [one for one in found if not (one.needs_second_look and one.key in young)]


def _countable(quantity: Decimal) -> Decimal:
    """A position as the database can keep it: what is cut off cannot be sold either."""
    return step_down(quantity, QUANTITY_STEP)


def _unless_faulty(work: Callable[..., Decision | None], *arguments: object) -> Decision | None:
    """A row edited into nonsense since the book was read stops its own asset, not the others."""
    try:
        return work(*arguments)
    except RowFault as fault:
        log.error("left alone: %s", fault)
        return None


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep saw and did. `mended` are sentences, `unowned` coins by symbol that no cycle owns.

    `late_news` is what the trade-update stream should have told long before, if it was up then. `doubted` are symbols
    with something that must be seen twice.
    """

    book: Book
    snapshot: Snapshot
    unowned: dict[str, Decimal]
    mended: list[str]
    doubtful: int
    late_news: list[OrderReport]
    doubted: frozenset[str] = frozenset()


@dataclass(slots=True)
class Sync:
    """Reconciliation with one set of laws."""

    store: Store
    broker: "Broker"
    executor: Executor
    clock: Callable[[], datetime]
    limits: Limits = field(default_factory=Limits)
    laws: tuple[str, ...] = tuple(LAWS)
    suspicions: Suspicions = field(default_factory=Suspicions)
    asked: dict[int, datetime] = field(default_factory=dict)  # of each cycle, when its absence was asked about
    lost: tuple[OrderReport, ...] = ()  # orders of ours that have no row, as the last look at absences found them
    on_mended: Callable[[Cycle], None] = lambda _: None  # hears of each cycle that a law changed, at once

    def sweep(self) -> Swept:
        """Look once and mend what can be mended now.

        Raises ExchangeUnreachable or DatabaseUnreachable when a question could not be answered; nothing is
        concluded from that.
        """
        book, snapshot, entries, news = self.look()
        booked = [(report, decision) for report in news if (decision := _unless_faulty(self.executor.apply, report))]
        mended = [decision.reason for _, decision in booked]
        if self.lost:
            mended += Recovery(self.store, self.broker).book(self.lost)
            self.lost = ()
        found = reconcile.discrepancies(entries, snapshot, self.limits, self.laws)
        due = self.suspicions.confirmed(found, snapshot.at)
        for one in due:
            sentence = self._mend(one)
            if sentence and one.law != "covered":  # what is only remembered is not worth a word
                mended.append(sentence)
        doubted = frozenset(one.entry.cycle.symbol for one in found if one not in due)
        late = [report for report, _ in booked if snapshot.at - report.at > LATE_NEWS_AFTER]
        unowned = reconcile.unowned(entries, snapshot)
        return Swept(book, snapshot, unowned, mended, len(found) - len(due), late, doubted)

    def look(self) -> tuple[Book, Snapshot, list[Entry], list[OrderReport]]:
        """The book, the exchange's view of it, the entries as they will stand, and the news that makes them so."""
        book = self.store.read_book()
        snapshot = self.snapshot(book)
        news = [report for entry in book.entries for report in reconcile.news(entry, snapshot)]
        in_book = {order.client_order_id for entry in book.entries for order in entry.cycle.orders}
        strays = [report for report in snapshot.open_orders if report.client_order_id not in in_book]
        strays = [report for report in strays if is_own(report.client_order_id, self.store.tag())]
        return book, snapshot, [reconcile.booked(entry, snapshot) for entry in book.entries], news + strays

    def settle(self) -> Swept:
        """Sweep until nothing is left to mend: how the bot starts. What it tells of mending is of all its sweeps."""
        swept = self.sweep()
        mended = swept.mended
        for _ in range(ROUNDS_MAX):
            if not swept.mended:
                break
            swept = self.sweep()
            mended = mended + swept.mended
        return replace(swept, mended=mended)

    def open_missing_cycles(self, book: Book) -> int:
        """Give every enabled asset without a current cycle its `watching` cycle; how many were opened."""
        opened = [asset for asset in book.idle if asset.enabled]
        return sum(self.store.open_cycle(asset.id, CycleStatus.WATCHING) for asset in opened)

    def snapshot(self, book: Book) -> Snapshot:
        """The exchange's view. Orders first, positions last: a position then never lacks a fill that a report tells."""
        open_orders = self.broker.open_orders()
        names = reconcile.to_ask(book.entries, open_orders.rows, self.clock())
        answers, obscure = self._ask(names)
        listing = self.broker.positions()
        symbols = {entry.cycle.symbol for entry in book.entries}
        # Positions spell it BTCUSD. A pair that Alpaca's list lacks, for a moment or for ever, is still the book's.
        spelt = {symbol: symbol.replace("/", "") for symbol in symbols}
        ours = {joined: symbol for symbol, joined in spelt.items()}
        positions = {ours.get(one.symbol, one.symbol): _countable(one.quantity) for one in listing.rows}
        missing = symbols - positions.keys()
        unread = {one for one in missing if listing.may_hide(one) or listing.may_hide(spelt[one])}
        unread |= {entry.cycle.symbol for entry in book.entries if any(map(entry.cycle.order, obscure))}
        for row in open_orders.unreadable + listing.unreadable:
            log.warning("Alpaca sent a row that cannot be read: %s", row.why)
        seen = Snapshot(self.clock(), open_orders.rows, answers, positions, frozenset(unread))
        return replace(seen, departures=self._departures(book, seen))

    def _departures(self, book: Book, seen: Snapshot) -> dict[str, Departure]:
        """What left the account of coins that are missing. A question that failed, or one too soon, has no answer."""
        due = [entry.cycle for entry in book.entries if self._is_lost(entry.cycle, seen)]
        if not due:
            return {}
        self.asked.update({cycle.id: seen.at for cycle in due})
        # A sale whose row was lost is none by hand: once it is booked, nothing may be missing.
        unknown = self._answered(Recovery(self.store, self.broker).without_row)
        if unknown is None:
            return {}
        self.lost = unknown.lost
        unbooked = {order.symbol for order in unknown.lost}
        due = [cycle for cycle in due if cycle.symbol not in unbooked]
        if not due:
            return {}
        fills = self._answered(lambda: self.broker.fills(min(absence.asked_since(cycle) for cycle in due)))
        transfers = self._answered(self.broker.transfers)
        if fills is None and transfers is None:
            return {}
        ours = self.store.known_order_ids({fill.order_id for fill in fills or ()})
        what_left = partial(
            absence.departure,
            fills=fills or (),
            transfers=transfers or (),
            ours=ours,
            others=unknown.others,
        )
        return {cycle.symbol: what_left(cycle) for cycle in due}

    def _is_lost(self, cycle: Cycle, seen: Snapshot) -> bool:
        """True when coins of a cycle are missing and nobody asked for the cause just now."""
        held = seen.position(cycle.symbol)
        if cycle.missing_since is None or held is None or not absence.is_missing(cycle, held):
            self.asked.pop(cycle.id, None)
            return False
        asked_at = self.asked.get(cycle.id)
        return asked_at is None or abs(seen.at - asked_at) >= CAUSE_ASKED_EVERY

    def _answered(self, question: Callable[[], Answer]) -> Answer | None:
        """The answer; None when there is none. Not every account may ask for its transfers."""
        try:
            return question()
        except ExchangeError as error:
            log.warning("asked what left the account: %s", error)
            return None

    def _ask(self, names: Iterable[str]) -> tuple[dict[str, OrderReport | None], list[str]]:
        """What the exchange says of each order, and those of which it says what nobody understands.

        Of those nothing is concluded, nor from their asset's position; the other assets are settled all the same.
        """
        answers: dict[str, OrderReport | None] = {}
        obscure = []
        for name in names:
            try:
                answers[name] = self.broker.report(name)
            except ExchangeMisunderstood as error:
                log.warning("%s: %s", name, error)
                obscure.append(name)
        return answers, obscure

    def _mend(self, one: Discrepancy) -> str:
        decision = _unless_faulty(self.executor.carry_out, one.entry.cycle.id, one.repair)
        if decision is None:
            return ""
        self.on_mended(decision.cycle)
        return decision.reason

    def sweep_orphans(self, snapshot: Snapshot, policy: str) -> tuple[int, int]:
        """Cancel untracked open orders as `policy` says and report the rest: (cancelled, left)."""
        ids = [report.client_order_id for report in snapshot.open_orders]
        cancel, leave = reconcile.orphans(snapshot, self.store.known_ids(ids), policy, self.store.tag())
        mine = [report for report in cancel if is_own(report.client_order_id, self.store.tag())]
        Recovery(self.store, self.broker).book(mine)
        # What an asset's row keeps from being booked stays open: a fill of it would be booked by nobody.
        booked, symbols = self.store.known_ids(one.client_order_id for one in mine), self.store.symbols()
        unbooked = [one for one in mine if one.client_order_id not in booked and one.symbol in symbols]
        cancel = [report for report in cancel if report not in unbooked]
        leave = [*leave, *unbooked]
        for report in cancel:
            outcome = self.broker.cancel(report.order_id)
            log.warning("%s: untracked order %s: cancel %s", report.symbol, report.client_order_id, outcome)
        for report in leave:
            log.warning("%s: untracked order %s left alone", report.symbol, report.client_order_id)
        return len(cancel), len(leave)
