//! Shares as figures for charts: each counted once, whoever counts and however often.

use super::on_both_stores;
use super::stand::{Stand, WEIGHT, address, hash};
use crate::UnixMillis;
use crate::series::{Grain, Point};

on_both_stores!(each_share_is_counted_once_and_nothing_is_not_unknown);

const MINUTE: u64 = 60_000;

/// What the charts of a user, or of the pool, know of the minutes since the beginning.
async fn minutes(stand: &Stand, user: Option<u8>, count: usize) -> Vec<Option<Point>> {
    let user = match user {
        Some(user) => stand.accounts.user_of(address(user)).await.unwrap(),
        None => None,
    };
    stand.accounts.series(user, Grain::Minute, UnixMillis(0), count).await.unwrap()
}

async fn each_share_is_counted_once_and_nothing_is_not_unknown(mut stand: Stand) {
    let point = |shares: u64| Point { shares, share_work: shares * (WEIGHT >> 4), ..Point::default() };
    stand.now = 2 * MINUTE + 5;
    stand.work(&[1, 1, 2], hash(0, 1)).await;
    assert!(!stand.accounts.record_series(&stand.service, stand.time()).await.unwrap());
    // Nothing came since, and the service has been restarted.
    stand.restart().await;
    stand.now = 4 * MINUTE;
    assert!(!stand.accounts.record_series(&stand.service, stand.time()).await.unwrap());
    stand.work(&[2], hash(0, 1)).await;
    stand.accounts.record_series(&stand.service, stand.time()).await.unwrap();
    let pool = minutes(&stand, None, 6).await;
    assert_eq!(pool, [None, None, Some(point(3)), None, Some(point(1)), None]);
    let one = minutes(&stand, Some(1), 6).await;
    assert_eq!(one, [None, None, Some(point(2)), None, None, None]);
    assert_eq!(minutes(&stand, Some(2), 6).await[4], Some(point(1)));
    // A minute in which nothing came is known to the pool.
    stand.now = 5 * MINUTE;
    stand.accounts.record_series(&stand.service, stand.time()).await.unwrap();
    assert_eq!(minutes(&stand, None, 6).await[5], Some(Point::default()));
}
