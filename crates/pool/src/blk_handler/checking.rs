//! Proofs of work are checked on threads of their own, behind a bounded queue, away from the network's threads.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use packetcrypt::block::check::{ProofChecker, Verdict};
use packetcrypt::block::share::{Share, ShareFault};
use packetcrypt::{BlockHash, Height};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::oneshot;

use super::BlkHandlerConfig;
use super::works::Work;
use crate::metrics::{Metrics, SECONDS};

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

/// More shares are waiting than the queue holds, or the threads have ended.
pub(super) struct Overloaded;

/// Threads that check shares. They end when this is dropped.
pub(super) struct CheckingThreads {
    jobs: Sender<Job>,
    waiting: Gauge,
}

impl CheckingThreads {
    pub(super) fn start(config: &BlkHandlerConfig, metrics: &Metrics) -> Result<Self, CheckingFault> {
        let (jobs, queue) = crossbeam_channel::bounded(config.checking_queue.max(1));
        let waiting = metrics.gauge("shares_waiting", "Shares waiting for their proof of work to be checked");
        let seconds =
            metrics.histogram("share_check_seconds", "Time to check a share's proof of work", SECONDS);
        for number in 0..config.checking_threads.max(1) {
            let (queue, waiting, seconds) = (queue.clone(), waiting.clone(), seconds.clone());
            let checker = ProofChecker::new(config.rules);
            std::thread::Builder::new()
                .name(format!("{}-check-{number}", config.name))
                .spawn(move || run(&queue, checker, &waiting, &seconds))
                .map_err(|error| CheckingFault { reason: error.to_string() })?;
        }
        Ok(Self { jobs, waiting })
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

fn run(queue: &Receiver<Job>, mut checker: ProofChecker, waiting: &Gauge, seconds: &Histogram) {
    for job in queue {
        waiting.dec();
        let started = Instant::now();
        let parent = |height| job.parents.iter().find(|(known, _)| *known == height).map(|(_, hash)| *hash);
        let verdict = job.share.check(&job.work.share_work(), &mut checker, parent);
        seconds.observe(started.elapsed().as_secs_f64());
        // Nobody waits any more where the handler has ended.
        let _ = job.answer.send(verdict);
    }
}
