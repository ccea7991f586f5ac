//! Announcements on their way to one handler: an open batch, and the closed ones that wait.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use tokio::time::{Duration, Instant};
use wire::announcement_post::MAX_ANNOUNCEMENTS_OF_A_MINER;

use crate::announcements::{Found, Job};

/// Announcements of one post: all on the same parent block.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Their common job.
    pub job: Arc<Job>,
    /// Their bytes, one after the other.
    pub body: Bytes,
    /// How many there are.
    pub announcements: u64,
    /// Its place in the order of closing: greater is newer.
    pub number: u64,
    /// Whether it was sent before (rule R-N2: at most two times).
    pub repeated: bool,
}

/// The batch of a handler that is being filled.
#[derive(Debug)]
pub struct OpenBatch {
    oldest_age: Duration,
    open: Option<Filling>,
    next_number: u64,
}

#[derive(Debug)]
struct Filling {
    job: Arc<Job>,
    bytes: Vec<u8>,
    announcements: usize,
    closes_at: Instant,
}

impl OpenBatch {
    /// A batch is closed at the latest `oldest_age` after its first announcement (rule R-N1).
    pub fn new(oldest_age: Duration) -> Self {
        Self { oldest_age, open: None, next_number: 0 }
    }

    /// Adds an announcement. The result: batches that this closed, because they are full or because the
    /// announcement has another parent; of whatever height, none is thrown away (rule R-N3).
    pub fn add(&mut self, found: &Found, now: Instant) -> impl Iterator<Item = Batch> + use<> {
        let other_parent = self.open.as_ref().is_some_and(|open| open.job.parent != found.job.parent);
        let before = if other_parent { self.close() } else { None };
        let open = self.open.get_or_insert_with(|| Filling {
            job: Arc::clone(&found.job),
            bytes: Vec::new(),
            announcements: 0,
            closes_at: now + self.oldest_age,
        });
        open.bytes.extend_from_slice(found.announcement.as_bytes());
        open.announcements += 1;
        let full = open.announcements >= MAX_ANNOUNCEMENTS_OF_A_MINER;
        let after = if full { self.close() } else { None };
        before.into_iter().chain(after)
    }

    /// When the open batch has to be closed; `None` if nothing is open.
    pub fn closes_at(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.closes_at)
    }

    /// Closes the open batch, if there is one.
    pub fn close(&mut self) -> Option<Batch> {
        let open = self.open.take()?;
        self.next_number += 1;
        Some(Batch {
            job: open.job,
            body: Bytes::from(open.bytes),
            announcements: open.announcements as u64,
            number: self.next_number,
            repeated: false,
        })
    }
}

/// Closed batches, newest first out; the oldest is dropped when there are too many.
#[derive(Debug)]
pub struct WaitingBatches {
    most: usize,
    batches: BTreeMap<u64, Batch>,
}

impl WaitingBatches {
    /// At most `most` batches wait.
    pub fn new(most: usize) -> Self {
        Self { most, batches: BTreeMap::new() }
    }

    /// Adds a batch. The result: the one that is dropped for it.
    #[must_use]
    pub fn add(&mut self, batch: Batch) -> Option<Batch> {
        self.batches.insert(batch.number, batch);
        if self.batches.len() > self.most { self.batches.pop_first().map(|(_, oldest)| oldest) } else { None }
    }

