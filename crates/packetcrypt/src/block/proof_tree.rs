//! The tree over all announcements that a block miner uses, with ranges that make duplicates impossible to hide.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 4.1 to 4.4. A leaf or node is `hash ‖ start ‖ end`; start and end
//! are first eight bytes of announcement hashes, so that the leaves tile the numbers from 0 to 2^64 − 1. Only the
//! hashes are kept here, 32 bytes for each node: starts and ends follow from the hashes of the leaves.

use crate::AnnouncementHash;
use crate::hash::{blake2b_256, blake2b_256_many};

use super::commitment::{AnnouncementCount, TreeRoot};
use super::elements::PROOF_ANNOUNCEMENTS;

/// Bytes of a leaf or node when it is hashed.
const ENTRY_SIZE: usize = 48;
/// Nodes that are hashed together: few enough for the first-level cache.
const HASHED_TOGETHER: usize = 128;

/// A leaf or node: what lies under it, and from where to where it reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub hash: [u8; 32],
    pub start: u64,
    pub end: u64,
}

impl Entry {
    /// What fills up a level with an odd number of nodes.
    pub const PAD: Self = Self { hash: [0xff; 32], start: u64::MAX, end: u64::MAX };

    /// The node above two neighbours.
    pub fn above(left: &Self, right: &Self) -> Self {
        let hash = blake2b_256(&Self::side_by_side(left, right));
        Self { hash, start: left.start, end: right.end }
    }

    /// What is hashed for the node above two neighbours.
    fn side_by_side(left: &Self, right: &Self) -> [u8; 2 * ENTRY_SIZE] {
        let mut bytes = [0; 2 * ENTRY_SIZE];
        bytes[..ENTRY_SIZE].copy_from_slice(&left.to_bytes());
        bytes[ENTRY_SIZE..].copy_from_slice(&right.to_bytes());
        bytes
    }

    /// The root above a top node: one hash more than the tree.
    pub fn root(&self) -> TreeRoot {
        TreeRoot(blake2b_256(&self.to_bytes()))
    }

    fn to_bytes(self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..32].copy_from_slice(&self.hash);
        bytes[32..40].copy_from_slice(&self.start.to_le_bytes());
        bytes[40..].copy_from_slice(&self.end.to_le_bytes());
        bytes
    }
}

/// What a node is to a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A selected leaf lies under it: it is computed from below.
    Computed,
    /// Filled up.
    Pad,
    /// Its hash must be given.
    Given,
}

/// Which nodes the proof for four indexes visits, and what each is (4.4). Shared by building and verifying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Numbers of the selected leaves: an announcement's index plus one, since leaf 0 is the zero leaf.
    selected: [u64; PROOF_ANNOUNCEMENTS],
    leaves: u64,
}

impl Shape {
    pub fn new(count: AnnouncementCount, indexes: [u64; PROOF_ANNOUNCEMENTS]) -> Self {
        Self { selected: indexes.map(|index| index + 1), leaves: count.get() + 1 }
    }

    /// Levels above the leaves: at least 1, at most 63.
    pub fn height(&self) -> u32 {
        self.leaves.next_power_of_two().ilog2()
    }

    /// The kind of the node that covers the leaves from `position · 2^level`.
    pub fn kind(&self, level: u32, position: u64) -> Kind {
        if self.selected.iter().any(|leaf| leaf >> level == position) {
            Kind::Computed
        } else if position > (self.leaves - 1) >> level {
            Kind::Pad
        } else {
            Kind::Given
        }
    }

    /// Where in the proof's order of announcements a leaf was selected, if it was.
    pub fn positions_of(&self, leaf: u64) -> impl Iterator<Item = usize> + '_ {
        (0..PROOF_ANNOUNCEMENTS).filter(move |position| self.selected[*position] == leaf)
    }

    /// Whether the proof holds the range of a node: of every right leaf, and of every given node above the leaves.
    pub fn has_range(level: u32, position: u64, kind: Kind) -> bool {
        match kind {
            Kind::Pad => false,
            Kind::Computed => level == 0 && position % 2 == 1,
            Kind::Given => level > 0 || position % 2 == 1,
        }
    }
}

/// Why hashes do not make a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofTreeFault {
    /// Not a single announcement.
    #[error("a tree needs at least one announcement")]
    Empty,
    /// The prefixes must rise strictly from at least 1 to at most 2^64 − 2.
    #[error(
        "the announcement at index {index} is out of order, a duplicate, or has a prefix of 0 or 2^64 − 1"
    )]
    OutOfOrder {
        /// Its index.
        index: usize,
    },
}

