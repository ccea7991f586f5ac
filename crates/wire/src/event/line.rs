//! From a line of text to an event, or to the member that is wrong with it.

use packetcrypt::{BlockHash, CompactTarget, Height};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::{
    AnnsEvent, BlockEvent, DEFAULT_TARGET, Event, EventFault, EventId, LINE_LIMIT, MOST_ENCRYPTIONS,
    ShareEvent, is_creditable_target,
};
use byte_reader::excerpt;

use crate::{Decimal, PktAddress};

/// The members of all kinds of events, of any type: what is wrong is said by name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    r#type: Option<Value>,
    pay_to: Option<Value>,
    time: Option<Value>,
    event_id: Option<Value>,
    target: Option<Value>,
    accepted: Option<Value>,
    dup: Option<Value>,
    unsigned: Option<Value>,
    total_len: Option<Value>,
    header_hash: Option<Value>,
    ann_count: Option<Value>,
    ann_min_work: Option<Value>,
    encryptions: Option<Value>,
    hash: Option<Value>,
    height: Option<Value>,
    difficulty: Option<Value>,
}

pub(super) fn parse(line: &[u8]) -> Result<Event, EventFault> {
    if line.len() > LINE_LIMIT {
        return Err(EventFault::TooLong);
    }
    match serde_json::from_slice::<Members>(line) {
        Ok(members) if line.trim_ascii_start().starts_with(b"{") => members.into_event(),
        // An array of the right length would also pass for the members.
        Ok(_) => Err(EventFault::NotAnObject("an array")),
        Err(error) => match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(_)) | Err(_) => Err(EventFault::NotJson(error.to_string())),
            Ok(other) => Err(EventFault::NotAnObject(kind_of(&other))),
        },
    }
}

impl Members {
    fn into_event(self) -> Result<Event, EventFault> {
        match self.kind()?.as_str() {
            "anns" => self.anns().map(Event::Anns),
            "share" => self.share().map(Event::Share),
            "block" => self.block().map(Event::Block),
            other => Err(EventFault::UnknownType(excerpt(other))),
        }
    }

    /// A non-zero `accepted` makes any event one of announcements: the oldest handlers wrote no `type`.
    fn kind(&self) -> Result<String, EventFault> {
        let accepted_something = match &self.accepted {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Number(number)) => number.as_str().parse() != Ok(Decimal::ZERO),
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        };
        if accepted_something {
            Ok("anns".into())
        } else {
            text("type", self.r#type.as_ref()).map(Into::into)
        }
    }

    fn anns(&self) -> Result<AnnsEvent, EventFault> {
        Ok(AnnsEvent {
            event_id: self.event_id()?,
            time_ms: self.time_ms()?,
            pay_to: self.pay_to()?,
            target: self.target()?,
            accepted: count("accepted", self.accepted.as_ref())?,
            unsigned: count("unsigned", self.unsigned.as_ref())?,
            total_length: count("totalLen", self.total_len.as_ref())?,
            duplicate: count("dup", self.dup.as_ref()).unwrap_or_default(),
        })
    }

    fn share(&self) -> Result<ShareEvent, EventFault> {
        let digits = |member: Option<&Value>| match member {
            Some(Value::String(digits)) => digits.parse().ok(),
            Some(Value::Number(number)) => number.as_str().parse().ok(),
            _ => None,
        };
        Ok(ShareEvent {
            event_id: self.event_id()?,
            time_ms: self.time_ms()?,
            pay_to: self.pay_to()?,
            target: self.target()?,
            won_block: block_hash(self.header_hash.as_ref()),
            announcement_count: digits(self.ann_count.as_ref()).unwrap_or_default(),
            announcement_min_work: CompactTarget(
                count("annMinWork", self.ann_min_work.as_ref()).unwrap_or_default(),
            ),
            encryptions: decimal("encryptions", self.encryptions.as_ref())
                .unwrap_or_default()
                .floor_saturating()
                .min(MOST_ENCRYPTIONS),
        })
    }

