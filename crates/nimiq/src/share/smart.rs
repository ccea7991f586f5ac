//! Shares of clients that build their own blocks: the proofs that such a block pays the pool and is this connection's.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 1.6 step 5. Leaves and inner nodes of a body's tree are hashed alike, so a body
//! can be made whose extra data *is* the pair of leaves that a pool looks for (5.1). Therefore the proofs must stand
//! where those two leaves stand, not only fold to the right root.

use super::{NextBlock, Refusal};
use crate::body::{extra_data_leaf, miner_leaf};
use crate::merkle::{MerklePath, Sibling, Side};
use crate::{Address, BodyHash, ExtraData, FormatError, Header, MerkleHash, ShareTarget, Timestamp};

/// A share of a smart client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmartShare {
    /// What was hashed.
    pub header: Header,
    /// The path of the miner's address in the body.
    pub miner_proof: MerklePath,
    /// The path of the extra data in the body.
    pub extra_data_proof: MerklePath,
    /// The whole block, where the client takes the share for one. Not looked into before its proof of work is known.
    pub block: Option<Vec<u8>>,
}

/// What a connection was told in one `settings` message: the block that it mines must carry this extra data, and is
/// worth this much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    leaf: MerkleHash,
    target: ShareTarget,
}

impl Announced {
    /// Extra data and the share target that was announced with it.
    pub fn new(extra_data: &ExtraData, target: ShareTarget) -> Self {
        Self { leaf: extra_data_leaf(extra_data), target }
    }

    /// The share target.
    pub fn target(&self) -> &ShareTarget {
        &self.target
    }
}

/// The pool, as the proofs of smart clients name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLeaf(MerkleHash);

impl PoolLeaf {
    /// Of the address that every block must pay.
    pub fn new(pool: &Address) -> Self {
        Self(miner_leaf(pool))
    }
}

impl SmartShare {
    /// Reads the parts of a message (step 1).
    pub fn parse(
        header: &[u8],
        miner_proof: &[u8],
        extra_data_proof: &[u8],
        block: Option<Vec<u8>>,
    ) -> Result<Self, FormatError> {
        Ok(Self {
            header: Header::parse(header)?,
            miner_proof: MerklePath::parse(miner_proof)?,
            extra_data_proof: MerklePath::parse(extra_data_proof)?,
            block,
        })
    }

    /// Checks everything that needs no proof of work (steps 3 to 5). `announced` is what this connection may still mine
    /// with; the answer is the one that it did mine with.
    pub fn check<'a>(
        &self,
        next: &NextBlock,
        pool: &PoolLeaf,
        announced: impl IntoIterator<Item = &'a Announced, IntoIter: Clone>,
        now: Timestamp,
    ) -> Result<&'a Announced, Refusal> {
        next.check(&self.header, now)?;
        self.check_proofs(pool, announced)
    }

    /// Checks that the block pays the pool and carries one of the extra data (step 5).
    pub fn check_proofs<'a>(
        &self,
        pool: &PoolLeaf,
        announced: impl IntoIterator<Item = &'a Announced, IntoIter: Clone>,
    ) -> Result<&'a Announced, Refusal> {
        let announced = announced.into_iter();
        let proved = announced.clone().find(|announced| self.proves(pool, announced));
        proved.ok_or_else(|| self.why_not(pool, announced))
    }

    /// The strict check: the two leaves are siblings, the first of the body, and their paths go up the left edge.
    fn proves(&self, pool: &PoolLeaf, announced: &Announced) -> bool {
        let (miner, extra_data) = (self.miner_proof.siblings(), self.extra_data_proof.siblings());
        let (Some((beside_miner, above)), Some((beside_extra_data, above_too))) =
            (miner.split_first(), extra_data.split_first())
        else {
            return false;
        };
        *beside_miner == Sibling { side: Side::Right, hash: announced.leaf }
            && *beside_extra_data == Sibling { side: Side::Left, hash: pool.0 }
            && above == above_too
            && above.iter().all(|sibling| sibling.side == Side::Right)
            && self.leads_to_body(&self.miner_proof, pool.0)
    }

    fn leads_to_body(&self, path: &MerklePath, leaf: MerkleHash) -> bool {
        BodyHash(path.fold(leaf).0) == self.header.body_hash
    }

    /// The refusal for proofs that fail the strict check.
    fn why_not<'a>(&self, pool: &PoolLeaf, mut announced: impl Iterator<Item = &'a Announced>) -> Refusal {
        if !self.leads_to_body(&self.miner_proof, pool.0) {
            return Refusal::MinerAddressMismatch;
        }
        let leads = announced.any(|announced| self.leads_to_body(&self.extra_data_proof, announced.leaf));
        if leads { Refusal::ForgedProof } else { Refusal::ExtraDataMismatch }
    }
}

