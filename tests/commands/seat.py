"""The operator's seat in a test: commands in this process, and a trader that is driven by hand.

def test_it(seat):
    seat.run("asset", "add", "BTC/USD", "--base-order-amount", "20", "--safety-order-amount", "20")
    seat.trade("60000", "60010")             # the daemon's reaction to one quote, and the news of it
    assert seat.run("status", "--json").json["assets"]
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from dcabot.__main__ import main
from dcabot.adapters.broker import Broker
from dcabot.adapters.config import DATABASE, EXCHANGE, load
from dcabot.adapters.database import connect
from dcabot.adapters.store import Store
from dcabot.core.model import Quote
from dcabot.executor import Executor
from dcabot.simulator import Simulator
from dcabot.sync import Sync
from dcabot.trader import Trader
from tests.programs import Books, until


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Said:
    """What a command did: its exit code and its words."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line on stderr; anything else is a failure."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


@dataclass
class Seat:
    """One operator with a database, an exchange, and a daemon's hands."""

    alpaca: Simulator
    books: Books
    capsys: pytest.CaptureFixture[str]
    trader: Trader

    def run(self, *words: str) -> Said:
        """`dcabot WORDS`, in this process."""
        self.capsys.readouterr()
        logging_before = list(logging.getLogger().handlers)
        try:
            code = main(list(words))
        finally:
            logging.getLogger().handlers[:] = logging_before
        captured = self.capsys.readouterr()
        return Said(code, captured.out, captured.err)

    def price(self, bid: str, ask: str, symbol: str = "BTC/USD") -> None:
        self.alpaca.set_quote(symbol, bid, ask)

    def trade(self, bid: str, ask: str, symbol: str = "BTC/USD", is_filled: bool = True) -> None:
        """A price, and what the daemon does at it; waits for the fill and its fee unless told otherwise."""
        self.price(bid, ask, symbol)
        self.trader.seen.clear()
        self.trader.recover()
        quote = Quote(symbol, Decimal(bid), Decimal(ask), utc_now())
        occasion = self.trader.consider(quote)
        if symbol in self.trader.looks:  # REST has another quote that agrees
            asked_at = utc_now()
            self.trader.hear_latest([replace(quote, at=asked_at)], asked_at)
            occasion = self.trader.reconsider(symbol)
        if occasion is not None:
            self.trader.act(symbol, occasion)
        if is_filled:
            until(lambda: not self._is_moving(), f"{symbol} to be settled")

    def _is_moving(self) -> bool:
        self.trader.sweep()
        self.trader.refresh()
        return self.trader.has_open_orders() or self.trader.is_unsettled()


@contextmanager
def trader_for(variables: dict[str, str]) -> Iterator[Trader]:
    """What is inside of the daemon, without its streams."""
    config = load({EXCHANGE, DATABASE}, variables)
    assert config.database is not None
    database = connect(config.database)
    store, broker = Store(database, utc_now), Broker(config, utc_now)
    executor = Executor(store, broker, utc_now)
    trader = Trader(store, broker, executor, Sync(store, broker, executor, utc_now), utc_now, timedelta(seconds=60))
    trader.stream_up = True
    try:
        yield trader
    finally:
        broker.close()
        database.close_all()


@contextmanager
def seat_for(
    alpaca: Simulator, books: Books, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Any
) -> Iterator[Seat]:
    """A seat whose commands find nothing but these books and this exchange."""
    variables = {**alpaca.env(), **books.environment}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(folder)
    with trader_for(variables) as trader:
        yield Seat(alpaca, books, capsys, trader)
