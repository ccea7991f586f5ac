//! The whole announcement miner against pools that answer as each test says.

use std::{num::NonZeroUsize, sync::Mutex};

use packetcrypt::{
    Announcement, BlockHash, Height,
    check::{AnnouncementToCheck, Checker, ProofVersion, Rules},
};
use wire::PktAddress;

use super::*;
use crate::{
    fake_pool::{FakePool, PAY_TO, Reaction, Seen},
    mining_threads::Placement,
    pool_client::{
        PoolUrl,
        known_chain::tests::{hash, info},
    },
};

#[derive(Default)]
struct Statuses(Mutex<Vec<AnnouncementStatus>>);

impl StatusOutput for Statuses {
    fn status(&self, status: &Status) {
        if let Status::Announcements(status) = status {
            self.0.lock().unwrap().push(status.clone());
        }
    }
}

async fn fake(branch: u8, tip: u32) -> FakePool {
    let pool = FakePool::start().await;
    for height in 0..=tip + 5 {
        let previous = if height == 0 { BlockHash::default() } else { hash(branch, height - 1) };
        pool.serve_block(&info(branch, height, previous));
    }
    pool.serve_config(&pool.config(hash(branch, tip), tip, &["a", "b"]));
    pool
}

fn config(primary: PoolUrl, others: Vec<PoolUrl>) -> AnnouncementMinerConfig {
    AnnouncementMinerConfig {
        others,
        placement: Placement::of(NonZeroUsize::MIN),
        batch_age: Duration::from_millis(20),
        poll: Duration::from_millis(20),
        status_interval: Duration::from_millis(50),
        ..AnnouncementMinerConfig::new(primary, PktAddress::parse(PAY_TO).unwrap())
    }
}

struct Running {
    statuses: Arc<Statuses>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), AnnouncementMinerError>>,
}

fn start(config: AnnouncementMinerConfig) -> Running {
    let (statuses, shutdown) = (Arc::new(Statuses::default()), CancellationToken::new());
    let task = tokio::spawn(run(config, statuses.clone(), shutdown.clone()));
    Running { statuses, shutdown, task }
}

impl Running {
    async fn stop(self) -> Vec<AnnouncementStatus> {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        std::mem::take(&mut self.statuses.0.lock().unwrap())
    }

    async fn until(&self, wanted: impl Fn(&AnnouncementStatus) -> bool) {
        let seen = async {
            while !self.statuses.0.lock().unwrap().iter().any(&wanted) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), seen).await.expect("the status in time");
    }
}

