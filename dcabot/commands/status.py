"""`dcabot status`: healthy or not, what each asset does, and what comes next at which price."""

import argparse
import json
import os
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from dcabot.adapters.config import DATABASE, load
from dcabot.adapters.database import DatabaseBusy, DatabaseUnreachable
from dcabot.adapters.rows import Book
from dcabot.adapters.store import STOPPED, Beat, Store
from dcabot.commands import DONE, FAILED, STARTING, UNHEALTHY, parser, utc_now
from dcabot.commands.console import Fitted, ago, coins, console, percent, price, table, usd
from dcabot.commands.market import Market, Window, usual
from dcabot.commands.troubles import in_rows, together, told
from dcabot.commands.wiring import open_books
from dcabot.core.ledger import DUST_NOTIONAL, Holding, fold, sellable
from dcabot.core.lifecycle import foreign_coins
from dcabot.core.model import Asset, CycleStatus, Order, Side
from dcabot.core.money import ONE, ZERO, text
from dcabot.core.reconcile import Entry
from dcabot.core.retry import backoff_until
from dcabot.core.rules import faults, may_sell
from dcabot.core.sale_price import sale_price
from dcabot.core.states import OVER, is_open
from dcabot.core.strategy import restart_price, safety_price

BEAT_MAX_AGE = timedelta(seconds=30)  # the daemon writes every few seconds
WATCH_SECONDS = 3.0  # a look costs a request of the 200 a minute that trading lives on
START = "`systemctl start dcabot` starts it, without systemd `dcabot run`"


@dataclass(frozen=True, slots=True)
class Line:
    """One asset as its operator wants to see it. Prices are USD."""

    symbol: str
    enabled: bool
    state: str
    held: Decimal
    average: Decimal | None
    bid: Decimal | None
    next_safety: Decimal | None
    take_profit: Decimal | None
    order: str
    profit: Decimal | None
    trouble: str
    next: str = ""
    cooldown_until: datetime | None = None
    restart: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything at one instant."""

    at: datetime
    beat: Beat | None
    lines: tuple[Line, ...]
    troubles: tuple[str, ...]
    notes: tuple[str, ...]
    cannot_buy: tuple[str, ...] = ()  # enabled assets

    @property
    def is_healthy(self) -> bool:
        return not self.troubles


def make_parser() -> argparse.ArgumentParser:
    options = parser(
        "status", "Whether dcabot can trade, what each asset is doing, and what comes next at which price."
    )
    form = options.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs; the names are stable")
    form.add_argument("--watch", action="store_true", help="look again every few seconds until Ctrl-C")
    return options


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    config = load({DATABASE}, os.environ, args.env_file)
    store = open_books(config)
    window = Window(config)
    try:
        if args.watch:
            return _watch(window, store)
        report = read(window, store, utc_now())
    finally:
        window.close()
    if args.json:
        print(json.dumps(as_json(report), indent=2))
    else:
        console().print(shown(report))
    return DONE if report.is_healthy else FAILED


def read(window: Window, store: Store, now: datetime) -> Report:
    """The books, the daemon's last word, and the prices now if the exchange can be asked."""
    book = store.read_book()
    beat = store.read_beat()
    market = window.look([entry.asset.symbol for entry in book.entries], with_positions=True)
    lines = tuple(_lines(book, market, now))
    written = [] if beat is None or beat.sentence == STOPPED else store.read_troubles()
    conditions = together(written, in_rows(book, market.instrument, now))
    troubles = _daemon_troubles(beat, now)
    needed = [told(one, now) for one in conditions if one.kind.is_trouble]
    troubles += _daemon_sentence(beat, is_known=bool(needed)) + needed
    waits = [one for one in conditions if not one.kind.is_trouble]
    notes = [told(one, now) for one in waits]
    notes += [market.note] if market.note else list(_unowned(book, market))
    notes += [
        f"{asset.symbol} would hardly ever buy: {doubt}"
        for asset in (*(entry.asset for entry in book.entries if entry.cycle.status not in OVER), *book.idle)
        if asset.enabled
        for doubt in market.tight(asset)
    ]
    notes += window.notes
    cannot_buy = tuple(dict.fromkeys(one.asset for one in waits))
    return Report(now, beat, lines, tuple(troubles), tuple(notes), cannot_buy)


