//! How members of the pool's messages are read: base64, hashes, addresses, whole numbers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nimiq::hash::ParseHashError;
use nimiq::{Address, BlockHash};
use serde_json::Number;

use crate::FormatError;

/// A member that must be there.
pub(super) fn required<T>(
    document: &'static str,
    field: &'static str,
    expected: &'static str,
    value: Option<T>,
) -> Result<T, FormatError> {
    value.ok_or_else(|| FormatError::field(document, field, expected, "nothing"))
}

/// Standard base64.
pub(super) fn base64(
    document: &'static str,
    field: &'static str,
    text: Option<&str>,
) -> Result<Vec<u8>, FormatError> {
    let text = required(document, field, "base64", text)?;
    STANDARD.decode(text).map_err(|_| FormatError::field(document, field, "base64", text))
}

/// A user-friendly address.
pub(super) fn address(
    document: &'static str,
    field: &'static str,
    text: Option<&str>,
) -> Result<Address, FormatError> {
    let text = required(document, field, "an address", text)?;
    Address::parse(text).map_err(|error| FormatError::field(document, field, error.to_string(), text))
}

/// A hash in base64, by the constructor of its kind.
pub(super) fn hash<T>(
    document: &'static str,
    field: &'static str,
    text: Option<&str>,
    read: fn(&str) -> Result<T, ParseHashError>,
) -> Result<T, FormatError> {
    let text = required(document, field, "32 bytes in base64", text)?;
    read(text).map_err(|_| FormatError::field(document, field, "32 bytes in base64", text))
}

/// The hash of a genesis block.
pub(super) fn block_hash(
    document: &'static str,
    field: &'static str,
    text: Option<&str>,
) -> Result<BlockHash, FormatError> {
    hash(document, field, text, BlockHash::from_base64)
}

/// A whole number of 32 bits.
pub(super) fn u32(
    document: &'static str,
    field: &'static str,
    number: Option<&Number>,
) -> Result<u32, FormatError> {
    const EXPECTED: &str = "a whole number below 2^32";
    let number = required(document, field, EXPECTED, number)?;
    let value = number.as_u64().and_then(|number| u32::try_from(number).ok());
    value.ok_or_else(|| FormatError::field(document, field, EXPECTED, number.to_string()))
}

/// A serialised thing of the chain that is malformed, as the fault of a member.
pub(super) fn malformed(
    document: &'static str,
    field: &'static str,
) -> impl FnOnce(nimiq::FormatError) -> FormatError {
    move |error| FormatError::field(document, field, error.to_string(), "other bytes")
}

/// Standard base64.
pub(super) fn to_base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}
