"""The venue as a function: requests and quotes in, events out. Pure.

No clock: every method takes `now`. No randomness: ids and the size of a partial fill come from functions
handed in. The simulator puts HTTP and websockets around it, the backtest calls it in process.

Life of an order: `submit` admits it (pending_new) -> `activate` (new, and at once what the quote fills) ->
`on_quote` fills it -> filled, or `cancel`, `reject`, or expiry in `advance`.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from dcabot.core import admission
from dcabot.core.account import Account, average_price, midnight_after
from dcabot.core.book import Book
from dcabot.core.model import Instrument, Quote, Side
from dcabot.core.money import EXACT, ZERO, step_down
from dcabot.core.sessions import close_after
from dcabot.core.venue import (
    QUANTITY_STEP,
    Event,
    Levels,
    MayTrade,
    OrderRequest,
    OrderType,
    Policy,
    Refusal,
    Slicer,
    TimeInForce,
    VenueOrder,
    VenueStatus,
    at_any_quote,
    coins_of,
    one_level,
    whole,
)


class Venue:
    """One account at the exchange: its money, its orders, and the prices it trades at."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        cash: Decimal,
        new_id: Callable[[], str],
        policy: Policy | None = None,
        slicer: Slicer = whole,
        levels: Levels = one_level,
        may_trade: MayTrade = at_any_quote,
    ) -> None:
        self.policy = policy or Policy()
        self.account = Account(cash, self.policy, new_id)
        self.instruments: dict[str, Instrument] = {}
        self.orders: dict[str, VenueOrder] = {}  # every order ever, oldest first
        self.open: dict[str, VenueOrder] = {}
        self.quotes: dict[str, Quote] = {}
        self.last_day: dict[str, Quote] = {}  # the last quote of the UTC day before
        self.slicer = slicer
        self._levels = levels
        self._may_trade = may_trade
        self._new_id = new_id
        self._by_client_id: dict[str, str] = {}
        self._books: dict[str, Book] = {}
        self._expiries: list[tuple[datetime, str]] = []
        self._due_at: datetime | None = None
        self._day_ends: datetime | None = None
        for instrument in instruments:
            self.list_instrument(instrument)

    def list_instrument(self, instrument: Instrument) -> None:
        """Make a pair known, or change what is known of it."""
        self.instruments[instrument.symbol] = instrument
        self._books.setdefault(instrument.symbol, Book())

    def order_of(self, client_order_id: str) -> VenueOrder | None:
        return self.orders.get(self._by_client_id.get(client_order_id, ""))

    # --- requests ---

    def submit(self, request: OrderRequest, now: datetime) -> VenueOrder | Refusal:
        """Admit an order, or say why not. Nothing fills before `activate`."""
        instrument = self.instruments.get(request.symbol)
        refusal = admission.refuse_standing(self.account.standing)
        refusal = refusal or admission.refuse_words(request, instrument)
        if refusal or instrument is None:
            return refusal or admission.unprocessable(f'asset "{request.symbol}" not found')
        client_order_id = self._new_id() if request.client_order_id is None else request.client_order_id
        refusal = admission.refuse_numbers(request, instrument, self.policy) or admission.refuse_id(
            client_order_id, client_order_id in self._by_client_id, self.policy
        )
        if refusal:
            return refusal
        quote = self.quotes.get(request.symbol)
        if quote is None:
            return admission.unprocessable(f'asset "{request.symbol}" has no price yet')
        target, cap = admission.target_and_cap(request, quote.bid, quote.ask, self.policy)
        return self._refuse_risk(request, target, cap, quote) or self._admit(request, client_order_id, target, cap, now)

    def _refuse_risk(self, request: OrderRequest, target: Decimal, cap: Decimal, quote: Quote) -> Refusal | None:
        """What the order is worth, what stands against it, and what is behind it."""
        if target <= 0:
            return admission.unprocessable("qty must be > 0")
        coin, currency = coins_of(request.symbol)
        price = request.limit_price or (quote.ask if request.side is Side.BUY else quote.bid)
        cost = EXACT.multiply(target, price) if request.notional is None else request.notional
        refusal = admission.refuse_worth(request.symbol, request.side, cost, self.policy)
        if refusal:
            return refusal
        is_market = request.type == OrderType.MARKET.value
        opposite = self._books[request.symbol].opposed_to(request.side, cap, is_market)
        if opposite is not None:
            return admission.wash_trade(opposite, is_market)
        if self.policy.open_orders_maximum is not None and len(self.open) >= self.policy.open_orders_maximum:
            return Refusal(403, admission.FORBIDDEN, "too many open orders")
        needed = target if request.side is Side.SELL else EXACT.multiply(target, cap)
        spent = coin if request.side is Side.SELL else currency
        if needed <= self.account.available(spent):
            return None
        return admission.poverty(spent, needed, self.account, self.policy)

    def _admit(
        self, request: OrderRequest, client_order_id: str, target: Decimal, cap: Decimal, now: datetime
    ) -> VenueOrder:
        order = VenueOrder(
            id=self._new_id(),
            number=len(self.orders) + 1,
            client_order_id=client_order_id,
            symbol=request.symbol,
            side=request.side,
            type=OrderType(request.type),
            time_in_force=TimeInForce(request.time_in_force),
            quantity=target if request.notional is None else None,
            notional=request.notional,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            target=target,
            cap=cap,
            submitted_at=now,
            updated_at=now,
            expires_at=close_after(now, self.policy.gtc_days),
        )
        self._by_client_id[client_order_id] = order.id
        heapq.heappush(self._expiries, (order.expires_at, order.id))
        self._store(order)
        self._plan()
        return order

    def activate(self, order_id: str, now: datetime) -> list[Event]:
        """The admitted order starts to work: `new`, then what the present quote fills of it."""
        order = self.orders[order_id]
        if order.status is not VenueStatus.PENDING_NEW:
            return []
        quote = self.quotes[order.symbol]
        is_stop = order.type is OrderType.STOP_LIMIT
        rests = order.type is OrderType.LIMIT and not _is_marketable(order, quote)
        order = self._store(replace(order, status=VenueStatus.NEW, resting=rests, updated_at=now))
        events = []
        if not is_stop or self.policy.stop_limit_tells_new:
            events.append(Event("new", order, now, self._new_id()))
        events += self._match(order.symbol, quote, now)
        order = self.orders[order_id]
        ends = order.time_in_force is not TimeInForce.GTC or (
            self.policy.market_rest_cancels and order.type is OrderType.MARKET and not _is_marketable(order, quote)
        )
        if order.is_open and ends:
            events += self._close(order, VenueStatus.CANCELED, now)
        return events

    def request_cancel(self, order_id: str, now: datetime) -> list[Event] | Refusal:
        """Take note of a wish to cancel; the order still works until `cancel`."""
        order = self.orders.get(order_id)
        if order is None:
            return Refusal(404, admission.UNFOUND, f"order not found for {order_id}")
        if order.status is VenueStatus.CANCELED:
            return []
        if not order.is_open:
            return admission.unprocessable(f'order is already in "{order.status.value}" state')
        order = self._store(replace(order, cancel_requested_at=now))
        if not self.policy.tells_pending_cancel or order.status is VenueStatus.PENDING_NEW:
            return []
        order = self._store(replace(order, status=VenueStatus.PENDING_CANCEL, updated_at=now))
        return [Event("pending_cancel", order, now, self._new_id())]

    def cancel(self, order_id: str, now: datetime) -> list[Event]:
        """The order stops to work; if a fill was faster, the cancel is what is rejected."""
        order = self.orders[order_id]
        if not order.is_open:
            return [Event("order_cancel_rejected", order, now, self._new_id())]
        return self._close(order, VenueStatus.CANCELED, now)

    def amend(self, order_id: str, wanted: OrderRequest, now: datetime) -> tuple[VenueOrder, list[Event]] | Refusal:
        """A new order in the place of an open one. Not known to work for crypto: the door decides whether it does."""
        order = self.orders.get(order_id)
        if order is None:
            return Refusal(404, admission.UNFOUND, f"order not found for {order_id}")
        if not order.is_open:
            return admission.unprocessable(f'order is already in "{order.status.value}" state')
        if order.notional is not None:
            return admission.unprocessable("notional orders cannot be replaced")
        if (wanted.quantity, wanted.limit_price) == (order.quantity, order.limit_price):
            return Refusal(403, admission.FORBIDDEN, "order parameters are not changed")
        # What the old order holds is there for the new one.
        self.account.hold(order, -1)
        outcome = self.submit(wanted, now)
        self.account.hold(order, +1)
        if isinstance(outcome, Refusal):
            return outcome
        outcome = self._store(replace(outcome, replaces=order.id))
        self._store(replace(order, replaced_by=outcome.id))
        return outcome, self._close(self.orders[order_id], VenueStatus.REPLACED, now)

    def reject(self, order_id: str, now: datetime) -> list[Event]:
        """The venue changes its mind about an order it had admitted."""
        order = self.orders[order_id]
        return self._close(order, VenueStatus.REJECTED, now) if order.is_open else []

    # --- prices and time ---

    def on_quote(self, quote: Quote, now: datetime) -> list[Event]:
        """Take a new price and fill what it reaches. Cheap when it reaches nothing."""
        events = self.advance(now) if self._due_at is not None and now >= self._due_at else []
        if self._day_ends is None or now >= self._day_ends:
            self.last_day = dict(self.quotes)
            self._day_ends = midnight_after(now)
        self.quotes[quote.symbol] = quote
        book = self._books.get(quote.symbol)
        if book is not None and book.is_touched(quote):
            events += self._match(quote.symbol, quote, now)
        return events

    def rematch(self, symbol: str, now: datetime) -> list[Event]:
        """Look again at the present quote, for what a partial fill left over."""
        return self._match(symbol, self.quotes[symbol], now) if symbol in self.quotes else []

    def advance(self, now: datetime) -> list[Event]:
        """Let orders expire and post fees that are due."""
        events: list[Event] = []
        while self._expiries and self._expiries[0][0] <= now:
            expires_at, order_id = heapq.heappop(self._expiries)
            if order_id in self.open:
                events += self._close(self.open[order_id], VenueStatus.EXPIRED, expires_at)
        self.account.post_fees(now)
        self._plan()
        return events

    @property
    def due_at(self) -> datetime | None:
        """The earliest instant at which `advance` has something to do."""
        return self._due_at

    # --- the mechanics ---

    def _plan(self) -> None:
        while self._expiries and self._expiries[0][1] not in self.open:
            heapq.heappop(self._expiries)
        dues = [self._expiries[0][0]] if self._expiries else []
        if self.account.due_at is not None:
            dues.append(self.account.due_at)
        self._due_at = min(dues, default=None)

    def _store(self, order: VenueOrder) -> VenueOrder:
        """Put the order's new value everywhere it is kept; the only way an order changes."""
        old = self.orders.get(order.id)
        if old is not None:
            self.account.hold(old, -1)
        self.account.hold(order, +1)
        self.orders[order.id] = order
        book = self._books[order.symbol]
        if order.is_open:
            self.open[order.id] = order
            book.put(order)
        else:
            self.open.pop(order.id, None)
            book.remove(order)
        return order

    def _match(self, symbol: str, quote: Quote, now: datetime) -> list[Event]:
        events: list[Event] = []
        if not self._may_trade(quote, now):
            return events
        book = self._books[symbol]
        for order in book.triggered_by(quote):
            order = self._store(replace(order, triggered=True, resting=not _is_marketable(order, quote)))
            if not self.policy.stop_limit_tells_new:
                events.append(Event("new", order, now, self._new_id()))
        for order in book.marketable_at(quote):
            events += self._trade(order, quote, now)
        if events:
            self._plan()
        return events

    def _trade(self, order: VenueOrder, quote: Quote, now: datetime) -> list[Event]:
        """What the quote fills of an order: one piece at each level of the book, within its cap."""
        unfilled = order.unfilled
        wanted = self.slicer(order, unfilled, quote)
        left = unfilled if wanted >= unfilled else step_down(max(wanted, ZERO), QUANTITY_STEP)
        events: list[Event] = []
        for price, size in self._prices(order, quote):
            if left <= 0 or (price > order.cap if order.side is Side.BUY else price < order.cap):
                break
            piece = left if size is None else min(left, size)
            events.append(self._fill(order, piece, price, now))
            order, left = events[-1].order, left - piece
        if events and order.is_open and order.type is not OrderType.MARKET:
            self._store(replace(order, resting=True))  # the rest waits in the book: it is a maker
        return events

    def _prices(
        self,
        order: VenueOrder,
        quote: Quote,
    ) -> Iterable[tuple[Decimal, Decimal | None]]:
        """A resting order is met at its own price, another one meets the book."""
        if order.resting and order.limit_price and self.policy.resting_fills_at_limit:
            return [(order.limit_price, None)]
        return self._levels(quote, order.side)

    def _fill(self, order: VenueOrder, quantity: Decimal, price: Decimal, now: datetime) -> Event:
        execution = self.account.execute(order, quantity, price, now)
        filled = order.filled_quantity + quantity
        cost = EXACT.add(order.filled_cost, EXACT.multiply(quantity, price))
        is_whole = filled == order.target
        order = self._store(
            replace(
                order,
                status=VenueStatus.FILLED if is_whole else VenueStatus.PARTIALLY_FILLED,
                filled_quantity=filled,
                filled_cost=cost,
                filled_price=average_price(cost, filled),
                updated_at=now,
                closed_at=now if is_whole else None,
            )
        )
        return Event("fill" if is_whole else "partial_fill", order, now, execution.id, execution)

    def _close(self, order: VenueOrder, status: VenueStatus, now: datetime) -> list[Event]:
        order = self._store(replace(order, status=status, updated_at=now, closed_at=now))
        return [Event(status.value, order, now, self._new_id())]


def _is_marketable(order: VenueOrder, quote: Quote) -> bool:
    return quote.ask <= order.cap if order.side is Side.BUY else quote.bid >= order.cap
