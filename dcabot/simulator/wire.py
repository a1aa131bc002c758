"""Venue values to the wire's shapes: strings on the trading host, numbers on the data host. alpaca.md 2 to 4."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack  # type: ignore[import-untyped]

from dcabot.core.account import average_price
from dcabot.core.fees import CENT
from dcabot.core.model import Quote, Side
from dcabot.core.money import ONE, ZERO, step_down, text
from dcabot.core.sessions import new_york
from dcabot.core.venue import (
    USD,
    Activity,
    Event,
    Execution,
    FeeRow,
    Refusal,
    Transfer,
    VenueOrder,
    VenueStatus,
)
from dcabot.simulator.clock import EPOCH
from dcabot.simulator.listings import Listing

Json = dict[str, Any]
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHAINS = {coin: coin for coin in ("BTC", "ETH", "SOL", "DOGE", "LTC", "BCH", "AVAX", "XRP", "XTZ")}
CLOSED_FIELDS = {
    VenueStatus.FILLED: "filled_at",
    VenueStatus.CANCELED: "canceled_at",
    VenueStatus.EXPIRED: "expired_at",
    VenueStatus.REJECTED: "failed_at",
    VenueStatus.REPLACED: "replaced_at",
}


DATA_ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    408: "v2 not enabled",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    411: "insufficient scope",
    500: "internal error",
}


def number(value: Decimal) -> float:
    """A price or size as the data host writes it."""
    return float(value)


def optional(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def stamp(at: datetime | None, nanoseconds: int = 0) -> str | None:
    """RFC 3339 with nanoseconds and, as Alpaca writes it, without zeros at the end.

    The venue counts microseconds: the last three digits are decoration.
    """
    if at is None:
        return None
    return _stamp(at, f"{at.microsecond:06d}{nanoseconds % 1000:03d}")


def stamp_ns(at_ns: int) -> str:
    at = EPOCH + timedelta(seconds=at_ns // 1_000_000_000)
    return _stamp(at, f"{at_ns % 1_000_000_000:09d}")


def new_york_stamp(at: datetime) -> str:
    """The time in New York, with its distance from UTC."""
    local = new_york(at)
    behind = (at.replace(tzinfo=None) - local) // timedelta(hours=1)
    return f"{_stamp(local, f'{local.microsecond:06d}').removesuffix('Z')}-{behind:02d}:00"


def _stamp(at: datetime, digits: str) -> str:
    digits = digits.rstrip("0")
    return f"{at:%Y-%m-%dT%H:%M:%S}{digits and '.'}{digits}Z"


def ulid(value: int) -> str:
    """26 letters that sort as the 128-bit number they stand for."""
    return "".join(CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def timestamp(at_ns: int) -> Any:
    """A time as msgpack's own extension, with nanoseconds."""
    return msgpack.Timestamp(at_ns // 1_000_000_000, at_ns % 1_000_000_000)


def timestamp_place() -> Any:
    """A timestamp of the longest form, 12 bytes: something to write any time over."""
    return msgpack.Timestamp(2**34, 0)


def packed(message: Any) -> bytes:
    content: bytes = msgpack.packb(message)
    return content


def unpacked(content: bytes) -> Any:
    """Raises ValueError for what is no msgpack."""
    try:
        return msgpack.unpackb(content)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ValueError(f"unreadable msgpack: {type(error).__name__}") from None


def refusal_json(refusal: Refusal) -> Json:
    """The body of a refusal; the data host's have no code."""
    code = {"code": refusal.code} if refusal.code else {}
    return {**code, "message": refusal.message, **refusal.extras}


def order_json(order: VenueOrder, listing: Listing) -> Json:
    """An order as REST shows it."""
    created = stamp(order.submitted_at, order.number * 37)
    ends = dict.fromkeys(CLOSED_FIELDS.values())
    if order.status in CLOSED_FIELDS:
        ends[CLOSED_FIELDS[order.status]] = stamp(order.closed_at, order.number * 37)
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": created,
        "updated_at": stamp(order.updated_at, order.number * 37),
        "submitted_at": created,
        **ends,
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": listing.id,
        "symbol": order.symbol,
        "asset_class": "crypto",
        "notional": optional(order.notional),
        "qty": optional(order.quantity),
        "filled_qty": text(order.filled_quantity),
        "filled_avg_price": optional(order.filled_price),
        "order_class": "",
        "order_type": order.type.value,
        "type": order.type.value,
        "side": order.side.value,
        "position_intent": "buy_to_open" if order.side is Side.BUY else "sell_to_close",
        "time_in_force": order.time_in_force.value,
        "limit_price": optional(order.limit_price),
        "stop_price": optional(order.stop_price),
        "status": order.status.value,
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
        "expires_at": f"{order.expires_at:%Y-%m-%dT%H:%M:%SZ}",
    }


