"""Do the exchange's ledger and the three tables agree to the last digit? Read with plain SQL, computed afresh.

assert disagreement(alpaca, books) == ""
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dcabot.simulator import Simulator
from tests.programs import Books
from tests.simulation.laws import replay
from tests.simulation.watch import OVER, OrderRow

PREFIX = "dcabot-"
PRICE = Decimal("0.0000000001")
NEVER_SENT = ("void", "rejected")
ORDERS = (
    "SELECT id, client_order_id, cycle_id, purpose, side, quantity, limit_price, status, order_id, filled_quantity,"
    " filled_price, fee_quantity FROM dca_orders ORDER BY id"
)
CYCLES = (
    "SELECT id, asset_id, status, quantity, average_purchase_price, safety_orders, last_order_fill_price,"
    " latest_order_id, completed_at FROM dca_cycles ORDER BY id"
)


def disagreement(alpaca: Simulator, books: Books) -> str:
    """The first difference as a sentence; empty when there is none."""
    rows = [_order(*row) for row in books.execute(ORDERS)]
    cycles = books.execute(CYCLES)
    assets = books.execute("SELECT id, asset_symbol, is_enabled, max_safety_orders, last_sell_price FROM dca_assets")
    positions = {one["symbol"]: Decimal(one["qty"]) for one in alpaca.positions()}
    return (
        _orders_differ(alpaca, rows)
        or _ledger_differs(alpaca, rows)
        or next((found for cycle in cycles if (found := _cycle_differs(*cycle, rows=rows))), "")
        or next((found for asset in assets if (found := _asset_differs(*asset, cycles, rows, positions))), "")
    )


def _order(*row: Any) -> OrderRow:
    numbers: list[Callable[[Any], Any]] = [int, str, int, str, str, _number, _number, str, _text]
    fields = [read(value) for read, value in zip([*numbers, _number, _number, _number], row, strict=True)]
    return OrderRow(*fields, None, None, None)


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _orders_differ(alpaca: Simulator, rows: list[OrderRow]) -> str:
    """`dca_orders` against GET /v2/orders."""
    known = {order["client_order_id"]: order for order in alpaca.orders()}
    for row in rows:
        order = known.pop(row.name, None)
        if order is None and (row.status not in NEVER_SENT or row.filled):
            return f"{row.name} is {row.status} and the exchange never had it"
        if order is None:
            continue
        booked = (row.order_id, row.status, row.filled, row.price)
        price = _number(order["filled_avg_price"])
        true = (order["id"], order["status"], Decimal(order["filled_qty"]), price)
        if booked != true:
            return f"{row.name} is booked as {booked}, the exchange says {true}"
    ours = [name for name in known if name.startswith(PREFIX)]
    return f"no row knows {ours}" if ours else ""


def _ledger_differs(alpaca: Simulator, rows: list[OrderRow]) -> str:
    """`dca_orders` against the account's activities: every fill counted once, on its side."""
    for side in ("buy", "sell"):
        fills = [one for one in alpaca.activities() if one["activity_type"] == "FILL" and one["side"] == side]
        ledger, booked = sum(Decimal(one["qty"]) for one in fills), sum(row.filled for row in rows if row.side == side)
        if ledger != booked:
            return f"the ledger has {ledger} of {side}s, the books have {booked}"
    return ""


def _cycle_differs(*cycle: Any, rows: list[OrderRow]) -> str:
    """One row of `dca_cycles` against its orders."""
    name, _, status, quantity, average, safeties, last_buy, latest, completed_at = cycle
    mine = [row for row in rows if row.cycle_id == name]
    stored = (_number(quantity), _number(average), safeties, _number(last_buy))
    if stored != replay(mine):
        return f"cycle {name} says {stored}, its orders {replay(mine)}"
    if (status in OVER) != (completed_at is not None):
        return f"cycle {name} is {status}, completed at {completed_at}"
    ids = [row.order_id for row in mine if row.order_id]
    if latest != (ids[-1] if ids else None):
        return f"cycle {name} says its latest order is {latest}, not {ids[-1:]}"
    if len([row for row in mine if row.purpose == "base" and row.filled]) > 1:
        return f"cycle {name} bought its base order twice"
    return ""


def _asset_differs(
    name: int,
    symbol: str,
    is_enabled: int,
    safeties_max: int,
    last_sell_price: object,
    cycles: list[tuple[Any, ...]],
    rows: list[OrderRow],
    positions: dict[str, Decimal],
) -> str:
    """One row of `dca_assets` against its cycles, and what the current one holds against the position."""
    mine = [cycle for cycle in cycles if cycle[1] == name]
    current = [cycle for cycle in mine if cycle[2] not in OVER]
    if len(current) > 1 or (is_enabled and not current):
        return f"{symbol} has {len(current)} current cycles"
    if any(cycle[5] > safeties_max for cycle in mine):
        return f"{symbol} bought more safety orders than {safeties_max}"
    complete = [cycle[0] for cycle in mine if cycle[2] == "complete"]
    sales = [
        row.price for row in rows if complete and row.cycle_id == complete[-1] and row.side == "sell" and row.filled
    ]
    wanted = sales[-1].quantize(PRICE) if sales and sales[-1] else None
    if _number(last_sell_price) != wanted:
        return f"{symbol} was last sold at {last_sell_price}, says its row; at {wanted}, say its orders"
    held = _number(current[0][3]) if current else Decimal(0)
    position = positions.get(symbol.replace("/", ""), Decimal(0))
    return "" if held == position else f"{symbol} holds {held}, the exchange {position}"
