//! The newest block headers: what `blkinfo_<hash>.json` is made of (rule R-M1).

use std::collections::BTreeMap;

use hashbrown::HashMap;
use packetcrypt::block::{Header, MerkleRoot};
use packetcrypt::{BlockHash, Height};
use wire::block_info::BlockInfoHeader;

/// Block infos kept; older ones are of no use to anybody.
pub(super) const KEPT: usize = 2000;

/// Headers by hash, and which of them are the best chain.
#[derive(Default)]
pub(super) struct BlockInfos {
    by_hash: HashMap<BlockHash, BlockInfoHeader>,
    /// The best chain, as far down as it is known without a gap.
    chain: BTreeMap<Height, BlockHash>,
}

impl BlockInfos {
    pub(super) fn get(&self, hash: &BlockHash) -> Option<&BlockInfoHeader> {
        self.by_hash.get(hash)
    }

    /// The block of a height on the best chain.
    pub(super) fn at(&self, height: Height) -> Option<&BlockInfoHeader> {
        self.by_hash.get(self.chain.get(&height)?)
    }

    /// Adds a header, and to the best chain what it connects.
    pub(super) fn add(&mut self, header: BlockInfoHeader) {
        self.by_hash.insert(header.hash, header);
        self.extend();
    }

    /// Makes `tip`, which must be known, the end of the best chain.
    pub(super) fn set_tip(&mut self, tip: BlockHash) {
        let Some(height) = self.by_hash.get(&tip).map(|header| header.height) else { return };
        let _abandoned = self.chain.split_off(&Height(height.0.saturating_add(1)));
        let mut next = self.by_hash.get(&tip);
        while let Some(header) = next {
            if self.chain.insert(header.height, header.hash) == Some(header.hash) {
                break;
            }
            next = self.by_hash.get(&header.previous_block_hash);
            let joined = next.is_some_and(|below| Some(below.height) == header.height.checked_sub(1));
            if !joined {
                // What lies below belongs to another branch, or is unknown.
                self.chain = self.chain.split_off(&header.height);
                break;
            }
        }
        self.extend();
        self.forget_old(height);
    }

    /// The next header to fetch; `None` if all that are wanted are known, down to the genesis block.
    pub(super) fn missing(&self) -> Option<BlockHash> {
        self.below().filter(|hash| !self.by_hash.contains_key(hash))
    }

    /// The block under the lowest of the chain, unless there are enough.
    fn below(&self) -> Option<BlockHash> {
        let (height, lowest) = self.chain.first_key_value()?;
        let enough = height.0 == 0 || self.chain.len() >= KEPT;
        if enough { None } else { Some(self.by_hash.get(lowest)?.previous_block_hash) }
    }

    /// Lengthens the chain downwards by what is known.
    fn extend(&mut self) {
        while let Some(header) = self.below().and_then(|hash| self.by_hash.get(&hash)) {
            let follows =
                self.chain.keys().next().and_then(|lowest| lowest.checked_sub(1)) == Some(header.height);
            if !follows {
                break;
            }
            self.chain.insert(header.height, header.hash);
        }
    }

    fn forget_old(&mut self, tip: Height) {
        let lowest = Height(tip.0.saturating_sub(KEPT as u32 - 1));
        self.chain = self.chain.split_off(&lowest);
        if self.by_hash.len() > KEPT + KEPT / 4 {
            self.by_hash.retain(|_, header| header.height >= lowest);
        }
    }
}

