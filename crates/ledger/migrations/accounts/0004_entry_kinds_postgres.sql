-- One kind of entry more.
ALTER TABLE entries DROP CONSTRAINT entries_kind_check;
ALTER TABLE entries ADD CONSTRAINT entries_kind_check
    CHECK (kind IN ('reward', 'maturity', 'payout', 'confirmation', 'reversal', 'import'));
