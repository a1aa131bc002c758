"""The same quotes through everything that trades (daemon, SDK, simulator, MariaDB) and through the backtest.

Candles of a seeded walk, of several pairs with settings of their own, become quotes as the backtest makes them. The
daemon needs moments that the backtest does not: an answer, a fill's message, a sweep that learns the fee. So after a
quote at which the backtest traded, the next one waits until the daemon is as far; what it did otherwise, or did where
the backtest did nothing, is there at the end.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.adapters.assets import COLUMNS, preview
from dcabot.backtest.bot import Bot, Terms
from dcabot.backtest.figures import Result, fingerprint, result
from dcabot.backtest.path import LEGS
from dcabot.backtest.path import Path as PricePath
from dcabot.backtest.walk import Walk
from dcabot.core.model import CycleStatus, Order, Quote
from dcabot.core.money import text
from dcabot.simulator import Simulator
from dcabot.simulator.listings import listing_of
from tests.backtest.prices import led, make_bot, random_candles
from tests.builders import START
from tests.commands.conftest import QUICK
from tests.programs import (
    PATIENCE,
    Books,
    Daemon,
    alpaca_for_tests,
    environment,
    mariadb_books,
    plain,
    run_program,
    running_daemon,
)
from tests.servers import Database

CASH = 10_000  # USD, enough for every pair at once: each has an account of its own in the backtest
REST = 100_000  # seconds: a cooldown of the daemon's, which ends when the candles say so
PATH = PricePath(walks=False)
# Of each pair: USD of a tick of its candles, which start at 2,000 of them, and its settings.
PAIRS: dict[str, tuple[str, tuple[str, ...]]] = {
    "BTC/USD": ("31.5", ("25", "17.5", "3", "0.9", "0.65", "240", "0.4")),
    "ETH/USD": ("0.95", ("100", "150", "5", "0.55", "0.51", "60", "0.2")),
    "SOL/USD": ("0.071", ("33.33", "11.11", "2", "1.1", "0.8", "0", "0.9")),
    "XRP/USD": ("0.001037", ("12", "12", "0", "1.5", "0.6", "900", "5")),
    "DOGE/USD": ("0.00009", ("77.7", "61.8", "9", "0.35", "0.55", "120", "0.3")),
}
# For so many candles, of which each has four quotes: the hash of every pair's fills, and how many of what there are.
SHORT, LONG = 60, 500
NAMES = ("symbol", "orders", "safety_orders", "spent", "sold", "buy_fees", "sale_fees", "profit")
# Of each pair, where its newest cycle stands, its orders, and those of them that are filled and whose fee is known.
STANDING = (
    "SELECT asset_symbol, (SELECT status FROM dca_cycles WHERE id = MAX(c.id)), COUNT(o.id),"
    " COUNT(CASE WHEN o.status = 'filled' AND (side = 'sell' OR fee_quantity IS NOT NULL) THEN 1 END)"
    " FROM dca_assets a JOIN dca_cycles c ON c.asset_id = a.id LEFT JOIN dca_orders o ON o.cycle_id = c.id"
    " GROUP BY asset_symbol"
)
# It learns a fee as soon as it can.
HURRY = {**QUICK, "paces.SWEEP_SPACING_SECONDS": 0.05, "paces.SWEEP_UNSETTLED_SECONDS": 0.2}
OPEN, EMPTY = "01", "00000000:00000000"  # in /proc/net/tcp: a connection, and its queues
HASHES = {
    SHORT: {
        "BTC/USD": "b2a1e84c27a09686",
        "ETH/USD": "ad5b68382ea59309",
        "SOL/USD": "ea54fdc39034acd8",
        "XRP/USD": "f361fc010ceb7d7b",
        "DOGE/USD": "b50ffc9ba427152d",
    },
    LONG: {
        "BTC/USD": "b84a2573b3ebc61c",
        "ETH/USD": "7e54fd43bd88fffb",
        "SOL/USD": "5cad7a9b2b8aa691",
        "XRP/USD": "e4425ed01bf203fa",
        "DOGE/USD": "c13f230660992088",
    },
}


@dataclass(frozen=True)
class Step:
    """One quote of each pair, whose cooldown is over by then, and of each its orders and its cycle's status after."""

    quotes: tuple[Quote, ...]
    rested: tuple[str, ...]
    standing: dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Story:
    walks: dict[str, Walk]
    steps: list[Step]

    @property
    def results(self) -> dict[str, Result]:
        return {symbol: result(walk) for symbol, walk in self.walks.items()}


