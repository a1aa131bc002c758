"""`dcabot cycle`: one cycle looked at, sold now, handed over to its owner, or taken back.

A sale and a handover take the same way as the daemon's decisions, row lock first, so they work beside a running daemon
and without one. Whatever interrupts them, the rows say how far it came, and the same command goes on.
"""

import argparse
import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from dcabot.adapters import assets, results
from dcabot.adapters.assets import AssetError
from dcabot.adapters.config import DATABASE, Config, load
from dcabot.adapters.database import DatabaseBusy, DatabaseError, DatabaseUnreachable
from dcabot.adapters.store import Store
from dcabot.commands import (
    DONE,
    FAILED,
    arguments,
    counted,
    parser,
    start_logging,
    utc_now,
    was_interrupted,
)
from dcabot.commands.console import coins, console, price, print_table, refused, usd
from dcabot.commands.cycle_adopt import adopt
from dcabot.commands.market import NOT_ASKED, Market, look
from dcabot.commands.wiring import Parts, assemble, open_books
from dcabot.core.byhand import awaited, on_close, on_release
from dcabot.core.ledger import PRICE_STEP, fold
from dcabot.core.model import Asset, Cycle, Decision, Instrument, Purpose
from dcabot.core.money import text
from dcabot.core.profit import in_words, profit
from dcabot.core.reconcile import POSITIONS, Entry, Repair
from dcabot.core.report import report
from dcabot.core.snapshot import ExchangeError, ExchangeUnreachable, Fill
from dcabot.core.states import OVER, is_open
from dcabot.core.timeline import Moment, timeline
from dcabot.recovery import Recovery
from dcabot.sync import Sync

log = logging.getLogger(__name__)

LAWS = ("absent", *POSITIONS)
WAIT_SECONDS = 180  # longer than an order whose answer was lost takes to be given up
POLL_SECONDS = 1.5
SAY_AGAIN_SECONDS = 15.0


class NotDone(Exception):
    """It did not end within its time; the message says where it stands."""


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    try:
        if args.action == "show":
            config = load({DATABASE}, os.environ, args.env_file)
            return _show(args, config, open_books(config))
        start_logging(args.verbose)
        parts = assemble(args.env_file)
        if args.action == "adopt":
            return adopt(parts, args.symbol, args.price, args.yes)
        with _ToldWhenInterrupted(args, parts.store):
            return _close(args, parts) if args.action == "close" else _release(args, parts)
    except (AssetError, NotDone) as error:
        print(f"dcabot cycle: {error}", file=sys.stderr)
        return FAILED


def make_parser() -> argparse.ArgumentParser:
    what = "Look at one cycle, sell it now, take its position over or give it back. A cycle is one round trip."
    made = parser("cycle", what, logs=True)
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    told = "every order and fill of a cycle, in order"
    showing = actions.add_parser("show", help=told, description=f"{told[0].upper()}{told[1:]}.")
    showing.add_argument(
        "which", metavar="ID|SYMBOL", type=arguments.cycle, help="a cycle's number, or a pair for its newest cycle"
    )
    showing.add_argument("--json", action="store_true", help="for programs; the names are stable")
    for name, told in {
        "close": "sell the position now, at the market, and disable the asset",
        "release": "end the cycle and sell nothing: the position is yours, and blocks base orders until it is gone",
        "adopt": "take coins that no cycle bought into the current cycle; they are sold with it",
    }.items():
        action = actions.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
        action.add_argument("symbol", metavar="SYMBOL", type=arguments.symbol, help="such as BTC/USD")
        action.add_argument("--yes", action="store_true", help="do not ask")
        if name == "adopt":
            action.add_argument(
                "--price", type=_price, metavar="USD", help="what each coin cost (default: as Alpaca's fills say)"
            )
            continue
        action.add_argument(
            "--wait", type=_seconds, default=WAIT_SECONDS, metavar="SECONDS", help="at most (default: %(default)s)"
        )
    arguments.settings_anywhere(actions.choices.values())
    return made


