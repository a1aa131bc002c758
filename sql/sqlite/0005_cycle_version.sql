-- sql/mysql/0005_cycle_version.sql says what it means.
ALTER TABLE dca_cycles ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
