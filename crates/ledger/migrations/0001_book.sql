-- What a PayMaker accepted, saw and ordered. Rows are added, never changed; old payout tables are removed by age.
-- One text for SQLite and PostgreSQL: only BIGINT, TEXT and BYTEA. Times are milliseconds since 1970.

CREATE TABLE uploads (
    id BYTEA PRIMARY KEY,           -- first 16 bytes of SHA-256 of the file
    newest_event_ms BIGINT NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    credited BIGINT NOT NULL,       -- events that count since this upload; -1: not known any more
    repeated BIGINT NOT NULL,       -- events that had counted before
    refused BIGINT NOT NULL         -- lines that are no event, or one that came too late or too early
);

CREATE TABLE blocks_seen (
    event_id BYTEA PRIMARY KEY,     -- first 16 bytes of the hash, display order
    hash TEXT NOT NULL,             -- display order, empty if the event had none
    height BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL
);

CREATE TABLE blocks_won (
    share_id BYTEA PRIMARY KEY,
    hash TEXT NOT NULL,
    pay_to TEXT NOT NULL,
    won_at_ms BIGINT NOT NULL
);

CREATE TABLE payout_tables (
    number BIGINT PRIMARY KEY,
    made_at_ms BIGINT NOT NULL,
    newest_event_ms BIGINT NOT NULL, -- -1: there was none
    windows TEXT NOT NULL,           -- JSON: exact bounds of both windows
    payees TEXT NOT NULL             -- JSON: address -> units of 10^-12
);

CREATE TABLE payout_outcomes (
    number BIGINT NOT NULL,          -- of the payout table
    at_ms BIGINT NOT NULL,
    outcome TEXT NOT NULL,           -- configured | refused | paid_as_sent | paid_otherwise
    detail TEXT NOT NULL
);

CREATE INDEX payout_outcomes_by_number ON payout_outcomes (number);
CREATE INDEX payout_tables_by_time ON payout_tables (made_at_ms);
