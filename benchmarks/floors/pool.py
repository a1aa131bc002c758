"""A bare pool of 20 threads that only posts: for each line on stdin one order for each symbol, all at once.

Answers each line with the monotonic nanoseconds at which it began.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from alpaca.trading.client import TradingClient
from requests.adapters import HTTPAdapter

symbols = os.environ["SYMBOLS"].split(",")
keys = os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"]
client = TradingClient(*keys, raw_data=True, url_override=os.environ["APCA_API_BASE_URL"])
client._session.mount("http://", HTTPAdapter(pool_maxsize=len(symbols)))
pool = ThreadPoolExecutor(len(symbols))


def post(symbol: str) -> None:
    body = {"symbol": symbol, "notional": "15", "side": "buy", "type": "market", "time_in_force": "gtc"}
    client.post("/orders", body)


for _ in sys.stdin:
    began = time.monotonic_ns()
    posted = [pool.submit(post, symbol) for symbol in symbols]
    for one in posted:
        one.result()
    print(began, flush=True)
