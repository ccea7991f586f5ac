//! The announcement: 1024 bytes that prove work and bandwidth, and the fields in them.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 1. Any 1024 bytes are an [`Announcement`]; whether it is worth
//! anything is for [`check`](crate::check) to say.

use std::fmt;

use crate::crypto_cycle::STATE_SIZE;
use crate::hash::{blake2b_256, blake2b_512};
use crate::{BlockHash, CompactTarget, Height};

/// Bytes of an announcement.
pub const ANNOUNCEMENT_SIZE: usize = 1024;

/// Bytes of the header at its start.
pub const HEADER_SIZE: usize = 88;

/// Levels of the tree over an announcement's table, and siblings in its proof.
pub const MERKLE_DEPTH: usize = 13;

/// The largest number that the soft nonce field can hold.
pub const SOFT_NONCE_MAX: u32 = 0x00ff_ffff;

const MERKLE_SIBLINGS: usize = HEADER_SIZE;
const MERKLE_ROOT: usize = MERKLE_SIBLINGS + 64 * MERKLE_DEPTH;
const ITEM_PREFIX: usize = MERKLE_ROOT + 64;
const _: () = assert!(ITEM_PREFIX + ITEM_PREFIX_SIZE == ANNOUNCEMENT_SIZE);

/// Bytes of the fourth item that version 0 shows, and of zeros that other versions hide.
pub const ITEM_PREFIX_SIZE: usize = 40;

/// An ed25519 public key that must sign the announcement before a block can use it. Never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// `None` for 32 zero bytes, which mean "not signed".
    pub fn new(bytes: [u8; 32]) -> Option<Self> {
        (bytes != [0; 32]).then_some(Self(bytes))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", hex::encode(self.0))
    }
}

/// BLAKE2b-256 of all 1024 bytes: the name under which pools and block miners know an announcement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnnouncementHash(pub [u8; 32]);

impl AnnouncementHash {
    /// The first eight bytes as a little-endian number: the key of duplicate tables, and what spreads
    /// announcements over handlers.
    pub fn prefix(&self) -> u64 {
        u64::from_le_bytes(*self.0.first_chunk().expect("8 of 32 bytes"))
    }
}

impl fmt::Debug for AnnouncementHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AnnouncementHash({})", hex::encode(self.0))
    }
}

/// All that an announcement's header says, except for the soft nonce.
///
/// These are the bytes that the work is bound to (`HDR` in the specification): the soft nonce counts as zero there,
/// so that many can be tried with the same tables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnnouncementHeader {
    /// 0, or 1 and more, which are all alike.
    pub version: u8,
    /// A new one means new tables.
    pub hard_nonce: u32,
    /// The target that the work hash must meet.
    pub work_bits: CompactTarget,
    /// Height of the block whose hash is worked in.
    pub parent_height: Height,
    /// Opaque.
    pub content_type: u32,
    /// Opaque.
    pub content_length: u32,
    /// Opaque.
    pub content_hash: [u8; 32],
    /// Who must sign, if anyone.
    pub signing_key: Option<SigningKey>,
}

impl AnnouncementHeader {
    /// Reads a header; its soft nonce is ignored.
    pub fn from_bytes(bytes: &[u8; HEADER_SIZE]) -> Self {
        let word = |offset: usize| {
            u32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
        };
        let (mut content_hash, mut signing_key) = ([0; 32], [0; 32]);
        content_hash.copy_from_slice(&bytes[24..56]);
        signing_key.copy_from_slice(&bytes[56..88]);
        Self {
            version: bytes[0],
            hard_nonce: word(4),
            work_bits: CompactTarget(word(8)),
            parent_height: Height(word(12)),
            content_type: word(16),
            content_length: word(20),
            content_hash,
            signing_key: SigningKey::new(signing_key),
        }
    }

    /// `HDR`: the header with a soft nonce of zero, as it is hashed.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[0] = self.version;
        bytes[4..8].copy_from_slice(&self.hard_nonce.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.work_bits.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.parent_height.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.content_type.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.content_length.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.content_hash);
        if let Some(key) = &self.signing_key {
            bytes[56..88].copy_from_slice(key.as_bytes());
        }
        bytes
    }

    /// `annHash0` (3.4): header and parent block. It is the seed of the proof table.
    pub fn hash_with_parent(&self, parent: &BlockHash) -> [u8; 64] {
        blake2b_512(&[&self.to_bytes(), parent.as_internal(), &[0; 32]])
    }

    /// `annHash1` (3.4): header and root of the proof table. Its first half is the seed of all attempts.
    pub fn hash_with_root(&self, merkle_root: &[u8; 64]) -> [u8; 64] {
        blake2b_512(&[&self.to_bytes(), merkle_root])
    }
}

