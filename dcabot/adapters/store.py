"""The books as the bot uses them: every transaction there is.

The order of writing is the bot's promise: `locked` takes the cycle's row, `save` writes the intent with it, the
commit comes, and only then may anybody send a request. Everything stored in `dca_cycles` besides the status is
computed from the orders here, so an operator's SELECT and the bot never disagree for longer than a commit.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from dcabot.adapters import notes, schema, troubles
from dcabot.adapters.database import Database, DatabaseBusy, IntegrityError
from dcabot.adapters.rows import (
    Book,
    Row,
    RowFault,
    asset_of,
    book_of,
    cools,
    cycle_columns,
    entry_of,
    order_columns,
    proved,
)
from dcabot.core.model import EPOCH, Cycle, CycleStatus, Decision, OrderReport, OrderStatus
from dcabot.core.money import ZERO
from dcabot.core.reconcile import SURFACES_WITHIN, Entry, Repair
from dcabot.core.recovery import LostCycle, on_lost_order, on_overtaken
from dcabot.core.states import OPEN, OVER
from dcabot.core.telling import Told
from dcabot.core.troubles import Trouble

log = logging.getLogger(__name__)

CURRENT = [status.value for status in CycleStatus if status not in OVER]
STOPPED = "stopped"  # the last sentence of a daemon that ends in order


class Collision(DatabaseBusy):
    """Somebody else wrote the order that we were about to write: look at the fresh rows and decide again."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What the daemon says of itself every few seconds; the two times are when each stream last brought anything."""

    started_at: datetime
    beat_at: datetime
    quote_at: datetime | None
    trade_update_at: datetime | None
    sentence: str


