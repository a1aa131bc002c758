"""A checker that never failed proves nothing: each planted bug must be caught, and within how few seeds."""

import pytest

from tests.simulation.plants import PLANTS, an_id_reused_after_a_cancel, request_before_row
from tests.simulation.run import Planted, play
from tests.simulation.shrink import script, shrink

SEEDS = 1000  # most are caught within a handful


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_each_planted_bug_is_caught(plant: Planted) -> None:
    caught = next((result for seed in range(1, SEEDS + 1) if not (result := play(seed, planted=plant)).is_good), None)
    assert caught is not None
    assert not caught.law.startswith("crash"), caught.why  # a plant that no longer fits the product proves nothing
    print(f"{plant.__name__}: caught at seed {caught.seed}, {caught.law}")  # pytest -rP shows it


def test_a_failing_seed_shrinks_to_a_short_story_that_fails_in_the_same_way() -> None:
    plant = an_id_reused_after_a_cancel
    failed = next(r for seed in range(1, SEEDS + 1) if not (r := play(seed, planted=plant)).is_good)
    short = shrink(failed, plant)
    assert short.law == failed.law
    assert len(short.taken) < len(failed.taken) / 2
    told = script(short, plant)
    assert failed.law in told
    assert told.endswith(f"--seed {failed.seed} --plant {plant.__name__}")  # without its plant it would not fail


def test_a_seed_fails_in_the_same_way_each_time() -> None:
    first, again = (play(5, tells=True, planted=request_before_row) for _ in range(2))
    assert (first.why, first.steps, first.story) == (again.why, again.steps, again.story)
    assert not first.is_good
