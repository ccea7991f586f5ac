//! Old shares become sums, and nothing that a window needs is among them.

use std::num::NonZeroU64;

use sqlx::Row;

use super::on_both_stores;
use super::stand::{Stand, WEIGHT, address, foreign, hash, ours};
use crate::nimiq::store::{RequestOutcome, RetentionRule};
use crate::nimiq::window::WindowRule;

on_both_stores!(
    old_shares_become_sums_and_windows_stay,
    nonces_are_forgotten_when_no_session_can_use_them_any_more,
);

async fn old_shares_become_sums_and_windows_stay(mut stand: Stand) {
    stand.rules.window = WindowRule::Shares(NonZeroU64::new(100).unwrap());
    stand.follow(vec![], vec![foreign(0, 100)]).await;
    for _ in 0..50 {
        stand.work(&[1, 2, 2, 3, 3, 3, 1, 2, 1, 1], hash(0, 100)).await;
    }
    stand.find(1, 0, 101).await;
    stand.follow(vec![], vec![ours(0, 101)]).await;
    stand.now += 10_000;
    let compact = |shares, millis| {
        stand.accounts.compact_shares(&stand.service, RetentionRule { shares, millis }, stand.time())
    };
    // An unsettled block keeps everything, young shares are kept, and so are the newest ones.
    assert_eq!(compact(0, 0).await.unwrap().shares, 0);
    stand.accounts.settle(&stand.service, &stand.rules, stand.time()).await.unwrap();
    assert_eq!(compact(0, 20_000).await.unwrap().shares, 0);
    assert_eq!(compact(501, 5_000).await.unwrap().shares, 0);
    assert_eq!(compact(400, 5_000).await.unwrap().shares, 101);
    // The window of 100 shares ends at share 402; as much again before it stays.
    let rest = compact(0, 5_000).await.unwrap();
    assert_eq!((rest.shares, rest.more), (301 - 101, false));
    assert_eq!(compact(0, 5_000).await.unwrap().shares, 0);
    let row = sqlx::query(
        "SELECT CAST(SUM(shares) AS BIGINT), CAST(SUM(weight_low) AS BIGINT), COUNT(*) FROM share_sums",
    );
    let row = row.fetch_one(&stand.accounts.reader).await.unwrap();
    let sums: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(sums, (301, 301 * WEIGHT as i64, 3));
    stand.assert_sound().await;
    stand.work(&[2; 150], hash(0, 101)).await;
    stand.find(1, 0, 102).await;
    stand.follow(vec![], vec![ours(0, 102)]).await;
    let settled = stand.settle().await;
    assert_eq!(settled[0].window.parts.values().map(|part| part.shares).sum::<u64>(), 100);
    stand.assert_sound().await;
}

/// Even of a pool that has too few shares for any of them to become a sum.
async fn nonces_are_forgotten_when_no_session_can_use_them_any_more(mut stand: Stand) {
    const YEAR: u64 = 366 * 86_400_000;
    async fn ask(stand: &Stand) -> RequestOutcome {
        stand.accounts.request_payout(address(1), 5, b"proof", stand.time()).await.unwrap()
    }
    assert_eq!(ask(&stand).await, RequestOutcome::Stored);
    for (later, outcome) in [(YEAR, RequestOutcome::NonceUsed), (1, RequestOutcome::Stored)] {
        stand.now += later;
        let rule = RetentionRule::default();
        stand.accounts.compact_shares(&stand.service, rule, stand.time()).await.unwrap();
        assert_eq!(ask(&stand).await, outcome);
    }
}
