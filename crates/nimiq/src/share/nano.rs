//! Shares of clients that mine a body which the pool gave them, on a header of their own.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 1.6, "Ours, nano".

use super::{NextBlock, Refusal};
use crate::{AccountsHash, BodyHash, FormatError, LightBlock, ProofOfWork, ShareTarget, Timestamp};

/// A share of a nano client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NanoShare {
    /// The block, without the body that the pool knows.
    pub block: LightBlock,
}

/// What one `new-block` message told a connection to mine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NanoJob {
    /// The body.
    pub body_hash: BodyHash,
    /// The accounts after it.
    pub accounts_hash: AccountsHash,
    /// The share target of the extra data in the body.
    pub target: ShareTarget,
}

impl NanoShare {
    /// Reads the block of a message (step 1).
    pub fn parse(block: &[u8]) -> Result<Self, FormatError> {
        LightBlock::parse(block).map(|block| Self { block })
    }

    /// Checks everything that needs no proof of work (steps 3 to 5). `jobs` are those of this connection and head; the
    /// answer is the one that was mined.
    pub fn check<'a>(
        &self,
        next: &NextBlock,
        jobs: impl IntoIterator<Item = &'a NanoJob>,
        now: Timestamp,
    ) -> Result<&'a NanoJob, Refusal> {
        let header = &self.block.header;
        next.check(header, now)?;
        if self.block.interlink != next.interlink {
            return Err(Refusal::BadInterlink);
        }
        let mut refusal = Refusal::WrongBodyHash;
        for job in jobs.into_iter().filter(|job| job.body_hash == header.body_hash) {
            if job.accounts_hash == header.accounts_hash {
                return Ok(job);
            }
            refusal = Refusal::WrongAccountsHash;
        }
        Err(refusal)
    }
}

/// Whether a proof of work meets the target of its job (step 7).
///
/// Between `settings` and `new-block` a client mines the old body with the new target; what meets only that is not its
/// fault, and is not credited either, since a credit never depends on how small a hash is.
pub fn check_work(
    proof_of_work: &ProofOfWork,
    job: &NanoJob,
    last_announced: &ShareTarget,
) -> Result<(), Refusal> {
    if job.target.target().is_met_by(proof_of_work) {
        return Ok(());
    }
    let crossed = last_announced.target().is_met_by(proof_of_work);
    Err(if crossed { Refusal::Expired } else { Refusal::InvalidProofOfWork })
}

#[cfg(test)]
mod tests {
    use super::super::next_block::tests::{NOW, header, second_block};
    use super::*;
    use crate::{CompactTarget, Header, Interlink};

    fn target(compact: u32) -> ShareTarget {
        ShareTarget::new(CompactTarget(compact)).unwrap()
    }

    fn share() -> NanoShare {
        let next = second_block();
        NanoShare { block: LightBlock { header: header(&next), interlink: next.interlink } }
    }

    fn job(share: &NanoShare) -> NanoJob {
        let Header { body_hash, accounts_hash, .. } = share.block.header;
        NanoJob { body_hash, accounts_hash, target: target(0x1f10_0000) }
    }

    #[test]
    fn any_job_of_the_head_counts() {
        let share = share();
        let older = job(&share);
        let newer = NanoJob { body_hash: BodyHash([9; 32]), ..older.clone() };
        assert_eq!(share.check(&second_block(), [&newer, &older], NOW), Ok(&older));
        assert_eq!(share.check(&second_block(), [&newer], NOW), Err(Refusal::WrongBodyHash));
        let other = NanoJob { accounts_hash: AccountsHash([9; 32]), ..older.clone() };
        assert_eq!(share.check(&second_block(), [&newer, &other], NOW), Err(Refusal::WrongAccountsHash));
        assert_eq!(share.check(&second_block(), [&other, &older], NOW), Ok(&older));
    }

    #[test]
    fn the_interlink_itself_is_compared() {
        let mut share = share();
        let job = job(&share);
        share.block.interlink = Interlink::EMPTY;
        assert_eq!(share.check(&second_block(), [&job], NOW), Err(Refusal::BadInterlink));
    }

    #[test]
    fn a_share_between_two_targets_is_nobodys_fault() {
        let job = job(&share());
        let mut hash = [0; 32];
        let mut check = |byte| {
            hash[1] = byte;
            check_work(&ProofOfWork(hash), &job, &target(0x1f20_0000))
        };
        assert_eq!(check(0x0f), Ok(()));
        assert_eq!(check(0x1f), Err(Refusal::Expired));
        assert_eq!(check(0x2f), Err(Refusal::InvalidProofOfWork));
    }
}
