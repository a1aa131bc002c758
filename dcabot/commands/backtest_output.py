"""How a backtest is told: a table for people, JSON and CSV for programs."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dcabot.backtest.bot import ENDLESS
from dcabot.backtest.checks import Source
from dcabot.backtest.figures import Figures, Fill, Result, settings
from dcabot.backtest.run import Influence, Setup
from dcabot.commands.console import coins, console, percent, price, span, table, usd
from dcabot.commands.terminal import beneath
from dcabot.core.model import TakeProfitOrder
from dcabot.core.money import text
from dcabot.core.report import CycleReport

Told = Callable[[int, int], None]  # done, of how many
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Run:
    """A backtest and everything that went into it."""

    setup: Setup
    source: Source
    result: Result
    influences: Sequence[Influence]


def show(run: Run, args: argparse.Namespace) -> None:
    """In the form that was asked for."""
    if args.json:
        print(json.dumps(_document(run, args), indent=2))
    elif args.csv:
        told = [f"{one.choice} {usd(one.figures.profit)}" for one in run.influences]
        assumed = f"what the assumptions do to the profit of {usd(run.result.figures.profit)}: {'; '.join(told)}"
        print_notes([*run.source.notes, assumed])
        _print_csv(run, args)
    else:
        _print_tables(run, args)


SALES = {
    TakeProfitOrder.MARKET: "at the market",
    TakeProfitOrder.LIMIT: "at a limit, at once or not at all, never below what the cycle cost",
}


def assumptions(setup: Setup) -> dict[str, str]:
    """Every choice that is behind the figures, in words."""
    terms, path = setup.terms, setup.path
    between = "the price passes through everything in between" if path.walks else "only these four prices are quoted"
    return {
        "a candle": f"open, {_order(path.order.value)}, close; {between}",
        "take profit": f"sold {SALES[setup.asset.take_profit_order]}",
        "spread": percent(path.spread),
        "slippage": percent(terms.slippage),
        "fees": f"tier {terms.tier.number}, {percent(terms.tier.taker)} of every fill",
        "cash": "always enough" if terms.cash == ENDLESS else f"{usd(terms.cash)} USD",
        "steps": f"price {text(setup.instrument.price_step)}, quantity {text(setup.instrument.quantity_step)}",
    }


def assumed(setup: Setup) -> str:
    return "Assumed: " + "; ".join(f"{name}: {value}" for name, value in assumptions(setup).items()) + "."


def _order(value: str) -> str:
    return {"high-first": "high, low", "low-first": "low, high"}.get(value, "the nearer of high and low, the other")


# --- for people ---


def _print_tables(run: Run, args: argparse.Namespace) -> None:
    out, figures = console(), run.result.figures
    for note in run.source.notes:
        out.print(f"Note: {note}.")
    out.print(
        f"{figures.symbol}, {_day(figures.begins_at)} to {_day(figures.ends_at)} UTC, {figures.candles:,} candles of "
        f"{run.source.candles.seconds} s\n"
    )
    out.print(table(["<", "", "<"], _rows(figures)))
    if figures.note:
        out.print(f"\nKept from trading, last: {figures.note}.")
    _print_assumptions(out, run)
    if args.cycles:
        out.print("")
        out.print(table(CYCLE_HEADINGS, _cycle_cells(run.result)))
    if args.fills:
        out.print("")
        out.print(table(FILL_HEADINGS, map(_fill_cells, run.result.fills)))
    if args.html:
        out.print(f"\nCharts: {args.html}")


def _rows(figures: Figures) -> list[list[str]]:
    share = figures.out_of_safety / figures.length if figures.length else 0
    return [
        ["cycles completed", f"{figures.cycles}", ""],
        ["profit", usd(figures.profit), f"USD, {percent(figures.of_capital(figures.profit))} of the capital"],
        ["  of completed cycles", usd(figures.realised), "USD"],
        ["  of what is held", usd(figures.unrealised), _held(figures)],
        ["fees", usd(figures.fees), "USD, in the profit already"],
        ["capital needed", usd(figures.capital), "USD, all orders of a cycle"],
        ["largest capital in use", usd(figures.capital_used), "USD"],
        [
            "deepest drawdown",
            usd(figures.deepest_fall),
            f"USD below the best before, {percent(figures.of_capital(figures.deepest_fall))} of the capital",
        ],
        ["safety orders", f"{figures.safety_orders}", ""],
        ["longest cycle", span(figures.longest_cycle), ""],
        ["no safety order left", span(figures.out_of_safety), f"{share:.0%} of the time"],
        ["buy and hold instead", usd(figures.buy_and_hold), "USD profit, all of the capital at the first price"],
        ["buying every day instead", usd(figures.periodic), "USD profit, the capital in equal parts"],
        ["fingerprint of all fills", figures.fingerprint, ""],
    ]


def _held(figures: Figures) -> str:
    if not figures.held:
        return "USD; nothing is held at the end"
    return f"USD; {coins(figures.held)} coins held, cost {usd(figures.held_cost)}, worth {usd(figures.held_worth)}"


def _print_assumptions(out: Console, run: Run) -> None:
    out.print("\n" + assumed(run.setup))
    out.print("\nWhat the assumptions do to the profit:")
    base = run.result.figures.profit
    rows = [
        [one.choice, usd(one.figures.profit), f"{one.figures.profit - base:+,.2f}", f"{one.figures.cycles}"]
        for one in run.influences
    ]
    out.print(table(["<if instead", "profit", "differs by", "cycles"], rows))


# As many columns as fit a terminal of 80; JSON and CSV have all.
CYCLE_HEADINGS = ["cycle", "<opened (UTC)", "took", "orders", "spent", "fees", "profit", "%"]
FILL_HEADINGS = ["<at (UTC)", "<", "quantity", "price", "USD", "fee"]


def _cycle_cells(result: Result) -> Iterator[list[str]]:
    for one in result.cycles:
        yield _cells_of(one, f"{one.cycle_id}", one.profit)
    if result.open_cycle:  # at the end of them, and counted as if it were sold there
        yield _cells_of(result.open_cycle, "open", result.figures.unrealised)


def _cells_of(one: CycleReport, name: str, profit: Decimal) -> list[str]:
    return [
        name,
        _day(one.opened_at),
        span(one.duration),
        f"{one.orders}",
        usd(one.spent),
        usd(one.sale_fees + one.buy_fees),
        usd(profit),
        percent(profit / one.spent) if one.spent else "-",
    ]


def _fill_cells(fill: Fill) -> list[str]:
    return [
        _day(fill.at),
        fill.purpose.value,
        coins(fill.quantity),
        price(fill.price),
        usd(fill.notional),
        f"{text(fill.fee)} {fill.fee_currency}",
    ]


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


# --- for programs ---


def _document(run: Run, args: argparse.Namespace) -> dict[str, Any]:
    made: dict[str, Any] = {
        "settings": settings(run.setup.asset),
        "assumptions": assumptions(run.setup),
        "notes": list(run.source.notes),
        "result": row(run.result.figures),
        "influence": [{"choice": one.choice, **row(one.figures)} for one in run.influences],
    }
    if args.cycles:
        made["cycles"] = _cycle_rows(run.result)
    if args.fills:
        made["fills"] = [row(fill) for fill in run.result.fills]
    return made


def _print_csv(run: Run, args: argparse.Namespace) -> None:
    if args.fills:
        print_rows([row(fill) for fill in run.result.fills])
    elif args.cycles:
        print_rows(_cycle_rows(run.result))
    else:
        chosen = {f"assumed_{name.replace(' ', '_')}": words for name, words in assumptions(run.setup).items()}
        influence = "; ".join(f"{one.choice}: {text(one.figures.profit)}" for one in run.influences)
        told = {"influence": influence, "notes": "; ".join(run.source.notes)}
        print_rows([{**settings(run.setup.asset), **row(run.result.figures), **chosen, **told}])


def _cycle_rows(result: Result) -> list[dict[str, Any]]:
    """Every cycle; the one that is still open has no end and no profit, but what it would bring."""
    rows = [
        {**row(one), "profit": text(one.profit), "unrealised": None, "seconds": one.duration // SECOND}
        for one in result.cycles
    ]
    if one := result.open_cycle:
        unrealised = {"profit": None, "unrealised": text(result.figures.unrealised), "seconds": one.duration // SECOND}
        rows.append({**row(one), "status": "open", "closed_at": None, **unrealised})
    return rows


def print_notes(notes: Iterable[str]) -> None:
    """On stderr, where they reach whoever sends the output into a file."""
    for note in notes:
        print(f"dcabot backtest: note: {note}", file=sys.stderr)


def row(values: Any) -> dict[str, Any]:
    """A frozen value's fields: decimals as text, times as RFC 3339, durations in seconds."""
    return {one.name: _plain(getattr(values, one.name)) for one in fields(values)}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // SECOND
    return value.value if isinstance(value, Enum) else value


def print_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """As CSV on standard output."""
    found = list(rows)
    if found:
        writer = csv.DictWriter(sys.stdout, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


@contextmanager
def progress(what: str) -> Iterator[Told]:
    """A bar on stderr while something takes long; nothing where nobody looks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    err = Console(file=beneath(sys.stderr))
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
