//! A chain for tests of the block miner: valid announcements on its blocks, and work on its tip.

use std::sync::{Arc, atomic::AtomicBool};

use packetcrypt::{
    Announcement, BlockHash, CompactTarget, Height,
    block::{Header, MerkleRoot, commitment::PLACEHOLDER},
    mine::Miner,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::work::WorkFile;

use crate::{
    announcements::Job,
    fake_pool::FakePool,
    pool_client::{
        FollowOptions, FollowedPool, follow,
        known_chain::tests::{hash, info},
    },
};

pub(crate) const EASIEST: CompactTarget = CompactTarget(0x207f_ffff);

/// About 500 valid announcements on a block of branch 1.
pub(crate) fn announcements(parent: u32, hard_nonce: u32) -> Vec<Announcement> {
    let job =
        Job { parent: hash(1, parent), parent_height: Height(parent), target: EASIEST, signing_key: None };
    let mut found = Vec::new();
    Miner::new().mine(&job.header(hard_nonce), &job.parent, &AtomicBool::new(false), |announcement| {
        found.push(announcement);
    });
    assert!(found.len() > 300, "half of all attempts succeed at the easiest target");
    found
}

/// The bytes of announcements, one after the other.
pub(crate) fn bytes_of(announcements: &[Announcement]) -> Vec<u8> {
    announcements.iter().flat_map(|announcement| *announcement.as_bytes()).collect()
}

/// Work on top of the block below `height` of a branch; every second hash is a share.
pub(crate) fn work(branch: u8, height: u32) -> Arc<WorkFile> {
    Arc::new(WorkFile {
        header: Header {
            version: 0x2000_0000,
            previous: hash(branch, height - 1),
            merkle_root: MerkleRoot([0; 32]),
            time: 1_600_000_000,
            bits: CompactTarget(0x1f0f_ffff),
            nonce: 0,
        },
        signing_key: None,
        share_target: EASIEST,
        ann_target: EASIEST,
        height: Height(height),
        coinbase: [b"coinbase ".as_slice(), &PLACEHOLDER, b" end"].concat(),
        branch: vec![[7; 32]],
    })
}

/// Serves blocks, configuration and work with the tip at some height of a branch.
pub(crate) fn serve_tip(pool: &FakePool, branch: u8, tip: u32) {
    for height in 0..=tip {
        let previous = height.checked_sub(1).map_or_else(BlockHash::default, |below| hash(branch, below));
        pool.serve_block(&info(branch, height, previous));
    }
    pool.serve_bytes(&format!("/master/work_{}.bin", tip + 1), work(branch, tip + 1).to_bytes());
    pool.serve_config(&pool.config(hash(branch, tip), tip, &["a"]));
}

/// A pool with its tip at some height of branch 1, followed until all its blocks are known.
pub(crate) async fn followed(tip: u32) -> (FakePool, FollowedPool, DropGuard) {
    let pool = FakePool::start().await;
    serve_tip(&pool, 1, tip);
    let shutdown = CancellationToken::new();
    let options = FollowOptions { poll: std::time::Duration::from_millis(20), depth: 20 };
    let followed = follow(pool.url(), options, shutdown.clone()).unwrap();
    let mut views = followed.views();
    let all = views.wait_for(|view| {
        view.as_ref().is_some_and(|view| view.chain.from_tip().count() >= 20.min(tip as usize + 1))
    });
    tokio::time::timeout(std::time::Duration::from_mins(1), all).await.unwrap().unwrap();
    (pool, followed, shutdown.drop_guard())
}
