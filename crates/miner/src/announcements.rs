//! The announcement miner.

mod config;
pub mod config_file;
mod job;
mod status;

pub use config::AnnouncementMinerConfig;
pub use job::{Found, Job};
pub use status::{AnnouncementStatus, PoolStatus};
