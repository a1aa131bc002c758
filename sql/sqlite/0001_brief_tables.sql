-- The two tables of the brief for SQLite. A decimal is TEXT, since SQLite would keep a number as a float; its CHECK
-- refuses what is no number. STRICT refuses text in an integer's place. A time is UTC text, 2026-11-22 17:45:01.
-- SQLite has no ON UPDATE: the program writes updated_at.
CREATE TABLE dca_assets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    asset_symbol TEXT NOT NULL UNIQUE,
    is_enabled INTEGER NOT NULL DEFAULT TRUE,
    base_order_amount TEXT NOT NULL CHECK (CAST(base_order_amount AS NUMERIC) = base_order_amount),
    safety_order_amount TEXT NOT NULL CHECK (CAST(safety_order_amount AS NUMERIC) = safety_order_amount),
    max_safety_orders INTEGER NOT NULL,
    safety_order_deviation TEXT NOT NULL CHECK (CAST(safety_order_deviation AS NUMERIC) = safety_order_deviation),
    take_profit_percent TEXT NOT NULL CHECK (CAST(take_profit_percent AS NUMERIC) = take_profit_percent),
    cooldown_period INTEGER NOT NULL,
    buy_order_price_deviation_percent TEXT NOT NULL
        CHECK (CAST(buy_order_price_deviation_percent AS NUMERIC) = buy_order_price_deviation_percent),
    last_sell_price TEXT NULL CHECK (CAST(last_sell_price AS NUMERIC) = last_sell_price),
    created_at TEXT DEFAULT CURRENT_TIMESTAMP CHECK (datetime(created_at, '+0 days') IS created_at),
    updated_at TEXT DEFAULT CURRENT_TIMESTAMP CHECK (datetime(updated_at, '+0 days') IS updated_at)
) STRICT;

CREATE TABLE dca_cycles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    asset_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    quantity TEXT NOT NULL DEFAULT '0' CHECK (CAST(quantity AS NUMERIC) = quantity),
    average_purchase_price TEXT NOT NULL DEFAULT '0'
        CHECK (CAST(average_purchase_price AS NUMERIC) = average_purchase_price),
    safety_orders INTEGER NOT NULL DEFAULT 0,
    latest_order_id TEXT NULL,
    last_order_fill_price TEXT NULL CHECK (CAST(last_order_fill_price AS NUMERIC) = last_order_fill_price),
    completed_at TEXT NULL CHECK (datetime(completed_at, '+0 days') IS completed_at),
    created_at TEXT DEFAULT CURRENT_TIMESTAMP CHECK (datetime(created_at, '+0 days') IS created_at),
    updated_at TEXT DEFAULT CURRENT_TIMESTAMP CHECK (datetime(updated_at, '+0 days') IS updated_at),
    FOREIGN KEY (asset_id) REFERENCES dca_assets(id) ON DELETE CASCADE
) STRICT;
