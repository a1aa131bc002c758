"""The scripts' own words: how a story that goes another way is told."""

import pytest

from tests.scenarios.runner import play

STORY = """
    rules base=20 quantity_step=0.0001
    quote 99.90/100.00 -> buy base 0.2 @ 100
    # a comment
    fill base          -> held 0.2 average 100
    sweep              -> held 0.2 average 100
"""


def test_a_failure_prints_the_script_with_the_first_differing_line_marked() -> None:
    with pytest.raises(pytest.fail.Exception) as failure:
        play(STORY)
    assert failure.value.msg == "\n".join(
        [
            "    rules base=20 quantity_step=0.0001",
            "    quote 99.90/100.00 -> buy base 0.2 @ 100",
            "    # a comment",
            ">>> fill base          -> held 0.2 average 100",
            "got fill base -> held 0.1995 average 100",
            "    sweep              -> held 0.2 average 100",
        ]
    )


def test_a_line_without_an_expectation_expects_nothing() -> None:
    with pytest.raises(pytest.fail.Exception, match="got quote 99/100 -> buy base"):
        play("quote 99/100")


def test_an_expectation_that_ends_in_dots_needs_to_match_only_so_far() -> None:
    play("quote 99/100 -> buy base ...")
    with pytest.raises(pytest.fail.Exception, match="got quote"):
        play("quote 99/100 -> sell ...")
