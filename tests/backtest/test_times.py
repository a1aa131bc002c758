"""Candles as exchanges and programs write them: what is unambiguous is understood, what is not is refused."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dcabot.backtest.checks import load
from dcabot.backtest.digits import block_of, times
from dcabot.backtest.headings import BadPrices
from dcabot.backtest.times import BadTime, instant_of

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
BEGIN = datetime(2024, 2, 28, tzinfo=timezone.utc)
PRICES = [("100", "101.5", "99", "100.25"), ("9.5", "20", "9.25", "10"), ("10", "10.125", "10", "10.1")]

# What it is, its headings, a row by strftime, and the length of a candle.
FILES = [
    ("Binance, ms", "", "{ms},{o},{h},{l},{c},5.1,{end_ms},600.5,308,2.1,300.2,0", "1m"),
    ("Binance since 2025, us", "", "{us},{o},{h},{l},{c},5.1,{end_us},600.5,308,2.1,300.2,0", "1m"),
    ("Binance, close_time alone", "close_time,open,high,low,close", "{end_ms},{o},{h},{l},{c}", "1m"),
    ("its newer close_time", "close_time,open,high,low,close", "{end_us},{o},{h},{l},{c}", "1h"),
    (
        "a close_time that is the next begin",
        "Close Time,open,high,low,close",
        "{next:%Y-%m-%d %H:%M},{o},{h},{l},{c}",
        "1h",
    ),
    (
        "a close_time a second before",
        "close time;open;high;low;close",
        "{last:%Y-%m-%d %H:%M:%S};{o};{h};{l};{c}",
        "1h",
    ),
    ("Kraken OHLCVT", "", "{s},{o},{h},{l},{c},12.5,7", "1m"),
    ("Coinbase", "time,low,high,open,close,volume", "{s},{l},{h},{o},{c},3", "1m"),
    ("Coinbase Advanced", "start,low,high,open,close,volume", "{s},{l},{h},{o},{c},3", "1m"),
    (
        "CryptoDataDownload",
        "https://www.CryptoDataDownload.com\nUnix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD",
        "{ms},{at:%Y-%m-%d %H:%M:%S},BTC/USD,{o},{h},{l},{c},1,2",
        "1m",
    ),
    (
        "CryptoDataDownload, older",
        "https://www.CryptoDataDownload.com\nDate,Symbol,Open,High,Low,Close,Volume BTC,Volume USD",
        "{at:%Y-%m-%d %I-%p},BTCUSD,{o},{h},{l},{c},1,2",
        "1h",
    ),
    ("Yahoo", "Date,Open,High,Low,Close,Adj Close,Volume", "{at:%Y-%m-%d},{o},{h},{l},{c},1,2", "1d"),
    ("Yahoo's page", "Date,Open,High,Low,Close", '"{at:%b %d, %Y}",{o},{h},{l},{c}', "1d"),
    ("yfinance", "Datetime,Open,High,Low,Close,Volume", "{at:%Y-%m-%d %H:%M:%S}+00:00,{o},{h},{l},{c},1", "1h"),
    ("TradingView", "time,open,high,low,close,Volume", "{at:%Y-%m-%dT%H:%M:%SZ},{o},{h},{l},{c},1", "1m"),
    ("Bitstamp, floats", "timestamp,open,high,low,close,volume", "{s}.0,{o},{h},{l},{c},1", "1m"),
    ("pandas", ",timestamp,open,high,low,close", "0,{at:%Y-%m-%d %H:%M:%S} UTC,{o},{h},{l},{c}", "1m"),
    (
        "MetaTrader",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>",
        "{at:%Y.%m.%d\t%H:%M:%S}\t{o}\t{h}\t{l}\t{c}",
        "1m",
    ),
    ("MetaTrader 4", "", "{at:%Y.%m.%d,%H:%M},{o},{h},{l},{c},9", "1m"),
    ("two columns apart", "time,open,high,low,close,date", "{at:%H:%M},{o},{h},{l},{c},{at:%Y-%m-%d}", "1m"),
    ("Dukascopy", "Gmt time,Open,High,Low,Close,Volume", "{at:%d.%m.%Y %H:%M:%S}.000,{o},{h},{l},{c},1", "1m"),
    ("HistData", "", "{at:%Y%m%d %H%M%S};{o};{h};{l};{c};0", "1m"),
    (
        "CoinMarketCap",
        "timeOpen;timeClose;timeHigh;timeLow;open;high;low;close;timestamp",
        '"{at:%Y-%m-%dT%H:%M:%S}.000Z";x;x;x;{o};{h};{l};{c};"{last:%Y-%m-%dT%H:%M:%S}.999Z"',
        "1d",
    ),
    (
        "its time of the end alone",
        "timestamp,open,high,low,close",
        "{last:%Y-%m-%dT%H:%M:%S}.999Z,{o},{h},{l},{c}",
        "1d",
    ),
    ("slashes", "Date (UTC)|Open|High|Low|Close", "{at:%Y/%m/%d %H:%M}|{o}|{h}|{l}|{c}", "1m"),
    ("a half of the day", "date,time,open,high,low,close", "{at:%Y-%m-%d},{at:%I:%M:%S %p},{o},{h},{l},{c}", "1m"),
    ("Alpaca", "t,o,h,l,c,v,n,vw", "{at:%Y-%m-%dT%H:%M:%SZ},{o},{h},{l},{c},1,2,3", "1m"),
    ("nanoseconds", "ts,open_price,high_price,low_price,close_price", "{us}000,{o},{h},{l},{c}", "1m"),
]
LENGTHS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}


@pytest.mark.parametrize(("head", "form", "length"), [one[1:] for one in FILES], ids=[one[0] for one in FILES])
def test_files_as_they_are_found_are_understood(tmp_path: Path, head: str, form: str, length: str) -> None:
    step, begin = LENGTHS[length], BEGIN + timedelta(hours=0 if length == "1d" else 22)
    lines = [head] if head else []
    for number, (o, h, low, c) in enumerate(PRICES):
        at = begin + number * step
        s, following = int(at.timestamp()), at + step
        end = int(following.timestamp())
        ends = {"end_ms": f"{end * 1000 - 1}", "end_us": f"{end * 10**6 - 1}"}
        last = following - timedelta(seconds=1)
        whole = {"s": s, "ms": s * 10**3, "us": s * 10**6}
        lines.append(form.format(at=at, next=following, last=last, o=o, h=h, l=low, c=c, **whole, **ends))
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(lines) + "\n")

    candles = load([path], NOW).candles

    assert (candles.begins_at, timedelta(seconds=candles.seconds), len(candles)) == (begin, step, 3)
    columns = (candles.open, candles.high, candles.low, candles.close)
    prices = [[f"{candles.price(ticks).normalize():f}" for ticks in column.tolist()] for column in columns]
    assert list(zip(*prices, strict=True)) == PRICES


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("01/02/2024", "the day or the month may come first"),
        ("1/2/2024 12:00:00 AM", "the day or the month may come first"),
        ("13-02-2024 10:00", "the day or the month may come first"),
        ("2024-01-01 13:00 PM", "there is no 13 PM"),
        ("2024-01-01 09", "an hour without minutes"),
        ("2024-01-01 24:00", "hour must be in"),
        ("2024-13-01", "month must be in"),
        ("2023-02-29", "day is out of range"),
        ("01 Foo 2024", "Foo is no month"),
        ("1.70411E+12", "write it like"),
        ("45292", "write it like"),  # days since 1900, as a spreadsheet has them
        ("12345678901", "write it like"),
        ("1704067200.5.1", "write it like"),
        ("2024-01-01 10:00 EST", "write it like"),
        ("yesterday", "write it like"),
        ("", "write it like"),
        ("٢٠٢٤-٠١-٠١", "write it like"),
        ("0000-01-01", "year"),
        ("0001-01-01 00:00+10:00", "out of range"),
    ],
)
def test_what_may_be_two_times_or_none_is_refused(cell: str, told: str) -> None:
    with pytest.raises(BadTime, match=told):
        instant_of(cell)


def column(*cells: str) -> list[int] | None:
    """By the way that reads many rows at once."""
    block = block_of("".join(f"{cell},1\n" for cell in cells).encode(), ",", 2)
    assert block is not None
    found = times(block, (0,))
    return None if found is None else found.tolist()


FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y/%m/%d %H:%M", "%Y.%m.%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S UTC")


@pytest.mark.parametrize("form", [*FORMS, "%Y-%m-%d %H:%M:%S+00:00", "%s", "%s000", "%s000000", "%s000000000", "%s.00"])
def test_many_at_once_are_read_as_one_by_one(form: str) -> None:
    cells = [(BEGIN + timedelta(minutes=7 * number)).strftime(form) for number in range(-9_000, 9_000, 13)]

    assert column(*cells) == [instant_of(cell) for cell in cells]


def test_what_differs_within_a_column_is_not_read_at_once() -> None:
    """London's clocks go forward; an exchange begins to write microseconds."""
    assert column("2024-03-31 00:59:00+00:00", "2024-03-31 02:00:00+01:00") is None
    assert column("1735689540000", "1735689600000000") is None
    assert column("1704067200.0", "1704067260.5") is None


def test_a_summer_time_is_the_same_instant(tmp_path: Path) -> None:
    rows = ["2024-03-31 00:58:00+00:00", "2024-03-31 00:59:00+00:00", "2024-03-31 02:00:00+01:00"]
    path = tmp_path / "london.csv"
    path.write_text("time,open,high,low,close\n" + "\n".join(f"{row},1,1,1,1" for row in rows))

    candles = load([path], NOW).candles

    assert (candles.seconds, candles.ends_at) == (60, datetime(2024, 3, 31, 1, 1, tzinfo=timezone.utc))


def test_columns_in_another_order_without_headings_are_not_taken_for_prices(tmp_path: Path) -> None:
    path = tmp_path / "coinbase.csv"
    path.write_text("".join(f"{1704067200 + 60 * n},99,102,100,101,5\n" for n in range(3)))

    with pytest.raises(BadPrices, match=r"line 1: open 99 is below the low 100 \(without headings the columns are"):
        load([path], NOW)
