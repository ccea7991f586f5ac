//! Following a pool that answers well, badly, late, or not at all.

use super::*;
use crate::{
    fake_pool::{FakePool, Reaction},
    pool_client::known_chain::tests::{hash, info},
};

const OPTIONS: FollowOptions = FollowOptions { poll: Duration::from_millis(20), depth: 6 };

fn serve_branch(pool: &FakePool, branch: u8, heights: std::ops::RangeInclusive<u32>) {
    for height in heights {
        let previous = height.checked_sub(1).map_or_else(BlockHash::default, |below| hash(branch, below));
        pool.serve_block(&info(branch, height, previous));
    }
}

async fn until(pool: &FollowedPool, wanted: impl Fn(&PoolView) -> bool) -> Arc<PoolView> {
    let mut views = pool.views();
    let waited = tokio::time::timeout(
        Duration::from_mins(1),
        views.wait_for(|view| view.as_ref().is_some_and(|view| wanted(view))),
    );
    waited.await.expect("the state in time").expect("a follower").clone().unwrap()
}

fn known(view: &PoolView) -> usize {
    view.chain.from_tip().count()
}

fn follow_fake(pool: &FakePool) -> (FollowedPool, tokio_util::sync::DropGuard) {
    let shutdown = CancellationToken::new();
    (follow(pool.url(), OPTIONS, shutdown.clone()).unwrap(), shutdown.drop_guard())
}

#[tokio::test]
async fn the_configuration_and_six_blocks_are_read() {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 0..=20);
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
    let (followed, _guard) = follow_fake(&pool);
    let view = until(&followed, |view| known(view) == 6).await;
    assert_eq!(view.chain.below_tip(2).unwrap().hash, hash(1, 18));
    assert!(followed.is_reachable());
    let asked = pool.seen("config.json");
    let headers = &asked[0].headers;
    assert!(headers["user-agent"].starts_with("headframe/"));
    assert_eq!(headers["x-pc-sid"].len(), 32);
    assert!(headers["x-pc-sid"].bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')));
    pool.wait_for("config.json", asked.len() + 2).await;
    assert_eq!(pool.seen("blkinfo_").len(), 6, "known blocks are not asked for again");
}

#[tokio::test]
async fn a_pool_may_want_older_parents_than_usual() {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 0..=40);
    let mut config = pool.config(hash(1, 40), 40, &["a"]);
    config.mine_old_anns = 9;
    pool.serve_config(&config);
    let (followed, _guard) = follow_fake(&pool);
    let view = until(&followed, |view| known(view) == 10).await;
    assert_eq!(view.chain.below_tip(9).unwrap().hash, hash(1, 31));
    config.mine_old_anns = u32::MAX;
    pool.serve_config(&config);
    until(&followed, |view| known(view) == DEEPEST as usize).await;
}

#[tokio::test]
async fn r_n4_a_missing_block_info_is_fetched_again() {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 18..=20);
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
    let (followed, _guard) = follow_fake(&pool);
    until(&followed, |view| known(view) == 3).await;
    serve_branch(&pool, 1, 0..=17);
    // The 5 s until the next try pass at once.
    tokio::time::pause();
    until(&followed, |view| known(view) == 6).await;
}

#[tokio::test]
async fn r_n5_malformed_pool_data_changes_nothing_and_ends_nothing() {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 0..=20);
    let good = pool.config(hash(1, 20), 20, &["a"]);
    pool.serve_config(&good);
    let (followed, _guard) = follow_fake(&pool);
    until(&followed, |view| known(view) == 6).await;
    let json = good.to_json();
    for bad in [
        Vec::new(),
        b"null".to_vec(),
        b"{}".to_vec(),
        vec![0xff; 100],
        vec![b'['; 1 << 20],
        vec![b' '; (1 << 20) + 1],
        json.replace(&hash(1, 20).to_string(), "abc").into_bytes(),
        json.replace("\"currentHeight\": 21", "\"currentHeight\": -5").into_bytes(),
        json.replace("\"version\": 3", "\"version\": 4").into_bytes(),
    ] {
        assert_ne!(bad, json.as_bytes(), "the replacement must hit something");
        let before = pool.seen("config.json").len();
        pool.serve_bytes("/master/config.json", bad);
        pool.wait_for("config.json", before + 3).await;
        assert!(!followed.is_reachable());
        assert_eq!(*followed.view().unwrap().config, good);
    }
    for reaction in [Reaction::Answer(500, b"Server not ready".to_vec()), Reaction::Answer(300, Vec::new())] {
        let before = pool.seen("config.json").len();
        pool.serve("/master/config.json", reaction);
        pool.wait_for("config.json", before + 3).await;
        assert!(!followed.is_reachable());
    }
    pool.serve_config(&pool.config(hash(1, 19), 19, &["a"]));
    until(&followed, |view| view.tip().0 == Height(19)).await;
}

