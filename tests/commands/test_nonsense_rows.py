"""Rows that an operator edited into nonsense: each program names and holds them, and goes on with the other assets."""

import re
from dataclasses import dataclass

import pytest

from dcabot.simulator import Simulator
from dcabot.simulator.faults import DATA
from tests.commands.conftest import Start
from tests.commands.seat import Seat
from tests.programs import Books, Daemon, until
from tests.simulator.sdk import said

BTC = "(SELECT id FROM dca_assets WHERE asset_symbol = 'BTC/USD')"
NEVER = "00000000-dead-beef-0000-000000000000"


@dataclass(frozen=True)
class Nonsense:
    """One edit, what is said of it, and how the operator takes it back."""

    edit: str
    words: str
    mend: str


CYCLE = "dca_cycles: cycle 1 of BTC/USD"
NONSENSE = {
    "an unknown status": Nonsense(
        "UPDATE dca_cycles SET status = 'bying' WHERE id = 1",
        f"BTC/USD is suspended: {CYCLE}: unknown status 'bying'",
        "UPDATE dca_cycles SET status = 'watching' WHERE id = 1",
    ),
    "two current cycles": Nonsense(
        f"INSERT INTO dca_cycles (id, asset_id, status) VALUES (99, {BTC}, 'watching')",
        r"BTC/USD is suspended: dca_cycles: BTC/USD has 2 current cycles \(ids 1, 99\); one may be",
        "DELETE FROM dca_cycles WHERE id = 99",
    ),
    "a negative quantity": Nonsense(
        "UPDATE dca_cycles SET quantity = '-1' WHERE id = 1",
        f"BTC/USD is suspended: {CYCLE}: a negative quantity, price or count",
        "UPDATE dca_cycles SET quantity = '0' WHERE id = 1",
    ),
    "an order of an unknown status": Nonsense(
        "UPDATE dca_orders SET status = 'lost' WHERE cycle_id = 1",
        "BTC/USD is suspended: dca_orders: dcabot-1-.*-base-1: 'lost' is not a valid OrderStatus",
        "UPDATE dca_orders SET status = 'filled' WHERE cycle_id = 1",
    ),
    "an order of nothing": Nonsense(
        "UPDATE dca_orders SET quantity = '-0.1' WHERE cycle_id = 1",
        "BTC/USD is suspended: dca_orders: dcabot-1-.*-base-1: a quantity is not positive",
        "UPDATE dca_orders SET quantity = '0.000333277' WHERE cycle_id = 1",
    ),
    "a deleted asset": Nonsense(
        "UPDATE dca_cycles SET asset_id = 98 WHERE id = 1",
        "asset 98 is suspended: dca_cycles: cycle 1 belongs to asset 98, which has no row; nobody sells what it holds",
        "UPDATE dca_cycles SET asset_id = 1 WHERE id = 1",
    ),
}


@pytest.fixture
def busy_seat(seat: Seat, small_books: Books) -> Seat:
    """BTC/USD and ETH/USD hold what they bought."""
    for symbol, bid, ask in (("BTC/USD", "60000", "60010"), ("ETH/USD", "2000", "2001")):
        small_books.add_asset(symbol)
        seat.trade(bid, ask, symbol)
    return seat


def rows_of_btc(books: Books) -> list[list[tuple[object, ...]]]:
    return [
        books.execute("SELECT * FROM dca_cycles WHERE id IN (1, 99)"),
        books.execute("SELECT * FROM dca_orders WHERE cycle_id = 1"),
        books.execute("SELECT * FROM dca_assets WHERE asset_symbol = 'BTC/USD'"),
    ]


