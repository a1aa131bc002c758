"""The money behind the orders: cash, coins, what open orders hold of both, and the ledger of what happened. Pure."""

import heapq
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

from dcabot.core.fees import Tier, cash_fee, coin_fee, tier_of, tier_on
from dcabot.core.model import Quote, Side
from dcabot.core.money import EXACT, ZERO, step_down
from dcabot.core.venue import (
    USD,
    Activity,
    Execution,
    FeeRow,
    Policy,
    Position,
    Standing,
    Transfer,
    TransferStatus,
    VenueOrder,
    coins_of,
)

FEE_PACES = 10  # a fee's delay is one of so many


def midnight_after(now: datetime) -> datetime:
    """The end of the UTC day."""
    return datetime.combine(now.date() + timedelta(days=1), time(), timezone.utc)


class Account:
    """Cash and coins. Dollars are `cash`, every other currency is a position of that coin."""

    def __init__(self, cash: Decimal, policy: Policy, new_id: Callable[[], str]) -> None:
        self.cash = cash
        self.positions: dict[str, Position] = {}
        self.activities: list[Activity] = []
        self.transfers: dict[str, Transfer] = {}  # by id, oldest first
        self.standing = Standing()
        self.fee_delay = policy.fee_delay
        self.fee_spread = policy.fee_spread
        self._policy = policy
        self._new_id = new_id
        self._held: dict[str, Decimal] = {}
        self._fees_due: list[tuple[datetime, int, Execution]] = []
        self._executions = 0
        self._volumes: dict[date, Decimal] = {}
        self._tier_day: date | None = None
        self._tier = tier_of(ZERO, policy.tiers)

    # --- what is there, what is free ---

    def balance(self, currency: str) -> Decimal:
        if currency == USD:
            return self.cash
        position = self.positions.get(currency)
        return position.quantity if position else ZERO

    def held(self, currency: str) -> Decimal:
        """What open orders hold of it."""
        return self._held.get(currency, ZERO)

    def available(self, currency: str) -> Decimal:
        return max(ZERO, self.balance(currency) - self.held(currency))

    def hold(self, order: VenueOrder, sign: int) -> None:
        """Count (+1) or uncount (-1) what the unfilled part of an open order needs."""
        if not order.is_open:
            return
        coin, currency = coins_of(order.symbol)
        if order.side is Side.SELL:
            currency, amount = coin, order.unfilled
        else:
            amount = EXACT.multiply(order.unfilled, order.cap)
        self._held[currency] = EXACT.add(self.held(currency), sign * amount)

    def accrued_fees(self) -> Decimal:
        """Dollars that sells owe and the ledger has not yet taken."""
        return sum((row[2].fee for row in self._fees_due if row[2].fee_currency == USD), ZERO)

    # --- what happens ---

    def tier(self, now: datetime) -> Tier:
        """The fee tier by the volume of the 30 days before today."""
        today = now.date()
        if self._tier_day != today:
            self._tier, self._tier_day = tier_on(today, self._volumes, self._policy.tiers), today
        return self._tier

    def execute(self, order: VenueOrder, quantity: Decimal, price: Decimal, now: datetime) -> Execution:
        """Book a fill of `order`, whose value is the one before the fill."""
        coin, currency = coins_of(order.symbol)
        tier = self.tier(now)
        is_maker = order.resting and self._policy.resting_pays_maker
        rate = tier.maker if is_maker else tier.taker
        notional = EXACT.multiply(quantity, price)
        if order.side is Side.BUY:
            fee, fee_currency = coin_fee(quantity, rate), coin
            self.move(currency, -notional, ZERO)
            self.move(coin, quantity - fee, price)
        else:
            fee, fee_currency = (cash_fee if currency == USD else coin_fee)(notional, rate), currency
            self.move(coin, -quantity, price)
            self.move(currency, notional, ZERO)
        execution = Execution(
            id=self._new_id(),
            order_id=order.id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            at=now,
            fee=fee,
            fee_currency=fee_currency,
            maker=is_maker,
            cumulative=order.filled_quantity + quantity,
            leaves=order.unfilled - quantity,
            position=self.balance(coin),
        )
        self._volumes[now.date()] = EXACT.add(self._volumes.get(now.date(), ZERO), notional)
        self.activities.append(execution)
        if fee:
            self._executions += 1
            heapq.heappush(self._fees_due, (self._fee_due_at(now), self._executions, execution))
        return execution

    def _fee_due_at(self, now: datetime) -> datetime:
        """When the fee of a fill of now is posted: delays differ, so that rows can overtake."""
        if self.fee_delay is None:
            return midnight_after(now)
        pace = self._executions * 7 % FEE_PACES
        return now + self.fee_delay + self.fee_spread * pace / (FEE_PACES - 1)

    def transfer(
        self,
        coin: str,
        quantity: Decimal,
        now: datetime,
        status: TransferStatus = TransferStatus.COMPLETE,
        price: Decimal = ZERO,
    ) -> Transfer:
        """Coins come (+) from another wallet, or go (-) to one."""
        one = Transfer(self._new_id(), coin, abs(quantity), quantity > 0, status, now, price)
        self.transfers[one.id] = one
        if one.has_moved:
            self._move_transfer(one, 1)
        return one

    def settle(self, transfer_id: str, status: TransferStatus) -> Transfer:
        """A transfer goes on: what it changes of the coins is done or undone."""
        before = self.transfers[transfer_id]
        after = self.transfers[transfer_id] = replace(before, status=status)
        if after.has_moved != before.has_moved:
            self._move_transfer(after, 1 if after.has_moved else -1)
        return after

    def _move_transfer(self, one: Transfer, sign: int) -> None:
        self.move(one.coin, one.amount * (sign if one.is_incoming else -sign), one.price)

    def move(self, currency: str, amount: Decimal, price: Decimal) -> None:
        """Credit or debit a currency; coins bought cost `price` USD each, coins sold leave at the average."""
        if currency == USD:
            self.cash = EXACT.add(self.cash, amount)
            return
        position = self.positions.setdefault(currency, Position(currency))
        if amount > 0:
            position.cost = EXACT.add(position.cost, EXACT.multiply(amount, price))
        elif position.quantity > 0:
            position.cost -= EXACT.divide(EXACT.multiply(position.cost, -amount), position.quantity)
        position.quantity = EXACT.add(position.quantity, amount)
        if position.quantity == 0:
            del self.positions[currency]

    @property
    def due_at(self) -> datetime | None:
        """When the next fee row is posted."""
        return self._fees_due[0][0] if self._fees_due else None

    def post_fees(self, now: datetime) -> None:
        """Write the ledger rows that are due. A coin fee left the position at the fill; a dollar fee leaves now."""
        while self._fees_due and self._fees_due[0][0] <= now:
            due_at, _, execution = heapq.heappop(self._fees_due)
            if execution.side is Side.SELL:
                self.move(execution.fee_currency, -execution.fee, ZERO)
            self.activities.append(FeeRow(self._new_id(), execution, due_at))

    def market_value(self, coin: str, quotes: dict[str, Quote]) -> Decimal:
        """What the coins are worth in USD at the mid price; at cost while there is no quote."""
        position, quote = self.positions[coin], quotes.get(f"{coin}/{USD}")
        if quote is None:
            return position.cost
        return EXACT.multiply(position.quantity, EXACT.divide(EXACT.add(quote.bid, quote.ask), Decimal(2)))


def average_price(cost: Decimal, quantity: Decimal) -> Decimal:
    """A price as the venue shows it: nine decimals."""
    return step_down(EXACT.divide(cost, quantity), Decimal("0.000000001"))
