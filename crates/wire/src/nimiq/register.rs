//! `register`: who wants to mine, how, and for whom (`docs/protocol/nimiq-pool.md` 1.3).

use std::fmt;
use std::str::FromStr;

use nimiq::{Address, BlockHash, DeviceId};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::client_message::Members;
use super::members;
use crate::{FormatError, json};

const DOCUMENT: &str = "register";

/// How a client mines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It follows the chain itself and builds its own blocks.
    Smart,
    /// It follows the chain's heads and mines bodies of the pool's.
    Nano,
    /// It varies the nonce of headers of the pool's.
    Dumb,
}

/// What a client says about its device: any JSON object, of at most 4 KiB and four levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceData(Value);

/// A name for a device: at most 64 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceName(String);

/// A client's first message.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// How it mines.
    pub mode: Mode,
    /// Who is credited.
    pub address: Address,
    /// Which of the miner's devices it is; 0 where the client does not say, or says nonsense.
    pub device_id: DeviceId,
    /// What it says about the device, unless that is more than is taken.
    pub device_data: Option<DeviceData>,
    /// By which it says which network it is on.
    pub genesis_hash: BlockHash,
    /// Which share difficulty it would like to begin with: any finite number.
    pub start_difficulty: Option<f64>,
    /// What the miner calls the device (`deviceName` or `deviceLabel`).
    pub device_name: Option<DeviceName>,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Smart, Self::Nano, Self::Dumb];

    /// As messages and metrics spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smart => "smart",
            Self::Nano => "nano",
            Self::Dumb => "dumb",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|mode| mode.name() == text);
        known.ok_or_else(|| FormatError::field(DOCUMENT, "mode", "smart, nano or dumb", text))
    }
}

impl DeviceData {
    const LARGEST: usize = 4096;
    const DEEPEST: usize = 4;

    /// `None` for what is no object, too large or too deep.
    pub fn new(value: Value) -> Option<Self> {
        let fits =
            value.is_object() && depth(&value) <= Self::DEEPEST && value.to_string().len() <= Self::LARGEST;
        fits.then_some(Self(value))
    }

    /// The object.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// Looks at the length first, so that only a little is ever taken apart.
    fn read(raw: &RawValue) -> Option<Self> {
        let text = Some(raw.get()).filter(|text| text.len() <= Self::LARGEST)?;
        serde_json::from_str(text).ok().and_then(Self::new)
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

impl DeviceName {
    const LONGEST: usize = 64;

    /// The text without control characters, cut; `None` where nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let name: String = text.chars().filter(|c| !c.is_control()).take(Self::LONGEST).collect();
        (!name.is_empty()).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads a member that may be of any type: nothing where it is of another.
fn tolerant<T: serde::de::DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// Without its fraction and modulo 2^32, as the peers' language would store it; nonsense is 0.
fn device_id(raw: Option<&RawValue>) -> DeviceId {
    let number = tolerant::<Number>(raw).and_then(|number| number.as_f64()).filter(|number| *number >= 0.0);
    DeviceId(number.map_or(0, |number| number.trunc().rem_euclid(f64::from(u32::MAX) + 1.0) as u32))
}

impl Register {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, FormatError> {
        let mode = members::required(DOCUMENT, "mode", "smart, nano or dumb", members.mode.as_deref())?;
        let names = [members.device_name, members.device_label];
        let name = |raw| tolerant::<String>(raw).and_then(|text| DeviceName::new(&text));
        Ok(Self {
            mode: mode.parse()?,
            address: members::address(DOCUMENT, "address", members.address.as_deref())?,
            device_id: device_id(members.device_id),
            device_data: members.device_data.and_then(DeviceData::read),
            genesis_hash: members::block_hash(DOCUMENT, "genesisHash", members.genesis_hash.as_deref())?,
            start_difficulty: tolerant::<Number>(members.start_difficulty).and_then(|number| number.as_f64()),
            device_name: names.into_iter().find_map(name),
        })
    }

    pub(super) fn to_text(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Text<'a> {
            message: &'static str,
            mode: &'static str,
            address: String,
            device_id: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            device_data: Option<&'a Value>,
            genesis_hash: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            start_difficulty: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            device_name: Option<&'a str>,
        }
        json::compact(&Text {
            message: DOCUMENT,
            mode: self.mode.name(),
            address: self.address.to_string(),
            device_id: self.device_id.0,
            device_data: self.device_data.as_ref().map(DeviceData::as_value),
            genesis_hash: self.genesis_hash.to_base64(),
            start_difficulty: self.start_difficulty,
            device_name: self.device_name.as_ref().map(DeviceName::as_str),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClientMessage;
    use super::*;
    use nimiq::Network;
    use serde_json::json;

    fn register(more: &str) -> Register {
        let genesis = Network::Dev.genesis_hash().to_base64();
        let text = format!(
            r#"{{"message":"register","mode":"smart","address":"NQ88 Q4DE 829C AQ81 88FP 8MGJ PP3B A70X CHN6","genesisHash":"{genesis}"{more}}}"#
        );
        match ClientMessage::parse(text.as_bytes()) {
            Ok(ClientMessage::Register(register)) => register,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_device_is_a_number_of_32_bits_whatever_is_sent() {
        for (sent, device) in [
            ("", 0),
            (r#","deviceId":94431704"#, 94_431_704),
            (r#","deviceId":4294967295"#, u32::MAX),
            (r#","deviceId":4294967297"#, 1),
            (r#","deviceId":7.9"#, 7),
            (r#","deviceId":-1"#, 0),
            (r#","deviceId":1e400"#, 0),
            (r#","deviceId":"7""#, 0),
            (r#","deviceId":null"#, 0),
            (r#","deviceId":{"a":[1]}"#, 0),
        ] {
            assert_eq!(register(sent).device_id, DeviceId(device), "{sent}");
        }
    }

    #[test]
    fn what_a_device_says_of_itself_is_bounded() {
        let data = |value: Value| register(&format!(r#","deviceData":{value}"#)).device_data;
        assert!(data(json!({"a": {"b": {"c": {}}}})).is_some());
        assert_eq!(data(json!({"a": {"b": {"c": {"d": {}}}}})), None);
        assert_eq!(data(json!({"a": [[[[1]]]]})), None);
        assert!(data(json!({"a": "x".repeat(4000)})).is_some());
        assert_eq!(data(json!({"a": "x".repeat(4096)})), None);
        assert_eq!(data(json!(null)), None);
        assert_eq!(data(json!([1])), None);
    }

    #[test]
    fn a_name_is_cut_and_cleaned() {
        let name = |more: &str| register(more).device_name.map(|name| name.0);
        assert_eq!(name(r#","deviceName":"rig\u0007 1""#).as_deref(), Some("rig 1"));
        assert_eq!(name(r#","deviceLabel":"rig 2""#).as_deref(), Some("rig 2"));
        assert_eq!(name(r#","deviceName":7,"deviceLabel":"rig 3""#).as_deref(), Some("rig 3"));
        assert_eq!(name(&format!(r#","deviceName":"{}""#, "é".repeat(99))), Some("é".repeat(64)));
        assert_eq!(name(r#","deviceName":"\n""#), None);
    }

    #[test]
    fn a_wished_difficulty_is_a_finite_number() {
        for (sent, wished) in [
            (r#","startDifficulty":0.5"#, Some(0.5)),
            (r#","startDifficulty":-1"#, Some(-1.0)),
            (r#","startDifficulty":1e999"#, None),
            (r#","startDifficulty":"5""#, None),
            ("", None),
        ] {
            assert_eq!(register(sent).start_difficulty, wished, "{sent}");
        }
    }
}
