//! What announcements are mined for: the parent block, how hard, and signed by whom.

use std::sync::Arc;

use packetcrypt::{Announcement, AnnouncementHash, BlockHash, CompactTarget, Height, SigningKey};

use crate::pool_client::PoolView;

/// One kind of announcements. Only the primary pool decides it (`docs/protocol/packetcrypt-pool.md` 7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The block whose hash is worked in.
    pub parent: BlockHash,
    /// Its height.
    pub parent_height: Height,
    /// The target to meet.
    pub target: CompactTarget,
    /// The key to name in the announcement, where the pool signs.
    pub signing_key: Option<SigningKey>,
}

impl Job {
    /// The job that the primary pool's state asks for; `mine_old` overrules the pool's `mineOldAnns`.
    ///
    /// `None` while the parent's info or the announcement target is missing: then the old job goes on.
    pub fn choose(view: &PoolView, mine_old: Option<u32>) -> Option<Self> {
        let target = view.config.ann_target.filter(|target| target.is_announcement_target())?;
        let parent = view.chain.below_tip(mine_old.unwrap_or(view.config.mine_old_anns))?;
        Some(Self {
            parent: parent.hash,
            parent_height: parent.height,
            target,
            signing_key: parent.signing_key,
        })
    }
}

/// An announcement that was found, and what it was found for.
#[derive(Debug, Clone)]
pub struct Found {
    /// The announcement.
    pub announcement: Announcement,
    /// Its hash.
    pub hash: AnnouncementHash,
    /// The job it belongs to.
    pub job: Arc<Job>,
}

impl Found {
    /// Names an announcement by its hash.
    pub fn new(announcement: Announcement, job: Arc<Job>) -> Self {
        Self { hash: announcement.announcement_hash(), announcement, job }
    }
}