/// The 80 bytes of a header, from what the node says about it.
pub(super) fn header_of(info: &BlockInfoHeader) -> Header {
    Header {
        version: info.version as i32,
        previous: info.previous_block_hash,
        merkle_root: MerkleRoot(*info.merkle_root.as_internal()),
        time: info.time,
        bits: info.bits,
        nonce: info.nonce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packetcrypt::CompactTarget;

    fn hash(branch: u8, height: u32) -> BlockHash {
        let mut bytes = [branch; 32];
        bytes[..4].copy_from_slice(&height.to_le_bytes());
        BlockHash::from_internal(bytes)
    }

    /// A block of branch 2 whose parent is of branch 1 at `fork`.
    fn block(branch: u8, height: u32, fork: u32) -> BlockInfoHeader {
        let below = height.checked_sub(1);
        let parent_branch = if below.is_some_and(|below| below <= fork) { 1 } else { branch };
        BlockInfoHeader {
            hash: hash(branch, height),
            height: Height(height),
            version: 1,
            version_hex: 1,
            merkle_root: BlockHash::default(),
            time: 0,
            nonce: 0,
            bits: CompactTarget(0x207f_ffff),
            difficulty: "1".parse().unwrap(),
            previous_block_hash: below.map_or_else(BlockHash::default, |below| hash(parent_branch, below)),
        }
    }

    /// Walks back from the tip as the production does.
    fn walk(infos: &mut BlockInfos, tip: BlockInfoHeader, fork: u32) -> usize {
        let (branch, hash) = (tip.hash.as_internal()[31], tip.hash);
        infos.add(tip);
        infos.set_tip(hash);
        let mut fetched = 0;
        while let Some(missing) = infos.missing() {
            let height = u32::from_le_bytes(*missing.as_internal().first_chunk().unwrap());
            let of = missing.as_internal()[31];
            infos.add(block(of, height, if of == branch { fork } else { 0 }));
            fetched += 1;
        }
        fetched
    }

    #[test]
    fn r_m1_the_walk_stops_at_the_genesis_block() {
        let mut infos = BlockInfos::default();
        assert_eq!(walk(&mut infos, block(1, 5, 0), 0), 5);
        assert_eq!(infos.at(Height(0)).unwrap().hash, hash(1, 0));
        assert_eq!(walk(&mut infos, block(1, 6, 0), 0), 0);
    }

    #[test]
    fn r_m1_only_the_newest_are_kept() {
        let mut infos = BlockInfos::default();
        walk(&mut infos, block(1, 5000, 0), 0);
        assert_eq!(infos.chain.len(), KEPT);
        for height in 5001..8000 {
            assert_eq!(walk(&mut infos, block(1, height, 0), 0), 0);
        }
        assert_eq!(infos.chain.len(), KEPT);
        assert!(infos.by_hash.len() <= KEPT + KEPT / 4 + 1);
        assert_eq!(infos.get(&hash(1, 5000)), None);
    }

    #[test]
    fn a_reorganisation_replaces_the_chain_above_the_fork() {
        let mut infos = BlockInfos::default();
        walk(&mut infos, block(1, 10, 0), 0);
        for height in 8..=9 {
            infos.add(block(2, height, 7));
        }
        infos.set_tip(hash(2, 9));
        let chain = |infos: &BlockInfos| {
            (6..=10).map(|height| infos.at(Height(height)).map(|block| block.hash)).collect::<Vec<_>>()
        };
        let expected = [Some(hash(1, 6)), Some(hash(1, 7)), Some(hash(2, 8)), Some(hash(2, 9)), None];
        assert_eq!(chain(&infos), expected);
        infos.set_tip(hash(1, 10));
        assert_eq!(chain(&infos), (6..=10).map(|height| Some(hash(1, height))).collect::<Vec<_>>());
    }

    #[test]
    fn a_branch_whose_middle_is_unknown_is_walked_again() {
        let mut infos = BlockInfos::default();
        walk(&mut infos, block(1, 10, 0), 0);
        assert_eq!(walk(&mut infos, block(2, 12, 7), 7), 4, "8 to 11 of the other branch");
        assert_eq!(infos.at(Height(8)).unwrap().hash, hash(2, 8));
        assert_eq!(infos.at(Height(7)).unwrap().hash, hash(1, 7));
    }
}
