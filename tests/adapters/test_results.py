"""Finished cycles, read from one row each: the same as from their orders, however old."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from dcabot.adapters import notes, results
from dcabot.adapters.database import Database
from dcabot.adapters.results import PART_WITH_ORDERS, Recomputed, Wanted
from dcabot.adapters.schema import Cycle, Order, current
from dcabot.core.report import report
from tests.adapters.test_schema import an_asset

AT = datetime(2026, 11, 22, 17, 45, 1, tzinfo=timezone.utc)
PRICES = ("59000.5", "58000.25", "59800.1")


@pytest.fixture
def books(door: Database) -> Iterator[Database]:
    """Two assets, and none of what their cycles came to."""
    with door.transaction():
        for symbol in ("BTC/USD", "ETH/USD"):
            an_asset(asset_symbol=symbol)
    yield door


def finished(database: Database, asset: int = 1, days: int = 0, sold: str = "0.00066068") -> int:
    """A cycle as programs before this one left it: two buys, a sale, and no sums."""
    at = AT + timedelta(days=days)
    with database.transaction():
        cycle = Cycle.insert(
            asset=asset, status="complete", created_at=at, completed_at=at + timedelta(hours=2)
        ).execute()
        for number, price in enumerate(PRICES):
            is_sale = number == len(PRICES) - 1
            Order.insert(
                client_order_id=f"dcabot-{cycle}-{number}",
                cycle=cycle,
                purpose="take_profit" if is_sale else "safety" if number else "base",
                side="sell" if is_sale else "buy",
                quantity=Decimal("0.001"),
                status="filled",
                filled_quantity=Decimal(sold if is_sale else "0.000332"),
                filled_price=Decimal(price),
                fee_quantity=None if is_sale else Decimal("0.00000083"),
                created_at=at + timedelta(minutes=number + 1),
                closed_at=at + timedelta(minutes=number + 2),
            ).execute()
    return int(cycle)


def recompute_all(database: Database) -> list[Recomputed]:
    parts = []
    while not parts or not parts[-1].is_last:
        parts.append(results.recompute(database, AT))
    return parts


def lines(database: Database, **wanted: Any) -> list[Any]:
    return list(results.reports(database, Wanted(**wanted)))


def test_a_row_says_what_its_orders_say(books: Database) -> None:
    finished(books)
    finished(books, 2, sold="0.0003")  # the rest was released
    from_orders = [report(cycle) for cycle in results.cycles(books, Wanted())]
    assert lines(books) == from_orders  # not yet in the rows
    assert recompute_all(books)[0].differed == (1, 2)
    with books.transaction():
        Order.update(filled_price=Decimal(1)).execute()  # nobody reads them now
    assert lines(books) == from_orders
    assert from_orders[1].unsold > 0


def test_what_agrees_is_left_alone(books: Database) -> None:
    finished(books)
    recompute_all(books)
    (again,) = recompute_all(books)
    assert again.differed == ()
    with books.transaction():
        assert Cycle.select().first().version == 2


def test_what_differs_is_mended(books: Database) -> None:
    first, second = finished(books), finished(books)
    recompute_all(books)
    right = lines(books)
    with books.transaction():
        Cycle.update(spent=Decimal(1), quantity=Decimal(7)).where(Cycle.id == second).execute()
    assert lines(books) != right
    assert results.recompute(books, AT, is_dry=True).differed == (second,)
    assert lines(books) != right
    assert results.recompute(books, AT).differed == (second,)
    assert lines(books) == right
    assert first == right[0].cycle_id


def test_it_goes_on_where_it_stopped(books: Database) -> None:
    with books.transaction():
        Cycle.insert(id=PART_WITH_ORDERS + 5, asset=1, status="watching").execute()
    for _ in range(3):
        finished(books)
    parts = recompute_all(books)
    assert [len(part.differed) for part in parts] == [0, 3]
    with books.transaction():
        assert notes.read(results.CHECKED) == "0"


def test_a_row_that_nobody_can_read_is_named(books: Database) -> None:
    odd, even = finished(books), finished(books)
    with books.transaction():
        Order.update(side="odd").where(Order.cycle == odd).execute()
    (part,) = recompute_all(books)
    assert part.differed == (even,)
    assert "odd" in part.faults[0]


def test_only_what_was_asked_for_is_read(books: Database) -> None:
    for days, asset in enumerate((1, 2, 1)):
        finished(books, asset, days)
    recompute_all(books)
    middle = AT + timedelta(days=1)
    assert [line.cycle_id for line in lines(books, asset_id=1)] == [1, 3]
    assert [line.symbol for line in lines(books, asset_id=2)] == ["ETH/USD"]
    assert [line.cycle_id for line in lines(books, since=middle)] == [2, 3]
    assert [line.cycle_id for line in lines(books, before=middle)] == [1]
    assert lines(books, since=middle + timedelta(hours=3), before=middle + timedelta(hours=4)) == []


def test_the_newest_finished_cycle_of_an_asset(books: Database) -> None:
    assert results.newest(books, 1) is None
    for days, asset in ((5, 1), (1, 1), (9, 2)):
        finished(books, asset, days)
    assert results.newest(books, 1) == 1
    assert results.newest(books, 2) == 3


def test_a_cycle_without_fills_is_no_line(books: Database) -> None:
    with books.transaction():
        Cycle.insert(asset=1, status="error", completed_at=AT).execute()
    assert lines(books) == []
    recompute_all(books)
    assert lines(books) == []
    with books.transaction():
        assert current.execute_sql("SELECT filled_orders FROM dca_cycles").fetchall()[0][0] == 0
