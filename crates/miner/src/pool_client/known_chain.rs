//! The newest blocks of a pool's chain, as far as its block infos tell.
//!
//! Blocks are kept by hash and linked by their previous hash, so a reorganisation needs no special case: what counts
//! is what can be reached from the tip.

use std::{collections::HashMap, sync::Arc};

use packetcrypt::{BlockHash, Height, SigningKey};
use wire::block_info::BlockInfo;

use super::HandlerList;

/// Blocks are forgotten when they are this many heights below the newest one, beyond the depth that is followed.
const SLACK: u32 = 16;

/// One block that can be the parent of announcements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBlock {
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: Height,
    /// The block below it.
    pub previous: BlockHash,
    /// The key that announcements with this parent carry where the pool signs.
    pub signing_key: Option<SigningKey>,
    /// The announcement handlers when this block was first seen: a handler decides by the list of that time which
    /// announcements on this parent are its own (rules R-A5, R-N8).
    pub handlers: Arc<HandlerList>,
}

/// A block info that does not fit into the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// The pool answered with another block.
    #[error("asked for block {asked}, got {got}")]
    OtherBlock {
        /// The hash that was asked for.
        asked: BlockHash,
        /// The hash in the answer.
        got: BlockHash,
    },
    /// Its height is not the one below the block that names it.
    #[error("block {hash} should be at height {expected}, its info says {found}")]
    Height {
        /// The block.
        hash: BlockHash,
        /// The height that follows from the block above, or from the pool's current height.
        expected: Height,
        /// The height in the answer.
        found: Height,
    },
}

/// A block whose info is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Its id.
    pub hash: BlockHash,
    /// Where it must be.
    pub height: Height,
}

/// The blocks reachable from the tip.
#[derive(Debug, Clone, Default)]
pub struct KnownChain {
    blocks: HashMap<BlockHash, Arc<KnownBlock>>,
    tip: Option<(BlockHash, Height)>,
}

impl KnownChain {
    /// A chain of which only the tip is known.
    pub fn of_one_block(block: KnownBlock) -> Self {
        let tip = Some((block.hash, block.height));
        Self { blocks: HashMap::from([(block.hash, Arc::new(block))]), tip }
    }

    /// The pool's newest block, whether or not its info is known yet.
    pub fn set_tip(&mut self, hash: BlockHash, height: Height) {
        self.tip = Some((hash, height));
    }

    /// The first block without an info, at most `depth` blocks back from the tip; `None` when all are known.
    pub fn missing(&self, depth: u32) -> Option<Missing> {
        let (mut hash, mut height) = self.tip?;
        for _ in 0..depth {
            let Some(block) = self.blocks.get(&hash) else { return Some(Missing { hash, height }) };
            height = height.checked_sub(1)?;
            hash = block.previous;
        }
        None
    }

    /// Adds the info of a [`missing`](Self::missing) block, seen while `handlers` is the pool's list.
    pub fn add(
        &mut self,
        missing: Missing,
        info: &BlockInfo,
        handlers: &Arc<HandlerList>,
    ) -> Result<(), ChainFault> {
        let header = &info.header;
        if header.hash != missing.hash {
            return Err(ChainFault::OtherBlock { asked: missing.hash, got: header.hash });
        }
        if header.height != missing.height {
            return Err(ChainFault::Height {
                hash: header.hash,
                expected: missing.height,
                found: header.height,
            });
        }
        let block = KnownBlock {
            hash: header.hash,
            height: header.height,
            previous: header.previous_block_hash,
            signing_key: info.signing_key,
            handlers: Arc::clone(handlers),
        };
        self.blocks.insert(block.hash, Arc::new(block));
        Ok(())
    }

    /// Forgets what is more than `depth` (and some) below the tip.
    pub fn prune(&mut self, depth: u32) {
        let Some((_, tip)) = self.tip else { return };
        let lowest = tip.0.saturating_sub(depth.saturating_add(SLACK));
        self.blocks.retain(|_, block| block.height.0 >= lowest);
    }

    /// The blocks from the tip downwards, as far as they are known.
    pub fn from_tip(&self) -> impl Iterator<Item = &Arc<KnownBlock>> {
        let tip = self.tip.and_then(|(hash, _)| self.blocks.get(&hash));
        std::iter::successors(tip, |block| {
            block.height.checked_sub(1)?;
            self.blocks.get(&block.previous)
        })
    }

    /// The block at a height of the pool's chain.
    pub fn at(&self, height: Height) -> Option<&Arc<KnownBlock>> {
        self.from_tip().take_while(|block| block.height >= height).find(|block| block.height == height)
    }

    /// The block `distance` below the tip, or the genesis block where the chain is shorter: on a young chain it is
    /// the only parent there is.
    pub fn below_tip(&self, distance: u32) -> Option<&Arc<KnownBlock>> {
        let (_, tip) = self.tip?;
        self.at(Height(tip.0.saturating_sub(distance)))
    }

