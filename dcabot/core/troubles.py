"""Troubles: why the bot cannot trade, and what a person can do. Notes: why it waits.

A condition is something that is so at the moment. It becomes a trouble when it has lasted longer
than its kind's patience. Waiting for a price, for money, for a cooldown or for a narrower spread is
a note and no trouble. Everything here is a function of what was seen and of `now`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import takewhile

from dcabot.core.ledger import DUST_NOTIONAL, fold
from dcabot.core.model import Asset, Cycle, Order, OrderStatus, Quote, Refusal, Side, whole_seconds
from dcabot.core.money import ZERO, text
from dcabot.core.reconcile import Entry
from dcabot.core.retry import BACKOFF_SECONDS_MAX, backoff_until
from dcabot.core.states import OVER, is_open


class Kind(Enum):
    """What a trouble is about; `dca_troubles.kind` says so. The last three are notes."""

    KEYS = "keys"
    ACCOUNT = "account"
    RECONCILIATION = "reconciliation"
    DECISION = "decision"
    QUOTES = "quotes"
    SALE = "sale"
    SUSPENDED = "suspended"
    ABSENCE = "absence"
    UNREADABLE = "unreadable"
    CLOCK = "clock"
    CANNOT_BUY = "cannot_buy"
    SPREAD = "spread"
    NO_PRICES = "no_prices"

    @property
    def is_trouble(self) -> bool:
        return self not in NOTES


NOTES = frozenset({Kind.CANNOT_BUY, Kind.SPREAD, Kind.NO_PRICES})
AT_ONCE = timedelta()
PATIENCE: Mapping[Kind, timedelta] = {
    Kind.KEYS: AT_ONCE,
    Kind.ACCOUNT: AT_ONCE,
    Kind.RECONCILIATION: timedelta(minutes=2),
    Kind.DECISION: timedelta(minutes=1),
    Kind.QUOTES: timedelta(minutes=5),
    Kind.SALE: timedelta(minutes=2),
    Kind.SUSPENDED: AT_ONCE,
    Kind.ABSENCE: timedelta(minutes=5),
    Kind.UNREADABLE: AT_ONCE,
    Kind.CLOCK: AT_ONCE,
    Kind.CANNOT_BUY: AT_ONCE,
    Kind.SPREAD: timedelta(hours=1),
    Kind.NO_PRICES: timedelta(minutes=5),
}
SKEW_MAX = timedelta(seconds=20)  # a third of the age at which a quote decides nothing
# A refused order that is still wanted is tried again within its pause. A longer silence means that
# its price has gone.
TRIED_AGAIN_WITHIN = timedelta(seconds=60)
LONGEST_PAUSE = timedelta(seconds=BACKOFF_SECONDS_MAX)

Since = Mapping[str, datetime]  # since when each condition has been so, by name


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is so now. `since` is None when it is known only that it is so."""

    kind: Kind
    sentence: str
    remedy: str = ""
    asset: str = ""
    since: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.kind.value} {self.asset}".rstrip()


@dataclass(frozen=True, slots=True)
class Trouble:
    """A condition that has lasted too long, or a note. `remedy` is what a person can do."""

    kind: Kind
    asset: str
    since: datetime
    sentence: str
    remedy: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind.value} {self.asset}".rstrip()


@dataclass(frozen=True, slots=True)
class Noticed:
    """What was seen of one pair. `usable_at`: its last usable quote, or the start without one.

    `reached_at`: since when its sale price has been reached without a break. `failing_since` and
    `failure`: a decision that raised an error, and none was carried out since. `waits`: why the
    rules would buy and do not, and whether that is the spread. `unusable`: why its newest quotes
    decide nothing.
    """

    usable_at: datetime
    reached_at: datetime | None = None
    failing_since: datetime | None = None
    failure: str = ""
    waits: str = ""
    is_wide: bool = False
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """The exchange as a whole. A sentence is empty where there is nothing to say."""

    reconciled_at: datetime
    failure: str = ""  # of the last reconciliation
    keys_refused: str = ""
    obstacle: str = ""  # of the account


def patience(kind: Kind) -> timedelta:
    """How long a condition of this kind may last before it is told."""
    return PATIENCE[kind]


def remembered(before: Since, found: Iterable[Condition], now: datetime) -> dict[str, datetime]:
    """Since when each condition has been so, by name. What is not found now is forgotten."""
    return {one.name: min(one.since or before.get(one.name, now), now) for one in found}


def lasting(found: Iterable[Condition], since: Since, now: datetime) -> list[Trouble]:
    """The conditions that have lasted for their kind's patience."""
    return [
        Trouble(one.kind, one.asset, since[one.name], one.sentence, one.remedy)
        for one in found
        if now - since[one.name] >= patience(one.kind)
    ]


# Conditions of the whole.


