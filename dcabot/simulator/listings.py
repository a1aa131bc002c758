"""The pairs the simulator lists when it is not told otherwise: Alpaca's own of `pairs.py`."""

import re
import uuid
from dataclasses import dataclass
from decimal import Decimal

from dcabot.core.model import Instrument
from dcabot.core.money import parse, step_down
from dcabot.simulator.pairs import COINS, NOT_FRACTIONABLE, PRICE_STEP, QUANTITY_STEP, TABLE

# Of a fixed namespace, so that an unlisted pair has the same id in every simulator.
ASSETS = uuid.UUID("276e2673-764b-4ab6-a611-caf665ca6340")
PAIR = re.compile(r"[A-Z0-9]{1,12}/[A-Z0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Listing:
    """One row of /v2/assets.

    `quote_step` is the step of the prices that are made here; orders may name finer ones.
    """

    id: str
    name: str
    instrument: Instrument
    start_price: Decimal
    quote_step: Decimal = Decimal("0.0001")
    fractionable: bool = True

    @property
    def symbol(self) -> str:
        return self.instrument.symbol


def _instrument(symbol: str, quantity_min: str) -> Instrument:
    return Instrument(symbol, parse(PRICE_STEP), parse(QUANTITY_STEP), parse(quantity_min), True)


def _read_coins() -> dict[str, tuple[Decimal, Decimal]]:
    rows = (line.split() for line in COINS.strip().splitlines())
    return {coin: (parse(step), parse(price)) for coin, step, price in rows}


def _read_table() -> dict[str, Listing]:
    coins = _read_coins()
    listings = {}
    for line in TABLE.strip().splitlines():
        symbol, asset_id, smallest, *name = line.split()
        coin, _, currency = symbol.partition("/")
        step, price = coins[coin]
        if currency == "BTC":
            step, price = parse(PRICE_STEP), step_down(price / coins["BTC"][1], parse(PRICE_STEP))
        listings[symbol] = Listing(
            asset_id,
            " ".join(name),
            _instrument(symbol, smallest),
            price,
            step,
            symbol not in NOT_FRACTIONABLE,
        )
    return listings


LISTINGS = _read_table()
BUSIEST = tuple(symbol for symbol in LISTINGS if symbol.endswith("/USD"))[:20]


def listing_of(symbol: str) -> Listing:
    """The table's listing, or a plausible one for another pair. Raises ValueError for no pair."""
    if not PAIR.fullmatch(symbol):
        raise ValueError(f"not a pair like BTC/USD: {symbol!r}")
    if symbol in LISTINGS:
        return LISTINGS[symbol]
    asset_id, name = str(uuid.uuid5(ASSETS, symbol)), symbol.replace("/", " / ")
    return Listing(asset_id, name, _instrument(symbol, QUANTITY_STEP), Decimal(100))
