"""Alpaca's dicts <-> core values. The only place where a float may appear, and only on its way to a Decimal.

Everything here is read from `raw_data=True` clients: the SDK's models lose digits and die of an unknown enum value.
An unknown status or event is not an error (the exchange may add one any day); a missing or nonsensical field is:
it raises WireError, a sentence that names the field and never holds a secret.
Source of the shapes: alpaca.md sections 2 to 4.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgpack  # type: ignore[import-untyped]

from dcabot.core.model import EPOCH, Instrument, Order, OrderReport, OrderStatus, Quote, Side
from dcabot.core.money import ZERO, text
from dcabot.core.snapshot import Account, Fill, Listing, Position, Transfer, Unreadable

# Decimals of a sane size: beyond it a price like 1e999999 would be harmless here and a flood of zeros when printed.
EXPONENT_MAX = 30
DIGITS_MAX = 60
SHOWN_MAX = 60  # characters of a foreign value that a message repeats

# Source: alpaca.md 1.6 and 5.10. Whatever is not here is still open as far as we know.
STATUSES: Mapping[str, OrderStatus] = {
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "replaced": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
}
OPEN_STATUSES = frozenset({
    "new", "accepted", "pending_new", "pending_cancel", "pending_replace", "pending_review",
    "accepted_for_bidding", "calculated", "done_for_day", "held", "stopped", "suspended",
})  # fmt: skip
# Events of which the order's dict alone is the news; any other is worth asking REST about.
EVENTS = frozenset({
    "pending_new", "new", "accepted", "partial_fill", "fill", "pending_cancel", "canceled", "expired", "rejected",
    "replaced", "pending_replace", "order_cancel_rejected", "order_replace_rejected",
})  # fmt: skip

Row = TypeVar("Row")

SIDES: Mapping[str, Side] = {"buy": Side.BUY, "sell": Side.SELL}

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


class WireError(Exception):
    """Something the exchange sent cannot be understood."""


def quote(raw: object) -> Quote:
    """A quote frame of the stream, or one row of REST's latest quotes with its symbol put in as `S`."""
    frame = _dict(raw, "quote")
    symbol = _text(frame, "S")
    return Quote(symbol, _number(frame, "bp"), _number(frame, "ap"), _instant(frame.get("t"), "t"))


def quoted_at(frame: Mapping[str, object]) -> datetime | None:
    """The time of a quote frame; None when it cannot be read."""
    try:
        return _instant(frame.get("t"), "t")
    except WireError:
        return None


def order_report(raw: object) -> OrderReport:
    """An order as REST and the stream tell it: cumulative figures, gross of fees."""
    order = _dict(raw, "order")
    word = _text(order, "status")
    filled = _number(order, "filled_qty")
    status = STATUSES.get(word, OrderStatus.ACCEPTED)
    if filled < 0:
        raise WireError(f"order: filled_qty is negative: {_shown(order.get('filled_qty'))}")
    if filled and status is OrderStatus.ACCEPTED:
        status = OrderStatus.PARTIALLY_FILLED
    if not filled and status is OrderStatus.PARTIALLY_FILLED:
        status = OrderStatus.ACCEPTED
    if not filled and status is OrderStatus.FILLED:
        raise WireError("order: status is filled but filled_qty is 0")
    price = _optional_number(order, "filled_avg_price")
    if filled and (price is None or price <= 0):
        raise WireError(f"order: filled {text(filled)} at no price ({_shown(order.get('filled_avg_price'))})")
    known = word in STATUSES or word in OPEN_STATUSES
    return OrderReport(
        client_order_id=_text(order, "client_order_id"),
        order_id=_text(order, "id"),
        symbol=_text(order, "symbol"),
        side=_side(order),
        status=status,
        filled_quantity=filled,
        filled_price=price if filled else None,
        at=_latest(order),
        quantity=_optional_number(order, "qty") or ZERO,
        limit_price=_optional_number(order, "limit_price"),
        created_at=_optional_instant(order, "created_at"),
        note="" if known else f"unknown order status {_shown(word)}",
    )


def trade_update(raw: object) -> OrderReport | None:
    """The order of a `trade_updates` frame; None for any other frame.

    A note on the report means: the exchange said something unknown, ask REST for the order.
    """
    frame = _dict(raw, "frame")
    if frame.get("stream") != "trade_updates":
        return None
    data = _dict(frame.get("data"), "trade update")
    report = order_report(data.get("order"))
    event = _text(data, "event")
    note = report.note if event in EVENTS else f"unknown event {_shown(event)}"
    at = _optional_instant(data, "timestamp") or report.at
    return replace(report, at=max(at, report.at), note=note)


