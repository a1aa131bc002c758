"""The world that `integration_test.py` plays in: the exchange, the database, and the programs between them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

from dcabot.adapters import assets, notes, results, schema
from dcabot.adapters.broker import Broker
from dcabot.adapters.config import Config
from dcabot.adapters.store import Store
from dcabot.commands import counted
from dcabot.core.ledger import fold
from dcabot.core.model import Asset, Cycle, CycleStatus, Decision, Order, OrderStatus, Purpose, Side
from dcabot.core.money import step_down, step_up, text
from dcabot.core.snapshot import Accepted
from dcabot.core.states import OVER
from dcabot.executor import Executor
from dcabot.simulator import Simulator

ROOT = Path(__file__).resolve().parents[1]
SYMBOL = "BTC/USD"
SETTINGS: dict[str, assets.Value] = {
    "base_order_amount": Decimal(20),
    "safety_order_amount": Decimal(20),
    "max_safety_orders": 2,
    "safety_order_deviation": Decimal("1.5"),
    "take_profit_percent": Decimal(1),
    "cooldown_period": 3600,
    "buy_order_price_deviation_percent": Decimal(2),
}
MORE, LESS = Decimal("1.1"), Decimal("0.9")  # what the books are made to believe: more than any threshold
CENT = Decimal("0.01")
PATIENCE = 120.0
KEPT = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Failed(Exception):
    """An assertion of a scenario does not hold."""


def say(words: str) -> None:
    """To standard output. When nobody reads it any more, that is as Ctrl-C: we stop, and clean up first."""
    try:
        print(words, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGINT)


def expect(holds: object, sentence: str) -> None:
    if not holds:
        raise Failed(f"not true: {sentence}")
    say(f"      ok: {sentence}")


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class World:
    """The exchange, the database, and the programs between them."""

    folder: Path
    config: Config
    store: Store
    broker: Broker
    alpaca: Simulator | None  # ours, whose prices and faults we command; None for a given exchange
    daemons: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.executor = Executor(self.store, self.broker, utc_now)
        self.instrument = {one.symbol: one for one in self.broker.instruments()}[SYMBOL]

    # Programs.

    def program(self, *words: str, **settings: str) -> list[str]:
        """The words that start a dcabot of these settings. It must not outlive us, however we end."""
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        file = self.folder / "dcabot.env"
        values = {**variables(self.config), "DCABOT_ASSET_REFRESH_SECONDS": "1", **settings}
        lines = [f"{name}={json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()]
        file.touch(0o600)
        file.write_text("".join(lines), encoding="utf-8")
        return [*leash, sys.executable, "-m", "dcabot", words[0], "--env-file", str(file), *words[1:]]

    def run(self, *words: str, **settings: str) -> None:
        """One dcabot command to its end, which must be a good one."""
        say(f"      $ dcabot {' '.join(words)}")
        command = self.program(*words, **settings)
        done = subprocess.run(command, cwd=self.folder, env=clean(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"dcabot {words[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    @contextmanager
    def daemon(self) -> Iterator["subprocess.Popen[bytes]"]:
        """`dcabot run`; must end well when it is told to stop."""
        say("      the daemon starts")
        with (self.folder / "daemon.log").open("ab") as log:
            # Ctrl-C is for us, not for it.
            process = subprocess.Popen(
                self.program("run"), cwd=self.folder, env=clean(), stderr=log, start_new_session=True
            )
        self.daemons.append(process)
        yield process
        if process.poll() is None:
            process.terminate()
            expect(process.wait(PATIENCE) == 0, "the daemon stops well")

    def end_daemons(self) -> None:
        for process in self.daemons:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.daemons.clear()

    def wait(self, look: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not look():
            if time.monotonic() > end:
                raise Failed(f"waited {seconds:.0f} s in vain until {what}")
            died = next((one.returncode for one in self.daemons if one.poll() not in (None, 0, -signal.SIGKILL)), None)
            if died is not None:
                raise Failed(f"the daemon ended with {died} before {what}")
            time.sleep(0.1)
        say(f"      {what}")

    # The books.

    def add_asset(self, **changes: assets.Value) -> None:
        assets.add(self.store.database, SYMBOL, {**SETTINGS, **changes}, True, utc_now())

    def asset(self) -> Asset:
        return assets.read_all(self.store.database)[0][0]

    def cycles(self) -> list[Cycle]:
        """All of them, oldest first."""
        known = {one.id: one for one in results.cycles(self.store.database, results.Wanted())}
        known.update({one.cycle.id: one.cycle for one in self.store.read_book().entries})
        return [known[number] for number in sorted(known)]

    def cycle(self) -> Cycle | None:
        return next(reversed(self.cycles()), None)

    def holds(self, safety_orders: int = 0) -> bool:
        """True when the newest cycle holds settled coins after so many safety orders."""
        cycle = self.cycle()
        holding = fold(cycle.orders) if cycle else None
        if cycle is None or holding is None:
            return False
        is_settled = bool(holding.held) and holding.settled
        return is_settled and holding.safety_count == safety_orders and cycle.status is CycleStatus.WATCHING

    def open_cycle(self) -> Cycle:
        """A watching cycle without a daemon: the cooldown manager gives it."""
        self.run("cooldown-manager")
        cycle = self.cycle()
        expect(cycle and cycle.status is CycleStatus.WATCHING, "the cooldown manager gave the asset its watching cycle")
        assert cycle is not None
        return cycle

    def believe_paid(self, ratio: Decimal) -> None:
        """Let the books remember a price that was not paid, so that today's price is beyond a threshold."""
        say(f"      the books believe that the buys cost {ratio} of what they did")
        with self.store.database.transaction():
            for order in schema.Order.select().where(schema.Order.side == Side.BUY.value, schema.Order.filled_price):
                schema.Order.change("id", order.id, filled_price=step_down(order.filled_price * ratio, CENT))

    def believe_sold(self, ratio: Decimal) -> None:
        price = self.asset().last_sell_price
        expect(price, "the asset remembers its last sale")
        assert price is not None
        say(f"      the books believe that the sale brought {ratio} of what it did")
        assets.change(self.store.database, SYMBOL, {"last_sell_price": step_down(price * ratio, CENT)}, utc_now())

    def clear_books(self) -> None:
        with self.store.database.transaction():
            for model in (schema.Order, schema.Cycle, schema.Asset, schema.Daemon, schema.Note):
                model.delete().execute()
        # Each scenario is a dcabot of its own: what the one before left in Alpaca's list is not to be booked here.
        notes.make_tag(self.store.database, utc_now())
        self.store.forget_tag()

    # The exchange.

    def ask(self) -> Decimal:
        return next(iter(self.broker.latest_quotes([SYMBOL]))).ask

    def position(self) -> Decimal:
        return sum((one.quantity for one in self.broker.positions() if one.symbol == SYMBOL), Decimal(0))

    def place(self, cycle: Cycle, price: Decimal, notional: Decimal) -> Order:
        """A base order at any price and size, by the executor: first the row, then the request."""
        limit = step_up(price, self.instrument.price_step)
        quantity = step_down(notional / limit, self.instrument.quantity_step)

        def decide(_: Asset, fresh: Cycle) -> Decision:
            name = fresh.next_id(Purpose.BASE)
            order = Order(name, Purpose.BASE, Side.BUY, quantity, limit, utc_now())
            bought = replace(fresh.with_order(order), status=CycleStatus.BUYING)
            return Decision(bought, f"buy {text(quantity)} at {text(limit)}", submit=(order,))

        self.executor.carry_out(cycle.id, decide)
        return self.last_order()

    def orders(self) -> list[Order]:
        return [order for cycle in self.cycles() for order in cycle.orders]

    def last_order(self) -> Order:
        return self.orders()[-1]

    def by_hand(self, side: Side, quantity: Decimal, limit: Decimal | None = None, name: str = "by-hand") -> str:
        """An order that no row knows; its id at the exchange."""
        order = Order(f"{name}-{uuid.uuid4()}", Purpose.BASE, side, quantity, limit, utc_now())
        outcome = self.broker.submit(SYMBOL, order)
        if not isinstance(outcome, Accepted):
            raise Failed(f"the exchange did not take an order by hand: {outcome}")
        return outcome.report.order_id

    def open_ids(self) -> set[str]:
        return {report.order_id for report in self.broker.open_orders()}

    def clear_exchange(self) -> None:
        """No open order and no position of our pair."""
        if self.alpaca is not None:
            self.alpaca.faults.clear()
        for report in self.broker.open_orders():
            if report.symbol == SYMBOL:
                self.broker.cancel(report.order_id)
        self.wait(lambda: not any(one.symbol == SYMBOL for one in self.broker.open_orders()), "no order is open")
        rest = step_down(self.position(), self.instrument.quantity_step)
        if rest:
            self.by_hand(Side.SELL, rest, name="clear")
        self.wait(lambda: not step_down(self.position(), self.instrument.quantity_step), "no position is held")

    def expect_agreement(self) -> None:
        """The books and the exchange tell the same."""
        orders = self.orders()
        expect(
            len({one.client_order_id for one in orders}) == len(orders), f"{counted(len(orders), 'order')}, none twice"
        )
        for order in orders:
            report = self.broker.report(order.client_order_id)
            if report is None:
                expect(
                    order.status in (OrderStatus.REJECTED, OrderStatus.VOID),
                    f"{order.client_order_id} never reached the exchange",
                )
                continue
            same = (report.filled_quantity, report.status) == (order.filled_quantity, order.status)
            expect(same, f"{order.client_order_id} is {order.status.value} on both sides")
        current = [cycle for cycle in self.cycles() if cycle.status not in OVER]
        held = sum((fold(cycle.orders).held for cycle in current), Decimal(0))
        expect(held == self.position(), f"{text(held)} coins are held on both sides")

    def buy(self, seconds: float = PATIENCE) -> None:
        """With the daemon running: the base order, filled, and its fee known."""
        self.wait(self.holds, "the base order is filled", seconds)

    def grow_old(self, order: Order) -> None:
        self.wait(lambda: (utc_now() - order.created_at).seconds >= 1, "the order is older than a second")

    def sell(self) -> None:
        self.believe_paid(LESS)
        self.wait(lambda: self.cycles()[0].status is CycleStatus.COMPLETE, "the take profit is filled")


def clean() -> dict[str, str]:
    """The environment of a program: nothing of ours but the ways to Python and to the network."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.lower().endswith("_proxy")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def variables(config: Config) -> dict[str, str]:
    """The settings again as names and values, for the programs' file."""
    place = config.database
    assert place is not None
    known = {
        "APCA_API_KEY_ID": config.key_id,
        "APCA_API_SECRET_KEY": config.secret_key,
        "APCA_API_BASE_URL": config.base_url,
        "APCA_API_DATA_URL": config.data_url,
        "APCA_API_STREAM_URL": config.stream_url,
    }
    if place.engine == "sqlite":
        return {**known, "DB_URL": f"sqlite:///{quote(place.path)}"}
    where = {"DB_SOCKET": place.socket} if place.socket else {"DB_HOST": place.host, "DB_PORT": str(place.port)}
    return {**known, **where, "DB_USER": place.user, "DB_PASSWORD": place.password, "DB_NAME": place.name}
