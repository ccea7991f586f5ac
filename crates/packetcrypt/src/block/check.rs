//! Whether the proof of a share or block holds.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 5, steps 4 to 10, in the order in which they are cheap and decisive:
//! the attempt, ages, tree proof, root, signatures, and last the announcements themselves, which cost most. No other
//! program has this order, so when several things are wrong others may name another one.
//!
//! Several shares go through these steps together, so that lanes have their attempts and the announcements of all.

use crate::check::{AnnouncementFault, AnnouncementToCheck, Checker, ProofVersion, Rules};
use crate::crypto_cycle::Batch;
use crate::hash::blake2b_256_many;
use crate::target::{CompactTarget, TargetFault, effective_target};
use crate::{AnnouncementHash, BlockHash, Height, WorkHash};

use super::attempt::{Outcome, repeat_all};
use super::commitment::{Commitment, CommitmentFault, FindCommitmentFault, TreeRoot, find_in};
use super::elements::{Elements, PROOF_ANNOUNCEMENTS, PROOF_VERSION, Position, Proof, SignatureFault};
use super::header::Header;
use super::proof_tree::indexes_of;
use super::selection::aged_bits;
use super::transaction::Transaction;
use super::tree_proof::{self, TreeProofFault};

/// What is claimed by whoever mined it.
#[derive(Clone, Copy, Debug)]
pub struct ProofClaim<'a> {
    /// The header, with the commitment in its Merkle root.
    pub header: &'a Header,
    /// Low nonce, announcements and tree proof.
    pub proof: &'a Proof,
    /// The commitment in the coinbase.
    pub commitment: &'a Commitment,
    /// Height of the block being mined, to which announcements age.
    pub height: Height,
}

/// What a work hash is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaches {
    /// It meets the effective share target only.
    Share,
    /// It meets the effective block target, which is enough for a share too.
    Block,
}

/// What a valid proof amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What its hash is good for.
    pub reaches: Reaches,
    /// The numbers drawn and the work hash.
    pub outcome: Outcome,
    /// What its hash had to meet to be a share; 0 without a share target.
    pub effective_share_target: CompactTarget,
    /// What its hash has to meet to be a block.
    pub effective_block_target: CompactTarget,
}

impl Verdict {
    /// The announcements drawn, as indexes into the committed set.
    pub fn indexes(&self, commitment: &Commitment) -> [u64; PROOF_ANNOUNCEMENTS] {
        indexes_of(commitment.count, self.outcome.numbers)
    }
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The header's bits are negative, zero, or easier than the easiest target (pitfall 9.4).
    #[error("bits of the header: {0}")]
    HeaderBits(TargetFault),
    /// The hash meets neither target.
    #[error(
        "work hash {work_hash} meets neither the effective share target {share} nor the effective block \
             target {block}"
    )]
    NotEnoughWork {
        /// The hash.
        work_hash: WorkHash,
        /// What it had to meet for a share.
        share: CompactTarget,
        /// What it had to meet for a block.
        block: CompactTarget,
    },
    /// An announcement is worth less than the commitment claims for the worst of its set.
    #[error(
        "announcement {position} with work bits {bits} and parent {parent} is worth less at height {height} \
             than the committed least work {least_work}"
    )]
    AnnouncementTooWeak {
        /// Which of the four.
        position: Position,
        /// Its work bits.
        bits: CompactTarget,
        /// Its parent height.
        parent: Height,
        /// Height of the block being mined.
        height: Height,
        /// What was claimed.
        least_work: CompactTarget,
    },
    /// The tree proof does not hold.
    #[error("tree proof: {0}")]
    TreeProof(#[from] TreeProofFault),
    /// The tree proof leads to another root than the committed one.
    #[error("the tree proof leads to root {}, the commitment says {}", hex::encode(proved.0), hex::encode(committed.0))]
    OtherRoot {
        /// Where the proof leads.
        proved: TreeRoot,
        /// What was committed to.
        committed: TreeRoot,
    },
    /// A signature is missing or wrong.
    #[error("{0}")]
    Signature(#[from] SignatureFault),
    /// There is no block that an announcement could be based on.
    #[error("no block is known at height {height}, the parent of announcement {position}")]
    UnknownParent {
        /// Which of the four.
        position: Position,
        /// The height it names.
        height: Height,
    },
    /// An announcement is not valid.
    #[error("announcement {position} is not valid: {} ({fault})", fault.name())]
    Announcement {
        /// Which of the four.
        position: Position,
        /// What is wrong with it.
        fault: AnnouncementFault,
    },
}

impl ProofFault {
    /// Name of the fault in snake case, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HeaderBits(_) => "header_bits",
            Self::NotEnoughWork { .. } => "not_enough_work",
            Self::AnnouncementTooWeak { .. } => "announcement_too_weak",
            Self::TreeProof(_) => "tree_proof",
            Self::OtherRoot { .. } => "other_root",
            Self::Signature(_) => "signature",
            Self::UnknownParent { .. } => "unknown_parent",
            Self::Announcement { .. } => "announcement",
        }
    }
}