/// `v1Seed` (3.4): the seed of the hash table of version 1 and more, from the root of the proof table and its seed.
pub fn hash_table_seed(merkle_root: &[u8; 64], proof_table_seed: &[u8; 64]) -> [u8; 64] {
    blake2b_512(&[merkle_root, proof_table_seed])
}

/// The seed of the attempts: the first half of [`AnnouncementHeader::hash_with_root`].
pub fn attempt_seed(hash_with_root: &[u8; 64]) -> &[u8; 32] {
    hash_with_root.first_chunk().expect("32 of 64 bytes")
}

/// An announcement as it is sent, stored and used: 1024 bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Announcement([u8; ANNOUNCEMENT_SIZE]);

impl From<[u8; ANNOUNCEMENT_SIZE]> for Announcement {
    fn from(bytes: [u8; ANNOUNCEMENT_SIZE]) -> Self {
        Self(bytes)
    }
}

impl From<&[u8; ANNOUNCEMENT_SIZE]> for Announcement {
    fn from(bytes: &[u8; ANNOUNCEMENT_SIZE]) -> Self {
        Self(*bytes)
    }
}

impl AsRef<[u8]> for Announcement {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Announcement")
            .field("header", &self.header())
            .field("soft_nonce", &self.soft_nonce())
            .finish_non_exhaustive()
    }
}

impl Announcement {
    /// From exactly 1024 bytes.
    pub fn from_bytes(bytes: &[u8; ANNOUNCEMENT_SIZE]) -> Self {
        Self(*bytes)
    }

    /// The announcements that lie one after the other in `bytes`; `None` if the length is no multiple of 1024.
    pub fn all_in(bytes: &[u8]) -> Option<impl ExactSizeIterator<Item = Self> + '_> {
        match bytes.as_chunks() {
            (announcements, []) => Some(announcements.iter().map(Self::from_bytes)),
            _ => None,
        }
    }

    /// All bytes.
    pub fn as_bytes(&self) -> &[u8; ANNOUNCEMENT_SIZE] {
        &self.0
    }

    /// Everything in the header but the soft nonce.
    pub fn header(&self) -> AnnouncementHeader {
        AnnouncementHeader::from_bytes(self.bytes_at(0))
    }

    /// What [`AnnouncementHeader::to_bytes`] gives for [`Announcement::header`]: the header with a soft nonce of zero.
    pub fn header_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut header: [u8; HEADER_SIZE] = *self.bytes_at(0);
        header[1..4].fill(0);
        header
    }

    /// Version: 0, or at least 1, where every value follows the same rules.
    pub fn version(&self) -> u8 {
        self.0[0]
    }

    /// The 24-bit nonce that can be changed without making new tables.
    pub fn soft_nonce(&self) -> u32 {
        u32::from_le_bytes([self.0[1], self.0[2], self.0[3], 0])
    }

    /// The nonce that belongs to the tables.
    pub fn hard_nonce(&self) -> u32 {
        self.word(4)
    }

    /// The target that the work hash must meet.
    pub fn work_bits(&self) -> CompactTarget {
        CompactTarget(self.word(8))
    }

    /// Height of the block whose hash is worked in.
    pub fn parent_height(&self) -> Height {
        Height(self.word(12))
    }

    /// Opaque to the proof of work.
    pub fn content_type(&self) -> u32 {
        self.word(16)
    }

    /// Opaque to the proof of work.
    pub fn content_length(&self) -> u32 {
        self.word(20)
    }

    /// Opaque to the proof of work.
    pub fn content_hash(&self) -> &[u8; 32] {
        self.bytes_at(24)
    }

    /// The key whose signature a block must carry to use this announcement, if any.
    pub fn signing_key(&self) -> Option<SigningKey> {
        SigningKey::new(*self.bytes_at(56))
    }

    /// The 13 Merkle siblings, leaf level first: encrypted when the version is 1 or more.
    pub fn merkle_siblings(&self) -> [[u8; 64]; MERKLE_DEPTH] {
        std::array::from_fn(|depth| *self.bytes_at(MERKLE_SIBLINGS + 64 * depth))
    }

    /// Root of the tree over the proof table, never encrypted.
    pub fn merkle_root(&self) -> &[u8; 64] {
        self.bytes_at(MERKLE_ROOT)
    }

    /// Version 0: the first bytes of the fourth item. Version 1 and more: zeros, encrypted.
    pub fn item_prefix(&self) -> &[u8; ITEM_PREFIX_SIZE] {
        self.bytes_at(ITEM_PREFIX)
    }

    /// Puts an announcement together from what was found, in clear. The item prefix is zeros.
    pub(crate) fn assemble(
        header: &AnnouncementHeader,
        soft_nonce: u32,
        merkle_siblings: &[[u8; 64]; MERKLE_DEPTH],
        merkle_root: &[u8; 64],
    ) -> Self {
        let mut bytes = [0; ANNOUNCEMENT_SIZE];
        bytes[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        bytes[1..4].copy_from_slice(&soft_nonce.to_le_bytes()[..3]);
        bytes[MERKLE_SIBLINGS..MERKLE_ROOT].copy_from_slice(merkle_siblings.as_flattened());
        bytes[MERKLE_ROOT..ITEM_PREFIX].copy_from_slice(merkle_root);
        Self(bytes)
    }

    /// Encrypts or decrypts siblings and item prefix (3.6) with a state *after* its work hash was made: the key
    /// stream begins with that hash (pitfall 14).
    pub(crate) fn crypt(&mut self, state: &[u8; STATE_SIZE]) {
        let siblings = MERKLE_ROOT - MERKLE_SIBLINGS;
        let (for_siblings, for_prefix) = state.split_at(siblings);
        xor(&mut self.0[MERKLE_SIBLINGS..MERKLE_ROOT], for_siblings);
        xor(&mut self.0[ITEM_PREFIX..], for_prefix);
    }

    /// The name of this announcement.
    pub fn announcement_hash(&self) -> AnnouncementHash {
        AnnouncementHash(blake2b_256(&self.0))
    }

    fn word(&self, offset: usize) -> u32 {
        u32::from_le_bytes(*self.bytes_at(offset))
    }

    /// The `N` bytes from `offset`, both of which are constants of the layout.
    fn bytes_at<const N: usize>(&self, offset: usize) -> &[u8; N] {
        self.0[offset..].first_chunk().expect("fields lie inside the announcement")
    }
}

