//! Our program among the published Nimiq programs: real nodes on a private network, and their stock miners.
//!
//! They run where `NIMIQ_CORE_FOLDER` names the installed JavaScript packages, as `cargo xtask test --step nimiq-network`
//! does after installing them; elsewhere these tests say that they were skipped. The nodes mine at difficulty 1, that is
//! about 65,536 hashes for a block; where a chain only has to be there, it is the recorded one of `vectors/nimiq`.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod certificate;
mod library;
mod network;
mod node_client;
mod pool;
mod pool_and_our_miner;
mod pool_and_stock_miners;
mod reply_shapes;
#[path = "../sandbox/mod.rs"]
mod sandbox;
