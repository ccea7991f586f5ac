//! Events: what handlers tell the PayMaker, one JSON object on a line
//! (`docs/protocol/packetcrypt-pool.md` 3.8 and 11.3).
//!
//! Reading checks the *shape* of an event, by rules R-P1, R-P2, R-P9, R-P14 and R-P15: a value of these types
//! can be credited without a further look at its members. Whether its time is acceptable and whether it is
//! known already is for the ledger to say.

mod line;

use std::{fmt, str::FromStr};

use packetcrypt::{BlockHash, CompactTarget, Height, hash::blake2b_256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct};
use sha2::{Digest, Sha256};

use crate::{Decimal, PktAddress, json, pkt_address::AddressFault};

/// The longest line that is looked at.
pub const LINE_LIMIT: usize = 1 << 16;

/// The largest figure that [`ShareEvent::encryptions`] takes: beyond all hash operations there ever were.
pub const MOST_ENCRYPTIONS: u128 = 10u128.pow(30);

/// What a share or post without a target, or with target 0, counts as: from the days before events had one.
pub const DEFAULT_TARGET: CompactTarget = CompactTarget(0x2000_0fff);

/// What a handler saw and the PayMaker credits or measures by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A post of announcements was accepted.
    Anns(AnnsEvent),
    /// A share was accepted.
    Share(ShareEvent),
    /// The chain has grown by a block.
    Block(BlockEvent),
}

/// A post of announcements, accepted by an announcement handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnsEvent {
    /// Announcements that were valid and new.
    pub accepted: u32,
    /// Announcements that were known already, or repeated in the post.
    pub duplicate: u32,
    /// Who is credited.
    pub pay_to: PktAddress,
    /// Announcements of the post without signing key, duplicates included.
    pub unsigned: u32,
    /// Bytes of content; 0 today, yet subtracted from what is paid where it is not.
    pub total_length: u32,
    /// The easiest work bits among the announcements.
    pub target: CompactTarget,
    /// When, in milliseconds since 1970 by the handler's clock.
    pub time_ms: u64,
    /// First 16 bytes of BLAKE2b-256 of the posted body.
    pub event_id: EventId,
}

/// A share, accepted by a block handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareEvent {
    /// Who is credited.
    pub pay_to: PktAddress,
    /// The block that this share became, if the node took it as one.
    pub won_block: Option<BlockHash>,
    /// When, in milliseconds since 1970 by the handler's clock.
    pub time_ms: u64,
    /// The share id.
    pub event_id: EventId,
    /// Share target of the work.
    pub target: CompactTarget,
    /// Announcements in the tree that was mined with; 0 where the event does not say.
    pub announcement_count: u64,
    /// Least work of the announcements in the tree; 0 where the event does not say.
    pub announcement_min_work: CompactTarget,
    /// Estimated hash operations, for display, at most [`MOST_ENCRYPTIONS`]; 0 where the event does not say.
    pub encryptions: u128,
}

/// A new block of the chain, seen by a block handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEvent {
    /// The block; `None` where the event's `hash` is no block hash, which pays nobody less.
    pub hash: Option<BlockHash>,
    /// Its height.
    pub height: Height,
    /// Its difficulty as the node writes it; above zero.
    pub difficulty: Decimal,
    /// When the handler saw it, in milliseconds since 1970.
    pub time_ms: u64,
    /// First 16 bytes of the hash in display order.
    pub event_id: EventId,
}

