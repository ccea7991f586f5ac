//! Blocks: found, settled, mature, orphaned, and back.

use std::collections::BTreeMap;

use nimiq::{Height, Luna, ShareWeight};
use sqlx::AssertSqlSafe;

use super::on_both_stores;
use super::stand::{Stand, TOTAL, WEIGHT, address, foreign, hash, ours};
use crate::nimiq::audit::audit;
use crate::nimiq::found_block::FoundState;
use crate::nimiq::journal::{Account, Holder};
use crate::nimiq::store::{ChainUpdate, NewShare};
use crate::nimiq::window::{Span, WindowRule};
use crate::nimiq::{AccountsError, Sequence, UserId};

on_both_stores!(
    a_block_is_distributed_and_matures,
    a_block_that_leaves_is_reversed_and_booked_as_before_when_it_returns,
    a_block_waits_for_its_share,
    a_block_without_its_share_ends_its_window_where_it_was_seen,
    an_empty_window_pays_nobody,
    shares_on_orphans_and_above_the_block_do_not_count,
    a_window_by_work_counts_the_oldest_share_in_part,
    a_chain_that_does_not_fit_changes_nothing,
    a_deep_reorganisation_makes_balances_negative_and_later_credits_fill_them,
    the_book_cannot_be_changed,
    the_auditor_notices,
);

async fn a_block_is_distributed_and_matures(mut stand: Stand) {
    stand.earn().await;
    let fee = TOTAL as i64 / 100;
    // .4 and .6 are lost by rounding down: the second user gets the luna that is left.
    let (first, second) = ((TOTAL as i64 - fee) * 6 / 10, (TOTAL as i64 - fee) * 4 / 10 + 1);
    assert_eq!(stand.balance(1).await, (first, 0));
    assert_eq!(stand.balance(2).await, (second, 0));
    assert_eq!(stand.bury(102, 110).await.matured, []);
    assert_eq!(stand.bury(111, 111).await.matured, [hash(0, 101)]);
    assert_eq!(stand.balance(1).await, (first, first));
    assert_eq!(stand.balance(9).await, (0, 0));
    assert_eq!(stand.accounts.fee_balance().await.unwrap(), fee);
    let totals = stand.accounts.totals().await.unwrap();
    assert_eq!(totals["reward"], -(TOTAL as i64));
    let found = stand.accounts.found_blocks(10).await.unwrap();
    assert_eq!((found.len(), found[0].height, found[0].total), (1, Height(101), Luna(TOTAL)));
    let counts = stand.accounts.blocks_by_state().await.unwrap();
    assert_eq!(counts, BTreeMap::from([(FoundState::Mature, 1)]));
    stand.assert_sound().await;
}

async fn a_block_that_leaves_is_reversed_and_booked_as_before_when_it_returns(mut stand: Stand) {
    stand.earn().await;
    let before = stand.balance(1).await;
    let left = stand.follow(vec![hash(0, 101)], vec![foreign(1, 101)]).await;
    assert_eq!(left.orphaned, [hash(0, 101)]);
    assert_eq!(stand.balance(1).await, (0, 0));
    stand.assert_sound().await;
    // Work that came meanwhile is in no window but its own.
    stand.work(&[3; 10], hash(1, 101)).await;
    stand.restart().await;
    let back = stand.follow(vec![hash(1, 101)], vec![ours(0, 101)]).await;
    assert_eq!((back.returned, back.found), (vec![hash(0, 101)], vec![]));
    assert_eq!(stand.settle().await, []);
    assert_eq!(stand.balance(1).await, before);
    assert_eq!(stand.balance(3).await, (0, 0));
    stand.assert_sound().await;
}

async fn a_block_waits_for_its_share(mut stand: Stand) {
    stand.follow(vec![], vec![foreign(0, 100)]).await;
    stand.work(&[1], hash(0, 100)).await;
    assert_eq!(stand.follow(vec![], vec![ours(0, 101)]).await.found, [hash(0, 101)]);
    assert_eq!(stand.settle().await, []);
    stand.now += stand.rules.settle_after_ms - 1;
    assert_eq!(stand.settle().await, []);
    stand.work(&[2], hash(0, 100)).await;
    stand.find(3, 0, 101).await;
    stand.work(&[4], hash(0, 100)).await;
    let settled = stand.settle().await;
    assert_eq!(settled[0].window.span, Some(Span { first: Sequence(1), last: Sequence(3) }));
    assert_eq!(settled[0].split.credits.len(), 3);
    stand.assert_sound().await;
}

