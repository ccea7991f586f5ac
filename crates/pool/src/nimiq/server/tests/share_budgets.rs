//! Many connections of one address: they share what the address is granted, and no good share is lost by that.

use std::sync::Arc;
use std::time::Duration;

use nimiq::{CompactTarget, Decimal, Difficulty};
use wire::nimiq::Mode;

use super::stand::{Miner, Server, Stand};
use crate::admission::{Admission, AdmissionConfig};
use crate::listener::Client;
use crate::metrics::Metrics;
use crate::nimiq::server::AdmissionLimits;

fn compact(difficulty: f64) -> CompactTarget {
    Decimal::from_f64(difficulty).and_then(Difficulty::new).and_then(Difficulty::compact).unwrap()
}

fn told(miner: &Miner) -> CompactTarget {
    miner.settings.as_ref().unwrap().target_compact
}

async fn register(server: &Server, from: &str) -> Miner {
    let mut miner = Miner::try_connect(server, from, None).await.unwrap();
    miner.send_register(Mode::Nano).await;
    miner
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_of_one_address_are_asked_for_fewer_shares_each() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    // What two connections send usually.
    config.limits = AdmissionLimits { shares_per_second: 0.4, ..AdmissionLimits::default() };
    let server = stand.start_with(config, None).await;
    let mut first = register(&server, "192.0.2.1").await;
    let second = register(&server, "192.0.2.1").await;
    assert_eq!([told(&first), told(&second)], [compact(0.002); 2], "few connections send what is usual");
    let before = first.mine(&stand.chain, 0);
    let _third = register(&server, "192.0.2.1").await;
    let fourth = register(&server, "192.0.2.1").await;
    assert_eq!(told(&fourth), compact(0.004), "the fourth starts with its part");
    first.hear_until(|miner| told(miner) == compact(0.004)).await;
    for other in ["192.0.2.2", "198.51.100.1", "10.0.0.1"] {
        assert_eq!(told(&register(&server, other).await), compact(0.002), "{other}");
    }
    // What was mined for the easier target is credited all the same.
    first.share(before).await;
    stand.credited(1).await;
    drop(fourth);
    assert_eq!(first.errors, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_have_no_budget() {
    let stand = Stand::new().await;
    let mut config = stand.config("main");
    config.limits = AdmissionLimits { shares_per_second: 0.001, ..AdmissionLimits::default() };
    let server = stand.start_with(config, None).await;
    let mut miners = Vec::new();
    for number in 0..4 {
        let mut miner = register(&server, "10.0.0.1").await;
        assert_eq!(told(&miner), compact(0.002));
        let share = miner.mine(&stand.chain, number << 20);
        miner.share(share).await;
        miners.push(miner);
    }
    stand.credited(4).await;
    assert_eq!(server.figure(PRICED), 0);
}

const PRICED: &str = r#"headframe_nimiq_shares_priced_total{role="nimiq_server",name="main"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn shares_beyond_the_budget_are_paid_for_and_refused_only_far_beyond() {
    let stand = Stand::new().await;
    // Room for a connection and two shares beyond the budget; then a share each second.
    let admission =
        AdmissionConfig { processor: 0.000_1, processor_at_once: 0.000_5, ..AdmissionConfig::default() };
    let admission = Arc::new(Admission::new(admission, &Metrics::new()));
    let mut config = stand.config("main");
    config.admission = Arc::clone(&admission);
    config.limits = AdmissionLimits { shares_per_second: 0.001, ..AdmissionLimits::default() };
    let server = stand.start_with(config, None).await;
    let mut miner = register(&server, "192.0.2.1").await;
    let shares: Vec<_> = (0..6).map(|number| miner.mine(&stand.chain, number << 20)).collect();
    // The first is within the budget; the last of them have to wait until the address may spend again.
    for share in &shares[..5] {
        miner.share(share.clone()).await;
    }
    stand.credited(5).await;
    assert_eq!(server.figure(PRICED), 4);
    assert_eq!(miner.errors, Vec::<String>::new());
    // As after a flood of another connection.
    admission.pay(Client { address: "192.0.2.1".parse().unwrap(), exempt: false }, Duration::from_mins(1));
    miner.share(shares[5].clone()).await;
    assert_eq!(miner.hear_error().await, "too many shares from this address");
    assert_eq!(server.refusals("too_many_shares"), 1);
    let mut other = register(&server, "198.51.100.1").await;
    let share = other.mine(&stand.chain, 7 << 20);
    other.share(share).await;
    stand.credited(6).await;
    server.stop().await;
}
