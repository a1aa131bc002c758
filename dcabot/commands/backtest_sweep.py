"""The search of `dcabot backtest --sweep`: many settings on all cores, and what to think of the best of them."""

import argparse
import json
import multiprocessing
import multiprocessing.pool
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from multiprocessing import resource_tracker
from typing import Any

from dcabot.adapters import assets
from dcabot.adapters.assets import COLUMNS, INTEGERS, AssetError, Value
from dcabot.backtest.checks import Source
from dcabot.backtest.run import Influence, Setup, dearest, influences
from dcabot.backtest.sweep import TRIES_MAX, Periods, Trial, Values, Verdict, attempt, choices, count, judged, split
from dcabot.commands import DONE, arguments, backtest_output
from dcabot.commands.console import console, percent, table, usd
from dcabot.core.model import Asset
from dcabot.core.money import ratio, text
from dcabot.core.rules import faults, tight

# Flags that do nothing without another one.
DEPENDENT = {"random": "sweep", "held_out": "sweep", "jobs": "sweep", "top": "sweep", "seed": "random"}
HELD_OUT = Decimal(30)  # percent
SHOWN = 20
INFLUENCE = "What the assumptions do to the profit of the best in training, in percent of its capital"
STEPS_MAX = 10_000
JOBS_MAX = 1_000
TOP = 10  # of the trials, by training, or a fifth of them: what the verdict speaks of

SHORT = {
    "base_order_amount": "base",
    "safety_order_amount": "safety",
    "max_safety_orders": "max",
    "safety_order_deviation": "drop %",
    "take_profit_percent": "profit %",
    "cooldown_period": "cooldown",
    "buy_order_price_deviation_percent": "restart %",
}


def add_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--sweep",
        action="append",
        type=_values,
        metavar="COLUMN=VALUES",
        help="try these: take-profit-percent=1,1.5,2 or =1:3:0.5; several make a grid",
    )
    group.add_argument(
        "--random", type=arguments.count, metavar="N", help="not the whole grid but N of it, drawn by chance"
    )
    group.add_argument("--seed", metavar="N", type=arguments.whole, help="of --random (default: 0)")
    group.add_argument(
        "--held-out", metavar="N", type=arguments.number, help=f"percent at the end to judge by (default: {HELD_OUT})"
    )
    group.add_argument("--jobs", metavar="N", type=arguments.count, help="processes (default: one for each core)")
    told = f"how many the table shows (default: {SHOWN})"
    group.add_argument("--top", metavar="N", type=arguments.count, help=told)


def _values(words: str) -> tuple[str, tuple[Decimal, ...]]:
    name, equals, values = words.replace("-", "_", words.partition("=")[0].count("-")).partition("=")
    if name not in COLUMNS or not equals:
        raise argparse.ArgumentTypeError(f"{words!r} is no COLUMN=VALUES; columns are {', '.join(COLUMNS)}")
    first, *more = values.split(":")
    if not more:
        return name, tuple(arguments.number(one) for one in values.split(","))
    if len(more) > 2:
        raise argparse.ArgumentTypeError(f"{values!r} is not FROM:TO:STEP")
    begin, end, step = (
        arguments.number(first),
        arguments.number(more[0]),
        arguments.number(more[1]) if len(more) == 2 else Decimal(1),
    )
    if step <= 0 or end < begin or (end - begin) / step > STEPS_MAX:
        raise argparse.ArgumentTypeError(f"{values!r} does not go up from FROM to TO by STEP")
    return name, tuple(begin + step * number for number in range(int((end - begin) / step) + 1))


def sweep(args: argparse.Namespace, columns: dict[str, Value], setup: Setup, source: Source) -> int:
    values: Values = dict(args.sweep)
    periods = split(source.candles, ratio(_held_out(args)))
    if min(len(periods.training), len(periods.held_out)) < 2:
        raise AssetError(f"--held-out {_held_out(args)} leaves one of the two periods without candles")
    wanted = choices(values, args.random, args.seed or 0)
    work = Work(setup, periods, columns, dearest(setup, source.candles))
    with backtest_output.progress("settings") as told:
        trials = list(_tried(work, wanted, args.jobs or os.cpu_count() or 1, told))
    found = sorted((one for one in trials if one is not None), key=lambda one: one.score, reverse=True)
    left_out = len(trials) - len(found)
    if not found:
        raise AssetError("none of these settings can work; `dcabot asset add` would say why of each")
    best = replace(setup, asset=work.asset(found[0].settings))
    both = zip(influences(best, periods.training), influences(best, periods.held_out), strict=True)
    _show(args, Search(setup, source.notes, periods, values, found, left_out, list(both)))
    return DONE


