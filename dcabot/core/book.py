"""The open orders of one symbol, indexed so that a quote nobody waits for costs two comparisons. Pure.

Heaps with lazy deletion: an entry whose order is no longer working is dropped when it comes to the top.
"""

import heapq
from collections.abc import Iterator
from decimal import Decimal

from dcabot.core.model import Quote, Side
from dcabot.core.venue import OrderType, VenueOrder, VenueStatus

Entry = tuple[Decimal, int]  # a price, negated where the highest comes first, and the order's number
LOWEST, HIGHEST = Decimal("-Infinity"), Decimal("Infinity")
FIRST = LOWEST  # a market order opposes every price


class Book:
    """Open orders by price: all of them for the wash-trade rule, the activated ones by what wakes them."""

    def __init__(self) -> None:
        self.working: dict[int, VenueOrder] = {}
        self._all: dict[Side, list[Entry]] = {Side.BUY: [], Side.SELL: []}
        self._limits: dict[Side, list[Entry]] = {Side.BUY: [], Side.SELL: []}
        self._stops: dict[Side, list[Entry]] = {Side.BUY: [], Side.SELL: []}
        self._wakes: tuple[Decimal, Decimal, Decimal, Decimal] | None = None  # None: to be found anew

    def put(self, order: VenueOrder) -> None:
        """Add an order, or put its newer value in place of the older."""
        self._wakes = None
        known = self.working.get(order.number)
        self.working[order.number] = order
        is_buy = order.side is Side.BUY
        by_cap = (-order.cap if is_buy else order.cap, order.number)
        if known is None:
            heapq.heappush(self._all[order.side], by_cap if order.limit_price else (FIRST, order.number))
        if order.status is VenueStatus.PENDING_NEW:
            return
        if known is not None and known.status is not VenueStatus.PENDING_NEW and known.triggered == order.triggered:
            return
        if order.type is OrderType.STOP_LIMIT and not order.triggered:
            assert order.stop_price is not None
            heapq.heappush(self._stops[order.side], (order.stop_price if is_buy else -order.stop_price, order.number))
        else:
            heapq.heappush(self._limits[order.side], by_cap)

    def opposed_to(self, side: Side, cap: Decimal, is_market: bool) -> VenueOrder | None:
        """The open order of the other side that a new one would trade with: market always, limits if they cross."""
        heap = self._all[Side.SELL if side is Side.BUY else Side.BUY]
        while heap and heap[0][1] not in self.working:
            heapq.heappop(heap)
        if not heap:
            return None
        price, number = heap[0]
        crosses = cap >= price if side is Side.BUY else cap <= -price
        return self.working[number] if is_market or crosses else None

    def remove(self, order: VenueOrder) -> None:
        self._wakes = None
        self.working.pop(order.number, None)

    def _top(self, heap: list[Entry], is_stop: bool) -> Decimal | None:
        while heap:
            order = self.working.get(heap[0][1])
            if order is not None and (order.type is OrderType.STOP_LIMIT and not order.triggered) == is_stop:
                return heap[0][0]
            heapq.heappop(heap)
        return None

    def is_touched(self, quote: Quote) -> bool:
        """True if the quote fills or triggers anything."""
        if not self.working:
            return False
        buy, sell, stop_buy, stop_sell = self._wakes or self._find_wakes()
        return quote.ask <= buy or quote.bid >= sell or quote.ask >= stop_buy or quote.bid <= stop_sell

    def _find_wakes(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """The asks and bids that reach the best of each heap; infinities where nothing waits."""
        buy, sell = self._top(self._limits[Side.BUY], False), self._top(self._limits[Side.SELL], False)
        stop_buy, stop_sell = self._top(self._stops[Side.BUY], True), self._top(self._stops[Side.SELL], True)
        self._wakes = (
            LOWEST if buy is None else -buy,
            HIGHEST if sell is None else sell,
            HIGHEST if stop_buy is None else stop_buy,
            LOWEST if stop_sell is None else -stop_sell,
        )
        return self._wakes

    def triggered_by(self, quote: Quote) -> list[VenueOrder]:
        """Stops that the quote reaches, first come first."""
        reached: list[VenueOrder] = []
        for side, price in ((Side.BUY, quote.ask), (Side.SELL, -quote.bid)):
            heap = self._stops[side]
            while (top := self._top(heap, True)) is not None and price >= top:
                reached.append(self.working[heapq.heappop(heap)[1]])
        return sorted(reached, key=lambda order: order.number)

    def marketable_at(self, quote: Quote) -> Iterator[VenueOrder]:
        """Orders the quote can fill, best price first. What is still open afterwards stays in the book."""
        for side, price in ((Side.BUY, -quote.ask), (Side.SELL, quote.bid)):
            heap = self._limits[side]
            seen: list[Entry] = []
            while (top := self._top(heap, False)) is not None and price >= top:
                seen.append(heapq.heappop(heap))
                yield self.working[seen[-1][1]]
            for entry in seen:
                heapq.heappush(heap, entry)
