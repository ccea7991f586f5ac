//! The client roles: announcement miner and block miner.
//!
//! Both follow a pool ([`pool_client`]) and speak to it over HTTP and UDP only, so that it may be ours or anybody's.
//! [`announcements::run`] finds announcements and gives them to [`upload`]; [`blocks::run`] collects the announcements of
//! everybody, and finds shares and blocks with them. What they achieve goes to a [`status_line::StatusOutput`].
//!
//! [`speed`] measures what this machine can do, without a pool.
//!
//! The contract is `docs/protocol/packetcrypt-pool.md` 7 and 8; rules R-N… and R-B… are ours.

pub mod announcements;
mod backoff;
pub mod blocks;
#[cfg(test)]
mod fake_pool;
pub mod http_client;
pub mod mining_threads;
pub mod pool_client;
pub mod speed;
pub mod status_line;
mod trouble;
pub mod upload;
