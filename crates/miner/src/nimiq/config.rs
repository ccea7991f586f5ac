//! What a Nimiq miner can be told.

use std::time::Duration;

use nimiq::hash::blake2b_256;
use nimiq::{Address, DeviceId, Network};
use node::{NodeAddress, TlsTrust};
use wire::nimiq::{DeviceName, Mode, Register};

use super::NimiqPoolUrl;
use crate::mining_threads::Placement;

/// How the miner comes by the blocks that it mines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MiningMode {
    /// It makes headers for bodies of the pool's. The next target is the one that the pool says; a pool that does not say
    /// it needs a miner with a node.
    Nano {
        /// The node, if there is one.
        node: Option<NodeAddress>,
    },
    /// It builds its own blocks from the templates of a node, and proves to the pool whom they pay.
    Smart {
        /// The node.
        node: NodeAddress,
    },
    /// It varies the nonce of headers of the pool's.
    Dumb,
}

impl MiningMode {
    /// As the pool is told.
    pub fn mode(&self) -> Mode {
        match self {
            Self::Nano { .. } => Mode::Nano,
            Self::Smart { .. } => Mode::Smart,
            Self::Dumb => Mode::Dumb,
        }
    }

    /// The node that is followed.
    pub fn node(&self) -> Option<&NodeAddress> {
        match self {
            Self::Nano { node } => node.as_ref(),
            Self::Smart { node } => Some(node),
            Self::Dumb => None,
        }
    }
}

/// How to mine, and for whom. [`new`](Self::new) gives the usual values; every field may be changed.
#[derive(Debug, Clone)]
pub struct NimiqMinerConfig {
    /// The pool.
    pub pool: NimiqPoolUrl,
    /// Whose certificate it may show.
    pub trust: TlsTrust,
    /// Whom shares are credited to.
    pub address: Address,
    /// How blocks come about.
    pub mode: MiningMode,
    /// The network that the pool mines on.
    pub network: Network,
    /// What the pool shows this miner as.
    pub device: Option<DeviceName>,
    /// The share difficulty to begin with, where the pool grants wishes.
    pub start_difficulty: Option<f64>,
    /// How many threads mine, and where.
    pub placement: Placement,
    /// The first pause before the pool is tried again; it doubles up to ten times as much.
    pub reconnect_after: Duration,
    /// Pause between two statuses.
    pub status_interval: Duration,
}

impl NimiqMinerConfig {
    /// Mines for `pool` on the main network, on bodies of the pool's, with a thread for each CPU.
    pub fn new(pool: NimiqPoolUrl, address: Address) -> Self {
        Self {
            pool,
            trust: TlsTrust::default(),
            address,
            mode: MiningMode::Nano { node: None },
            network: Network::Main,
            device: None,
            start_difficulty: None,
            placement: Placement::one_per_cpu(),
            reconnect_after: Duration::from_secs(3),
            status_interval: Duration::from_secs(10),
        }
    }

    /// The first message to the pool.
    pub fn registration(&self) -> Register {
        Register {
            mode: self.mode.mode(),
            address: self.address,
            device_id: device_id(self.device.as_ref()),
            device_data: None,
            genesis_hash: self.network.genesis_hash(),
            start_difficulty: self.start_difficulty,
            device_name: self.device.clone(),
        }
    }
}

/// The same number for the same name: a device keeps its place in the pool's figures.
fn device_id(name: Option<&DeviceName>) -> DeviceId {
    let name = name.map_or("", DeviceName::as_str);
    let [a, b, c, d, ..] = blake2b_256(&[b"pool_device_id", name.as_bytes()]);
    DeviceId(u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_its_name() {
        let config = |name: &str| NimiqMinerConfig {
            device: DeviceName::new(name),
            ..NimiqMinerConfig::new("wss://pool.example".parse().unwrap(), Address([1; 20]))
        };
        let id = |name| config(name).registration().device_id;
        assert_eq!(id("rig 1"), id("rig 1"));
        assert_ne!(id("rig 1"), id("rig 2"));
        assert_ne!(id("rig 1"), id(""));
    }
}
