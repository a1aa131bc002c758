"""nautilus_trader's side, run in its own environment: the same rules on the same candles. Prints JSON.

python nautilus_dca.py CANDLES.csv RULES.json
"""

import json
import sys
import time
from decimal import Decimal
from pathlib import Path

import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

SECOND = 1_000_000_000


class Dca(Strategy):
    """dcabot's rules on bars: buy, buy lower, sell all above the average, rest. Floats, which is in its favour."""

    def __init__(self, rules: dict[str, float], instrument: object, bar_type: BarType) -> None:
        super().__init__(StrategyConfig())
        self.rules, self.instrument, self.bar_type = rules, instrument, bar_type
        self.held, self.cost, self.bought = Decimal(0), 0.0, 0.0
        self.safety, self.last, self.sold, self.rests_until, self.waits = 0, 0.0, 0.0, 0, False
        self.orders = self.cycles = 0

    def on_start(self) -> None:
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar: object) -> None:
        if self.waits:
            return
        rules, close = self.rules, bar.close.as_double()
        if not self.held:
            if bar.ts_event >= self.rests_until or bar.low.as_double() <= self.sold * (1 - rules["restart"]):
                self.order(OrderSide.BUY, Decimal(rules["base"] / close))
        elif bar.high.as_double() >= self.cost / self.bought * (1 + rules["profit"]):
            self.order(OrderSide.SELL, self.held)
        elif self.safety < rules["count"] and bar.low.as_double() <= self.last * (1 - rules["drop"]):
            self.safety += 1
            self.order(OrderSide.BUY, Decimal(rules["amount"] / close))

    def order(self, side: OrderSide, quantity: Decimal) -> None:
        self.waits = True
        self.orders += 1
        made = self.instrument.make_qty(quantity)
        self.submit_order(self.order_factory.market(self.instrument.id, side, made))

    def on_order_filled(self, event: object) -> None:
        price, quantity = event.last_px.as_double(), event.last_qty.as_decimal()
        if event.order_side == OrderSide.BUY:
            self.held += quantity
            self.bought += event.last_qty.as_double()
            self.cost += price * event.last_qty.as_double()
            self.last = price
        else:
            self.held -= quantity
            if not self.held:
                self.cycles += 1
                self.cost = self.bought = 0.0
                self.safety, self.sold = 0, price
                self.rests_until = event.ts_event + int(self.rules["cooldown"]) * SECOND
        self.waits = False


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    with Path(sys.argv[2]).open() as file:
        rules = json.load(file)
    frame = pd.read_csv(sys.argv[1], parse_dates=["timestamp"], index_col="timestamp").tz_localize("UTC")
    instrument = TestInstrumentProvider.btcusdt_binance()
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    bars = BarDataWrangler(bar_type, instrument).process(frame)
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(Venue("BINANCE"), OmsType.NETTING, AccountType.CASH, [Money(10_000_000, USDT)])
    engine.add_instrument(instrument)
    engine.add_data(bars)
    strategy = Dca(rules, instrument, bar_type)
    engine.add_strategy(strategy)
    began, cpu = time.perf_counter(), time.process_time()
    engine.run()
    found = {
        "candles": len(bars),
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "orders": strategy.orders,
        "cycles": strategy.cycles,
        "megabytes": peak(),
    }
    print(json.dumps(found))


main()
