"""Floor of the report: the sums of every finished cycle read as they stand, added up by month, and nothing else."""

import os
import sys
from collections import defaultdict
from decimal import Decimal

import pymysql
from pymysql.cursors import SSCursor

QUESTION = (
    "SELECT asset_id, completed_at, spent, received, buy_fees, sale_fees FROM dca_cycles"
    " WHERE status IN ('complete', 'error')"
)

session = pymysql.connect(
    unix_socket=os.environ["DB_SOCKET"],
    user=os.environ["DB_USER"],
    database=os.environ["DB_NAME"],
)
sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
with session.cursor(SSCursor) as cursor:
    cursor.execute(QUESTION)
    for _, ended, *amounts in cursor:
        month = sums[f"{ended:%Y-%m}"]
        for number, amount in enumerate(amounts):
            month[number] += amount
for key in sorted(sums):
    print(key, *sums[key], file=sys.stdout)