/// The tree over a set of announcements.
#[derive(Clone)]
pub struct ProofTree {
    /// Hashes by level; level 0 are the announcements' own, without the zero leaf.
    leaves: Vec<AnnouncementHash>,
    /// Levels from 1 up to the top node, without pads.
    levels: Vec<Vec<[u8; 32]>>,
}

impl std::fmt::Debug for ProofTree {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ProofTree({} announcements, {:?})", self.leaves.len(), self.root())
    }
}

impl ProofTree {
    /// Builds the tree over hashes that [`arrange`](super::order::arrange) has put into order. Takes 64 bytes and one
    /// hash for each.
    pub fn build(leaves: Vec<AnnouncementHash>) -> Result<Self, ProofTreeFault> {
        if leaves.is_empty() {
            return Err(ProofTreeFault::Empty);
        }
        let mut before = 0;
        for (index, leaf) in leaves.iter().enumerate() {
            let prefix = leaf.prefix();
            if prefix <= before || prefix == u64::MAX {
                return Err(ProofTreeFault::OutOfOrder { index });
            }
            before = prefix;
        }
        let mut tree = Self { leaves, levels: Vec::new() };
        let mut width = tree.leaves.len() as u64 + 1;
        while width > 1 {
            width = width.div_ceil(2);
            let above = tree.level_above(width as usize);
            tree.levels.push(above);
        }
        Ok(tree)
    }

    /// The `width` hashes of the level above the highest one so far, some hundred at a time: vector units hash many
    /// nodes in little more than the time of one.
    fn level_above(&self, width: usize) -> Vec<[u8; 32]> {
        let level = self.levels.len() as u32;
        let mut above = vec![[0; 32]; width];
        let mut nodes = [[0; 2 * ENTRY_SIZE]; HASHED_TOGETHER];
        for (chunk, hashes) in above.chunks_mut(HASHED_TOGETHER).enumerate() {
            let first = (chunk * HASHED_TOGETHER) as u64;
            for (node, position) in nodes.iter_mut().zip(first..) {
                let [left, right] = [2 * position, 2 * position + 1].map(|child| self.entry(level, child));
                *node = Entry::side_by_side(&left, &right);
            }
            blake2b_256_many(&nodes[..hashes.len()], hashes);
        }
        above
    }

    /// How many announcements there are.
    pub fn count(&self) -> AnnouncementCount {
        AnnouncementCount::new(self.leaves.len() as u64).expect("a tree is not empty and fits into memory")
    }

    /// The hash of the announcement at an index.
    pub fn announcement(&self, index: u64) -> Option<&AnnouncementHash> {
        self.leaves.get(usize::try_from(index).ok()?)
    }

    /// What the commitment holds.
    pub fn root(&self) -> TreeRoot {
        self.entry(self.levels.len() as u32, 0).root()
    }

    /// The proof that the announcements at four indexes (repeats allowed) are in the tree.
    ///
    /// `None` if an index is not below the count. Nodes are given in preorder, each with its range and hash as far
    /// as they cannot be computed (4.4).
    pub fn prove(&self, indexes: [u64; PROOF_ANNOUNCEMENTS]) -> Option<Vec<u8>> {
        if indexes.iter().any(|index| self.announcement(*index).is_none()) {
            return None;
        }
        let shape = Shape::new(self.count(), indexes);
        let mut proof = Vec::new();
        self.write_proof(&shape, shape.height(), 0, &mut proof);
        Some(proof)
    }

    fn write_proof(&self, shape: &Shape, level: u32, position: u64, proof: &mut Vec<u8>) {
        let kind = shape.kind(level, position);
        let entry = self.entry(level, position);
        if Shape::has_range(level, position, kind) {
            proof.extend((entry.end - entry.start).to_le_bytes());
        }
        match kind {
            Kind::Given => proof.extend(entry.hash),
            Kind::Computed if level > 0 => {
                self.write_proof(shape, level - 1, 2 * position, proof);
                self.write_proof(shape, level - 1, 2 * position + 1, proof);
            }
            Kind::Computed | Kind::Pad => {}
        }
    }

    /// Where a leaf starts; behind the last one, 2^64 − 1.
    fn start_of(&self, leaf: u64) -> u64 {
        match leaf {
            0 => 0,
            _ => self.leaves.get(leaf as usize - 1).map_or(u64::MAX, AnnouncementHash::prefix),
        }
    }

