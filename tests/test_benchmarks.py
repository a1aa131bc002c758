"""The benchmarks work: tiny runs of each, with no limit on any figure, for a busy machine proves nothing."""

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import Figure, Limit, joined, percentile, table
from tests.servers import MariaDB


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_tiny_run_measures_something(name: str, mariadb_server: MariaDB) -> None:
    figures = BENCHMARKS[name](mariadb_server, True)

    assert all(sum(one.dcabot) >= 0 and (not one.floor or sum(one.floor) > 0) for one in figures)
    assert table(joined([figures]), "a tiny run").row_count == len(figures)


def test_a_ratio_is_taken_within_each_run() -> None:
    loud_and_quiet = joined([[Figure("x", "ms", (4.0,), (8.0,), 2)], [Figure("x", "ms", (1.0,), (2.0,), 2)]])

    assert loud_and_quiet[0].judged == 2
    assert loud_and_quiet[0].is_met


def test_a_rate_has_a_lower_limit() -> None:
    assert not Figure("x", "/s", (100.0,), (70.0,), 0.8, Limit.LEAST).is_met


def test_a_percentile_is_one_of_the_samples() -> None:
    samples = [float(n) for n in range(200, 0, -1)]

    assert (percentile(samples, 0.5), percentile(samples, 0.99), percentile([7.0], 0.99)) == (100, 198, 7)