/// Why a line is no event that can be credited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// Longer than any event.
    #[error("the line is longer than {LINE_LIMIT} bytes")]
    TooLong,
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but no object (rule R-P2).
    #[error("an event is a JSON object, not {0}")]
    NotAnObject(&'static str),
    /// A member that this kind of event must have is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member has a value that it may not have (rules R-P14, R-P15).
    #[error("`{field}`: expected {expected}, found {found}")]
    Member {
        /// The member.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A kind of event that nobody knows.
    #[error("`type`: expected \"anns\", \"share\" or \"block\", found {0:?}")]
    UnknownType(String),
    /// Nobody can be paid at this address (rule R-P1).
    #[error("`payTo`: {address:?} cannot be paid: {fault}")]
    PayTo {
        /// The text, cut to a readable length.
        address: String,
        /// What is wrong with it.
        fault: AddressFault,
    },
}

impl Event {
    /// Reads one line, with or without its line end.
    pub fn parse_line(line: &[u8]) -> Result<Self, EventFault> {
        line::parse(line)
    }

    /// The line to log and upload, with its line end.
    pub fn to_line(&self) -> String {
        let mut line = json::compact(self);
        line.push('\n');
        line
    }

    /// The id under which the event is credited at most once.
    pub fn event_id(&self) -> EventId {
        match self {
            Self::Anns(event) => event.event_id,
            Self::Share(event) => event.event_id,
            Self::Block(event) => event.event_id,
        }
    }

    /// When it happened, in milliseconds since 1970 by the handler's clock.
    pub fn time_ms(&self) -> u64 {
        match self {
            Self::Anns(event) => event.time_ms,
            Self::Share(event) => event.time_ms,
            Self::Block(event) => event.time_ms,
        }
    }
}

/// Whether a target can be credited (rule R-P14). Canonical form is not demanded: [`DEFAULT_TARGET`] has not got
/// it either.
pub fn is_creditable_target(target: CompactTarget) -> bool {
    (1..=0x207f_ffff).contains(&target.0) && target.0 & 0x0080_0000 == 0 && target.0 & 0x007f_ffff != 0
}

/// The name under which an event is credited at most once: 16 bytes, written as 32 lower-case digits.
///
/// Any other text that a handler of the past used as an id becomes its first eight bytes and eight bytes of its
/// hash, so such ids stay distinct and keep the order of their texts among themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

impl EventId {
    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id of a post of announcements: BLAKE2b-256 of the whole body.
    pub fn of_announcement_post(body: &[u8]) -> Self {
        Self::first_half(&blake2b_256(body))
    }

    /// The id of an upload of events: SHA-256 of the whole file.
    pub fn of_upload(file: &[u8]) -> Self {
        Self::first_half(&Sha256::digest(file).into())
    }

    /// The id of a block: the first digits of its hash.
    pub fn of_block(hash: &BlockHash) -> Self {
        let mut bytes = *hash.as_internal();
        bytes.reverse();
        Self::first_half(&bytes)
    }

    /// The id of an event that stands for several: BLAKE2b-256 of their ids in order.
    pub fn of_merged(members: &[Self]) -> Self {
        let ids: Vec<u8> = members.iter().flat_map(|id| id.0).collect();
        Self::first_half(&blake2b_256(&ids))
    }

    /// The first 16 of 32 bytes.
    pub(crate) fn first_half(bytes: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&bytes[..16]);
        Self(half)
    }

    /// The id that a JSON text stands for; never fails.
    pub fn from_text(text: &str) -> Self {
        if let Some(bytes) = text.parse().ok().map(|Self(bytes)| bytes) {
            return Self(bytes);
        }
        let mut bytes = [0; 16];
        let (start, hash) = bytes.split_at_mut(8);
        start.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        hash.copy_from_slice(&blake2b_256(text.as_bytes())[..8]);
        Self(bytes)
    }
}

/// A text that is no event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event id is 32 lower-case hexadecimal digits")]
pub struct EventIdFault;

impl FromStr for EventId {
    type Err = EventIdFault;

    fn from_str(text: &str) -> Result<Self, EventIdFault> {
        let mut bytes = [0; 16];
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(EventIdFault);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| EventIdFault)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EventId({self})")
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from_text(&text))
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Anns(event) => event.serialize(serializer),
            Self::Share(event) => event.serialize(serializer),
            Self::Block(event) => event.serialize(serializer),
        }
    }
}

