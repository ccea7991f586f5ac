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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        (any::<u64>(), prop::array::uniform32(any::<u8>())).prop_map(|(counter, start)| {
            let mut bytes = [0; 1024];
            bytes[..32].copy_from_slice(&start);
            Record { counter, announcement: Announcement::from_bytes(&bytes) }
        })
    }

    #[test]
    fn a_subscription_is_what_the_reference_sends() {
        assert_eq!(
            Subscription::new("bmpass").to_datagram(),
            br#"{"yes_please_dos_me_passwd":"bmpass","num":0,"count":1}"#
        );
        assert_eq!(
            Subscription::parse(br#"{"yes_please_dos_me_passwd":"bmpass"}"#).unwrap(),
            Subscription::new("bmpass")
        );
    }

    #[test]
    fn the_longest_subscription_is_shorter_than_a_record() {
        const { assert!(SUBSCRIPTION_LIMIT < RECORD_SIZE) };
        let password = "x".repeat(SUBSCRIPTION_LIMIT);
        let datagram = Subscription::new(password).to_datagram();
        assert!(matches!(Subscription::parse(&datagram), Err(FormatError::TooLong { .. })));
    }

    #[test]
    fn a_datagram_that_would_look_like_a_record_is_padded() {
        let overhead = Subscription::new("").to_datagram().len();
        let datagram = Subscription::new("x".repeat(RECORD_SIZE - overhead)).to_datagram();
        assert_eq!(datagram.len(), RECORD_SIZE + 1);
    }

    #[test]
    fn datagrams_hold_what_the_reference_packs() {
        let sizes = [0, 1472, 8972, 65_507, usize::MAX];
        assert_eq!(sizes.map(records_per_datagram), [1, 1, 8, 63, 63]);
    }

    proptest! {
        #[test]
        fn records_and_a_subscription_in_one_datagram(
            records in prop::collection::vec(record(), 0..5),
            password in prop::option::of("[a-z\"]{0,20}"),
        ) {
            let mut bytes = Vec::new();
            for record in &records {
                record.write(&mut bytes);
            }
            let subscription = password.map(Subscription::new);
            bytes.extend(subscription.iter().flat_map(Subscription::to_datagram));
            let datagram = Datagram::split(&bytes);
            prop_assert_eq!(datagram.records().collect::<Vec<_>>(), records);
            prop_assert_eq!(datagram.subscription(), subscription.map(Ok));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let datagram = Datagram::split(&bytes);
            prop_assert_eq!(datagram.records().count(), datagram.record_count());
            let _ = datagram.subscription();
        }
    }
}
