//! The 80-byte block header, its two hashes, and the way from a coinbase to its Merkle root.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::hash::blake2b_256;
use crate::{BlockHash, CompactTarget};

/// Bytes of a block header.
pub const HEADER_SIZE: usize = 80;

/// `D`: SHA-256 of SHA-256.
pub fn double_sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Sha256::digest(hasher.finalize()).into()
}

/// Root of the tree over a block's transactions, in internal order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MerkleRoot(pub [u8; 32]);

impl MerkleRoot {
    /// The root that a coinbase has with the given branch, bottom up: the coinbase is always the left side.
    ///
    /// `coinbase_id` is the double SHA-256 of the coinbase without witness.
    pub fn of_coinbase(coinbase_id: [u8; 32], branch: &[[u8; 32]]) -> Self {
        Self(branch.iter().fold(coinbase_id, |left, right| double_sha256(&[&left, right])))
    }
}

impl fmt::Debug for MerkleRoot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MerkleRoot({})", hex::encode(self.0))
    }
}

/// `hdrHash`: BLAKE2b-256 of a header, the seed of all attempts with it. Not the id of the block.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeaderHash(pub [u8; 32]);

impl fmt::Debug for HeaderHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HeaderHash({})", hex::encode(self.0))
    }
}

/// A block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Version; templates carry 0x20000000, below 4 is refused by the chain.
    pub version: i32,
    /// Id of the previous block.
    pub previous: BlockHash,
    /// Root of the tree over the transactions.
    pub merkle_root: MerkleRoot,
    /// Unix seconds.
    pub time: u32,
    /// The block target.
    pub bits: CompactTarget,
    /// The high nonce. The low nonce is in the proof.
    pub nonce: u32,
}

impl Header {
    /// Reads a header. Any 80 bytes are one.
    pub fn from_bytes(bytes: &[u8; HEADER_SIZE]) -> Self {
        let word = |offset: usize| {
            u32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
        };
        let hash = |offset: usize| {
            let mut hash = [0; 32];
            hash.copy_from_slice(&bytes[offset..offset + 32]);
            hash
        };
        Self {
            version: word(0) as i32,
            previous: BlockHash::from_internal(hash(4)),
            merkle_root: MerkleRoot(hash(36)),
            time: word(68),
            bits: CompactTarget(word(72)),
            nonce: word(76),
        }
    }

    /// The header as it is hashed and sent.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(self.previous.as_internal());
        bytes[36..68].copy_from_slice(&self.merkle_root.0);
        bytes[68..72].copy_from_slice(&self.time.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.bits.0.to_le_bytes());
        bytes[76..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// The id of the block, under which the chain knows it. It plays no part in the proof of work.
    pub fn block_hash(&self) -> BlockHash {
        BlockHash::from_internal(double_sha256(&[&self.to_bytes()]))
    }

    /// The hash that attempts start from.
    pub fn header_hash(&self) -> HeaderHash {
        HeaderHash(blake2b_256(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_survives_the_round_trip(bytes in proptest::collection::vec(any::<u8>(), HEADER_SIZE)) {
            let bytes: [u8; HEADER_SIZE] = bytes.try_into().unwrap();
            prop_assert_eq!(Header::from_bytes(&bytes).to_bytes(), bytes);
        }
    }

    #[test]
    fn a_coinbase_alone_is_its_own_root() {
        assert_eq!(MerkleRoot::of_coinbase([7; 32], &[]), MerkleRoot([7; 32]));
        let with_one = MerkleRoot::of_coinbase([7; 32], &[[8; 32]]);
        assert_eq!(with_one.0, double_sha256(&[&[7; 32], &[8; 32]]), "the coinbase is on the left");
    }
}
