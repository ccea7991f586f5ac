//! Shares in: once each, in order, none lost because of its neighbour.

use nimiq::{BlockHash, ShareWeight};

use super::on_both_stores;
use super::stand::{Stand, hash};
use crate::UnixMillis;
use crate::nimiq::payout_plan::Candidate;
use crate::nimiq::store::RequestOutcome;
use crate::nimiq::{NewShare, Sequence, UserId};

on_both_stores!(
    a_batch_that_is_sent_again_counts_once,
    the_sequence_goes_on_over_batches_of_any_size,
    a_share_counts_once_in_the_whole_pool,
    one_bad_share_does_not_cost_its_neighbours,
    a_request_is_stored_and_its_nonce_used_up,
    bans_outlive_a_restart,
);

async fn a_batch_that_is_sent_again_counts_once(mut stand: Stand) {
    let shares: Vec<_> = (0..1500).map(|number| stand.share((number % 5) as u8, hash(0, 100))).collect();
    let first = stand.accounts.accept_shares(stand.server, &shares[..700]).await.unwrap();
    assert_eq!((first.credited, first.repeated), (700, 0));
    stand.restart().await;
    let second = stand.accounts.accept_shares(stand.server, &shares).await.unwrap();
    assert_eq!((second.credited, second.repeated, second.set_aside), (800, 700, vec![]));
    assert_eq!(stand.accounts.last_server_sequence(stand.server).await.unwrap(), 1500);
    assert_eq!(stand.accounts.share_hashes(hash(0, 100)).await.unwrap().len(), 1500);
    assert_eq!(stand.accounts.share_hashes(hash(0, 99)).await.unwrap(), []);
}

async fn the_sequence_goes_on_over_batches_of_any_size(mut stand: Stand) {
    let mut last = Sequence(0);
    for size in [1usize, 3, 513, 1024, 2] {
        let shares: Vec<_> = (0..size).map(|_| stand.share(1, hash(0, 100))).collect();
        stand.accounts.accept_shares(stand.server, &shares).await.unwrap();
        for share in &shares {
            let sequence = stand.accounts.sequence_of(hash(0, 100), share.hash).await.unwrap().unwrap();
            assert!(sequence > last);
            last = sequence;
        }
    }
    assert_eq!(stand.accounts.accept_shares(stand.server, &[]).await.unwrap().credited, 0);
}

async fn a_share_counts_once_in_the_whole_pool(mut stand: Stand) {
    let other = stand.accounts.server("server-2").await.unwrap();
    assert_ne!(other, stand.server);
    assert_eq!(stand.accounts.server("server-2").await.unwrap(), other);
    let share = stand.share(1, hash(0, 100));
    assert_eq!(stand.accounts.accept_shares(stand.server, &[share]).await.unwrap().credited, 1);
    let replayed = NewShare { server_sequence: 77, address: super::stand::address(2), ..share };
    let report = stand.accounts.accept_shares(other, &[replayed]).await.unwrap();
    assert_eq!((report.credited, report.repeated), (0, 1));
}

async fn one_bad_share_does_not_cost_its_neighbours(mut stand: Stand) {
    let mut shares: Vec<_> = (0..20).map(|_| stand.share(1, hash(0, 100))).collect();
    shares[7].weight = ShareWeight(0);
    shares[8].weight = ShareWeight(u64::MAX);
    shares[9].server_sequence = 3;
    for repeated in [0, 17] {
        let report = stand.accounts.accept_shares(stand.server, &shares).await.unwrap();
        assert_eq!((report.credited, report.repeated), (17 - repeated, repeated));
        let numbers: Vec<_> = report.set_aside.iter().map(|set_aside| set_aside.server_sequence).collect();
        assert_eq!(numbers, [8, 9, 3]);
        assert_eq!(report.set_aside[2].reason, "the server has given this number to another share");
    }
    let unknown = BlockHash([5; 32]);
    assert_eq!(stand.accounts.sequence_of(hash(0, 100), unknown).await.unwrap(), None);
}

async fn a_request_is_stored_and_its_nonce_used_up(stand: Stand) {
    let address = super::stand::address(3);
    let request = |nonce| stand.accounts.request_payout(address, nonce, b"proof", stand.time());
    assert_eq!(request(5).await.unwrap(), RequestOutcome::Stored);
    assert_eq!(request(5).await.unwrap(), RequestOutcome::NonceUsed);
    assert_eq!(request(6).await.unwrap(), RequestOutcome::Stored);
    assert!(stand.accounts.balance(address).await.unwrap().payout_request_active);
    assert_eq!(stand.accounts.payout_requests().await.unwrap().len(), 1);
    let candidates = stand.accounts.candidates(nimiq::Luna(0)).await.unwrap();
    assert_eq!(
        candidates,
        [Candidate { user: UserId(1), address, confirmed: 0, requested: true, chosen: None }]
    );
    // An answered request leaves its nonces used.
    stand.accounts.prepare_payouts(&stand.payout, &[], &[UserId(1)], stand.time()).await.unwrap();
    assert!(!stand.accounts.balance(address).await.unwrap().payout_request_active);
    assert_eq!(request(6).await.unwrap(), RequestOutcome::NonceUsed);
}

async fn bans_outlive_a_restart(mut stand: Stand) {
    let ban = |until| (UnixMillis(10), UnixMillis(until));
    let (since, until) = ban(1000);
    assert_eq!(stand.accounts.ban("192.0.2.1", "forged_proof", since, until).await.unwrap(), 1);
    stand.restart().await;
    let (since, until) = ban(2000);
    assert_eq!(stand.accounts.ban("192.0.2.1", "invalid_block", since, until).await.unwrap(), 2);
    let bans = stand.accounts.bans(UnixMillis(1999), 10).await.unwrap();
    assert_eq!((bans.len(), bans[0].reason.as_str(), bans[0].times), (1, "invalid_block", 2));
    assert_eq!(stand.accounts.bans(UnixMillis(2000), 10).await.unwrap(), []);
    assert!(stand.accounts.lift_ban("192.0.2.1").await.unwrap());
    assert!(!stand.accounts.lift_ban("192.0.2.1").await.unwrap());
    stand.accounts.ban("192.0.2.2", "invalid_block", since, until).await.unwrap();
    assert_eq!(stand.accounts.forget_bans(UnixMillis(2000)).await.unwrap(), 0);
    assert_eq!(stand.accounts.forget_bans(UnixMillis(2001)).await.unwrap(), 1);
}
