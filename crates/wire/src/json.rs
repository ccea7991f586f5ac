//! How the JSON documents of the pool spell the types of this house: hashes as hex, heights and targets as
//! numbers; and the two layouts, compact and indented by tabs.

// The functions for `#[serde(with = …)]` have the signatures that serde calls them by.
#![allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)]

use packetcrypt::{CompactTarget, Height};
use serde::{Serialize, de::DeserializeOwned};

use crate::FormatError;

/// Reads a whole document of at most `limit` bytes.
pub(crate) fn parse<T: DeserializeOwned>(
    document: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<T, FormatError> {
    FormatError::check_length(document, bytes.len(), limit)?;
    serde_json::from_slice(bytes).map_err(|error| FormatError::Json { document, reason: error.to_string() })
}

/// On one line. Cannot fail: the documents of this crate have text keys, and writing to memory succeeds.
pub(crate) fn compact<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Indented by tabs, as the Master and the PayMaker of the reference serve.
pub(crate) fn tabbed<T: Serialize>(value: &T) -> String {
    let mut out = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    match value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, layout)) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Block hashes in display order.
pub(crate) mod block_hash {
    use packetcrypt::BlockHash;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(hash: &BlockHash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BlockHash, D::Error> {
        BlockHash::from_display_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Block heights as numbers from 0 to 2³¹−1, the range that the peers read.
pub(crate) mod height {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Height;

    pub(crate) fn serialize<S: Serializer>(height: &Height, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(height.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Height, D::Error> {
        match u32::deserialize(deserializer)? {
            height if i32::try_from(height).is_ok() => Ok(Height(height)),
            height => Err(D::Error::custom(format_args!("a height is at most 2147483647, not {height}"))),
        }
    }
}

/// Compact targets as decimal numbers, or null.
pub(crate) mod optional_target {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::CompactTarget;

    pub(crate) fn serialize<S: Serializer>(
        target: &Option<CompactTarget>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        target.map(|target| target.0).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<CompactTarget>, D::Error> {
        Ok(Option::<u32>::deserialize(deserializer)?.map(CompactTarget))
    }
}

/// 32-bit numbers as exactly eight hexadecimal digits.
pub(crate) mod hex32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:08x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 4];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| D::Error::custom(format_args!("expected 8 hexadecimal digits, not {text:?}")))?;
        Ok(u32::from_be_bytes(bytes))
    }
}

/// A compact target as exactly eight hexadecimal digits.
pub(crate) mod hex_target {
    use serde::{Deserializer, Serializer};

    use super::CompactTarget;

    pub(crate) fn serialize<S: Serializer>(target: &CompactTarget, serializer: S) -> Result<S::Ok, S::Error> {
        super::hex32::serialize(&target.0, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CompactTarget, D::Error> {
        super::hex32::deserialize(deserializer).map(CompactTarget)
    }
}

/// A signing key as 64 hexadecimal digits, or null.
pub(crate) mod optional_signing_key {
    use packetcrypt::SigningKey;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        key: &Option<SigningKey>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        key.map(|key| hex::encode(key.as_bytes())).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SigningKey>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| D::Error::custom("a signing key is 64 hexadecimal digits or null"))?;
        Ok(SigningKey::new(bytes))
    }
}
