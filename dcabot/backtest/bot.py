"""One asset traded in the time of its quotes: the daemon's strategy, lifecycle and ledger, at the simulator's venue.

What the daemon does between two quotes happens here at once: an order arrives (after `slippage`), its fill is booked,
and the position tells what Alpaca kept as its fee. `Trigger` says which prices and times can make anything happen.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from dcabot.core import lifecycle, reconcile
from dcabot.core.fees import TIERS, Tier
from dcabot.core.ledger import fold
from dcabot.core.matching import Venue
from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    Decision,
    Instrument,
    Order,
    OrderReport,
    OrderStatus,
    Quote,
    Side,
    TakeProfitOrder,
)
from dcabot.core.money import EXACT, ONE, ZERO, step_down, step_up, text
from dcabot.core.quotes import Screen, screen
from dcabot.core.reconcile import Entry, Limits, Snapshot
from dcabot.core.retry import backoff_until, next_sale_at_limit
from dcabot.core.sale_price import sale_price
from dcabot.core.second_look import borne_out
from dcabot.core.snapshot import Refused
from dcabot.core.states import is_open
from dcabot.core.strategy import Market, on_quote, restart_price, safety_price
from dcabot.core.venue import (
    Event,
    Execution,
    OrderRequest,
    OrderType,
    Policy,
    Refusal,
    VenueOrder,
    VenueStatus,
    coins_of,
)

STALE = Limits().stale
SLIPPAGE = Decimal("0.0005")  # of the price: what it may move in the quarter of a second that an order is on its way
ENDLESS = Decimal(10) ** 12  # USD: an account that is never short of money

STATUSES = {
    VenueStatus.FILLED: OrderStatus.FILLED,
    VenueStatus.CANCELED: OrderStatus.CANCELED,
    VenueStatus.EXPIRED: OrderStatus.EXPIRED,
    VenueStatus.REJECTED: OrderStatus.REJECTED,
    VenueStatus.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What trading costs: the account's cash, its fee tier, and how far the price runs away before an order arrives.

    A sell gets so much less. A buy never pays more than the price it saw, its limit: it waits there. Every fill pays
    the taker rate, so slippage makes no fill better than it would have been.
    """

    cash: Decimal = ENDLESS
    tier: Tier = TIERS[0]
    slippage: Decimal = ZERO
    stale: timedelta = STALE


@dataclass(frozen=True, slots=True)
class Trigger:
    """Nothing happens before one of these: an ask at or below `ask`, a bid at or above `bid`, the instant `due`.

    With `always` the next quote matters, whatever it is.
    """

    ask: Decimal | None = None
    bid: Decimal | None = None
    due: datetime | None = None
    always: bool = False

    def is_reached(self, quote: Quote) -> bool:
        return (
            self.always
            or (self.ask is not None and quote.ask <= self.ask)
            or (self.bid is not None and quote.bid >= self.bid)
            or (self.due is not None and quote.at >= self.due)
        )