async fn a_block_without_its_share_ends_its_window_where_it_was_seen(mut stand: Stand) {
    stand.follow(vec![], vec![foreign(0, 99), foreign(0, 100)]).await;
    stand.work(&[1, 2], hash(0, 99)).await;
    stand.follow(vec![], vec![ours(0, 101)]).await;
    stand.work(&[3], hash(0, 101)).await;
    stand.now += stand.rules.settle_after_ms;
    stand.work(&[4], hash(0, 100)).await;
    let settled = stand.settle().await;
    assert_eq!(settled[0].window.span, Some(Span { first: Sequence(1), last: Sequence(2) }));
    stand.assert_sound().await;
}

async fn an_empty_window_pays_nobody(mut stand: Stand) {
    stand.follow(vec![], vec![ours(0, 101)]).await;
    stand.now += stand.rules.settle_after_ms;
    assert_eq!(stand.settle().await[0].split.undistributed, Luna(TOTAL));
    stand.bury(102, 111).await;
    let nobodys = Account::Mature(Holder::Undistributed);
    assert_eq!(stand.accounts.balance_of(nobodys).await.unwrap(), TOTAL as i64);
    stand.assert_sound().await;
}

async fn shares_on_orphans_and_above_the_block_do_not_count(mut stand: Stand) {
    stand.follow(vec![], vec![foreign(0, 99), foreign(0, 100)]).await;
    stand.work(&[1], hash(0, 99)).await;
    stand.work(&[2], hash(1, 99)).await; // never on the chain
    stand.work(&[3], hash(0, 101)).await; // on the block itself: its owner's server was faster
    stand.find(4, 0, 101).await;
    stand.follow(vec![], vec![ours(0, 101), foreign(0, 102)]).await;
    let settled = stand.settle().await;
    let users: Vec<_> = settled[0].window.parts.keys().copied().collect();
    assert_eq!(users.len(), 2);
    let parts = &settled[0].window.parts;
    assert_eq!(parts.values().map(|part| part.shares).sum::<u64>(), 2);
    assert_eq!(stand.balance(2).await, (0, 0));
    assert_eq!(stand.balance(3).await, (0, 0));
    stand.assert_sound().await;
}

async fn a_window_by_work_counts_the_oldest_share_in_part(mut stand: Stand) {
    stand.rules.window = WindowRule::Work(std::num::NonZeroU64::MIN);
    stand.follow(vec![], vec![foreign(0, 100)]).await;
    // The block's work is that of ten shares: nine and a half are newer than the oldest one that counts.
    let heavy = NewShare { weight: ShareWeight(1 << 50), ..stand.share(1, hash(0, 100)) };
    let half = NewShare { weight: ShareWeight(WEIGHT / 2), ..stand.share(2, hash(0, 100)) };
    stand.accounts.accept_shares(stand.server, &[heavy, half]).await.unwrap();
    stand.work(&[2; 8], hash(0, 100)).await;
    stand.find(2, 0, 101).await;
    stand.follow(vec![], vec![ours(0, 101)]).await;
    let settled = stand.settle().await;
    let half = u128::from(WEIGHT / 2);
    assert_eq!(settled[0].window.weights(), BTreeMap::from([(UserId(1), half), (UserId(2), 19 * half)]));
    stand.assert_sound().await;
}