def _unowned(book: Book, market: Market) -> Iterable[str]:
    """Coins worth a dollar or more, as far as prices are known, that Alpaca shows and no cycle bought."""
    cycles = {entry.asset.symbol: entry.cycle for entry in book.entries if entry.cycle.status not in OVER}
    # Positions spell it BTCUSD, and a pair that Alpaca lists no more stays so.
    spelt = {symbol.replace("/", ""): symbol for symbol in cycles}
    for name, position in (market.positions or {}).items():
        symbol = spelt.get(name, name)
        quote = market.quotes.get(symbol)
        foreign = foreign_coins(cycles[symbol], position) if symbol in cycles else position
        if foreign and (quote is None or foreign * quote.bid >= DUST_NOTIONAL):
            yield f"Foreign coins: Alpaca shows {coins(foreign)} {symbol} that no cycle bought."


def _daemon_troubles(beat: Beat | None, now: datetime) -> list[str]:
    if beat is None:
        return [f"the daemon has never run on this database; {START}"]
    if beat.sentence == STOPPED:
        return [f"the daemon was stopped {ago(beat.beat_at, now)}. {START}"]
    if now - beat.beat_at > BEAT_MAX_AGE:
        return [f"the daemon is down; its last heartbeat was {ago(beat.beat_at, now)}. {START}"]
    return []


def _daemon_sentence(beat: Beat | None, is_known: bool) -> list[str]:
    """The daemon's own word, unless it is about a trouble that is known already."""
    if beat is None or (is_known and beat.sentence.startswith(f"{UNHEALTHY}: ")):
        return []
    is_bad = beat.sentence.startswith((UNHEALTHY, STARTING))
    return [f"the daemon is {beat.sentence}"] if is_bad else []


def _lines(book: Book, market: Market, now: datetime) -> Iterable[Line]:
    for entry in book.entries:
        if entry.cycle.status not in OVER:
            yield _line(entry, market, now)
    for asset in book.idle:
        state = "waiting for its first cycle" if asset.enabled else "disabled"
        coming = f"buys {usd(asset.rules.base_notional)} USD once it has one" if asset.enabled else ""
        yield Line(asset.symbol, asset.enabled, state, ZERO, None, None, None, None, "", None, "", coming)
    for symbol, fault in book.faults.items():
        yield Line(symbol, False, "suspended", ZERO, None, None, None, None, "", None, fault)


def _line(entry: Entry, market: Market, now: datetime) -> Line:
    asset, cycle = entry.asset, entry.cycle
    holding = fold(cycle.orders)
    quote = market.quotes.get(asset.symbol)
    wrong = "; ".join(faults(asset, market.instrument(asset.symbol)))
    rests = cycle.status is CycleStatus.COOLDOWN
    if not wrong:
        coming = _next(entry, holding, market)
    elif holding.held and may_sell(asset, market.instrument(asset.symbol)):
        coming = _next(_without_buys(entry), holding, market)
    else:
        coming = ""
    return Line(
        symbol=asset.symbol,
        enabled=asset.enabled,
        state=_suspended_or(_state(entry, now), entry, wrong),
        held=sellable(cycle),
        average=holding.average_price if holding.held else None,
        bid=quote.bid if quote else None,
        next_safety=safety_price(asset, holding) if holding.held and asset.enabled else None,
        take_profit=_sale_price(asset, holding, market) if holding.held else None,
        order="; ".join(_order(order, now) for order in cycle.orders if is_open(order)),
        profit=market.profit_if_sold(cycle) if holding.held else None,
        trouble=wrong,
        next=coming,
        cooldown_until=_cooldown_until(entry) if rests else None,
        restart=restart_price(asset) if rests else None,
    )


