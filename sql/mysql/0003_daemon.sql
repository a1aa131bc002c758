-- What the daemon says of itself, for `dcabot status`: one row, written every few seconds. Times are UTC.
CREATE TABLE dca_daemon (
    id INT NOT NULL PRIMARY KEY, -- always 1
    started_at DATETIME(6) NOT NULL,
    beat_at DATETIME(6) NOT NULL,
    quote_at DATETIME(6) NULL, -- when the market-data stream last brought anything
    trade_update_at DATETIME(6) NULL, -- when the trade-update stream last brought anything
    sentence VARCHAR(255) NOT NULL DEFAULT '' -- how it is, as `systemctl status` shows it
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
