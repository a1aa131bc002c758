"""`python -m tests.simulation`: as many seeds as you like on all cores, or one of them with its story."""

import argparse
import gc
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.plants import PLANTS
from tests.simulation.run import Planted, Result, play
from tests.simulation.shrink import script, shrink

CHUNK = 25
SAID_EVERY_SECONDS = 30.0  # where no progress bar can be shown
STORIES = Path(tempfile.gettempdir()) / "dcabot-simulation"


def main(argv: list[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    options.add_argument("--start", type=int, default=1, metavar="N", help="the first (default: 1)")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)")
    options.add_argument("--stories", type=Path, default=STORIES, metavar="DIR", help="keep failing stories there")
    options.add_argument("--seed", type=int, metavar="N", help="replay one seed and tell its story")
    options.add_argument(
        "--whole", action="store_true", help="with --seed: the whole story, not the shortest that fails"
    )
    options.add_argument("--plant", choices=[plant.__name__ for plant in PLANTS], help="with a planted bug")
    args = options.parse_args(argv)
    planted = next((plant for plant in PLANTS if plant.__name__ == args.plant), None)
    if args.seed is not None:
        return _one(args.seed, planted, args.whole)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    return Many(range(args.start, args.start + args.seeds), args.jobs, planted, args.stories).run()


def _one(seed: int, planted: Planted | None, whole: bool) -> int:
    result = play(seed, tells=True, planted=planted)
    if not (result.is_good or whole):
        result = shrink(result, planted)
    print(script(result, planted) if not result.is_good else "\n".join([*result.story, "", "all is well"]))
    return 0 if result.is_good else 1


@dataclass
class Many:
    """Many seeds: runs them, shows how far it is, and says at the end what happened and what failed."""

    seeds: range
    jobs: int
    planted: Planted | None
    stories: Path
    console: Console = field(default_factory=lambda: Console(width=None if sys.stdout.isatty() else 120))

    def __post_init__(self) -> None:
        self.began = self.said_at = time.monotonic()
        self.done = self.steps = 0
        self.hours = self.processor = 0.0
        self.in_seeds: Counter[str] = Counter()
        self.in_all: Counter[str] = Counter()
        self.failures: list[Result] = []

    def run(self) -> int:
        """0 when all is well; 1 when a seed failed; 130 after Ctrl-C or a killed worker, with the summary so far."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        is_stopped = False
        with Progress(*columns, TimeRemainingColumn(), console=self.console) as progress:
            task = progress.add_task("seeds", total=len(self.seeds))
            try:
                for result in results_of(self.seeds, self.jobs, self.planted):
                    self._count(result)
                    progress.update(task, advance=1, description=f"seeds, {len(self.failures)} failed")
            except (KeyboardInterrupt, BrokenProcessPool) as end:
                is_stopped = True
                self._say(f"{type(end).__name__}: {end}")
        self._summary()
        if is_stopped:
            self._say(f"stopped; --start {self.seeds.start + self.done} goes on from here")
            return 130
        return 1 if self.failures else 0

    def _count(self, result: Result) -> None:
        self.done += 1
        self.steps += result.steps
        self.hours += result.seconds / 3600
        self.processor += result.processor
        self.in_seeds.update(result.seen.keys())
        self.in_all.update(result.seen)
        if not result.is_good:
            self._failed(result)
        if not self.console.is_terminal and time.monotonic() - self.said_at > SAID_EVERY_SECONDS:
            self.said_at = time.monotonic()
            self._say(self._so_far())

    def _failed(self, result: Result) -> None:
        """The shortest story for the first seed of each law, on the screen and in a file."""
        self._say(f"seed {result.seed}: {result.why}")
        if result.law not in {one.law for one in self.failures}:
            told = script(shrink(play(result.seed, planted=self.planted), self.planted), self.planted)
            self.stories.mkdir(parents=True, exist_ok=True)
            file = self.stories / f"seed-{result.seed}.txt"
            file.write_text(told + "\n", encoding="utf-8")
            self._say(f"{told}\n\nkept in {file}")
        self.failures.append(result)

    def _so_far(self) -> str:
        seconds = time.monotonic() - self.began
        return (
            f"{self.done:,} seeds from {self.seeds.start}, {len(self.failures)} failed, {self.steps:,} steps, "
            f"{self.hours:,.0f} hours of trading in {seconds:,.0f} s with {self.jobs} processes: "
            f"{self.done / seconds:.1f} seeds a second, {self.processor / max(self.done, 1) * 1000:.0f} ms of "
            "processor each"
        )

    def _summary(self) -> None:
        """What these seeds went through, in how many of them, and how often: nothing happened would prove nothing."""
        table = Table(*("what happened", "seeds", "times") * 2, title="What these seeds went through")
        rows = [
            (name, f"{count / max(self.done, 1):.1%}", f"{self.in_all[name]:,}")
            for name, count in sorted(self.in_seeds.items(), key=lambda row: (-row[1], row[0]))
        ]
        half = (len(rows) + 1) // 2
        for left, right in zip(rows[:half], [*rows[half:], ("", "", "")], strict=False):
            table.add_row(*left, *right)
        self.console.print(table)
        self._say(self._so_far())
        for law, count in Counter(result.law for result in self.failures).most_common():
            seed = next(result.seed for result in self.failures if result.law == law)
            plant = f" --plant {self.planted.__name__}" if self.planted else ""
            self._say(f"{count} broke {law}, for example: python -m tests.simulation --seed {seed}{plant}")

    def _say(self, words: str) -> None:
        self.console.print(words, markup=False, highlight=False, soft_wrap=True)


def results_of(seeds: range, jobs: int, planted: Planted | None) -> Iterator[Result]:
    """In their order. A story would be long: what is told is told again from the seed."""
    chunks = [(seeds[at : at + CHUNK], planted) for at in range(0, len(seeds), CHUNK)]
    if jobs == 1:
        for chunk in chunks:
            yield from _chunk(chunk)
        return
    with ProcessPoolExecutor(jobs, initializer=_begin_work) as pool:
        try:
            for results in pool.map(_chunk, chunks):
                yield from results
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin_work() -> None:
    """Ctrl-C is for the parent, and what is imported by now stays: nobody need look through it again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.collect()
    gc.freeze()


def _chunk(given: tuple[range, Planted | None]) -> list[Result]:
    seeds, planted = given
    results = []
    for seed in seeds:
        began = time.process_time()
        result = play(seed, planted=planted)
        result.processor = time.process_time() - began
        result.taken, result.story = [], []
        results.append(result)
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
