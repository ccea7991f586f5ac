//! How fast Nimiq's proof of work is hashed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nimiq::argon2d::Hasher;
use nimiq::{Network, Target};

use super::{
    Elapsed, Progress, Trial,
    stopwatch::{per_second, run},
};

/// Hashes between two looks at the time, as in the miner between two looks at its job.
pub const PORTION: u32 = 32;

/// What came of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct HashSpeed {
    /// Headers that were hashed.
    pub hashes: u64,
    /// Time of all threads.
    pub elapsed: Elapsed,
}

impl HashSpeed {
    /// Hashes per second of processor time.
    pub fn hashes_per_second(&self) -> f64 {
        per_second(self.hashes, self.elapsed.processor)
    }

    /// Hashes of all threads per second of the clock.
    pub fn in_all(&self) -> f64 {
        per_second(self.hashes, self.elapsed.clock)
    }
}

/// Mines a block that nobody can find.
pub fn measure(trial: &Trial, progress: &Progress<'_>) -> HashSpeed {
    let header = Network::Dev.genesis_block().header.to_bytes();
    let (threads, elapsed) = run(trial, "hashing", progress, |_, over: &AtomicBool| {
        let (mut hasher, mut hashes) = (Hasher::new(), 0);
        loop {
            // The hardest target is never met, so every nonce of the portion is tried.
            hasher.mine(&header, 0..=PORTION - 1, &Target::HARDEST);
            hashes += u64::from(PORTION);
            if over.load(Relaxed) {
                return hashes;
            }
        }
    });
    HashSpeed { hashes: threads.iter().sum(), elapsed }
}
