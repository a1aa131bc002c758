"""Planted bugs: what other bots did, put into the product for the length of a run. The checker must see each.

Nothing in the product knows of them: each is a context manager that replaces a function and puts it back.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from dcabot import executor
from dcabot.adapters.database import DatabaseError
from dcabot.adapters.store import Store
from dcabot.commands.heard import Unseen
from dcabot.commands.schedule import Schedule
from dcabot.core import absence, ledger, lifecycle, model, quotes, reconcile, strategy, troubles
from dcabot.core.model import Cycle, Decision, Order, OrderReport, OrderStatus, Purpose, Quote
from dcabot.core.money import ZERO
from dcabot.core.profit import Fees
from dcabot.core.reconcile import Entry, Repair
from dcabot.core.second_look import SecondLook
from dcabot.executor import Executor
from dcabot.sync import Swept, Sync
from dcabot.trader import Trader
from tests.simulation.caretakers import instead
from tests.simulation.run import Run


@contextmanager
def request_before_row(run: Run) -> Iterator[None]:
    """O1: the order goes out, and is written down when it was taken."""

    def carry_out(self: Executor, cycle_id: int, decide: Repair, known: Entry | None = None) -> Decision | None:
        entry = self.store.read_entry(cycle_id)
        decision = decide(entry.asset, entry.cycle) if entry else None
        if decision is None:
            return None
        for order in decision.submit:
            self.broker.submit(decision.cycle.symbol, order)
        return executor.commit(self.store, cycle_id, decide, known)

    with instead(Executor, "carry_out", carry_out):
        yield


@contextmanager
def no_reconciliation(run: Run) -> Iterator[None]:
    """Streams are believed to be complete: REST is asked what there is, and nothing is mended."""

    def sweep(self: Sync) -> Swept:
        book, snapshot, entries, _ = self.look()
        return Swept(book, snapshot, reconcile.unowned(entries, snapshot), [], 0, [])

    with instead(Sync, "sweep", sweep):
        yield


@contextmanager
def empty_answer_to_a_failed_query(run: Run) -> Iterator[None]:
    """O4: "could not look" and "nothing there" are the same answer."""
    greet = run.caretakers.on_broker

    def invent(broker: Any) -> None:
        greet(broker)
        broker.invents_emptiness = True

    daemon = run.machines.on_daemon

    def greet_daemon(one: Any) -> None:
        daemon(one)
        one.broker.invents_emptiness = True

    run.caretakers.on_broker, run.machines.on_daemon = invent, greet_daemon
    yield


@contextmanager
def adding_fills(run: Run) -> Iterator[None]:
    """25: each message of a fill adds its quantity to what is booked."""
    on_report = Trader.on_report

    def added(self: Trader, report: OrderReport) -> Decision | None:
        last = run.exchange.last_fill(report)
        try:
            booked = run.books.rows(
                "SELECT filled_quantity FROM dca_orders WHERE client_order_id = ?", report.client_order_id
            )
        except DatabaseError:
            booked = []
        if last and booked:
            report = replace(report, filled_quantity=Decimal(booked[0][0]) + last)
        return on_report(self, report)

    with instead(Trader, "on_report", added):
        yield


@contextmanager
def selling_filled_quantity(run: Run) -> Iterator[None]:
    """34 to 37: the fee that was taken in coins is forgotten, and the gross quantity is sold."""

    def fold(orders: Any) -> ledger.Holding:
        free = [replace(order, fee_quantity=ZERO) for order in orders]
        return truly(free)

    truly = ledger.fold
    with ExitStack() as stack:
        for module in (ledger, lifecycle, strategy, reconcile):
            stack.enter_context(instead(module, "fold", fold))
        yield


@contextmanager
def clearing_the_id_of_a_stale_order(run: Run) -> Iterator[None]:
    """O13: a stale buy is forgotten while it is still open at the exchange."""

    def on_stale(cycle: Cycle, now: datetime, limit: timedelta) -> Decision | None:
        decision = truly(cycle, now, limit)
        if decision is None:
            return None
        for order in decision.cancel:
            forgotten = replace(order, order_id=None, status=OrderStatus.CANCELED, closed_at=now)
            cycle = cycle.with_order(forgotten)
        return lifecycle.settle_status(cycle, "stale buy forgotten", now)

    truly = lifecycle.on_stale
    with instead(lifecycle, "on_stale", on_stale):
        yield


@contextmanager
def three_commits_for_a_filled_sell(run: Run) -> Iterator[None]:
    """O10: the cycle, the asset and the next cycle are written one after the other."""

    def save(self: Store, entry: Entry, decision: Decision) -> None:
        truly(self, entry, replace(decision, successor=None, last_sell_price=None))

    def carry_out(work: Callable[[], Decision | None]) -> Decision | None:
        decision = busy(work)
        if decision is None or decision.successor is None:
            return decision
        store = next(daemon.store for daemon in run.machines.daemons)
        for part in ({"successor": None}, {"last_sell_price": None}):
            with store.locked(decision.cycle.id) as entry:
                if entry is not None:
                    truly(store, entry, replace(decision, cycle=entry.cycle, submit=(), cancel=(), **part))
        return decision

    truly, busy = Store.save, executor._when_not_busy
    with instead(Store, "save", save), instead(executor, "_when_not_busy", carry_out):
        yield


@contextmanager
def selling_without_waiting_for_the_cancel(run: Run) -> Iterator[None]:
    """Rule 3 broken: the open buy is asked to go and the sell goes out behind it."""

    def on_quote(asset: Any, cycle: Cycle, market: Any) -> Decision | None:
        decision = truly(asset, cycle, market)
        if decision is None or not any(order.side is model.Side.BUY for order in decision.cancel):
            return decision
        holding = ledger.fold(cycle.orders)
        quantity = strategy.step_down(holding.held, market.instrument.quantity_step)
        purpose = Purpose.TAKE_PROFIT
        order = Order(cycle.next_id(purpose), purpose, model.Side.SELL, quantity, None, market.now)
        sold = replace(decision.cycle.with_order(order), status=model.CycleStatus.SELLING)
        return replace(decision, cycle=sold, submit=(order,))

    truly = strategy.on_quote
    from dcabot import trader

    with instead(trader, "on_quote", on_quote):
        yield


@contextmanager
def an_id_reused_after_a_cancel(run: Run) -> Iterator[None]:
    """17: the number of an order counts only those that were not cancelled; Alpaca never takes an id again."""

    def next_id(self: Cycle, purpose: Purpose) -> str:
        gone = (OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.VOID)
        left = tuple(order for order in self.orders if order.status not in gone or order.filled_quantity)
        return truly(replace(self, orders=left), purpose)

    truly = Cycle.next_id
    with instead(Cycle, "next_id", next_id):
        yield


@contextmanager
def trouble_that_ends_the_rounds(run: Run) -> Iterator[None]:
    """A reconciliation that met trouble never ends, and REST is not asked any more."""
    with instead(Schedule, "reconciliation_failed", lambda self, now: None):
        yield


@contextmanager
def trouble_that_leaves_an_asset_busy(run: Run) -> Iterator[None]:
    """A request that met trouble is in flight for ever: its asset is not decided on again."""
    with instead(Schedule, "request_failed", lambda self, symbol, now: None):
        yield


@contextmanager
def one_bid_sells_at_the_market(run: Run) -> Iterator[None]:
    """One bid of the stream is believed: REST is asked, and its answer is not waited for."""
    with instead(SecondLook, "agrees", lambda self, price: True):
        yield


@contextmanager
def one_quote_is_two_looks(run: Run) -> Iterator[None]:
    """REST tells the very quote that the stream told, at once, and that counts as another look."""

    def agrees(self: SecondLook, price: Decimal) -> bool:
        return self.latest is not None and min(self.first.bid, self.latest.bid) >= price

    with instead(SecondLook, "agrees", agrees):
        yield


@contextmanager
def a_limit_below_the_floor(run: Run) -> Iterator[None]:
    """The bid has reached the sale price, so the limit is left lower, that it may fill."""

    def lower(cycle: Cycle, instrument: Any, quote: Any, now: datetime, price: Decimal, why: str) -> Any:
        lowest = strategy.step_down(price * Decimal("0.97"), instrument.price_step)
        return truly(cycle, instrument, quote, now, lowest, why)

    truly = strategy.sell_at_limit
    with instead(strategy, "sell_at_limit", lower):
        yield


@contextmanager
def foreign_coins_sold_with_the_cycle(run: Run) -> Iterator[None]:
    """All that the account shows of a coin is sold."""

    def on_quote(asset: Any, cycle: Cycle, market: Any) -> Decision | None:
        decision = truly(asset, cycle, market)
        sells = [one for one in decision.submit if one.side is model.Side.SELL] if decision else []
        if decision is None or not sells or not market.unowned:
            return decision
        every = sells[0].quantity + strategy.step_down(market.unowned, market.instrument.quantity_step)
        order = replace(sells[0], quantity=every)
        return replace(decision, cycle=decision.cycle.with_order(order), submit=(order,))

    truly = strategy.on_quote
    from dcabot import trader

    with instead(trader, "on_quote", on_quote):
        yield


@contextmanager
def an_empty_list_ends_a_cycle(run: Run) -> Iterator[None]:
    """A position that is not shown was sold."""
    with instead(absence, "explains", lambda left, cycle, shown: True):
        yield


@contextmanager
def a_cause_that_is_none(run: Run) -> Iterator[None]:
    """The sale of the cycle before explains why coins of this one are not shown."""
    since = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
    with ExitStack() as stack:
        for name in ("asked_since", "_first_buy_at"):
            stack.enter_context(instead(absence, name, lambda cycle: since))
        stack.enter_context(instead(absence, "explains", lambda left, cycle, shown: bool(left.sold)))
        yield


@contextmanager
def an_old_quote_decides(run: Run) -> Iterator[None]:
    """The quote that came last counts, whatever its time."""

    def screen(before: Any, quote: Quote, latest: datetime) -> Any:
        if before.believed is not None and quote.at < before.believed.at:
            before = replace(before, believed=replace(before.believed, at=quote.at))
        return truly(before, quote, latest)

    truly = quotes.screen
    with instead(quotes, "screen", screen):
        yield


@contextmanager
def the_last_unseen_quote_counts(run: Run) -> Iterator[None]:
    """While a pair is busy, an old quote that comes late takes the place of a newer one."""
    with instead(Unseen, "then", lambda self, raw, at: Unseen(at, (raw,))):
        yield


@contextmanager
def a_trouble_never_told(run: Run) -> Iterator[None]:
    """Coins are not shown, the pair is suspended, and no person hears of it."""
    with instead(troubles, "_absence", lambda cycle: []):
        yield


@contextmanager
def an_order_without_answer_never_told(run: Run) -> Iterator[None]:
    """Alpaca says nothing of an order, the asset waits, and no person hears of it."""
    with instead(troubles, "_undone", lambda asset, cycle, noticed, now: []):
        yield


@contextmanager
def a_ladder_without_end(run: Run) -> Iterator[None]:
    """Safety orders are counted by the position that is shown."""

    def safety_price(asset: Any, holding: Any) -> Decimal | None:
        return truly(asset, replace(holding, safety_count=0))

    truly = strategy.safety_price
    with instead(strategy, "safety_price", safety_price):
        yield


@contextmanager
def a_profit_before_its_fees(run: Run) -> Iterator[None]:
    """The report leaves out what the exchange charges for a sale."""
    with instead(Fees, "of_sale", lambda self, order: ZERO):
        yield


PLANTS = (
    request_before_row,
    no_reconciliation,
    empty_answer_to_a_failed_query,
    adding_fills,
    selling_filled_quantity,
    clearing_the_id_of_a_stale_order,
    three_commits_for_a_filled_sell,
    selling_without_waiting_for_the_cancel,
    an_id_reused_after_a_cancel,
    trouble_that_ends_the_rounds,
    trouble_that_leaves_an_asset_busy,
    one_bid_sells_at_the_market,
    one_quote_is_two_looks,
    a_limit_below_the_floor,
    foreign_coins_sold_with_the_cycle,
    an_empty_list_ends_a_cycle,
    a_cause_that_is_none,
    an_old_quote_decides,
    the_last_unseen_quote_counts,
    a_trouble_never_told,
    an_order_without_answer_never_told,
    a_ladder_without_end,
    a_profit_before_its_fees,
)
