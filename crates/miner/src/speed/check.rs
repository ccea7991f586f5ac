//! How fast announcements are checked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use packetcrypt::{
    Announcement, BlockHash, CompactTarget,
    check::{AnnouncementToCheck, Checker, ProofVersion, Rules},
    mine::Miner,
};

use super::{
    Elapsed, Progress, Trial, made_up_job,
    stopwatch::{per_second, run},
};
use crate::announcements::Job;

/// Announcements of one hard nonce in a batch, in the favourable case.
const OF_ONE_HARD_NONCE: usize = 256;
/// Hard nonces whose announcements are checked.
const HARD_NONCES: u32 = 16;
/// Attempts that an announcement takes: few, so that there is soon something to check.
const DIFFICULTY: u64 = 8;

/// What came of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct CheckSpeed {
    /// Announcements that were checked.
    pub checked: u64,
    /// Of these, how many were not valid: none, unless the backend is at fault.
    pub refused: u64,
    /// Time of all threads.
    pub elapsed: Elapsed,
}

impl CheckSpeed {
    /// Announcements per second of processor time.
    pub fn announcements(&self) -> f64 {
        per_second(self.checked, self.elapsed.processor)
    }

    /// Announcements of all threads per second of the clock.
    pub fn announcements_in_all(&self) -> f64 {
        per_second(self.checked, self.elapsed.clock)
    }
}

/// Announcements to be checked, some of each of several hard nonces.
pub struct Sample {
    parent: BlockHash,
    hard_nonces: Vec<Vec<Announcement>>,
}

impl Sample {
    /// Mines them, each valid.
    pub fn mine(progress: &Progress<'_>) -> Self {
        let target = super::target_of_difficulty(DIFFICULTY).unwrap_or(CompactTarget::EASIEST);
        let job = made_up_job(target);
        let mut miner = Miner::new();
        let mut hard_nonces = Vec::new();
        for hard_nonce in 0..HARD_NONCES {
            progress("mining something to check", f64::from(hard_nonce) / f64::from(HARD_NONCES));
            hard_nonces.push(of_hard_nonce(&mut miner, &job, hard_nonce));
        }
        progress("mining something to check", 1.0);
        Self { parent: job.parent, hard_nonces }
    }

    /// Many of each hard nonce, as an announcement handler gets them.
    fn grouped(&self) -> Vec<Vec<&Announcement>> {
        self.hard_nonces.iter().map(|of_one| of_one.iter().take(OF_ONE_HARD_NONCE).collect()).collect()
    }

    /// One of each hard nonce.
    fn unrelated(&self) -> Vec<Vec<&Announcement>> {
        let round = |round| self.hard_nonces.iter().filter_map(move |of_one| of_one.get(round)).collect();
        (0..OF_ONE_HARD_NONCE).map(round).collect()
    }
}

fn of_hard_nonce(miner: &mut Miner, job: &Job, hard_nonce: u32) -> Vec<Announcement> {
    let mut found = Vec::new();
    miner.mine(&job.header(hard_nonce), &job.parent, &AtomicBool::new(false), |one| found.push(one));
    found
}

/// Checks announcements of which many have the hard nonce in common.
pub fn measure_grouped(trial: &Trial, sample: &Sample, progress: &Progress<'_>) -> CheckSpeed {
    measure(trial, "checking, many of each hard nonce", &sample.grouped(), &sample.parent, progress)
}

/// Checks announcements of which no two have the hard nonce in common.
pub fn measure_unrelated(trial: &Trial, sample: &Sample, progress: &Progress<'_>) -> CheckSpeed {
    measure(trial, "checking, one of each hard nonce", &sample.unrelated(), &sample.parent, progress)
}

fn measure(
    trial: &Trial,
    what: &str,
    batches: &[Vec<&Announcement>],
    parent: &BlockHash,
    progress: &Progress<'_>,
) -> CheckSpeed {
    let (checked, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let (_, elapsed) = run(trial, what, progress, |number, over| {
        let mut checker = Checker::new(Rules::NEW_CHAIN);
        for batch in batches.iter().cycle().skip(number) {
            let to_check: Vec<_> =
                batch.iter().map(|announcement| AnnouncementToCheck { announcement, parent }).collect();
            let verdicts = checker.check(&to_check, ProofVersion::CURRENT);
            checked.fetch_add(verdicts.len() as u64, Relaxed);
            let faults = verdicts.iter().filter(|verdict| verdict.is_err()).count();
            refused.fetch_add(faults as u64, Relaxed);
            if over.load(Relaxed) {
                return;
            }
        }
    });
    CheckSpeed { checked: checked.into_inner(), refused: refused.into_inner(), elapsed }
}
