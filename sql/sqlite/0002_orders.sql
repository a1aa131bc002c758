-- The write-ahead record of every order; sql/mysql/0002_orders.sql says what each column means.
CREATE TABLE dca_orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client_order_id TEXT NOT NULL UNIQUE,
    cycle_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity TEXT NOT NULL CHECK (CAST(quantity AS NUMERIC) = quantity),
    limit_price TEXT NULL CHECK (CAST(limit_price AS NUMERIC) = limit_price),
    status TEXT NOT NULL,
    order_id TEXT NULL,
    filled_quantity TEXT NOT NULL DEFAULT '0' CHECK (CAST(filled_quantity AS NUMERIC) = filled_quantity),
    filled_price TEXT NULL CHECK (CAST(filled_price AS NUMERIC) = filled_price),
    fee_quantity TEXT NULL CHECK (CAST(fee_quantity AS NUMERIC) = fee_quantity),
    cancel_requested_at TEXT NULL,
    closed_at TEXT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
    note TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL DEFAULT 1,
    FOREIGN KEY (cycle_id) REFERENCES dca_cycles(id) ON DELETE RESTRICT
) STRICT;

CREATE INDEX dca_orders_cycle ON dca_orders (cycle_id);

CREATE INDEX dca_orders_order_id ON dca_orders (order_id);

CREATE INDEX dca_orders_status ON dca_orders (status);

CREATE INDEX dca_cycles_current ON dca_cycles (asset_id, status);
