"""`dcabot cycle adopt`: coins that no cycle bought are taken into the asset's current cycle.

Where a cycle of the first edition ended in error with them, its orders move to the current one, which climbs on from
there. Others become a buy of the current cycle that was filled at what they cost and never sent. One transaction; the
daemon finds it at its next look.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from dcabot.adapters import assets, results
from dcabot.adapters.assets import AssetError
from dcabot.adapters.database import DatabaseBusy
from dcabot.adapters.results import Wanted
from dcabot.adapters.rows import Book
from dcabot.adapters.store import Store
from dcabot.commands import DONE, counted, utc_now
from dcabot.commands.console import coins, price, refused
from dcabot.commands.wiring import Parts
from dcabot.core.byhand import adoption_obstacle, cost_of, on_adopt, on_take, taking_obstacle
from dcabot.core.ledger import DUST_NOTIONAL, fold
from dcabot.core.lifecycle import foreign_coins
from dcabot.core.model import Asset, Cycle, CycleStatus, Decision
from dcabot.core.states import OVER
from dcabot.executor import commit

log = logging.getLogger(__name__)

LAWS = ("absent", "fees", "columns")  # nothing that speaks of coins which nobody owns yet
FILLS_READ_BACK = timedelta(days=30)
ATTEMPTS = 4


def adopt(parts: Parts, symbol: str, asked_price: Decimal | None, yes: bool) -> int:
    """Raises AssetError when it cannot be."""
    if symbol not in {asset.symbol for asset, _ in assets.read_all(parts.store.database)}:
        raise AssetError(f"there is no asset {symbol}; `dcabot asset list` shows what there is")
    swept = parts.sync(LAWS).sweep()
    position = swept.snapshot.position(symbol)
    if position is None:
        raise AssetError(f"Alpaca's position in {symbol} could not be read; try again")
    if symbol in swept.book.faults:
        raise AssetError(swept.book.faults[symbol])
    mine = (entry.cycle for entry in swept.book.entries if entry.asset.symbol == symbol)
    current = next((cycle for cycle in mine if cycle.status not in OVER), None)
    if current is None:
        raise AssetError(f"{symbol} has no current cycle that could take it: `dcabot asset enable {symbol}` first")
    lost, later = _failed(parts.store, swept.book, symbol)
    if lost is not None and asked_price is None and not _obstacle(parts, lost, later, position):
        return _give_back(parts, lost, position, yes)
    return _take_in(parts, current, position, asked_price, yes)


def _obstacle(parts: Parts, lost: Cycle, later: list[Cycle], position: Decimal) -> str:
    return adoption_obstacle(lost, later, position) or _made_for_another(parts, lost)


def _give_back(parts: Parts, lost: Cycle, position: Decimal, yes: bool) -> int:
    """A cycle that ended in error: its orders go to the current one."""
    if no := refused(_question(lost, position), yes):
        return no
    current = _take_back(parts.store, lost, position)
    holding = fold(current.orders)
    print(
        f"Cycle {current.id} of {lost.symbol} holds {coins(holding.held)} at an average of "
        f"{price(holding.average_price)} again, with {counted(holding.safety_count, 'safety order')}, as cycle "
        f"{lost.id} did."
    )
    return DONE


def _take_in(parts: Parts, current: Cycle, position: Decimal, asked_price: Decimal | None, yes: bool) -> int:
    """Foreign coins: booked as a buy of the current cycle, at what they cost."""
    symbol = current.symbol
    if obstacle := taking_obstacle(current):
        raise AssetError(obstacle)
    foreign = foreign_coins(current, position)
    cost = asked_price or _cost(parts, current, foreign)
    if foreign * cost < DUST_NOTIONAL:
        raise AssetError(f"Alpaca shows no {symbol} that no cycle bought; there is nothing to take in")
    question = (
        f"Take {coins(foreign)} {symbol} that no cycle bought into cycle {current.id}, at {price(cost)} each? "
        "They are sold with it."
    )
    if no := refused(question, yes):
        return no

    def take(_: Asset, cycle: Cycle) -> Decision | None:
        is_same = cycle.orders == current.orders and not taking_obstacle(cycle)
        return on_take(cycle, foreign, cost, utc_now()) if is_same else None

    decision = commit(parts.store, current.id, take)
    if decision is None:
        raise AssetError(f"{symbol} changed meanwhile; nothing was done, ask again")
    log.info("%s cycle %s: %s", symbol, current.id, decision.reason)
    holding = fold(decision.cycle.orders)
    print(
        f"Cycle {current.id} of {symbol} holds {coins(holding.held)} at an average of {price(holding.average_price)} "
        "now."
    )
    return DONE


def _cost(parts: Parts, current: Cycle, foreign: Decimal) -> Decimal:
    """USD that each coin cost, from Alpaca's ledger. Raises AssetError where that does not tell."""
    if not foreign:
        raise AssetError(f"Alpaca shows no {current.symbol} that no cycle bought; there is nothing to take in")
    mine = {order.order_id for order in current.orders if order.order_id}
    fills = parts.broker.fills(utc_now() - FILLS_READ_BACK).rows
    cost = cost_of(foreign, current.symbol, fills, mine)
    if cost is None:
        raise AssetError(
            f"Alpaca's fills of the last {FILLS_READ_BACK.days} days do not tell what {coins(foreign)} "
            f"{current.symbol} cost: say it with --price"
        )
    return cost