def instrument(raw: object) -> Instrument:
    """One row of /v2/assets."""
    asset = _dict(raw, "asset")
    read = Instrument(
        symbol=_text(asset, "symbol"),
        price_step=_number(asset, "price_increment"),
        quantity_step=_number(asset, "min_trade_increment"),
        quantity_min=_number(asset, "min_order_size"),
        tradable=_flag(asset, "tradable") and asset.get("status", "active") == "active",
    )
    if read.price_step <= 0 or read.quantity_step <= 0 or read.quantity_min < 0:
        raise WireError(f"asset {_shown(read.symbol)}: an increment is not positive")
    return read


def position(raw: object, symbols: Mapping[str, str]) -> Position:
    """One row of /v2/positions; `symbols` maps BTCUSD to BTC/USD, because the split must not be guessed."""
    row = _dict(raw, "position")
    symbol = _text(row, "symbol")
    price = _optional_number(row, "avg_entry_price")
    return Position(
        symbol=symbols.get(joined(symbol), symbol),
        quantity=_number(row, "qty"),
        available=_number(row, "qty_available"),
        average_price=price if price else None,  # "0" was seen on paper and means nothing
    )


def account(raw: object) -> Account:
    """/v2/account. Crypto is bought with `non_marginable_buying_power`, never with `buying_power`."""
    row = _dict(raw, "account")
    return Account(
        status=_text(row, "status"),
        crypto_status=str(row.get("crypto_status") or ""),
        trading_blocked=_flag(row, "trading_blocked"),
        account_blocked=_flag(row, "account_blocked"),
        suspended_by_user=row.get("trade_suspended_by_user") is True,
        buying_power=_number(row, "non_marginable_buying_power"),
        crypto_tier=tier if isinstance(tier := row.get("crypto_tier"), int) else 1,
        number=storable(str(row.get("account_number") or "")),
    )


def fill(raw: object, symbols: Mapping[str, str] | None = None) -> Fill:
    """One FILL row of the account's activities; `symbols` as for a position."""
    row = _dict(raw, "activity")
    symbol = row.get("symbol")
    named = symbol if isinstance(symbol, str) else ""
    return Fill(
        _text(row, "order_id"),
        _number(row, "qty"),
        _number(row, "price"),
        _instant(row.get("transaction_time"), "transaction_time"),
        (symbols or {}).get(joined(named), named),
        SIDES.get(str(row.get("side"))),
    )


def transfer(raw: object) -> Transfer:
    """One row of /v2/wallets/transfers. A chain's own coin is NATIVE: then the chain says which coin it is."""
    row = _dict(raw, "transfer")
    asset = _text(row, "asset")
    coin = _text(row, "chain") if asset == "NATIVE" else asset
    direction = _text(row, "direction")
    if direction not in ("INCOMING", "OUTGOING"):
        raise WireError(f"direction is neither INCOMING nor OUTGOING: {_shown(direction)}")
    return Transfer(
        coin.partition("/")[0],
        _number(row, "amount"),
        direction == "OUTGOING",
        _text(row, "status") == "COMPLETE",
        _instant(row.get("created_at"), "created_at"),
        _optional_number(row, "network_fee") or ZERO,
    )


def order_body(symbol: str, order: Order) -> dict[str, str]:
    """The JSON of POST /v2/orders, numbers as decimal strings: the SDK's request models would make them floats."""
    body = {
        "symbol": symbol,
        "qty": text(order.quantity),
        "side": order.side.value,
        "type": "market" if order.limit_price is None else "limit",
        "time_in_force": order.time_in_force.value,
        "client_order_id": order.client_order_id,
    }
    if order.limit_price is not None:
        body["limit_price"] = text(order.limit_price)
    return body


def listing(
    parse: Callable[[object], Row],
    rows: Iterable[Mapping[str, object]],
    key: str,
) -> Listing[Row]:
    """The rows that can be read, and a sentence for each that cannot.

    One bad row does not cost the others.
    """
    read: list[Row] = []
    unreadable: list[Unreadable] = []
    for row in rows:
        try:
            read.append(parse(row))
        except WireError as error:
            name = row.get(key)
            unreadable.append(Unreadable(name if isinstance(name, str) else "", str(error)))
    return Listing(tuple(read), tuple(unreadable))


