"""An absence: the exchange shows fewer coins than a cycle owns. Nothing is concluded from it without a cause.

Orders, average and rungs stay as they are. From the second look on the pair places no order, and the exchange is asked
what left the account since the position last covered the cycle. What is explained is booked; what is not waits until
the coins are there again, or a person releases the cycle.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from dcabot.core.exits import cancel_is_due, request_cancel
from dcabot.core.ledger import COIN_STEP, DUST_NOTIONAL, fold, sellable
from dcabot.core.lifecycle import (
    FEE_RATIO_PLAUSIBLE,
    covered,
    highest_fee,
    is_unsettled,
    settle_status,
)
from dcabot.core.model import (
    ID_PREFIX,
    Cycle,
    CycleStatus,
    Decision,
    EndedBy,
    Order,
    OrderStatus,
    Purpose,
    Side,
)
from dcabot.core.money import ZERO, text
from dcabot.core.snapshot import Fill, Transfer
from dcabot.core.states import OVER, is_open

POSITION_LAGS = timedelta(seconds=60)  # coins that were just bought may be missing in more than one read
COVERED_EVERY = timedelta(minutes=10)  # a position that covers the cycle is worth a write that often
ASKED_BEFORE = timedelta(seconds=60)  # what left just before a position covered the cycle may not have shown yet
SOLD_BY_ANOTHER = "sold_by_other_dcabot"  # the column `disabled_because` has room for no more
NOBODY: Mapping[str, str] = {}
UNEXPLAINED_AFTER = timedelta(minutes=5)  # a person is told of an absence that has lasted this long


@dataclass(frozen=True, slots=True)
class Departure:
    """Coins that left the account without an order of the cycle, less those that came the same way.

    `early` are sums of what left in the minute before the position covered the cycle, up to each of
    these moments: it may have shown what happened up to one of them, and not the rest.
    `late` are coins of each withdrawal that was asked for before that and is complete by now: the
    exchange does not say whether they left before the position covered the cycle or after.
    `sellers` are the tags of other dcabots that sold some, and an empty one for anybody else.
    """

    sold: Decimal = ZERO
    withdrawn: Decimal = ZERO
    early: tuple[Decimal, ...] = ()
    bought: Decimal = ZERO  # of those that came; the exchange keeps a fee of them
    last_at: datetime | None = None  # by the exchange's clock
    late: tuple[Decimal, ...] = ()
    sellers: frozenset[str] = frozenset()

    @property
    def total(self) -> Decimal:
        return self.sold + self.withdrawn

    @property
    def ended_by(self) -> EndedBy:
        """The larger part gives the name. Without a part, a late withdrawal was the cause."""
        is_withdrawn = self.withdrawn > self.sold or not self.total
        return EndedBy.WITHDRAWN if is_withdrawn else EndedBy.SOLD_OUTSIDE

    @property
    def cause(self) -> str:
        """What happened to the coins, in words that follow "were"."""
        if self.ended_by is EndedBy.WITHDRAWN:
            return "withdrawn"
        tags = sorted(self.sellers - {""})
        if not tags:
            return "sold outside dcabot"
        part = "in part " if "" in self.sellers else ""
        names = ", ".join(f"{ID_PREFIX}{tag}-..." for tag in tags)
        return f"sold {part}by another dcabot on this account (ids of its orders: {names})"

    @property
    def disables(self) -> str:
        """Why the asset is switched off when all coins left."""
        is_theirs = self.ended_by is EndedBy.SOLD_OUTSIDE and bool(self.sellers - {""})
        return SOLD_BY_ANOTHER if is_theirs else self.ended_by.value


def asked_since(cycle: Cycle) -> datetime:
    """From when on the exchange is asked what left the account."""
    return _covered_at(cycle) - ASKED_BEFORE


def _covered_at(cycle: Cycle) -> datetime:
    """When the position was looked at last with all coins of the cycle: before its first buy there were none."""
    buys = [order.created_at for order in cycle.orders if order.side is Side.BUY and order.filled_quantity]
    return cycle.covered_at or min(buys, default=cycle.opened_at)


def _foreign(cycle: Cycle) -> Decimal:
    """Coins that no cycle bought, as they were shown at that time; those not known of are none."""
    if cycle.covered_at is not None:
        return cycle.foreign or ZERO
    buys = (order for order in cycle.orders if order.side is Side.BUY and order.filled_quantity)
    first = next(buys, None)
    return ZERO if first is None else first.foreign_quantity or ZERO


def departure(
    cycle: Cycle,
    fills: Iterable[Fill],
    transfers: Iterable[Transfer],
    ours: Collection[str],
    others: Mapping[str, str] = NOBODY,
) -> Departure:
    """What left the account of a cycle's coins, by the exchange's own ledger.

    `ours` are Alpaca's ids of the orders that have a row, `others` those of other dcabots with
    their tags. A sale of our own that another cycle had sent counts where it came after all, when
    this cycle had bought already.
    """
    since, bought_at = asked_since(cycle), _first_buy_at(cycle)
    mine = {order.order_id for order in cycle.orders}
    covered_at = _covered_at(cycle)
    sold = withdrawn = bought = ZERO
    moves: list[tuple[datetime, Decimal]] = []
    sellers = set()
    for fill in fills:
        if fill.symbol != cycle.symbol or fill.side is None or fill.order_id in mine or fill.at < since:
            continue
        if fill.order_id not in ours or (fill.side is Side.SELL and fill.at >= bought_at):
            quantity = fill.quantity if fill.side is Side.SELL else -fill.quantity
            sold += quantity
            bought += fill.quantity if fill.side is Side.BUY else ZERO
            moves.append((fill.at, quantity))
            if fill.side is Side.SELL:
                sellers.add(others.get(fill.order_id, ""))
    coin = cycle.symbol.partition("/")[0]
    moved = [one for one in transfers if one.coin == coin and one.complete]
    for one in moved:
        if one.at < since:
            continue
        quantity = one.quantity + _coin_fee(one) if one.outgoing else -one.quantity
        withdrawn += quantity
        moves.append((one.at, quantity))
    before = [one for one in moved if bought_at <= one.at < since]
    late = tuple(coins for one in before for coins in _late(cycle, one))
    moves.sort()
    early = tuple(accumulate(quantity for at, quantity in moves if at < covered_at))
    last_at = moves[-1][0] if moves else None
    return Departure(sold, withdrawn, early, bought, last_at, late, frozenset(sellers))


def _coin_fee(one: Transfer) -> Decimal:
    """The network's fee, where it is told in coins."""
    return one.network_fee if one.network_fee * 10 <= one.quantity else ZERO


