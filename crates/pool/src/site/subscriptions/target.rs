//! Where a miner wants to be told: a webhook or a topic of ntfy on a public address, or e-mail.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use node::TlsTrust;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};

use super::mail;

/// The longest URL.
const LONGEST: usize = 500;

/// What is at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A program that takes signed POSTs.
    Webhook,
    /// A topic of ntfy.
    Ntfy,
    /// E-mail; the URL is the address.
    Email,
}

/// Where a miner wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What is there.
    pub kind: TargetKind,
    /// Where.
    pub url: String,
}

/// Why nobody is told there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// An unknown kind.
    #[error("the kind must be webhook, ntfy or email")]
    Kind,
    /// No good e-mail address.
    #[error("the URL must be an e-mail address of letters, digits and . + - _, without mailto:")]
    Mail,
    /// The operator has named no server for that.
    #[error("this pool sends no e-mail to miners; there are webhook and ntfy")]
    NoMail,
    /// No good URL.
    #[error("the URL must be https, of at most {LONGEST} characters, without user name and fragment")]
    Url,
    /// It leads to a machine that only the pool can reach.
    #[error("the URL must lead to a public address")]
    Private,
}

impl TargetKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Ntfy => "ntfy",
            Self::Email => "email",
        }
    }
}

impl Target {
    /// Reads one. With `private`, plain http and any address will do.
    pub fn read(kind: &str, url: &str, private: bool) -> Result<Self, TargetFault> {
        let kind = match kind {
            "webhook" => TargetKind::Webhook,
            "ntfy" => TargetKind::Ntfy,
            "email" => {
                mail::read_address(url).ok_or(TargetFault::Mail)?;
                return Ok(Self { kind: TargetKind::Email, url: url.to_owned() });
            }
            _ => return Err(TargetFault::Kind),
        };
        let is_text = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let parsed = Url::parse(url).ok().filter(|_| url.len() <= LONGEST && is_text(url));
        let parsed = parsed.ok_or(TargetFault::Url)?;
        let scheme_fits = parsed.scheme() == "https" || private && parsed.scheme() == "http";
        let is_bare =
            parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none();
        if !scheme_fits || !is_bare || parsed.host_str().is_none_or(str::is_empty) {
            return Err(TargetFault::Url);
        }
        let literal = parsed.host_str().map(|host| host.trim_matches(['[', ']']));
        let literal = literal.and_then(|host| host.parse::<IpAddr>().ok());
        // A name is looked up when somebody is told, since what it means can change.
        if !private && literal.is_some_and(|address| !is_public(address)) {
            return Err(TargetFault::Private);
        }
        Ok(Self { kind, url: url.to_owned() })
    }
}

/// A client that connects to public addresses only, whatever a name means; unless `private`.
pub(super) fn client(private: bool) -> io::Result<Client> {
    let builder = TlsTrust::PublicAuthorities.http_client().map_err(io::Error::other)?;
    let builder = builder
        .user_agent(concat!("headframe/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .no_proxy();
    let builder = if private { builder } else { builder.dns_resolver(Arc::new(PublicOnly)) };
    builder.build().map_err(io::Error::other)
}

/// Looks names up, and forgets what is not public.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(public_addresses(name))
    }
}

async fn public_addresses(name: Name) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
    let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
    if public.is_empty() {
        return Err(TargetFault::Private.into());
    }
    Ok(Box::new(public.into_iter()))
}

/// Whether an address is of the open internet, also where another is hidden in it.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // This network, private ones, shared by providers, loopback, link-local, multicast and what is reserved; then those of
    // protocols, for documentation, for measurements.
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IPv4 in IPv6: mapped, translated, tunnelled.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        // Tunnels of other kinds, documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] => false,
        // What has been given out so far.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_open_internet_is_public() {
        for public in
            ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn a_target_is_a_public_https_url() {
        let read = |url: &str| Target::read("ntfy", url, false).map(|target| target.url);
        assert_eq!(read("https://ntfy.sh/topic"), Ok("https://ntfy.sh/topic".to_owned()));
        assert_eq!(read("https://1.1.1.1:8443/x?y=z"), Ok("https://1.1.1.1:8443/x?y=z".to_owned()));
        for wrong in [
            "",
            "ntfy.sh/topic",
            "http://ntfy.sh/t",
            "file:///etc/passwd",
            "https://u:p@x/",
            "https://x/#y",
            "https://x/ y",
        ] {
            assert_eq!(read(wrong), Err(TargetFault::Url), "{wrong}");
        }
        // However an address is written: URLs have hexadecimal and short forms.
        for private in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
        ] {
            assert_eq!(read(private), Err(TargetFault::Private), "{private}");
        }
        assert_eq!(Target::read("fax", "https://x/", false), Err(TargetFault::Kind));
        assert!(Target::read("webhook", "http://127.0.0.1:8080/x", true).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_means_this_machine_is_not_connected_to() {
        let error = client(false).unwrap().get("https://localhost/").send().await.unwrap_err();
        let mut causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        assert!(causes.any(|cause| cause.to_string().contains("public address")), "{error:?}");
    }

    proptest! {
        #[test]
        fn any_url_is_judged(url in "\\PC{0,80}", kind in "(ntfy|webhook|x)") {
            if let Ok(target) = Target::read(&kind, &url, false) {
                prop_assert!(target.url.starts_with("https://") || target.url.to_lowercase().starts_with("https:"));
            }
        }
    }
}
