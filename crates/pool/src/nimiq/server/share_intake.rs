//! The way of one share, cheapest step first (`docs/protocol/nimiq-pool.md` 1.6): weighed, looked up, hashed, judged, entered,
//! written to disk. Only then does it count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ledger::UnixMillis;
use ledger::nimiq::NewShare;
use nimiq::Block;
use nimiq::share::Refusal;
use tokio::sync::watch;
use wire::nimiq::Share;

use super::board::Board;
use super::clock;
use super::journal;
use super::role::Shared;
use super::session::{Candidate, FoundBlock, GoodShare, Session, Weighing};
use super::share_budget::FarBeyond;
use crate::listener::Client;
use crate::outbox::OutboxError;

/// Pause while the disk has no room in its queue; the client is not read meanwhile.
const DISK_PAUSE: Duration = Duration::from_millis(20);
/// Numbers that each millisecond has, so that those of a later start are greater.
const NUMBERS_PER_MILLI_BITS: u32 = 20;

/// Why a share does not count.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// It is not good.
    Refused(Refusal),
    /// It is good, and the server failed.
    Failed,
    /// Its address is too far in debt for it to be looked at.
    TooMany,
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Numbers of shares on this server: greater with each start, as long as the clock is not set back before the last share.
#[derive(Debug)]
pub(super) struct ShareNumbers(AtomicU64);

impl ShareNumbers {
    /// Above `last`, which an earlier run has used, at `now`.
    pub(super) fn new(last: u64, now: UnixMillis) -> Self {
        let by_clock = now.0.min(i64::MAX as u64 >> NUMBERS_PER_MILLI_BITS) << NUMBERS_PER_MILLI_BITS;
        Self(AtomicU64::new(by_clock.max(last.saturating_add(1))))
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Takes a share of a session, or says why not. A block in it is on its way to the node before anything else.
pub(super) async fn take(
    shared: &Shared,
    client: Client,
    session: &Session,
    board: &mut watch::Receiver<std::sync::Arc<Board>>,
    share: &Share,
) -> Result<(), NotTaken> {
    let candidates = weigh(shared, session, board, share).await?;
    // It was on the head when it came: however long it waits now, it is not late.
    let paid = shared.budget.enter(client, &shared.shutdown).await.map_err(|FarBeyond| NotTaken::TooMany)?;
    let proved = prove(shared, session, share, &candidates).await;
    if matches!(proved, Err(NotTaken::Refused(Refusal::InvalidProofOfWork))) {
        shared.budget.wasted(client, paid);
    }
    let (candidate, good) = proved?;
    let entering = Instant::now();
    let is_new = shared.seen.enter(good.previous, good.hash);
    shared.figures.duplicate.since(entering);
    if !is_new {
        return Err(Refusal::Duplicate.into());
    }
    match good.block {
        FoundBlock::Whole(ref block) => submit(shared, block),
        FoundBlock::WithoutBody => {
            shared.figures.without_body.inc();
            tracing::warn!(hash = %good.hash, "a share was a block, but its client kept the body");
        }
        FoundBlock::None => {}
    }
    let storing = Instant::now();
    if let Err(failed) = write_down(shared, session, candidate, &good).await {
        shared.seen.forget(good.previous, &good.hash);
        return Err(failed);
    }
    shared.figures.store.since(storing);
    shared.figures.accepted(session.mode(), good.weight);
    Ok(())
}

/// Steps 2 to 5. A share on a head that is not known here yet waits until the node has been asked.
async fn weigh(
    shared: &Shared,
    session: &Session,
    board: &mut watch::Receiver<std::sync::Arc<Board>>,
    share: &Share,
) -> Result<Vec<Candidate>, Refusal> {
    for may_wait in [true, false] {
        let present = board.borrow().clone();
        match session.weigh(share, &present, clock::timestamp())? {
            Weighing::Hash(candidates) => return Ok(candidates),
            Weighing::UnknownHead { previous } if may_wait => {
                // A question to the node is large and rare: its memory is not part of every share's.
                Box::pin(shared.unknown_heads.wait_for(previous, &mut board.clone())).await?;
            }
            Weighing::UnknownHead { .. } => break,
        }
    }
    Err(Refusal::BadPrevious)
}

/// Steps 6 to 9: the first of the candidates that is good.
async fn prove<'c>(
    shared: &Shared,
    session: &Session,
    share: &Share,
    candidates: &'c [Candidate],
) -> Result<(&'c Candidate, GoodShare), NotTaken> {
    let mut refusal = Refusal::Expired;
    for candidate in candidates {
        if shared.seen.contains(candidate.header.previous, &candidate.hash) {
            refusal = Refusal::Duplicate;
            continue;
        }
        let header = candidate.header.to_bytes();
        let proof_of_work = shared.hashing.hash(header).await.ok_or(NotTaken::Failed)?;
        match session.judge(share, candidate, &proof_of_work) {
            Ok(good) => return Ok((candidate, good)),
            Err(reason) => refusal = reason,
        }
    }
    Err(refusal.into())
}

fn submit(shared: &Shared, block: &Block) {
    shared.submissions.submit(block.clone());
}

/// What is on disk counts, whatever happens to this process. What is not does not, and its client hears that: a disk that
/// is full takes nothing, and takes shares again as soon as there is room.
async fn write_down(
    shared: &Shared,
    session: &Session,
    candidate: &Candidate,
    good: &GoodShare,
) -> Result<(), NotTaken> {
    let share = NewShare {
        server_sequence: shared.numbers.next(),
        address: session.address(),
        device: session.device().0,
        previous_block: good.previous,
        hash: good.hash,
        weight: good.weight,
        accepted_at: clock::unix_millis(),
    };
    loop {
        let record = journal::to_record(&share, candidate.header.height);
        match shared.outbox.append(record).await {
            Ok(()) => {
                shared.disk_works();
                return Ok(());
            }
            Err(OutboxError::Full) => tokio::time::sleep(DISK_PAUSE).await,
            Err(error) => {
                shared.figures.not_stored.inc();
                shared.disk_fails(&error);
                return Err(NotTaken::Failed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_over_restarts_whatever_the_clock_says() {
        let first = ShareNumbers::new(0, UnixMillis(1_800_000_000_000));
        let last = (0..5).map(|_| first.next()).last().unwrap();
        assert!(ShareNumbers::new(last, UnixMillis(1_800_000_000_001)).next() > last);
        assert_eq!(ShareNumbers::new(last, UnixMillis(5)).next(), last + 1);
        assert!(i64::try_from(ShareNumbers::new(0, UnixMillis(u64::MAX)).next()).is_ok());
    }
}
