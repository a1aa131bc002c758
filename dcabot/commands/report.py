"""`dcabot report`: finished cycles and what they brought, line by line, for there may be years."""

import argparse
import csv
import json
import os
import sys
import textwrap
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dcabot.adapters import assets, results
from dcabot.adapters.config import DATABASE, EXCHANGE, Config, load
from dcabot.adapters.database import Database
from dcabot.adapters.results import Wanted
from dcabot.commands import DONE, FAILED, arguments, counted, parser, utc_now
from dcabot.commands.console import CENT, coins, console, print_table, span, usd
from dcabot.commands.wiring import open_books
from dcabot.core.fees import FEE_WINDOW, TIERS
from dcabot.core.model import Cycle, CycleStatus, Side
from dcabot.core.money import ZERO, text
from dcabot.core.profit import Fees
from dcabot.core.report import (
    PERIODS,
    CycleReport,
    Sum,
    Total,
    by_period,
    from_ledger,
    report,
    totals,
)

# The columns of --csv and the names of --json.
ROW = (*(one.name for one in fields(CycleReport)), "profit", "profit_percent", "seconds")
SUM = tuple(one.name for one in fields(Total))
SHOWN = 500  # of the newest cycles; more than anybody reads on a screen
ONE_DAY = timedelta(days=1)
UTC = timezone.utc


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    config = load({DATABASE, EXCHANGE} if args.ledger else {DATABASE}, os.environ, args.env_file)
    database = open_books(config).database
    known = {asset.symbol: asset.id for asset, _ in assets.read_all(database)}
    if args.asset and args.asset not in known:
        there = f", only {', '.join(sorted(known))}" if known else "; there is none at all"
        print(f"dcabot report: there is no asset {args.asset}{there}", file=sys.stderr)
        return FAILED
    since = _begin_of(args.since, args.tz) if args.since else None
    before = _end_of(args.until, args.tz) if args.until else None
    wanted = Wanted(known.get(args.asset), since, before)
    lines = results.reports(database, wanted)
    if args.ledger:
        lines = _by_ledger(config, database, wanted)
    if args.by:
        _print_totals(totals(lines, by_period(args.by, args.tz)), args)
    elif args.json or args.csv:
        _print_rows(ROW, map(_row, lines), args.json)
    else:
        _print_cycles(lines, args)
    return DONE


def make_parser() -> argparse.ArgumentParser:
    options = parser("report", "Finished cycles and what they brought, in USD.")
    options.add_argument("--by", choices=sorted(PERIODS), help="sums instead of cycles")
    options.add_argument("--asset", metavar="SYMBOL", type=arguments.symbol, help="only this one")
    options.add_argument(
        "--from",
        dest="since",
        metavar="DAY",
        type=_moment,
        help="only cycles that ended on this day or later: 2026-11-01, or 2026-11-01T08:00",
    )
    options.add_argument(
        "--to",
        dest="until",
        metavar="DAY",
        type=_moment,
        help="only cycles that ended on this day or earlier; with a time: before it",
    )
    options.add_argument(
        "--tz",
        metavar="ZONE",
        type=_zone,
        default=UTC,
        help="the time zone of all days and times, such as Europe/Berlin (default: UTC)",
    )
    options.add_argument(
        "--ledger",
        action="store_true",
        help="take the executions from Alpaca's ledger, so that fees are right to the cent",
    )
    form = options.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs; names stay, times in UTC")
    form.add_argument("--csv", action="store_true", help="for spreadsheets; times in UTC")
    return options


def _moment(word: str) -> date | datetime:
    """A day, or a day and its time."""
    try:
        if len(word) == len("2026-11-01"):
            return date.fromisoformat(word)
        at = datetime.fromisoformat(word)
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None:
        told = f"{word!r} is no day; write it like 2026-11-01, or 2026-11-01T08:00"
        raise argparse.ArgumentTypeError(told)
    return at


def _zone(word: str) -> tzinfo:
    try:
        return ZoneInfo(word)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        told = f"{word!r} is no time zone; write it like Europe/Berlin or UTC"
        raise argparse.ArgumentTypeError(told) from None


def _begin_of(moment: date | datetime, zone: tzinfo) -> datetime:
    if isinstance(moment, datetime):
        return moment.replace(tzinfo=zone)
    return datetime.combine(moment, time(), zone)


def _end_of(moment: date | datetime, zone: tzinfo) -> datetime:
    """A day ends where the next one begins."""
    is_day = not isinstance(moment, datetime)
    return _begin_of(moment + ONE_DAY if is_day else moment, zone)


def _by_ledger(config: Config, database: Database, wanted: Wanted) -> Iterator[CycleReport]:
    """The lines by what Alpaca's ledger knows of these cycles' orders."""
    began = min((line.opened_at for line in results.reports(database, wanted)), default=utc_now())
    fees = _ledger(config, began)
    unknown = 0
    for cycle in results.cycles(database, wanted):
        unknown += _sales_unknown_to(fees, cycle)
        if (line := report(cycle, fees)) is not None:
            yield line
    if unknown:
        _note(f"not whole in Alpaca's ledger: {counted(unknown, 'sale')}, with an estimated fee")


