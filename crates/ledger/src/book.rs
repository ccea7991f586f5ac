//! The book: what a PayMaker accepted, saw and ordered, to be queried and audited later.
//!
//! It decides nothing. Credits come from the uploads; the book remembers that they came, which blocks there were,
//! and every payout table that was sent to the node, with what the node made of it. Rows are only added.

mod sql;

use std::future::Future;

use packetcrypt::BlockHash;
use wire::who_to_pay::PaidWindow;
use wire::{EventId, PktAddress};

pub use sql::{Paid, PayoutTableSummary, RecordedMinute, RecordedWin, SqlBook};

use crate::UnixMillis;

/// An accepted upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadEntry {
    /// First 16 bytes of SHA-256 of the file.
    pub id: EventId,
    /// Newest time of a good line.
    pub newest_event: UnixMillis,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// What became of its lines; `None` if that was lost with the process that accepted it.
    pub counts: Option<UploadCounts>,
}

/// What became of an upload's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UploadCounts {
    /// Events that count since this upload.
    pub credited: u32,
    /// Events that had counted before.
    pub repeated: u32,
    /// Lines that are no event, or one that came too late or too early.
    pub refused: u32,
}

/// A block of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBlock {
    /// First 16 bytes of the hash in display order.
    pub event_id: EventId,
    /// Its hash, if the event gave it.
    pub hash: Option<BlockHash>,
    /// Its height.
    pub height: u32,
    /// When the first handler told us to have seen it.
    pub seen_at: UnixMillis,
}

/// A block of this pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WonBlock {
    /// The share that it was.
    pub share_id: EventId,
    /// Its hash.
    pub hash: BlockHash,
    /// Whose share it was.
    pub pay_to: PktAddress,
    /// When.
    pub won_at: UnixMillis,
}

/// A payout table as it was sent to the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutTable {
    /// When it was made.
    pub made_at: UnixMillis,
    /// The newest event that it takes into account.
    pub newest_event: Option<UnixMillis>,
    /// The window over shares.
    pub share_window: PaidWindow,
    /// The window over announcements.
    pub announcement_window: PaidWindow,
    /// Units of 10⁻¹² of the reward.
    pub payees: Vec<(PktAddress, u64)>,
}

/// The place of a payout table in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PayoutTableNumber(pub i64);

/// What the node made of a payout table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayoutOutcome {
    /// It will pay so.
    Configured,
    /// It does not take the table, or did not answer.
    Refused(String),
    /// Its next template pays exactly what was sent.
    PaidAsSent,
    /// Its next template pays something else.
    PaidOtherwise(String),
}

/// Why the book could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The database says so.
    #[error("{doing}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// What it says.
        #[source]
        source: sqlx::Error,
    },
    /// Its tables are not, and cannot be made, those of this version.
    #[error("preparing the book's tables")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A row that this program has not written.
    #[error("the book holds {what}")]
    Foreign {
        /// What was found.
        what: String,
    },
}

/// What a storage of the book must do. Everything is one writer's; a method has happened whole or not at all.
pub trait Book: Send + Sync + 'static {
    /// Adds uploads and the blocks that they told of; what is there already stays as it is.
    fn add(
        &self,
        uploads: &[UploadEntry],
        seen: &[SeenBlock],
        won: &[WonBlock],
    ) -> impl Future<Output = Result<(), BookError>> + Send;

    /// Whether an upload is there.
    fn has_upload(&self, id: EventId) -> impl Future<Output = Result<bool, BookError>> + Send;

    /// The newest uploads, newest first.
    fn newest_uploads(&self, limit: u32) -> impl Future<Output = Result<Vec<UploadEntry>, BookError>> + Send;

    /// The newest blocks of the pool, newest first.
    fn newest_wins(&self, limit: u32) -> impl Future<Output = Result<Vec<WonBlock>, BookError>> + Send;

    /// Adds a payout table that is about to be sent, and removes those made before `keep_since`.
    fn add_payout_table(
        &self,
        table: &PayoutTable,
        keep_since: UnixMillis,
    ) -> impl Future<Output = Result<PayoutTableNumber, BookError>> + Send;

    /// Adds what the node made of a table.
    fn add_outcome(
        &self,
        number: PayoutTableNumber,
        at: UnixMillis,
        outcome: &PayoutOutcome,
    ) -> impl Future<Output = Result<(), BookError>> + Send;

    /// The newest payout table with its outcomes in order.
    #[allow(clippy::type_complexity)]
    fn newest_payout_table(
        &self,
    ) -> impl Future<Output = Result<Option<(PayoutTableNumber, PayoutTable, Vec<PayoutOutcome>)>, BookError>> + Send;
}

#[cfg(test)]
mod tests;
