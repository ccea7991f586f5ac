//! The headers in which proxies name the client: `X-Forwarded-For`, and `Forwarded` (RFC 7239).
//!
//! Each proxy adds whom it speaks for at the end, and what stands before that it was told, perhaps by the client. So the
//! list is read from its end, as long as proxies that are trusted are named there.

use std::net::{IpAddr, SocketAddr};

/// Proxies behind one another that are looked through.
const MOST_PROXIES: usize = 16;

/// The header that an operator's proxies write. Any other is what a client may have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 203.0.113.7, 10.0.0.2`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=203.0.113.7;proto=https, for="[2001:db8::1]:4711"`
    Forwarded,
}

impl ForwardedHeader {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    /// The client in the values of all headers of this name, in their order; `None` if they name none.
    pub fn client<'v>(
        self,
        values: impl DoubleEndedIterator<Item = &'v str>,
        is_trusted: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let elements = values.rev().flat_map(|value| value.rsplit(','));
        let mut client = None;
        for element in elements.take(MOST_PROXIES) {
            let address = self.address(element.trim())?;
            client = Some(address);
            if !is_trusted(address) {
                return client;
            }
        }
        client
    }

    fn address(self, element: &str) -> Option<IpAddr> {
        let node = match self {
            Self::XForwardedFor => element,
            Self::Forwarded => {
                let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
                let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
                let node = node.trim();
                node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node)
            }
        };
        let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
        let with_port = || node.parse::<SocketAddr>().ok().map(|address| address.ip());
        bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn x(values: &[&str]) -> Option<String> {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let client = ForwardedHeader::XForwardedFor.client(values.iter().copied(), trusted);
        client.map(|address| address.to_string())
    }

    fn forwarded(value: &str) -> Option<String> {
        let client = ForwardedHeader::Forwarded.client(std::iter::once(value), |_| false);
        client.map(|address| address.to_string())
    }

    #[test]
    fn the_list_is_read_from_its_end() {
        for (values, client) in [
            (&["203.0.113.7"][..], Some("203.0.113.7")),
            (&["198.51.100.1, 203.0.113.7"], Some("203.0.113.7")),
            (&["6.6.6.6, 203.0.113.7, 10.0.0.2,10.0.0.3"], Some("203.0.113.7")),
            (&["6.6.6.6, 203.0.113.7", "10.0.0.2"], Some("203.0.113.7")),
            (&["10.0.0.9, 10.0.0.2"], Some("10.0.0.9")),
            (&["203.0.113.7:4711"], Some("203.0.113.7")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["::ffff:203.0.113.7"], Some("203.0.113.7")),
            (&["203.0.113.7, nonsense"], None),
            (&["203.0.113.7,"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(x(values).as_deref(), client, "{values:?}");
        }
    }

    #[test]
    fn elements_of_rfc_7239_are_read() {
        for (value, client) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", Some("192.0.2.60")),
            ("for=6.6.6.6, proto=https; For=\"[2001:db8:cafe::17]:4711\"", Some("2001:db8:cafe::17")),
            ("for=\"192.0.2.60:80\"", Some("192.0.2.60")),
            ("for=unknown", None),
            ("for=_hidden", None),
            ("proto=https", None),
        ] {
            assert_eq!(forwarded(value).as_deref(), client, "{value}");
        }
    }

    proptest! {
        /// What a client writes in front never changes what the proxy has added.
        #[test]
        fn a_client_cannot_name_itself(claim in "[ -~]{0,80}", address: [u8; 4]) {
            let address = IpAddr::from(address);
            for (kind, added) in [
                (ForwardedHeader::XForwardedFor, address.to_string()),
                (ForwardedHeader::Forwarded, format!("for={address};proto=http")),
            ] {
                let value = format!("{claim}, {added}");
                prop_assert_eq!(kind.client(std::iter::once(value.as_str()), |_| false), Some(address));
            }
        }
    }
}
