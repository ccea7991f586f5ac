//! Verifying the compact proof that four announcements are in a tree.
//!
//! Rules: `docs/protocol/packetcrypt-blocks.md` 4.5. The proof has no lengths and no bits: which node comes next
//! follows from the count and the four indexes alone. All ranges are exact integers; nothing may wrap around.
//! This verifier fails whenever one of the two known ones does.

use crate::AnnouncementHash;

use super::commitment::{AnnouncementCount, TreeRoot};
use super::elements::PROOF_ANNOUNCEMENTS;
use super::proof_tree::{Entry, Kind, Shape, indexes_of};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeProofFault {
    /// Two draws hit the same index, but came with different announcements.
    #[error("announcements {first} and {second} have the same index but differ")]
    OneIndexTwoAnnouncements {
        /// Position of the one.
        first: usize,
        /// Position of the other.
        second: usize,
    },
    /// The last announcement of an even number was hit, for which the node cannot follow any proof (pitfall 9.2).
    #[error(
        "announcement {position} is the last of an even count ({count}), which the chain does not accept: \
             mine with an odd count"
    )]
    LastOfEvenCount {
        /// Position of the announcement in the proof.
        position: usize,
        /// The committed count.
        count: u64,
    },
    /// The proof ends too early.
    #[error("the tree proof ends after {length} bytes, in the middle of a node")]
    TooShort {
        /// Its length.
        length: usize,
    },
    /// The proof does not end where it should.
    #[error("the tree proof has {0} bytes more than it should")]
    TooLong(usize),
    /// A node ends before it starts, or does not start where its left neighbour ends.
    #[error("ranges of the tree proof do not fit at level {level}, position {position}")]
    RangesDoNotFit {
        /// Level of the parent, leaves being 0.
        level: u32,
        /// Position of the parent in its level.
        position: u64,
    },
    /// The tree does not reach from 0 to 2^64 − 1.
    #[error("the tree reaches from {start} to {end}, not over all prefixes")]
    NotTheWholeRange {
        /// Start of its first leaf.
        start: u64,
        /// End of its last leaf.
        end: u64,
    },
}

/// Computes the root that a proof leads to, for the announcements that an attempt drew by `numbers` from a set of
/// `count`. The caller compares it with the committed root.
pub fn verify(
    announcements: &[AnnouncementHash; PROOF_ANNOUNCEMENTS],
    count: AnnouncementCount,
    numbers: [u64; PROOF_ANNOUNCEMENTS],
    proof: &[u8],
) -> Result<TreeRoot, TreeProofFault> {
    let indexes = indexes_of(count, numbers);
    check_indexes(announcements, count, indexes)?;
    let shape = Shape::new(count, indexes);
    let mut walk = Walk { shape, announcements, proof, offset: 0 };
    let top = walk.computed(shape.height(), 0)?;
    match proof.len() - walk.offset {
        0 => {}
        more => return Err(TreeProofFault::TooLong(more)),
    }
    if (top.start, top.end) != (0, u64::MAX) {
        return Err(TreeProofFault::NotTheWholeRange { start: top.start, end: top.end });
    }
    Ok(top.root())
}

fn check_indexes(
    announcements: &[AnnouncementHash; PROOF_ANNOUNCEMENTS],
    count: AnnouncementCount,
    indexes: [u64; PROOF_ANNOUNCEMENTS],
) -> Result<(), TreeProofFault> {
    for second in 0..PROOF_ANNOUNCEMENTS {
        for first in 0..second {
            if indexes[first] == indexes[second] && announcements[first] != announcements[second] {
                return Err(TreeProofFault::OneIndexTwoAnnouncements { first, second });
            }
        }
        if count.get().is_multiple_of(2) && indexes[second] == count.get() - 1 {
            return Err(TreeProofFault::LastOfEvenCount { position: second, count: count.get() });
        }
    }
    Ok(())
}

