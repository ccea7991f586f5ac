//! Decides what is mined: which announcements, when to build the next tree, and when it pays to change.
//!
//! While a block is mined, the tree for the next height is built beside it, so that it is ready when the work arrives.
//! If so many announcements have come that the best choice would be a good deal better, mining changes to it without
//! waiting for new work (rule R-B2).

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use packetcrypt::block::selection::Score;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    mining::{BlockMiningJob, MiningShared},
    preparation::{Prepared, potential, prepare},
    status::BlockStatus,
    store::Store,
};
use crate::{
    mining_threads::MiningThreads,
    pool_client::{CurrentWork, FollowedPool, KnownChain},
    trouble::Trouble,
};

/// How often the announcements are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Mining changes to a better choice if its score is more than this many tenths of the present one.
const WORTH_CHANGING: u64 = 12;
/// The tree for the next height is built again if the choice's score is more than this many tenths of the built one.
const WORTH_PREPARING: u64 = 11;
/// After a tree was built, this many times as long passes before another one is built for the same work.
const REST: u32 = 10;

/// What is mined now, as others may see it.
pub type CurrentJob = Arc<Mutex<Option<Arc<BlockMiningJob>>>>;

/// The planner, and what it decides about.
pub struct Planner {
    pool: FollowedPool,
    store: Arc<Mutex<Store>>,
    shared: Arc<MiningShared>,
    threads: Arc<MiningThreads<BlockMiningJob>>,
    most: u64,
    current: CurrentJob,
    next: Option<Prepared>,
    rest_until: Instant,
    trouble: Trouble,
}

impl Planner {
    /// Lets `threads` mine with at most `most` announcements of the store.
    pub fn new(
        pool: FollowedPool,
        shared: Arc<MiningShared>,
        threads: Arc<MiningThreads<BlockMiningJob>>,
        most: u64,
    ) -> Self {
        Self {
            trouble: Trouble::with(format!("pool {}", pool.url())),
            pool,
            store: Arc::clone(&shared.store),
            shared,
            threads,
            most,
            current: Arc::default(),
            next: None,
            rest_until: Instant::now(),
        }
    }

    /// What is mined, for the status.
    pub fn current(&self) -> CurrentJob {
        Arc::clone(&self.current)
    }

    /// Plans until `shutdown`.
    pub async fn run(mut self, mut works: watch::Receiver<Option<CurrentWork>>, shutdown: CancellationToken) {
        loop {
            let work = works.borrow_and_update().clone();
            // Building a tree takes the time of a processor.
            let step = tokio::task::spawn_blocking(move || {
                self.step(work.as_ref());
                self
            });
            let Ok(planner) = step.await else { return };
            self = planner;
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = works.changed() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Looks at everything once, and changes what should be changed.
    pub fn step(&mut self, work: Option<&CurrentWork>) {
        let Some(work) = work else { return };
        let view = self.pool.view();
        let no_chain = KnownChain::default();
        let chain = view.as_ref().map_or(&no_chain, |view| &view.chain);
        self.lock_store().set_chain(work.height, chain);
        self.next = self.next.take().filter(|next| next.is_on(chain));

        let current = self.current_job();
        let same_work = current.as_ref().filter(|job| job.work.id() == work.id());
        match same_work {
            None => self.mine_new_work(work),
            Some(job) if self.must_change(job, chain) => self.mine_new_work(work),
            Some(_) if Instant::now() < self.rest_until => {}
            Some(job) if self.is_worth(WORTH_CHANGING, &job.prepared, job.work.height) => {
                self.mine_new_work(work);
            }
            Some(job) => self.prepare_next(job),
        }
    }

    /// Whether the announcements that are mined with turned out to be of no use.
    fn must_change(&self, job: &BlockMiningJob, chain: &KnownChain) -> bool {
        self.shared.set_is_spoiled.swap(false, Relaxed) || !job.prepared.is_on(chain)
    }

    fn is_worth(&self, tenths: u64, present: &Prepared, height: packetcrypt::Height) -> bool {
        potential(&self.store, height, self.most) * Score::from(10) > present.score * Score::from(tenths)
    }

    /// Takes the prepared announcements if they are for this height and still the best, else makes a new choice.
    fn mine_new_work(&mut self, work: &CurrentWork) {
        let ready = self.next.take().filter(|next| next.height == work.height);
        let prepared = match ready {
            Some(ready) if !self.is_worth(WORTH_CHANGING, &ready, work.height) => Some(ready),
            _ => self.prepare(work.height),
        };
        let job = prepared.and_then(|prepared| self.job(work, prepared));
        if let Some(job) = &job {
            let commitment = job.prepared.set.commitment();
            info!(
                height = %work.height, announcements = commitment.count.get(),
                least_work = %commitment.least_work, target = %job.effective, "mining a block"
            );
            self.lock_store().drop_worse_than_quarter_of(commitment.least_work.compact());
        }
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&job);
        self.threads.set_job(job);
    }

    fn job(&mut self, work: &CurrentWork, prepared: Prepared) -> Option<Arc<BlockMiningJob>> {
        match work.committed(&prepared.set.commitment()) {
            Ok((_, header)) => {
                self.trouble.over();
                let effective = prepared.set.effective_target(work.share_target, work.header.bits);
                let prepared = Arc::new(prepared);
                Some(Arc::new(BlockMiningJob { work: Arc::clone(work), prepared, header, effective }))
            }
            Err(fault) => {
                self.trouble.happened(fault);
                None
            }
        }
    }

    fn prepare_next(&mut self, job: &BlockMiningJob) {
        let Some(height) = job.work.height.checked_add(1) else { return };
        let outdated = match &self.next {
            Some(next) => next.height != height || self.is_worth(WORTH_PREPARING, next, height),
            None => true,
        };
        if outdated && potential(&self.store, height, self.most) > Score::ZERO {
            self.next = self.prepare(height);
        }
    }

    fn prepare(&mut self, height: packetcrypt::Height) -> Option<Prepared> {
        let began = Instant::now();
        let prepared = prepare(&self.store, height, self.most);
        let took = began.elapsed();
        self.rest_until = Instant::now() + took * REST;
        if let Some(prepared) = &prepared {
            debug!(%height, announcements = prepared.set.commitment().count.get(), ?took, "tree built");
        }
        prepared
    }

    fn current_job(&self) -> Option<Arc<BlockMiningJob>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock_store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what is mined into a status.
pub fn describe(current: &CurrentJob, status: &mut BlockStatus) {
    let Some(job) = current.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return };
    let commitment = job.prepared.set.commitment();
    let (least_work, count) = (commitment.least_work.compact(), commitment.count.get());
    status.height = Some(job.work.height.0);
    status.announcements_in_set = count;
    status.least_work = Some(least_work.0);
    status.multiplier = packetcrypt::target::hash_rate_multiplier(least_work, count);
}

#[cfg(test)]
mod tests;
