"""When the troubles are over: does every cycle come to rest, and do the four books then agree to the last digit?"""

from datetime import timedelta
from decimal import Decimal

from dcabot.core.ledger import fold, sellable
from dcabot.core.model import Quote
from dcabot.core.second_look import borne_out
from dcabot.core.strategy import Market as View
from dcabot.core.strategy import on_quote
from tests.simulation.laws import replay
from tests.simulation.people import is_ours
from tests.simulation.watch import OVER, Scene
from tests.venue_broker import report_of

REST_SECONDS = 2400.0  # ten minutes of back-off at most, two of grace, and clocks that had jumped
LATER = timedelta(hours=2)  # beyond every back-off


class Rest:
    """Whether anything still moves. Asked after each step, it looks once a second."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.why = "not looked yet"
        self._next_look = 0.0

    def __call__(self) -> bool:
        if self.scene.world.now < self._next_look:
            return False
        self._next_look = self.scene.world.now + 1.0
        self.why = self._programs() or self._orders() or self._cycles() or disagreement(self.scene)
        return not self.why

    def _programs(self) -> str:
        daemons = self.scene.machines.alive()
        if len(daemons) != 1 or not daemons[0].is_ready:
            return f"{len(daemons)} daemons, not one that is ready"
        daemon = daemons[0]
        at_work = daemon.schedule.at_work
        if at_work or not daemon.feeds.orders_up or not daemon.feeds.quotes_up:
            return f"the daemon is at work: {at_work or 'connecting'}"
        working = [one.name for one in self.scene.machines.caretakers.running if one.actors and not one.is_dead]
        return f"at work: {working}" if working else ""

    def _orders(self) -> str:
        ours = [order for order in self.scene.exchange.venue.open.values() if is_ours(order)]
        if ours:
            return f"open at the exchange: {ours}"
        rows = [row.name for row in self.scene.rows.orders.values() if row.is_open]
        return f"open in the books: {rows}" if rows else ""

    def _cycles(self) -> str:
        """Whether the rules want anything at the present price, however long they are left alone with it."""
        daemon = self.scene.machines.alive()[0]
        for asset in self.scene.rows.assets.values():
            entry = daemon.trader.entries.get(asset.symbol)
            if entry is None and not asset.is_enabled:
                continue
            if entry is None:
                return f"{asset.symbol} has no current cycle: {daemon.trader.held.get(asset.symbol, 'not in the book')}"
            if entry.asset.held_back:
                return f"{asset.symbol} is suspended: {entry.asset.held_back}"
            row = self.scene.rows.cycles.get(entry.cycle.id)
            if row is not None and row.is_missing and waits_for_a_person(self.scene, asset.symbol):
                continue
            holding = fold(entry.cycle.orders)
            is_missing = entry.cycle.missing_since is not None
            known = (entry.cycle.status.value, sellable(entry.cycle), holding.settled, is_missing)
            if row is None or known != (row.status, row.quantity, True, row.is_missing):
                return f"the daemon's book of {asset.symbol} is old"
            quote = self.scene.market.quote_of(asset.symbol)
            view = View(
                daemon.trader.instruments[asset.symbol],
                Quote(asset.symbol, quote.bid, quote.ask, quote.at),
                daemon.trader.unowned.get(asset.symbol),
                self.scene.world.clock() + LATER,
                look=borne_out(quote),
            )
            if view.unowned is None:
                return f"{asset.symbol}: what is not ours is not known yet"
            decision = on_quote(entry.asset, entry.cycle, view)
            if decision is not None and decision.acts:
                return f"{asset.symbol}: {decision.reason}"
        return ""


def waits_for_a_person(scene: Scene, symbol: str) -> bool:
    """True where nobody can know what became of missing coins: the cycle is suspended, and that is told.

    A clock that was wrong does not tell since when to ask. Foreign coins that were sold are only told from the cycle's
    where they had been shown as they were.
    """
    weather = scene.world.chance.weather
    is_misread = bool(weather["absences"] or weather["lag"])
    return scene.machines.has_jumped or (is_misread and symbol in scene.exchange.hand_moved)


def disagreement(scene: Scene) -> str:
    """The exchange's ledger, `dca_orders`, `dca_cycles` and `dca_assets`: a sentence where they differ, else empty."""
    return _orders_differ(scene) or _cycles_differ(scene) or _assets_differ(scene)


