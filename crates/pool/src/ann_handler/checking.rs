//! The threads that deal with posts.
//!
//! A thread that is idle begins at once with the post that comes. What waits meanwhile, because all are busy, it takes
//! together: announcements of one hard nonce come in several posts, and cost least side by side. `round` says what
//! becomes of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::Receiver;
use hashbrown::HashSet;
use packetcrypt::check::GROUP_MIN;
use tokio::sync::oneshot;
use wire::announcement_post::PostHeaders;
use wire::{AnnsEvent, Refusal};

use super::round::Round;
use super::{Shared, hashing};
use crate::intake::Reservation;
use crate::listener::Client;
use crate::metrics::BusyThreads;

/// What came of a post.
pub(super) type Outcome = Result<AnnsEvent, Refusal>;

/// A post that has been read.
pub(super) struct Job {
    pub headers: PostHeaders,
    pub body: Bytes,
    /// The hash prefix of each announcement of the body.
    pub prefixes: Vec<u64>,
    pub client: Client,
    /// When the body was complete.
    pub received: Instant,
    pub reply: oneshot::Sender<Outcome>,
    /// Gives the body's bytes back to the budget.
    pub reservation: Reservation,
}

/// Works until the queue is closed and empty.
pub(super) fn work(shared: &Arc<Shared>, queue: &Receiver<Job>, busy: &BusyThreads) {
    let mut round = Round::new(shared);
    while let Ok(job) = queue.recv() {
        let mut jobs = if shared.conduct.skips_all() {
            // Also posts that are being dealt with are counted: their clients will soon send more.
            Gathering::TO_HASH.gather(job, queue, |gathered| shared.budget.held() > gathered)
        } else {
            Gathering::TO_CHECK.gather(job, queue, |_| shared.intake.coming() > 0)
        };
        shared.figures.waiting.set(queue.len() as i64);
        // Rule R-A10: a client that has gone will send its announcements again.
        jobs.retain(|job| !job.reply.is_closed());
        let started = Instant::now();
        round.deal_with(jobs);
        busy.since(started);
    }
}

/// How many posts are taken together.
#[derive(Debug, Clone, Copy)]
struct Gathering {
    posts: usize,
    /// Bytes of bodies from which on no more are taken.
    bytes: usize,
    /// Announcements of each hard nonce, in the mean, with which a round does not wait for posts that are being
    /// received; `None` where hard nonces do not matter.
    grouped_from: Option<usize>,
    /// How long it waits for them at most.
    time: Duration,
}

impl Gathering {
    /// Where no proof of work is checked hashing bodies is most of the work, and a full group costs as much as four one
    /// by one.
    const TO_HASH: Self =
        Self { posts: hashing::WIDE, bytes: usize::MAX, grouped_from: None, time: Duration::from_millis(20) };

    /// About 50 ms of checking, 450 ms if no hard nonce is repeated. A round waits only for what a miner will not notice.
    const TO_CHECK: Self =
        Self { posts: 64, bytes: 4 << 20, grouped_from: Some(GROUP_MIN), time: Duration::from_millis(20) };

    /// `are_coming` says whether more posts are to be expected than those of so many bytes that are gathered.
    fn gather(self, first: Job, queue: &Receiver<Job>, are_coming: impl Fn(usize) -> bool) -> Vec<Job> {
        let until = Instant::now() + self.time;
        let mut company = Company::default();
        let mut bytes = first.body.len();
        let mut is_grouped = self.grouped_from.map(|each| company.join(&first.body, each));
        let mut jobs = vec![first];
        while jobs.len() < self.posts && bytes < self.bytes {
            let waits = are_coming(bytes) && is_grouped != Some(true);
            // A closed queue ends the waiting.
            let next = if waits { queue.recv_deadline(until).ok() } else { queue.try_recv().ok() };
            let Some(job) = next else { break };
            bytes += job.body.len();
            is_grouped = self.grouped_from.map(|each| company.join(&job.body, each));
            jobs.push(job);
        }
        jobs
    }
}

/// The announcements gathered so far.
#[derive(Debug, Default)]
struct Company {
    announcements: usize,
    /// Hard nonces and the beginnings of Merkle roots.
    hard_nonces: HashSet<([u8; 4], [u8; 8])>,
}

impl Company {
    const HARD_NONCE: usize = 4;
    const MERKLE_ROOT: usize = 920;

    /// Takes in the announcements of a body; says whether there are now at least `each` of every hard nonce, in the mean.
    fn join(&mut self, body: &[u8], each: usize) -> bool {
        for announcement in body.as_chunks::<1024>().0 {
            self.announcements += 1;
            let hard_nonce = announcement[Self::HARD_NONCE..].first_chunk();
            let root = announcement[Self::MERKLE_ROOT..].first_chunk();
            self.hard_nonces.extend(hard_nonce.copied().zip(root.copied()));
        }
        self.announcements >= self.hard_nonces.len().saturating_mul(each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::ByteBudget;

    /// A post of announcements with these hard nonces.
    fn job(hard_nonces: &[u8]) -> Job {
        let body: Vec<u8> = hard_nonces
            .iter()
            .flat_map(|hard_nonce| {
                let mut announcement = [0; 1024];
                announcement[Company::HARD_NONCE] = *hard_nonce;
                announcement
            })
            .collect();
        let pay_to = "pkt1q5lhplx6swyfq6h7202u6lmfhw3ey26d7m5qm9w".parse().unwrap();
        Job {
            headers: PostHeaders { share_version: 1, work_number: 61, pay_to },
            body: body.into(),
            prefixes: Vec::new(),
            client: Client { address: [127, 0, 0, 1].into(), exempt: true },
            received: Instant::now(),
            reply: oneshot::channel().0,
            reservation: ByteBudget::new(0).reservation(),
        }
    }

    #[test]
    fn what_waits_is_taken_together_within_bounds() {
        let (sender, queue) = crossbeam_channel::unbounded();
        (0..100).for_each(|_| sender.send(job(&[1; 10])).unwrap());
        let never = Gathering { time: Duration::from_hours(24), ..Gathering::TO_CHECK };
        let first = || queue.recv().unwrap();
        let by_posts = never.gather(first(), &queue, |_| true);
        assert_eq!(by_posts.len(), 64);
        let by_bytes = Gathering { bytes: 25 << 10, ..never }.gather(first(), &queue, |_| true);
        assert_eq!(by_bytes.len(), 3);
        assert_eq!(never.gather(first(), &queue, |_| true).len(), 33, "grouped well: no waiting");
    }

    #[test]
    fn only_ungrouped_announcements_wait_and_only_for_what_comes() {
        let (sender, queue) = crossbeam_channel::unbounded();
        let forever = Gathering { time: Duration::from_hours(24), ..Gathering::TO_CHECK };
        assert_eq!(forever.gather(job(&[1, 2, 3]), &queue, |_| false).len(), 1, "nothing is coming");
        assert_eq!(forever.gather(job(&[5; 8]), &queue, |_| true).len(), 1, "grouped well");
        let sending = std::thread::spawn(move || {
            sender.send(job(&[1; 16])).unwrap();
            sender
        });
        assert_eq!(forever.gather(job(&[1, 2]), &queue, |_| true).len(), 2);
        drop(sending.join().unwrap());
        assert_eq!(
            forever.gather(job(&[1, 2]), &queue, |_| true).len(),
            1,
            "a closed queue ends the waiting"
        );
    }
}