    /// A leaf, a node, or the pad behind the last one.
    fn entry(&self, level: u32, position: u64) -> Entry {
        let hash = match (level, position) {
            (0, 0) => Some([0; 32]),
            (0, _) => self.leaves.get(position as usize - 1).map(|hash| hash.0),
            _ => self.levels.get(level as usize - 1).and_then(|level| level.get(position as usize)).copied(),
        };
        hash.map_or(Entry::PAD, |hash| Entry {
            hash,
            start: self.start_of(position << level),
            end: self.start_of((position + 1) << level),
        })
    }
}

/// The numbers that an attempt drew, as indexes into a set.
pub fn indexes_of(
    count: AnnouncementCount,
    numbers: [u64; PROOF_ANNOUNCEMENTS],
) -> [u64; PROOF_ANNOUNCEMENTS] {
    numbers.map(|number| count.index_of(number))
}

#[cfg(test)]
mod tests {
    use super::super::order::arrange;
    use super::*;
    use proptest::prelude::*;

    fn hash(prefix: u64, tail: u8) -> AnnouncementHash {
        let mut bytes = [tail; 32];
        bytes[..8].copy_from_slice(&prefix.to_le_bytes());
        AnnouncementHash(bytes)
    }

    #[test]
    fn the_smallest_tree_is_as_the_specification_draws_it() {
        let only = hash(0x1234, 7);
        let tree = ProofTree::build(vec![only]).unwrap();
        let mut message = vec![0; 40];
        message.extend(0x1234u64.to_le_bytes());
        message.extend(only.0);
        message.extend(0x1234u64.to_le_bytes());
        message.extend([0xff; 8]);
        let mut top = blake2b_256(&message).to_vec();
        top.extend([0; 8]);
        top.extend([0xff; 8]);
        assert_eq!(tree.root().0, blake2b_256(&top));
        let proof = tree.prove([0; 4]).unwrap();
        assert_eq!((&proof[..32], &proof[32..]), (&[0; 32][..], &(u64::MAX - 0x1234).to_le_bytes()[..]));
    }

    #[test]
    fn pitfall_9_19_duplicates_cannot_be_hidden() {
        for prefixes in [&[5, 5][..], &[6, 5], &[0, 5], &[5, u64::MAX]] {
            let hashes = prefixes.iter().map(|prefix| hash(*prefix, 1)).collect();
            assert!(
                matches!(ProofTree::build(hashes), Err(ProofTreeFault::OutOfOrder { .. })),
                "{prefixes:?}"
            );
        }
        assert_eq!(ProofTree::build(vec![]).unwrap_err(), ProofTreeFault::Empty);
    }

    #[test]
    fn an_index_outside_the_tree_has_no_proof() {
        let tree = ProofTree::build(vec![hash(1, 1), hash(2, 1), hash(3, 1)]).unwrap();
        assert!(tree.prove([0, 1, 2, 0]).is_some());
        assert_eq!(tree.prove([0, 1, 3, 0]), None);
    }

    /// The root by the rule, one node after the other.
    fn root_by_the_rule(leaves: &[AnnouncementHash]) -> TreeRoot {
        let hashes = std::iter::once([0; 32]).chain(leaves.iter().map(|leaf| leaf.0));
        let starts = std::iter::once(0).chain(leaves.iter().map(AnnouncementHash::prefix));
        let ends = starts.clone().skip(1).chain([u64::MAX]);
        let mut level: Vec<Entry> =
            hashes.zip(starts.zip(ends)).map(|(hash, (start, end))| Entry { hash, start, end }).collect();
        while level.len() > 1 {
            let pairs = level.chunks(2);
            level = pairs.map(|pair| Entry::above(&pair[0], pair.get(1).unwrap_or(&Entry::PAD))).collect();
        }
        level[0].root()
    }

    #[test]
    fn nodes_hashed_together_are_those_hashed_one_by_one() {
        for count in (1..=70).chain([126, 127, 128, 255, 256, 257, 511, 600, 1025]) {
            let leaves: Vec<_> = (1..=count).map(|number| hash(number << 40, number as u8)).collect();
            let expected = root_by_the_rule(&leaves);
            assert_eq!(ProofTree::build(leaves).unwrap().root(), expected, "{count}");
        }
    }

    proptest! {
        #[test]
        fn arranged_hashes_always_make_a_tree(prefixes: Vec<u64>) {
            let mut hashes: Vec<_> = prefixes.iter().map(|prefix| hash(*prefix, 3)).collect();
            arrange(&mut hashes, |hash| hash);
            match ProofTree::build(hashes.clone()) {
                Ok(tree) => prop_assert_eq!(tree.count().get(), hashes.len() as u64),
                Err(fault) => prop_assert_eq!((fault, hashes.len()), (ProofTreeFault::Empty, 0)),
            }
        }
    }
}
