//! The networks that an address counts for, and the addresses that never count.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What stands for a client where it is limited. IPv4: the address and its /24; IPv6: its /64 and its /48. The wide one
/// is shared with others, so it is granted several times as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Networks {
    /// The client itself, as far as anybody can tell.
    pub narrow: IpNet,
    /// Its neighbourhood.
    pub wide: IpNet,
}

/// Often many miners of one provider, or all behind its address translation.
const LOOSER_IPV4: u32 = 16;
/// Whoever has a /48 is one customer with many networks (`docs/protocol/nimiq-pool.md` 1.10).
const LOOSER_IPV6: u32 = 4;

impl Networks {
    /// Those of an address. IPv4 addresses that are written as IPv6 count as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let of = |length| IpNet::V4(Ipv4Net::new_assert(address, length).trunc());
                Self { narrow: of(32), wide: of(24) }
            }
            IpAddr::V6(address) => {
                let of = |length| IpNet::V6(Ipv6Net::new_assert(address, length).trunc());
                Self { narrow: of(64), wide: of(48) }
            }
        }
    }

    /// Both, each with how many times as much as a client it is granted.
    pub fn with_factors(self) -> [(IpNet, u32); 2] {
        let looser = if matches!(self.narrow, IpNet::V4(_)) { LOOSER_IPV4 } else { LOOSER_IPV6 };
        [(self.narrow, 1), (self.wide, looser)]
    }
}

/// Whether an address is of a network of the operator's own, or a provider's inner one: those are neither limited nor
/// banned, since a proxy or a router there speaks for many (`docs/protocol/nimiq-pool.md` 1.10).
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_private() || address.is_loopback() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> [String; 2] {
        Networks::of(text.parse().unwrap())
            .with_factors()
            .map(|(network, times)| format!("{network} x{times}"))
    }

    #[test]
    fn an_address_counts_for_itself_and_for_its_neighbourhood() {
        assert_eq!(of("192.0.2.77"), ["192.0.2.77/32 x1", "192.0.2.0/24 x16"]);
        assert_eq!(of("::ffff:192.0.2.77"), of("192.0.2.77"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), ["2001:db8:1:2::/64 x1", "2001:db8:1::/48 x4"]);
    }

    #[test]
    fn inner_addresses_are_known() {
        for inner in [
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(inner.parse().unwrap()), "{inner}");
        }
        for outer in ["100.128.0.1", "192.0.2.1", "2001:db8::1", "::"] {
            assert!(!is_private(outer.parse().unwrap()), "{outer}");
        }
    }
}
