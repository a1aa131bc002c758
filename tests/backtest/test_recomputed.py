"""The figures once more, from nothing but the file and the fills that are told: none of the backtest's own code."""

import csv
import json
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dcabot.commands.backtest import main
from tests.backtest.prices import random_candles, write

MOST = 3  # safety orders
WORDS = ["--base-order-amount", "50", "--safety-order-amount", "25", "--max-safety-orders", f"{MOST}"]
CAPITAL, KEPT, HALF_SPREAD = 50 + MOST * 25, 1 - Fraction("0.0025"), Fraction("0.0005")
CENTS = 0.02  # Alpaca's fees are rounded up, and bids and coins down
Row = tuple[datetime, list[Fraction]]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days, up and down by a fifth."""
    path = tmp_path_factory.mktemp("market") / "prices.csv"
    write(path, random_candles(4, 4 * 1440, swing=8))
    return path


@pytest.fixture
def told(market: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["--prices", str(market), *WORDS, "--fills", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def rows(market: Path) -> list[Row]:
    with market.open() as file:
        found = list(csv.DictReader(file))
    names = ("open", "high", "low", "close")
    return [
        (datetime.fromisoformat(row["time"].replace("Z", "+00:00")), [Fraction(row[n]) for n in names]) for row in found
    ]


def flows(fill: dict[str, Any]) -> tuple[Fraction, Fraction]:
    """The dollars and the coins that came in with it."""
    quantity, price, fee = (Fraction(fill[name]) for name in ("quantity", "price", "fee"))
    return (-quantity * price, quantity - fee) if fill["side"] == "buy" else (quantity * price - fee, -quantity)


def test_capital_in_use_fees_and_the_times_of_cycles(told: dict[str, Any], rows: list[Row]) -> None:
    result, end = told["result"], rows[-1][0] + timedelta(minutes=1)
    used, fees, exhausted, lengths = Fraction(0), Fraction(0), timedelta(), []
    cycle: list[dict[str, Any]] = []
    for fill in told["fills"]:
        cycle.append(fill)
        fees += Fraction(fill["fee"]) * (Fraction(fill["price"]) if fill["side"] == "buy" else 1)
        if fill["side"] == "buy":
            used = max(used, -sum((flows(one)[0] for one in cycle), Fraction(0)))
            continue
        lengths.append(between(cycle[0], fill["at"]))
        exhausted += between(cycle[MOST], fill["at"]) if len(cycle) > MOST + 1 else timedelta()
        cycle = []
    assert cycle, "something is held at the end"
    lengths.append(between(cycle[0], end.isoformat()))
    exhausted += between(cycle[MOST], end.isoformat()) if len(cycle) > MOST else timedelta()

    assert (result["cycles"], Fraction(result["capital_used"]), Fraction(result["fees"])) == (
        len(lengths) - 1,
        used,
        fees,
    )
    assert result["out_of_safety"] == exhausted.total_seconds() > 0
    waited = result["longest_cycle"] - max(lengths).total_seconds()
    assert 0 <= waited <= 300  # a cycle begins with its order, which may wait at its limit until it is stale


def between(fill: dict[str, Any], end: str) -> timedelta:
    return datetime.fromisoformat(end) - datetime.fromisoformat(fill["at"])


def test_profit_and_what_else_could_have_been_done(told: dict[str, Any], rows: list[Row]) -> None:
    result, bid = told["result"], rows[-1][1][3] * (1 - HALF_SPREAD)
    dollars, coins = (sum(both) for both in zip(*map(flows, told["fills"]), strict=True))
    days = [prices[0] * (1 + HALF_SPREAD) for _, prices in rows[::1440]]
    daily = sum(Fraction(CAPITAL, len(days)) / ask * KEPT for ask in days)

    assert len(days) == 4
    assert float(result["profit"]) == pytest.approx(float(dollars + coins * bid * KEPT), abs=CENTS)
    assert float(result["buy_and_hold"]) == pytest.approx(
        float(CAPITAL / days[0] * KEPT * bid * KEPT - CAPITAL), abs=CENTS
    )
    assert float(result["periodic"]) == pytest.approx(float(daily * bid * KEPT - CAPITAL), abs=CENTS)


def test_the_deepest_fall(told: dict[str, Any], rows: list[Row]) -> None:
    fills = list(told["fills"])
    dollars = coins = peak = deepest = Fraction(0)
    for at, prices in rows:
        for quarter, price in enumerate(prices):
            here = (at + timedelta(seconds=15 * quarter)).isoformat()
            seen = []
            while fills and datetime.fromisoformat(fills[0]["at"]) <= datetime.fromisoformat(here):
                fill, more = fills[0], flows(fills.pop(0))
                seen.append(dollars + coins * Fraction(fill["price"]))
                dollars, coins = dollars + more[0], coins + more[1]
                seen.append(dollars + coins * Fraction(fill["price"]))
            for profit in [*seen, dollars + coins * price]:
                peak = max(peak, profit)
                deepest = max(deepest, peak - profit)

    assert Fraction(told["result"]["deepest_fall"]) == deepest > 0


def test_the_defaults_trade_as_they_always_did(told: dict[str, Any]) -> None:
    """A hash of every fill, with the spread, the slippage, the fees and the steps that nobody chose."""
    assert (len(told["fills"]), told["result"]["fingerprint"]) == (86, "c138860c7ee6a33f")
