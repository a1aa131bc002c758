"""python -m benchmarks.bench_backtest [--quick] [--check]: candles a second, beside other backtesters.

One core, the same candles, the same rules, one after another in the same run. The peers live in environments of their
own, which this installs with pinned hashes into `.venv/peers/`. Rates are of CPU seconds: this machine is shared.
The real month is `../shared/data`; without it there are only the seeded walks.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from dcabot.backtest.candles import Candles
from dcabot.backtest.checks import load
from dcabot.backtest.figures import Result, result
from dcabot.backtest.path import HighLow
from dcabot.backtest.path import Path as PricePath
from dcabot.backtest.run import Setup, walked
from dcabot.backtest.walk import Walk
from dcabot.commands import utc_now
from dcabot.core.model import Asset, Instrument, Rules

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = ROOT / ".venv" / "peers"
MONTH = ROOT.parent / "shared" / "data" / "btc_usd_perp_1m_2022-01.csv.gz"
START = 1_600_000_000_000_000
WALKS = (250_000, 1_000_000)  # the same price a second is linear
TIMES_NAUTILUS = 10  # the limit: dcabot must do so many times its candles

RULES = {"base": 100, "amount": 100, "count": 20, "drop": 0.01, "profit": 0.008, "cooldown": 300, "restart": 0.02}
Measured = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """0 when dcabot is fast enough, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_backtest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small walk and no peers: does it work, not how fast")
    parser.add_argument("--check", action="store_true", help="hold the fast walk against the slow one; takes minutes")
    parser.add_argument("--runs", type=int, default=3, help="the medians of so many (default: 3)")
    arguments = parser.parse_args(argv)
    if arguments.check:
        return check()
    if arguments.quick:
        walk = random_walk(20_000)
        show("a quick walk", walk, {"dcabot": dcabot(walk), "plain loop": plain_loop(walk)})
        return 0
    inputs = {f"a walk of {length:,} candles": random_walk(length) for length in WALKS}
    if MONTH.exists():
        inputs = {"the real month": load([MONTH], utc_now()).candles, **inputs}
    met = [compare(name, candles, arguments.runs) for name, candles in inputs.items()]
    memory()
    return 0 if all(met) else 1


def setup() -> Setup:
    rules = Rules(*(Decimal(str(RULES[name])) for name in ("base", "amount")), 20, *_ratios(), 300, Decimal("0.02"))
    finest = Decimal("0.000000001")
    instrument = Instrument("BTC/USD", Decimal("0.01"), finest, finest)
    return Setup(Asset(1, "BTC/USD", True, rules), instrument)


def _ratios() -> tuple[Decimal, Decimal]:
    return Decimal(str(RULES["drop"])), Decimal(str(RULES["profit"]))


def random_walk(length: int, seed: int = 1) -> Candles:
    """Minutes of a price that does not know where it goes, around 0.08 % at a time, in cents."""
    dice = np.random.default_rng(seed)
    logs, here = [], 0.0
    for move in dice.normal(0, 0.0008, length).tolist():
        here = here * 0.9998 + move  # it comes back from far away, so that cycles end
        logs.append(here)
    close = (3_000_000 * np.exp(np.array(logs))).astype(np.int64)
    opened = np.concatenate([close[:1], close[:-1]])
    reach = (close * 0.0004 * dice.random((2, length))).astype(np.int64)
    high, low = np.maximum(opened, close) + reach[0], np.minimum(opened, close) - reach[1]
    at = START + np.arange(length, dtype=np.int64) * 60_000_000
    return Candles(at, opened, high, low, close, Decimal("0.01"), 60)


# --- the four ---


def dcabot(candles: Candles) -> Measured:
    """The walk and its figures, of candles in memory, as the peers have theirs."""
    made, seconds, cpu = timed(lambda: result(walked(setup(), candles)))
    return measured(candles, seconds, cpu, len(made.fills), made.figures.cycles)


