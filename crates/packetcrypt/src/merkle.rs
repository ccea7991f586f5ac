//! The Merkle tree over a table: its root is in every announcement, which proves one item against it.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 3.3.

use crate::announcement::MERKLE_DEPTH;
use crate::hash::{blake2b_512, blake2b_512_many};
use crate::item::{Item, ItemNumber, TABLE_ITEMS};

const _: () = assert!(1 << MERKLE_DEPTH == TABLE_ITEMS);

/// Hash of an item, or of two nodes.
pub type Node = [u8; 64];

/// The siblings on the way from an item to the root, leaf level first.
pub type Branch = [Node; MERKLE_DEPTH];

/// A tree with all its nodes (1 MiB).
#[derive(Clone, Debug)]
pub struct Tree {
    /// Level after level, the leaves first, the root last.
    nodes: Box<[Node]>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![[0; 64]; 2 * TABLE_ITEMS - 1].into_boxed_slice() }
    }
}

impl Tree {
    /// Grows the tree over these items, of which there must be 8192, in place of another.
    pub fn grow(&mut self, items: &[Item]) {
        assert_eq!(items.len(), TABLE_ITEMS, "a table has {TABLE_ITEMS} items");
        self.set_leaves(0, items);
        self.grow_from_leaves();
    }

    /// Hashes the items of a table from number `first` on.
    pub fn set_leaves(&mut self, first: usize, items: &[Item]) {
        let (leaves, _) = self.nodes.split_at_mut(TABLE_ITEMS);
        blake2b_512_many(items, &mut leaves[first..first + items.len()]);
    }

    /// Grows the tree over its leaves, which must all have been [set](Self::set_leaves).
    pub fn grow_from_leaves(&mut self) {
        // Level after level: the parents of a level's pairs.
        let mut level = 0..TABLE_ITEMS;
        while level.len() > 1 {
            let (below, above) = self.nodes.split_at_mut(level.end);
            let pairs = below[level.start..].as_flattened().as_chunks::<128>().0;
            blake2b_512_many(pairs, &mut above[..level.len() / 2]);
            level = level.end..level.end + level.len() / 2;
        }
    }

    /// The root.
    pub fn root(&self) -> &Node {
        self.nodes.last().expect("a tree has nodes")
    }

    /// The siblings that prove an item.
    pub fn branch(&self, item: ItemNumber) -> Branch {
        let mut level = 0;
        std::array::from_fn(|depth| {
            let sibling = self.nodes[level + (item.index() >> depth ^ 1)];
            level += TABLE_ITEMS >> depth;
            sibling
        })
    }
}

/// The hash of an item.
pub fn leaf_hash(item: &Item) -> Node {
    blake2b_512(&[item])
}

/// Whether a branch leads from this leaf, as the hash of that item, to the root.
pub fn is_proven(leaf: &Node, item: ItemNumber, branch: &Branch, root: &Node) -> bool {
    let mut node = *leaf;
    for (depth, sibling) in branch.iter().enumerate() {
        let is_right = item.index() >> depth & 1 == 1;
        node = if is_right { blake2b_512(&[sibling, &node]) } else { blake2b_512(&[&node, sibling]) };
    }
    node == *root
}

/// The roots to which branches lead from these leaves, as the hashes of those items.
pub fn roots_of(leaves: &[Node], items: &[ItemNumber], branches: &[Branch]) -> Vec<Node> {
    let mut nodes = leaves.to_vec();
    let mut pairs = vec![[0; 128]; leaves.len()];
    for depth in 0..MERKLE_DEPTH {
        for (((pair, node), item), branch) in pairs.iter_mut().zip(&nodes).zip(items).zip(branches) {
            let (left, right) = pair.split_at_mut(64);
            let is_right = item.index() >> depth & 1 == 1;
            let (own, other) = if is_right { (right, left) } else { (left, right) };
            own.copy_from_slice(node);
            other.copy_from_slice(&branch[depth]);
        }
        blake2b_512_many(&pairs, &mut nodes);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_proves_its_item_and_no_other() {
        let items: Vec<Item> =
            (0..TABLE_ITEMS).map(|number| [number as u8 ^ (number >> 8) as u8; 1024]).collect();
        let mut tree = Tree::default();
        tree.grow(&items);
        for number in [0, 1, 4095, 4096, 8191] {
            let item = ItemNumber::new(number).unwrap();
            let mut branch = tree.branch(item);
            let leaf = leaf_hash(&items[number]);
            assert!(is_proven(&leaf, item, &branch, tree.root()));
            let neighbour = ItemNumber::new(number ^ 1).unwrap();
            assert!(!is_proven(&leaf, neighbour, &branch, tree.root()));
            assert!(
                !is_proven(&leaf_hash(&[1; 1024]), item, &branch, tree.root()) || items[number] == [1; 1024]
            );
            branch[12][63] ^= 1;
            assert!(!is_proven(&leaf, item, &branch, tree.root()));
        }
    }
}
