"""A venue for tests: one account, BTC/USD and ETH/USD, ids that count, amounts as text."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from dcabot.core.matching import Venue
from dcabot.core.model import Quote, Side
from dcabot.core.venue import Event, OrderRequest, Policy, Refusal, VenueOrder, one_level, whole
from tests.builders import START, make_instrument

Amount = Decimal | int | str
NOW = START


def make_venue(
    cash: Amount = 100_000,
    slicer: Any = whole,
    levels: Any = one_level,
    **policy: Any,
) -> Venue:
    ids: Callable[[], str] = map(str, count(1)).__next__
    instruments = [make_instrument("BTC/USD"), make_instrument("ETH/USD"), make_instrument("MKR/USD", tradable=False)]
    venue = Venue(instruments, Decimal(cash), ids, Policy(**policy), slicer, levels)
    price(venue, 60_000, 60_010)
    price(venue, 1_800, 1_801, symbol="ETH/USD")
    return venue


def price(venue: Venue, bid: Amount, ask: Amount, symbol: str = "BTC/USD", now: datetime = NOW) -> list[Event]:
    return venue.on_quote(Quote(symbol, Decimal(bid), Decimal(ask), now), now)


def ask_for(side: str = "buy", quantity: Amount | None = "0.001", **fields: Any) -> OrderRequest:
    """A market order; with `limit_price` a limit order, with `stop_price` too a stop limit order."""
    kind = "market" if "limit_price" not in fields else "stop_limit" if "stop_price" in fields else "limit"
    numbers = {name: Decimal(fields.pop(name)) for name in ("limit_price", "stop_price", "notional") if name in fields}
    words = {"symbol": "BTC/USD", "type": kind, "time_in_force": "gtc", **fields}
    amount = None if quantity is None or "notional" in numbers else Decimal(quantity)
    return OrderRequest(side=Side(side), quantity=amount, **words, **numbers)


def accepted(venue: Venue, side: str = "buy", quantity: Amount | None = "0.001", **fields: Any) -> VenueOrder:
    """The order as admitted."""
    order = venue.submit(ask_for(side, quantity, **fields), fields.pop("now", NOW))
    assert isinstance(order, VenueOrder), order
    return order


def placed(venue: Venue, side: str = "buy", quantity: Amount | None = "0.001", **fields: Any) -> VenueOrder:
    """The order after it was admitted and activated."""
    order = accepted(venue, side, quantity, **fields)
    venue.activate(order.id, NOW)
    return venue.orders[order.id]


def refused(venue: Venue, side: str = "buy", quantity: Amount | None = "0.001", **fields: Any) -> Refusal:
    refusal = venue.submit(ask_for(side, quantity, **fields), NOW)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def held(venue: Venue, coin: str = "BTC") -> Decimal:
    return venue.account.balance(coin)
