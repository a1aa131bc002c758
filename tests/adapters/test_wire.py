"""Frames and bodies as Alpaca sends them (alpaca.md), and whatever else may come: values, or WireError."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.adapters import wire
from dcabot.adapters.wire import WireError
from dcabot.core.model import Instrument, Order, OrderReport, OrderStatus, Purpose, Quote, Side
from dcabot.core.snapshot import Account, Position

UTC = timezone.utc
AT = datetime(2026, 9, 18, 10, 0, 0, 123456, UTC)
ORDER: dict[str, Any] = json.loads("""
{"id":"61e69015-8549-4bfd-b9c3-01e75843f47d","client_order_id":"dca-btc-20260918-01",
 "created_at":"2026-09-18T10:00:00.123456789Z","updated_at":"2026-09-18T10:00:00.123456789Z",
 "submitted_at":"2026-09-18T10:00:00.121000123Z","filled_at":null,"expired_at":null,"canceled_at":null,"failed_at":null,
 "replaced_at":null,"replaced_by":null,"replaces":null,"asset_id":"276e2673-764b-4ab6-a611-caf665ca6340",
 "symbol":"BTC/USD","asset_class":"crypto","notional":null,"qty":"0.01","filled_qty":"0","filled_avg_price":null,
 "order_class":"","order_type":"limit","type":"limit","side":"buy","position_intent":"buy_to_open","time_in_force":"gtc",
 "limit_price":"60000","stop_price":null,"status":"pending_new","extended_hours":false,"legs":null,"trail_percent":null,
 "trail_price":null,"hwm":null,"subtag":null,"source":null,"expires_at":"2026-12-16T21:00:00Z"}
""")
FILL: dict[str, Any] = {
    "stream": "trade_updates",
    "data": {
        "at": "2026-09-18T10:00:00.139210Z",
        "event_id": "01K5DS5Q1XJZ9X0M3M5ZV2N8XS",
        "event": "fill",
        "execution_id": "7922ab44-5b33-4049-ab9a-0cfd805ba989",
        "timestamp": "2026-09-18T10:00:00.138912345Z",
        "price": "63930.5",
        "qty": "0.000153355",
        "position_qty": "0.000153355",
        "swap_rate": "1",
        "settle_date": "2026-09-18",
        "order": ORDER | {"status": "filled", "filled_qty": "0.01", "filled_avg_price": "63930.5", "limit_price": None},
    },
}
QUOTE = {"T": "q", "S": "BTC/USD", "bp": 63920.1, "bs": 0.8, "ap": 63941.0, "as": 0.79}
ASSET: dict[str, Any] = json.loads("""
{"id":"276e2673-764b-4ab6-a611-caf665ca6340","class":"crypto","exchange":"CRYPTO","symbol":"BTC/USD",
 "name":"Bitcoin / US Dollar","status":"active","tradable":true,"marginable":false,"shortable":false,
 "fractionable":true,"attributes":["fractional_eh_enabled"],
 "min_order_size":"0.000015739","min_trade_increment":"0.000000001","price_increment":"1"}
""")
POSITION: dict[str, Any] = json.loads("""
{"asset_id":"276e2673-764b-4ab6-a611-caf665ca6340","symbol":"BTCUSD","exchange":"CRYPTO","asset_class":"crypto",
 "asset_marginable":false,"qty":"0.009975","qty_available":"0.005","avg_entry_price":"60000.1","side":"long",
 "market_value":"598.6","cost_basis":"598.500998","current_price":"60010"}
""")
ACCOUNT: dict[str, Any] = json.loads("""
{"id":"x","account_number":"PA3XXXXXXXXX","status":"ACTIVE","crypto_status":"ACTIVE","currency":"USD",
 "cash":"100000","buying_power":"200000","non_marginable_buying_power":"99990.5","trading_blocked":false,
 "transfers_blocked":false,"account_blocked":false,"trade_suspended_by_user":false}
