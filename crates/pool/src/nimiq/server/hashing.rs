//! The threads that compute the proofs of work of shares: the dear step of a check, after all cheap ones.
//!
//! The queue is bounded over all connections. Whoever finds it full waits, and a connection that waits does not read:
//! a backlog stays in the clients' sockets and never in this process (`docs/protocol/nimiq-pool.md` 1.6). Two headers that
//! wait together are hashed together, at less than twice the price of one; and where many wait, a thread answers several at
//! once, since to wake a task costs as much as a tenth of a hash.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use nimiq::ProofOfWork;
use nimiq::argon2d::Hasher;
use nimiq::header::HEADER_SIZE;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::metrics::{BusyThreads, Metrics, Stage, StageTimes};
use crate::parts::Parts;

/// Headers that may wait for each thread: some milliseconds of work.
const WAITING_PER_THREAD: usize = 64;
/// The most headers that one thread takes, and answers, at once: less than a millisecond of work. Even, for they are hashed in
/// pairs.
const TOGETHER: usize = 16;

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
        let busy = metrics.busy_threads(threads.get());
        for _ in 0..threads.get() {
            let (jobs, busy, guard) = (jobs.clone(), busy.clone(), parts.guard());
            std::thread::Builder::new().name("hashing".to_owned()).spawn(move || {
                let _guard = guard;
                work(&jobs, threads, &busy);
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

fn work(jobs: &Receiver<Job>, threads: NonZeroUsize, busy: &BusyThreads) {
    let mut hasher = Hasher::new();
    let mut taken = Vec::with_capacity(TOGETHER);
    while let Ok(first) = jobs.recv() {
        taken.push(first);
        taken.extend(jobs.try_iter().take(part_of(jobs.len(), threads) - 1));
        let started = Instant::now();
        let proofs = hasher.hash_many(taken.iter().map(|job| &job.header));
        busy.since(started);
        for (job, proof) in taken.drain(..).zip(proofs) {
            // The connection may have ended meanwhile; then nobody wants to know.
            let _ = job.answer.send(proof);
        }
    }
}

/// How many one of the threads takes when so many wait behind the first: no more than its part, but always a pair.
fn part_of(waiting: usize, threads: NonZeroUsize) -> usize {
    let part = (waiting + 1) / threads;
    (part.next_multiple_of(2)).clamp(2, TOGETHER)
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

    #[test]
    fn a_thread_takes_pairs_and_leaves_the_others_their_part() {
        let part = |waiting, threads| part_of(waiting, NonZeroUsize::new(threads).unwrap());
        assert_eq!([part(0, 1), part(1, 1), part(2, 1), part(3, 1), part(500, 1)], [2, 2, 4, 4, TOGETHER]);
        assert_eq!([part(0, 8), part(15, 8), part(23, 8), part(31, 8)], [2, 2, 4, 4]);
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
