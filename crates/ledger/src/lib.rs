//! Work done, credits, who is to be paid: pure rules, and a store.
//!
//! How money walks through it: the text of an upload → [`event_intake`] (what may be credited) → [`Ledger::admit`]
//! (each event once) → [`Ledger::distribution`] (two windows, whole units that sum to [`UNITS`]) →
//! [`Ledger::describe`] (the document that shows it).
//!
//! The rules are those of `docs/protocol/packetcrypt-pool.md`, section 11. A [`Ledger`] is a deterministic state
//! machine: time arrives as an argument, and equal events give equal distributions. Around it:
//! * [`DurableLedger`] keeps every accepted upload on disk, and a compact copy of the events for a fast start;
//! * [`book`] is what can be queried later: uploads, blocks, payout tables and what the node made of them;
//! * [`audit`] computes the same money a second time, slowly and from the text of the rules;
//! * [`nimiq`] is the other kind of pool, which collects the rewards and pays the miners itself;
//! * [`backup`] copies all of it, and what is on its way to it, while it is in use;
//! * [`local_postgres`] runs a database server for tests and benches;
//! * [`replay()`] computes a distribution from event logs, bit for bit that of a running PayMaker.

mod addresses;
pub mod audit;
pub mod backup;
pub mod book;
mod chain;
pub mod credit;
mod distribution;
mod document;
mod durable;
pub mod event_intake;
mod figures;
pub mod local_postgres;
pub mod nimiq;
mod posts;
mod rates;
mod recording;
mod replay;
mod rules;
mod segment;
pub mod series;
mod shares;
mod slot;
mod state;
mod tally;
mod unix_millis;
mod upload_files;
mod window;

#[cfg(test)]
mod defects;
#[cfg(test)]
mod properties;

pub use distribution::{Distribution, LeftOut};
pub use durable::{AcceptError, AcceptTimes, Accepted, DurableLedger, LedgerFolder, OpenError, OpenReport};
pub use event_intake::{Examined, Warnings};
pub use figures::{PoolFigures, RecentWork};
pub use replay::replay;
pub use rules::{Fee, Rules, RulesConfig, RulesFault, UNITS};
pub use state::{Holdings, Ledger, Receipt};
pub use unix_millis::UnixMillis;
pub use upload_files::{Retention, StoredUpload};
