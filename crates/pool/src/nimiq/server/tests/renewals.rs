//! What clients are told again while the head stays: another body, another header, the balance.

use std::time::Duration;

use nimiq::transaction::Payment;
use nimiq::{Address, Header, Luna, Network, PrivateKey, Transaction};
use node::nimiq_dev_chain::mempool::Sent;
use wire::nimiq::{Mode, NewBlock};

use super::stand::{Miner, Stand};

#[tokio::test(flavor = "multi_thread")]
async fn another_body_for_the_head_is_told_and_the_one_before_still_counts() {
    let stand = Stand::new().await;
    stand.chain.extend(Stand::pool(), 1).unwrap();
    let mut config = stand.config("main");
    config.times.body = Duration::from_millis(50);
    let server = stand.start_with(config, None).await;
    let mut nano = Miner::register(&server, Mode::Nano).await;
    let before = nano.mine(&stand.chain, 0);
    let first_body = body_of(&nano);
    let payment = Payment {
        recipient: Address([5; 20]),
        value: Luna(1000),
        fee: Luna(138),
        validity_start: stand.chain.head().height,
        network: Network::Dev.id(),
    };
    let sent = stand.chain.send(Transaction::from(payment.sign(&PrivateKey::new(&[7; 32]))));
    assert_eq!(sent, Sent::Waiting);
    nano.hear_until(|miner| body_of(miner) != first_body).await;
    let after = nano.mine(&stand.chain, 0);
    for share in [after, before] {
        nano.share(share).await;
    }
    stand.credited(2).await;
    assert_eq!(nano.errors, Vec::<String>::new());
}

fn body_of(miner: &Miner) -> nimiq::BodyHash {
    match &miner.new_block {
        Some(NewBlock::Nano(block)) => block.body_hash,
        other => panic!("no work for a nano client: {other:?}"),
    }
}

/// Its time is all that can change, and all that a client has besides 2^32 nonces.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_is_replaced_before_its_nonces_run_out() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    config.times.header = Duration::from_millis(100);
    let server = stand.start_with(config, None).await;
    let mut dumb = Miner::register(&server, Mode::Dumb).await;
    let first = header_of(&dumb);
    dumb.hear_until(|miner| header_of(miner).timestamp > first.timestamp).await;
    let second = header_of(&dumb);
    assert_eq!(Header { timestamp: first.timestamp, ..second }, first);
    let share = dumb.mine(&stand.chain, 0);
    dumb.share(share).await;
    stand.credited(1).await;
    assert_eq!(dumb.errors, Vec::<String>::new());
}

#[test]
fn the_fastest_clients_do_not_run_out_of_nonces() {
    const FASTEST: f64 = 1e8;
    let times = crate::nimiq::server::Times::default();
    let longest = (times.header + times.tick).as_secs_f64();
    assert!(longest * FASTEST < f64::from(u32::MAX), "{longest} s");
}

fn header_of(miner: &Miner) -> Header {
    match &miner.new_block {
        Some(NewBlock::Dumb(header)) => *header,
        other => panic!("no header: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_balance_is_told_again_and_again() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    config.times.balance = Duration::from_millis(100);
    let server = stand.start_with(config, None).await;
    let mut miner = Miner::register(&server, Mode::Smart).await;
    for _ in 0..2 {
        miner.balance = None;
        miner.hear_until(|miner| miner.balance.is_some()).await;
    }
    assert_eq!(miner.balance.unwrap().balance, Luna(0));
}
