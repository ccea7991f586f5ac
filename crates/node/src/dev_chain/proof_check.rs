//! The proof of work of a block or a share, and pktd's words for what is wrong with it.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 5 and 7.3. The height gates are open from block 1. Stricter than
//! pktd where its own rules would be fooled: only a canonical least work (pitfall 9.1), only positive ranges.

use std::sync::{Mutex, MutexGuard, PoisonError};

use packetcrypt::{
    Announcement, BlockHash, CompactTarget, Height,
    block::{
        Commitment, Elements, Header, Transaction,
        check::{BlockFault, ProofChecker, ProofClaim, ProofFault, Reaches},
        commitment::find_in,
        elements::{PROOF_ANNOUNCEMENTS, SignatureFault},
    },
    check::Rules,
};

use crate::pktd::ShareOpinion;

/// What a share must achieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareTerms {
    /// The height being mined; ages count from it.
    pub height: Height,
    /// The pool's share target; 0 if only a block counts.
    pub share_target: CompactTarget,
}

/// No block is known at the parent height of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not get parent hash at height [{height}] for announcement [{announcement}]")]
pub struct MissingParent {
    /// Which announcement.
    pub announcement: usize,
    /// The height it names.
    pub height: Height,
}

/// The hashes of the announcements' parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parents([(Height, BlockHash); PROOF_ANNOUNCEMENTS]);

impl Parents {
    /// Looks each of them up.
    pub fn look_up(
        heights: [Height; PROOF_ANNOUNCEMENTS],
        hash_at: impl Fn(Height) -> Option<BlockHash>,
    ) -> Result<Self, MissingParent> {
        let mut parents = heights.map(|height| (height, BlockHash::default()));
        for (announcement, (height, hash)) in parents.iter_mut().enumerate() {
            *hash = hash_at(*height).ok_or(MissingParent { announcement, height: *height })?;
        }
        Ok(Self(parents))
    }

    fn hash_at(&self, wanted: Height) -> Option<BlockHash> {
        self.0.iter().find(|(height, _)| *height == wanted).map(|(_, hash)| *hash)
    }
}

/// The parent heights that the announcements name.
pub fn parent_heights(elements: &Elements) -> [Height; PROOF_ANNOUNCEMENTS] {
    elements.proof.announcements.each_ref().map(Announcement::parent_height)
}

/// Checkers with their buffers, one for each thread that checks at the same time.
#[derive(Debug, Default)]
pub struct ProofCheckers(Mutex<Vec<ProofChecker>>);

impl ProofCheckers {
    /// Whether a block proves the work that its header's bits ask for.
    pub fn check_block(
        &self,
        header: &Header,
        elements: &Elements,
        coinbase: &Transaction<'_>,
        height: Height,
        parents: &Parents,
    ) -> Result<(), BlockFault> {
        self.with_one(|checker| {
            checker.check_block(header, elements, coinbase, height, |height| parents.hash_at(height))
        })?;
        Ok(())
    }

    /// What a share proves.
    pub fn check_share(
        &self,
        header: &Header,
        elements: &Elements,
        coinbase: &Transaction<'_>,
        terms: ShareTerms,
        parents: &Parents,
    ) -> Result<ShareOpinion, BlockFault> {
        elements.check_signatures().map_err(ProofFault::from)?;
        let commitment = Commitment::from_bytes(&find_in(coinbase)?)?;
        let ShareTerms { height, share_target } = terms;
        let claim = ProofClaim { header, proof: &elements.proof, commitment: &commitment, height };
        let verdict = self.with_one(|checker| {
            checker.check_share(&claim, share_target, |height| parents.hash_at(height))
        })?;
        Ok(match verdict.reaches {
            Reaches::Share => ShareOpinion::Ok,
            Reaches::Block => ShareOpinion::ResubmitAsBlock,
        })
    }

    fn with_one<T>(&self, check: impl FnOnce(&mut ProofChecker) -> T) -> T {
        let idle = self.idle().pop();
        let mut checker = idle.unwrap_or_else(|| ProofChecker::new(Rules::NEW_CHAIN));
        let checked = check(&mut checker);
        self.idle().push(checker);
        checked
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ProofChecker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// pktd's text for a proof that does not hold.
pub fn pktd_text(fault: &BlockFault) -> String {
    let proof = match fault {
        BlockFault::NoCommitment(_) => return "missing packetcrypt commitment".to_owned(),
        BlockFault::Commitment(_) => return "Validate_checkBlock_BAD_COINBASE".to_owned(),
        BlockFault::Proof(proof) => proof,
    };
    match proof {
        ProofFault::HeaderBits(_) | ProofFault::NotEnoughWork { .. } => {
            "Validate_checkBlock_INSUF_POW".to_owned()
        }
        ProofFault::AnnouncementTooWeak { .. } => "Validate_checkBlock_ANN_INSUF_POW".to_owned(),
        ProofFault::TreeProof(fault) => format!("Validate_checkBlock_PCP_INVAL {fault}"),
        ProofFault::OtherRoot { .. } => "Validate_checkBlock_PCP_MISMATCH".to_owned(),
        ProofFault::Signature(SignatureFault::Missing(key)) => {
            format!("missing announcement signature for key [{}]", hex::encode(key.as_bytes()))
        }
        ProofFault::Signature(_) => "invalid announcement signature".to_owned(),
        ProofFault::UnknownParent { position, height } => {
            MissingParent { announcement: *position, height: *height }.to_string()
        }
        ProofFault::Announcement { fault, .. } => format!("Validate_checkAnn_{}", fault.name()),
    }
}
