//! What the planner decides, one step at a time.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64},
};

use packetcrypt::{Announcement, CompactTarget, Height};
use tokio_util::sync::DropGuard;
use wire::work::WorkFile;

use super::*;
use crate::{
    blocks::{
        mining,
        share_upload::ShareQueue,
        store::ClassKey,
        test_chain::{EASIEST, announcements, followed, work},
    },
    fake_pool::FakePool,
    mining_threads::Placement,
    pool_client::known_chain::tests::hash,
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
    setup_in(Store::new(16 << 20), most).await
}

/// The same with little memory, of which a part can be mined with.
async fn setup_with(memory: usize, part: f64) -> Setup {
    let store = Store::new(memory);
    let most = (store.capacity() as f64 * part) as u64;
    setup_in(store, most).await
}

async fn setup_in(mut store: Store, most: u64) -> Setup {
    let (pool, followed, guard) = followed(20).await;
    let work = work(1, 21);
    let (works, receiver) = watch::channel(Some(Arc::clone(&work)));
    store.set_chain(Height(21), &followed.view().unwrap().chain);
    let shared = Arc::new(MiningShared {
        attempts: AtomicU64::new(0),
        shares: Arc::new(ShareQueue::new(receiver)),
        store: Arc::new(Mutex::new(store)),
        set_is_spoiled: AtomicBool::new(false),
    });
    let placement = Placement::of(NonZeroUsize::MIN);
    let threads = Arc::new(mining::start(placement, Arc::clone(&shared)).unwrap());
    let planner = Planner::new(followed, Arc::clone(&shared), threads, most);
    Setup { planner, shared, work, _pool: pool, _works: works, _guard: guard }
}

impl Setup {
    /// Puts announcements into the store without any check.
    fn store(&self, announcements: &[Announcement]) {
        self.store_as(EASIEST, announcements);
    }

    /// Puts announcements into the store as if they had these work bits.
    fn store_as(&self, bits: CompactTarget, announcements: &[Announcement]) {
        let mut store = self.shared.store.lock().unwrap();
        for announcement in announcements {
            let key = ClassKey::new(announcement.parent_height(), bits);
            store.insert(key, announcement.announcement_hash(), announcement.as_bytes());
        }
    }

    /// Announcements that no proof of work stands behind.
    fn store_made_up(&self, parent: u32, bits: CompactTarget, numbers: std::ops::Range<u32>) {
        let mut store = self.shared.store.lock().unwrap();
        for number in numbers {
            let mut bytes = [parent as u8; 1024];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            let hash = Announcement::from_bytes(&bytes).announcement_hash();
            store.insert(ClassKey::new(Height(parent), bits), hash, &bytes);
        }
    }

    /// One step, without waiting for anything; the result is how many announcements are mined with.
    fn one_step(&mut self) -> Option<u64> {
        self.planner.step(Some(&self.work));
        self.planner.current_job().map(|job| job.prepared.set.commitment().count.get())
    }

    /// Steps until nothing is being built any more.
    fn step(&mut self) -> Option<u64> {
        let mut mined_with = self.one_step();
        while !self.planner.builder.is_free() {
            std::thread::sleep(Duration::from_millis(1));
            mined_with = self.one_step();
        }
        mined_with
    }

