"""A look at the exchange for commands that can do without: what is allowed, and the prices now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from dcabot.adapters.config import Config
from dcabot.core.model import Instrument, Quote
from dcabot.core.snapshot import ExchangeError

# What nearly every pair has; used where Alpaca could not be asked.
USUAL_STEP = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Market:
    """`note` is a sentence when the exchange was not asked; then every pair in USD is taken for tradable."""

    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, Quote]
    note: str = ""

    def instrument(self, symbol: str) -> Instrument | None:
        if self.note:
            return self.instruments.get(symbol) or usual(symbol)
        return self.instruments.get(symbol)

    def ask(self, symbol: str) -> Decimal | None:
        quote = self.quotes.get(symbol)
        return quote.ask if quote else None


def usual(symbol: str) -> Instrument:
    return Instrument(symbol, USUAL_STEP, USUAL_STEP, USUAL_STEP)


def look(config: Config, symbols: Iterable[str]) -> Market:
    """Ask Alpaca, if there are keys for it and it answers."""
    if not (config.key_id and config.secret_key and config.base_url):
        return Market({}, {}, "Not checked against Alpaca: the API keys are not set.")
    from dcabot.adapters.broker import Broker
    from dcabot.commands import utc_now

    broker = Broker(config, utc_now)
    try:
        instruments = {one.symbol: one for one in broker.instruments().rows}
        known = [symbol for symbol in symbols if symbol in instruments]
        quotes = {one.symbol: one for one in broker.latest_quotes(known).rows} if known else {}
        return Market(instruments, quotes)
    except ExchangeError as error:
        return Market({}, {}, f"Not checked against Alpaca: {error}.")
    finally:
        broker.close()
