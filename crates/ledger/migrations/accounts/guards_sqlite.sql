-- SQLite knows no users, so triggers keep the book append-only.
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries of the book are never changed'); END;
CREATE TRIGGER entries_are_never_removed BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries of the book are never removed'); END;
CREATE TRIGGER lines_are_never_changed BEFORE UPDATE ON lines
BEGIN SELECT RAISE(ABORT, 'lines of the book are never changed'); END;
CREATE TRIGGER lines_are_never_removed BEFORE DELETE ON lines
BEGIN SELECT RAISE(ABORT, 'lines of the book are never removed'); END;
