"""One tick of each caretaker, as its timer starts it, when there is nothing to do."""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal

from benchmarks import stage
from benchmarks.figures import Figure
from tests.servers import Database, MariaDB

CARETAKERS = {
    "order-manager": "order manager: 0 open orders at Alpaca, 0 mended, 0 untracked cancelled, 0 untracked left alone,"
    " 0 assets suspended",
    "cooldown-manager": "cooldown manager: 0 cooldowns over, 0 cycles opened, 0 assets suspended",
    "consistency-checker": "consistency checker: 20 cycles compared, 0 mended, 0 cycles opened, 0 assets suspended",
}
BOUND = 1.5


@dataclass(frozen=True, slots=True)
class Tick:
    """What one process took, from its start to its end."""

    seconds: float
    peak_mib: float
    said: str


def run(server: MariaDB, quick: bool) -> list[Figure]:
    """The floor and the three in turn; the median of each kind. 20 cycles that each hold what they bought."""
    rounds = 1 if quick else 15
    database = server.create_database()
    with stage.Alpaca() as alpaca:
        buy_everything(alpaca, database)
        environment = {**os.environ, **alpaca.environment, **database.environment()}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled, as it is where it is installed
        programs = {"floor": [str(stage.FLOORS / "clients.py")]}
        programs |= {name: ["-m", "dcabot", name, "--env-file", os.devnull] for name in CARETAKERS}
        for name in ("consistency-checker", *CARETAKERS):  # mends what is left to mend, and brings all into the cache
            tick(programs[name], environment)
        found: dict[str, list[Tick]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, words in programs.items():
                found[name].append(tick(words, environment))
    for name, summary in CARETAKERS.items():
        if strange := [one.said for one in found[name] if not one.said.rstrip().endswith(f"INFO {summary}")]:
            raise RuntimeError(f"{name} had something to do: {strange[0]}")
    floor = found.pop("floor")
    found["all three"] = [together(*one_round) for one_round in zip(*found.values(), strict=True)]
    return [figure for name, ticks in found.items() for figure in compared(name, floor, ticks)]


def buy_everything(alpaca: stage.Alpaca, database: Database) -> None:
    """A daemon gives each asset a filled base order, and ends."""
    held = "SELECT COUNT(*) FROM dca_orders WHERE status = 'filled' AND fee_quantity > 0"

    def count() -> int:
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(held)
            return int(cursor.fetchone()[0])

    with stage.daemon(alpaca, database):
        alpaca.quote([(symbol, Decimal(0)) for symbol in stage.SYMBOLS])
        stage.until(lambda: count() == len(stage.SYMBOLS), "20 base orders and their fees")


def tick(words: list[str], environment: dict[str, str]) -> Tick:
    watched = [sys.executable, "-S", str(stage.ROOT / "benchmarks" / "stopwatch.py"), *words]
    done = subprocess.run(watched, cwd=stage.ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return Tick(*json.loads(done.stdout.splitlines()[-1]), done.stderr)


def together(*ticks: Tick) -> Tick:
    """One round of the three as if they were one process."""
    return Tick(sum(one.seconds for one in ticks), sum(one.peak_mib for one in ticks), "")


def compared(name: str, floor: list[Tick], ticks: list[Tick]) -> list[Figure]:
    def median(of: str, kind: list[Tick], scale: float = 1) -> tuple[float]:
        return (statistics.median(getattr(one, of) for one in kind) * scale,)

    return [
        Figure(f"{name}, time", "ms", median("seconds", floor, 1000), median("seconds", ticks, 1000), BOUND),
        Figure(f"{name}, memory", "MiB", median("peak_mib", floor), median("peak_mib", ticks), BOUND),
    ]
