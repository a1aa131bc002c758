"""Books that are older than the account: whatever is lost of them, Alpaca's list of orders brings it back."""

import shutil
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dcabot.adapters import notes
from dcabot.adapters.database import connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.core.reconcile import POSITIONS
from tests.builders import make_quote
from tests.venue_broker import Desk, SteppedClock, VenueBroker

PRICES = (("60000", "60010"), ("59000", "59010"), ("61000", "61010"))  # base, safety, take profit


def make_desk(path: Path, broker: VenueBroker | None = None, tag: bool = True) -> Desk:
    settings = DatabaseSettings("sqlite", path=str(path))
    is_new = not path.exists()
    migrate(settings)
    database = connect(settings)
    desk = Desk(database, broker or VenueBroker(SteppedClock()))
    if is_new:
        if tag:
            notes.make_tag(database, desk.clock())
        desk.add_asset()
    desk.broker.quote(make_quote("60000", "60010", at=desk.clock()))
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = make_desk(tmp_path / "books.db")
    desk.trader.recover()
    yield desk
    desk.database.close_all()


def trade(desk: Desk, *prices: tuple[str, str]) -> None:
    for bid, ask in prices:
        assert desk.quote(bid, ask) is not None, bid
        desk.settle(61)


def facts(desk: Desk) -> list[tuple[Any, ...]]:
    """What the books say, without numbers of rows and the times of booking.

    What Alpaca kept of a buy is known again only where the coins are still there; else the worst fee counts.
    """
    orders = desk.rows(
        "SELECT o.client_order_id, o.purpose, o.side, o.status, o.order_id, o.filled_quantity, o.filled_price, "
        "c.created_at, c.status, c.quantity, c.average_purchase_price, c.safety_orders, "
        "c.last_order_fill_price FROM dca_orders o JOIN dca_cycles c ON c.id = o.cycle_id ORDER BY c.created_at, o.id"
    )
    return [*orders, *desk.rows("SELECT last_sell_price FROM dca_assets")]


def dump(desk: Desk) -> Path:
    path = Path(desk.database.settings.path)
    copy = path.with_suffix(".dump")
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    return copy


def restored(desk: Desk, copy: Path) -> Desk:
    """The same account, and the books as they were."""
    path = copy.with_name("restored.db")
    shutil.copy(copy, path)
    other = make_desk(path, desk.broker)
    other.trader.recover()
    other.settle(61)
    return other


def test_a_dump_from_before_a_whole_cycle(desk: Desk) -> None:
    trade(desk, *PRICES)
    copy = dump(desk)
    desk.clock.advance(400)
    desk.trader.sweep()
    trade(desk, *PRICES)
    desk.clock.advance(400)
    desk.trader.sweep()
    trade(desk, ("50000", "50010"), ("49000", "49010"))
    after = restored(desk, copy)
    assert facts(after) == facts(desk)
    trade(after, ("51000", "51010"))
    assert after.broker.position("BTC") == 0


def test_a_dump_of_a_cycle_that_was_sold_by_hand(desk: Desk) -> None:
    """What the old books hold was sold; a later cycle bought higher. Nothing is sold below its cost."""
    trade(desk, PRICES[0])
    copy = dump(desk)
    desk.broker.sell_by_hand("BTC/USD", desk.broker.position("BTC"))
    for _ in range(4):
        desk.clock.advance(6)
        desk.trader.sweep()
    desk.execute("UPDATE dca_assets SET is_enabled = 1")
    desk.clock.advance(400)
    desk.trader.refresh()
    desk.trader.sweep()
    trade(desk, ("70000", "70010"))
    after = restored(desk, copy)
    assert after.quote("69500", "69510") is None
    assert after.rows("SELECT status, ended_by FROM dca_cycles ORDER BY id")[0] == ("error", "error")
    held = after.rows("SELECT quantity, average_purchase_price FROM dca_cycles WHERE status = 'watching'")
    assert [(Decimal(q), Decimal(p)) for q, p in held] == [(after.broker.position("BTC"), Decimal(70010))]


@pytest.mark.parametrize("lost", range(5))
def test_each_single_lost_row_of_two_cycles(desk: Desk, tmp_path: Path, lost: int) -> None:
    trade(desk, *PRICES)
    desk.clock.advance(400)
    desk.trader.sweep()
    trade(desk, *PRICES[:2])
    before = facts(desk)
    names = [name for (name,) in desk.rows("SELECT client_order_id FROM dca_orders ORDER BY id")]
    desk.execute("DELETE FROM dca_orders WHERE client_order_id = ?", names[lost])
    after = restored(desk, dump(desk))
    assert facts(after)[:-1] == before[:-1]


def test_a_lost_tail_is_found_when_coins_appear(desk: Desk) -> None:
    """A failover under the running daemon: what it bought is nobody's for some seconds."""
    trade(desk, PRICES[0])
    trade(desk, PRICES[1])
    before = facts(desk)
    desk.execute("DELETE FROM dca_orders WHERE purpose = 'safety'")
    desk.trader.refresh()
    for _ in range(4):
        desk.clock.advance(6)
        desk.trader.sweep()
    desk.settle(61)
    assert facts(desk) == before


