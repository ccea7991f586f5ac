-- For the website: what is known of a block of the pool besides the share that it was, and lengths of payout tables.
-- NULL: not known.
ALTER TABLE blocks_won ADD COLUMN effort_millionths BIGINT; -- work since the block before, in millionths of a block's worth
ALTER TABLE blocks_won ADD COLUMN reward BIGINT;            -- what it pays miners and pool, in units of 2^-30 PKT
ALTER TABLE blocks_won ADD COLUMN payout_table BIGINT;      -- number of the table that was in force
CREATE INDEX blocks_won_by_time ON blocks_won (won_at_ms);
CREATE INDEX blocks_seen_by_hash ON blocks_seen (hash);

ALTER TABLE payout_tables ADD COLUMN payee_count BIGINT NOT NULL DEFAULT 0; -- how many addresses the table pays
UPDATE payout_tables SET payee_count = length(payees) - length(replace(payees, ':', ''));
CREATE INDEX payout_outcomes_by_time ON payout_outcomes (at_ms);
