//! The jobs that a connection was given on the present head: what it mines if the pool makes the body.

use std::collections::VecDeque;
use std::sync::Arc;

use nimiq::share::{DumbJob, NanoJob, NanoShare, NextBlock, Refusal};
use nimiq::{Block, BlockHash, ExtraData, Header, ShareTarget, Timestamp};
use wire::nimiq::NewNanoBlock;

use crate::nimiq::server::board::Work;

/// Jobs of one head that are kept. One is added every ten seconds at most, and for a change of difficulty.
const KEPT: usize = 32;

/// What one `new-block` message told a connection.
#[derive(Debug, Clone)]
pub(super) struct Job {
    work: Arc<Work>,
    extra_data: ExtraData,
    nano: NanoJob,
    /// The time that a header made of it carries.
    timestamp: Timestamp,
}

impl Job {
    pub(super) fn new(work: Arc<Work>, extra_data: ExtraData, target: ShareTarget, clock: Timestamp) -> Self {
        let body_hash = work.body_hash(&extra_data);
        let nano = NanoJob { body_hash, accounts_hash: work.accounts_hash, target };
        let timestamp = clock.max(work.next.earliest);
        Self { work, extra_data, nano, timestamp }
    }

    pub(super) fn target(&self) -> ShareTarget {
        self.nano.target
    }

    /// What a nano client mines.
    pub(super) fn nano(&self) -> &NanoJob {
        &self.nano
    }

    fn head(&self) -> BlockHash {
        self.work.next.previous
    }

    /// The message for a nano client, once the head's interlink is known.
    pub(super) fn for_nano(&self) -> Option<NewNanoBlock> {
        let previous = self.work.head.clone()?;
        let NanoJob { body_hash, accounts_hash, .. } = self.nano;
        Some(NewNanoBlock { body_hash, accounts_hash, previous, next_target: Some(self.work.next.target) })
    }

    /// The complete header, but for its nonce.
    pub(super) fn header(&self) -> Header {
        let next = &self.work.next;
        Header {
            previous: next.previous,
            interlink_hash: next.interlink_hash,
            body_hash: self.nano.body_hash,
            accounts_hash: self.nano.accounts_hash,
            target: next.target,
            height: next.height,
            timestamp: self.timestamp,
            nonce: 0,
        }
    }

    pub(super) fn for_dumb(&self) -> DumbJob {
        DumbJob { header: self.header(), target: self.nano.target }
    }

    /// The whole block of a header that was mined on this job.
    pub(super) fn block(&self, header: Header) -> Block {
        self.work.block(header, &self.extra_data)
    }
}

/// The jobs of one connection on one head and the one before, the newest first.
#[derive(Debug, Default)]
pub(super) struct Jobs(VecDeque<Job>);

impl Jobs {
    /// A job was given out. Those of its head and of the one before are kept: a block may become the head before its
    /// own share has been looked at.
    pub(super) fn give(&mut self, job: Job) {
        let head = job.head();
        let before = self.0.iter().map(Job::head).find(|old| *old != head);
        self.0.retain(|old| old.head() == head || Some(old.head()) == before);
        self.0.push_front(job);
        self.0.truncate(KEPT);
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Job> {
        self.0.iter()
    }

    /// The job that a nano share was mined on.
    pub(super) fn check_nano(
        &self,
        share: &NanoShare,
        next: &NextBlock,
        clock: Timestamp,
    ) -> Result<Job, Refusal> {
        let of_head = || self.0.iter().filter(|job| job.head() == next.previous);
        let mined = share.check(next, of_head().map(|job| &job.nano), clock)?;
        let job = of_head().find(|job| job.nano == *mined).cloned();
        job.ok_or(Refusal::WrongBodyHash)
    }
}