#[cfg(test)]
mod tests {
    use super::super::next_block::tests::{NOW, header, second_block};
    use super::*;
    use crate::{Body, CompactTarget};

    const POOL: Address = Address([1; 20]);

    fn announced(extra_data: &ExtraData) -> Announced {
        Announced::new(extra_data, ShareTarget::new(CompactTarget(0x1f10_0000)).unwrap())
    }

    fn share(body: &Body) -> SmartShare {
        SmartShare {
            header: Header { body_hash: body.hash(), ..header(&second_block()) },
            miner_proof: body.miner_proof(),
            extra_data_proof: body.extra_data_proof(),
            block: None,
        }
    }

    fn check(share: &SmartShare, announced: &[Announced]) -> Result<ShareTarget, Refusal> {
        let pool = PoolLeaf::new(&POOL);
        share.check(&second_block(), &pool, announced, NOW).map(|announced| *announced.target())
    }

    #[test]
    fn a_block_that_pays_the_pool_counts_whatever_its_size() {
        for count in 0..9 {
            let body = crate::body::tests::body(count);
            let told = [announced(&ExtraData::cut(b"older")), announced(&body.extra_data)];
            assert_eq!(check(&share(&body), &told), Ok(told[1].target));
        }
    }

    #[test]
    fn a_block_for_somebody_else_is_refused() {
        let body = Body { miner: Address([2; 20]), ..crate::body::tests::body(2) };
        assert_eq!(check(&share(&body), &[announced(&body.extra_data)]), Err(Refusal::MinerAddressMismatch));
        let body = Body { miner: POOL, ..body };
        let told = [announced(&ExtraData::cut(b"another connection's"))];
        assert_eq!(check(&share(&body), &told), Err(Refusal::ExtraDataMismatch));
        assert_eq!(check(&share(&body), &[]), Err(Refusal::ExtraDataMismatch));
    }

    /// The forgery of 5.1: the extra data is the pair of hashes that the pool expects as leaves.
    #[test]
    fn leaves_hidden_in_the_extra_data_are_noticed() {
        let expected = ExtraData::cut(b"expected");
        let (pool, extra) = (miner_leaf(&POOL), extra_data_leaf(&expected));
        let hidden = [pool.0, extra.0].concat();
        let body = Body {
            miner: Address([2; 20]),
            extra_data: ExtraData::cut(&hidden),
            ..crate::body::tests::body(3)
        };
        let under = |side, hash| {
            let mut siblings = vec![Sibling { side, hash }];
            siblings.extend(body.extra_data_proof().siblings());
            MerklePath::new(siblings).unwrap()
        };
        let forged = SmartShare {
            miner_proof: under(Side::Right, extra),
            extra_data_proof: under(Side::Left, pool),
            ..share(&body)
        };
        assert!(forged.leads_to_body(&forged.miner_proof, pool));
        assert_eq!(check(&forged, &[announced(&expected)]), Err(Refusal::ForgedProof));
    }

    #[test]
    fn a_header_that_is_a_leaf_itself_is_no_block() {
        let leaf = miner_leaf(&POOL);
        let header = Header { body_hash: BodyHash(leaf.0), ..header(&second_block()) };
        let empty = MerklePath::default();
        let share = SmartShare { header, miner_proof: empty.clone(), extra_data_proof: empty, block: None };
        let told = [announced(&ExtraData::cut(&POOL.0))];
        assert_eq!(check(&share, &told), Err(Refusal::ForgedProof));
    }

    #[test]
    fn what_does_not_follow_from_the_head_is_refused_first() {
        let body = crate::body::tests::body(0);
        let mut share = share(&body);
        share.header.target = CompactTarget(0x1f00_8000);
        assert_eq!(check(&share, &[announced(&body.extra_data)]), Err(Refusal::BadPrevious));
    }
}
