"""`dcabot report`: finished cycles and what they brought."""

import csv
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from dcabot.adapters import assets
from dcabot.adapters.config import DATABASE, EXCHANGE, Config, load
from dcabot.commands import DONE, FAILED, arguments, counted, parser, utc_now
from dcabot.commands.console import CENT, coins, console, print_table, span, usd
from dcabot.commands.wiring import open_books
from dcabot.core.fees import FEE_WINDOW, TIERS
from dcabot.core.model import CycleStatus, Side
from dcabot.core.money import HUNDRED, ZERO, text
from dcabot.core.reconcile import Entry
from dcabot.core.report import PERIODS, CycleReport, Fees, Total, from_ledger, report, total, totals

# The columns of --csv and the names of --json.
ROW = (*(one.name for one in fields(CycleReport)), "profit", "profit_percent", "seconds")
SUM = tuple(one.name for one in fields(Total))


def main(argv: list[str]) -> int:
    options = parser("report", "Finished cycles and what they brought, in USD.")
    options.add_argument("--by", choices=sorted(PERIODS), help="sums instead of cycles; a day ends at midnight UTC")
    options.add_argument("--asset", metavar="SYMBOL", type=arguments.symbol, help="only this one")
    options.add_argument(
        "--ledger",
        action="store_true",
        help="take the executions from Alpaca's ledger, so that fees are right to the cent",
    )
    form = options.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs; the names are stable")
    form.add_argument("--csv", action="store_true", help="for spreadsheets")
    args = options.parse_args(argv)
    config = load({DATABASE, EXCHANGE} if args.ledger else {DATABASE}, os.environ, args.env_file)
    store = open_books(config)
    known = sorted(asset.symbol for asset, _ in assets.read_all(store.database))
    if args.asset and args.asset not in known:
        there = f", only {', '.join(known)}" if known else "; there is none at all"
        print(f"dcabot report: there is no asset {args.asset}{there}", file=sys.stderr)
        return FAILED
    finished = [one for one in store.read_finished() if args.asset in (None, one.cycle.symbol)]
    fees = _ledger(config, finished) if args.ledger else Fees()
    reports = [made for entry in finished if (made := report(entry.cycle, fees))]
    if args.by:
        _print_totals(totals(reports, PERIODS[args.by]), args)
    else:
        _print_cycles(reports, args)
    return DONE


def _ledger(config: Config, finished: Sequence[Entry]) -> Fees:
    """What Alpaca's ledger knows of these cycles."""
    from dcabot.adapters.broker import Broker

    broker = Broker(config, utc_now)
    began = min((entry.cycle.opened_at for entry in finished), default=utc_now())
    try:
        rows = broker.fills(began - FEE_WINDOW - timedelta(days=1)).rows
        number = broker.account().crypto_tier
    finally:
        broker.close()
    now = next((tier for tier in TIERS if tier.number == number), TIERS[0])
    fees, oddity = from_ledger(rows, now, utc_now().date())
    if oddity:
        _note(oddity)
    sales = (order for entry in finished for order in entry.cycle.orders if order.side is Side.SELL)
    unknown = sum(bool(order.filled_quantity) and not fees.knows(order) for order in sales)
    if unknown:
        _note(f"not whole in Alpaca's ledger: {counted(unknown, 'sale')}, with an estimated fee")
    return fees


def _note(words: str) -> None:
    print(f"dcabot report: {words}", file=sys.stderr)


def _print_cycles(reports: list[CycleReport], args: Any) -> None:
    if args.json or args.csv:
        _print_rows(ROW, [_row(one) for one in reports], args.json)
        return
    out = console()
    if not reports:
        out.print("No cycle has been completed yet.")
        return
    rows = [
        [
            f"{one.cycle_id}",
            one.symbol,
            f"{one.opened_at:%Y-%m-%d %H:%M}",
            f"{one.closed_at:%Y-%m-%d %H:%M}",
            span(one.duration),
            f"{one.orders}",
            usd(one.spent),
            usd(one.sold),
            usd(one.sale_fees + one.buy_fees),
            usd(one.profit),
            f"{_profit_percent(one)}",
            _end(one),
        ]
        for one in reports
    ]
    headings = [
        "cycle",
        "<asset",
        "<opened (UTC)",
        "<closed (UTC)",
        "took",
        "orders",
        "spent",
        "sold",
        "fees",
        "profit",
        "%",
        "<",
    ]
    print_table(out, headings, rows)
    _print_total(total("all", reports), args.ledger)


def _print_totals(sums: list[Total], args: Any) -> None:
    if args.json or args.csv:
        _print_rows(SUM, [_plain(asdict(one)) for one in sums], args.json)
        return
    rows = [[s.key, f"{s.cycles}", usd(s.spent), usd(s.sold), usd(s.fees), usd(s.profit)] for s in sums]
    print_table(console(), [f"<{args.by}", "cycles", "spent", "sold", "fees", "profit"], rows)


def _print_total(all_of_them: Total, exact: bool) -> None:
    how = "from Alpaca's ledger" if exact else "estimated at the highest rate; --ledger asks Alpaca"
    sums = f"profit {usd(all_of_them.profit)} USD after fees of {usd(all_of_them.fees)} USD ({how})"
    console().print(f"\n{counted(all_of_them.cycles, 'cycle')}, {sums}.")


def _end(one: CycleReport) -> str:
    """How it ended, where that was not a sale of everything."""
    words = [] if one.status is CycleStatus.COMPLETE else [one.status.value]
    return "; ".join([*words, f"{coins(one.unsold)} not sold"] if one.unsold else words)


def _row(one: CycleReport) -> dict[str, Any]:
    return _plain(
        {
            **asdict(one),
            "status": one.status.value,
            "profit": one.profit,
            "profit_percent": _profit_percent(one),
            "seconds": one.duration.seconds + one.duration.days * 86400,
        }
    )


def _profit_percent(one: CycleReport) -> Decimal:
    """Of what was spent; a cycle is reported only when something was bought."""
    return (one.profit / one.spent * HUNDRED).quantize(CENT) if one.spent else ZERO


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Decimals as text, times as RFC 3339."""
    return {
        name: text(v) if isinstance(v, Decimal) else v.isoformat() if isinstance(v, datetime) else v
        for name, v in row.items()
    }


def _print_rows(columns: Sequence[str], rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
