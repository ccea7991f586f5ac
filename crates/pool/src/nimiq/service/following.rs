//! From the node's chain to the accounts': what left, what joined, and which of it is the pool's.

use ledger::UnixMillis;
use ledger::nimiq::{Accounts, AccountsError, ChainBlock, ChainUpdate, Followed, FoundReward, ServiceLease};
use nimiq::reward::block_reward;
use nimiq::{Address, Height, ShareTarget, ShareWeight};
use node::NimiqClient;
use node::nimiq::{BlockId, BlockInfo, ChainChange};
use prometheus_client::metrics::gauge::Gauge;

use super::{ServiceConfig, ServiceFault};
use crate::metrics::Metrics;

/// Blocks that are kept at hand: a reorganisation that goes deeper needs a person.
const KNOWN_BLOCKS: u32 = 2000;

/// What one look came to.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Whether the chain has changed.
    pub changed: bool,
    /// Blocks that the node has and the accounts have not yet.
    pub behind: u32,
    /// What was booked.
    pub followed: Followed,
}

/// The accounts' main chain, as far as a reorganisation may reach.
pub(super) struct Following {
    accounts: Accounts,
    pool_address: Address,
    confirmations: u32,
    clock: fn() -> UnixMillis,
    /// The newest blocks of the accounts' main chain, oldest first; `None`: to be read.
    known: Option<Vec<BlockId>>,
    lag: Gauge,
}

impl Following {
    pub(super) fn new(config: &ServiceConfig, accounts: Accounts, metrics: &Metrics) -> Self {
        Self {
            accounts,
            pool_address: config.pool_address,
            confirmations: config.rules.confirmations,
            clock: config.duty.clock,
            known: None,
            lag: metrics.gauge("nimiq_lag_blocks", "Blocks that the node has and the accounts have not"),
        }
    }

    /// Somebody else may have written since: the chain is read again.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// The newest block that is booked, if the chain has been read.
    pub(super) fn newest(&self) -> Option<BlockId> {
        self.known.as_ref()?.last().copied()
    }

    /// Books what has changed in the node's chain, up to some hundred blocks at once.
    pub(super) async fn look(
        &mut self,
        lease: &ServiceLease,
        node: &NimiqClient,
    ) -> Result<Look, ServiceFault> {
        let known = match self.known.take() {
            Some(known) => known,
            None => self.stored().await?,
        };
        let head = node.head_height().await?;
        // Before anything is booked, which may fail again and again.
        self.behind(head, &known);
        let change = node.changes(&known).await?;
        let changed = !change.orphaned.is_empty() || !change.adopted.is_empty();
        let followed = if changed { self.book(lease, &change).await? } else { Followed::default() };
        let known = after(known, &change);
        let behind = self.behind(head, &known);
        self.known = Some(known);
        Ok(Look { changed, behind, followed })
    }

    /// How many blocks the accounts lack, which is shown as well.
    fn behind(&self, head: Height, known: &[BlockId]) -> u32 {
        let newest = known.last().map_or(0, |block| block.height.0);
        let behind = head.0.saturating_sub(newest);
        self.lag.set(i64::from(behind));
        behind
    }

    /// Matures what is deep enough, without a new block.
    pub(super) async fn mature(&self, lease: &ServiceLease) -> Result<Followed, AccountsError> {
        let update = ChainUpdate::default();
        let followed = self.accounts.follow(lease, &update, self.confirmations, (self.clock)()).await?;
        note(&followed);
        Ok(followed)
    }

    async fn book(&self, lease: &ServiceLease, change: &ChainChange) -> Result<Followed, AccountsError> {
        let update = ChainUpdate {
            left: change.orphaned.iter().map(|block| block.hash).collect(),
            joined: change.adopted.iter().map(|block| self.chain_block(block)).collect(),
        };
        let followed = self.accounts.follow(lease, &update, self.confirmations, (self.clock)()).await?;
        if !update.left.is_empty() {
            let (left, joined) = (update.left.len(), update.joined.len());
            tracing::info!(left, joined, "the chain was reorganised");
        }
        note(&followed);
        Ok(followed)
    }

    async fn stored(&self) -> Result<Vec<BlockId>, AccountsError> {
        let blocks = self.accounts.main_chain(KNOWN_BLOCKS).await?;
        Ok(blocks.into_iter().rev().map(|(height, hash)| BlockId { height, hash }).collect())
    }

    fn chain_block(&self, block: &BlockInfo) -> ChainBlock {
        let (height, hash) = (block.facts.height, block.facts.hash);
        let found = (block.miner == self.pool_address).then(|| FoundReward {
            reward: block_reward(height),
            fees: block.fees,
            work: work_of(block),
        });
        ChainBlock { hash, height, found }
    }
}

/// What a share as hard as the block weighs.
fn work_of(block: &BlockInfo) -> ShareWeight {
    let target = block.facts.difficulty.compact().and_then(ShareTarget::new);
    target.map_or(ShareWeight::OF_DIFFICULTY_ONE, |target| target.weight())
}

/// The known blocks after a change.
fn after(mut known: Vec<BlockId>, change: &ChainChange) -> Vec<BlockId> {
    known.truncate(known.len() - change.orphaned.len());
    known.extend(
        change.adopted.iter().map(|block| BlockId { height: block.facts.height, hash: block.facts.hash }),
    );
    let superfluous = known.len().saturating_sub(KNOWN_BLOCKS as usize);
    known.drain(..superfluous);
    known
}

/// Says what happened to the pool's blocks.
fn note(followed: &Followed) {
    for (blocks, what) in [
        (&followed.found, "the pool has found a block"),
        (&followed.returned, "a block of the pool is back on the main chain"),
        (&followed.orphaned, "a block of the pool has left the main chain; its credits are taken back"),
        (&followed.matured, "a block of the pool is deep enough; its credits can be paid"),
    ] {
        for hash in blocks {
            tracing::info!(%hash, "{what}");
        }
    }
}
