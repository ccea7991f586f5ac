//! The tree of blocks in memory: every known block, and which of its branches is the best chain.
//!
//! The best chain is the one with the most work in its headers, summed; of two with equal work the one that was
//! there first. The bytes of the blocks stay on disk ([`super::store`]).

use std::collections::HashMap;

use packetcrypt::{BlockHash, Height, block::header::Header, target::Number256};

use super::{
    rules::{BlockPlace, Branch, chain_work},
    store::{Location, Origin},
};
use crate::failover::Tip;

/// A block's number in the order in which blocks came; the genesis block is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockIndex(usize);

/// A known block.
#[derive(Clone, Debug)]
pub struct KnownBlock {
    /// Its header, height and origin.
    pub place: BlockPlace,
    /// Its id.
    pub hash: BlockHash,
    /// Where its bytes are; `None` for the genesis block.
    pub location: Option<Location>,
    /// The block before; the genesis block is its own.
    parent: BlockIndex,
    /// Work of this block and all before it.
    total_work: Number256,
}

impl KnownBlock {
    /// Hash and height.
    pub fn tip(&self) -> Tip {
        Tip { hash: self.hash, height: self.place.height }
    }
}

/// What a new block changed in the best chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Blocks that are no longer part of it, newest first.
    pub disconnected: Vec<Tip>,
    /// Blocks that now are, oldest first; empty if the block went to a side chain.
    pub connected: Vec<Tip>,
}

/// All known blocks.
#[derive(Debug)]
pub struct Chain {
    blocks: Vec<KnownBlock>,
    by_hash: HashMap<BlockHash, BlockIndex>,
    /// The best chain, by height. Never empty.
    best: Vec<BlockIndex>,
}

impl Chain {
    /// A chain with only its genesis block.
    pub fn new(genesis: Header) -> Self {
        let place = BlockPlace { height: Height(0), header: genesis, origin: Origin::Commanded };
        let hash = genesis.block_hash();
        let parent = BlockIndex(0);
        let block = KnownBlock { place, hash, location: None, parent, total_work: work(&genesis) };
        Self { blocks: vec![block], by_hash: HashMap::from([(hash, parent)]), best: vec![parent] }
    }

    /// A known block, by hash.
    pub fn find(&self, hash: &BlockHash) -> Option<BlockIndex> {
        self.by_hash.get(hash).copied()
    }

    /// A known block. An index that this chain did not give out is taken for the genesis block.
    pub fn block(&self, index: BlockIndex) -> &KnownBlock {
        self.blocks.get(index.0).unwrap_or(&self.blocks[0])
    }

    /// The newest block of the best chain.
    pub fn tip(&self) -> BlockIndex {
        self.best.last().copied().unwrap_or(BlockIndex(0))
    }

    /// The block of the best chain at a height.
    pub fn at_height(&self, height: Height) -> Option<BlockIndex> {
        self.best.get(height.0 as usize).copied()
    }

    /// Whether a block is part of the best chain.
    pub fn is_best(&self, index: BlockIndex) -> bool {
        self.at_height(self.block(index).place.height) == Some(index)
    }

    /// The branch that ends with a block.
    pub fn branch(&self, index: BlockIndex) -> BranchOf<'_> {
        BranchOf { chain: self, index }
    }

    /// Adds a block whose parent is known; gives what that changed in the best chain.
    pub fn add(&mut self, parent: BlockIndex, header: Header, origin: Origin, location: Location) -> Change {
        let before = self.block(parent);
        let height = Height(before.place.height.0.saturating_add(1));
        let total_work = before.total_work.saturating_add(work(&header));
        let (hash, index) = (header.block_hash(), BlockIndex(self.blocks.len()));
        let place = BlockPlace { height, origin, header };
        self.blocks.push(KnownBlock { place, hash, location: Some(location), parent, total_work });
        self.by_hash.insert(hash, index);
        if total_work > self.block(self.tip()).total_work { self.make_best(index) } else { Change::default() }
    }

    /// Makes the branch of a block the best chain.
    fn make_best(&mut self, index: BlockIndex) -> Change {
        let mut new = Vec::new();
        let mut at = index;
        while !self.is_best(at) {
            new.push(at);
            at = self.block(at).parent;
        }
        let fork = self.block(at).place.height.0 as usize;
        let left = self.best.split_off(fork + 1);
        new.reverse();
        let tips = |chain: &Self, indexes: &[BlockIndex]| -> Vec<Tip> {
            indexes.iter().map(|index| chain.block(*index).tip()).collect()
        };
        let mut disconnected = tips(self, &left);
        disconnected.reverse();
        let connected = tips(self, &new);
        self.best.append(&mut new);
        Change { disconnected, connected }
    }
}

fn work(header: &Header) -> Number256 {
    Number256::saturating_from(chain_work(header.bits))
}

/// A block and its ancestors.
#[derive(Clone, Copy, Debug)]
pub struct BranchOf<'a> {
    chain: &'a Chain,
    index: BlockIndex,
}

