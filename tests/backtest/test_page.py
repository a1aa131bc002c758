"""The page in a real browser: it needs nothing from outside, its script runs, and it fits wide and narrow screens."""

import re
import struct
import subprocess
import zlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dcabot.backtest.charts import BOTTOM, TOP, Frame, axes
from dcabot.backtest.figures import Result, result
from dcabot.backtest.page import Told, page
from dcabot.backtest.walk import Walk
from dcabot.core.model import Side
from tests.backtest.prices import candles, led, make_bot, random_candles
from tests.needs import needed

RULES = {"safety_notional": 30, "take_profit_ratio": "0.006", "safety_drop_ratio": "0.01"}
PROBE = """<script>
const svg = document.querySelector("svg"), box = svg.getBoundingClientRect();
svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width / 2, clientY: 9, bubbles: true }));
const root = document.documentElement;
root.dataset.overflow = root.scrollWidth - root.clientWidth;
root.dataset.low = Math.min(...[...document.querySelectorAll("svg")].map(one => one.getBoundingClientRect().height));
for (const name of ["ground", "card", "ink", "soft", "price", "average", "buy", "sell", "good", "bad"])
  root.dataset[name] = getComputedStyle(root).getPropertyValue("--" + name).trim();
root.dataset.body = getComputedStyle(document.body).backgroundColor;
root.dataset.foreign = performance.getEntriesByType("resource").length;
</script></body>"""


@pytest.fixture(scope="module")
def browser() -> str:
    return needed("chromium")


@pytest.fixture(scope="module")
def made() -> tuple[str, Result]:
    walk = Walk(led(make_bot(**RULES), prices := random_candles(7, 1_500, swing=10)), prices, walk_path())
    found = result(walk)
    return page(walk, found, Told({"spread": "0.1 %", "<b>": "a & b"}, ["3 candles are missing in <1> gaps"])), found


def walk_path():  # type: ignore[no-untyped-def]
    from dcabot.backtest.path import Path as PricePath

    return PricePath()


