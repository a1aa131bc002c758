"""Laws that hold for every history, not for the ones somebody thought of.

The first half is about single values. The second lets a bot live through random weather at a random exchange
(`tests/scenarios/world.py`) and looks at it after every step.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from dcabot.core.absence import Departure, on_covered, on_departure, on_missing
from dcabot.core.ledger import FEE_RATIO_MAX, fold
from dcabot.core.lifecycle import merge, on_position, on_report, on_short_position, on_unknown_fee
from dcabot.core.model import Cycle, CycleStatus, Order, OrderReport, OrderStatus, Purpose, Rules, Side
from dcabot.core.money import EXACT, step_down, step_up
from dcabot.core.profit import profit
from dcabot.core.retry import BACKOFF_SECONDS_MAX, backoff_until
from dcabot.core.rules import ROUND_TRIP_FEE_RATIO, buy_quantity, too_small
from dcabot.core.second_look import borne_out
from dcabot.core.states import ORDER_STEPS, is_open, may_step
from dcabot.core.strategy import Market, on_quote
from tests.builders import make_asset, make_cycle, make_instrument, make_order, make_quote, make_report, make_time
from tests.scenarios.world import World

D = Decimal
C = CycleStatus
O = OrderStatus  # noqa: E741 - as in states.py
NOW = make_time(1000)
COIN = D("0.000000001")

STEPS = st.sampled_from([D("0.000000001"), D("0.0001"), D("0.01"), D("0.25"), D(1)])
PRICES = st.decimals("0.00001", "250000", places=5)
AMOUNTS = st.decimals("10", "200000", places=2)
QUANTITIES = st.decimals("0.000000001", "1000", places=9)


# Rounding


@given(value=st.decimals(0, 10**9, places=15), step=STEPS)
def test_stepping_meets_the_nearest_multiples_on_both_sides(value: Decimal, step: Decimal) -> None:
    down, up = step_down(value, step), step_up(value, step)
    assert down <= value <= up
    assert value - down < step
    assert up - value < step
    assert EXACT.remainder(down, step) == EXACT.remainder(up, step) == 0


@given(notional=AMOUNTS, ask=PRICES, price_step=STEPS, quantity_step=STEPS)
def test_a_buy_never_costs_more_than_its_amount_and_lies_on_the_grid(
    notional: Decimal, ask: Decimal, price_step: Decimal, quantity_step: Decimal
) -> None:
    instrument = make_instrument(price_step=price_step, quantity_step=quantity_step)
    price = step_up(ask, price_step)
    quantity = buy_quantity(notional, price, instrument)
    assert EXACT.multiply(quantity, price) <= notional
    assert EXACT.multiply(quantity + quantity_step, price) > notional
    assert EXACT.remainder(quantity, quantity_step) == EXACT.remainder(price, price_step) == 0


@given(notional=AMOUNTS, bid=PRICES, spread=st.decimals(0, 100, places=5), price_step=STEPS, quantity_step=STEPS)
def test_an_order_decided_by_a_quote_keeps_to_amount_tick_and_increment(
    notional: Decimal, bid: Decimal, spread: Decimal, price_step: Decimal, quantity_step: Decimal
) -> None:
    asset = make_asset(base_notional=notional)
    instrument = make_instrument(price_step=price_step, quantity_step=quantity_step)
    decision = on_quote(asset, make_cycle(), Market(instrument, make_quote(bid, bid + spread), D(0), NOW))
    assert decision is not None
    for order in decision.submit:
        assert order.limit_price is not None
        assert bid + spread <= order.limit_price < bid + spread + price_step
        assert not too_small(order.quantity, order.limit_price, instrument)
        assert EXACT.multiply(order.quantity, order.limit_price) <= notional


@given(held=QUANTITIES, step=STEPS)
def test_a_sale_is_at_most_what_is_held_and_leaves_less_than_one_increment(held: Decimal, step: Decimal) -> None:
    cycle, quote = make_cycle(make_order(filled=held, price=1, fee_quantity=0)), make_quote(2, 2)
    market = Market(make_instrument(quantity_step=step), quote, D(0), NOW, look=borne_out(quote))
    decision = on_quote(make_asset(), cycle, market)
    sells = [order for order in (decision.submit if decision else ()) if order.side is Side.SELL]
    assert bool(sells) == (held >= step)
    for order in sells:
        assert order.quantity <= held < order.quantity + step


@given(fills=st.lists(st.tuples(QUANTITIES, PRICES), min_size=1, max_size=8))
def test_what_was_bought_never_cost_more_than_the_average_says(fills: list[tuple[Decimal, Decimal]]) -> None:
    holding = fold([make_order(filled=quantity, price=price) for quantity, price in fills])
    cost = sum((EXACT.multiply(quantity, price) for quantity, price in fills), D(0))
    bought = sum((quantity for quantity, _ in fills), D(0))
    assert EXACT.multiply(holding.average_price, bought) >= cost
    assert EXACT.multiply(holding.average_price - D("0.0000000001"), bought) < cost


@given(quantity=st.decimals("0.01", "1000", places=9), price=st.decimals("1000", "250000", places=2))
def test_a_sale_at_the_smallest_take_profit_allowed_loses_at_most_the_cents_of_rounding(
    quantity: Decimal, price: Decimal
) -> None:
    bought = make_order(filled=quantity, price=price)
    held = fold([bought]).held
    sold = make_order(Purpose.TAKE_PROFIT, filled=held, price=price * (1 + ROUND_TRIP_FEE_RATIO))
    assert profit([bought, sold]) >= -D("0.01") - COIN * price * 2


# Reports

REPORTED = [O.ACCEPTED, O.PARTIALLY_FILLED, O.FILLED, O.CANCELED, O.EXPIRED, O.REJECTED]


@st.composite
def histories(draw: st.DrawFn) -> list[OrderReport]:
    """What an exchange may truly say of one order, in the order in which it happened."""
    quantity = 10
    order = make_order(status=O.INTENDED, order_id=None, quantity=quantity)
    filled, told, at = 0, [], 0
    for _ in range(draw(st.integers(0, 4))):
        at += 1
        told.append(_said(order, O.PARTIALLY_FILLED if filled else O.ACCEPTED, filled, at))
        filled += draw(st.integers(0, (quantity - filled) // 2))
    end = draw(st.sampled_from([None, O.FILLED, O.CANCELED, O.EXPIRED, O.REJECTED]))
    if end is O.FILLED:
        told.append(_said(order, O.FILLED, quantity, at + 1))
    elif end:
        told.append(_said(order, end, filled, at + 1))
        late = draw(st.sampled_from([filled, quantity]))  # a fill that was faster than the cancel
        if late > filled:
            told.append(_said(order, O.FILLED, late, at + 2))
    return told


def _said(order: Order, status: OrderStatus, filled: int, at: int) -> OrderReport:
    """The average price is a function of what was filled: a history has one price for each quantity."""
    return make_report(order, status, filled=filled, price=100 - filled, at=at)


def told(order: Order, reports: list[OrderReport]) -> Order:
    for report in reports:
        order = merge(order, report)
    return order


STARTS = st.sampled_from([
    make_order(status=O.INTENDED, order_id=None, quantity=10),
    make_order(status=O.VOID, order_id=None, quantity=10),
])  # fmt: skip


@given(order=STARTS, history=histories(), data=st.data())
def test_any_shuffle_of_a_history_with_any_repetitions_ends_equal(
    order: Order, history: list[OrderReport], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    assert told(order, data.draw(st.permutations(history + again))) == told(order, history)


@given(order=STARTS, history=histories(), data=st.data())
def test_a_report_applied_twice_is_applied_once_and_an_older_one_changes_nothing(
    order: Order, history: list[OrderReport], data: st.DataObject
) -> None:
    assume(history)
    cycle = make_cycle(told(order, history))
    older = data.draw(st.sampled_from(history))
    assert on_report(cycle, older, NOW) is None


@given(order=STARTS, history=histories(), data=st.data())
def test_fills_only_grow_and_an_order_only_takes_steps_of_the_table(
    order: Order, history: list[OrderReport], data: st.DataObject
) -> None:
    for report in data.draw(st.permutations(history)):
        after = merge(order, report)
        assert after.filled_quantity >= order.filled_quantity
        assert after.status is order.status or may_step(ORDER_STEPS, order.status, after.status)
        assert (after.closed_at is None) == is_open(after) or after.status is O.VOID
        order = after


# Ledger and positions


@st.composite
def traded_cycles(draw: st.DrawFn) -> Cycle:
    """Buys, read or unread, with sells between them that need not make sense."""
    orders = [
        make_order(
            draw(st.sampled_from(list(Purpose))),
            number=number,
            filled=draw(QUANTITIES),
            price=draw(PRICES),
            fee_quantity=draw(st.sampled_from([None, D(0), D("0.001")])),
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    sells = [make_order(order.purpose, filled=order.filled_quantity) for order in orders if order.side is Side.SELL]
    return make_cycle(*(order for order in orders if order.side is Side.BUY), *sells)


@given(cycle=traded_cycles())
def test_held_is_never_negative(cycle: Cycle) -> None:
    assert fold(cycle.orders).held >= 0


@given(
    quantities=st.lists(QUANTITIES, min_size=1, max_size=5), part=st.decimals(0, 1, places=6), known=st.integers(0, 4)
)
def test_settled_fees_sum_to_the_position(quantities: list[Decimal], part: Decimal, known: int) -> None:
    bought = [
        make_order(number=n, filled=quantity, fee_quantity=0 if n < known else None)
        for n, quantity in enumerate(quantities)
    ]
    unread = sum((order.filled_quantity for order in bought if order.fee_quantity is None), D(0))
    position = sum(quantities, D(0)) - step_down(unread * FEE_RATIO_MAX * part, COIN)
    decision = on_position(make_cycle(*bought), position, NOW)
    assert (decision is None) == (unread == 0)
    if decision:
        holding = fold(decision.cycle.orders)
        assert (holding.held, holding.settled) == (position, True)


@given(cycle=traded_cycles(), position=QUANTITIES, inherited=st.sampled_from([D(0), D("0.001")]))
def test_no_position_gives_a_cycle_coins_it_did_not_buy(cycle: Cycle, position: Decimal, inherited: Decimal) -> None:
    """Whatever the exchange shows: bought less sold, and the rest of an earlier cycle, is the most a cycle has."""
    cycle = replace(cycle, inherited=inherited)
    fees = [order.fee_quantity for order in cycle.orders if order.side is Side.BUY]
    for learn in (on_position, on_unknown_fee, on_short_position):
        decision = learn(cycle, position, NOW)
        if decision is None:
            continue
        after = fold(decision.cycle.orders)
        bought = sum((o.filled_quantity for o in cycle.orders if o.side is Side.BUY), D(0))
        sold = sum((o.filled_quantity for o in cycle.orders if o.side is Side.SELL), D(0))
        taken = inherited if set(fees) == {None} else D(0)
        assert after.held <= max(bought - sold, D(0)) + taken
        assert after.settled


@given(cycle=traded_cycles(), position=QUANTITIES)
def test_a_position_never_changes_average_or_rungs(cycle: Cycle, position: Decimal) -> None:
    before = fold(cycle.orders)
    left = Departure(position, D(0))
    for decide in (on_missing, on_covered, on_position, on_unknown_fee, on_short_position):
        decision = decide(cycle, position, NOW)
        for one in (decision, decision and on_departure(decision.cycle, D(0), left, NOW)):
            if one is None:
                continue
            after = fold(one.cycle.orders)
            assert (after.average_price, after.safety_count) == (before.average_price, before.safety_count)
            assert after.last_buy_price == before.last_buy_price


# Backoff


@given(refusals=st.integers(1, 40))
def test_backoff_grows_and_is_bounded(refusals: int) -> None:
    def seconds(count: int) -> timedelta:
        orders = [make_order(number=n, status=O.REJECTED, closed_at=0) for n in range(count)]
        until = backoff_until(make_cycle(*orders), Side.BUY)
        assert until is not None
        return until - make_time(0)

    assert timedelta(seconds=1) <= seconds(refusals) <= seconds(refusals + 1) <= timedelta(seconds=BACKOFF_SECONDS_MAX)


# A bot in random weather


class Weather:
    """One world and the dice that make things happen in it. What must hold for every decision, the world asserts."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.world = World(make_asset(rules=make_small_rules()), fee_ratio=self.roll(D(0), D("0.0025")))
        self.lost: list[Order] = []
        self.price = 100

    def roll(self, *sides: Any) -> Any:
        return self.dice.choice(sides)

    def step(self) -> None:
        self.roll(self.quote, self.quote, self.answer, self.exchange, self.exchange, self.wait, self.world.sweep)()

    def quote(self) -> None:
        self.price = max(50, self.price + self.roll(-2, -1, 0, 1, 2))
        self.world.see_quote(D(self.price), D(self.price))

    def wait(self) -> None:
        self.world.now += timedelta(seconds=self.roll(1, 1, 1, 5, 30, 60, 130, 301))

    def answer(self) -> None:
        """Accepted; refused; or nothing is heard, and it arrives all the same, or late, or never."""
        for order in list(self.world.unanswered.values()):
            how = self.roll("accepted", "accepted", "accepted", "refused", "unheard", "lost")
            if how == "refused":
                self.world.hear_refusal(order, "no money")
                continue
            del self.world.unanswered[order.client_order_id]
            if how == "lost":
                self.lost.append(order)
                continue
            self.world.arrive(order)
            if how == "accepted":
                self.world.hear(self.world.exchange[order.client_order_id])

    def exchange(self) -> None:
        """Something happens to an order at the exchange; perhaps the bot hears of it."""
        if self.lost and self.roll(True, False):
            order = self.lost.pop()
            if self.world.cycle.order(order.client_order_id):
                self.world.arrive(order)
        for report in self.working()[:1]:
            order = self.world.named(report.client_order_id)
            filled = self.roll(report.filled_quantity, self.free(order) / 2, self.free(order), self.free(order))
            filled = max(step_down(filled, COIN), report.filled_quantity)
            part = O.PARTIALLY_FILLED if filled else O.ACCEPTED
            status = O.FILLED if filled == order.quantity else self.roll(part, part, O.CANCELED, O.REJECTED)
            self.execute(order, status, filled, heard=self.roll(True, True, True, False))

    def working(self) -> list[OrderReport]:
        return [one for one in self.world.exchange.values() if one.status in (O.ACCEPTED, O.PARTIALLY_FILLED)]

    def free(self, order: Order) -> Decimal:
        """How much of an order the account can fill: a sell that surfaced late may find the coins gone."""
        if order.side is Side.BUY:
            return order.quantity
        return min(order.quantity, self.world.exchange[order.client_order_id].filled_quantity + self.world.position)

    def execute(self, order: Order, status: OrderStatus, filled: Decimal, heard: bool) -> None:
        report = self.world.execute(order.client_order_id, status, filled, order.limit_price or D(101))
        if heard:
            self.world.hear(report)

    def calm(self) -> None:
        """No more buying; every request is answered, every cancel obeyed, every sell filled, and the price is high."""
        world = self.world
        world.asset = replace(world.asset, enabled=False)
        for _ in range(40):
            world.answer()
            for report in self.working():
                order = world.named(report.client_order_id)
                filled = report.filled_quantity if order.side is Side.BUY else self.free(order)
                self.execute(order, O.FILLED if filled == order.quantity else O.CANCELED, filled, heard=True)
            world.now += timedelta(seconds=61)
            world.sweep()
            world.see_quote(D(200), D(200))


def make_small_rules() -> Rules:
    return Rules(D(20), D(20), 2, D("0.02"), D("0.01"), 60, D("0.02"))


@given(seed=st.integers(0, 2**32))
def test_whatever_happens_the_bot_comes_to_rest_with_everything_sold(seed: int) -> None:
    """Lost, late, unheard, refused, half filled: no step off the tables, nothing bought twice, nothing left behind."""
    weather = Weather(seed)
    for _ in range(100):
        weather.step()
    weather.calm()
    world = weather.world
    assert world.position * 200 < 2, world.cycle
    assert weather.working() == []
    assert not any(is_open(order) for order in world.cycle.orders)
    assert world.cycle.status is C.WATCHING
    assert [cycle.status for cycle in world.past if cycle.status is not C.COMPLETE] == []