def _sale_price(asset: Asset, holding: Holding, market: Market) -> Decimal:
    return sale_price(asset, holding, market.instrument(asset.symbol) or usual(asset.symbol))


def _without_buys(entry: Entry) -> Entry:
    """Bad settings for its buys do not keep what it holds from being sold."""
    return replace(entry, asset=replace(entry.asset, enabled=False))


def _next(entry: Entry, holding: Holding, market: Market) -> str:
    """What the trading rules do next with this cycle, and at which price."""
    asset, cycle = entry.asset, entry.cycle
    if cycle.missing_since is not None:
        return "nothing until Alpaca shows its coins, or says where they went"
    if any(is_open(order) for order in cycle.orders):
        return "waits for its order"
    if holding.held:
        sale = f"sells all at bid {price(_sale_price(asset, holding, market))}"
        buy = safety_price(asset, holding)
        if not asset.enabled:
            return sale
        if buy is None:
            return f"{sale}, no safety order left"
        return f"{sale}, buys {usd(asset.rules.safety_notional)} USD at ask {price(buy)}"
    if not asset.enabled:
        return "nothing until it is enabled"
    quote = market.quotes.get(asset.symbol)
    foreign = foreign_coins(cycle, (market.positions or {}).get(asset.symbol, ZERO))
    if quote and foreign * quote.bid >= DUST_NOTIONAL and not asset.trades_beside_foreign_coins:
        return f"nothing while Alpaca shows {coins(foreign)} that no cycle bought"
    wide = market.too_wide(asset.symbol)
    if wide is not None:
        return f"nothing while the spread of {percent(wide)} is above DCABOT_SPREAD_MAX_PERCENT"
    first = f"buys {usd(asset.rules.base_notional)} USD"
    if cycle.status is CycleStatus.COOLDOWN:
        early = restart_price(asset)
        return f"{first} after the cooldown" + (f", or at ask {price(early)}" if early else "")
    return f"{first} at the next quote"


def _state(entry: Entry, now: datetime) -> str:
    asset, cycle = entry.asset, entry.cycle
    if cycle.status is CycleStatus.COOLDOWN:
        end = _cooldown_until(entry)
        return f"cooldown {'until' if end > now else 'over since'} {_clock(end, now)}"
    waits = max((until for side in Side if (until := backoff_until(cycle, side))), default=now)
    if waits > now:
        return f"{cycle.status.value}, refused: again at {_clock(waits, now)}"
    if asset.disabled_because:
        return f"disabled: {asset.disabled_because.replace('_', ' ')}"
    return cycle.status.value if asset.enabled else f"{cycle.status.value}, no new buys"


def _suspended_or(state: str, entry: Entry, wrong: str) -> str:
    return "suspended" if wrong or entry.cycle.missing_since is not None else state


def _cooldown_until(entry: Entry) -> datetime:
    begun = entry.cycle.cooldown_since or entry.cycle.opened_at
    return begun + timedelta(seconds=entry.asset.rules.cooldown_seconds)


def _clock(at: datetime, now: datetime) -> str:
    """A time of today, or a day and its time."""
    return f"{at:%H:%M:%S} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M} UTC"


def _order(order: Order, now: datetime) -> str:
    at = f" at {price(order.limit_price)}" if order.limit_price is not None else " at market"
    return f"{order.side.value} {coins(order.quantity)}{at}, {order.status.value} since {ago(order.created_at, now)}"


