-- One kind of entry more. SQLite changes no check: the column makes way for one with the new check, and for that moment the
-- book can be changed.
DROP TRIGGER entries_are_never_changed;
ALTER TABLE entries ADD COLUMN kind_with_import TEXT NOT NULL DEFAULT 'reward' CHECK
    (kind_with_import IN ('reward', 'maturity', 'payout', 'confirmation', 'reversal', 'import'));
UPDATE entries SET kind_with_import = kind;
ALTER TABLE entries DROP COLUMN kind;
ALTER TABLE entries RENAME COLUMN kind_with_import TO kind;
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries of the book are never changed'); END;
