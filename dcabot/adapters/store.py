"""Rows <-> core values, and the only transactions.

The order of writing is the bot's promise: `locked` takes the cycle's row, `save` writes the intent with it, the
commit comes, and only then may anybody send a request. Everything stored in `dca_cycles` besides the status is
computed from the orders here, so an operator's SELECT and the bot never disagree for longer than a commit.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from peewee import fn

from dcabot.adapters import schema
from dcabot.adapters.database import Database, DatabaseBusy, IntegrityError
from dcabot.core.ledger import DUST_NOTIONAL, Holding, fold
from dcabot.core.model import Asset, Cycle, CycleStatus, Decision, Order, OrderStatus, Purpose, Rules, Side
from dcabot.core.money import ZERO, ratio
from dcabot.core.reconcile import SURFACES_WITHIN, Entry, renamed
from dcabot.core.states import OPEN, OVER

Row = Any  # a peewee model instance, whose attributes no type checker sees
ORDER_ID_MAX = 255
CURRENT = [status.value for status in CycleStatus if status not in OVER]
STOPPED = "stopped"  # the last sentence of a daemon that ends in order


class RowFault(Exception):
    """A row that nobody can trade by: edited by hand, or from a newer program. The message names row and column."""


class Collision(DatabaseBusy):
    """Somebody else wrote the order that we were about to write: look at the fresh rows and decide again."""


@dataclass(frozen=True, slots=True)
class Book:
    """All current cycles, those that are over but have an order which may still fill, and what cannot be read.

    `idle` are assets without a current cycle. `faults` are sentences by symbol: those assets are held.
    """

    entries: tuple[Entry, ...] = ()
    idle: tuple[Asset, ...] = ()
    faults: dict[str, str] = field(default_factory=dict)


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

    def read_book(self) -> Book:
        """Everything the bot works on, in one consistent read."""
        with self.database.transaction():
            assets = list(schema.Asset.select().order_by(schema.Asset.id))
            cycles = list(_working_cycles(self.clock()))
            orders = self._orders_of([cycle.id for cycle in cycles])
            since = self._cooldown_starts([c.asset_id for c in cycles if _cools(c.status, orders[c.id])])
        return _book(assets, cycles, orders, since)

    def read_entry(self, cycle_id: int) -> Entry | None:
        """One cycle as it stands, without a lock; None when it is gone."""
        with self.database.transaction():
            return self._read(cycle_id)

    def read_finished(self) -> list[Entry]:
        """Every cycle that is over, oldest first. Raises RowFault."""
        with self.database.transaction():
            over = schema.Cycle.status.in_([status.value for status in OVER])
            query = schema.Cycle.select(schema.Cycle, schema.Asset).join(schema.Asset).where(over)
            cycles = list(query.order_by(schema.Cycle.id))
            orders = self._orders_of([cycle.id for cycle in cycles])
        return [_entry(asset_of(row.asset), row, [_order(one) for one in orders[row.id]], None) for row in cycles]

    @contextmanager
    def locked(self, cycle_id: int, known: Entry | None = None) -> Iterator[Entry | None]:
        """A transaction around one cycle's row: the entry as it stands now, None when the cycle is gone.

        `known` is an entry read before, which is still true if nobody has written it since.
        """
        try:
            with self.database.transaction():
                yield self._read(cycle_id, lock=True, known=known)
        except IntegrityError as error:
            raise Collision(f"cycle {cycle_id}: {error}") from error

    def save(self, entry: Entry, decision: Decision) -> None:
        """Write a decision on a locked entry: orders, the cycle's columns, the asset's price, the next cycle.

        Raises RowFault when a figure does not fit its column.
        """
        try:
            self._write(entry, decision, self.clock())
        except ValueError as error:
            raise RowFault(f"cycle {entry.cycle.id} of {entry.asset.symbol}: {error}") from error

    def _write(self, entry: Entry, decision: Decision, now: datetime) -> None:
        before = {order.client_order_id: order for order in entry.cycle.orders}
        for order in decision.cycle.orders:
            old = before.get(order.client_order_id)
            if old is None:
                known = {name: value for name, value in _order_columns(order).items() if value is not None}
                schema.Order.add(**known, cycle_id=entry.cycle.id, updated_at=now)
            elif old != order:
                changed = _order_columns(order)
                schema.Order.change("client_order_id", order.client_order_id, **changed, updated_at=now)
        schema.Cycle.change("id", entry.cycle.id, **_cycle_columns(decision.cycle), updated_at=now)
        if decision.last_sell_price is not None:
            asset = schema.Asset.update(last_sell_price=decision.last_sell_price, updated_at=now)
            asset.where(schema.Asset.id == entry.asset.id).execute()
        if decision.successor is not None:
            self._insert_cycle(entry.asset.id, decision.successor, now)

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

    def write_beat(self, beat: Beat) -> None:
        """The daemon is alive. Also proves that the database can be written."""
        columns = {**asdict(beat), "sentence": beat.sentence[:255]}
        with self.database.transaction():
            if not schema.Daemon.update(**columns).where(schema.Daemon.id == 1).execute():
                schema.Daemon.insert(id=1, **columns).execute()

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
        left = replace(entry.cycle, orders=tuple(o for o in entry.cycle.orders if o.client_order_id != client_order_id))
        schema.Cycle.change("id", left.id, **_cycle_columns(left), updated_at=self.clock())
        return self._read(row.id, lock=True)

    def _read(self, cycle_id: int, lock: bool = False, known: Entry | None = None) -> Entry | None:
        """The entry of one cycle; None without the cycle or its asset. Raises RowFault.

        `known` is taken for read while the database shows what it was made from: reading takes longest.
        """
        seen = schema.Cycle.seen(cycle_id, lock)
        if seen is None:
            return None
        if known is not None and known.seen == seen and _shows_everything(known):
            return known
        cycle, asset = schema.Cycle.read_seen(seen)
        orders = [_order(order) for order in schema.Order.read("cycle_id", cycle_id)]
        cooling = [asset.id] if _cools(cycle.status, orders) else []
        entry = _entry(asset_of(asset), cycle, orders, self._cooldown_starts(cooling).get(asset.id))
        return replace(entry, seen=seen)

    def _orders_of(self, cycle_ids: list[int]) -> dict[int, list[Row]]:
        found: dict[int, list[Row]] = defaultdict(list)
        if cycle_ids:
            query = schema.Order.select().where(schema.Order.cycle.in_(cycle_ids)).order_by(schema.Order.id)
            for row in query:
                found[row.cycle_id].append(row)
        return found

    def _cooldown_starts(self, asset_ids: list[int]) -> dict[int, datetime]:
        """When each asset's last complete cycle was completed."""
        if not asset_ids:
            return {}
        query = schema.Cycle.select(schema.Cycle.asset, fn.MAX(schema.Cycle.completed_at).alias("since")).where(
            schema.Cycle.asset.in_(asset_ids), schema.Cycle.status == CycleStatus.COMPLETE.value
        )
        return {row.asset_id: row.since for row in query.group_by(schema.Cycle.asset) if row.since is not None}

    def _insert_cycle(self, asset_id: int, status: CycleStatus, now: datetime) -> None:
        schema.Cycle.insert(asset=asset_id, status=status.value, created_at=now, updated_at=now).execute()