def story(length: int) -> Story:
    """So many candles, as the slow walk goes along them; the fast one comes to the same."""
    prices = {
        symbol: random_candles(seed, length, swing=9, unit=unit)
        for seed, (symbol, (unit, _)) in enumerate(PAIRS.items(), start=27)
    }
    walks = {symbol: Walk(new_bot(symbol), candles, PATH) for symbol, candles in prices.items()}
    steps = [step_of(walks, number, leg) for number in range(length) for leg in range(LEGS)]
    for symbol, candles in prices.items():
        fast = Walk(new_bot(symbol), candles, PATH)
        fast.fast()
        assert fast.bot.finished == walks[symbol].bot.finished
        assert result(fast) == result(walks[symbol])
    return Story(walks, steps)


def step_of(walks: dict[str, Walk], number: int, leg: int) -> Step:
    quotes, rested, standing = [], [], {}
    for symbol, walk in walks.items():
        bot, quote = walk.bot, quote_of(walk, number, leg)
        was = bot.cycle.status
        bot.pass_time(quote.at)
        if was is CycleStatus.COOLDOWN is not bot.cycle.status:
            rested.append(symbol)
        bot.on_quote(quote)
        quotes.append(quote)
        standing[symbol] = (sum(map(len, all_cycles(walk))), bot.cycle.status.value)
    return Step(tuple(quotes), tuple(rested), standing)


def quote_of(walk: Walk, number: int, leg: int) -> Quote:
    columns = walk.candles
    prices = (int(column[number]) for column in (columns.open, columns.high, columns.low, columns.close))
    at = int(columns.at[number]) + leg * columns.seconds * 1_000_000 // LEGS
    return walk.prices.quote(walk.path.points(*prices)[leg], at)


def new_bot(symbol: str) -> Bot:
    columns = {name: Decimal(words) for name, words in settings_of(symbol).items()}
    counts = {name: int(columns[name]) for name in ("max_safety_orders", "cooldown_period")}
    asset = preview(symbol, {**columns, **counts})
    return Bot(asset, listing_of(symbol).instrument, Terms(cash=Decimal(CASH)), START)


def settings_of(symbol: str) -> dict[str, str]:
    return dict(zip(COLUMNS, PAIRS[symbol][1], strict=True))


def all_cycles(walk: Walk) -> list[tuple[Order, ...]]:
    return [cycle.orders for cycle in [*walk.bot.finished, walk.bot.cycle]]


@pytest.fixture
def books(database: Database) -> Books:
    return mariadb_books(database)


@pytest.fixture
def alpaca() -> Iterator[Simulator]:
    # A limit that the daemon reads in the answers: with the usual one it would ask for each fee less soon.
    with alpaca_for_tests(symbols=list(PAIRS), cash=CASH, rate_limit=10_000) as simulator:
        yield simulator


