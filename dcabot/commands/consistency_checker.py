"""`dcabot consistency-checker`: one pass that makes the book agree with Alpaca, or says where it does not."""

import logging
import time

from dcabot.commands import DONE, counted, parser, start_logging
from dcabot.commands.wiring import assemble
from dcabot.core.reconcile import discrepancies
from dcabot.sync import SECOND_LOOK_AFTER, Sync

log = logging.getLogger(__name__)

LAWS = ("absent", "fees", "position", "columns")


def main(argv: list[str]) -> int:
    what = "Compare every cycle with what Alpaca says and mend the difference. One pass."
    options = parser("consistency-checker", what, logs=True)
    options.add_argument("--dry-run", action="store_true", help="only report")
    args = options.parse_args(argv)
    start_logging(args.verbose)
    sync = assemble(args.env_file).sync(LAWS)
    return _report(sync) if args.dry_run else _mend(sync)


def _mend(sync: Sync) -> int:
    swept = sync.settle()
    mended = list(swept.mended)
    if swept.doubtful:
        # One odd read is no fact: look again, seconds later.
        time.sleep(SECOND_LOOK_AFTER.total_seconds())
        swept = sync.sweep()
        mended += swept.mended
    opened = sync.open_missing_cycles(swept.book)
    for symbol, fault in swept.book.faults.items():
        log.error("%s is held: %s", symbol, fault)
    log.info(
        "consistency checker: %s compared, %d mended, %s opened, %s held",
        counted(len(swept.book.entries), "cycle"),
        len(mended),
        counted(opened, "cycle"),
        counted(len(swept.book.faults), "asset"),
    )
    return DONE


def _report(sync: Sync) -> int:
    book, snapshot, entries, news = sync.look()
    found = discrepancies(entries, snapshot, sync.limits, sync.laws)
    for report in news:
        log.warning("%s: Alpaca says %s", report.symbol, report)
    for one in found:
        decision = one.repair(one.entry.asset, one.entry.cycle)
        log.warning(
            "%s cycle %s: %s", one.entry.cycle.symbol, one.entry.cycle.id, decision.reason if decision else one.law
        )
    missing = [asset.symbol for asset in book.idle if asset.enabled]
    for symbol in missing:
        log.warning("%s: enabled and without a current cycle; it would be given one", symbol)
    for symbol, fault in book.faults.items():
        log.error("%s is held: %s", symbol, fault)
    log.info(
        "consistency checker: %s compared, %d differ, nothing was changed; %s missing, %s held",
        counted(len(entries), "cycle"),
        len(found) + len(news),
        counted(len(missing), "cycle"),
        counted(len(book.faults), "asset"),
    )
    return DONE
