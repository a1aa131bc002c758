"""The laws: our book beside the exchange's snapshot, and what mends each difference.

The reports of the snapshot are booked first (`news`, `booked`); the laws then look at what is left.
Start-up, the daemon's sweep and the three caretakers run these laws; they differ only in which.
A repair is asked for again on the locked row before it is carried out, so it is a function of the fresh asset and
cycle. "Absent" is only what the exchange denied by name; a question that failed never gets here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core import absence, lifecycle
from dcabot.core.absence import Departure
from dcabot.core.ledger import Holding, current_status, fold, sellable
from dcabot.core.model import ID_PREFIX, Asset, Cycle, Decision, Order, OrderReport, OrderStatus
from dcabot.core.money import ZERO
from dcabot.core.order_ids import is_of_another
from dcabot.core.states import OVER, is_open

SURFACES_WITHIN = timedelta(hours=1)  # a void order is asked for this long in case its request arrives after all

Repair = Callable[[Asset, Cycle], Decision | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One cycle of the book with its asset, and the columns stored for it, which may be out of date.

    `seen` is what the database gave when it was read: something else there means that somebody wrote in between.
    """

    asset: Asset
    cycle: Cycle
    stored: Holding | None = None
    stored_order_id: str | None = None
    seen: tuple[object, ...] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take. `grace` is several times the HTTP timeout: a POST may arrive late."""

    grace: timedelta = timedelta(seconds=120)
    stale: timedelta = timedelta(seconds=300)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The exchange's view, taken after the book was read.

    `answers` holds what it said of each id that we asked for by name: a report, or None where it denied the id.
    `positions` are coins by symbol; a symbol that is missing is not held, unless it is in `unread`.
    `departures` are what left the account of symbols whose coins are missing, where that was asked and answered.
    """

    at: datetime
    open_orders: tuple[OrderReport, ...]
    answers: Mapping[str, OrderReport | None]
    positions: Mapping[str, Decimal]
    unread: frozenset[str] = frozenset()
    departures: Mapping[str, Departure] = field(default_factory=dict)

    def position(self, symbol: str) -> Decimal | None:
        """Coins held of a symbol; None when the exchange's row could not be read."""
        return None if symbol in self.unread else self.positions.get(symbol, ZERO)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One broken law and the decision that mends it. `key` tells two sights of the same trouble from two troubles."""

    law: str
    entry: Entry
    repair: Repair
    key: str = ""

    @property
    def needs_second_look(self) -> bool:
        """One odd read is no fact: Alpaca has shown a position vanishing for one read (alpaca.md 5.9)."""
        return self.law in SECOND_LOOK


def renamed(cycle: Cycle, made_for: str | None) -> str:
    """Why a cycle must not be traded under its asset's new name, as a sentence; empty when it may.

    `made_for` is the pair of its orders; None in rows from before it was written down.
    Harm prevented: a name edited by hand hands one pair's coins to another.
    """
    if not made_for or made_for == cycle.symbol:
        return ""
    if any(is_open(order) for order in cycle.orders):
        what = "waits for an order of"
    elif cycle.status not in OVER and fold(cycle.orders).held:
        what = "holds coins of"
    else:
        return ""
    return (
        f"dca_assets: asset {cycle.asset_id} is called {cycle.symbol} now, and its cycle {cycle.id} {what} {made_for}: "
        f"put the name back; `dcabot asset add {cycle.symbol}` trades another pair"
    )


def news(entry: Entry, snapshot: Snapshot) -> list[OrderReport]:
    """What the exchange says of this cycle's orders that the book does not have yet.

    Harm prevented: a fill whose message was lost, booked by nobody.
    """
    known = {report.client_order_id: report for report in snapshot.open_orders}
    known.update({name: report for name, report in snapshot.answers.items() if report is not None})
    mine = [known[order.client_order_id] for order in entry.cycle.orders if order.client_order_id in known]
    return [report for report in mine if lifecycle.on_report(entry.cycle, report, snapshot.at)]


def booked(entry: Entry, snapshot: Snapshot) -> Entry:
    """The entry as it will stand once its news is booked: the snapshot's positions belong to this one."""
    cycle = entry.cycle
    for report in news(entry, snapshot):
        decision = lifecycle.on_report(cycle, report, snapshot.at)
        cycle = decision.cycle if decision else cycle
    return entry if cycle is entry.cycle else Entry(entry.asset, cycle)


