"""Values with sane defaults, for tests: name only what the test is about.

    cycle = make_cycle(make_order(filled="0.1998", price="100.10"))
    quote = make_quote(bid="97.90", ask="98.00")

Amounts are texts (or ints); instants are seconds since `START` or aware datetimes.
"""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    Instrument,
    Order,
    OrderReport,
    OrderStatus,
    Purpose,
    Quote,
    Rules,
    Side,
)

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SYMBOL = "BTC/USD"
Amount = str | int | Decimal


def make_time(at: float | datetime = 0) -> datetime:
    """`START` plus so many seconds; an instant stays what it is."""
    return at if isinstance(at, datetime) else START + timedelta(seconds=at)


def make_instrument(symbol: str = SYMBOL, *, tradable: bool = True, **amounts: Amount) -> Instrument:
    """Alpaca's BTC/USD. Amounts: price_step, quantity_step, quantity_min."""
    defaults: dict[str, Amount] = {"price_step": "0.01", "quantity_step": "0.000000001", "quantity_min": "0.000000001"}
    return Instrument(symbol=symbol, tradable=tradable, **_decimals(defaults, amounts))


def make_rules(*, safety_count_max: int = 3, cooldown_seconds: int = 300, **amounts: Amount) -> Rules:
    """Base 20 USD, safety 10 USD after 2 %, take profit 1 %, restart after 2 %."""
    defaults: dict[str, Amount] = {
        "base_notional": 20,
        "safety_notional": 10,
        "safety_drop_ratio": "0.02",
        "take_profit_ratio": "0.01",
        "restart_drop_ratio": "0.02",
    }
    return Rules(safety_count_max=safety_count_max, cooldown_seconds=cooldown_seconds, **_decimals(defaults, amounts))


def make_asset(
    symbol: str = SYMBOL, *, id: int = 1, enabled: bool = True, last_sell_price: Amount | None = None, **changes: Any
) -> Asset:
    """An enabled asset. `changes` are fields of Rules, or of Asset itself."""
    names = ("held_back", "sells_on", "take_profit_order", "trades_beside_foreign_coins")
    own = {name: changes.pop(name) for name in names if name in changes}
    rules = changes.pop("rules", None) or make_rules(**changes)
    return Asset(id, symbol, enabled, rules, _decimal_or_none(last_sell_price), **own)


def make_quote(
    bid: Amount = "100.00", ask: Amount = "100.10", *, symbol: str = SYMBOL, at: float | datetime = 0
) -> Quote:
    return Quote(symbol, Decimal(bid), Decimal(ask), make_time(at))


def make_order(purpose: Purpose = Purpose.BASE, **changes: Any) -> Order:
    """An accepted order for 0.2 at 100.10, or filled when `filled` says how much.

    `filled` and `price` are short for filled_quantity (with the status FILLED) and for both prices;
    every other keyword is a field of Order. A take profit is a market order: it has no limit.
    """
    side = Side.SELL if purpose in (Purpose.TAKE_PROFIT, Purpose.BY_HAND) else Side.BUY
    price = Decimal(changes.pop("price", "100.10"))
    filled = changes.pop("filled", None)
    number = changes.pop("number", 1)
    fields: dict[str, Any] = {
        "client_order_id": f"dcabot-1-{int(START.timestamp())}-{purpose.value}-{number}",
        "purpose": purpose,
        "side": side,
        "quantity": "0.2" if filled is None else filled,
        "limit_price": price if side is Side.BUY else None,
        "created_at": START,
        "status": OrderStatus.ACCEPTED,
        "order_id": f"venue-{purpose.value}-{number}",
    }
    if filled is not None:
        fields |= {"status": OrderStatus.FILLED, "filled_quantity": filled, "filled_price": price, "closed_at": START}
    fields |= changes
    for name in ("quantity", "limit_price", "filled_quantity", "filled_price", "fee_quantity"):
        if name in fields:
            fields[name] = _decimal_or_none(fields[name])
    for name in ("created_at", "closed_at", "cancel_requested_at", "quote_at"):
        if fields.get(name) is not None:
            fields[name] = make_time(fields[name])
    return Order(**fields)


def make_cycle(*orders: Order, id: int = 1, status: CycleStatus = CycleStatus.WATCHING, **changes: Any) -> Cycle:
    """Cycle 1 of asset 1, opened at `START`, with these orders; `changes` are fields of Cycle."""
    fields: dict[str, Any] = {"asset_id": 1, "symbol": SYMBOL, "opened_at": START, **changes}
    for name in ("opened_at", "completed_at", "cooldown_since"):
        if fields.get(name) is not None:
            fields[name] = make_time(fields[name])
    return Cycle(id=id, status=status, orders=orders, **fields)


def make_report(order: Order, status: OrderStatus = OrderStatus.FILLED, **changes: Any) -> OrderReport:
    """What the exchange says of `order`; by default that it is filled whole, at its limit (or at 100.10).

    `filled` and `price` are short for filled_quantity and filled_price; `at` may be seconds since `START`.
    """
    whole = order.quantity if status is OrderStatus.FILLED else order.filled_quantity
    filled = Decimal(changes.pop("filled", whole))
    price = Decimal(changes.pop("price", order.limit_price or "100.10"))
    fields: dict[str, Any] = {
        "client_order_id": order.client_order_id,
        "order_id": order.order_id or f"venue-of-{order.client_order_id}",
        "symbol": SYMBOL,
        "side": order.side,
        "status": status,
        "filled_quantity": filled,
        "filled_price": price if filled else None,
        "quantity": order.quantity,
        "limit_price": order.limit_price,
        "created_at": order.created_at,
        "at": 0,
        **changes,
    }
    return OrderReport(**{**fields, "at": make_time(fields["at"])})


def _decimals(defaults: dict[str, Amount], amounts: dict[str, Amount]) -> dict[str, Any]:
    unknown = amounts.keys() - defaults.keys()
    if unknown:
        raise TypeError(f"no such field: {', '.join(sorted(unknown))}")
    return {name: Decimal(value) for name, value in {**defaults, **amounts}.items()}


def _decimal_or_none(value: Amount | None) -> Decimal | None:
    return None if value is None else Decimal(value)
