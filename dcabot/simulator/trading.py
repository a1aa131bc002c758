"""The trading host: /v2 of one account. Shapes and refusals: alpaca.md section 2."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from decimal import Decimal
from urllib.parse import unquote

from aiohttp import web

from dcabot.core.model import Side
from dcabot.core.money import HUNDRED, step_down
from dcabot.core.sessions import CLOSES, OPENS, is_open, next_at, utc
from dcabot.core.venue import (
    QUANTITY_STEP,
    USD,
    Activity,
    Execution,
    FeeRow,
    OrderRequest,
    Refusal,
    VenueOrder,
    coins_of,
)
from dcabot.simulator import requests
from dcabot.simulator.exchange import Exchange
from dcabot.simulator.listings import Listing
from dcabot.simulator.protocol import answer, refuse
from dcabot.simulator.wire import (
    Json,
    account_json,
    activity_id,
    activity_json,
    asset_json,
    new_york_stamp,
    order_json,
    position_json,
    refusal_json,
    transfer_json,
)

ORDERS_MAX = 500
PAGE_MAX = 100
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NO_POSITION = Refusal(404, 40410000, "position does not exist")


class TradingHost:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._venue = exchange.venue

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v2/account", self.account),
            web.get("/v2/account/configurations", self.configurations),
            web.patch("/v2/account/configurations", self.configure),
            web.get("/v2/account/activities", self.activities),
            web.get("/v2/account/activities/{type}", self.activities),
            web.get("/v2/wallets/transfers", self.transfers),
            web.get("/v2/wallets/transfers/{id}", self.one_transfer),
            web.get("/v2/assets", self.assets),
            web.get("/v2/assets/{name:.+}", self.asset),
            web.get("/v2/clock", self.clock),
            web.post("/v2/orders", self.submit),
            web.get("/v2/orders", self.orders),
            web.delete("/v2/orders", self.cancel_all),
            web.get("/v2/orders:by_client_order_id", self.order_by_client_id),
            web.get("/v2/orders/{id}", self.order),
            web.delete("/v2/orders/{id}", self.cancel),
            web.patch("/v2/orders/{id}", self.amend),
            web.get("/v2/positions", self.positions),
            web.delete("/v2/positions", self.close_all),
            web.get("/v2/positions/{name}", self.position),
            web.delete("/v2/positions/{name}", self.close),
            web.route("*", "/v2/positions/{name:.+}", self.no_position),
        ]

    # --- account, assets, clock ---

    async def account(self, request: web.Request) -> web.Response:
        return answer(self.account_view())

    def account_view(self) -> Json:
        now = self._exchange.clock.now()
        account = self._venue.account
        tier = account.tier(now).number
        money, settings = self._exchange.money(), self._exchange.configurations
        shown = account_json(money, tier, now, self._exchange.account_id, settings)
        return {**shown, **asdict(account.standing)}

    async def configurations(self, request: web.Request) -> web.Response:
        return answer(self._exchange.configurations)

    async def configure(self, request: web.Request) -> web.Response:
        self._exchange.configure(requests.read_json(await request.read()))
        return answer(self._exchange.configurations)

    async def assets(self, request: web.Request) -> web.Response:
        query = request.query
        rows = [self._asset(listing) for listing in self._exchange.listings.values()]
        if query.get("asset_class") not in (None, "", "crypto"):
            rows = []
        if query.get("status"):
            rows = [row for row in rows if row["status"] == query["status"]]
        return answer(rows)

    async def asset(self, request: web.Request) -> web.Response:
        name = unquote(request.match_info["name"])
        listing = self._exchange.listings.get(self._exchange.symbol_of(name))
        if listing is None:
            return refuse(Refusal(404, 40410000, f"asset not found for {name[:100]}"))
        return answer(self._asset(listing))

    def _asset(self, listing: Listing) -> Json:
        row = asset_json(listing)
        if not self._exchange.settings.shows_easy_to_borrow:
            del row["easy_to_borrow"]
            row["borrow_status"] = "not_borrowable"
        return row

    async def clock(self, request: web.Request) -> web.Response:
        """The hours of the stock exchange."""
        now = self._exchange.clock.now()
        return answer(
            {
                "timestamp": new_york_stamp(now),
                "is_open": is_open(now),
                "next_open": new_york_stamp(utc(next_at(now, OPENS))),
                "next_close": new_york_stamp(utc(next_at(now, CLOSES))),
            }
        )

    # --- orders ---

    def view(self, order: VenueOrder) -> Json:
        return order_json(order, self._exchange.listings[order.symbol])

    async def submit(self, request: web.Request) -> web.Response:
        wanted = requests.read_order(requests.read_json(await request.read()))
        return self._submitted(wanted)

    def _submitted(self, wanted: OrderRequest) -> web.Response:
        outcome = self._exchange.submit(replace(wanted, symbol=self._exchange.symbol_of(wanted.symbol)))
        return refuse(outcome) if isinstance(outcome, Refusal) else answer(self.view(outcome))

    async def orders(self, request: web.Request) -> web.Response:
        return answer([self.view(order) for order in self.select_orders(request.query)])

    def select_orders(self, query: Mapping[str, str], most: int | None = ORDERS_MAX) -> list[VenueOrder]:
        """The orders that a GET /v2/orders asks for; `most` None shows them all unless the query limits them."""
        status = query.get("status") or "open"
        if status not in ("open", "closed", "all"):
            raise requests.invalid(f"invalid status: {status[:20]}")
        limit = None if most is None and "limit" not in query else self._limit(query)
        after, until = requests.instant(query, "after"), requests.instant(query, "until")
        symbols = {self._exchange.symbol_of(name) for name in requests.words(query, "symbols")}
        newest, oldest = self._number(query, "before_order_id"), self._number(query, "after_order_id")
        side, direction = query.get("side"), _direction(query)
        classes = set(requests.words(query, "asset_class"))
        if classes and classes.isdisjoint(("crypto", "all")):
            return []
        source = self._venue.open if status == "open" else self._venue.orders
        ordered: Iterable[VenueOrder] = source.values() if direction == "asc" else reversed(source.values())
        found: list[VenueOrder] = []
        for order in ordered:
            if (
                (status != "closed" or not order.is_open)
                and (after is None or order.submitted_at > after)
                and (until is None or order.submitted_at < until)
                and (not symbols or order.symbol in symbols)
                and side in (None, "", order.side.value)
                and (newest is None or order.number < newest)
                and (oldest is None or order.number > oldest)
            ):
                found.append(order)
                if len(found) == limit:
                    break
        return found

    def _limit(self, query: Mapping[str, str]) -> int:
        if not self._exchange.settings.cuts_limit:
            return requests.count(query, "limit", 50, ORDERS_MAX)
        return min(requests.count(query, "limit", 50, 10**12), ORDERS_MAX)

    def _number(self, query: Mapping[str, str], name: str) -> int | None:
        """The number of the order that a cursor names."""
        if name not in query:
            return None
        if query[name] not in self._venue.orders:
            raise requests.invalid(f"invalid {name}")
        return self._venue.orders[query[name]].number

    async def order(self, request: web.Request) -> web.Response:
        order_id = request.match_info["id"]
        self._check_id(order_id)
        return self._found(self._venue.orders.get(order_id), order_id)

    def _check_id(self, order_id: str) -> None:
        """Raises BadRequest for what is no UUID, if the settings have a refusal of its own."""
        if self._exchange.settings.malformed_order_id == 422 and not UUID.fullmatch(order_id):
            raise requests.invalid("order_id is missing")

    async def order_by_client_id(self, request: web.Request) -> web.Response:
        client_order_id = request.query.get("client_order_id", "")
        return self._found(self._venue.order_of(client_order_id), client_order_id)

    def _found(self, order: VenueOrder | None, name: str) -> web.Response:
        if order is None:
            return refuse(Refusal(404, 40410000, f"order not found for {name[:200]}"))
        return answer(self.view(order))

    async def cancel(self, request: web.Request) -> web.Response:
        self._check_id(request.match_info["id"])
        refusal = self._exchange.cancel(request.match_info["id"])
        return web.Response(status=204) if refusal is None else refuse(refusal)

    async def cancel_all(self, request: web.Request) -> web.Response:
        rows: list[Json] = []
        for order_id in list(self._venue.open):
            refusal = self._exchange.cancel(order_id)
            row: Json = {"id": order_id, "status": 200 if refusal is None else refusal.status}
            rows.append(row if refusal is None else {**row, "body": refusal_json(refusal)})
        return answer(rows, 207)

    async def amend(self, request: web.Request) -> web.Response:
        """PATCH: reported to answer 404 for crypto, so it does unless the settings say otherwise."""
        order = self._venue.orders.get(request.match_info["id"])
        if not self._exchange.settings.allows_replace or order is None:
            raise web.HTTPNotFound
        wanted = requests.read_amendment(requests.read_json(await request.read()), order)
        outcome = self._exchange.amend(order.id, wanted)
        return refuse(outcome) if isinstance(outcome, Refusal) else answer(self.view(outcome))

    # --- positions ---

    def positions_view(self, is_true: bool = False) -> list[Json]:
        """All positions; the true ones, or those that the faults let be seen."""
        if is_true:
            coins = sorted(self._venue.account.positions)
            return [self._position(coin, self._exchange.position_facts(coin)) for coin in coins]
        shown = [(coin, self._exchange.shown_facts(coin)) for coin in self._exchange.coins()]
        return [self._position(coin, facts) for coin, facts in shown if facts is not None]

    def _position(self, coin: str, facts: dict[str, Decimal]) -> Json:
        symbol = f"{coin}/{USD}"
        quotes = self._venue.quotes.get(symbol), self._venue.last_day.get(symbol)
        asset_id = self._exchange.listings[symbol].id if symbol in self._exchange.listings else ""
        return position_json(coin, facts, quotes, asset_id)

    async def positions(self, request: web.Request) -> web.Response:
        return answer(self.positions_view())

    def _coin(self, request: web.Request) -> str | None:
        """The coin of a position's path; a name with a slash is no position's name."""
        name = request.match_info["name"]
        if "/" in unquote(name):
            return None
        coin, currency = coins_of(self._exchange.symbol_of(name))
        return coin if currency == USD and coin else None

    async def position(self, request: web.Request) -> web.Response:
        coin = self._coin(request)
        facts = None if coin is None else self._exchange.shown_facts(coin)
        if coin is None or facts is None:
            return refuse(NO_POSITION)
        return answer(self._position(coin, facts))

    async def no_position(self, request: web.Request) -> web.Response:
        return refuse(NO_POSITION)

    async def close(self, request: web.Request) -> web.Response:
        """Sell a position, or part of it, at the market."""
        coin = self._coin(request)
        if coin is None or coin not in self._venue.account.positions:
            return refuse(NO_POSITION)
        held = self._venue.account.positions[coin].quantity
        quantity = held
        if "qty" in request.query:
            quantity = requests.number(request.query["qty"], "qty")
        elif "percentage" in request.query:
            percentage = requests.number(request.query["percentage"], "percentage")
            if not 0 < percentage <= HUNDRED:
                raise requests.invalid("percentage must be between 0 and 100")
            quantity = step_down(held * percentage / HUNDRED, QUANTITY_STEP)
        return self._submitted(_market_sell(coin, quantity))

    async def close_all(self, request: web.Request) -> web.Response:
        if requests.flag(request.query, "cancel_orders"):
            for order_id in list(self._venue.open):
                self._exchange.cancel_now(order_id)
        rows: list[Json] = []
        for coin, position in sorted(self._venue.account.positions.items()):
            outcome = self._exchange.submit(_market_sell(coin, position.quantity))
            if isinstance(outcome, Refusal):
                rows.append({"symbol": f"{coin}{USD}", "status": outcome.status, "body": refusal_json(outcome)})
            else:
                rows.append({"symbol": f"{coin}{USD}", "status": 200, "body": self.view(outcome)})
        return answer(rows, 207)

    # --- transfers of coins ---

    def transfers_view(self, asset: str | None = None) -> list[Json]:
        rows = [transfer_json(one) for one in self._venue.account.transfers.values()]
        return [row for row in rows if asset in (None, "", row["asset"])]

    async def transfers(self, request: web.Request) -> web.Response:
        return answer(self.transfers_view(request.query.get("asset")))

    async def one_transfer(self, request: web.Request) -> web.Response:
        found = self._venue.account.transfers.get(request.match_info["id"])
        if found is None:
            return refuse(Refusal(404, 40410000, "transfer not found"))
        return answer(transfer_json(found))

    # --- activities ---

    async def activities(self, request: web.Request) -> web.Response:
        return answer(self.select_activities(request.query, request.match_info.get("type")))

    def select_activities(
        self, query: Mapping[str, str], only: str | None = None, most: int | None = PAGE_MAX
    ) -> list[Json]:
        """The rows that a GET /v2/account/activities asks for."""
        if "category" in query and ("activity_types" in query or only):
            raise requests.invalid("category and activity_types are mutually exclusive")
        types = {only} if only else set(requests.words(query, "activity_types"))
        after, until = requests.instant(query, "after"), requests.instant(query, "until")
        day = requests.instant(query, "date")
        if day is not None:
            after, until = day - timedelta(microseconds=1), day + timedelta(days=1)
        size = most if most is None else requests.count(query, "page_size", PAGE_MAX, PAGE_MAX)
        rows = list(self._venue.account.activities)
        if _direction(query) == "desc":
            rows.reverse()
        token = query.get("page_token")
        if token:
            own_id = token.partition("::")[2]
            place = next((number for number, row in enumerate(rows) if row.id == own_id), None)
            if place is None or activity_id(rows[place]) != token:
                raise requests.invalid("invalid page_token")
            rows = rows[place + 1 :]
        found: list[Json] = []
        for row in rows:
            kind = "CFEE" if isinstance(row, FeeRow) else "FILL"
            if (types and kind not in types) or not _is_of(row, query.get("order_id")):
                continue
            if query.get("category") == ("trade_activity" if isinstance(row, FeeRow) else "non_trade_activity"):
                continue
            if (after is None or row.at > after) and (until is None or row.at < until):
                order_id = row.execution.order_id if isinstance(row, FeeRow) else row.order_id
                found.append(activity_json(row, self._venue.orders[order_id]))
                if len(found) == size:
                    break
        return found


def _is_of(row: Activity, order_id: str | None) -> bool:
    """True for the fills that make up this order, or without one for every row."""
    return not order_id or (isinstance(row, Execution) and row.order_id == order_id)


def _market_sell(coin: str, quantity: Decimal) -> OrderRequest:
    return OrderRequest(f"{coin}/{USD}", Side.SELL, "market", "gtc", quantity)


def _direction(query: Mapping[str, str]) -> str:
    direction = query.get("direction") or "desc"
    if direction not in ("asc", "desc"):
        raise requests.invalid("invalid direction")
    return direction
