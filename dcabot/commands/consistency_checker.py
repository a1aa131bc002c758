"""`dcabot consistency-checker`: one pass that makes the database agree with Alpaca.

It exits 1 when something needs a person. Then its unit fails, and the alert tells what the lines
say that begin with `needs a person`.
"""

import argparse
import logging
import time

from dcabot.adapters import results
from dcabot.adapters.store import STOPPED, Store
from dcabot.commands import DONE, FAILED, NEEDS_PERSON, counted, parser, start_logging, utc_now
from dcabot.commands.troubles import in_rows, together, told
from dcabot.commands.wiring import Parts, awaits_keys, build, check_books_account, check_schema
from dcabot.core.reconcile import POSITIONS, discrepancies
from dcabot.core.snapshot import ExchangeError
from dcabot.core.troubles import Trouble, lasting, of_answers, of_clock, remembered
from dcabot.sync import SECOND_LOOK_AFTER, Swept, Sync

log = logging.getLogger(__name__)

LAWS = ("absent", *POSITIONS)
RECOMPUTING_SECONDS = 100.0  # of a pass; what is left then is the next pass's


def make_parser() -> argparse.ArgumentParser:
    what = "Compare every cycle with what Alpaca says and mend the difference. One pass."
    options = parser("consistency-checker", what, logs=True)
    options.add_argument("--dry-run", action="store_true", help="only report")
    return options


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    start_logging(args.verbose)
    if awaits_keys(args.env_file):
        return DONE
    parts = build(args.env_file)
    check_schema(parts.config)
    try:
        check_books_account(parts)
        sync = parts.sync(LAWS)
        found = _report(parts, sync) if args.dry_run else _mend(parts, sync)
    except ExchangeError as error:
        # The daemon may have met the same and know more.
        if not _tell(_written(parts)):
            raise
        log.error("Alpaca could not be asked: %s", error)
        return FAILED
    return FAILED if _tell(together(_written(parts), found)) else DONE


def _mend(parts: Parts, sync: Sync) -> list[Trouble]:
    swept = sync.settle()
    mended = list(swept.mended)
    if swept.doubtful or swept.snapshot.unread:
        # One odd read is no fact: look again, seconds later.
        time.sleep(SECOND_LOOK_AFTER.total_seconds())
        swept = sync.settle()  # what is missing is asked about once more
        mended += swept.mended
    opened = sync.open_missing_cycles(swept.book)
    _recompute(sync.store)
    found = _troubles(parts, swept)
    log.info(
        "consistency checker: %s compared, %d mended, %s opened, %s suspended",
        counted(len(swept.book.entries), "cycle"),
        len(mended),
        counted(opened, "cycle"),
        counted(len(swept.book.faults), "asset"),
    )
    return found


def _recompute(store: Store) -> None:
    """The finished cycles, some in each pass: what their rows say of their orders' sums.

    On from part to part while there is something to mend: after an upgrade, and after edits by hand.
    """
    began, mended = time.monotonic(), 0
    while time.monotonic() - began < RECOMPUTING_SECONDS:
        part = results.recompute(store.database, store.clock())
        mended += len(part.differed)
        _say_faults(part.faults)
        if part.is_last or not part.differed:
            break
    if mended:
        log.info("the sums of %s computed anew from their orders", counted(mended, "finished cycle"))


def _say_faults(faults: tuple[str, ...]) -> None:
    for fault in faults:
        log.error("left alone: %s", fault)


def _report(parts: Parts, sync: Sync) -> list[Trouble]:
    book, snapshot, entries, news = sync.look()
    differing = discrepancies(entries, snapshot, sync.limits, sync.laws)
    for report in news:
        log.warning("%s: Alpaca says %s", report.symbol, report)
    for one in differing:
        decision = one.repair(one.entry.asset, one.entry.cycle)
        reason = decision.reason if decision else one.law
        log.warning("%s cycle %s: %s", one.entry.cycle.symbol, one.entry.cycle.id, reason)
    part = results.recompute(sync.store.database, sync.clock(), is_dry=True)
    _say_faults(part.faults)
    for cycle_id in part.differed:
        log.warning("cycle %s: its sums differ from its orders", cycle_id)
    missing = [asset.symbol for asset in book.idle if asset.enabled]
    for symbol in missing:
        log.warning("%s: enabled and without a current cycle; it would be given one", symbol)
    log.info(
        "consistency checker: %s compared, %d differ, nothing was changed; %s missing, %s suspended",
        counted(len(entries), "cycle"),
        len(differing) + len(news),
        counted(len(missing), "cycle"),
        counted(len(book.faults), "asset"),
    )
    return _troubles(parts, Swept(book, snapshot, {}, [], 0, []))


# What needs a person.


def _troubles(parts: Parts, swept: Swept) -> list[Trouble]:
    """What this pass sees that needs a person."""
    now = utc_now()
    known = {one.symbol: one for one in parts.broker.instruments().rows}
    found = of_answers(swept.snapshot.unread) + of_clock(parts.broker.clock_skew())
    seen = lasting(found, remembered({}, found, now), now)
    return in_rows(swept.book, known.get, now) + seen


def _written(parts: Parts) -> list[Trouble]:
    """What the daemon wrote down, unless it was stopped since."""
    beat = parts.store.read_beat()
    return parts.store.read_troubles() if beat and beat.sentence != STOPPED else []


def _tell(troubles: list[Trouble]) -> bool:
    """A line for each trouble; notes are none. True when there was one."""
    needed = [one for one in troubles if one.kind.is_trouble]
    for trouble in needed:
        log.error("%s (%s): %s", NEEDS_PERSON, trouble.name, told(trouble, utc_now()))
    return bool(needed)
