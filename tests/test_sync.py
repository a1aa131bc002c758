"""Reconciliation: the book beside the exchange, by the daemon's sweep and by each caretaker's laws."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.adapters.database import connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.core.model import Order, OrderStatus, Side
from dcabot.core.reconcile import POSITIONS, discrepancies
from dcabot.core.snapshot import ExchangeUnreachable, Listing, Refused, Unreadable
from dcabot.core.venue import OrderRequest
from tests.builders import make_instrument, make_quote
from tests.venue_broker import Desk, Fate, SteppedClock, VenueBroker

ORDER_MANAGER = ("absent", "stale")
CHECKER = ("absent", *POSITIONS)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "books.db"))
    migrate(settings)
    database = connect(settings)
    listed = (make_instrument(), make_instrument("ETH/USD"))
    desk = Desk(database, VenueBroker(SteppedClock(), listed))
    desk.add_asset()
    desk.broker.quote(make_quote("60000", "60010", at=desk.clock()))
    desk.broker.quote(make_quote("2000", "2001", symbol="ETH/USD", at=desk.clock()))
    desk.trader.recover()
    yield desk
    database.close_all()


@pytest.fixture
def holding(desk: Desk) -> Desk:
    """The base order is filled and its fee is known: 0.000332443 BTC."""
    desk.quote("60000", "60010")
    desk.settle()
    return desk


def cycles(desk: Desk) -> list[tuple[str, Decimal]]:
    rows = desk.rows("SELECT status, quantity FROM dca_cycles ORDER BY id")
    return [(status, Decimal(quantity)) for status, quantity in rows]


def missing(desk: Desk) -> list[bool]:
    """Of each cycle, whether coins of it are missing."""
    return [since is not None for (since,) in desk.rows("SELECT missing_since FROM dca_cycles ORDER BY id")]


def look_twice(desk: Desk) -> None:
    """What is seen once is doubted; and what is missing then is asked about at the third look."""
    for _ in range(3):
        desk.trader.sweep()
        desk.clock.advance(6)


def everything(desk: Desk) -> list[list[tuple[object, ...]]]:
    return [desk.rows(f"SELECT * FROM {table}") for table in ("dca_assets", "dca_cycles", "dca_orders")]


def foreign(symbol: str = "BTC/USD", name: str = "by-hand", price: str = "50000") -> OrderRequest:
    return OrderRequest(
        symbol, Side.BUY, "limit", "gtc", Decimal("0.001"), limit_price=Decimal(price), client_order_id=name
    )


# What the stream did not tell.


def test_two_odd_looks_a_minute_apart_are_two_first_looks(desk: Desk) -> None:
    """Simulation seed 89829: the database was away between two odd answers, and they were taken for two looks."""
    desk.quote("60000", "60010")
    desk.settle()
    held = desk.broker.position("BTC")
    for _ in range(3):
        desk.broker.move("BTC", -held)
        desk.trader.sweep()
        desk.broker.move("BTC", held)
        desk.clock.advance(60)
    assert missing(desk) == [False]
    desk.broker.move("BTC", -held)
    desk.trader.sweep()
    desk.clock.advance(6)
    desk.trader.sweep()
    assert missing(desk) == [True]


def test_a_fill_that_no_stream_told_of_is_booked_and_so_is_its_fee(desk: Desk) -> None:
    desk.quote("60000", "60010")
    desk.broker.updates.clear()
    desk.settle()
    assert cycles(desk) == [("watching", Decimal("0.000332443"))]
    assert cycles(desk)[0][1] == desk.broker.position("BTC")


def test_an_order_that_was_refused_and_lives_after_all_is_cancelled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.broker.slicer = desk.broker.venue.slicer = lambda order, unfilled, quote: Decimal(0)
    truly = desk.broker.submit

    def refuse(symbol: str, order: Order) -> Refused:
        truly(symbol, order)
        return Refused("HTTP 403: forbidden")

    with monkeypatch.context() as lying:
        lying.setattr(desk.broker, "submit", refuse)
        desk.quote("60000", "60010")
    desk.broker.updates.clear()
    desk.clock.advance(5)
    desk.trader.sweep()
    desk.quote("60000", "60010")
    assert [order.client_order_id[-6:] for order in desk.broker.venue.open.values()] == ["base-2"]


def test_news_that_the_stream_should_have_told_long_ago_is_named(desk: Desk) -> None:
    desk.quote("60000", "60010")
    desk.broker.updates.clear()
    assert desk.trader.sweep().late_news == []
    desk.restart()
    desk.trader.recover()
    desk.quote("59000", "59010")
    desk.broker.updates.clear()
    desk.clock.advance(11)
    late = desk.trader.sweep().late_news
    assert [report.client_order_id.split("-")[3] for report in late] == ["safety"]


def test_what_was_sold_while_nobody_listened_opens_the_cooldown(holding: Desk) -> None:
    holding.quote("61000", "61010")
    holding.broker.updates.clear()
    holding.restart()
    holding.trader.recover()
    assert [status for status, _ in cycles(holding)] == ["complete", "cooldown"]


@pytest.mark.parametrize("question", ["open_orders", "report", "positions"])
def test_a_question_that_fails_concludes_nothing(holding: Desk, question: str) -> None:
    holding.broker.slicer = lambda order, unfilled, quote: Decimal(0)
    holding.broker.venue.slicer = holding.broker.slicer
    holding.quote("59000", "59010")
    holding.broker.venue.cancel(holding.broker.updates[-1].order_id, holding.clock())
    before = everything(holding)
    holding.broker.fates[question] = [Fate.LOST_REQUEST]
    with pytest.raises(ExchangeUnreachable):
        holding.trader.sweep()
    assert everything(holding) == before
    holding.trader.sweep()
    assert cycles(holding)[0][0] == "watching"


# Positions.


def test_a_position_that_is_missing_once_is_no_fact(holding: Desk) -> None:
    before = everything(holding)
    holding.broker.hidden_positions.add("BTC/USD")
    assert holding.trader.sweep().doubtful == 1
    holding.broker.hidden_positions.clear()
    holding.clock.advance(6)
    assert holding.trader.sweep().doubtful == 0
    holding.broker.hidden_positions.add("BTC/USD")
    holding.clock.advance(6)
    assert holding.trader.sweep().doubtful == 1
    assert everything(holding) == before


def test_missing_coins_suspend_and_nothing_is_bought(holding: Desk) -> None:
    """For seconds, for hours, for ever; nobody explains it."""
    holding.broker.hidden_positions.add("BTC/USD")
    before = holding.rows("SELECT * FROM dca_orders")
    look_twice(holding)
    for _ in range(50):
        holding.clock.advance(600)
        holding.trader.sweep()
        for bid in ("50000", "59000", "70000"):
            assert holding.quote(bid, bid) is None
    assert holding.rows("SELECT * FROM dca_orders") == before
    assert cycles(holding) == [("watching", Decimal(0))]  # the column shows what could be sold
    assert "nothing explains it" in holding.trader.held["BTC/USD"]


def test_missing_coins_that_come_back_trade_on(holding: Desk) -> None:
    before = cycles(holding)
    holding.broker.hidden_positions.add("BTC/USD")
    look_twice(holding)
    holding.restart()
    holding.trader.recover()
    assert missing(holding) == [True]
    holding.broker.hidden_positions.clear()
    holding.trader.sweep()
    assert (missing(holding), cycles(holding)) == ([False], before)
    holding.trader.sweep()
    assert holding.quote("61000", "61010") is not None
    assert holding.trader.held == {}


def test_a_part_that_is_missing_suspends_and_shows(holding: Desk) -> None:
    holding.broker.move("BTC", Decimal("-0.0001"))
    look_twice(holding)
    assert cycles(holding) == [("watching", Decimal("0.000232443"))]
    assert holding.quote("61000", "61010") is None
    assert holding.caretaker(*CHECKER).sweep().mended == []


def test_coins_sold_by_hand_end_the_cycle_and_disable(holding: Desk, caplog: pytest.LogCaptureFixture) -> None:
    holding.broker.sell_by_hand("BTC/USD", Decimal("0.000332443"))
    look_twice(holding)
    assert [status for status, _ in cycles(holding)] == ["complete", "cooldown"]
    asset = holding.rows("SELECT is_enabled, disabled_because, last_sell_price FROM dca_assets")
    assert asset == [(0, "sold_outside", None)]
    ended = holding.rows("SELECT ended_by, missing_since FROM dca_cycles WHERE status = 'complete'")
    assert ended == [("sold_outside", None)]
    assert "were sold outside dcabot: cycle complete, and the asset is disabled" in caplog.text
    holding.clock.advance(10000)
    holding.trader.sweep()
    for bid in ("10000", "60000"):
        assert holding.quote(bid, bid) is None


def test_coins_sold_by_another_dcabot(holding: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The log and the asset's row say whose orders they were."""
    name = "dcabot-x7q2-4-1760000000-take_profit-1"
    coins = Decimal("0.000332443")
    theirs = OrderRequest("BTC/USD", Side.SELL, "market", "gtc", coins, client_order_id=name)
    holding.broker.foreign_order(theirs)
    look_twice(holding)
    assert holding.rows("SELECT disabled_because FROM dca_assets") == [("sold_by_other_dcabot",)]
    assert "were sold by another dcabot on this account (ids of its orders: dcabot-x7q2-...)" in caplog.text