class Store:
    """The database as the bot uses it. `clock` gives aware UTC; every written time comes from it."""

    def __init__(self, database: Database, clock: Callable[[], datetime]):
        self.database = database
        self.clock = clock
        self._known_tag: str | None = None

    def read_book(self) -> Book:
        """Everything the bot works on, in one consistent read."""
        with self.database.transaction():
            assets = list(schema.Asset.select().order_by(schema.Asset.id))
            cycles = _working_cycles(self.clock())
            orders = orders_of([cycle.id for cycle in cycles])
            since = self._cooldown_starts([c.asset_id for c in cycles if cools(c.status, orders[c.id])])
            return book_of(assets, cycles, orders, since, self._tag())

    def read_entry(self, cycle_id: int) -> Entry | None:
        """One cycle as it stands, without a lock; None when it is gone."""
        with self.database.transaction():
            return self._read(cycle_id)

    @contextmanager
    def locked(self, cycle_id: int) -> Iterator[Entry | None]:
        """A transaction around one cycle's row: the entry as it stands now, None when the cycle is gone."""
        try:
            with self.database.transaction():
                yield self._read(cycle_id, lock=True)
        except IntegrityError as error:
            raise Collision(f"cycle {cycle_id}: {error}") from error

    def save(self, entry: Entry, decision: Decision) -> None:
        """Write a decision on a locked entry: orders, the cycle's columns, the asset's price, the next cycle.

        Raises RowFault when a figure does not fit its column.
        """
        now = self.clock()
        with _named(entry):
            schema.Cycle.change("id", entry.cycle.id, **cycle_columns(decision.cycle), updated_at=now)
            self._write(entry, decision, now)

    def save_unread(self, known: Entry, decide: Repair) -> Decision | None:
        """Decide on an entry as it was last read and write that, in one message to the server: `locked` needs two.

        None, and nothing is written, when it is not known to be so still, or nothing was decided. Raises RowFault.
        """
        if known.seen is None:
            return None
        try:
            with self.database.transaction():
                # In here, for finding the server may have taken long.
                decision = decide(known.asset, known.cycle)
                if decision is not None:
                    now = self.clock()
                    with _named(known):
                        schema.Cycle.change_seen(known.seen, **cycle_columns(decision.cycle), updated_at=now)
                        self._write(known, decision, now)
        except (IntegrityError, DatabaseBusy):
            return None
        return decision

    def _write(self, entry: Entry, decision: Decision, now: datetime) -> None:
        before = {order.client_order_id: order for order in entry.cycle.orders}
        for order in decision.cycle.orders:
            old = before.get(order.client_order_id)
            if old is None:
                known = {name: value for name, value in order_columns(order).items() if value is not None}
                schema.Order.add(**known, cycle_id=entry.cycle.id, updated_at=now)
            elif old != order:
                changed = order_columns(order)
                schema.Order.change("client_order_id", order.client_order_id, **changed, updated_at=now)
        if decision.last_sell_price is not None:
            asset = schema.Asset.update(last_sell_price=decision.last_sell_price, updated_at=now)
            asset.where(schema.Asset.id == entry.asset.id).execute()
        if decision.disables:
            # Without the price of the last sale there is no early restart.
            off = {"is_enabled": False, "disabled_because": decision.disables, "last_sell_price": None}
            asset = schema.Asset.update(**off, updated_at=now)
            asset.where(schema.Asset.id == entry.asset.id).execute()
        if decision.successor is not None:
            self._insert_cycle(entry.asset.id, decision.successor, now, decision.inherited)

    def open_cycle(self, asset_id: int, status: CycleStatus) -> bool:
        """Give an enabled asset its current cycle. False when it has one already, or is gone or disabled."""
        with self.database.transaction():
            assets = list(self.database.for_update(schema.Asset.select().where(schema.Asset.id == asset_id)))
            if not assets or not assets[0].is_enabled:
                return False
            if _current_cycles(asset_id).first() is not None:
                return False
            self._insert_cycle(asset_id, status, self.clock())
            return True

    def write_beat(
        self,
        beat: Beat,
        lasting: Iterable[Trouble] | None = None,
        told: Mapping[str, Told] | None = None,
    ) -> None:
        """The daemon is alive. Also proves that the database can be written.

        `lasting` are its troubles and notes, and `told` when each was told; None where what stands
        there is still true.
        """
        columns = {**asdict(beat), "sentence": beat.sentence[:255]}
        with self.database.transaction():
            if not schema.Daemon.update(**columns).where(schema.Daemon.id == 1).execute():
                schema.Daemon.insert(id=1, **columns).execute()
            if lasting is not None:
                troubles.replace(lasting, told or {})

    def read_troubles(self) -> list[Trouble]:
        """The daemon's troubles and notes, as it wrote them last."""
        with self.database.transaction():
            return troubles.read()

    def read_told(self) -> dict[str, Told]:
        """When each trouble that stands there was told, by name."""
        with self.database.transaction():
            return troubles.read_told()

    def read_beat(self) -> Beat | None:
        """What the daemon said last; None when none ever ran on this database."""
        with self.database.transaction():
            row = schema.Daemon.select().first()
        if row is None:
            return None
        return Beat(row.started_at, row.beat_at, row.quote_at, row.trade_update_at, row.sentence)

    def cycle_of(self, client_order_id: str) -> int | None:
        """The cycle an order's row belongs to; None when there is no such row."""
        with self.database.transaction():
            found = schema.Order.read("client_order_id", client_order_id)
        return found[0].cycle_id if found else None

    def known_ids(self, client_order_ids: Iterable[str]) -> set[str]:
        """Which of these ids have a row."""
        wanted = list(client_order_ids)
        query = schema.Order.select(schema.Order.client_order_id).where(schema.Order.client_order_id.in_(wanted))
        with self.database.transaction():
            return {row.client_order_id for row in query} if wanted else set()

    def tag(self) -> str:
        """Of this database, in the ids of its orders; empty where `db init` has made none yet."""
        if self._known_tag is not None:
            return self._known_tag
        with self.database.transaction():
            return self._tag()

    def forget_tag(self) -> None:
        """The database may have another one by now."""
        self._known_tag = None

    def symbols(self) -> set[str]:
        """The pairs of all assets."""
        with self.database.transaction():
            return {str(row.asset_symbol) for row in schema.Asset.select(schema.Asset.asset_symbol)}

    def newest_order_at(self) -> datetime | None:
        """When the order of the newest row was made; None when there is no order at all."""
        with self.database.transaction():
            row = schema.Order.select().order_by(schema.Order.id.desc()).first()
        if row is None:
            return None
        # Edited into something else, it tells nothing: then every order is asked for.
        return row.created_at if isinstance(row.created_at, datetime) else EPOCH

    def cycle_named(self, lost: LostCycle) -> int | None:
        """The cycle that lost orders name, made anew where it is gone; None without its asset.

        A number that another cycle has taken by now is replaced by a new one. Of an asset one cycle is current: one
        that has bought nothing makes room, and one that a later cycle had followed is over.
        """
        with self.database.transaction():
            query = schema.Asset.select().where(schema.Asset.asset_symbol == lost.symbol)
            asset = self.database.for_update(query).first()
            if asset is None:
                return None
            opened = (schema.Cycle.asset == asset.id) & (schema.Cycle.created_at == lost.opened_at)
            named = schema.Cycle.select().where(opened).first()
            if named is not None:
                return int(named.id)
            return self._make_room(asset, lost)

    def _make_room(self, asset: Row, lost: LostCycle) -> int:
        now = self.clock()
        current = _current_cycles(asset.id).first()
        status, completed_at = CycleStatus.WATCHING, None
        if current is not None and not schema.Order.read("cycle_id", current.id):
            schema.Cycle.change("id", current.id, created_at=lost.opened_at, status=status.value, updated_at=now)
            return int(current.id)
        if current is not None and current.created_at <= lost.opened_at:
            entry = self._read(current.id, lock=True)
            if entry is not None:
                decision = on_overtaken(entry.cycle, lost.opened_at)
                log.warning("%s cycle %s: %s", lost.symbol, current.id, decision.reason)
                self.save(entry, decision)
        elif current is not None:
            status, completed_at = CycleStatus.ERROR, current.created_at
        row = {
            "asset": asset.id,
            "status": status.value,
            "symbol": lost.symbol,
            "completed_at": completed_at,
            "created_at": lost.opened_at,
            "updated_at": now,
        }
        if schema.Cycle.select().where(schema.Cycle.id == lost.cycle_id).first() is None:
            row["id"] = lost.cycle_id
        return int(schema.Cycle.insert(**row).execute())

    def book_lost(self, cycle_id: int, report: OrderReport) -> Decision | None:
        """Give an order without a row its row, in its place among the others; None when it has one by now."""
        with self.locked(cycle_id) as entry:
            decision = on_lost_order(entry.cycle, report) if entry is not None else None
            if entry is None or decision is None:
                return None
            names = [order.client_order_id for order in decision.cycle.orders]
            later = names[names.index(report.client_order_id) + 1 :]
            if later:
                # The order of the rows is the order of the fills: those behind it are written again.
                schema.Order.delete().where(schema.Order.client_order_id.in_(later)).execute()
                kept = tuple(one for one in entry.cycle.orders if one.client_order_id not in later)
                entry = replace(entry, cycle=replace(entry.cycle, orders=kept))
            self.save(entry, decision)
        return decision

    def known_order_ids(self, order_ids: Iterable[str]) -> set[str]:
        """Which of Alpaca's ids belong to an order that has a row."""
        wanted = list(order_ids)
        query = schema.Order.select(schema.Order.order_id).where(schema.Order.order_id.in_(wanted))
        with self.database.transaction():
            return {row.order_id for row in query} if wanted else set()

    def move_to_current(
        self, entry: Entry, client_order_id: str, takes: Callable[[Cycle], bool] = lambda _: True
    ) -> Entry | None:
        """Inside `locked`: hand an order of a cycle that is over to the asset's current cycle, and lock that one.

        None when there is none, or when it does not take the order.
        """
        row = _current_cycles(entry.asset.id).first()
        if row is None or (current := self._read(row.id, lock=True)) is None or not takes(current.cycle):
            return None
        schema.Order.update(cycle=row.id).where(schema.Order.client_order_id == client_order_id).execute()
        schema.Cycle.change("id", row.id, updated_at=self.clock())
        left = replace(entry.cycle, orders=tuple(o for o in entry.cycle.orders if o.client_order_id != client_order_id))
        schema.Cycle.change("id", left.id, **cycle_columns(left), updated_at=self.clock())
        return self._read(row.id, lock=True)

    def _read(self, cycle_id: int, lock: bool = False) -> Entry | None:
        """The entry of one cycle; None without the cycle or its asset. Raises RowFault."""
        seen = schema.Cycle.seen(cycle_id, lock)
        if seen is None:
            return None
        cycle, asset = schema.Cycle.read_seen(seen)
        orders = schema.Order.read("cycle_id", cycle_id)
        cooling = [asset.id] if cools(cycle.status, orders) else []
        since = self._cooldown_starts(cooling).get(asset.id)
        entry = entry_of(asset_of(asset), cycle, orders, since, self._tag())
        return proved(entry, seen)

    def _cooldown_starts(self, asset_ids: list[int]) -> dict[int, datetime]:
        """When each asset's last complete cycle was completed."""
        if not asset_ids:
            return {}
        # A question for each asset: MariaDB then looks at an index's end, not at years of cycles.
        text = f"SELECT MAX(completed_at) FROM dca_cycles WHERE asset_id = {schema.current.param}"
        text += f" AND status = '{CycleStatus.COMPLETE.value}'"
        rows = schema.current.first_rows(*[(text, (asset_id,)) for asset_id in asset_ids])
        found = {}
        for asset_id, row in zip(asset_ids, rows, strict=True):
            since = schema.Cycle.completed_at.python_value(row[0])
            if isinstance(since, datetime):
                found[asset_id] = since
        return found

    def _insert_cycle(self, asset_id: int, status: CycleStatus, now: datetime, inherited: Decimal = ZERO) -> None:
        schema.Cycle.insert(
            asset=asset_id,
            status=status.value,
            inherited_quantity=inherited,
            created_at=now,
            updated_at=now,
        ).execute()

    def _tag(self) -> str:
        """Inside a transaction: the tag of this database; empty where `db init` has made none yet."""
        if self._known_tag is None:
            self._known_tag = notes.read(notes.TAG)
        return self._known_tag


