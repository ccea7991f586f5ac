//! The client of a pool's nodes against dev chains, over real sockets: calls, fail-over, tips, logins, TLS.

#![allow(clippy::unwrap_used, reason = "a test may end when its stage cannot be set")]

mod support;

use std::time::Duration;

use node::{
    Credentials, NodeAddress, NodeError, PktdClient, PktdConfig, TlsTrust,
    dev_chain::rules::ChainRules,
    json_rpc::ConfigFault,
    pktd::{ShareToCheck, SubmitOutcome},
};
use packetcrypt::{BlockHash, CompactTarget, Height};
use wire::{Decimal, PktAddress};

use support::{ChainServer, PATIENCE, client_of, tip_at};

fn address(text: &str) -> PktAddress {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_template_is_the_next_block_and_fits_together() {
    let server = ChainServer::start().await;
    let client = client_of(&[&server]);
    server.chain.extend(4).unwrap();
    let template = client.raw_block_template().await.unwrap();
    assert_eq!(template.height, Height(5));
    assert_eq!(template.header.previous, server.chain.tip().hash);
}

#[tokio::test]
async fn blocks_and_headers_are_read() {
    let server = ChainServer::start().await;
    let client = client_of(&[&server]);
    server.chain.extend(2).unwrap();
    let tip = client.best_block().await.unwrap();
    assert_eq!(tip, server.chain.tip());
    assert_eq!(client.best_block_hash().await, Ok(tip.hash));
    assert_eq!(client.block_hash(Height(2)).await, Ok(tip.hash));
    let header = client.block_header(&tip.hash).await.unwrap();
    assert_eq!((header.header.height, header.confirmations, header.next), (Height(2), 1, None));
    let before = client.block_header(&header.header.previous_block_hash).await.unwrap();
    assert_eq!((before.confirmations, before.next), (2, Some(tip.hash)));
    let block = client.block(&tip.hash).await.unwrap();
    // 1f0fffff / 207fffff, rounded to eight decimals.
    assert_eq!((block.height, block.difficulty), (2, "0.00048828".parse::<Decimal>().unwrap()));
    let missing = client.block_hash(Height(9)).await;
    assert!(matches!(missing, Err(NodeError::Rpc { code: Some(-8), .. })), "{missing:?}");
}

#[tokio::test]
async fn an_abandoned_or_unknown_block_is_not_in_the_main_chain() {
    let server = ChainServer::start().await;
    let client = client_of(&[&server]);
    server.chain.extend(2).unwrap();
    let abandoned = server.chain.tip().hash;
    assert_eq!(client.is_in_main_chain(&abandoned).await, Ok(true));
    server.chain.reorganise(1).unwrap();
    assert_eq!(client.is_in_main_chain(&abandoned).await, Ok(false));
    assert_eq!(client.is_in_main_chain(&BlockHash::default()).await, Ok(false));
}

#[tokio::test]
async fn a_block_that_is_none_and_a_share_that_is_none_are_refused() {
    let server = ChainServer::start().await;
    let client = client_of(&[&server]);
    let submitted = client.submit_block(&[0; 80]).await;
    assert!(matches!(submitted, Err(NodeError::Rpc { code: Some(-22), .. })), "{submitted:?}");
    let share = ShareToCheck {
        share_target: CompactTarget::EASIEST,
        height: Height(1),
        header_and_proof: vec![0; 80],
        coinbase: vec![],
        merkle_branch: vec![[0; 32]],
    };
    let checked = client.check_share(&share).await;
    assert!(matches!(checked, Err(NodeError::Rpc { code: Some(-22), .. })), "{checked:?}");
}

#[tokio::test]
async fn a_real_block_is_accepted_once() {
    let server = ChainServer::with_rules(ChainRules::public_with_period(20)).await;
    let client = client_of(&[&server]);
    let recorded: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/blocks-real/gates-open-1.json")).unwrap();
    let block = hex::decode(recorded["block"].as_str().unwrap()).unwrap();
    assert_eq!(client.submit_block(&block).await, Ok(SubmitOutcome::Accepted));
    assert_eq!(client.submit_block(&block).await, Ok(SubmitOutcome::AlreadyKnown));
    let mut altered = block;
    altered[76] ^= 1;
    let refused = client.submit_block(&altered).await;
    assert!(
        matches!(&refused, Ok(SubmitOutcome::Rejected(why)) if why.contains("ErrBadPow") && !why.contains('\n')),
        "{refused:?}"
    );
}

#[tokio::test]
async fn r_p18_payouts_reach_every_node_and_again_one_that_was_away() {
    let (first, second) = (ChainServer::start().await, ChainServer::start().await);
    let client = client_of(&[&first, &second]);
    tip_at(&client, 0).await;
    let payee = address("pkt1qx75waswwr9586ye0u2g9rh9x98gkfckye4h5gc");
    client.configure_mining_payouts(&[(payee, "0.25".parse().unwrap())]).await.unwrap();
    second.until_it_pays(&payee).await;
    assert_eq!(client.mining_payouts().await.unwrap()[0].address, payee.to_string());
    // A restarted node has forgotten.
    let second = second.restarted().await;
    assert!(!second.pays(&payee));
    second.until_it_pays(&payee).await;
    first.until_it_pays(&payee).await;
}

#[tokio::test]
async fn w7_a_new_block_is_noticed_by_notification_alone_and_by_polling_alone() {
    for websocket in [true, false] {
        let server = ChainServer::start().await;
        let mut config = PktdConfig::new(vec![server.address()]);
        config.watch.websocket = websocket;
        // With a websocket no poll comes in time; without one it must.
        config.watch.poll_interval = Some(if websocket { PATIENCE * 10 } else { Duration::from_millis(20) });
        let client = PktdClient::connect(config).unwrap();
        tip_at(&client, 0).await;
        if websocket {
            server.until_somebody_listens().await;
        }
        server.chain.extend(1).unwrap();
        assert_eq!(tip_at(&client, 1).await, server.chain.tip());
        server.chain.reorganise(1).unwrap();
        assert_eq!(tip_at(&client, 2).await, server.chain.tip());
    }
}

#[tokio::test]
async fn a_hook_makes_it_look_at_once() {
    let server = ChainServer::start().await;
    let mut config = PktdConfig::new(vec![server.address()]);
    config.watch.websocket = false;
    config.watch.poll_interval = Some(PATIENCE * 10);
    let client = PktdClient::connect(config).unwrap();
    tip_at(&client, 0).await;
    server.chain.extend(1).unwrap();
    client.look_for_block();
    tip_at(&client, 1).await;
}

#[tokio::test]
async fn p10_when_a_node_dies_the_other_one_goes_on() {
    let (first, second) = (ChainServer::start().await, ChainServer::start().await);
    second.chain.extend(3).unwrap();
    first.chain.extend(3).unwrap();
    let client = client_of(&[&first, &second]);
    tip_at(&client, 3).await;
    first.stop().await;
    // The very next call is answered, by the other node.
    let template = client.raw_block_template().await.unwrap();
    assert_eq!(template.header.previous, second.chain.tip().hash);
    second.chain.extend(1).unwrap();
    assert_eq!(tip_at(&client, 4).await, second.chain.tip());
    assert!(client.health().is_usable());
}

#[tokio::test]
async fn p10_a_node_that_hangs_is_left_while_a_call_is_under_way() {
    let (first, second) = (ChainServer::start().await, ChainServer::start().await);
    let mut config = PktdConfig::new(vec![first.address(), second.address()]);
    config.watch.poll_timeout = Duration::from_millis(100);
    config.watch.poll_interval = Some(Duration::from_millis(20));
    // Far longer than the test may take: only fail-over can answer.
    config.work_time = PATIENCE * 10;
    let client = PktdClient::connect(config).unwrap();
    tip_at(&client, 0).await;
    first.chain.faults().stall(PATIENCE * 10);
    second.chain.extend(1).unwrap();
    let mut template = client.raw_block_template().await.unwrap();
    // The first answer may still be the first node's, if it was active and quick.
    while template.height != Height(2) {
        template = client.raw_block_template().await.unwrap();
    }
    assert_eq!(tip_at(&client, 1).await, second.chain.tip());
}

#[tokio::test]
async fn p10_a_node_whose_tip_stands_still_while_another_advances_is_abandoned() {
    let (still, moving) = (ChainServer::start().await, ChainServer::start().await);
    let mut config = PktdConfig::new(vec![still.address(), moving.address()]);
    config.watch.poll_interval = Some(Duration::from_millis(20));
    config.watch.stall_after = Duration::from_millis(100);
    let client = PktdClient::connect(config).unwrap();
    moving.chain.extend(5).unwrap();
    assert_eq!(tip_at(&client, 5).await, moving.chain.tip());
    assert_eq!(client.raw_block_template().await.unwrap().height, Height(6));
    // The other one may have been chosen because it was the first to answer at all.
    let noticed = async {
        while !client.health().nodes[0].stalled {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.expect("that it stands still is never noticed");
}

#[tokio::test]
async fn a_busy_node_is_asked_again() {
    let server = ChainServer::start().await;
    let client = client_of(&[&server]);
    server.chain.faults().refuse(Duration::from_millis(60));
    // Whichever comes first, the call succeeds in the end.
    while client.best_block().await == Err(NodeError::TooBusy) {}
    assert_eq!(client.best_block().await, Ok(server.chain.tip()));
}

#[tokio::test]
async fn a_wrong_password_is_named_and_a_cookie_file_opens() {
    let server = ChainServer::start().await;
    let wrong = NodeAddress::new(server.address().url, "x", "wrong");
    let client = PktdClient::connect(PktdConfig::new(vec![wrong])).unwrap();
    assert!(matches!(client.best_block().await, Err(NodeError::Unauthorized { .. })));
    assert!(matches!(client.health().nodes[0].fault, Some(NodeError::Unauthorized { .. })));

    let folder = tempfile::tempdir().unwrap();
    let cookie = folder.path().join(".cookie");
    let by_cookie = NodeAddress { credentials: Credentials::CookieFile(cookie.clone()), ..server.address() };
    let client = PktdClient::connect(PktdConfig::new(vec![by_cookie])).unwrap();
    let missing = client.best_block().await.unwrap_err();
    assert!(missing.to_string().contains(".cookie"), "{missing}");
    std::fs::write(&cookie, "x:y\n").unwrap();
    assert_eq!(client.best_block().await, Ok(server.chain.tip()));
}

#[tokio::test]
async fn nobody_there_is_an_unreachable_node() {
    let server = ChainServer::start().await;
    let address = server.address();
    server.stop().await;
    let client = PktdClient::connect(PktdConfig::new(vec![address])).unwrap();
    assert!(matches!(client.best_block().await, Err(NodeError::Unreachable { .. })));
    assert!(!client.health().is_usable());
    let none = PktdClient::connect(PktdConfig::new(vec![]));
    assert!(matches!(none, Err(ConfigFault::NoNodes)));
}

#[tokio::test]
async fn a_self_signed_certificate_is_believed_from_its_file_and_not_otherwise() {
    let (server, own) = (ChainServer::start().await, support::SelfSigned::new());
    let tls = own.in_front_of(&server).await;
    let trusting = NodeAddress { url: tls.clone(), trust: own.trust(), ..server.address() };
    let mut config = PktdConfig::new(vec![trusting]);
    config.watch.poll_interval = Some(PATIENCE * 10);
    let client = PktdClient::connect(config).unwrap();
    assert_eq!(client.best_block().await, Ok(server.chain.tip()));
    // The websocket believes it, too: only it can tell of this block in time.
    server.until_somebody_listens().await;
    server.chain.extend(1).unwrap();
    tip_at(&client, 1).await;

    for trust in [TlsTrust::PublicAuthorities, support::SelfSigned::new().trust()] {
        let doubting = NodeAddress { url: tls.clone(), trust, ..server.address() };
        let client = PktdClient::connect(PktdConfig::new(vec![doubting])).unwrap();
        assert!(matches!(client.best_block().await, Err(NodeError::Unreachable { .. })));
    }
}

#[tokio::test]
async fn a_certificate_file_that_is_none_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rpc.cert");
    for content in ["", "not a certificate"] {
        std::fs::write(&file, content).unwrap();
        let trust = TlsTrust::CertificateFile(file.clone());
        let address = NodeAddress { trust, ..NodeAddress::new("https://localhost:1", "x", "y") };
        let refused = PktdClient::connect(PktdConfig::new(vec![address]));
        assert!(matches!(refused, Err(ConfigFault::Trust(_))));
    }
}
