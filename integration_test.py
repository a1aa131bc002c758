#!/usr/bin/env python3
"""End-to-end scenarios: the real daemon, the real caretakers and a database, against Alpaca.

    python integration_test.py             with API keys (environment, ./.env): your PAPER account; else the simulator
    python integration_test.py --list      the scenarios; `python integration_test.py NAME ...` runs only these
    python integration_test.py --record F  also record the exchange's answers and frames into folder F

A live account is refused. The database is a private SQLite file unless DB_* names one. A paper account or a database
that holds anything is only cleared with --yes. Both are left clean, after a failure and after Ctrl-C too.

Nobody can steer a paper account's prices. So the scenarios edit what the books remember instead: a cycle that believes
it paid ten percent more places its safety order at today's price, one that believes it paid less takes its profit.

What a scenario can do and look at (`w`) is in tests/integration_world.py.

Exit codes: 0 all passed, 1 some failed, 2 wrong usage, 75 not reached, 78 wrong configuration, 130 Ctrl-C,
141 whoever read the output has gone.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
try:
    from dcabot.adapters import notes, schema
    from dcabot.adapters.broker import Broker
    from dcabot.adapters.config import EXCHANGE, Config, ConfigError, Venue, load, survey
    from dcabot.adapters.database import DatabaseError, DatabaseMisconfigured, connect
    from dcabot.adapters.dburl import DatabaseSettings
    from dcabot.adapters.migrations import migrate, pending, schema_version
    from dcabot.adapters.store import Store
    from dcabot.commands import Parser, counted, guard
    from dcabot.core.model import ID_PREFIX, CycleStatus, EndedBy, OrderStatus, Side
    from dcabot.core.money import step_down, step_up, text
    from dcabot.core.snapshot import ExchangeDenied, ExchangeError
    from dcabot.simulator import Simulator
    from tests.integration_world import MORE, SYMBOL, Failed, World, expect, say, utc_now
    from tests.simulator.record import record
except ModuleNotFoundError as error:
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists() or Path(sys.executable).parent == python.parent:
        sys.exit(f"integration_test.py: {error}; ./test or ./demo sets up what is needed")
    os.execv(python, [str(python), __file__, *sys.argv[1:]])

PAPER_URL = "https://paper-api.alpaca.markets"
LOG_LINES = 25


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
    expect(cycles[0].ended_by is EndedBy.SOLD_OUTSIDE, "the cycle ended: its coins were sold outside")
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


HARMLESS = (Venue.PAPER, Venue.SIMULATOR)  # any other host may be somebody's real money


class Refused(Exception):
    """We will not begin: the message says why, the code is the exit code."""

    def __init__(self, why: str, code: int = 1) -> None:
        super().__init__(why)
        self.code = code


def read_settings(args: argparse.Namespace, folder: Path, stack: ExitStack) -> tuple[Config, Simulator | None]:
    """Where to: a paper account when there are keys, else a simulator of our own; its books private unless named."""
    given = survey(os.environ, args.env_file).config
    environ, alpaca = dict(os.environ), None
    if args.simulator or not (given.key_id and given.secret_key):
        if given.base_url and given.venue not in HARMLESS and not args.simulator:
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
    if config.venue not in HARMLESS:
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
        rows -= schema.Note.select().where(schema.Note.name == notes.TAG).count()  # `db init` has made it
    if rows and not yes:
        held = f"{config.database} holds {counted(rows, 'row')}"
        raise Refused(f"{held}; --yes deletes them, DB_URL=sqlite:///new.db keeps them")
    return store


def check_account(w: World, yes: bool) -> None:
    account = w.broker.account()
    if account.obstacle:
        raise Refused(account.obstacle)
    if account.buying_power < 200:
        raise Refused(f"the account has {account.buying_power} USD to spend; 200 are needed")
    # The order manager cancels those of another dcabot as well, whatever their pair.
    loose = [one for one in w.broker.open_orders() if one.symbol == SYMBOL or one.client_order_id.startswith(ID_PREFIX)]
    if (loose or w.position()) and not yes:
        held = f"{counted(len(loose), 'open order')} of {SYMBOL} or of dcabot, and {text(w.position())} {SYMBOL}"
        raise Refused(f"the account has {held}; --yes cancels and sells them")


def tidy(w: World) -> None:
    """No program, no order, no position, no row."""
    w.end_daemons()
    try:
        w.clear_exchange()
    finally:
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
            last_words = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            say("\n".join(["      the daemon's last words:", *last_words]))
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


def when_told_to_end(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


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
                say(f"\nRecording into {args.record}")
                tidy(w)
                record(config, SYMBOL, Path(args.record), say)
            play_all(w, chosen, verdicts)
        finally:
            # Whatever happened, and whoever presses Ctrl-C again: what we made goes first.
            when_told_to_end(signal.SIG_IGN)
            say("\nCleaning up")
            tidy(w)
            code = sum_up(verdicts)
        return code


def main(argv: list[str]) -> int:
    options = Parser(description="End-to-end scenarios against a paper account or the simulator.")
    options.add_argument("names", nargs="*", metavar="NAME", help="only these scenarios")
    options.add_argument("--list", action="store_true", help="say which scenarios there are")
    options.add_argument("--simulator", action="store_true", help="the simulator, even when there are keys")
    options.add_argument("--yes", action="store_true", help="clear what the paper account or the database holds")
    options.add_argument("--record", metavar="FOLDER", help="record the exchange's answers and frames, secrets removed")
    options.add_argument("--env-file", metavar="FILE", help="read settings from FILE")
    args = options.parse_args(argv)
    known = {one.name: one for one in SCENARIOS}
    if unknown := [name for name in args.names if name not in known]:
        options.error(f"no scenario {', '.join(unknown)}; --list shows them")
    if args.list:
        for one in SCENARIOS:
            print(f"{one.name:<22} {one.what}{f' (not on paper: {one.cannot})' if one.cannot else ''}")
        return 0
    when_told_to_end(signal.default_int_handler)
    try:
        return run(args, [known[name] for name in args.names] or list(SCENARIOS))
    except KeyboardInterrupt:
        when_told_to_end(signal.SIG_IGN)
        say("\nInterrupted; everything is cleaned up.")
        return 130
    except Refused as error:
        why, code = str(error), error.code
    except (ConfigError, ExchangeDenied, DatabaseMisconfigured) as error:
        why, code = str(error), 78
    except ExchangeError as error:
        why, code = f"Alpaca could not be asked: {error}", 75
    except DatabaseError as error:
        why, code = str(error), 75
    except Failed as error:
        why, code = str(error), 1
    for line in why.splitlines():
        print(f"integration_test.py: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(guard(main, sys.argv[1:]))
