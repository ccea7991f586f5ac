-- Figures for charts: rows of points (see ledger::series), which are added to and forgotten by age.
CREATE TABLE series (
    owner BIGINT NOT NULL,      -- 0: the whole pool; else a user
    grain BIGINT NOT NULL,      -- 0: minutes, 1: ten minutes, 2: hours
    start_ms BIGINT NOT NULL,
    points BYTEA NOT NULL,
    PRIMARY KEY (owner, grain, start_ms)
);
CREATE INDEX series_by_age ON series (grain, start_ms);

-- One row: the newest share that the figures count.
CREATE TABLE series_counted (
    share BIGINT NOT NULL
);
INSERT INTO series_counted (share) SELECT COALESCE(MAX(id), 0) FROM shares;
CREATE INDEX payouts_by_time ON payouts (prepared_at_ms);
