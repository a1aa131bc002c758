"""Alpaca's public crypto bars: candles of the past, page by page. No keys are needed for them.

Source of the shapes: alpaca.md 2.10. Prices come as JSON numbers and leave here as text.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from alpaca.common.exceptions import APIError
from alpaca.data.historical import CryptoHistoricalDataClient

from dcabot.adapters import transport, wire
from dcabot.adapters.budget import Budget
from dcabot.adapters.config import Config
from dcabot.adapters.transport import sentence
from dcabot.adapters.wire import WireError
from dcabot.core.snapshot import ExchangeUnreachable

PAGE_SIZE = 10_000  # the most that one answer holds
PRICES = ("o", "h", "l", "c")


@dataclass(frozen=True, slots=True)
class Bar:
    """One candle; the prices are Alpaca's own digits."""

    at: datetime
    open: str
    high: str
    low: str
    close: str


class Bars:
    """The data host's history."""

    def __init__(self, config: Config) -> None:
        self._budget = Budget()
        self._client = CryptoHistoricalDataClient(
            config.key_id or None, config.secret_key or None, raw_data=True, url_override=config.data_url
        )
        transport.prepare(self._client, config.data_url, self._budget)

    def close(self) -> None:
        self._client._session.close()

    def page(
        self, symbol: str, timeframe: str, begin: datetime, end: datetime, token: str = ""
    ) -> tuple[list[Bar], str]:
        """Candles that begin from `begin` to before `end`, oldest first, and the token of the next page; "" is the end.

        Raises ExchangeUnreachable, ExchangeDenied.
        """
        parameters = {
            "symbols": symbol,
            "timeframe": timeframe,
            "start": _stamp(begin),
            "end": _stamp(end - timedelta(seconds=1)),  # Alpaca's end is inclusive
            "limit": str(PAGE_SIZE),
            **({"page_token": token} if token else {}),
        }
        try:
            answer = transport.query(self._client, self._budget, "/crypto/us/bars", parameters)
        except APIError as error:
            raise ExchangeUnreachable(f"no candles of {symbol}: {sentence(error)}") from None
        bars = (answer.get("bars") or {}) if isinstance(answer, dict) else None
        rows = (bars.get(symbol) or []) if isinstance(bars, dict) else None
        if not isinstance(answer, dict) or not isinstance(rows, list):
            raise ExchangeUnreachable("the answer was not understood: no candles in it")
        following = answer.get("next_page_token")
        return [_bar(row) for row in rows], following if isinstance(following, str) else ""


def _bar(row: object) -> Bar:
    try:
        if not isinstance(row, dict):
            raise WireError("not an object")
        return Bar(wire.instant(row.get("t")), *(_price(row, name) for name in PRICES))
    except WireError as error:
        raise ExchangeUnreachable(f"a candle was not understood: {error}") from None


def _price(row: dict[str, object], name: str) -> str:
    """The shortest text that is this number: what Alpaca wrote."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"{name} is no number: {str(value)[:40]!r}")
    return repr(value)


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
