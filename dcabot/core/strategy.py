"""The trading rules: one quote and one cycle in, one decision out. `system.md` section 5 numbers them.

A decision is asked for on the book in memory, and again on the row under its lock if that has changed,
so it depends on nothing but its arguments.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from dcabot.core.ledger import DUST_NOTIONAL, Holding, fold
from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    Decision,
    Instrument,
    Order,
    OrderStatus,
    Purpose,
    Quote,
    Refusal,
    Side,
    dropped,
    raised,
)
from dcabot.core.money import step_down, step_up, text
from dcabot.core.rules import MAXIMUM_NOTIONAL, buy_quantity, too_small
from dcabot.core.states import OVER, is_open

BACKOFF_SECONDS_MAX = 600  # a refused order is tried again after 1, 2, 4 ... seconds, at most this
NO_VERDICT_SECONDS = 5  # one that Alpaca never judged: by then there are requests, or a line, again
NO_VERDICT = frozenset({Refusal.RATE_LIMITED, Refusal.UNREACHABLE})
CANCEL_AGAIN = timedelta(seconds=30)  # a cancel that brought no report is asked for again
SELL_RESTS_AFTER = timedelta(seconds=60)  # a market sell fills in milliseconds; one that rests hangs on the collar
SELL_NOTIONAL_MAX = MAXIMUM_NOTIONAL / 2  # a ladder may hold more than one order may sell, and the price moves
REFUSALS = frozenset({OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.EXPIRED})


@dataclass(frozen=True, slots=True)
class Market:
    """What a decision may know of the world.

    `unowned`: coins at Alpaca that no cycle bought; `buying_power`: USD the account can spend. None while unknown.
    """

    instrument: Instrument
    quote: Quote
    unowned: Decimal | None
    now: datetime
    buying_power: Decimal | None = None


def on_quote(asset: Asset, cycle: Cycle, market: Market) -> Decision | None:
    """What this quote makes the cycle do; None when nothing, which is nearly always.

    A decision without requests is a sentence to say once: why the rules would trade and do not.
    """
    if cycle.status in OVER or (asset.held_back and not asset.sells_on):
        return None
    if cycle.missing_since is not None:
        return None  # coins of it are not shown: until that is explained, any order may be wrong
    freed = free_resting_sell(cycle, market.now)
    if freed is not None:
        return freed
    holding = fold(cycle.orders)
    sellable = step_down(holding.held, market.instrument.quantity_step)
    if not sellable:
        return _base_order(asset, cycle, market)
    if market.quote.bid >= take_profit_price(asset, holding):
        return _take_profit(cycle, market, holding)
    return _safety_order(asset, cycle, market, holding)


def take_profit_price(asset: Asset, holding: Holding) -> Decimal:
    """The bid at which the cycle is sold."""
    return raised(holding.average_price, asset.rules.take_profit_ratio)


def safety_price(asset: Asset, holding: Holding) -> Decimal | None:
    """The ask at which the next safety order is placed; None when none is left."""
    if holding.last_buy_price is None or holding.safety_count >= asset.rules.safety_count_max:
        return None
    return dropped(holding.last_buy_price, asset.rules.safety_drop_ratio)


def restart_price(asset: Asset) -> Decimal | None:
    """The ask that ends a cooldown early; None before the first sale."""
    if asset.last_sell_price is None:
        return None
    return dropped(asset.last_sell_price, asset.rules.restart_drop_ratio)


def _base_order(asset: Asset, cycle: Cycle, market: Market) -> Decision | None:
    if not _may_buy(asset) or _waits(cycle, Side.BUY, market.now):
        return None
    ask, why = market.quote.ask, "base order"
    if cycle.status is CycleStatus.COOLDOWN or _still_cools(asset, cycle, market.now):
        threshold = restart_price(asset)
        if threshold is None or ask > threshold:
            return None
        why = f"early restart, ask {text(ask)} at or below {text(threshold)}: base order"
    if market.unowned is None:
        return None
    if not is_dust(market.unowned, market) and not asset.trades_beside_foreign_coins:
        return Decision(
            cycle,
            f"foreign coins: Alpaca shows {text(market.unowned)} {asset.symbol} that no cycle bought; "
            "no base order beside them",
        )
    return _buy(cycle, market, Purpose.BASE, asset.rules.base_notional, why)


def _may_buy(asset: Asset) -> bool:
    return asset.enabled and not asset.held_back


def _still_cools(asset: Asset, cycle: Cycle, now: datetime) -> bool:
    """True when an early restart came to nothing: the cooldown that it broke goes on."""
    since = cycle.cooldown_since
    return since is not None and now - since < timedelta(seconds=asset.rules.cooldown_seconds)


def is_dust(quantity: Decimal, market: Market) -> bool:
    """True when a position is worth less than a dollar or cannot be sold."""
    return quantity < market.instrument.quantity_step or quantity * market.quote.bid < DUST_NOTIONAL


def _safety_order(asset: Asset, cycle: Cycle, market: Market, holding: Holding) -> Decision | None:
    ask, threshold = market.quote.ask, safety_price(asset, holding)
    if threshold is None or ask > threshold or not _may_buy(asset) or _waits(cycle, Side.BUY, market.now):
        return None
    count = f"{holding.safety_count + 1} of {asset.rules.safety_count_max}"
    why = f"safety order {count}, ask {text(ask)} at or below {text(threshold)}"
    return _buy(cycle, market, Purpose.SAFETY, asset.rules.safety_notional, why)


def _buy(cycle: Cycle, market: Market, purpose: Purpose, notional: Decimal, why: str) -> Decision:
    instrument = market.instrument
    price = step_up(market.quote.ask, instrument.price_step)
    quantity = buy_quantity(notional, price, instrument)
    fault = too_small(quantity, price, instrument)
    if fault:
        return Decision(cycle, f"{purpose.value} order of {text(notional)} USD comes to {fault}; raise the amount")
    if market.buying_power is not None and quantity * price > market.buying_power:
        # Alpaca would refuse it; every refusal would leave a row.
        have = text(market.buying_power)
        return Decision(cycle, f"{purpose.value} order of {text(notional)} USD waits for money: the account has {have}")
    order = Order(
        cycle.next_id(purpose),
        purpose,
        Side.BUY,
        quantity,
        price,
        market.now,
        foreign_quantity=market.unowned,
    )
    bought = replace(cycle.with_order(order), status=CycleStatus.BUYING)
    sentence = f"{why}: buy {text(quantity)} at {text(price)}"
    return Decision(bought, sentence, submit=(order,), quiet=refused_before(bought, order) is not None)


def _take_profit(cycle: Cycle, market: Market, holding: Holding) -> Decision | None:
    prices = f"bid {text(market.quote.bid)} over average {text(holding.average_price)}"
    return sell_all(cycle, market.instrument, market.now, f"take profit, {prices}", market.quote.bid)


def sell_all(
    cycle: Cycle, instrument: Instrument, now: datetime, why: str, price: Decimal | None = None
) -> Decision | None:
    """Sell at the market all that the cycle holds. None while that must wait, or when nothing can be sold.

    `price` is about what a coin brings, else what was paid for it: more than Alpaca takes at once is sold in parts.
    Alpaca refuses a sell beside an open buy as a wash trade: ask for the buys to be cancelled, then look again.
    """
    open_buys = [order for order in cycle.orders if is_open(order) and order.side is Side.BUY]
    if open_buys:
        due = tuple(order for order in open_buys if cancel_is_due(order, now))
        return request_cancel(cycle, due, now, f"{why}: cancel the open buy first") if due else None
    holding = fold(cycle.orders)
    quantity = step_down(holding.held, instrument.quantity_step)
    if not quantity or not holding.settled or _waits(cycle, Side.SELL, now):
        return None
    most = buy_quantity(SELL_NOTIONAL_MAX, price or holding.average_price, instrument)
    quantity = min(quantity, max(most, instrument.quantity_step))
    order = Order(cycle.next_id(Purpose.TAKE_PROFIT), Purpose.TAKE_PROFIT, Side.SELL, quantity, None, now)
    sold = replace(cycle.with_order(order), status=CycleStatus.SELLING)
    sentence = f"{why}: sell {text(quantity)}"
    return Decision(sold, sentence, submit=(order,), quiet=refused_before(sold, order) is not None)


def cancel_is_due(order: Order, now: datetime) -> bool:
    """True when the exchange has the order and was not asked to cancel it within the last half minute."""
    if order.order_id is None:
        return False
    asked = order.cancel_requested_at
    return asked is None or now - asked >= CANCEL_AGAIN


def free_resting_sell(cycle: Cycle, now: datetime) -> Decision | None:
    """A market sell that hangs on the price collar is cancelled; None when none does."""
    resting = tuple(order for order in cycle.orders if _rests(order, now))
    if not resting:
        return None
    sentence = "the sell rests at Alpaca's price collar: cancel it, the remainder is sold on"
    return request_cancel(cycle, resting, now, sentence)


def _rests(order: Order, now: datetime) -> bool:
    """True when a sell should have been filled long ago and may be cancelled."""
    is_slow = order.side is Side.SELL and is_open(order) and now - order.created_at >= SELL_RESTS_AFTER
    return is_slow and cancel_is_due(order, now)


def request_cancel(cycle: Cycle, orders: tuple[Order, ...], now: datetime, reason: str) -> Decision:
    """Ask for these orders to be cancelled. They stay open until a report says they are gone."""
    for order in orders:
        cycle = cycle.with_order(replace(order, cancel_requested_at=now))
    return Decision(cycle, reason, cancel=orders)


def _waits(cycle: Cycle, side: Side, now: datetime) -> bool:
    """True while an order is open or the last refusal of this side is too fresh."""
    if any(is_open(order) for order in cycle.orders):
        return True
    until = backoff_until(cycle, side)
    return until is not None and now < until


def backoff_until(cycle: Cycle, side: Side) -> datetime | None:
    """When the next order may be tried after refusals in a row; None when the last order was not refused.

    Each side has its own: buys that cannot be paid must not hold up the take profit. A limit of requests and a line
    that is down say nothing of the order, so they do not double the pause.
    """
    mine = [order for order in reversed(cycle.orders) if order.side is side]
    refused = list(takewhile(_was_refused, mine))
    if not refused:
        return None
    rejections = sum(order.refusal not in NO_VERDICT for order in refused)
    seconds = min(2 ** min(rejections - 1, 20), BACKOFF_SECONDS_MAX) if rejections else 0
    if refused[0].refusal in NO_VERDICT:
        seconds = max(seconds, NO_VERDICT_SECONDS)
    return (refused[0].closed_at or refused[0].created_at) + timedelta(seconds=seconds)


def refused_before(cycle: Cycle, order: Order) -> Order | None:
    """The order of the same side before this one, if it was rejected: then this one is another try."""
    earlier = takewhile(lambda one: one.client_order_id != order.client_order_id, cycle.orders)
    mine = [one for one in earlier if one.side is order.side]
    return mine[-1] if mine and mine[-1].status is OrderStatus.REJECTED else None


def _was_refused(order: Order) -> bool:
    """True when the exchange ended it with nothing filled and nobody here asked for that."""
    return order.status in REFUSALS and not order.filled_quantity and order.cancel_requested_at is None
