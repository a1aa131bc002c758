"""Candles come in exactly as they are written, and what cannot be true is named with its line and value."""

import gzip
import os
import random
import re
import threading
import zlib
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.backtest import checks, reading
from dcabot.backtest.checks import Source, load
from dcabot.backtest.headings import BadPrices
from tests.privilege import obeying

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
HEAD = "timestamp,open,high,low,close,volume\n"
GOOD = [
    "2022-01-01 00:00:00,100,101.5,99,100.25,7",
    "2022-01-01 00:01:00,100.25,100.25,100.25,100.25,0",
    "2022-01-01 00:02:00,100.2,100.3,98.75,99,1",
]


def written(folder: Path, words: str | bytes, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_bytes(words.encode() if isinstance(words, str) else words)
    return path


def read(folder: Path, words: str | bytes, **more: bool) -> Source:
    return load([written(folder, words)], NOW, **more)


def rows(source: Source) -> list[tuple[str, ...]]:
    candles = source.candles
    columns = (candles.open, candles.high, candles.low, candles.close)
    prices = [[f"{candles.price(ticks).normalize():f}" for ticks in column.tolist()] for column in columns]
    return list(zip(*prices, strict=True))


def test_prices_come_in_as_they_are_written(tmp_path: Path) -> None:
    source = read(tmp_path, HEAD + "\n".join(GOOD))

    assert rows(source) == [
        ("100", "101.5", "99", "100.25"),
        ("100.25", "100.25", "100.25", "100.25"),
        ("100.2", "100.3", "98.75", "99"),
    ]
    assert (source.candles.seconds, source.notes) == (60, ())
    assert source.candles.begins_at == datetime(2022, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("time;open;high;low;close", "{iso};{o};{h};{l};{c}"),
        ("Date\tOpen\tHigh\tLow\tClose", "{isoz}\t{o}\t{h}\t{l}\t{c}"),
        ("close,low,high,open,unix", "{c},{l},{h},{o},{seconds}"),
        ("open_time,open,high,low,close,volume,close_time", "{millis},{o},{h},{l},{c},1,2"),
        ("t,o,h,l,c", "{isozone},{o},{h},{l},{c}"),
        ("timestamp,open,high,low,close", '"{iso}","{o}","{h}","{l}","{c}"'),
        ("timestamp,open,high,low,close", "{micros},{o},{h},{l},{c}"),
        ("timestamp,open,high,low,close", "{nanos},{o},{h},{l},{c}"),
        ("timestamp,open,high,low,close", "{fraction},{o},{h},{l},{c}"),
        ("timestamp,open,high,low,close", "{east},{o},{h},{l},{c}"),
        ("", "{millis},{o},{h},{l},{c},1,2"),
        ("https://where.it.is/from\ndate,open,high,low,close", "{iso},{o},{h},{l},{c}"),
        ("\ufefftimestamp,open,high,low,close", "{minute},{o},{h},{l},{c}"),
    ],
)
def test_common_names_and_times_are_understood(tmp_path: Path, head: str, row: str) -> None:
    prices = [("100", "101.5", "99", "100.25"), ("9.5", "20", "9.25", "10"), ("10", "10.125", "10", "10.1")]
    lines = [head] if head else []
    for number, (o, h, l, c) in enumerate(prices):  # noqa: E741 - the columns' own letters
        at = datetime(2024, 2, 29, 23, 58, tzinfo=timezone.utc) + timedelta(minutes=number)
        since = int(at.timestamp())
        zoned = at.astimezone(timezone(timedelta(hours=2)))
        lines.append(
            row.format(
                o=o,
                h=h,
                l=l,
                c=c,
                iso=f"{at:%Y-%m-%d %H:%M:%S}",
                isoz=f"{at:%Y-%m-%dT%H:%M:%SZ}",
                isozone=f"{at:%Y-%m-%dT%H:%M:%S+00:00}",
                fraction=f"{at:%Y-%m-%d %H:%M:%S}.000000",
                minute=f"{at:%Y-%m-%d %H:%M}",
                east=f"{zoned:%Y-%m-%d %H:%M:%S}+02:00",
                seconds=since,
                millis=since * 10**3,
                micros=since * 10**6,
                nanos=since * 10**9,
            )
        )
    for ending in ("\n", "\r\n"):
        source = read(tmp_path, ending.join(lines) + ending)
        assert rows(source) == prices
        assert source.candles.begins_at == datetime(2024, 2, 29, 23, 58, tzinfo=timezone.utc)


