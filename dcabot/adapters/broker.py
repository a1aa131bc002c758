"""The exchange's REST door: submit, cancel, and every question that is asked of Alpaca.

A request has three outcomes, told as values; a question is answered or raises. "Not there" is said only when Alpaca
said so itself. Everything blocks for at most some seconds and may be called from many threads at once.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import quote as percent_encoded

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient

from dcabot.adapters import transport, wire
from dcabot.adapters.budget import AGAIN_RATIO, SALES_RATIO, Budget
from dcabot.adapters.config import Config, Venue
from dcabot.adapters.latest_quotes import LatestQuotes
from dcabot.adapters.transport import TROUBLE, Missing, message, sentence
from dcabot.adapters.wire import WireError
from dcabot.core.model import Instrument, Order, OrderReport, Quote, Refusal, Side, TimeInForce
from dcabot.core.snapshot import (
    Accepted,
    Account,
    AlreadyOver,
    CancelOutcome,
    CancelRequested,
    ExchangeDenied,
    ExchangeError,
    ExchangeMisunderstood,
    ExchangeUnreachable,
    Fill,
    Listing,
    NotFound,
    Position,
    Refused,
    SubmitOutcome,
    Transfer,
    Unknown,
    Unreadable,
)

__all__ = [
    "Accepted",
    "AlreadyOver",
    "Broker",
    "CancelRequested",
    "ExchangeDenied",
    "ExchangeError",
    "ExchangeUnreachable",
    "NotFound",
    "Refusal",
    "Refused",
    "Unknown",
]

PAGE_SIZE = 500  # the most that GET /v2/orders returns at once (alpaca.md 2.2)
PAGES_MAX = 20
AGAIN_WITHIN = timedelta(seconds=5)  # a sale at a limit that follows one so soon is another try
ALL_PAGES_MAX = 400  # of closed orders too, since the newest one that is known
FILLS_PAGE = 100  # likewise of /v2/account/activities (2.9)
FILLS_PAGES_MAX = 1000

OWN_LIMIT = "our own limit of requests a minute is used up"  # said of an order that was not sent

# Words in a lower-cased message, first match wins. Code 40310000 has at least four causes (alpaca.md 2.11).
REFUSALS: tuple[tuple[str, Refusal], ...] = (
    ("wash trade", Refusal.WASH_TRADE),
    ("cost basis must be", Refusal.MINIMUM_COST),
    ("minimal amount of order", Refusal.MINIMUM_COST),
    ("insufficient", Refusal.INSUFFICIENT_BALANCE),
    ("rate limit", Refusal.RATE_LIMITED),
    ("too many requests", Refusal.RATE_LIMITED),
    ("is not active", Refusal.NOT_TRADABLE),
    ("not tradable", Refusal.NOT_TRADABLE),
    ("asset not found", Refusal.NOT_TRADABLE),
    ("unauthorized", Refusal.UNAUTHORIZED),
    ("not authorized", Refusal.UNAUTHORIZED),
    ("forbidden", Refusal.UNAUTHORIZED),
    ("verification failed", Refusal.UNAUTHORIZED),
)
# An id that the exchange has already; the words are said to come with blanks too.
ID_TAKEN = re.compile(r"client[ _]order[ _]id\b.*\bunique")
# Statuses by which Alpaca itself says that it did not take the order. 408 and 409 do not say so.
NOT_PLACED = frozenset({400, 403, 404, 422})

Row = TypeVar("Row")


class Broker:
    """Alpaca over REST, for one account."""

    def __init__(self, config: Config, clock: Callable[[], datetime], budget: Budget | None = None) -> None:
        self._clock = clock
        self._base_url = config.base_url
        self._is_live = config.venue not in (Venue.PAPER, Venue.SIMULATOR)
        self._budget = budget or Budget()
        # Queries have their own connections, so that a slow one never holds one that an order needs.
        self._orders = _client(config, config.base_url, "v2", self._budget)
        self._queries = _client(config, config.base_url, "v2", self._budget)
        self._latest_quotes = LatestQuotes(config)
        self._symbols: Mapping[str, str] = {}  # of all listed pairs, BTCUSD: BTC/USD
        self._unlisted: set[str] = set()
        self._ioc_at: dict[str, datetime] = {}  # when each pair last sent a sale that fills at once or not at all

    def close(self) -> None:
        """Close the idle connections."""
        for client in (self._orders, self._queries):
            client._session.close()
        self._latest_quotes.close()

    def warm_up(self, count: int) -> int:
        """Have up to `count` connections open before an order needs them; how many are. Costs no request."""
        return transport.open_connections(self._orders, self._base_url, count)

    # Requests: sent once, and told as what is known of their fate.

    def submit(self, symbol: str, order: Order) -> SubmitOutcome:
        """Send an order once. `Refused` only where it is certain that Alpaca does not have it."""
        if not self._budget.take(self._left_for_others(symbol, order)):
            return Refused(OWN_LIMIT, Refusal.RATE_LIMITED)
        try:
            report = wire.order_report(self._orders.post("/orders", wire.order_body(symbol, order)))
        except APIError as error:
            return _refused(error)
        except WireError as error:
            return Unknown(f"the answer was not understood: {error}")
        except TROUBLE as error:
            if transport.never_connected(error):
                return Refused(sentence(error), Refusal.UNREACHABLE)
            return Unknown(sentence(error))
        if report.client_order_id != order.client_order_id:
            return Unknown("the answer is about another order")
        return Accepted(report)

    def _left_for_others(self, symbol: str, order: Order) -> float:
        """The share of the limit of requests that this order must leave."""
        if order.side is Side.BUY:
            return SALES_RATIO
        if order.time_in_force is not TimeInForce.IOC:
            return 0.0
        now = self._clock()
        before, self._ioc_at[symbol] = self._ioc_at.get(symbol), now
        return AGAIN_RATIO if before is not None and abs(now - before) < AGAIN_WITHIN else 0.0

    def cancel(self, order_id: str) -> CancelOutcome:
        """Ask for a cancel; whether it came before a fill, the order's report will say."""
        if not self._budget.take():
            return Unknown(OWN_LIMIT)
        try:
            self._orders.delete(f"/orders/{percent_encoded(order_id, safe='')}")
        except APIError as error:
            return _not_cancelled(error)
        except TROUBLE as error:
            return Unknown(sentence(error))
        return CancelRequested()

    # Questions: answered, or they raise ExchangeUnreachable (later, perhaps) or ExchangeDenied (the keys).

    def report(self, client_order_id: str) -> OrderReport | None:
        """The order of that id as Alpaca knows it; None only when Alpaca says that it has none."""
        try:
            # What became of an order decides whether the next one may go: it waits for no list.
            parameters = {"client_order_id": client_order_id}
            answer = self._query("/orders:by_client_order_id", parameters, is_urgent=True)
        except Missing:
            return None
        return _read(wire.order_report, answer)

    def open_orders(self) -> Listing[OrderReport]:
        """All open crypto orders of the account, ours and others', oldest first."""
        return self._orders_after("open", None, PAGES_MAX)

    def orders_since(self, after: datetime) -> Listing[OrderReport]:
        """All crypto orders that were sent since then, closed ones too, oldest first."""
        return self._orders_after("all", after, ALL_PAGES_MAX)

    def recent_orders(self) -> Listing[OrderReport]:
        """The newest crypto orders of the account, closed ones too; those of long ago are not read."""
        rows: dict[str, dict[str, object]] = {}
        until: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            parameters = {"status": "all", "limit": str(PAGE_SIZE), "direction": "desc", **until}
            page = _rows(self._query("/orders", parameters))
            fresh = {str(row.get("id")): row for row in page if str(row.get("id")) not in rows}
            rows.update(fresh)
            if len(page) < PAGE_SIZE or not fresh:
                break
            last = min(_read(wire.instant, row.get("submitted_at")) for row in page)
            until = {"until": _stamp(last + timedelta(microseconds=1))}
        return wire.listing(wire.order_report, filter(_is_crypto, rows.values()), "client_order_id")

    def _orders_after(self, status: str, since: datetime | None, pages: int) -> Listing[OrderReport]:
        rows: dict[str, dict[str, object]] = {}
        after = {} if since is None else {"after": _stamp(since)}
        for _ in range(pages):
            parameters = {"status": status, "limit": str(PAGE_SIZE), "direction": "asc", **after}
            page = _rows(self._query("/orders", parameters))
            fresh = {str(row.get("id")): row for row in page if str(row.get("id")) not in rows}
            rows.update(fresh)
            if len(page) < PAGE_SIZE:
                kept = filter(_is_crypto, rows.values())
                return wire.listing(wire.order_report, kept, "client_order_id")
            if not fresh:
                break
            # The cursor excludes its own instant, which several orders may share: step back a little, skip the known.
            last = max(_read(wire.instant, row.get("submitted_at")) for row in page)
            after = {"after": _stamp(last - timedelta(microseconds=1))}
        raise ExchangeUnreachable(f"the list of {status} orders does not end after {len(rows)} orders")

    def positions(self) -> Listing[Position]:
        """The crypto the account holds; a symbol that is not listed is not held, unless `may_hide` says otherwise."""
        rows = [row for row in _rows(self._query("/positions")) if _is_crypto(row)]
        if names := {wire.joined(str(row.get("symbol"))) for row in rows} - self._symbols.keys() - self._unlisted:
            self.instruments()  # it may have been listed since we last asked
            self._unlisted |= names - self._symbols.keys()
        listing = wire.listing(lambda row: wire.position(row, self._symbols), rows, "symbol")
        unreadable = tuple(Unreadable(self._symbols.get(wire.joined(u.key), u.key), u.why) for u in listing.unreadable)
        return Listing(listing.rows, unreadable)

    def account(self) -> Account:
        account = _read(wire.account, self._query("/account"))
        return replace(account, is_live=self._is_live)

    def instruments(self) -> Listing[Instrument]:
        """What the exchange allows for each pair quoted in USD."""
        rows = [
            row for row in _rows(self._query("/assets", {"asset_class": "crypto"})) if "/" in str(row.get("symbol"))
        ]
        # A withdrawn asset may linger beside the one that took its name (alpaca.md 2.5): the tradable one counts.
        rows.sort(key=lambda row: (row.get("status") == "active", row.get("tradable") is True))
        by_symbol = {str(row["symbol"]): row for row in rows}
        self._symbols = wire.symbols_by_joined(by_symbol)
        in_dollars = (row for symbol, row in by_symbol.items() if symbol.endswith("/USD"))
        return wire.listing(wire.instrument, in_dollars, "symbol")

    def latest_quotes(self, symbols: Iterable[str]) -> Listing[Quote]:
        """The newest quote of each symbol; one without a quote is not in the list."""
        return self._latest_quotes.of(symbols)

    def fills(self, after: datetime) -> Listing[Fill]:
        """Every execution since `after`, oldest first: the exchange's own ledger."""
        rows: list[dict[str, object]] = []
        page: list[dict[str, object]] = []
        parameters = {
            "after": after.isoformat().replace("+00:00", "Z"),
            "direction": "asc",
            "page_size": str(FILLS_PAGE),
        }
        for _ in range(FILLS_PAGES_MAX):
            token = {"page_token": str(page[-1].get("id"))} if page else {}
            page = _rows(self._query("/account/activities/FILL", {**parameters, **token}))
            rows += page
            if len(page) < FILLS_PAGE:
                return wire.listing(lambda row: wire.fill(row, self._symbols), rows, "order_id")
        raise ExchangeUnreachable(f"the list of fills does not end after {len(rows)} rows")

    def transfers(self) -> Listing[Transfer]:
        """Coins sent to the account and away from it. Not every account may ask: then it raises as any question."""
        return wire.listing(wire.transfer, _rows(self._query("/wallets/transfers")), "id")

    def clock_skew(self) -> timedelta:
        """How far the exchange's clock is ahead of ours, give or take half of the time the question took."""
        before = self._clock()
        answer = self._query("/clock")
        middle = before + (self._clock() - before) / 2
        return _read(wire.instant, answer.get("timestamp") if isinstance(answer, dict) else None) - middle

    def _query(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        is_urgent: bool = False,
    ) -> object:
        return transport.ask(self._queries, self._budget, path, parameters, is_urgent)


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _client(config: Config, url: str, version: str, budget: Budget) -> RESTClient:
    """alpaca-py's own REST client, for one host.

    The clients it derives from this one add models, which are not wanted here, and load pandas for them.
    """
    client = RESTClient(url, config.key_id, config.secret_key, api_version=version)
    transport.prepare(client, url, budget)
    return client


