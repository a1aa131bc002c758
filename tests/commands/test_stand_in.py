"""The market-data connection belongs to another program: REST's latest quotes stand in for the stream."""

from pathlib import Path

from dcabot.simulator import Simulator
from tests.programs import Books, running_daemon, sqlite_books, until


def filled(books: Books, side: str) -> bool:
    rows = books.execute("SELECT status FROM dca_orders WHERE side = ?", side)
    return [status for (status,) in rows] == ["filled"]


def test_a_whole_cycle_without_the_stream(alpaca: Simulator, tmp_path: Path) -> None:
    books = sqlite_books(tmp_path)
    books.add_asset("BTC/USD")
    alpaca.set_quote("BTC/USD", bid="60000", ask="60010")
    alpaca.faults.answer_login("data", 406)
    variables = {**alpaca.env(), **books.environment}
    with running_daemon(tmp_path, variables) as daemon:
        daemon.until_ready()
        until(lambda: filled(books, "buy"), "the base order")
        daemon.until(lambda: "held after a fee" in daemon.log(), "the fee")
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        until(lambda: filled(books, "sell"), "the sale, after two looks at REST")
        assert daemon.log().count("REST's latest quotes stand in") == 1
        alpaca.faults.answer_login("data", None)
        daemon.until(lambda: "the market-data stream is back" in daemon.log(), "the stream")
