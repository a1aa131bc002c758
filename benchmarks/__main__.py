"""python -m benchmarks [--quick] [--runs N] [NAME ...]: measure, and print a table of floor, dcabot and ratio."""

import argparse
import os
import platform
from importlib.metadata import version

from rich.console import Console

from benchmarks import (
    caretakers,
    crash_of_the_market,
    figures,
    flood,
    quote_to_order,
    report_of_years,
    size,
    stage,
)

BENCHMARKS = {
    "quote-to-order": quote_to_order.run,
    "flood": flood.run,
    "crash-of-the-market": crash_of_the_market.run,
    "size": size.run,
    "caretakers": caretakers.run,
    "report-of-years": report_of_years.run,
}


def main(argv: list[str] | None = None) -> int:
    """0 when every limit is met, 1 when one is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="the medians of so many runs are shown (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one tiny run of each: does it work, not how fast")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    names = arguments.names or list(BENCHMARKS)
    runs = 1 if arguments.quick else arguments.runs
    found: list[figures.Figure] = []
    with stage.mariadb() as server:
        for name in names:
            found += figures.joined([BENCHMARKS[name](server, arguments.quick) for _ in range(runs)])
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    title = (
        f"Medians of {runs} runs; Python {platform.python_version()}, alpaca-py {version('alpaca-py')},"
        f" {os.cpu_count()} cores, load {load}"
    )
    Console().print(figures.table(found, title))
    return 0 if all(one.is_met for one in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
