//! How fast announcements are mined.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use packetcrypt::{
    CompactTarget,
    mine::{Miner, Unusable},
};

use super::{
    Elapsed, Progress, Trial, made_up_job,
    stopwatch::{per_second, processor_time, resident_bytes, run},
};

/// Soft nonces between two looks at the time.
const TOGETHER: u32 = 1024;

/// What came of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct AnnouncementSpeed {
    /// Attempts that were made.
    pub attempts: u64,
    /// Announcements that were found.
    pub found: u64,
    /// Hard nonces whose tables were made.
    pub hard_nonces: u64,
    /// Processor time for tables.
    pub tables: Duration,
    /// Time of all threads.
    pub elapsed: Elapsed,
    /// Bytes that each thread keeps in memory, where the system tells.
    pub memory_per_thread: Option<u64>,
}

impl AnnouncementSpeed {
    /// Attempts per second of processor time, while tables are at hand.
    pub fn attempts_with_tables_ready(&self) -> f64 {
        per_second(self.attempts, self.elapsed.processor.saturating_sub(self.tables))
    }

    /// Attempts per second of processor time, the making of tables included.
    pub fn attempts(&self) -> f64 {
        per_second(self.attempts, self.elapsed.processor)
    }

    /// Announcements per second of processor time.
    pub fn announcements(&self) -> f64 {
        per_second(self.found, self.elapsed.processor)
    }

    /// Announcements of all threads per second of the clock.
    pub fn announcements_in_all(&self) -> f64 {
        per_second(self.found, self.elapsed.clock)
    }

    /// Processor time from a new hard nonce to its first attempt.
    pub fn first_attempt(&self) -> Duration {
        self.tables.checked_div(u32::try_from(self.hard_nonces).unwrap_or(u32::MAX)).unwrap_or_default()
    }
}

#[derive(Default)]
struct Done {
    attempts: u64,
    found: u64,
    hard_nonces: u64,
    tables: Duration,
}

/// Mines announcements with this target, as the announcement miner does.
pub fn measure(trial: &Trial, target: CompactTarget, progress: &Progress<'_>) -> AnnouncementSpeed {
    let job = made_up_job(target);
    let hard_nonces = AtomicU32::new(0);
    let threads = trial.placement.threads.get();
    let before = resident_bytes();
    let (all_filled, with_tables) = (Barrier::new(threads), AtomicU64::new(0));
    let (done, elapsed) = run(trial, "mining announcements", progress, |number, over| {
        let (mut miner, mut done) = (Miner::new(), Done::default());
        // However short the time, each thread tries one hard nonce.
        let never = AtomicBool::new(false);
        while done.hard_nonces == 0 || !over.load(Relaxed) {
            let began = processor_time();
            let stop = if done.hard_nonces == 0 { &never } else { over };
            let next = || hard_nonces.fetch_add(1, Relaxed);
            let mut attempts = match miner.choose(&job.header(0), &job.parent, next, stop) {
                Ok(attempts) => attempts,
                Err(fault) if fault.is_of_this_hard_nonce_only() => continue,
                Err(Unusable::Stopped) => break,
                Err(fault) => {
                    tracing::error!("announcements cannot be mined: {fault}");
                    break;
                }
            };
            done.tables += processor_time().saturating_sub(began);
            done.hard_nonces += 1;
            let soft_nonces = attempts.soft_nonces();
            for first in soft_nonces.clone().step_by(TOGETHER as usize) {
                let nonces = first..soft_nonces.end.min(first + TOGETHER);
                done.attempts += u64::from(nonces.end - nonces.start);
                attempts.attempt(nonces, |_| done.found += 1);
                if over.load(Relaxed) {
                    break;
                }
            }
        }
        // All threads have all their memory now; none has let go of it.
        all_filled.wait();
        if number == 0 {
            with_tables.store(resident_bytes().unwrap_or(0), Relaxed);
        }
        all_filled.wait();
        done
    });
    let mut speed = AnnouncementSpeed {
        attempts: 0,
        found: 0,
        hard_nonces: 0,
        tables: Duration::ZERO,
        elapsed,
        memory_per_thread: before
            .map(|before| with_tables.into_inner().saturating_sub(before) / threads as u64),
    };
    for done in done {
        speed.attempts += done.attempts;
        speed.found += done.found;
        speed.hard_nonces += done.hard_nonces;
        speed.tables += done.tables;
    }
    speed
}