def _cools(status: str, orders: Sequence[Any]) -> bool:
    """True in a cooldown, and when its early restart came to nothing or to dust: those seconds still count."""
    traded = sum((order.filled_quantity * order.filled_price for order in orders if order.filled_price), ZERO)
    untraded = bool(orders) and traded < DUST_NOTIONAL
    return status == CycleStatus.COOLDOWN.value or (status == CycleStatus.WATCHING.value and untraded)


def _working_cycles(now: datetime) -> Any:
    """Cycles that are not over, whatever their status says, and those over of which an order may still bring coins."""
    is_open = schema.Order.status.in_([status.value for status in OPEN])
    is_void = schema.Order.status == OrderStatus.VOID.value
    may_surface = is_void & (schema.Order.closed_at > now - SURFACES_WITHIN)
    opens = schema.Order.select(schema.Order.cycle).where(is_open | may_surface)
    over = schema.Cycle.status.in_([status.value for status in OVER])
    return schema.Cycle.select().where(~over | schema.Cycle.id.in_(opens)).order_by(schema.Cycle.id)


def _current_cycles(asset_id: int) -> Any:
    return schema.Cycle.select().where(schema.Cycle.asset == asset_id, schema.Cycle.status.in_(CURRENT))


def _book(assets: list[Row], cycles: list[Row], orders: dict[int, list[Row]], since: dict[int, datetime]) -> Book:
    """Rows to a book: what cannot be read is named by symbol and holds that asset only."""
    entries: list[Entry] = []
    idle: list[Asset] = []
    faults: dict[str, str] = {}
    cycles_of = defaultdict(list)
    for cycle in cycles:
        cycles_of[cycle.asset_id].append(cycle)
    for row in assets:
        try:
            asset = asset_of(row)
            mine = [
                replace(
                    _entry(asset, cycle, [_order(order) for order in orders[cycle.id]], since.get(row.id)),
                    seen=_seen(cycle, row, orders[cycle.id]),
                )
                for cycle in cycles_of[row.id]
            ]
            current = [entry for entry in mine if entry.cycle.status not in OVER]
            if len(current) > 1:
                ids = ", ".join(str(entry.cycle.id) for entry in current)
                raise RowFault(f"dca_cycles: {asset.symbol} has {len(current)} current cycles (ids {ids}); one may be")
        except RowFault as fault:
            faults[str(row.asset_symbol)] = str(fault)
            continue
        entries += mine
        if not current:
            idle.append(asset)
    known = {row.id for row in assets}
    for cycle in cycles:
        if cycle.asset_id not in known:
            name = f"asset {cycle.asset_id}"
            faults[name] = (
                f"dca_cycles: cycle {cycle.id} belongs to {name}, which has no row; nobody sells what it holds"
            )
    return Book(tuple(entries), tuple(idle), faults)


