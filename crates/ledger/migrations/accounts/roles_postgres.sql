-- One PostgreSQL role for each duty, with what that duty needs and no more (nimiq-pool.md 4.2). Running it again
-- changes nothing. The roles may log in and have no password: set one, or let pg_hba.conf decide who they are.
DO $$
DECLARE role_name TEXT;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['headframe_server', 'headframe_service', 'headframe_payout', 'headframe_site'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- made at the same moment for another database
            END;
        END IF;
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO headframe_server, headframe_service, headframe_payout, headframe_site;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO headframe_service, headframe_payout, headframe_site;
REVOKE SELECT ON payout_requests, used_nonces FROM headframe_site;
GRANT SELECT (user_id, requested_at_ms) ON payout_requests TO headframe_site;

-- The server faces the internet: it adds work, requests and bans, and can neither credit nor pay.
GRANT SELECT ON _sqlx_migrations, users, servers, blocks, shares, shares_set_aside, intake_numbers, balances, payouts,
    payout_requests, payout_thresholds, used_nonces, bans TO headframe_server;
GRANT INSERT ON users, servers, shares, shares_set_aside, payout_requests, payout_thresholds, used_nonces, bans
    TO headframe_server;
GRANT INSERT (id, chain, hash) ON blocks TO headframe_server;
GRANT UPDATE ON intake_numbers, payout_thresholds, bans TO headframe_server;
GRANT DELETE ON bans TO headframe_server;

-- The service follows the chain, books rewards and thins out old shares.
REVOKE UPDATE ON window_parts, found_blocks FROM headframe_service; -- granted by earlier versions
GRANT INSERT, UPDATE ON blocks, balances, leases, share_sums TO headframe_service;
GRANT INSERT ON found_blocks, window_parts, entries, lines TO headframe_service;
GRANT UPDATE (state, window_rule, fee_ppm, window_first, window_last, settled_at_ms) ON found_blocks TO headframe_service;
GRANT UPDATE ON book_numbers, intake_numbers TO headframe_service;
GRANT INSERT, UPDATE, DELETE ON series TO headframe_service;
GRANT UPDATE ON series_counted TO headframe_service;
GRANT DELETE ON shares, used_nonces TO headframe_service;

-- Payout debits balances. What it has signed stays as it is stored: only where it stands changes.
REVOKE UPDATE ON payouts FROM headframe_payout; -- granted by earlier versions
GRANT INSERT, UPDATE ON balances, leases TO headframe_payout;
GRANT INSERT ON payouts TO headframe_payout;
GRANT UPDATE (state, height, changed_at_ms) ON payouts TO headframe_payout;
GRANT INSERT ON entries, lines TO headframe_payout;
GRANT UPDATE ON book_numbers TO headframe_payout;
GRANT DELETE ON payout_requests TO headframe_payout;
