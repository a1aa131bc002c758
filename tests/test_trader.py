"""What the daemon knows between two commits: quotes looked at without IO, the book read again, what is said once."""

import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from unittest.mock import ANY

import pytest

from dcabot.adapters.database import DatabaseBusy, Limits, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.adapters.rows import Book
from dcabot.core.model import Cycle, OrderStatus, Quote
from dcabot.core.reconcile import Entry
from dcabot.core.snapshot import ExchangeUnreachable, Listing
from dcabot.trader import CONTACT_MAX_AGE, SAID_AGAIN_AFTER
from tests.builders import make_instrument, make_quote
from tests.venue_broker import Desk, Fate, Request, SteppedClock, VenueBroker


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    settings = DatabaseSettings("sqlite", path=str(tmp_path / "books.db"))
    migrate(settings)
    database = connect(settings)
    listed = (make_instrument(), make_instrument("ETH/USD"), make_instrument("MKR/USD", tradable=False))
    desk = Desk(database, VenueBroker(SteppedClock(), listed))
    desk.broker.quote(make_quote("60000", "60010", at=desk.clock()))
    desk.broker.quote(make_quote("2000", "2001", symbol="ETH/USD", at=desk.clock()))
    yield desk
    database.close_all()


@pytest.fixture
def trading(desk: Desk) -> Desk:
    """BTC/USD watches."""
    desk.add_asset()
    desk.trader.recover()
    return desk


def quoted(desk: Desk, bid: str = "60000", ask: str = "60010", age: float = 0) -> Quote:
    return make_quote(bid, ask, at=desk.clock() - timedelta(seconds=age))


def test_a_quote_that_decides_nothing_touches_neither_database_nor_exchange(trading: Desk, tmp_path: Path) -> None:
    trading.quote("60000", "60010")
    trading.settle()
    requests = len(trading.broker.requests)
    trading.database.close_all()
    (tmp_path / "books.db").rename(tmp_path / "gone.db")  # whoever reaches for the database now is found out
    for price in range(59500, 60500, 10):
        assert trading.trader.consider(quoted(trading, str(price), str(price + 10))) is None
    assert len(trading.broker.requests) == requests


def test_unknown_symbols_are_ignored(trading: Desk) -> None:
    assert trading.trader.consider(make_quote(symbol="ETH/USD", at=trading.clock())) is None


@pytest.mark.parametrize("age", [61, -61])
def test_an_old_quote_and_one_from_the_future_decide_nothing(trading: Desk, age: float) -> None:
    assert trading.trader.consider(quoted(trading, age=age)) is None
    assert trading.trader.consider(quoted(trading, age=59)) is not None


def test_quotes_that_come_too_old_are_said_once(trading: Desk, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        trading.clock.advance(5)
        assert trading.trader.consider(quoted(trading, age=3600)) is None
    assert caplog.text.count("quotes come 3600 s old and decide nothing: is this machine's clock right?") == 1
    assert trading.trader.consider(quoted(trading, age=-90)) is None
    assert "quotes come 90 s in the future" in caplog.text


def test_a_quote_that_grew_old_in_a_quiet_market_is_no_news(trading: Desk, caplog: pytest.LogCaptureFixture) -> None:
    quote = quoted(trading)
    trading.trader.consider(quote)
    trading.clock.advance(3600)
    assert trading.trader.consider(quote) is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("bid", "ask", "words"),
    [
        ("0", "60010", "a price of zero or below"),
        ("-1", "60010", "a price of zero or below"),
        ("60020", "60010", "the bid is above the ask"),
        ("NaN", "60010", "a price that is no number"),
        ("20000", "20010", "the price jumped"),
        ("90000", "90010", "the price jumped"),
    ],
)
def test_an_impossible_price_decides_nothing_and_is_said_once(
    trading: Desk, caplog: pytest.LogCaptureFixture, bid: str, ask: str, words: str
) -> None:
    trading.trader.consider(quoted(trading))
    for _ in range(3):
        assert trading.trader.consider(quoted(trading, bid, ask)) is None
    assert caplog.text.count(words) == 1
    assert trading.trader.consider(quoted(trading)) is not None