def _ledger(config: Config, began: datetime) -> Fees:
    from dcabot.adapters.broker import Broker

    broker = Broker(config, utc_now)
    try:
        rows = broker.fills(began - FEE_WINDOW - ONE_DAY).rows
        number = broker.account().crypto_tier
    finally:
        broker.close()
    now = next((tier for tier in TIERS if tier.number == number), TIERS[0])
    fees, oddity = from_ledger(rows, now, utc_now().date())
    if oddity:
        _note(oddity)
    return fees


def _sales_unknown_to(fees: Fees, cycle: Cycle) -> int:
    return sum(
        order.side is Side.SELL and bool(order.filled_quantity) and order.is_request and not fees.knows(order)
        for order in cycle.orders
    )


def _note(words: str) -> None:
    print(f"dcabot report: {words}", file=sys.stderr)


def _print_cycles(lines: Iterable[CycleReport], args: argparse.Namespace) -> None:
    """The newest of them, each with the sum of all profits up to it."""
    out = console()
    everything = Sum()
    newest: deque[tuple[CycleReport, Decimal]] = deque(maxlen=SHOWN)
    for one in lines:
        everything.add(one)
        newest.append((one, everything.profit))
    if not newest:
        chosen = args.asset or args.since or args.until
        out.print("No such cycle was completed." if chosen else "No cycle has been completed yet.")
        return
    if everything.cycles > len(newest):
        out.print(
            f"The newest {len(newest)} of {everything.cycles:,} cycles. "
            "--from and --to choose others, --by sums them, --csv lists all."
        )
    headings = ["cycle", "<asset", f"<opened ({args.tz})", f"<closed ({args.tz})", "took", "orders"]
    headings += ["spent", "sold", "fees", "profit", "%", "sum", "<"]
    rows = [[*_cells(one, args.tz), usd(total), _end(one)] for one, total in newest]
    print_table(out, headings, rows)
    _print_total(everything, args.ledger)


def _cells(one: CycleReport, zone: tzinfo) -> list[str]:
    return [
        f"{one.cycle_id}",
        one.symbol,
        f"{one.opened_at.astimezone(zone):%Y-%m-%d %H:%M}",
        f"{one.closed_at.astimezone(zone):%Y-%m-%d %H:%M}",
        span(one.duration),
        f"{one.orders}",
        usd(one.spent),
        usd(one.sold),
        usd(one.fees),
        usd(one.profit),
        f"{_profit_percent(one)}",
    ]


def _print_totals(sums: list[Total], args: argparse.Namespace) -> None:
    """The sums; for periods with their running sum, and a row of all of them."""
    if args.json or args.csv:
        _print_rows(SUM, [_plain(asdict(one)) for one in sums], args.json)
        return
    running = ZERO
    rows = []
    for one in sums:
        running += one.profit
        rows.append([*_sum_cells(one), usd(running)])
    headings = [f"<{args.by}", "cycles", "spent", "sold", "fees", "profit", "sum"]
    if args.by == "asset":  # whose order says nothing
        headings.pop()
        rows = [row[:-1] for row in rows]
    if sums:
        everything = _all_of(sums)
        rows.append([*_sum_cells(everything), ""][: len(headings)])
    print_table(console(), headings, rows)


def _sum_cells(one: Total) -> list[str]:
    amounts = [one.spent, one.sold, one.fees, one.profit]
    return [one.key, f"{one.cycles:,}", *map(usd, amounts)]


def _all_of(sums: Sequence[Total]) -> Total:
    return Total(
        "total",
        sum(one.cycles for one in sums),
        sum((one.spent for one in sums), ZERO),
        sum((one.sold for one in sums), ZERO),
        sum((one.fees for one in sums), ZERO),
        sum((one.profit for one in sums), ZERO),
    )


def _print_total(everything: Sum, exact: bool) -> None:
    how = "from Alpaca's ledger" if exact else "estimated at the highest rate; --ledger asks Alpaca"
    sums = f"profit {usd(everything.profit)} USD after fees of {usd(everything.fees)} USD ({how})"
    spent = f"spent {usd(everything.spent)} USD"
    console().print(f"\n{counted(everything.cycles, 'cycle')}, {sums}, {spent}.")


def _end(one: CycleReport) -> str:
    """How it ended, where that was not a sale of everything."""
    words = [] if one.status is CycleStatus.COMPLETE else [one.status.value]
    return "; ".join([*words, f"{coins(one.unsold)} not sold"] if one.unsold else words)


def _row(one: CycleReport) -> dict[str, Any]:
    return _plain(
        {
            **{name: getattr(one, name) for name in ROW[:-3]},
            "status": one.status.value,
            "profit": one.profit,
            "profit_percent": _profit_percent(one),
            "seconds": one.duration.seconds + one.duration.days * 86400,
        }
    )


def _profit_percent(one: CycleReport) -> Decimal:
    return one.profit_percent.quantize(CENT)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Decimals as text, times as RFC 3339."""
    return {
        name: text(v) if isinstance(v, Decimal) else v.isoformat() if isinstance(v, datetime) else v
        for name, v in row.items()
    }


def _print_rows(columns: Sequence[str], rows: Iterable[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _print_json(rows)
        return
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _print_json(rows: Iterable[dict[str, Any]]) -> None:
    """A list, written while it is read."""
    before = "[\n"
    for row in rows:
        sys.stdout.write(before + textwrap.indent(json.dumps(row, indent=2), "  "))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")
