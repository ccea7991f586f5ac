-- Accounts of a pool that collects rewards and pays them out, for SQLite and PostgreSQL alike.
--
-- Times are milliseconds since 1970, amounts whole units of the chain, hashes bytes. "chain" is 'nimiq' or
-- 'packetcrypt'. Ids are handed out by the program from the two tables of numbers, so that a number that is seen
-- committed has no smaller one that is not. What SQLite wants otherwise is replaced before this text is run: the
-- word for a key that is the row's own number.

CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    chain TEXT NOT NULL,
    address TEXT NOT NULL,
    UNIQUE (chain, address)
);

CREATE TABLE servers (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- The server names blocks that shares build on; height and place in the chain come from the service's node alone.
CREATE TABLE blocks (
    id BIGINT PRIMARY KEY,
    chain TEXT NOT NULL,
    hash BYTEA NOT NULL,
    height BIGINT,
    main_chain BIGINT NOT NULL DEFAULT 0 CHECK (main_chain IN (0, 1)),
    seen_at_ms BIGINT,
    UNIQUE (chain, hash)
);
CREATE UNIQUE INDEX blocks_of_the_main_chain ON blocks (chain, height) WHERE main_chain = 1;
CREATE INDEX blocks_off_the_main_chain ON blocks (id) WHERE main_chain = 0;

-- id is the global sequence number.
CREATE TABLE shares (
    id BIGINT PRIMARY KEY,
    server BIGINT NOT NULL REFERENCES servers (id),
    server_sequence BIGINT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id),
    device BIGINT NOT NULL,
    previous_block BIGINT NOT NULL REFERENCES blocks (id),
    weight BIGINT NOT NULL CHECK (weight > 0),
    hash BYTEA NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    UNIQUE (server, server_sequence),
    -- A hash fixes its block, so this is as strict as the hash alone; and shares of now lie close together.
    UNIQUE (previous_block, hash)
);

-- Shares that the tables refuse, kept for a person to look at.
CREATE TABLE shares_set_aside (
    server BIGINT NOT NULL,
    server_sequence BIGINT NOT NULL,
    share TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (server, server_sequence)
);

-- What is left of shares that no window can reach any more. A weight is high * 2^32 + low.
CREATE TABLE share_sums (
    user_id BIGINT NOT NULL REFERENCES users (id),
    device BIGINT NOT NULL,
    day_ms BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    weight_high BIGINT NOT NULL,
    weight_low BIGINT NOT NULL,
    PRIMARY KEY (user_id, device, day_ms)
);

CREATE TABLE intake_numbers (
    name TEXT PRIMARY KEY,
    last BIGINT NOT NULL
);
INSERT INTO intake_numbers (name, last) VALUES ('users', 0), ('servers', 0), ('blocks', 0), ('shares', 0);

-- Blocks whose reward is the pool's. The cut of the window stays with the block.
CREATE TABLE found_blocks (
    block BIGINT PRIMARY KEY REFERENCES blocks (id),
    reward BIGINT NOT NULL,
    fees BIGINT NOT NULL,
    work BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('found', 'immature', 'mature', 'orphaned')),
    window_rule TEXT,
    fee_ppm BIGINT,
    window_first BIGINT,
    window_last BIGINT,
    settled_at_ms BIGINT
);

-- The weights that a window was split by, as decimal numbers of up to 128 bits.
CREATE TABLE window_parts (
    block BIGINT NOT NULL REFERENCES found_blocks (block),
    user_id BIGINT NOT NULL REFERENCES users (id),
    shares BIGINT NOT NULL,
    weight TEXT NOT NULL,
    PRIMARY KEY (block, user_id)
);

CREATE TABLE payouts (
    id BIGINT PRIMARY KEY,
    chain TEXT NOT NULL,
    user_id BIGINT REFERENCES users (id),
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('automatic', 'requested', 'owner')),
    value BIGINT NOT NULL CHECK (value > 0),
    network_fee BIGINT NOT NULL CHECK (network_fee >= 0),
    debit BIGINT NOT NULL CHECK (debit >= value),
    validity_start BIGINT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    signed BYTEA NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('prepared', 'broadcast', 'mined', 'confirmed', 'expired', 'review')),
    height BIGINT,
    prepared_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL
);
CREATE INDEX payouts_by_state ON payouts (state);
CREATE INDEX payouts_by_user ON payouts (user_id);

-- The book: rows are only ever added. The lines of an entry sum to zero.
CREATE TABLE entries (
    id BIGINT PRIMARY KEY,
    chain TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('reward', 'maturity', 'payout', 'confirmation', 'reversal')),
    block BIGINT REFERENCES found_blocks (block),
    payout BIGINT REFERENCES payouts (id),
    reverses BIGINT UNIQUE REFERENCES entries (id),
    rule TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX entries_by_block ON entries (block);
CREATE INDEX entries_by_payout ON entries (payout);

CREATE TABLE lines (
    entry BIGINT NOT NULL REFERENCES entries (id),
    account TEXT NOT NULL,
    user_id BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (entry, account, user_id)
);
CREATE INDEX lines_by_account ON lines (account, user_id);

-- The sums of the lines, brought up to date in the transaction that adds them.
CREATE TABLE balances (
    chain TEXT NOT NULL,
    account TEXT NOT NULL,
    user_id BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (chain, account, user_id)
);

CREATE TABLE book_numbers (
    name TEXT PRIMARY KEY,
    last BIGINT NOT NULL
);
INSERT INTO book_numbers (name, last) VALUES ('entries', 0), ('payouts', 0);

CREATE TABLE payout_requests (
    user_id BIGINT PRIMARY KEY REFERENCES users (id),
    nonce BIGINT NOT NULL,
    proof BYTEA NOT NULL,
    requested_at_ms BIGINT NOT NULL
);

CREATE TABLE used_nonces (
    user_id BIGINT NOT NULL REFERENCES users (id),
    nonce BIGINT NOT NULL,
    used_at_ms BIGINT NOT NULL,
    PRIMARY KEY (user_id, nonce)
);

CREATE TABLE bans (
    subject TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    times BIGINT NOT NULL
);

-- One holder of each duty at a time. The token grows with every change of hands, so a former holder is told apart.
CREATE TABLE leases (
    duty TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);