def test_two_kinds_of_nonsense_by_turns_are_said_once_each(trading: Desk, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        trading.trader.consider(quoted(trading, "0", "1"))
        trading.trader.consider(quoted(trading, "2", "1"))
    assert len(caplog.records) == 2


def test_nonsense_that_comes_back_after_a_quiet_while_is_said_again(
    trading: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        trading.trader.consider(quoted(trading, "2", "1"))
        trading.clock.advance(SAID_AGAIN_AFTER.total_seconds() - 1)
    assert len(caplog.records) == 1
    trading.clock.advance(2)
    trading.trader.consider(quoted(trading, "2", "1"))
    assert len(caplog.records) == 2


def test_a_jump_is_believed_when_others_agree_for_ten_seconds(trading: Desk) -> None:
    trading.trader.consider(quoted(trading))
    for _ in range(10):
        assert trading.trader.consider(quoted(trading, "20000", "20010")) is None
        trading.clock.advance(1)
    assert trading.trader.consider(quoted(trading, "20000", "20010")) is not None


def test_without_the_stream_and_without_rest_no_new_order(trading: Desk) -> None:
    trading.trader.stream_up = False
    assert trading.trader.consider(quoted(trading)) is not None
    trading.clock.advance(CONTACT_MAX_AGE.total_seconds())
    assert trading.trader.consider(quoted(trading)) is None
    trading.broker.is_reachable = False
    with pytest.raises(ExchangeUnreachable):
        trading.trader.sweep()
    assert trading.trader.consider(quoted(trading)) is None
    trading.broker.is_reachable = True
    trading.trader.sweep()
    assert trading.trader.consider(quoted(trading)) is not None


def test_a_base_order_waits_until_the_position_is_known(desk: Desk) -> None:
    desk.add_asset()
    desk.trader.learn_instruments()
    desk.trader.refresh()
    assert desk.trader.consider(quoted(desk)) is None
    assert desk.trader.is_unsettled()
    desk.trader.sweep()
    assert desk.trader.consider(quoted(desk)) is not None


def test_recovery_needs_the_exchange(desk: Desk) -> None:
    desk.add_asset()
    for question in ("instruments", "open_orders", "positions"):
        desk.broker.fates[question] = [Fate.LOST_REQUEST]
        with pytest.raises(ExchangeUnreachable):
            desk.trader.recover()
    desk.trader.recover()
    assert desk.trader.symbols() == ["BTC/USD"]


# The book read again.


def test_new_assets_get_their_cycle_and_disabled_ones_no_new_buys(trading: Desk) -> None:
    trading.add_asset("ETH/USD")
    trading.execute("UPDATE dca_assets SET is_enabled = 0 WHERE asset_symbol = 'BTC/USD'")
    trading.trader.refresh()
    trading.trader.sweep()
    assert trading.trader.symbols() == ["BTC/USD", "ETH/USD"]
    assert trading.quote("60000", "60010") is None
    assert trading.quote("2000", "2001", "ETH/USD") is not None


SLIPS = [
    "BTC-USD",
    "btc/usd",
    "BTCUSD",
    " ETH/USD",
    "ETH/USD\n",
    "1INCH/USD",
    "*",
    "BTC/EUR",
    "FOO/USD",
    "\x1b[31mX/USD",
]


@pytest.mark.parametrize("symbol", SLIPS)
def test_what_alpaca_does_not_list_needs_no_prices(desk: Desk, symbol: str) -> None:
    desk.add_asset()
    desk.add_asset(symbol)
    desk.trader.recover()
    assert desk.trader.symbols() == ["BTC/USD"]
    assert symbol in desk.trader.held
    assert desk.quote("60000", "60010") is not None


def test_a_pair_that_vanishes_keeps_its_prices_while_there_is_a_position(trading: Desk) -> None:
    trading.add_asset("ETH/USD")
    trading.trader.refresh()
    trading.quote("60000", "60010")
    trading.settle()
    trading.broker.venue.instruments.clear()
    trading.trader.learn_instruments()
    assert trading.trader.symbols() == ["BTC/USD"], "ETH/USD has no position"
    trading.execute("UPDATE dca_assets SET asset_symbol = 'BTC-USD' WHERE asset_symbol = 'BTC/USD'")
    trading.trader.refresh()
    assert trading.trader.symbols() == [], "under no such name can anything be subscribed to"


def test_pairs_with_a_position_come_first(trading: Desk) -> None:
    for symbol in ("AAVE/USD", "ETH/USD"):
        trading.add_asset(symbol)
    trading.broker.venue.instruments["AAVE/USD"] = make_instrument("AAVE/USD")
    trading.trader.learn_instruments()
    trading.trader.refresh()
    assert trading.trader.symbols() == ["AAVE/USD", "BTC/USD", "ETH/USD"]
    trading.quote("60000", "60010")
    trading.settle()
    assert trading.trader.symbols() == ["BTC/USD", "AAVE/USD", "ETH/USD"]


def test_a_disabled_asset_that_never_traded_gets_no_cycle(desk: Desk) -> None:
    desk.add_asset(is_enabled=False)
    desk.trader.recover()
    assert desk.trader.symbols() == []
    assert desk.rows("SELECT id FROM dca_cycles") == []


def test_a_disabled_asset_is_still_sold(trading: Desk) -> None:
    trading.quote("60000", "60010")
    trading.settle()
    trading.execute("UPDATE dca_assets SET is_enabled = 0")
    trading.trader.refresh()
    assert trading.quote("59000", "59010") is None
    trading.quote("61000", "61010")
    trading.settle()
    assert trading.broker.position("BTC") == 0


def test_changed_settings_apply_from_the_next_decision_even_unread(trading: Desk) -> None:
    trading.quote("60000", "60010")
    trading.settle()
    trading.execute("UPDATE dca_assets SET take_profit_percent = 5")
    assert trading.quote("61000", "61010") is None  # memory would sell, the row does not
    assert trading.broker.sent("submit") == trading.broker.sent("submit")[:1]
    trading.execute("UPDATE dca_assets SET take_profit_percent = 1")
    assert trading.quote("61000", "61010") is None  # and now memory does not
    trading.trader.refresh()
    assert trading.quote("61000", "61010") is not None


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"base_order_amount": Decimal("9.99")}, "base_order_amount 9.99 is below Alpaca's minimum"),
        ({"safety_order_amount": -5}, "safety_order_amount -5 is below"),
        ({"max_safety_orders": -1}, "max_safety_orders -1"),
        ({"safety_order_deviation": 100}, "safety_order_deviation 100"),
        ({"take_profit_percent": Decimal("0.4")}, "take_profit_percent 0.4 does not cover the round-trip fee"),
        ({"cooldown_period": -1}, "cooldown_period -1"),
        ({"buy_order_price_deviation_percent": -1}, "buy_order_price_deviation_percent -1"),
        ({"asset_symbol": "DOGE/USD"}, "Alpaca does not know this crypto pair"),
        ({"asset_symbol": "MKR/USD"}, "does not let it be traded"),
        ({"asset_symbol": "ETH/BTC"}, "only pairs quoted in USD"),
        ({"asset_symbol": ""}, "only pairs quoted in USD"),
    ],
)
def test_settings_that_cannot_work_hold_that_asset_only_and_name_the_column(
    desk: Desk, caplog: pytest.LogCaptureFixture, columns: dict[str, object], words: str
) -> None:
    symbol = str(columns.pop("asset_symbol", "BTC/USD"))
    desk.add_asset(symbol, **columns)
    desk.add_asset("ETH/USD")
    desk.trader.recover()
    for _ in range(3):
        desk.trader.refresh()
    assert words in desk.trader.held[symbol]
    assert caplog.text.count(f"{symbol} is suspended: ") == 1
    assert desk.quote("60000", "60010") is None
    assert desk.quote("2000", "2001", "ETH/USD") is not None


