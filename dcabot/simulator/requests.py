"""What a client sent, read as Alpaca reads it: numbers or strings, flags in any case, refusals in Alpaca's words."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from dcabot.core.model import Side
from dcabot.core.money import parse
from dcabot.core.venue import OrderRequest, Refusal, VenueOrder

MAGNITUDE_MAX = 18  # digits before the point, or zeros after it: beyond, a number is absurd
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, halves of a surrogate pair
TRUE = frozenset({"true", "True", "TRUE", "1", "t"})


class BadRequest(ValueError):
    """Raised where the answer is already known."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def unreadable(message: str = "request body format is invalid") -> BadRequest:
    return BadRequest(Refusal(400, 40010000, message))


def invalid(message: str) -> BadRequest:
    return BadRequest(Refusal(422, 40010001, message))


def read_any(body: bytes, is_exact: bool = True) -> Any:
    """Any JSON; its numbers as int and Decimal, or as they are where only seconds are meant."""
    try:
        return json.loads(body, parse_float=Decimal if is_exact else None, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, ArithmeticError):
        raise unreadable() from None


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object."""
    value = read_any(body)
    if not isinstance(value, dict):
        raise unreadable()
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def read_order(body: Mapping[str, Any]) -> OrderRequest:
    """The request in a POST's body; the venue itself judges what it means. Raises BadRequest for wrong types."""
    symbol = _text(body, "symbol")
    if not symbol:
        raise invalid("symbol is required")
    side = _text(body, "side")
    if side not in ("buy", "sell"):
        raise invalid("side is required" if side is None else f"invalid side: {side[:20]}")
    kind = _text(body, "type")
    if not kind:
        raise invalid("type is required")
    time_in_force = _text(body, "time_in_force")
    if not time_in_force:
        raise invalid("time_in_force is required")
    extended_hours = body.get("extended_hours")
    if extended_hours is not None and not isinstance(extended_hours, bool):
        raise unreadable()
    return OrderRequest(
        symbol=symbol,
        side=Side(side),
        type=kind,
        time_in_force=time_in_force,
        quantity=_number(body, "qty"),
        notional=_number(body, "notional"),
        limit_price=_number(body, "limit_price"),
        stop_price=_number(body, "stop_price"),
        client_order_id=_client_id(body),
        order_class=_text(body, "order_class") or "",
    )


def read_amendment(body: Mapping[str, Any], order: VenueOrder) -> OrderRequest:
    """The order that a PATCH asks for in the place of another."""
    return OrderRequest(
        symbol=order.symbol,
        side=order.side,
        type=order.type.value,
        time_in_force=_text(body, "time_in_force") or order.time_in_force.value,
        quantity=_number(body, "qty") or order.quantity,
        limit_price=_number(body, "limit_price") or order.limit_price,
        stop_price=_number(body, "stop_price") or order.stop_price,
        client_order_id=_client_id(body),
    )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise unreadable()
    return value


def _client_id(body: Mapping[str, Any]) -> str | None:
    name = _text(body, "client_order_id")
    if name and UNPRINTABLE.search(name):
        raise invalid("invalid client_order_id")
    return name or None


def _number(body: Mapping[str, Any], name: str) -> Decimal | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    return number(value, name)


def number(value: object, name: str) -> Decimal:
    """A JSON number or its text; exponents are fine, absurd magnitudes are not."""
    try:
        found = parse(value)  # type: ignore[arg-type]
    except ValueError:
        raise invalid(f"invalid {name}") from None
    if (found and abs(found.adjusted()) > MAGNITUDE_MAX) or len(found.as_tuple().digits) > 50:
        raise invalid(f"invalid {name}")
    return found


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "") in TRUE


def count(query: Mapping[str, str], name: str, default: int, largest: int, least: int = 1) -> int:
    """A whole number between `least` and `largest`. Raises BadRequest."""
    text = query.get(name)
    if text is None:
        return default
    found = whole(text)
    if found is None or not least <= found <= largest:
        raise invalid(f"invalid {name}")
    return found


def whole(text: str) -> int | None:
    """The number that up to twelve digits make."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def instant(query: Mapping[str, str], name: str) -> datetime | None:
    """RFC 3339 or a date; naive means UTC. Nanoseconds are cut. Raises BadRequest."""
    words = query.get(name)
    if not words:
        return None
    head, point, tail = words.replace("Z", "+00:00").replace(" ", "+").partition(".")
    if point:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        head += "." + tail[:digits][:6].ljust(6, "0") + tail[digits:]
    try:
        at = datetime.fromisoformat(head)
    except ValueError:
        raise invalid(f"invalid {name}: {words[:40]}") from None
    if not 1 < at.year < 9999:  # a day more or less must still be a date
        raise invalid(f"invalid {name}: {words[:40]}")
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def words(query: Mapping[str, str], name: str) -> list[str]:
    return [word for word in query.get(name, "").split(",") if word]
