"""What an order's id tells: which database sent it, for which cycle, and why."""

from dataclasses import dataclass

from dcabot.core.model import ID_PREFIX, Purpose

DIGITS_MAX = 12  # of a number in an id: a larger one was made by somebody else
PURPOSES = {purpose.value: purpose for purpose in Purpose}


@dataclass(frozen=True, slots=True)
class OrderId:
    """The parts of an id. `opened` is when its cycle was opened, in seconds since 1970."""

    tag: str
    cycle_id: int
    opened: int
    purpose: Purpose
    number: int


def parsed(client_order_id: str) -> OrderId | None:
    """The parts of an id that a dcabot made; None for everybody else's. Ids of the first edition have no tag."""
    if not client_order_id.startswith(ID_PREFIX) or not client_order_id.isascii():
        return None
    parts = client_order_id.removeprefix(ID_PREFIX).split("-")
    tag = ""
    if len(parts) == 5:
        tag = parts.pop(0)
        if not (tag.isalnum() and tag[0].isalpha()):
            return None
    if len(parts) != 4:
        return None
    cycle_id, opened, purpose, number = parts
    numbers = (cycle_id, opened, number)
    if purpose not in PURPOSES or not all(one.isdigit() and len(one) <= DIGITS_MAX for one in numbers):
        return None
    return OrderId(tag, int(cycle_id), int(opened), PURPOSES[purpose], int(number))


def is_own(client_order_id: str, tag: str) -> bool:
    """True for an order of the database with this tag. Ids without a tag are its own too."""
    parts = parsed(client_order_id)
    return parts is not None and parts.tag in ("", tag)


def is_of_another(client_order_id: str, tag: str) -> bool:
    """True for an order of another dcabot on the same account."""
    parts = parsed(client_order_id)
    return parts is not None and parts.tag not in ("", tag)
