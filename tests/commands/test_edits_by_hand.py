"""Rows edited with SQL while a position is held: what is held is neither lost nor taken for another pair's."""

import pytest

from tests.commands.conftest import Start
from tests.commands.seat import Seat
from tests.programs import Books


@pytest.fixture
def holding(seat: Seat) -> Seat:
    seat.books.add_asset()
    seat.trade("60000", "60010")
    assert seat.alpaca.positions()
    return seat


def test_a_bad_base_amount_stops_the_buys_and_not_the_take_profit(
    holding: Seat, caplog: pytest.LogCaptureFixture
) -> None:
    holding.books.execute("UPDATE dca_assets SET base_order_amount = '1', safety_order_amount = '-5'")
    holding.trade("57000", "57010")
    assert "no buys; its position is still sold at its take profit" in caplog.text
    told = holding.run("status", "--json").json["assets"][0]
    assert told["trouble"].startswith("base_order_amount 1 is below")
    assert told["next"].startswith("sells all at bid")
    assert "buys" not in told["next"]
    assert len(holding.books.orders()) == 1
    holding.trade("70000", "70010")
    assert [status for status, _, _ in holding.books.cycles()] == ["complete", "cooldown"]
    assert not holding.alpaca.positions()


def test_a_bad_take_profit_stops_the_sale_too(holding: Seat) -> None:
    holding.books.execute("UPDATE dca_assets SET take_profit_percent = '-5'")
    holding.trade("60000", "60010")
    assert holding.run("status", "--json").json["assets"][0]["next"] is None
    assert holding.alpaca.positions()


def test_a_renamed_asset_takes_no_other_pairs_coins_and_put_back_it_goes_on(start: Start, books: Books) -> None:
    books.add_asset("BTC/USD")
    with start(books) as daemon:
        daemon.until_said("BTC/USD cycle 1: .* held after a fee")
        books.execute("UPDATE dca_assets SET asset_symbol = 'ETH/USD'")
        books.add_asset("SOL/USD")
        daemon.until_said("ETH/USD is suspended: .* is called ETH/USD now, and its cycle 1 holds coins of BTC/USD")
        books.execute("UPDATE dca_assets SET asset_symbol = 'BTC/USD' WHERE asset_symbol = 'ETH/USD'")
        daemon.until_said("ETH/USD is no longer suspended")
        assert daemon.stop()[0] == 0
    assert [status for status, _, _ in books.cycles("BTC/USD")] == ["watching"]
    assert len(books.orders()) == 1


def test_status_names_the_coins_that_nobody_owns(holding: Seat) -> None:
    assert holding.run("status", "--json").json["notes"] == []
    assert holding.run("cycle", "release", "BTC/USD", "--yes").code == 0
    notes = ["Foreign coins: Alpaca shows 0.000332443 BTC/USD that no cycle bought."]
    assert holding.run("status", "--json").json["notes"] == notes
    holding.books.execute("UPDATE dca_assets SET asset_symbol = 'ETH/USD'")
    assert holding.run("status", "--json").json["notes"] == notes
