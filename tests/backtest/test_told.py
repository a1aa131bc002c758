"""Nothing that has to be known of a result is lost on the way to any of its outputs."""

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.core.fees import TIERS
from tests.backtest.test_command import AMOUNTS, Type, document, prices, typed

__all__ = ["prices", "typed"]  # the fixtures

SWEEP = ["--sweep", "take-profit-percent=0.8,1.2", "--jobs", "1"]
GAP = "2 candles are missing in 1 gap"
TURNED = "the candles stood newest first; they were turned around"


@pytest.fixture
def holed(prices: Path) -> Path:
    """Newest first, and two minutes are missing."""
    head, *lines = prices.read_text().splitlines()
    prices.write_text("\n".join([head, *reversed(lines[:500] + lines[502:])]))
    return prices


@pytest.mark.parametrize("form", [[], ["--csv"], ["--csv", "--cycles"], ["--csv", "--fills"], ["--json"]])
@pytest.mark.parametrize("more", [[], SWEEP])
def test_what_is_remarkable_about_the_prices_comes_with_every_output(
    typed: Type, holed: Path, form: list[str], more: list[str]
) -> None:
    if more and len(form) > 1:
        return  # refused: of one backtest
    code, out, err = typed("--prices", holed, *AMOUNTS, *form, *more)

    assert code == 0
    told = " ".join((err if form[:1] == ["--csv"] else out).split())  # a terminal's lines may break anywhere
    assert GAP in told
    assert TURNED in told
    if form[:1] == ["--csv"]:
        list(csv.DictReader(io.StringIO(out), strict=True))
    if form == ["--json"]:
        assert json.loads(out)["notes"][0] == TURNED


def test_the_one_line_of_csv_holds_the_notes_and_what_was_assumed(typed: Type, holed: Path) -> None:
    (row,) = csv.DictReader(io.StringIO(typed("--prices", holed, *AMOUNTS, "--csv")[1]))

    assert GAP in row["notes"]
    assert row["assumed_slippage"] == "0.05 %"


