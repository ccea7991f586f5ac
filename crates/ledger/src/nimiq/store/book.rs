//! Entries into the book, their lines and the balances, in one transaction; and entries that take others back.

use sqlx::{Any, Executor, Transaction};

use super::CHAIN;
use super::connection::{AccountsError, failed};
use super::rows::{Fields, NumberTable, add_rows, millis, take_numbers};
use crate::UnixMillis;
use crate::nimiq::journal::{Account, EntryKind, Lines};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// A found block, by its number.
    Block(i64),
    /// A payout, by its number.
    Payout(i64),
}

impl Subject {
    fn block(self) -> Option<i64> {
        if let Self::Block(number) = self { Some(number) } else { None }
    }

    fn payout(self) -> Option<i64> {
        if let Self::Payout(number) = self { Some(number) } else { None }
    }
}

/// An entry that is there.
#[derive(Debug)]
pub(super) struct StoredEntry {
    number: i64,
    pub(super) lines: Lines,
}

/// Adds an entry and brings the balances up to date.
pub(super) async fn add_entry(
    transaction: &mut Transaction<'static, Any>,
    kind: EntryKind,
    subject: Subject,
    rule: &str,
    lines: &Lines,
    at: UnixMillis,
) -> Result<(), AccountsError> {
    write(transaction, kind, Some(subject), None, rule, lines, at).await.map(drop)
}

/// Adds the entry that the book begins with, and gives its number.
pub(super) async fn add_opening(
    transaction: &mut Transaction<'static, Any>,
    rule: &str,
    lines: &Lines,
    at: UnixMillis,
) -> Result<i64, AccountsError> {
    write(transaction, EntryKind::Import, None, None, rule, lines, at).await
}

/// The newest entry of a kind about a subject that has not been taken back.
pub(super) async fn standing_entry(
    transaction: &mut Transaction<'static, Any>,
    kind: EntryKind,
    subject: Subject,
) -> Result<StoredEntry, AccountsError> {
    let doing = "looking up an entry of the book";
    let sql = match subject {
        Subject::Block(_) => {
            "SELECT id FROM entries WHERE block = $1 AND kind = $2 AND NOT EXISTS \
             (SELECT 1 FROM entries AS reversal WHERE reversal.reverses = entries.id) ORDER BY id DESC LIMIT 1"
        }
        Subject::Payout(_) => {
            "SELECT id FROM entries WHERE payout = $1 AND kind = $2 AND NOT EXISTS \
             (SELECT 1 FROM entries AS reversal WHERE reversal.reverses = entries.id) ORDER BY id DESC LIMIT 1"
        }
    };
    let (Subject::Block(number) | Subject::Payout(number)) = subject;
    let row = sqlx::query(sql)
        .bind(number)
        .bind(kind.name())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    let row = row.ok_or_else(|| {
        AccountsError::Foreign(format!("no standing entry {:?} about {subject:?}", kind.name()))
    })?;
    let number = Fields { row: &row, doing }.signed(0)?;
    let rows = sqlx::query("SELECT account, user_id, amount FROM lines WHERE entry = $1")
        .bind(number)
        .fetch_all(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in &rows {
        let fields = Fields { row, doing };
        let (name, user) = (fields.text(0)?, fields.number(1)?);
        let account = Account::from_key(&name, user)
            .ok_or_else(|| AccountsError::Foreign(format!("the account {name:?} of user {user}")))?;
        lines.push((account, i128::from(fields.signed(2)?)));
    }
    Ok(StoredEntry { number, lines: Lines::new(lines)? })
}

/// Takes an entry back by its counter-entry.
pub(super) async fn reverse(
    transaction: &mut Transaction<'static, Any>,
    kind: EntryKind,
    subject: Subject,
    why: &str,
    at: UnixMillis,
) -> Result<(), AccountsError> {
    let entry = standing_entry(transaction, kind, subject).await?;
    let lines = entry.lines.countered()?;
    let reverses = Some(entry.number);
    write(transaction, EntryKind::Reversal, Some(subject), reverses, why, &lines, at).await.map(drop)
}

async fn write(
    transaction: &mut Transaction<'static, Any>,
    kind: EntryKind,
    subject: Option<Subject>,
    reverses: Option<i64>,
    rule: &str,
    lines: &Lines,
    at: UnixMillis,
) -> Result<i64, AccountsError> {
    let doing = "adding an entry to the book";
    let number = take_numbers(transaction, NumberTable::Book, "entries", 1).await?;
    sqlx::query(
        "INSERT INTO entries (id, chain, kind, block, payout, reverses, rule, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(number)
    .bind(CHAIN)
    .bind(kind.name())
    .bind(subject.and_then(Subject::block))
    .bind(subject.and_then(Subject::payout))
    .bind(reverses)
    .bind(rule.to_owned())
    .bind(millis(at))
    .execute(&mut **transaction)
    .await
    .map_err(failed(doing))?;
    let rows: Vec<(Account, i64)> = lines.iter().collect();
    let head = "INSERT INTO lines (entry, account, user_id, amount)";
    add_rows(transaction, doing, (head, 4, ""), &rows, |query, (account, amount)| {
        let (name, user) = account.key();
        query.bind(number).bind(name).bind(user as i64).bind(*amount)
    })
    .await?;
    let head = "INSERT INTO balances (chain, account, user_id, amount)";
    let tail =
        "ON CONFLICT (chain, account, user_id) DO UPDATE SET amount = balances.amount + excluded.amount";
    add_rows(
        transaction,
        "bringing balances up to date",
        (head, 4, tail),
        &rows,
        |query, (account, amount)| {
            let (name, user) = account.key();
            query.bind(CHAIN).bind(name).bind(user as i64).bind(*amount)
        },
    )
    .await?;
    Ok(number)
}

/// The balance of an account, as a transaction or anybody sees it.
pub(super) async fn balance<'e>(
    reader: impl Executor<'e, Database = Any>,
    account: Account,
) -> Result<i64, AccountsError> {
    let doing = "reading a balance";
    let (name, user) = account.key();
    let row = sqlx::query("SELECT amount FROM balances WHERE chain = $1 AND account = $2 AND user_id = $3")
        .bind(CHAIN)
        .bind(name)
        .bind(user as i64)
        .fetch_optional(reader)
        .await
        .map_err(failed(doing))?;
    row.map_or(Ok(0), |row| Fields { row: &row, doing }.signed(0))
}