def test_gzip_is_known_by_its_bytes_and_files_follow_each_other(tmp_path: Path) -> None:
    first = written(tmp_path, gzip.compress((HEAD + "\n".join(GOOD[:2])).encode()), "a.csv")
    second = written(tmp_path, "timestamp,open,high,low,close\n2022-01-01 00:02:00,1.5,2,1,1.125\n", "b.csv")

    source = load([first, second], NOW)

    assert len(source.candles) == 3
    assert rows(source)[2] == ("1.5", "2", "1", "1.125")


def test_many_rows_at_once_are_read_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(3)
    lines, wanted = [], []
    for number in range(3_000):
        prices = sorted(Decimal(dice.randint(10**5, 10**7)).scaleb(-dice.randint(0, 3)) for _ in range(4))
        at = datetime(2022, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=number)
        lines.append(f"{at:%Y-%m-%d %H:%M:%S},{prices[1]:f},{prices[3]:f},{prices[0]:f},{prices[2]:f},1")
        wanted.append(tuple(f"{prices[place].normalize():f}" for place in (1, 3, 0, 2)))
    monkeypatch.setattr(reading, "PIECE", 777)

    assert rows(read(tmp_path, HEAD + "\n".join(lines) + "\n")) == wanted


def test_newest_first_is_turned_around_and_said(tmp_path: Path) -> None:
    source = read(tmp_path, HEAD + "\n".join(reversed(GOOD)))

    assert rows(source)[0][0] == "100"
    assert "newest first" in source.notes[0]


def test_a_few_missing_candles_are_said_and_many_are_refused(tmp_path: Path) -> None:
    at = datetime(2022, 1, 1, tzinfo=timezone.utc)
    lines = [f"{at + timedelta(minutes=n):%Y-%m-%d %H:%M:%S},1.5,2,1,1.5,1" for n in range(500)]

    few = read(tmp_path, HEAD + "\n".join(lines[:200] + lines[203:]))
    assert "3 candles are missing in 1 gap; the longest, 0:04:00, is before" in few.notes[0]
    assert "line 202, 2022-01-01 03:23:00" in few.notes[0]
    with pytest.raises(BadPrices, match=r"100 candles are missing .* --allow-gaps"):
        read(tmp_path, HEAD + "\n".join(lines[:200] + lines[300:]))
    assert len(read(tmp_path, HEAD + "\n".join(lines[:200] + lines[300:]), allow_gaps=True).candles) == 400


def changed(line: int, old: str, new: str) -> str:
    lines = [HEAD.strip(), *GOOD]
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    return "\n".join(lines) + "\n"