def update_json(event: Event, listing: Listing, event_id: str, position_after_fee: bool) -> Json:
    """The `data` of a trade update: the order without its REST-only fields, and what this event adds."""
    order = order_json(event.order, listing)
    del order["subtag"], order["source"]
    order["cancel_requested_at"] = stamp(event.order.cancel_requested_at)
    data: Json = {
        "at": stamp(event.at),
        "event_id": event_id,
        "event": event.name,
        "timestamp": stamp(event.at, event.order.number * 37),
        "order": order,
    }
    if event.execution_id is not None:
        data["execution_id"] = event.execution_id
    execution = event.execution
    if execution is not None:
        before_fee = execution.position
        if execution.side is Side.BUY and not position_after_fee:
            before_fee += execution.fee
        data |= {
            "price": text(execution.price),
            "qty": text(execution.quantity),
            "position_qty": text(before_fee),
            "swap_rate": "1",
            "settle_date": f"{event.at:%Y-%m-%d}",
        }
    return data


def activity_id(activity: Activity) -> str:
    """The id of a ledger row: a fee has its UTC day and no time, a fill New York's clock."""
    if isinstance(activity, FeeRow):
        return f"{activity.at:%Y%m%d}{0:09d}::{activity.id}"
    local = new_york(activity.at)
    return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}::{activity.id}"


def activity_json(activity: Activity, order: VenueOrder) -> Json:
    return _fee_json(activity) if isinstance(activity, FeeRow) else _fill_json(activity, order)


def _fill_json(fill: Execution, order: VenueOrder) -> Json:
    is_whole = fill.leaves == 0
    return {
        "id": activity_id(fill),
        "activity_type": "FILL",
        "transaction_time": stamp(fill.at),
        "type": "fill" if is_whole else "partial_fill",
        "price": text(fill.price),
        "qty": text(fill.quantity),
        "side": fill.side.value,
        "symbol": fill.symbol,
        "leaves_qty": text(fill.leaves),
        "order_id": fill.order_id,
        "cum_qty": text(fill.cumulative),
        "order_status": "filled" if is_whole else "partially_filled",
        "swap_rate": "1",
    }


def _fee_json(row: FeeRow) -> Json:
    fill = row.execution
    base = {
        "id": activity_id(row),
        "activity_type": "CFEE",
        "date": f"{row.at:%Y-%m-%d}",
        "status": "executed",
        "currency": "USD",
        "created_at": stamp(row.at),
    }
    if fill.fee_currency == USD:
        return {**base, "net_amount": text(-fill.fee), "description": "Coin Pair Transaction Fee (USD)"}
    return {
        **base,
        "net_amount": "0",
        "description": "Coin Pair Transaction Fee (Non USD)",
        "symbol": f"{fill.fee_currency}{USD}",
        "qty": text(-fill.fee),
        "price": text(step_down(fill.price, CENT if fill.price >= 1 else CENT / 100)),
        "cusip": f"{fill.fee_currency}123456",
    }


def position_json(
    coin: str, facts: dict[str, Decimal], quotes: tuple[Quote | None, Quote | None], asset_id: str
) -> Json:
    """A position as REST shows it. `facts`: quantity, available, cost; `quotes`: now and the last of the day before."""
    quantity, cost = facts["quantity"], facts["cost"]
    entry = average_price(cost, quantity) if cost > 0 else ZERO
    price = _mid(quotes[0]) if quotes[0] else entry
    last = _mid(quotes[1]) if quotes[1] else price
    value = quantity * price
    profit = value - cost
    return {
        "asset_id": asset_id,
        "symbol": f"{coin}{USD}",
        "exchange": "CRYPTO",
        "asset_class": "crypto",
        "asset_marginable": False,
        "qty": text(quantity),
        "qty_available": text(facts["available"]),
        "avg_entry_price": text(entry),
        "side": "long",
        "market_value": text(value),
        "cost_basis": text(cost),
        "unrealized_pl": text(profit),
        "unrealized_plpc": _ratio(profit, cost),
        "unrealized_intraday_pl": text(profit),
        "unrealized_intraday_plpc": _ratio(profit, cost),
        "current_price": text(price),
        "lastday_price": text(last),
        "change_today": _ratio(price - last, last),
    }


