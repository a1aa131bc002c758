-- What the daemon says of itself; sql/mysql/0003_daemon.sql says what each column means.
CREATE TABLE dca_daemon (
    id INTEGER NOT NULL PRIMARY KEY,
    started_at TEXT NOT NULL,
    beat_at TEXT NOT NULL,
    quote_at TEXT NULL,
    trade_update_at TEXT NULL,
    sentence TEXT NOT NULL DEFAULT ''
) STRICT;