def _failed(store: Store, book: Book, symbol: str) -> tuple[Cycle | None, list[Cycle]]:
    """The asset's last cycle that ended in error with coins, and all that came after it."""
    lost: Cycle | None = None
    later: list[Cycle] = []
    for cycle in _oldest_first(store, book, symbol):
        if cycle.status is CycleStatus.ERROR and fold(cycle.orders).held:
            lost, later = cycle, []
        else:
            later.append(cycle)
    return lost, later


def _oldest_first(store: Store, book: Book, symbol: str) -> Iterator[Cycle]:
    """All cycles of the asset; the one that is not over comes last."""
    for asset, _ in assets.read_all(store.database):
        if asset.symbol == symbol:
            yield from results.cycles(store.database, Wanted(asset.id))
    for entry in book.entries:
        if entry.asset.symbol == symbol and entry.cycle.status not in OVER:
            yield entry.cycle


def _made_for_another(parts: Parts, lost: Cycle) -> str:
    """An asset that was renamed since: those coins are another pair's."""
    buy = next(order for order in reversed(lost.orders) if order.filled_quantity)
    report = parts.broker.report(buy.client_order_id)
    if report is None:
        return f"Alpaca does not know {buy.client_order_id} of cycle {lost.id}: are these the keys that bought it?"
    if report.symbol != lost.symbol:
        return f"cycle {lost.id} bought {report.symbol}; the asset is called {lost.symbol} now"
    return ""


def _question(lost: Cycle, position: Decimal) -> str:
    holding = fold(lost.orders)
    return (
        f"Cycle {lost.id} of {lost.symbol} ended in error with {coins(holding.held)} coins, average paid "
        f"{price(holding.average_price)}; Alpaca shows {coins(position)}. Take them back? "
        "The whole position is traded then."
    )


def _take_back(store: Store, lost: Cycle, position: Decimal) -> Cycle:
    """The current cycle as it then stands."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _move(store, lost, position)
        except DatabaseBusy as error:
            log.info("the database was busy, once more: %s", error)
    return _move(store, lost, position)


def _move(store: Store, lost: Cycle, position: Decimal) -> Cycle:
    """All in one transaction, under the locks of both cycles: who raises leaves everything as it was."""
    ours = {order.client_order_id for order in lost.orders}
    with store.locked(lost.id) as entry:
        current = None
        if entry is not None and entry.cycle.orders == lost.orders:
            for order in lost.orders:
                current = store.move_to_current(entry, order.client_order_id)
                rest = tuple(one for one in entry.cycle.orders if one.client_order_id != order.client_order_id)
                entry = replace(entry, cycle=replace(entry.cycle, orders=rest))
        if current is None:
            raise AssetError(f"{lost.symbol} changed meanwhile; nothing was done, ask again")
        before = tuple(order for order in current.cycle.orders if order.client_order_id not in ours)
        if obstacle := adoption_obstacle(lost, [replace(current.cycle, orders=before)], position):
            raise AssetError(obstacle)
        decision = on_adopt(current.cycle, lost, utc_now())
        store.save(current, decision)
    log.info("%s cycle %s: %s", lost.symbol, decision.cycle.id, decision.reason)
    return decision.cycle