def _late(cycle: Cycle, one: Transfer) -> tuple[Decimal, ...]:
    """The coins that a withdrawal of before may have taken, with the network's fee and without.

    None when a withdrawal of so much was booked out of the cycle already.
    """
    if not one.outgoing:
        return ()
    figures = tuple(dict.fromkeys((one.quantity, one.quantity + _coin_fee(one))))
    booked = [order.quantity for order in cycle.orders if order.purpose is Purpose.OUTSIDE]
    if any(abs(gone - coins) <= COIN_STEP for gone in booked for coins in figures):
        return ()
    return figures


def explains(left: Departure, cycle: Cycle, shown: Decimal) -> bool:
    """True when all coins last shown, the foreign ones too, less what left, are what is shown now.

    Foreign coins that were sold explain nothing while the position is hidden. A withdrawal of before
    explains what is missing only to the last digit: most of them left before the position covered
    the cycle.
    """
    holding = fold(cycle.orders)
    missing = holding.held + _foreign(cycle) - left.total - shown
    if holding.settled and any(abs(missing - coins) <= COIN_STEP for coins in left.late):
        return True
    slack = highest_fee(cycle) + left.bought * FEE_RATIO_PLAUSIBLE
    for gone in (left.total, *(left.total - shown_already for shown_already in left.early)):
        off = holding.held + _foreign(cycle) - gone - shown
        if gone > ZERO and (abs(off) - slack) * holding.average_price < DUST_NOTIONAL:
            return True
    return False


def _first_buy_at(cycle: Cycle) -> datetime:
    """When the cycle had coins, by the exchange's clock; a sale from before took others'."""
    buys = [order for order in cycle.orders if order.side is Side.BUY and order.filled_quantity]
    return min((order.closed_at or order.created_at for order in buys), default=cycle.opened_at)


def is_comparable(cycle: Cycle, at: datetime) -> bool:
    """True when the position should show all coins of the cycle by now: nothing of it was bought or sold just now."""
    if cycle.status in OVER or not fold(cycle.orders).held:
        return False
    for order in cycle.orders:
        if is_open(order) and (order.side is Side.SELL or order.filled_quantity):
            return False
        if is_unsettled(order) and order.closed_at and abs(at - order.closed_at) < POSITION_LAGS:
            return False
    return True


def is_missing(cycle: Cycle, position: Decimal) -> bool:
    """True when the position is smaller than the cycle's own coins by more than dust."""
    holding = fold(cycle.orders)
    return (holding.held - position) * holding.average_price >= DUST_NOTIONAL


