//! One holder of a duty at a time; a former holder writes nothing.

use super::on_both_stores;
use super::stand::{Stand, foreign};
use crate::UnixMillis;
use crate::nimiq::store::Duty;
use crate::nimiq::{AccountsError, ChainUpdate, PayoutLease, ServiceLease};

on_both_stores!(
    a_standby_takes_over_and_the_former_holder_writes_nothing,
    a_lease_that_is_released_is_free,
    nobody_pays_while_payouts_are_held,
);

async fn a_standby_takes_over_and_the_former_holder_writes_nothing(stand: Stand) {
    let accounts = &stand.accounts;
    accounts.renew_lease(&stand.service, UnixMillis(5000)).await.unwrap();
    let take =
        |holder, now, until| accounts.take_lease::<ServiceLease>(holder, UnixMillis(now), UnixMillis(until));
    assert!(take("host-2", 4999, 9000).await.unwrap().is_none());
    let second = take("host-2", 5000, 9000).await.unwrap().unwrap();
    assert!(take("host-1", 6000, 9000).await.unwrap().is_none());
    let update = ChainUpdate { left: vec![], joined: vec![foreign(0, 100)] };
    let former = accounts.follow(&stand.service, &update, 10, stand.time()).await;
    assert!(matches!(former, Err(AccountsError::LeaseLost(Duty::Service))));
    assert!(accounts.renew_lease(&stand.service, UnixMillis(9000)).await.is_err());
    assert_eq!(accounts.main_chain(1).await.unwrap(), []);
    accounts.follow(&second, &update, 10, stand.time()).await.unwrap();
    assert_eq!(accounts.main_chain(9).await.unwrap().len(), 1);
    // Duties are independent of each other.
    accounts.renew_lease(&stand.payout, UnixMillis(9000)).await.unwrap();
}

async fn a_lease_that_is_released_is_free(stand: Stand) {
    stand.accounts.release_lease(stand.payout).await.unwrap();
    let lease =
        stand.accounts.take_lease::<PayoutLease>("host-2", UnixMillis(1), UnixMillis(9)).await.unwrap();
    assert!(lease.is_some());
}

async fn nobody_pays_while_payouts_are_held(stand: Stand) {
    let accounts = &stand.accounts;
    assert_eq!(accounts.payouts_held().await.unwrap(), None);
    assert!(!accounts.release_payouts().await.unwrap());
    accounts.hold_payouts("a test").await.unwrap();
    let former = accounts.prepare_payouts(&stand.payout, &[], &[], stand.time()).await;
    assert!(matches!(former, Err(AccountsError::LeaseLost(Duty::Payout))));
    let take = |now| accounts.take_lease::<PayoutLease>("host-1", UnixMillis(now), UnixMillis(u64::MAX));
    assert!(take(u64::MAX >> 2).await.unwrap().is_none());
    assert_eq!(accounts.payouts_held().await.unwrap().as_deref(), Some("a test"));
    assert!(accounts.release_payouts().await.unwrap());
    assert_eq!(accounts.payouts_held().await.unwrap(), None);
    assert!(take(1).await.unwrap().is_some());
}
