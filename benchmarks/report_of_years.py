"""`dcabot report` over three years of 20 busy assets: 200,000 finished cycles, a million orders."""

import os
import subprocess
import sys
import time

from benchmarks import stage
from benchmarks.caretakers import Tick, tick
from benchmarks.figures import Figure
from dcabot.adapters import results
from dcabot.adapters.database import connect
from dcabot.adapters.dburl import DatabaseSettings
from dcabot.commands import utc_now
from tests.servers import Database, MariaDB

CYCLES = 200_000
CYCLE = """
INSERT INTO dca_cycles (id, asset_id, status, quantity, average_purchase_price, safety_orders,
    last_order_fill_price, completed_at, created_at, updated_at)
SELECT seq, 1 + seq % 20, 'complete', 0, 59000.12, 3, 58000.1,
    '2023-01-01' + INTERVAL seq * 450 + 400 SECOND, '2023-01-01' + INTERVAL seq * 450 SECOND, NOW()
FROM seq_1_to_{cycles}
"""
ORDER = """
INSERT INTO dca_orders (client_order_id, cycle_id, purpose, side, quantity, limit_price, status,
    order_id, filled_quantity, filled_price, fee_quantity, closed_at, created_at)
SELECT CONCAT('dcabot-', id, '-{number}'), id, '{purpose}', '{side}', {quantity}, {price}, 'filled',
    UUID(), {quantity}, {price}, {fee},
    created_at + INTERVAL {number} * 80 SECOND, created_at + INTERVAL {number} * 80 SECOND
FROM dca_cycles
"""
BUY = {"side": "buy", "quantity": "0.000332", "price": "59000.5", "fee": "0.00000083"}
SALE = {"side": "sell", "quantity": "0.00132468", "price": "59800.1", "fee": "NULL"}
PURPOSES = ("base", "safety", "safety", "safety", "take_profit")


def run(server: MariaDB, quick: bool) -> list[Figure]:
    """The floor and the report in turn, once the checker's part has brought the sums into the rows."""
    database = server.create_database()
    environment = {**os.environ, **database.environment()}
    words = ["-m", "dcabot", "report", "--by", "month", "--env-file", os.devnull]
    cycles = 2_000 if quick else CYCLES
    fill(database, environment, cycles)
    seconds = recompute(database)
    floor: list[Tick] = []
    mine: list[Tick] = []
    for _ in range(1 if quick else 3):
        floor.append(tick([str(stage.FLOORS / "sums.py")], environment))
        mine.append(tick(words, environment))
    times, floor_times = (tuple(one.seconds for one in ticks) for ticks in (mine, floor))
    peaks = tuple(one.peak_mib for one in mine)
    return [
        Figure("report of years, time over floor", "s", floor_times, times, 3),
        Figure("report of years, time", "s", (), times, 5),
        Figure("report of years, memory", "MiB", (), peaks, 100),
        Figure("sums of years recomputed, a cycle", "ms", (), (seconds / cycles * 1000,), 3),
    ]


def fill(database: Database, environment: dict[str, str], cycles: int) -> None:
    """The rows as a program before this one left them: without what the cycles came to."""
    subprocess.run(
        [sys.executable, "-m", "dcabot", "db", "init", "--env-file", os.devnull],
        cwd=stage.ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(stage.ASSET, [(symbol,) for symbol in stage.SYMBOLS])
        cursor.execute(CYCLE.format(cycles=cycles))
        for number, purpose in enumerate(PURPOSES):
            kind = SALE if purpose == "take_profit" else BUY
            cursor.execute(ORDER.format(number=number, purpose=purpose, **kind))
        connection.commit()


def recompute(database: Database) -> float:
    """Seconds that bringing the sums into the rows takes."""
    place = DatabaseSettings("mysql", socket=str(database.socket), user=database.user, name=database.name)
    books = connect(place)
    began = time.monotonic()
    while not results.recompute(books, utc_now()).is_last:
        pass
    books.close_all()
    return time.monotonic() - began
