//! Proofs of work are checked on threads of their own, behind a bounded queue, away from the network's threads.
//!
//! A thread that is idle begins at once with the share that comes; what waits meanwhile, because all are busy, it takes
//! together. Shares together cost less than one after the other, and the programs of the hard nonces behind their
//! announcements are kept for all threads.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use packetcrypt::backend::Backend;
use packetcrypt::block::check::{ProofChecker, ShareClaim, Verdict};
use packetcrypt::block::share::{Share, ShareFault};
use packetcrypt::check::{Checker, ProgramCache, Rules};
use packetcrypt::{BlockHash, Height};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use super::BlkHandlerConfig;
use super::works::Work;
use crate::metrics::{BusyThreads, Metrics, Stage, StageTimes};
use crate::parts::Parts;

/// Shares that one thread checks together: their 64 announcements fill the lanes.
const SHARES_AT_ONCE: usize = 16;
/// Hard nonces whose programs are kept, about 40 KiB each.
const PROGRAMS_KEPT: usize = 1024;

/// Hashes of announcements' parents.
pub(super) type Parents = Vec<(Height, BlockHash)>;

/// The threads cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("a thread that checks shares cannot be started: {reason}")]
pub struct CheckingFault {
    /// What the system says.
    reason: String,
}

/// A share to be checked.
struct Job {
    share: Arc<Share>,
    work: Arc<Work>,
    parents: Parents,
    answer: oneshot::Sender<Result<Verdict, ShareFault>>,
}

impl Job {
    fn parent(&self, height: Height) -> Option<BlockHash> {
        self.parents.iter().find(|(known, _)| *known == height).map(|(_, hash)| *hash)
    }
}

/// What the threads have in common.
#[derive(Clone)]
struct Shared {
    programs: Arc<ProgramCache>,
    waiting: Gauge,
    programs_kept: Gauge,
    times: StageTimes,
}

/// More shares are waiting than the queue holds, or the threads have ended.
pub(super) struct Overloaded;

/// Threads that check shares. They end when this is dropped.
pub(super) struct CheckingThreads {
    jobs: Sender<Job>,
    waiting: Gauge,
}

impl CheckingThreads {
    pub(super) fn start(
        config: &BlkHandlerConfig,
        metrics: &Metrics,
        parts: &Parts,
    ) -> Result<Self, CheckingFault> {
        let (jobs, queue) = crossbeam_channel::bounded(config.checking_queue.max(1));
        let shared = Shared {
            programs: Arc::new(ProgramCache::new(PROGRAMS_KEPT)),
            waiting: metrics.gauge("shares_waiting", "Shares waiting for their proof of work to be checked"),
            programs_kept: metrics.gauge(
                "hard_nonces_kept",
                "Hard nonces whose programs are kept, about 40 KiB each, at most 1024",
            ),
            times: metrics.stage(Stage::Check),
        };
        let threads = config.checking_threads.max(1);
        let busy = metrics.busy_threads(threads);
        for number in 0..threads {
            let busy = busy.clone();
            let (queue, shared, rules) = (queue.clone(), shared.clone(), config.rules);
            let guard = parts.guard();
            std::thread::Builder::new()
                .name(format!("{}-check-{number}", config.name))
                .spawn(move || {
                    let _guard = guard;
                    shared.run(&queue, rules, &busy);
                })
                .map_err(|error| CheckingFault { reason: error.to_string() })?;
        }
        Ok(Self { jobs, waiting: shared.waiting })
    }

    /// Has a share checked.
    pub(super) async fn check(
        &self,
        share: Arc<Share>,
        work: Arc<Work>,
        parents: Parents,
    ) -> Result<Result<Verdict, ShareFault>, Overloaded> {
        let (answer, answered) = oneshot::channel();
        match self.jobs.try_send(Job { share, work, parents, answer }) {
            Ok(()) => self.waiting.inc(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Overloaded),
        };
        answered.await.map_err(|_| Overloaded)
    }
}

impl Shared {
    /// Checks shares until the queue is closed and empty.
    fn run(&self, queue: &Receiver<Job>, rules: Rules, busy: &BusyThreads) {
        let programs = Arc::clone(&self.programs);
        let checker = Checker::with_programs(rules, Backend::chosen(), programs);
        let mut checker = ProofChecker::of(checker);
        while let Ok(job) = queue.recv() {
            let mut jobs = vec![job];
            jobs.extend(queue.try_iter().take(SHARES_AT_ONCE - 1));
            self.waiting.dec_by(jobs.len() as i64);
            let started = Instant::now();
            self.check(jobs, &mut checker);
            busy.since(started);
            self.programs_kept.set(self.programs.figures().kept as i64);
        }
    }

    fn check(&self, jobs: Vec<Job>, checker: &mut ProofChecker) {
        let started = Instant::now();
        let parents: Vec<_> = jobs.iter().map(|job| |height| job.parent(height)).collect();
        let claims: Vec<ShareClaim<'_>> = jobs
            .iter()
            .zip(&parents)
            .map(|(job, parent)| job.share.claim(&job.work.share_work(), parent))
            .collect();
        let verdicts = checker.check_shares(&claims);
        // Each share has taken as long as those that were checked with it.
        let time = started.elapsed();
        for (job, verdict) in jobs.into_iter().zip(verdicts) {
            self.times.took(time);
            // Nobody waits any more where the handler has ended.
            let _ = job.answer.send(verdict.map_err(ShareFault::from));
        }
    }
}
