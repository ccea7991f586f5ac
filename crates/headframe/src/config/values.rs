//! The types of configuration values that no lower crate has: names, public URLs, secrets.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The name of a handler, as it stands in URLs (`/ann/NAME`), folders, logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerName(String);

impl HandlerName {
    /// 1 to 32 characters of `a-z`, `0-9` and `-`.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ((1..=32).contains(&text.len()) && text.chars().all(fits)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HandlerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An absolute base URL without query and without a slash at its end, so that a path can be put behind it
/// (docs/protocol/packetcrypt-pool.md 2.4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// What is expected, in words.
    pub const EXPECTED: &'static str =
        "an absolute http or https URL without a slash at its end, such as http://pool.example/master";

    /// Checks a text; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: axum::http::Uri = text.parse().map_err(|error| format!("{error}"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(other) => return Err(format!("the scheme is {other}")),
            None => return Err("the scheme http:// or https:// is missing".to_owned()),
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err("the host is missing".to_owned());
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("user name and password do not belong into it".to_owned());
        }
        if uri.query().is_some() || text.contains('#') {
            return Err("it has a query or a fragment".to_owned());
        }
        if text.ends_with('/') {
            return Err("there is a slash at its end".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether each machine that asks there asks itself.
    pub fn is_loopback(&self) -> bool {
        let uri: Option<axum::http::Uri> = self.0.parse().ok();
        let host = uri.as_ref().and_then(axum::http::Uri::host).unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where Nimiq miners connect to: scheme, host and port. Stock miners are given host and port, so neither may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinerUrl(String);

impl MinerUrl {
    /// What is expected, in words.
    pub const EXPECTED: &'static str =
        "a ws or wss address with a port and without a path, such as wss://pool.example:8443";

    /// Checks a text; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let place = text.strip_prefix("wss://").or_else(|| text.strip_prefix("ws://"));
        let place = place.ok_or("the scheme ws:// or wss:// is missing")?;
        let authority: axum::http::uri::Authority = place.parse().map_err(|error| format!("{error}"))?;
        match (authority.host(), authority.port_u16()) {
            ("", _) => Err("the host is missing".to_owned()),
            (_, None) => Err("the port is missing".to_owned()),
            _ if place.contains('@') => Err("user name and password do not belong into it".to_owned()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for MinerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where a block explorer shows a block or a transaction: a URL with a place for its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplorerUrl(String);

impl ExplorerUrl {
    /// What is expected, in words.
    pub const EXPECTED: &'static str =
        "an absolute http or https URL with {hash} in it, such as https://explorer.example/{hash}";

    /// Checks a text; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.matches("{hash}").count() != 1 {
            return Err("{hash} must be there, once".to_owned());
        }
        let filled = text.replace("{hash}", "00");
        let host = filled.strip_prefix("https://").or_else(|| filled.strip_prefix("http://"));
        match host.map(|host| host.starts_with(|first: char| first.is_ascii_alphanumeric())) {
            None => return Err("the scheme http:// or https:// is missing".to_owned()),
            Some(false) => return Err("the host is missing".to_owned()),
            Some(true) => {}
        }
        let is_plain = |character: char| character.is_ascii_graphic() && !"\"<>\\`".contains(character);
        if !filled.chars().all(is_plain) {
            return Err("a character of it does not belong into a URL".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ExplorerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An address, which is a network of one, or a network.
pub fn network(text: &str) -> Result<IpNet, Option<String>> {
    text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).map_err(|_| None)
}

/// A text that is never shown: what prints of it is a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; the name says that the caller has a reason.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether anyone would guess it: shorter than 12 characters, of fewer than 6 different ones, made of a
    /// word that examples use, or for the most part one digit after the other, as our own examples are.
    pub fn is_weak(&self) -> bool {
        let lower = self.0.to_lowercase();
        let digits: Vec<u32> = lower.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let steps = digits.windows(2).filter(|pair| matches!(pair[0].abs_diff(pair[1]), 1 | 15)).count();
        let distinct: std::collections::BTreeSet<char> = lower.chars().collect();
        let examples = ["password", "secret", "changeme", "change me", "example"];
        self.0.chars().count() < 12
            || distinct.len() < 6
            || steps * 2 > lower.len()
            || examples.iter().any(|word| lower.contains(word))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_as_a_placeholder() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some((secret))");
    }

    #[test]
    fn guessable_secrets_are_known() {
        for weak in [
            "x",
            "poolpass",
            "changeme-changeme",
            "aaaaaaaaaaaaaaaa",
            "My Long Password 1",
            "0123456789abcdef0123456789abcdef",
            "fedcba9876543210fedcba9876543210",
        ] {
            assert!(Secret::new(weak).is_weak(), "{weak}");
        }
        assert!(!Secret::new("b7f3c01d9e8a4c55").is_weak());
    }

    #[test]
    fn urls_that_miners_could_not_use_are_refused() {
        for good in ["http://127.0.0.1:8080/master", "https://pool.example", "http://invalid/1"] {
            assert!(PublicUrl::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["pool.example/master", "ftp://x/y", "http://x/", "http://x/y?z", "http://u:p@x/y", "http:///x"]
        {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nimiq_miners_need_a_scheme_a_host_and_a_port() {
        for good in ["wss://pool.example:8443", "ws://127.0.0.1:8443", "wss://[::1]:443"] {
            assert!(MinerUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "pool.example:8443",
            "https://pool.example:8443",
            "wss://pool.example",
            "wss://:8443",
            "wss://pool.example:8443/",
            "wss://a:b@pool.example:8443",
        ] {
            assert!(MinerUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_explorer_has_a_place_for_the_hash() {
        for good in ["https://explorer.example/{hash}", "http://x:80/#{hash}", "https://x/?block={hash}&a=b"]
        {
            assert!(ExplorerUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "https://explorer.example/",
            "explorer.example/{hash}",
            "javascript:alert({hash})",
            "https:///{hash}",
            "https://x/{hash}{hash}",
            "https://x/{hash}\" onclick=\"",
        ] {
            assert!(ExplorerUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
