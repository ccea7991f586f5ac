//! The whole block miner against a pool that serves valid announcements and takes shares.

use std::{collections::HashSet, num::NonZeroUsize};

use packetcrypt::{
    Announcement, Height,
    block::{
        check::ProofChecker,
        share::{Share, ShareWork},
    },
    check::Rules,
};
use wire::{
    PktAddress,
    batch::{BatchIndex, BatchName},
    share_post::SharePost,
};

use super::{
    test_chain::{EASIEST, announcements, bytes_of, serve_tip, work},
    *,
};
use crate::{
    fake_pool::{FakePool, PAY_TO, Seen},
    mining_threads::Placement,
    pool_client::known_chain::tests::hash,
};

#[derive(Default)]
struct Statuses(Mutex<Vec<BlockStatus>>);

impl StatusOutput for Statuses {
    fn status(&self, status: &Status) {
        if let Status::Blocks(status) = status {
            self.0.lock().unwrap().push(status.clone());
        }
    }
}

struct Running {
    pool: FakePool,
    files: Vec<BatchName>,
    statuses: Arc<Statuses>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), BlockMinerError>>,
}

/// A miner with one thread for a pool with its tip at some height.
async fn start(tip: u32) -> Running {
    let pool = FakePool::start().await;
    serve_tip(&pool, 1, tip);
    let source = HttpSource { index_interval: Duration::from_millis(20), ..HttpSource::default() };
    let config = BlockMinerConfig {
        placement: Placement::of(NonZeroUsize::MIN),
        memory: 16 << 20,
        source: AnnouncementSource::Http(source),
        poll: Duration::from_millis(20),
        status_interval: Duration::from_millis(50),
        ..BlockMinerConfig::new(pool.url(), PktAddress::parse(PAY_TO).unwrap())
    };
    let (statuses, shutdown) = (Arc::new(Statuses::default()), CancellationToken::new());
    let task = tokio::spawn(run(config, statuses.clone(), shutdown.clone()));
    Running { pool, files: Vec::new(), statuses, shutdown, task }
}

impl Running {
    fn serve_file(&mut self, parent: u32, announcements: &[Announcement]) {
        let file_number = self.files.len() as u64 + 1;
        let name = BatchName { parent_height: Height(parent), handler: 0, file_number };
        self.files.push(name);
        self.pool.serve_bytes(&format!("/ann/a/anns/{name}"), bytes_of(announcements));
        self.pool.serve_bytes("/ann/a/anns/index.json", BatchIndex::of(&self.files).to_json());
    }

    /// The first share for which `wanted` is true, of those that come from now on.
    async fn share(&self, wanted: impl Fn(&SharePost) -> bool) -> SharePost {
        let mut known = self.pool.count("/blk/");
        loop {
            self.pool.wait_until("/blk/", known + 1).await;
            let fresh = self.pool.seen_after("/blk/", known);
            if let Some(post) = fresh.iter().map(parsed).find(&wanted) {
                return post;
            }
            known += fresh.len();
        }
    }

