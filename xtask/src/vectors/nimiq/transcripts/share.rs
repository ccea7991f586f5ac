//! A share of a recorded session, judged by our rules, and what the reference answered.

use anyhow::Context;
use nimiq::share::{self, Announced, DumbJob, NanoJob, NextBlock, Refusal, SmartShare};
use nimiq::{BlockHash, BodyHash, Header, MerkleHash, ProofOfWork, Timestamp};
use serde::Deserialize;
use wire::nimiq::Share;

use super::super::{address, difference, first, proof_of_work, shown};
use super::Pool;

/// What the client had been told when it sent a share.
#[derive(Clone, Default)]
pub struct Told {
    /// Whether the session is recorded from its beginning, so that nothing was told before.
    pub is_whole: bool,
    pub announced: Vec<Announced>,
    pub next: Option<NextBlock>,
    pub former_heads: Vec<BlockHash>,
    pub nano_jobs: Vec<NanoJob>,
    pub dumb_jobs: Vec<DumbJob>,
}

/// A share, and what its sender had been told.
pub struct SentShare {
    share: Share,
    told: Told,
}

/// What the recorder says of a share.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RecordedShare {
    hash: String,
    pow: String,
    #[serde(default)]
    block_miner: Option<String>,
    #[serde(default)]
    nonce: Option<u32>,
}

impl SentShare {
    pub fn new(share: Share, told: Told) -> Self {
        Self { share, told }
    }

    /// The header that was hashed; for a bare nonce the newest one that the pool gave.
    fn header(&self) -> Option<Header> {
        match &self.share {
            Share::Smart(share) => Some(share.header),
            Share::Nano(share) => Some(share.block.header),
            Share::Dumb { nonce } => {
                share::dumb::candidates(*nonce, &self.told.dumb_jobs).next().map(|job| job.header)
            }
        }
    }

    /// Compares our verdict with the reasons that the reference gave, where the session tells enough for one.
    pub fn judge(&self, pool: &Pool, is_stock: bool, answers: &[String]) -> anyhow::Result<Option<String>> {
        let Some(header) = self.header().filter(|_| !self.told.announced.is_empty()) else { return Ok(None) };
        let work = proof_of_work(&header.to_bytes())?;
        let Some(verdict) = self.verdict(pool, &work) else { return Ok(None) };
        Ok(match (verdict, answers) {
            // What depends on the chain or on other shares is for the server's own tests.
            (Ok(()), _) if answers.iter().all(|reason| is_beyond_the_session(reason)) => None,
            (Err(Refusal::ForgedProof), []) if !is_stock => None,
            (Err(Refusal::BadPrevious | Refusal::BadInterlink | Refusal::BadTimestamp), _) if !is_stock => {
                None
            }
            (Err(Refusal::Expired), _) => None,
            // The reference keeps the newest job only, and a share may cross it on the way; ours are good as long as
            // their head (5.10).
            (Ok(()), [reason]) if *reason == Refusal::WrongBodyHash.to_string() => {
                let excused = is_stock || self.is_older_job();
                (!excused).then(|| format!("the newest job was refused: {reason}"))
            }
            (Err(refusal), _) if !self.told.is_whole && may_be_of_something_earlier(refusal) => None,
            (Err(refusal), [.., reason]) if *reason == refusal.to_string() => None,
            (verdict, answers) => {
                Some(format!("our verdict {verdict:?}, the reference answered {answers:?}"))
            }
        })
    }

    /// Whether it is of a body that a newer one of the same head has replaced.
    fn is_older_job(&self) -> bool {
        let newest = self.told.nano_jobs.last().map(|job| job.body_hash);
        matches!(&self.share, Share::Nano(share) if Some(share.block.header.body_hash) != newest)
    }

    /// Nothing where the client was told too little to judge.
    fn verdict(&self, pool: &Pool, work: &ProofOfWork) -> Option<Result<(), Refusal>> {
        match &self.share {
            Share::Smart(share) => Some(smart(share, pool, &self.told, work)),
            Share::Nano(share) => {
                let (next, last) = (self.told.next.as_ref()?, self.told.announced.last()?.target());
                if self.told.former_heads.contains(&share.block.header.previous) {
                    return Some(Err(Refusal::Expired));
                }
                let now = Timestamp(share.block.header.timestamp.0);
                let job = share.check(next, &self.told.nano_jobs, now);
                Some(job.and_then(|job| share::nano::check_work(work, job, last)))
            }
            Share::Dumb { .. } => Some(share::check_work(work, &self.told.dumb_jobs.first()?.target)),
        }
    }
}

/// A smart client's head is not in the session, so only its proofs and its work are judged.
fn smart(share: &SmartShare, pool: &Pool, told: &Told, work: &ProofOfWork) -> Result<(), Refusal> {
    let newest_first = told.announced.iter().rev().take(2);
    let announced = share.check_proofs(&pool.leaf, newest_first)?;
    share::check_work(work, announced.target())?;
    share::Find::of_smart(share, work).map(|_| ())
}

/// Whether what was told before the recording could be what the share follows.
fn may_be_of_something_earlier(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::ExtraDataMismatch | Refusal::WrongBodyHash | Refusal::BadPrevious)
}

/// Reasons that a share may get although all that the session shows of it is right.
fn is_beyond_the_session(reason: &str) -> bool {
    [Refusal::Expired, Refusal::Duplicate].iter().any(|refusal| refusal.to_string() == *reason)
}

impl RecordedShare {
    pub fn check(&self, sent: &SentShare) -> anyhow::Result<Option<String>> {
        let header = sent.header().context("the header of the share")?;
        let mut problems = vec![
            shown("hash", &self.hash, header.hash()),
            shown("pow", &self.pow, proof_of_work(&header.to_bytes())?),
        ];
        if let Some(nonce) = self.nonce {
            problems.push(difference("nonce", nonce, header.nonce));
        }
        if let (Some(miner), Share::Smart(share)) = (&self.block_miner, &sent.share) {
            // In a forged share the miner's own leaf stands one step above the leaf that is claimed.
            let leaf = MerkleHash::of_leaf(&address(miner)?.0);
            let proved = BodyHash(share.miner_proof.fold(leaf).0) == share.header.body_hash;
            let hidden = share.miner_proof.siblings().iter().any(|sibling| sibling.hash == leaf);
            problems.push(difference("the block pays its miner", true, proved || hidden));
        }
        Ok(first(problems))
    }
}
