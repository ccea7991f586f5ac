//! The block miner.

mod status;

pub use status::{ArrivalCounts, BlockStatus, ShareCounts};
