//! Nimiq (proof of work): addresses, headers, bodies, proofs, targets, transactions, and the rules of a pool's share.
//!
//! No I/O, no async, no clock: bytes and numbers in, verdicts and bytes out. The rules are those of
//! `docs/protocol/nimiq-pool.md`; where that says "Ours", it is the rule here.

pub mod byte_reader;
pub mod format_error;
pub mod hash;
mod height;
mod luna;

pub use format_error::FormatError;
pub use hash::{AccountsHash, BlockHash, BodyHash, InterlinkHash, MerkleHash, ProofOfWork, TransactionHash};
pub use height::Height;
pub use luna::Luna;
