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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn config() -> impl Strategy<Value = PoolConfig> {
        let urls = || prop::collection::vec("http://[a-z]{1,8}/submit", 0..4);
        let lists = (urls(), urls(), urls(), prop::collection::vec(any::<u8>(), 0..3));
        (
            arbitrary::block_hash(),
            arbitrary::height(),
            any::<String>(),
            lists,
            any::<[u32; 2]>(),
            prop::option::of(any::<u32>()),
            prop::option::of(any::<String>()),
        )
            .prop_map(|(tip_hash, current_height, url, lists, numbers, ann_target, blkinfo_url)| {
                PoolConfig {
                    tip_hash,
                    current_height,
                    master_url: url.clone(),
                    submit_ann_urls: lists.0,
                    download_ann_urls: lists.1,
                    submit_block_urls: lists.2,
                    paymaker_url: url,
                    version: VERSION,
                    soft_version: numbers[0],
                    ann_versions: lists.3,
                    mine_old_anns: numbers[1],
                    ann_target: ann_target.map(CompactTarget),
                    blkinfo_url,
                }
            })
    }

    const LEAST: &str = r#"{"tipHash":"0cc6d63033608d5a1a6ea9dd59c1c62d1db496a97f0f4a4a4e13ccd29123187a",
        "currentHeight":68,"submitAnnUrls":[],"submitBlockUrls":[],"paymakerUrl":"","version":3}"#;

    #[test]
    fn members_that_public_pools_leave_out_have_their_old_meaning() {
        let config = PoolConfig::parse(LEAST.as_bytes()).unwrap();
        assert_eq!((config.tip_height(), config.announcement_version()), (Height(67), 1));
        assert_eq!((config.mine_old_anns, config.ann_target), (0, None));
    }

    #[test]
    fn a_fault_is_said_with_its_member() {
        for (from, to, words) in [
            ("\"version\":3", "\"version\":4", "`version`: expected 3, found 4"),
            ("tipHash", "tip", "missing field `tipHash`"),
            ("0cc6", "0c", "64 hexadecimal digits"),
            ("68", "-1", "invalid value"),
            ("68", "4294967295", "a height is at most 2147483647"),
        ] {
            let error = PoolConfig::parse(LEAST.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let urls = format!("\"submitAnnUrls\":[{}\"\"]", "\"\",".repeat(MAX_HANDLERS));
        let text = LEAST.replace("\"submitAnnUrls\":[]", &urls);
        assert!(PoolConfig::parse(text.as_bytes()).unwrap_err().to_string().contains("at most 1024 URLs"));
    }

    proptest! {
        #[test]
        fn round_trip(config in config()) {
            prop_assert_eq!(PoolConfig::parse(config.to_json().as_bytes()), Ok(config));
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = PoolConfig::parse(&bytes);
        }
    }
}