def run(browser: str, folder: Path, *words: str) -> str:
    profile = folder / "profile"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    command += [f"--user-data-dir={profile}", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def test_the_page_is_whole_in_itself(made: tuple[str, Result]) -> None:
    words, found = made

    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)|url\(|@import|https?://""", words)
    assert "{{" not in words
    assert "&lt;b&gt;" in words
    assert "3 candles are missing in &lt;1&gt; gaps." in words
    assert words.count("<title>") == 1 + len(found.fills)


@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_draws_it_and_its_script_runs(
    browser: str, made: tuple[str, Result], tmp_path: Path, width: int
) -> None:
    words, found = made
    file = tmp_path / "page.html"
    file.write_text(words.replace("</body>", PROBE), encoding="utf-8")

    dom = run(browser, tmp_path, f"--window-size={width},1700", "--dump-dom", file.as_uri())

    attributes = dict(re.findall(r'data-(\w+)="([^"]*)"', dom[:2000]))
    assert attributes["ready"] == "yes"
    assert (attributes["overflow"], attributes["foreign"]) == ("0", "0")
    assert float(attributes["low"]) > 60
    told = dict(re.findall(r'id="told-(\w+)">([^<]+)<', dom))
    assert re.fullmatch(r"2026-01-0\d \d\d:\d\d UTC   [\d,.]+", told["price"])
    assert re.fullmatch(r"-?[\d,]+\.\d\d   buy and hold: -?[\d,]+\.\d\d", told["profit"])
    marks = {name: len(re.findall(f'class="{name}"', dom)) for name in ("base", "safety", "take_profit")}
    sells = sum(fill.side is Side.SELL for fill in found.fills)
    assert marks["take_profit"] == sells > 0
    assert sum(marks.values()) == len(found.fills)


@pytest.mark.parametrize(("scheme", "body"), [(0, "rgb(17, 21, 28)"), (1, "rgb(246, 247, 249)")], ids=["dark", "light"])
def test_it_can_be_read_in_the_dark_and_in_the_light(
    browser: str, made: tuple[str, Result], tmp_path: Path, scheme: int, body: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(made[0].replace("</body>", PROBE), encoding="utf-8")

    dom = run(browser, tmp_path, f"--blink-settings=preferredColorScheme={scheme}", "--dump-dom", file.as_uri())

    found = dict(re.findall(r'data-(\w+)="([^"]*)"', dom[:2000]))
    assert found["body"] == body
    for name in ("ink", "soft", "good", "bad"):  # WCAG 2 AA: 4.5 for text, 3 for marks and lines
        assert min(contrast(found[name], found[ground]) for ground in ("card", "ground")) >= 4.5, name
    for name in ("price", "average", "buy", "sell"):
        assert contrast(found[name], found["card"]) >= 3, name


def contrast(one: str, other: str) -> float:
    """Of two colours of the form #rgb or #rrggbb, as the WCAG have it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_picture_is_no_blank_sheet(browser: str, made: tuple[str, Result], tmp_path: Path) -> None:
    file, picture = tmp_path / "page.html", tmp_path / "page.png"
    file.write_text(made[0], encoding="utf-8")

    run(browser, tmp_path, "--window-size=1280,1700", f"--screenshot={picture}", file.as_uri())

    assert len(colours(picture)) > 50


def test_a_page_of_nothing_traded_is_a_page(browser: str, tmp_path: Path) -> None:
    prices = candles([(1_000, 1_000, 1_000, 1_000)] * 30)
    walk = Walk(led(make_bot(base_notional=10), prices), prices, walk_path())
    file = tmp_path / "page.html"
    file.write_text(page(walk, result(walk), Told({})), encoding="utf-8")

    dom = run(browser, tmp_path, "--dump-dom", file.as_uri())

    assert 'data-ready="yes"' in dom
    assert not re.search(r"NaN|Infinity|undefined", dom.partition("<script")[0])


def test_a_buy_above_all_prices_is_in_the_picture() -> None:
    """The ask is half a spread above them, which is more than some hours of a quiet market."""
    prices = candles([(10_000, 10_001, 9_999, 10_000)] * 4)
    walk = Walk(led(make_bot(), prices), prices, walk_path())
    words = page(walk, result(walk), Told({}))

    (mark,) = re.findall(r'class="base" d="M[\d.]+ ([-\d.]+)L[\d.]+ ([-\d.]+)H', words)
    assert all(TOP < float(y) < 430 - BOTTOM for y in mark)


def colours(picture: Path) -> set[bytes]:
    """The different colours of every fortieth line of a PNG, filters undone only as far as counting needs."""
    raw = picture.read_bytes()
    place, data, width = 8, b"", 0
    while place < len(raw):
        (length,), kind = struct.unpack(">I", raw[place : place + 4]), raw[place + 4 : place + 8]
        if kind == b"IHDR":
            width = struct.unpack(">I", raw[place + 8 : place + 12])[0]
            depth = 4 if raw[place + 17] == 6 else 3
        if kind == b"IDAT":
            data += raw[place + 8 : place + 8 + length]
        place += 12 + length
    lines = zlib.decompress(data)
    size = 1 + width * depth
    return {
        lines[start + at : start + at + depth]
        for start in range(0, len(lines), size * 40)
        for at in range(1, size - depth, depth)
    }


@pytest.mark.parametrize(
    ("minutes", "names"),
    [
        (40, ["05:30", "05:35", "05:40", "05:45", "05:50", "05:55", "06:00", "06:05", "06:10"]),
        (600, ["06:00", "07:00", "08:00", "09:00", "10:00", "11:00", "12:00", "13:00", "14:00", "15:00"]),
        (2700, ["06:00", "12:00", "18:00", "06 Mar", "06:00", "12:00", "18:00", "07 Mar"]),
        (7200, ["06 Mar", "07 Mar", "08 Mar", "09 Mar", "10 Mar"]),
        (600_000, ["05 May 2021", "05 Jul 2021", "04 Sep 2021", "04 Nov 2021", "04 Jan 2022", "06 Mar 2022"]),
    ],
)
def test_the_times_below_a_chart_are_round_and_name_the_day(minutes: int, names: list[str]) -> None:
    begin = datetime(2021, 3, 5, 5, 30, tzinfo=timezone.utc)
    drawn = axes(Frame(begin, begin + timedelta(minutes=minutes), 1.0, 2.0, 100))

    assert re.findall(r'text-anchor="middle">([^<]+)<', drawn) == names
