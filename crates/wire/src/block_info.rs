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
