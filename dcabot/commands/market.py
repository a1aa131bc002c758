"""A look at the exchange for commands that can do without: what is allowed, the prices now, and what is held."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from dcabot.adapters.config import Config
from dcabot.commands import utc_now
from dcabot.core.model import Asset, Cycle, Instrument, Quote
from dcabot.core.profit import profit_if_sold
from dcabot.core.rules import tight
from dcabot.core.snapshot import ExchangeError
from dcabot.core.strategy import spread_ratio

if TYPE_CHECKING:  # its SDK costs a tenth of a second, which a command without keys need not pay
    from dcabot.adapters.broker import Broker

# What nearly every pair has; used where Alpaca could not be asked.
USUAL_STEP = Decimal("0.000000001")
ANY_PRICE = Decimal(100)  # USD


@dataclass(frozen=True, slots=True)
class Market:
    """`note` is a sentence when the exchange was not asked; then every pair in USD is taken for tradable.

    `positions` are coins by symbol, None where they were not read.
    """

    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, Quote]
    positions: Mapping[str, Decimal] | None = None
    note: str = ""
    spread_max: Decimal | None = None  # the ratio above which no base order is placed

    def too_wide(self, symbol: str) -> Decimal | None:
        """The spread that holds a base order back now; None when it does not, or is not known."""
        quote = self.quotes.get(symbol)
        if quote is None or self.spread_max is None or quote.bid <= 0:
            return None
        ratio = spread_ratio(quote)
        return ratio if ratio > self.spread_max else None

    def instrument(self, symbol: str) -> Instrument | None:
        if self.note:
            return self.instruments.get(symbol) or usual(symbol)
        return self.instruments.get(symbol)

    def ask(self, symbol: str) -> Decimal | None:
        quote = self.quotes.get(symbol)
        return quote.ask if quote else None

    def profit_if_sold(self, cycle: Cycle) -> Decimal | None:
        """USD that the cycle would have brought if it were sold now; None without a price."""
        quote = self.quotes.get(cycle.symbol)
        if quote is None:
            return None
        instrument = self.instruments.get(cycle.symbol) or usual(cycle.symbol)
        return profit_if_sold(cycle.orders, quote.bid, instrument.quantity_step)

    def tight(self, asset: Asset) -> list[str]:
        """Amounts that rounding takes below Alpaca's minimum. Without a price, those that any price does it to."""
        price = self.ask(asset.symbol) or asset.last_sell_price or ANY_PRICE
        return tight(asset, self.instruments.get(asset.symbol) or usual(asset.symbol), price)


NOT_ASKED = Market({}, {})


def usual(symbol: str) -> Instrument:
    return Instrument(symbol, USUAL_STEP, USUAL_STEP, USUAL_STEP)


class Window:
    """For who looks again and again: what does not change is asked once."""

    def __init__(self, config: Config) -> None:
        self._broker: Broker | None = None
        self._instruments: dict[str, Instrument] = {}
        self.notes = config.in_the_clear
        self._spread_max = config.spread_max_ratio
        if config.key_id and config.secret_key and config.base_url:
            self._broker = _broker(config)

    def look(self, symbols: Iterable[str], with_positions: bool = False) -> Market:
        """Ask Alpaca, if there are keys for it and it answers."""
        if self._broker is None:
            return Market({}, {}, note="Not checked against Alpaca: the API keys are not set.")
        try:
            if not self._instruments:
                self._instruments = {one.symbol: one for one in self._broker.instruments().rows}
            known = [symbol for symbol in symbols if symbol in self._instruments]
            quotes = {one.symbol: one for one in self._broker.latest_quotes(known).rows} if known else {}
            held = None
            if with_positions:
                held = {one.symbol: one.quantity for one in self._broker.positions().rows}
            return Market(self._instruments, quotes, held, spread_max=self._spread_max)
        except ExchangeError as error:
            return Market({}, {}, note=f"Not checked against Alpaca: {str(error).rstrip('.')}.")

    def close(self) -> None:
        if self._broker is not None:
            self._broker.close()


def _broker(config: Config) -> "Broker":
    from dcabot.adapters.broker import Broker

    return Broker(config, utc_now)


def look(config: Config, symbols: Iterable[str]) -> Market:
    """One look."""
    window = Window(config)
    try:
        return window.look(symbols)
    finally:
        window.close()
