//! The accounts in a database: one text of SQL for SQLite and PostgreSQL, chosen by a URL.
//!
//! Every change happens whole or not at all. What is decided is decided by the rules beside this module; here rows are
//! read, handed to a rule, and written in bulk in one transaction. The first statement of a transaction writes, so
//! that on both engines whoever comes second waits and then sees what the first one did.

mod bans;
mod book;
mod chain;
mod connection;
mod import;
mod intake;
mod leases;
mod payouts;
mod reference_export;
mod requests;
mod retention;
mod rows;
mod series;
mod settlement;
mod site;
mod views;

#[cfg(test)]
mod tests;

pub use bans::Ban;
pub use chain::{ChainBlock, ChainUpdate, Followed, FoundReward};
pub use connection::{Accounts, AccountsError, Dialect};
pub use import::Import;
pub use intake::{IntakeReport, NewShare, SetAside};
pub use leases::{Duty, Lease, PayoutLease, ServiceLease};
pub use payouts::{PayoutRow, SignedPayment};
pub use requests::RequestOutcome;
pub use retention::{Compacted, RetentionRule};
pub use settlement::Settled;
pub use site::{DeviceWork, Holdings, ShownBatch, ShownBlock};
pub use views::{BalanceView, FoundRow, PayoutFigures};

/// The chain whose rows these are, in the tables that hold several.
pub(crate) const CHAIN: &str = "nimiq";
