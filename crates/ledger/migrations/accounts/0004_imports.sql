-- Accounts of other pools that this book began with.
CREATE TABLE imports (
    hash BYTEA PRIMARY KEY,     -- SHA-256 of the dump
    entry BIGINT NOT NULL UNIQUE REFERENCES entries (id),
    at_ms BIGINT NOT NULL
);