def _refused(error: APIError) -> SubmitOutcome:
    """What an error answer to an order means: refused only where Alpaca says so in its own words."""
    status, said, shown = error.status_code, message(error).lower(), wire.storable(sentence(error))
    name = transport.request_id(error)
    if status == 429:
        return Refused(shown, Refusal.RATE_LIMITED, name)
    if status == 401:
        return Refused(shown, Refusal.UNAUTHORIZED, name)
    if status not in NOT_PLACED or not said:
        return Unknown(shown)
    if ID_TAKEN.search(said):
        return Unknown(f"the exchange has that order already ({shown})")
    default = Refusal.INVALID if status in (400, 422) else Refusal.OTHER
    if said.startswith("asset ") and said.endswith(" not found"):
        default = Refusal.NOT_TRADABLE
    code = next((code for words, code in REFUSALS if words in said), default)
    return Refused(shown, code, name)


def _not_cancelled(error: APIError) -> CancelOutcome:
    status, said, shown = error.status_code, message(error).lower(), sentence(error)
    if status == 404 and "not found" in said:
        return NotFound(shown)
    if status == 422 and "pending_cancel" in said:
        return CancelRequested()
    if status == 422 and "already in" in said:
        return AlreadyOver(shown)
    return Unknown(shown)


def _rows(answer: object) -> list[dict[str, object]]:
    """A list of objects. What is not an object stays, as an empty one: it must not vanish from the count."""
    if not isinstance(answer, list):
        raise ExchangeMisunderstood(f"the answer was not understood: not a list but {type(answer).__name__}")
    return [row if isinstance(row, dict) else {} for row in answer]


def _is_crypto(row: Mapping[str, object]) -> bool:
    """False for the stocks and options that the account's owner may trade beside us."""
    return row.get("asset_class", "crypto") in ("crypto", None)


def _read(parse: Callable[[object], Row], answer: object) -> Row:
    try:
        return parse(answer)
    except WireError as error:
        raise ExchangeMisunderstood(f"the answer was not understood: {error}") from None
