"""The Decimal door: what may enter, and which way it is rounded."""

from decimal import Decimal

import pytest

from dcabot.core.money import parse, ratio, step_down, step_up, text

D = Decimal


def test_text_whole_numbers_and_decimals_enter() -> None:
    assert [parse("0.10"), parse(7), parse(D("1.5")), parse("-2")] == [D("0.10"), D(7), D("1.5"), D(-2)]
    assert [parse("1e-8"), parse("1E+3"), parse("+1"), parse(".5")] == [D("0.00000001"), D(1000), D(1), D("0.5")]


@pytest.mark.parametrize(
    "wrong",
    [
        0.1,
        True,
        None,
        "",
        "ten",
        "NaN",
        "Infinity",
        "-inf",
        "1,5",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "\u0661",
        "1\u00a0",
        "\uff11",
    ],
)
def test_floats_and_what_is_no_finite_number_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse(wrong)  # type: ignore[arg-type]


def test_stepping_down_and_up_meets_the_neighbouring_multiples() -> None:
    assert step_down(D("100.109"), D("0.01")) == D("100.10")
    assert step_up(D("100.101"), D("0.01")) == D("100.11")


def test_a_multiple_of_the_step_stays_as_it_is() -> None:
    assert step_down(D("100.10"), D("0.01")) == step_up(D("100.10"), D("0.01")) == D("100.10")
    assert step_up(D(0), D("0.01")) == 0


def test_a_step_need_not_be_a_power_of_ten() -> None:
    assert step_down(D("1.3"), D("0.25")) == D("1.25")
    assert step_up(D("1.3"), D("0.25")) == D("1.50")


def test_digits_beyond_the_default_context_do_not_round_a_quantity_up() -> None:
    almost = D("0." + "9" * 40)
    assert step_down(almost, D("0.000000001")) == D("0.999999999")


def test_a_percentage_becomes_a_ratio() -> None:
    assert ratio(D("1.5")) == D("0.015")


@pytest.mark.parametrize(
    ("value", "said"),
    [("1E+3", "1000"), ("0.1000", "0.1"), ("1E-9", "0.000000001"), ("100", "100"), ("0.000", "0"), ("-2.50", "-2.5")],
)
def test_text_has_no_exponent_and_no_trailing_zeros(value: str, said: str) -> None:
    assert text(D(value)) == said
