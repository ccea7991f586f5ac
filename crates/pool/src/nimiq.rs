//! The roles of a Nimiq pool (`docs/protocol/nimiq-pool.md`).
//!
//! * [`server`]: talks to miners and decides which of their shares are good.

pub mod server;
