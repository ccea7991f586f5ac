//! `config.json`: what the Master tells everybody (`docs/protocol/packetcrypt-pool.md` 3.5).

use packetcrypt::{BlockHash, CompactTarget, Height};
use serde::{Deserialize, Serialize};

use crate::{FormatError, json};

/// The largest `config.json` that is read.
pub const LIMIT: usize = 1 << 20;
/// The hard protocol version: clients of another one must stop.
pub const VERSION: u32 = 3;
/// The soft protocol version: a greater one recommends an upgrade.
pub const SOFT_VERSION: u32 = 1;
/// Handlers that a list may name.
pub const MAX_HANDLERS: usize = 1024;

const DOCUMENT: &str = "config.json";

/// What a pool is doing now, and where its parts are. Members are spelt as in the reference.
///
/// Reading accepts the variations of public pools: `downloadAnnUrls`, `softVersion`, `annVersions`, `masterUrl`
/// and `mineOldAnns` may be missing. Writing always has all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolConfig {
    /// Hash of the newest block.
    #[serde(with = "json::block_hash")]
    pub tip_hash: BlockHash,
    /// Height being mined: one above the newest block.
    #[serde(with = "json::height")]
    pub current_height: Height,
    /// Public pool URL, for work and template files.
    #[serde(default)]
    pub master_url: String,
    /// Full submit URL of each announcement handler. Order and length assign announcements to handlers.
    pub submit_ann_urls: Vec<String>,
    /// Base URL of each announcement handler for `/anns/…`, in the same order.
    #[serde(default)]
    pub download_ann_urls: Vec<String>,
    /// Full submit URL of each block handler. Order and length assign shares to handlers.
    pub submit_block_urls: Vec<String>,
    /// Base URL of the PayMaker: handlers append `/events`.
    pub paymaker_url: String,
    /// Hard protocol version, [`VERSION`].
    pub version: u32,
    /// Soft protocol version, [`SOFT_VERSION`].
    #[serde(default = "soft_version")]
    pub soft_version: u32,
    /// Announcement versions that are taken; handlers look at the first only.
    #[serde(default = "ann_versions")]
    pub ann_versions: Vec<u8>,
    /// How many blocks below the newest one the parent of an announcement should be.
    #[serde(default)]
    pub mine_old_anns: u32,
    /// The easiest announcement target that is taken; a pool without one cannot be mined with.
    #[serde(default, with = "json::optional_target")]
    pub ann_target: Option<CompactTarget>,
    /// Base URL for block infos, where it is not the pool URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blkinfo_url: Option<String>,
}

fn soft_version() -> u32 {
    SOFT_VERSION
}

fn ann_versions() -> Vec<u8> {
    vec![1]
}

impl PoolConfig {
    /// Reads a `config.json`. Beyond the types it checks what would make a client work for nobody: other hard
    /// versions, and lists that are empty of sense by their length.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let config: Self = json::parse(DOCUMENT, bytes, LIMIT)?;
        if config.version != VERSION {
            let found = config.version.to_string();
            return Err(FormatError::field(DOCUMENT, "version", VERSION.to_string(), found));
        }
        for (field, urls) in [
            ("submitAnnUrls", &config.submit_ann_urls),
            ("downloadAnnUrls", &config.download_ann_urls),
            ("submitBlockUrls", &config.submit_block_urls),
        ] {
            if urls.len() > MAX_HANDLERS {
                let found = urls.len().to_string();
                return Err(FormatError::field(
                    DOCUMENT,
                    field,
                    format!("at most {MAX_HANDLERS} URLs"),
                    found,
                ));
            }
        }
        Ok(config)
    }

    /// The text to serve, indented by tabs.
    pub fn to_json(&self) -> String {
        json::tabbed(self)
    }

    /// The height of the newest block; 0 where there is none below.
    pub fn tip_height(&self) -> Height {
        self.current_height.checked_sub(1).unwrap_or_default()
    }

    /// The one announcement version that handlers take: the first of the list, 1 if it is empty.
    pub fn announcement_version(&self) -> u8 {
        self.ann_versions.first().copied().unwrap_or(1)
    }
}