def test_coins_withdrawn_end_the_cycle_and_disable(holding: Desk) -> None:
    holding.broker.transfer("BTC", Decimal("-0.000332443"))
    look_twice(holding)
    assert holding.rows("SELECT disabled_because FROM dca_assets") == [("withdrawn",)]


def test_a_part_sold_by_hand_reduces_the_cycle(holding: Desk) -> None:
    average = holding.rows("SELECT average_purchase_price, safety_orders, last_order_fill_price FROM dca_cycles")
    holding.broker.sell_by_hand("BTC/USD", Decimal("0.0001"))
    look_twice(holding)
    assert cycles(holding) == [("watching", Decimal("0.000232443"))]
    after = holding.rows("SELECT average_purchase_price, safety_orders, last_order_fill_price FROM dca_cycles")
    assert after == average
    holding.quote("61000", "61010")
    holding.settle()
    assert holding.broker.position("BTC") == 0
    assert [status for status, _ in cycles(holding)] == ["complete", "cooldown"]


def test_what_explained_one_absence_explains_no_other(holding: Desk) -> None:
    holding.broker.sell_by_hand("BTC/USD", Decimal("0.000166221"))
    look_twice(holding)
    assert missing(holding) == [False]
    holding.broker.hidden_positions.add("BTC/USD")
    look_twice(holding)
    look_twice(holding)
    assert missing(holding) == [True]