@pytest.mark.parametrize("what", NONSENSE)
def test_each_caretaker_names_and_holds_it_and_does_its_work_on_the_other_assets(
    busy_seat: Seat, small_books: Books, what: str
) -> None:
    nonsense, seat = NONSENSE[what], busy_seat
    if what == "a deleted asset":
        small_books.execute("UPDATE dca_assets SET is_enabled = 0 WHERE asset_symbol = 'BTC/USD'")
    small_books.execute(nonsense.edit)
    before = rows_of_btc(small_books)
    seat.alpaca.foreign_order(
        symbol="ETH/USD", qty="0.01", side="buy", type="limit", limit_price="1500", time_in_force="gtc",
        client_order_id="dcabot-x",
    )  # fmt: skip
    small_books.add_asset("SOL/USD")
    small_books.execute("UPDATE dca_cycles SET safety_orders = 3 WHERE asset_id = 2")
    for words, work in (
        (("consistency-checker", "--dry-run"), "1 differ, nothing was changed; 1 cycle missing"),
        (("order-manager",), "1 untracked cancelled"),
        (("cooldown-manager",), "1 cycle opened"),
        (("consistency-checker",), "1 mended"),
    ):
        said = seat.run(*words)
        # Such a row needs a person, and the checker's exit status tells it to whoever started it.
        assert said.code == (1 if words[0] == "consistency-checker" else 0), said.err
        assert re.search(nonsense.words, said.err), said.err
        assert (work in said.err, "Traceback" in said.err) == (True, False), said.err
        assert rows_of_btc(small_books) == before, words
    assert small_books.cycles("ETH/USD")[0][2] == 0
    assert [one["client_order_id"] for one in seat.alpaca.orders(status="open")] == []
    assert len([one for one in seat.alpaca.orders() if one["symbol"] == "BTC/USD"]) == 1


