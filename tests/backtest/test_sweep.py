"""Searching settings: on one core or many the same, judged on what the search has not seen."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.backtest.sweep import choices, count, split
from dcabot.commands.backtest import main
from tests.backtest.prices import random_candles
from tests.backtest.test_command import AMOUNTS, prices

__all__ = ["prices"]  # the fixture

GRID = ["--sweep", "take-profit-percent=0.6:1.4:0.4", "--sweep", "safety-order-deviation=0.5,1"]
VALUES = {"take_profit_percent": [Decimal(n) for n in (1, 2, 3)], "max_safety_orders": [Decimal(n) for n in range(5)]}


def test_a_grid_is_every_combination_and_chance_draws_some_of_them_once() -> None:
    grid = choices(VALUES, None, 0)
    drawn = choices(VALUES, 9, seed=1)

    assert count(VALUES) == len(grid) == 15
    assert len({tuple(one.items()) for one in drawn}) == 9
    assert all(one in grid for one in drawn)
    assert choices(VALUES, 9, seed=1) == drawn != choices(VALUES, 9, seed=2)
    assert choices(VALUES, 99, seed=1) == grid


def test_the_end_is_held_out() -> None:
    candles = random_candles(1, 100)
    periods = split(candles, Decimal("0.3"))

    assert (len(periods.training), len(periods.held_out)) == (70, 30)
    assert periods.training.ends_at == periods.held_out.begins_at


def test_a_search_is_shown_best_first_with_a_warning(capsys: pytest.CaptureFixture[str], prices: Path) -> None:
    assert main(["--prices", str(prices), *AMOUNTS, *GRID, "--jobs", "1"]) == 0
    out = capsys.readouterr().out

    assert "6 settings tried on 2025-12-02 to 2025-12-02" in out
    assert "held out" in out
    assert "The best of 6 earned" in out
    assert "Best in training first:" in out
    assert main(["--prices", str(prices), *AMOUNTS, *GRID, "--jobs", "1", "--top", "2"]) == 0
    assert "Best in training first, 2 of them:" in capsys.readouterr().out
    assert "Choosing the best of many tries on the same past finds what fitted that past" in out


def test_all_cores_find_what_one_finds(capsys: pytest.CaptureFixture[str], prices: Path) -> None:
    found = []
    for jobs in ("1", "2"):
        assert main(["--prices", str(prices), *AMOUNTS, *GRID, "--jobs", jobs, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))

    assert found[0] == found[1]
    trials = found[0]["trials"]
    scores = [Decimal(one["training_profit"]) / Decimal(one["training_capital"]) for one in trials]
    assert scores == sorted(scores, reverse=True)
    assert {one["safety_order_deviation"] for one in trials} == {"0.5", "1"}


def test_a_trial_is_the_backtest_of_its_settings(capsys: pytest.CaptureFixture[str], prices: Path) -> None:
    lines = prices.read_text().splitlines()
    prices.write_text("\n".join(lines[: 1 + 630]))
    main(["--prices", str(prices), *AMOUNTS, "--take-profit-percent", "0.8", "--json"])
    alone = json.loads(capsys.readouterr().out)["result"]
    prices.write_text("\n".join(lines))
    words = ["--sweep", "take_profit_percent=0.8", "--random", "1", "--jobs", "1", "--csv"]
    assert main(["--prices", str(prices), *AMOUNTS, *words]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))

    assert (row["training_profit"], row["training_fingerprint"]) == (alone["profit"], alone["fingerprint"])


def test_what_a_search_tries_needs_no_flag_of_its_own(capsys: pytest.CaptureFixture[str], prices: Path) -> None:
    words = ["--sweep", "base-order-amount=50,100", "--sweep", "max-safety-orders=1,2", "--jobs", "1", "--json"]
    assert main(["--prices", str(prices), "--safety-order-amount", "25", *words]) == 0
    trials = json.loads(capsys.readouterr().out)["trials"]

    assert {one["training_capital"] for one in trials} == {"75", "100", "125", "150"}


def test_settings_that_cannot_work_are_left_out_and_counted(capsys: pytest.CaptureFixture[str], prices: Path) -> None:
    words = ["--sweep", "take-profit-percent=0.2,0.8", "--jobs", "1"]
    assert main(["--prices", str(prices), *AMOUNTS, *words]) == 0

    assert "1 cannot work and were left out" in capsys.readouterr().out
