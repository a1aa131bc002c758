"""Books that are older than the account: which of Alpaca's orders are ours and have no row, and where they belong.

A restored backup, a failover that lost the last commits, or a row deleted by hand leave orders behind that only Alpaca
knows. Their ids tell the cycle. Orders of another dcabot are nobody's to book.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core import lifecycle
from dcabot.core.ledger import DUST_NOTIONAL, FEE_RATIO_MAX, fold
from dcabot.core.model import EPOCH, Cycle, CycleStatus, Decision, EndedBy, Order, OrderReport, Side
from dcabot.core.money import ONE, ZERO
from dcabot.core.order_ids import OrderId, is_of_another, is_own, parsed
from dcabot.core.states import OPEN

LOOKED_FOR_EVERY = timedelta(minutes=5)  # the list of all orders is read for one reason so often
READ_BACK = timedelta(hours=1)  # before the newest row: clocks differ, and a commit that was lost may be older


@dataclass(frozen=True, slots=True)
class LostCycle:
    """Orders without a row that name one cycle, oldest first."""

    tag: str
    cycle_id: int
    opened_at: datetime
    symbol: str
    reports: tuple[OrderReport, ...]

    @property
    def coins(self) -> Decimal:
        """Coins that these orders left on the account, at least."""
        return net_coins(self.reports)


@dataclass(frozen=True, slots=True)
class Looks:
    """Reasons to read Alpaca's list of all orders, and when each was looked into.

    A reason that comes again and again, such as foreign coins that keep changing, costs no more
    than one reading in five minutes.
    """

    looked_at: Mapping[str, datetime] = field(default_factory=dict)

    def due(self, reasons: Iterable[str], now: datetime) -> frozenset[str]:
        """The reasons that are new, or were looked into long enough ago."""
        return frozenset(one for one in reasons if not self._is_recent(one, now))

    def looked(self, reasons: Iterable[str], now: datetime) -> "Looks":
        """After the list was read: it speaks of all these reasons."""
        kept = {one: at for one, at in self.looked_at.items() if self._is_recent(one, now)}
        return Looks(kept | dict.fromkeys(reasons, now))

    def _is_recent(self, reason: str, now: datetime) -> bool:
        at = self.looked_at.get(reason)
        return at is not None and abs(now - at) < LOOKED_FOR_EVERY


def lost_cycles(reports: Iterable[OrderReport], known: Collection[str]) -> list[LostCycle]:
    """The orders that have no row, by the cycle that their ids name: the oldest cycle first."""
    found: dict[tuple[str, int, int, str], list[OrderReport]] = {}
    for report in reports:
        parts = parsed(report.client_order_id)
        if parts is not None and report.client_order_id not in known:
            key = (parts.tag, parts.opened, parts.cycle_id, report.symbol)
            found.setdefault(key, []).append(report)
    return [
        LostCycle(tag, cycle_id, _instant(opened), symbol, tuple(sorted(found[key], key=_made_at)))
        for key in sorted(found)
        for tag, opened, cycle_id, symbol in (key,)
    ]


def own(reports: Iterable[OrderReport], tag: str) -> list[OrderReport]:
    return [report for report in reports if is_own(report.client_order_id, tag)]


def others(reports: Iterable[OrderReport], tag: str) -> dict[str, list[OrderReport]]:
    """Orders of other dcabots, by symbol."""
    found: dict[str, list[OrderReport]] = {}
    for report in reports:
        if is_of_another(report.client_order_id, tag):
            found.setdefault(report.symbol, []).append(report)
    return found


def tags_of_others(reports: Iterable[OrderReport], tag: str) -> dict[str, str]:
    """Alpaca's ids of the orders of other dcabots, with the tag of each one's database."""
    found = {}
    for report in reports:
        parts = parsed(report.client_order_id)
        if parts is not None and is_of_another(report.client_order_id, tag):
            found[report.order_id] = parts.tag
    return found


def net_coins(reports: Iterable[OrderReport]) -> Decimal:
    """Coins bought less coins sold, less the highest fee."""
    coins = ZERO
    for report in reports:
        sign = ONE - FEE_RATIO_MAX if report.side is Side.BUY else -ONE
        coins += report.filled_quantity * sign
    return coins


def is_active(reports: Iterable[OrderReport], price: Decimal, foreign: Decimal) -> bool:
    """True when somebody's orders are open, or when their coins are still there.

    `foreign` are the coins at the exchange that this database's cycles did not buy: what the orders
    bought may have been sold or moved by hand since.
    """
    theirs = list(reports)
    if any(report.status in OPEN for report in theirs):
        return True
    return min(net_coins(theirs), foreign) * price >= DUST_NOTIONAL


def price_of(reports: Iterable[OrderReport]) -> Decimal:
    """USD that a coin cost or brought in the newest of these orders; zero when none was filled."""
    prices = [report.filled_price for report in sorted(reports, key=_made_at) if report.filled_price]
    return prices[-1] if prices else ZERO


def on_lost_order(cycle: Cycle, report: OrderReport) -> Decision | None:
    """Book an order without a row into its cycle, where it stood among the others. None when it has one."""
    parts = parsed(report.client_order_id)
    if parts is None or cycle.order(report.client_order_id) is not None:
        return None
    order = _row_of(report, parts)
    earlier = [one for one in cycle.orders if one.created_at <= order.created_at]
    later = [one for one in cycle.orders if one.created_at > order.created_at]
    whole = replace(cycle, orders=(*earlier, order, *later))
    decision = lifecycle.on_report(whole, report, report.at)
    if decision is None:
        decision = lifecycle.settle_status(whole, "order found at Alpaca", report.at)
    return replace(decision, reason=f"{report.client_order_id} had no row: {decision.reason}", cancel=(), odd=True)


def on_overtaken(cycle: Cycle, at: datetime) -> Decision:
    """A later cycle of the asset was opened at `at`: this one had ended by then, nobody knows how."""
    over = replace(
        cycle,
        status=CycleStatus.ERROR,
        completed_at=at,
        ended_by=EndedBy.ERROR,
        missing_since=None,
        shown=None,
    )
    held = fold(cycle.orders).held
    return Decision(over, f"a later cycle had been opened: ended, with {held} {cycle.symbol} unsold", odd=True)


def _row_of(report: OrderReport, parts: OrderId) -> Order:
    """The row as it stood before the request."""
    return Order(
        client_order_id=report.client_order_id,
        purpose=parts.purpose,
        side=report.side,
        quantity=report.quantity or report.filled_quantity,
        limit_price=report.limit_price,
        created_at=_made_at(report),
    )


def _made_at(report: OrderReport) -> datetime:
    return report.created_at or report.at


def _instant(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)
