"""`dcabot order-manager`: one pass over open orders. Cancels stale buys and treats untracked orders."""

import argparse
import logging

from dcabot.commands import DONE, counted, parser, start_logging
from dcabot.commands.wiring import assemble, awaits_keys

log = logging.getLogger(__name__)

LAWS = ("absent", "stale")


def make_parser() -> argparse.ArgumentParser:
    what = "Cancel buys that are open too long; cancel or report open orders that no row knows. One pass."
    return parser("order-manager", what, logs=True)


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    start_logging(args.verbose)
    if awaits_keys(args.env_file):
        return DONE
    parts = assemble(args.env_file)
    sync = parts.sync(LAWS)
    swept = sync.sweep()
    cancelled, left = sync.sweep_orphans(swept.snapshot, parts.config.orphan_orders.value)
    for symbol, fault in swept.book.faults.items():
        log.error("%s is suspended: %s", symbol, fault)
    log.info(
        "order manager: %s at Alpaca, %d mended, %d untracked cancelled, %d untracked left alone, %s suspended",
        counted(len(swept.snapshot.open_orders), "open order"),
        len(swept.mended),
        cancelled,
        left,
        counted(len(swept.book.faults), "asset"),
    )
    return DONE
