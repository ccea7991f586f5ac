//! What announcements are mined for: the parent block, how hard, and signed by whom.

use std::sync::Arc;

use packetcrypt::{
    Announcement, AnnouncementHash, AnnouncementHeader, BlockHash, CanonicalTarget, CompactTarget, Height,
    SigningKey,
};

use crate::pool_client::PoolView;

/// Announcement version that is mined.
const VERSION: u8 = 1;

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
    /// `None` while the parent's info is missing, or the announcement target is missing or no proper target: then the
    /// old job goes on.
    pub fn choose(view: &PoolView, mine_old: Option<u32>) -> Option<Self> {
        let target = view.config.ann_target.filter(|target| is_proper(*target))?;
        let parent = view.chain.below_tip(mine_old.unwrap_or(view.config.mine_old_anns))?;
        Some(Self {
            parent: parent.hash,
            parent_height: parent.height,
            target,
            signing_key: parent.signing_key,
        })
    }

    /// The header of the announcements of this job with some hard nonce. Without content, as all public miners do.
    pub fn header(&self, hard_nonce: u32) -> AnnouncementHeader {
        AnnouncementHeader {
            version: VERSION,
            hard_nonce,
            work_bits: self.target,
            parent_height: self.parent_height,
            content_type: 0,
            content_length: 0,
            content_hash: [0; 32],
            signing_key: self.signing_key,
        }
    }
}

/// Handlers refuse work bits that are not the one canonical form of their number (rule R-A13).
fn is_proper(target: CompactTarget) -> bool {
    target.is_announcement_target() && CanonicalTarget::try_from(target).is_ok()
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

#[cfg(test)]
mod tests {
    use wire::{block_info::BlockInfo, pool_config::PoolConfig};

    use super::*;
    use crate::pool_client::{
        HandlerList, KnownChain,
        known_chain::tests::{hash, info},
    };

    fn view(tip: u32, known_from: u32, target: Option<u32>, mine_old: u32) -> PoolView {
        let handlers = Arc::new(HandlerList::default());
        let mut chain = KnownChain::default();
        chain.set_tip(hash(1, tip), Height(tip));
        for height in (known_from..=tip).rev() {
            let previous = height.checked_sub(1).map_or_else(BlockHash::default, |below| hash(1, below));
            let info =
                BlockInfo { signing_key: SigningKey::new([height as u8; 32]), ..info(1, height, previous) };
            let missing = chain.missing(tip + 1).unwrap();
            chain.add(missing, &info, &handlers).unwrap();
        }
        let config = format!(
            r#"{{"tipHash":"{}","currentHeight":{},"submitAnnUrls":[],"submitBlockUrls":[],"paymakerUrl":"","version":3,
                "mineOldAnns":{mine_old},"annTarget":{}}}"#,
            hash(1, tip),
            tip + 1,
            target.map_or("null".into(), |target| target.to_string())
        );
        PoolView { config: Arc::new(PoolConfig::parse(config.as_bytes()).unwrap()), handlers, chain }
    }

    fn parent(job: Option<Job>) -> Option<u32> {
        job.map(|job| job.parent_height.0)
    }

    #[test]
    fn the_parent_is_as_far_below_the_tip_as_the_pool_says() {
        let view = view(20, 10, Some(0x207f_ffff), 2);
        let job = Job::choose(&view, None).unwrap();
        assert_eq!((job.parent, job.parent_height), (hash(1, 18), Height(18)));
        assert_eq!(job.signing_key, SigningKey::new([18; 32]));
        assert_eq!(parent(Job::choose(&view, Some(0))), Some(20));
        assert_eq!(parent(Job::choose(&view, Some(5))), Some(15));
    }

    #[test]
    fn on_a_young_chain_the_genesis_block_is_the_parent() {
        for tip in 0..=2 {
            assert_eq!(parent(Job::choose(&view(tip, 0, Some(0x207f_ffff), 2), None)), Some(0));
        }
        assert_eq!(parent(Job::choose(&view(3, 0, Some(0x207f_ffff), 2), None)), Some(1));
    }

    #[test]
    fn without_the_parents_info_or_a_proper_target_there_is_no_job() {
        assert_eq!(Job::choose(&view(20, 19, Some(0x207f_ffff), 2), None), None);
        for target in [None, Some(0), Some(0x2000_0001), Some(0x2080_0000), Some(0x2100_ffff)] {
            assert_eq!(Job::choose(&view(20, 10, target, 2), None), None, "{target:?}");
        }
    }
}