def shown(report: Report) -> RenderableType:
    """One glance: healthy or not, then a line for each asset."""
    parts: list[RenderableType] = [_headline(report)]
    parts += [Text(f"  {trouble}") for trouble in report.troubles]
    if report.beat is not None:
        beat, now = report.beat, report.at
        parts.append(
            Text(
                f"Daemon: {beat.sentence}; started {ago(beat.started_at, now)}, "
                f"last heartbeat {ago(beat.beat_at, now)}, "
                f"last quote {ago(beat.quote_at, now)}, last trade update {ago(beat.trade_update_at, now)}."
            )
        )
    parts += [Text(note) for note in report.notes]
    rows = [
        [
            line.symbol,
            line.state,
            coins(line.held) if line.held else "-",
            price(line.average),
            price(line.bid),
            _distance(line),
            usd(line.profit),
        ]
        for line in report.lines
    ]
    headings = [
        "<asset",
        "<state",
        "held",
        "average",
        "bid",
        "to go",
        "profit",
    ]
    parts.append(Fitted(headings, rows) if rows else Text("No assets yet; `dcabot asset add` adds one."))
    coming = [[line.symbol, line.order or line.next] for line in report.lines if line.order or line.next]
    if coming:
        is_down = bool(_daemon_troubles(report.beat, report.at))
        parts.append(table(["<next", f"<{'once the daemon trades' if is_down else ''}"], coming))
    return Group(*parts)


def _headline(report: Report) -> Text:
    """The first line: healthy, unhealthy, or which assets cannot buy although they are enabled."""
    if report.is_healthy and not report.cannot_buy:
        return Text("Healthy.", style="green")
    waits = f"{', '.join(report.cannot_buy)} cannot buy"
    if report.is_healthy:
        return Text(f"No trouble, but {waits}:", style="yellow")
    return Text(f"Unhealthy; {waits}:" if report.cannot_buy else "Unhealthy:", style="bold red")


def _distance(line: Line) -> str:
    """How far the bid is from the take profit."""
    if line.bid is None or line.take_profit is None:
        return "-"
    return percent(line.take_profit / line.bid - ONE)


def as_json(report: Report) -> dict[str, Any]:
    """Stable names; decimals as text, times as RFC 3339."""
    beat = report.beat
    return {
        "well": report.is_healthy,
        "at": report.at.isoformat(),
        "troubles": list(report.troubles),
        "notes": list(report.notes),
        "cannot_buy": list(report.cannot_buy),
        "daemon": beat
        and {
            "sentence": beat.sentence,
            "started_at": beat.started_at.isoformat(),
            "beat_at": beat.beat_at.isoformat(),
            "quote_at": beat.quote_at and beat.quote_at.isoformat(),
            "trade_update_at": beat.trade_update_at and beat.trade_update_at.isoformat(),
        },
        "assets": [
            {
                "symbol": line.symbol,
                "enabled": line.enabled,
                "state": line.state,
                "held": text(line.held),
                "average_price": _text(line.average),
                "bid": _text(line.bid),
                "next_safety_price": _text(line.next_safety),
                "take_profit_price": _text(line.take_profit),
                "cooldown_until": line.cooldown_until and line.cooldown_until.isoformat(),
                "restart_price": _text(line.restart),
                "open_order": line.order or None,
                "unrealised_profit": _text(line.profit),
                "next": line.next or None,
                "trouble": line.trouble or None,
            }
            for line in report.lines
        ],
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def _watch(window: Window, store: Store) -> int:
    """The same, again and again, until Ctrl-C; its exit code is that of the last look."""
    out, is_healthy = console(), False
    try:
        with Live(console=out, auto_refresh=False) if out.is_terminal else nullcontext() as live:
            while True:
                is_healthy, page = _look(window, store)
                if live is not None:
                    live.update(page, refresh=True)
                else:
                    out.print(page)
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return DONE if is_healthy else FAILED


def _look(window: Window, store: Store) -> tuple[bool, RenderableType]:
    """A page of --watch; while the database is away, a sentence that says so."""
    try:
        report = read(window, store, utc_now())
    except (DatabaseUnreachable, DatabaseBusy) as error:
        return False, Text(f"Unhealthy: {error}; looking again", style="bold red")
    return report.is_healthy, shown(report)
