//! The walk of a share: from a parsed post to a verdict, cheap and decisive checks first.
//!
//! work → Merkle root → known shares → announcements' parents and keys → proof of work → its place among the known
//! shares → node (if asked, or if it is a block) → event on disk → answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use node::NodeError;
use node::pktd::{ShareOpinion, ShareToCheck};
use packetcrypt::block::Proof;
use packetcrypt::block::check::{ProofFault, Reaches};
use packetcrypt::block::elements::Signature;
use packetcrypt::block::share::{Share, ShareFault};
use packetcrypt::{Announcement, BlockHash, Height, SigningKey};
use prometheus_client::metrics::counter::Counter;
use wire::refusal::Role;
use wire::share_post::{OUT_OF_DATE, ShareHeaders, ShareId, SharePost, ShareReply};
use wire::signing_key::PrivateSeed;
use wire::work_number::estimated_encryptions;
use wire::{Event, Refusal, Reply, ShareEvent};

use super::checking::Parents;
use super::submission::{Submitted, header_and_elements};
use super::works::{FoundWork, NoWork, Work};
use super::{BlockNode, Shared, seen};
use crate::metrics::{Metrics, Stage, StageTimes};
use crate::outbox::Record;

/// Time for the node to tell a parent's hash (rule R-K3).
const PARENT_TIME: Duration = Duration::from_secs(2);

/// What a handler counts.
pub(super) struct Figures {
    pub shares_accepted: Counter,
    pub shares_on_replaced_work: Counter,
    pub blocks_accepted: Counter,
    pub blocks_not_accepted: Counter,
    pub receive: StageTimes,
    pub duplicate: StageTimes,
    pub store: StageTimes,
    pub reply: StageTimes,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            shares_accepted: metrics.counter("shares_accepted", "Shares accepted"),
            shares_on_replaced_work: metrics
                .counter("shares_on_replaced_work", "Shares accepted for work that had just been replaced"),
            blocks_accepted: metrics.counter("blocks_accepted", "Blocks that the node took"),
            blocks_not_accepted: metrics
                .counter("blocks_not_accepted", "Blocks found that the node did not take"),
            receive: metrics.stage(Stage::Receive),
            duplicate: metrics.stage(Stage::Duplicate),
            store: metrics.stage(Stage::Store),
            reply: metrics.stage(Stage::Reply),
        }
    }
}

/// An answer to a share: accepted, or refused; a block that is known already is both.
pub(super) struct Answer {
    pub reply: ShareReply,
    pub refusal: Option<Refusal>,
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self { reply: Reply::refused(&refusal), refusal: Some(refusal) }
    }
}

impl<Node: BlockNode> Shared<Node> {
    /// Takes a share, or says why not. Must not be cut off in the middle: run it in a task of its own.
    pub(super) async fn admit(self: &Arc<Self>, headers: ShareHeaders, post: SharePost) -> Answer {
        let out_of_date = headers.share_version.is_none();
        let mut answer = self.walk(headers, post).await.unwrap_or_else(Answer::from);
        if out_of_date {
            answer.reply.warn.push(OUT_OF_DATE.to_owned());
        }
        answer
    }

    async fn walk(self: &Arc<Self>, headers: ShareHeaders, post: SharePost) -> Result<Answer, Refusal> {
        let FoundWork { work, is_current } =
            self.works.on(post.header.previous).map_err(|none| match none {
                NoWork::NotReady => Refusal::NotReady { role: Role::BlkHandler },
                NoWork::Other(expected) => Refusal::WrongWork { expected, got: post.header.previous },
            })?;
        let SharePost { commitment, header, proof } = post;
        let share = Share::open(&work.share_work(), &header, proof, commitment)
            .map_err(|fault| refusal_of(&fault))?;
        let id = ShareId::new(&share.header, share.proof.nonce2);
        if self.seen.contains(&id) {
            return Err(Refusal::DuplicateShare);
        }
        let parents = self.parents(&share, &work).await?;
        let signatures = signatures(self.config.private_seed.as_ref(), &share.proof)?;

        let share = Arc::new(share);
        let verdict = self.checking.check(Arc::clone(&share), Arc::clone(&work), parents).await;
        let verdict = verdict
            .map_err(|_| Refusal::Overloaded { role: Role::BlkHandler })?
            .map_err(|fault| refusal_of(&fault))?;
        // Not before: the id does not cover the announcements, so a bad share could take the place of a good one.
        let looking = Instant::now();
        let place = self.seen.reserve(&id, work.file.height.0);
        self.figures.duplicate.since(looking);
        let place = place.ok_or(Refusal::DuplicateShare)?;

        // A block is on its way before anything else is looked at.
        let submitted = match verdict.reaches {
            Reaches::Block if is_current => Some(self.submit(&work, &share, signatures.clone()).await),
            Reaches::Block | Reaches::Share => None,
        };
        if self.config.ask_node && is_current && submitted.is_none() {
            self.ask_node(&work, &share, signatures).await?;
        }
        let event = self.event(&headers, &id, &work, &share, submitted.as_ref());
        let storing = Instant::now();
        let stored = self.outbox.append(record_of(&event, &id, &work)).await;
        self.figures.store.since(storing);
        stored.map_err(|error| {
            tracing::error!(%error, "a share could not be stored");
            Refusal::StorageFailed
        })?;
        place.keep();
        self.figures.shares_accepted.inc();
        if !is_current {
            self.figures.shares_on_replaced_work.inc();
        }
        Ok(accepted(event, submitted))
    }

