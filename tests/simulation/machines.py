"""Machines and their troubles: the supervisor of the daemons, timers, outages, streams, clocks."""

from decimal import Decimal

from dcabot.core.fees import COIN_STEP
from dcabot.core.model import Quote
from dcabot.core.money import step_down
from dcabot.core.reconcile import Limits
from dcabot.core.venue import Event
from tests.simulation.books import Books
from tests.simulation.caretakers import CARETAKERS, Caretakers
from tests.simulation.clockwork import World
from tests.simulation.daemon import Daemon
from tests.simulation.exchange import Exchange
from tests.simulation.people import LISTED

OUTAGES = (
    ("database: restarts", 0.10),
    ("database: away", 0.05),
    ("exchange: maintenance", 0.08),
    ("network: cut", 0.06),
    ("database: read only", 0.05),
)
FEED_TROUBLES = (
    ("stream: orders lost", 0.12),
    ("stream: orders mute", 0.10),
    ("stream: quotes lost", 0.06),
    ("stream: quotes mute", 0.03),
)
ABSENCES = (("position: missing", 0.06), ("position: short", 0.03))
ABSENT_SECONDS = (3.0, 12.0, 45.0, 240.0, None)  # the last: for as long as the troubles last
STORMS = (("exchange: storm of 429", 0.05), ("exchange: storm of 503", 0.05))
HOLDERS = (("database: somebody holds the rows", 0.08),)
JUMPS = (("clock: jumps ahead", 0.06), ("clock: jumps back", 0.06), ("clock: leaps", 0.02))


class Machines:
    """systemd, NTP, the network and the server room."""

    def __init__(self, world: World, books: Books, exchange: Exchange, caretakers: Caretakers, limits: Limits) -> None:
        self.world, self.chance = world, world.chance
        self.books, self.exchange, self.caretakers = books, exchange, caretakers
        self.limits = limits
        self.daemons: list[Daemon] = []
        self.has_jumped = False
        self.has_restarted_database = False
        self._born = 0
        self.on_daemon = lambda daemon: None

    def begin(self) -> None:
        self.start_daemon()
        self.world.at(self.chance.between("machines", 5, 20), self._trouble)
        for name in CARETAKERS:
            self.world.at(self.chance.between(f"timer {name}", 2, 40), lambda name=name: self._timer(name))

    def start_daemon(self) -> None:
        self._born += 1
        daemon = Daemon(self.world, self.books, self.exchange, f"daemon-{self._born}", self.limits)
        self.daemons = [one for one in self.daemons if not one.program.is_dead]
        self.daemons.append(daemon)
        daemon.program.at_end.append(self._supervise)
        self.on_daemon(daemon)

    def alive(self) -> list[Daemon]:
        return [daemon for daemon in self.daemons if not daemon.program.is_dead]

    def tell_order(self, event: Event) -> None:
        for daemon in self.daemons:
            daemon.feeds.tell_order(event)

    def tell_quote(self, quote: Quote) -> None:
        for daemon in self.daemons:
            daemon.feeds.tell_quote(quote)

    def heal(self) -> None:
        """The troubles end: everything answers, and every socket is a new one."""
        self.world.skew = 0.0  # a clock that is a minute off calls every quote stale, and says so
        self.books.come_back()
        self.books.take_writes()
        self.exchange.reopen()
        self.exchange.hidden.clear()
        self.exchange.shown.clear()
        for daemon in self.alive():
            for feed in ("orders", "quotes"):
                if daemon.is_ready:
                    daemon.feeds.lose(feed, 1.0)

    def _supervise(self) -> None:
        """systemd: a daemon that ended is started again, unless another one runs."""

        def restart() -> None:
            if not self.alive():
                self.start_daemon()

        self.world.at(self.chance.between("restart", 1.0, 8.0), restart)

    def _timer(self, name: str) -> None:
        self.caretakers.run(name)
        if self.chance.fault("timer", "company", (("company: caretaker twice", 0.2),)):
            self.caretakers.run(name)
        low, high = (50.0, 70.0) if self.chance.is_calm else (25.0, 90.0)
        self.world.at(self.chance.between(f"timer {name}", low, high), lambda: self._timer(name))

    def _trouble(self) -> None:
        if self.chance.is_calm:
            return
        self._outage(self.chance.fault("outage", "outages", OUTAGES))
        self._feed_trouble(self.chance.fault("feeds", "stream", FEED_TROUBLES))
        self._jump(self.chance.fault("clock", "clock", JUMPS))
        self._absence(self.chance.fault("absence", "absences", ABSENCES))
        storm = self.chance.fault("storm", "storms", STORMS)
        if storm:
            self.exchange.storm(storm.rpartition(" ")[2], self.chance.between("storm", 5, 90))
        if self.chance.fault("holder", "holders", HOLDERS):
            self.books.hold_rows(self.chance.between("holder", 2, 40))
        if self.chance.fault("kill", "crashes", (("crash: everything", 0.03),)):
            for daemon in self.alive():
                daemon.program.kill()
            for program in self.caretakers.running:
                program.kill()
        if self.chance.fault("second", "company", (("company: second daemon", 0.1),)):
            self.start_daemon()
        self.world.at(self.chance.between("machines", 5, 20), self._trouble)

    def _outage(self, fate: str | None) -> None:
        if fate == "database: restarts":
            self.books.go_down(self.chance.between("db restart", 0.5, 8.0))
        elif fate == "database: away":
            self.books.go_down(self.chance.between("db away", 10, 90))
        elif fate == "database: read only":
            self.books.take_no_writes(self.chance.between("db read only", 5, 90))
        elif fate == "exchange: maintenance":
            self.exchange.close(self.chance.between("maintenance", 5, 120))
        elif fate == "network: cut":
            seconds = self.chance.between("cut", 5, 60)
            self.exchange.close(seconds)
            for daemon in self.alive():
                daemon.feeds.lose("orders", seconds)
                daemon.feeds.lose("quotes", seconds)

    def _absence(self, fate: str | None) -> None:
        """A position is away from every answer, or shows less than there is."""
        positions = self.exchange.venue.account.positions
        symbols = [one.symbol for one in LISTED if positions.get(one.symbol.partition("/")[0])]
        if fate is None or not symbols:
            return
        symbol = self.chance.pick("absent", symbols)
        seconds = self.chance.pick("absence length", ABSENT_SECONDS)
        if fate == "position: missing":
            self.exchange.hide_position(symbol, seconds)
        else:
            share = Decimal(f"{self.chance.roll('absent share'):.3f}")
            quantity = step_down(self.exchange.position(symbol) * share, COIN_STEP)
            self.exchange.show_position(symbol, quantity, seconds)

    def _feed_trouble(self, fate: str | None) -> None:
        if fate is None:
            return
        self.world.tell("network", fate)
        feed = "orders" if "orders" in fate else "quotes"
        for daemon in self.alive():
            if not daemon.is_ready:
                continue
            if fate.endswith("lost"):
                daemon.feeds.lose(feed, self.chance.between("feed away", 0.5, 60))
            else:
                daemon.feeds.mute(feed)

    def _jump(self, fate: str | None) -> None:
        if fate is None:
            return
        self.has_jumped = True
        far = 300.0 if fate == "clock: leaps" else 45.0
        by = self.chance.between("jump", 1.0, far) * (-1 if fate == "clock: jumps back" else 1)
        self.world.skew = max(-120.0, min(300.0, self.world.skew + by))
        self.world.tell("clock", "%s by %.1f s", fate, by)