    /// The newest batch.
    pub fn take_newest(&mut self) -> Option<Batch> {
        self.batches.pop_last().map(|(_, newest)| newest)
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use packetcrypt::{Announcement, BlockHash, CompactTarget, Height};

    use super::*;

    const AGE: Duration = Duration::from_secs(10);

    fn job(height: u32, branch: u8) -> Arc<Job> {
        Arc::new(Job {
            parent: BlockHash::from_internal([branch; 32]),
            parent_height: Height(height),
            target: CompactTarget(0x207f_ffff),
            signing_key: None,
        })
    }

    fn found(job: &Arc<Job>, number: u32) -> Found {
        let mut bytes = [0; 1024];
        bytes[4..8].copy_from_slice(&number.to_le_bytes());
        Found::new(Announcement::from_bytes(&bytes), Arc::clone(job))
    }

    #[test]
    fn a_full_batch_is_closed() {
        let (mut open, now, job) = (OpenBatch::new(AGE), Instant::now(), job(7, 1));
        let closed: Vec<Batch> =
            (0..=2 * 1024).flat_map(|number| open.add(&found(&job, number), now)).collect();
        assert_eq!(closed.iter().map(|batch| batch.announcements).collect::<Vec<_>>(), [1024, 1024]);
        assert_eq!(closed[1].body.len(), 1 << 20);
        assert_eq!(open.close().map(|batch| batch.announcements), Some(1));
        assert!(open.close().is_none());
    }

    #[test]
    fn r_n1_the_age_of_a_batch_counts_from_its_first_announcement() {
        let (mut open, now, job) = (OpenBatch::new(AGE), Instant::now(), job(7, 1));
        assert_eq!(open.closes_at(), None);
        assert_eq!(open.add(&found(&job, 1), now).count(), 0);
        assert_eq!(open.add(&found(&job, 2), now + AGE / 2).count(), 0);
        assert_eq!(open.closes_at(), Some(now + AGE));
        open.close();
        assert_eq!(open.closes_at(), None);
    }

    #[test]
    fn r_n3_announcements_of_a_lower_height_or_another_branch_are_not_thrown_away() {
        let (mut open, now) = (OpenBatch::new(AGE), Instant::now());
        let jobs = [job(8, 1), job(7, 1), job(7, 2), job(9, 2)];
        // Two heights of one branch have different parents.
        let jobs = jobs.map(|job| {
            let mut parent = *job.parent.as_internal();
            parent[0] = job.parent_height.0 as u8;
            Arc::new(Job { parent: BlockHash::from_internal(parent), ..(*job).clone() })
        });
        let mut closed: Vec<Batch> = jobs.iter().flat_map(|job| open.add(&found(job, 1), now)).collect();
        closed.extend(open.close());
        assert_eq!(
            closed.iter().map(|batch| batch.job.parent).collect::<Vec<_>>(),
            jobs.iter().map(|job| job.parent).collect::<Vec<_>>()
        );
        assert!(closed.iter().all(|batch| batch.announcements == 1));
    }

    #[test]
    fn the_newest_goes_first_and_the_oldest_is_dropped() {
        let (mut open, now, job) = (OpenBatch::new(AGE), Instant::now(), job(7, 1));
        let mut waiting = WaitingBatches::new(3);
        let mut dropped = Vec::new();
        for number in 0..5 {
            assert_eq!(open.add(&found(&job, number), now).count(), 0);
            dropped.extend(waiting.add(open.close().unwrap()).map(|batch| batch.number));
        }
        assert_eq!(dropped, [1, 2]);
        let order: Vec<u64> =
            std::iter::from_fn(|| waiting.take_newest()).map(|batch| batch.number).collect();
        assert_eq!(order, [5, 4, 3]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_batch_that_is_sent_again_keeps_its_place() {
        let (mut open, now, job) = (OpenBatch::new(AGE), Instant::now(), job(7, 1));
        let mut waiting = WaitingBatches::new(3);
        let mut batches = (0..3).map(|number| {
            assert_eq!(open.add(&found(&job, number), now).count(), 0);
            open.close().unwrap()
        });
        let (first, second, third) =
            (batches.next().unwrap(), batches.next().unwrap(), batches.next().unwrap());
        for batch in [third, first, Batch { repeated: true, ..second }] {
            assert!(waiting.add(batch).is_none());
        }
        let order: Vec<u64> =
            std::iter::from_fn(|| waiting.take_newest()).map(|batch| batch.number).collect();
        assert_eq!(order, [3, 2, 1]);
    }
}
