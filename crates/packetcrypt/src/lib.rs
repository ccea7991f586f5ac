//! PacketCrypt proof of work: announcements, block proofs, difficulty.
//!
//! No I/O, no async, no clock: bytes and numbers in, verdicts and bytes out. The rules are those of
//! `docs/protocol/packetcrypt-announcements.md` and `docs/protocol/packetcrypt-blocks.md`.

pub mod announcement;
mod attempt;
mod authenticator;
pub mod backend;
mod base_multiplication;
pub mod block;
mod block_hash;
pub mod check;
pub mod crypto_cycle;
pub mod hash;
mod height;
pub mod instruction;
pub mod item;
pub mod merkle;
pub mod mine;
pub mod pages;
pub mod rand_gen;
pub mod rand_hash;
pub mod target;

pub use announcement::{Announcement, AnnouncementHash, AnnouncementHeader, SigningKey};
pub use block_hash::{BlockHash, ParseBlockHashError};
pub use crypto_cycle::WorkHash;
pub use height::Height;
pub use target::{CanonicalTarget, CompactTarget};
