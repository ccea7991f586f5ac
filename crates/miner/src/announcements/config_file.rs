//! The announcement miner's JSON configuration, a file or a document on the web.
//!
//! `{"pools":[…],"threads":n,"payment_addr":"…","uploaders":n,"upload_timeout":n,"mine_old_anns":n}`: every key may be
//! absent, unknown ones are ignored (`docs/protocol/packetcrypt-pool.md` 7.1). What is there is checked here, so that a
//! wrong value is found before mining begins and not when it is used.

use std::{num::NonZeroUsize, path::Path, time::Duration};

use serde::Deserialize;
use wire::{PktAddress, pkt_address::AddressFault};

use crate::{
    http_client::{HttpClient, HttpFault, HttpSetupFault},
    pool_client::{PoolUrl, PoolUrlFault},
};

/// Bytes of the longest configuration that is read.
const LIMIT: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
/// In the file as on the command line: take the pool's value.
const AS_THE_POOL_SAYS: i64 = -1;

/// The values that a configuration file has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// Pools, the primary one first.
    pub pools: Vec<PoolUrl>,
    /// Threads that mine.
    pub threads: Option<NonZeroUsize>,
    /// Whom the announcements are credited to.
    pub pay_to: Option<PktAddress>,
    /// Uploads at the same time, for each handler.
    pub uploaders: Option<NonZeroUsize>,
    /// Time for a whole upload.
    pub upload_timeout: Option<Duration>,
    /// Distance of the parent block from the tip; `None` if absent or −1.
    pub mine_old: Option<u32>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileFault {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        reason: std::io::Error,
    },
    /// The document cannot be had.
    #[error("cannot get the configuration {url}: {reason}")]
    Web {
        /// The URL.
        url: String,
        /// Why not.
        reason: HttpFault,
    },
    /// No HTTP at all.
    #[error(transparent)]
    HttpSetup(#[from] HttpSetupFault),
    /// Longer than any configuration.
    #[error("the configuration is longer than {LIMIT} bytes")]
    TooLong,
    /// Not JSON, or a value of another kind; the reason names line and column.
    #[error("the configuration is not as expected: {0}")]
    Json(#[from] serde_json::Error),
    /// `pools` has something that is no pool URL.
    #[error("`pools`: {0}")]
    Pool(#[from] PoolUrlFault),
    /// `payment_addr` is no address that can be paid.
    #[error("`payment_addr`: {address:?} cannot be paid: {fault}")]
    Address {
        /// What is there.
        address: String,
        /// What is wrong with it.
        fault: AddressFault,
    },
    /// `mine_old_anns` is neither −1 nor a distance.
    #[error("`mine_old_anns`: expected -1 (as the pool says) or a number of blocks, found {0}")]
    MineOld(i64),
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    pools: Vec<String>,
    threads: Option<NonZeroUsize>,
    payment_addr: Option<String>,
    uploaders: Option<NonZeroUsize>,
    upload_timeout: Option<u32>,
    mine_old_anns: Option<i64>,
}

impl ConfigFile {
    /// Reads a file, or gets a document if `source` begins with `http://` or `https://`.
    pub async fn load(source: &str) -> Result<Self, ConfigFileFault> {
        if source.starts_with("http://") || source.starts_with("https://") {
            let document = HttpClient::new(TIMEOUT)?
                .get_document(source, &[], LIMIT)
                .await
                .map_err(|reason| ConfigFileFault::Web { url: source.to_owned(), reason })?;
            Self::parse(&document)
        } else {
            Self::parse(&read_file(Path::new(source)).await?)
        }
    }

    /// From the JSON text.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigFileFault> {
        let written: Written = serde_json::from_slice(json)?;
        let pay_to = written.payment_addr.map(|address| {
            PktAddress::parse(&address).map_err(|fault| ConfigFileFault::Address { address, fault })
        });
        let mine_old = match written.mine_old_anns {
            None | Some(AS_THE_POOL_SAYS) => None,
            Some(other) => Some(u32::try_from(other).map_err(|_| ConfigFileFault::MineOld(other))?),
        };
        Ok(Self {
            pools: written.pools.iter().map(|pool| pool.parse()).collect::<Result<_, _>>()?,
            threads: written.threads,
            pay_to: pay_to.transpose()?,
            uploaders: written.uploaders,
            upload_timeout: written.upload_timeout.map(|seconds| Duration::from_secs(seconds.into())),
            mine_old,
        })
    }
}

async fn read_file(path: &Path) -> Result<Vec<u8>, ConfigFileFault> {
    let fault = |reason| ConfigFileFault::File { path: path.display().to_string(), reason };
    let size = tokio::fs::metadata(path).await.map_err(fault)?.len();
    if size > LIMIT as u64 {
        return Err(ConfigFileFault::TooLong);
    }
    tokio::fs::read(path).await.map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";

    #[test]
    fn every_key_is_read_and_unknown_ones_are_ignored() {
        let file = ConfigFile::parse(
            format!(
                r#"{{"pools":["http://a/master","https://b"],"threads":3,"payment_addr":"{ADDRESS}","uploaders":7,
                    "upload_timeout":11,"mine_old_anns":0,"something":{{"else":true}}}}"#
            )
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(file.pools.len(), 2);
        assert_eq!(file.threads, NonZeroUsize::new(3));
        assert_eq!(file.pay_to, Some(PktAddress::parse(ADDRESS).unwrap()));
        assert_eq!(file.uploaders, NonZeroUsize::new(7));
        assert_eq!(file.upload_timeout, Some(Duration::from_secs(11)));
        assert_eq!(file.mine_old, Some(0));
    }

    #[test]
    fn every_key_may_be_absent() {
        assert_eq!(ConfigFile::parse(b"{}").unwrap(), ConfigFile::default());
        assert_eq!(ConfigFile::parse(br#"{"mine_old_anns":-1}"#).unwrap().mine_old, None);
    }

    #[test]
    fn faults_name_the_key_or_the_place() {
        for (json, part) in [
            (r#"{"pools":["pool.example"]}"#, "`pools`"),
            (r#"{"payment_addr":"pkt1qqqq"}"#, "`payment_addr`"),
            (r#"{"mine_old_anns":-2}"#, "`mine_old_anns`"),
            (r#"{"threads":0}"#, "line 1 column"),
            ("{\n\"threads\":", "line 2"),
            ("", "line 1"),
        ] {
            let fault = ConfigFile::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(part), "{json}: {fault}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let fault = ConfigFile::load("/nonexistent/miner.json").await.unwrap_err().to_string();
        assert!(fault.contains("/nonexistent/miner.json"), "{fault}");
    }
}
