"""What finished cycles brought, read from one row each, and those rows recomputed from the orders.

There may be years of them: everything here goes through `dca_cycles` part by part, each part in a
transaction of its own, and keeps no more than one part in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from dcabot.adapters import notes, schema
from dcabot.adapters.database import Database, IntegrityError
from dcabot.adapters.rows import Row, RowFault, asset_of, cycle_columns, entry_of
from dcabot.adapters.store import orders_of
from dcabot.core.model import Cycle, CycleStatus
from dcabot.core.report import CycleReport, report, with_unsold
from dcabot.core.states import OVER

PART = 4000  # ids at once, of rows alone
PART_WITH_ORDERS = 500
CHECKED = "results checked"  # the note of how far the recomputing came
FINISHED = ", ".join(sorted(f"'{status.value}'" for status in OVER))
READ = (
    "id",
    "asset_id",
    "status",
    "completed_at",
    "first_order_at",
    "filled_orders",
    "safety_orders",
    "spent",
    "received",
    "buy_fees",
    "sale_fees",
    "quantity",
    "average_purchase_price",
)
COMPUTED = (
    "quantity",
    "average_purchase_price",
    "safety_orders",
    "last_order_fill_price",
    "latest_order_id",
    "spent",
    "received",
    "buy_fees",
    "sale_fees",
    "filled_orders",
    "first_order_at",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which finished cycles: of one asset's id, completed from an instant on and before another."""

    asset_id: int | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A part of the finished cycles: those that differed, and those that nobody can read."""

    differed: tuple[int, ...]
    faults: tuple[str, ...]
    is_last: bool


def reports(database: Database, wanted: Wanted) -> Iterator[CycleReport]:
    """The lines of a report, oldest cycle first. Raises RowFault."""
    with database.transaction():
        names = {row.id: row.asset_symbol for row in schema.Asset.select()}
    for rows in _parts(database, wanted, PART):
        lines = {row[0]: _line(row, names[row[1]]) for row in rows if _is_whole(row)}
        missing = [row[0] for row in rows if row[0] not in lines]
        lines.update((cycle.id, report(cycle)) for cycle in _cycles(database, missing))
        for row in rows:
            line = lines[row[0]]
            if line is not None:
                yield line


def cycles(database: Database, wanted: Wanted) -> Iterator[Cycle]:
    """The finished cycles with their orders, oldest first. Raises RowFault."""
    for rows in _parts(database, wanted, PART_WITH_ORDERS):
        yield from _cycles(database, [row[0] for row in rows])


def newest(database: Database, asset_id: int) -> int | None:
    """The asset's cycle that was completed last; None when it has none that is over."""
    with database.transaction():
        mark = schema.current.param
        text = (
            f"SELECT completed_at, id FROM dca_cycles WHERE asset_id = {mark} AND status = {mark}"
            " ORDER BY completed_at DESC, id DESC LIMIT 1"
        )
        found = schema.current.first_rows(*[(text, (asset_id, one.value)) for one in OVER])
    ended = [(str(row[0]), int(row[1])) for row in found if row is not None]
    return max(ended)[1] if ended else None


def recompute(database: Database, now: datetime, is_dry: bool = False) -> Recomputed:
    """Compare the next part of the finished cycles with their orders, and mend what differs.

    How far it came is noted: the next call goes on from there, and after the last cycle begins
    again. `is_dry` changes nothing, not even that note. Two at once: the one that comes later to
    the first note has done nothing, and the other has done it all.
    """
    try:
        return _recompute(database, now, is_dry)
    except IntegrityError:
        return Recomputed((), (), is_last=True)


def _recompute(database: Database, now: datetime, is_dry: bool) -> Recomputed:
    differed, faults = [], []
    with database.transaction():
        after = int(notes.read(CHECKED) or 0)
        until, last = after + PART_WITH_ORDERS, _last_id()
        ids = _ids(after, until)
        # The rows stay ours until the commit; the assets' do not, for a buy must not wait for this.
        for row, asset, orders in _read(database.for_update(_rows(ids)) if ids else ()):
            try:
                cycle = entry_of(asset_of(asset), row, orders, None).cycle
            except RowFault as fault:
                faults.append(str(fault))
                continue
            columns = cycle_columns(cycle)
            news = {name: columns[name] for name in COMPUTED if columns[name] != getattr(row, name)}
            if news:
                differed.append(cycle.id)
                if not is_dry:
                    schema.Cycle.change("id", cycle.id, **news, updated_at=now)
        if not is_dry:
            notes.write(CHECKED, str(until if until < last else 0), now)
    return Recomputed(tuple(differed), tuple(faults), until >= last)


