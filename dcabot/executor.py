"""Carry out one decision: first the committed row, then the request, then what came of it.

A decision counts only on the row as it stands: the commit fails if the row is not what was decided on, and then the
decision is asked for again on the locked row. So it does not matter how old the book was, nor who else is at work.
Everything here is synchronous; the daemon runs it in worker threads, the caretakers as it is.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from dcabot.adapters.database import DatabaseBusy
from dcabot.adapters.store import Store
from dcabot.core import lifecycle
from dcabot.core.ledger import fold
from dcabot.core.model import Cycle, Decision, Order, OrderReport, Side
from dcabot.core.reconcile import Entry, Repair
from dcabot.core.snapshot import Accepted, ExchangeError, Refused
from dcabot.core.states import OVER

if TYPE_CHECKING:  # its SDK costs a tenth of a second, and the cooldown manager never speaks to the exchange
    from dcabot.adapters.broker import Broker

log = logging.getLogger(__name__)

BUSY_ATTEMPTS = 4  # a deadlock or lock wait rolls back whole; what the row then says is decided anew
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Executor:
    """The one way from a decision to the database and the exchange."""

    store: Store
    broker: "Broker"
    clock: Callable[[], datetime]

    def carry_out(self, cycle_id: int, decide: Repair, known: Entry | None = None) -> Decision | None:
        """Decide on the row as it stands, commit, and then send what the decision asks for.

        `known` is the entry as it was last read: if it still stands, that saves reading it again.
        None when the row no longer wants it. Raises DatabaseUnreachable; then nothing was sent.
        """
        decision = commit(self.store, cycle_id, decide, known)
        if decision is not None:
            self._send(decision)
        return decision

    def apply(self, report: OrderReport) -> Decision | None:
        """Book a report on the cycle its order belongs to. None when it is no news or no order of ours."""
        cycle_id = self.store.cycle_of(report.client_order_id)
        if cycle_id is None:
            return None
        decision = _when_not_busy(lambda: self._book(cycle_id, report))
        if decision is not None:
            self._send(decision)
        return decision

    def _book(self, cycle_id: int, report: OrderReport) -> Decision | None:
        with self.store.locked(cycle_id) as entry:
            if entry is not None and _comes_too_late(entry, report):
                entry = self.store.move_to_current(entry, report.client_order_id, partial(_takes, report)) or entry
            decision = lifecycle.on_report(entry.cycle, report, self.clock()) if entry else None
            if entry is not None and decision is not None:
                self.store.save(entry, decision)
        return decision

    def _send(self, decision: Decision) -> None:
        """After the commit: say what was decided, then ask the exchange for it."""
        cycle = decision.cycle
        level = logging.WARNING if decision.odd else logging.DEBUG if decision.quiet else logging.INFO
        log.log(level, "%s cycle %s: %s", cycle.symbol, cycle.id, decision.reason)
        for order in decision.cancel:
            self._cancel(cycle, order)
        for order in decision.submit:
            self._submit(cycle, order)

    def _submit(self, cycle: Cycle, order: Order) -> None:
        outcome = self.broker.submit(cycle.symbol, order)
        if isinstance(outcome, Accepted):
            self.apply(outcome.report)
        elif isinstance(outcome, Refused):
            name, answer, now = order.client_order_id, outcome, self.clock()
            self.carry_out(cycle.id, lambda _, fresh: lifecycle.on_refused(fresh, name, answer, now))
        else:
            log.warning("%s: no answer to %s (%s); asking", cycle.symbol, order.client_order_id, outcome.why)
            self._ask(order)

    def _ask(self, order: Order) -> None:
        """Settle an unknown outcome by asking for the id. A denial proves nothing: the request may be on its way."""
        try:
            report = self.broker.report(order.client_order_id)
        except ExchangeError as error:
            log.warning("%s: %s; the next sweep asks again", order.client_order_id, error)
            return
        if report is not None:
            self.apply(report)

    def _cancel(self, cycle: Cycle, order: Order) -> None:
        """Ask for a cancel. Nothing is recorded: the report will say what became of the order."""
        if order.order_id is None:
            return
        outcome = self.broker.cancel(order.order_id)
        log.info("%s cycle %s: cancel %s: %s", cycle.symbol, cycle.id, order.client_order_id, outcome)


def commit(store: Store, cycle_id: int, decide: Repair, known: Entry | None = None) -> Decision | None:
    """Decide on the row as it stands and commit; sends nothing. None when the row no longer wants it."""
    if known is not None:
        decision = store.save_unread(known, decide)
        if decision is not None:
            return decision

    def work() -> Decision | None:
        with store.locked(cycle_id) as entry:
            decision = decide(entry.asset, entry.cycle) if entry else None
            if entry is not None and decision is not None:
                store.save(entry, decision)
        return decision

    return _when_not_busy(work)


def _comes_too_late(entry: Entry, report: OrderReport) -> bool:
    """A fill for a cycle that is over: its coins come to the asset's current cycle, or were taken from it."""
    order = entry.cycle.order(report.client_order_id)
    if order is None or entry.cycle.status not in OVER:
        return False
    return lifecycle.merge(order, report).filled_quantity > order.filled_quantity


def _takes(report: OrderReport, current: Cycle) -> bool:
    """Whether the current cycle answers for a late fill: any buy, and the sale of coins that it held by then."""
    if report.side is Side.BUY:
        return True
    buys = [order for order in current.orders if order.side is Side.BUY and order.filled_quantity]
    # Our clock or the exchange's, whichever is earlier: a sale from before the first buy took others' coins.
    bought_at = min((min(order.created_at, order.closed_at or order.created_at) for order in buys), default=report.at)
    return bought_at <= report.at and fold(current.orders).held >= report.filled_quantity


def _when_not_busy(work: Callable[[], T]) -> T:
    for _ in range(BUSY_ATTEMPTS - 1):
        try:
            return work()
        except DatabaseBusy as error:
            log.info("the database was busy, once more: %s", error)
    return work()