def to_ask(book: Iterable[Entry], open_orders: Iterable[OrderReport], now: datetime) -> list[str]:
    """Ids to ask for by name: open in the book and not listed by the exchange, or void and able to surface."""
    listed = {report.client_order_id for report in open_orders}
    orders = [order for entry in book for order in entry.cycle.orders if order.client_order_id not in listed]
    return [order.client_order_id for order in orders if is_open(order) or _may_surface(order, now)]


def _may_surface(order: Order, now: datetime) -> bool:
    return order.status is OrderStatus.VOID and now - (order.closed_at or order.created_at) < SURFACES_WITHIN


def absent(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: a cycle that waits for ever for an order that never reached the exchange."""
    for order in entry.cycle.orders:
        name = order.client_order_id
        denied = name in snapshot.answers and snapshot.answers[name] is None
        if denied and lifecycle.on_absent(entry.cycle, name, snapshot.at, limits.grace):
            return _absence(entry, order, snapshot.at, limits.grace)
    return None


def _absence(entry: Entry, order: Order, at: datetime, grace: timedelta) -> Discrepancy:
    """An order that was accepted once and is denied now may be one odd answer: a second buy beside it costs money."""
    name, law = order.client_order_id, "vanished" if order.order_id else "absent"
    return Discrepancy(law, entry, lambda asset, cycle: lifecycle.on_absent(cycle, name, at, grace), key=name)


def stale(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: a buy left behind by the price blocks its asset."""
    if not lifecycle.on_stale(entry.cycle, snapshot.at, limits.stale):
        return None
    return Discrepancy("stale", entry, lambda asset, cycle: lifecycle.on_stale(cycle, snapshot.at, limits.stale))


def cooldown(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: an asset that never trades again."""
    if not lifecycle.on_cooldown_over(entry.asset, entry.cycle, snapshot.at):
        return None
    return Discrepancy("cooldown", entry, lambda asset, cycle: lifecycle.on_cooldown_over(asset, cycle, snapshot.at))


def fees(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: selling the gross quantity, which Alpaca refuses."""
    return _of_position("fees", lifecycle.on_position, entry, snapshot)


def departed(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: a cycle that waits for coins which its owner sold or moved."""
    left = snapshot.departures.get(entry.cycle.symbol)
    if left is None:
        return None

    def decide(cycle: Cycle, held: Decimal, at: datetime) -> Decision | None:
        return absence.on_departure(cycle, held, left, at)

    return _of_position("departed", decide, entry, snapshot)


def missing(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: coins that are not there, sold and bought again."""
    if entry.cycle.missing_since is not None:  # it was seen twice; only the figure changes
        return _of_position("shown", absence.on_missing, entry, snapshot)
    return _of_position("missing", absence.on_missing, entry, snapshot)


def short(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: a sale that Alpaca refuses for a few coins too many."""
    if not absence.is_comparable(entry.cycle, snapshot.at):
        return None
    return _of_position("short", lifecycle.on_short_position, entry, snapshot)


def unknown_fee(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: a cycle that never sells because foreign coins hide the fee of its buy."""
    held = snapshot.position(entry.cycle.symbol)
    if held is None or not absence.is_comparable(entry.cycle, snapshot.at):
        return None
    if absence.is_missing(entry.cycle, held):
        return None  # coins that come back may tell it
    return _of_position("unknown_fee", lifecycle.on_unknown_fee, entry, snapshot)


def covered(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: an absence that never ends; and one of which nobody knows since when to ask."""
    return _of_position("covered", absence.on_covered, entry, snapshot)


def _of_position(
    law: str, decide: Callable[[Cycle, Decimal, datetime], Decision | None], entry: Entry, snapshot: Snapshot
) -> Discrepancy | None:
    """A law about the position; none where it could not be read."""
    held = snapshot.position(entry.cycle.symbol)
    if held is None or not decide(entry.cycle, held, snapshot.at):
        return None
    repair = _if_unchanged(entry, lambda cycle: decide(cycle, held, snapshot.at))
    return Discrepancy(law, entry, repair, key=f"{law} {entry.cycle.id} {entry.cycle.orders!r}")


def columns(entry: Entry, snapshot: Snapshot, limits: Limits) -> Discrepancy | None:
    """Harm prevented: operators who read a status or an average that is not true."""
    cycle = entry.cycle
    status_right = cycle.status in OVER or current_status(cycle) is cycle.status
    expected = replace(fold(cycle.orders), held=sellable(cycle))
    stored_right = entry.stored == expected and entry.stored_order_id == cycle.latest_order_id
    if status_right and (entry.stored is None or stored_right):
        return None
    reason = "computed columns differed from the orders: recomputed"
    return Discrepancy("columns", entry, lambda asset, cycle: lifecycle.settle_status(cycle, reason, snapshot.at))


Law = Callable[[Entry, Snapshot, Limits], Discrepancy | None]
POSITION_LAWS = (fees, departed, missing, short, unknown_fee, columns, covered)
LAWS: Mapping[str, Law] = {law.__name__: law for law in (absent, stale, cooldown, *POSITION_LAWS)}
POSITIONS = tuple(law.__name__ for law in POSITION_LAWS)  # and the columns that follow from them
# `absent` says "vanished" of an order that was accepted once.
SECOND_LOOK = frozenset({"vanished", "missing", "short", "unknown_fee"})


def discrepancies(
    book: Iterable[Entry], snapshot: Snapshot, limits: Limits, laws: Iterable[str] = tuple(LAWS)
) -> list[Discrepancy]:
    """The first broken law of each cycle, in the order of `LAWS`: mend it, look again."""
    chosen = [LAWS[name] for name in laws]
    found = []
    for entry in book:
        broken = (law(entry, snapshot, limits) for law in chosen)
        first = next((discrepancy for discrepancy in broken if discrepancy), None)
        if first:
            found.append(first)
    return found


def unowned(book: Iterable[Entry], snapshot: Snapshot) -> dict[str, Decimal]:
    """Coins at Alpaca that no cycle bought, for each symbol of the book; absent where the position was not read."""
    found = {}
    for entry in book:
        held = snapshot.position(entry.cycle.symbol)
        if entry.cycle.status not in OVER and held is not None:
            found[entry.cycle.symbol] = lifecycle.foreign_coins(entry.cycle, held)
    return found


def orphans(
    snapshot: Snapshot, known_ids: Iterable[str], policy: str, tag: str = ""
) -> tuple[list[OrderReport], list[OrderReport]]:
    """Open orders at the exchange that are in no row: those to cancel by `policy` (own, all, none), those to report.

    An order of another dcabot is none of our own, and only `all` cancels it.

    `known_ids` must have been read after the snapshot: rows are committed before their requests, so an order
    that the exchange listed and the database does not have is truly not ours.
    """
    known = set(known_ids)
    untracked = [report for report in snapshot.open_orders if report.client_order_id not in known]
    cancel = [report for report in untracked if policy == "all" or _is_orphan(report, policy, tag)]
    return cancel, [report for report in untracked if report not in cancel]


def _is_orphan(report: OrderReport, policy: str, tag: str) -> bool:
    """True for an order that has our prefix, however the rest of its id reads, and no other dcabot's tag."""
    name = report.client_order_id
    return policy == "own" and name.startswith(ID_PREFIX) and not is_of_another(name, tag)


def _if_unchanged(entry: Entry, decide: Callable[[Cycle], Decision | None]) -> Repair:
    """A position speaks of the cycle as it stood before the snapshot; a cycle that moved since is left for the next."""
    return lambda asset, cycle: decide(cycle) if cycle.orders == entry.cycle.orders else None
