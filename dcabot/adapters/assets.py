"""`dca_assets` as an operator edits it: rows in and out under their column names, percentages as percentages."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from dcabot.adapters import notes, schema
from dcabot.adapters.database import Database, IntegrityError
from dcabot.adapters.rows import asset_of
from dcabot.core.model import Asset
from dcabot.core.states import OPEN, OVER

Value = Decimal | int | bool | str

# The columns an operator sets, in the order of the brief.
COLUMNS = (
    "base_order_amount",
    "safety_order_amount",
    "max_safety_orders",
    "safety_order_deviation",
    "take_profit_percent",
    "cooldown_period",
    "buy_order_price_deviation_percent",
)
OPTIONS = ("take_profit_order", "trade_beside_foreign_coins")  # that the brief does not know
INTEGERS = frozenset({"max_safety_orders", "cooldown_period"})


class AssetError(Exception):
    """What was asked for cannot be done to this asset; the message says why and what to do."""


class BadValue(AssetError):
    """A column cannot hold this."""


def read_all(database: Database) -> list[tuple[Asset, dict[str, Value]]]:
    """Every row: as the strategy reads it, and as it stands in its columns."""
    with database.transaction():
        rows = list(schema.Asset.select().order_by(schema.Asset.asset_symbol))
    return [(asset_of(row), {name: getattr(row, name) for name in (*COLUMNS, *OPTIONS)}) for row in rows]


def preview(symbol: str, columns: Mapping[str, Value], enabled: bool = True) -> Asset:
    """The asset that these columns would make, for the validation before anything is written.

    Raises BadValue when a column cannot hold its value.
    """
    row = schema.Asset(id=0, asset_symbol=symbol, is_enabled=enabled, **columns)
    for name in COLUMNS:
        field = getattr(schema.Asset, name)
        try:
            field.db_value(getattr(row, name))
        except ValueError as error:
            raise BadValue(str(error)) from None
    return asset_of(row)


def add(database: Database, symbol: str, columns: Mapping[str, Value], enabled: bool, now: datetime) -> None:
    """Raises AssetError when the symbol has a row already."""
    row = {**columns, "asset_symbol": symbol, "is_enabled": enabled, "created_at": now, "updated_at": now}
    try:
        with database.transaction():
            schema.Asset.insert(**row).execute()
    except IntegrityError:
        raise AssetError(f"{symbol} is there already; `dcabot asset set {symbol} ...` changes it") from None


def change(database: Database, symbol: str, columns: Mapping[str, Value], now: datetime) -> None:
    """Set columns, `is_enabled` among them. Raises AssetError when there is no such asset."""
    with database.transaction():
        if "is_enabled" in columns:
            notes.erase(_pause(symbol))  # that was the last word
        news: dict[str, Value | None] = {**columns}
        if "is_enabled" in columns:
            news["disabled_because"] = None
        query = schema.Asset.update(**news, updated_at=now).where(schema.Asset.asset_symbol == symbol)
        if not query.execute():
            raise AssetError(f"there is no asset {symbol}; `dcabot asset list` shows what there is")


def pause(database: Database, symbol: str, now: datetime) -> bool:
    """Disable an enabled asset until `resume`: True when that was done. It is noted, for who is killed meanwhile."""
    with database.transaction():
        query = schema.Asset.update(is_enabled=False, updated_at=now).where(schema.Asset.asset_symbol == symbol)
        if not query.where(schema.Asset.is_enabled == True).execute():  # noqa: E712 - a column
            return False
        notes.write(_pause(symbol), "disabled until its release is done", now)
        return True


def is_paused(database: Database, symbol: str) -> bool:
    with database.transaction():
        return bool(notes.read(_pause(symbol)))


def resume(database: Database, symbol: str, now: datetime) -> bool:
    """Enable a paused asset again: True when it was paused."""
    with database.transaction():
        if not notes.erase(_pause(symbol)):
            return False
        schema.Asset.update(is_enabled=True, updated_at=now).where(schema.Asset.asset_symbol == symbol).execute()
        return True


def _pause(symbol: str) -> str:
    return f"release {symbol}"


def history(database: Database, symbol: str) -> int:
    """How many orders an asset's cycles have had."""
    with database.transaction():
        orders = schema.Order.select().join(schema.Cycle).join(schema.Asset)
        return int(orders.where(schema.Asset.asset_symbol == symbol).count())


def remove(database: Database, symbol: str) -> None:
    """Delete the asset with its cycles and orders. Raises AssetError while it holds anything or waits for an order."""
    with database.transaction():
        query = schema.Asset.select().where(schema.Asset.asset_symbol == symbol)
        asset = database.for_update(query).first()
        if asset is None:
            raise AssetError(f"there is no asset {symbol}; `dcabot asset list` shows what there is")
        cycles = list(database.for_update(schema.Cycle.select().where(schema.Cycle.asset == asset.id)))
        ids = [cycle.id for cycle in cycles]
        over = {status.value for status in OVER}
        waiting = schema.Order.select().where(
            schema.Order.cycle.in_(ids), schema.Order.status.in_([status.value for status in OPEN])
        )
        current = [cycle for cycle in cycles if cycle.status not in over]
        # Coins that are not shown are not counted in the column, and may come back.
        holds = any(cycle.quantity or cycle.missing_since is not None for cycle in current)
        if holds or (ids and waiting.first()):
            raise AssetError(
                f"{symbol} holds a position or waits for an order: `dcabot cycle close {symbol}` sells it, "
                f"`dcabot cycle release {symbol}` leaves it to you"
            )
        if ids:
            schema.Order.delete().where(schema.Order.cycle.in_(ids)).execute()
            schema.Cycle.delete().where(schema.Cycle.id.in_(ids)).execute()
        notes.erase(_pause(symbol))
        asset.delete_instance()
