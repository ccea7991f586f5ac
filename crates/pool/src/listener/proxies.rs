//! The proxies in front of a listener that are believed when they say whom they speak for. They may change while it serves:
//! a connection keeps to those of its beginning.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use wire::forwarded::ForwardedHeader;

/// Who is believed, and how they say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Where they are.
    pub networks: Vec<IpNet>,
    /// The header in which they name the client.
    pub forwarded_header: ForwardedHeader,
    /// Whether each of their connections begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

impl Proxies {
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Those that are believed now; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<ArcSwap<Proxies>>);

impl TrustedProxies {
    /// From the next connection on these are believed.
    pub fn replace(&self, proxies: Proxies) {
        self.0.store(Arc::new(proxies));
    }

    pub(super) fn now(&self) -> Arc<Proxies> {
        self.0.load_full()
    }
}

impl From<Proxies> for TrustedProxies {
    fn from(proxies: Proxies) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(proxies)))
    }
}
