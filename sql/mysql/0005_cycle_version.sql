-- How often a program wrote the cycle or its orders: who has read it sees under its lock whether anybody did since.
ALTER TABLE dca_cycles ADD COLUMN version INT NOT NULL DEFAULT 1;
