//! The Merkle tree over the transactions of a block (`docs/protocol/packetcrypt-blocks.md` 2.3).
//!
//! A level of odd length pairs its last hash with itself. All hashes are transaction ids in internal order.

use packetcrypt::block::header::{MerkleRoot, double_sha256};

/// The branch of the first of these transactions, bottom up.
pub fn branch_of_first(ids: &[[u8; 32]]) -> Vec<[u8; 32]> {
    let mut branch = Vec::new();
    let mut level = ids.to_vec();
    while let [_, second, ..] = level[..] {
        branch.push(second);
        level = next_level(&level);
    }
    branch
}

/// The root over these transactions; zeros for none.
pub fn root_of(ids: &[[u8; 32]]) -> MerkleRoot {
    let mut level = ids.to_vec();
    while level.len() > 1 {
        level = next_level(&level);
    }
    MerkleRoot(level.first().copied().unwrap_or_default())
}

fn next_level(level: &[[u8; 32]]) -> Vec<[u8; 32]> {
    level.chunks(2).filter_map(|pair| Some(double_sha256(&[pair.first()?, pair.last()?]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_of_the_first_leads_to_the_root() {
        for count in 1..20u8 {
            let ids: Vec<[u8; 32]> = (0..count).map(|id| [id; 32]).collect();
            assert_eq!(MerkleRoot::of_coinbase(ids[0], &branch_of_first(&ids)), root_of(&ids), "{count}");
        }
    }

    #[test]
    fn no_transactions_have_no_branch() {
        assert_eq!((branch_of_first(&[]), root_of(&[])), (vec![], MerkleRoot::default()));
    }
}