def _close(args: argparse.Namespace, parts: Parts) -> int:
    """Disable first: from that commit on nobody buys, and what is held only becomes less."""
    instrument = _instrument(parts, args.symbol)
    sync = _agreed(parts, args.symbol)
    entry = _current(parts.store, args.symbol)
    held = fold(entry.cycle.orders).held
    if not held and not any(is_open(order) for order in entry.cycle.orders):
        if no := refused(f"{args.symbol} holds nothing. Disable it?", args.yes):
            return no
        _enable(parts.store, args.symbol, False)
        print(f"{args.symbol} holds nothing; it is disabled.")
        return DONE
    if no := refused(_close_question(parts, entry), args.yes):
        return no
    _enable(parts.store, args.symbol, False)
    log.info("%s is disabled", args.symbol)

    def close(_: Asset, cycle: Cycle) -> Decision | None:
        return on_close(cycle, instrument, utc_now())

    ended = _until_done(parts, sync, entry.cycle.id, close, instrument, args.wait)
    sold = fold(ended.orders)
    if sold.last_sell_price is None:
        print(f"{args.symbol} holds nothing that can be sold ({coins(sold.held)}); it is disabled.")
    else:
        print(
            f"{args.symbol} is sold at {price(sold.last_sell_price)} and disabled. Cycle {ended.id} brought about "
            f"{usd(profit(ended.orders))} USD; `dcabot report --ledger` tells to the cent."
        )
    return DONE


def _agreed(parts: Parts, symbol: str) -> Sync:
    """Reconcile, and book orders that have no row: on a restored database a cycle may be sold already.

    Raises AssetError when the pair waits for a person.
    """
    sync = parts.sync(LAWS)
    sync.sweep()
    recovered = Recovery(parts.store, parts.broker).run()
    if recovered.booked:
        sync.sweep()
    if why := recovered.suspended.get(symbol):
        raise AssetError(f"{symbol} is suspended: {why}")
    return sync


def _close_question(parts: Parts, entry: Entry) -> str:
    holding = fold(entry.cycle.orders)
    venue = parts.config.venue.value.upper()
    quotes = {one.symbol: one for one in parts.broker.latest_quotes([entry.asset.symbol]).rows}
    quote = quotes.get(entry.asset.symbol)
    worth = f", about {usd(holding.held * quote.bid)} USD at {price(quote.bid)}" if quote else ""
    return (
        f"{venue}: sell {coins(holding.held)} {entry.asset.symbol} now{worth} (average paid "
        f"{price(holding.average_price)}), and disable the asset?"
    )


def _release(args: argparse.Namespace, parts: Parts) -> int:
    """While orders are cancelled the asset is disabled, or the daemon would place them again."""
    database = parts.store.database
    if assets.is_paused(database, args.symbol):
        log.info("a release of %s was interrupted and left it disabled; this one goes on", args.symbol)
    instrument = _instrument(parts, args.symbol)
    sync = _agreed(parts, args.symbol)
    entry = _current(parts.store, args.symbol)
    held = fold(entry.cycle.orders).held
    waits = any(is_open(order) for order in entry.cycle.orders)
    if not held and not waits:
        if assets.resume(database, args.symbol, utc_now()):
            print(
                f"{args.symbol} holds nothing any more. It is enabled again, which the interrupted release left undone."
            )
            return DONE
        raise AssetError(f"{args.symbol} holds nothing; there is nothing to release")
    question = f"End cycle {entry.cycle.id} of {args.symbol} and keep its {coins(held)} coins unsold?"
    if no := refused(question, args.yes):
        return no

    def release(_: Asset, cycle: Cycle) -> Decision | None:
        return on_release(cycle, utc_now())

    if waits and assets.pause(database, args.symbol, utc_now()):
        log.info("%s is disabled while its orders are cancelled", args.symbol)
    try:
        ended = _until_done(parts, sync, entry.cycle.id, release, instrument, args.wait)
    finally:
        if assets.resume(database, args.symbol, utc_now()):
            log.info("%s is enabled again", args.symbol)
    _tell_release(ended)
    return DONE


def _tell_release(ended: Cycle) -> None:
    holding = fold(ended.orders)
    if holding.last_sell_price is not None and not holding.held:
        print(f"{ended.symbol} was sold meanwhile, at {price(holding.last_sell_price)}; there is nothing to release.")
    elif not holding.held:
        print(f"{ended.symbol} holds nothing now; there is nothing to release.")
    else:
        print(
            f"{coins(holding.held)} {ended.symbol} are yours. dcabot places no base order while Alpaca shows them; "
            f"`dcabot asset disable {ended.symbol}` stops it for good."
        )


