"""The invariants I1 to I11 of the failure catalogue as functions, each with the harm it prevents.

They are written again here, from the rows and the venue alone, so that a mistake in the product's own arithmetic is
seen. An allowance stands where a fault justifies it, and says which.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_UP, Decimal

from dcabot.core import troubles
from dcabot.core.model import EPOCH, Order, OrderStatus, Quote, Side
from dcabot.core.money import EXACT, step_down, step_up
from dcabot.core.venue import Execution, VenueOrder
from tests.builders import START
from tests.simulation.clockwork import Program
from tests.simulation.daemon import Daemon
from tests.simulation.people import is_ours
from tests.simulation.watch import OVER, STEPS, CycleRow, OrderRow, Scene

WORST_FEE = Decimal("0.0025")
CENT = Decimal("0.01")
COIN, PRICE = Decimal("0.000000001"), Decimal("0.0000000001")
QUOTE_AGE = timedelta(seconds=60)
REST_SPEAKS_SECONDS = 15.0  # for so long an old quote that REST showed as its latest counts as current
WAY = timedelta(seconds=1)  # from a decision to its row: what a lock keeps waiting longer is decided again
CONTACT = timedelta(seconds=20)
HAND_SECONDS = 120.0  # what a person did has shown everywhere by then
LOOK_LASTS_SECONDS = 75.0  # so long ago may REST have been asked that bears a price out, as any quote, and its way
UNANSWERED = timedelta(seconds=61)  # so long an order may be without an answer untold
LOOK_STANDS_SECONDS = 2.0  # so much later one quote is two looks


# When a row changes


def one_order_at_a_time(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """I1. Harm: bought twice, sold twice, or a sell beside an open buy, which Alpaca refuses as a wash trade.

    Void orders may surface beside a new one: they are cancelled on sight.
    """
    if not after.is_open or after.name in scene.ever_void:
        return
    asset_id = scene.rows.cycles[after.cycle_id].asset_id
    others = [
        one
        for one in scene.rows.orders.values()
        if one.is_open and one.name != after.name and one.name not in scene.ever_void
        if scene.rows.cycles[one.cycle_id].asset_id == asset_id
    ]
    if after.limit_price is not None and after.side == "sell":
        # A sale at a limit that fills at once or never does not wait for a buy that has bought nothing.
        others = [one for one in others if one.side == "sell" or one.filled]
    if others:
        scene.fail("I1 one order at a time", f"{after.name} beside {others[0].name}")


def books_never_tell_more_than_happened(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """I2. Harm: a fill booked twice; the bot then sells coins that it does not have."""
    if not after.is_request:
        return
    order = scene.exchange.venue.order_of(after.name)
    truth = order.filled_quantity if order else Decimal(0)
    if after.filled > truth:
        scene.fail("I2 fills", f"{after.name}: booked {after.filled}, the exchange filled {truth}")
    if after.filled and order is not None and after.filled == truth and after.price != order.filled_price:
        scene.fail("I2 fills", f"{after.name}: booked at {after.price}, filled at {order.filled_price}")
    if before is not None and after.filled < before.filled:
        scene.fail("I2 fills", f"{after.name}: a booked fill shrank from {before.filled} to {after.filled}")


def identity_is_never_cleared(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """I3. Harm: an order that is still open at the exchange and that nobody owns."""
    if before is not None and before.order_id is not None and after.order_id != before.order_id:
        scene.fail("I3 identity", f"{after.name}: order id {before.order_id} became {after.order_id}")
    order = scene.exchange.venue.order_of(after.name)
    if after.order_id is not None and (order is None or order.id != after.order_id):
        scene.fail("I3 identity", f"{after.name}: order id {after.order_id}, the exchange has {order!r}")


def closed_only_when_over(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """I3. Harm: a row that says "over" while the exchange may still fill it: the next order doubles it."""
    order = scene.exchange.venue.order_of(after.name)
    if after.status in ("filled", "canceled", "expired", "rejected") and order is not None and order.is_open:
        scene.fail("I3 closed only when over", f"{after.name} is {after.status}, at the exchange {order.status.value}")


def spends_no_more_than_the_ladder(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """I6. Harm: all the money in one falling coin, whatever position the exchange shows meanwhile.

    Settings that changed count with their largest value.

    A void order that surfaced may come on top; a base order that filled less than can be sold is tried again.
    """
    if after.side != "buy" or (before is not None and before.filled == after.filled):
        return
    cycle = scene.rows.cycles[after.cycle_id]
    most, symbol = scene.most[cycle.asset_id], scene.symbol(after.cycle_id)
    mine = [one for one in scene.rows.orders_of(cycle.id) if one.side == "buy" and one.is_request]
    mine = [one for one in mine if one.name not in scene.ever_void]
    filled = [one for one in mine if one.filled]
    spent = sum((EXACT.multiply(one.filled, one.price or Decimal(0)) for one in filled), Decimal(0))
    safeties = sum(one.purpose == "safety" for one in filled)
    if safeties > most["safety_max"]:
        scene.fail("I6 ladder", f"{safeties} safety orders filled, {most['safety_max']} allowed: {after.name}")
    crumbs = [one.limit_price or Decimal(0) for one in filled if one.purpose == "base"][1:]
    allowed = most["base"] + most["safety"] * most["safety_max"] + STEPS[symbol] * sum(crumbs, Decimal(0)) * 2
    if spent > allowed:
        scene.fail("I6 ladder", f"{spent} USD spent in cycle {cycle.id}, {allowed} allowed")


def decided_on_a_price_of_now(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """I11. Harm: trading on a price of yesterday, or on one that no market ever quoted.

    With nothing to compare it with, the first quote of all is believed; its limit then buys at the market's price.
    Who closes a cycle by hand sells at any price.
    """
    if not after.is_request:
        return
    if before is not None or (after.side == "sell" and scene.is_by("cycle-close")):
        return
    symbol = scene.symbol(after.cycle_id)
    daemon = scene.decided_by(symbol)
    if daemon is None:
        scene.fail("I11 price of now", f"{after.name}: no daemon decided on it")
        return
    quote = decided_on(daemon, symbol, after)
    is_first = asset_never_traded(scene, after)
    # A limit is good at any quote: what the stream told falsely buys no dearer and sells no cheaper than it says.
    # A sale at the market has a law of its own.
    is_lie = (quote.bid, quote.ask) in scene.market.lies[symbol]
    if not (is_first or is_lie) and all(
        (quote.bid, quote.ask) != (bid, ask) for _, bid, ask in scene.market.history[symbol]
    ):
        scene.fail("I11 price of now", f"{after.name}: {quote!r} was never a price of the market")
    quote = replace(quote, at=max(quote.at, after.quote_at or quote.at))  # judged anew after a wait
    age = abs(scene.world.clock() - quote.at)
    if scene.machines.has_jumped:  # it may have jumped since
        age = min(age, abs(scene.world.true_time() - quote.at))
    if age > QUOTE_AGE + WAY and overtaken_seconds(scene, quote) > REST_SPEAKS_SECONDS:
        scene.fail("I11 price of now", f"{after.name} on a quote {age} old")


def sells_at_the_market_after_two_looks(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """Rule 3. Harm: all is sold for what the market pays, on one false bid of the stream.

    Both at or above the least take profit: a quote, of the stream or of REST, and a later answer of REST that is
    newer, or the same one two seconds on. A clock that jumped cannot count those two seconds.
    """
    if before is not None or after.purpose != "take_profit" or after.limit_price is not None:
        return
    symbol = scene.symbol(after.cycle_id)
    daemon = scene.decided_by(symbol)
    if daemon is None:
        return
    scene.world.saw("sale at the market")
    average = replay(scene.rows.orders_of(after.cycle_id))[1]
    floor = EXACT.multiply(average, 1 + scene.least[scene.rows.cycles[after.cycle_id].asset_id]["take_profit"] / 100)
    since = scene.world.now - LOOK_LASTS_SECONDS
    told = [(at, quote) for at, quote in daemon.broker.told[symbol] if quote.bid >= floor]
    firsts = [*told, *((at, quote) for at, quote in daemon.came[symbol] if quote.bid >= floor)]
    lasts = 0.0 if scene.machines.has_jumped else LOOK_STANDS_SECONDS
    for asked_at, quote in told:
        for at, first in firsts:
            is_other = first.at < quote.at and at <= asked_at
            if asked_at >= since and (is_other or (first.at == quote.at and asked_at - at >= lasts)):
                return
    scene.fail("rule 3 two looks", f"{after.name}: {floor} was not seen twice; REST told {told[-3:]}")


def overtaken_seconds(scene: Scene, quote: Quote) -> float:
    """How long ago a newer quote came; zero while it is the market's newest, which REST shows."""
    newer = [at for at, _, _ in scene.market.history[quote.symbol] if START + timedelta(seconds=at) > quote.at]
    return scene.world.now - newer[0] if newer else 0.0