def joined(symbol: str) -> str:
    """BTC/USD -> BTCUSD: how positions spell it."""
    return symbol.replace("/", "")


def symbols_by_joined(symbols: Iterable[str]) -> dict[str, str]:
    return {joined(symbol): symbol for symbol in symbols}


def instant(value: object) -> datetime:
    """An aware UTC instant from RFC 3339 text with nanoseconds and offset, or from a msgpack timestamp."""
    return _instant(value, "time")


def _dict(raw: object, what: str) -> dict[str, object]:
    if not isinstance(raw, dict):
        raise WireError(f"{what}: not an object but {_shown(raw)}")
    return raw


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise WireError(f"{name} is missing" if value is None else f"{name} is not text: {_shown(value)}")
    if not value.isascii() and value != storable(value):
        raise WireError(f"{name} has half a character: {_shown(value)}")
    return value


def storable(foreign: str) -> str:
    """The text without what JSON may carry and no database takes: half a surrogate pair."""
    return foreign.encode(errors="replace").decode()


def _flag(row: Mapping[str, object], name: str) -> bool:
    value = row.get(name)
    if not isinstance(value, bool):
        raise WireError(f"{name} is missing" if value is None else f"{name} is not true or false: {_shown(value)}")
    return value


def _side(order: Mapping[str, object]) -> Side:
    word = _text(order, "side")
    if word == "buy":
        return Side.BUY
    if word == "sell":
        return Side.SELL
    raise WireError(f"side is neither buy nor sell: {_shown(word)}")


def _optional_number(row: Mapping[str, object], name: str) -> Decimal | None:
    return None if row.get(name) is None else _number(row, name)


def _number(row: Mapping[str, object], name: str) -> Decimal:
    value = row.get(name)
    try:
        if isinstance(value, float):
            number = Decimal(repr(value))
        elif isinstance(value, (str, int)) and not isinstance(value, bool):
            number = Decimal(value)
        else:
            raise WireError(f"{name} is missing" if value is None else f"{name} is not a number: {_shown(value)}")
    except InvalidOperation:
        raise WireError(f"{name} is not a number: {_shown(value)}") from None
    if not number.is_finite():
        raise WireError(f"{name} is not a finite number: {_shown(value)}")
    if not number:
        return ZERO  # 0e-999999 too, which is long to print
    # A float has 17 digits at most; asking a Decimal for its digits is slow, and this runs for every quote.
    if abs(number.adjusted()) > EXPONENT_MAX or (
        not isinstance(value, float) and len(number.as_tuple().digits) > DIGITS_MAX
    ):
        raise WireError(f"{name} is absurd: {_shown(value)}")
    return number


def _optional_instant(row: Mapping[str, object], name: str) -> datetime | None:
    return None if row.get(name) is None else _instant(row[name], name)


def _instant(value: object, name: str) -> datetime:
    try:
        if isinstance(value, msgpack.Timestamp):
            return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanoseconds // 1000)
        if isinstance(value, str):
            return _rfc3339(value)
    except (ValueError, OverflowError):
        raise WireError(f"{name} is not a time: {_shown(value)}") from None
    raise WireError(f"{name} is missing" if value is None else f"{name} is not a time: {_shown(value)}")


def _rfc3339(value: str) -> datetime:
    match = _RFC3339.fullmatch(value)
    if match is None:
        raise ValueError(value)
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    # Nanoseconds are cut, not rounded: a time must not move into the future.
    micro = int(fraction[:6].ljust(6, "0")) if fraction else 0
    at = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micro, timezone.utc)
    if sign is None:
        return at
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return at - offset if sign == "+" else at + offset


def _latest(order: Mapping[str, object]) -> datetime:
    """When the order last changed."""
    names = ("updated_at", "filled_at", "canceled_at", "expired_at", "failed_at", "submitted_at", "created_at")
    times = [at for name in names if (at := _optional_instant(order, name)) is not None]
    if not times:
        raise WireError("order: no updated_at, submitted_at or created_at")
    return max(times)


def _shown(value: object) -> str:
    """A foreign value, short enough for a message."""
    if isinstance(value, (list, tuple, dict, set)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and not -(10**40) < value < 10**40:
        return "a very large number"
    shown = repr(value)
    return shown if len(shown) <= SHOWN_MAX else shown[:SHOWN_MAX] + "..."