def of_contact(contact: Contact) -> list[Condition]:
    """What keeps every pair from being traded."""
    found = []
    if contact.keys_refused:
        remedy = "Put valid keys into the settings (man dcabot.env), then restart dcabot."
        found.append(Condition(Kind.KEYS, contact.keys_refused, remedy))
    if contact.obstacle:
        remedy = "Alpaca's dashboard says why; trading goes on by itself afterwards."
        found.append(Condition(Kind.ACCOUNT, f"Alpaca: {contact.obstacle}", remedy))
    if contact.failure and not contact.keys_refused:
        sentence = f"no reconciliation with Alpaca: {contact.failure}"
        remedy = "Orders wait until it works again; `dcabot check` looks for the cause."
        found.append(Condition(Kind.RECONCILIATION, sentence, remedy, since=contact.reconciled_at))
    return found


def of_unreadable(faults: Mapping[str, str]) -> list[Condition]:
    """Pairs whose rows cannot be read: nobody knows what they hold."""
    remedy = "Put the row right with SQL; the other assets trade on."
    sentences = {symbol: f"{symbol} is suspended: {why}" for symbol, why in faults.items()}
    return [Condition(Kind.UNREADABLE, told, remedy, symbol) for symbol, told in sentences.items()]


def of_unexplained(suspended: Mapping[str, str]) -> list[Condition]:
    """Pairs with orders of this bot's that the database cannot explain."""
    sentences = {symbol: f"{symbol} is suspended: {why}" for symbol, why in suspended.items()}
    return [Condition(Kind.SUSPENDED, told, "", symbol) for symbol, told in sentences.items()]


def of_answers(unread: Iterable[str]) -> list[Condition]:
    """Pairs about which Alpaca's answer cannot be read, an order's or the position's."""
    remedy = "Look at it in Alpaca's dashboard; nothing is concluded from what cannot be read."
    return [
        Condition(Kind.UNREADABLE, f"{symbol}: Alpaca's answer cannot be read", remedy, symbol)
        for symbol in sorted(unread)
    ]


def of_clock(skew: timedelta) -> list[Condition]:
    """This machine's clock beside Alpaca's. `skew` is above zero when Alpaca's is ahead."""
    if abs(skew) <= SKEW_MAX:
        return []
    seconds = whole_seconds(abs(skew))
    side = "behind" if skew > AT_ONCE else "ahead of"
    what = "quotes look too old or too new"
    sentence = f"this machine's clock is {seconds} s {side} Alpaca's: {what}"
    return [Condition(Kind.CLOCK, sentence, "Set it: timedatectl set-ntp true")]


# Conditions of one pair.


def of_pair(entry: Entry, noticed: Noticed, now: datetime, hindrance: str = "") -> list[Condition]:
    """What keeps this pair from being traded, and why it waits.

    `hindrance` is what keeps every pair from being traded, as a sentence; empty when nothing does.
    """
    asset, cycle = entry.asset, entry.cycle
    if cycle.status in OVER:
        return []
    has_coins = fold(cycle.orders).notional >= DUST_NOTIONAL
    found = [*_absence(cycle), *_suspension(asset, has_coins), *_undone(asset, cycle, noticed, now)]
    if has_coins and noticed.reached_at is not None and not _is_suspended(asset, cycle):
        found.append(_unsold(asset, cycle, noticed, hindrance))
    found += _without_prices(asset, noticed, has_coins)
    return found + _waiting(asset, cycle, noticed, has_coins)


def _is_suspended(asset: Asset, cycle: Cycle) -> bool:
    return cycle.missing_since is not None or bool(asset.held_back and not asset.sells_on)


def _absence(cycle: Cycle) -> list[Condition]:
    if cycle.missing_since is None:
        return []
    held, shown = text(fold(cycle.orders).held), text(cycle.shown or ZERO)
    owns = f"cycle {cycle.id} owns {held} and Alpaca shows {shown}"
    sentence = f"{cycle.symbol} is suspended: {owns}, without a cause"
    remedy = (
        f"If you sold or moved them, `dcabot cycle release {cycle.symbol}` ends the cycle; "
        "if they come back, trading goes on by itself."
    )
    return [Condition(Kind.ABSENCE, sentence, remedy, cycle.symbol, cycle.missing_since)]


def _suspension(asset: Asset, has_coins: bool) -> list[Condition]:
    if not asset.held_back or asset.sells_on:
        return []
    sentence = f"{asset.symbol} is suspended: {asset.held_back}"
    remedy = f"`dcabot asset show {asset.symbol}` names what to change."
    if has_coins:
        return [Condition(Kind.SUSPENDED, f"{sentence}; its coins wait", remedy, asset.symbol)]
    if not asset.enabled:
        return []
    return [Condition(Kind.CANNOT_BUY, sentence, remedy, asset.symbol)]


