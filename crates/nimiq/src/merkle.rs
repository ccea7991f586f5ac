//! Merkle trees and the paths from a leaf to the root.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.5. Leaves and inner nodes are hashed alike, so a path that folds to the right
//! root does not say what its leaf is: [`share::smart`](crate::share::smart) adds the shape that it must have.

use crate::hash::blake2b_256;
use crate::{FormatError, MerkleHash};
use byte_reader::ByteReader;

/// The root over no leaves at all.
pub fn empty_root() -> MerkleHash {
    MerkleHash(blake2b_256(&[]))
}

impl MerkleHash {
    /// The leaf that holds `data`.
    pub fn of_leaf(data: &[u8]) -> Self {
        Self(blake2b_256(&[data]))
    }

    /// The inner node over two others.
    #[must_use]
    pub fn parent(&self, right: &Self) -> Self {
        Self(blake2b_256(&[&self.0, &right.0]))
    }
}

/// The larger half is on the left.
fn middle(leaves: usize) -> usize {
    leaves.div_ceil(2)
}

/// The root over leaves that are hashes already.
pub fn root(leaves: &[MerkleHash]) -> MerkleHash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(middle(leaves.len()));
            root(left).parent(&root(right))
        }
    }
}

/// The side on which a sibling stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Before the node that is proved.
    Left,
    /// Behind it.
    Right,
}

/// One step from a leaf towards the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sibling {
    /// Where it stands.
    pub side: Side,
    /// What it is.
    pub hash: MerkleHash,
}

/// The siblings between a leaf and the root, the leaf's own first. At most 255.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MerklePath(Vec<Sibling>);

impl MerklePath {
    /// The most steps that the serialised form can count.
    pub const LONGEST: usize = 255;

    /// From its steps; `None` for more than [`LONGEST`](Self::LONGEST).
    pub fn new(siblings: Vec<Sibling>) -> Option<Self> {
        (siblings.len() <= Self::LONGEST).then_some(Self(siblings))
    }

    /// The path of leaf `index`; `None` where there is no such leaf.
    pub fn of(leaves: &[MerkleHash], index: usize) -> Option<Self> {
        let mut siblings = Vec::new();
        let (mut part, mut index) = (leaves, index);
        while part.len() > 1 {
            let (left, right) = part.split_at(middle(part.len()));
            if index < left.len() {
                siblings.push(Sibling { side: Side::Right, hash: root(right) });
                part = left;
            } else {
                siblings.push(Sibling { side: Side::Left, hash: root(left) });
                index -= left.len();
                part = right;
            }
        }
        siblings.reverse();
        (index < part.len()).then_some(Self(siblings))
    }

    /// The steps, the leaf's sibling first.
    pub fn siblings(&self) -> &[Sibling] {
        &self.0
    }

    /// The root that this path leads to from `leaf`.
    pub fn fold(&self, leaf: MerkleHash) -> MerkleHash {
        self.0.iter().fold(leaf, |node, sibling| match sibling.side {
            Side::Left => sibling.hash.parent(&node),
            Side::Right => node.parent(&sibling.hash),
        })
    }

    /// Reads a serialised path: count, flags, siblings.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let count = usize::from(reader.u8("Merkle path length")?);
        let flags = reader.take("Merkle path sides", count.div_ceil(8))?;
        let mut siblings = Vec::with_capacity(count);
        for index in 0..count {
            let side = if is_set(flags, index) { Side::Left } else { Side::Right };
            siblings.push(Sibling { side, hash: MerkleHash(reader.array("Merkle path sibling")?) });
        }
        Ok(Self(siblings))
    }

    /// Reads a serialised path that is all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("Merkle path", bytes);
        let path = Self::read(&mut reader)?;
        reader.end()?;
        Ok(path)
    }

    /// The serialised form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.0.len() as u8];
        bytes.extend(pack_bits(self.0.iter().map(|sibling| sibling.side == Side::Left)));
        bytes.extend(self.0.iter().flat_map(|sibling| sibling.hash.0));
        bytes
    }
}

/// Whether bit `index` is set, the most significant of each byte first.
pub(crate) fn is_set(flags: &[u8], index: usize) -> bool {
    flags.get(index / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
}

/// Bits in bytes, the most significant of each byte first.
pub(crate) fn pack_bits(bits: impl ExactSizeIterator<Item = bool>) -> Vec<u8> {
    let mut bytes = vec![0; bits.len().div_ceil(8)];
    for (index, _) in bits.enumerate().filter(|(_, bit)| *bit) {
        bytes[index / 8] |= 0x80 >> (index % 8);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<MerkleHash> {
        (0..count).map(|index| MerkleHash::of_leaf(&index.to_be_bytes())).collect()
    }

    #[test]
    fn there_is_no_path_to_a_leaf_that_is_not_there() {
        assert_eq!(MerklePath::of(&[], 0), None);
        assert_eq!(MerklePath::of(&leaves(1), 0), Some(MerklePath::default()));
        assert_eq!(MerklePath::of(&leaves(3), 3), None);
    }

    #[test]
    fn a_path_cut_short_is_refused() {
        let bytes = MerklePath::of(&leaves(5), 2).unwrap().to_bytes();
        for length in 0..bytes.len() {
            assert!(MerklePath::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(MerklePath::parse(&[bytes, vec![0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn every_path_leads_to_the_root(count in 1usize..40, index in 0usize..40) {
            let leaves = leaves(count);
            let Some(path) = MerklePath::of(&leaves, index) else {
                prop_assert!(index >= count);
                return Ok(());
            };
            prop_assert_eq!(path.fold(leaves[index]), root(&leaves));
            prop_assert_eq!(MerklePath::parse(&path.to_bytes()), Ok(path));
        }
    }
}