    /// Every known block's handlers, on whatever branch.
    pub fn handler_lists(&self) -> impl Iterator<Item = &Arc<HandlerList>> {
        self.blocks.values().map(|block| &block.handlers)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use packetcrypt::CompactTarget;
    use wire::block_info::BlockInfoHeader;

    use super::*;

    /// A block named by its height and branch, on top of another one.
    pub(crate) fn info(branch: u8, height: u32, previous: BlockHash) -> BlockInfo {
        BlockInfo {
            header: BlockInfoHeader {
                hash: hash(branch, height),
                height: Height(height),
                version: 0x2000_0000,
                version_hex: 0x2000_0000,
                merkle_root: BlockHash::default(),
                time: 1_600_000_000 + height,
                nonce: 0,
                bits: CompactTarget(0x1f0f_ffff),
                difficulty: "1".parse().unwrap(),
                previous_block_hash: previous,
            },
            signing_key: None,
        }
    }

    pub(crate) fn hash(branch: u8, height: u32) -> BlockHash {
        let mut bytes = [branch; 32];
        bytes[..4].copy_from_slice(&height.to_le_bytes());
        BlockHash::from_internal(bytes)
    }

    fn follow(chain: &mut KnownChain, depth: u32, infos: &[BlockInfo]) -> usize {
        let handlers = Arc::new(HandlerList::default());
        let mut fetched = 0;
        while let Some(missing) = chain.missing(depth) {
            let Some(info) = infos.iter().find(|info| info.header.hash == missing.hash) else { break };
            chain.add(missing, info, &handlers).unwrap();
            fetched += 1;
        }
        fetched
    }

    fn branch(branch: u8, heights: std::ops::RangeInclusive<u32>, below: BlockHash) -> Vec<BlockInfo> {
        let mut previous = below;
        heights
            .map(|height| {
                let info = info(branch, height, previous);
                previous = info.header.hash;
                info
            })
            .collect()
    }

    #[test]
    fn the_walk_goes_from_the_tip_to_the_depth_and_no_further() {
        let infos = branch(1, 0..=20, BlockHash::default());
        let mut chain = KnownChain::default();
        chain.set_tip(hash(1, 20), Height(20));
        assert_eq!(follow(&mut chain, 6, &infos), 6);
        assert_eq!(
            chain.from_tip().map(|block| block.height.0).collect::<Vec<_>>(),
            [20, 19, 18, 17, 16, 15]
        );
        assert_eq!(chain.below_tip(2).map(|block| block.hash), Some(hash(1, 18)));
        assert_eq!(chain.at(Height(14)), None);
    }

    #[test]
    fn a_chain_of_one_block_offers_the_genesis_block_as_parent() {
        let mut chain = KnownChain::default();
        chain.set_tip(hash(1, 0), Height(0));
        assert_eq!(follow(&mut chain, 6, &branch(1, 0..=0, BlockHash::default())), 1);
        assert_eq!(chain.missing(6), None);
        assert_eq!(chain.below_tip(2).map(|block| block.height), Some(Height(0)));
    }

    #[test]
    fn r_n3_after_a_reorganisation_only_the_new_branch_is_walked() {
        let old = branch(1, 0..=10, BlockHash::default());
        let mut new = branch(2, 9..=11, hash(1, 8));
        new.extend(old.clone());
        let mut chain = KnownChain::default();
        chain.set_tip(hash(1, 10), Height(10));
        follow(&mut chain, 6, &old);
        chain.set_tip(hash(2, 11), Height(11));
        assert_eq!(follow(&mut chain, 6, &new), 3, "the common blocks are not fetched again");
        assert_eq!(chain.below_tip(2).map(|block| block.hash), Some(hash(2, 9)));
        assert_eq!(chain.at(Height(8)).map(|block| block.hash), Some(hash(1, 8)));
        // And back again, to a lower tip.
        chain.set_tip(hash(1, 10), Height(10));
        assert_eq!(chain.missing(6), None);
        assert_eq!(chain.below_tip(1).map(|block| block.hash), Some(hash(1, 9)));
    }

    #[test]
    fn r_n5_infos_of_other_blocks_and_wrong_heights_are_faults() {
        let mut chain = KnownChain::default();
        chain.set_tip(hash(1, 10), Height(10));
        let missing = chain.missing(6).unwrap();
        let handlers = Arc::new(HandlerList::default());
        let other = info(2, 10, BlockHash::default());
        assert!(matches!(chain.add(missing, &other, &handlers), Err(ChainFault::OtherBlock { .. })));
        let mut lying = info(1, 10, BlockHash::default());
        lying.header.height = Height(4_000_000_000);
        assert!(matches!(chain.add(missing, &lying, &handlers), Err(ChainFault::Height { .. })));
        assert_eq!(chain.missing(6), Some(missing));
    }

    #[test]
    fn old_blocks_are_forgotten() {
        let infos = branch(1, 0..=200, BlockHash::default());
        let mut chain = KnownChain::default();
        for height in 0..=200 {
            chain.set_tip(hash(1, height), Height(height));
            follow(&mut chain, 6, &infos);
            chain.prune(6);
        }
        assert!(chain.blocks.len() <= 6 + SLACK as usize + 1, "{}", chain.blocks.len());
    }
}
