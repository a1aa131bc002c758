"""When Alpaca's list of all orders is read again."""

from datetime import timedelta
from itertools import pairwise

from dcabot.core.recovery import LOOKED_FOR_EVERY, Looks
from tests.builders import START


def test_new_reason_is_due_at_once() -> None:
    looked = Looks().looked(["BTC/USD"], START)
    assert looked.due(["BTC/USD", "ETH/USD"], START + timedelta(seconds=5)) == {"ETH/USD"}


def test_reason_without_end_costs_one_look() -> None:
    """However often coins change, the list is read once in five minutes."""
    looks, read_at = Looks(), []
    for second in range(0, 3600, 7):
        now = START + timedelta(seconds=second)
        if looks.due(["BTC/USD"], now):
            looks = looks.looked(["BTC/USD"], now)
            read_at.append(now)
    assert len(read_at) == 12
    assert all(b - a >= LOOKED_FOR_EVERY for a, b in pairwise(read_at))


def test_old_looks_are_forgotten() -> None:
    looks = Looks().looked(["an order"], START).looked(["BTC/USD"], START + LOOKED_FOR_EVERY)
    assert list(looks.looked_at) == ["BTC/USD"]
