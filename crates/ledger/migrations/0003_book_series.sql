-- Figures for charts: rows of points (see ledger::series), which are added to and forgotten by age.

CREATE TABLE series (
    owner BIGINT NOT NULL,      -- 0: the whole pool; else a number of series_owners
    grain BIGINT NOT NULL,      -- 0: minutes, 1: ten minutes, 2: hours
    start_ms BIGINT NOT NULL,
    points BYTEA NOT NULL,
    PRIMARY KEY (owner, grain, start_ms)
);
CREATE INDEX series_by_age ON series (grain, start_ms);

CREATE TABLE series_owners (
    number BIGINT PRIMARY KEY,
    address TEXT NOT NULL UNIQUE
);

-- One row: everything before this minute has been stored.
CREATE TABLE series_stored (
    until_ms BIGINT NOT NULL
);
INSERT INTO series_stored (until_ms) VALUES (0);