def on_missing(cycle: Cycle, position: Decimal, now: datetime) -> Decision | None:
    """Coins are not shown: from now on no order, and none that is open may buy any more."""
    if not is_comparable(cycle, now) or not is_missing(cycle, position):
        return None
    shown = max(position, ZERO)
    due = tuple(order for order in cycle.orders if is_open(order) and cancel_is_due(order, now))
    if cycle.missing_since is not None and cycle.shown == shown and not due:
        return None
    sentence = _sentence(cycle, shown)
    if cycle.missing_since is None:
        sentence += ": suspended until that is explained"
        cycle = replace(cycle, missing_since=now)
    return replace(request_cancel(replace(cycle, shown=shown), due, now, sentence), odd=True)


def on_covered(cycle: Cycle, position: Decimal, now: datetime) -> Decision | None:
    """The position shows all coins of the cycle: an absence is over; else that it was so is written now and then."""
    if not is_comparable(cycle, now) or is_missing(cycle, position):
        return None
    seen = replace(covered(cycle, position, now), missing_since=None, shown=None)
    if cycle.missing_since is not None:
        return Decision(seen, f"Alpaca shows its {cycle.symbol} again: it trades on", odd=True)
    foreign = (seen.foreign or ZERO) - (cycle.foreign or ZERO)
    is_same = abs(foreign) * fold(cycle.orders).average_price < DUST_NOTIONAL
    if cycle.covered_at is not None and now - cycle.covered_at < COVERED_EVERY and is_same:
        return None
    return Decision(seen, "the position covers the cycle", quiet=True)


def on_departure(cycle: Cycle, position: Decimal, left: Departure, now: datetime) -> Decision | None:
    """Book what left the account, where that explains an absence to within dust; None where it does not."""
    if cycle.missing_since is None or not is_comparable(cycle, now) or not is_missing(cycle, position):
        return None
    if any(is_open(order) for order in cycle.orders):
        return None  # it may still buy, and then the cycle is not over
    holding = fold(cycle.orders)
    shown = max(position, ZERO)
    gone = holding.held - shown
    if not explains(left, cycle, shown):
        return None
    if shown * holding.average_price < DUST_NOTIONAL:
        return _all_gone(cycle, left, now)
    out = _booked_out(cycle, gone, holding.average_price, left.cause, now)
    # What was booked now must not explain the next absence too: from here on only what comes after it is asked for.
    counted = (left.last_at or now) + timedelta(microseconds=1)
    since = counted + ASKED_BEFORE
    out = replace(out, missing_since=None, shown=None, covered_at=since, foreign=ZERO)
    what = f"{text(gone)} {cycle.symbol} were {left.cause}"
    sentence = f"{what}: {text(shown)} are left, and the cycle goes on with them"
    return replace(settle_status(out, sentence, now), odd=True)


def _all_gone(cycle: Cycle, left: Departure, now: datetime) -> Decision:
    held = text(fold(cycle.orders).held)
    over = replace(
        cycle,
        status=CycleStatus.COMPLETE,
        completed_at=now,
        ended_by=left.ended_by,
        missing_since=None,
        shown=None,
    )
    return Decision(
        over,
        f"{held} {cycle.symbol} were {left.cause}: cycle complete, and the asset is disabled; "
        f"`dcabot asset enable {cycle.symbol}` lets it trade again",
        successor=CycleStatus.COOLDOWN,
        odd=True,
        disables=left.disables,
    )


def _booked_out(cycle: Cycle, gone: Decimal, price: Decimal, how: str, now: datetime) -> Cycle:
    """The cycle with a sale at cost for coins that are gone: neither profit nor loss, and the average stays."""
    order = Order(
        client_order_id=cycle.next_id(Purpose.OUTSIDE),
        purpose=Purpose.OUTSIDE,
        side=Side.SELL,
        quantity=gone,
        limit_price=None,
        created_at=now,
        status=OrderStatus.FILLED,
        filled_quantity=gone,
        filled_price=price,
        closed_at=now,
        note=how,
    )
    return cycle.with_order(order)


def suspension(cycle: Cycle) -> str:
    """Why a cycle places no order while its coins are not shown, as a sentence; empty when it may."""
    if cycle.missing_since is None:
        return ""
    return (
        f"{_sentence(cycle, sellable(cycle))} since {cycle.missing_since:%Y-%m-%d %H:%M} UTC, and nothing explains it; "
        f"it goes on by itself when they are back, and `dcabot cycle release {cycle.symbol}` ends it"
    )


def unexplained(cycle: Cycle, now: datetime) -> str:
    """The suspension once it has lasted so long that a person must be told; else empty."""
    if cycle.missing_since is None or now - cycle.missing_since < UNEXPLAINED_AFTER:
        return ""
    return suspension(cycle)


def _sentence(cycle: Cycle, shown: Decimal) -> str:
    held = text(fold(cycle.orders).held)
    return f"cycle {cycle.id} owns {held} {cycle.symbol} and Alpaca shows {text(shown)}"
