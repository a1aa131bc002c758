"""What is remembered of queries, for speed, is what peewee and the product say themselves."""

from typing import Any

import peewee
import pytest

from tests.simulation import books, run
from tests.simulation.queries import compiled, made
from tests.simulation.run import play

SEEDS = range(1, 11)


def test_a_remembered_text_is_what_peewee_would_say(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def both(engine: peewee.Database, query: Any) -> tuple[str, list[Any]]:
        told = compiled(engine, query)
        assert told == made(engine, query)
        asked.append(told)
        return told

    monkeypatch.setattr(books, "compiled", both)
    assert all(play(seed).is_good for seed in SEEDS)
    assert len(asked) > 100


def test_a_run_is_the_same_when_no_row_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = [play(seed, tells=True).story for seed in SEEDS]
    monkeypatch.setattr(run, "rows_are_remembered", run.nullcontext)
    assert [play(seed, tells=True).story for seed in SEEDS] == remembered
