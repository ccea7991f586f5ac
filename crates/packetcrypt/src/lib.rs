//! PacketCrypt proof of work: announcements, block proofs, difficulty.
//!
//! No I/O, no async, no clock: bytes and numbers in, verdicts and bytes out. The rules are those of
//! `docs/protocol/packetcrypt-announcements.md` and `docs/protocol/packetcrypt-blocks.md`.

mod block_hash;
mod height;
pub mod target;

pub use block_hash::{BlockHash, ParseBlockHashError};
pub use height::Height;
pub use target::CompactTarget;