/// Checks every announcement of a post on the parent that its header names.
fn check(post: &Seen, branch: u8) -> u32 {
    let parent = post.headers["x-pc-worknum"].parse::<u32>().unwrap() - 1;
    let mut checker = Checker::new(Rules::NEW_CHAIN);
    for announcement in Announcement::all_in(&post.body).unwrap() {
        assert_eq!(announcement.parent_height(), Height(parent));
        let to_check = AnnouncementToCheck { announcement: &announcement, parent: &hash(branch, parent) };
        assert!(checker.check(&[to_check], ProofVersion::CURRENT)[0].is_ok());
    }
    parent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valid_announcements_reach_the_pool_and_are_counted_to_the_end() {
    let pool = fake(1, 20).await;
    let running = start(config(pool.url(), Vec::new()));
    let posts = pool.wait_for("/submit", 3).await;
    assert!(posts.iter().all(|post| check(post, 1) == 18));
    running.until(|status| status.pools[0].total.accepted > 0 && status.announcements_per_second > 0).await;
    let last = running.stop().await.pop().unwrap();
    let sent: u64 = pool.seen("/submit").iter().map(|post| post.body.len() as u64 / 1024).sum();
    assert_eq!(last.pools[0].total.accepted, sent);
    assert_eq!(last.found, sent, "what was found at the end was sent, too");
    assert!(last.line().contains("goodrate: [100%]"), "{}", last.line());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_n3_mining_moves_to_the_new_branch_at_once() {
    let pool = fake(1, 20).await;
    let running = start(config(pool.url(), Vec::new()));
    pool.wait_for("/submit", 1).await;
    for height in 0..=20 {
        pool.serve_block(&info(
            2,
            height,
            if height == 0 { BlockHash::default() } else { hash(2, height - 1) },
        ));
    }
    pool.serve_config(&pool.config(hash(2, 19), 19, &["a"]));
    // The new parent is lower than the old one.
    running.until(|status| status.parent_height == Some(17)).await;
    let before = pool.seen("/submit").len();
    let posts = pool.wait_for("/submit", before + 2).await;
    let on_new_branch = posts.iter().filter(|post| post.headers["x-pc-worknum"] == "18").collect::<Vec<_>>();
    assert!(!on_new_branch.is_empty());
    assert!(on_new_branch.iter().all(|post| check(post, 2) == 17));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_calls_for_the_same_announcements_does_not_restart_mining() {
    let pool = fake(1, 20).await;
    let followers = CancellationToken::new();
    let _guard = followers.clone().drop_guard();
    let mut miner =
        AnnouncementMiner::start(config(pool.url(), Vec::new()), Arc::new(()), &followers).unwrap();
    let mut views = miner.pools[0].pool().views();
    let known =
        |view: &Option<Arc<PoolView>>| view.as_ref().is_some_and(|view| Job::choose(view, None).is_some());
    let view = views.wait_for(known).await.unwrap().clone().unwrap();
    miner.take(&view);
    let job = miner.job.clone().unwrap();
    // Another handler, and another share of the work: neither is in an announcement.
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a", "b", "c"]));
    let other =
        views.wait_for(|view| view.as_ref().is_some_and(|view| view.config.submit_ann_urls.len() == 3));
    let other = other.await.unwrap().clone().unwrap();
    miner.take(&other);
    assert!(Arc::ptr_eq(&job, miner.job.as_ref().unwrap()), "the threads go on with their tables");
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_block_is_noticed_without_waiting_for_the_next_reading() {
    let pool = fake(1, 20).await;
    let poll = Duration::from_hours(1);
    let running = start(AnnouncementMinerConfig { poll, ..config(pool.url(), Vec::new()) });
    running.until(|status| status.parent_height == Some(18)).await;
    // Whoever waits for work 22 is told of block 21.
    pool.serve_config(&pool.config(hash(1, 21), 21, &["a", "b"]));
    pool.serve_bytes("/master/work_22.bin", crate::blocks::test_chain::work(1, 22).to_bytes());
    running.until(|status| status.parent_height == Some(19)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_pools_get_the_same_announcements() {
    let (first, second) = (fake(1, 20).await, fake(1, 20).await);
    let running =
        start(config(first.url(), vec![second.url(), "http://127.0.0.1:9/master".parse().unwrap()]));
    first.wait_for("/submit", 2).await;
    second.wait_for("/submit", 2).await;
    running.until(|status| status.found >= 100).await;
    let last = running.stop().await.pop().unwrap();
    let announcements = |pool: &FakePool| {
        let mut all: Vec<_> = pool
            .seen("/submit")
            .iter()
            .flat_map(|post| Announcement::all_in(&post.body).unwrap().collect::<Vec<_>>())
            .map(|announcement| announcement.announcement_hash())
            .collect();
        all.sort();
        all
    };
    let (at_first, at_second) = (announcements(&first), announcements(&second));
    assert_eq!(at_first.len() as u64, last.found);
    // The second pool may have answered its configuration a little later than the first.
    assert!(at_second.iter().all(|hash| at_first.binary_search(hash).is_ok()));
    assert_eq!(at_second.len() as u64 + last.pools[1].total.lost, last.found);
    let third = &last.pools[2];
    assert_eq!((third.total.lost, third.good_rate_percent, third.reachable), (last.found, 0, false));
    assert!(last.line().ends_with("0%]"), "{}", last.line());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_handler_takes_nothing_is_not_100_percent_good() {
    let pool = fake(1, 20).await;
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
    for _ in 0..1000 {
        pool.react("/ann/a/submit", Reaction::Answer(503, b"busy".to_vec()));
    }
    let running = start(config(pool.url(), Vec::new()));
    pool.wait_for("/submit", 1).await;
    let nothing_is_known_but_something_waits = |status: &AnnouncementStatus| {
        let PoolStatus { reachable, uploading, since_last, good_rate_percent, .. } = &status.pools[0];
        *reachable && *uploading == 0 && since_last.settled() == 0 && *good_rate_percent == 0
    };
    running.until(nothing_is_known_but_something_waits).await;
    running.shutdown.cancel();
    running.task.abort();
}

#[tokio::test]
async fn a_miner_without_a_reachable_pool_waits_and_stops_when_asked() {
    let running = start(config("http://127.0.0.1:9/master".parse().unwrap(), Vec::new()));
    running.until(|status| !status.pools[0].reachable).await;
    let last = running.stop().await.pop().unwrap();
    assert_eq!((last.found, last.parent_height, last.pools[0].good_rate_percent), (0, None, 0));
}
