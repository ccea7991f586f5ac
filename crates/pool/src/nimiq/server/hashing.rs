//! The threads that compute the proofs of work of shares: the dear step of a check, after all cheap ones.
//!
//! The queue is bounded over all connections. Whoever finds it full waits, and a connection that waits does not read:
//! a backlog stays in the clients' sockets and never in this process (`docs/protocol/nimiq-pool.md` 1.6). Two headers that
//! wait together are hashed together, at less than twice the price of one.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use nimiq::ProofOfWork;
use nimiq::argon2d::Hasher;
use nimiq::header::HEADER_SIZE;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::metrics::{Metrics, Stage, StageTimes};
use crate::parts::Parts;

/// Headers that may wait for each thread: some milliseconds of work.
const WAITING_PER_THREAD: usize = 64;
/// Headers that one thread takes at once.
const TOGETHER: usize = 2;

/// The way to the threads; clones share them. They end when the last clone is dropped.
#[derive(Clone)]
pub struct Hashing {
    queue: Sender<Job>,
    places: Arc<Semaphore>,
    waiting: Gauge,
    times: StageTimes,
}

struct Job {
    header: [u8; HEADER_SIZE],
    answer: oneshot::Sender<ProofOfWork>,
    /// Given back when the job is done.
    _place: OwnedSemaphorePermit,
}

impl Hashing {
    /// Starts the threads.
    pub(crate) fn start(threads: NonZeroUsize, metrics: &Metrics, parts: &Parts) -> std::io::Result<Self> {
        let places = threads.get() * WAITING_PER_THREAD;
        let (queue, jobs) = crossbeam_channel::bounded(places);
        for _ in 0..threads.get() {
            let (jobs, guard) = (jobs.clone(), parts.guard());
            std::thread::Builder::new().name("hashing".to_owned()).spawn(move || {
                let _guard = guard;
                work(&jobs);
            })?;
        }
        Ok(Self {
            queue,
            places: Arc::new(Semaphore::new(places)),
            waiting: metrics
                .gauge("nimiq_hashing_queue_shares", "Shares whose proof of work is being computed"),
            times: metrics.stage(Stage::Check),
        })
    }

    /// The proof of work of a header, as soon as there is a place in the queue and a thread has come to it; `None` only
    /// when the threads are gone.
    pub async fn hash(&self, header: [u8; HEADER_SIZE]) -> Option<ProofOfWork> {
        let start = Instant::now();
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let (answer, proof_of_work) = oneshot::channel();
        self.waiting.inc();
        let sent = self.queue.try_send(Job { header, answer, _place: place });
        let proof_of_work = if sent.is_ok() { proof_of_work.await.ok() } else { None };
        self.waiting.dec();
        self.times.since(start);
        proof_of_work
    }
}

fn work(jobs: &Receiver<Job>) {
    let mut hasher = Hasher::new();
    while let Ok(first) = jobs.recv() {
        let mut taken = vec![first];
        taken.extend(jobs.try_iter().take(TOGETHER - 1));
        let proofs = hasher.hash_many(taken.iter().map(|job| &job.header));
        for (job, proof) in taken.into_iter().zip(proofs) {
            // The connection may have ended meanwhile; then nobody wants to know.
            let _ = job.answer.send(proof);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use tokio_util::sync::CancellationToken;

    fn hashing() -> std::io::Result<Hashing> {
        Hashing::start(NonZeroUsize::MIN, &Metrics::new(), &Parts::until(&CancellationToken::new()))
    }

    #[tokio::test]
    async fn every_header_gets_its_own_proof_of_work_however_many_wait() {
        let hashing = hashing().unwrap();
        let header = |number: u8| [number; HEADER_SIZE];
        let many = 3 * WAITING_PER_THREAD as u8;
        let found = join_all((0..many).map(|number| hashing.hash(header(number)))).await;
        let mut hasher = Hasher::new();
        for (number, proof) in (0..many).zip(found) {
            assert_eq!(proof, Some(hasher.hash(&header(number))), "header {number}");
        }
        assert_eq!(hashing.waiting.get(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_gives_up_leaves_its_place() {
        let hashing = hashing().unwrap();
        for number in 0..(2 * WAITING_PER_THREAD as u8) {
            let given_up =
                tokio::time::timeout(std::time::Duration::ZERO, hashing.hash([number; HEADER_SIZE]));
            let _ = given_up.await;
        }
        assert!(hashing.hash([0; HEADER_SIZE]).await.is_some());
    }
}
