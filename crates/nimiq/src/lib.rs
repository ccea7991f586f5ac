//! Nimiq (proof of work): addresses, headers, bodies, proofs, targets, transactions, and the rules of a pool's share.
//!
//! No I/O, no async, no clock: bytes and numbers in, verdicts and bytes out. The rules are those of
//! `docs/protocol/nimiq-pool.md`; where that says "Ours", it is the rule here.

pub mod account;
pub mod address;
pub mod argon2d;
mod block;
mod body;
pub mod decimal;
pub mod difficulty;
mod extra_data;
pub mod hash;
pub mod header;
mod height;
pub mod interlink;
pub mod light_block_recovery;
mod luna;
pub mod merkle;
mod network;
mod payout_request;
pub mod reward;
pub mod share;
pub mod signature;
pub mod signed_message;
pub mod target;
mod timestamp;
pub mod transaction;
pub mod work;

pub use ::byte_reader::FormatError;
pub use address::Address;
pub use block::{Block, LARGEST_BLOCK, LightBlock};
pub use body::Body;
pub use decimal::Decimal;
pub use difficulty::Difficulty;
pub use extra_data::{DeviceId, ExtraData, PoolName, PoolNameError, SessionExtraData, SessionNonce};
pub use hash::{AccountsHash, BlockHash, BodyHash, InterlinkHash, MerkleHash, ProofOfWork, TransactionHash};
pub use header::Header;
pub use height::Height;
pub use interlink::Interlink;
pub use luna::Luna;
pub use merkle::MerklePath;
pub use network::{Network, NetworkId, ParseNetworkError};
pub use payout_request::{PayoutNonce, PayoutProofError};
pub use signature::{PrivateKey, PublicKey, Signature, SignatureProof};
pub use target::{CompactTarget, ShareTarget, ShareWeight, Target};
pub use timestamp::Timestamp;
pub use transaction::Transaction;

/// The largest `u64` that the chain's clients take: 2^53 − 1 (`docs/protocol/nimiq-pool.md` 0.2).
pub const LARGEST_U64: u64 = (1 << 53) - 1;
