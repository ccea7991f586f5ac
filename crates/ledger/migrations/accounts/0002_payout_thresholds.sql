-- Above which confirmed balance a miner wants to be paid without asking: the last order of each, with its signature.
CREATE TABLE payout_thresholds (
    user_id BIGINT PRIMARY KEY REFERENCES users (id),
    threshold BIGINT NOT NULL CHECK (threshold >= 0), -- 0: the pool's own
    nonce BIGINT NOT NULL,
    proof BYTEA NOT NULL,
    set_at_ms BIGINT NOT NULL
);
