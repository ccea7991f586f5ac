//! The interlink: earlier blocks that a block refers to, one for each level of luck, so that a short chain of the
//! luckiest blocks proves the whole.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.6.

use crate::merkle::{self, is_set, pack_bits};
use crate::{BlockHash, FormatError, InterlinkHash, MerkleHash, ProofOfWork, Target};
use byte_reader::ByteReader;

/// The most entries that the serialised form can count.
pub const LONGEST: usize = 255;

/// The interlink of a block.
///
/// An entry that repeats the one before it (or, for the first, the block's predecessor) is not written out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interlink {
    hashes: Vec<BlockHash>,
    repeat_bits: Vec<u8>,
}

/// What the next interlink depends on: the block that it is built on.
#[derive(Clone, Debug)]
pub struct Base<'a> {
    /// The block's hash.
    pub hash: BlockHash,
    /// Its proof of work.
    pub proof_of_work: ProofOfWork,
    /// Its target.
    pub target: Target,
    /// Its interlink.
    pub interlink: &'a Interlink,
}

impl Interlink {
    /// The interlink of a genesis block.
    pub const EMPTY: Self = Self { hashes: Vec::new(), repeat_bits: Vec::new() };

    /// With every repetition left out, as all peers write it. Entries beyond [`LONGEST`] are dropped.
    pub fn new(mut hashes: Vec<BlockHash>, previous: BlockHash) -> Self {
        hashes.truncate(LONGEST);
        let before = std::iter::once(&previous).chain(&hashes);
        let repeats: Vec<bool> = hashes.iter().zip(before).map(|(hash, before)| hash == before).collect();
        Self { repeat_bits: pack_bits(repeats.into_iter()), hashes }
    }

    /// The entries, the lowest level first.
    pub fn hashes(&self) -> &[BlockHash] {
        &self.hashes
    }

    /// Reads the interlink of a block whose predecessor is `previous`.
    pub fn read(reader: &mut ByteReader<'_>, previous: BlockHash) -> Result<Self, FormatError> {
        let count = usize::from(reader.u8("interlink length")?);
        let repeat_bits = reader.take("interlink repeat bits", count.div_ceil(8))?.to_vec();
        let mut hashes = Vec::with_capacity(count);
        let mut last = previous;
        for index in 0..count {
            if !is_set(&repeat_bits, index) {
                last = BlockHash(reader.array("interlink hash")?);
            }
            hashes.push(last);
        }
        Ok(Self { hashes, repeat_bits })
    }

    /// Reads an interlink that is all of `bytes`.
    pub fn parse(bytes: &[u8], previous: BlockHash) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("interlink", bytes);
        let interlink = Self::read(&mut reader, previous)?;
        reader.end()?;
        Ok(interlink)
    }

    /// The serialised form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.hashes.len() as u8];
        bytes.extend(&self.repeat_bits);
        bytes.extend(self.written_out().flat_map(|hash| hash.0));
        bytes
    }

    /// What a header carries, on the chain that begins with `genesis`.
    pub fn hash(&self, genesis: &BlockHash) -> InterlinkHash {
        let mut leaves = vec![MerkleHash::of_leaf(&self.repeat_bits), MerkleHash(genesis.0)];
        leaves.extend(self.written_out().map(|hash| MerkleHash(hash.0)));
        InterlinkHash(merkle::root(&leaves).0)
    }

    fn written_out(&self) -> impl Iterator<Item = &BlockHash> {
        self.hashes
            .iter()
            .enumerate()
            .filter(|(index, _)| !is_set(&self.repeat_bits, *index))
            .map(|(_, hash)| hash)
    }
}

impl Base<'_> {
    /// The interlink that a block on top must carry if its target is `next_target`.
    pub fn next(&self, next_target: &Target) -> Interlink {
        let levels = Levels::of(&self.proof_of_work, &self.target, next_target);
        let mut hashes = vec![self.hash; levels.occurrences.min(LONGEST)];
        hashes.extend(self.interlink.hashes.iter().skip(levels.offset));
        Interlink::new(hashes, self.hash)
    }
}

/// How often a block stands in the next interlink, and how many entries of its own it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) occurrences: usize,
    pub(crate) offset: usize,
}

impl Levels {
    pub(crate) fn of(proof_of_work: &ProofOfWork, target: &Target, next_target: &Target) -> Self {
        let (work, here, next) = (proof_of_work.depth(), target.depth(), next_target.depth());
        let occurrences = (work - next + 1).max(0);
        let offset = (occurrences + next - here).max(0);
        Self { occurrences: occurrences as usize, offset: offset as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hashes() -> impl Strategy<Value = Vec<BlockHash>> {
        prop::collection::vec((0u8..4).prop_map(|byte| BlockHash([byte; 32])), 0..60)
    }

    #[test]
    fn a_cut_interlink_is_refused() {
        let bytes =
            Interlink::new(vec![BlockHash([1; 32]), BlockHash([2; 32])], BlockHash([1; 32])).to_bytes();
        for length in 0..bytes.len() {
            assert!(Interlink::parse(&bytes[..length], BlockHash([1; 32])).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(hashes in hashes()) {
            let previous = BlockHash([1; 32]);
            let interlink = Interlink::new(hashes.clone(), previous);
            prop_assert_eq!(interlink.hashes(), &hashes[..]);
            prop_assert_eq!(Interlink::parse(&interlink.to_bytes(), previous), Ok(interlink));
        }
    }
}