async fn a_chain_that_does_not_fit_changes_nothing(mut stand: Stand) {
    stand.earn().await;
    let before = stand.balance(1).await;
    let update = |left, joined| ChainUpdate { left, joined };
    let confirmations = stand.rules.confirmations;
    for (wrong, says) in [
        (update(vec![hash(0, 101)], vec![foreign(1, 100)]), "height 100"),
        (update(vec![], vec![foreign(1, 101)]), "height 101"),
        (update(vec![hash(0, 101), hash(1, 101)], vec![]), "is not on it"),
    ] {
        let error =
            stand.accounts.follow(&stand.service, &wrong, confirmations, stand.time()).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    // The same block once more is no news.
    let again = stand.follow(vec![], vec![ours(0, 101)]).await;
    assert_eq!((again.found, again.returned, again.head), (vec![], vec![], Some(Height(101))));
    assert_eq!(stand.balance(1).await, before);
    assert_eq!(stand.accounts.main_chain(1).await.unwrap(), [(Height(101), hash(0, 101))]);
    stand.assert_sound().await;
}

async fn a_deep_reorganisation_makes_balances_negative_and_later_credits_fill_them(mut stand: Stand) {
    stand.earn().await;
    stand.bury(102, 111).await;
    let credit = stand.balance(1).await.1;
    let payments = super::payouts::pay_all(&stand, 111).await;
    assert_eq!(payments.len(), 2);
    assert_eq!(stand.balance(1).await, (0, 0));
    let left: Vec<_> = (101..=111).rev().map(|height| hash(0, height)).collect();
    let joined: Vec<_> = (101..=112).map(|height| foreign(1, height)).collect();
    assert_eq!(stand.follow(left, joined).await.orphaned, [hash(0, 101)]);
    assert_eq!(stand.balance(1).await, (-credit, -credit));
    stand.assert_sound().await;
    let mut candidates = stand.accounts.candidates(Luna(0)).await.unwrap();
    candidates.retain(|candidate| candidate.address == address(1));
    assert_eq!(candidates, []);
    stand.work(&[1; 10], hash(1, 112)).await;
    stand.follow(vec![], vec![ours(1, 113)]).await;
    stand.now += stand.rules.settle_after_ms;
    stand.settle().await;
    let whole = (TOTAL - TOTAL / 100) as i64;
    assert_eq!(stand.balance(1).await, (whole - credit, -credit));
    stand.assert_sound().await;
}

async fn the_book_cannot_be_changed(mut stand: Stand) {
    stand.earn().await;
    for sql in [
        "UPDATE lines SET amount = amount + 1",
        "DELETE FROM lines",
        "UPDATE entries SET rule = ''",
        "DELETE FROM entries",
    ] {
        assert!(sqlx::query(sql).execute(&stand.accounts.writer).await.is_err(), "{sql}");
    }
    stand.assert_sound().await;
}

/// Every kind of damage that a row can take is found.
async fn the_auditor_notices(mut stand: Stand) {
    stand.earn().await;
    stand.bury(102, 111).await;
    super::payouts::pay_all(&stand, 111).await;
    stand.assert_sound().await;
    for (damage, repair) in [
        (
            "UPDATE balances SET amount = amount + 1 WHERE account = 'fee'",
            "UPDATE balances SET amount = amount - 1 WHERE account = 'fee'",
        ),
        ("UPDATE found_blocks SET reward = reward + 1", "UPDATE found_blocks SET reward = reward - 1"),
        ("UPDATE found_blocks SET state = 'immature'", "UPDATE found_blocks SET state = 'mature'"),
        ("UPDATE found_blocks SET fee_ppm = 10001", "UPDATE found_blocks SET fee_ppm = 10000"),
        (
            "UPDATE window_parts SET weight = '1' || weight",
            "UPDATE window_parts SET weight = SUBSTR(weight, 2)",
        ),
        (
            "UPDATE shares SET weight = weight + 1 WHERE id = 3",
            "UPDATE shares SET weight = weight - 1 WHERE id = 3",
        ),
        ("UPDATE payouts SET state = 'expired'", "UPDATE payouts SET state = 'prepared'"),
        ("UPDATE payouts SET value = value - 1", "UPDATE payouts SET value = value + 1"),
        ("UPDATE payouts SET validity_start = 7", "UPDATE payouts SET validity_start = 111"),
        (
            "INSERT INTO lines (entry, account, user_id, amount) VALUES (1, 'paid', 0, 5)",
            "UPDATE balances SET amount = amount + 0",
        ),
    ] {
        sqlx::query(AssertSqlSafe(damage)).execute(&stand.accounts.writer).await.unwrap();
        let findings = audit(&stand.accounts).await.unwrap().findings;
        assert!(!findings.is_empty(), "{damage}");
        sqlx::query(AssertSqlSafe(repair)).execute(&stand.accounts.writer).await.unwrap();
    }
    assert!(matches!(
        audit(&stand.accounts).await,
        Ok(report) if report.findings.iter().any(|finding| finding.contains("entry 1 sums to 5 luna"))
    ));
    let error: AccountsError = AccountsError::Foreign("x".into());
    assert!(!error.is_fault_of_row());
}
