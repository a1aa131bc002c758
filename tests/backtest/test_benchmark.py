"""The benchmark works: a tiny run without the peers, with no limit on any figure."""

import pytest

from benchmarks.bench_backtest import Measured, main, random_walk, show


def test_a_tiny_run_measures_something(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    assert "plain loop" in capsys.readouterr().out


def test_it_fails_when_it_is_not_ten_times_as_fast() -> None:
    ours, theirs = ({"candles": 100, "cpu": cpu, "seconds": cpu, "orders": 1, "cycles": 0} for cpu in (1.0, 9.0))
    found: dict[str, Measured] = {"dcabot": ours, "nautilus": theirs}

    assert not show("too slow", random_walk(10), found)
    assert show("fast", random_walk(10), {**found, "nautilus": {**theirs, "cpu": 11.0}})
