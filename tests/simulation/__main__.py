"""`python -m tests.simulation`: as many seeds as you like on all cores, or one of them with its story."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.plants import PLANTS
from tests.simulation.run import Planted, Result, play
from tests.simulation.shrink import script, shrink

CHUNK = 25
SAID_EVERY = 1000  # where no progress bar can be shown


def main(argv: list[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    options.add_argument("--from", type=int, default=1, dest="first", metavar="N", help="the first (default: 1)")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)")
    options.add_argument("--seed", type=int, metavar="N", help="replay one seed and tell its story")
    options.add_argument(
        "--whole", action="store_true", help="with --seed: the whole story, not the shortest that fails"
    )
    options.add_argument("--plant", choices=[plant.__name__ for plant in PLANTS], help="with a planted bug")
    args = options.parse_args(argv)
    planted = next((plant for plant in PLANTS if plant.__name__ == args.plant), None)
    if args.seed is not None:
        return _one(args.seed, planted, args.whole)
    return _many(range(args.first, args.first + args.seeds), args.jobs, planted)


def _one(seed: int, planted: Planted | None, whole: bool) -> int:
    result = play(seed, tells=True, planted=planted)
    if not (result.is_good or whole):
        result = shrink(result, planted)
    print(script(result) if not result.is_good else "\n".join([*result.story, "", "all is well"]))
    return 0 if result.is_good else 1


def _many(seeds: range, jobs: int, planted: Planted | None) -> int:
    """Run them, show how far it is, and say at the end what happened and what failed."""
    console = Console()
    began = time.monotonic()
    failures: list[Result] = []
    seen: Counter[str] = Counter()
    steps = hours = 0.0
    done = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("seeds", total=len(seeds))
        for result in _results(seeds, jobs, planted):
            steps, hours = steps + result.steps, hours + result.seconds / 3600
            seen.update(result.seen.keys())
            if not result.is_good:
                failures.append(result)
                progress.console.print(f"seed {result.seed}: {result.why}", style="red", markup=False)
            done += 1
            progress.update(task, advance=1, description=f"seeds, {len(failures)} failed")
            if done % SAID_EVERY == 0 and not console.is_terminal:
                rate = done / (time.monotonic() - began)
                progress.console.print(f"{done} seeds, {len(failures)} failed, {rate:.1f} seeds a second", markup=False)
    seconds = time.monotonic() - began
    _summary(console, len(seeds), seen)
    console.print(
        f"{len(seeds)} seeds from {seeds.start}, {len(failures)} failed, {steps:,.0f} steps, {hours:,.0f} hours of "
        f"trading in {seconds:,.0f} s with {jobs} processes, {len(seeds) / seconds:.1f} seeds a second"
    )
    for law, count in Counter(result.law for result in failures).most_common():
        console.print(f"{count} broke {law}, for example: python -m tests.simulation --seed "
                      f"{next(result.seed for result in failures if result.law == law)}", markup=False)  # fmt: skip
    return 1 if failures else 0


def _results(seeds: range, jobs: int, planted: Planted | None) -> Iterator[Result]:
    """As they come. A story would be long: what is told is told again from the seed."""
    chunks = [(seeds[at : at + CHUNK], planted) for at in range(0, len(seeds), CHUNK)]
    if jobs == 1:
        for chunk in chunks:
            yield from _chunk(chunk)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for results in pool.map(_chunk, chunks):
            yield from results


def _chunk(given: tuple[range, Planted | None]) -> list[Result]:
    seeds, planted = given
    results = [play(seed, planted=planted) for seed in seeds]
    for result in results:
        result.taken, result.story = [], []
    return results


def _summary(console: Console, count: int, seen: Counter[str]) -> None:
    """In how many of the seeds each thing happened: a run in which nothing happens proves nothing."""
    table = Table("what happened", "seeds", "what happened", "seeds", title="What these seeds went through")
    rows = [(name, f"{number / count:.1%}") for name, number in sorted(seen.items(), key=lambda row: -row[1])]
    half = (len(rows) + 1) // 2
    for left, right in zip(rows[:half], [*rows[half:], ("", "")], strict=False):
        table.add_row(*left, *right)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