def _until_done(
    parts: Parts, sync: Sync, cycle_id: int, decide: Repair, instrument: Instrument, wait_seconds: int
) -> Cycle:
    """Take one step after the other until nothing is left to wait for: the cycle as it then stands. Raises NotDone."""
    said, said_at, deadline = "", 0.0, time.monotonic() + wait_seconds
    while True:
        try:
            parts.executor.carry_out(cycle_id, decide)
            sync.sweep()
            entry = parts.store.read_entry(cycle_id)
            if entry is None:
                raise NotDone(f"cycle {cycle_id} is gone: somebody has removed the asset")
            waiting = awaited(entry.cycle, instrument, utc_now())
            if not waiting and decide(entry.asset, entry.cycle) is None:
                return entry.cycle
        except (ExchangeUnreachable, DatabaseUnreachable, DatabaseBusy) as error:
            if time.monotonic() > deadline or was_interrupted(error):
                raise
            waiting = str(error)
        now = time.monotonic()
        if waiting and (waiting != said or now - said_at > SAY_AGAIN_SECONDS):
            log.info("%s", waiting)
            said, said_at = waiting, now
        if now > deadline:
            raise NotDone(f"not done within {wait_seconds} s: {waiting or 'another step is due'}; ask again to go on")
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class _ToldWhenInterrupted:
    """Ctrl-C stops the waiting, at a moment when nothing is half written: say where it stands."""

    args: argparse.Namespace
    store: Store

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if was_interrupted(error):
            stands = _where_it_stands(self.store, self.args.symbol)
            again = f"`dcabot cycle {self.args.action} {self.args.symbol}` goes on from here"
            print(f"\ndcabot cycle: stopped. {stands}; {again}", file=sys.stderr)


def _where_it_stands(store: Store, symbol: str) -> str:
    """The cycle's state as it can be read after a Ctrl-C, as a sentence."""
    try:
        store.database.close()
        entry = _current(store, symbol)
    except (AssetError, DatabaseError) as error:
        return f"Where {symbol} stands could not be read ({error})"
    disabled = "" if entry.asset.enabled else ", disabled"
    held = coins(fold(entry.cycle.orders).held)
    return f"{symbol} is {entry.cycle.status.value}{disabled} and holds {held}"


def _instrument(parts: Parts, symbol: str) -> Instrument:
    found = {one.symbol: one for one in parts.broker.instruments().rows}
    if symbol not in found:
        raise AssetError(f"Alpaca does not know the pair {symbol}")
    return found[symbol]


def _enable(store: Store, symbol: str, enabled: bool) -> None:
    assets.change(store.database, symbol, {"is_enabled": enabled}, utc_now())


def _current(store: Store, symbol: str) -> Entry:
    """The asset's current cycle. Raises AssetError."""
    book = store.read_book()
    if symbol in book.faults:
        raise AssetError(book.faults[symbol])
    for entry in book.entries:
        if entry.asset.symbol == symbol and entry.cycle.status not in OVER:
            return entry
    if any(asset.symbol == symbol for asset in book.idle):
        raise AssetError(f"{symbol} has no current cycle")
    raise AssetError(f"there is no asset {symbol}; `dcabot asset list` shows what there is")


def _show(args: argparse.Namespace, config: Config, store: Store) -> int:
    entry = _find(store, args.which)
    fills, note = _fills(config, entry.cycle)
    moments = timeline(entry.cycle, fills)
    is_held = entry.cycle.status not in OVER and fold(entry.cycle.orders).held
    market = look(config, [entry.asset.symbol]) if is_held else NOT_ASKED
    if args.json:
        if note:
            print(f"dcabot cycle: {note}", file=sys.stderr)
        print(json.dumps(_as_json(entry, moments, market), indent=2))
        return DONE
    out = console()
    prefix = entry.cycle.next_id(Purpose.BASE).rpartition("base-")[0]
    out.print(
        f"Cycle {entry.cycle.id} of {entry.asset.symbol}: {entry.cycle.status.value}, {_standing(entry.cycle)}. "
        f"Opened {entry.cycle.opened_at:%Y-%m-%d %H:%M:%S} UTC. Its orders' ids begin with {prefix}"
    )
    if not entry.cycle.orders and (before := _before(store, entry)):
        out.print(f"The cycle before it: `dcabot cycle show {before}`.")
    if brought := _brought(entry.cycle, market):
        out.print(brought)
    if note:
        out.print(note)
    rows = [
        [
            f"{one.at:%m-%d %H:%M:%S}",
            one.order.removeprefix(prefix),
            one.what,
            coins(one.quantity) if one.quantity is not None else "",
            price(one.price) if one.price is not None else "",
            usd(one.notional) if one.notional is not None else "",
        ]
        for one in moments
    ]
    print_table(out, ["at", "<order", "<what", "quantity", "price", "USD"], rows)
    return DONE


