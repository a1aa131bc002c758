"""An id is read back as it was made, and nobody else's is."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.model import Purpose
from dcabot.core.order_ids import OrderId, is_of_another, is_own, parsed
from tests.builders import START, make_cycle

TAGS = st.sampled_from(["", "abcdef", "k3"])


@given(tag=TAGS, number=st.integers(1, 10**9), seconds=st.integers(0, 10**9), purpose=st.sampled_from(list(Purpose)))
def test_what_a_cycle_makes_is_read_back(tag: str, number: int, seconds: int, purpose: Purpose) -> None:
    opened = START + timedelta(seconds=seconds)
    name = make_cycle(id=number, opened_at=opened, tag=tag).next_id(purpose)
    assert parsed(name) == OrderId(tag, number, int(opened.timestamp()), purpose, 1)
    assert is_own(name, tag)
    assert is_of_another(name, "other") == bool(tag)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "by-hand",
        "dcabot-9",
        "dcabot-1-2-base",
        "dcabot-1-2-bass-1",
        "dcabot-x-1-2-base-1-",
        "dcabot-9x-1-2-base-1",
        "dcabot--1-2-base-1",
        "dcabot-1-2-base-\u0661",
        "dcabot-1-1234567890123-base-1",
        "Dcabot-1-2-base-1",
    ],
)
def test_others_ids_are_nobodys(name: str) -> None:
    assert parsed(name) is None
    assert not is_own(name, "") and not is_of_another(name, "")
