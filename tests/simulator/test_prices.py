"""Where prices come from: scripts, walks, candles."""

import gzip
import heapq
import itertools
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.simulator import Tick, WalkShape, candles, read_script, script, walk
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import client, quotes, subscribed, until

CANDLES = """timestamp,open,high,low,close,volume
2022-01-01 00:00:00,100,110,90,105,7
2022-01-01 00:01:00,105,106,104,104.5,7
"""


def first(ticks: object, number: int) -> list[Tick]:
    return list(itertools.islice(ticks, number))  # type: ignore[call-overload, no-any-return]


def test_a_script_is_put_in_order_of_time() -> None:
    ticks = script([(2, "BTC/USD", "1", "2"), (1, "ETH/USD", 3, 4)])
    assert ticks == [
        Tick(Decimal(1), "ETH/USD", Decimal(3), Decimal(4)),
        Tick(Decimal(2), "BTC/USD", Decimal(1), Decimal(2)),
    ]


def test_a_script_file_has_comments_and_relative_times(tmp_path: Path) -> None:
    file = tmp_path / "prices.txt"
    file.write_text("# a fall\n0 BTC/USD 100 100.1\n\n+2.5 BTC/USD 99 99.1  # here\n")
    assert [(tick.seconds, tick.ask) for tick in read_script(file)] == [
        (Decimal(0), Decimal("100.1")),
        (Decimal("2.5"), Decimal("99.1")),
    ]


@pytest.mark.parametrize("line", ["0 BTC/USD 100", "x BTC/USD 1 2", "0 BTC/USD one 2", "0 BTC/USD 1 nan"])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "prices.txt"
    file.write_text(f"0 BTC/USD 1 2\n{line}\n")
    with pytest.raises(ValueError, match=r"prices\.txt, line 2"):
        read_script(file)


def test_a_walk_is_a_function_of_its_seed() -> None:
    symbols = ("BTC/USD", "ETH/USD")
    assert first(walk(7, symbols), 200) == first(walk(7, symbols), 200)
    assert first(walk(7, symbols), 200) != first(walk(8, symbols), 200)


def test_a_walk_is_never_crossed_and_keeps_to_the_ticks() -> None:
    for tick in first(walk(1, ("BTC/USD", "SHIB/USD", "XRP/USD"), step="0.05"), 3_000):
        assert 0 < tick.bid < tick.ask
    assert all(tick.bid % Decimal("0.01") == 0 for tick in first(walk(1, ("BTC/USD",)), 100))


def test_symbols_move_together_as_far_as_they_are_correlated() -> None:
    def moves(correlation: str) -> list[tuple[bool, bool]]:
        rows = first(walk(3, ("BTC/USD", "ETH/USD"), correlation=correlation), 800)
        first_prices, second_prices = [row.bid for row in rows[::2]], [row.bid for row in rows[1::2]]
        return [
            (first_prices[n + 1] > first_prices[n], second_prices[n + 1] > second_prices[n])
            for n in range(len(first_prices) - 1)
        ]

    together = {c: sum(one == other for one, other in moves(c)) / 399 for c in ("0", "1")}
    assert 0.4 < together["0"] < 0.6
    assert together["1"] > 0.97


def test_jumps_and_wide_spreads_come_as_often_as_told() -> None:
    calm = first(walk(5, ("BTC/USD",)), 500)
    wild = first(walk(5, ("BTC/USD",), WalkShape(jump_chance="0.05", jump="0.02", wide_chance="0.1")), 500)

    def largest_move(ticks: list[Tick]) -> Decimal:
        mids = [(tick.bid + tick.ask) / 2 for tick in ticks]
        return max(abs(b / a - 1) for a, b in itertools.pairwise(mids))

    assert largest_move(calm) < Decimal("0.001")
    assert Decimal("0.015") < largest_move(wild) < Decimal("0.03")
    wide = [tick for tick in wild if tick.ask / tick.bid > Decimal("1.005")]
    assert 25 <= len(wide) <= 90


