"""The trading rules: one quote and one cycle in, one decision out.

A decision is asked for on the book in memory, and again on the row under its lock if that has changed,
so it depends on nothing but its arguments.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core.ages import has_passed
from dcabot.core.exits import free_resting_sell, left_over, sell_at_limit, sell_at_market
from dcabot.core.ledger import DUST_NOTIONAL, Holding, fee_of, fold
from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    Decision,
    Instrument,
    Obstacle,
    Order,
    Purpose,
    Quote,
    Side,
    TakeProfitOrder,
    dropped,
)
from dcabot.core.money import EXACT, HUNDRED, ZERO, step_down, step_up, text
from dcabot.core.retry import tried_before, waits
from dcabot.core.rules import buy_quantity, too_small
from dcabot.core.sale_price import sale_price
from dcabot.core.second_look import SecondLook
from dcabot.core.states import OVER


@dataclass(frozen=True, slots=True)
class Market:
    """What a decision may know of the world.

    `unowned`: coins at Alpaca that no cycle bought; `buying_power`: USD the account can spend. None while unknown.
    `look` is what REST says of a bid that would sell at the market, `spread_max` the ratio above which no
    base order is placed, None for any.
    """

    instrument: Instrument
    quote: Quote
    unowned: Decimal | None
    now: datetime
    buying_power: Decimal | None = None
    look: SecondLook | None = None
    spread_max: Decimal | None = None


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
    holding = fold(cycle.working)
    if not step_down(holding.held, market.instrument.quantity_step):
        return left_over(cycle, holding, market.now) or _base_order(asset, cycle, market)
    price = sale_price(asset, holding, market.instrument)
    if market.quote.bid >= price:
        return _take_profit(asset, cycle, market, holding, price)
    return _safety_order(asset, cycle, market, holding)


def _take_profit(asset: Asset, cycle: Cycle, market: Market, holding: Holding, price: Decimal) -> Decision | None:
    """Sell; at the market only what REST bears out: what the stream alone told may be false."""
    quote, now = market.quote, market.now
    why = f"take profit, bid {text(quote.bid)} over average {text(holding.average_price)}"
    if asset.take_profit_order is TakeProfitOrder.LIMIT:
        return sell_at_limit(cycle, market.instrument, quote, now, price, why)
    look = market.look
    if look is not None and look.is_silent(now):
        why += "; Alpaca's data host does not answer, so at a limit instead of at the market"
        return sell_at_limit(cycle, market.instrument, quote, now, price, why)
    if look is None or not look.agrees(price):
        return Decision(cycle, _doubt(look, quote, price), looks=True)
    return sell_at_market(cycle, market.instrument, now, why, Purpose.TAKE_PROFIT, quote.bid, quote.at)


def reaches_sale_price(asset: Asset, cycle: Cycle, market: Market) -> bool:
    """True while the bid would sell the position, whatever else the sale waits for."""
    holding = fold(cycle.working)
    if cycle.status in OVER or not step_down(holding.held, market.instrument.quantity_step):
        return False
    return market.quote.bid >= sale_price(asset, holding, market.instrument)


def _doubt(look: SecondLook | None, quote: Quote, price: Decimal) -> str:
    """A sentence when REST contradicts the stream, else empty: then it is only a matter of seconds."""
    latest = look.latest if look else None
    if latest is None or latest.bid >= price:
        return ""
    return (
        f"the stream's bid of {text(quote.bid)} reaches the sale price {text(price)}, but REST's latest is "
        f"{text(latest.bid)}: nothing is sold until both agree"
    )


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
    if not _may_buy(asset) or waits(cycle, Side.BUY, market.now):
        return None
    ask, why = market.quote.ask, "base order"
    if cycle.status is CycleStatus.COOLDOWN or _still_cools(asset, cycle, market.now):
        threshold = restart_price(asset)
        if threshold is None or ask > threshold:
            return None
        why = f"early restart, ask {text(ask)} at or below {text(threshold)}: base order"
    if _is_wide(market):
        return Decision(cycle, _spread_sentence(market), waits_for=Obstacle.SPREAD)
    if market.unowned is None:
        return None
    if not is_dust(market.unowned, market) and not asset.trades_beside_foreign_coins:
        return Decision(
            cycle,
            f"foreign coins: Alpaca shows {text(market.unowned)} {asset.symbol} that no cycle bought; "
            "no base order beside them",
        )
    return _buy(cycle, market, Purpose.BASE, asset.rules.base_notional, why)


def spread_ratio(quote: Quote) -> Decimal:
    """How far the ask is above the bid."""
    return EXACT.divide(quote.ask - quote.bid, quote.bid)


def _is_wide(market: Market) -> bool:
    return market.spread_max is not None and spread_ratio(market.quote) > market.spread_max


def _spread_sentence(market: Market) -> str:
    quote, most = market.quote, (market.spread_max or ZERO) * HUNDRED
    wide = (spread_ratio(quote) * HUNDRED).quantize(Decimal("0.01"))
    return (
        f"no base order: the spread is {text(wide)} % (bid {text(quote.bid)}, ask {text(quote.ask)}), "
        f"above DCABOT_SPREAD_MAX_PERCENT {text(most)}"
    )


def _may_buy(asset: Asset) -> bool:
    return asset.enabled and not asset.held_back


def _still_cools(asset: Asset, cycle: Cycle, now: datetime) -> bool:
    """True when an early restart came to nothing: the cooldown that it broke goes on."""
    since = cycle.cooldown_since
    return since is not None and not has_passed(since, now, timedelta(seconds=asset.rules.cooldown_seconds))


def is_dust(quantity: Decimal, market: Market) -> bool:
    """True when a position is worth less than a dollar or cannot be sold."""
    return quantity < market.instrument.quantity_step or quantity * market.quote.bid < DUST_NOTIONAL


def _safety_order(asset: Asset, cycle: Cycle, market: Market, holding: Holding) -> Decision | None:
    ask, threshold = market.quote.ask, safety_price(asset, holding)
    if threshold is None or ask > threshold or not _may_buy(asset) or waits(cycle, Side.BUY, market.now):
        return None
    count = f"{holding.safety_count + 1} of {asset.rules.safety_count_max}"
    why = f"safety order {count}, ask {text(ask)} at or below {text(threshold)}"
    return _buy(cycle, market, Purpose.SAFETY, asset.rules.safety_notional, why)


def _buy(cycle: Cycle, market: Market, purpose: Purpose, notional: Decimal, why: str) -> Decision:
    instrument = market.instrument
    price = step_up(market.quote.ask, instrument.price_step)
    quantity = buy_quantity(notional, price, instrument)
    order = Order(
        cycle.next_id(purpose),
        purpose,
        Side.BUY,
        quantity,
        price,
        market.now,
        quote_at=market.quote.at,
        foreign_quantity=market.unowned,
    )
    fault = too_small(quantity, price, instrument) or _unsellable(order, instrument)
    if fault:
        return Decision(cycle, f"{purpose.value} order of {text(notional)} USD comes to {fault}; raise the amount")
    if market.buying_power is not None and quantity * price > market.buying_power:
        # Alpaca would refuse it; every refusal would leave a row.
        have = text(market.buying_power)
        return Decision(cycle, f"{purpose.value} order of {text(notional)} USD waits for money: the account has {have}")
    bought = replace(cycle.with_order(order), status=CycleStatus.BUYING)
    sentence = f"{why}: buy {text(quantity)} at {text(price)}"
    return Decision(bought, sentence, submit=(order,), quiet=tried_before(bought, order) is not None)


def _unsellable(order: Order, instrument: Instrument) -> str:
    """A sentence when the fee would leave less than one step of a base order; it would be bought again and again."""
    if order.purpose is not Purpose.BASE:
        return ""
    left = order.quantity - fee_of(replace(order, filled_quantity=order.quantity))
    if step_down(left, instrument.quantity_step):
        return ""
    step = text(instrument.quantity_step)
    return f"{text(order.quantity)} coins, of which the fee leaves none to sell in steps of {step}"
