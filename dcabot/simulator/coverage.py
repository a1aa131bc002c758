"""Every endpoint and parameter of Alpaca's for a crypto account: there, partly or not here.

GET /_sim shows it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

THERE, PARTLY, NOT = "there", "partly", "not"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One request, its parameters (of the query, or of a body), and what is missing of it."""

    method: str
    path: str
    state: str = THERE
    parameters: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # parameters that are not looked at
    note: str = ""

    def line(self) -> str:
        """The row of the table in docs/simulator.md."""
        have = ", ".join(f"`{name}`" for name in self.parameters)
        miss = ", ".join(f"`{name}`" for name in self.missing)
        return f"| `{self.method} {self.path}` | {self.state} | {have} | {miss} | {self.note} |"

    def row(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "path": self.path,
            "state": self.state,
            "parameters": list(self.parameters),
            "missing": list(self.missing),
            "note": self.note,
        }


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


ACTIVITIES = _names("activity_types after category date direction order_id page_size page_token until")
ORDERS = _names("after after_order_id asset_class before_order_id direction limit side status symbols until")
ORDER = _names(
    "client_order_id extended_hours limit_price notional order_class qty side stop_price symbol time_in_force type"
)
NO_ORDER = _names("advanced_instructions legs position_intent stop_loss take_profit trail_percent trail_price")
HISTORY = _names("end limit page_token sort start symbols")
LATEST = ("symbols",)
DATA = "/v1beta3/crypto/us"
CONFIGURED = _names(
    "disable_overnight_trading fractional_trading max_margin_multiplier"
    " max_options_trading_level no_shorting ptp_no_exception_entry suspend_trade"
    " trade_confirm_email"
)


def _absent(methods: str, path: str) -> Iterator[Endpoint]:
    """A path that is not here, a row for each of its methods."""
    for method in methods.split():
        yield Endpoint(method, path, NOT)


ENDPOINTS = (
    Endpoint("GET", "/v2/account"),
    Endpoint("GET", "/v2/account/activities", parameters=ACTIVITIES),
    Endpoint("GET", "/v2/account/activities/{type}", parameters=ACTIVITIES[1:]),
    Endpoint("GET", "/v2/account/configurations"),
    Endpoint(
        "PATCH",
        "/v2/account/configurations",
        parameters=CONFIGURED,
        missing=("dtbp_check", "pdt_check"),
        note="Alpaca ended the day-trading checks on 2026-07-06",
    ),
    Endpoint("GET", "/v2/account/portfolio/history", NOT),
    Endpoint("GET", "/v2beta1/events/activities", NOT),
    Endpoint(
        "GET",
        "/v2/assets",
        parameters=("asset_class", "status"),
        missing=("attributes", "exchange"),
    ),
    Endpoint("GET", "/v2/assets/{symbol or id}"),
    Endpoint("GET", "/v2/calendar", NOT),
    Endpoint("GET", "/v3/calendar/{market}", NOT),
    Endpoint("GET", "/v2/clock", PARTLY, note="without half days"),
    Endpoint("GET", "/v3/clock", NOT),
    Endpoint("GET", "/v2/orders", parameters=ORDERS, missing=("nested",), note="no order has legs"),
    Endpoint("POST", "/v2/orders", parameters=ORDER, missing=NO_ORDER, note="not for crypto"),
    Endpoint("DELETE", "/v2/orders"),
    Endpoint("GET", "/v2/orders:by_client_order_id", parameters=("client_order_id",)),
    Endpoint("GET", "/v2/orders/{id}", missing=("nested",)),
    Endpoint(
        "PATCH",
        "/v2/orders/{id}",
        PARTLY,
        ("client_order_id", "limit_price", "qty", "stop_price", "time_in_force"),
        ("advanced_instructions", "notional", "trail"),
        "404 for crypto unless `allows_replace`",
    ),
    Endpoint("DELETE", "/v2/orders/{id}"),
    Endpoint("GET", "/v2/positions"),
    Endpoint("DELETE", "/v2/positions", parameters=("cancel_orders",)),
    Endpoint("GET", "/v2/positions/{symbol or id}"),
    Endpoint("DELETE", "/v2/positions/{symbol or id}", parameters=("percentage", "qty")),
    Endpoint("GET", "/v2/wallets", NOT),
    Endpoint("GET", "/v2/wallets/fees/estimate", NOT),
    Endpoint("GET", "/v2/wallets/transfers", parameters=("asset",)),
    Endpoint("POST", "/v2/wallets/transfers", NOT, note="`/_sim/transfer` makes one"),
    Endpoint("GET", "/v2/wallets/transfers/{id}"),
    *_absent("GET POST", "/v2/wallets/whitelists"),
    *_absent("DELETE", "/v2/wallets/whitelists/{id}"),
    *_absent("GET POST", "/v2/watchlists"),
    *_absent("GET POST PUT DELETE", "/v2/watchlists/{id}"),
    *_absent("DELETE", "/v2/watchlists/{id}/{symbol}"),
    *_absent("GET POST PUT DELETE", "/v2/watchlists:by_name"),
    *_absent("GET", "/v2/corporate_actions/announcements"),
    *_absent("GET", "/v2/corporate_actions/announcements/{id}"),
    Endpoint("GET", f"{DATA}/bars", parameters=(*HISTORY, "timeframe")),
    Endpoint("GET", f"{DATA}/latest/bars", parameters=LATEST),
    Endpoint("GET", f"{DATA}/latest/orderbooks", parameters=LATEST),
    Endpoint("GET", f"{DATA}/latest/quotes", parameters=LATEST),
    Endpoint("GET", f"{DATA}/latest/trades", parameters=LATEST),
    Endpoint("GET", f"{DATA}/quotes", parameters=HISTORY),
    Endpoint("GET", f"{DATA}/snapshots", parameters=LATEST),
    Endpoint("GET", f"{DATA}/trades", parameters=HISTORY),
    *_absent("GET", "/v1beta1/logos/{symbol}"),
    *_absent("GET", "/v1beta1/news"),
    *_absent("GET", "/v1beta1/screener/crypto/movers"),
    Endpoint("WS", "/stream", parameters=("trade_updates",)),
    Endpoint(
        "WS",
        DATA,
        PARTLY,
        ("bars", "dailyBars", "orderbooks", "quotes", "trades", "updatedBars"),
        note="`updatedBars` never come",
    ),
)


def table() -> Iterator[str]:
    """The table of docs/simulator.md, line by line."""
    yield "| request | here | parameters | not looked at | |"
    yield "|---|---|---|---|---|"
    yield from (endpoint.line() for endpoint in ENDPOINTS)