@dataclass(slots=True)
class Bot:
    """An asset, its current cycle, and the venue where it trades."""

    asset: Asset
    instrument: Instrument
    terms: Terms
    opened_at: datetime
    venue: Venue = field(init=False)
    cycle: Cycle = field(init=False)
    finished: list[Cycle] = field(default_factory=list)
    screen: Screen = field(default_factory=Screen)
    dearest: Decimal = ENDLESS  # no ask will be above it
    note: str = ""  # what kept it from trading last, in the strategy's words
    coin: str = field(init=False)

    def __post_init__(self) -> None:
        new_id: Callable[[], str] = map(str, count(1)).__next__
        tier = self.terms.tier
        # To come late must not be cheaper; fees are paid once a day; the candle's price counts.
        tiers = (replace(tier, volume=ZERO, maker=tier.taker),)
        policy = Policy(tiers=tiers, fee_delay=None, resting_fills_at_limit=False)
        self.venue = Venue([self.instrument], self.terms.cash, new_id, policy)
        self.cycle = Cycle(1, self.asset.id, self.asset.symbol, CycleStatus.WATCHING, self.opened_at)
        self.coin = coins_of(self.asset.symbol)[0]

    @property
    def executions(self) -> list[Execution]:
        """Every fill, oldest first."""
        return [one for one in self.venue.account.activities if isinstance(one, Execution)]

    def on_quote(self, quote: Quote) -> None:
        """Everything that this quote brings about, to its end."""
        if not self._hear_quote(quote):
            return
        while (decision := self._decision(quote)) is not None:
            self._carry_out(decision, quote.at, quote)

    def look(self, quote: Quote) -> Trigger:
        """As `on_quote`, but after an order it asks for the trigger before it looks at the quote again."""
        if self._hear_quote(quote):
            while (decision := self._decision(quote)) is not None:
                self._carry_out(decision, quote.at, quote)
                trigger = self.trigger()
                if not trigger.is_reached(quote):
                    return trigger
        return self.trigger()

    def _hear_quote(self, quote: Quote) -> bool:
        """Time passes and the venue fills what the quote reaches; false when the quote must not decide."""
        now = quote.at
        self.pass_time(now)
        if events := self.venue.on_quote(self._at_limit(quote), now):
            self._hear(events, now)
        self.screen = screen(self.screen, quote, quote.at)
        return not self.screen.fault

    def _decision(self, quote: Quote) -> Decision | None:
        """What the strategy wants to be done; None when nothing."""
        decision = on_quote(self.asset, self.cycle, self._market(quote))
        if decision is None or self._would_miss(decision, quote):
            return None
        if decision.acts:
            return decision
        self.note = decision.reason
        return None

    def trigger(self) -> Trigger:
        """What the next event must be, by the strategy's own prices."""
        cycle, asset = self.cycle, self.asset
        if self.screen.doubted is not None:
            return Trigger(always=True)
        open_orders = [order for order in cycle.orders if is_open(order)]
        if any(order.side is Side.SELL for order in open_orders) or _is_backing_off(cycle):
            return Trigger(always=True)
        holding = fold(cycle.orders)
        sells = bool(step_down(holding.held, self.instrument.quantity_step))
        if sells and self._sold_just_now():
            return Trigger(always=True)
        bid = self._bid_that_sells() if sells else None
        if open_orders:
            limits = [order.limit_price for order in open_orders if order.limit_price is not None]
            return Trigger(ask=max(limits), bid=bid, due=self._stale_at(open_orders))
        if sells:
            ask = safety_price(asset, holding)
            return Trigger(ask=self._payable(ask, asset.rules.safety_notional), bid=bid)
        if cycle.status is not CycleStatus.COOLDOWN:
            return Trigger(always=self._may_pay(asset.rules.base_notional, self.dearest))
        ask = self._payable(restart_price(asset), asset.rules.base_notional)
        return Trigger(ask=ask, due=self._cooldown_end())

    def pass_time(self, now: datetime) -> None:
        """End the cooldown and cancel stale buys, each at its own instant."""
        cycle = self.cycle
        if cycle.status is CycleStatus.COOLDOWN:
            due = self._cooldown_end()
            if due <= now:
                self._take(lifecycle.on_cooldown_over(self.asset, cycle, due))
        elif cycle.status is CycleStatus.BUYING:
            due = self._stale_at([order for order in cycle.orders if is_open(order)])
            if due <= now and (decision := lifecycle.on_stale(cycle, due, self.terms.stale)):
                self._carry_out(decision, due, None)

    # --- sales at a limit ---

    def _would_miss(self, decision: Decision, quote: Quote) -> bool:
        """True for a sale at a limit that would find the price gone when it arrives: the daemon tries it each second,
        here nothing is left of it."""
        if self.asset.take_profit_order is not TakeProfitOrder.LIMIT:
            return False
        bid = self._slipped(quote).bid
        sales = [order for order in decision.submit if order.side is Side.SELL]
        return any(order.limit_price is not None and bid < order.limit_price for order in sales)

    def _bid_that_sells(self) -> Decimal:
        """The lowest bid that can sell: after slippage it must still reach the limit."""
        price = sale_price(self.asset, fold(self.cycle.orders), self.instrument)
        if self.asset.take_profit_order is not TakeProfitOrder.LIMIT:
            return price
        reached = EXACT.divide(price, ONE - self.terms.slippage)
        return step_down(reached, self.instrument.price_step)  # a look too many does nothing

    def _sold_just_now(self) -> bool:
        """True in the second after a sale at a limit that left something: a trigger knows no pause beside a price."""
        again, last = next_sale_at_limit(self.cycle), self.screen.believed
        return again is not None and last is not None and last.at < again

    # --- what the daemon's other hands do ---

    def _cooldown_end(self) -> datetime:
        since = self.cycle.cooldown_since or self.cycle.opened_at
        return since + timedelta(seconds=self.asset.rules.cooldown_seconds)

    def _stale_at(self, open_orders: Iterable[Order]) -> datetime:
        return min(order.created_at for order in open_orders) + self.terms.stale

    def _settle(self, now: datetime) -> None:
        """The sweep after a fill: the position tells the fee."""
        position = self.venue.account.balance(self.coin)
        self._take(lifecycle.on_position(self.cycle, position, now))

    # --- decisions and their reports ---

    def _market(self, quote: Quote) -> Market:
        account, symbol = self.venue.account, self.asset.symbol
        snapshot = Snapshot(quote.at, (), {}, {symbol: account.balance(self.coin)})
        unowned = reconcile.unowned((Entry(self.asset, self.cycle),), snapshot)
        return Market(
            self.instrument,
            quote,
            unowned.get(symbol),
            quote.at,
            account.available("USD"),
            borne_out(quote),
        )

    def _carry_out(self, decision: Decision, now: datetime, quote: Quote | None) -> None:
        self._take(decision)
        for order in decision.submit:
            if self.terms.slippage and quote is not None:
                self._hear(self.venue.on_quote(self._slipped(quote), now), now)
            self._submit(order, now)
        for order in decision.cancel:
            assert order.order_id is not None
            self.venue.request_cancel(order.order_id, now)
            self._hear(self.venue.cancel(order.order_id, now), now)

    def _submit(self, order: Order, now: datetime) -> None:
        outcome = self.venue.submit(_request(self.asset.symbol, order), now)
        if isinstance(outcome, Refusal):
            answer = Refused(outcome.message)
            self._take(lifecycle.on_refused(self.cycle, order.client_order_id, answer, now))
            return
        self._hear(self.venue.activate(outcome.id, now), now)

    def _slipped(self, quote: Quote) -> Quote:
        """The price at which the order arrives, worse on both sides."""
        step, slippage = self.instrument.price_step, self.terms.slippage
        bid = max(step, step_down(EXACT.multiply(quote.bid, ONE - slippage), step))
        return replace(quote, bid=bid, ask=step_up(EXACT.multiply(quote.ask, ONE + slippage), step))

    def _at_limit(self, quote: Quote) -> Quote:
        """As a buy meets the price that it waits for: at its limit, however far the price falls through it."""
        if not self.terms.slippage:
            return quote  # nothing waits
        limits = [one.limit_price for one in self.cycle.orders if is_open(one) and one.side is Side.BUY]
        return replace(quote, ask=max([quote.ask, *(limit for limit in limits if limit is not None)]))

    def _hear(self, events: list[Event], now: datetime) -> None:
        """Book what the venue told. Its figures are cumulative: of each order the last word is all of them."""
        last = {event.order.id: event.order for event in events}
        for order in last.values():
            self._book(order, now)

    def _book(self, order: VenueOrder, now: datetime) -> None:
        decision = lifecycle.on_report(self.cycle, _report(order, now), now)
        if decision is None:
            return
        self._take(decision)
        if order.filled_quantity and order.side is Side.BUY:
            self._settle(now)

    def _take(self, decision: Decision | None) -> None:
        """What the store writes: the cycle, the asset's last price, and the cycle that follows."""
        if decision is None:
            return
        self.cycle = decision.cycle
        if decision.last_sell_price is not None:
            self.asset = replace(self.asset, last_sell_price=decision.last_sell_price)
        if decision.successor is not None:
            over = self.cycle
            self.finished.append(over)
            since = over.completed_at if decision.successor is CycleStatus.COOLDOWN else None
            opened_at = over.completed_at or over.opened_at
            self.cycle = Cycle(
                over.id + 1,
                over.asset_id,
                over.symbol,
                decision.successor,
                opened_at,
                cooldown_since=since,
                inherited=decision.inherited,
            )

    # --- money ---

    def _payable(self, ask: Decimal | None, notional: Decimal) -> Decimal | None:
        """The threshold, unless the account cannot pay for that order at any price down there."""
        return ask if ask is not None and self._may_pay(notional, ask) else None

    def _may_pay(self, notional: Decimal, ask: Decimal) -> bool:
        """False when an order of this size is beyond the account at every price up to `ask`.

        Rounding down takes less than one step of coins at that price off the notional.
        """
        have = self.venue.account.available("USD")
        if have >= notional - EXACT.multiply(ask, self.instrument.quantity_step):
            return True
        self.note = f"an order of {text(notional)} USD waits for money: the account has {text(have)}"
        return False


def _is_backing_off(cycle: Cycle) -> bool:
    return any(backoff_until(cycle, side) is not None for side in Side)


def _request(symbol: str, order: Order) -> OrderRequest:
    """What the broker sends for this order."""
    return OrderRequest(
        symbol=symbol,
        side=order.side,
        type=(OrderType.MARKET if order.limit_price is None else OrderType.LIMIT).value,
        time_in_force=order.time_in_force.value,
        quantity=order.quantity,
        limit_price=order.limit_price,
        client_order_id=order.client_order_id,
    )


def _report(order: VenueOrder, at: datetime) -> OrderReport:
    """What the stream says of it."""
    return OrderReport(
        client_order_id=order.client_order_id,
        order_id=order.id,
        symbol=order.symbol,
        side=order.side,
        status=STATUSES.get(order.status, OrderStatus.ACCEPTED),
        filled_quantity=order.filled_quantity,
        filled_price=order.filled_price,
        at=at,
        quantity=order.quantity or ZERO,
        limit_price=order.limit_price,
        created_at=order.submitted_at,
    )