BAD = [
    ("", "the file is empty"),
    (HEAD, "no candles, only headings"),
    ("timestamp,open,high,close\n1,2,3,4\n", "line 1: no column for low among 'timestamp,open,high,close'"),
    ("a,b\n1,2\n", "line 1: no column for time, open, high, low, close"),
    (HEAD + GOOD[0], "line 2: one candle is not enough"),
    (changed(3, "00:01:00", "00:00:00"), "line 3: 2022-01-01 00:00:00 is there twice, first in .*line 2"),
    (changed(4, "00:02:00", "00:00:30"), "line 4: 2022-01-01 00:00:30 comes after 2022-01-01 00:01:00"),
    (changed(4, "2022-01-01", "2027-01-01"), "line 4: 2027-01-01 00:02:00 is in the future"),
    (changed(3, "100.25,100.25,100.25", "0,100.25,0"), "line 3: low is 0, not above zero"),
    (changed(4, "98.75,99,", "98.75,0,"), "line 4: close is 0, not above zero"),
    (changed(3, ",100.25,100.25,100.25,100.25,", ",0,100.25,100.25,100.25,"), "line 3: open is 0, not above zero"),
    (changed(4, "98.75,99,", "98.75,-99,"), "line 4: close is -99, not above zero"),
    (changed(2, ",99,", ",-99,"), "line 2: low is -99, not above zero"),
    (changed(2, "101.5", "98"), "line 2: high 98 is below the low 99"),
    (changed(2, "101.5", "99.5"), "line 2: open 100 is above the high 99.5"),
    (changed(4, "99,1", "98.5,1"), "line 4: close 98.5 is below the low 98.75"),
    (changed(3, ",100.25,100.25,100.25,", ",100.25,abc,100.25,"), "line 3: high is 'abc', no number"),
    (changed(3, ",100.25,100.25,100.25,", ",100.25,,100.25,"), "line 3: high is '', no number"),
    (changed(3, ",100.25,100.25,100.25,", ",100.25,NaN,100.25,"), "line 3: high is 'NaN', no number"),
    (changed(3, ",100.25,100.25,100.25,", ",100.25,inf,100.25,"), "line 3: high is 'inf', no number"),
    (changed(3, ",100.25,100.25,100.25,", ",100.25,1e40,100.25,"), "line 3: high is 1e40: no price has so many digits"),
    (changed(3, "00:01:00", "tomorrow"), "line 3: time is '2022-01-01 tomorrow'"),
    (
        changed(3, "2022-01-01", "01/02/2022"),
        "line 3: time is '01/02/2022 00:01:00'; the day or the month may come first; write",
    ),
    (changed(3, "2022-01-01", "2022-02-30"), "line 3: time is '2022-02-30 00:01:00': day is out of range"),
    (changed(3, ",100.25,0", ""), "line 3: 4 columns instead of 6"),
    (changed(3, "2022-01-01 00:01:00,100.25,100.25,100.25,100.25,0", ""), "line 3: 0 columns instead of 6"),
    (
        HEAD + "\n".join(GOOD) + "\n2022-01-01 00:03:30,99,99,99,99,1\n",
        "line 5: 2022-01-01 00:03:30 comes 0:01:30 after",
    ),
    (changed(4, "98.75", "0.00001"), "line 4: from 0.00001 to 101.5: these cannot be one coin's prices"),
    (
        changed(4, "98.75", "0.000000000001").replace("101.5", "99999101.5"),
        "line 2 on: prices up to 99999101.5 and others",
    ),
    (HEAD + "1,1,1,1,1,1\n2,1,1,1,1,1\n", "line 2: time is '1'; write it like"),
    (HEAD + "1600000000,1,1,1,1,1\n1604000000,1,1,1,1,1\n", "candles of 46 days.*; from 1 second to 1 day can be used"),
]


@pytest.mark.parametrize(("words", "said"), BAD)
def test_what_is_wrong_is_named_with_its_line_and_value(tmp_path: Path, words: str, said: str) -> None:
    with pytest.raises(BadPrices, match=said):
        read(tmp_path, words)


def test_a_fault_far_down_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 500)
    at = datetime(2022, 1, 1, tzinfo=timezone.utc)
    lines = [f"{at + timedelta(minutes=n):%Y-%m-%d %H:%M:%S},1.5,2,1,1.5,1" for n in range(300)]
    lines[250] = lines[250].replace(",2,", ",two,")
    with pytest.raises(BadPrices, match="line 252: high is 'two'"):
        read(tmp_path, HEAD + "\n".join(lines))
    lines[250] = lines[250].replace(",two,", ",0.5,")
    with pytest.raises(BadPrices, match=r"line 252: high 0\.5 is below the low 1"):
        read(tmp_path, HEAD + "\n".join(lines))


def test_prices_of_different_lengths_far_apart_are_not_mixed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE", 60)
    lines = [f"2022-01-01 00:0{n}:00,{price},{price},{price},{price}" for n, price in enumerate(("9999999.5",) * 3)]
    lines += ["2022-01-01 00:03:00,9,9,9,9.000000000001"]
    with pytest.raises(BadPrices, match=r"line 5 on: prices up to 9999999\.5 and others with 12 decimals"):
        read(tmp_path, "timestamp,open,high,low,close\n" + "\n".join(lines))