def _mid(quote: Quote) -> Decimal:
    return (quote.bid + quote.ask) / 2


def _ratio(part: Decimal, whole: Decimal) -> str:
    return text((part / whole).quantize(Decimal("1e-16"))) if whole else "0"


def account_json(
    money: dict[str, Decimal],
    tier: int,
    now: datetime,
    account_id: str,
    settings: Json,
) -> Json:
    """The account, of its `money`.

    `cash` is without what open buys hold (`held`), as recorded; `value` is that of the coins.
    """
    cash, value = text(money["cash"]), text(money["value"])
    equity = text(money["cash"] + money["held"] + money["value"])
    zero, free = "0", max(ZERO, money["cash"])
    multiplier = settings["max_margin_multiplier"]
    power = text(free * int(multiplier))
    return {
        "id": account_id,
        "account_number": "PA3SIMULATOR",
        "currency": USD,
        "cash": cash,
        "equity": equity,
        "last_equity": text(money["last_equity"]),
        "portfolio_value": equity,
        "buying_power": power,
        "regt_buying_power": power,
        "non_marginable_buying_power": text(free),
        "options_buying_power": text(free),
        "effective_buying_power": power,
        "accrued_fees": text(money["fees"]),
        "pending_transfer_in": zero,
        "long_market_value": value,
        "short_market_value": zero,
        "position_market_value": value,
        "initial_margin": zero,
        "maintenance_margin": zero,
        "last_maintenance_margin": zero,
        "sma": cash,
        "multiplier": multiplier,
        "crypto_tier": tier,
        "balance_asof": f"{new_york(now) - timedelta(days=1):%Y-%m-%d}",
        "intraday_adjustments": zero,
        "pending_reg_taf_fees": zero,
        "shorting_enabled": not settings["no_shorting"],
        "admin_configurations": {},
        "user_configurations": None,
        "options_approved_level": 3,
        "options_trading_level": 3,
        "created_at": "2024-01-02T03:04:05.678901Z",
    }


def transfer_json(one: Transfer) -> Json:
    """A transfer of coins. A chain's own coin is NATIVE: then the chain says which coin it is."""
    chain = CHAINS.get(one.coin, "ETH")
    return {
        "id": one.id,
        "tx_hash": f"0x{UUID(one.id).hex * 2}",
        "direction": "INCOMING" if one.is_incoming else "OUTGOING",
        "status": one.status.value,
        "amount": text(one.amount),
        "usd_value": text(one.amount * one.price),
        "network_fee": "0",
        "fees": "0",
        "chain": chain,
        "asset": "NATIVE" if one.coin == chain else one.coin,
        "from_address": "",
        "to_address": "",
        "created_at": stamp(one.at),
    }


def asset_json(listing: Listing) -> Json:
    instrument = listing.instrument
    return {
        "id": listing.id,
        "class": "crypto",
        "exchange": "CRYPTO",
        "symbol": listing.symbol,
        "name": listing.name,
        "status": "active" if instrument.tradable else "inactive",
        "tradable": instrument.tradable,
        "marginable": False,
        "maintenance_margin_requirement": 100,
        "margin_requirement_long": "100",
        "margin_requirement_short": "100",
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": listing.fractionable,
        "attributes": ["fractional_eh_enabled"] if listing.fractionable else [],
        "min_order_size": text(instrument.quantity_min),
        "min_trade_increment": text(instrument.quantity_step),
        "price_increment": text(instrument.price_step),
    }


def quote_numbers(quote: Quote, sizes: tuple[Decimal, Decimal] = (ONE, ONE)) -> Json:
    """Prices and sizes of a quote as the data host writes them."""
    bid_size, ask_size = sizes
    return {
        "bp": number(quote.bid),
        "bs": number(bid_size),
        "ap": number(quote.ask),
        "as": number(ask_size),
    }


def level_json(price: Decimal, size: Decimal) -> Json:
    return {"p": number(price), "s": number(size)}
