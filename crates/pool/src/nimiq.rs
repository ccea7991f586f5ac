//! The roles of a Nimiq pool (`docs/protocol/nimiq-pool.md`).
//!
//! * [`server`]: talks to miners and decides which of their shares are good;
//! * [`service`]: follows the chain, distributes the rewards of the pool's blocks;
//! * [`payout`]: pays the miners.
//!
//! Service and payout are duties of one process each ([`duty`]); others stand by.

pub mod duty;
pub mod payout;
pub mod server;
pub mod service;
#[cfg(test)]
mod test_pool;
