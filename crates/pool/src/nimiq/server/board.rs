//! What there is to mine: the head, what must be on top of it, and the node's template.
//!
//! One [`Work`] serves all connections: only the extra data differs between them, and everything above it in the body's
//! tree is shared (`docs/protocol/nimiq-pool.md` 3.3). A new one is posted for every head, and on the same head when
//! transactions have come.

use std::sync::Arc;
use std::time::Instant;

use nimiq::share::{NextBlock, RecentHeads};
use nimiq::work::BodyTemplate;
use nimiq::{AccountsHash, Block, Body, BodyHash, ExtraData, Header, LightBlock};
use wire::nimiq::PreviousBlock;

/// A template on a head.
#[derive(Debug)]
pub struct Work {
    /// What everyone's block on this head must be.
    pub next: NextBlock,
    /// The head itself; `None` while its interlink is not known. Nano clients wait for it.
    pub head: Option<PreviousBlock>,
    /// Root of the accounts after the body, which does not depend on extra data.
    pub accounts_hash: AccountsHash,
    /// The difficulty of the block to be mined, for comparison with that of shares.
    pub difficulty: f64,
    body: Body,
    template: BodyTemplate,
    /// When it was made, for the time until clients have it.
    pub made: Instant,
}

impl Work {
    /// From the node's template: `body` is the one that it proposes, with whatever extra data.
    pub fn new(next: NextBlock, head: Option<LightBlock>, accounts_hash: AccountsHash, body: Body) -> Self {
        let path = body.miner_proof();
        let above_the_pair = path.siblings().iter().skip(1).map(|sibling| sibling.hash).collect();
        let template = BodyTemplate::new(&body.miner, above_the_pair);
        let difficulty = next.target.difficulty().to_decimal().to_f64();
        let head = head.map(PreviousBlock::from);
        Self { next, head, accounts_hash, difficulty, body, template, made: Instant::now() }
    }

    /// The hash of the body with this extra data in it.
    pub fn body_hash(&self, extra_data: &ExtraData) -> BodyHash {
        self.template.body_hash(extra_data)
    }

    /// The whole block of a header that was mined on this work.
    pub fn block(&self, header: Header, extra_data: &ExtraData) -> Block {
        let body = Body { extra_data: extra_data.clone(), ..self.body.clone() };
        Block { header, interlink: self.next.interlink.clone(), body }
    }

    /// Whether both are the same template.
    pub fn is_like(&self, other: &Self) -> bool {
        self.next == other.next && self.body == other.body && self.head.is_some() == other.head.is_some()
    }
}

/// What all connections look at: the newest work, and the heads of the last minutes.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// Where a share stands.
    pub heads: RecentHeads,
    /// What to mine; `None` before the first, and while the node is not to be trusted with miners' time.
    pub work: Option<Arc<Work>>,
}

impl Board {
    /// The board with this work on it.
    #[must_use]
    pub fn with(&self, work: Arc<Work>) -> Self {
        let mut heads = self.heads.clone();
        heads.push(work.next.clone());
        Self { heads, work: Some(work) }
    }

    /// The board without work: shares on the known heads are still taken, and nothing new is given out.
    #[must_use]
    pub fn without_work(&self) -> Self {
        Self { heads: self.heads.clone(), work: None }
    }
}
