//! The address by which miners know a Nimiq pool.

use std::{fmt, str::FromStr};

/// `wss://pool.example:8444`, or `ws://…` without encryption; `pool.example:8444` means the former.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NimiqPoolUrl(String);

/// Why a text is no URL of a Nimiq pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NimiqPoolUrlFault {
    /// Not a URL at all.
    #[error("{text:?} is no URL ({reason}); a Nimiq pool's looks like wss://pool.example:8444")]
    Malformed {
        /// What was given.
        text: String,
        /// What the URL parser says.
        reason: String,
    },
    /// Another protocol than WebSocket.
    #[error("{0:?} must begin with wss:// (encrypted) or ws://")]
    Scheme(String),
}

impl FromStr for NimiqPoolUrl {
    type Err = NimiqPoolUrlFault;

    fn from_str(text: &str) -> Result<Self, NimiqPoolUrlFault> {
        let text = text.trim();
        let whole = if text.contains("://") { text.to_owned() } else { format!("wss://{text}") };
        let url = reqwest::Url::parse(&whole).map_err(|error| NimiqPoolUrlFault::Malformed {
            text: text.to_owned(),
            reason: error.to_string(),
        })?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(NimiqPoolUrlFault::Scheme(text.to_owned()));
        }
        Ok(Self(url.into()))
    }
}

impl NimiqPoolUrl {
    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NimiqPoolUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.trim_end_matches('/'))
    }
}

impl fmt::Debug for NimiqPoolUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NimiqPoolUrl({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_port_alone_are_meant_encrypted() {
        for (text, url) in [
            ("pool.example:8444", "wss://pool.example:8444"),
            (" wss://pool.example ", "wss://pool.example"),
            ("ws://[::1]:1/", "ws://[::1]:1"),
        ] {
            assert_eq!(text.parse::<NimiqPoolUrl>().unwrap().to_string(), url);
        }
    }

    #[test]
    fn other_protocols_are_refused_with_an_example() {
        let error = |text: &str| text.parse::<NimiqPoolUrl>().unwrap_err().to_string();
        assert!(error("https://pool.example").contains("must begin with wss://"));
        assert!(error("wss://").contains("wss://pool.example:8444"));
        assert!(error("").contains("is no URL"));
    }
}