    async fn until(&self, wanted: impl Fn(&BlockStatus) -> bool) {
        let seen = async {
            while !self.statuses.0.lock().unwrap().iter().any(&wanted) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), seen).await.expect("the status in time");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn parsed(seen: &Seen) -> SharePost {
    SharePost::parse(&seen.body).unwrap()
}

/// Checks a share completely, as a block handler with this work does.
fn check(post: SharePost, height: u32) {
    let work = work(1, height);
    let share_work = ShareWork {
        header: &work.header,
        height: work.height,
        share_target: work.share_target,
        coinbase: &work.coinbase,
        branch: &work.branch,
    };
    assert_eq!(post.commitment.count.get() % 2, 1, "an odd count");
    let share = Share::open(&share_work, &post.header, post.proof, post.commitment).unwrap();
    let mut checker = ProofChecker::new(Rules::NEW_CHAIN);
    let verdict = share.check(&share_work, &mut checker, |height| Some(hash(1, height.0)));
    assert!(verdict.is_ok(), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_that_the_share_check_accepts_are_mined_from_downloaded_announcements() {
    let mut running = start(20).await;
    running.serve_file(18, &announcements(18, 1));
    let first = running.share(|_| true).await;
    assert_eq!(first.commitment.least_work.compact(), EASIEST);
    check(first, 21);
    running.until(|status| status.shares.accepted >= 5 && status.hashes_per_second > 0).await;
    let posts: Vec<SharePost> = running.pool.seen("/blk/").iter().map(parsed).collect();
    let distinct: HashSet<(u32, u32)> =
        posts.iter().map(|post| (post.header.nonce, post.proof.nonce2)).collect();
    assert_eq!(distinct.len(), posts.len(), "no attempt is made twice");
    posts.into_iter().take(5).for_each(|post| check(post, 21));
    let status = running.statuses.0.lock().unwrap().last().cloned().unwrap();
    assert_eq!((status.shares.faulty, status.shares.rejected, status.height), (0, 0, Some(21)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_work_is_mined_with_the_announcements_of_its_height() {
    let mut running = start(20).await;
    running.serve_file(18, &announcements(18, 1));
    running.serve_file(19, &announcements(19, 2));
    check(running.share(|_| true).await, 21);
    serve_tip(&running.pool, 1, 21);
    // At the easiest target announcements are of use in one block only.
    let post = running.share(|post| post.header.previous == hash(1, 21)).await;
    assert!(post.proof.announcements.iter().all(|announcement| announcement.parent_height() == Height(19)));
    check(post, 22);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_b2_mining_restarts_when_more_announcements_have_come() {
    let mut running = start(20).await;
    let all = announcements(18, 1);
    running.serve_file(18, &all[..50]);
    assert_eq!(running.share(|_| true).await.commitment.count.get(), 49);
    running.serve_file(18, &all[50..300]);
    check(running.share(|post| post.commitment.count.get() == 299).await, 21);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_b3_a_single_announcement_is_mined_with() {
    let mut running = start(20).await;
    running.serve_file(18, &announcements(18, 1)[..1]);
    let post = running.share(|_| true).await;
    assert_eq!(post.commitment.count.get(), 1);
    check(post, 21);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_chain_is_mined_from_its_first_block() {
    let mut running = start(0).await;
    running.serve_file(0, &announcements(0, 1));
    check(running.share(|_| true).await, 1);
    serve_tip(&running.pool, 1, 1);
    check(running.share(|post| post.header.previous == hash(1, 1)).await, 2);
    serve_tip(&running.pool, 1, 2);
    check(running.share(|post| post.header.previous == hash(1, 2)).await, 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_are_made_of_valid_announcements_only() {
    let mut running = start(20).await;
    let good = announcements(18, 1);
    let bad = good[..100].iter().map(|good| {
        let mut bytes = *good.as_bytes();
        bytes[600] ^= 1;
        Announcement::from_bytes(&bytes)
    });
    running.serve_file(18, &bad.collect::<Vec<_>>());
    running.serve_file(18, &good[100..300]);
    check(running.share(|post| post.commitment.count.get() == 199).await, 21);
    running.until(|status| status.arrivals.invalid == 100).await;
    running.stop().await;
}

#[tokio::test]
async fn a_miner_without_a_reachable_pool_waits_and_stops_when_asked() {
    let pool = "http://127.0.0.1:9/master".parse().unwrap();
    let config = BlockMinerConfig {
        placement: Placement::of(NonZeroUsize::MIN),
        memory: 1 << 20,
        status_interval: Duration::from_millis(20),
        ..BlockMinerConfig::new(pool, PktAddress::parse(PAY_TO).unwrap())
    };
    let (statuses, shutdown) = (Arc::new(Statuses::default()), CancellationToken::new());
    let task = tokio::spawn(run(config, statuses.clone(), shutdown.clone()));
    while statuses.0.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    task.await.unwrap().unwrap();
    let status = statuses.0.lock().unwrap().last().cloned().unwrap();
    assert!(status.line().starts_with("waiting for the pool"));
}
