"""`dcabot check`: each line a check, a verdict, and what to do when it fails. Changes nothing."""

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dcabot.adapters.config import survey
from dcabot.commands import DONE, FAILED, MISCONFIGURED, UNREACHABLE, parser
from dcabot.commands.checks import World, assets, books, exchange, funds, mailing, settings, units
from dcabot.commands.console import console
from dcabot.commands.finding import Finding, Verdict

STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red", Verdict.SKIPPED: "dim"}
NAME_WIDTH = 12


def make_parser() -> argparse.ArgumentParser:
    options = parser(
        "check", "Look at everything that must be right before trading, and say what to do where it is not."
    )
    options.add_argument("--send-mail", action="store_true", help="send a mail too, to see whether alerts arrive")
    return options


def main(argv: list[str]) -> int:
    """0 healthy, with or without warnings; 78 the configuration is wrong; 75 something could not be reached; else 1."""
    args = make_parser().parse_args(argv)
    out = console()
    findings = []
    for finding in _look(args.env_file, args.send_mail):
        findings.append(finding)
        _print(out, finding)
    out.print(Text(_sum(findings)))
    return _exit_code(findings)


def _look(env_file: str | None, send_mail: bool) -> Iterator[Finding]:
    found = survey(os.environ, env_file)
    world = World(found.config)
    yield from settings(found)
    yield from exchange(world)
    yield from books(world)
    yield from assets(world)
    yield funds(world)
    yield from units()
    yield mailing(found, send_mail)


def _print(out: Console, finding: Finding) -> None:
    """A line; in a terminal its words are wrapped below each other."""
    lines = [(finding.verdict.value, finding.name, finding.words)]
    if finding.remedy:
        lines.append(("", "", f"-> {finding.remedy}"))
    for verdict, name, words in lines:
        if out.is_terminal:
            grid = Table.grid(Column(width=9), Column(width=NAME_WIDTH), Column(overflow="fold"))
            grid.add_row(Text(verdict, STYLES[finding.verdict]), name, Text(words))
            out.print(grid)
        else:
            print(f"{verdict:<9}{name:<{NAME_WIDTH}}{words}")


def _sum(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.verdict for finding in findings)
    words = {Verdict.FAILED: "failed", Verdict.WARNING: "warnings", Verdict.SKIPPED: "skipped"}
    found = ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items() if counts[verdict])
    if counts[Verdict.FAILED]:
        return f"{found}."
    return f"Healthy; {found}." if found else "Healthy."


def _exit_code(findings: Iterable[Finding]) -> int:
    codes = {finding.code for finding in findings if finding.verdict is Verdict.FAILED}
    return next((code for code in (MISCONFIGURED, UNREACHABLE, FAILED) if code in codes), DONE)