@pytest.mark.parametrize("question", ["fills", "transfers"])
def test_an_unanswered_question_explains_nothing(holding: Desk, question: str) -> None:
    if question == "fills":
        holding.broker.sell_by_hand("BTC/USD", Decimal("0.000332443"))
    else:
        holding.broker.transfer("BTC", Decimal("-0.000332443"))
    holding.broker.fates[question] = [Fate.LOST_REQUEST] * 3
    look_twice(holding)
    assert missing(holding) == [True]
    for _ in range(3):
        holding.clock.advance(31)
        holding.trader.sweep()
    assert [status for status, _ in cycles(holding)] == ["complete", "cooldown"]


def test_a_caretaker_explains_an_absence_too(holding: Desk) -> None:
    holding.broker.sell_by_hand("BTC/USD", Decimal("0.000332443"))
    caretaker = holding.caretaker(*CHECKER)
    for _ in range(3):
        caretaker.sweep()
        holding.clock.advance(6)
    assert [status for status, _ in cycles(holding)] == ["complete", "cooldown"]


def test_a_position_that_lags_behind_a_fill_does_not_end_the_cycle(desk: Desk) -> None:
    desk.broker.hidden_positions.add("BTC/USD")
    desk.quote("60000", "60010")
    desk.stream()
    for _ in range(9):
        desk.clock.advance(6)
        assert desk.trader.sweep().mended == []
    desk.broker.hidden_positions.clear()
    desk.settle()
    assert cycles(desk) == [("watching", desk.broker.position("BTC"))]


def test_coins_that_never_arrive_are_missing_after_a_minute(desk: Desk) -> None:
    desk.broker.hidden_positions.add("BTC/USD")
    desk.quote("60000", "60010")
    desk.stream()
    for _ in range(9):
        desk.clock.advance(6)
        desk.trader.sweep()
    assert missing(desk) == [False]
    for _ in range(4):
        desk.clock.advance(6)
        desk.trader.sweep()
    assert missing(desk) == [True]
    assert desk.quote("50000", "50010") is None


def test_a_position_is_found_though_alpaca_lists_its_pair_no_more(holding: Desk) -> None:
    (row,) = holding.broker.positions().rows
    before = everything(holding)
    for listing in (
        Listing((replace(row, symbol="BTCUSD"),)),
        Listing((), (Unreadable("BTCUSD", "qty is not a number"),)),
    ):
        holding.broker.positions = lambda listing=listing: listing  # type: ignore[method-assign, misc]
        for _ in range(3):
            holding.clock.advance(6)
            assert holding.trader.sweep().mended == []
    assert everything(holding) == before


