-- sql/mysql/0006_second_edition.sql says what the columns mean.
ALTER TABLE dca_assets ADD COLUMN take_profit_order TEXT NOT NULL DEFAULT 'market';
ALTER TABLE dca_assets ADD COLUMN trade_beside_foreign_coins INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dca_assets ADD COLUMN disabled_because TEXT NULL;

ALTER TABLE dca_cycles ADD COLUMN ended_by TEXT NULL;
ALTER TABLE dca_cycles ADD COLUMN covered_at TEXT NULL;
ALTER TABLE dca_cycles ADD COLUMN foreign_quantity TEXT NULL
    CHECK (CAST(foreign_quantity AS NUMERIC) = foreign_quantity);
ALTER TABLE dca_cycles ADD COLUMN missing_since TEXT NULL;
ALTER TABLE dca_cycles ADD COLUMN inherited_quantity TEXT NOT NULL DEFAULT '0'
    CHECK (CAST(inherited_quantity AS NUMERIC) = inherited_quantity);

ALTER TABLE dca_orders ADD COLUMN time_in_force TEXT NOT NULL DEFAULT 'gtc';
ALTER TABLE dca_orders ADD COLUMN refusal TEXT NULL;
ALTER TABLE dca_orders ADD COLUMN quote_at TEXT NULL;
ALTER TABLE dca_orders ADD COLUMN foreign_quantity TEXT NULL
    CHECK (CAST(foreign_quantity AS NUMERIC) = foreign_quantity);

CREATE TABLE dca_troubles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    asset TEXT NOT NULL DEFAULT '',
    since TEXT NOT NULL,
    sentence TEXT NOT NULL,
    remedy TEXT NOT NULL DEFAULT '',
    told_at TEXT NULL,
    told INTEGER NOT NULL DEFAULT 0
) STRICT;

UPDATE dca_orders SET refusal = 'rate_limited'
WHERE status = 'rejected' AND note = 'our own limit of requests a minute is used up';
UPDATE dca_orders SET refusal = 'other'
WHERE status = 'rejected' AND order_id IS NULL AND refusal IS NULL;

ALTER TABLE dca_cycles ADD COLUMN spent TEXT NULL CHECK (CAST(spent AS NUMERIC) = spent);
ALTER TABLE dca_cycles ADD COLUMN received TEXT NULL CHECK (CAST(received AS NUMERIC) = received);
ALTER TABLE dca_cycles ADD COLUMN buy_fees TEXT NULL CHECK (CAST(buy_fees AS NUMERIC) = buy_fees);
ALTER TABLE dca_cycles ADD COLUMN sale_fees TEXT NULL
    CHECK (CAST(sale_fees AS NUMERIC) = sale_fees);
ALTER TABLE dca_cycles ADD COLUMN filled_orders INTEGER NULL;
ALTER TABLE dca_cycles ADD COLUMN first_order_at TEXT NULL;

CREATE INDEX dca_cycles_status ON dca_cycles (status);

CREATE INDEX dca_cycles_completed ON dca_cycles (asset_id, status, completed_at);

DROP INDEX dca_cycles_current;

UPDATE dca_orders SET fee_quantity = NULL
WHERE CAST(fee_quantity AS REAL) < 0 AND -CAST(fee_quantity AS REAL) * CAST(filled_price AS REAL) >= 1;
