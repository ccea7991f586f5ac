//! Which blocks the chain has gained and lost since somebody looked last.
//!
//! Source: `docs/protocol/nimiq-pool.md` 3.5, reorganisation.

use nimiq::{BlockHash, Height};

use super::{BlockInfo, NimiqClient};
use crate::json_rpc::NodeError;

/// New blocks that one look gives at most; the rest comes with the next.
const MOST_BLOCKS: u32 = 500;

/// A block by height and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
}

/// What has changed in the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainChange {
    /// Known blocks that are no longer in it, newest first.
    pub orphaned: Vec<BlockId>,
    /// Blocks that it has gained, oldest first: each is on the one before, the first on the newest known one that is
    /// still in the chain.
    pub adopted: Vec<BlockInfo>,
}

impl NimiqClient {
    /// Compares the chain with the newest blocks that are known of it, the oldest first. Where none is known, the
    /// present head is all that is adopted.
    ///
    /// The node has no snapshot to ask: where the chain changes meanwhile, this ends early, and the next look goes on.
    pub async fn changes(&self, known: &[BlockId]) -> Result<ChainChange, NodeError> {
        let head = self.head_height().await?;
        let mut change = ChainChange::default();
        let mut base = None;
        for block in known.iter().rev() {
            if block.height <= head && self.is_in_chain(block.height, &block.hash).await? {
                base = Some(*block);
                break;
            }
            change.orphaned.push(*block);
        }
        if let (None, Some(oldest)) = (base, known.first()) {
            let depth = oldest.height;
            return Err(NodeError::bad_reply(format!(
                "the chain no longer has any known block from height {depth} on"
            )));
        }
        let first = base.map_or(head, |base| base.height.next());
        let last = head.0.min(first.0.saturating_add(MOST_BLOCKS - 1));
        let mut previous = base.map(|base| base.hash);
        for height in first.0..=last {
            let Some(block) = self.block_at(Height(height)).await? else { break };
            if previous.is_some_and(|previous| previous != block.facts.previous) {
                break;
            }
            previous = Some(block.facts.hash);
            change.adopted.push(block);
        }
        Ok(change)
    }
}