def dcabot_from_file(path: Path) -> Measured:
    """The same with reading and checking the CSV file."""

    def work() -> tuple[Candles, Result]:
        candles = load([path], utc_now()).candles
        return candles, result(walked(setup(), candles))

    (candles, made), seconds, cpu = timed(work)
    return measured(candles, seconds, cpu, len(made.fills), made.figures.cycles)


def plain_loop(candles: Candles) -> Measured:
    """The ceiling: nothing but a loop over Decimals with the same rules; no venue, no ledger, no order."""
    prices = list(zip(*(map(candles.price, column.tolist()) for column in (candles.low, candles.high)), strict=True))
    (orders, cycles), seconds, cpu = timed(lambda: looped(prices))
    return measured(candles, seconds, cpu, orders, cycles)


def looped(prices: list[tuple[Decimal, Decimal]]) -> tuple[int, int]:
    one, nothing = Decimal(1), Decimal(0)
    drop, profit, amount, count = one - _ratios()[0], one + _ratios()[1], Decimal(100), 20
    orders = cycles = safety = number = rests_until = 0
    held = cost = nothing
    below, above = Decimal("Infinity"), Decimal("Infinity")
    for number, (low, high) in enumerate(prices):
        if high >= above:
            orders, cycles, safety, rests_until = orders + 1, cycles + 1, 0, number + 5
            held = cost = nothing
            below, above = above * Decimal("0.98"), Decimal("Infinity")
        elif low <= below or (not held and number >= rests_until):
            price = below if held else low
            orders, safety = orders + 1, safety + (1 if held else 0)
            held, cost = held + amount / price, cost + amount
            above = cost / held * profit
            below = price * drop if safety < count else nothing
    return orders, cycles