    /// The hashes of the announcements' parents, from the Master's block infos or the node (rule R-K3).
    async fn parents(&self, share: &Share, work: &Work) -> Result<Parents, Refusal> {
        let mut parents = Parents::new();
        for height in share.proof.announcements.iter().map(Announcement::parent_height) {
            if !parents.iter().any(|(known, _)| *known == height) {
                let hash = self.parent_hash(height, work).await;
                parents.push((height, hash.ok_or_else(|| parent_out_of_range(height))?));
            }
        }
        Ok(parents)
    }

    async fn parent_hash(&self, height: Height, work: &Work) -> Option<BlockHash> {
        // Below height 3 any earlier block will do, later only blocks three heights below and more.
        let youngest = if work.file.height.0 <= 3 { 1 } else { 3 };
        if height.0 > work.file.height.0.checked_sub(youngest)? {
            return None;
        }
        if let Some(hash) = work.hash_at(height) {
            return Some(hash);
        }
        match tokio::time::timeout(PARENT_TIME, self.node.block_hash(height)).await {
            Ok(Ok(hash)) => Some(hash),
            Ok(Err(fault)) => {
                tracing::warn!(%height, %fault, "the node does not tell the hash of an announcement's parent");
                None
            }
            Err(_elapsed) => {
                tracing::warn!(%height, "the node does not tell the hash of an announcement's parent in time");
                None
            }
        }
    }

    /// The node's second opinion.
    async fn ask_node(&self, work: &Work, share: &Share, signatures: Vec<Signature>) -> Result<(), Refusal> {
        let mut coinbase = work.file.coinbase.clone();
        // Cannot fail: the share was opened with this coinbase.
        let _ = share.commitment.place_into(&mut coinbase);
        let to_check = ShareToCheck {
            share_target: work.file.share_target,
            height: work.file.height,
            header_and_proof: header_and_elements(share, signatures),
            coinbase,
            merkle_branch: work.file.branch.clone(),
        };
        match self.node.check_share(to_check).await {
            Ok(ShareOpinion::Ok) => Ok(()),
            Ok(ShareOpinion::ResubmitAsBlock) => {
                // The node lets a hash equal to the target pass, and nothing else can make the difference.
                tracing::warn!("the node takes a share for a block that is none by our check");
                Ok(())
            }
            Err(NodeError::Rpc { message, .. }) => Err(Refusal::NodeRefusedShare { reason: message }),
            Err(NodeError::BadReply { what }) => Err(Refusal::UnexpectedNodeAnswer { answer: what }),
            Err(fault) => {
                tracing::warn!(%fault, "the node cannot be asked about a share");
                Err(Refusal::NodeUnavailable)
            }
        }
    }

    fn event(
        &self,
        headers: &ShareHeaders,
        id: &ShareId,
        work: &Work,
        share: &Share,
        submitted: Option<&Submitted>,
    ) -> ShareEvent {
        let won_block = match submitted {
            Some(Submitted::Accepted(hash)) => Some(*hash),
            _ => None,
        };
        let (target, count) = (work.file.share_target, share.commitment.count.get());
        let least_work = share.commitment.least_work.compact();
        ShareEvent {
            pay_to: headers.pay_to,
            won_block,
            time_ms: (self.config.clock)(),
            event_id: id.event_id(),
            target,
            announcement_count: count,
            announcement_min_work: least_work,
            encryptions: estimated_encryptions(target, least_work, count),
        }
    }
}

/// Signatures of the announcements that need one, made with this pool's keys.
pub(super) fn signatures(seed: Option<&PrivateSeed>, proof: &Proof) -> Result<Vec<Signature>, Refusal> {
    let sign = |(index, key): (usize, SigningKey)| {
        let announcement = &proof.announcements[index];
        let seed = seed.ok_or(Refusal::SigningKeyNotConfigured { index })?;
        let above = announcement.parent_height().checked_add(1);
        let above = above.filter(|above| seed.signing_key(*above) == Some(key));
        let above = above.ok_or(Refusal::InvalidSigningKey { index })?;
        Ok(Signature(seed.sign(above, announcement.as_bytes())))
    };
    proof.signing_keys().map(sign).collect()
}

/// The answer to an accepted share, with what became of its block (rule R-K6).
fn accepted(event: ShareEvent, submitted: Option<Submitted>) -> Answer {
    let reply = Reply::accepted(event);
    match submitted {
        None | Some(Submitted::Accepted(_) | Submitted::NotNeeded) => Answer { reply, refusal: None },
        Some(Submitted::Refused(reason)) => {
            let warning = Refusal::NodeRefusedBlock { reason }.to_string();
            Answer { reply: reply.with_warning(warning), refusal: None }
        }
        Some(Submitted::Pending) => {
            let warning = Refusal::NodeUnavailable.to_string();
            Answer { reply: reply.with_warning(warning), refusal: None }
        }
        Some(Submitted::AlreadyKnown) => {
            let refusal = Refusal::AlreadyHaveBlock;
            Answer { reply: Reply { error: vec![refusal.to_string()], ..reply }, refusal: Some(refusal) }
        }
    }
}

fn record_of(event: &ShareEvent, id: &ShareId, work: &Work) -> Record {
    Record {
        scope: work.file.height.0,
        event: Event::Share(event.clone()).to_line().trim_end().as_bytes().to_vec(),
        keys: seen::key_of(id),
    }
}

fn parent_out_of_range(height: Height) -> Refusal {
    // As the field is meant: a signed number.
    Refusal::ParentOutOfRange { parent: i64::from(height.0 as i32) }
}

fn refusal_of(fault: &ShareFault) -> Refusal {
    match fault {
        ShareFault::OtherPrevious { expected, got } => Refusal::WrongWork { expected: *expected, got: *got },
        ShareFault::Proof(ProofFault::UnknownParent { height, .. }) => parent_out_of_range(*height),
        other => Refusal::InvalidShare { fault: other.to_string() },
    }
}
