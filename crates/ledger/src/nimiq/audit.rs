//! A second opinion on the accounts: everything is worked out again from the rows, slowly and by other code than the
//! one that wrote them. Where the two differ by one luna, the report says where.
//!
//! * The book: lines of an entry sum to zero, a counter-entry takes back exactly its entry, balances are sums of lines.
//! * Blocks: what is booked fits the state; a reward is split again from its stored window, and the window is cut again
//!   from the shares, as far as they are still there as single rows.
//! * Payouts: what is booked fits the state, the signed bytes say what the row says, and an automatic one is above the
//!   threshold that it names. Thresholds that miners have chosen are signed by them.
//! * What another pool owed is where the book begins, and nowhere else.

mod book;
mod imports;
mod payments;
mod rewards;
mod rows;
mod thresholds;

use super::store::{Accounts, AccountsError};

/// What an audit looked at, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Entries of the book.
    pub entries: usize,
    /// Blocks of the pool.
    pub blocks: usize,
    /// Of those, how many windows could be cut again from single shares.
    pub windows_cut_again: usize,
    /// Payouts.
    pub payouts: usize,
    /// One sentence for each thing that is wrong.
    pub findings: Vec<String>,
}

/// Audits all accounts. Changes nothing, and can run beside everything else on a copy or while nothing is booked.
pub async fn audit(accounts: &Accounts) -> Result<AuditReport, AccountsError> {
    let rows = rows::read(accounts).await?;
    let mut findings = Vec::new();
    book::check(&rows, &mut findings);
    let windows_cut_again = rewards::check(accounts, &rows, &mut findings).await?;
    payments::check(&rows, &mut findings);
    thresholds::check(&rows, &mut findings);
    imports::check(&rows, &mut findings);
    Ok(AuditReport {
        entries: rows.entries.len(),
        blocks: rows.found.len(),
        windows_cut_again,
        payouts: rows.payouts.len(),
        findings,
    })
}
