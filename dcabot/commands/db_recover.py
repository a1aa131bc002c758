"""`dcabot db recover`: coins that dcabot's orders bought, for a database that knows no order.

Who lost the database and its backups starts with an empty one. It books nothing by itself: this command lists the
newest cycle of each pair whose coins are there, asks, and books it from Alpaca's list of orders.
"""

import sys

from dcabot.adapters import notes
from dcabot.commands import DONE, FAILED, UNREACHABLE, utc_now
from dcabot.commands.console import coins, refused
from dcabot.commands.wiring import Parts
from dcabot.core.recovery import LostCycle
from dcabot.recovery import Recovery


def recover(parts: Parts, tag: str | None, yes: bool) -> int:
    """0 when everything that can be booked is booked."""
    try:
        return _recover(parts, tag, yes)
    finally:
        parts.store.database.close_all()


def _recover(parts: Parts, tag: str | None, yes: bool) -> int:
    database = parts.store.database
    recovery = Recovery(parts.store, parts.broker)
    if parts.store.newest_order_at() is not None:
        booked = recovery.run().booked
        for sentence in booked:
            print(sentence)
        if not booked:
            print("Nothing is missing: every order of this database that Alpaca knows has its row.")
        return DONE
    if not database.hold_daemon_lock():
        print("dcabot db: the daemon works on this database; stop it first", file=sys.stderr)
        return UNREACHABLE
    found = [lost for lost in recovery.candidates() if tag is None or lost.tag == tag]
    if not found:
        print("Alpaca shows no coins of this database's pairs that orders of dcabot bought.")
        return DONE
    tags = sorted({lost.tag for lost in found})
    if len(tags) > 1:
        print(f"dcabot db: several databases bought coins: {', '.join(tags)}; choose one with --tag", file=sys.stderr)
        return FAILED
    for lost in found:
        print(_line(lost))
    if no := refused("Book these cycles, and go on with them?", yes):
        return no
    if tags[0]:
        _take_over(parts, tags[0])
    for lost in found:
        for sentence in recovery.book(lost.reports):
            print(sentence)
    return DONE


def _take_over(parts: Parts, tag: str) -> None:
    """From now on the lost database's ids are this one's."""
    with parts.store.database.transaction():
        notes.write(notes.TAG, tag, utc_now())
    parts.store.forget_tag()


def _line(lost: LostCycle) -> str:
    filled = sum(1 for report in lost.reports if report.filled_quantity)
    return (
        f"{lost.symbol}: the cycle that was opened at {lost.opened_at:%Y-%m-%d %H:%M} UTC, {filled} filled orders, "
        f"{coins(lost.coins)} coins"
    )