def peer(name: str, file: Path) -> Measured:
    """One of the others, in its own process and environment."""
    python = ENVIRONMENTS / name / "bin" / "python"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as rules:
        json.dump(RULES, rules)
        rules.flush()
        command = [str(python), str(PEERS / f"{name}_dca.py"), str(file), rules.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


def install(name: str) -> None:
    """The peer's environment, made once."""
    place = ENVIRONMENTS / name
    if (place / "ready").exists():
        return
    print(f"Installing {name} into {place}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
    words = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--quiet",
        "--require-hashes",
        "--only-binary=:all:",
        "-r",
        f"{PEERS / name}.txt",
    ]
    subprocess.run([str(place / "bin" / "python"), *words], check=True)
    (place / "ready").touch()


# --- measuring ---


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - began, time.process_time() - cpu


def measured(candles: Candles, seconds: float, cpu: float, orders: int, cycles: int) -> Measured:
    return {"candles": len(candles), "seconds": seconds, "cpu": cpu, "orders": orders, "cycles": cycles}


def compare(name: str, candles: Candles, runs: int) -> bool:
    with written(candles) as file:
        kinds: dict[str, Callable[[], Measured]] = {
            "plain loop, the ceiling": lambda: plain_loop(candles),
            "dcabot": lambda: dcabot(candles),
            "dcabot, reading the CSV too": lambda: dcabot_from_file(file),
        }
        for other in ("nautilus", "backtesting"):
            install(other)
            kinds[other] = lambda other=other: peer(other, file)  # type: ignore[misc]
        found = {kind: median([work() for _ in range(runs)]) for kind, work in kinds.items()}
    return show(name, candles, found)


def median(runs: list[Measured]) -> Measured:
    middle = statistics.median(one["cpu"] for one in runs)
    return {**runs[0], "cpu": middle, "seconds": statistics.median(one["seconds"] for one in runs)}


@contextmanager
def written(candles: Candles) -> Iterator[Path]:
    """The candles as the CSV that all of them read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candles.csv"
        times = np.datetime_as_string(candles.at.astype("datetime64[us]"), unit="s")
        columns = [list(map(candles.price, column.tolist())) for column in _prices(candles)]
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["timestamp", "open", "high", "low", "close", "volume"])
            writer.writerows(zip((at.replace("T", " ") for at in times), *columns, ["1"] * len(times), strict=True))
        yield path


def _prices(candles: Candles) -> tuple[Any, ...]:
    return candles.open, candles.high, candles.low, candles.close


def show(name: str, candles: Candles, found: dict[str, Measured]) -> bool:
    rates = {kind: one["candles"] / one["cpu"] for kind, one in found.items()}
    table = Table("", "candles/s of CPU", "beside dcabot", "CPU s", "wall s", "orders", "cycles", "peak MB")
    table.title, table.title_justify = f"{name}: {len(candles):,} candles", "left"
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, one in found.items():
        table.add_row(
            kind,
            f"{rates[kind]:,.0f}",
            f"{rates[kind] / rates['dcabot']:.3f}",
            f"{one['cpu']:.3f}",
            f"{one['seconds']:.3f}",
            f"{one['orders']}",
            f"{one['cycles']}",
            f"{one['megabytes']:,.0f}" if "megabytes" in one else "see below",
        )
    out = Console(width=130)
    out.print(table)
    if "nautilus" not in rates:
        return True
    times = rates["dcabot"] / rates["nautilus"]
    is_met = times >= TIMES_NAUTILUS
    out.print(f"{times:.1f} times nautilus_trader; at least {TIMES_NAUTILUS}: {'met' if is_met else 'missed'}\n")
    return is_met


def memory() -> None:
    """What a walk adds to the memory that its input takes, for inputs of several lengths."""
    out = Console()
    table = Table("candles", "candles/s", "orders", "input MB", "the walk adds MB", "kB an order", "whole process MB")
    table.title, table.title_justify = "dcabot: memory and speed by the number of candles", "left"
    for length in (*WALKS, 4_000_000):
        code = (
            "from benchmarks.bench_backtest import random_walk, setup, walked, result\n"
            f"candles = random_walk({length})\n"
            "open('/proc/self/clear_refs', 'w').write('5')\n"
            "line = [one for one in open('/proc/self/status') if one.startswith('VmRSS')][0]\n"
            "before = int(line.split()[1]) / 1024\n"
            "import time; began = time.process_time()\n"
            "fills = len(result(walked(setup(), candles)).fills)\n"
            "rate = len(candles) / (time.process_time() - began)\n"
            "line = [one for one in open('/proc/self/status') if one.startswith('VmHWM')][0]\n"
            "print(int(line.split()[1]) / 1024 - before, int(line.split()[1]) / 1024, rate, fills)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        size = sum(column.nbytes for column in (*_prices(random_walk(1000)), random_walk(1000).at)) * length / 1000
        added, peak, rate, fills = map(float, done.stdout.split())
        cells = (rate, fills, size / 1e6, added, added * 1024 / fills, peak)
        table.add_row(f"{length:,}", *(f"{one:,.0f}" for one in cells[:4]), f"{cells[4]:.1f}", f"{peak:,.0f}")
    out.print(table)


# --- is it the same? ---


def check() -> int:
    """The slow walk past every quote and the fast one, on the real month."""
    if not MONTH.exists():
        print(f"{MONTH} is not there", file=sys.stderr)
        return 1
    month = load([MONTH], utc_now()).candles
    coarse = {name: getattr(month, name) // 10_000 for name in ("open", "high", "low", "close")}
    tens = replace(month, **coarse, unit=Decimal(10_000) * month.unit)
    wrong = 0
    for order in HighLow:
        wrong += differs(f"four prices, {order.value}", month, PricePath(order, walks=False))
        wrong += differs(f"every price in between, in steps of {tens.unit} USD, {order.value}", tens, PricePath(order))
    return 1 if wrong else 0


def differs(name: str, candles: Candles, path: PricePath) -> bool:
    fast = walked(replace(setup(), path=path), candles)
    slow = Walk(type(fast.bot)(setup().asset, setup().instrument, fast.bot.terms, candles.begins_at), candles, path)
    slow.slow()
    is_same = result(slow) == result(fast) and slow.bot.finished == fast.bot.finished
    figures = result(fast).figures
    print(f"{name}: {figures.cycles} cycles, {figures.fingerprint}: {'the same' if is_same else 'NOT THE SAME'}")
    return not is_same


if __name__ == "__main__":
    raise SystemExit(main())
