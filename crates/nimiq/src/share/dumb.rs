//! Shares of clients that only vary the nonce of a header which the pool gave them.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 1.6, "Ours, dumb", and 1.8.

use crate::{Header, ShareTarget};

/// What one `new-block` message told a connection to mine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumbJob {
    /// The header, complete but for the nonce.
    pub header: Header,
    /// The share target of the extra data in its body.
    pub target: ShareTarget,
}

/// Jobs that a nonce is tried with: hashing more would let one message cost too much.
const TRIED: usize = 2;

/// The headers that a nonce may mean, in the order in which to hash them; the first that meets its job's target is the
/// share. A message names no job, so it may be the one before the newest: of the same head, or of the head before, where a
/// share was on its way when the head changed. `jobs` are those of this connection, the newest first.
pub fn candidates<'a>(
    nonce: u32,
    jobs: impl IntoIterator<Item = &'a DumbJob>,
) -> impl Iterator<Item = DumbJob> {
    let tried = jobs.into_iter().take(TRIED);
    tried.map(move |job| DumbJob { header: Header { nonce, ..job.header }, target: job.target })
}

#[cfg(test)]
mod tests {
    use super::super::next_block::tests::{header, second_block};
    use super::*;
    use crate::{BlockHash, CompactTarget, Timestamp};

    #[test]
    fn a_nonce_is_tried_with_the_two_newest_jobs() {
        let target = ShareTarget::new(CompactTarget::EASIEST).unwrap();
        let job = |timestamp| DumbJob {
            header: Header { timestamp: Timestamp(timestamp), ..header(&second_block()) },
            target,
        };
        let tried = |jobs: &[DumbJob]| {
            candidates(99, jobs).map(|job| (job.header.timestamp.0, job.header.nonce)).collect::<Vec<_>>()
        };
        assert_eq!(tried(&[]), []);
        assert_eq!(tried(&[job(3), job(2), job(1)]), [(3, 99), (2, 99)]);
        let mut older = job(2);
        older.header.previous = BlockHash([8; 32]);
        assert_eq!(tried(&[job(3), older]), [(3, 99), (2, 99)]);
    }
}
