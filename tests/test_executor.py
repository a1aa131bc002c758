"""One decision carried out: the row before the request, each of the three outcomes, and everybody at once."""

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.adapters import results
from dcabot.adapters.database import DatabaseBusy, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.migrations import migrate
from dcabot.core.model import OrderStatus, Quote
from dcabot.executor import BUSY_ATTEMPTS, Executor
from tests import servers
from tests.builders import make_quote, make_report
from tests.venue_broker import Desk, Fate, Killed, Request


@pytest.fixture
def settings(tmp_path: Path) -> DatabaseSettings:
    found = DatabaseSettings("sqlite", path=str(tmp_path / "books.db"))
    migrate(found)
    return found


@pytest.fixture
def desk(settings: DatabaseSettings) -> Iterator[Desk]:
    database = connect(settings)
    desk = Desk(database)
    desk.add_asset()
    desk.broker.quote(_quote(desk))
    desk.trader.recover()
    yield desk
    database.close_all()


@pytest.fixture
def shared_desk(database: servers.Database) -> Iterator[Desk]:
    """On MariaDB, where several writers are at work at the same time."""
    found = DatabaseSettings("mysql", socket=str(database.socket), user=database.user, name=database.name)
    migrate(found)
    door = connect(found)
    desk = Desk(door)
    desk.add_asset()
    desk.broker.quote(_quote(desk))
    desk.trader.recover()
    yield desk
    door.close_all()


def _quote(desk: Desk) -> Quote:
    return make_quote("60000", "60010", at=desk.clock())


def orders(desk: Desk) -> list[tuple[str, str]]:
    return [(str(name), str(status)) for name, status in desk.rows("SELECT client_order_id, status FROM dca_orders")]


def statuses(desk: Desk) -> list[str]:
    return [status for _, status in orders(desk)]


def test_the_row_is_committed_before_the_request_leaves(desk: Desk, settings: DatabaseSettings) -> None:
    seen: list[tuple[str, list[tuple[str, str]]]] = []
    beside = Desk(connect(settings), desk.broker)

    def look(request: Request) -> None:
        if request.kind == "submit":
            seen.append((request.subject, orders(beside)))

    desk.broker.on_request = look
    desk.quote("60000", "60010")
    ((name, rows),) = seen
    assert rows == [(name, "intended")]
    beside.database.close_all()


@pytest.mark.parametrize("seconds", [0.5, 1, 59])
def test_an_order_is_as_old_as_it_is_and_not_as_its_quote(shared_desk: Desk, seconds: float) -> None:
    """Behind a slow exchange it waits for a thread; a sale that seems to rest for a minute is cancelled at once."""
    occasion = shared_desk.trader.consider(_quote(shared_desk))
    assert occasion is not None
    shared_desk.clock.advance(seconds)
    decision = shared_desk.trader.act("BTC/USD", occasion)
    assert decision is not None
    assert shared_desk.clock() - decision.submit[0].created_at < timedelta(seconds=1)


def test_an_accepted_order_is_booked_at_once(desk: Desk) -> None:
    desk.quote("60000", "60010")
    assert statuses(desk) == ["accepted"]
    desk.stream()
    assert statuses(desk) == ["filled"]


def test_a_refused_order_is_over_and_the_next_waits(desk: Desk) -> None:
    desk.broker.fates["submit"] = [Fate.REFUSED, Fate.REFUSED]
    desk.quote("60000", "60010")
    assert statuses(desk) == ["rejected"]
    assert desk.quote("60000", "60010") is None
    desk.clock.advance(1)
    desk.quote("60000", "60010")
    desk.clock.advance(1)
    assert desk.quote("60000", "60010") is None
    desk.clock.advance(1)
    desk.quote("60000", "60010")
    assert statuses(desk) == ["rejected", "rejected", "accepted"]
    assert len(set(desk.broker.sent("submit"))) == 3


def test_a_refusal_is_told_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk.broker.fates["submit"] = [Fate.REFUSED] * 4
    for _ in range(4):
        desk.clock.advance(60)
        desk.quote("60000", "60010")
    assert statuses(desk) == ["rejected"] * 4
    assert caplog.text.count("insufficient balance") == 1
    assert caplog.text.count("base order: buy") == 1
    desk.clock.advance(60)
    desk.quote("60000", "60010")
    assert "base order accepted" in caplog.text


def test_an_answer_that_is_lost_is_settled_by_the_id_and_nothing_is_sent_twice(desk: Desk) -> None:
    desk.broker.fates["submit"] = [Fate.LOST_RESPONSE]
    desk.quote("60000", "60010")
    assert statuses(desk) == ["filled"]
    assert desk.broker.sent("submit") == desk.broker.sent("report") == [orders(desk)[0][0]]