#[tokio::test]
async fn r_n5_block_infos_that_do_not_fit_are_ignored() {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 0..=20);
    let path = format!("/master/{}", BlockInfo::file_name(&hash(1, 18)));
    pool.serve_bytes(&path, info(2, 18, hash(2, 17)).to_json());
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
    let (followed, _guard) = follow_fake(&pool);
    until(&followed, |view| known(view) == 2).await;
    let before = pool.seen("config.json").len();
    pool.wait_for("config.json", before + 3).await;
    assert_eq!(known(&followed.view().unwrap()), 2);
    assert!(followed.is_reachable());
}

#[tokio::test]
async fn r_n3_a_reorganisation_moves_the_chain_to_the_other_branch() {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 0..=20);
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
    let (followed, _guard) = follow_fake(&pool);
    until(&followed, |view| known(view) == 6).await;
    pool.serve_block(&info(2, 19, hash(1, 18)));
    pool.serve_block(&info(2, 20, hash(2, 19)));
    // The same height, another tip.
    pool.serve_config(&pool.config(hash(2, 20), 20, &["a"]));
    let view =
        until(&followed, |view| view.chain.at(Height(20)).is_some_and(|tip| tip.hash == hash(2, 20))).await;
    assert_eq!(view.chain.at(Height(19)).unwrap().hash, hash(2, 19));
    assert_eq!(view.chain.at(Height(18)).unwrap().hash, hash(1, 18));
}

#[tokio::test]
async fn r_n8_a_block_keeps_the_handlers_with_which_it_was_first_seen() {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 0..=21);
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
    let (followed, _guard) = follow_fake(&pool);
    until(&followed, |view| known(view) == 6).await;
    pool.serve_config(&pool.config(hash(1, 21), 21, &["a", "b"]));
    let view = until(&followed, |view| view.chain.at(Height(21)).is_some()).await;
    assert_eq!(view.handlers.urls().count(), 2);
    assert_eq!(view.chain.at(Height(21)).unwrap().handlers.urls().count(), 2);
    assert_eq!(view.chain.at(Height(20)).unwrap().handlers.urls().count(), 1);
}

#[tokio::test]
async fn a_pool_that_is_not_there_is_unreachable_and_has_no_state() {
    let shutdown = CancellationToken::new();
    // Port 9 of this host: nothing listens there.
    let url: PoolUrl = "http://127.0.0.1:9/master".parse().unwrap();
    let followed = follow(url, OPTIONS, shutdown.clone()).unwrap();
    tokio::time::sleep(OPTIONS.poll * 3).await;
    assert!(!followed.is_reachable());
    assert!(followed.view().is_none());
    shutdown.cancel();
}

/// A work file on top of a block, whose coinbase has a place for the commitment.
fn work(branch: u8, height: u32) -> wire::work::WorkFile {
    wire::work::WorkFile {
        header: packetcrypt::block::Header {
            version: 0x2000_0000,
            previous: hash(branch, height - 1),
            merkle_root: packetcrypt::block::MerkleRoot([0; 32]),
            time: 1_600_000_000,
            bits: packetcrypt::CompactTarget(0x207f_ffff),
            nonce: 0,
        },
        signing_key: None,
        share_target: packetcrypt::CompactTarget(0x207f_ffff),
        ann_target: packetcrypt::CompactTarget(0x207f_ffff),
        height: Height(height),
        coinbase: packetcrypt::block::commitment::PLACEHOLDER.to_vec(),
        branch: Vec::new(),
    }
}

fn serve_work(pool: &FakePool, branch: u8, height: u32) {
    pool.serve_bytes(&format!("/master/work_{height}.bin"), work(branch, height).to_bytes());
}

