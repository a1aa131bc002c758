"""Alpaca says something impossible of one order, again and again: the other assets are settled and sold."""

import pytest

from dcabot.core.ledger import fold
from dcabot.core.model import OrderReport, OrderStatus
from dcabot.core.states import is_open
from tests.adapters.test_broker import ROW
from tests.commands.seat import Seat
from tests.programs import until


def test_one_order_that_cannot_be_read_holds_up_its_own_asset_alone(
    seat: Seat, caplog: pytest.LogCaptureFixture
) -> None:
    """Before, no sweep ended: without their fees no position of any asset could be sold."""
    for symbol in ("BTC/USD", "ETH/USD"):
        seat.books.add_asset(symbol)
    seat.trade("2000", "2001", "ETH/USD", is_filled=False)
    obscure = _bought(seat, "ETH/USD").client_order_id
    nonsense = {**ROW, "client_order_id": obscure, "status": "filled", "filled_qty": "0.01"}
    rule = seat.alpaca.faults.respond(200, nonsense, method="GET", path="by_client_order_id", times=None)
    seat.trade("60000", "60010", is_filled=False)
    rule.stop()
    report = _bought(seat, "BTC/USD")
    rule = seat.alpaca.faults.respond(200, nonsense, method="GET", path="by_client_order_id", times=None)
    seat.trader.on_report(report)
    assert not fold(seat.trader.entries["BTC/USD"].cycle.orders).settled
    seat.trader.recover()
    assert fold(seat.trader.entries["BTC/USD"].cycle.orders).settled
    assert is_open(seat.trader.entries["ETH/USD"].cycle.orders[0])
    assert f"{obscure}: the answer was not understood: order: filled 0.01 at no price" in caplog.text
    rule.stop()
    seat.trader.recover()
    assert fold(seat.trader.entries["ETH/USD"].cycle.orders).settled
    assert "ended in error" not in caplog.text


def _bought(seat: Seat, symbol: str) -> OrderReport:
    """What Alpaca says of the only order of a pair, once it is filled."""
    (order,) = seat.trader.entries[symbol].cycle.orders
    found: list[OrderReport] = []

    def is_filled() -> bool:
        report = seat.trader.broker.report(order.client_order_id)
        found[:] = [report] if report is not None and report.status is OrderStatus.FILLED else []
        return bool(found)

    until(is_filled, f"the buy of {symbol} to be filled")
    return found[0]
