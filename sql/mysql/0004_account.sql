-- The pair a cycle's orders were made for. An asset that is renamed while its cycle holds coins is held, not traded.
ALTER TABLE dca_cycles ADD COLUMN symbol VARCHAR(25) NULL;

UPDATE dca_cycles c JOIN dca_assets a ON a.id = c.asset_id
SET c.symbol = a.asset_symbol, c.updated_at = c.updated_at WHERE c.symbol IS NULL;

-- What must be remembered beside the books: whose account they are, and what was begun by hand. Times are UTC.
CREATE TABLE dca_notes (
    id INT AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(64) NOT NULL UNIQUE, -- 'account', 'release BTC/USD'
    text VARCHAR(255) NOT NULL, -- of the account: its number at Alpaca
    written_at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
