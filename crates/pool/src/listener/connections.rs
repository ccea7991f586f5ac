//! How many connections are open, in total and per address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use prometheus_client::metrics::gauge::Gauge;

use super::{Limits, address_group};
use crate::metrics::Metrics;

/// The places of one listener.
#[derive(Clone)]
pub(super) struct Places {
    shared: Arc<Shared>,
}

struct Shared {
    total: usize,
    per_address: usize,
    taken: Mutex<Taken>,
    open: Gauge,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Taken {
    /// Counts a connection of an address, unless it has as many as it may.
    fn count(&mut self, group: IpAddr, most: usize) -> bool {
        let of_address = self.by_address.entry(group).or_insert(0);
        let has_room = *of_address < most;
        *of_address += usize::from(has_room);
        has_room
    }

    fn uncount(&mut self, group: IpAddr) {
        if let Some(of_address) = self.by_address.get_mut(&group) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                self.by_address.remove(&group);
            }
        }
    }
}

/// One open connection; its place is free again when this is dropped.
pub(super) struct Place {
    shared: Arc<Shared>,
    /// Set where the connection counts for its address.
    group: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(limits: &Limits, metrics: &Metrics) -> Self {
        let shared = Shared {
            total: limits.connections,
            per_address: limits.connections_per_address,
            taken: Mutex::default(),
            open: metrics.gauge("connections_open", "Connections open now"),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A place for a connection from `address`, unless all are taken. Those of a proxy do not count for its address.
    pub(super) fn take(&self, address: IpAddr, is_proxy: bool) -> Option<Place> {
        let exempt = address.is_loopback() || is_proxy;
        let group = if exempt { None } else { Some(address_group(address)) };
        let mut taken = self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = taken.total < self.shared.total;
        if !has_room || group.is_some_and(|group| !taken.count(group, self.shared.per_address)) {
            return None;
        }
        taken.total += 1;
        self.shared.open.inc();
        Some(Place { shared: Arc::clone(&self.shared), group })
    }
}

impl Place {
    /// The connection turns out to be for a client at this address, and counts for that from now on. `false` if it has as
    /// many as it may.
    pub(super) fn count_for(&mut self, address: IpAddr) -> bool {
        let group = (!address.is_loopback()).then(|| address_group(address));
        let mut taken = self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if group.is_some_and(|group| !taken.count(group, self.shared.per_address)) {
            return false;
        }
        if let Some(before) = std::mem::replace(&mut self.group, group) {
            taken.uncount(before);
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        self.shared.open.dec();
        if let Some(group) = self.group {
            taken.uncount(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_per_address_and_in_total_and_come_back() {
        let limits = Limits { connections: 4, connections_per_address: 2, ..Limits::default() };
        let places = Places::new(&limits, &Metrics::new());
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let first = places.take(one, false).unwrap();
        let _second = places.take(one, false).unwrap();
        assert!(places.take(one, false).is_none(), "a third of one address");
        drop(first);
        let _third = places.take(one, false).unwrap();
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let _more: Vec<_> = (0..2).map(|_| places.take(loopback, false).unwrap()).collect();
        assert!(places.take(loopback, false).is_none(), "a fifth in total");
    }

    #[test]
    fn connections_of_a_proxy_do_not_count_for_its_address() {
        let limits = Limits { connections_per_address: 1, ..Limits::default() };
        let places = Places::new(&limits, &Metrics::new());
        let proxy: IpAddr = "192.0.2.1".parse().unwrap();
        let _two = [places.take(proxy, true).unwrap(), places.take(proxy, true).unwrap()];
    }

    #[test]
    fn addresses_that_left_are_forgotten() {
        let places = Places::new(&Limits::default(), &Metrics::new());
        drop(places.take("192.0.2.1".parse().unwrap(), false));
        assert!(places.shared.taken.lock().unwrap().by_address.is_empty());
    }
}