def test_the_page_holds_the_notes_and_the_influence_of_each_assumption(
    typed: Type, holed: Path, tmp_path: Path
) -> None:
    found = document(typed, "--prices", holed, *AMOUNTS, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()

    assert GAP in page
    assert TURNED in page
    assert "What the assumptions do to the profit" in page
    for one in found["influence"]:
        assert f"<tr><td>{one['choice']}</td><td>{Decimal(one['profit']):+,.2f}</td>" in page


def test_a_search_tells_what_was_assumed_and_warns_in_every_form(typed: Type, prices: Path) -> None:
    warning = "Choosing the best of many tries on the same past"
    _, plain, _ = typed("--prices", prices, *AMOUNTS, *SWEEP)
    _, _, beside_csv = typed("--prices", prices, *AMOUNTS, *SWEEP, "--csv")
    whole = json.loads(typed("--prices", prices, *AMOUNTS, *SWEEP, "--json")[1])

    assert "Assumed: a candle: open, high, low, close" in plain
    assert all(warning in words for words in (plain, beside_csv, whole["warning"]))
    assert whole["assumptions"]["slippage"] == "0.05 %"
    assert "Assumed: a candle: open, high, low, close" in beside_csv


def test_csv_tells_the_influence_of_each_assumption(typed: Type, prices: Path) -> None:
    whole = document(typed, "--prices", prices, *AMOUNTS)["influence"]
    _, out, err = typed("--prices", prices, *AMOUNTS, "--csv")
    (row,) = csv.DictReader(io.StringIO(out))

    assert row["influence"] == "; ".join(f"{one['choice']}: {one['profit']}" for one in whole)
    for form in ([], ["--cycles"], ["--fills"]):
        err = typed("--prices", prices, *AMOUNTS, "--csv", *form)[2]
        for one in whole:
            assert f"{one['choice']} {Decimal(one['profit']):,.2f}" in err


def test_a_search_tells_what_the_assumptions_do_to_its_best(typed: Type, prices: Path, tmp_path: Path) -> None:
    searched = ["--prices", prices, *AMOUNTS, *SWEEP]
    whole = json.loads(typed(*searched, "--json")[1])
    best, *_ = whole["trials"]
    lines = prices.read_text().splitlines()
    training, held_out = tmp_path / "training.csv", tmp_path / "held-out.csv"
    training.write_text("\n".join(lines[:631]))
    held_out.write_text("\n".join([lines[0], *lines[631:]]))
    words = [*AMOUNTS, "--take-profit-percent", best["take_profit_percent"]]
    first, second = (document(typed, "--prices", file, *words)["influence"] for file in (training, held_out))

    assert whole["influence"] == [
        {"choice": one["choice"], "training_profit": one["profit"], "held_out_profit": other["profit"]}
        for one, other in zip(first, second, strict=True)
    ]
    share = f"{100 * Decimal(first[0]['profit']) / Decimal(best['training_capital']):.2f} %"
    for told in (typed(*searched)[1], typed(*searched, "--csv")[2]):
        assert "What the assumptions do to the profit of the best in training" in told
        assert re.search(f"{first[0]['choice']} +{share}", told)


def test_each_assumption_is_tried_otherwise(typed: Type, prices: Path) -> None:
    def choices(*words: str) -> dict[str, Decimal]:
        found = document(typed, "--prices", prices, *AMOUNTS, *words)
        return {one["choice"]: Decimal(one["profit"]) for one in found["influence"]}

    usual, bare = choices(), choices("--slippage", "0", "--spread", "0", "--fee-tier", "8", "--four-prices")
    assert list(usual) == [
        "low-first instead of high-first",
        "nearest instead of high-first",
        "only four prices of each candle",
        "no spread",
        "twice the spread",
        "no slippage",
        "twice the slippage",
        "fee tier 8 instead of 1",
    ]
    assert list(bare)[2:] == [
        "every price in between",
        "spread of 0.1 %",
        "slippage of 0.05 %",
        "fee tier 1 instead of 8",
    ]


def test_an_influence_is_the_backtest_with_that_choice(typed: Type, prices: Path) -> None:
    usual = document(typed, "--prices", prices, *AMOUNTS)
    told = {one["choice"]: (one["profit"], one["fingerprint"]) for one in usual["influence"]}
    for choice, words in {
        "no slippage": ["--slippage", "0"],
        "twice the slippage": ["--slippage", "0.1"],
        "fee tier 8 instead of 1": ["--fee-tier", f"{len(TIERS)}"],
        "no spread": ["--spread", "0"],
    }.items():
        alone = document(typed, "--prices", prices, *AMOUNTS, *words)["result"]
        assert told[choice] == (alone["profit"], alone["fingerprint"])


def test_the_cycle_that_is_still_open_is_listed_with_what_it_would_bring(
    typed: Type, prices: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    whole = document(typed, "--prices", prices, *AMOUNTS, "--cycles", "--html", page)
    result, (*closed, last) = whole["result"], whole["cycles"]
    rows = list(csv.DictReader(io.StringIO(typed("--prices", prices, *AMOUNTS, "--csv", "--cycles")[1])))
    table = typed("--prices", prices, *AMOUNTS, "--cycles")[1]

    assert Decimal(result["held"]) > 0
    assert (last["status"], last["closed_at"], last["profit"]) == ("open", None, None)
    assert last["unrealised"] == result["unrealised"] == rows[-1]["unrealised"]
    sums = sum(Decimal(one["profit"]) for one in closed) + Decimal(last["unrealised"])
    assert sums == Decimal(result["profit"])
    assert (rows[-1]["status"], rows[-1]["profit"]) == ("open", "")
    assert len([line for line in table.splitlines() if line.lstrip().startswith("open ")]) == 1
    assert "still open, as if sold now" in page.read_text()