/// A node as the proof gives it, before its neighbour tells the rest.
#[derive(Clone, Copy)]
enum Seen {
    /// All is known.
    Whole(Entry),
    /// A left leaf: its end is where its neighbour starts.
    LeftLeaf { hash: [u8; 32], start: u64 },
    /// A given node above the leaves: it hangs on its neighbour.
    Given { hash: [u8; 32], range: u64 },
    /// Behind the end of the level.
    Pad,
}

/// Goes through the nodes of a proof in preorder.
struct Walk<'a> {
    shape: Shape,
    announcements: &'a [AnnouncementHash; PROOF_ANNOUNCEMENTS],
    proof: &'a [u8],
    offset: usize,
}

impl Walk<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], TreeProofFault> {
        let taken = self.proof.get(self.offset..).and_then(|rest| rest.first_chunk());
        let taken = taken.ok_or(TreeProofFault::TooShort { length: self.proof.len() })?;
        self.offset += N;
        Ok(*taken)
    }

    /// A node above the leaves with a selected leaf under it: from its two children.
    fn computed(&mut self, level: u32, position: u64) -> Result<Entry, TreeProofFault> {
        let left = self.visit(level - 1, 2 * position)?;
        let right = self.visit(level - 1, 2 * position + 1)?;
        join(left, right).ok_or(TreeProofFault::RangesDoNotFit { level, position })
    }

    fn visit(&mut self, level: u32, position: u64) -> Result<Seen, TreeProofFault> {
        let kind = self.shape.kind(level, position);
        if kind == Kind::Pad {
            return Ok(Seen::Pad);
        }
        if kind == Kind::Computed && level > 0 {
            return self.computed(level, position).map(Seen::Whole);
        }
        let range = if Shape::has_range(level, position, kind) {
            Some(u64::from_le_bytes(self.take()?))
        } else {
            None
        };
        let hash = match kind {
            Kind::Given => self.take()?,
            _ => self.selected_hash(position),
        };
        let start = AnnouncementHash(hash).prefix();
        match range {
            None => Ok(Seen::LeftLeaf { hash, start }),
            Some(range) if level > 0 => Ok(Seen::Given { hash, range }),
            Some(range) => {
                let end =
                    start.checked_add(range).ok_or(TreeProofFault::RangesDoNotFit { level, position })?;
                Ok(Seen::Whole(Entry { hash, start, end }))
            }
        }
    }

    /// The hash of the announcement that was drawn for a leaf. All that were drawn for it are equal.
    fn selected_hash(&self, leaf: u64) -> [u8; 32] {
        let position = self.shape.positions_of(leaf).next().unwrap_or_default();
        self.announcements[position].0
    }
}

/// Puts two neighbours together; `None` where their ranges do not fit as exact integers.
fn join(left: Seen, right: Seen) -> Option<Entry> {
    // One of the two is always whole or a leaf, since a given node's neighbour is never given.
    let right_start = match &right {
        Seen::Whole(entry) => Some(entry.start),
        Seen::LeftLeaf { start, .. } => Some(*start),
        Seen::Pad => Some(u64::MAX),
        Seen::Given { .. } => None,
    };
    let left = match left {
        Seen::Whole(entry) => entry,
        Seen::LeftLeaf { hash, start } => Entry { hash, start, end: right_start? },
        Seen::Given { hash, range } => {
            let end = right_start?;
            Entry { hash, start: end.checked_sub(range)?, end }
        }
        Seen::Pad => return None,
    };
    let (right, is_pad) = match right {
        Seen::Whole(entry) => (entry, false),
        Seen::Given { hash, range } => {
            (Entry { hash, start: left.end, end: left.end.checked_add(range)? }, false)
        }
        Seen::Pad => (Entry::PAD, true),
        Seen::LeftLeaf { .. } => return None,
    };
    let fits = left.end == right.start && left.start < left.end && (is_pad || right.start < right.end);
    fits.then(|| Entry::above(&left, &right))
}

#[cfg(test)]
mod tests {
    use super::super::order::arrange;
    use super::super::proof_tree::ProofTree;
    use super::*;
    use crate::hash::blake2b_256;
    use proptest::prelude::*;

