//! A share: what a block miner uploads to a pool, checked against the pool's own work.
//!
//! Checking has two stages, so that a pool can look for duplicates between them, before anything costly.
//! [`Share::open`] sees whether the share belongs to the work at all and takes from its header only what the miner may
//! choose: Merkle root and nonce. What else the miner put there is replaced by the work's own, otherwise one share
//! could be sent under many names (rule R-K1). [`Share::check`] then checks the proof of work.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 5, `docs/protocol/packetcrypt-pool.md` 9.

use crate::target::CompactTarget;
use crate::{BlockHash, Height};

use super::check::{ProofChecker, ProofClaim, ProofFault, ShareClaim, Verdict, check_header_bits};
use super::commitment::Commitment;
use super::elements::Proof;
use super::header::{Header, MerkleRoot, double_sha256};

/// The work that a share is for.
#[derive(Clone, Copy, Debug)]
pub struct ShareWork<'a> {
    /// The header handed out; its Merkle root and nonce do not matter.
    pub header: &'a Header,
    /// Height of the block being mined.
    pub height: Height,
    /// What a share must meet, in the scale of block targets.
    pub share_target: CompactTarget,
    /// The coinbase without witness, with the placeholder in it.
    pub coinbase: &'a [u8],
    /// Merkle branch of the coinbase, bottom up, internal order.
    pub branch: &'a [[u8; 32]],
}

/// Why a share is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareFault {
    /// It was mined on another block.
    #[error("the share was mined on block {got}, the work is on {expected}")]
    OtherPrevious {
        /// The block that the work is on.
        expected: BlockHash,
        /// The block that the share is on.
        got: BlockHash,
    },
    /// The work's coinbase has no place for a commitment: the pool's fault, not the miner's.
    #[error("the coinbase of the work has no place for a commitment")]
    NoPlaceForCommitment,
    /// The header's Merkle root is not that of our coinbase with this commitment.
    #[error("merkle root mismatch: coinbase and commitment give {}, the header has {}", hex::encode(expected.0),
            hex::encode(got.0))]
    OtherMerkleRoot {
        /// The root that the header should have.
        expected: MerkleRoot,
        /// The root it has.
        got: MerkleRoot,
    },
    /// The proof of work does not hold.
    #[error(transparent)]
    Proof(#[from] ProofFault),
}

impl ShareFault {
    /// Name of the fault in snake case, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherPrevious { .. } => "other_previous_block",
            Self::NoPlaceForCommitment => "no_place_for_commitment",
            Self::OtherMerkleRoot { .. } => "other_merkle_root",
            Self::Proof(fault) => fault.code(),
        }
    }
}

/// A share that belongs to the work it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The header that was mined: the work's, with the miner's Merkle root and nonce.
    pub header: Header,
    /// Low nonce, announcements and tree proof.
    pub proof: Proof,
    /// What was committed to.
    pub commitment: Commitment,
}

impl Share {
    /// Sees whether a share belongs to the work, without any proof of work (steps 2 and 3).
    pub fn open(
        work: &ShareWork<'_>,
        sent: &Header,
        proof: Proof,
        commitment: Commitment,
    ) -> Result<Self, ShareFault> {
        let (expected, got) = (work.header.previous, sent.previous);
        if expected != got {
            return Err(ShareFault::OtherPrevious { expected, got });
        }
        check_header_bits(work.header.bits).map_err(ProofFault::HeaderBits)?;
        let mut coinbase = work.coinbase.to_vec();
        commitment.place_into(&mut coinbase).ok_or(ShareFault::NoPlaceForCommitment)?;
        let expected = MerkleRoot::of_coinbase(double_sha256(&[&coinbase]), work.branch);
        let got = sent.merkle_root;
        if expected != got {
            return Err(ShareFault::OtherMerkleRoot { expected, got });
        }
        let header = Header { merkle_root: got, nonce: sent.nonce, ..*work.header };
        Ok(Self { header, proof, commitment })
    }

    /// Checks the proof of work. `parent` gives the hash of the block at a height of the branch that is mined on.
    pub fn check(
        &self,
        work: &ShareWork<'_>,
        checker: &mut ProofChecker,
        parent: impl Fn(Height) -> Option<BlockHash>,
    ) -> Result<Verdict, ShareFault> {
        let ShareClaim { claim, share_target, parent } = self.claim(work, &parent);
        Ok(checker.check_share(&claim, share_target, parent)?)
    }

    /// What it claims, to be [checked](ProofChecker::check_shares) together with others.
    pub fn claim<'a>(
        &'a self,
        work: &ShareWork<'_>,
        parent: &'a dyn Fn(Height) -> Option<BlockHash>,
    ) -> ShareClaim<'a> {
        let claim = ProofClaim {
            header: &self.header,
            proof: &self.proof,
            commitment: &self.commitment,
            height: work.height,
        };
        ShareClaim { claim, share_target: work.share_target, parent }
    }
}
