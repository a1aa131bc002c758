"""Text of others, made harmless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcabot.core.foreign import plain, plain_lines


@given(st.text())
def test_whatever_comes_is_one_harmless_line(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_can_be_read_stays(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("bad\nCRITICAL forged", "bad\\nCRITICAL forged"),
        ("\u202eDSU/CTB\u2066", "\\u202eDSU/CTB\\u2066"),
        ("a\u2028b\x9bc\r", "a\\u2028b\\x9bc\\r"),
        ("Zürich 10 €", "Zürich 10 €"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_lines_of_ours_stay_lines() -> None:
    assert plain_lines("one\ntwo\x1b[2J\n") == "one\ntwo\\x1b[2J\n"
