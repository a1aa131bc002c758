"""Text that others wrote, on its way from the wire to a row: several statements travel in a message beside it."""

from dataclasses import replace

import pytest

from dcabot.adapters.broker import Broker
from dcabot.adapters.database import Database
from dcabot.adapters.store import Store
from dcabot.core.lifecycle import on_refused
from dcabot.core.model import CycleStatus, Decision, Order, OrderStatus
from dcabot.core.snapshot import Refused
from dcabot.executor import commit
from tests.adapters.scripted import Scripted, answer, config_for
from tests.adapters.test_store import add_asset
from tests.builders import START, make_order
from tests.venue_broker import SteppedClock

WORDS = [
    "'; DELETE FROM dca_orders; -- ",
    "\\'; DELETE FROM dca_orders; -- ",
    '"; DELETE FROM dca_orders; -- ',
    "x\\",
    "\\\\'",
    "%s %d %% %(a)s",
    "a\0b\x1a\n\r`",
    "/*! DELETE FROM dca_orders */",
    "\u7e17' OR 1=1; -- ",
    "\U0001f600" * 300,
    "'" * 300,
]


@pytest.fixture
def store(door: Database) -> Store:
    found = Store(door, SteppedClock())
    found.open_cycle(add_asset(found), CycleStatus.WATCHING)
    return found


def test_words_are_stored_as_they_are_and_never_obeyed(store: Store) -> None:
    orders = [make_order(created_at=START, number=number) for number in range(len(WORDS))]
    for order, words in zip(orders, WORDS, strict=True):
        _book(store, order)
        _book(store, replace(order, note=words))
        assert store.cycle_of(words) is None
    assert store.known_ids([*WORDS, orders[0].client_order_id]) == {orders[0].client_order_id}
    entry = store.read_entry(1)
    assert entry is not None and [order.note for order in entry.cycle.orders] == [words[:255] for words in WORDS]


def _book(store: Store, order: Order) -> None:
    assert commit(store, 1, lambda _, cycle: Decision(cycle.with_order(order), "test"))


def test_a_refusal_with_half_a_character_is_booked(store: Store) -> None:
    """JSON may carry what no database takes. The error would come with the COMMIT, where nobody expects it."""
    order = make_order(created_at=START, status=OrderStatus.INTENDED, order_id=None)
    _book(store, order)
    with Scripted(answer(422, {"code": 42210000, "message": "half \ud83d"})) as server:
        broker = Broker(config_for(server.url), SteppedClock())
        outcome = broker.submit("BTC/USD", order)
        broker.close()
    assert isinstance(outcome, Refused)
    commit(store, 1, lambda _, cycle: on_refused(cycle, order.client_order_id, outcome, START))
    entry = store.read_entry(1)
    assert entry is not None and entry.cycle.orders[0].note == "HTTP 422: half \\ud83d"