fn xor(data: &mut [u8], key_stream: &[u8]) {
    for (byte, key) in data.iter_mut().zip(key_stream) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbered() -> Announcement {
        Announcement(std::array::from_fn(|index| index as u8))
    }

    proptest! {
        #[test]
        fn the_bytes_of_a_header_are_those_of_its_fields(header: [u8; 32], key: [u8; 32], is_signed: bool) {
            let mut announcement = numbered();
            announcement.0[..32].copy_from_slice(&header);
            announcement.0[56..88].copy_from_slice(&if is_signed { key } else { [0; 32] });
            prop_assert_eq!(announcement.header_bytes(), announcement.header().to_bytes());
        }
    }

    #[test]
    fn fields_lie_where_the_specification_says() {
        let announcement = numbered();
        assert_eq!(announcement.version(), 0);
        assert_eq!(announcement.hard_nonce(), 0x07060504);
        assert_eq!(announcement.work_bits(), CompactTarget(0x0b0a0908));
        assert_eq!(announcement.parent_height(), Height(0x0f0e0d0c));
        assert_eq!(announcement.content_type(), 0x13121110);
        assert_eq!(announcement.content_length(), 0x17161514);
        assert_eq!(announcement.content_hash()[0], 24);
        assert_eq!(announcement.signing_key().unwrap().as_bytes()[0], 56);
        assert_eq!(announcement.merkle_siblings()[1][0], 88 + 64);
        assert_eq!(announcement.merkle_root()[0], (920 % 256) as u8);
        assert_eq!(announcement.item_prefix()[0], (984 % 256) as u8);
    }

    #[test]
    fn pitfall_20_the_soft_nonce_is_bytes_one_to_three() {
        assert_eq!(numbered().soft_nonce(), 0x030201);
    }

    #[test]
    fn the_prefix_of_a_hash_is_little_endian() {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&[1, 2, 0, 0, 0, 0, 0, 0x80]);
        assert_eq!(AnnouncementHash(hash).prefix(), 0x8000_0000_0000_0201);
    }

    #[test]
    fn a_body_that_is_not_whole_announcements_is_refused() {
        assert_eq!(Announcement::all_in(&[0; 2048]).unwrap().len(), 2);
        assert_eq!(Announcement::all_in(&[]).unwrap().len(), 0);
        assert!(Announcement::all_in(&[0; 2047]).is_none());
    }

    proptest! {
        #[test]
        fn a_header_survives_the_round_trip(bytes in proptest::collection::vec(any::<u8>(), HEADER_SIZE)) {
            let mut bytes: [u8; HEADER_SIZE] = bytes.try_into().unwrap();
            let header = AnnouncementHeader::from_bytes(&bytes);
            bytes[1..4].fill(0);
            prop_assert_eq!(header.to_bytes(), bytes);
        }
    }
}
