"""The pairs the simulator lists when it is not told otherwise, with the price a random walk starts from."""

import re
import uuid
from dataclasses import dataclass
from decimal import Decimal

from dcabot.core.model import Instrument
from dcabot.core.money import parse
from dcabot.core.venue import QUANTITY_STEP

# Of a fixed namespace, so that an asset has the same id in every simulator.
ASSETS = uuid.UUID("276e2673-764b-4ab6-a611-caf665ca6340")


@dataclass(frozen=True, slots=True)
class Listing:
    """One row of /v2/assets."""

    id: str
    name: str
    instrument: Instrument
    start_price: Decimal

    @property
    def symbol(self) -> str:
        return self.instrument.symbol


# symbol, name, price_increment, min_order_size, price to start a walk from
_TABLE = """
BTC/USD   Bitcoin / US Dollar            0.01        0.000015739 63930.50
ETH/USD   Ethereum / US Dollar           0.01        0.000530000 1884.50
SOL/USD   Solana / US Dollar             0.001       0.007000000 142.350
XRP/USD   XRP / US Dollar                0.00001     0.500000000 2.10450
DOGE/USD  Dogecoin / US Dollar           0.000001    5.500000000 0.182350
LTC/USD   Litecoin / US Dollar           0.01        0.011500000 86.40
BCH/USD   Bitcoin Cash / US Dollar       0.01        0.002000000 498.20
LINK/USD  Chainlink / US Dollar          0.001       0.070000000 14.215
AVAX/USD  Avalanche / US Dollar          0.001       0.045000000 22.180
DOT/USD   Polkadot / US Dollar           0.0001      0.240000000 4.1250
UNI/USD   Uniswap / US Dollar            0.0001      0.140000000 7.0520
AAVE/USD  Aave / US Dollar               0.01        0.004000000 262.40
CRV/USD   Curve / US Dollar              0.00001     1.500000000 0.66120
GRT/USD   The Graph / US Dollar          0.00001     10.00000000 0.09541
SUSHI/USD SushiSwap / US Dollar          0.0001      1.400000000 0.7124
XTZ/USD   Tezos / US Dollar              0.0001      1.600000000 0.6240
YFI/USD   Yearn Finance / US Dollar      0.1         0.000190000 5240.0
BAT/USD   Basic Attention / US Dollar    0.00001     6.800000000 0.14680
SHIB/USD  Shiba Inu / US Dollar          0.000000001 78000.00000 0.000012845
PEPE/USD  Pepe / US Dollar               0.000000001 95000.00000 0.000010512
USDC/USD  USD Coin / US Dollar           0.0001      1.000000000 1.0000
USDT/USD  Tether / US Dollar             0.0001      1.000000000 1.0001
MKR/USD   Maker / US Dollar              0.1         0.000600000 1650.0
BTC/USDT  Bitcoin / Tether               1           0.000026873 63930
BTC/USDC  Bitcoin / USD Coin             1           0.000026873 63930
ETH/BTC   Ethereum / Bitcoin             0.00000001  0.000530000 0.02947000
"""
PAIR = re.compile(r"[A-Z0-9]{1,12}/[A-Z0-9]{1,12}")
INACTIVE = frozenset({"MKR/USD"})


def _listing(symbol: str, name: str, price_step: str, quantity_min: str, start_price: str) -> Listing:
    asset_id = str(ASSETS) if symbol == "BTC/USD" else str(uuid.uuid5(ASSETS, symbol))
    instrument = Instrument(symbol, parse(price_step), QUANTITY_STEP, parse(quantity_min), symbol not in INACTIVE)
    return Listing(asset_id, name, instrument, parse(start_price))


def _read_table() -> dict[str, Listing]:
    listings = {}
    for line in _TABLE.strip().splitlines():
        symbol, *words = line.split()
        listings[symbol] = _listing(symbol, " ".join(words[:-3]), words[-3], words[-2], words[-1])
    return listings


LISTINGS = _read_table()
BUSIEST = tuple(symbol for symbol in LISTINGS if symbol.endswith("/USD"))[:20]


def listing_of(symbol: str) -> Listing:
    """The table's listing, or a plausible one for a pair it does not know. Raises ValueError for what is no pair."""
    if not PAIR.fullmatch(symbol):
        raise ValueError(f"not a pair like BTC/USD: {symbol!r}")
    return LISTINGS.get(symbol) or _listing(symbol, symbol.replace("/", " / "), "0.0001", "0.000000001", "100")
