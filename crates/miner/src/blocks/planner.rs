//! Decides what the threads mine: with which announcements, when to build the next tree, and when it pays to change.
//!
//! New work is mined at once with the best tree there is, if need be the one of the work before: a tree does not know of
//! headers and heights. While a block is mined, the tree for the next height is built beside it, so that it is ready when
//! the work arrives. If so many announcements have come that the best choice would be a good deal better, mining changes
//! to it without waiting for new work (rule R-B2). Where memory is full, what is mined with cannot give way to what is
//! better; so mining changes to a set with what is better in it, also if that alone would not pay.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use packetcrypt::block::selection::Score;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use wire::work::WorkId;

use super::{
    mining::{BlockMiningJob, MiningShared},
    preparation::{Prepared, potential},
    status::BlockStatus,
    store::Store,
    tree_builder::TreeBuilder,
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
    builder: TreeBuilder,
    /// What was built last and is not mined with yet.
    next: Option<Prepared>,
    /// Whether the best set is to be mined with even if it is no better than the present one, so that others give way.
    make_room: bool,
    /// The work of the last step.
    work: Option<WorkId>,
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
            builder: TreeBuilder::new(Arc::clone(&shared.store), most),
            shared,
            threads,
            most,
            current: Arc::default(),
            next: None,
            make_room: false,
            work: None,
        }
    }

    /// What is mined, for the status.
    pub fn current(&self) -> CurrentJob {
        Arc::clone(&self.current)
    }

    /// Plans until `shutdown`.
    pub async fn run(mut self, mut works: watch::Receiver<Option<CurrentWork>>, shutdown: CancellationToken) {
        let built = self.builder.finished();
        loop {
            let work = works.borrow_and_update().clone();
            // Giving back the memory of what has expired takes some time of a processor.
            let step = tokio::task::spawn_blocking(move || {
                self.step(work.as_ref());
                self
            });
            let Ok(planner) = step.await else { return };
            self = planner;
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = works.changed() => {}
                () = built.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Looks at everything once, and changes what should be changed. Never waits for a tree.
    pub fn step(&mut self, work: Option<&CurrentWork>) {
        let Some(work) = work else { return };
        let view = self.pool.view();
        let no_chain = KnownChain::default();
        let chain = view.as_ref().map_or(&no_chain, |view| &view.chain);
        {
            let mut store = self.lock_store();
            store.set_chain(work.height, chain);
            let want_of_room = store.take_want_of_room();
            drop(store);
            self.make_room |= want_of_room;
        }
        if self.work.replace(work.id()) != Some(work.id()) {
            self.builder.end_rest();
        }
        self.next = self.builder.take_finished().or(self.next.take()).filter(|next| next.is_on(chain));

        let mut current = self.current_job();
        if self.shared.set_is_spoiled.swap(false, Relaxed) {
            // Whatever was built so far may contain the announcement that is not valid.
            (current, self.next) = (None, None);
        }
        let current = current.filter(|job| job.prepared.is_on(chain));
        match current {
            Some(job) if job.work.id() == work.id() => self.change_if_better(work, &job),
            before => self.mine_new_work(work, before.map(|job| job.prepared.clone())),
        }
        self.build_what_is_worth_it(work);
    }

    /// Mines work with the best there is: what was built for it, or what was mined with before.
    fn mine_new_work(&mut self, work: &CurrentWork, before: Option<Prepared>) {
        let before = before.and_then(|before| before.at(work.height));
        let next = self.next.as_ref().and_then(|next| next.at(work.height));
        let best = match (before, next) {
            (Some(before), Some(next)) if next.score < before.score => Some(before),
            (before, next) => next.or(before),
        };
        self.mine(work, best);
    }

    /// Changes to what was built meanwhile for this height, if that pays or makes room.
    fn change_if_better(&mut self, work: &CurrentWork, job: &BlockMiningJob) {
        let Some(next) = self.next.take_if(|next| next.height == work.height) else { return };
        let makes_room = std::mem::take(&mut self.make_room) && next.score >= job.prepared.score;
        if makes_room || is_worth(WORTH_CHANGING, next.score, &job.prepared) {
            self.mine(work, Some(next));
        }
    }

    fn mine(&mut self, work: &CurrentWork, prepared: Option<Prepared>) {
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
                Some(Arc::new(BlockMiningJob { work: Arc::clone(work), prepared, header, effective }))
            }
            Err(fault) => {
                self.trouble.happened(fault);
                None
            }
        }
    }

    /// Lets a tree be built for this work if a much better one is possible, else for the next height.
    fn build_what_is_worth_it(&mut self, work: &CurrentWork) {
        if !self.builder.is_free() {
            return;
        }
        let now = potential(&self.store, work.height, self.most);
        let Some(job) = self.current_job() else {
            if now > Score::ZERO {
                self.builder.start(work.height);
            }
            return;
        };
        if !self.builder.has_rested() {
            return;
        }
        if self.make_room || is_worth(WORTH_CHANGING, now, &job.prepared) {
            self.builder.start(work.height);
        } else if let Some(height) = work.height.checked_add(1) {
            let next = self.next.as_ref().or(Some(&job.prepared)).and_then(|next| next.at(height));
            let then = potential(&self.store, height, self.most);
            if then > Score::ZERO && next.is_none_or(|next| is_worth(WORTH_PREPARING, then, &next)) {
                self.builder.start(height);
            }
        }
    }

    fn current_job(&self) -> Option<Arc<BlockMiningJob>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock_store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a score is more than so many tenths of what there is.
fn is_worth(tenths: u64, score: Score, present: &Prepared) -> bool {
    score * Score::from(10) > present.score * Score::from(tenths)
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