def _shows_everything(known: Entry) -> bool:
    """False where something could have changed that `seen` would not show."""
    # On SQLite an edit of an order by hand leaves no trace; how long a cooldown lasts is in another cycle's row.
    return bool(schema.current.for_update) and known.cycle.cooldown_since is None


def _seen(cycle: Row, asset: Row, orders: list[Row]) -> schema.Seen:
    """What `schema.Cycle.seen` says of these rows."""
    return (*schema.Cycle.as_stored(cycle), *schema.Asset.as_stored(asset), *schema.Order.version_of(orders))


def asset_of(row: Row) -> Asset:
    rules = Rules(
        base_notional=row.base_order_amount,
        safety_notional=row.safety_order_amount,
        safety_count_max=row.max_safety_orders,
        safety_drop_ratio=ratio(row.safety_order_deviation),
        take_profit_ratio=ratio(row.take_profit_percent),
        cooldown_seconds=row.cooldown_period,
        restart_drop_ratio=ratio(row.buy_order_price_deviation_percent),
    )
    return Asset(row.id, row.asset_symbol, bool(row.is_enabled), rules, row.last_sell_price)


def _order(row: Row) -> Order:
    try:
        purpose, side, status = Purpose(row.purpose), Side(row.side), OrderStatus(row.status)
    except ValueError as error:
        raise RowFault(f"dca_orders: {row.client_order_id}: {error}") from None
    if row.quantity <= ZERO or row.filled_quantity < ZERO:
        raise RowFault(f"dca_orders: {row.client_order_id}: a quantity is not positive")
    return Order(
        client_order_id=row.client_order_id,
        purpose=purpose,
        side=side,
        quantity=row.quantity,
        limit_price=row.limit_price,
        created_at=row.created_at,
        status=status,
        order_id=row.order_id,
        filled_quantity=row.filled_quantity,
        filled_price=row.filled_price,
        fee_quantity=row.fee_quantity,
        cancel_requested_at=row.cancel_requested_at,
        closed_at=row.closed_at,
        note=row.note,
    )


def _entry(asset: Asset, row: Row, orders: list[Order], since: datetime | None) -> Entry:
    try:
        status = CycleStatus(row.status)
    except ValueError:
        raise RowFault(f"dca_cycles: cycle {row.id} of {asset.symbol}: unknown status {row.status!r}") from None
    if row.quantity < ZERO or row.average_purchase_price < ZERO or row.safety_orders < 0:
        raise RowFault(f"dca_cycles: cycle {row.id} of {asset.symbol}: a negative quantity, price or count")
    cycle = Cycle(
        id=row.id,
        asset_id=asset.id,
        symbol=asset.symbol,
        status=status,
        opened_at=row.created_at,
        orders=tuple(orders),
        completed_at=row.completed_at,
        cooldown_since=since if _cools(row.status, orders) else None,
    )
    if fault := renamed(cycle, row.symbol):
        raise RowFault(fault)
    return Entry(asset, cycle, _stored(row, fold(cycle.orders)), row.latest_order_id)


def _stored(row: Row, holding: Holding) -> Holding:
    """The columns as they stand, in the shape of the fold they should equal."""
    return replace(
        holding,
        held=row.quantity,
        average_price=row.average_purchase_price,
        safety_count=row.safety_orders,
        last_buy_price=row.last_order_fill_price,
    )


def _order_columns(order: Order) -> dict[str, object]:
    price = order.filled_price
    # MariaDB would keep question marks for the letters, and then nobody finds that order again.
    if order.order_id is not None and not (order.order_id.isascii() and len(order.order_id) <= ORDER_ID_MAX):
        raise ValueError(
            f"order_id cannot hold {order.order_id[:60]!r}: it is ASCII, {ORDER_ID_MAX} characters at most"
        )
    return {
        "client_order_id": order.client_order_id,
        "purpose": order.purpose.value,
        "side": order.side.value,
        "quantity": order.quantity,
        "limit_price": order.limit_price,
        "created_at": order.created_at,
        "status": order.status.value,
        "order_id": order.order_id,
        "filled_quantity": order.filled_quantity,
        "filled_price": None if price is None else schema.Order.filled_price.fit(price),
        "fee_quantity": order.fee_quantity,
        "cancel_requested_at": order.cancel_requested_at,
        "closed_at": order.closed_at,
        "note": order.note[:255],
    }


def _cycle_columns(cycle: Cycle) -> dict[str, object]:
    holding: Holding = fold(cycle.orders)
    return {
        "status": cycle.status.value,
        "quantity": holding.held,
        "average_purchase_price": holding.average_price,
        "safety_orders": holding.safety_count,
        "last_order_fill_price": holding.last_buy_price,
        "latest_order_id": cycle.latest_order_id,
        "completed_at": cycle.completed_at,
        "symbol": cycle.symbol,
    }