impl Serialize for AnnsEvent {
    /// All members that the reference's clients demand, also those that are always 0.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("AnnsEvent", 13)?;
        object.serialize_field("type", "anns")?;
        object.serialize_field("accepted", &self.accepted)?;
        object.serialize_field("dup", &self.duplicate)?;
        for always_zero in ["inval", "badHash", "runt", "internalErr"] {
            object.serialize_field(always_zero, &0)?;
        }
        object.serialize_field("payTo", &self.pay_to)?;
        object.serialize_field("unsigned", &self.unsigned)?;
        object.serialize_field("totalLen", &self.total_length)?;
        object.serialize_field("target", &self.target.0)?;
        object.serialize_field("time", &self.time_ms)?;
        object.serialize_field("eventId", &self.event_id)?;
        object.end()
    }
}

impl Serialize for ShareEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("ShareEvent", 10)?;
        object.serialize_field("type", "share")?;
        object.serialize_field("payTo", &self.pay_to)?;
        object.serialize_field("block", &self.won_block.is_some())?;
        object.serialize_field("time", &self.time_ms)?;
        object.serialize_field("eventId", &self.event_id)?;
        if let Some(hash) = &self.won_block {
            object.serialize_field("headerHash", &hash.to_string())?;
        }
        object.serialize_field("target", &self.target.0)?;
        object.serialize_field("annCount", &self.announcement_count.to_string())?;
        object.serialize_field("annMinWork", &self.announcement_min_work.0)?;
        object.serialize_field("encryptions", &self.encryptions)?;
        object.end()
    }
}