def test_a_truncated_or_damaged_gzip_is_named_with_the_last_line_that_can_be_read(tmp_path: Path) -> None:
    at, dice = datetime(2022, 1, 1, tzinfo=timezone.utc), random.Random(5)
    lines = [f"{at + timedelta(minutes=n):%Y-%m-%d %H:%M:%S},1,2,1,1.{dice.randint(1, 10**9)},1" for n in range(30_000)]
    plain = (HEAD + "\n".join(lines)).encode()
    whole = gzip.compress(plain)
    half = len(whole) // 2
    for broken in (whole[:half], whole[:-6], whole[:-6] + b"123456"):
        with pytest.raises(BadPrices, match="the gzip is damaged or cut off") as told:
            read(tmp_path, broken)
        line, words = re.search(r"csv, after line (\d+), '(.*)':", str(told.value)).groups()  # type: ignore[union-attr]
        assert lines[int(line) - 2].startswith(words)
        if broken == whole[:half]:
            got = zlib.decompressobj(31).decompress(broken)
            assert int(line) == got.count(b"\n")
    with pytest.raises(BadPrices, match=r"csv, (after )?line \d+"):  # damage may read as nonsense before it shows
        read(tmp_path, whole[:half] + b"\0" * 90 + whole[half + 90 :])
    with pytest.raises(BadPrices, match="before any candle: the gzip is damaged"):
        read(tmp_path, whole[:30])


@pytest.mark.parametrize("piece", [1 << 9, 1 << 16])
def test_a_bad_cell_in_a_damaged_gzip_is_told_with_the_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    """As one flipped byte leaves it: what is unpacked goes on, and only the checksum at the end knows."""
    monkeypatch.setattr(reading, "PACKED", piece)
    lines = [f"2022-01-01 {n // 60:02}:{n % 60:02}:00,1,2,1,1.5,1" for n in range(1_000)]
    plain = (HEAD + "\n".join(lines)).encode()
    stored = bytearray(gzip.compress(plain, 0))
    stored[stored.index(b"1.5")] = ord("x")
    packed = gzip.compress(plain.replace(b"1.5", b"x.5", 1))

    with pytest.raises(BadPrices, match=r"line 2: close is 'x\.5', no number; and the gzip is damaged .*data check"):
        read(tmp_path, bytes(stored))
    with pytest.raises(BadPrices, match=r"line 2: close is 'x\.5', no number$"):
        read(tmp_path, packed)
    with pytest.raises(BadPrices, match=r"no number; and the gzip is damaged or cut off \(the end is missing\)"):
        read(tmp_path, packed[:-4])


def test_gzips_one_after_another_are_one_file(tmp_path: Path) -> None:
    parts = [gzip.compress(f"{line}\n".encode()) for line in [HEAD.strip(), *GOOD]]

    assert len(read(tmp_path, b"".join(parts) + b"\0" * 512).candles) == 3


def test_a_pipe_is_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(HEAD + "\n".join(GOOD),))
    writer.start()

    assert len(load([pipe], NOW).candles) == 3
    writer.join()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"PK\x03\x04rest", "this is a zip archive, not CSV as text; unpack it"),
        ((HEAD + GOOD[0]).encode("utf-16"), "this is UTF-16"),
        ("<html>\n<body>\n", "line 1: no column for time, open, high, low, close among '<html>'"),
        ("7\n", "line 1: no column for time"),
        (b"\n\n \n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (HEAD.replace("volume", "open") + GOOD[0], "line 1: the column 'open' is there twice"),
        (HEAD + "\n".join(GOOD).replace("98.75", "98\0.75"), "line 4: .*(no number|NUL)"),
        (
            "date;open;high;low;close\n2022-01-01 00:00;100,5;101,5;99,5;100\n",
            "line 2: open is '100,5', no number; deci",
        ),
        (HEAD + GOOD[0].replace("101.5", '"1,101.5"'), r"line 2: high is '1,101\.5', no number; decimals stand after"),
        (HEAD + GOOD[0].replace("101.5", "1_01.5"), r"line 2: high is '1_01\.5', no number"),
        (HEAD + "\n".join([*GOOD, GOOD[0]]), "line 5: 2022-01-01 00:00:00 comes after 2022-01-01 00:02:00"),
        (HEAD + GOOD[0] + '\n"' + "9" * 140_000, "line 3: "),
        ("1600000000,9,12,10,11\n1600000060,9,12,10,11\n", "low 10 .without headings the columns are time, open, high"),
    ],
)
def test_what_a_hostile_file_holds_is_named(tmp_path: Path, words: str | bytes, said: str) -> None:
    with pytest.raises(BadPrices, match=said):
        read(tmp_path, words)


