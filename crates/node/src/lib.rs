//! The chain nodes above a pool: what a pool asks of them, and the embedded dev chain that answers the same RPC.
//!
//! - [`json_rpc`]: one node's calls, with their limits and the kinds of fault;
//! - [`failover`]: several nodes as one, with a watch on each node's tip;
//! - [`pktd`]: what a PacketCrypt pool asks of pktd, in our types ([`PktdClient`]);
//! - [`nimiq`](crate::nimiq): what a Nimiq pool asks of its node, in our types ([`NimiqClient`]);
//! - [`call_observer`]: who is told how long calls take;
//! - [`merkle`]: the tree over a block's transactions;
//! - [`dev_chain`]: a chain of our own that behaves as pktd towards a pool;
//! - [`nimiq_dev_chain`]: one that behaves as a Nimiq node.

pub mod call_observer;
pub mod dev_chain;
pub mod failover;
pub mod json_rpc;
pub mod merkle;
pub mod nimiq;
pub mod nimiq_dev_chain;
pub mod pktd;
mod rpc_server;
mod tls;

pub use crate::nimiq::NimiqClient;
pub use call_observer::CallObserver;
pub use dev_chain::{DevChain, DevChainOptions};
pub use failover::Tip;
pub use json_rpc::{Credentials, NodeAddress, NodeError};
pub use nimiq_dev_chain::NimiqDevChain;
pub use pktd::{PktdClient, PktdConfig};
pub use tls::{TlsTrust, TrustFault};
