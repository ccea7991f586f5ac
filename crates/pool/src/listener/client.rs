//! Who sent a request, as far as limits per address are concerned.

use std::net::{IpAddr, Ipv6Addr};

use http::{Extensions, HeaderMap, HeaderValue};
use ipnet::IpNet;
use wire::forwarded::ForwardedHeader;

/// The sender of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address: the connection's peer, or what a trusted proxy says.
    pub address: IpAddr,
    /// Whether limits per address do not apply: loopback, or a trusted proxy that names no client.
    pub exempt: bool,
}

impl Client {
    /// The client of a request that came from `peer`. `proxies` are those that are trusted if the peer is one of them,
    /// else none; `header` is where they name the client.
    pub(super) fn of_request(
        peer: IpAddr,
        proxies: &[IpNet],
        header: ForwardedHeader,
        headers: &HeaderMap,
    ) -> Self {
        let trusted = !proxies.is_empty();
        let is_proxy = |address: IpAddr| proxies.iter().any(|net| net.contains(&address));
        let values = headers.get_all(header.name()).iter().map(HeaderValue::to_str);
        // A value that is no text names nobody.
        let values = values.map(Result::unwrap_or_default).collect::<Vec<_>>();
        match header.client(values.into_iter(), is_proxy).filter(|_| trusted) {
            Some(address) => Self { address, exempt: address.is_loopback() },
            None => Self { address: peer, exempt: trusted || peer.is_loopback() },
        }
    }

    /// The client noted by the listener; an unknown one (a router called without a listener) is not exempt.
    pub fn of(extensions: &Extensions) -> Self {
        let unknown = Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), exempt: false };
        extensions.get::<Self>().copied().unwrap_or(unknown)
    }

    /// The address by which this client is counted.
    pub fn group(&self) -> IpAddr {
        address_group(self.address)
    }
}

/// The unit in which addresses are limited: an IPv4 address, or the /64 of an IPv6 address.
pub fn address_group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: ForwardedHeader = ForwardedHeader::XForwardedFor;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", value.parse().unwrap());
        headers
    }

    #[test]
    fn only_a_trusted_proxy_may_name_the_client() {
        let peer: IpAddr = "192.0.2.9".parse().unwrap();
        let named = headers("198.51.100.1, 203.0.113.7, 192.0.2.8");
        let proxies = ["192.0.2.0/24".parse().unwrap()];
        let believed = Client::of_request(peer, &proxies, X, &named);
        assert_eq!(believed, Client { address: "203.0.113.7".parse().unwrap(), exempt: false });
        assert_eq!(Client::of_request(peer, &[], X, &named), Client { address: peer, exempt: false });
        let other = Client::of_request(peer, &proxies, ForwardedHeader::Forwarded, &named);
        assert_eq!(other, Client { address: peer, exempt: true }, "not the header that its proxies write");
    }

    #[test]
    fn a_proxy_that_names_nobody_and_loopback_are_exempt() {
        let proxy: IpAddr = "192.0.2.9".parse().unwrap();
        assert!(Client::of_request(proxy, &[proxy.into()], X, &headers("nonsense")).exempt);
        assert!(Client::of_request("::1".parse().unwrap(), &[], X, &HeaderMap::new()).exempt);
    }

    #[test]
    fn ipv6_addresses_are_counted_by_network() {
        let group = |text: &str| address_group(text.parse().unwrap());
        assert_eq!(group("2001:db8:1:2:3:4:5:6"), group("2001:db8:1:2::1"));
        assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
        assert_eq!(group("::ffff:192.0.2.1"), group("192.0.2.1"));
    }
}
