//! Miners who want to be told when their work stops arriving, and when it is back.
//!
//! Nobody has an account: an order is signed by the key of the address ([`order`]). What was ordered is on disk before it is
//! answered ([`store`]). A round a minute looks at every address ([`watching`]); targets are on public addresses only
//! ([`target`]), so that nobody makes the pool ask what it alone can reach.

mod order;
mod store;
mod target;
mod watching;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::address::MinerAddress;
use super::facts::Moment;

pub use order::{Action, Order, OrderFault};
pub use target::{Target, TargetFault, TargetKind};

use store::Store;

/// Targets that one address may have.
pub const MOST_OF_ADDRESS: usize = 3;
/// Targets of all addresses.
pub const MOST: usize = 10_000;

/// What is subscribed to.
#[derive(Debug)]
pub struct Subscriptions {
    store: Mutex<Store>,
    private_targets: bool,
}

/// What an address has after an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its targets.
    pub targets: usize,
    /// What bodies for a new webhook are signed with.
    pub secret: Option<String>,
}

impl Subscriptions {
    /// Opens what is in the folder. With `private_targets`, targets may be on this machine and in its networks.
    pub fn open(folder: &Path, private_targets: bool) -> io::Result<Self> {
        Ok(Self { store: Mutex::new(Store::open(folder)?), private_targets })
    }

    /// Targets of an address.
    pub fn count(&self, address: &MinerAddress) -> usize {
        self.with_store(|store| store.of(&address.compact()).count())
    }

    /// Reads a target that somebody wants.
    pub fn target(&self, kind: &str, url: &str) -> Result<Target, TargetFault> {
        Target::read(kind, url, self.private_targets)
    }

    /// Does what was ordered; it is on disk when this returns.
    pub async fn obey(self: Arc<Self>, order: Order, now: Moment) -> Result<Standing, OrderFault> {
        let obeying = tokio::task::spawn_blocking(move || self.with_store(|store| store.obey(&order, now)));
        obeying.await.unwrap_or(Err(OrderFault::Storage))
    }

    fn with_store<T>(&self, action: impl FnOnce(&mut Store) -> T) -> T {
        action(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
