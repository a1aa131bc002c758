"""One asset, its cycles, and an exchange that does what it is told: the core with nothing around it.

Orders arrive at the exchange and fill only when somebody says so. The rest is the core's own: decisions by
`strategy`, news by `lifecycle`, sweeps by `reconcile`. Scenarios tell it line by line, properties at random.
What must hold for every decision is asserted where all of them pass, in `_take`.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core import lifecycle, reconcile
from dcabot.core.absence import Departure
from dcabot.core.ledger import COIN_STEP, Holding, fold
from dcabot.core.model import (
    Asset,
    Cycle,
    CycleStatus,
    Decision,
    Instrument,
    Order,
    OrderReport,
    OrderStatus,
    Purpose,
    Quote,
    Side,
)
from dcabot.core.money import ZERO, step_up
from dcabot.core.reconcile import Discrepancy, Entry, Limits, Snapshot
from dcabot.core.second_look import borne_out
from dcabot.core.snapshot import Refused
from dcabot.core.states import CYCLE_STEPS, is_open, may_step
from dcabot.core.strategy import Market, on_quote
from tests.builders import START, SYMBOL, make_asset, make_cycle, make_instrument

SECOND_LOOK_AFTER = timedelta(seconds=5)


@dataclass
class World:
    """What the bot knows (`asset`, `cycle`, `past`) and what is true at the exchange (`exchange`, `position`)."""

    asset: Asset = field(default_factory=make_asset)
    instrument: Instrument = field(default_factory=make_instrument)
    fee_ratio: Decimal = ZERO
    now: datetime = START
    cycle: Cycle = field(default_factory=make_cycle)
    past: list[Cycle] = field(default_factory=list)
    exchange: dict[str, OrderReport] = field(default_factory=dict)
    unanswered: dict[str, Order] = field(default_factory=dict)  # sent in this step; the answer comes with the next
    position: Decimal = ZERO
    left: Departure | None = None  # what Alpaca says of coins that are missing; None when it is not answered
    quote: Quote | None = None
    suspicions: dict[str, datetime] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)  # every id ever used

    # What happens to the bot

    def see_quote(self, bid: Decimal, ask: Decimal) -> Decision | None:
        self.quote = Quote(SYMBOL, bid, ask, self.now)
        unowned = lifecycle.foreign_coins(self.cycle, self.position)
        look = borne_out(self.quote)
        market = Market(self.instrument, self.quote, unowned, self.now, look=look)
        return self._take(on_quote(self.asset, self.cycle, market))

    def hear(self, report: OrderReport) -> Decision | None:
        self._inherit(report)
        return self._take(lifecycle.on_report(self.cycle, report, self.now))

    def hear_refusal(self, order: Order, why: str) -> Decision | None:
        del self.unanswered[order.client_order_id]
        return self._take(lifecycle.on_refused(self.cycle, order.client_order_id, Refused(why), self.now))

    def sweep(self) -> list[Decision]:
        """Ask the exchange for everything and mend until nothing is left to mend."""
        taken: list[Decision] = []
        for _ in range(20):
            book = [Entry(self.asset, cycle) for cycle in [*self.past, self.cycle]]
            seen = self._snapshot(book)
            steps = [self.hear(report) for entry in book for report in reconcile.news(entry, seen)]
            found = reconcile.discrepancies([Entry(self.asset, self.cycle)], seen, Limits())
            steps += [self._take(one.repair(self.asset, self.cycle)) for one in self._confirmed(found)]
            if not any(steps):
                return taken
            taken += [step for step in steps if step]
        raise AssertionError(f"twenty sweeps and still something to mend: {taken[-1].reason}")

    def forget(self) -> None:
        """What a restart does: the rows stay, memory and unheard answers are gone."""
        self.unanswered.clear()
        self.suspicions.clear()

    # What happens at the exchange

    def answer(self) -> None:
        """The requests that nothing was said of were accepted."""
        for name in list(self.unanswered):
            self.arrive(self.unanswered.pop(name))
            self.hear(self.exchange[name])

    def arrive(self, order: Order) -> None:
        self.exchange[order.client_order_id] = OrderReport(
            order.client_order_id, f"at-exchange-{len(self.exchange)}", SYMBOL, order.side, OrderStatus.ACCEPTED, ZERO,
            None, self.now,
        )  # fmt: skip

    def execute(self, name: str, status: OrderStatus, filled: Decimal, price: Decimal) -> OrderReport:
        """Move an order at the exchange to a status and a cumulative fill; coins and fees move with it."""
        old = self.exchange[name]
        new = filled - old.filled_quantity
        if old.side is Side.BUY:
            self.position += new - step_up(new * self.fee_ratio, COIN_STEP)
        else:
            self.position -= new
        cost = old.filled_quantity * (old.filled_price or ZERO) + new * price
        average = cost / filled if filled else None
        report = replace(old, status=status, filled_quantity=filled, filled_price=average, at=self.now)
        self.exchange[name] = report
        return report

    def newest(self, purpose: Purpose) -> Order:
        return next(order for order in reversed(self._orders()) if order.purpose is purpose)

    def named(self, name: str) -> Order:
        return next(order for order in self._orders() if order.client_order_id == name)

    # How it is done

    def _orders(self) -> list[Order]:
        return [order for cycle in [*self.past, self.cycle] for order in cycle.orders]

    def _take(self, decision: Decision | None) -> Decision | None:
        if decision is None:
            return None
        old, new = self.cycle.status, decision.cycle.status
        assert old is new or may_step(CYCLE_STEPS, old, new), f"{old} to {new}: {decision.reason}"
        for order in decision.submit:
            assert not any(is_open(other) for other in self.cycle.orders), f"{order} beside {self.cycle}"
            assert order.client_order_id not in self.ids
            self.ids.add(order.client_order_id)
            self.unanswered[order.client_order_id] = order
        self.cycle = decision.cycle
        assert fold(self.cycle.orders).held >= 0
        if decision.last_sell_price is not None:
            self.asset = replace(self.asset, last_sell_price=decision.last_sell_price)
        if decision.disables:
            self.asset = replace(self.asset, enabled=False, last_sell_price=None)
        if decision.successor is not None:
            self.past.append(self.cycle)
            since = self.now if decision.successor is CycleStatus.COOLDOWN else None
            self.cycle = Cycle(
                self.cycle.id + 1,
                1,
                SYMBOL,
                decision.successor,
                self.now,
                cooldown_since=since,
                inherited=decision.inherited,
            )
        return decision

    def _inherit(self, report: OrderReport) -> None:
        """A buy that brings coins to a cycle that is over belongs to the current one, which can sell them."""
        for over in self.past:
            order = over.order(report.client_order_id)
            if order and order.side is Side.BUY and report.filled_quantity > order.filled_quantity:
                self.past[self.past.index(over)] = replace(over, orders=tuple(o for o in over.orders if o != order))
                self.cycle = self.cycle.with_order(order)

    def _snapshot(self, book: list[Entry]) -> Snapshot:
        reports = self.exchange.values()
        opens = tuple(one for one in reports if one.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED))
        answers = {name: self.exchange.get(name) for name in reconcile.to_ask(book, opens, self.now)}
        positions = {SYMBOL: self.position} if self.position else {}
        departures = {SYMBOL: self.left} if self.left and self.cycle.missing_since else {}
        return Snapshot(self.now, opens, answers, positions, departures=departures)

    def _confirmed(self, found: list[Discrepancy]) -> list[Discrepancy]:
        doubtful = [one for one in found if one.needs_second_look]
        self.suspicions = {one.key: self.suspicions.get(one.key, self.now) for one in doubtful}
        young = {key for key, since in self.suspicions.items() if self.now - since < SECOND_LOOK_AFTER}
        return [one for one in found if not (one.needs_second_look and one.key in young)]


def holding_of(cycle: Cycle) -> Holding:
    return fold(cycle.orders)