    fn tree(count: u64) -> ProofTree {
        let mut hashes: Vec<_> =
            (0..count).map(|number| AnnouncementHash(blake2b_256(&number.to_le_bytes()))).collect();
        arrange(&mut hashes, |hash| hash);
        ProofTree::build(hashes).unwrap()
    }

    fn drawn(tree: &ProofTree, numbers: [u64; 4]) -> [AnnouncementHash; 4] {
        indexes_of(tree.count(), numbers).map(|index| *tree.announcement(index).unwrap())
    }

    #[test]
    fn pitfall_9_2_the_last_of_an_even_count_is_refused() {
        let (even, odd) = (tree(6), tree(7));
        let numbers = [0, 5, 1, 2];
        let proof = even.prove(numbers).unwrap();
        let fault = verify(&drawn(&even, numbers), even.count(), numbers, &proof).unwrap_err();
        assert_eq!(fault, TreeProofFault::LastOfEvenCount { position: 1, count: 6 });
        let numbers = [0, 6, 1, 2];
        let proof = odd.prove(numbers).unwrap();
        assert_eq!(verify(&drawn(&odd, numbers), odd.count(), numbers, &proof), Ok(odd.root()));
    }

    #[test]
    fn pitfall_9_3_a_proof_cut_inside_its_last_field_is_refused() {
        let tree = tree(9);
        let numbers = [0, 3, 3, 8];
        let proof = tree.prove(numbers).unwrap();
        let announcements = drawn(&tree, numbers);
        for length in 0..proof.len() {
            let fault = verify(&announcements, tree.count(), numbers, &proof[..length]).unwrap_err();
            assert_eq!(fault, TreeProofFault::TooShort { length });
        }
        let longer = [proof.as_slice(), &[0]].concat();
        assert_eq!(verify(&announcements, tree.count(), numbers, &longer), Err(TreeProofFault::TooLong(1)));
    }

    #[test]
    fn one_index_with_two_announcements_is_refused() {
        let tree = tree(9);
        let numbers = [4, 13, 0, 1];
        let proof = tree.prove([4, 4, 0, 1]).unwrap();
        let mut announcements = drawn(&tree, numbers);
        assert_eq!(verify(&announcements, tree.count(), numbers, &proof), Ok(tree.root()));
        announcements[1].0[31] ^= 1;
        let fault = verify(&announcements, tree.count(), numbers, &proof).unwrap_err();
        assert_eq!(fault, TreeProofFault::OneIndexTwoAnnouncements { first: 0, second: 1 });
    }

    proptest! {
        #[test]
        fn what_is_proved_is_verified(count in 1u64..300, numbers: [u64; 4]) {
            let tree = tree(count);
            let indexes = indexes_of(tree.count(), numbers);
            let proof = tree.prove(indexes).unwrap();
            let verdict = verify(&drawn(&tree, numbers), tree.count(), numbers, &proof);
            if count % 2 == 0 && indexes.contains(&(count - 1)) {
                let refused = matches!(verdict, Err(TreeProofFault::LastOfEvenCount { .. }));
                prop_assert!(refused);
            } else {
                prop_assert_eq!(verdict, Ok(tree.root()));
            }
        }

        #[test]
        fn a_changed_proof_never_leads_to_the_same_root(
            count in 1u64..60, numbers: [u64; 4], place: prop::sample::Index, flip in 1u8..,
        ) {
            let tree = tree(2 * count - 1);
            let mut proof = tree.prove(indexes_of(tree.count(), numbers)).unwrap();
            *place.get_mut(&mut proof) ^= flip;
            prop_assert_ne!(verify(&drawn(&tree, numbers), tree.count(), numbers, &proof), Ok(tree.root()));
        }

        #[test]
        fn nothing_a_stranger_sends_panics(count: u64, numbers: [u64; 4], hashes: [[u8; 32]; 4], proof: Vec<u8>) {
            if let Some(count) = AnnouncementCount::new(count) {
                let _ = verify(&hashes.map(AnnouncementHash), count, numbers, &proof);
            }
        }
    }
}
