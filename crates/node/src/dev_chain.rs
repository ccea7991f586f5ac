//! A chain of our own that behaves as pktd towards a pool.

pub mod coinbase;
#[cfg(test)]
mod pace;
pub mod payouts;
pub mod rules;
