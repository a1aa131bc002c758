"""Years of finished cycles: none of the daemon's reads goes through all of them. Asked of MariaDB itself."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dcabot.adapters import results
from dcabot.adapters.database import Database, connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.adapters.engines import MySQL
from dcabot.adapters.migrations import migrate
from dcabot.adapters.schema import Cycle, current
from dcabot.adapters.store import Store
from dcabot.core.model import CycleStatus
from tests.adapters.test_schema import an_asset

NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
CYCLES = 3000
FINISHED = f"""
INSERT INTO dca_cycles (id, asset_id, status, completed_at, created_at)
SELECT seq, 1 + MOD(seq, 3), IF(MOD(seq, 50), 'complete', 'error'),
    '2026-01-01' + INTERVAL seq HOUR, '2026-01-01' + INTERVAL seq HOUR FROM seq_1_to_{CYCLES}
"""
ORDERS = """
INSERT INTO dca_orders (client_order_id, cycle_id, purpose, side, quantity, limit_price, status,
    order_id, filled_quantity, filled_price, fee_quantity, closed_at, created_at)
SELECT CONCAT('dcabot-', c.id, '-', n.seq), c.id, 'base', 'buy', 1, 1, 'filled', UUID(), 1, 1, 0,
    NOW(), NOW() FROM dca_cycles c JOIN seq_1_to_4 n
"""
# What goes through a table from end to end, in the words of EXPLAIN.
SCANS = {"ALL", "index"}
GROWING = {"dca_cycles", "dca_orders"}


class Asked:
    """Every statement that reads, as it was sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[tuple[str, Sequence[object]]] = []
        execute, answers = MySQL.execute_sql, MySQL._answers

        def execute_sql(engine: MySQL, sql: str, params: Any = None) -> Any:
            self.statements.append((sql, params or ()))
            return execute(engine, sql, params)

        def all_answers(engine: MySQL, statements: list[Any]) -> Any:
            self.statements += statements
            return answers(engine, statements)

        monkeypatch.setattr(MySQL, "execute_sql", execute_sql)
        monkeypatch.setattr(MySQL, "_answers", all_answers)

    def scans(self, database: Database) -> list[str]:
        """Those that go through a growing table from end to end, with the server's reason."""
        asked = [one for one in self.statements if one[0].startswith("SELECT") and "dca_" in one[0]]
        self.statements.clear()
        assert asked
        found = []
        for sql, params in asked:
            with database.transaction():
                plan = current.execute_sql(f"EXPLAIN {sql}", params).fetchall()
            self.statements.clear()
            for row in plan:
                if row[3] in SCANS and _table(row[2], sql) in GROWING:
                    found.append(f"{row[2]} {row[3]}: {sql}")
        return found


def _table(name: str | None, sql: str) -> str:
    """EXPLAIN calls a table by its alias, and peewee's alias stands behind the name."""
    for table in GROWING:
        if f"`{table}` AS `{name}`" in sql or f"{table} {name} " in sql:
            return table
    return name or ""


@pytest.fixture
def years(mysql_settings: DatabaseSettings) -> Iterator[Store]:
    """Three assets with a past; one cools, one watches, one waits for an order."""
    migrate(mysql_settings)
    database = connect(mysql_settings)
    with database.transaction():
        for symbol in ("BTC/USD", "ETH/USD", "SOL/USD"):
            an_asset(asset_symbol=symbol)
        current.execute_sql(FINISHED)
        current.execute_sql(ORDERS)
        for asset, status in enumerate(("cooldown", "watching", "buying"), start=1):
            Cycle.insert(id=CYCLES + asset, asset=asset, status=status).execute()
        current.execute_sql("UPDATE dca_orders SET status = 'accepted' WHERE cycle_id = 17 LIMIT 1")
        current.execute_sql("ANALYZE TABLE dca_cycles, dca_orders").fetchall()
    yield Store(database, lambda: NOW)
    database.close_all()


def reads(store: Store) -> dict[str, Callable[[], object]]:
    database = store.database
    return {
        "the book": store.read_book,
        "a cycle in its cooldown": lambda: store.read_entry(CYCLES + 1),
        "a cycle that watches": lambda: store.read_entry(CYCLES + 2),
        "an order's cycle": lambda: store.cycle_of("dcabot-1-1"),
        "orders that are known": lambda: store.known_ids(["dcabot-1-1", "dcabot-2-1"]),
        "a new cycle": lambda: store.open_cycle(1, CycleStatus.WATCHING),
        "an asset's last cycle": lambda: results.newest(database, 1),
        "a part of the sums": lambda: results.recompute(database, NOW),
    }


def test_no_read_of_the_daemon_is_a_scan(years: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    found = {}
    for name, read in reads(years).items():
        read()
        found[name] = asked.scans(years.database)
    assert {name: scans for name, scans in found.items() if scans} == {}


def test_a_scan_would_be_noticed(years: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    with years.database.transaction():
        list(Cycle.select().where((Cycle.status == "watching") | (Cycle.symbol == "X")))
    assert asked.scans(years.database)


def test_the_book_holds_what_works_and_what_may_still_fill(years: Store) -> None:
    book = years.read_book()
    ids = sorted(entry.cycle.id for entry in book.entries)
    assert ids == [17, CYCLES + 1, CYCLES + 2, CYCLES + 3]
    (cooling,) = [entry for entry in book.entries if entry.cycle.status is CycleStatus.COOLDOWN]
    newest = CYCLES - 3  # of the asset, for the one after it ended in error
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert cooling.cycle.cooldown_since == begin + timedelta(hours=newest)