impl Serialize for BlockEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("BlockEvent", 6)?;
        object.serialize_field("type", "block")?;
        object.serialize_field("hash", &self.hash.map_or_else(String::new, |hash| hash.to_string()))?;
        object.serialize_field("height", &self.height.0)?;
        object.serialize_field("difficulty", &self.difficulty)?;
        object.serialize_field("time", &self.time_ms)?;
        object.serialize_field("eventId", &self.event_id)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    const SHARE: &str = r#"{"type":"share","payTo":"pkt1q8cfkzu88mrusf2zug5wj27l2tg4ltp73uaqjpe","block":false,"time":1795223171663,"eventId":"77bc7dd0742228276087ea5bbe8f78f1","target":522190846,"annCount":"4096","annMinWork":538968064,"encryptions":0}"#;
    const BLOCK: &str = r#"{"type":"block","hash":"254ab1adea200e94fca830f089cb49ffef3f63550ef122a108c6434fc029e409","height":63,"difficulty":1.5,"time":1795223172552,"eventId":"254ab1adea200e94fca830f089cb49ff"}"#;
    const ANNS: &str = r#"{"type":"anns","accepted":1,"dup":0,"inval":0,"badHash":0,"runt":0,"internalErr":0,"payTo":"pkt1q5lhplx6swyfq6h7202u6lmfhw3ey26d7m5qm9w","unsigned":1,"totalLen":0,"target":538968064,"time":1795223738632,"eventId":"07a23f6ff68f9a4330003e5be1cbf6b2"}"#;

    fn fault(line: &str) -> String {
        Event::parse_line(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn recorded_lines_are_read_and_written_byte_for_byte() {
        for line in [SHARE, BLOCK, ANNS] {
            let event = Event::parse_line(line.as_bytes()).unwrap();
            assert_eq!(event.to_line(), format!("{line}\n"));
        }
    }

    #[test]
    fn r_p2_only_objects_are_events() {
        for (line, kind) in [
            ("null", "null"),
            ("42", "a number"),
            ("\"x\"", "a text"),
            ("[]", "an array"),
            (" [1,2]", "an array"),
        ] {
            assert_eq!(fault(line), format!("an event is a JSON object, not {kind}"));
        }
        assert!(fault("this is not json").starts_with("not JSON: "));
    }

    #[test]
    fn r_p9_every_text_is_an_event_id() {
        let texts =
            ["constructor", "toString", "", "valueOf", "__proto__", "77BC7DD0742228276087EA5BBE8F78F1"];
        let ids: std::collections::HashSet<_> = texts.iter().map(|text| EventId::from_text(text)).collect();
        assert_eq!(ids.len(), texts.len());
        assert!(["a", "b", "c", "d"].map(EventId::from_text).is_sorted());
    }

    #[test]
    fn r_p14_targets_without_meaning_are_refused() {
        for target in ["1", "553648127", "545259519"] {
            let line = SHARE.replace("522190846", target);
            let refused = Event::parse_line(line.as_bytes()).is_err();
            assert_eq!(refused, !is_creditable_target(CompactTarget(target.parse().unwrap())), "{target}");
        }
        for target in
            ["-1", "1.5", "\"522190846\"", "545259520", "528482304", "8388609", "99999999999999999999"]
        {
            let words = fault(&SHARE.replace("522190846", target));
            assert!(words.starts_with("`target`: expected a compact target"), "{target}: {words}");
        }
        for none in ["\"target\":0", "\"target\":null", "\"tar\":7"] {
            let line = SHARE.replace("\"target\":522190846", none);
            let Ok(Event::Share(share)) = Event::parse_line(line.as_bytes()) else { panic!("{none}") };
            assert_eq!(share.target, DEFAULT_TARGET);
        }
    }

    #[test]
    fn r_p15_counts_and_difficulties_without_meaning_are_refused() {
        for accepted in ["-1", "4294967296", "1.5", "1e999", "\"5\"", "true", "[]"] {
            let words = fault(&ANNS.replace("\"accepted\":1", &format!("\"accepted\":{accepted}")));
            assert!(words.starts_with("`accepted`: expected a whole number"), "{accepted}: {words}");
        }
        for difficulty in ["0", "-1", "1e999", "\"1\"", "null"] {
            let words = fault(&BLOCK.replace("1.5", difficulty));
            assert!(words.starts_with("`difficulty`"), "{difficulty}: {words}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (line, member) in [
            (SHARE, "payTo"),
            (SHARE, "time"),
            (SHARE, "eventId"),
            (SHARE, "type"),
            (ANNS, "accepted"),
            (ANNS, "unsigned"),
            (ANNS, "totalLen"),
            (BLOCK, "height"),
            (BLOCK, "difficulty"),
        ] {
            let words = fault(&line.replace(&format!("\"{member}\""), "\"other\""));
            assert_eq!(words, format!("`{member}` is missing"));
        }
    }

    #[test]
    fn accepted_announcements_make_any_line_an_anns_event() {
        for line in [ANNS.replace("\"anns\"", "\"share\""), ANNS.replace("\"type\":\"anns\",", "")] {
            assert!(matches!(Event::parse_line(line.as_bytes()), Ok(Event::Anns(_))), "{line}");
        }
        assert_eq!(
            fault(&SHARE.replace("share", "gift")),
            "`type`: expected \"anns\", \"share\" or \"block\", found \"gift\""
        );
    }

    #[test]
    fn a_difficulty_is_the_number_that_is_written() {
        let line = BLOCK.replace("1.5", "4093.83928400000000000001");
        let Ok(Event::Block(block)) = Event::parse_line(line.as_bytes()) else { panic!("{line}") };
        assert_eq!(block.difficulty.to_string(), "4093.83928400000000000001");
    }

    #[test]
    fn a_deeply_nested_line_is_refused() {
        let line = format!("{{\"type\":\"share\",\"x\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
        assert!(Event::parse_line(line.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn line_round_trip(event in arbitrary::event()) {
            prop_assert_eq!(Event::parse_line(event.to_line().as_bytes()), Ok(event));
        }

        #[test]
        fn event_id_round_trip(id in arbitrary::event_id(), text: String) {
            prop_assert_eq!(EventId::from_text(&id.to_string()), id);
            let _ = EventId::from_text(&text);
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = Event::parse_line(&bytes);
        }

        #[test]
        fn a_damaged_line_is_answered(event in arbitrary::event(), at: prop::sample::Index, byte: u8) {
            let mut line = event.to_line().into_bytes();
            let at = at.index(line.len());
            line[at] = byte;
            let _ = Event::parse_line(&line);
        }
    }
}
