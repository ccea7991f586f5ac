//! One record in a segment file.
//!
//! ```text
//! 0   4  length of the payload
//! 4   4  CRC-32 of the payload
//! 8   4  scope           ┐
//! 12  4  length e        │ payload
//! 16  e  event line      │
//! …      keys            ┘
//! ```
//! Integers are little endian. A file starts with [`MAGIC`].

use super::OutboxError;

/// First bytes of every segment file: kind and version of the format.
pub(super) const MAGIC: &[u8; 8] = b"HFEVENT1";
/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 8;
/// Bytes of the payload before the event.
const PREFIX_BYTES: usize = 8;
/// Largest payload; a post of 4096 announcements needs 33 kB.
pub(super) const LARGEST_PAYLOAD: usize = 1 << 20;

/// An event on its way to the PayMaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Until when the keys are needed, in the sense of [`super::Outbox::keys_needed_from`]; usually a height.
    pub scope: u32,
    /// One JSON object, without line feed.
    pub event: Vec<u8>,
    /// Whatever the sender wants back after a restart.
    pub keys: Vec<u8>,
}

impl Record {
    /// Appends the record's bytes to `file`.
    pub(super) fn encode(&self, file: &mut Vec<u8>) -> Result<(), OutboxError> {
        let bytes = PREFIX_BYTES + self.event.len() + self.keys.len();
        if bytes > LARGEST_PAYLOAD {
            return Err(OutboxError::TooLarge { bytes, limit: LARGEST_PAYLOAD });
        }
        let mut crc = crc32fast::Hasher::new();
        let scope = self.scope.to_le_bytes();
        let event_length = (self.event.len() as u32).to_le_bytes();
        let parts: [&[u8]; 4] = [&scope, &event_length, &self.event, &self.keys];
        for part in parts {
            crc.update(part);
        }
        file.extend_from_slice(&(bytes as u32).to_le_bytes());
        file.extend_from_slice(&crc.finalize().to_le_bytes());
        for part in parts {
            file.extend_from_slice(part);
        }
        Ok(())
    }
}

/// A record read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub scope: u32,
    pub event: &'a [u8],
    pub keys: &'a [u8],
}

/// Length and checksum from a record's first bytes; `None` if no record starts like this.
pub(super) fn decode_header(header: [u8; HEADER_BYTES]) -> Option<(usize, u32)> {
    let both = u64::from_le_bytes(header);
    let length = both as u32 as usize;
    let sensible = (PREFIX_BYTES..=LARGEST_PAYLOAD).contains(&length);
    sensible.then_some((length, (both >> 32) as u32))
}

/// The record in `payload`; `None` if its checksum is another, or its lengths contradict each other.
pub(super) fn decode_payload(payload: &[u8], crc: u32) -> Option<Stored<'_>> {
    if crc32fast::hash(payload) != crc {
        return None;
    }
    let (scope, rest) = payload.split_first_chunk()?;
    let (event_length, rest) = rest.split_first_chunk()?;
    let (event, keys) = rest.split_at_checked(u32::from_le_bytes(*event_length) as usize)?;
    Some(Stored { scope: u32::from_le_bytes(*scope), event, keys })
}