impl BranchOf<'_> {
    /// The hash of the branch's block at a height; `None` above its tip.
    pub fn hash_at(&self, height: Height) -> Option<BlockHash> {
        let mut at = self.index;
        loop {
            let block = self.chain.block(at);
            if self.chain.is_best(at) {
                // From here down the branch is the best chain.
                let index = (height <= block.place.height).then(|| self.chain.at_height(height))?;
                return index.map(|index| self.chain.block(index).hash);
            }
            if block.place.height <= height {
                return (block.place.height == height).then_some(block.hash);
            }
            at = block.parent;
        }
    }
}

impl Branch for BranchOf<'_> {
    fn tip(&self) -> BlockPlace {
        self.chain.block(self.index).place
    }

    fn ancestors(&self) -> impl Iterator<Item = BlockPlace> {
        std::iter::successors(Some(self.index), |index| {
            let block = self.chain.block(*index);
            (block.place.height.0 > 0).then_some(block.parent)
        })
        .map(|index| self.chain.block(index).place)
    }
}

#[cfg(test)]
mod tests {
    use packetcrypt::{CompactTarget, block::header::MerkleRoot};
    use proptest::prelude::*;

    use super::*;

    const EASY: CompactTarget = CompactTarget(0x207f_ffff);
    const HARD: CompactTarget = CompactTarget(0x1f0f_ffff);

    fn header(previous: BlockHash, number: u32, bits: CompactTarget) -> Header {
        let merkle_root = MerkleRoot::default();
        Header { version: 4, previous, merkle_root, time: number, bits, nonce: number }
    }

    fn chain() -> Chain {
        Chain::new(header(BlockHash::default(), 0, EASY))
    }

    fn add(chain: &mut Chain, parent: BlockIndex, number: u32, bits: CompactTarget) -> (BlockIndex, Change) {
        let header = header(chain.block(parent).hash, number, bits);
        let location = Location::for_tests(u64::from(number));
        let change = chain.add(parent, header, Origin::Mined, location);
        (chain.find(&header.block_hash()).unwrap(), change)
    }

    #[test]
    fn of_two_blocks_with_equal_work_the_first_stays() {
        let mut chain = chain();
        let genesis = chain.tip();
        let (first, _) = add(&mut chain, genesis, 1, EASY);
        let (second, change) = add(&mut chain, genesis, 2, EASY);
        assert_eq!(change, Change::default());
        assert_eq!((chain.tip(), chain.is_best(second)), (first, false));
    }

    #[test]
    fn a_branch_with_more_work_takes_over_even_if_it_is_shorter() {
        let mut chain = chain();
        let genesis = chain.tip();
        let (first, _) = add(&mut chain, genesis, 1, EASY);
        let (second, _) = add(&mut chain, first, 2, EASY);
        let (hard, change) = add(&mut chain, genesis, 3, HARD);
        let tip = |index| chain.block(index).tip();
        assert_eq!(change.disconnected, [tip(second), tip(first)]);
        assert_eq!(change.connected, [tip(hard)]);
        assert_eq!(chain.at_height(Height(2)), None);
        assert_eq!(chain.tip(), hard);
    }

    #[test]
    fn hashes_are_looked_up_on_the_branch() {
        let mut chain = chain();
        let genesis = chain.tip();
        let (first, _) = add(&mut chain, genesis, 1, EASY);
        let (second, _) = add(&mut chain, first, 2, EASY);
        let (side, _) = add(&mut chain, first, 3, EASY);
        let branch = chain.branch(side);
        assert_eq!(branch.hash_at(Height(2)), Some(chain.block(side).hash));
        assert_eq!(branch.hash_at(Height(1)), Some(chain.block(first).hash));
        assert_eq!(branch.hash_at(Height(3)), None);
        assert_eq!(chain.branch(second).hash_at(Height(3)), None);
        assert_eq!(chain.branch(first).hash_at(Height(2)), None);
    }

    proptest! {
        #[test]
        fn the_best_chain_always_has_the_most_work(parents in proptest::collection::vec(any::<prop::sample::Index>(), 1..60)) {
            let mut chain = chain();
            let mut known = vec![chain.tip()];
            for (number, parent) in parents.iter().enumerate() {
                let bits = if number % 3 == 0 { HARD } else { EASY };
                let (index, change) = add(&mut chain, *parent.get(&known), number as u32 + 1, bits);
                known.push(index);
                let best = known.iter().map(|index| chain.block(*index).total_work).max().unwrap();
                prop_assert_eq!(chain.block(chain.tip()).total_work, best);
                prop_assert_eq!(change.connected.is_empty(), chain.tip() != index);
                let heights: Vec<u32> = chain.branch(chain.tip()).ancestors().map(|place| place.height.0).collect();
                prop_assert!(heights.iter().rev().copied().eq(0..heights.len() as u32));
                for (height, index) in chain.best.iter().enumerate() {
                    prop_assert_eq!(chain.block(*index).place.height.0 as usize, height);
                }
            }
        }
    }
}