def check(args: argparse.Namespace) -> None:
    """Refuse what makes no search, before anything is read for it."""
    values: Values = dict(args.sweep)
    for name, tries in args.sweep:
        flag = f"--{name.replace('_', '-')}"
        if getattr(args, name) is not None:
            raise AssetError(f"{flag} {getattr(args, name)} would be ignored: --sweep tries others")
        if values[name] is not tries:
            raise AssetError(f"--sweep {flag[2:]} is there twice: name all of its values in one")
        if len(set(tries)) < len(tries):
            raise AssetError(f"--sweep {flag[2:]} tries a value twice, which would count it twice")
    if args.top is not None and (args.json or args.csv):
        raise AssetError("--top is of the table; --json and --csv have every one")
    if args.html or args.cycles or args.fills:
        raise AssetError("--html, --cycles and --fills are of one backtest, not of a --sweep")
    if args.jobs is not None and args.jobs > JOBS_MAX:
        raise AssetError(f"--jobs {args.jobs} is more than {JOBS_MAX}")
    if not 0 < _held_out(args) < 100:
        raise AssetError(f"--held-out {args.held_out} must be above 0 and below 100 percent")
    if args.random is None and count(values) > TRIES_MAX:
        raise AssetError(f"that grid has {count(values):,} settings; --random N tries N of them")
    for name in INTEGERS & values.keys():
        if any(one != int(one) or one < 0 for one in values[name]):
            raise AssetError(f"{name} takes whole numbers")


def _held_out(args: argparse.Namespace) -> Decimal:
    """Percent of the candles."""
    return HELD_OUT if args.held_out is None else Decimal(args.held_out)


# --- in the processes ---


@dataclass(frozen=True, slots=True)
class Work:
    """What every trial needs; sent to each process once."""

    setup: Setup
    periods: Periods
    columns: dict[str, Value]
    dearest: Decimal

    def asset(self, settings: Mapping[str, Decimal]) -> Asset:
        given: dict[str, Value] = {name: int(one) if name in INTEGERS else one for name, one in settings.items()}
        return assets.preview(self.setup.asset.symbol, {**self.columns, **given})


_work: list[Work] = []


def _begin(work: Work) -> None:
    _work[:] = [work]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A search that was killed leaves no process behind that waits for work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _try(settings: dict[str, Decimal]) -> Trial | None:
    """None when these settings cannot work."""
    work = _work[0]
    asset = work.asset(settings)
    instrument = work.setup.instrument
    if faults(asset, instrument) or tight(asset, instrument, work.dearest):
        return None
    return attempt(replace(work.setup, asset=asset), settings, work.periods)


