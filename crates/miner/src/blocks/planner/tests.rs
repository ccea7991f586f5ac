//! What the planner decides, one step at a time.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64},
};

use packetcrypt::{Announcement, Height};
use tokio_util::sync::DropGuard;

use super::*;
use crate::{
    blocks::{
        mining,
        share_upload::ShareQueue,
        store::ClassKey,
        test_chain::{EASIEST, announcements, followed, work},
    },
    fake_pool::FakePool,
};

struct Setup {
    planner: Planner,
    shared: Arc<MiningShared>,
    work: CurrentWork,
    _pool: FakePool,
    _works: watch::Sender<Option<CurrentWork>>,
    _guard: DropGuard,
}

/// A planner for a pool with its tip at height 20 and work of height 21.
async fn setup(most: u64) -> Setup {
    let (pool, followed, guard) = followed(20).await;
    let work = work(1, 21);
    let (works, receiver) = watch::channel(Some(Arc::clone(&work)));
    let mut store = Store::new(16 << 20);
    store.set_chain(Height(21), &followed.view().unwrap().chain);
    let shared = Arc::new(MiningShared {
        attempts: AtomicU64::new(0),
        shares: Arc::new(ShareQueue::new(receiver)),
        store: Arc::new(Mutex::new(store)),
        set_is_spoiled: AtomicBool::new(false),
    });
    let threads = Arc::new(mining::start(NonZeroUsize::MIN, 0, Arc::clone(&shared)).unwrap());
    let planner = Planner::new(followed, Arc::clone(&shared), threads, most);
    Setup { planner, shared, work, _pool: pool, _works: works, _guard: guard }
}

impl Setup {
    /// Puts announcements into the store without any check.
    fn store(&self, announcements: &[Announcement]) {
        let mut store = self.shared.store.lock().unwrap();
        for announcement in announcements {
            let key = ClassKey::new(announcement.parent_height(), announcement.work_bits());
            store.insert(key, announcement.announcement_hash(), announcement.as_bytes());
        }
    }

    /// One step; the result is how many announcements are mined with.
    fn step(&mut self) -> Option<u64> {
        self.planner.step(Some(&self.work));
        self.planner.current_job().map(|job| job.prepared.set.commitment().count.get())
    }
}

#[tokio::test]
async fn mining_begins_with_the_first_announcements_and_changes_when_it_pays() {
    let mut setup = setup(1000).await;
    assert_eq!(setup.step(), None);
    let all = announcements(18, 1);
    setup.store(&all[..101]);
    assert_eq!(setup.step(), Some(101));
    setup.store(&all[101..105]);
    setup.planner.rest_until = Instant::now();
    assert_eq!(setup.step(), Some(101), "8 % more is not worth a new tree");
    setup.store(&all[105..121]);
    setup.planner.rest_until = Instant::now();
    assert_eq!(setup.step(), Some(121));
    setup.store(&all[121..300]);
    setup.planner.rest_until = Instant::now() + Duration::from_hours(1);
    assert_eq!(setup.step(), Some(121), "after a tree was built there is a rest");
}

#[tokio::test]
async fn no_more_announcements_are_used_than_there_is_memory_for() {
    let mut setup = setup(50).await;
    setup.store(&announcements(18, 1)[..100]);
    assert_eq!(setup.step(), Some(49), "an odd number of at most 50");
}

#[tokio::test]
async fn the_tree_for_the_next_block_is_ready_when_its_work_arrives() {
    let mut setup = setup(1000).await;
    setup.store(&announcements(18, 1)[..51]);
    setup.store(&announcements(19, 1)[..77]);
    assert_eq!(setup.step(), Some(51));
    setup.planner.rest_until = Instant::now();
    assert_eq!(setup.step(), Some(51));
    let next = setup.planner.next.as_ref().map(|next| (next.height, next.set.commitment()));
    let (height, commitment) = next.expect("a prepared tree");
    assert_eq!((height, commitment.count.get()), (Height(22), 77));
    setup.work = work(1, 22);
    assert_eq!(setup.step(), Some(77));
    let job = setup.planner.current_job().unwrap();
    assert_eq!(
        (job.prepared.set.commitment(), job.header.previous),
        (commitment, setup.work.header.previous)
    );
}

#[tokio::test]
async fn an_invalid_announcement_is_found_out_before_a_share_is_sent_and_never_used_again() {
    let mut setup = setup(1000).await;
    let mut announcements = announcements(18, 1)[..11].to_vec();
    let mut bytes = *announcements[5].as_bytes();
    bytes[700] ^= 1;
    announcements[5] = Announcement::from_bytes(&bytes);
    let bad = announcements[5].announcement_hash();
    setup.store(&announcements);
    assert_eq!(setup.step(), Some(11));
    let shares = Arc::clone(&setup.shared.shares);
    let mut sent = Vec::new();
    while !setup.shared.set_is_spoiled.load(Relaxed) {
        sent.extend(std::iter::from_fn(|| shares.take_newest()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(setup.step(), Some(9), "the bad one is left out, and the count is odd");
    while sent.len() < 20 {
        sent.extend(std::iter::from_fn(|| shares.take_newest()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for share in sent {
        let used = share.post.proof.announcements;
        assert!(used.iter().all(|announcement| announcement.announcement_hash() != bad));
    }
    assert_eq!(setup.step(), Some(9));
    assert_eq!(setup.shared.store.lock().unwrap().classes()[0].count, 10);
    assert_eq!(Height(18), setup.shared.store.lock().unwrap().classes()[0].parent);
    assert_eq!(EASIEST, setup.shared.store.lock().unwrap().classes()[0].bits);
}
