//! The id of a block, and the two orders in which people write it.

use std::fmt;

/// Double SHA-256 of an 80-byte block header, kept in *internal* order (as computed, as headers carry it).
///
/// [`Display`](fmt::Display) and [`BlockHash::from_display_hex`] use the reversed order of RPC replies,
/// URLs and logs.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash([u8; 32]);

/// Why a text is no block hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a block hash is 64 hexadecimal digits, not {found:?}")]
pub struct ParseBlockHashError {
    /// The text, cut to 80 characters.
    pub found: String,
}

impl BlockHash {
    /// From 32 bytes in internal order.
    pub const fn from_internal(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes in internal order.
    pub const fn as_internal(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 64 hexadecimal digits in display order.
    pub fn from_display_hex(text: &str) -> Result<Self, ParseBlockHashError> {
        let mut bytes = [0u8; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| ParseBlockHashError { found: text.chars().take(80).collect() })?;
        bytes.reverse();
        Ok(Self(bytes))
    }
}

impl fmt::Display for BlockHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0;
        bytes.reverse();
        formatter.write_str(&hex::encode(bytes))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BlockHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_order_is_internal_order_reversed() {
        let mut internal = [0u8; 32];
        internal[0] = 0x85;
        let hash = BlockHash::from_internal(internal);
        assert!(hash.to_string().ends_with("0085"));
        assert_eq!(BlockHash::from_display_hex(&hash.to_string()), Ok(hash));
    }

    #[test]
    fn a_short_hash_says_what_was_expected() {
        let error = BlockHash::from_display_hex("abc").unwrap_err();
        assert_eq!(error.to_string(), r#"a block hash is 64 hexadecimal digits, not "abc""#);
    }
}
