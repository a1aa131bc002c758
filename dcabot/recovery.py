"""Orders that dcabot sent and that have no row: found in Alpaca's list of all orders, and booked.

Asked at every start, when coins appear that no cycle bought, when an open order of ours has no row, and before an
absence is explained. A database without any order is not trusted to know what belongs to it: it books nothing by
itself, and suspends the pairs whose coins dcabot's orders bought. Orders of another dcabot suspend their pair too.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from dcabot.adapters.rows import RowFault
from dcabot.adapters.store import Store
from dcabot.core.ledger import DUST_NOTIONAL, fold
from dcabot.core.model import OrderReport
from dcabot.core.money import ZERO, text
from dcabot.core.order_ids import is_own
from dcabot.core.recovery import (
    READ_BACK,
    LostCycle,
    is_active,
    lost_cycles,
    net_coins,
    others,
    own,
    price_of,
    tags_of_others,
)

if TYPE_CHECKING:
    from dcabot.adapters.broker import Broker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a look at Alpaca's list came to: sentences for what was booked, and suspended pairs with the reason."""

    booked: list[str] = field(default_factory=list)
    suspended: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WithoutRow:
    """Orders of ours that have no row, and the orders of other dcabots: Alpaca's ids and their tags."""

    lost: tuple[OrderReport, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recovery:
    """Alpaca's list of this bot's orders beside the rows."""

    store: Store
    broker: "Broker"

    def run(self) -> Recovered:
        """Look once. Raises ExchangeUnreachable when the list could not be read; nothing is concluded from that."""
        symbols = self.store.symbols()
        newest = self.store.newest_order_at()
        if newest is None:
            return self._without_rows(symbols)
        reports = self._orders_since(newest)
        booked = self.book(own(reports, self.store.tag()))
        theirs = {one: made for one, made in others(reports, self.store.tag()).items() if one in symbols}
        return Recovered(booked, self._suspended_for(theirs) if theirs else {})

    def without_row(self) -> WithoutRow:
        """The orders of dcabots that this database does not know. Writes nothing; raises as `run`."""
        newest, tag = self.store.newest_order_at(), self.store.tag()
        if newest is None:
            return WithoutRow()
        reports = self._orders_since(newest)
        mine = own(reports, tag)
        known = self.store.known_ids(report.client_order_id for report in mine)
        lost = tuple(report for report in mine if report.client_order_id not in known)
        return WithoutRow(lost, tags_of_others(reports, tag))

    def _orders_since(self, newest: datetime) -> tuple[OrderReport, ...]:
        # A row from a clock that ran ahead would have nothing be newer.
        return self.broker.orders_since(min(newest, self.store.clock()) - READ_BACK).rows

    def _suspended_for(self, others_orders: dict[str, list[OrderReport]]) -> dict[str, str]:
        """The pairs that another dcabot trades, with the sentence that says so."""
        foreign = {one.symbol: one.quantity for one in self.broker.positions().rows}
        for entry in self.store.read_book().entries:
            foreign[entry.cycle.symbol] = foreign.get(entry.cycle.symbol, ZERO) - fold(entry.cycle.orders).held
        return {
            symbol: _of_another(symbol)
            for symbol, reports in others_orders.items()
            if is_active(reports, price_of(reports), foreign.get(symbol, ZERO))
        }

    def book(self, reports: Iterable[OrderReport]) -> list[str]:
        """Book those of these orders that have no row: a sentence for each."""
        mine = list(reports)
        known = self.store.known_ids(report.client_order_id for report in mine)
        booked = []
        for lost in lost_cycles(mine, known):
            try:
                booked += self._book(lost)
            except RowFault as fault:
                log.error("not booked: %s", fault)
        return booked

    def _book(self, lost: LostCycle) -> list[str]:
        cycle_id = self.store.cycle_named(lost)
        if cycle_id is None:
            log.warning("%s: Alpaca has orders of dcabot, and there is no such asset: not booked", lost.symbol)
            return []
        booked = []
        for report in lost.reports:
            decision = self.store.book_lost(cycle_id, report)
            if decision is not None:
                booked.append(decision.reason)
                log.warning("%s cycle %s: %s", lost.symbol, cycle_id, decision.reason)
        return booked

    def _without_rows(self, symbols: set[str]) -> Recovered:
        """A database that knows no order: where dcabot's orders bought coins that are there, a person decides."""
        held = {one.symbol: one.quantity for one in self.broker.positions().rows if one.symbol in symbols}
        if not held:
            return Recovered()
        suspended = {}
        for symbol, reports in _by_symbol(self.broker.recent_orders().rows).items():
            price = price_of(reports)
            explained = min(net_coins(reports), held.get(symbol, ZERO))
            if explained * price >= DUST_NOTIONAL:
                suspended[symbol] = _unknown_coins(symbol, held[symbol])
        return Recovered([], suspended)

    def candidates(self) -> list[LostCycle]:
        """For an empty database: of each pair with coins, the newest cycle whose orders bought them."""
        symbols = self.store.symbols()
        held = {one.symbol: one.quantity for one in self.broker.positions().rows if one.symbol in symbols}
        newest: dict[str, LostCycle] = {}
        for lost in lost_cycles(self.broker.recent_orders().rows, ()):
            if lost.symbol in held:
                known = newest.get(lost.symbol)
                if known is None or lost.opened_at > known.opened_at:
                    newest[lost.symbol] = lost
        return [one for one in newest.values() if _explains(one, held[one.symbol])]

    def is_lost(self, report: OrderReport) -> bool:
        """True for an order of ours that has no row."""
        name = report.client_order_id
        return is_own(name, self.store.tag()) and not self.store.known_ids([name])


def _by_symbol(reports: Iterable[OrderReport]) -> dict[str, list[OrderReport]]:
    """Orders that a dcabot made, by symbol."""
    found: dict[str, list[OrderReport]] = {}
    for lost in lost_cycles(reports, ()):
        found.setdefault(lost.symbol, []).extend(lost.reports)
    return found


def _explains(lost: LostCycle, position: Decimal) -> bool:
    """True when a cycle's orders left coins, and no more than are there."""
    price = price_of(lost.reports)
    return lost.coins * price >= DUST_NOTIONAL and (lost.coins - position) * price < DUST_NOTIONAL


def _of_another(symbol: str) -> str:
    return (
        f"another dcabot, with a database of its own, trades {symbol} on this account: only one of them may; "
        f"`dcabot asset disable {symbol}` on one side, or an account for each"
    )


def _unknown_coins(symbol: str, quantity: Decimal) -> str:
    return (
        f"Alpaca shows {text(quantity)} {symbol} that orders of dcabot bought, and this database knows no order at "
        "all: restore its backup, or `dcabot db recover` books them"
    )
