//! The PayMaker's other answers: the receipt for an upload and `/stats` (`docs/protocol/packetcrypt-pool.md` 11.1).

use serde::{Deserialize, Serialize};

use crate::{EventId, FormatError, json};

/// The largest upload of events (rule R-P3).
pub const UPLOAD_LIMIT: usize = 32 << 20;
/// The user name that handlers log in with.
pub const USER_NAME: &str = "x";
/// The realm in the `WWW-Authenticate` header of a 401.
pub const REALM: &str = "paymaker";

const DOCUMENT: &str = "PayMaker statistics";

/// The result of an accepted upload: the sender may delete the file whose id this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadReceipt {
    /// First 16 bytes of SHA-256 of the file ([`EventId::of_upload`]).
    #[serde(rename = "eventId")]
    pub event_id: EventId,
}

/// `/stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayMakerStats {
    /// Block events kept.
    pub blocks: u64,
    /// Announcement slots kept.
    pub compressed_ann_slots: u64,
    /// Share events kept.
    pub shares: u64,
    /// Memory of the process.
    pub memory: MemoryStats,
}

/// Memory in bytes. The names are those of the reference's run-time system; where a figure has no meaning here
/// it is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryStats {
    /// Resident set.
    pub rss: u64,
    /// Heap reserved.
    pub heap_total: u64,
    /// Heap in use.
    pub heap_used: u64,
    /// Memory outside the heap.
    pub external: u64,
    /// Of that, buffers.
    pub array_buffers: u64,
}

impl PayMakerStats {
    /// Reads the statistics of any PayMaker.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        json::parse(DOCUMENT, bytes, 1 << 16)
    }

    /// The text to serve, on one line.
    pub fn to_json(&self) -> String {
        json::compact(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_receipt_names_the_file() {
        let receipt = UploadReceipt { event_id: EventId::of_upload(b"") };
        assert_eq!(json::compact(&receipt), r#"{"eventId":"e3b0c44298fc1c149afbf4c8996fb924"}"#);
    }

    proptest! {
        #[test]
        fn stats_round_trip(numbers: [u64; 8]) {
            let [blocks, compressed_ann_slots, shares, rss, heap_total, heap_used, external, array_buffers] = numbers;
            let memory = MemoryStats { rss, heap_total, heap_used, external, array_buffers };
            let stats = PayMakerStats { blocks, compressed_ann_slots, shares, memory };
            prop_assert_eq!(PayMakerStats::parse(stats.to_json().as_bytes()), Ok(stats));
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = PayMakerStats::parse(&bytes);
        }
    }
}
