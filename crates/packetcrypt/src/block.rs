//! Blocks and shares: a header, a proof over four announcements, and the commitment in the coinbase that binds them.
//!
//! A block miner collects announcements, chooses among them ([`selection`]), builds a [tree](proof_tree) over them,
//! puts the root into the [commitment](commitment) of the coinbase, and tries low nonces ([`attempt`]) until a hash
//! meets the effective target. What it finds is a [`elements::Proof`] with a [tree proof](tree_proof), which pools
//! and the chain check ([`share`], [`check`]).
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 1 to 6.

pub mod attempt;
pub mod check;
pub mod commitment;
pub mod elements;
pub mod header;
pub mod high_nonce;
pub mod mine;
pub mod order;
pub mod proof_tree;
pub mod selection;
pub mod share;
pub mod transaction;
pub mod tree_proof;
mod var_int;

pub use commitment::{AnnouncementCount, Commitment, TreeRoot};
pub use elements::{Elements, Proof};
pub use header::{Header, HeaderHash, MerkleRoot};
pub use proof_tree::ProofTree;
pub use transaction::Transaction;
pub use var_int::ReadFault;
