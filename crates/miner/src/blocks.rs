//! The block miner.

mod status;
mod store;

pub use status::{ArrivalCounts, BlockStatus, ShareCounts};
