"""One seed from beginning to end: troubles for some minutes, then peace, rest, and the books compared."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from dcabot.core.reconcile import Limits
from dcabot.core.venue import Event
from tests.simulation import laws
from tests.simulation.books import Books
from tests.simulation.caretakers import Caretakers, StoryLog, stage
from tests.simulation.chance import Chance, Key
from tests.simulation.clockwork import Failed, World
from tests.simulation.daemon import Daemon
from tests.simulation.equity import unaccounted
from tests.simulation.exchange import Exchange, SimBroker
from tests.simulation.machines import Machines
from tests.simulation.people import LISTED, Market, People, is_ours
from tests.simulation.queries import rows_are_remembered
from tests.simulation.rest import REST_SECONDS, Rest
from tests.simulation.watch import Rows, Scene, Watch

PATIENCE_SECONDS = 360.0  # an absence is told after five minutes
LOOK_SECONDS = 5.0  # so often is looked whether troubles are told
ROUNDS = 3  # sales at most, after the troubles


@dataclass
class Result:
    """What became of a seed. `law` and `why` are empty when all is well."""

    seed: int
    law: str = ""
    why: str = ""
    steps: int = 0
    seconds: float = 0.0  # of virtual time
    processor: float = 0.0  # seconds of it, where somebody measured
    taken: list[tuple[Key, str]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.law


Planted = Callable[["Run"], AbstractContextManager[None]]


def play(seed: int, dropped: Collection[Key] = (), tells: bool = False, planted: Planted | None = None) -> Result:
    """Run one seed. `dropped` are decisions that go the uneventful way; `planted` puts a bug into the product."""
    run = Run(seed, dropped, tells)
    result = Result(seed)
    listener = _listening(run.world) if tells else _silence()
    with listener, rows_are_remembered(), stage(run.caretakers), planted(run) if planted else nullcontext():
        try:
            run.live()
        except Failed as failure:
            result.law, result.why = failure.law, str(failure)
        except Exception as error:  # noqa: BLE001 - whatever the product raises unexpectedly ends the real process too
            result.law, result.why = f"crash: {type(error).__name__}", f"{type(error).__name__}: {error}"
            if tells:
                run.world.story.append(_traceback(error))
        finally:
            run.world.end()
            run.books.close()
    result.steps, result.seconds = run.world.steps, run.world.now
    result.taken = run.chance.taken
    result.seen = run.chance.seen + run.world.seen
    result.story = run.world.story
    return result


class Run:
    """The stage of one seed."""

    def __init__(self, seed: int, dropped: Collection[Key] = (), tells: bool = False) -> None:
        self.chance = chance = Chance(seed, dropped)
        self.world = world = World(chance, tells)
        count = chance.pick("assets", (1, 1, 1, 2, 3))
        symbols = tuple(one.symbol for one in LISTED)[:count] if count > 1 else (
            chance.pick("asset", tuple(one.symbol for one in LISTED)),
        )  # fmt: skip
        # A shorter grace than the real one makes void orders surface often, where two minutes make it rare.
        limits = Limits(
            grace=timedelta(seconds=chance.pick("grace", (20, 45, 120))),
            stale=timedelta(seconds=chance.pick("stale", (30, 60, 300))),
        )
        self.books = Books(world)
        self.cash = Decimal(chance.pick("cash", ("100000", "100000", "600", "60")))
        self.exchange = Exchange(world, LISTED, self.cash)
        self.caretakers = Caretakers(world, self.books, self.exchange, limits)
        self.machines = Machines(world, self.books, self.exchange, self.caretakers, limits)
        self.market = Market(world, self.exchange, symbols, self.machines.tell_quote)
        self.people = People(world, self.books, self.exchange, self.market)
        self.scene = Scene(world, self.books, self.exchange, self.market, self.people, self.machines, Rows())
        self.watch = Watch(self.scene, laws.ROW_LAWS, laws.CYCLE_LAWS, laws.SEND_LAWS, laws.ADMISSION_LAWS)
        self.brokers: list[SimBroker] = []
        self.exchange.on_event = self._event
        self.machines.on_daemon = self._daemon
        self.caretakers.on_broker = self._broker
        self.people.on_settings = self._settings
        self.people.command = lambda action, symbol: self.caretakers.run("cycle", action, symbol, "--yes")
        for symbol in symbols:
            self.people.add_asset(symbol)

    def live(self) -> None:
        """Troubles, peace, rest; then everything held is sold, and the bot rests again."""
        self.market.open()
        self.machines.begin()
        self.people.begin()
        self.world.at(LOOK_SECONDS, self._look_at_troubles)
        self.world.run(self.chance.pick("duration", (90.0, 180.0, 360.0)))
        self.world.tell("peace", "the troubles are over")
        if any(cycle.status == "complete" for cycle in self.scene.rows.cycles.values()):
            self.world.saw("a sale amid the troubles")
        self.chance.is_calm = True
        self.people.set_right()
        self.machines.heal()
        self._come_to_rest("after the troubles")
        self.world.saw("came to rest")
        self._sell_out()

    def _look_at_troubles(self) -> None:
        laws.an_order_without_answer_is_told(self.scene)
        if not self.chance.is_calm:
            self.world.at(LOOK_SECONDS, self._look_at_troubles)

    def _sell_out(self) -> None:
        """A price that takes every profit: what is held must be sold, whatever it went through."""
        if self.chance.roll("ends disabled") < 0.5:
            self.books.by_hand("UPDATE dca_assets SET is_enabled = 0")
            self._settings()
        cycles = [cycle for cycle in self.scene.rows.cycles.values() if not cycle.is_missing]
        held = [cycle.id for cycle in cycles if cycle.quantity and cycle.status == "watching"]
        left = held
        for _ in range(ROUNDS):
            self._rise_over(left)  # once more, for a request that was on its way may have bought at the higher price
            self._come_to_rest("after the price rose")
            left = [one for one in held if self.scene.rows.cycles[one].status == "watching" and self._is_sellable(one)]
            if not left:
                break
        else:
            raise Failed("I10 liveness", f"cycles {left} are not sold at their take profit")
        self.world.saw("sold out at the end" if held else "nothing to sell at the end")

    def _rise_over(self, cycle_ids: list[int]) -> None:
        for cycle_id in cycle_ids:
            cycle = self.scene.rows.cycles[cycle_id]
            asset = self.scene.rows.assets[cycle.asset_id]
            target = max(cycle.average * (1 + asset.take_profit / 100), self._floor(cycle_id)) * Decimal("1.01")
            self.market.set(asset.symbol, max(target, self.market.prices[asset.symbol]))
            self.market.quote(asset.symbol)

    def _floor(self, cycle_id: int) -> Decimal:
        """What a coin must bring so that a limit sale loses nothing: of a small rest, cents are much."""
        cycle = self.scene.rows.cycles[cycle_id]
        paid = Decimal("0.02")
        for one in self.scene.rows.orders_of(cycle_id):
            amount = one.filled * (one.price or Decimal(0))
            paid += amount if one.side == "buy" else -amount * (1 - laws.WORST_FEE)
        return max(paid, Decimal(0)) / (cycle.quantity * (1 - laws.WORST_FEE)) if cycle.quantity else Decimal(0)

    def _is_sellable(self, cycle_id: int) -> bool:
        cycle = self.scene.rows.cycles[cycle_id]
        step = self.exchange.venue.instruments[self.scene.symbol(cycle_id)].quantity_step
        return cycle.quantity >= step

    def _come_to_rest(self, when: str) -> None:
        rest = Rest(self.scene)
        if not self.world.run(self.world.now + REST_SECONDS, rest):
            raise Failed("I10 liveness", f"{when}, no rest within {REST_SECONDS:.0f} s: {rest.why}")
        why = unaccounted(self.scene, self.cash)
        if why:
            raise Failed("the report is the change of equity", f"{when}: {why}")
        if any(cycle.is_missing for cycle in self.scene.rows.cycles.values()):
            self.world.run(self.world.now + PATIENCE_SECONDS)
            laws.a_lasting_absence_is_told(self.scene)

    def _event(self, event: Event) -> None:
        self.machines.tell_order(event)
        order = event.order
        if is_ours(order):
            self.world.tell("exchange", "%s %r", event.name, order)
            if event.name in ("fill", "partial_fill"):
                purpose = order.client_order_id.rsplit("-", 2)[1]
                self.world.saw(f"{purpose} {'filled' if event.name == 'fill' else 'filled in part'}")
            elif event.name in ("canceled", "rejected", "expired"):
                self.world.saw(f"order {event.name}")
        elif event.execution is not None:
            self.exchange.hand_moved[order.symbol] = self.world.now

    def _daemon(self, daemon: Daemon) -> None:
        def acts(one: Daemon, symbol: str) -> None:
            for law in laws.ACT_LAWS:
                law(self.scene, one, symbol)

        daemon.on_act = acts
        self._broker(daemon.broker)

    def _broker(self, broker: SimBroker) -> None:
        broker.on_send = self.watch.sending
        self.brokers.append(broker)

    def _settings(self) -> None:
        for daemon in self.machines.alive():
            daemon.reload()


@contextmanager
def _listening(world: World) -> Iterator[None]:
    """The product's log lines become part of the story."""
    log = logging.getLogger("dcabot")
    handler, level, passes = StoryLog(world), log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = passes


@contextmanager
def _silence() -> Iterator[None]:
    log = logging.getLogger("dcabot")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def _traceback(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error)[-6:])
