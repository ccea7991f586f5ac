//! What another pool owed its miners becomes where the book begins: once, whole, and only where nothing is booked yet.

use nimiq::Address;
use sqlx::{Any, Transaction};

use super::connection::{Accounts, AccountsError, failed};
use super::rows::{Fields, NumberTable, millis, take_numbers};
use crate::UnixMillis;
use crate::nimiq::UserId;
use crate::nimiq::journal;
use crate::nimiq::reference_tables::opening::Openings;

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// The balances are booked.
    Booked,
    /// The same dump had been imported before: nothing was changed.
    KnownBefore,
}

impl Accounts {
    /// Books the balances, all of them or none. `hash` is that of the dump that they come from: a dump that was imported
    /// changes nothing any more, and where there are other shares, blocks, payouts or entries, it is an error.
    pub async fn import(
        &self,
        hash: [u8; 32],
        openings: &Openings,
        now: UnixMillis,
    ) -> Result<Import, AccountsError> {
        let doing = "importing balances";
        let mut transaction = self.begin().await?;
        // From here on nobody else writes into the book, or gives numbers to users.
        take_numbers(&mut transaction, NumberTable::Book, "entries", 0).await?;
        let known = sqlx::query("SELECT entry FROM imports WHERE hash = $1")
            .bind(hash.to_vec())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        if known.is_some() {
            return Ok(Import::KnownBefore);
        }
        must_be_empty(&mut transaction).await?;
        let addresses: Vec<Address> = openings.balances.keys().copied().collect();
        let users = self.users_of(&mut transaction, addresses.into_iter()).await?;
        let owed = openings
            .balances
            .iter()
            .filter_map(|(address, amount)| users.get(address).map(|user| (UserId(*user as u64), *amount)));
        let lines = journal::opening(owed)?;
        let rule = format!("balances of a dump, SHA-256 {}", hash.map(|byte| format!("{byte:02x}")).concat());
        let entry = super::book::add_opening(&mut transaction, &rule, &lines, now).await?;
        sqlx::query("INSERT INTO imports (hash, entry, at_ms) VALUES ($1, $2, $3)")
            .bind(hash.to_vec())
            .bind(entry)
            .bind(millis(now))
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(Import::Booked)
    }
}

async fn must_be_empty(transaction: &mut Transaction<'static, Any>) -> Result<(), AccountsError> {
    for (what, sql) in [
        ("entries of the book", "SELECT COUNT(*) FROM (SELECT id FROM entries LIMIT 1) AS first"),
        ("found blocks", "SELECT COUNT(*) FROM (SELECT block FROM found_blocks LIMIT 1) AS first"),
        ("payouts", "SELECT COUNT(*) FROM (SELECT id FROM payouts LIMIT 1) AS first"),
        ("shares", "SELECT COUNT(*) FROM (SELECT id FROM shares LIMIT 1) AS first"),
    ] {
        let doing = "looking whether the accounts are empty";
        let row = sqlx::query(sql).fetch_one(&mut **transaction).await.map_err(failed(doing))?;
        if (Fields { row: &row, doing }).signed(0)? != 0 {
            return Err(AccountsError::NotEmpty(what));
        }
    }
    Ok(())
}