""")


def stamped(nanoseconds: int = 123456789) -> dict[str, Any]:
    return QUOTE | {"t": msgpack.Timestamp(int(AT.timestamp()), nanoseconds)}


def with_order(**changes: Any) -> dict[str, Any]:
    return ORDER | changes


def with_data(**changes: Any) -> dict[str, Any]:
    frame = copy.deepcopy(FILL)
    frame["data"].update(changes)
    return frame


# Quotes


def test_a_stream_quote_keeps_every_digit_and_is_cut_to_microseconds() -> None:
    assert wire.quote(stamped()) == Quote("BTC/USD", Decimal("63920.1"), Decimal("63941.0"), AT)


def test_a_rest_quote_is_the_same_value() -> None:
    rest = QUOTE | {"t": "2026-09-18T10:00:00.123456789Z"}
    assert wire.quote(rest) == wire.quote(stamped())


def test_prices_may_be_whole_numbers_and_tiny_ones() -> None:
    assert wire.quote(stamped() | {"bp": 1, "ap": 8.4e-06}).ask == Decimal("0.0000084")


@pytest.mark.parametrize("price", [float("nan"), float("inf"), None, True, [], {}, "x", "NaN", 1e300, 10**400])
def test_a_price_that_is_no_price_is_an_error_that_names_the_field(price: object) -> None:
    with pytest.raises(WireError, match=r"^bp is ") as caught:
        wire.quote(stamped() | {"bp": price})
    assert len(str(caught.value)) < 120


def test_impossible_prices_pass_for_the_core_to_judge() -> None:
    quote = wire.quote(stamped() | {"bp": 0.0, "ap": -1.0})
    assert (quote.bid, quote.ask) == (0, -1)


# Times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-18T10:00:00Z", AT.replace(microsecond=0)),
        ("2026-09-18T10:00:00.1Z", AT.replace(microsecond=100000)),
        ("2026-09-18T10:00:00.123456999Z", AT),
        ("2026-09-18T05:00:00.123456-05:00", AT),
        ("2026-09-18T15:30:00.123456789+05:30", AT),
        ("2026-09-18t10:00:00.123456z", AT),
    ],
)
def test_times_are_read_with_nanoseconds_and_offsets(text: str, expected: datetime) -> None:
    found = wire.instant(text)
    assert found == expected and found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-09-18", "2026-09-18T10:00:00", "2026-13-18T10:00:00Z", "2026-02-30T10:00:00Z"),
        *("2026-09-18T10:00:60Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"),
        "２０26-09-18T10:00:00Z",
    ],
)
def test_a_time_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(WireError, match="is not a time"):
        wire.instant(text)


def test_a_timestamp_beyond_the_calendar_is_an_error() -> None:
    with pytest.raises(WireError, match="is not a time"):
        wire.instant(msgpack.Timestamp(2**60))


# Orders


def test_the_answer_to_a_post_is_a_report() -> None:
    assert wire.order_report(ORDER) == OrderReport(
        client_order_id="dca-btc-20260918-01",
        order_id="61e69015-8549-4bfd-b9c3-01e75843f47d",
        symbol="BTC/USD",
        side=Side.BUY,
        status=OrderStatus.ACCEPTED,
        filled_quantity=Decimal(0),
        filled_price=None,
        at=AT,
        quantity=Decimal("0.01"),
        limit_price=Decimal(60000),
        created_at=AT,
    )


@pytest.mark.parametrize(
    ("word", "filled", "expected"),
    [
        ("new", "0", OrderStatus.ACCEPTED),
        ("accepted", "0", OrderStatus.ACCEPTED),
        ("pending_new", "0", OrderStatus.ACCEPTED),
        ("held", "0", OrderStatus.ACCEPTED),
        ("stopped", "0", OrderStatus.ACCEPTED),
        ("suspended", "0", OrderStatus.ACCEPTED),
        ("done_for_day", "0", OrderStatus.ACCEPTED),
        ("calculated", "0.004", OrderStatus.PARTIALLY_FILLED),
        ("pending_cancel", "0.004", OrderStatus.PARTIALLY_FILLED),
        ("pending_replace", "0", OrderStatus.ACCEPTED),
        ("partially_filled", "0.004", OrderStatus.PARTIALLY_FILLED),
        ("partially_filled", "0", OrderStatus.ACCEPTED),
        ("filled", "0.01", OrderStatus.FILLED),
        ("canceled", "0.004", OrderStatus.CANCELED),
        ("canceled", "0", OrderStatus.CANCELED),
        ("replaced", "0", OrderStatus.CANCELED),
        ("expired", "0.004", OrderStatus.EXPIRED),
        ("rejected", "0", OrderStatus.REJECTED),
    ],
)
def test_every_known_status_has_its_meaning(word: str, filled: str, expected: OrderStatus) -> None:
    report = wire.order_report(with_order(status=word, filled_qty=filled, filled_avg_price="60000"))
    assert (report.status, report.note) == (expected, "")
    assert (report.filled_price is None) == (filled == "0")


def test_a_status_from_the_future_is_an_open_order_with_a_note() -> None:
    report = wire.order_report(with_order(status="levitating", filled_qty="0.004", filled_avg_price="60000"))
    assert report.status is OrderStatus.PARTIALLY_FILLED
    assert report.note == "unknown order status 'levitating'"


def test_an_order_by_notional_has_no_quantity_and_is_still_read() -> None:
    assert wire.order_report(with_order(qty=None, notional="10", limit_price=None)).quantity == 0


def test_figures_may_be_numbers_and_exponents() -> None:
    report = wire.order_report(with_order(qty=1e-05, filled_qty="1e-9", filled_avg_price=60000.5))
    assert (report.quantity, report.filled_quantity) == (Decimal("0.00001"), Decimal("0.000000001"))
    assert report.filled_price == Decimal("60000.5")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "filled"}, "filled but filled_qty is 0"),
        ({"filled_qty": "0.01"}, "at no price"),
        ({"filled_qty": "0.01", "filled_avg_price": "0"}, "at no price"),
        ({"filled_qty": "-1"}, "negative"),
        ({"side": "hold"}, "side is neither buy nor sell"),
        ({"client_order_id": None}, "client_order_id is missing"),
        ({"symbol": 7}, "symbol is not text"),
        ({"client_order_id": "half \ud83d"}, "client_order_id has half a character"),
        ({"updated_at": "yesterday"}, "updated_at is not a time"),
        ({"filled_qty": "1e999999999"}, "filled_qty is absurd"),
        ({"qty": "1" * 100}, "qty is absurd"),
    ],
)
def test_an_order_that_makes_no_sense_is_an_error(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WireError, match=words):
        wire.order_report(with_order(**changes))


def test_zero_with_a_huge_exponent_is_just_zero() -> None:
    assert str(wire.order_report(with_order(filled_qty="0e-999999")).filled_quantity) == "0"


# Trade updates


def test_a_fill_is_the_same_report_as_rest_makes() -> None:
    report = wire.trade_update(FILL)
    assert report is not None
    assert (report.status, report.filled_quantity, report.filled_price) == (
        OrderStatus.FILLED,
        Decimal("0.01"),
        Decimal("63930.5"),
    )
    assert report.at == datetime(2026, 9, 18, 10, 0, 0, 138912, UTC)
    rest = wire.order_report(FILL["data"]["order"])
    assert (rest.status, rest.filled_quantity, rest.order_id) == (
        report.status,
        report.filled_quantity,
        report.order_id,
    )


@pytest.mark.parametrize("stream", ["authorization", "listening", "", None, 7])
def test_other_frames_are_no_report(stream: object) -> None:
    assert wire.trade_update({"stream": stream, "data": None}) is None


@pytest.mark.parametrize("event", ["trade_bust", "restated", "order_levitated", "done_for_day"])
def test_an_unknown_event_is_read_by_its_order_with_a_note_to_ask(event: str) -> None:
    report = wire.trade_update(with_data(event=event))
    assert report is not None and report.status is OrderStatus.FILLED
    assert report.note == f"unknown event {event!r}"


@pytest.mark.parametrize("data", [None, [], "x", 7, {}, {"event": "fill"}, {"event": "fill", "order": None}])
def test_an_update_without_its_order_is_an_error(data: object) -> None:
    with pytest.raises(WireError):
        wire.trade_update({"stream": "trade_updates", "data": data})


def test_a_message_never_repeats_a_long_foreign_text() -> None:
    with pytest.raises(WireError) as caught:
        wire.order_report(with_order(side="x" * 10_000))
    assert len(str(caught.value)) < 120


# The rest


def test_an_asset_is_an_instrument() -> None:
    assert wire.instrument(ASSET) == Instrument(
        "BTC/USD", Decimal(1), Decimal("0.000000001"), Decimal("0.000015739"), tradable=True
    )
    assert not wire.instrument(ASSET | {"status": "inactive"}).tradable
    assert not wire.instrument(ASSET | {"tradable": False}).tradable


@pytest.mark.parametrize("name", ["price_increment", "min_trade_increment"])
def test_an_increment_of_zero_is_an_error(name: str) -> None:
    with pytest.raises(WireError, match="increment is not positive"):
        wire.instrument(ASSET | {name: "0"})


def test_a_position_gets_its_slash_back_from_the_list_and_never_by_guessing() -> None:
    symbols = wire.symbols_by_joined(["BTC/USD", "BTC/USDC", "USDC/USD"])
    assert wire.position(POSITION, symbols) == Position(
        "BTC/USD", Decimal("0.009975"), Decimal("0.005"), Decimal("60000.1")
    )
    assert wire.position(POSITION | {"symbol": "BTCUSDC"}, symbols).symbol == "BTC/USDC"
    assert wire.position(POSITION | {"symbol": "BTC/USD"}, symbols).symbol == "BTC/USD"
    assert wire.position(POSITION | {"symbol": "NEWUSD", "avg_entry_price": "0"}, symbols) == Position(
        "NEWUSD", Decimal("0.009975"), Decimal("0.005"), None
    )


def test_an_account_tells_what_crypto_may_spend_and_what_stands_in_the_way() -> None:
    account = wire.account(ACCOUNT)
    assert account == Account("ACTIVE", "ACTIVE", False, False, False, Decimal("99990.5"), number="PA3XXXXXXXXX")
    assert account.obstacle == ""
    for changes in (
        {"status": "ONBOARDING"},
        {"crypto_status": None},
        {"crypto_status": "INACTIVE"},
        {"trading_blocked": True},
        {"account_blocked": True},
        {"trade_suspended_by_user": True},
    ):
        assert wire.account(ACCOUNT | changes).obstacle


@pytest.mark.parametrize(
    ("changes", "is_paper", "may_trade"),
    [
        ({"status": "PAPER_ONLY"}, True, True),
        ({"crypto_status": "PAPER_ONLY"}, True, True),
        ({"crypto_status": None}, True, True),
        ({"crypto_status": "INACTIVE"}, True, False),
        ({"status": "PAPER_ONLY"}, False, False),
        ({"crypto_status": "PAPER_ONLY"}, False, False),
    ],
)
def test_a_paper_only_account_trades_on_paper(changes: dict[str, object], is_paper: bool, may_trade: bool) -> None:
    account = replace(wire.account(ACCOUNT | changes), is_live=not is_paper)
    assert (account.obstacle == "") == may_trade


@pytest.mark.parametrize(("said", "number"), [(None, ""), (7, "7"), ("", ""), ("PA\ud83d", "PA?")])
def test_an_account_whose_number_is_no_text_is_still_read(said: object, number: str) -> None:
    assert wire.account(ACCOUNT | {"account_number": said}).number == number


def test_an_order_goes_out_as_decimal_strings() -> None:
    order = Order("dcabot-1", Purpose.BASE, Side.BUY, Decimal("0.000012345"), Decimal("60000.10"), AT)
    assert wire.order_body("BTC/USD", order) == {
        "symbol": "BTC/USD",
        "qty": "0.000012345",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "client_order_id": "dcabot-1",
        "limit_price": "60000.1",
    }


def test_a_market_order_has_no_price_and_no_exponent() -> None:
    order = Order("dcabot-2", Purpose.TAKE_PROFIT, Side.SELL, Decimal("1E-9"), None, AT)
    body = wire.order_body("BTC/USD", order)
    assert (body["type"], body["qty"], body["side"], "limit_price" in body) == ("market", "0.000000001", "sell", False)


# Whatever comes

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.sampled_from(["filled", "new", "buy", "2026-09-18T10:00:00Z", "1e999999", "0e-9999", "NaN", "-0", "1_0"])
    | st.builds(msgpack.Timestamp, st.integers(0, 2**62), st.integers(0, 999_999_999)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def spoiled(good: dict[str, Any]) -> st.SearchStrategy[Any]:
    """`good` with some fields changed to anything or taken away, or anything at all."""
    changes = st.dictionaries(st.sampled_from(sorted(good)), ANYTHING, max_size=4)
    gone = st.sets(st.sampled_from(sorted(good)), max_size=2)
    return st.builds(lambda c, g: {k: v for k, v in {**good, **c}.items() if k not in g}, changes, gone) | ANYTHING


FRAME = st.builds(
    lambda data, order: {"stream": "trade_updates", "data": {**data, "order": order} if order is not None else data},
    spoiled(FILL["data"]).filter(lambda data: isinstance(data, dict)),
    spoiled(FILL["data"]["order"]) | st.none(),
)


@pytest.mark.parametrize(
    ("read", "inputs"),
    [
        (wire.quote, spoiled(stamped())),
        (wire.order_report, spoiled(ORDER | {"filled_qty": "0.004", "filled_avg_price": "60000"})),
        (wire.trade_update, FRAME | ANYTHING),
        (wire.instrument, spoiled(ASSET)),
        (lambda raw: wire.position(raw, {"BTCUSD": "BTC/USD"}), spoiled(POSITION)),
        (wire.account, spoiled(ACCOUNT)),
    ],
    ids=["quote", "order", "update", "asset", "position", "account"],
)
@given(data=st.data())
def test_no_input_raises_anything_but_wire_error(
    read: Callable[[object], object], inputs: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    raw = data.draw(inputs)
    try:
        value = read(raw)
    except WireError as error:
        assert 0 < len(str(error)) < 200
    else:
        assert len(repr(value)) < 2000  # and what is read can be printed
