-- The write-ahead record of every order: a committed row first, then a request.
-- The exchange reports cumulative figures; its average price is a quotient, so it gets 15 decimals as the quantities do.
-- No cascade on cycle_id: deleting an asset must fail while its orders are the only record of what was bought.
CREATE TABLE dca_orders (
    id INT AUTO_INCREMENT PRIMARY KEY,
    client_order_id VARCHAR(128) COLLATE utf8mb4_bin NOT NULL UNIQUE, -- 'dcabot-...', made before sending
    cycle_id INT NOT NULL,
    purpose VARCHAR(20) NOT NULL, -- 'base', 'safety', 'take_profit'
    side VARCHAR(4) NOT NULL, -- 'buy', 'sell'
    quantity DECIMAL(30, 15) NOT NULL, -- coins asked for
    limit_price DECIMAL(20, 10) NULL, -- NULL for a market order
    status VARCHAR(20) NOT NULL, -- 'intended', 'accepted', 'filled', ...: dcabot/core/states.py has the table
    order_id VARCHAR(255) COLLATE utf8mb4_bin NULL, -- Alpaca's id, once it is known
    filled_quantity DECIMAL(30, 15) NOT NULL DEFAULT 0, -- cumulative, before fees
    filled_price DECIMAL(30, 15) NULL, -- cumulative average as Alpaca reports it
    fee_quantity DECIMAL(30, 15) NULL, -- what of a buy never arrived in the position; NULL = not read yet
    cancel_requested_at DATETIME(6) NULL, -- this and the other times: UTC
    closed_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    note VARCHAR(255) NOT NULL DEFAULT '',
    version INT NOT NULL DEFAULT 1, -- how often the row was written: who has read it sees whether it changed
    KEY dca_orders_cycle (cycle_id),
    KEY dca_orders_order_id (order_id),
    KEY dca_orders_status (status), -- the open ones are looked up at every refresh
    CONSTRAINT dca_orders_cycle FOREIGN KEY (cycle_id) REFERENCES dca_cycles(id) ON DELETE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The current cycle of an asset is looked up at every refresh, the finished ones pile up.
CREATE INDEX dca_cycles_current ON dca_cycles (asset_id, status);
