//! The client roles: announcement miner, block miner, Nimiq miner.
//!
//! The first two follow a pool ([`pool_client`]) and speak to it over HTTP and UDP only, so that it may be ours or anybody's.
//! [`announcements::run`] finds announcements and gives them to [`upload`]; [`blocks::run`] collects the announcements of
//! everybody, and finds shares and blocks with them. [`nimiq::run`] mines for a pool of the other chain. What they achieve goes to a [`status_line::StatusOutput`].
//!
//! [`speed`] measures what this machine can do, without a pool.
//!
//! The contract is `docs/protocol/packetcrypt-pool.md` 7 and 8 (rules R-N… and R-B… are ours), and
//! `docs/protocol/nimiq-pool.md` 1.

pub mod announcements;
mod backoff;
pub mod blocks;
#[cfg(test)]
mod fake_pool;
pub mod http_client;
pub mod mining_threads;
pub mod nimiq;
pub mod pool_client;
pub mod speed;
pub mod status_line;
mod trouble;
pub mod upload;
