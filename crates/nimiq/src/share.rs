//! When a share is good: what every share on one head must agree with, and the checks of each mode of mining.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 1.6, "Ours". The caller brings the clock, the proof of work and the table of
//! duplicates; the order is that of the specification, the cheapest step first:
//!
//! 1. a message becomes a [`SmartShare`], a [`NanoShare`] or a nonce;
//! 2. [`RecentHeads::place`] tells which head it is on;
//! 3. `check` of the mode compares it with the [`NextBlock`] of that head and with what this connection was told
//!    (steps 3 to 5);
//! 4. the caller looks for duplicates and hashes the header (steps 6 and 7);
//! 5. [`check_work`] or [`nano::check_work`] compares the proof of work with the share target, and [`Find`] tells whether
//!    it is a block (step 8).

pub mod dumb;
mod find;
mod heads;
pub mod nano;
mod next_block;
mod refusal;
pub mod smart;

use crate::{ProofOfWork, ShareTarget};

pub use dumb::DumbJob;
pub use find::Find;
pub use heads::{Placement, RecentHeads};
pub use nano::{NanoJob, NanoShare};
pub use next_block::NextBlock;
pub use refusal::{Consequence, Refusal};
pub use smart::{Announced, SmartShare};

/// Whether a proof of work meets the target that was announced (step 7).
pub fn check_work(proof_of_work: &ProofOfWork, target: &ShareTarget) -> Result<(), Refusal> {
    target.target().is_met_by(proof_of_work).then_some(()).ok_or(Refusal::InvalidProofOfWork)
}