def _orders_differ(scene: Scene) -> str:
    for order in scene.exchange.venue.orders.values():
        if not is_ours(order):
            continue
        row, truth = scene.rows.orders.get(order.client_order_id), report_of(order)
        if row is None:
            return f"{order!r} has no row"
        booked = (row.order_id, row.status, row.filled, row.price)
        true = (truth.order_id, truth.status.value, truth.filled_quantity, truth.filled_price)
        if booked != true:
            return f"{row.name} is booked as {booked}, the exchange says {true}"
    for row in scene.rows.orders.values():
        is_unknown = scene.exchange.venue.order_of(row.name) is None
        if is_unknown and row.is_request and (row.status not in ("rejected", "void") or row.filled):
            return f"{row.name} is {row.status} and the exchange never had it"
    return ""


def _cycles_differ(scene: Scene) -> str:
    for cycle in scene.rows.cycles.values():
        held, average, safeties, last_buy = replay(scene.rows.orders_of(cycle.id))
        quantity = min(cycle.quantity, held) if cycle.is_missing else held
        stored = (cycle.quantity, cycle.average, cycle.safety_count, cycle.last_buy_price)
        if stored != (quantity, average, safeties, last_buy):
            return f"cycle {cycle.id} says {stored}, its orders {(held, average, safeties, last_buy)}"
        if (cycle.status in OVER) != (cycle.completed_at is not None):
            return f"cycle {cycle.id} is {cycle.status}, completed at {cycle.completed_at}"
        ids = [row.order_id for row in scene.rows.orders_of(cycle.id) if row.order_id]
        if cycle.latest_order_id != (ids[-1] if ids else None):
            return f"cycle {cycle.id} says its latest order is {cycle.latest_order_id}, not {ids[-1:]}"
        if cycle.status in OVER or not held:
            continue
        symbol = scene.symbol(cycle.id)
        position = scene.exchange.position(symbol)
        if cycle.is_missing and waits_for_a_person(scene, symbol):
            continue
        if cycle.is_missing:
            return f"cycle {cycle.id} of {symbol} lacks coins: it holds {held}, the exchange {position}"
        # A position that showed less by under a dollar was taken for a fee, which it nearly always is. The
        # coins of an order that was given up and came after all look foreign until it is booked, and the
        # fee of a buy meanwhile, which they hide, is taken as the highest.
        rows = scene.rows.orders_of(cycle.id)
        came_after_all = any(row.name in scene.ever_void and row.filled for row in rows)
        is_explained = scene.world.chance.weather["absences"] or came_after_all
        is_dust = is_explained and (position - held) * average < 1
        if held > position or (held < position and symbol not in _touched(scene) and not is_dust):
            return f"cycle {cycle.id} of {scene.symbol(cycle.id)} holds {held}, the exchange {position}"
    return ""


def _assets_differ(scene: Scene) -> str:
    for asset in scene.rows.assets.values():
        mine = [cycle for cycle in scene.rows.cycles.values() if cycle.asset_id == asset.id]
        current = [cycle for cycle in mine if cycle.status not in OVER]
        if len(current) > 1 or (asset.is_enabled and not current):
            return f"{asset.symbol} has {len(current)} current cycles"
        complete = [cycle for cycle in mine if cycle.status == "complete" and cycle.id not in scene.released]
        if complete:
            last = max(complete, key=lambda cycle: cycle.id)
            sells = [
                row for row in scene.rows.orders_of(last.id) if row.side == "sell" and row.filled and row.is_request
            ]
            prices = [(row.price or Decimal(0)).quantize(Decimal("0.0000000001")) for row in sells] or [None]
            # A sale given up that came after the cycle was over is booked there, and its price decides nothing.
            surfaced = any(row.name in scene.ever_void for row in sells)
            if last.ended_by in ("sold_outside", "withdrawn"):
                prices = [None]
            if asset.last_sell_price not in (prices if surfaced else prices[-1:]):
                return f"{asset.symbol}: last_sell_price {asset.last_sell_price}, sold at {prices[-1]}"
        if current and replay(scene.rows.orders_of(current[0].id))[0] == 0 and asset.symbol not in _touched(scene):
            position = scene.exchange.position(asset.symbol)
            if position * scene.market.prices[asset.symbol] > 2:
                return f"{asset.symbol}: {position} at the exchange and in no cycle"
    return ""


def _touched(scene: Scene) -> set[str]:
    """Symbols that a person traded: what lies there may be nobody's."""
    return set(scene.exchange.hand_moved)