def _undone(asset: Asset, cycle: Cycle, noticed: Noticed, now: datetime) -> list[Condition]:
    """A decision that was taken and not carried out: an error, no answer, or refusals in a row."""
    symbol = asset.symbol
    if noticed.failing_since is not None:
        sentence = f"{symbol} has an order to place and cannot: {noticed.failure}"
        remedy = "Who holds the database? Other assets trade on."
        return [Condition(Kind.DECISION, sentence, remedy, symbol, noticed.failing_since)]
    for order in cycle.orders:
        if order.status is OrderStatus.INTENDED:
            sentence = f"{symbol}: Alpaca does not say what became of {order.client_order_id}"
            remedy = "It is asked again and again; nothing else is sent for this asset meanwhile."
            return [Condition(Kind.DECISION, sentence, remedy, symbol, order.created_at)]
    run = refused_in_a_row(cycle, Side.BUY, now)
    if not run or run[-1].refusal is Refusal.INSUFFICIENT_BALANCE:
        return []
    sentence = f"{symbol} cannot buy, its order is refused: {run[-1].note}"
    remedy = "It is tried again by itself, at most ten minutes apart."
    return [Condition(Kind.DECISION, sentence, remedy, symbol, run[0].created_at)]


def refused_in_a_row(cycle: Cycle, side: Side, now: datetime) -> list[Order]:
    """The newest orders of this side, oldest first, if they were refused one after the other.

    Empty when the last one was not refused, or when its next try is overdue: it is wanted no more.
    """
    until = backoff_until(cycle, side)
    if until is None or now > until + TRIED_AGAIN_WITHIN:
        return []
    mine = [order for order in reversed(cycle.orders) if order.side is side]
    run: list[Order] = []
    for order in takewhile(_was_refused, mine):
        if run and run[-1].created_at - order.created_at > LONGEST_PAUSE + TRIED_AGAIN_WITHIN:
            break
        run.append(order)
    return run[::-1]


def _was_refused(order: Order) -> bool:
    return order.status is OrderStatus.REJECTED and not order.filled_quantity


def _unsold(asset: Asset, cycle: Cycle, noticed: Noticed, hindrance: str) -> Condition:
    sentence = f"{asset.symbol} is not sold although its price is reached: "
    obstacle, remedy = _obstacle(cycle, noticed, hindrance)
    return Condition(Kind.SALE, sentence + obstacle, remedy, asset.symbol, noticed.reached_at)


def _obstacle(cycle: Cycle, noticed: Noticed, hindrance: str) -> tuple[str, str]:
    """What stands in the way of a sale, and what a person can do."""
    if hindrance:
        return hindrance, ""
    if noticed.failing_since is not None:
        return noticed.failure, "`dcabot check` looks for the cause."
    for order in cycle.orders:
        if is_open(order):
            name = f"{order.client_order_id} ({order.status.value})"
            sentence = f"its {order.side.value} order {name} is still open"
            return sentence, "Look at it in Alpaca's dashboard."
    sells = [order for order in cycle.orders if order.side is Side.SELL]
    last = sells[-1] if sells else None
    if last is None or last.status is OrderStatus.FILLED:
        return "nothing was sent yet", "`journalctl -u dcabot` says more."
    if last.status is not OrderStatus.REJECTED:
        sentence = f"its last sell order was {last.status.value}"
        return sentence, "It is tried again with each new price."
    if last.refusal is Refusal.WASH_TRADE:
        remedy = f"Cancel your own open buy orders of {cycle.symbol}."
        return f"an open buy order of yours is in the way: {last.note}", remedy
    if last.refusal is Refusal.INSUFFICIENT_BALANCE:
        remedy = f"Cancel your own open sell orders of {cycle.symbol}."
        return f"an open sell order of yours may hold its coins: {last.note}", remedy
    return f"Alpaca refuses it: {last.note}", "Ask Alpaca why; it is tried again by itself."


def _without_prices(asset: Asset, noticed: Noticed, has_coins: bool) -> list[Condition]:
    symbol, why = asset.symbol, noticed.unusable or "no quote comes"
    remedy = "`dcabot check` looks at the clock and at the prices."
    if has_coins:
        sentence = f"{symbol} has a position and no usable quote: {why}"
        return [Condition(Kind.QUOTES, sentence, remedy, symbol, noticed.usable_at)]
    if not asset.enabled:
        return []
    sentence = f"{symbol} has no usable quote: {why}"
    return [Condition(Kind.NO_PRICES, sentence, remedy, symbol, noticed.usable_at)]


def _waiting(asset: Asset, cycle: Cycle, noticed: Noticed, has_coins: bool) -> list[Condition]:
    """Notes: an enabled asset that would buy and waits for something else than its price."""
    if not asset.enabled or _is_suspended(asset, cycle):
        return []
    why = asset.held_back or noticed.waits
    if not why:
        return []
    kind = Kind.SPREAD if noticed.is_wide and not asset.held_back else Kind.CANNOT_BUY
    return [Condition(kind, f"{asset.symbol} cannot buy: {why}", "", asset.symbol)]


def age_sentence(quote: Quote, now: datetime) -> str:
    """How a quote that came too old or from the future is told, and what that usually means."""
    age = whole_seconds(now - quote.at)
    when = f"{age} s old" if age > 0 else f"{-age} s in the future"
    return f"quotes come {when} and decide nothing: is this machine's clock right?"