@pytest.mark.parametrize("change", ["0.00001", "0.001", "1"])
def test_coins_that_come_are_never_sold_with_the_cycle(
    holding: Desk, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = cycles(holding)
    holding.broker.move("BTC", Decimal(change))
    for _ in range(5):
        look_twice(holding)
    assert cycles(holding) == before
    holding.quote("61000", "61010")
    holding.settle()
    assert holding.broker.position("BTC") == Decimal(change)
    assert [status for status, _ in cycles(holding)] == ["complete", "cooldown"]
    told = [record for record in caplog.records if "foreign coins: Alpaca shows" in record.getMessage()]
    assert [record.levelno for record in told] == ([] if change == "0.00001" else [logging.WARNING])


def test_foreign_coins_without_rest(holding: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Their number changes all the time; the list of orders is read once in five minutes."""
    asked = len(holding.broker.sent("orders_since"))
    for _ in range(60):
        holding.broker.move("BTC", Decimal("0.01"))
        holding.trader.sweep()
        holding.clock.advance(6)
        holding.trader.sweep()
        holding.clock.advance(4)
    assert len(holding.broker.sent("orders_since")) - asked == 2
    assert "foreign coins changed again; within five minutes" in caplog.text
    holding.clock.advance(300)
    look_twice(holding)
    assert "foreign coins: Alpaca shows 0.6 that no cycle bought" in caplog.text


def test_lost_order_that_stays_open_is_read_about_once(holding: Desk) -> None:
    """Its asset is gone, so nobody can book it: the list of all orders tells nothing new."""
    name = "dcabot-9-1760000000-base-1"
    price = Decimal(1000)
    theirs = OrderRequest("ETH/USD", Side.BUY, "limit", "gtc", Decimal(1), None, price, None, name)
    holding.broker.venue.list_instrument(make_instrument("ETH/USD"))
    holding.broker.quote(make_quote("3000", "3001", symbol="ETH/USD", at=holding.clock()))
    holding.broker.foreign_order(theirs)
    asked = len(holding.broker.sent("orders_since"))
    for _ in range(8):
        look_twice(holding)
    assert len(holding.broker.sent("orders_since")) - asked == 1


def test_coins_that_come_before_the_fee_is_read(desk: Desk) -> None:
    desk.quote("60000", "60010")
    desk.stream()
    desk.broker.move("BTC", Decimal("0.5"))
    desk.clock.advance(61)
    look_twice(desk)
    assert cycles(desk) == [("watching", Decimal("0.000332443"))]  # the worst fee
    desk.quote("61000", "61010")
    desk.settle()
    assert desk.broker.position("BTC") == Decimal("0.5")


def test_beside_foreign_coins_a_whole_cycle_trades(desk: Desk) -> None:
    desk.execute("UPDATE dca_assets SET trade_beside_foreign_coins = 1")
    desk.broker.move("BTC", Decimal("0.5"))
    desk.trader.refresh()
    desk.trader.sweep()
    for bid, ask in (("60000", "60010"), ("59000", "59010")):
        assert desk.quote(bid, ask) is not None
        desk.settle()
    assert cycles(desk) == [("watching", desk.broker.position("BTC") - Decimal("0.5"))]
    assert desk.rows("SELECT COUNT(*) FROM dca_orders WHERE fee_quantity IS NULL") == [(0,)]
    desk.quote("61000", "61010")
    desk.settle()
    assert desk.broker.position("BTC") == Decimal("0.5")


def test_a_cycle_of_before_with_coins_of_others_gives_them_back(holding: Desk) -> None:
    """What the first edition booked as a negative fee is NULL after the migration."""
    holding.execute("UPDATE dca_orders SET fee_quantity = NULL")
    holding.broker.move("BTC", Decimal(1))
    holding.trader.refresh()
    look_twice(holding)
    assert cycles(holding) == [("watching", Decimal("0.000332443"))]


def test_a_position_of_18_decimals_is_sold(desk: Desk) -> None:
    desk.quote("60000", "60010")
    desk.broker.move("BTC", Decimal("-0.000000000192499999"))
    desk.settle()
    assert desk.rows("SELECT fee_quantity FROM dca_orders") == [("0.0000008341925",)]
    assert desk.quote("61000", "61010") is not None


def test_no_sale_before_a_start_has_compared_positions(holding: Desk) -> None:
    holding.broker.move("BTC", Decimal("-0.0001"))
    holding.restart()
    holding.trader.recover()
    assert holding.quote("61000", "61010") is None
    holding.broker.move("BTC", Decimal("0.0001"))
    holding.clock.advance(6)
    holding.trader.sweep()
    assert holding.quote("61000", "61010") is not None


def test_coins_that_no_cycle_owns_block_the_base_order_and_say_so(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.broker.move("BTC", Decimal("0.5"))
    desk.trader.sweep()
    for _ in range(3):
        assert desk.quote("60000", "60010") is None
    assert caplog.text.count("Alpaca shows 0.5 BTC/USD that no cycle bought") == 1
    desk.broker.move("BTC", Decimal("-0.49999999"))
    desk.trader.sweep()
    assert desk.quote("60000", "60010") is not None


# Rows that somebody edited.


@pytest.mark.parametrize(
    "edit",
    [
        "quantity = '7'",
        "average_purchase_price = '1'",
        "safety_orders = 4",
        "last_order_fill_price = NULL",
        "status = 'buying'",
        "status = 'selling'",
        "status = 'cooldown'",
    ],
)
def test_a_computed_column_that_was_edited_is_computed_again(holding: Desk, edit: str) -> None:
    before = holding.rows(
        "SELECT status, quantity, average_purchase_price, safety_orders, last_order_fill_price FROM dca_cycles"
    )
    holding.execute(f"UPDATE dca_cycles SET {edit}")
    assert holding.caretaker(*CHECKER).sweep().mended == ["computed columns differed from the orders: recomputed"]
    after = holding.rows(
        "SELECT status, quantity, average_purchase_price, safety_orders, last_order_fill_price FROM dca_cycles"
    )
    assert after == before


def test_a_row_edited_into_nonsense_holds_that_asset_only(holding: Desk, caplog: pytest.LogCaptureFixture) -> None:
    holding.add_asset("ETH/USD")
    holding.trader.refresh()
    holding.execute("UPDATE dca_orders SET status = 'dunno'")
    assert holding.quote("61000", "61010") is None
    assert "BTC/USD is suspended: dca_orders: dcabot-1-" in caplog.text
    holding.trader.refresh()
    holding.trader.sweep()
    holding.trader.sweep()
    assert holding.quote("2000", "2001", "ETH/USD") is not None
    assert caplog.text.count("BTC/USD is suspended") == 1
    holding.execute("UPDATE dca_orders SET status = 'filled' WHERE status = 'dunno'")
    holding.trader.refresh()
    assert holding.trader.held == {}
    assert holding.quote("61000", "61010") is not None


def test_a_status_edited_to_over_is_believed_and_the_asset_starts_anew(holding: Desk) -> None:
    holding.execute("UPDATE dca_cycles SET status = 'error'")
    holding.trader.refresh()
    assert [status for status, _ in cycles(holding)] == ["error", "watching"]
    holding.trader.sweep()
    assert holding.quote("60000", "60010") is None  # the coins lie there, and no cycle owns them


# Time.


def test_a_buy_that_rests_too_long_is_cancelled_and_the_cycle_watches_again(desk: Desk) -> None:
    desk.broker.slicer = desk.broker.venue.slicer = lambda order, unfilled, quote: Decimal(0)
    desk.quote("60000", "60010")
    desk.stream()
    manager = desk.caretaker(*ORDER_MANAGER)
    desk.clock.advance(299)
    assert manager.sweep().mended == []
    desk.clock.advance(1)
    assert "buy open longer than 300 s" in manager.sweep().mended[0]
    manager.sweep()
    assert cycles(desk) == [("watching", Decimal(0))]
    assert len(desk.broker.sent("cancel")) == 1


def test_what_a_stale_buy_had_filled_counts(desk: Desk) -> None:
    halves = iter([Decimal("0.0001"), *[Decimal(0)] * 100])
    desk.broker.slicer = desk.broker.venue.slicer = lambda order, unfilled, quote: next(halves)
    desk.quote("60000", "60010")
    desk.settle(300)
    desk.settle()
    assert cycles(desk) == [("watching", desk.broker.position("BTC"))]
    assert desk.broker.position("BTC") == Decimal("0.00009975")


def test_the_order_manager_leaves_a_sell_alone(holding: Desk) -> None:
    holding.broker.slicer = holding.broker.venue.slicer = lambda order, unfilled, quote: Decimal(0)
    holding.quote("61000", "61010")
    holding.stream()
    holding.clock.advance(1000)
    assert holding.caretaker(*ORDER_MANAGER).sweep().mended == []
    assert holding.broker.sent("cancel") == []


def test_a_cooldown_ends_by_the_sweep_and_an_idle_asset_gets_its_cycle(holding: Desk) -> None:
    holding.quote("61000", "61010")
    holding.settle()
    holding.clock.advance(280)
    assert cycles(holding)[-1][0] == "cooldown"
    holding.clock.advance(20)
    holding.trader.sweep()
    assert cycles(holding)[-1][0] == "watching"


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.LOST_REQUEST])
def test_an_early_restart_that_came_to_nothing_does_not_end_the_cooldown(holding: Desk, fate: Fate) -> None:
    holding.quote("61000", "61010")
    holding.settle()
    holding.broker.fates["submit"] = [fate]
    holding.quote("59700", "59710")
    holding.settle(130)
    assert cycles(holding)[-1][0] == "watching"
    assert holding.quote("60900", "60910") is None
    holding.restart()
    holding.trader.recover()
    assert holding.quote("60900", "60910") is None
    assert holding.quote("59700", "59710") is not None
    holding.settle()
    assert cycles(holding)[-1] == ("watching", holding.broker.position("BTC"))


def test_a_cooldown_that_an_early_restart_broke_in_vain_ends_in_time(holding: Desk) -> None:
    holding.quote("61000", "61010")
    holding.settle()
    holding.broker.fates["submit"] = [Fate.REFUSED]
    holding.quote("59700", "59710")
    holding.settle(300)
    assert holding.quote("60900", "60910") is not None


# Orders of others.


def test_orders_of_others_are_treated_as_the_policy_says(desk: Desk) -> None:
    for name in ("by-hand", "dcabot-0-0-base-1"):
        desk.broker.foreign_order(foreign(name=name))
    desk.broker.slicer = desk.broker.venue.slicer = lambda order, unfilled, quote: Decimal(0)
    desk.quote("60000", "60010")
    manager = desk.caretaker(*ORDER_MANAGER)
    assert manager.sweep_orphans(manager.sweep().snapshot, "none") == (0, 2)
    assert desk.broker.sent("cancel") == []
    assert manager.sweep_orphans(manager.sweep().snapshot, "own") == (1, 1)
    assert manager.sweep_orphans(manager.sweep().snapshot, "all") == (1, 0)
    assert manager.sweep_orphans(manager.sweep().snapshot, "all") == (0, 0)
    (mine,) = manager.sweep().snapshot.open_orders
    assert mine.client_order_id.startswith("dcabot-1-")


def test_a_sweep_never_touches_an_order_of_others(holding: Desk) -> None:
    holding.broker.foreign_order(foreign())
    holding.clock.advance(10_000)
    holding.trader.sweep()
    assert holding.broker.sent("cancel") == []


# Looking only.


def test_looking_changes_nothing(holding: Desk) -> None:
    holding.quote("59000", "59010")
    holding.broker.move("BTC", Decimal("0.3"))
    holding.execute("UPDATE dca_cycles SET safety_orders = 3")
    before = everything(holding)
    requests = len(holding.broker.sent("submit")) + len(holding.broker.sent("cancel"))
    _, _, entries, news = holding.caretaker(*CHECKER).look()
    assert news
    assert entries[0].cycle.orders[-1].status is OrderStatus.FILLED
    assert everything(holding) == before
    assert len(holding.broker.sent("submit")) + len(holding.broker.sent("cancel")) == requests


def test_settling_ends_even_when_something_changes_all_the_time(
    holding: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wrong = iter(range(1, 1000))

    def meddle(request: object) -> None:
        if getattr(request, "kind", "") == "open_orders":
            holding.execute(f"UPDATE dca_cycles SET safety_orders = {next(wrong)}")

    holding.broker.on_request = meddle
    holding.sync.settle()
    assert next(wrong) < 30


def test_a_cycle_that_moved_since_the_snapshot_is_left_for_the_next(holding: Desk) -> None:
    holding.broker.move("BTC", Decimal("-0.0001"))
    book, snapshot, entries, _ = holding.sync.look()
    (found,) = discrepancies(entries, snapshot, holding.sync.limits, CHECKER)
    order = book.entries[0].cycle.orders[0]
    moved = book.entries[0].cycle.with_order(replace(order, note="changed", cancel_requested_at=holding.clock()))
    assert found.repair(book.entries[0].asset, moved) is None
    assert found.repair(book.entries[0].asset, book.entries[0].cycle) is not None