    fn block(&self) -> Result<BlockEvent, EventFault> {
        let difficulty = decimal("difficulty", self.difficulty.as_ref())?;
        if !difficulty.is_positive() {
            return Err(wrong("difficulty", "a number above 0", self.difficulty.as_ref()));
        }
        Ok(BlockEvent {
            event_id: self.event_id()?,
            time_ms: self.time_ms()?,
            hash: block_hash(self.hash.as_ref()),
            height: Height(count("height", self.height.as_ref())?),
            difficulty,
        })
    }

    fn event_id(&self) -> Result<EventId, EventFault> {
        text("eventId", self.event_id.as_ref()).map(EventId::from_text)
    }

    fn time_ms(&self) -> Result<u64, EventFault> {
        whole_number("time", self.time.as_ref(), "whole milliseconds since 1970")
    }

    fn pay_to(&self) -> Result<PktAddress, EventFault> {
        let address = text("payTo", self.pay_to.as_ref())?;
        PktAddress::parse(address).map_err(|fault| EventFault::PayTo { address: excerpt(address), fault })
    }

    fn target(&self) -> Result<CompactTarget, EventFault> {
        const EXPECTED: &str =
            "a compact target: 1 to 0x207fffff with a mantissa that is not zero or negative";
        let target = match &self.target {
            None | Some(Value::Null) => 0,
            Some(_) => whole_number("target", self.target.as_ref(), EXPECTED)?,
        };
        match u32::try_from(target).map(CompactTarget) {
            Ok(CompactTarget(0)) => Ok(DEFAULT_TARGET),
            Ok(target) if is_creditable_target(target) => Ok(target),
            _ => Err(wrong("target", EXPECTED, self.target.as_ref())),
        }
    }
}

/// A text that must be there.
fn text<'a>(field: &'static str, member: Option<&'a Value>) -> Result<&'a str, EventFault> {
    match member {
        Some(Value::String(text)) => Ok(text),
        None => Err(EventFault::Missing(field)),
        _ => Err(wrong(field, "a text", member)),
    }
}

/// A number from 0 to 2³²−1 that must be there.
fn count(field: &'static str, member: Option<&Value>) -> Result<u32, EventFault> {
    const EXPECTED: &str = "a whole number from 0 to 4294967295";
    let number = whole_number(field, member, EXPECTED)?;
    u32::try_from(number).map_err(|_| wrong(field, EXPECTED, member))
}

/// A whole number from 0 to 2⁶⁴−1 that must be there. `1.0` and `1e3` are whole numbers too.
fn whole_number(
    field: &'static str,
    member: Option<&Value>,
    expected: &'static str,
) -> Result<u64, EventFault> {
    let Some(value) = member else { return Err(EventFault::Missing(field)) };
    let Value::Number(number) = value else { return Err(wrong(field, expected, member)) };
    if let Some(number) = number.as_u64() {
        return Ok(number);
    }
    decimal(field, member)
        .ok()
        .filter(|number| !number.is_negative() && number.exponent() >= 0)
        .and_then(|number| u64::try_from(number.floor_saturating()).ok())
        .ok_or_else(|| wrong(field, expected, member))
}

/// A decimal number that must be there.
fn decimal(field: &'static str, member: Option<&Value>) -> Result<Decimal, EventFault> {
    match member {
        None => Err(EventFault::Missing(field)),
        Some(Value::Number(number)) => {
            number.as_str().parse().map_err(|_| wrong(field, "a number of at most 30 digits", member))
        }
        Some(_) => Err(wrong(field, "a number", member)),
    }
}

fn block_hash(member: Option<&Value>) -> Option<BlockHash> {
    BlockHash::from_display_hex(member?.as_str()?).ok()
}

fn wrong(field: &'static str, expected: &'static str, found: Option<&Value>) -> EventFault {
    let found = match found {
        Some(value @ (Value::Array(_) | Value::Object(_))) => kind_of(value).to_owned(),
        Some(value) => excerpt(&value.to_string()),
        None => "nothing".to_owned(),
    };
    EventFault::Member { field, expected, found }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Replies carry events as well; there a fault is a fault of the document.
macro_rules! deserialize_by_members {
    ($($event:ty: $read:ident),*) => {$(
        impl<'de> Deserialize<'de> for $event {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Members::deserialize(deserializer)?.$read().map_err(D::Error::custom)
            }
        }
    )*};
}

deserialize_by_members!(Event: into_event, AnnsEvent: anns, ShareEvent: share, BlockEvent: block);
