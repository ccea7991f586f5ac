//! The threads that try low nonces, and what they do when a hash is low enough.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use packetcrypt::{
    CompactTarget,
    announcement::Announcement,
    block::{
        Header,
        check::{ProofChecker, ProofClaim, ProofFault},
        high_nonce::{CANDIDATES, cheapest},
        mine::{BlockJob, Find, SIDE_BY_SIDE},
    },
    check::Rules,
};
use tracing::{error, warn};
use wire::share_post::SharePost;

use super::{
    preparation::Prepared,
    share_upload::{FoundShare, ShareQueue},
    store::{ClassKey, Store},
};
use crate::{
    mining_threads::{Assignment, MiningThreads, Placement},
    pool_client::CurrentWork,
};

/// Attempts between two looks at whether there is something else to do: less than a millisecond.
const BATCH: u32 = SIDE_BY_SIDE;
/// Pause of a thread while there are as many unsent shares as can be kept.
const WHILE_FULL: Duration = Duration::from_millis(10);

/// Work with the commitment to a set of announcements in its coinbase.
#[derive(Debug)]
pub struct BlockMiningJob {
    /// The pool's work.
    pub work: CurrentWork,
    /// The announcements.
    pub prepared: Prepared,
    /// The header that goes with them; its nonce is each thread's own.
    pub header: Header,
    /// What a hash must meet to be of use.
    pub effective: CompactTarget,
}

/// What the threads share.
pub struct MiningShared {
    /// Attempts since the start.
    pub attempts: AtomicU64,
    /// Where shares go.
    pub shares: Arc<ShareQueue>,
    /// Where announcements come from, to ban those that are not valid.
    pub store: Arc<Mutex<Store>>,
    /// Set when the announcements that are mined with have turned out to contain one that is not valid.
    pub set_is_spoiled: AtomicBool,
}

/// Starts the threads; they wait until there is a job.
///
/// The high nonce of each thread is a random number of this process plus the thread's: so machines with the same set
/// and work do not repeat each other's attempts, and each thread starts at a random low nonce (6.3.5).
pub fn start(
    placement: Placement,
    shared: Arc<MiningShared>,
) -> std::io::Result<MiningThreads<BlockMiningJob>> {
    let miner_id: u32 = rand::random();
    MiningThreads::start("mine-blk", placement, move |number, jobs| {
        let mut thread = MiningThread {
            first_nonce: miner_id.wrapping_add(number as u32),
            threads: placement.threads.get() as u32,
            shared: &shared,
            checker: ProofChecker::new(Rules::NEW_CHAIN),
        };
        while let Some(assignment) = jobs.assignment() {
            thread.mine(&assignment);
        }
    })
}

struct MiningThread<'a> {
    first_nonce: u32,
    threads: u32,
    shared: &'a MiningShared,
    checker: ProofChecker,
}

impl MiningThread<'_> {
    /// Tries high nonces until there is something else to do, of some the one whose attempts take the least time.
    fn mine(&mut self, assignment: &Assignment<BlockMiningJob>) {
        let mut nonce = self.first_nonce;
        while !assignment.is_over() {
            let header = cheapest(&Header { nonce, ..assignment.job.header }, self.threads);
            self.mine_header(assignment, header);
            nonce = nonce.wrapping_add(CANDIDATES.wrapping_mul(self.threads));
        }
    }

    /// Tries all low nonces with one header.
    fn mine_header(&mut self, assignment: &Assignment<BlockMiningJob>, header: Header) {
        let job = &*assignment.job;
        let prepared = &job.prepared;
        let mut attempts = BlockJob::new(&header, &prepared.set, &*prepared.announcements, job.effective);
        let start: u32 = rand::random();
        let mut finds = Vec::new();
        for offset in (0..=u32::MAX).step_by(BATCH as usize) {
            while self.shared.shares.is_full() && !assignment.is_over() {
                std::thread::sleep(WHILE_FULL);
            }
            if assignment.is_over() {
                return;
            }
            attempts.attempt(start.wrapping_add(offset), BATCH, &mut finds);
            self.shared.attempts.fetch_add(BATCH.into(), Relaxed);
            for find in finds.drain(..) {
                self.take(job, header, &attempts, &find);
            }
        }
    }

    /// Checks what was found as the pool will, parents included, and hands it on.
    fn take(
        &mut self,
        job: &BlockMiningJob,
        header: Header,
        attempts: &BlockJob<'_, super::store::Chosen>,
        find: &Find,
    ) {
        let shares = &self.shared.shares;
        shares.counts().found();
        let commitment = job.prepared.set.commitment();
        let Some(proof) = attempts.proof(find) else {
            shares.counts().faulty();
            return;
        };
        let claim =
            ProofClaim { header: &header, proof: &proof, commitment: &commitment, height: job.work.height };
        let parents = job.prepared.parents();
        match self.checker.check_share(&claim, job.work.share_target, |height| parents.get(&height).copied())
        {
            Ok(_) => {
                let post = SharePost { commitment, header, proof };
                shares.add(FoundShare { work: Arc::clone(&job.work), post, repeated: false });
            }
            Err(fault) => {
                shares.counts().faulty();
                self.handle_fault(&fault, &proof.announcements);
            }
        }
    }

    fn handle_fault(&self, fault: &ProofFault, announcements: &[Announcement]) {
        if let ProofFault::Announcement { position, .. } = fault
            && let Some(announcement) = announcements.get(*position)
        {
            warn!("an announcement in a share is not valid and is not mined with any more: {fault}");
            let key = ClassKey::new(announcement.parent_height(), announcement.work_bits());
            let mut store = self.shared.store.lock().unwrap_or_else(PoisonError::into_inner);
            store.ban(key, announcement.announcement_hash());
            self.shared.set_is_spoiled.store(true, Relaxed);
        } else {
            // Nothing from outside can cause this: bad memory, or a defect here.
            error!("a share that was found here does not pass the check: {fault}");
        }
    }
}