@pytest.mark.slow
def test_the_daemon_names_and_holds_each_and_goes_on_once_it_is_mended(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    for symbol in ("BTC/USD", "ETH/USD"):
        small_books.add_asset(symbol, max_safety_orders=50, safety_order_deviation="0.1")
    with start(small_books) as daemon:
        daemon.until(lambda: len(re.findall("held after a fee", daemon.log())) == 2, "both to hold what they bought")
        # Of a deleted asset test_daemon_life.py tells.
        edits = [nonsense for name, nonsense in NONSENSE.items() if name != "a deleted asset"]
        for number, nonsense in enumerate(edits):
            small_books.execute(nonsense.edit)
            daemon.until_said(nonsense.words)
            alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
            the_other_buys(alpaca, daemon, small_books, 2 * number + 1)
            assert len([one for one in alpaca.orders() if one["symbol"] == "BTC/USD"]) == 1, "held, and yet it bought"
            alpaca.set_quote("BTC/USD", bid="60000", ask="60010")
            the_other_buys(alpaca, daemon, small_books, 2 * number + 2)
            small_books.execute(nonsense.mend)
            daemon.until(lambda n=number: said_free(daemon) == n + 1, "the hold to end")
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until(lambda: small_books.cycles()[0][2] == 1, "its own safety order at last")
        assert "Traceback" not in daemon.log()


def test_a_price_from_before_a_hold_decides_nothing_after_it(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    """While it is held nobody tells of its price. The last one was low, which mattered to nobody then."""
    small_books.add_asset(safety_order_deviation="50")
    small_books.add_asset("ETH/USD", max_safety_orders=50, safety_order_deviation="0.1")
    with start(small_books) as daemon:
        daemon.until(lambda: len(re.findall("held after a fee", daemon.log())) == 2, "both to hold what they bought")
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        the_other_buys(alpaca, daemon, small_books, 1)
        small_books.execute("UPDATE dca_cycles SET status = 'bying' WHERE id = 1")
        until(lambda: said(alpaca, DATA, "subscribe")[-1]["channels"] == {"quotes": ["ETH/USD"]}, "the unsubscription")
        alpaca.set_quote("BTC/USD", bid="60000", ask="60010")
        small_books.execute("UPDATE dca_assets SET safety_order_deviation = '1' WHERE asset_symbol = 'BTC/USD'")
        small_books.execute("UPDATE dca_cycles SET status = 'watching' WHERE id = 1")
        daemon.until_said("BTC/USD is no longer suspended")
        until(lambda: "BTC/USD" in said(alpaca, DATA, "subscribe")[-1]["channels"]["quotes"], "the subscription")
        the_other_buys(alpaca, daemon, small_books, 2)
        assert len([one for one in alpaca.orders() if one["symbol"] == "BTC/USD"]) == 1, "bought at the old price"
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until(lambda: small_books.cycles()[0][2] == 1, "its safety order at this one")


def the_other_buys(alpaca: Simulator, daemon: Daemon, books: Books, count: int) -> None:
    """ETH/USD falls and its safety order of that number comes: by then the daemon has read every quote before."""
    ask = 2001 - 10 * count
    alpaca.set_quote("ETH/USD", bid=str(ask - 1), ask=str(ask))
    daemon.until(lambda: books.cycles("ETH/USD")[0][2] == count, f"safety order {count} of the other asset")


def said_free(daemon: Daemon) -> int:
    return len(re.findall("BTC/USD is no longer suspended", daemon.log()))


def test_a_latest_order_that_never_existed_is_computed_again(busy_seat: Seat, small_books: Books) -> None:
    small_books.execute("UPDATE dca_cycles SET latest_order_id = ? WHERE id = 1", NEVER)
    assert "1 mended" in busy_seat.run("consistency-checker").err
    (found,) = small_books.execute("SELECT latest_order_id FROM dca_cycles WHERE id = 1")
    (true,) = small_books.execute("SELECT order_id FROM dca_orders WHERE cycle_id = 1")
    assert found == true


def test_an_order_whose_id_was_edited_is_known_by_our_own_id_and_cancelled(
    seat: Seat, small_books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_books.add_asset()
    seat.alpaca.faults.hold_fills()
    seat.trade("60000", "60010", is_filled=False)
    small_books.execute("UPDATE dca_orders SET order_id = ?", NEVER)
    monkeypatch.setenv("DCABOT_STALE_ORDER_SECONDS", "1")
    until(lambda: "cancelling" in seat.run("order-manager").err, "the BUY to be stale")
    until(lambda: not seat.alpaca.orders(status="open"), "the cancel")
    assert "0 open orders" in seat.run("order-manager").err
    assert small_books.orders()[0][2] == "canceled"
    assert small_books.execute("SELECT order_id FROM dca_orders")[0][0] == seat.alpaca.orders()[0]["id"]


def test_an_order_that_never_existed_is_void_and_its_cycle_goes_on(busy_seat: Seat, small_books: Books) -> None:
    small_books.execute(
        "INSERT INTO dca_orders (cycle_id, client_order_id, purpose, side, quantity, limit_price, status, order_id,"
        " filled_quantity, created_at, updated_at) SELECT 1, 'dcabot-never', 'safety', 'buy', '0.001', '50000',"
        " 'accepted', ?, '0', '2026-01-01 00:00:00', '2026-01-01 00:00:00'",
        NEVER,
    )
    small_books.execute("UPDATE dca_cycles SET status = 'buying' WHERE id = 1")
    assert busy_seat.run("consistency-checker").code == 0
    assert [row[2] for row in small_books.orders()] == ["filled", "filled", "void"]
    assert small_books.status() == "watching"


def test_symbols_with_a_slip_cost_the_other_assets_nothing(small_books: Books, alpaca: Simulator, start: Start) -> None:
    """At the start, and when they come later: the stream would refuse all for one, and REST too."""
    slips = ["BTC-USD", "btc/usd", " ETH/USD", "ETH/USD\n", "1INCH/USD", "*", "FOO/USD", "\x1b[31mX/USD"]
    for symbol in ("BTC/USD", *slips[:4]):
        small_books.add_asset(symbol)
    with start(small_books, hurry={"paces.SWEEP_IDLE_SECONDS": 1}, DCABOT_DATA_TIMEOUT_SECONDS="1") as daemon:
        daemon.until_said("BTC/USD cycle .* held after a fee|BTC/USD cycle 1: .*fee")
        for symbol in slips[4:]:
            small_books.add_asset(symbol)
        daemon.until_said("1INCH/USD is suspended")
        alpaca.faults.cut(DATA)
        alpaca.set_quote("BTC/USD", "61000", "61010")
        daemon.until(lambda: small_books.status() == "cooldown", "the sale")
        assert "\x1b" not in daemon.log()
        assert daemon.stop()[0] == 0
