"""The whole system under seeded troubles: 1,000 seeds here, as many as you like with `python -m tests.simulation`."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.__main__ import results_of
from tests.simulation.run import play
from tests.simulation.shrink import script, shrink

ROOT = Path(__file__).parents[2]
SEEDS, SEEDS_LONG = 1000, 20_000
# What a thousand seeds must have gone through at the least, in so many of them, or they prove nothing.
MEANINGFUL = {
    "a sale amid the troubles": 250,
    "safety filled": 250,
    "sold out at the end": 600,
    "order canceled": 120,
    "order void": 150,
    "cycle ended outside": 60,
    "cycle-close done": 60,
    "cycle released": 40,
    "cycle-adopt done": 2,  # a cycle is not given up any more, so little is brought back
    # The network
    "slow answer": 250,
    "submit: request lost": 30,
    "submit: request late": 40,
    "submit: response lost": 60,
    "submit: sent twice": 15,
    "cancel: request lost": 15,
    "cancel: response lost": 15,
    "query: timeout": 200,
    # The exchange
    "partial fill": 200,
    "tiny partial fill": 120,
    "order rejected": 40,
    "submit: wash trade": 25,
    "submit: insufficient balance": 45,
    "submit: rate limit": 35,
    "query: rate limit": 120,
    "query: 5xx": 120,
    "submit: 5xx, done": 15,
    "submit: 5xx, not done": 25,
    "exchange: maintenance": 200,
    # The streams
    "stream: orders lost": 200,
    "stream: orders mute": 200,
    "stream: quotes lost": 150,
    "stream: quotes mute": 80,
    "update dropped": 100,
    "update twice": 90,
    "update late": 90,  # behind those that set out after it
    "lie: a false bid": 150,
    "lie: a false ask": 150,
    "lie: an old quote": 150,
    "lie: a late quote": 150,
    "sale at the market": 200,
    "cycle sold at its limit": 80,
    # The account
    "position: missing": 120,
    "position: short": 70,
    "exchange: storm of 429": 120,
    "exchange: storm of 503": 120,
    "hand: deposits": 120,
    "hand: withdraws": 100,
    # The database
    "database: somebody holds the rows": 120,
    "db: lost before": 120,
    "db: lost at commit": 120,
    "db: lost after commit": 150,
    "db: deadlock": 150,
    "db: lock wait timeout": 80,
    "db: read only": 20,
    "database: read only": 150,
    "database: restarts": 200,
    "database: away": 150,
    # Programs, clocks and people
    "crash": 250,
    "crash: everything": 100,
    "clock: jumps ahead": 150,
    "clock: jumps back": 150,
    "company: second daemon": 250,
    "company: caretaker twice": 250,
    "operator: setting": 200,
    "foreign: limit buy": 180,
    "hand: buys": 150,
    "hand: sells": 200,
}


@pytest.mark.slow
def test_no_seed_breaks_a_law_and_every_one_comes_to_rest(pytestconfig: pytest.Config) -> None:
    count = SEEDS_LONG if pytestconfig.getoption("--long") else SEEDS
    seen: Counter[str] = Counter()
    for result in results_of(range(1, count + 1), os.cpu_count() or 1, None):
        if not result.is_good:
            pytest.fail(script(shrink(play(result.seed))), pytrace=False)
        seen.update(result.seen.keys())
    poor = {name: seen[name] for name, least in MEANINGFUL.items() if seen[name] * 1000 < least * count}
    assert not poor, f"of {count} seeds too few went through these, so they prove little: {poor}"


def test_a_seed_is_the_same_run_in_every_process() -> None:
    program = "from tests.simulation.run import play; r = play(3); print(r.steps, repr(r.seconds), r.taken, r.seen)"
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1
    assert told.pop().strip()