def _standing(cycle: Cycle) -> str:
    if not cycle.orders:
        return "nothing bought yet"
    holding = fold(cycle.orders)
    safety = counted(holding.safety_count, "safety order")
    return f"holds {coins(holding.held)} at an average of {price(holding.average_price)}, {safety}"


def _brought(cycle: Cycle, market: Market) -> str:
    """The profit of a cycle that is over, or of one that would be sold now; empty while unknown."""
    line = report(cycle)
    if line is None:
        return ""
    if cycle.status in OVER:
        return f"It brought {in_words(line.profit, line.spent)} after fees of {usd(line.fees)} USD."
    quote, amount = market.quotes.get(cycle.symbol), market.profit_if_sold(cycle)
    if quote is None or amount is None:
        return ""
    brings = in_words(amount, line.spent)
    return f"If it were sold now at {price(quote.bid)}: {brings} after all fees."


def _before(store: Store, entry: Entry) -> int:
    """The number of the asset's last finished cycle; 0 when there is none."""
    newest = results.newest(store.database, entry.asset.id) or 0
    return newest if newest < entry.cycle.id else 0


def _find(store: Store, which: int | str) -> Entry:
    """A cycle by its number, or a pair's newest one. Raises AssetError."""
    if isinstance(which, int):
        entry = store.read_entry(which)
        if entry is None:
            raise AssetError(f"there is no cycle {which}; `dcabot report` lists those that are over")
        return entry
    try:
        return _current(store, which)
    except AssetError:
        known = {asset.symbol: asset.id for asset, _ in assets.read_all(store.database)}
        newest = results.newest(store.database, known[which]) if which in known else None
        entry = store.read_entry(newest) if newest is not None else None
        if entry is None:
            raise
        return entry


def _fills(config: Config, cycle: Cycle) -> tuple[dict[str, list[Fill]], str]:
    """The executions in Alpaca's ledger, and a sentence when it could not be asked."""
    if not (config.key_id and config.secret_key and config.base_url):
        return {}, "Without single fills: the API keys are not set."
    from dcabot.adapters.broker import Broker

    broker = Broker(config, utc_now)
    fills: dict[str, list[Fill]] = {}
    try:
        for fill in broker.fills(cycle.opened_at - timedelta(seconds=1)).rows:
            fills.setdefault(fill.order_id, []).append(fill)
    except ExchangeError as error:
        return {}, f"Without single fills: {str(error).rstrip('.')}."
    finally:
        broker.close()
    return fills, ""


def _as_json(entry: Entry, moments: list[Moment], market: Market) -> dict[str, object]:
    """Stable names; decimals as text, times as RFC 3339."""
    holding = fold(entry.cycle.orders)
    line = report(entry.cycle) if entry.cycle.status in OVER else None
    unrealised = market.profit_if_sold(entry.cycle)
    return {
        "cycle": entry.cycle.id,
        "symbol": entry.asset.symbol,
        "status": entry.cycle.status.value,
        "held": text(holding.held),
        "average_price": text(holding.average_price),
        "safety_orders": holding.safety_count,
        "profit": None if line is None else text(line.profit),
        "unrealised_profit": None if unrealised is None else text(unrealised),
        "timeline": [
            {
                "at": one.at.isoformat(),
                "order": one.order or None,
                "what": one.what,
                "quantity": None if one.quantity is None else text(one.quantity),
                "price": None if one.price is None else text(one.price),
                "notional": None if one.notional is None else text(one.notional),
            }
            for one in moments
        ],
    }


def _price(word: str) -> Decimal:
    price = arguments.number(word)
    if price <= 0:
        raise argparse.ArgumentTypeError(f"{word!r} is no price")
    return price.quantize(PRICE_STEP)


def _seconds(word: str) -> int:
    if not word.isascii() or not word.isdigit() or len(word) > 6:
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number of seconds")
    return int(word)
