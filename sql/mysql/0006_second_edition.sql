-- How an asset's take profit is sold: 'market' as the brief has it, 'limit' never below its floor.
-- trade_beside_foreign_coins: a base order does not wait for coins that no cycle bought.
-- disabled_because: why dcabot itself switched the asset off ('sold_outside', 'withdrawn', ...).
ALTER TABLE dca_assets
    ADD COLUMN take_profit_order VARCHAR(10) NOT NULL DEFAULT 'market', -- 'market', 'limit'
    ADD COLUMN trade_beside_foreign_coins BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN disabled_because VARCHAR(20) NULL;

-- Facts of a cycle that its orders cannot tell. Times are UTC.
ALTER TABLE dca_cycles
    ADD COLUMN ended_by VARCHAR(20) NULL, -- 'take_profit', 'by_hand', 'released', 'sold_outside', 'withdrawn', 'error'
    ADD COLUMN covered_at DATETIME(6) NULL, -- when Alpaca's position last showed all the coins of the cycle
    ADD COLUMN foreign_quantity DECIMAL(30, 15) NULL, -- what it showed beside them at that time
    ADD COLUMN missing_since DATETIME(6) NULL, -- since when it shows fewer, without a break; NULL when it does not
    ADD COLUMN inherited_quantity DECIMAL(30, 15) NOT NULL DEFAULT 0; -- what the earlier cycle could not sell

-- refusal: why Alpaca did not take the order, as a word; the note beside it is Alpaca's own sentence.
-- quote_at: the time of the quote that the order was decided on.
-- foreign_quantity: coins that no cycle had bought, on the account when the order was written.
ALTER TABLE dca_orders
    ADD COLUMN time_in_force VARCHAR(3) NOT NULL DEFAULT 'gtc', -- 'gtc', 'ioc'
    ADD COLUMN refusal VARCHAR(20) NULL,
    ADD COLUMN quote_at DATETIME(6) NULL,
    ADD COLUMN foreign_quantity DECIMAL(30, 15) NULL;

-- What keeps the bot from trading, and notes on why it waits: written by the daemon with its beat.
-- since: since when it has been so; told_at, told: when a person was told last, and how many times.
CREATE TABLE dca_troubles (
    id INT AUTO_INCREMENT PRIMARY KEY,
    kind VARCHAR(20) NOT NULL, -- 'keys', 'account', 'reconciliation', 'sale', ...
    asset VARCHAR(50) NOT NULL DEFAULT '', -- its symbol; empty when it is about all of them
    since DATETIME(6) NOT NULL,
    sentence VARCHAR(500) NOT NULL,
    remedy VARCHAR(255) NOT NULL DEFAULT '', -- what a person can do
    told_at DATETIME(6) NULL,
    told INT NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

UPDATE dca_orders SET refusal = 'rate_limited', updated_at = updated_at
WHERE status = 'rejected' AND note = 'our own limit of requests a minute is used up';
UPDATE dca_orders SET refusal = 'other', updated_at = updated_at
WHERE status = 'rejected' AND order_id IS NULL AND refusal IS NULL;

-- What a cycle came to, in USD: written when it ends, so that a report reads one row for a cycle.
-- Computed from its orders: the consistency checker does it for cycles that ended before, and again
-- where the two differ.
ALTER TABLE dca_cycles
    ADD COLUMN spent DECIMAL(36, 18) NULL, -- for coins, what Alpaca kept of them included
    ADD COLUMN received DECIMAL(36, 18) NULL, -- for coins, before the fee
    ADD COLUMN buy_fees DECIMAL(36, 18) NULL, -- what the coins that Alpaca kept cost; in `spent`
    ADD COLUMN sale_fees DECIMAL(36, 18) NULL, -- at the highest rate
    ADD COLUMN filled_orders INT NULL,
    ADD COLUMN first_order_at DATETIME(6) NULL; -- when the first order that was filled was made

-- The working cycles are looked up at every refresh, and an asset's last sale before an early
-- restart: neither may read through all the cycles of years.
CREATE INDEX dca_cycles_status ON dca_cycles (status);

CREATE INDEX dca_cycles_completed ON dca_cycles (asset_id, status, completed_at);

DROP INDEX dca_cycles_current ON dca_cycles;

-- Coins that no cycle bought were booked as a negative fee. They are foreign coins from now on; without a figure the
-- worst fee counts. A rest of an earlier cycle, under a dollar, stays.
UPDATE dca_orders SET fee_quantity = NULL, updated_at = updated_at
WHERE fee_quantity < 0 AND -fee_quantity * filled_price >= 1;
