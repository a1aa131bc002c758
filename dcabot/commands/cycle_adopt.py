"""`dcabot cycle adopt`: a cycle that ended in error takes its position back, which Alpaca shows after all.

Its orders move to the asset's current cycle, as those of a late fill do: that one holds the coins from then on, climbs
on from there, and sells them. One transaction; the daemon finds them at its next look.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
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
from dcabot.core.byhand import adoption_obstacle, on_adopt
from dcabot.core.ledger import fold
from dcabot.core.model import Cycle, CycleStatus
from dcabot.core.states import OVER

log = logging.getLogger(__name__)

LAWS = ("absent", "fees", "columns")  # not `position`: it would speak of coins that nobody owns yet
ATTEMPTS = 4


def adopt(parts: Parts, symbol: str, yes: bool) -> int:
    """Raises AssetError when it cannot be."""
    if symbol not in {asset.symbol for asset, _ in assets.read_all(parts.store.database)}:
        raise AssetError(f"there is no asset {symbol}; `dcabot asset list` shows what there is")
    swept = parts.sync(LAWS).sweep()
    lost, later = _cycles(parts.store, swept.book, symbol)
    if not any(cycle.status not in OVER for cycle in later):
        raise AssetError(f"{symbol} has no current cycle that could take it: `dcabot asset enable {symbol}` first")
    position = swept.snapshot.position(symbol)
    if position is None:
        raise AssetError(f"Alpaca's position in {symbol} could not be read; try again")
    if obstacle := adoption_obstacle(lost, later, position) or _made_for_another(parts, lost):
        raise AssetError(obstacle)
    if no := refused(_question(lost, position), yes):
        return no
    current = _take_back(parts.store, lost, position)
    holding = fold(current.orders)
    print(
        f"Cycle {current.id} of {symbol} holds {coins(holding.held)} at an average of {price(holding.average_price)} "
        f"again, with {counted(holding.safety_count, 'safety order')}, as cycle {lost.id} did."
    )
    return DONE


def _cycles(store: Store, book: Book, symbol: str) -> tuple[Cycle, list[Cycle]]:
    """The asset's last cycle that ended in error with coins, and all that came after it."""
    if symbol in book.faults:
        raise AssetError(book.faults[symbol])
    lost: Cycle | None = None
    later: list[Cycle] = []
    for cycle in _oldest_first(store, book, symbol):
        if cycle.status is CycleStatus.ERROR and fold(cycle.orders).held:
            lost, later = cycle, []
        else:
            later.append(cycle)
    if lost is None:
        raise AssetError(f"no cycle of {symbol} ended in error with coins; there is nothing to take back")
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
