//! `H`, the hash of everything but the proof of work, and a type for each thing that is named by 32 bytes.
//!
//! Rules: `docs/protocol/nimiq-pool.md` 0.2 and 2.2 to 2.8.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blake2::{Blake2b256, Digest};

use byte_reader::excerpt;

/// `H`: BLAKE2b with a digest of 32 bytes, unkeyed, over the parts one after the other.
pub fn blake2b_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Blake2b256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {kind} is {expected}, not \"{found}\"")]
pub struct ParseHashError {
    /// What the hash is of.
    pub kind: &'static str,
    /// The form that was expected.
    pub expected: &'static str,
    /// The text, cut to a readable length.
    pub found: String,
}

/// Declares a kind of hash: 32 bytes that are written in hexadecimal (node) or base64 (pool messages).
macro_rules! hash_kind {
    ($(#[$documentation:meta])* $name:ident, $kind:literal) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// From 64 hexadecimal digits.
            pub fn from_hex(digits: &str) -> Result<Self, ParseHashError> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| ParseHashError {
                    kind: $kind,
                    expected: "64 hexadecimal digits",
                    found: excerpt(digits),
                })?;
                Ok(Self(bytes))
            }

            /// From 44 characters of standard base64.
            pub fn from_base64(text: &str) -> Result<Self, ParseHashError> {
                let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
                bytes.map(Self).ok_or_else(|| ParseHashError {
                    kind: $kind,
                    expected: "32 bytes in base64",
                    found: excerpt(text),
                })
            }

            /// Standard base64, as pool messages carry it.
            pub fn to_base64(&self) -> String {
                STANDARD.encode(self.0)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({self})", stringify!($name))
            }
        }
    };
}

hash_kind!(
    /// `H` of a block's header: the block's name.
    BlockHash,
    "block hash"
);
hash_kind!(
    /// Merkle root of a block's body: what binds miner address and extra data to the header.
    BodyHash,
    "body hash"
);
hash_kind!(
    /// Root of the accounts tree after a block. Opaque here: it is copied from the node's template.
    AccountsHash,
    "accounts hash"
);
hash_kind!(
    /// Merkle root of a block's interlink.
    InterlinkHash,
    "interlink hash"
);
hash_kind!(
    /// `H` of a transaction's content, without its proof.
    TransactionHash,
    "transaction hash"
);
hash_kind!(
    /// A leaf or inner node of a Merkle tree. The trees do not tell the two apart.
    MerkleHash,
    "Merkle node"
);
hash_kind!(
    /// Argon2d of a block's header, read as a big-endian number: the smaller, the more work.
    ProofOfWork,
    "proof of work"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hash_like_their_concatenation() {
        assert_eq!(blake2b_256(&[b"ab", b"", b"c"]), blake2b_256(&[b"abc"]));
        assert_eq!(
            MerkleHash(blake2b_256(&[])).to_string(),
            "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"
        );
    }

    #[test]
    fn both_texts_name_the_same_hash() {
        let hash = BlockHash(blake2b_256(&[b"x"]));
        assert_eq!(BlockHash::from_hex(&hash.to_string()), Ok(hash));
        assert_eq!(BlockHash::from_base64(&hash.to_base64()), Ok(hash));
    }

    #[test]
    fn a_text_that_is_no_hash_says_what_was_expected() {
        let error = BodyHash::from_hex("abc").unwrap_err();
        assert_eq!(error.to_string(), r#"a body hash is 64 hexadecimal digits, not "abc""#);
        assert!(BodyHash::from_base64("AAAA").is_err());
        assert!(BodyHash::from_base64(&format!("{}\n", BodyHash([0; 32]).to_base64())).is_err());
    }
}
