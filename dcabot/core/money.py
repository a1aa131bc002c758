"""The Decimal door: every price and quantity enters through `parse` and is rounded by `step_*`.

A float is refused: it stops at the SDK's door (`adapters/wire.py`).
"""

from decimal import Context, Decimal, InvalidOperation

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)
# Wide enough for a price with 10 and a quantity with 15 decimals multiplied without rounding.
EXACT = Context(prec=60)


def parse(value: str | int | Decimal) -> Decimal:
    """A finite Decimal from its text. Raises ValueError for floats, NaN, infinities and non-numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"not a decimal: {value!r}")
    # Decimal() itself also takes spaces around a number, `_` within it, and the digits of every script.
    if isinstance(value, str) and (not value.isascii() or "_" in value or value != value.strip()):
        raise ValueError(f"not a decimal: {value!r}")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"not a decimal: {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    return number


def step_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is at most `value` (for value >= 0)."""
    # `//` truncates an exact quotient; `/` first would round to the context and could step up.
    return EXACT.multiply(EXACT.divide_int(value, step), step)


def step_up(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is at least `value` (for value >= 0)."""
    down = step_down(value, step)
    return down if down == value else EXACT.add(down, step)


def ratio(percent: Decimal) -> Decimal:
    """A ratio from a percentage: 1.5 % -> 0.015."""
    return EXACT.divide(percent, HUNDRED)


def text(value: Decimal) -> str:
    """Plain decimal text without exponent or trailing zeros: what goes on the wire and into messages."""
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
