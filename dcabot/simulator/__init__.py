"""The local Alpaca: the venue of `dcabot.core.matching` behind Alpaca's REST and both websockets.

    from alpaca.trading.client import TradingClient
    from dcabot.simulator import Simulator

    with Simulator(symbols=["BTC/USD"], cash=1000, partial_fills=0) as alpaca:
        alpaca.set_quote("BTC/USD", bid="60000", ask="60010")
        client = TradingClient(alpaca.key, alpaca.secret, url_override=alpaca.url)
        client.post("/orders", {"symbol": "BTC/USD", "qty": "0.001", "side": "buy", "type": "market",
                                "time_in_force": "gtc", "client_order_id": "mine-1"})
        alpaca.faults.respond(500, {"message": "oops"}, method="GET", path="/v2/account")
        alpaca.orders(), alpaca.positions(), alpaca.activities(), alpaca.journal.entries("request")

A program is pointed at it by `alpaca.env()`; over HTTP it is controlled at `/_sim` (see `control.py`).
The arguments are the fields of `Settings`; the switches for what is unproven about Alpaca are in
`dcabot.core.venue.Policy`. It binds to loopback, keeps no global state, and several run side by side.
"""

from dcabot.core.venue import Policy
from dcabot.simulator.candles import candles
from dcabot.simulator.listings import BUSIEST, LISTINGS, Listing
from dcabot.simulator.prices import Tick, WalkShape, read_script, script, walk
from dcabot.simulator.server import Simulator
from dcabot.simulator.settings import Settings, Timing

__all__ = [
    "BUSIEST",
    "LISTINGS",
    "Listing",
    "Policy",
    "Settings",
    "Simulator",
    "Tick",
    "Timing",
    "WalkShape",
    "candles",
    "read_script",
    "script",
    "walk",
]