def _parts(database: Database, wanted: Wanted, size: int) -> Iterator[list[tuple[Any, ...]]]:
    """The columns READ of the finished cycles as the database gives them, so many ids at once."""
    with database.transaction():
        last = _last_id()
    for after in range(0, last, size):
        with database.transaction():
            found = schema.current.execute_sql(*_question(wanted, after, after + size)).fetchall()
        yield found


def _question(wanted: Wanted, after: int, until: int) -> tuple[str, list[object]]:
    """Bounded by ids, so that the server goes through the rows in their order and nowhere else."""
    mark = schema.current.param
    text = f"SELECT {', '.join(READ)} FROM dca_cycles"
    text += f" WHERE id > {mark} AND id <= {mark} AND status IN ({FINISHED})"
    values: list[object] = [after, until]
    completed_at = schema.Cycle.completed_at.db_value
    if wanted.asset_id is not None:
        text += f" AND asset_id = {mark}"
        values.append(wanted.asset_id)
    if wanted.since is not None:
        text += f" AND completed_at >= {mark}"
        values.append(completed_at(wanted.since))
    if wanted.before is not None:
        text += f" AND completed_at < {mark}"
        values.append(completed_at(wanted.before))
    return f"{text} ORDER BY id", values


def _last_id() -> int:
    (row,) = schema.current.first_rows(("SELECT MAX(id) FROM dca_cycles", ()))
    return int(row[0] or 0)


def _ids(after: int, until: int) -> list[int]:
    """The finished cycles among these ids."""
    mark = schema.current.param
    text = f"SELECT id FROM dca_cycles WHERE id > {mark} AND id <= {mark}"
    text += f" AND status IN ({FINISHED})"
    return [row[0] for row in schema.current.execute_sql(text, (after, until)).fetchall()]


def _read(rows: Iterable[Row]) -> list[tuple[Row, Row, list[Row]]]:
    """These cycles' rows, each with its asset's and its orders."""
    found = list(rows)
    if not found:
        return []
    assets = {asset.id: asset for asset in schema.Asset.select()}
    orders = orders_of([row.id for row in found])
    return [(row, assets[row.asset_id], orders[row.id]) for row in found]


def _cycles(database: Database, ids: Sequence[int]) -> Iterator[Cycle]:
    for begin in range(0, len(ids), PART_WITH_ORDERS):
        with database.transaction():
            found = _read(_rows(ids[begin : begin + PART_WITH_ORDERS]))
        for row, asset, orders in found:
            yield entry_of(asset_of(asset), row, orders, None).cycle


def _rows(ids: Sequence[int]) -> Any:
    return schema.Cycle.select().where(schema.Cycle.id.in_(ids)).order_by(schema.Cycle.id)


def _is_whole(row: tuple[Any, ...]) -> bool:
    """False for a cycle that ended before its result was kept, and was not recomputed yet."""
    _, _, _, completed_at, _, filled_orders, _, spent, *_ = row
    return not (completed_at is None or filled_orders is None or spent is None)


def _line(row: tuple[Any, ...], symbol: str) -> CycleReport | None:
    (
        cycle_id,
        _,
        status,
        completed_at,
        first_order_at,
        filled_orders,
        safety_orders,
        spent,
        received,
        buy_fees,
        sale_fees,
        quantity,
        average_price,
    ) = row
    if not filled_orders or first_order_at is None:
        return None
    instant: Callable[[Any], Any] = schema.Cycle.completed_at.python_value
    line = CycleReport(
        symbol=symbol,
        cycle_id=cycle_id,
        status=CycleStatus(status),
        opened_at=instant(first_order_at),
        closed_at=instant(completed_at),
        orders=filled_orders,
        safety_orders=safety_orders,
        spent=Decimal(spent),
        sold=Decimal(received),
        buy_fees=Decimal(buy_fees),
        sale_fees=Decimal(sale_fees),
    )
    return with_unsold(line, Decimal(quantity), Decimal(average_price))