/// Why a block does not hold, as far as its proof of work goes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// The coinbase has no commitment, or is no transaction.
    #[error(transparent)]
    NoCommitment(#[from] FindCommitmentFault),
    /// The commitment is not acceptable.
    #[error(transparent)]
    Commitment(#[from] CommitmentFault),
    /// The proof does not hold.
    #[error(transparent)]
    Proof(#[from] ProofFault),
}

/// A share whose proof is to be checked.
#[derive(Clone, Copy)]
pub struct ShareClaim<'a> {
    /// What is claimed.
    pub claim: ProofClaim<'a>,
    /// What its hash must meet to be a share; 0 asks for a block.
    pub share_target: CompactTarget,
    /// The hash of the block at a height of the branch that is mined on, for all heights below the one being mined.
    pub parent: &'a dyn Fn(Height) -> Option<BlockHash>,
}

/// What is found about a share so far.
type Finding = Result<Verdict, ProofFault>;

/// Checks proofs. Keeps its buffers from one to the next: one for each thread.
#[derive(Debug)]
pub struct ProofChecker {
    attempts: Batch,
    announcements: Checker,
}

impl ProofChecker {
    /// A checker by the rules of a chain.
    pub fn new(rules: Rules) -> Self {
        Self::of(Checker::new(rules))
    }

    /// A checker that has the announcements of proofs checked by this one.
    pub fn of(announcements: Checker) -> Self {
        Self { attempts: Batch::default(), announcements }
    }

    /// Checks the proof of one share; the rest is as for [`ProofChecker::check_shares`].
    pub fn check_share(
        &mut self,
        claim: &ProofClaim<'_>,
        share_target: CompactTarget,
        parent: impl Fn(Height) -> Option<BlockHash>,
    ) -> Result<Verdict, ProofFault> {
        self.check_shares(&[ShareClaim { claim: *claim, share_target, parent: &parent }]).remove(0)
    }

    /// Checks the proofs of shares, all together: where there are lanes, many cost less than one after the other.
    /// Signatures are the handler's business, who adds them.
    pub fn check_shares(&mut self, shares: &[ShareClaim<'_>]) -> Vec<Result<Verdict, ProofFault>> {
        let mut findings = self.check_work(shares);
        check_sets(shares, &mut findings);
        self.check_announcements(shares, &mut findings);
        findings
    }

    /// Checks the proof of a block that stands with all its elements and its coinbase: that the commitment is found
    /// where the chain looks for it, that everything is signed, and that the hash meets the block target. `parent` is
    /// as for [`ShareClaim`].
    ///
    /// That the coinbase belongs to the header (its Merkle root), and all that is not proof of work, is for the
    /// caller to see to.
    pub fn check_block(
        &mut self,
        header: &Header,
        elements: &Elements,
        coinbase: &Transaction<'_>,
        height: Height,
        parent: impl Fn(Height) -> Option<BlockHash>,
    ) -> Result<Verdict, BlockFault> {
        let commitment = Commitment::from_bytes(&find_in(coinbase)?)?;
        let claim = ProofClaim { header, proof: &elements.proof, commitment: &commitment, height };
        let block = [ShareClaim { claim, share_target: CompactTarget(0), parent: &parent }];
        let mut findings = self.check_work(&block);
        check_sets(&block, &mut findings);
        for finding in &mut findings {
            *finding = (*finding).and_then(|verdict| Ok(elements.check_signatures().map(|()| verdict)?));
        }
        self.check_announcements(&block, &mut findings);
        Ok(findings.remove(0)?)
    }

    /// Step 5: repeats the attempts.
    fn check_work(&mut self, shares: &[ShareClaim<'_>]) -> Vec<Finding> {
        let claims: Vec<_> =
            shares.iter().map(|share| (share.claim.header.header_hash(), share.claim.proof)).collect();
        let outcomes = repeat_all(&mut self.attempts, &claims);
        shares.iter().zip(outcomes).map(|(share, outcome)| judge_work(share, outcome)).collect()
    }

    /// Step 6: the announcements of the shares without a fault, all together. The first bad one of a share is named.
    fn check_announcements(&mut self, shares: &[ShareClaim<'_>], findings: &mut [Finding]) {
        let mut parents = vec![[BlockHash::default(); PROOF_ANNOUNCEMENTS]; shares.len()];
        for ((share, finding), parents) in shares.iter().zip(&mut *findings).zip(&mut parents) {
            if finding.is_ok()
                && let Err(fault) = find_parents(share, parents)
            {
                *finding = Err(fault);
            }
        }
        let (mut batch, mut places) = (Vec::new(), Vec::new());
        for (index, (share, parents)) in shares.iter().zip(&parents).enumerate() {
            if findings[index].is_err() {
                continue;
            }
            let announcements = &share.claim.proof.announcements;
            for (position, (announcement, parent)) in announcements.iter().zip(parents).enumerate() {
                // A repeated one is checked once.
                if !announcements[..position].contains(announcement) {
                    batch.push(AnnouncementToCheck { announcement, parent });
                    places.push((index, position));
                }
            }
        }
        let verdicts = self.announcements.check(&batch, ProofVersion(PROOF_VERSION as u8));
        for ((index, position), verdict) in places.into_iter().zip(verdicts) {
            if findings[index].is_ok()
                && let Err(fault) = verdict
            {
                findings[index] = Err(ProofFault::Announcement { position, fault });
            }
        }
    }
}

/// Whether the hash of an attempt is good enough.
fn judge_work(share: &ShareClaim<'_>, outcome: Outcome) -> Finding {
    let ShareClaim { claim, share_target, .. } = share;
    let bits = claim.header.bits;
    check_header_bits(bits).map_err(ProofFault::HeaderBits)?;
    let effective = |target| {
        effective_target(target, claim.commitment.least_work.compact(), claim.commitment.count.get())
    };
    let share = if share_target.0 == 0 { CompactTarget(0) } else { effective(*share_target) };
    let block = effective(bits);
    let work_hash = outcome.work_hash;
    let reaches = if block.is_met_by(&work_hash.0) {
        Reaches::Block
    } else if share.is_met_by(&work_hash.0) {
        Reaches::Share
    } else {
        return Err(ProofFault::NotEnoughWork { work_hash, share, block });
    };
    Ok(Verdict { reaches, outcome, effective_share_target: share, effective_block_target: block })
}

/// Steps 7, 9 and 10, for the shares without a fault: the announcements are worth enough, and those of the committed
/// tree.
fn check_sets(shares: &[ShareClaim<'_>], findings: &mut [Finding]) {
    let proofs = shares.iter().flat_map(|share| &share.claim.proof.announcements);
    let announcements: Vec<_> = proofs.map(|announcement| *announcement.as_bytes()).collect();
    let mut hashes = vec![[0; 32]; announcements.len()];
    blake2b_256_many(&announcements, &mut hashes);
    let hashes = hashes.as_chunks::<PROOF_ANNOUNCEMENTS>().0;
    for ((share, finding), hashes) in shares.iter().zip(findings).zip(hashes) {
        *finding = (*finding).and_then(|verdict| {
            check_ages(&share.claim)?;
            check_tree(&share.claim, &verdict.outcome, &hashes.map(AnnouncementHash))?;
            Ok(verdict)
        });
    }
}

fn find_parents(
    share: &ShareClaim<'_>,
    parents: &mut [BlockHash; PROOF_ANNOUNCEMENTS],
) -> Result<(), ProofFault> {
    let announcements = &share.claim.proof.announcements;
    for (position, (hash, announcement)) in parents.iter_mut().zip(announcements).enumerate() {
        let height = announcement.parent_height();
        *hash = (share.parent)(height).ok_or(ProofFault::UnknownParent { position, height })?;
    }
    Ok(())
}

/// Step 2: whether bits can stand in a header.
pub fn check_header_bits(bits: CompactTarget) -> Result<(), TargetFault> {
    match bits.expand() {
        None => Err(TargetFault::Negative(bits)),
        Some(number) if number.is_zero() => Err(TargetFault::Zero(bits)),
        Some(_) if bits.0 > CompactTarget::EASIEST.0 => Err(TargetFault::AboveEasiest(bits)),
        Some(_) => Ok(()),
    }
}

/// Step 7: each announcement is worth at least what was committed to.
fn check_ages(claim: &ProofClaim<'_>) -> Result<(), ProofFault> {
    let least_work = claim.commitment.least_work.compact();
    for (position, announcement) in claim.proof.announcements.iter().enumerate() {
        let (bits, parent) = (announcement.work_bits(), announcement.parent_height());
        let aged = aged_bits(bits, parent, claim.height);
        // As u32: least work is canonical, so no spelling of an easier target is a smaller number.
        if aged.is_none_or(|aged| aged.0 > least_work.0) {
            let height = claim.height;
            return Err(ProofFault::AnnouncementTooWeak { position, bits, parent, height, least_work });
        }
    }
    Ok(())
}

/// Steps 9 and 10: the announcements, by their hashes, are those of the committed tree.
fn check_tree(
    claim: &ProofClaim<'_>,
    outcome: &Outcome,
    hashes: &[AnnouncementHash; PROOF_ANNOUNCEMENTS],
) -> Result<(), ProofFault> {
    let committed = claim.commitment.root;
    let proved =
        tree_proof::verify(hashes, claim.commitment.count, outcome.numbers, &claim.proof.tree_proof)?;
    if proved == committed { Ok(()) } else { Err(ProofFault::OtherRoot { proved, committed }) }
}

#[cfg(test)]
mod tests;
