//! `blkinfo_<hash>.json`: a block's header and the signing key for its children
//! (`docs/protocol/packetcrypt-pool.md` 3.4).

use packetcrypt::{BlockHash, CompactTarget, Height, SigningKey};
use serde::{Deserialize, Serialize};

use crate::{Decimal, FormatError, json};

/// The largest block info that is read.
pub const LIMIT: usize = 1 << 16;

const DOCUMENT: &str = "block info";

/// What announcement miners and handlers need to know of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// The block's header.
    pub header: BlockInfoHeader,
    /// The public key for announcements whose *parent* is this block; `null` in a pool that does not sign.
    #[serde(rename = "sigKey", default, with = "json::optional_signing_key")]
    pub signing_key: Option<SigningKey>,
}

/// The node's verbose `getblockheader` reply without the members that change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfoHeader {
    /// Hash of the block.
    #[serde(with = "json::block_hash")]
    pub hash: BlockHash,
    /// Height of the block.
    #[serde(with = "json::height")]
    pub height: Height,
    /// Version of the block.
    pub version: u32,
    /// Version as eight hexadecimal digits, as the node writes it: the same number, which is not checked.
    #[serde(rename = "versionHex", with = "json::hex32")]
    pub version_hex: u32,
    /// Root of the tree over the transactions, in display order.
    #[serde(rename = "merkleroot", with = "json::block_hash")]
    pub merkle_root: BlockHash,
    /// Seconds since 1970.
    pub time: u32,
    /// The header's nonce.
    pub nonce: u32,
    /// The block's target.
    #[serde(with = "json::hex_target")]
    pub bits: CompactTarget,
    /// The node's difficulty figure.
    pub difficulty: Decimal,
    /// Hash of the block before; zeros for the genesis block.
    #[serde(rename = "previousblockhash", default, with = "json::block_hash")]
    pub previous_block_hash: BlockHash,
}

impl BlockInfo {
    /// Reads a block info.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        json::parse(DOCUMENT, bytes, LIMIT)
    }

    /// The text to serve, indented by tabs.
    pub fn to_json(&self) -> String {
        json::tabbed(self)
    }

    /// The end of the path that it is served under.
    pub fn file_name(hash: &BlockHash) -> String {
        format!("blkinfo_{hash}.json")
    }

    /// The hash in a file name; `None` if the name is no block info's (64 lower-case digits are wanted).
    pub fn parse_file_name(name: &str) -> Option<BlockHash> {
        let digits = name.strip_prefix("blkinfo_")?.strip_suffix(".json")?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        BlockHash::from_display_hex(digits).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn block_info() -> impl Strategy<Value = BlockInfo> {
        let hashes = (arbitrary::block_hash(), arbitrary::block_hash(), arbitrary::block_hash());
        let key = prop::option::of(any::<[u8; 32]>());
        (hashes, arbitrary::height(), any::<[u32; 4]>(), arbitrary::positive_decimal(), key).prop_map(
            |(hashes, height, [version, time, nonce, bits], difficulty, key)| BlockInfo {
                header: BlockInfoHeader {
                    hash: hashes.0,
                    height,
                    version,
                    version_hex: version,
                    merkle_root: hashes.1,
                    time,
                    nonce,
                    bits: CompactTarget(bits),
                    difficulty,
                    previous_block_hash: hashes.2,
                },
                signing_key: key.and_then(SigningKey::new),
            },
        )
    }

    #[test]
    fn a_file_name_holds_a_hash_in_lower_case() {
        let hash = BlockHash::from_internal([0xab; 32]);
        let name = BlockInfo::file_name(&hash);
        assert_eq!(BlockInfo::parse_file_name(&name), Some(hash));
        for wrong in [
            name.to_uppercase(),
            name.replace("ab", "AB"),
            name.replace(".json", ""),
            name.replace("ab", "a"),
        ] {
            assert_eq!(BlockInfo::parse_file_name(&wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(info in block_info()) {
            prop_assert_eq!(BlockInfo::parse(info.to_json().as_bytes()), Ok(info));
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>, name: String) {
            let _ = BlockInfo::parse(&bytes);
            let _ = BlockInfo::parse_file_name(&name);
        }
    }
}
