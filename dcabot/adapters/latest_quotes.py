"""The data host's newest quotes over REST: public prices, for which Alpaca asks for no keys."""

from collections.abc import Iterable

from alpaca.common.rest import RESTClient

from dcabot.adapters import transport, wire
from dcabot.adapters.budget import Budget
from dcabot.adapters.config import Config
from dcabot.core.model import Quote
from dcabot.core.rules import is_pair
from dcabot.core.snapshot import ExchangeMisunderstood, Listing


class LatestQuotes:
    """One data host. Keys are sent when there are some."""

    def __init__(self, config: Config) -> None:
        self._budget = Budget()  # the data host counts its own requests
        keys = config.key_id or None, config.secret_key or None
        self._client = _Client(config.data_url, *keys, api_version="v1beta3")
        transport.prepare(self._client, config.data_url, self._budget)

    def close(self) -> None:
        """Close the idle connections."""
        self._client._session.close()

    def of(self, symbols: Iterable[str]) -> Listing[Quote]:
        """The newest quote of each symbol; symbols without one are not in the list.

        One malformed name would have Alpaca refuse the whole question, so it is not asked for.
        Raises ExchangeError.
        """
        wanted = [symbol for symbol in symbols if is_pair(symbol)]
        if not wanted:
            return Listing(())
        parameters = {"symbols": ",".join(wanted)}
        answer = transport.ask(self._client, self._budget, "/crypto/us/latest/quotes", parameters)
        quotes = answer.get("quotes") if isinstance(answer, dict) else None
        if not isinstance(quotes, dict):
            raise ExchangeMisunderstood("the answer was not understood: no quotes in it")
        rows = []
        for symbol, row in quotes.items():
            fields = row if isinstance(row, dict) else {}
            rows.append({**fields, "S": symbol})
        return wire.listing(wire.quote, rows, "S")


class _Client(RESTClient):
    """alpaca-py's own, which also works without keys.

    The client that it derives for crypto data does, too, and loads pandas for its models.
    """

    @staticmethod
    def _validate_credentials(
        api_key: str | None = None,
        secret_key: str | None = None,
        oauth_token: str | None = None,
    ) -> tuple[str | None, str | None, str | None]:
        return api_key, secret_key, oauth_token
