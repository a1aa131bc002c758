"""A process that only imports the two alpaca-py streams. Says so, and stays until stdin ends."""

import sys

from alpaca.data.live import CryptoDataStream
from alpaca.trading.stream import TradingStream

print(CryptoDataStream.__name__, TradingStream.__name__, flush=True)
sys.stdin.read()