/// A pool at height 20 of branch 1 that hands out work, and what is followed of it.
async fn follow_fake_work() -> (FakePool, watch::Receiver<Option<CurrentWork>>, tokio_util::sync::DropGuard) {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 0..=22);
    serve_work(&pool, 1, 21);
    pool.serve("/master/work_22.bin", Reaction::Hang);
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
    let shutdown = CancellationToken::new();
    let followed = follow(pool.url(), OPTIONS, shutdown.clone()).unwrap();
    let mut feed = follow_work(followed, shutdown.clone()).unwrap();
    until_work(&mut feed, 1, 21).await;
    (pool, feed, shutdown.drop_guard())
}

async fn until_work(feed: &mut watch::Receiver<Option<CurrentWork>>, branch: u8, height: u32) {
    let wanted = work(branch, height).id();
    let waited = tokio::time::timeout(
        Duration::from_mins(1),
        feed.wait_for(|work| work.as_ref().is_some_and(|work| work.id() == wanted)),
    );
    waited.await.expect("the work in time").expect("a feed");
}

#[tokio::test]
async fn work_follows_the_configuration() {
    let (pool, mut feed, _guard) = follow_fake_work().await;
    serve_work(&pool, 1, 22);
    pool.serve("/master/work_23.bin", Reaction::Hang);
    pool.serve_config(&pool.config(hash(1, 21), 21, &["a"]));
    until_work(&mut feed, 1, 22).await;
}

#[tokio::test]
async fn a_long_poll_brings_work_before_a_cached_configuration_knows_it() {
    let pool = FakePool::start().await;
    serve_branch(&pool, 1, 0..=20);
    serve_work(&pool, 1, 21);
    pool.serve("/master/work_22.bin", Reaction::Answer(300, Vec::new()));
    pool.serve("/master/work_23.bin", Reaction::Hang);
    pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
    let shutdown = CancellationToken::new();
    let _guard = shutdown.clone().drop_guard();
    let followed = follow(pool.url(), OPTIONS, shutdown.clone()).unwrap();
    let mut feed = follow_work(followed, shutdown).unwrap();
    until_work(&mut feed, 1, 21).await;
    pool.wait_for("work_22.bin", 1).await;
    serve_work(&pool, 1, 22);
    until_work(&mut feed, 1, 22).await;
    let configs = pool.seen("config.json").len();
    pool.wait_for("config.json", configs + 3).await;
    assert_eq!(
        feed.borrow().as_ref().unwrap().id(),
        work(1, 22).id(),
        "the old configuration changes nothing"
    );
    assert_eq!(pool.seen("work_21.bin").len(), 1);
}

#[tokio::test]
async fn a_reorganisation_at_the_same_height_brings_new_work() {
    let (pool, mut feed, _guard) = follow_fake_work().await;
    // First the configuration changes, the file a little later.
    pool.serve_config(&pool.config(hash(2, 20), 20, &["a"]));
    pool.wait_for("work_21.bin", 2).await;
    assert_eq!(
        feed.borrow().as_ref().unwrap().id(),
        work(1, 21).id(),
        "work that is not on the tip is not taken"
    );
    serve_work(&pool, 2, 21);
    until_work(&mut feed, 2, 21).await;
}

#[tokio::test]
async fn r_n5_malformed_work_is_not_taken() {
    let (pool, mut feed, _guard) = follow_fake_work().await;
    let good = work(1, 22).to_bytes();
    for bad in [Vec::new(), good[..100].to_vec(), [&good[..], &[0]].concat(), work(1, 23).to_bytes()] {
        pool.serve_bytes("/master/work_22.bin", bad);
        let before = pool.seen("work_22.bin").len();
        // A change of the configuration makes it ask at once.
        pool.serve_config(&pool.config(hash(1, 20), 20, &["a"]));
        pool.serve_config(&pool.config(hash(1, 21), 21, &["a"]));
        pool.wait_for("work_22.bin", before + 1).await;
        assert_eq!(feed.borrow().as_ref().unwrap().id(), work(1, 21).id());
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(6)).await;
        tokio::time::resume();
    }
    pool.serve_bytes("/master/work_22.bin", good);
    tokio::time::pause();
    until_work(&mut feed, 1, 22).await;
}