def test_an_asset_that_is_mended_trades_and_that_is_said(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk.add_asset(take_profit_percent=0)
    desk.trader.recover()
    desk.execute("UPDATE dca_assets SET take_profit_percent = 1")
    desk.trader.refresh()
    assert "BTC/USD is no longer suspended" in caplog.text
    assert desk.quote("60000", "60010") is not None


def test_a_book_that_was_read_before_another_is_not_taken_after_it(
    trading: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Sweeps and the operator's refresh read it in threads of their own."""
    caplog.set_level(logging.INFO)
    read_book, reads = trading.store.read_book, iter(range(10))

    def read_slowly() -> Book:
        book = read_book()
        if next(reads) == 0:
            trading.execute("UPDATE dca_cycles SET status = 'bying'")
            trading.trader.refresh()  # the other thread's, from beginning to end
        return book

    monkeypatch.setattr(trading.store, "read_book", read_slowly)
    trading.trader.refresh()
    assert "unknown status 'bying'" in trading.trader.held["BTC/USD"]
    assert trading.trader.entries == {}
    assert (caplog.text.count("BTC/USD is suspended"), caplog.text.count("no longer suspended")) == (1, 0)


def test_an_older_reading_of_a_cycle_is_dropped(trading: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order's answer and its fill come together, in threads of their own."""
    read_entry, reads = trading.store.read_entry, iter(range(10))

    def read_slowly(cycle_id: int) -> Entry | None:
        entry = read_entry(cycle_id)
        if next(reads) == 0:
            trading.settle()  # the other thread's, from beginning to end
        return entry

    monkeypatch.setattr(trading.store, "read_entry", read_slowly)
    trading.quote("60000", "60010")
    (order,) = trading.trader.entries["BTC/USD"].cycle.orders
    assert order.status is OrderStatus.FILLED


def test_an_older_book_undoes_no_newer_reading(trading: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    trading.quote("60000", "60010")
    read_book, reads = trading.store.read_book, iter(range(10))

    def read_slowly() -> Book:
        book = read_book()
        if next(reads) == 0:
            trading.settle()
        return book

    monkeypatch.setattr(trading.store, "read_book", read_slowly)
    trading.trader.refresh()
    (order,) = trading.trader.entries["BTC/USD"].cycle.orders
    assert order.status is OrderStatus.FILLED


def test_what_a_sweep_mends_is_known_at_once(trading: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep may go on for a tenth of a second: an order meanwhile would read its row anew."""
    trading.quote("60000", "60010")
    trading.settle()
    trading.execute("UPDATE dca_cycles SET safety_orders = 4")
    seen: list[Entry] = []
    mend = trading.trader.sync.on_mended

    def watch(cycle: Cycle) -> None:
        mend(cycle)
        seen.append(trading.trader.entries[cycle.symbol])
        assert trading.store.read_entry(cycle.id) == replace(seen[-1], asset=ANY)

    monkeypatch.setattr(trading.trader.sync, "on_mended", watch)
    trading.trader.sweep()
    assert [entry.cycle.symbol for entry in seen] == ["BTC/USD"]
    assert trading.trader.unowned["BTC/USD"] == 0


def test_no_price_from_before_a_suspension_decides(trading: Desk) -> None:
    """Nobody told its price meanwhile, neither the stream nor REST."""
    quote = quoted(trading)
    assert trading.trader.consider(quote) is not None
    trading.trader.hear_latest([quote], trading.clock())
    for status in ("bying", "watching"):
        trading.execute(f"UPDATE dca_cycles SET status = '{status}'")
        trading.trader.refresh()
    trading.trader.sweep()
    assert trading.trader.reconsider("BTC/USD") is None
    trading.clock.advance(1)
    assert trading.trader.consider(quoted(trading)) is not None


def test_a_report_of_a_held_asset_is_booked_and_does_not_set_it_free(trading: Desk) -> None:
    """With two current cycles nobody knows which of them the next order belongs to."""
    assert trading.quote("60000", "60010") is not None
    trading.execute("INSERT INTO dca_cycles (id, asset_id, status) VALUES (99, 1, 'watching')")
    trading.trader.refresh()
    trading.settle()
    assert trading.rows("SELECT status FROM dca_orders") == [("filled",)]
    assert "2 current cycles" in trading.trader.held["BTC/USD"]
    assert trading.quote("50000", "50010") is None
    assert len(trading.broker.sent("submit")) == 1


def test_a_pair_that_the_exchange_no_longer_lists_is_held(trading: Desk) -> None:
    trading.broker.venue.list_instrument(make_instrument(tradable=False))
    trading.trader.learn_instruments()
    trading.trader.refresh()
    assert "does not let it be traded" in trading.trader.held["BTC/USD"]


def test_a_pair_that_one_answer_lacked_is_asked_for_again(trading: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as odd:
        odd.setattr(trading.broker, "instruments", lambda: Listing(()))
        trading.trader.learn_instruments()
    trading.trader.refresh()
    assert "does not know this crypto pair" in trading.trader.held["BTC/USD"]
    assert not trading.trader.knows_its_pairs()
    trading.trader.learn_instruments()
    trading.trader.refresh()
    assert trading.trader.knows_its_pairs()
    assert trading.quote("60000", "60010") is not None


def test_a_cycle_that_a_caretaker_ended_is_left_at_the_next_decision(trading: Desk) -> None:
    trading.execute("UPDATE dca_cycles SET status = 'error', completed_at = '2026-01-01 00:00:00'")
    assert trading.quote("60000", "60010") is None
    assert trading.trader.entries["BTC/USD"].cycle.id == 2
    trading.trader.sweep()
    assert trading.quote("60000", "60010") is not None


def test_an_order_of_a_caretakers_time_is_seen_on_the_row(trading: Desk) -> None:
    beside = Desk(trading.database, trading.broker)
    beside.trader.recover()
    beside.quote("60000", "60010")
    assert trading.quote("60000", "60010") is None
    assert len(trading.broker.sent("submit")) == 1


def test_a_quote_that_comes_too_late_is_what_the_next_one_is_compared_with(trading: Desk) -> None:
    """Simulation seed 11094: after an hour of late quotes a false one was judged by the price of the last buy."""
    trading.trader.seen.clear()
    assert trading.trader.consider(quoted(trading, "30000", "30010", age=300)) is None
    assert trading.trader.consider(quoted(trading, "60000", "60010")) is None
    assert trading.trader.consider(quoted(trading, "30000", "30010")) is not None


def test_without_the_database_nothing_is_sent(trading: Desk, tmp_path: Path) -> None:
    occasion = trading.trader.consider(quoted(trading))
    assert occasion is not None
    trading.database.close_all()
    (tmp_path / "books.db").rename(tmp_path / "gone.db")
    with pytest.raises(Exception, match="unable to open"):
        trading.trader.act("BTC/USD", occasion)
    assert trading.broker.sent("submit") == []
    (tmp_path / "gone.db").rename(tmp_path / "books.db")
    assert trading.trader.act("BTC/USD", occasion) is not None


def test_an_answer_that_cannot_be_booked_is_made_good_by_the_sweep(trading: Desk, tmp_path: Path) -> None:
    """The order is out, and then the database is not to be had."""
    trading.database.close_all()
    hasty = Desk(connect(trading.database.settings, Limits(read=1)), trading.broker)
    hasty.trader.recover()
    rival = sqlite3.connect(tmp_path / "books.db", isolation_level=None)

    def take_the_database(request: Request) -> None:
        if request.kind == "submit":
            rival.execute("BEGIN IMMEDIATE")

    trading.broker.on_request = take_the_database
    with pytest.raises(DatabaseBusy):
        hasty.quote("60000", "60010")
    rival.close()
    trading.broker.updates.clear()
    assert [row[0] for row in hasty.rows("SELECT status FROM dca_orders")] == ["intended"]
    hasty.trader.sweep()
    assert [row[0] for row in hasty.rows("SELECT status FROM dca_orders")] == ["filled"]
    hasty.database.close_all()


# Two looks, the newest quote, and money that is promised


@pytest.fixture
def holding(trading: Desk) -> Desk:
    """It bought at 60010, and its fee is known."""
    trading.quote("60000", "60010")
    trading.settle()
    return trading


def test_a_market_sale_waits_for_rest(holding: Desk) -> None:
    false = quoted(holding, "60700", "60710")
    assert holding.trader.consider(false) is None
    assert list(holding.trader.looks) == ["BTC/USD"]
    holding.clock.advance(2)
    asked_at = holding.clock()
    holding.trader.hear_latest(holding.broker.latest_quotes(["BTC/USD"]), asked_at)
    assert holding.trader.reconsider("BTC/USD") is None  # REST still tells the price that it bought at
    holding.broker.quote(false)
    holding.clock.advance(2)
    asked_at = holding.clock()
    holding.trader.hear_latest(holding.broker.latest_quotes(["BTC/USD"]), asked_at)
    occasion = holding.trader.reconsider("BTC/USD")
    assert occasion is not None and occasion.decision.submit[0].limit_price is None


def test_a_price_that_falls_ends_the_second_look(holding: Desk) -> None:
    holding.trader.consider(quoted(holding, "60700", "60710"))
    holding.trader.consider(quoted(holding, "60600", "60610"))
    assert not holding.trader.looks


@pytest.mark.parametrize("blind", ["suspended", "unusable"])
def test_a_second_look_ends_with_the_sight(holding: Desk, blind: str) -> None:
    """Else a false bid after it would be borne out by the true one before."""
    trader = holding.trader
    trader.consider(quoted(holding, "60700", "60710"))
    if blind == "suspended":
        trader.suspended = {"BTC/USD": "why"}
    else:
        trader.data_comes(7.0)  # the stream was connected anew
    trader.reconsider("BTC/USD")
    trader.suspended = {}
    holding.clock.advance(5)
    false = quoted(holding, "60700", "60710")
    assert trader.consider(false) is None
    trader.hear_latest([false], holding.clock())
    assert trader.reconsider("BTC/USD") is None


def test_a_take_profit_raised_meanwhile_looks_anew(holding: Desk) -> None:
    """The first look was at a bid that does not reach the new price: with it the two would never agree."""
    holding.trader.consider(quoted(holding, "60700", "60710"))
    holding.execute("UPDATE dca_assets SET take_profit_percent = 1.5")
    holding.trader.refresh()
    true = quoted(holding, "61000", "61010")
    holding.broker.quote(true)
    for seconds in (0, 2):
        holding.clock.advance(seconds)
        holding.trader.reconsider("BTC/USD") if seconds else holding.trader.consider(true)
        holding.trader.hear_latest(holding.broker.latest_quotes(["BTC/USD"]), holding.clock())
    assert holding.trader.reconsider("BTC/USD") is not None


def test_a_silent_data_host_makes_a_sale_at_a_limit(holding: Desk) -> None:
    holding.trader.consider(quoted(holding, "60700", "60710"))
    holding.clock.advance(10)
    occasion = holding.trader.consider(quoted(holding, "60700", "60710"))
    assert occasion is not None
    assert occasion.decision.submit[0].limit_price == Decimal("60610.10")


def test_the_newest_quote_is_judged_after_a_wait(holding: Desk) -> None:
    occasion = holding.trader.consider(quoted(holding, "58990", "59000"))
    assert occasion is not None
    holding.trader.consider(quoted(holding, "60000", "60010"))
    assert holding.trader.act("BTC/USD", occasion) is None


def test_an_older_quote_that_comes_last_decides_nothing(trading: Desk) -> None:
    new = quoted(trading, "60000", "60010")
    trading.trader.consider(new)
    occasion = trading.trader.consider(quoted(trading, "50000", "50010", age=30))
    assert occasion is not None and occasion.market.quote == new


def test_what_a_lost_stream_brought_decides_nothing(trading: Desk) -> None:
    trading.trader.data_comes(1.0)
    assert trading.trader.consider(quoted(trading)) is not None
    trading.trader.data_comes(None)
    assert trading.trader.reconsider("BTC/USD") is None
    trading.trader.hear_latest(trading.broker.latest_quotes(["BTC/USD"]), trading.clock())
    assert trading.trader.reconsider("BTC/USD") is not None


def test_an_old_quote_that_rest_still_shows_decides(trading: Desk) -> None:
    quote = quoted(trading)
    trading.trader.consider(quote)
    trading.clock.advance(600)
    trading.trader.sweep()
    assert trading.trader.reconsider("BTC/USD") is None
    trading.broker.quote(quote)
    trading.trader.hear_latest([quote], trading.clock())
    assert trading.trader.reconsider("BTC/USD") is not None


def test_two_decisions_at_once_share_the_money(trading: Desk) -> None:
    trading.add_asset("ETH/USD")
    trading.trader.refresh()
    trading.broker.venue.account.cash = Decimal(30)
    trading.trader.sweep()
    first = trading.trader.consider(quoted(trading))
    assert first is not None
    second = make_quote("2000", "2001", symbol="ETH/USD", at=trading.clock())
    assert trading.trader.consider(second) is None
    assert trading.trader.act("BTC/USD", first) is not None
    assert trading.trader.consider(second) is None  # the account was not read since


def test_a_wide_spread_is_told_after_an_hour(trading: Desk, caplog: pytest.LogCaptureFixture) -> None:
    trading.trader.spread_max = Decimal("0.01")
    for _ in range(65):
        assert trading.trader.consider(quoted(trading, "60000", "61000")) is None
        trading.clock.advance(60)
    assert caplog.text.count("no base order: the spread is 1.67 %") == 1
    assert "for over an hour" in caplog.text


def test_a_pair_that_is_delisted_meanwhile(trading: Desk) -> None:
    """Alpaca's list is read again while a decision waits for its row."""
    occasion = trading.trader.consider(quoted(trading))
    assert occasion is not None
    trading.broker.venue.instruments.clear()
    trading.trader.learn_instruments()
    trading.clock.advance(2)
    assert trading.trader.act("BTC/USD", occasion) is None
    assert trading.rows("SELECT * FROM dca_orders") == []
