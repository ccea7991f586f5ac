//! What the block on top of a head must be, whoever mines it (steps 3 and 4).

use super::Refusal;
use crate::interlink::{Base, Interlink};
use crate::{BlockHash, CompactTarget, Header, Height, InterlinkHash, LightBlock, ProofOfWork, Timestamp};

/// The parts of a header that follow from its predecessor: the same for everyone on one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextBlock {
    /// The head.
    pub previous: BlockHash,
    /// The head's height and one.
    pub height: Height,
    /// The network's target.
    pub target: CompactTarget,
    /// Earlier blocks that it must refer to.
    pub interlink: Interlink,
    /// Root of the interlink.
    pub interlink_hash: InterlinkHash,
    /// The head's time, before which it may not be dated.
    pub earliest: Timestamp,
}

impl NextBlock {
    /// From the head itself, its proof of work, and the target that the chain's rule gives.
    pub fn on(
        head: &LightBlock,
        proof_of_work: ProofOfWork,
        target: CompactTarget,
        genesis: &BlockHash,
    ) -> Self {
        let previous = head.header.hash();
        let head_target = head.header.target.target();
        let base = Base { hash: previous, proof_of_work, target: head_target, interlink: &head.interlink };
        let interlink = base.next(&target.target());
        Self {
            previous,
            height: head.header.height.next(),
            target,
            interlink_hash: interlink.hash(genesis),
            interlink,
            earliest: head.header.timestamp,
        }
    }

    /// Whether a header on this head, whose predecessor is known to be right, is as it must be.
    pub fn check(&self, header: &Header, now: Timestamp) -> Result<(), Refusal> {
        if header.previous != self.previous || header.height != self.height || header.target != self.target {
            return Err(Refusal::BadPrevious);
        }
        if header.interlink_hash != self.interlink_hash {
            return Err(Refusal::BadInterlink);
        }
        header.timestamp.is_allowed(self.earliest, now).then_some(()).ok_or(Refusal::BadTimestamp)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{AccountsHash, BodyHash, Network};

    pub(crate) const NOW: Timestamp = Timestamp(1_600_000_000);

    /// What must be on top of the development network's genesis block.
    pub(crate) fn second_block() -> NextBlock {
        let genesis = Network::Dev.genesis_block().to_light();
        let mut proof_of_work = [0; 32];
        proof_of_work[2] = 0x97;
        NextBlock::on(&genesis, ProofOfWork(proof_of_work), CompactTarget::EASIEST, &genesis.header.hash())
    }

    /// A header that is as `next` says.
    pub(crate) fn header(next: &NextBlock) -> Header {
        Header {
            previous: next.previous,
            interlink_hash: next.interlink_hash,
            body_hash: BodyHash([5; 32]),
            accounts_hash: AccountsHash([6; 32]),
            target: next.target,
            height: next.height,
            timestamp: NOW,
            nonce: 7,
        }
    }

    #[test]
    fn each_part_that_does_not_follow_is_named() {
        let next = second_block();
        let good = header(&next);
        assert_eq!(next.check(&good, NOW), Ok(()));
        for (header, refusal) in [
            (Header { previous: BlockHash([1; 32]), ..good }, Refusal::BadPrevious),
            (Header { height: Height(3), ..good }, Refusal::BadPrevious),
            (Header { target: CompactTarget(0x1f00_ffff), ..good }, Refusal::BadPrevious),
            (Header { interlink_hash: InterlinkHash([0; 32]), ..good }, Refusal::BadInterlink),
            (Header { timestamp: Timestamp(NOW.0 + 601), ..good }, Refusal::BadTimestamp),
            (Header { timestamp: Timestamp(0), ..good }, Refusal::BadTimestamp),
        ] {
            assert_eq!(next.check(&header, NOW), Err(refusal));
        }
    }
}
