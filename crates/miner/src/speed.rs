//! How fast this machine mines and checks, measured without any pool.
//!
//! What is measured is what mines: [announcements], [blocks], the [check] of announcements that a handler makes, and
//! [nimiq]'s hashes.
//! The backend is the one that is [chosen](packetcrypt::backend::Backend::chosen). Rates are given per second of processor time as well as per second of the clock; where the machine does something
//! else meanwhile, only the former says what the program can do.

pub mod announcements;
pub mod blocks;
pub mod check;
pub mod nimiq;
mod stopwatch;

use std::time::Duration;

use packetcrypt::{BlockHash, CompactTarget, Height, target::Number};

use crate::{announcements::Job, mining_threads::Placement};
pub use stopwatch::Elapsed;

/// What is measured with.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Threads, and where they run.
    pub placement: Placement,
    /// How long is measured.
    pub time: Duration,
}

/// Hears how far a measurement has come, now and then: what is being done, and how much of it is done, from 0 to 1.
pub type Progress<'a> = dyn Fn(&str, f64) + Sync + 'a;

/// The target that is met once in so many attempts; `None` for 0. No announcement is easier than one in two.
pub fn target_of_difficulty(difficulty: u64) -> Option<CompactTarget> {
    (difficulty > 0).then(|| CompactTarget::for_work(&Number::from(difficulty)))
}

/// Work for announcements of some difficulty, on a block that no chain has.
fn made_up_job(target: CompactTarget) -> Job {
    Job {
        parent: BlockHash::from_internal([0x5a; 32]),
        parent_height: Height(1_000_000),
        target,
        signing_key: None,
    }
}

#[cfg(test)]
mod tests;
