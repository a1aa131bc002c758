"""`dcabot check`: each line a check, a verdict, and what to do when it fails. Changes nothing."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.text import Text

from dcabot.adapters.config import survey
from dcabot.commands import DONE, FAILED, MISCONFIGURED, UNREACHABLE, parser
from dcabot.commands.checks import World, assets, books, exchange, funds, mailing, settings, units
from dcabot.commands.console import console
from dcabot.commands.finding import Finding, Verdict

STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red", Verdict.SKIPPED: "dim"}
NAME_WIDTH = 12


def main(argv: list[str]) -> int:
    """0 all is well, warnings too; 78 the configuration is wrong; 75 something could not be reached; else 1."""
    options = parser(
        "check", "Look at everything that must be right before trading, and say what to do where it is not."
    )
    options.add_argument("--send-mail", action="store_true", help="send a mail too, to see whether alerts arrive")
    args = options.parse_args(argv)
    out = console()
    findings = []
    for finding in _look(args.env_file, args.send_mail):
        findings.append(finding)
        out.print(Text(f"{finding.verdict.value:<8} ", STYLES[finding.verdict]) + Text(_words(finding)))
        if finding.remedy:
            out.print(Text(f"{'':<{9 + NAME_WIDTH}}-> {finding.remedy}"))
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


def _words(finding: Finding) -> str:
    return f"{finding.name:<{NAME_WIDTH}}{finding.words}"


def _sum(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.verdict for finding in findings)
    if counts[Verdict.FAILED]:
        return (
            f"{counts[Verdict.FAILED]} failed, {counts[Verdict.WARNING]} warnings, {counts[Verdict.SKIPPED]} skipped."
        )
    return f"All is well, {counts[Verdict.WARNING]} warnings." if counts[Verdict.WARNING] else "All is well."


def _exit_code(findings: Iterable[Finding]) -> int:
    codes = {finding.code for finding in findings if finding.verdict is Verdict.FAILED}
    return next((code for code in (MISCONFIGURED, UNREACHABLE, FAILED) if code in codes), DONE)
