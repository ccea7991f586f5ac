//! The threads that find announcements: all on the same job, each on a hard nonce of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use packetcrypt::mine::{End, Miner};
use tracing::error;

use super::{Found, Job};
use crate::mining_threads::{Jobs, MiningThreads, Placement};

/// Pause of a thread whose job cannot be mined, before it looks for another one.
const AFTER_UNUSABLE_JOB: Duration = Duration::from_secs(1);

/// Hands out hard nonces: each one once, from a random start, so that two machines with the same job do not repeat
/// each other's work.
#[derive(Debug)]
pub struct HardNonces(AtomicU32);

impl HardNonces {
    /// From a random start.
    pub fn new() -> Self {
        Self(AtomicU32::new(rand::random()))
    }

    /// The next one.
    pub fn take(&self) -> u32 {
        self.0.fetch_add(1, Relaxed)
    }
}

/// What the threads have done since the start.
#[derive(Debug, Default)]
pub struct MiningCounts {
    /// Announcements found.
    pub found: AtomicU64,
    /// Hard nonces tried.
    pub hard_nonces: AtomicU64,
}

/// Starts the threads; they wait until there is a job. `found` is called in them.
pub fn start(
    placement: Placement,
    counts: Arc<MiningCounts>,
    found: impl Fn(Found) + Clone + Send + 'static,
) -> std::io::Result<MiningThreads<Job>> {
    let hard_nonces = Arc::new(HardNonces::new());
    MiningThreads::start("mine-ann", placement, move |_, jobs| mine(jobs, &hard_nonces, &counts, &found))
}

fn mine(jobs: &Jobs<Job>, hard_nonces: &HardNonces, counts: &MiningCounts, found: &impl Fn(Found)) {
    let mut miner = Miner::new();
    while let Some(assignment) = jobs.assignment() {
        let job = &assignment.job;
        let announce = |announcement| {
            counts.found.fetch_add(1, Relaxed);
            found(Found::new(announcement, Arc::clone(job)));
        };
        let header = job.header(0);
        let mined =
            miner.mine_chosen(&header, &job.parent, || hard_nonces.take(), assignment.over(), announce);
        counts.hard_nonces.fetch_add(1, Relaxed);
        if let End::Unusable(fault) = mined.end
            && !fault.is_of_this_hard_nonce_only()
        {
            error!("announcements cannot be mined: {fault}");
            std::thread::sleep(AFTER_UNUSABLE_JOB);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, num::NonZeroUsize, sync::mpsc};

    use packetcrypt::{
        BlockHash, CompactTarget, Height,
        check::{AnnouncementToCheck, Checker, ProofVersion, Rules},
    };

    use super::*;

    #[test]
    fn hard_nonces_are_handed_out_once_also_when_they_wrap() {
        let nonces = HardNonces(AtomicU32::new(u32::MAX - 1));
        let taken: HashSet<u32> = (0..4).map(|_| nonces.take()).collect();
        assert_eq!(taken, HashSet::from([u32::MAX - 1, u32::MAX, 0, 1]));
    }

    #[test]
    fn what_two_threads_find_is_valid_and_different() {
        let (sender, receiver) = mpsc::channel();
        let counts = Arc::new(MiningCounts::default());
        let placement = Placement::of(NonZeroUsize::new(2).unwrap());
        let threads = start(placement, Arc::clone(&counts), move |found| {
            let _ = sender.send(found);
        })
        .unwrap();
        let job = |height: u32| {
            Arc::new(Job {
                parent: BlockHash::from_internal([height as u8; 32]),
                parent_height: Height(height),
                target: CompactTarget(0x207f_ffff),
                signing_key: None,
            })
        };
        threads.set_job(Some(job(7)));
        let mut found: Vec<Found> = receiver.iter().take(20).collect();
        threads.set_job(Some(job(8)));
        found.extend(receiver.iter().skip_while(|found| found.job.parent_height == Height(7)).take(20));
        threads.stop();
        let mut checker = Checker::new(Rules::NEW_CHAIN);
        let to_check: Vec<AnnouncementToCheck<'_>> = found
            .iter()
            .map(|found| AnnouncementToCheck { announcement: &found.announcement, parent: &found.job.parent })
            .collect();
        for (verdict, found) in checker.check(&to_check, ProofVersion::CURRENT).iter().zip(&found) {
            assert!(verdict.is_ok(), "{verdict:?}");
            assert_eq!(found.announcement.parent_height(), found.job.parent_height);
            assert_eq!(found.announcement.announcement_hash(), found.hash);
        }
        let hashes: HashSet<u64> = found.iter().map(|found| found.hash.prefix()).collect();
        assert_eq!(hashes.len(), 40);
        assert!(counts.found.load(Relaxed) >= 40);
    }
}