def orders_of(cycle_ids: Sequence[int]) -> dict[int, list[Row]]:
    """The rows of these cycles' orders, oldest first."""
    found: dict[int, list[Row]] = defaultdict(list)
    if cycle_ids:
        query = schema.Order.select().where(schema.Order.cycle.in_(cycle_ids))
        for row in query.order_by(schema.Order.id):
            found[row.cycle_id].append(row)
    return found


def _working_cycles(now: datetime) -> list[Row]:
    """Cycles that are not over, whatever their status says, and those over of which an order may still bring coins."""
    is_open = schema.Order.status.in_([status.value for status in OPEN])
    is_void = schema.Order.status == OrderStatus.VOID.value
    may_surface = is_void & (schema.Order.closed_at > now - SURFACES_WITHIN)
    orders = schema.Order.select(schema.Order.cycle).where(is_open | may_surface)
    opens = {order.cycle_id for order in orders}
    over = schema.Cycle.status.in_([status.value for status in OVER])
    found = list(schema.Cycle.select().where(~over))
    # Asked for in a question of its own: with OR in one, MariaDB reads all the cycles of years.
    if others := sorted(opens - {cycle.id for cycle in found}):
        found += list(schema.Cycle.select().where(schema.Cycle.id.in_(others)))
    return sorted(found, key=lambda cycle: int(cycle.id))


def _current_cycles(asset_id: int) -> Any:
    return schema.Cycle.select().where(schema.Cycle.asset == asset_id, schema.Cycle.status.in_(CURRENT))


@contextmanager
def _named(entry: Entry) -> Iterator[None]:
    """A figure that does not fit its column is told with the cycle it belongs to."""
    try:
        yield
    except ValueError as error:
        raise RowFault(f"cycle {entry.cycle.id} of {entry.asset.symbol}: {error}") from error
