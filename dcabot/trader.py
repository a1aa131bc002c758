"""What the daemon knows between two commits, and what each event makes it do.

`consider` runs on every quote and touches nothing but memory. Everything else may wait for the database or the
exchange and runs in a worker thread; `commands/daemon.py` sees to it that one asset is worked on once at a time.
The book in memory may be old: unless the row is still the one decided on, the decision is taken again on it, locked.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from threading import Lock

from dcabot.adapters.broker import Broker
from dcabot.adapters.rows import Book, RowFault
from dcabot.adapters.store import Store
from dcabot.core.absence import suspension
from dcabot.core.funds import Funds
from dcabot.core.ledger import DUST_NOTIONAL, fold
from dcabot.core.model import (
    Asset,
    Cycle,
    Decision,
    Instrument,
    Obstacle,
    Order,
    OrderReport,
    OrderStatus,
    Quote,
    Side,
    TakeProfitOrder,
)
from dcabot.core.money import text
from dcabot.core.notices import Notices
from dcabot.core.quotes import Seen, impossible, remembered
from dcabot.core.reconcile import Entry
from dcabot.core.recovery import Looks
from dcabot.core.rules import is_pair, judged
from dcabot.core.sale_price import sale_price
from dcabot.core.second_look import SecondLook
from dcabot.core.states import OVER, is_open
from dcabot.core.strategy import Market, on_quote, reaches_sale_price
from dcabot.core.troubles import age_sentence
from dcabot.executor import Executor
from dcabot.recovery import Recovery
from dcabot.sync import SECOND_LOOK_AFTER, Swept, Sync

log = logging.getLogger(__name__)

SAID_AGAIN_AFTER = timedelta(minutes=10)
STANDS = timedelta(seconds=1)  # a decision that waited longer to be carried out is taken anew
WIDE_TOLD_AFTER = timedelta(hours=1)  # a spread that holds back a base order is told after this long
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
    spread_max: Decimal | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    unowned: dict[str, Decimal] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    deciding: set[str] = field(default_factory=set)  # ids of buys on their way from a decision to their row
    looks: dict[str, SecondLook] = field(default_factory=dict)  # of pairs whose sale at the market waits for REST
    wide_since: dict[str, datetime] = field(default_factory=dict)  # of pairs whose spread holds back a base order
    seen_at: dict[str, datetime] = field(default_factory=dict)  # of each symbol, the last quote that came in time
    said: dict[tuple[str, str], datetime] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    compared: set[str] = field(default_factory=set)  # whose position was compared since the start, without a doubt
    foreign: dict[str, tuple[Decimal, datetime]] = field(default_factory=dict)  # coins, and when they were seen first
    suspended: dict[str, str] = field(default_factory=dict)  # pairs whose orders somebody else must explain first
    looks_for_lost: Looks = field(default_factory=Looks)  # at Alpaca's list of all orders
    named: dict[str, Decimal] = field(default_factory=dict)  # foreign coins that the log has told of
    sale_prices: dict[str, tuple[Entry, Decimal | None]] = field(default_factory=dict)
    notices: Notices = field(default_factory=Notices)
    obstacle: str = ""  # of the account: while there is one, no order is sent
    funds: Funds = field(default_factory=Funds)
    spendable: Decimal | None = None  # what they leave to orders
    stream_up: bool = False
    data_since: float | None = None
    swept_at: datetime | None = None
    mended: dict[int, tuple[Order, ...]] = field(default_factory=dict)  # of cycles, as the sweep at work left them
    turns: Iterator[int] = field(default_factory=lambda: count(1))
    taken: int = 0  # the turn of the newest book that `entries` and `held` are from
    read_at: dict[str, int] = field(default_factory=dict)  # of each entry, the turn of its reading
    taking: Lock = field(default_factory=Lock)
    spending: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        # While a sweep mends one cycle after the other, the rows of those it has mended are read
        # already: an order on a row that is known as it stands needs one message to the database.
        self.sync.on_mended = self._see_mended

    @property
    def recovery(self) -> Recovery:
        return Recovery(self.store, self.broker)

    def recover(self) -> None:
        """Starting is recovering: agree with the exchange before anything is decided."""
        self.learn_instruments()
        self.refresh()
        swept = self.sync.settle()
        # Only now: an order whose end was not booked yet would look like one that a later cycle has overtaken.
        if self._find_lost(()):
            swept = self.sync.settle()
        self._learn(swept)
        self._read_account()
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
                    self._take(book, turn)
                    return

    def consider(self, quote: Quote) -> Occasion | None:
        """What is to be acted upon now that the stream brought this quote; None nearly always. No IO."""
        now, symbol = self.clock(), quote.symbol
        entry = self.entries.get(symbol)
        if entry is None or symbol not in self.instruments:
            return None
        seen = self._seen(entry).streamed(quote, now + self.quote_max_age)
        self.seen[symbol] = seen
        if seen.screen.fault:
            self._say_fault(quote, seen.screen.fault, now)
            return None
        return self._judge(entry, now, quote)

    def reconsider(self, symbol: str) -> Occasion | None:
        """The same for the newest quote in memory: something else has changed. No IO."""
        entry = self.entries.get(symbol)
        if entry is None or symbol not in self.instruments:
            return None
        return self._judge(entry, self.clock(), None)

    def hear_latest(self, quotes: Iterable[Quote], asked_at: datetime) -> None:
        """REST's latest quotes: they decide like those of the stream, and bear them out."""
        latest = self.clock() + self.quote_max_age
        for quote in quotes:
            symbol, entry = quote.symbol, self.entries.get(quote.symbol)
            if entry is None:
                continue
            if fault := impossible(quote):
                self.say(symbol, fault)
                continue
            seen = self._seen(entry).answered(quote, asked_at, latest)
            self.seen[symbol] = seen
            if seen.screen.fault:
                self._say_fault(quote, seen.screen.fault, self.clock())
            if symbol in self.looks:
                self.looks[symbol] = self.looks[symbol].answered(quote, asked_at)

    def data_comes(self, since: float | None) -> None:
        """Since when the market-data stream is connected; None while it is not.

        What another connection brought is no price of now.
        """
        if since != self.data_since:
            self.data_since = since
            self.seen = {symbol: seen.cut_off() for symbol, seen in self.seen.items()}

    def _judge(self, entry: Entry, now: datetime, quote: Quote | None) -> Occasion | None:
        """Decide on the newest quote in memory. `quote` is the one that has just come, if one has."""
        symbol = entry.cycle.symbol
        newest = self._usable(entry, now)
        if newest is None or symbol in self.suspended:
            # Nobody sees what the price does meanwhile: a second look begins anew afterwards.
            self.looks.pop(symbol, None)
            if quote is not None and newest is None:
                self._say_if_it_came_so(quote, now)
            return None
        self.seen_at[symbol] = newest.at
        market = self._market(symbol, newest, now)
        decision = on_quote(entry.asset, entry.cycle, market)
        self._keep_look(entry, market, decision)
        self._notice_obstacle(symbol, decision, now)
        self._notice(entry, market, decision)
        if decision is None or self.obstacle:
            return None
        if not decision.acts:
            if decision.reason and not decision.waits_for:
                self.say(symbol, decision.reason)
            return None
        if self._is_early(symbol, decision) or not self._in_contact(now):
            return None
        self.deciding |= {order.client_order_id for order in decision.submit}
        self._spend(lambda funds: funds.promised(symbol, decision.submit))
        return Occasion(entry, market, decision)

    def act(self, symbol: str, occasion: Occasion) -> Decision | None:
        """Take the decision on the row as it stands and carry it out. Blocks for the exchange's answer."""
        entry = self.entries.get(symbol)
        promised = [order.client_order_id for order in occasion.decision.submit]
        decision = None
        try:
            if entry is None:
                return None
            decision = self.executor.carry_out(entry.cycle.id, partial(self._decide, occasion), entry)
            self._reload(symbol, entry.cycle.id)
        except RowFault as fault:
            self._hold(symbol, str(fault))
            return None
        finally:
            sent = decision.submit if decision is not None else ()
            self._spend(lambda funds: funds.withdrawn(promised).promised(symbol, sent))
            self.deciding.difference_update(promised)
            self._settle_promises([order.client_order_id for order in sent])
        if decision is not None:
            self.said = {key: at for key, at in list(self.said.items()) if key[0] != symbol}
        return decision

    def _decide(self, occasion: Occasion, asset: Asset, cycle: Cycle) -> Decision | None:
        """What is to be done by now: the lock may have kept us waiting until the price is another."""
        now, symbol = self.clock(), cycle.symbol
        seen = self.seen.get(symbol)
        if seen is None or seen.newest is None or not seen.is_usable(now, self.quote_max_age):
            return None
        if symbol not in self.instruments:
            return None  # Alpaca's list was read again meanwhile, and lacks it
        is_same = cycle is occasion.entry.cycle and asset is occasion.entry.asset
        is_same = is_same and seen.newest is occasion.market.quote
        # An order is as old as its decision: one that waited would be missed, or cancelled, too soon.
        if is_same and now - occasion.market.now < STANDS:
            return occasion.decision  # the row under its lock is still the one it was taken on
        own = occasion.decision.submit[0].client_order_id if occasion.decision.submit else ""
        decision = on_quote(self._judged(asset), cycle, self._market(symbol, seen.newest, now, own))
        if decision is None or not decision.acts or self._is_early(symbol, decision):
            return None
        return decision

    def _is_early(self, symbol: str, decision: Decision) -> bool:
        """True for a sale before the position was compared with Alpaca's: the books may be older than the account."""
        if symbol in self.compared or not any(order.side is Side.SELL for order in decision.submit):
            return False
        self.say(symbol, "no sale before its position was compared with Alpaca's after the start")
        return True

    def _market(self, symbol: str, quote: Quote, now: datetime, own_order: str = "") -> Market:
        return Market(
            self.instruments[symbol],
            quote,
            self.unowned.get(symbol),
            now,
            self.funds.spendable(own_order) if own_order else self.spendable,
            self.looks.get(symbol),
            self.spread_max,
        )

    def _seen(self, entry: Entry) -> Seen:
        """What was seen of a pair. A first quote that was believed for want of another is judged by our own price."""
        seen = self.seen.get(entry.cycle.symbol, Seen())
        believed = seen.screen.believed
        if believed is not None and seen.screen.compared:
            return seen
        price = fold(entry.cycle.orders).last_buy_price or entry.asset.last_sell_price
        if price is None:
            return seen
        since = seen.screen.since if believed is None else believed.at
        return replace(seen, screen=remembered(entry.cycle.symbol, price, since))

    def _usable(self, entry: Entry, now: datetime) -> Quote | None:
        """The newest quote of a pair if it is a price of now."""
        seen = self._seen(entry)
        return seen.newest if seen.is_usable(now, self.quote_max_age) else None

    def _keep_look(self, entry: Entry, market: Market, decision: Decision | None) -> None:
        """A second look lasts as long as the sale price is reached without a break."""
        symbol = entry.cycle.symbol
        if decision is not None and decision.looks:
            look = self.looks.get(symbol)
            first = market if look is None else replace(market, quote=look.first)
            # The first look at a bid that a raised take profit no longer has would never agree.
            if look is None or not reaches_sale_price(entry.asset, entry.cycle, first):
                self.looks[symbol] = SecondLook(market.quote, market.now)
        elif symbol in self.looks and not reaches_sale_price(entry.asset, entry.cycle, market):
            del self.looks[symbol]

    def _notice_obstacle(self, symbol: str, decision: Decision | None, now: datetime) -> None:
        """A wide spread is a matter of minutes, nearly always: what lasts is told once."""
        if decision is None or decision.waits_for is not Obstacle.SPREAD:
            self.wide_since.pop(symbol, None)
        elif now - self.wide_since.setdefault(symbol, now) >= WIDE_TOLD_AFTER:
            self.say(symbol, f"{decision.reason}, for over an hour")

    def _read_account(self) -> None:
        asked_at = self.clock()
        account = self.broker.account()
        self.obstacle = account.obstacle
        self._settle_promises(self.funds.promises)
        self._spend(lambda funds: funds.read(account.buying_power, asked_at))

    def _settle_promises(self, names: Iterable[str]) -> None:
        """Follow what became of these orders that money was promised to."""
        now = self.clock()
        gone: list[str] = []
        answered: list[str] = []
        for name in set(names) - self.deciding:
            promise = self.funds.promises.get(name)
            entry = self.entries.get(promise.symbol) if promise else None
            order = entry.cycle.order(name) if entry else None
            if order is None or (not is_open(order) and not order.filled_quantity):
                gone.append(name)
            elif order.status is not OrderStatus.INTENDED:
                answered.append(name)
        if gone or answered:
            self._spend(lambda funds: funds.withdrawn(gone).answered(answered, now))

    def _spend(self, change: Callable[[Funds], Funds]) -> None:
        with self.spending:
            self.funds = change(self.funds)
            self.spendable = self.funds.spendable()  # each quote asks for it

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
        self._read_account()
        foreign = self._foreign_now().items()
        coins_came = {symbol for symbol, coins in foreign if self.named.get(symbol) != coins}
        before = self.suspended
        reasons = {*coins_came, *before, *self._lost_names(swept)}
        is_due = bool(self.looks_for_lost.due(reasons, self.clock()))
        found = is_due and self._find_lost(reasons)
        if not is_due:
            self._say_that_coins_wait(coins_came)
        elif not found:
            self._name(coins_came)
        if swept.mended or found or self.held or self.suspended != before:
            self.refresh()
        return swept

    def _find_lost(self, reasons: Iterable[str]) -> bool:
        """Look for orders of ours that have no row: True when some were booked."""
        recovered = self.recovery.run()
        self.suspended = recovered.suspended
        whole = {*reasons, *self.suspended}
        self.looks_for_lost = self.looks_for_lost.looked(whole, self.clock())
        return bool(recovered.booked)

    def _lost_names(self, swept: Swept) -> list[str]:
        """The ids of our orders that are open at Alpaca and have no row."""
        in_book = {order.client_order_id for entry in swept.book.entries for order in entry.cycle.orders}
        strays = [report for report in swept.snapshot.open_orders if report.client_order_id not in in_book]
        return [report.client_order_id for report in strays if self.recovery.is_lost(report)]

    def symbols(self) -> list[str]:
        """What the market-data stream must bring: the assets with a current cycle that Alpaca lists, those with a
        position first.

        A pair that vanishes from the list keeps its quotes while there is a position: it was listed once.
        """
        entries = dict(self.entries)
        held = {symbol for symbol, entry in entries.items() if fold(entry.cycle.orders).held}
        kept = [symbol for symbol in entries if symbol in self.instruments or (symbol in held and is_pair(symbol))]
        return sorted(kept, key=lambda symbol: (symbol not in held, symbol))

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

    def _say_fault(self, quote: Quote, fault: str, now: datetime) -> None:
        if quote.at > now + self.quote_max_age:
            self._say_if_it_came_so(quote, now)
        else:
            self.say(quote.symbol, fault)

    def _say_if_it_came_so(self, quote: Quote, now: datetime) -> None:
        """A quote that grew old here is a quiet market; one that came old means that nothing is ever traded."""
        if self.seen_at.get(quote.symbol) != quote.at:
            sentence = age_sentence(quote, now)
            self.say(quote.symbol, sentence)
            self.notices.unusable(quote.symbol, sentence, now)

    def _notice(self, entry: Entry, market: Market, decision: Decision | None) -> None:
        """What `core/troubles.py` goes by: whether the position should be sold, why a buy waits."""
        symbol, waits, is_wide = entry.cycle.symbol, "", False
        if decision is None:
            self.notices.carried_out(symbol)
        elif not decision.acts and not decision.looks:
            waits, is_wide = decision.reason, decision.waits_for is Obstacle.SPREAD
        is_reached = self._is_reached(entry, market)
        self.notices.judged(symbol, market.now, is_reached, waits, is_wide)

    def _is_reached(self, entry: Entry, market: Market) -> bool:
        """True when the position should be sold now: at the market only after both looks."""
        symbol = entry.cycle.symbol
        known = self.sale_prices.get(symbol)
        if known is None or known[0] is not entry:
            holding = fold(entry.cycle.orders)
            price = None
            if holding.held:
                price = sale_price(entry.asset, holding, market.instrument)
            known = self.sale_prices[symbol] = entry, price
        price = known[1]
        if price is None or market.quote.bid < price:
            return False
        if entry.asset.take_profit_order is TakeProfitOrder.LIMIT:
            return True
        look = self.looks.get(symbol)
        return look is not None and (look.agrees(price) or look.is_silent(market.now))

    def _in_contact(self, now: datetime) -> bool:
        recently = self.swept_at is not None and now - self.swept_at < CONTACT_MAX_AGE
        return self.stream_up or recently

    def _learn(self, swept: Swept) -> None:
        """Positions speak of the cycles as the sweep found or left them: others learn at the next one."""
        self.swept_at = swept.snapshot.at
        for before in swept.book.entries:
            symbol = before.cycle.symbol
            entry = self.entries.get(symbol)
            as_compared = (before.cycle.orders, self.mended.get(before.cycle.id))
            if entry is not None and entry.cycle.id == before.cycle.id and entry.cycle.orders in as_compared:
                self.unowned.pop(symbol, None)
                if symbol in swept.unowned:
                    self.unowned[symbol] = swept.unowned[symbol]
                    self._see_foreign(symbol, swept.unowned[symbol], swept.snapshot.at)
                if symbol in swept.unowned and symbol not in swept.doubted:
                    self.compared.add(symbol)
        self.mended = {}

    def _see_foreign(self, symbol: str, coins: Decimal, at: datetime) -> None:
        if self.foreign.get(symbol, (None, at))[0] != coins:
            self.foreign[symbol] = (coins, at)

    def _foreign_now(self) -> dict[str, Decimal]:
        """Coins that no cycle bought, seen twice: a position lags behind a sale."""
        now = self.swept_at
        seen = list(self.foreign.items())
        return {
            symbol: coins
            for symbol, (coins, since) in seen
            if now is not None and now - since >= SECOND_LOOK_AFTER and not self._is_dust(symbol, coins)
        }

    def _name(self, symbols: Iterable[str]) -> None:
        """Tell of foreign coins once."""
        for symbol in symbols:
            coins = self.named[symbol] = self.foreign[symbol][0]
            log.warning(
                "%s: foreign coins: Alpaca shows %s that no cycle bought; they are never sold. "
                "`dcabot cycle adopt %s` takes them into a cycle",
                symbol,
                text(coins),
                symbol,
            )

    def _say_that_coins_wait(self, symbols: Iterable[str]) -> None:
        """Coins are foreign once Alpaca's list of orders was read, and that is done now and then."""
        for symbol in symbols:
            self.say(
                symbol,
                "its foreign coins changed again; within five minutes Alpaca's list of orders is "
                "read again, which tells whether dcabot bought them",
            )

    def _is_dust(self, symbol: str, coins: Decimal) -> bool:
        """True when coins are worth less than a dollar, or when nothing says what they are worth."""
        quote = self.seen.get(symbol, Seen()).newest
        return quote is None or coins * quote.bid < DUST_NOTIONAL

    def _take(self, book: Book, turn: int) -> None:
        current = [entry for entry in book.entries if entry.cycle.status not in OVER]
        for entry in current:
            known = self.entries.get(entry.cycle.symbol)
            if known is None or known.cycle.id != entry.cycle.id:
                self.unowned.pop(entry.cycle.symbol, None)
        held = dict(book.faults)
        # Rows that another thread read after this book are newer than it.
        entries = {symbol: entry for symbol, entry in self.entries.items() if self.read_at[symbol] > turn}
        for entry in current:
            asset = self._judged(entry.asset)
            if asset.symbol not in entries:
                entries[asset.symbol] = replace(entry, asset=asset)
                self.read_at[asset.symbol] = turn
            if why := asset.held_back or suspension(entry.cycle) or self.suspended.get(asset.symbol, ""):
                held[asset.symbol] = why
        for symbol in entries.keys() - self.entries.keys():
            # Before its entry is there: from then on other threads write what is seen of it.
            self._follow_again(symbol)
        before, self.entries, self.held = self.held, entries, held  # first, so that what is said is true
        self.notices.follow(entries)
        for symbol, sentence in held.items():
            if before.get(symbol) != sentence:
                log.error("%s is suspended: %s", symbol, sentence)
        for symbol in before.keys() - held.keys():
            log.info("%s is no longer suspended", symbol)

    def _follow_again(self, symbol: str) -> None:
        """A pair comes back, from a suspension perhaps: no price from before it went decides anything."""
        self.looks.pop(symbol, None)
        if symbol in self.seen:
            self.seen[symbol] = self.seen[symbol].unfollowed()

    def _judged(self, asset: Asset) -> Asset:
        """The asset with what is wrong in its settings: one that cannot work is suspended, the others trade."""
        instrument = self.instruments.get(asset.symbol)
        return judged(asset, instrument)

    def _reload(self, symbol: str, cycle_id: int) -> None:
        """After a commit of ours: the entry as it stands, or the whole book when it is another cycle's turn.

        An asset that is held has no entry: only the whole book says whether it still is.
        """
        turn = next(self.turns)
        entry = self.store.read_entry(cycle_id)
        with self.taking:
            known = self.entries.get(symbol)
            is_known = known is not None and known.cycle.id == cycle_id
            if entry is not None and entry.cycle.status not in OVER and is_known:
                # Two threads may read it at once, as the request's answer and the stream's report
                # come together: the older reading must not undo what the newer one said.
                if turn > self.read_at[symbol]:
                    self.entries[symbol] = replace(entry, asset=self._judged(entry.asset))
                    self.read_at[symbol] = turn
                return
        self.refresh()

    def _see_mended(self, cycle: Cycle) -> None:
        self.mended[cycle.id] = cycle.orders
        try:
            self._reload(cycle.symbol, cycle.id)
        except RowFault as fault:
            self._hold(cycle.symbol, str(fault))

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
