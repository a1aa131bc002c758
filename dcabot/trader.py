"""What the daemon knows between two commits, and what each event makes it do.

`consider` runs on every quote and touches nothing but memory. Everything else may wait for the database or the
exchange and runs in a worker thread; `commands/daemon.py` sees to it that one asset is worked on once at a time.
The book in memory may be old: unless the row is still the one decided on, the decision is taken again on it, locked.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from threading import Lock

from dcabot.adapters.broker import Broker
from dcabot.adapters.rows import Book, RowFault
from dcabot.adapters.store import Store
from dcabot.core.absence import suspension
from dcabot.core.ledger import DUST_NOTIONAL, fold
from dcabot.core.model import Asset, Cycle, Decision, Instrument, OrderReport, Quote, Side
from dcabot.core.money import ZERO, text
from dcabot.core.quotes import Screen, remembered, screen, stale
from dcabot.core.reconcile import Entry
from dcabot.core.rules import faults, may_sell
from dcabot.core.states import OVER, is_open
from dcabot.core.strategy import Market, on_quote
from dcabot.executor import Executor
from dcabot.sync import SECOND_LOOK_AFTER, Swept, Sync

log = logging.getLogger(__name__)

SAID_AGAIN_AFTER = timedelta(minutes=10)
STANDS = timedelta(seconds=1)  # a decision that waited longer to be carried out is taken anew
CONTACT_MAX_AGE = timedelta(seconds=20)  # without the stream and without REST this long, no new order


@dataclass(frozen=True, slots=True)
class Occasion:
    """A quote to act upon: the entry it was judged by, and what was decided on it."""

    entry: Entry
    market: Market
    decision: Decision


@dataclass(slots=True)
class Trader:
    """The book in memory and the reactions to quotes, reports, settings and time."""

    store: Store
    broker: Broker
    executor: Executor
    sync: Sync
    clock: Callable[[], datetime]
    quote_max_age: timedelta
    entries: dict[str, Entry] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    unowned: dict[str, Decimal] = field(default_factory=dict)
    screens: dict[str, Screen] = field(default_factory=dict)
    seen_at: dict[str, datetime] = field(default_factory=dict)  # of each symbol, the last quote that came in time
    said: dict[tuple[str, str], datetime] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    compared: set[str] = field(default_factory=set)  # whose position was compared since the start, without a doubt
    foreign: dict[str, tuple[Decimal, datetime]] = field(default_factory=dict)  # coins, and when they were seen first
    named: dict[str, Decimal] = field(default_factory=dict)  # foreign coins that the log has told of
    buying_power: Decimal | None = None
    stream_up: bool = False
    swept_at: datetime | None = None
    turns: Iterator[int] = field(default_factory=lambda: count(1))
    taken: int = 0  # the turn of the book that `entries` and `held` are from
    taking: Lock = field(default_factory=Lock)

    def recover(self) -> None:
        """Starting is recovering: agree with the exchange before anything is decided."""
        self.learn_instruments()
        self.refresh()
        self._learn(self.sync.settle())
        self.buying_power = self.broker.account().buying_power
        self.refresh()

    def learn_instruments(self) -> None:
        """What Alpaca allows for each symbol; its smallest sizes drift with the price."""
        listing = self.broker.instruments()
        for row in listing.unreadable:
            log.warning("Alpaca sent an asset that cannot be read: %s", row.why)
        known = {symbol: one for symbol, one in self.instruments.items() if listing.may_hide(symbol)}
        self.instruments = known | {one.symbol: one for one in listing.rows}

    def refresh(self) -> None:
        """Read the book again: new, changed and disabled assets, and what caretakers did."""
        while True:
            turn = next(self.turns)
            book = self.store.read_book()
            if self.sync.open_missing_cycles(book):
                continue
            with self.taking:
                # Two threads may read at once: the older book must not undo what the newer one said.
                if turn > self.taken:
                    self.taken = turn
                    self._take(book)
                    return

    def consider(self, quote: Quote) -> Occasion | None:
        """What is to be acted upon at this quote; None nearly always. No IO."""
        now = self.clock()
        symbol = quote.symbol
        entry = self.entries.get(symbol)
        instrument = self.instruments.get(symbol)
        if entry is None or instrument is None:
            return None
        before = self.screens.get(symbol)
        # A first quote that was believed for want of another is judged by the price we then traded at.
        after = screen(before if before and before.compared else _first_screen(entry, now, before), quote)
        self.screens[symbol] = after
        # An old quote decides nothing; and yet what comes next is compared with it.
        if stale(quote, now, self.quote_max_age):
            self._say_if_it_came_so(quote, now)
            return None
        self.seen_at[symbol] = quote.at
        if after.fault:
            self.say(symbol, after.fault)
            return None
        market = Market(instrument, quote, self.unowned.get(symbol), now, self.buying_power)
        decision = on_quote(entry.asset, entry.cycle, market)
        if decision is None:
            return None
        if not decision.submit and not decision.cancel:
            self.say(symbol, decision.reason)
            return None
        if symbol not in self.compared and any(order.side is Side.SELL for order in decision.submit):
            self.say(symbol, "no sale before its position was compared with Alpaca's after the start")
            return None
        return Occasion(entry, market, decision) if self._in_contact(now) else None

    def act(self, symbol: str, occasion: Occasion) -> Decision | None:
        """Take the decision on the row as it stands and carry it out. Blocks for the exchange's answer."""
        entry = self.entries.get(symbol)
        if entry is None:
            return None
        market = occasion.market

        def decide(asset: Asset, cycle: Cycle) -> Decision | None:
            # The lock may have kept us waiting until the price is no longer one to act on.
            now = self.clock()
            if stale(market.quote, now, self.quote_max_age):
                return None
            is_same = cycle is occasion.entry.cycle and asset is occasion.entry.asset
            # An order is as old as its decision: one that waited would be missed, or cancelled, too soon.
            if is_same and now - market.now < STANDS:
                return occasion.decision  # the row under its lock is still the one it was taken on
            return on_quote(self._judged(asset), cycle, replace(market, now=now))

        try:
            decision = self.executor.carry_out(entry.cycle.id, decide, entry)
            self._reload(symbol, entry.cycle.id)
        except RowFault as fault:
            self._hold(symbol, str(fault))
            return None
        if decision is not None:
            self.said = {key: at for key, at in list(self.said.items()) if key[0] != symbol}
        return decision

    def on_report(self, report: OrderReport) -> Decision | None:
        """Book what the stream told of an order."""
        try:
            decision = self.executor.apply(report)
            if decision is not None:
                self.unowned.pop(decision.cycle.symbol, None)
                self._reload(decision.cycle.symbol, decision.cycle.id)
        except RowFault as fault:
            self._hold(report.symbol, str(fault))
            return None
        return decision

    def sweep(self) -> Swept:
        """Ask REST for the truth and mend what differs."""
        swept = self.sync.sweep()
        self._learn(swept)
        self.buying_power = self.broker.account().buying_power
        if swept.mended or swept.noted:
            self.refresh()
        return swept

    def symbols(self) -> list[str]:
        """What the market-data stream must bring: every asset that has a current cycle."""
        return sorted(self.entries)

    def knows_its_pairs(self) -> bool:
        """False while Alpaca's list lacks a pair of ours: that asset is held."""
        return all(symbol in self.instruments for symbol in list(self.entries))

    def has_open_orders(self) -> bool:
        return any(is_open(order) for entry in list(self.entries.values()) for order in entry.cycle.orders)

    def is_unsettled(self) -> bool:
        """True while something is known only in part: the fee of a fill, or what the account holds besides."""
        entries = list(self.entries.values())
        learning = any(entry.cycle.symbol not in self.unowned for entry in entries)
        return learning or any(not fold(entry.cycle.orders).settled for entry in entries)

    def _say_if_it_came_so(self, quote: Quote, now: datetime) -> None:
        """A quote that grew old here is a quiet market; one that came old means that nothing is ever traded."""
        if self.seen_at.get(quote.symbol) != quote.at:
            age = (now - quote.at).total_seconds()
            when = f"{age:.0f} s old" if age > 0 else f"{-age:.0f} s in the future"
            self.say(quote.symbol, f"quotes come {when} and decide nothing: is this machine's clock right?")

    def _in_contact(self, now: datetime) -> bool:
        recently = self.swept_at is not None and now - self.swept_at < CONTACT_MAX_AGE
        return self.stream_up or recently

    def _learn(self, swept: Swept) -> None:
        """Positions speak of the cycles as they stood before the sweep: others learn at the next one."""
        self.swept_at = swept.snapshot.at
        for before in swept.book.entries:
            symbol = before.cycle.symbol
            entry = self.entries.get(symbol)
            if entry is not None and entry.cycle.id == before.cycle.id and entry.cycle.orders == before.cycle.orders:
                self.unowned.pop(symbol, None)
                if symbol in swept.unowned:
                    self.unowned[symbol] = swept.unowned[symbol]
                    self._name_foreign(entry, swept)
                if symbol in swept.unowned and symbol not in swept.doubted:
                    self.compared.add(symbol)

    def _name_foreign(self, entry: Entry, swept: Swept) -> None:
        """Tell once of coins that no cycle bought, when they were seen twice: a position lags behind a sale."""
        symbol, coins, at = entry.cycle.symbol, swept.unowned[entry.cycle.symbol], swept.snapshot.at
        quantity, since = self.foreign.get(symbol, (ZERO, at))
        if quantity != coins:
            self.foreign[symbol] = (coins, at)
            return
        if self.named.get(symbol, ZERO) == coins or at - since < SECOND_LOOK_AFTER or self._is_dust(symbol, coins):
            return
        self.named[symbol] = coins
        log.warning(
            "%s: foreign coins: Alpaca shows %s that no cycle bought; they are never sold. `dcabot cycle adopt %s` "
            "takes them into a cycle",
            symbol,
            text(coins),
            symbol,
        )

    def _is_dust(self, symbol: str, coins: Decimal) -> bool:
        """True when coins are worth less than a dollar, or when nothing says what they are worth."""
        before = self.screens.get(symbol)
        quote = before.believed if before else None
        return quote is None or coins * quote.bid < DUST_NOTIONAL

    def _take(self, book: Book) -> None:
        current = [entry for entry in book.entries if entry.cycle.status not in OVER]
        for entry in current:
            known = self.entries.get(entry.cycle.symbol)
            if known is None or known.cycle.id != entry.cycle.id:
                self.unowned.pop(entry.cycle.symbol, None)
        held = dict(book.faults)
        entries = {}
        for entry in current:
            asset = self._judged(entry.asset)
            entries[asset.symbol] = replace(entry, asset=asset)
            if why := asset.held_back or suspension(entry.cycle):
                held[asset.symbol] = why
        before, self.entries, self.held = self.held, entries, held  # first, so that what is said is true
        for symbol, sentence in held.items():
            if before.get(symbol) != sentence:
                log.error("%s is suspended: %s", symbol, sentence)
        for symbol in before.keys() - held.keys():
            log.info("%s is no longer suspended", symbol)

    def _judged(self, asset: Asset) -> Asset:
        """The asset with what is wrong in its settings: one that cannot work is held, the others trade."""
        instrument = self.instruments.get(asset.symbol)
        found = faults(asset, instrument)
        if not found:
            return asset
        sells_on = may_sell(asset, instrument)
        found += ["no buys; what is held is still sold at its take profit"] if sells_on else []
        return replace(asset, held_back="; ".join(found), sells_on=sells_on)

    def _reload(self, symbol: str, cycle_id: int) -> None:
        """After a commit of ours: the entry as it stands, or the whole book when it is another cycle's turn.

        An asset that is held has no entry: only the whole book says whether it still is.
        """
        entry, known = self.store.read_entry(cycle_id), self.entries.get(symbol)
        if entry is None or entry.cycle.status in OVER or known is None or known.cycle.id != cycle_id:
            self.refresh()
        else:
            self.entries[symbol] = replace(entry, asset=self._judged(entry.asset))

    def _hold(self, symbol: str, sentence: str) -> None:
        self.entries.pop(symbol, None)
        self.held[symbol] = sentence
        log.error("%s is suspended: %s", symbol, sentence)

    def say(self, symbol: str, sentence: str) -> None:
        """Say it once; again when it had stopped for a while. Figures change with every quote: its words decide."""
        words = " ".join(word for word in sentence.split() if not any(c.isdigit() or c in "'\"" for c in word))
        now = self.clock()
        last = self.said.get((symbol, words))
        self.said[symbol, words] = now
        if last is None or now - last > SAID_AGAIN_AFTER:
            log.warning("%s: %s", symbol, sentence)


def _first_screen(entry: Entry, now: datetime, before: Screen | None) -> Screen:
    price = fold(entry.cycle.orders).last_buy_price or entry.asset.last_sell_price
    return before or Screen() if price is None else remembered(entry.cycle.symbol, price, now)
