//! The one address by which miners know a pool, and the documents under it.

use std::{fmt, str::FromStr};

use packetcrypt::{BlockHash, Height};
use wire::block_info::BlockInfo;

/// Base URL of a pool, such as `http://pool.example/master`: http or https, without a slash at its end
/// (`docs/protocol/packetcrypt-pool.md` 2.4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolUrl(String);

/// Why a text is no pool URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolUrlFault {
    /// Not a URL at all.
    #[error("{text:?} is no URL ({reason}); a pool URL looks like http://pool.example/master")]
    Malformed {
        /// What was given.
        text: String,
        /// What the URL parser says.
        reason: String,
    },
    /// Another protocol than HTTP.
    #[error("{0:?} must begin with http:// or https://")]
    Scheme(String),
    /// A part that the documents' names cannot be put behind.
    #[error("{0:?} must not have a query (?…) or fragment (#…): document names are appended to it")]
    Tail(String),
}

impl FromStr for PoolUrl {
    type Err = PoolUrlFault;

    fn from_str(text: &str) -> Result<Self, PoolUrlFault> {
        let url = reqwest::Url::parse(text.trim())
            .map_err(|error| PoolUrlFault::Malformed { text: text.to_owned(), reason: error.to_string() })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(PoolUrlFault::Scheme(text.to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(PoolUrlFault::Tail(text.to_owned()));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl PoolUrl {
    /// The URL as text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn config(&self) -> String {
        format!("{}/config.json", self.0)
    }

    pub(crate) fn work(&self, height: Height) -> String {
        format!("{}/work_{height}.bin", self.0)
    }

    /// Where the info of a block is; `base` is the pool's own wish (`blkinfoUrl`), if it has one.
    pub(crate) fn block_info(&self, base: Option<&str>, hash: &BlockHash) -> String {
        let base = base.map_or(self.0.as_str(), |base| base.trim_end_matches('/'));
        format!("{base}/{}", BlockInfo::file_name(hash))
    }
}

impl fmt::Display for PoolUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for PoolUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PoolUrl({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stand_behind_the_base_with_one_slash() {
        for text in
            ["http://pool.example/master", "http://pool.example/master/", " http://pool.example/master// "]
        {
            let url: PoolUrl = text.parse().unwrap();
            assert_eq!(url.config(), "http://pool.example/master/config.json");
            assert_eq!(url.work(Height(68)), "http://pool.example/master/work_68.bin");
        }
        let bare: PoolUrl = "http://pool.example".parse().unwrap();
        assert_eq!(bare.config(), "http://pool.example/config.json");
    }

    #[test]
    fn a_block_info_is_where_the_pool_wants_it() {
        let url: PoolUrl = "http://pool.example/master".parse().unwrap();
        let hash = BlockHash::default();
        let zeros = "0".repeat(64);
        assert_eq!(url.block_info(None, &hash), format!("http://pool.example/master/blkinfo_{zeros}.json"));
        assert_eq!(
            url.block_info(Some("http://other/infos/"), &hash),
            format!("http://other/infos/blkinfo_{zeros}.json")
        );
    }

    #[test]
    fn faults_say_what_is_wrong() {
        for (text, part) in [
            ("pool.example/master", "no URL"),
            ("ftp://pool.example", "http://"),
            ("http://pool.example/master?x", "query"),
        ] {
            let fault = text.parse::<PoolUrl>().unwrap_err().to_string();
            assert!(fault.contains(part), "{fault}");
        }
    }
}
