"""Rows to core values and back: every figure of a row is looked at here, once, and nowhere else believed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from dcabot.adapters import schema
from dcabot.core.ledger import DUST_NOTIONAL, Holding, fold, sellable
from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    EndedBy,
    Order,
    OrderStatus,
    Purpose,
    Refusal,
    Rules,
    Side,
    TakeProfitOrder,
    TimeInForce,
)
from dcabot.core.money import ZERO, ratio
from dcabot.core.profit import result
from dcabot.core.reconcile import Entry, renamed
from dcabot.core.states import OVER

Row = Any  # a peewee model instance or plain record, whose attributes no type checker sees
ORDER_ID_MAX = 255
ORDER_TIMES = ("created_at", "cancel_requested_at", "closed_at", "quote_at")
CYCLE_TIMES = ("created_at", "completed_at", "covered_at", "missing_since")


class RowFault(Exception):
    """A row that nobody can trade by: edited by hand, or from a newer program. The message names row and column."""


@dataclass(frozen=True, slots=True)
class Book:
    """All current cycles, those that are over but have an order which may still fill, and what cannot be read.

    `idle` are assets without a current cycle. `faults` are sentences by symbol: those assets are held.
    """

    entries: tuple[Entry, ...] = ()
    idle: tuple[Asset, ...] = ()
    faults: dict[str, str] = field(default_factory=dict)


def book_of(
    assets: list[Row], cycles: list[Row], orders: dict[int, list[Row]], since: dict[int, datetime], tag: str
) -> Book:
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
                proved(
                    entry_of(asset, cycle, orders[cycle.id], since.get(row.id), tag),
                    _seen(cycle, row, orders[cycle.id]),
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
        except ValueError as error:  # a figure or a time that no column of ours can hold
            faults[str(row.asset_symbol)] = f"a row of {row.asset_symbol} cannot be read: {error}"
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
    try:
        take_profit_order = TakeProfitOrder(row.take_profit_order)
    except ValueError:
        choices = " or ".join(f"'{one.value}'" for one in TakeProfitOrder)
        raise RowFault(
            f"dca_assets: {row.asset_symbol}: take_profit_order {row.take_profit_order!r} must be {choices}"
        ) from None
    return Asset(
        row.id,
        row.asset_symbol,
        bool(row.is_enabled),
        rules,
        row.last_sell_price,
        take_profit_order=take_profit_order,
        trades_beside_foreign_coins=bool(row.trade_beside_foreign_coins),
        disabled_because=row.disabled_because or "",
    )


def order_of(row: Row) -> Order:
    try:
        purpose, side, status = Purpose(row.purpose), Side(row.side), OrderStatus(row.status)
        time_in_force = TimeInForce(row.time_in_force)
        refusal = None if row.refusal is None else Refusal(row.refusal)
    except ValueError as error:
        raise RowFault(f"dca_orders: {row.client_order_id}: {error}") from None
    if row.quantity <= ZERO or row.filled_quantity < ZERO:
        raise RowFault(f"dca_orders: {row.client_order_id}: a quantity is not positive")
    _check_times(f"dca_orders: {row.client_order_id}", row, ORDER_TIMES)
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
        time_in_force=time_in_force,
        refusal=refusal,
        quote_at=row.quote_at,
        foreign_quantity=row.foreign_quantity,
    )


def entry_of(asset: Asset, row: Row, orders: Sequence[Row], since: datetime | None, tag: str = "") -> Entry:
    """A cycle with its orders, oldest first. `since`: when the asset's last cycle was completed. Raises RowFault."""
    try:
        status = CycleStatus(row.status)
    except ValueError:
        raise RowFault(f"dca_cycles: cycle {row.id} of {asset.symbol}: unknown status {row.status!r}") from None
    try:
        ended_by = None if row.ended_by is None else EndedBy(row.ended_by)
    except ValueError:
        raise RowFault(f"dca_cycles: cycle {row.id} of {asset.symbol}: unknown ended_by {row.ended_by!r}") from None
    if row.quantity < ZERO or row.average_purchase_price < ZERO or row.safety_orders < 0:
        raise RowFault(f"dca_cycles: cycle {row.id} of {asset.symbol}: a negative quantity, price or count")
    _check_times(f"dca_cycles: cycle {row.id} of {asset.symbol}", row, CYCLE_TIMES)
    if row.created_at is None:
        raise RowFault(f"dca_cycles: cycle {row.id} of {asset.symbol}: created_at is missing")
    cycle = Cycle(
        id=row.id,
        asset_id=asset.id,
        symbol=asset.symbol,
        status=status,
        opened_at=row.created_at,
        orders=tuple(order_of(order) for order in orders),
        completed_at=row.completed_at,
        cooldown_since=since if cools(row.status, orders) else None,
        ended_by=ended_by,
        covered_at=row.covered_at,
        foreign=row.foreign_quantity,
        missing_since=row.missing_since,
        shown=row.quantity if row.missing_since is not None else None,
        inherited=row.inherited_quantity,
        tag=tag,
    )
    if fault := renamed(cycle, row.symbol):
        raise RowFault(fault)
    try:
        holding = fold(cycle.orders)
    except ArithmeticError:
        raise RowFault(f"dca_orders: cycle {row.id} of {asset.symbol}: a quantity or price is beyond reason") from None
    return Entry(asset, cycle, _stored(row, holding), row.latest_order_id)