@pytest.mark.slow
def test_the_daemon_and_the_backtest_trade_alike_to_the_last_digit(
    books: Books, alpaca: Simulator, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    told = story(LONG if pytestconfig.getoption("--long") else SHORT)
    for symbol in PAIRS:
        books.add_asset(symbol, **{**settings_of(symbol), "cooldown_period": REST})
    show(alpaca, told.steps[0])
    variables = environment(tmp_path, alpaca.env(), books.environment)
    with running_daemon(tmp_path, variables, hurry=HURRY) as daemon:
        stand = dict.fromkeys(PAIRS, (0, "watching"))
        for step in told.steps:
            show(alpaca, step)
            if step.rested:
                rest(books, step.rested, tmp_path, variables)
                daemon.hang_up()
            if step.standing != stand:
                stand = step.standing
                follow(daemon, books, step)
            until_read(alpaca)
        assert daemon.stop()[0] == 0

    wanted = told.results
    cycles = cycles_of(tmp_path, variables)
    for symbol, walk in told.walks.items():
        assert orders_of(books, symbol) == [order_row(order) for cycle in all_cycles(walk) for order in cycle]
        assert [row for row in cycles if row[0] == symbol] == cycle_rows(wanted[symbol])
        assert lines(executions(alpaca, symbol)) == lines(fill_rows(wanted[symbol]))


@pytest.mark.parametrize("length", [SHORT, LONG])
def test_the_stories_that_the_daemon_trades_are_always_the_same_and_have_everything_in_them(length: int) -> None:
    """So a change of both, in the code that they share, is seen as well."""
    told = story(length)
    rests = sum(len(step.rested) for step in told.steps)
    sales = sum(len(one.cycles) for one in told.results.values())

    assert {symbol: one.figures.fingerprint for symbol, one in told.results.items()} == HASHES[length]
    assert sum(len(step.quotes) for step in told.steps) == length * LEGS * len(PAIRS) >= 1_000
    assert len(PAIRS) < rests < sales - 3  # both ends of a cooldown, by time and by price
    assert max(one.safety_orders for result in told.results.values() for one in result.cycles) >= 3
    assert {walk.bot.note for walk in told.walks.values()} == {""}


def test_a_hash_of_all_fills_guards_against_drift() -> None:
    bot = led(make_bot(safety_notional=30, take_profit_ratio="0.006"), random_candles(7, 2_000, swing=8))
    fills = result(Walk(bot, random_candles(7, 2_000, swing=8), PricePath())).fills

    assert (len(fills), fingerprint(fills)) == (34, "6ec79475d0096c52")


# --- the daemon's side ---


def show(alpaca: Simulator, step: Step) -> None:
    for quote in step.quotes:
        alpaca.set_quote(quote.symbol, bid=text(quote.bid), ask=text(quote.ask))


def follow(daemon: Daemon, books: Books, step: Step) -> None:
    """Wait until the daemon has come as far as the backtest: the same orders, all booked, all fees learnt."""

    wanted = {symbol: (status, orders, orders) for symbol, (orders, status) in step.standing.items()}

    def is_there() -> bool:
        return {symbol: tuple(found) for symbol, *found in books.execute(STANDING)} == wanted

    daemon.until(is_there, f"{step.standing} at {step.quotes}")


def until_read(alpaca: Simulator) -> None:
    """Wait until nothing is on its way from the simulator to its clients."""
    port = f":{int(alpaca.url.rpartition(':')[2]):04X}"
    deadline = time.monotonic() + PATIENCE
    while True:
        time.sleep(0.001)
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        if all(row[4] == EMPTY for row in rows if row[3] == OPEN and (row[1] + row[2]).count(port)):
            return
        assert time.monotonic() < deadline


def rest(books: Books, symbols: tuple[str, ...], folder: Path, variables: dict[str, str]) -> None:
    """These cooldowns pass: for the daemon in a moment, by the cooldown manager's own hand."""
    change = "UPDATE dca_assets SET cooldown_period = ? WHERE asset_symbol = ?"
    for symbol in symbols:
        books.execute(change, 0, symbol)
    done = run_program(folder, variables, "cooldown-manager")
    assert done.returncode == 0, done.stderr
    for symbol in symbols:
        books.execute(change, REST, symbol)


def orders_of(books: Books, symbol: str) -> list[tuple[str, ...]]:
    """Every order's row, without its ids and times."""
    found = books.execute(
        "SELECT purpose, side, o.status, o.quantity, limit_price, filled_quantity, filled_price, fee_quantity"
        " FROM dca_orders o JOIN dca_cycles c ON c.id = o.cycle_id JOIN dca_assets a ON a.id = c.asset_id"
        " WHERE asset_symbol = ? ORDER BY o.id",
        symbol,
    )
    return [(*row[:3], *("" if number is None else plain(number) for number in row[3:])) for row in found]


def order_row(order: Order) -> tuple[str, ...]:
    numbers = (order.quantity, order.limit_price, order.filled_quantity, order.filled_price, order.fee_quantity)
    words = (order.purpose.value, order.side.value, order.status.value)
    return (*words, *("" if number is None else text(number) for number in numbers))


def cycles_of(folder: Path, variables: dict[str, str]) -> list[tuple[str, ...]]:
    done = run_program(folder, variables, "report", "--json")
    assert done.returncode == 0, done.stderr
    return [tuple(str(one[name]) for name in NAMES) for one in json.loads(done.stdout)]


def cycle_rows(wanted: Result) -> list[tuple[str, ...]]:
    rows = ([getattr(one, name) for name in NAMES] for one in wanted.cycles)
    return [tuple(text(one) if isinstance(one, Decimal) else str(one) for one in row) for row in rows]


def executions(alpaca: Simulator, symbol: str) -> list[tuple[str, ...]]:
    return [
        (entry["side"], entry["quantity"], entry["price"], entry["fee"], entry["fee_currency"])
        for entry in alpaca.journal.entries("fill")
        if entry["symbol"] == symbol
    ]


def fill_rows(wanted: Result) -> list[tuple[str, ...]]:
    return [
        (one.side.value, text(one.quantity), text(one.price), text(one.fee), one.fee_currency) for one in wanted.fills
    ]


def lines(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(" ".join(row) for row in rows)
