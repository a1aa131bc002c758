#!/usr/bin/env python3
"""End-to-end scenarios: the real daemon, the real caretakers and a database, against Alpaca.

    python integration_test.py             with API keys (environment, ./.env): your PAPER account; else the simulator
    python integration_test.py --list      the scenarios; `python integration_test.py NAME ...` runs only these
    python integration_test.py --record F  also record the exchange's answers and frames into folder F

A live account is refused. The database is a private SQLite file unless DB_* names one. A paper account or a database
that holds anything is only cleared with --yes. Both are left clean, after a failure and after Ctrl-C too.

Nobody can steer a paper account's prices. So the scenarios edit what the books remember instead: a cycle that believes
it paid ten percent more places its safety order at today's price, one that believes it paid less takes its profit.

Exit codes: 0 all passed, 1 some failed, 2 wrong usage, 75 not reached, 78 wrong configuration, 130 Ctrl-C.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
try:
    from dcabot.adapters import assets, schema
    from dcabot.adapters.broker import Broker
    from dcabot.adapters.config import EXCHANGE, Config, ConfigError, Venue, load, survey
    from dcabot.adapters.database import DatabaseError, connect
    from dcabot.adapters.dburl import DatabaseSettings
    from dcabot.adapters.migrations import migrate, pending, schema_version
    from dcabot.adapters.store import Store
    from dcabot.core.ledger import fold
    from dcabot.core.model import Asset, Cycle, CycleStatus, Decision, Order, OrderStatus, Purpose, Side
    from dcabot.core.money import step_down, step_up, text
    from dcabot.core.snapshot import Accepted, ExchangeDenied, ExchangeError
    from dcabot.core.states import OVER
    from dcabot.executor import Executor
    from dcabot.simulator import Simulator
except ModuleNotFoundError as error:
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists() or Path(sys.executable).parent == python.parent:
        sys.exit(f"integration_test.py: {error}; ./test or ./demo sets up what is needed")
    os.execv(python, [str(python), __file__, *sys.argv[1:]])

SYMBOL = "BTC/USD"
PAPER_URL = "https://paper-api.alpaca.markets"
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
PATIENCE = 60.0
LOG_LINES = 25
KEPT = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Failed(Exception):
    """An assertion of a scenario does not hold."""


class Refused(Exception):
    """We will not begin: the message says why, the code is the exit code."""

    def __init__(self, why: str, code: int = 1) -> None:
        super().__init__(why)
        self.code = code


def say(words: str) -> None:
    print(words, flush=True)


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
        file = self.folder / "dcabot.env"
        values = {**variables(self.config), "DCABOT_ASSET_REFRESH_SECONDS": "1", **settings}
        lines = [f"{name}={json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()]
        file.touch(0o600)
        file.write_text("".join(lines), encoding="utf-8")
        return [sys.executable, "-m", "dcabot", words[0], "--env-file", str(file), *words[1:]]

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
        # It must not outlive us, however we end; and Ctrl-C is for us, not for it.
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                [*leash, *self.program("run")], cwd=self.folder, env=clean(), stderr=log, start_new_session=True
            )
        self.daemons.append(process)
        yield process
        if process.poll() is None:
            process.terminate()
            expect(process.wait(30) == 0, "the daemon stops well")

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
                raise Failed(f"waited {seconds:.0f} s in vain for {what}")
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
        entries = {e.cycle.id: e.cycle for e in (*self.store.read_finished(), *self.store.read_book().entries)}
        return [entries[number] for number in sorted(entries)]

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
            for model in (schema.Order, schema.Cycle, schema.Asset, schema.Daemon):
                model.delete().execute()

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
        expect(len({one.client_order_id for one in orders}) == len(orders), f"{len(orders)} orders, none twice")
        for order in orders:
            report = self.broker.report(order.client_order_id)
            if report is None:
                expect(order.status in (OrderStatus.REJECTED, OrderStatus.VOID), f"{order} never reached the exchange")
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


# The scenarios. Each begins with empty books and no position, and says what it expects.


def base_order(w: World) -> None:
    w.add_asset()
    with w.daemon():
        w.buy()
    expect(w.last_order().notional <= 20, "it cost at most its 20 USD")
    w.expect_agreement()


def safety_order(w: World) -> None:
    w.add_asset()
    with w.daemon():
        w.buy()
        before = w.position()
        w.believe_paid(MORE)
        w.wait(lambda: w.holds(safety_orders=1), "a safety order is filled")
    expect(w.position() > before, "the position has grown")
    w.expect_agreement()


def take_profit(w: World) -> None:
    w.add_asset()
    with w.daemon():
        w.buy()
        w.sell()
    cycles = w.cycles()
    expect([c.status for c in cycles] == [CycleStatus.COMPLETE, CycleStatus.COOLDOWN], "complete, then cooldown")
    expect(cycles[0].completed_at and w.asset().last_sell_price, "time and price of the sale are kept")
    expect(not w.position(), "everything is sold")
    w.expect_agreement()


def cancellation(w: World) -> None:
    w.add_asset()
    order = w.place(w.open_cycle(), w.ask() * Decimal("0.8"), Decimal(20))
    expect(order.status is OrderStatus.ACCEPTED, "a buy far below the market waits")
    w.grow_old(order)
    w.run("order-manager", DCABOT_STALE_ORDER_SECONDS="1")
    w.wait(lambda: order.order_id not in w.open_ids(), "the order manager had it cancelled")
    w.run("order-manager")
    expect(w.last_order().status is OrderStatus.CANCELED, "the books know")
    cycle = w.cycle()
    expect(cycle and cycle.status is CycleStatus.WATCHING, "the cycle watches again")
    w.expect_agreement()


def rejection(w: World) -> None:
    w.add_asset()
    order = w.place(w.open_cycle(), w.ask(), w.broker.account().buying_power * 2)
    expect(order.status is OrderStatus.REJECTED, "an order for twice the money is refused")
    expect(order.note, f"the reason is kept: {order.note}")
    cycle = w.cycle()
    expect(cycle and cycle.status is CycleStatus.WATCHING, "the cycle watches again")
    expect(not w.open_ids() and not w.position(), "nothing is open and nothing is held")
    w.expect_agreement()


def partial_fill(w: World) -> None:
    assert w.alpaca is not None
    w.alpaca.faults.partial_fills(["0.0001"], rest_waits=True)
    w.add_asset()
    with w.daemon():
        w.wait(lambda: w.orders() and w.last_order().filled_quantity, "a part of the base order is filled")
    w.grow_old(w.last_order())
    w.run("order-manager", DCABOT_STALE_ORDER_SECONDS="1")
    w.wait(lambda: not w.open_ids(), "the rest is cancelled")
    w.run("order-manager")
    w.run("consistency-checker")
    expect(w.holds(), "what was bought is held")
    w.expect_agreement()
    with w.daemon():
        w.sell()
    w.expect_agreement()


def cooldown(w: World) -> None:
    w.add_asset(cooldown_period=5)
    with w.daemon():
        w.buy()
        w.sell()
    w.run("cooldown-manager")
    expect(len(w.cycles()) == 2, "no cycle too many")
    w.wait(lambda: (utc_now() - (w.cycles()[0].completed_at or utc_now())).seconds > 5, "the cooldown has passed")
    w.run("cooldown-manager")
    expect(w.cycles()[1].status is CycleStatus.WATCHING, "the cooldown manager ended it")


def early_restart(w: World) -> None:
    w.add_asset()
    with w.daemon():
        w.buy()
        w.sell()
        w.wait(lambda: w.cycles()[-1].status is CycleStatus.COOLDOWN, "the cooldown of an hour has begun")
        w.believe_sold(MORE)
        w.wait(lambda: len(w.cycles()) == 2 and w.holds(), "a new base order is filled, within the hour")
    w.expect_agreement()


def order_manager(w: World) -> None:
    far = step_up(w.ask() * Decimal("0.8"), w.instrument.price_step)
    quantity = step_down(Decimal(20) / far, w.instrument.quantity_step)
    ours = w.by_hand(Side.BUY, quantity, far, "dcabot-orphan")
    theirs = w.by_hand(Side.BUY, quantity, far)
    expect({ours, theirs} <= w.open_ids(), "two untracked orders are open, one with our prefix")
    w.run("order-manager")
    w.wait(lambda: ours not in w.open_ids(), "the one with our prefix is cancelled")
    expect(theirs in w.open_ids(), "the other one is left alone")


def consistency_checker(w: World) -> None:
    w.add_asset()
    with w.daemon():
        w.buy()
    w.by_hand(Side.SELL, step_down(w.position(), w.instrument.quantity_step))
    w.wait(lambda: not w.position(), "somebody sold the position by hand")
    w.run("consistency-checker", "--dry-run")
    expect(len(w.cycles()) == 1, "--dry-run changes nothing")
    w.run("consistency-checker")
    cycles = w.cycles()
    expect([c.status for c in cycles] == [CycleStatus.ERROR, CycleStatus.WATCHING], "in error, and a new one watches")
    expect(cycles[0].completed_at, "the time of its end is kept")


def kill(w: World) -> None:
    w.add_asset()
    if w.alpaca is not None:
        w.alpaca.faults.delay_response(1, "POST", "/v2/orders")
    with w.daemon() as process:
        w.wait(w.orders, "the row of the base order is written")
        process.kill()
        process.wait()
    say("      the daemon is killed, perhaps before its request was answered")
    with w.daemon():
        w.buy(seconds=180)  # a request that never left is given up after two minutes
    expect(len(w.orders()) <= 2, "no burst of orders")
    w.expect_agreement()


@dataclass(frozen=True)
class Scenario:
    """`cannot` says why it cannot be provoked where we command neither prices nor faults."""

    play: Callable[[World], None]
    what: str
    cannot: str = ""

    @property
    def name(self) -> str:
        return self.play.__name__.replace("_", "-")


SCENARIOS = (
    Scenario(base_order, "the first buy of a cycle"),
    Scenario(safety_order, "a second buy after a fall"),
    Scenario(take_profit, "everything is sold after a rise"),
    Scenario(cancellation, "a buy that stays open is cancelled"),
    Scenario(rejection, "an order that the exchange refuses"),
    Scenario(partial_fill, "a buy filled in part, the rest cancelled", "partial fills come by chance"),
    Scenario(cooldown, "a rest after a sale, ended by the cooldown manager"),
    Scenario(early_restart, "the rest ends early after a fall"),
    Scenario(order_manager, "untracked orders"),
    Scenario(consistency_checker, "a position that somebody sold by hand"),
    Scenario(kill, "kill -9 between the row and the answer, then recovery"),
)


# Before and after.


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


def read_settings(args: argparse.Namespace, folder: Path, stack: ExitStack) -> tuple[Config, Simulator | None]:
    """Where to: a paper account when there are keys, else a simulator of our own; its books private unless named."""
    given = survey(os.environ, args.env_file).config
    environ, alpaca = dict(os.environ), None
    if args.simulator or not (given.key_id and given.secret_key):
        if given.base_url and given.venue is Venue.LIVE and not args.simulator:
            raise Refused(f"{given.base_url} is not a paper account; this test never goes near real money", 78)
        alpaca = stack.enter_context(
            Simulator(symbols=[SYMBOL], partial_fills=0, refresh_seconds=0.2, rate_limit=None, data_rate_limit=None)
        )
        alpaca.set_quote(SYMBOL, "60000", "60010")
        environ |= alpaca.env()
    elif not given.base_url:
        environ["APCA_API_BASE_URL"] = PAPER_URL
    config = load({EXCHANGE}, environ, args.env_file)
    if config.database is None:
        config = replace(config, database=DatabaseSettings("sqlite", path=str(folder / "books.db")))
    elif config.database.engine == "sqlite":  # the programs have another current directory
        config = replace(config, database=replace(config.database, path=str(Path(config.database.path).resolve())))
    if config.venue is Venue.LIVE:
        raise Refused(f"{config.base_url} is not a paper account; this test never goes near real money", 78)
    return config, alpaca


def open_store(config: Config, yes: bool) -> Store:
    """The books, empty. Rows that were there before go only with --yes."""
    assert config.database is not None
    is_new = config.database.engine == "sqlite" and not Path(config.database.path).exists()
    if not is_new and schema_version(config.database) and pending(config.database):
        raise Refused(f"{config.database}: its schema is older than this program; run `dcabot db init`", 78)
    migrate(config.database)
    store = Store(connect(config.database), utc_now)
    if not store.database.hold_daemon_lock():
        raise Refused(f"{config.database}: a dcabot daemon works on it; stop it first, or name another database", 75)
    store.database.release_daemon_lock()
    with store.database.transaction():
        rows = sum(model.select().count() for model in schema.MODELS)
    if rows and not yes:
        raise Refused(
            f"{config.database} holds {rows} rows; --yes deletes them all, DB_URL=sqlite:///new.db keeps them"
        )
    return store


def check_account(w: World, yes: bool) -> None:
    account = w.broker.account()
    if account.obstacle:
        raise Refused(account.obstacle)
    if account.buying_power < 200:
        raise Refused(f"the account has {account.buying_power} USD to spend; 200 are needed")
    orders = sum(one.symbol == SYMBOL for one in w.broker.open_orders())
    if (orders or w.position()) and not yes:
        raise Refused(
            f"the account has {orders} open orders and {text(w.position())} coins of {SYMBOL}; "
            "--yes cancels and sells them"
        )


def tidy(w: World) -> None:
    """No program, no order, no position, no row."""
    w.end_daemons()
    w.clear_exchange()
    w.clear_books()


def play(w: World, scenario: Scenario) -> str:
    """Its verdict: passed, or FAILED and why."""
    try:
        tidy(w)
        scenario.play(w)
    except (Failed, ExchangeError, DatabaseError) as error:
        say(f"      FAILED: {error}")
        log = w.folder / "daemon.log"
        if log.exists():
            say(
                "\n".join(
                    ["      the daemon's last words:", *log.read_text(errors="replace").splitlines()[-LOG_LINES:]]
                )
            )
        return f"FAILED: {str(error).splitlines()[0]}"
    return "passed"


def play_all(w: World, chosen: list[Scenario], verdicts: dict[str, str]) -> None:
    for number, scenario in enumerate(chosen, 1):
        say(f"\n[{number}/{len(chosen)}] {scenario.name}: {scenario.what}")
        if scenario.cannot and w.alpaca is None:
            verdicts[scenario.name] = f"skipped: {scenario.cannot}"
            say(f"      skipped: {scenario.cannot}")
            continue
        begun = time.monotonic()
        verdicts[scenario.name] = "not finished"
        verdict = play(w, scenario)
        verdicts[scenario.name] = f"{verdict} ({time.monotonic() - begun:.0f} s)"


def sum_up(verdicts: dict[str, str]) -> int:
    say("\nSummary")
    for name, verdict in verdicts.items():
        say(f"  {name:<22} {verdict}")
    counts = {word: sum(v.startswith(word) for v in verdicts.values()) for word in ("passed", "FAILED", "skipped")}
    say(f"  {', '.join(f'{count} {word}' for word, count in counts.items())}")
    return 0 if counts["passed"] + counts["skipped"] == len(verdicts) else 1


def run(args: argparse.Namespace, chosen: list[Scenario]) -> int:
    verdicts: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dcabot-integration-")))
        config, alpaca = read_settings(args, folder, stack)
        say(f"Exchange: {config.venue.value.upper()}, {config.base_url}{'' if alpaca is None else ' (ours)'}")
        say(f"Database: {config.database}")
        store = open_store(config, args.yes)
        stack.callback(store.database.close_all)
        w = World(folder, config, store, Broker(config, utc_now), alpaca)
        stack.callback(w.broker.close)
        check_account(w, args.yes)
        try:
            if args.record:
                from tests.simulator.record import record

                say(f"\nRecording into {args.record}")
                tidy(w)
                record(config, SYMBOL, Path(args.record), say)
            play_all(w, chosen, verdicts)
        finally:
            # Whatever happened, and whoever presses Ctrl-C again: what we made goes first.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            say("\nCleaning up")
            tidy(w)
        return sum_up(verdicts)


def main() -> int:
    options = argparse.ArgumentParser(description="End-to-end scenarios against a paper account or the simulator.")
    options.add_argument("names", nargs="*", metavar="NAME", help="only these scenarios")
    options.add_argument("--list", action="store_true", help="say which scenarios there are")
    options.add_argument("--simulator", action="store_true", help="the simulator, even when there are keys")
    options.add_argument("--yes", action="store_true", help="clear what the paper account or the database holds")
    options.add_argument("--record", metavar="FOLDER", help="record the exchange's answers and frames, secrets removed")
    options.add_argument("--env-file", metavar="FILE", help="read settings from FILE")
    args = options.parse_args()
    known = {one.name: one for one in SCENARIOS}
    if unknown := [name for name in args.names if name not in known]:
        options.error(f"no scenario {', '.join(unknown)}; --list shows them")
    if args.list:
        for one in SCENARIOS:
            say(f"{one.name:<22} {one.what}{f' (not on paper: {one.cannot})' if one.cannot else ''}")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(args, [known[name] for name in args.names] or list(SCENARIOS))
    except KeyboardInterrupt:
        say("\nInterrupted; everything is cleaned up.")
        return 130
    except ConfigError as error:
        why, code = str(error), 78
    except Refused as error:
        why, code = str(error), error.code
    except ExchangeDenied as error:
        why, code = str(error), 78
    except (ExchangeError, DatabaseError) as error:
        why, code = str(error), 75
    except Failed as error:
        why, code = str(error), 1
    for line in why.splitlines():
        print(f"integration_test.py: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