def test_empty_lines_at_the_end_are_no_candles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for piece in (7, 1 << 20):
        monkeypatch.setattr(reading, "PIECE", piece + len(HEAD))
        for ending in ("\n\n\n", "\r\n\r\n", "\n\n"):
            assert len(read(tmp_path, HEAD + "\n".join(GOOD) + ending).candles) == 3


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPrices, match="Is a directory"):
        load([tmp_path], NOW)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    secret = Path(written(tmp_path, HEAD + "\n".join(GOOD)).name)
    secret.chmod(0o644)
    with obeying():
        assert load([secret], NOW).candles
    secret.chmod(0)
    with obeying(), pytest.raises(BadPrices, match="Permission denied"):
        load([secret], NOW)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPrices, match=r"nothing\.csv: No such file"):
        load([tmp_path / "nothing.csv"], NOW)


def test_only_the_period_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "\n".join(GOOD))
    begin = datetime(2022, 1, 1, 0, 1, tzinfo=timezone.utc)

    assert len(load([path], NOW, (begin, None)).candles) == 2
    with pytest.raises(BadPrices, match="fewer than two candles are in that period; they go from 2022-01-01 00:00"):
        load([path], NOW, (begin + timedelta(days=1), None))


def test_gaps_count_within_the_period_that_is_asked_for(tmp_path: Path) -> None:
    at = datetime(2022, 1, 1, tzinfo=timezone.utc)
    lines = [f"{at + timedelta(minutes=n):%Y-%m-%d %H:%M:%S},15,15,14,15,1" for n in range(10_000)]
    path = written(tmp_path, HEAD + "\n".join(lines[:5_000] + lines[5_050:]))
    some = (at + timedelta(minutes=4_900), at + timedelta(minutes=5_200))

    assert "50 candles are missing" in load([path], NOW).notes[0]
    assert load([path], NOW, (at, at + timedelta(minutes=4_000))).notes == ()
    with pytest.raises(BadPrices, match=r"50 candles are missing .* line 5002, 2022-01-04 12:10:00.* --allow-gaps"):
        load([path], NOW, some)
    with pytest.raises(BadPrices, match=r"line 4951, 2022-01-04 12:10:00"):
        load([written(tmp_path, HEAD + "\n".join(reversed(path.read_text().splitlines()[1:])))], NOW, some)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("100,1000,100,100", "in 1 candle, first at .*csv, line 402, 2022-01-01 06:40:00, between 100 and 1000: see"),
        ("100,100,50,100", "in 1 candle, first at .*csv, line 402, .* between 50 and 100"),
        ("1,1,1,1", "in 2 candles, first at .*csv, line 402, .* between 1 and 100"),
        ("100,199,100,100", ""),
    ],
)
def test_a_price_that_leaps_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, said: str) -> None:
    at = datetime(2022, 1, 1, tzinfo=timezone.utc)
    lines = [f"{at + timedelta(minutes=n):%Y-%m-%d %H:%M:%S},100,100,100,100,1" for n in range(900)]
    lines[400] = lines[400].replace("100,100,100,100", row)
    for size in (1 << 16, 401, 400, 7):
        monkeypatch.setattr(checks, "SLICE", size)
        notes = read(tmp_path, HEAD + "\n".join(lines)).notes
        assert [bool(re.search(said, note)) for note in notes] == ([True] if said else [])


def test_a_period_that_the_candles_do_not_cover_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "\n".join(GOOD))
    wide = (datetime(2021, 12, 1, tzinfo=timezone.utc), datetime(2022, 2, 1, tzinfo=timezone.utc))

    assert load([path], NOW, wide).notes == (
        "the candles begin on 2022-01-01 00:00, later than asked for",
        "the candles end on 2022-01-01 00:03, earlier than asked for",
    )