def _tried(
    work: Work, wanted: Sequence[dict[str, Decimal]], jobs: int, told: backtest_output.Told
) -> Iterable[Trial | None]:
    """Every trial, in the order of `wanted`."""
    if jobs == 1:
        _begin(work)
        for number, settings in enumerate(wanted, start=1):
            yield _try(settings)
            told(number, len(wanted))
        return
    with _pool(min(jobs, len(wanted)), work) as pool:
        size = max(1, min(64, len(wanted) // (jobs * 8)))
        for number, trial in enumerate(pool.imap(_try, wanted, size), start=1):
            yield trial
            told(number, len(wanted))


@contextmanager
def _pool(jobs: int, work: Work) -> Iterator[multiprocessing.pool.Pool]:
    """Processes that leave Ctrl-C to this one, which ends them; while they start it waits until they are there."""
    resource_tracker.ensure_running()  # to start it later would unblock the signal
    came: list[int] = []
    # Blocked, so that the processes inherit that. It would still come by a thread of numpy's, hence a handler too.
    heard = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    ours = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with multiprocessing.get_context("spawn").Pool(jobs, _begin, (work,)) as pool:
            _restore(heard, ours)
            for number in came:
                signal.raise_signal(number)
            yield pool
    finally:
        _restore(heard, ours)


def _restore(heard: Any, mask: set[int]) -> None:
    signal.signal(signal.SIGINT, heard)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


# --- what is shown ---


def _row(trial: Trial) -> dict[str, object]:
    both = {"training": trial.training, "held_out": trial.held_out}
    rows = {
        f"{period}_{name}": value for period, one in both.items() for name, value in backtest_output.row(one).items()
    }
    return {**{name: text(value) for name, value in trial.settings.items()}, **rows}


@dataclass(frozen=True, slots=True)
class Search:
    """What was tried, and what came of it: trials best first, and of the first its `influences` in both periods."""

    setup: Setup
    notes: Sequence[str]
    periods: Periods
    values: Values
    trials: Sequence[Trial]
    left_out: int
    influences: Sequence[tuple[Influence, Influence]]

    @property
    def judgement(self) -> str:
        return warning(judged(self.trials, max(1, min(TOP, len(self.trials) // 5))))


def _show(args: argparse.Namespace, search: Search) -> None:
    """In the form that was asked for; what has to be known of the prices and of searching comes with each."""
    rows = (_row(one) for one in search.trials)
    if args.json:
        assumptions = backtest_output.assumptions(search.setup)
        told = {"assumptions": assumptions, "notes": list(search.notes), "warning": search.judgement}
        found = {"left_out": search.left_out, "influence": list(map(_influence_row, search.influences))}
        print(json.dumps({**told, **found, "trials": list(rows)}, indent=2))
    elif args.csv:
        otherwise = "; ".join(f"{name} {first} and {second}" for name, first, second in _influence_cells(search))
        influence = f"{INFLUENCE}, in training and held out: {otherwise}"
        assumed = backtest_output.assumed(search.setup)
        backtest_output.print_notes([*search.notes, *search.judgement.splitlines(), assumed, influence])
        backtest_output.print_rows(rows)
    else:
        _print(args, search)


def _print(args: argparse.Namespace, search: Search) -> None:
    out = console()
    for note in search.notes:
        out.print(f"Note: {note}.")
    training, held_out = search.periods.training, search.periods.held_out
    shown = args.top or SHOWN
    out.print(
        f"{args.symbol}: {len(search.trials):,} settings tried on {training.begins_at:%Y-%m-%d} to "
        f"{training.ends_at:%Y-%m-%d}, judged on {held_out.begins_at:%Y-%m-%d} to {held_out.ends_at:%Y-%m-%d}"
        + (f"; {search.left_out:,} cannot work and were left out" if search.left_out else "")
        + ".\nProfit, and deepest drawdown, in percent of the capital that must lie ready. Best in training first"
        + (f", {shown} of them" if shown < len(search.trials) else "")
        + ":\n"
    )
    headings = [*(SHORT[name] for name in search.values), "capital", "training", "cycles", "fall"]
    headings += ["held out", "cycles", "fall"]
    out.print(table(headings, (_cells(one) for one in search.trials[:shown])))
    out.print("\n" + search.judgement)
    out.print("\n" + backtest_output.assumed(search.setup))
    out.print(f"\n{INFLUENCE}:")
    out.print(table(["<if instead", "training", "held out"], _influence_cells(search)))


def _influence_row(both: tuple[Influence, Influence]) -> dict[str, str]:
    training, held_out = (text(one.figures.profit) for one in both)
    return {"choice": both[0].choice, "training_profit": training, "held_out_profit": held_out}


def _influence_cells(search: Search) -> Iterator[list[str]]:
    best = search.trials[0]
    yield ["as assumed", *(percent(one.of_capital(one.profit)) for one in (best.training, best.held_out))]
    for both in search.influences:
        yield [both[0].choice, *(percent(one.figures.of_capital(one.figures.profit)) for one in both)]


def _cells(trial: Trial) -> list[str]:
    cells = [text(value) for value in trial.settings.values()]
    cells.append(usd(trial.training.capital))
    for one in (trial.training, trial.held_out):
        cells += [percent(one.of_capital(one.profit)), f"{one.cycles}", percent(one.of_capital(one.deepest_fall))]
    return cells


def warning(verdict: Verdict) -> str:
    """What to think of the best of many tries, in plain words."""
    several = verdict.top > 1
    top, middle = (f"best {verdict.top}", " (the middle one of them)") if several else ("best", "")
    lost = f"{verdict.top_that_lost} of the {top}" if several else "It"
    sentences = [
        f"The {top} of {verdict.trials:,} earned {percent(verdict.top_training)} in training{middle} and "
        f"{percent(verdict.top_held_out)} in the period that the search had not seen, where the middle one of all "
        f"earned {percent(verdict.all_held_out)}.",
        f"{lost} lost money there." if verdict.top_that_lost else "",
        "Choosing the best of many tries on the same past finds what fitted that past: part of it is luck, and luck "
        "does not come again. The more settings are tried, the more of it there is. Judge by the held-out columns "
        "alone, and do not search again until they please: then they are training too.",
    ]
    if verdict.top_held_out <= verdict.all_held_out:
        sentences.insert(
            2, "So the search found nothing that lasted: what won did no better there than the other settings did."
        )
    return "\n".join(filter(None, sentences))