def test_a_request_that_is_lost_leaves_the_row_intended_until_the_grace_is_over(desk: Desk) -> None:
    desk.broker.fates["submit"] = [Fate.LOST_REQUEST]
    desk.quote("60000", "60010")
    assert statuses(desk) == ["intended"]
    desk.clock.advance(60)
    assert desk.quote("60000", "60010") is None
    desk.trader.sweep()
    assert statuses(desk) == ["intended"]
    desk.clock.advance(61)
    desk.trader.sweep()
    assert statuses(desk) == ["void"]
    desk.quote("60000", "60010")
    desk.settle()
    assert statuses(desk) == ["void", "filled"]
    assert desk.broker.position("BTC") == Decimal("0.000332443")


def test_when_even_the_question_fails_the_next_sweep_asks(desk: Desk) -> None:
    desk.broker.fates = {"submit": [Fate.LOST_RESPONSE], "report": [Fate.LOST_REQUEST]}
    desk.quote("60000", "60010")
    assert statuses(desk) == ["intended"]
    desk.trader.sweep()
    assert statuses(desk) == ["filled"]


def test_a_void_order_that_surfaces_is_cancelled(desk: Desk) -> None:
    desk.broker.fates["submit"] = [Fate.LATE]
    desk.quote("60000", "60010")
    desk.clock.advance(121)
    desk.trader.sweep()
    assert statuses(desk) == ["void"]
    desk.broker.quote(make_quote("61000", "61010", at=desk.clock()))  # above its limit, so it rests when it arrives
    desk.broker.deliver_late()
    desk.stream()
    desk.trader.sweep()
    desk.settle()
    assert statuses(desk) == ["canceled"]
    assert len(desk.broker.sent("cancel")) == 1
    assert desk.broker.position("BTC") == 0


def test_a_buy_that_surfaces_after_its_cycle_was_sold_belongs_to_the_current_cycle_even_unheard(desk: Desk) -> None:
    desk.broker.fates["submit"] = [Fate.LATE]
    desk.quote("60000", "60010")
    desk.clock.advance(121)
    desk.trader.sweep()  # void: a second base order may go out
    desk.quote("60000", "60010")
    desk.settle()
    desk.quote("61000", "61010")
    desk.settle()
    assert statuses(desk) == ["void", "filled", "filled"]
    assert [row[0] for row in desk.rows("SELECT status FROM dca_cycles ORDER BY id")] == ["complete", "cooldown"]
    desk.broker.quote(_quote(desk))
    desk.broker.deliver_late()
    desk.broker.updates.clear()  # no stream tells of it
    desk.settle()
    assert statuses(desk) == ["filled", "filled", "filled"]
    (row,) = desk.rows("SELECT status, quantity FROM dca_cycles WHERE id = 2")
    assert (row[0], Decimal(row[1])) == ("watching", desk.broker.position("BTC"))
    desk.quote("62000", "62010")
    desk.settle()
    assert desk.broker.position("BTC") == 0


def sell_twice_the_first_late(desk: Desk) -> None:
    desk.quote("60000", "60010")
    desk.settle()
    desk.broker.fates["submit"] = [Fate.LATE]
    desk.quote("61000", "61010")
    desk.clock.advance(121)
    desk.trader.sweep()  # void: a second take profit may go out
    desk.quote("61000", "61010")
    desk.settle()


def test_a_sell_that_surfaces_after_its_cycle_was_sold_is_the_sale_of_the_coins_it_took(desk: Desk) -> None:
    """Simulation seed 7166: the current cycle's coins were gone, and it ended in error."""
    sell_twice_the_first_late(desk)
    desk.quote("58000", "58010")  # an early restart
    desk.settle()
    assert statuses(desk) == ["filled", "void", "filled", "filled"]
    desk.broker.deliver_late()
    desk.settle()
    assert statuses(desk) == ["filled", "filled", "filled", "filled"]
    cycles = desk.rows("SELECT status, last_sell_price FROM dca_cycles c JOIN dca_assets a ON a.id = asset_id")
    assert [row[0] for row in cycles] == ["complete", "complete", "cooldown"]
    assert Decimal(cycles[0][1]) == 58000
    assert desk.broker.position("BTC") * 58000 < 1  # dust: the cheaper base order had bought a little more


def test_a_sell_that_surfaces_and_took_what_no_cycle_holds_stays_where_it_was(desk: Desk) -> None:
    sell_twice_the_first_late(desk)
    desk.broker.move("BTC", Decimal("0.01"))
    desk.broker.deliver_late()
    desk.settle()
    assert statuses(desk) == ["filled", "filled", "filled"]
    assert [row[0] for row in desk.rows("SELECT status FROM dca_cycles ORDER BY id")] == ["complete", "cooldown"]