def _check_times(name: str, row: Row, columns: Sequence[str]) -> None:
    """Raises RowFault where a column holds something else than a time."""
    for column in columns:
        value = getattr(row, column)
        if value is not None and not isinstance(value, datetime):
            raise RowFault(f"{name}: {column} {value!r} is no time")


def _stored(row: Row, holding: Holding) -> Holding:
    """The columns as they stand, in the shape of the fold they should equal."""
    return replace(
        holding,
        held=row.quantity,
        average_price=row.average_purchase_price,
        safety_count=row.safety_orders,
        last_buy_price=row.last_order_fill_price,
    )


def cools(status: str, orders: Sequence[Row]) -> bool:
    """True in a cooldown, and when its early restart came to nothing or to dust: those seconds still count."""
    traded = sum((order.filled_quantity * order.filled_price for order in orders if order.filled_price), ZERO)
    untraded = bool(orders) and traded < DUST_NOTIONAL
    return status == CycleStatus.COOLDOWN.value or (status == CycleStatus.WATCHING.value and untraded)


def proved(entry: Entry, seen: schema.Seen) -> Entry:
    """The entry with what it was read from, except where something could change that would not show in that."""
    # On SQLite an edit of an order by hand leaves no trace; how long a cooldown lasts is in another cycle's row.
    is_proof = schema.current.for_update and entry.cycle.cooldown_since is None
    return replace(entry, seen=seen) if is_proof else entry


def _seen(cycle: Row, asset: Row, orders: list[Row]) -> schema.Seen:
    """What `schema.Cycle.seen` says of these rows."""
    return (*schema.Cycle.as_stored(cycle), *schema.Asset.as_stored(asset), *schema.Order.version_of(orders))


def order_columns(order: Order) -> dict[str, object]:
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
        "time_in_force": order.time_in_force.value,
        "refusal": None if order.refusal is None else order.refusal.value,
        "quote_at": order.quote_at,
        "foreign_quantity": order.foreign_quantity,
    }


def cycle_columns(cycle: Cycle) -> dict[str, object]:
    """The columns of a cycle; what it came to is among them once it is over."""
    holding: Holding = fold(cycle.orders)
    return {
        **(result_columns(cycle) if cycle.status in OVER else {}),
        "status": cycle.status.value,
        "quantity": sellable(cycle),
        "average_purchase_price": holding.average_price,
        "safety_orders": holding.safety_count,
        "last_order_fill_price": holding.last_buy_price,
        "latest_order_id": cycle.latest_order_id,
        "completed_at": cycle.completed_at,
        "symbol": cycle.symbol,
        "ended_by": None if cycle.ended_by is None else cycle.ended_by.value,
        "covered_at": cycle.covered_at,
        "foreign_quantity": cycle.foreign,
        "missing_since": cycle.missing_since,
        "inherited_quantity": cycle.inherited,
    }


def result_columns(cycle: Cycle) -> dict[str, object]:
    """Dollars that a cycle's orders came to, rounded where their digits go on beyond the column."""
    found = result(cycle.orders)
    return {
        "spent": schema.Cycle.spent.fit(found.spent),
        "received": schema.Cycle.received.fit(found.received),
        "buy_fees": schema.Cycle.buy_fees.fit(found.buy_fees),
        "sale_fees": schema.Cycle.sale_fees.fit(found.sale_fees),
        "filled_orders": found.filled_orders,
        "first_order_at": found.first_order_at,
    }