    /// As [`Setup::step`], after the rest that the last tree is followed by.
    fn step_after_rest(&mut self) -> Option<u64> {
        self.planner.builder.end_rest();
        self.step()
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
    assert_eq!(setup.step_after_rest(), Some(101), "8 % more is not worth a new tree");
    setup.store(&all[105..121]);
    assert_eq!(setup.step_after_rest(), Some(121));
    setup.store(&all[121..300]);
    setup.planner.builder.rest_for(Duration::from_hours(1));
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
    assert_eq!(setup.step_after_rest(), Some(51));
    let next = setup.planner.next.as_ref().map(|next| (next.height, next.set.commitment()));
    let (height, commitment) = next.expect("a prepared tree");
    assert_eq!((height, commitment.count.get()), (Height(22), 77));
    setup.work = work(1, 22);
    assert_eq!(setup.one_step(), Some(77), "at once");
    let job = setup.planner.current_job().unwrap();
    assert_eq!(
        (job.prepared.set.commitment(), job.header.previous),
        (commitment, setup.work.header.previous)
    );
}

#[tokio::test]
async fn new_work_on_the_same_parents_is_mined_at_once_with_the_tree_there_is() {
    let mut setup = setup(1000).await;
    setup.store(&announcements(18, 1)[..51]);
    assert_eq!(setup.step(), Some(51));
    let before = setup.planner.current_job().unwrap();
    // Another block at the tip: only the header is another one.
    let mut other: WorkFile = (*setup.work).clone();
    other.header.previous = hash(2, 20);
    setup.work = Arc::new(other);
    assert_eq!(setup.one_step(), Some(51));
    let job = setup.planner.current_job().unwrap();
    assert_eq!(job.header.previous, hash(2, 20));
    assert!(Arc::ptr_eq(&job.prepared.announcements, &before.prepared.announcements));
}

#[tokio::test]
async fn work_of_another_height_is_mined_at_once_with_the_tree_there_is() {
    let mut setup = setup(1000).await;
    // Harder than the easiest, so that they are of use for more than one block.
    setup.store_as(CompactTarget(0x1f00_ffff), &announcements(18, 1)[..51]);
    assert_eq!(setup.step(), Some(51));
    let before = setup.planner.current_job().unwrap();
    setup.work = work(1, 22);
    assert_eq!(setup.one_step(), Some(51));
    let job = setup.planner.current_job().unwrap();
    assert!(Arc::ptr_eq(&job.prepared.announcements, &before.prepared.announcements));
    let least_work = |job: &BlockMiningJob| job.prepared.set.commitment().least_work;
    assert!(least_work(&job) > least_work(&before), "they are worth less in a later block");
}

#[tokio::test]
async fn announcements_that_mature_are_mined_with_from_their_first_block_on() {
    let mut setup = setup(1000).await;
    let bits = CompactTarget(0x1f00_ffff);
    setup.store_made_up(18, bits, 0..51);
    setup.store_made_up(19, bits, 0..31);
    assert_eq!(setup.one_step(), None);
    assert_eq!(setup.step(), Some(51), "19 is not mature before block 22");
    let least_work = |setup: &Setup| {
        let job = setup.planner.current_job().unwrap();
        let effective = job.prepared.set.effective_target(setup.work.share_target, setup.work.header.bits);
        assert_eq!(job.effective, effective);
        job.prepared.set.commitment().least_work
    };
    let at_first = least_work(&setup);
    // Nobody has built a tree for it: both classes are better than the fresher one alone.
    setup.planner.next = None;
    setup.planner.builder.rest_for(Duration::from_hours(1));
    setup.work = work(1, 22);
    assert_eq!(setup.one_step(), Some(51), "at once with what there is, which is worth less now");
    assert!(least_work(&setup) > at_first, "each is worth less work");
    assert_eq!(setup.step(), Some(81), "an odd number of all 82");
    // A block later the older ones are worth so little that they only make the others worth less.
    setup.store_made_up(20, bits, 0..200);
    setup.work = work(1, 23);
    assert_eq!(setup.one_step(), Some(81));
    assert_eq!(setup.step(), Some(199));
    let job = setup.planner.current_job().unwrap();
    assert_eq!(job.prepared.parents().keys().map(|parent| parent.0).collect::<Vec<_>>(), [20]);
    assert_eq!(job.prepared.set.commitment().least_work.compact(), bits, "not aged");
}

#[tokio::test]
async fn threads_that_are_stopped_end_within_one_batch() {
    let mut setup = setup(1000).await;
    setup.store(&announcements(18, 1)[..51]);
    assert_eq!(setup.step(), Some(51));
    let Setup { planner, shared, .. } = setup;
    while shared.attempts.load(Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    planner.threads.set_job(None);
    let before = shared.attempts.load(Relaxed);
    Arc::into_inner(planner.threads).unwrap().stop();
    let batch = u64::from(packetcrypt::block::mine::SIDE_BY_SIDE);
    assert!(shared.attempts.load(Relaxed) - before <= batch, "there is one thread");
}

#[tokio::test]
async fn what_is_mined_with_gives_way_to_what_is_better_where_memory_is_full() {
    let mut setup = setup_with(1 << 20, 0.9).await;
    let bits = CompactTarget(0x1f00_ffff);
    setup.store_made_up(17, bits, 0..2000);
    let capacity = setup.shared.store.lock().unwrap().capacity();
    let most = capacity * 9 / 10;
    assert!(setup.step().is_some_and(|count| count > most - 3));
    // What gives way is free only when the threads have left it, which takes as long as the machine is busy.
    for _ in 0..3000 {
        setup.store_made_up(18, bits, 0..2000);
        setup.step_after_rest();
        let job = setup.planner.current_job().unwrap();
        let parents: Vec<u32> = job.prepared.parents().keys().map(|parent| parent.0).collect();
        if parents == [18] && job.prepared.set.commitment().count.get() > most - 3 {
            return;
        }
    }
    panic!("something else is mined with than the better half of what came");
}

#[tokio::test]
async fn old_work_is_not_mined_while_there_is_nothing_for_the_new_one() {
    let mut setup = setup(1000).await;
    setup.store(&announcements(18, 1)[..51]);
    assert_eq!(setup.step(), Some(51));
    setup.work = work(1, 22);
    assert_eq!(setup.step(), None, "at the easiest target announcements are of use in one block only");
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
