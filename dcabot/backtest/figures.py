"""What came of a walk: every fill, every cycle, and the figures over them, exact.

Profits are in USD after all fees. What is still held at the end counts at the last bid, less the fee of selling it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.backtest.bot import Bot
from dcabot.backtest.compare import buy_and_hold, buy_periodically, deepest_fall
from dcabot.backtest.walk import Walk
from dcabot.core.ladder import most_spent
from dcabot.core.ledger import fold
from dcabot.core.model import Asset, Cycle, Order, Purpose, Side
from dcabot.core.money import EXACT, ZERO, text
from dcabot.core.profit import Fees, proceeds
from dcabot.core.report import CycleReport, report
from dcabot.core.snapshot import Fill as Executed
from dcabot.core.venue import Execution

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution, and how the asset stood after it: `invested` is what the open cycle has cost so far.

    `flow` is all the USD that ever came in less all that went out; with what is held it is the profit so far.
    """

    at: datetime
    cycle_id: int
    purpose: Purpose
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    held: Decimal
    average_price: Decimal
    invested: Decimal
    flow: Decimal

    @property
    def notional(self) -> Decimal:
        return EXACT.multiply(self.quantity, self.price)

    def line(self) -> str:
        """Everything that trading decided, in one line: what the fingerprint is made of."""
        numbers = (self.quantity, self.price, self.fee)
        words = (f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ}", self.purpose.value, self.side.value, *map(text, numbers))
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of one backtest."""

    symbol: str
    begins_at: datetime
    ends_at: datetime
    candles: int
    cycles: int
    profit: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    safety_orders: int
    capital: Decimal  # USD that one cycle can cost at most: what must lie ready
    capital_used: Decimal
    deepest_fall: Decimal
    longest_cycle: timedelta
    out_of_safety: timedelta
    held: Decimal
    held_cost: Decimal
    held_worth: Decimal
    buy_and_hold: Decimal
    periodic: Decimal
    fingerprint: str
    note: str = ""

    @property
    def length(self) -> timedelta:
        return self.ends_at - self.begins_at

    def of_capital(self, amount: Decimal) -> Decimal:
        """A ratio of what must lie ready."""
        return amount / self.capital


@dataclass(frozen=True, slots=True)
class Result:
    """The figures and what they are made of. The cycle that is still open at the end would bring its `unrealised`."""

    figures: Figures
    fills: tuple[Fill, ...]
    cycles: tuple[CycleReport, ...]
    open_cycle: CycleReport | None = None


def result(walk: Walk) -> Result:
    """The figures of a bot that has walked its way."""
    bot = walk.bot
    executions = {one.order_id: one for one in bot.executions}
    cycles = [*bot.finished, bot.cycle]
    fills = tuple(_fills(cycles, executions))
    fees = Fees(bot.terms.tier.taker, _by_order(bot.executions))
    reports = tuple(made for cycle in bot.finished if (made := report(cycle, fees)))
    figures = _figures(walk, fills, reports)
    still = report(bot.cycle, fees)
    return Result(figures, fills, reports, still and replace(still, closed_at=figures.ends_at))


def fingerprint(fills: Iterable[Fill]) -> str:
    """A hash over all fills: two runs that traded alike have the same."""
    return hashlib.sha256("\n".join(fill.line() for fill in fills).encode()).hexdigest()[:16]


def _figures(walk: Walk, fills: Sequence[Fill], reports: Sequence[CycleReport]) -> Figures:
    bot, candles = walk.bot, walk.candles
    rate, asset = bot.terms.tier.taker, bot.asset
    last_bid = walk.prices.quote(int(candles.close[-1]), 0).bid
    held = bot.venue.account.balance(bot.coin)
    worth = proceeds(held, last_bid, rate)
    realised = sum((one.profit for one in reports), ZERO)
    profit = (fills[-1].flow if fills else ZERO) + worth
    capital = most_spent(asset)
    money = [fill.fee if fill.side is Side.SELL else fill.fee * fill.price for fill in fills]
    return Figures(
        symbol=asset.symbol,
        begins_at=candles.begins_at,
        ends_at=candles.ends_at,
        candles=len(candles),
        cycles=len(reports),
        profit=profit,
        realised=realised,
        unrealised=profit - realised,
        fees=sum(money, ZERO),
        safety_orders=sum(fill.purpose is Purpose.SAFETY for fill in fills),
        capital=capital,
        capital_used=max((fill.invested for fill in fills), default=ZERO),
        deepest_fall=deepest_fall(candles, walk.path, [(f.at, f.price, f.held, f.flow) for f in fills]),
        longest_cycle=max(_durations(bot, candles.ends_at), default=timedelta()),
        out_of_safety=sum(_exhausted(bot, candles.ends_at), timedelta()),
        held=held,
        held_cost=fills[-1].invested if fills else ZERO,
        held_worth=worth,
        buy_and_hold=buy_and_hold(walk.prices, candles, capital, rate),
        periodic=buy_periodically(walk.prices, candles, capital, rate, DAY),
        fingerprint=fingerprint(fills),
        note=bot.note,
    )


def _by_order(executions: Iterable[Execution]) -> dict[str, list[Executed]]:
    found: dict[str, list[Executed]] = {}
    for one in executions:
        found.setdefault(one.order_id, []).append(Executed(one.order_id, one.quantity, one.price, one.at))
    return found


def _fills(cycles: Iterable[Cycle], executions: dict[str, Execution]) -> Iterator[Fill]:
    """Every order that filled, oldest first. Each fills whole: the venue here has no depth."""
    flow = ZERO
    for cycle in cycles:
        so_far: list[Order] = []
        invested = ZERO
        for order in sorted(_filled(cycle), key=lambda one: executions[one.order_id or ""].at):
            execution = executions[order.order_id or ""]
            so_far.append(order)
            holding = fold(so_far)
            notional = EXACT.multiply(execution.quantity, execution.price)
            is_buy = order.side is Side.BUY
            flow += -notional if is_buy else notional - execution.fee
            left = execution.position  # a large bag is sold in parts
            invested = invested + notional if is_buy else invested * left / (left + execution.quantity)
            yield Fill(
                at=execution.at,
                cycle_id=cycle.id,
                purpose=order.purpose,
                side=order.side,
                quantity=execution.quantity,
                price=execution.price,
                fee=execution.fee,
                fee_currency=execution.fee_currency,
                held=execution.position,
                average_price=holding.average_price,
                invested=invested,
                flow=flow,
            )


def _filled(cycle: Cycle) -> list[Order]:
    return [order for order in cycle.orders if order.filled_quantity]


def _durations(bot: Bot, end: datetime) -> Iterator[timedelta]:
    """How long each cycle lasted, from its first order; the open one until the end."""
    for cycle in [*bot.finished, bot.cycle]:
        orders = _filled(cycle)
        if orders:
            yield (cycle.completed_at or end) - orders[0].created_at


def _exhausted(bot: Bot, end: datetime) -> Iterator[timedelta]:
    """How long each cycle had no safety order left and could only wait."""
    most = bot.asset.rules.safety_count_max
    for cycle in [*bot.finished, bot.cycle]:
        buys = [order for order in _filled(cycle) if order.side is Side.BUY]
        if len(buys) > most:
            yield (cycle.completed_at or end) - (buys[most].closed_at or end)


def settings(asset: Asset) -> dict[str, str]:
    """The asset's rules under the names of its columns, percentages as percentages."""
    rules = asset.rules
    return {
        "base_order_amount": text(rules.base_notional),
        "safety_order_amount": text(rules.safety_notional),
        "max_safety_orders": str(rules.safety_count_max),
        "safety_order_deviation": text(rules.safety_drop_ratio * 100),
        "take_profit_percent": text(rules.take_profit_ratio * 100),
        "cooldown_period": str(rules.cooldown_seconds),
        "buy_order_price_deviation_percent": text(rules.restart_drop_ratio * 100),
    }
