//! A Master of our making on the other side, with every mistake a Master can make.

use super::*;
use tokio_util::sync::CancellationToken;

use crate::fake_master::{FakeMaster, block, hash, work_on};

struct Followed {
    client: MasterClient,
    health: Health,
    _stop: tokio_util::sync::DropGuard,
}

fn follow_with(url: &str, blocks: usize, work: bool) -> Followed {
    let config = MasterClientConfig {
        poll_time: Duration::from_millis(10),
        ..MasterClientConfig::new(url, blocks, work)
    };
    let (health, shutdown) = (Health::starting("ann_handler", "a"), CancellationToken::new());
    health.ready();
    let http = http_client::client().unwrap();
    let mut parts = Parts::until(&shutdown);
    let client = MasterClient::start(config, http, &health, &Metrics::new(), &mut parts);
    Followed { client, health, _stop: shutdown.drop_guard() }
}

async fn view_where(client: &MasterClient, wanted: impl Fn(&PoolView) -> bool) -> Arc<PoolView> {
    let mut view = client.view();
    let found = view.wait_for(|view| view.as_deref().is_some_and(&wanted)).await.unwrap();
    Arc::clone(found.as_ref().unwrap())
}

#[tokio::test]
async fn the_newest_blocks_and_the_work_are_published() {
    let (master, url) = FakeMaster::start().await;
    (0..=12).for_each(|height| master.put_block(1, height));
    master.put("work_13.bin", work_on(1, 12).to_bytes());
    master.put_config(1, 12);
    let followed = follow_with(&format!("{url}/"), 10, true);
    let view = view_where(&followed.client, |view| view.blocks.len() == 10).await;
    assert_eq!(view.hash_at(Height(12)), Some(hash(1, 12)));
    assert_eq!(view.hash_at(Height(3)), Some(hash(1, 3)));
    assert_eq!((view.hash_at(Height(2)), view.hash_at(Height(13))), (None, None));
    assert_eq!(view.work.as_deref(), Some(&work_on(1, 12)));
    assert_eq!(followed.client.paymaker_url().borrow().as_deref(), Some("http://paymaker"));
    assert!(followed.health.is_ready());
}

#[tokio::test]
async fn who_begins_late_is_told_what_was_published_before() {
    let (master, url) = FakeMaster::start().await;
    (0..=2).for_each(|height| master.put_block(1, height));
    master.put_config(1, 2);
    let followed = follow_with(&url, 3, false);
    let published = view_where(&followed.client, |view| view.blocks.len() == 3).await;
    let mut late = followed.client.view();
    // Nothing new happens on this Master: a change can only be what was published already.
    late.changed().await.unwrap();
    assert_eq!(late.borrow_and_update().as_ref(), Some(&published));
}

#[tokio::test]
async fn the_walk_stops_at_the_genesis_block() {
    let (master, url) = FakeMaster::start().await;
    (0..=2).for_each(|height| master.put_block(1, height));
    master.put_config(1, 2);
    let followed = follow_with(&url, 6, false);
    assert_eq!(view_where(&followed.client, |view| !view.blocks.is_empty()).await.blocks.len(), 3);
    while !followed.health.is_ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn r_n4_a_missing_block_info_is_fetched_again() {
    let (master, url) = FakeMaster::start().await;
    (5..=9).filter(|height| *height != 7).for_each(|height| master.put_block(1, height));
    master.put_config(1, 9);
    let followed = follow_with(&url, 5, false);
    view_where(&followed.client, |view| view.blocks.len() == 2).await;
    assert!(!followed.health.is_ready());
    master.put_block(1, 7);
    view_where(&followed.client, |view| view.blocks.len() == 5).await;
    assert_eq!(master.asked(&BlockInfo::file_name(&hash(1, 9))), 1, "known blocks are not fetched again");
}

#[tokio::test]
async fn a_reorganisation_leads_to_the_other_branch_and_back() {
    let (master, url) = FakeMaster::start().await;
    for branch in [1, 2] {
        (0..=9).for_each(|height| master.put_block(branch, height));
    }
    master.put_config(1, 9);
    let followed = follow_with(&url, 4, false);
    view_where(&followed.client, |view| view.hash_at(Height(6)) == Some(hash(1, 6))).await;
    master.put_config(2, 9);
    view_where(&followed.client, |view| view.hash_at(Height(6)) == Some(hash(2, 6))).await;
    master.put_config(1, 8);
    view_where(&followed.client, |view| view.hash_at(Height(6)) == Some(hash(1, 6))).await;
}

#[tokio::test]
async fn r_n5_malformed_documents_keep_the_last_good_view() {
    let (master, url) = FakeMaster::start().await;
    (0..=9).for_each(|height| master.put_block(1, height));
    master.put_config(1, 9);
    let followed = follow_with(&url, 4, false);
    let good = view_where(&followed.client, |view| view.blocks.len() == 4).await;
    for wrong in [r#"{"tipHash":"abc"}"#, "", "[", "null"] {
        master.put("config.json", wrong);
        let before = master.asked("config.json");
        while master.asked("config.json") < before + 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!followed.health.is_ready(), "{wrong}");
        assert_eq!(followed.client.view().borrow().as_ref(), Some(&good), "{wrong}");
    }
    master.put_config(1, 8);
    view_where(&followed.client, |view| view.config.current_height == Height(9)).await;
    while !followed.health.is_ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_block_info_about_another_block_is_not_believed() {
    let (master, url) = FakeMaster::start().await;
    master.put_block(1, 9);
    master.put(&BlockInfo::file_name(&hash(1, 8)), block(2, 8).to_json());
    master.put_config(1, 9);
    let followed = follow_with(&url, 4, false);
    assert_eq!(view_where(&followed.client, |_| true).await.blocks.len(), 1);
}

#[tokio::test]
async fn stale_work_is_not_published() {
    let (master, url) = FakeMaster::start().await;
    master.put_block(1, 9);
    master.put("work_10.bin", work_on(2, 9).to_bytes());
    master.put_config(1, 9);
    let followed = follow_with(&url, 1, true);
    assert_eq!(view_where(&followed.client, |view| view.blocks.len() == 1).await.work, None);
    master.put("work_10.bin", work_on(1, 9).to_bytes());
    view_where(&followed.client, |view| view.work.is_some()).await;
}

#[tokio::test]
async fn w7_new_work_is_noticed_by_the_long_poll_and_not_by_the_next_look() {
    let (master, url) = FakeMaster::start().await;
    (0..=10).for_each(|height| master.put_block(1, height));
    master.put_config(1, 9);
    let config =
        MasterClientConfig { poll_time: Duration::from_hours(1), ..MasterClientConfig::new(&url, 2, false) };
    let (health, shutdown) = (Health::starting("ann_handler", "a"), CancellationToken::new());
    // The work is there before it is waited for: the answer comes at once, as that of a long poll does later.
    master.put("work_11.bin", work_on(1, 10).to_bytes());
    let (http, mut parts) = (http_client::client().unwrap(), Parts::until(&shutdown));
    let client = MasterClient::start(config, http, &health, &Metrics::new(), &mut parts);
    view_where(&client, |view| view.config.current_height == Height(10)).await;
    master.put_config(1, 10);
    view_where(&client, |view| view.config.current_height == Height(11)).await;
    shutdown.cancel();
}