def test_a_sale_from_before_the_current_cycle_bought_is_not_of_its_coins(desk: Desk) -> None:
    """Told late: the current cycle would be complete with its coins at Alpaca, which nobody would sell."""
    desk.quote("60000", "60010")
    desk.settle()
    desk.broker.fates["submit"] = [Fate.LATE]
    desk.quote("61000", "61010")
    sold_at = desk.clock()
    desk.clock.advance(121)
    desk.trader.sweep()
    desk.quote("61000", "61010")
    desk.settle()
    desk.quote("58000", "58010")  # an early restart
    desk.settle()
    sale = next(results.cycles(desk.store.database, results.Wanted())).orders[1]
    assert sale.status is OrderStatus.VOID
    desk.executor.apply(make_report(sale, at=sold_at))
    assert statuses(desk) == ["filled", "filled", "filled", "filled"]
    cycles = desk.rows("SELECT cycle_id FROM dca_orders ORDER BY id")
    assert [number for (number,) in cycles] == [1, 1, 1, 2]
    assert [row[0] for row in desk.rows("SELECT status FROM dca_cycles ORDER BY id")] == ["complete", "watching"]


def test_an_unreachable_exchange_is_a_refusal_and_costs_nothing(desk: Desk) -> None:
    desk.broker.is_reachable = False
    desk.quote("60000", "60010")
    assert statuses(desk) == ["rejected"]
    desk.broker.is_reachable = True
    desk.clock.advance(5)
    desk.quote("60000", "60010")
    desk.settle()
    assert statuses(desk) == ["rejected", "filled"]


@pytest.mark.parametrize("fate", [Fate.DIES_BEFORE, Fate.DIES_AFTER])
def test_killed_around_the_request_and_started_again(desk: Desk, fate: Fate) -> None:
    desk.broker.fates["submit"] = [fate]
    with pytest.raises(Killed):
        desk.quote("60000", "60010")
    desk.broker.updates.clear()
    desk.restart()
    desk.trader.recover()
    assert desk.quote("60000", "60010") is None
    assert statuses(desk) == ["intended" if fate is Fate.DIES_BEFORE else "filled"]
    desk.settle(121)
    desk.quote("60000", "60010")
    desk.settle()
    assert statuses(desk)[-1] == "filled"
    assert statuses(desk).count("filled") == 1
    assert desk.broker.position("BTC") == Decimal("0.000332443")


def test_a_report_that_comes_twice_late_or_for_nobody_changes_nothing(desk: Desk) -> None:
    desk.quote("60000", "60010")
    reports = list(desk.broker.updates)
    desk.stream()
    before = desk.rows("SELECT * FROM dca_orders"), desk.rows("SELECT * FROM dca_cycles")
    for report in [*reports, *reversed(reports)]:
        assert desk.executor.apply(report) is None
    entry = desk.trader.entries["BTC/USD"]
    stranger = make_report(entry.cycle.orders[0], OrderStatus.FILLED, client_order_id="dcabot-9-9-base-1")
    assert desk.executor.apply(stranger) is None
    assert (desk.rows("SELECT * FROM dca_orders"), desk.rows("SELECT * FROM dca_cycles")) == before


def test_a_busy_database_is_asked_again_a_few_times(desk: Desk) -> None:
    tries: list[int] = []

    def decide(asset: object, cycle: object) -> None:
        tries.append(1)
        raise DatabaseBusy("deadlock")

    with pytest.raises(DatabaseBusy):
        desk.executor.carry_out(1, decide)
    assert len(tries) == BUSY_ATTEMPTS


def test_twenty_threads_at_one_cycle_buy_once(shared_desk: Desk) -> None:
    desk = shared_desk
    occasion = desk.trader.consider(_quote(desk))
    assert occasion is not None
    gate = threading.Barrier(20)

    def act() -> None:
        gate.wait()
        desk.trader.act("BTC/USD", occasion)
        desk.database.close()

    threads = [threading.Thread(target=act) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(desk.broker.sent("submit")) == 1
    assert len(orders(desk)) == 1


def test_daemon_caretakers_and_the_stream_on_the_same_rows_lose_no_update(shared_desk: Desk) -> None:
    """Each report raises the fill a little; whoever applies it, in whatever order, the sum must come out."""
    desk = shared_desk
    desk.broker.slicer = lambda order, unfilled, quote: Decimal(0)
    desk.broker.venue.slicer = desk.broker.slicer
    desk.quote("60000", "60010")
    (order,) = desk.trader.entries["BTC/USD"].cycle.orders
    steps = [
        make_report(order, OrderStatus.PARTIALLY_FILLED, filled=order.quantity * n / 40, at=desk.clock())
        for n in range(1, 40)
    ]
    final = make_report(order, OrderStatus.FILLED, at=desk.clock())
    failures: list[Exception] = []

    def work(number: int) -> None:
        executor = Executor(desk.store, desk.broker, desk.clock)
        caretaker = desk.caretaker("columns")
        try:
            for report in [*steps[number::4], final]:
                executor.apply(report)
                caretaker.open_missing_cycles(desk.store.read_book())
                desk.store.read_entry(1)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            failures.append(error)
        finally:
            desk.database.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    entry = desk.store.read_entry(1)
    assert entry is not None
    assert entry.cycle.orders[0].filled_quantity == order.quantity
    assert entry.cycle.orders[0].status is OrderStatus.FILLED
    assert len(desk.rows("SELECT id FROM dca_cycles")) == 1
