-- For the website: whom each block of the pool paid, so that one address is found without reading whole payout tables.

CREATE TABLE block_payees (
    bucket BIGINT NOT NULL,     -- of the address: see ledger::book
    won_at_ms BIGINT NOT NULL,
    share_id BYTEA NOT NULL,    -- the block, by its row of blocks_won
    payees BYTEA NOT NULL,      -- 16 bytes each: a hash of the address, units of 10^-12
    PRIMARY KEY (bucket, won_at_ms, share_id)
);

ALTER TABLE blocks_won ADD COLUMN payees_noted BIGINT NOT NULL DEFAULT 0; -- 1: they are in block_payees
CREATE INDEX blocks_won_unnoted ON blocks_won (payees_noted, won_at_ms);