def asset_never_traded(scene: Scene, row: OrderRow) -> bool:
    """True while there is no price of ours that a quote could be compared with."""
    asset = scene.rows.assets[scene.rows.cycles[row.cycle_id].asset_id]
    return asset.last_sell_price is None and not any(one.filled for one in scene.rows.orders_of(row.cycle_id))


def decided_on(daemon: Daemon, symbol: str, row: OrderRow) -> Quote:
    """The quote that a row was decided on: after a wait that is not the one that began it."""
    newest = daemon.trader.seen[symbol].newest if symbol in daemon.trader.seen else None
    if newest is not None and newest.at == row.quote_at:
        return newest
    return daemon.acting[symbol]


def sells_only_over_the_floor(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """I7. Harm: sold below cost."""
    if not after.is_request:
        return
    daemon = scene.decided_by(scene.symbol(after.cycle_id))
    if before is not None or after.side != "sell" or daemon is None:
        return
    cycle = scene.rows.cycles[after.cycle_id]
    average = replay(scene.rows.orders_of(cycle.id))[1]
    floor = EXACT.multiply(average, 1 + scene.least[cycle.asset_id]["take_profit"] / 100)
    bid = decided_on(daemon, scene.symbol(cycle.id), after).bid
    if bid < floor:
        scene.fail("I7 floor", f"{after.name}: average {average}, floor {floor}, decided at a bid of {bid}")


def base_order_honours_the_cooldown(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """I8. Harm: bought back at once at the price just sold at. A clock that jumped makes seconds meaningless."""
    daemon = scene.decided_by(scene.symbol(after.cycle_id))
    if before is not None or after.purpose != "base" or scene.machines.has_jumped or daemon is None:
        return
    asset_id = scene.rows.cycles[after.cycle_id].asset_id
    former = [c for c in scene.rows.cycles.values() if c.asset_id == asset_id and c.id < after.cycle_id]
    last = max(former, key=lambda cycle: cycle.id, default=None)
    if last is None or last.id in scene.released or last.status != "complete" or last.completed_at is None:
        return
    least, asset = scene.least[asset_id], scene.rows.assets[asset_id]
    since = (scene.world.clock() - last.completed_at).total_seconds()
    if since >= least["cooldown"]:
        return
    ask = decided_on(daemon, asset.symbol, after).ask
    allowed = (asset.last_sell_price or Decimal(0)) * (1 - least["restart_drop"] / 100)
    if ask > allowed:
        scene.fail("I8 cooldown", f"{after.name}: {since:.1f} s after the sale, ask {ask}, early restart at {allowed}")
    scene.world.saw("early restart")


def base_order_waits_for_coins_of_others(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """Rule 1. Harm: the owner's coins become part of a cycle and are sold with it.

    The daemon must have looked between their coming and its decision (a snapshot is dated when its last answer is in);
    void orders, misread positions and odd clocks excuse it.
    """
    symbol = scene.symbol(after.cycle_id)
    daemon = scene.decided_by(symbol)
    swept_at = daemon.acting_after[symbol] if daemon else None
    if before is not None or after.purpose != "base" or daemon is None or swept_at is None:
        return
    looked_at = (swept_at - START).total_seconds()
    weather = scene.world.chance.weather
    is_excused = scene.machines.has_jumped or scene.ever_void or weather["lag"] or weather["absences"]
    is_excused = is_excused or scene.most[scene.rows.cycles[after.cycle_id].asset_id]["beside"]
    if is_excused or looked_at < scene.exchange.hand_moved.get(symbol, 0.0) + 20.0:
        return
    position, bid = scene.exchange.position(symbol), decided_on(daemon, symbol, after).bid
    if position >= STEPS[symbol] and position * bid >= 1:
        scene.fail("rule 1 coins of others", f"{after.name} beside {position} coins that no cycle owns")


def refused_orders_are_not_repeated_in_a_burst(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """Rule 8. Harm: a refusal asked for again and again, until the rate limit keeps the take profit out too."""
    if before is not None or scene.machines.has_jumped:
        return
    former = [one for one in scene.rows.orders_of(after.cycle_id) if one.side == after.side and one.id < after.id]
    if not former or former[-1].status != "rejected" or former[-1].filled or not former[-1].closed_at:
        return
    pause = (after.created_at or former[-1].closed_at) - former[-1].closed_at
    if pause < timedelta(seconds=1):
        scene.fail("rule 8 no burst", f"{after.name} follows the refusal of {former[-1].name} after {pause}")


def what_is_booked_out_is_gone(scene: Scene, before: OrderRow | None, after: OrderRow) -> None:
    """Rule 11. Harm: a position that was only hidden is taken for coins sold, and the rest is sold at a loss."""
    if before is None and after.purpose == "outside":
        rows = [one for one in scene.rows.orders_of(after.cycle_id) if one.name != after.name]
        _must_be_gone(scene, after.cycle_id, replay(rows)[0])


def _must_be_gone(scene: Scene, cycle_id: int, held: Decimal) -> None:
    """The exchange truly has less than the cycle held. What a person does just now may come between."""
    symbol = scene.symbol(cycle_id)
    is_quiet = scene.world.now - scene.exchange.hand_moved.get(symbol, -HAND_SECONDS) >= HAND_SECONDS
    position = scene.exchange.position(symbol)
    if is_quiet and position >= held:
        scene.fail("an absence needs a cause", f"cycle {cycle_id} held {held}, and the exchange has {position}")


ROW_LAWS = (
    what_is_booked_out_is_gone,
    one_order_at_a_time,
    books_never_tell_more_than_happened,
    identity_is_never_cleared,
    closed_only_when_over,
    spends_no_more_than_the_ladder,
    decided_on_a_price_of_now,
    sells_at_the_market_after_two_looks,
    sells_only_over_the_floor,
    base_order_waits_for_coins_of_others,
    base_order_honours_the_cooldown,
    refused_orders_are_not_repeated_in_a_burst,
)


# When a cycle changes


def columns_are_a_replay_of_the_fills(scene: Scene, cycle: CycleRow, before: CycleRow | None) -> None:
    """I4. Harm: a safety order too many, a take profit at the wrong price. A cycle edited by hand is mended later."""
    if cycle.id in scene.people.edited_cycles:
        return
    orders = scene.rows.orders_of(cycle.id)
    held, average, safeties, last_buy = replay(orders)
    quantity = min(cycle.quantity, held) if cycle.is_missing else held
    stored = (cycle.quantity, cycle.average, cycle.safety_count, cycle.last_buy_price)
    if stored != (quantity, average, safeties, last_buy):
        scene.fail("I4 columns", f"cycle {cycle.id} has {stored}, its orders say {(held, average, safeties, last_buy)}")
    wanted = "buying" if any(o.is_open and o.side == "buy" for o in orders) else None
    sells = [o for o in orders if o.is_open and o.side == "sell"]
    if sells and (wanted is None or (sells[0].limit_price is not None and cycle.status == "selling")):
        wanted = "selling"  # beside a buy that has bought nothing and is asked to go
    if cycle.status not in OVER and (cycle.status in ("buying", "selling") or wanted) and cycle.status != wanted:
        scene.fail("I4 columns", f"cycle {cycle.id} is {cycle.status}, its orders say {wanted}")


def one_current_cycle(scene: Scene, cycle: CycleRow, before: CycleRow | None) -> None:
    """Rule 4. Harm: two cycles of one asset, each buying its own ladder."""
    mine = [c for c in scene.rows.cycles.values() if c.asset_id == cycle.asset_id and c.status not in OVER]
    if len(mine) > 1:
        scene.fail("one current cycle", f"{len(mine)} of asset {cycle.asset_id}: {[c.id for c in mine]}")


def a_sale_is_one_commit(scene: Scene, cycle: CycleRow, before: CycleRow | None) -> None:
    """Rule 4. Harm: a crash between two commits leaves a finished cycle without successor: the asset is dead."""
    if before is None or cycle.status == before.status or cycle.status not in OVER:
        return
    asset = scene.rows.assets[cycle.asset_id]
    later = [c for c in scene.rows.cycles.values() if c.asset_id == cycle.asset_id and c.id > cycle.id]
    if not later or cycle.completed_at is None:
        scene.fail("a sale is one commit", f"cycle {cycle.id} is {cycle.status} without successor or time")
    sells = [one for one in scene.rows.orders_of(cycle.id) if one.side == "sell" and one.filled and one.is_request]
    is_sold = bool(sells) and asset.last_sell_price == (sells[-1].price or Decimal(0)).quantize(PRICE)
    is_outside = cycle.ended_by in ("sold_outside", "withdrawn")  # a release looks around first
    is_released = cycle.status == "complete" and cycle.quantity and not (is_sold or is_outside)
    if is_released and scene.is_by("cycle-release"):
        # The coins are the operator's now. Had a sale that was under way come first, only its dust would be.
        scene.world.saw("cycle released")
        scene.released.add(cycle.id)
        scene.exchange.hand_moved[asset.symbol] = scene.world.now
    elif is_outside:
        scene.world.saw("cycle ended outside")
        if asset.is_enabled or asset.symbol not in scene.exchange.hand_moved:
            scene.fail("an absence needs a cause", f"cycle {cycle.id} ended by {cycle.ended_by}: {asset}")
        _must_be_gone(scene, cycle.id, replay(scene.rows.orders_of(cycle.id))[0])
    elif cycle.status == "complete":
        scene.world.saw("cycle complete")
        if not is_sold:
            scene.fail("a sale is one commit", f"cycle {cycle.id} sold, last_sell_price is {asset.last_sell_price}")
    else:
        scene.fail("no cycle is given up", f"cycle {cycle.id} ended in error")


def a_limit_sale_loses_nothing(scene: Scene, cycle: CycleRow, before: CycleRow | None) -> None:
    """Floor. Harm: a take profit that is a loss after fees.

    By the exchange's own executions: each beyond the second may cost a cent. Coins that are left over count at what
    they cost. Where more than a step of them is left, the sale was filled in part and brought only its part of the two
    cents that its price holds: then each execution may cost one. Who sells, moves or edits by hand, and void orders,
    excuse it.
    """
    rows = scene.rows.orders_of(cycle.id)
    sells = [one for one in rows if one.side == "sell" and one.filled]
    is_begun = before is not None and before.status not in OVER
    if cycle.status != "complete" or not is_begun or not sells:
        return
    if any(one.limit_price is None for one in sells) or not all(one.is_request for one in rows):
        return
    if scene.symbol(cycle.id) in scene.exchange.hand_moved or any(one.name in scene.ever_void for one in rows):
        return
    ids = {one.order_id for one in rows}
    ledger = scene.exchange.venue.account.activities
    done = [one for one in ledger if isinstance(one, Execution) and one.order_id in ids]
    sales = [one for one in done if one.side is Side.SELL]
    spent = sum((one.quantity * one.price for one in done if one.side is Side.BUY), Decimal(0))
    brought = sum((one.quantity * one.price - one.fee for one in sales), Decimal(0))
    held = replay(rows)[0]
    arrived = held + sum((one.quantity for one in sales), Decimal(0))
    loss = spent - brought - spent * held / arrived
    scene.world.saw("cycle sold at its limit")
    is_whole = held < STEPS[scene.symbol(cycle.id)]
    if loss > CENT * (max(0, len(sales) - 2) if is_whole else len(sales)):
        scene.fail("floor of a limit sale", f"cycle {cycle.id} spent {spent}, its {len(sales)} sales brought {brought}")


CYCLE_LAWS = (
    columns_are_a_replay_of_the_fills,
    one_current_cycle,
    a_sale_is_one_commit,
    a_limit_sale_loses_nothing,
)


# When a request is about to be sent


def the_row_comes_first(scene: Scene, program: Program, symbol: str, order: Order) -> None:
    """I3. Harm: a crash after the request leaves a live order that no row knows."""
    row = scene.rows.orders.get(order.client_order_id)
    if row is None:
        scene.fail("I3 row first", f"{order.client_order_id} is sent and no row says so")


def an_order_is_sent_once(scene: Scene, program: Program, symbol: str, order: Order) -> None:
    """I1. Harm: a request that was believed lost arrives beside its repetition."""
    if scene.sent[order.client_order_id] > 1:
        scene.fail("I1 sent once", f"{order.client_order_id} is sent again")


def sells_what_is_there(scene: Scene, program: Program, symbol: str, order: Order) -> None:
    """I5. Harm: a sell that Alpaca refuses again and again.

    By hand, by a void order or by a position misread, coins may be fewer than the book could know.
    """
    if order.side is not Side.SELL:
        return
    if step_down(order.quantity, STEPS[symbol]) != order.quantity:
        scene.fail("I5 sells what is there", f"{order.quantity} is no multiple of {STEPS[symbol]}")
    doubtful = symbol in scene.exchange.hand_moved or scene.ever_void or scene.world.chance.weather["lag"]
    if not doubtful and order.quantity > scene.exchange.position(symbol):
        scene.fail("I5 sells what is there", f"{order.quantity} of {scene.exchange.position(symbol)}")


def sells_only_what_the_cycle_bought(scene: Scene, program: Program, symbol: str, order: Order) -> None:
    """Rule 10. Harm: the owner's own coins are sold with the cycle.

    The rest that the asset's earlier cycle left is no coin of others: under a dollar, or under one step.
    """
    row = scene.rows.orders.get(order.client_order_id)
    if order.side is not Side.SELL or row is None:
        return
    mine = scene.rows.orders_of(row.cycle_id)
    bought = [one for one in mine if one.side == "buy" and one.filled]
    sold = sum((one.filled for one in mine if one.side == "sell" and one.name != row.name), order.quantity)
    fees = (step_up(one.filled * WORST_FEE, COIN) if one.fee is None else one.fee for one in bought)
    own = sum((one.filled for one in bought), Decimal(0)) - sum((max(fee, Decimal(0)) for fee in fees), Decimal(0))
    price = max((one.price or Decimal(0) for one in bought), default=Decimal(0))
    if sold > own and sold - own >= STEPS[symbol] and (sold - own) * price >= 1:
        scene.fail("rule 10 own coins", f"{row.name} sells up to {sold}, and {own} were bought")


def only_a_daemon_orders(scene: Scene, program: Program, symbol: str, order: Order) -> None:
    """Harm: two programs that each believe to be the one that trades. An operator may sell what there is."""
    if program.name == "cycle-close" and order.side is Side.SELL:
        return
    if not any(one.program is program for one in scene.machines.daemons):
        scene.fail("only a daemon orders", f"{program.name} places {order.client_order_id}")


SEND_LAWS = (
    the_row_comes_first,
    an_order_is_sent_once,
    sells_what_is_there,
    sells_only_what_the_cycle_bought,
    only_a_daemon_orders,
)


# When a daemon begins to act on a quote


def nothing_is_begun_in_the_dark(scene: Scene, daemon: Daemon, symbol: str) -> None:
    """I11. Harm: an order of whose fill nobody would hear, neither from the stream nor from REST."""
    swept = daemon.trader.swept_at
    is_recent = swept is not None and scene.world.clock() - swept < CONTACT
    if not daemon.feeds.orders_up and not is_recent:
        scene.fail("I11 in the dark", f"{daemon.program.name} acts on {symbol}, last look at REST {swept}")


def no_old_quote_decides(scene: Scene, daemon: Daemon, symbol: str) -> None:
    """Harm: bought or sold at a price that a newer quote has overtaken.

    A newer one counts that came and that nobody can have doubted: it is near the one acted on.
    To a clock that is behind, newer ones come from the future. While a pair is busy, one that is
    newer still and nonsense may hide it.
    """
    acting = daemon.acting[symbol]
    odd_at = EPOCH
    came = [quote for _, quote in list(daemon.came[symbol])[-20:]]
    for quote in sorted(came, key=lambda one: one.at, reverse=True):
        is_near = abs(quote.bid - acting.bid) * 20 < acting.bid and quote.bid <= quote.ask
        if not is_near:
            odd_at = max(odd_at, quote.at)
        elif acting.at < quote.at and quote.at >= odd_at and not scene.machines.has_jumped:
            scene.fail("no old quote decides", f"{daemon.program.name} acts on {acting!r}, {quote!r} had come")


ACT_LAWS = (nothing_is_begun_in_the_dark, no_old_quote_decides)


# When the exchange takes an order


def one_open_order_at_the_exchange(scene: Scene, order: VenueOrder) -> None:
    """I1, as the exchange sees it. Void orders may surface beside a new one."""
    others = [
        one
        for one in scene.exchange.venue.open.values()
        if is_ours(one) and one.id != order.id and one.symbol == order.symbol
        if one.client_order_id not in scene.ever_void
    ]
    if order.side is Side.SELL and order.limit_price is not None:
        # A fill of the buy that nobody was told of yet holds no sale back: only the settled coins are in it.
        others = [one for one in others if one.side is Side.SELL or is_told_filled(scene, one)]
    if others and order.client_order_id not in scene.ever_void:
        scene.fail("I1 one order at a time", f"{order!r} beside {others[0]!r} at the exchange")


def is_told_filled(scene: Scene, order: VenueOrder) -> bool:
    row = scene.rows.orders.get(order.client_order_id)
    return row is not None and bool(row.filled)


def every_order_has_its_row(scene: Scene, order: VenueOrder) -> None:
    """I3. Harm: an order that nobody owns."""
    row = scene.rows.orders.get(order.client_order_id)
    if row is None or (row.side, row.quantity, row.limit_price) != (order.side.value, order.target, order.limit_price):
        scene.fail("I3 every order has its row", f"{order!r} and {row}")


ADMISSION_LAWS = (one_open_order_at_the_exchange, every_order_has_its_row)


# When an absence has lasted


def a_lasting_absence_is_told(scene: Scene) -> None:
    """Harm: coins that are not shown for hours, nothing trades, and nobody knows. A clock that jumped excuses it."""
    if scene.machines.has_jumped:
        return
    for daemon in scene.machines.alive():
        now = scene.world.clock()
        for cycle in scene.rows.cycles.values():
            entry = daemon.trader.entries.get(scene.symbol(cycle.id))
            if not cycle.is_missing or cycle.status in OVER or entry is None or entry.cycle.id != cycle.id:
                continue
            found = troubles.of_pair(entry, daemon.trader.notices.of(entry.cycle.symbol, now), now)
            told = troubles.lasting(found, troubles.remembered({}, found, now), now)
            scene.world.saw("lasting absence")
            if not any(one.kind is troubles.Kind.ABSENCE for one in told):
                scene.fail("troubles are told", f"cycle {cycle.id} lacks coins, and of it is told: {told}")


def an_order_without_answer_is_told(scene: Scene) -> None:
    """Harm: an asset waits for an order of which Alpaca says nothing, and nobody knows.

    A clock that jumped excuses it, and rows that this daemon has not read yet.
    """
    if scene.machines.has_jumped:
        return
    now = scene.world.clock()
    for row in scene.rows.orders.values():
        is_old = row.created_at is not None and now - row.created_at > UNANSWERED
        if row.status != "intended" or not row.is_request or not is_old:
            continue
        symbol = scene.symbol(row.cycle_id)
        for daemon in scene.machines.alive():
            entry = daemon.trader.entries.get(symbol)
            order = entry.cycle.order(row.name) if entry is not None else None
            if entry is None or order is None or order.status is not OrderStatus.INTENDED:
                continue
            found = troubles.of_pair(entry, daemon.trader.notices.of(symbol, now), now)
            told = troubles.lasting(found, troubles.remembered({}, found, now), now)
            scene.world.saw("order without answer")
            if not any(one.kind is troubles.Kind.DECISION for one in told):
                scene.fail("troubles are told", f"{row.name} has no answer, and of it is told: {told}")


def replay(orders: list[OrderRow]) -> tuple[Decimal, Decimal, int, Decimal | None]:
    """Held quantity, average price, safety count and last buy price: what the fills come to, computed afresh."""
    held, bought, cost, safeties = Decimal(0), Decimal(0), Decimal(0), 0
    average, last_buy, has_bought = Decimal(0), None, False
    for one in orders:
        if not one.filled or one.price is None:
            continue
        if one.side == "sell":
            held -= one.filled
            if bought:
                average = EXACT.divide(cost, bought).quantize(PRICE, rounding=ROUND_UP)
            bought = max(held, Decimal(0))  # what is left weighs on
            cost = EXACT.multiply(bought, average)
            continue
        held += one.filled - (step_up(one.filled * WORST_FEE, COIN) if one.fee is None else one.fee)
        bought += one.filled
        cost = EXACT.add(cost, EXACT.multiply(one.filled, one.price))
        safeties += one.purpose == "safety"
        if one.is_request or not has_bought:  # an adopted lot says what its coins cost, perhaps years ago
            last_buy = one.price.quantize(PRICE)
        has_bought = has_bought or one.is_request
    if last_buy is None:
        return Decimal(0), Decimal(0), 0, None
    if bought:
        average = EXACT.divide(cost, bought).quantize(PRICE, rounding=ROUND_UP)
    return max(held, Decimal(0)), average, safeties, last_buy
