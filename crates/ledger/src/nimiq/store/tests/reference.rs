//! The reference's tables: what is exported and imported again owes every miner the same; and an import is where a book
//! begins, once.

use nimiq::Height;

use super::on_both_stores;
use super::payouts::pay_all;
use super::stand::{Stand, address, foreign, hash, ours};
use crate::nimiq::audit::audit;
use crate::nimiq::payout_state::PayoutTurn;
use crate::nimiq::reference_tables::opening::{Openings, openings};
use crate::nimiq::reference_tables::{Version, dump};
use crate::nimiq::{AccountsError, Import};

on_both_stores!(
    exported_and_imported_again_all_are_owed_the_same,
    a_dump_is_imported_once_and_only_where_a_book_begins,
    what_was_imported_is_paid_like_what_was_earned,
    an_import_that_was_tampered_with_is_found,
);

const VERSIONS: [Version; 2] = [Version::V1_0, Version::V1_1];

/// What a script of these accounts owes.
async fn exported(stand: &Stand, version: Version) -> (dump::Dump, Openings) {
    let script = stand.accounts.export_reference(version, Vec::new()).await.unwrap();
    let dump = dump::read(script.as_slice()).unwrap();
    let openings = openings(&dump.tables).unwrap();
    (dump, openings)
}

/// A pool that has seen everything: two blocks settled, one orphaned, payouts in several states, a request.
async fn lived(stand: &mut Stand) {
    stand.earn().await;
    stand.bury(102, 111).await;
    let ids = pay_all(stand, 111).await;
    for turn in [PayoutTurn::Send, PayoutTurn::Mine { height: Height(112) }] {
        stand.accounts.turn_payout(&stand.payout, ids[0], turn, 10, stand.time()).await.unwrap();
    }
    let expired = PayoutTurn::Expire { head: Height(111 + 120 + 10) };
    stand.accounts.turn_payout(&stand.payout, ids[1], expired, 10, stand.time()).await.unwrap();
    for (height, user) in [(112, 2), (113, 3)] {
        stand.work(&[user, 3], hash(0, height - 1)).await;
        stand.find(user, 0, height).await;
        stand.follow(vec![], vec![ours(0, height)]).await;
        assert_eq!(stand.settle().await.len(), 1);
    }
    stand.follow(vec![hash(0, 113)], vec![foreign(1, 113)]).await;
    stand.accounts.request_payout(address(3), 1, b"proof", stand.time()).await.unwrap();
    stand.assert_sound().await;
}

async fn exported_and_imported_again_all_are_owed_the_same(mut stand: Stand) {
    lived(&mut stand).await;
    for version in VERSIONS {
        let (dump, openings) = exported(&stand, version).await;
        assert_eq!(openings.requests, 1);
        let other = Stand::sqlite().await;
        let imported = other.accounts.import(dump.hash, &openings, other.time()).await.unwrap();
        assert_eq!(imported, Import::Booked);
        other.assert_sound().await;
        for user in 1..=4 {
            let owed = stand.balance(user).await.0;
            assert_eq!(other.balance(user).await, (owed, owed), "user {user}");
        }
        // What a book began with is exported too.
        let (_, again) = exported(&other, version).await;
        assert_eq!(again.balances, openings.balances);
    }
}

async fn a_dump_is_imported_once_and_only_where_a_book_begins(mut stand: Stand) {
    let mut openings = Openings::default();
    openings.balances.extend([(address(1), 500), (address(2), -20), (address(3), 0)]);
    let now = stand.time();
    assert_eq!(stand.accounts.import([1; 32], &openings, now).await.unwrap(), Import::Booked);
    assert_eq!(stand.accounts.import([1; 32], &openings, now).await.unwrap(), Import::KnownBefore);
    let other = stand.accounts.import([2; 32], &openings, now).await.unwrap_err();
    assert!(matches!(other, AccountsError::NotEmpty("entries of the book")), "{other}");
    assert_eq!([stand.balance(1).await.0, stand.balance(2).await.0, stand.balance(3).await.0], [500, -20, 0]);
    assert_eq!(stand.accounts.totals().await.unwrap()["import"], -480);
    stand.earn().await;
    assert_eq!(stand.accounts.import([1; 32], &openings, now).await.unwrap(), Import::KnownBefore);
    stand.assert_sound().await;

    let mut worked = Stand::sqlite().await;
    worked.work(&[1], hash(0, 100)).await;
    let refused = worked.accounts.import([1; 32], &openings, now).await.unwrap_err();
    assert!(matches!(refused, AccountsError::NotEmpty("shares")), "{refused}");
    assert_eq!(worked.balance(1).await, (0, 0));
}

async fn what_was_imported_is_paid_like_what_was_earned(mut stand: Stand) {
    let mut openings = Openings::default();
    openings.balances.insert(address(1), 6_000_000);
    stand.accounts.import([1; 32], &openings, stand.time()).await.unwrap();
    stand.follow(vec![], vec![foreign(0, 100)]).await;
    assert_eq!(pay_all(&stand, 100).await.len(), 1);
    assert_eq!(stand.balance(1).await, (0, 0));
    stand.assert_sound().await;
}

async fn an_import_that_was_tampered_with_is_found(mut stand: Stand) {
    let mut openings = Openings::default();
    openings.balances.insert(address(1), 5);
    stand.earn().await;
    sqlx::query("INSERT INTO imports (hash, entry, at_ms) VALUES ($1, 1, 0)")
        .bind(vec![1u8; 32])
        .execute(&stand.accounts.writer)
        .await
        .unwrap();
    let findings = audit(&stand.accounts).await.unwrap().findings;
    assert_eq!(findings, ["entries [] are imports, dumps are known for [1]"]);
}
