//! The block header: 146 bytes that the proof of work is about.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 2.2.

use crate::hash::blake2b_256;
use crate::{
    AccountsHash, BlockHash, BodyHash, CompactTarget, FormatError, Height, InterlinkHash, Timestamp,
};
use byte_reader::ByteReader;

/// Bytes of a header.
pub const HEADER_SIZE: usize = 146;

/// Where the nonce, the last four bytes, begins.
pub const NONCE_OFFSET: usize = 142;

/// The only version that there is.
pub const VERSION: u16 = 1;

/// A block header, version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Hash of the predecessor.
    pub previous: BlockHash,
    /// Root of the interlink.
    pub interlink_hash: InterlinkHash,
    /// Root of the body.
    pub body_hash: BodyHash,
    /// Root of the accounts after this block.
    pub accounts_hash: AccountsHash,
    /// What the proof of work must meet (`nBits`).
    pub target: CompactTarget,
    /// The position in the chain.
    pub height: Height,
    /// When it was mined.
    pub timestamp: Timestamp,
    /// What was varied to find it.
    pub nonce: u32,
}

impl Header {
    /// Reads a header.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Self, FormatError> {
        let start = reader.offset();
        let version = reader.u16("version")?;
        if version != VERSION {
            return Err(reader.error_at(start, "version", VERSION.to_string(), version.to_string()));
        }
        Ok(Self {
            previous: BlockHash(reader.array("prevHash")?),
            interlink_hash: InterlinkHash(reader.array("interlinkHash")?),
            body_hash: BodyHash(reader.array("bodyHash")?),
            accounts_hash: AccountsHash(reader.array("accountsHash")?),
            target: CompactTarget(reader.u32("nBits")?),
            height: Height(reader.u32("height")?),
            timestamp: Timestamp(reader.u32("timestamp")?),
            nonce: reader.u32("nonce")?,
        })
    }

    /// Reads a header that is all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = ByteReader::new("block header", bytes);
        let header = Self::read(&mut reader)?;
        reader.end()?;
        Ok(header)
    }

    /// The serialised form.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..34].copy_from_slice(&self.previous.0);
        bytes[34..66].copy_from_slice(&self.interlink_hash.0);
        bytes[66..98].copy_from_slice(&self.body_hash.0);
        bytes[98..130].copy_from_slice(&self.accounts_hash.0);
        bytes[130..134].copy_from_slice(&self.target.0.to_be_bytes());
        bytes[134..138].copy_from_slice(&self.height.0.to_be_bytes());
        bytes[138..NONCE_OFFSET].copy_from_slice(&self.timestamp.0.to_be_bytes());
        bytes[NONCE_OFFSET..].copy_from_slice(&self.nonce.to_be_bytes());
        bytes
    }

    /// The block's name.
    pub fn hash(&self) -> BlockHash {
        BlockHash(blake2b_256(&[&self.to_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn another_version_is_refused() {
        let mut bytes = [0; HEADER_SIZE];
        let error = Header::parse(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "block header, byte 0: version: expected 1, found 0");
        bytes[1] = 1;
        assert!(Header::parse(&bytes).is_ok());
        assert!(Header::parse(&bytes[..HEADER_SIZE - 1]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(fields: [[u8; 32]; 4], numbers: [u32; 4]) {
            let header = Header {
                previous: BlockHash(fields[0]),
                interlink_hash: InterlinkHash(fields[1]),
                body_hash: BodyHash(fields[2]),
                accounts_hash: AccountsHash(fields[3]),
                target: CompactTarget(numbers[0]),
                height: Height(numbers[1]),
                timestamp: Timestamp(numbers[2]),
                nonce: numbers[3],
            };
            prop_assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
        }
    }
}
