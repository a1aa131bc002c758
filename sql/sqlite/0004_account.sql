-- Whose account it is, and the pair of each cycle; sql/mysql/0004_account.sql says what each column means.
ALTER TABLE dca_cycles ADD COLUMN symbol TEXT NULL;

UPDATE dca_cycles SET symbol = (SELECT asset_symbol FROM dca_assets WHERE dca_assets.id = dca_cycles.asset_id);

CREATE TABLE dca_notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    written_at TEXT NOT NULL
) STRICT;