@pytest.mark.parametrize("edited", ["2099-01-01 00:00:00.000000", "noon"])
def test_a_wrong_time_hides_no_lost_order(desk: Desk, edited: str) -> None:
    """A clock ran ahead, or somebody edited the newest row."""
    trade(desk, *PRICES[:2])
    before = facts(desk)
    desk.execute("DELETE FROM dca_orders WHERE purpose = 'safety'")
    desk.execute("UPDATE dca_orders SET created_at = ?", edited)
    desk.trader.recover()
    if edited == "noon":
        assert "no time" in desk.trader.held["BTC/USD"]
        return
    assert len(facts(desk)) == len(before)


def test_a_lost_open_order_is_booked_and_not_doubled(desk: Desk) -> None:
    desk.broker.slicer = desk.broker.venue.slicer = lambda order, unfilled, quote: Decimal(0)
    desk.quote("60000", "60010")
    desk.execute("DELETE FROM dca_orders")
    desk.trader.refresh()
    swept = desk.caretaker("absent", "stale").sweep()
    assert desk.sync.sweep_orphans(swept.snapshot, "own") == (1, 0)
    desk.settle()
    assert desk.rows("SELECT status FROM dca_orders") == [("canceled",)]


def test_an_empty_database_suspends_what_our_orders_bought(desk: Desk, tmp_path: Path) -> None:
    trade(desk, *PRICES[:2])
    other = make_desk(tmp_path / "empty.db", desk.broker)
    other.trader.recover()
    assert "this database knows no order at all" in other.trader.suspended["BTC/USD"]
    for bid, ask in PRICES:
        assert other.quote(bid, ask) is None
    assert other.rows("SELECT * FROM dca_orders") == []


def test_two_databases_on_one_account(desk: Desk, tmp_path: Path) -> None:
    """The one that comes later leaves the pair alone, and its orders too."""
    other = make_desk(tmp_path / "other.db", desk.broker)
    other.trader.recover()
    trade(other, *PRICES)
    other.clock.advance(400)
    trade(desk, PRICES[0])
    before = desk.rows("SELECT * FROM dca_orders")
    other.trader.recover()
    assert "another dcabot" in other.trader.suspended["BTC/USD"]
    assert other.quote("58000", "58010") is None
    swept = other.caretaker("absent", "stale").sweep()
    assert other.sync.sweep_orphans(swept.snapshot, "own")[0] == 0
    assert desk.rows("SELECT * FROM dca_orders") == before
    trade(desk, PRICES[2])
    other.trader.recover()
    assert other.trader.suspended == {}


def test_dcabot_whose_coins_are_gone_is_in_nobodys_way(desk: Desk, tmp_path: Path) -> None:
    """Its orders bought more than they sold, and its owner sold the rest by hand."""
    other = make_desk(tmp_path / "other.db", desk.broker)
    other.trader.recover()
    trade(other, *PRICES)
    other.clock.advance(400)
    trade(desk, PRICES[0])
    other.trader.recover()
    assert "another dcabot" in other.trader.suspended["BTC/USD"]
    desk.broker.sell_by_hand("BTC/USD", desk.broker.position("BTC"))
    other.trader.recover()
    assert other.trader.suspended == {}


@pytest.mark.parametrize("who", ["daemon", "checker"])
def test_a_lost_sale_is_not_a_sale_by_hand(desk: Desk, who: str) -> None:
    """A failover lost the sale's row, and nobody has started since: its fill is dcabot's own."""
    trade(desk, *PRICES[:2])
    copy = dump(desk)
    trade(desk, PRICES[2])
    before = facts(desk)
    other = Desk(connect(DatabaseSettings("sqlite", path=str(copy))), desk.broker)
    other.trader.learn_instruments()
    other.trader.refresh()
    sweep = other.trader.sweep if who == "daemon" else other.caretaker("absent", *POSITIONS).sweep
    for _ in range(4):
        desk.clock.advance(6)
        sweep()
    assert facts(other) == before
    assert other.rows("SELECT is_enabled, disabled_because FROM dca_assets") == [(1, None)]
    other.database.close_all()


def test_a_dry_run_books_no_lost_sale(desk: Desk) -> None:
    trade(desk, *PRICES[:2])
    copy = dump(desk)
    trade(desk, PRICES[2])
    other = Desk(connect(DatabaseSettings("sqlite", path=str(copy))), desk.broker)
    other.execute("UPDATE dca_cycles SET missing_since = created_at, quantity = 0")
    before = other.rows("SELECT * FROM dca_orders")
    other.caretaker("absent", *POSITIONS).look()
    assert other.rows("SELECT * FROM dca_orders") == before
    other.database.close_all()
