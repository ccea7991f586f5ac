//! Announcements over UDP: data datagrams and subscriptions (`docs/protocol/packetcrypt-pool.md` 6.2).

use packetcrypt::Announcement;
use serde::{Deserialize, Serialize};

use crate::{FormatError, json};

/// Bytes of a record: a counter and an announcement.
pub const RECORD_SIZE: usize = 8 + 1024;
/// Bytes of a datagram's content, unless an operator chooses otherwise.
pub const DEFAULT_MAX_SEGMENT_SIZE: usize = 1472;
/// Records that a datagram to the sender's own address may hold: the most that fit into any datagram.
pub const MAX_RECORDS: usize = 63;
/// The longest subscription that is looked at.
pub const SUBSCRIPTION_LIMIT: usize = 1024;

const DOCUMENT: &str = "subscription";

/// One announcement with its place in the sequence sent to one subscriber; a gap shows a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counts from 0 for each subscriber.
    pub counter: u64,
    /// The announcement.
    pub announcement: Announcement,
}

impl Record {
    /// Appends the record to a datagram.
    pub fn write(&self, datagram: &mut Vec<u8>) {
        datagram.extend(self.counter.to_le_bytes());
        datagram.extend(self.announcement.as_bytes());
    }

    fn read(bytes: &[u8; RECORD_SIZE]) -> Option<Self> {
        let (counter, announcement) = bytes.split_first_chunk()?;
        Some(Self {
            counter: u64::from_le_bytes(*counter),
            announcement: Announcement::from_bytes(announcement.try_into().ok()?),
        })
    }
}

/// How many records a datagram to a foreign address holds; at least one, whatever the segment size.
pub fn records_per_datagram(max_segment_size: usize) -> usize {
    (max_segment_size / RECORD_SIZE).clamp(1, MAX_RECORDS)
}

/// What a datagram holds. The kinds are told apart by length: whole records first, and whatever is left is a
/// subscription, which may stand behind records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    records: &'a [[u8; RECORD_SIZE]],
    text: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Takes a datagram apart. Nothing can be wrong with it yet.
    pub fn split(bytes: &'a [u8]) -> Self {
        let (records, text) = bytes.as_chunks();
        Self { records, text }
    }

    /// The records, in the order in which they lie.
    pub fn records(&self) -> impl Iterator<Item = Record> + use<'a> {
        self.records.iter().filter_map(Record::read)
    }

    /// How many records there are.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// The subscription behind the records: `None` if there are no bytes behind them.
    pub fn subscription(&self) -> Option<Result<Subscription, FormatError>> {
        (!self.text.is_empty()).then(|| Subscription::parse(self.text))
    }
}

/// The request to be sent all announcements for the next 30 seconds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The sprayer's password. To be compared in constant time (rule R-S3).
    #[serde(rename = "yes_please_dos_me_passwd")]
    pub password: String,
    /// Obsolete.
    #[serde(default)]
    num: u32,
    /// Obsolete.
    #[serde(default = "one")]
    count: u32,
}

fn one() -> u32 {
    1
}

impl Subscription {
    /// A subscription with this password.
    pub fn new(password: impl Into<String>) -> Self {
        Self { password: password.into(), num: 0, count: 1 }
    }

    /// Reads the text behind the records of a datagram.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        json::parse(DOCUMENT, bytes, SUBSCRIPTION_LIMIT)
    }

    /// The datagram to send: padded with a space where its length would make it look like records.
    pub fn to_datagram(&self) -> Vec<u8> {
        let mut text = json::compact(self).into_bytes();
        if text.len().is_multiple_of(RECORD_SIZE) {
            text.push(b' ');
        }
        text
    }
}

impl std::fmt::Debug for Subscription {
    /// Without the password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Subscription(secret)")
    }
}
