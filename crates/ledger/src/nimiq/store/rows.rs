//! Rows in and out: many rows of an INSERT in one statement, numbers handed out, fields read with their type.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::connection::{AccountsError, failed};

/// Rows of the largest statement: few enough for every engine's limit on parameters.
const MOST_ROWS: usize = 512;

/// A statement with values bound to it.
pub(super) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// Adds rows: `head` is everything before the values, `tail` everything after them. Gives the number of rows that
/// were added or changed.
///
/// Statements have a power of two of rows, so that an engine meets few texts and remembers how to run them.
pub(super) async fn add_rows<T: Sync>(
    transaction: &mut Transaction<'static, Any>,
    doing: &'static str,
    (head, columns, tail): (&str, usize, &str),
    rows: &[T],
    bind: impl for<'q> Fn(Statement<'q>, &T) -> Statement<'q>,
) -> Result<u64, AccountsError> {
    let mut rest = rows;
    let mut affected = 0;
    while !rest.is_empty() {
        let count = MOST_ROWS.min(1 << rest.len().ilog2());
        let (now, later) = rest.split_at(count);
        rest = later;
        let numbered = transaction.backend_name() != "SQLite";
        let sql = format!("{head} VALUES {} {tail}", places(columns, count, numbered));
        let statement = sqlx::query(AssertSqlSafe(sql));
        let statement = now.iter().fold(statement, &bind);
        affected += statement.execute(&mut **transaction).await.map_err(failed(doing))?.rows_affected();
    }
    Ok(affected)
}

/// `($1, $2), ($3, $4)`, or `(?, ?), (?, ?)`: SQLite takes `$1` for a name, and searches its list of names for each
/// value that is bound.
fn places(columns: usize, rows: usize, numbered: bool) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(rows * columns * 7);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=columns {
            text.push_str(if column == 1 { "" } else { ", " });
            if numbered {
                // Writing to a string does not fail.
                let _ = write!(text, "${}", row * columns + column);
            } else {
                text.push('?');
            }
        }
        text.push(')');
    }
    text
}

/// `$1, $2, $3`
pub(super) fn list(count: usize) -> String {
    let places: Vec<String> = (1..=count).map(|place| format!("${place}")).collect();
    places.join(", ")
}

/// Takes `count` numbers from a table of numbers and gives the first. Until the transaction ends, whoever wants
/// numbers of that name waits, so numbers become visible in their order.
pub(super) async fn take_numbers(
    transaction: &mut Transaction<'static, Any>,
    table: NumberTable,
    name: &'static str,
    count: usize,
) -> Result<i64, AccountsError> {
    let doing = "taking numbers";
    let sql = match table {
        NumberTable::Intake => "UPDATE intake_numbers SET last = last + $1 WHERE name = $2 RETURNING last",
        NumberTable::Book => "UPDATE book_numbers SET last = last + $1 WHERE name = $2 RETURNING last",
    };
    let row = sqlx::query(sql)
        .bind(count as i64)
        .bind(name)
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    let last: i64 = row.try_get(0).map_err(failed(doing))?;
    Ok(last - count as i64 + 1)
}

/// Who may take numbers from it.
#[derive(Debug, Clone, Copy)]
pub(super) enum NumberTable {
    /// Servers and the service.
    Intake,
    /// The service and payout.
    Book,
}

/// What a statement finds, each row as `read` makes it.
pub(super) async fn read_all<T, C: FromIterator<T>>(
    reader: &sqlx::AnyPool,
    doing: &'static str,
    statement: Statement<'_>,
    read: impl Fn(Fields<'_>) -> Result<T, AccountsError>,
) -> Result<C, AccountsError> {
    let rows = statement.fetch_all(reader).await.map_err(failed(doing))?;
    rows.iter().map(|row| read(Fields { row, doing })).collect()
}

/// The fields of a row, in the order of its SELECT.
pub(super) struct Fields<'a> {
    pub(super) row: &'a AnyRow,
    pub(super) doing: &'static str,
}

impl Fields<'_> {
    pub(super) fn signed(&self, index: usize) -> Result<i64, AccountsError> {
        self.row.try_get(index).map_err(failed(self.doing))
    }

    pub(super) fn optional(&self, index: usize) -> Result<Option<i64>, AccountsError> {
        self.row.try_get(index).map_err(failed(self.doing))
    }

    pub(super) fn number(&self, index: usize) -> Result<u64, AccountsError> {
        let number = self.signed(index)?;
        u64::try_from(number).map_err(|_| AccountsError::Foreign(format!("the negative number {number}")))
    }

    pub(super) fn height(&self, index: usize) -> Result<nimiq::Height, AccountsError> {
        let number = self.signed(index)?;
        height(number)
    }

    pub(super) fn text(&self, index: usize) -> Result<String, AccountsError> {
        self.row.try_get(index).map_err(failed(self.doing))
    }

    pub(super) fn optional_text(&self, index: usize) -> Result<Option<String>, AccountsError> {
        self.row.try_get(index).map_err(failed(self.doing))
    }

    pub(super) fn bytes(&self, index: usize) -> Result<Vec<u8>, AccountsError> {
        self.row.try_get(index).map_err(failed(self.doing))
    }

    pub(super) fn hash(&self, index: usize) -> Result<[u8; 32], AccountsError> {
        self.bytes(index)?
            .try_into()
            .map_err(|bytes| AccountsError::Foreign(format!("a hash of other than 32 bytes: {bytes:02x?}")))
    }

    pub(super) fn address(&self, index: usize) -> Result<nimiq::Address, AccountsError> {
        let text = self.text(index)?;
        text.parse().map_err(|_| AccountsError::Foreign(format!("the address {text:?}")))
    }
}

pub(super) fn height(number: i64) -> Result<nimiq::Height, AccountsError> {
    let number = u32::try_from(number);
    number.map(nimiq::Height).map_err(|_| AccountsError::Foreign("a height that no block has".into()))
}

/// A number as a column holds it.
pub(super) fn column(what: &'static str, number: u64) -> Result<i64, AccountsError> {
    i64::try_from(number).map_err(|_| AccountsError::TooLarge { what, number })
}

/// Times beyond the end of a column stop there.
pub(super) fn millis(time: crate::UnixMillis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_place() {
        assert_eq!(places(2, 2, true), "($1, $2), ($3, $4)");
        assert_eq!(places(2, 2, false), "(?, ?), (?, ?)");
        assert_eq!(list(3), "$1, $2, $3");
    }
}
