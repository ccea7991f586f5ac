//! What an announcement miner can be told.

use std::{num::NonZeroUsize, time::Duration};

use wire::PktAddress;

use crate::{
    mining_threads::Placement,
    pool_client::{FollowOptions, PoolUrl},
};

/// How to mine announcements, and for whom. [`new`](Self::new) gives the reference's defaults
/// (`docs/protocol/packetcrypt-pool.md` 7.1); every field may be changed.
#[derive(Debug, Clone)]
pub struct AnnouncementMinerConfig {
    /// The pool that decides what is mined.
    pub primary: PoolUrl,
    /// Pools that get the same announcements.
    pub others: Vec<PoolUrl>,
    /// Whom the announcements are credited to.
    pub pay_to: PktAddress,
    /// How many threads mine, and where.
    pub placement: Placement,
    /// Uploads at the same time, for each handler.
    pub uploaders: NonZeroUsize,
    /// Time for a whole upload.
    pub upload_timeout: Duration,
    /// Distance of the parent block from the tip; `None`: as the primary pool says.
    pub mine_old: Option<u32>,
    /// An upload is begun at the latest this long after its first announcement was found.
    pub batch_age: Duration,
    /// Time to send what is left when the miner stops.
    pub drain: Duration,
    /// Pause between two readings of a pool's configuration.
    pub poll: Duration,
    /// Pause between two statuses.
    pub status_interval: Duration,
}

impl AnnouncementMinerConfig {
    /// Mines for `primary` with a thread for each CPU and 10 uploads at a time.
    pub fn new(primary: PoolUrl, pay_to: PktAddress) -> Self {
        Self {
            primary,
            others: Vec::new(),
            pay_to,
            placement: Placement::one_per_cpu(),
            uploaders: NonZeroUsize::MIN.saturating_add(9),
            upload_timeout: Duration::from_secs(30),
            mine_old: None,
            batch_age: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            poll: FollowOptions::ANNOUNCEMENTS.poll,
            status_interval: Duration::from_secs(10),
        }
    }
}
