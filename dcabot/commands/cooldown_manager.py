"""`dcabot cooldown-manager`: one pass over cooldowns. Works on the database alone."""

import argparse
import logging
import os

from dcabot.adapters.config import DATABASE, load
from dcabot.adapters.rows import RowFault
from dcabot.adapters.store import Store
from dcabot.commands import DONE, counted, parser, start_logging, utc_now
from dcabot.commands.wiring import awaits_keys, open_books
from dcabot.core.lifecycle import on_cooldown_over
from dcabot.core.model import Asset, Cycle, CycleStatus, Decision
from dcabot.core.reconcile import Repair
from dcabot.executor import commit

log = logging.getLogger(__name__)


def make_parser() -> argparse.ArgumentParser:
    what = "End cooldowns whose time has passed; give enabled assets without a current cycle theirs. One pass."
    return parser("cooldown-manager", what, logs=True)


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    start_logging(args.verbose)
    if awaits_keys(args.env_file):
        return DONE
    store = open_books(load({DATABASE}, os.environ, args.env_file))
    now = utc_now()

    def over(asset: Asset, cycle: Cycle) -> Decision | None:
        return on_cooldown_over(asset, cycle, now)

    book = store.read_book()
    due = [entry.cycle.id for entry in book.entries if over(entry.asset, entry.cycle)]
    ended = sum(_end(store, cycle_id, over) for cycle_id in due)
    opened = sum(store.open_cycle(asset.id, CycleStatus.WATCHING) for asset in book.idle if asset.enabled)
    for symbol, fault in book.faults.items():
        log.error("%s is suspended: %s", symbol, fault)
    log.info(
        "cooldown manager: %s over, %s opened, %s suspended",
        counted(ended, "cooldown"),
        counted(opened, "cycle"),
        counted(len(book.faults), "asset"),
    )
    return DONE


def _end(store: Store, cycle_id: int, over: Repair) -> bool:
    """End one cooldown. A row edited into nonsense since the book was read stops its own asset, not the others."""
    try:
        return commit(store, cycle_id, over) is not None
    except RowFault as fault:
        log.error("left alone: %s", fault)
        return False
