//! A block on its way to the node: built from share and template, handed over until the node has answered.
//!
//! Rules: `docs/protocol/packetcrypt-pool.md` 9.2.11 and R-K6. A submission runs on its own: neither a client that goes
//! away nor a full disk stops it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use node::NodeError;
use node::pktd::SubmitOutcome;
use packetcrypt::BlockHash;
use packetcrypt::block::elements::{Elements, Signature};
use packetcrypt::block::share::Share;
use tokio::time::Instant;
use wire::template::BlockTemplate;
use wire::var_int;

use super::works::Work;
use super::{BlockNode, Shared};
use crate::backoff::Backoff;
use crate::request_context::carry;

/// After so long a block is not worth repeating any more: the chain has gone on.
const GIVE_UP: Duration = Duration::from_mins(10);
/// How long the miner is kept waiting for the outcome.
const MINER_WAITS: Duration = Duration::from_secs(20);

/// What became of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Submitted {
    /// The node took it.
    Accepted(BlockHash),
    /// The node had it before this handler handed it over.
    AlreadyKnown,
    /// The node refused it, with the first line of why.
    Refused(String),
    /// There is no answer yet; it is still being tried.
    Pending,
    /// Not handed over: this handler already made a block of this work.
    NotNeeded,
}

impl fmt::Display for Submitted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(_) => formatter.write_str("the node accepted it"),
            Self::AlreadyKnown => formatter.write_str("the node had it already"),
            Self::Refused(reason) => write!(formatter, "refused: {reason}"),
            Self::Pending => formatter.write_str("no answer yet"),
            Self::NotNeeded => formatter.write_str("not handed over: there is a block of this work"),
        }
    }
}

/// Why there is no block to hand over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum AssemblyFault {
    #[error("the template has no coinbase with a place for the commitment")]
    NoPlaceForCommitment,
}

impl<Node: BlockNode> Shared<Node> {
    /// Hands the block that a share makes to the node, unless one of the same work was accepted already.
    ///
    /// Returns when the node has answered, or after [`MINER_WAITS`]; the submission goes on by itself.
    pub(super) async fn submit(
        self: &Arc<Self>,
        work: &Arc<Work>,
        share: &Arc<Share>,
        signatures: Vec<Signature>,
    ) -> Submitted {
        if *work.block_accepted.borrow() {
            return Submitted::NotNeeded;
        }
        let (shared, work, share) = (Arc::clone(self), Arc::clone(work), Arc::clone(share));
        let submission = async move { shared.submit_until_answered(&work, &share, signatures).await };
        let submission = self.under_way.spawn(carry(submission));
        match tokio::time::timeout(MINER_WAITS, submission).await {
            Ok(Ok(submitted)) => submitted,
            Ok(Err(fault)) => {
                tracing::error!(%fault, "the submission of a block ended badly");
                Submitted::Pending
            }
            Err(_elapsed) => Submitted::Pending,
        }
    }

    async fn submit_until_answered(
        &self,
        work: &Work,
        share: &Share,
        signatures: Vec<Signature>,
    ) -> Submitted {
        let hash = share.header.block_hash();
        tracing::info!(%hash, height = %work.file.height, "block found");
        // A template that is there is used even while the handler is ending.
        let mut template = work.template.subscribe();
        let known = template.borrow_and_update().clone();
        let template = if known.is_some() {
            known
        } else {
            let waiting = tokio::time::timeout(GIVE_UP, template.wait_for(Option::is_some));
            let waited = self.shutdown.run_until_cancelled(waiting).await;
            waited.and_then(Result::ok).and_then(Result::ok).and_then(|template| template.clone())
        };
        let Some(template) = template else {
            tracing::error!(%hash, "block lost: the Master gave no template for its work");
            return Submitted::Pending;
        };
        let block = match assemble(share, signatures, &template) {
            Ok(block) => block,
            Err(fault) => {
                tracing::error!(%hash, %fault, "block lost");
                return Submitted::Refused(fault.to_string());
            }
        };
        let submitted = self.hand_over(hash, &block).await;
        tracing::info!(%hash, height = %work.file.height, outcome = %submitted, "block submitted");
        match &submitted {
            Submitted::Accepted(_) => {
                work.block_accepted.send_replace(true);
                self.figures.blocks_accepted.inc();
            }
            _ => {
                self.figures.blocks_not_accepted.inc();
            }
        }
        submitted
    }

    /// Tries until the node has answered.
    async fn hand_over(&self, hash: BlockHash, block: &[u8]) -> Submitted {
        const PART: &str = "node";
        let started = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        // Once an answer was lost, the node may have the block from us.
        let mut may_have_it_from_us = false;
        loop {
            match self.node.submit_block(block).await {
                Ok(outcome) => {
                    self.health.solved(PART);
                    return match outcome {
                        SubmitOutcome::Accepted => Submitted::Accepted(hash),
                        SubmitOutcome::AlreadyKnown if may_have_it_from_us => Submitted::Accepted(hash),
                        SubmitOutcome::AlreadyKnown => Submitted::AlreadyKnown,
                        SubmitOutcome::Rejected(reason) => Submitted::Refused(reason),
                    };
                }
                Err(NodeError::Rpc { message, .. }) => return Submitted::Refused(message),
                Err(fault) => {
                    tracing::error!(%hash, %fault, "a block could not be handed to the node, trying again");
                    self.health.trouble_of(PART, format!("a block cannot be submitted: {fault}"));
                    may_have_it_from_us = true;
                }
            }
            if started.elapsed() > GIVE_UP || self.shutdown.is_cancelled() {
                tracing::error!(%hash, "block lost: the node did not take it in time");
                return Submitted::Pending;
            }
            tokio::time::sleep(backoff.after_failure()).await;
        }
    }
}

/// The block: header, elements with signatures, the template's transactions with the commitment in the coinbase.
fn assemble(
    share: &Share,
    signatures: Vec<Signature>,
    template: &BlockTemplate,
) -> Result<Vec<u8>, AssemblyFault> {
    let (coinbase, others) =
        template.transactions.split_first().ok_or(AssemblyFault::NoPlaceForCommitment)?;
    let mut coinbase = coinbase.clone();
    share.commitment.place_into(&mut coinbase).ok_or(AssemblyFault::NoPlaceForCommitment)?;
    let mut block = header_and_elements(share, signatures);
    var_int::write(&mut block, template.transactions.len() as u64);
    block.extend(coinbase);
    for transaction in others {
        block.extend(transaction);
    }
    Ok(block)
}

/// Header and elements, with the end element and without transactions.
pub(super) fn header_and_elements(share: &Share, signatures: Vec<Signature>) -> Vec<u8> {
    let mut bytes = share.header.to_bytes().to_vec();
    bytes.extend(Elements { proof: share.proof.clone(), signatures }.to_bytes());
    bytes
}
