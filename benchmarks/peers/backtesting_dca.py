"""backtesting.py's side, run in its own environment: the same rules on the same candles. Prints JSON.

python backtesting_dca.py CANDLES.csv RULES.json
"""

import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
from backtesting import Strategy
from backtesting.lib import FractionalBacktest


class Dca(Strategy):
    """dcabot's rules on candles, filled at their close; floats."""

    rules: dict[str, float]
    count = 0

    def init(self) -> None:
        self.safety, self.last, self.sold, self.rests_until = 0, 0.0, 0.0, 0
        self.cost = self.bought = 0.0
        self.orders_made = self.cycles = 0

    def next(self) -> None:
        rules, data = self.rules, self.data
        place = len(data) - 1
        close, low = data.Close[-1], data.Low[-1]
        if not self.bought:
            if place * 60 >= self.rests_until or low <= self.sold * (1 - rules["restart"]):
                self.add(rules["base"], close)
        elif data.High[-1] >= self.cost / self.bought * (1 + rules["profit"]):
            self.position.close()
            self.orders_made += 1
            self.cycles += 1
            self.cost = self.bought = 0.0
            self.safety, self.sold, self.rests_until = 0, close, place * 60 + rules["cooldown"]
        elif self.safety < rules["count"] and low <= self.last * (1 - rules["drop"]):
            self.safety += 1
            self.add(rules["amount"], close)
        Dca.made = self

    def add(self, dollars: float, close: float) -> None:
        units = max(1, round(dollars / close))
        self.buy(size=units)
        self.orders_made += 1
        self.bought += units
        self.cost += units * close
        self.last = close


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    warnings.simplefilter("ignore")
    with Path(sys.argv[2]).open() as file:
        Dca.rules = json.load(file)
    frame = pd.read_csv(sys.argv[1], parse_dates=["timestamp"], index_col="timestamp")
    frame.columns = [name.capitalize() for name in frame.columns]
    test = FractionalBacktest(frame, Dca, cash=10_000_000, commission=0.0025, trade_on_close=True)
    began, cpu = time.perf_counter(), time.process_time()
    test.run()
    found = {
        "candles": len(frame),
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "orders": Dca.made.orders_made,
        "cycles": Dca.made.cycles,
        "megabytes": peak(),
    }
    print(json.dumps(found))


main()
