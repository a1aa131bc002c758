"""The exchange behind the doors: the pure venue, kept in time by the clock, fed by prices, upset by faults.

Everything here runs in the server's loop. What happens is told to listeners: `on_event`, `on_quote`.
"""

import asyncio
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from dcabot.core.matching import Venue
from dcabot.core.model import Quote, Side
from dcabot.core.money import ZERO, text
from dcabot.core.venue import (
    USD,
    Event,
    OrderRequest,
    Position,
    Refusal,
    Standing,
    TransferStatus,
    VenueOrder,
    VenueStatus,
    one_level,
)
from dcabot.simulator import configurations
from dcabot.simulator.clock import SECOND, STEP_MAX, Clock, at_of, ns_of
from dcabot.simulator.depth import Level, level, levels
from dcabot.simulator.faults import Faults
from dcabot.simulator.journal import Journal
from dcabot.simulator.listings import Listing, listing_of
from dcabot.simulator.prices import Tick, exact
from dcabot.simulator.requests import read_order
from dcabot.simulator.settings import Settings

TICKS_AT_ONCE = 500
COIN = re.compile(r"[A-Z0-9]{1,12}")


class Exchange:
    """One account at one venue."""

    def __init__(self, settings: Settings, clock: Clock, journal: Journal, faults: Faults) -> None:
        self.settings, self.clock, self.journal, self.faults = settings, clock, journal, faults
        listings = [one if isinstance(one, Listing) else listing_of(one) for one in settings.symbols]
        self.listings = {listing.symbol: listing for listing in listings}
        self._names = {name: listing.symbol for listing in listings for name in _names_of(listing)}
        self._dice = random.Random(settings.seed)
        self._id_dice = random.Random(settings.seed + 1)
        self._partial = exact(settings.partial_fills)
        if not 0 <= self._partial <= 1:
            raise ValueError(f"a chance is between 0 and 1, not {text(self._partial)}")
        self._depth = exact(settings.depth)
        self.venue = Venue(
            [listing.instrument for listing in listings],
            exact(settings.cash),
            self.new_id,
            settings.policy,
            self._slice,
            self._levels if self._partial else one_level,
            self._may_trade,
        )
        self.account_id = self.new_id()
        self._configurations = configurations.defaults()
        self.last_equity = self.venue.account.cash
        self._day = clock.now().date()
        self._unannounced: dict[str, VenueOrder] = {}
        self.on_event: list[Callable[[Event], None]] = []
        self.on_quote: list[Callable[[Quote, int], None]] = []
        self.on_history: list[Callable[[Quote, int], None]] = []
        self.on_history_end: list[Callable[[], None]] = []
        self._history = exact(settings.history)
        self._ticks: Iterator[Tick] = iter(settings.prices)
        self._next_tick: Tick | None = None
        self.price_error: str | None = None
        self._started_ns = clock.now_ns()
        self._due_at: datetime | None = None

    def start(self) -> None:
        """Begin with the first prices; the loop must run."""
        self._started_ns = self.clock.now_ns()
        self._read_history()
        self._feed()
        if self.settings.refresh_seconds is not None:
            asyncio.get_running_loop().call_later(self.settings.refresh_seconds, self._refresh)

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._id_dice.getrandbits(128), version=4))

    def symbol_of(self, name: str) -> str:
        """The pair that a client calls BTC/USD, BTCUSD or by the asset's id; unknown names stay as they are."""
        return self._names.get(name, name)

    # --- prices ---

    def set_quote(self, symbol: str, bid: Decimal, ask: Decimal, at: datetime | None = None) -> None:
        """A new price for everything. One that cannot be (zero, negative, crossed) is sent, but nothing trades at it.

        `at` dates the quote otherwise than the clock: a stale one, for instance. Raises ValueError for a pair that
        is not listed, for a date without a time zone, and beside a mirror.
        """
        self.refuse_beside_mirror("no price can be set by hand")
        if symbol not in self.listings:
            raise ValueError(f"{symbol} is not listed")
        if at is not None and at.tzinfo is None:
            raise ValueError(f"a quote's date has a time zone, unlike {at}")
        now_ns = self.clock.now_ns()
        now = self.clock.now()
        at_ns = now_ns if at is None else ns_of(at)
        self._tell_quote(Quote(symbol, bid, ask, at or now), now, at_ns)

    def _tell_quote(self, quote: Quote, now: datetime, at_ns: int) -> None:
        if 0 < quote.bid <= quote.ask:
            self.take_quote(quote, now)
        for listener in self.on_quote:
            listener(quote, at_ns)

    def take_quote(self, quote: Quote, now: datetime) -> None:
        """The venue's new price, told to no one but those whose orders it moves."""
        if now.date() != self._day:
            money = self.money()
            self.last_equity = money["cash"] + money["held"] + money["value"]
            self._day = now.date()
        events = self.venue.on_quote(quote, now)
        if events:
            self._tell(events)

    def _read_history(self) -> None:
        """Take in the ticks from before the start."""
        while (tick := self._read_tick()) is not None:
            if tick.seconds >= 0:
                self._next_tick = tick
                break
            at_ns = self._started_ns + int(tick.seconds * SECOND)
            quote = Quote(tick.symbol, tick.bid, tick.ask, at_of(at_ns))
            if 0 < tick.bid <= tick.ask:
                self.venue.on_quote(quote, quote.at)
            for listener in self.on_history:
                listener(quote, at_ns)
        for ready in self.on_history_end:
            ready()

    def _feed(self) -> None:
        """Publish the ticks that are due and wait for the next."""
        for _ in range(TICKS_AT_ONCE):
            if self._next_tick is None:
                self._next_tick = self._read_tick()
            tick = self._next_tick
            if tick is None:
                return
            due_ns = self._started_ns + int(tick.seconds * SECOND)
            if due_ns > self.clock.now_ns():
                self.clock.call_at(due_ns, self._feed)
                return
            self._next_tick = None
            if not self.faults.is_still(tick.symbol):
                self.set_quote(tick.symbol, tick.bid, tick.ask)
        # A clock so fast that prices cannot keep up must not starve the requests.
        self.clock.call_at(self.clock.now_ns(), self._feed)

    def _read_tick(self) -> Tick | None:
        try:
            tick = next(self._ticks, None)
            if tick is not None and not isinstance(tick, Tick):
                raise ValueError(
                    f"prices are Ticks, as script(...), walk(...) and candles(...) make them, not {tick!r}"
                )
            if tick is not None and tick.symbol not in self.listings:
                raise ValueError(f"prices of {tick.symbol}, which is not listed")
            if tick is not None and self._history:
                tick = tick._replace(seconds=tick.seconds - self._history)
            return tick
        except (ValueError, OSError) as error:  # a line of a file that makes no sense: what is quoted stays
            self.price_error = str(error)
            self.journal.add("prices", error=self.price_error)
            return None

    def _refresh(self) -> None:
        for quote in list(self.venue.quotes.values()):
            if not self.faults.is_still(quote.symbol):
                self.set_quote(quote.symbol, quote.bid, quote.ask)
        assert self.settings.refresh_seconds is not None
        asyncio.get_running_loop().call_later(self.settings.refresh_seconds, self._refresh)

    # --- what a mirror does ---

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.listings)

    def now(self) -> datetime:
        return self.clock.now()

    async def keep_time(self) -> None:
        behind = Decimal(time.time_ns() - self.clock.now_ns()) / SECOND
        if abs(behind) > 1:
            # A machine without a clock of its own may wake up years ago: step by step, then.
            limit = Decimal(STEP_MAX)
            await self.clock.advance(max(-limit, min(behind, limit)))

    def publish(self, quote: Quote) -> bool:
        if self.faults.is_still(quote.symbol):
            return False
        self._tell_quote(quote, self.clock.now(), ns_of(quote.at))
        return True

    def refuse_beside_mirror(self, why: str) -> None:
        """Raises ValueError where a mirror tells prices and time: nobody else does."""
        if self.settings.mirror is not None:
            raise ValueError(f"the mirror tells prices and time: {why}")

    def _may_trade(self, quote: Quote, now: datetime) -> bool:
        mirror = self.settings.mirror
        return mirror is None or mirror.may_fill(quote, now)

    # --- orders ---

    def submit(self, request: OrderRequest) -> VenueOrder | Refusal:
        """Admit an order; its events follow on their own time."""
        outcome = self.venue.submit(request, self.clock.now())
        if isinstance(outcome, Refusal):
            self.journal.add("refusal", message=outcome.message, status=outcome.status, symbol=request.symbol)
            return outcome
        return self._accepted(outcome)

    def amend(self, order_id: str, request: OrderRequest) -> VenueOrder | Refusal:
        """Put a new order in the place of an open one."""
        outcome = self.venue.amend(order_id, request, self.clock.now())
        if isinstance(outcome, Refusal):
            return outcome
        order, events = outcome
        self._tell(events)
        return self._accepted(order)

    def _accepted(self, outcome: VenueOrder) -> VenueOrder:
        self.journal.add(
            "order",
            id=outcome.id,
            client_order_id=outcome.client_order_id,
            symbol=outcome.symbol,
            side=outcome.side.value,
            quantity=text(outcome.target),
        )
        self._plan()
        self._unannounced[outcome.id] = outcome
        asyncio.get_running_loop().call_later(self.settings.timing.pending_new, self._begin, outcome.id)
        return outcome

    def foreign_order(self, body: dict[str, Any]) -> VenueOrder | Refusal:
        """An order of the same account that another program or a person sends: no request, no keys, no limit."""
        wanted = read_order(body)
        return self.submit(replace(wanted, symbol=self.symbol_of(wanted.symbol)))

    def _begin(self, order_id: str) -> None:
        self._announce(order_id)
        timing = self.settings.timing
        wait = max(0, timing.new - timing.pending_new)
        asyncio.get_running_loop().call_later(wait, self._activate, order_id)

    def _announce(self, order_id: str) -> None:
        """Tell `pending_new`, once: at its time, or before whatever happens to the order earlier."""
        order = self._unannounced.pop(order_id, None)
        if order is not None:
            self._tell([Event("pending_new", order, order.submitted_at)])

    def _activate(self, order_id: str) -> None:
        if self.faults.rejections > 0 and self.venue.orders[order_id].status is VenueStatus.PENDING_NEW:
            self.faults.rejections -= 1
            self._tell(self.venue.reject(order_id, self.clock.now()))
        else:
            self._tell(self.venue.activate(order_id, self.clock.now()))

    def cancel(self, order_id: str) -> Refusal | None:
        """Take a cancel; `canceled` or `order_cancel_rejected` follows."""
        outcome = self.venue.request_cancel(order_id, self.clock.now())
        if isinstance(outcome, Refusal):
            return outcome
        self._tell(outcome)
        if self.venue.orders[order_id].is_open:
            asyncio.get_running_loop().call_later(self.settings.timing.cancel, self._cancel, order_id)
        return None

    def cancel_now(self, order_id: str) -> None:
        """Cancel without the usual delay."""
        self.cancel(order_id)
        self._cancel(order_id)

    def _cancel(self, order_id: str) -> None:
        if self.venue.orders[order_id].status is not VenueStatus.CANCELED:
            self._tell(self.venue.cancel(order_id, self.clock.now()))

    def rematch(self, symbol: str) -> None:
        self._tell(self.venue.rematch(symbol, self.clock.now()))

    def rematch_all(self) -> None:
        for symbol in list(self.venue.quotes):
            self.rematch(symbol)

    def transfer(self, coin: str, quantity: Decimal, price: Decimal, status: str) -> str:
        """Coins or dollars come (+) or go (-) without an order; the transfer's id.

        Raises ValueError for more than there is, and for what is no coin. Dollars are no transfer
        of coins: they have no row in `/v2/wallets/transfers`, and no id.
        """
        account = self.venue.account
        if not COIN.fullmatch(coin):
            raise ValueError(f"no coin: {coin[:20]!r}")
        if account.balance(coin) + quantity < 0:
            raise ValueError(f"there is only {text(account.balance(coin))} {coin}")
        stands = _transfer_status(status)
        self.journal.add("transfer", coin=coin, quantity=text(quantity), status=status)
        if coin == USD:
            account.move(coin, quantity, price)
            return ""
        return account.transfer(coin, quantity, self.clock.now(), stands, price).id

    def settle_transfer(self, transfer_id: str, status: str) -> None:
        """A transfer under way is complete, or fails. Raises ValueError for an unknown one."""
        if transfer_id not in self.venue.account.transfers:
            raise ValueError(f"no transfer {transfer_id[:40]!r}")
        self.venue.account.settle(transfer_id, _transfer_status(status))
        self.journal.add("transfer", id=transfer_id, status=status)

    @property
    def configurations(self) -> dict[str, Any]:
        suspended = self.venue.account.standing.trade_suspended_by_user
        return {**self._configurations, "suspend_trade": suspended}

    def configure(self, body: dict[str, Any]) -> None:
        """Take a person's configurations of the account. Raises BadRequest."""
        self._configurations = configurations.changed(self.configurations, body)
        self.set_account({"trade_suspended_by_user": self._configurations["suspend_trade"]})

    def set_account(self, changes: dict[str, Any]) -> None:
        """Change what the account may do, as GET /v2/account names it. Raises ValueError."""
        known = {one.name: type(one.default) for one in fields(Standing)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"{name[:40]} is none of {', '.join(known)}")
            if not isinstance(value, known[name]):
                raise ValueError(f"{name} is a {known[name].__name__}, not {str(value)[:40]!r}")
        account = self.venue.account
        account.standing = replace(account.standing, **changes)
        self.journal.add("account", **changes)

    def _levels(self, quote: Quote, side: Side) -> list[Level]:
        return levels(self.listings[quote.symbol], quote, side, self._depth)

    def book(self, quote: Quote) -> dict[str, list[Level]]:
        """The levels around a quote, bids (`b`) and asks (`a`), best first."""
        return {"b": self._levels(quote, Side.SELL), "a": self._levels(quote, Side.BUY)}

    def sizes(self, quote: Quote) -> tuple[Decimal, Decimal]:
        """The coins at the best bid and at the best ask."""
        listing = self.listings[quote.symbol]
        bid, ask = (level(listing, quote, side, 0, self._depth) for side in (Side.SELL, Side.BUY))
        return bid[1], ask[1]

    def _slice(self, order: VenueOrder, unfilled: Decimal, quote: Quote) -> Decimal:
        if self.faults.holds(order):
            return ZERO
        for plan in self.faults.fill_plans:
            if plan.takes(order):
                done = plan.orders[order.id]
                plan.orders[order.id] += 1
                if done < len(plan.sizes):
                    return min(unfilled, plan.sizes[done])
                return ZERO if plan.rest_waits else unfilled
        if self._partial and self._dice.randrange(1_000_000) < self._partial * 1_000_000:
            return unfilled * self._dice.randint(1, 99) / 100
        return unfilled

    # --- time and news ---

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            self._announce(event.order.id)
            execution = event.execution
            if execution is not None:
                self.journal.add(
                    "fill",
                    order_id=execution.order_id,
                    client_order_id=event.order.client_order_id,
                    symbol=execution.symbol,
                    side=execution.side.value,
                    quantity=text(execution.quantity),
                    price=text(execution.price),
                    fee=text(execution.fee),
                    fee_currency=execution.fee_currency,
                )
            for listener in self.on_event:
                listener(event)
            if event.name == "partial_fill":
                loop = asyncio.get_running_loop()
                loop.call_later(self.settings.timing.remainder, self.rematch, event.order.symbol)
        if events:
            self._plan()

    def _plan(self) -> None:
        """Wake when the next order expires or the next fee is posted."""
        due_at = self.venue.due_at
        if due_at is not None and (self._due_at is None or due_at < self._due_at):
            self._due_at = due_at
            self.clock.call_at(ns_of(due_at), self._advance)

    def _advance(self) -> None:
        self._due_at = None
        events = self.venue.advance(self.clock.now())
        self._tell(events)
        self._plan()

    # --- views ---

    def money(self) -> dict[str, Decimal]:
        """Cash and its kin, as `account_json` wants them."""
        account = self.venue.account
        held = account.held(USD)
        value = sum((account.market_value(coin, self.venue.quotes) for coin in account.positions), ZERO)
        return {
            "cash": account.cash - held,
            "held": held,
            "value": value,
            "last_equity": self.last_equity,
            "fees": account.accrued_fees(),
        }

    def position_facts(self, coin: str) -> dict[str, Decimal]:
        account = self.venue.account
        position = account.positions.get(coin, Position(coin))
        available = account.available(coin)
        return {"quantity": position.quantity, "available": available, "cost": position.cost}

    def shown_facts(self, coin: str) -> dict[str, Decimal] | None:
        """The position as this read shows it, faults and all; None if it shows none."""
        facts = self.position_facts(coin)
        rule = self.faults.position_fault(f"{coin}{USD}")
        if rule is not None:
            shown = rule.quantity or ZERO
            held = facts["quantity"] - facts["available"]
            share = shown / facts["quantity"] if facts["quantity"] else ZERO
            facts = {
                "quantity": shown,
                "available": max(ZERO, shown - held),
                "cost": facts["cost"] * share,
            }
        return facts if facts["quantity"] else None

    def coins(self) -> list[str]:
        """The coins that there are, and those that a fault may show."""
        feigned = {rule.symbol.removesuffix(USD) for rule in self.faults.positions if rule.quantity}
        return sorted({*self.venue.account.positions, *feigned})


def _transfer_status(word: str) -> TransferStatus:
    if word not in TransferStatus.__members__:
        known = ", ".join(TransferStatus.__members__)
        raise ValueError(f"a transfer is {known}, not {word[:40]!r}")
    return TransferStatus[word]


def _names_of(listing: Listing) -> tuple[str, str, str]:
    return listing.symbol, listing.symbol.replace("/", ""), listing.id
