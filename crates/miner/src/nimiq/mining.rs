//! The threads that try nonces: all on the same job, each on portions of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nimiq::argon2d::Hasher;
use nimiq::{Header, ProofOfWork, Timestamp};
use tokio::sync::mpsc;

use super::job::{Job, Nonces, Portion};
use crate::mining_threads::{Assignment, MiningThreads, Placement};

/// Shares that wait for the connection.
const MOST_WAITING: usize = 64;
/// Pause of a thread that has nothing to do but to wait for another job, or for room for its share.
const PAUSE: Duration = Duration::from_millis(5);

/// A header that meets its job's target.
#[derive(Debug)]
pub struct Found {
    /// What was mined.
    pub job: Arc<Job>,
    /// The header.
    pub header: Header,
    /// Its proof of work.
    pub proof_of_work: ProofOfWork,
}

impl Found {
    /// Whether it is a block in the network's eyes.
    pub fn is_block(&self) -> bool {
        self.job.network_target().target().is_met_by(&self.proof_of_work)
    }
}

/// What the threads share.
#[derive(Debug, Default)]
pub struct MiningShared {
    /// Hashes since the start.
    pub hashes: AtomicU64,
    /// Which nonces come next.
    pub nonces: Nonces,
    /// Shares whose job was over before there was room for them.
    pub outdated: AtomicU64,
}

/// Starts the threads; they wait until there is a job. What they find comes out of the channel; where that is full, they
/// wait.
pub fn start(
    placement: Placement,
    shared: Arc<MiningShared>,
) -> std::io::Result<(MiningThreads<Job>, mpsc::Receiver<Found>)> {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    let threads = MiningThreads::start("mine-nimiq", placement, move |_, jobs| {
        let mut hasher = Hasher::new();
        while let Some(assignment) = jobs.assignment() {
            mine(&assignment, &shared, &mut hasher, &sender);
        }
    })?;
    Ok((threads, receiver))
}

/// Tries one portion after the other until there is something else to do.
fn mine(
    assignment: &Assignment<Job>,
    shared: &MiningShared,
    hasher: &mut Hasher,
    sender: &mpsc::Sender<Found>,
) {
    while !assignment.is_over() {
        let Some(portion) = assignment.job.portion(&shared.nonces, now()) else {
            std::thread::sleep(PAUSE);
            continue;
        };
        shared.hashes.fetch_add(portion.nonces.clone().count() as u64, Relaxed);
        try_portion(&portion, assignment, hasher, |header, proof_of_work| {
            let share = Found { job: Arc::clone(&assignment.job), header, proof_of_work };
            if !hand_over(share, assignment, sender) {
                shared.outdated.fetch_add(1, Relaxed);
            }
        });
    }
}

/// Calls `found` with every header of the portion that meets the job's target.
fn try_portion(
    portion: &Portion,
    assignment: &Assignment<Job>,
    hasher: &mut Hasher,
    mut found: impl FnMut(Header, ProofOfWork),
) {
    let (bytes, target, last) = (portion.header_bytes(), assignment.job.target(), *portion.nonces.end());
    let mut rest = portion.nonces.clone();
    while let Some((nonce, proof_of_work)) = hasher.mine(&bytes, rest, target) {
        found(Header { nonce, ..portion.header }, proof_of_work);
        if nonce == last {
            return;
        }
        rest = nonce + 1..=last;
    }
}

/// Waits for room, unless there is something else to do meanwhile: then the share is worth nothing any more, and this
/// says so.
fn hand_over(mut share: Found, assignment: &Assignment<Job>, sender: &mpsc::Sender<Found>) -> bool {
    while let Err(mpsc::error::TrySendError::Full(back)) = sender.try_send(share) {
        if assignment.is_over() {
            return false;
        }
        share = back;
        std::thread::sleep(PAUSE);
    }
    true
}

/// The clock's time as blocks have it.
pub fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp(u32::try_from(seconds).unwrap_or(u32::MAX))
}