@pytest.mark.parametrize("packed", [True, False])
def test_candles_become_four_quotes_each_low_before_high(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / ("candles.csv.gz" if packed else "candles.csv")
    file.write_bytes(gzip.compress(CANDLES.encode()) if packed else CANDLES.encode())
    ticks = list(candles(file, "BTC/USD", spread=0))
    assert [int(tick.seconds) for tick in ticks] == [0, 15, 30, 45, 60, 75, 90, 105]
    assert [tick.bid for tick in ticks][:4] == [100, 90, 110, 105]


def test_candles_of_several_files_can_be_merged(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CANDLES)
    both = heapq.merge(candles(file, "BTC/USD"), candles(file, "ETH/USD", scale="0.1"), key=lambda tick: tick.seconds)
    assert [tick.symbol for tick in both][:4] == ["BTC/USD", "ETH/USD", "BTC/USD", "ETH/USD"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("open,", "first,"), "line 1: no column open"),
        (("timestamp", "moment"), "line 1: no column timestamp or"),
        (("00:01:00", "00:00:00"), "line 3: time does not go on"),
        (("106,104,", "103,104,"), "line 3: impossible prices 105, 103, 104, 104.5"),
        ((",90,", ",-90,"), "line 2: impossible prices"),
        ((",90,", ",nan,"), "line 2: not a finite number"),
        ((",105,7\n", "\n"), "line 2: too few columns"),
        (("2022-01-01 00:01:00", "soon"), "line 3: Invalid isoformat"),
    ],
)
def test_a_candle_that_cannot_be_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CANDLES.replace(*change))
    with pytest.raises(ValueError, match=message):
        list(candles(file, "BTC/USD"))


def test_a_truncated_gzip_is_named(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv.gz"
    file.write_bytes(gzip.compress(CANDLES.encode() * 50)[:60])
    with pytest.raises(ValueError, match=r"candles\.csv\.gz"):
        list(candles(file, "BTC/USD"))


@pytest.mark.parametrize("stamp", ["1640995200", "1640995200000", "1640995200000000", "2022-01-01T00:00:00Z"])
def test_times_of_candles_are_understood_in_their_usual_forms(tmp_path: Path, stamp: str) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(f"time,open,high,low,close\n{stamp},1,1,1,1\n")
    from dcabot.simulator.candles import read_candles

    assert f"{next(read_candles(file)).at:%Y-%m-%d %H:%M}" == "2022-01-01 00:00"


def test_prices_play_in_venue_time() -> None:
    prices = script([(0, "BTC/USD", 100, 101), (60, "BTC/USD", 90, 91), (3600, "BTC/USD", 80, 81)])
    with make_alpaca(prices=prices, speed=0) as alpaca, quotes(alpaca) as listener:
        subscribed(alpaca)
        alpaca.advance(59)
        alpaca.advance(1)
        until(lambda: [one.ask_price for one in listener.heard] == [91])
        alpaca.advance(3540)
        until(lambda: [one.ask_price for one in listener.heard] == [91, 81])
        assert (listener.heard[1].timestamp - listener.heard[0].timestamp).total_seconds() == 3540


def test_a_faster_clock_plays_them_faster() -> None:
    prices = script([(0, "BTC/USD", 100, 101), (3600, "BTC/USD", 80, 81)])
    with make_alpaca(prices=prices, speed=36_000) as alpaca:
        until(lambda: alpaca.server.exchange.venue.quotes["BTC/USD"].ask == 81)


def test_a_clock_that_prices_cannot_keep_up_with_starves_no_request() -> None:
    with make_alpaca(prices=walk(1, ("BTC/USD", "ETH/USD")), speed=10_000_000) as alpaca:
        for _ in range(5):
            assert client(alpaca).get_account().cash == "100000"


@pytest.mark.parametrize(
    "prices", [walk(1, ("BTC/USD",), interval=0), [Tick(Decimal(0), "NO/SUCH", Decimal(1), Decimal(1))]]
)
def test_prices_that_cannot_be_are_named_at_the_start(prices: object) -> None:
    with pytest.raises(ValueError, match=r"interval|NO/SUCH"):
        make_alpaca(prices=prices).start()


def test_the_last_quote_can_be_sent_again_and_again() -> None:
    with make_alpaca(refresh_seconds=0.01) as alpaca, quotes(alpaca) as listener:
        alpaca.set_quote("BTC/USD", 100, 101)
        until(lambda: len(listener.heard) > 3)
        assert {one.ask_price for one in listener.heard} == {101}
