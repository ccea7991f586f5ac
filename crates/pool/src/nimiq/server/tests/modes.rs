//! Clients of every mode: what they are told, that their shares are credited, that their blocks reach the chain.

use ledger::nimiq::UserId;
use nimiq::share::SmartShare;
use nimiq::{Address, ExtraData, Height, Luna, PrivateKey};
use node::NimiqDevChain;
use wire::nimiq::{ClientMessage, Mode, NewBlock, PayoutProof, PayoutThreshold, Share};

use super::stand::{Miner, Stand, mined};
use crate::nimiq::server::clock;

#[tokio::test(flavor = "multi_thread")]
async fn shares_of_every_mode_are_credited() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    for (number, mode) in Mode::ALL.into_iter().enumerate() {
        let mut miner = Miner::register(&server, mode).await;
        assert_eq!(miner.settings.as_ref().unwrap().address, Stand::pool());
        assert_eq!(miner.balance.unwrap().balance, Luna(0));
        let share = miner.mine(&stand.chain, 0);
        miner.share(share).await;
        stand.credited(number + 1).await;
        let metric = format!(
            r#"headframe_nimiq_shares_accepted_total{{role="nimiq_server",name="main",mode="{mode}"}}"#
        );
        assert_eq!(server.figure(&metric), 1, "{}", server.metrics.text());
        assert_eq!(miner.errors, Vec::<String>::new());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_it_is_the_same_and_a_browser_gets_a_few_words() {
    let stand = Stand::new().await;
    let (tls, connector) = stand.tls();
    let server = stand.start_with(stand.config("main"), Some(tls)).await;
    let mut miner = Miner::try_connect(&server, "127.0.0.1", Some(connector)).await.unwrap();
    miner.send_register(Mode::Nano).await;
    let share = miner.mine(&stand.chain, 0);
    miner.share(share).await;
    stand.credited(1).await;
    let pem = std::fs::read(stand.path().join("certificate.pem")).unwrap();
    let browser = reqwest::Client::builder()
        .tls_certs_merge([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap();
    let answer = browser.get(format!("https://{}/anything", server.address)).send().await.unwrap();
    assert!(answer.status().is_success());
    assert!(answer.text().await.unwrap().starts_with("Nimiq Pool Server"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_head_is_told_and_shares_on_the_old_one_are_expired_but_no_error() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut nano = Miner::register(&server, Mode::Nano).await;
    let mut smart = Miner::register(&server, Mode::Smart).await;
    let late = [nano.mine(&stand.chain, 0), smart.mine(&stand.chain, 0)];
    stand.chain.extend(Stand::pool(), 1).unwrap();
    let head = stand.chain.head().hash;
    nano.hear_until(|miner| match &miner.new_block {
        Some(NewBlock::Nano(block)) => block.previous.header.hash() == head,
        _ => false,
    })
    .await;
    for (miner, share) in [&mut nano, &mut smart].into_iter().zip(late) {
        // More often than errors are allowed.
        for _ in 0..8 {
            miner.share(share.clone()).await;
            assert_eq!(miner.hear_error().await, "share expired");
        }
        let share = miner.mine(&stand.chain, 0);
        miner.share(share).await;
    }
    stand.credited(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_on_a_head_that_the_server_has_not_noticed_waits_for_it() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    config.follow.poll = std::time::Duration::from_millis(700);
    let server = stand.start_with(config, None).await;
    let mut smart = Miner::register(&server, Mode::Smart).await;
    stand.chain.extend(Stand::pool(), 1).unwrap();
    let share = smart.mine(&stand.chain, 0);
    smart.share(share).await;
    stand.credited(1).await;
    assert_eq!(smart.errors, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hears_of_a_block_before_the_node_does_is_not_punished() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    config.times.unknown_head = std::time::Duration::from_secs(30);
    let server = stand.start_with(config, None).await;
    let mut smart = Miner::register(&server, Mode::Smart).await;
    // The network as the client sees it.
    let ahead = NimiqDevChain::open(&stand.path().join("ahead")).unwrap();
    let Share::Smart(found) = smart.mine_block(&ahead) else { panic!("a smart share") };
    let block = found.block.expect("the block, whole");
    ahead.submit(&block).unwrap();
    let share = smart.mine(&ahead, 0);
    smart.share(share).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    stand.chain.submit(&block).unwrap();
    stand.credited(1).await;
    assert_eq!(smart.errors, Vec::<String>::new());
    server.stop().await;
}

/// A natural fork: the client's block has lost, and the client goes on with it until the next block comes.
#[tokio::test(flavor = "multi_thread")]
async fn shares_on_a_block_that_has_lost_are_late_and_no_errors() {
    let stand = Stand::new().await;
    let fork = NimiqDevChain::open(&stand.path().join("fork")).unwrap();
    let template = fork.template(Stand::pool(), ExtraData::cut(b""));
    let target = template.next.target.target();
    let header = mined(template.block(clock::timestamp(), 0).header, 0, |proof| target.is_met_by(proof));
    let block = template.block(header.timestamp, header.nonce).to_bytes();
    for chain in [&fork, &stand.chain] {
        chain.submit(&block).unwrap();
    }
    stand.chain.reorganise(Address([8; 20]), 1).unwrap();
    let config = stand.config("main");
    let many = config.terms.allowed_errors + 10;
    let server = stand.start_with(config, None).await;
    let mut smart = Miner::register(&server, Mode::Smart).await;
    for number in 0..many {
        let share = smart.mine(&fork, number * 100_000);
        smart.share(share).await;
    }
    for _ in 0..many {
        assert_eq!(smart.hear_error().await, "share expired");
    }
    let share = smart.mine(&stand.chain, 0);
    smart.share(share).await;
    stand.credited(1).await;
    assert_eq!(smart.errors.len(), many as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_every_mode_reach_the_chain_and_count_as_shares() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    for mode in Mode::ALL {
        let before = stand.chain.head();
        server.works_on(before.height).await;
        let mut miner = Miner::register(&server, mode).await;
        let share = miner.mine_block(&stand.chain);
        miner.share(share).await;
        server.works_on(Height(before.height.0 + 1)).await;
        stand.credited_on(before.hash, 1).await;
    }
    let reward = stand.chain.balance(&Stand::pool());
    assert!(reward > Luna(0), "blocks pay the pool");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_comes_without_its_body_counts_as_a_share_and_raises_an_alarm() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    let Share::Smart(share) = miner.mine_block(&stand.chain) else { panic!("a smart share") };
    miner.share(Share::Smart(SmartShare { block: None, ..share })).await;
    stand.credited(1).await;
    assert_eq!(server.figure(&named("block_without_body")), 1);
    assert_eq!(server.figure(&named("blocks_found")), 0);
    assert_eq!(miner.errors, Vec::<String>::new());
}

/// A natural race: another block has won, and the server has not heard of it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_has_lost_counts_as_a_share_and_as_a_loss() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    config.follow.poll = std::time::Duration::from_secs(3600);
    let server = stand.start_with(config, None).await;
    let mut miner = Miner::register(&server, Mode::Nano).await;
    let (head, share) = (stand.chain.head().hash, miner.mine_block(&stand.chain));
    stand.chain.extend(Address([8; 20]), 1).unwrap();
    miner.share(share).await;
    stand.credited_on(head, 1).await;
    server.has_counted(&named("blocks_lost")).await;
    assert_eq!(server.figure(&named("blocks_found")), 1);
    assert_eq!(server.figure(&named("blocks_accepted")), 0);
    assert_eq!(miner.errors, Vec::<String>::new());
}

/// A counter of the server as it is exposed.
fn named(counter: &str) -> String {
    format!(r#"headframe_nimiq_{counter}_total{{role="nimiq_server",name="main"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_difficulty_follows_the_shares_and_a_ping_comes() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    assert!(miner.ping_seen().await);
    let first = miner.settings.clone().unwrap().target_compact;
    let mut nonce = 0;
    while miner.settings.as_ref().unwrap().target_compact == first {
        let share = miner.mine(&stand.chain, nonce);
        nonce += 100_000;
        miner.share(share).await;
        // A question whose answer shows that the share has been dealt with.
        miner.say(&ClientMessage::Register(miner.registration(Mode::Smart))).await;
        miner.hear_error().await;
    }
    let harder = miner.settings.clone().unwrap().target_compact;
    assert!(harder.target() < first.target());
    assert!(miner.errors.iter().all(|error| error == "already registered"), "{:?}", miner.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_payout_request_is_stored_once() {
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    let key = PrivateKey::new(&[11; 32]);
    let nonce = miner.settings.as_ref().unwrap().nonce;
    miner.request_payout(&key).await;
    miner.hear_until(|miner| miner.settings.as_ref().unwrap().nonce != nonce).await;
    miner.hear_until(|miner| miner.balance.unwrap().payout_request_active).await;
    assert_eq!(stand.accounts.payout_requests().await.unwrap(), [UserId(1)]);
    miner.request_payout(&key).await;
    let nonce = miner.settings.as_ref().unwrap().nonce;
    miner.hear_until(|miner| miner.settings.as_ref().unwrap().nonce != nonce).await;
    assert_eq!(stand.accounts.payout_requests().await.unwrap().len(), 1);
    // The stock client's request has no proof.
    miner.send(r#"{"message":"payout"}"#).await;
    assert_eq!(miner.hear_error().await, "payout request requires a signature proof");
    // Somebody else's signature.
    miner.request_payout(&PrivateKey::new(&[12; 32])).await;
    assert_eq!(miner.hear_error().await, "invalid payout proof");
    miner.hear_the_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_chooses_its_threshold_with_a_signature_and_within_the_limits() {
    const NIM: u64 = Luna::PER_NIM;
    let stand = Stand::new().await;
    let server = stand.start().await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    let key = PrivateKey::new(&[11; 32]);
    let in_force = |miner: &Miner| miner.balance.unwrap().payout_threshold;
    assert_eq!(in_force(&miner), Some(Luna(50 * NIM)), "the pool's own");
    for chosen in [20 * NIM, 10_000 * NIM, 10 * NIM, 0] {
        let nonce = miner.settings.as_ref().unwrap().nonce;
        miner.choose_threshold(Luna(chosen), &key).await;
        miner.hear_until(|miner| miner.settings.as_ref().unwrap().nonce != nonce).await;
        let expected = if chosen == 0 { 50 * NIM } else { chosen };
        miner.hear_until(|miner| in_force(miner) == Some(Luna(expected))).await;
    }
    let nonce = miner.settings.as_ref().unwrap().nonce;
    for chosen in [1, 10 * NIM - 1, 10_000 * NIM + 1, u64::MAX] {
        miner.choose_threshold(Luna(chosen), &key).await;
        assert_eq!(miner.hear_error().await, "payout threshold out of range");
    }
    miner.send(r#"{"message":"payout-threshold","threshold":2000000}"#).await;
    assert_eq!(miner.hear_error().await, "payout threshold requires a signature proof");
    assert_eq!(miner.settings.as_ref().unwrap().nonce, nonce, "nothing of that is an order");
    // It is in force for the next connection, too, and no signature of anybody else changes it.
    miner.choose_threshold(Luna(20 * NIM), &key).await;
    miner.hear_until(|miner| in_force(miner) == Some(Luna(20 * NIM))).await;
    let mut again = Miner::register(&server, Mode::Nano).await;
    assert_eq!(in_force(&again), Some(Luna(20 * NIM)));
    again.choose_threshold(Luna(30 * NIM), &PrivateKey::new(&[12; 32])).await;
    assert_eq!(again.hear_error().await, "invalid payout proof");
    again.hear_the_end().await;
    // Nor a good signature for another amount.
    let mut again = Miner::register(&server, Mode::Nano).await;
    let nonce = again.settings.as_ref().unwrap().nonce.unwrap();
    let proof = PayoutProof::Bytes(nonce.sign_threshold(Luna(30 * NIM), &key).to_bytes());
    let forged = PayoutThreshold { threshold: Luna(31 * NIM), proof };
    again.say(&ClientMessage::Threshold(forged)).await;
    assert_eq!(again.hear_error().await, "invalid payout proof");
    again.hear_the_end().await;
    let view = stand.accounts.balance(key.public_key().address()).await.unwrap();
    assert_eq!(view.chosen_threshold, Some(Luna(20 * NIM)));
}
