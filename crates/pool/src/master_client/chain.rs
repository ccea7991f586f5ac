//! The newest blocks, walked backwards from the tip.

use std::sync::Arc;

use hashbrown::HashMap;
use packetcrypt::BlockHash;
use wire::block_info::{self, BlockInfo};
use wire::pool_config::PoolConfig;

use super::{MasterFault, Shared};

/// Block infos that have been fetched, by hash.
#[derive(Default)]
pub(super) struct KnownBlocks {
    by_hash: HashMap<BlockHash, Arc<BlockInfo>>,
}

impl KnownBlocks {
    /// Fetches what is missing of the newest `wanted` blocks. Stops at the first failure, which is tried again at
    /// the next look, and at the genesis block.
    pub(super) async fn walk(
        &mut self,
        shared: &Shared,
        config: &PoolConfig,
        wanted: usize,
    ) -> Result<(), MasterFault> {
        let mut hash = config.tip_hash;
        let mut height = config.tip_height();
        for _ in 0..wanted {
            let block = match self.by_hash.get(&hash) {
                Some(block) => Arc::clone(block),
                None => Arc::new(fetch(shared, config, hash).await?),
            };
            if block.header.height != height {
                let mismatch = format!("height {} instead of {height}", block.header.height);
                return Err(MasterFault::Mismatch { url: url(shared, config, &hash), mismatch });
            }
            hash = block.header.previous_block_hash;
            self.by_hash.insert(block.header.hash, block);
            let Some(below) = height.checked_sub(1) else { break };
            height = below;
        }
        Ok(())
    }

    /// The chain of known blocks from the tip downwards, at most `wanted`.
    pub(super) fn newest(&self, config: &PoolConfig, wanted: usize) -> Vec<Arc<BlockInfo>> {
        let mut newest = Vec::new();
        let mut next = self.by_hash.get(&config.tip_hash);
        while let Some(block) = next.filter(|_| newest.len() < wanted) {
            newest.push(Arc::clone(block));
            next = self.by_hash.get(&block.header.previous_block_hash);
        }
        newest
    }

    /// Drops blocks below all that is wanted. Those of abandoned branches stay until then: the chain may return.
    pub(super) fn forget_old(&mut self, config: &PoolConfig, wanted: usize) {
        let lowest = config.tip_height().0.saturating_sub(wanted as u32);
        if self.by_hash.len() > 2 * wanted {
            self.by_hash.retain(|_, block| block.header.height.0 >= lowest);
        }
    }
}

fn url(shared: &Shared, config: &PoolConfig, hash: &BlockHash) -> String {
    let base = config.blkinfo_url.as_deref().unwrap_or(&shared.config.pool_url);
    format!("{}/{}", base.trim_end_matches('/'), BlockInfo::file_name(hash))
}

async fn fetch(shared: &Shared, config: &PoolConfig, hash: BlockHash) -> Result<BlockInfo, MasterFault> {
    let url = url(shared, config, &hash);
    let block = shared.document_at(url.clone(), block_info::LIMIT, BlockInfo::parse).await?;
    if block.header.hash != hash {
        return Err(MasterFault::Mismatch { url, mismatch: format!("is about block {}", block.header.hash) });
    }
    Ok(block)
}
