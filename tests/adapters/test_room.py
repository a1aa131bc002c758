"""How many pairs a stream takes, found by asking."""

from hypothesis import given
from hypothesis import strategies as st

from dcabot.adapters.room import Room


def asked_until_found(room: Room, wanted: int, limit: int) -> int:
    """How many questions it takes until what is asked for is what there is."""
    taken = -1
    for question in range(100):
        count = room.share(wanted)
        if count == taken:
            return question
        if count > limit:
            room.refuse(count)
        else:
            room.take(count)
            taken = count
    raise AssertionError("it never ends")


@given(st.integers(0, 500), st.integers(1, 500))
def test_it_is_found_with_few_questions(wanted: int, limit: int) -> None:
    room = Room()
    assert asked_until_found(room, wanted, limit) <= 1 + 2 * max(1, wanted.bit_length())
    assert room.share(wanted) == min(wanted, limit)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=5), st.integers(1, 100))
def test_wishes_may_change(wishes: list[int], limit: int) -> None:
    room = Room()
    for wanted in wishes:
        asked_until_found(room, wanted, limit)
        assert room.share(wanted) == min(wanted, limit)
