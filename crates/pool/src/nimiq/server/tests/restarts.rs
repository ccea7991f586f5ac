//! What a restart must not forget, and what it must not do twice.

use wire::nimiq::Mode;

use super::stand::{Miner, Stand};

#[tokio::test(flavor = "multi_thread")]
async fn a_share_counts_once_over_a_restart_and_over_servers() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    let share = miner.mine(&stand.chain, 0);
    miner.share(share.clone()).await;
    stand.credited(1).await;
    server.stop().await;
    let restarted = stand.start().await;
    let other = stand.start_with(stand.config("other"), None).await;
    for server in [&restarted, &other] {
        let mut miner = Miner::register(server, Mode::Smart).await;
        miner.share(share.clone()).await;
        // Its extra data is that of a connection which is gone.
        assert_eq!(miner.hear_error().await, "invalid share: extra data mismatch");
    }
    stand.credited(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_wait_on_disk_while_the_accounts_are_away() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    // Nothing is delivered before the stop.
    config.segment_time = std::time::Duration::from_secs(3600);
    let server = stand.start_with(config, None).await;
    let mut miner = Miner::register(&server, Mode::Nano).await;
    for nonce in [0, 1 << 20] {
        let share = miner.mine(&stand.chain, nonce);
        miner.share(share).await;
    }
    miner.send(r#"{"message":"payout"}"#).await;
    miner.hear_error().await;
    stand.credited(0).await;
    server.stop().await;
    let _restarted = stand.start().await;
    stand.credited(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_which_any_part_dies_ends_and_another_goes_on() {
    let stand = Stand::new().await;
    let first = stand.start().await;
    let parts = first.parts();
    first.stop().await;
    for part in parts {
        let server = stand.start().await;
        server.kill(part).await;
    }
    stand.start().await.kill_outbox().await;
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Nano).await;
    let share = miner.mine(&stand.chain, 0);
    miner.share(share).await;
    stand.credited(1).await;
}
