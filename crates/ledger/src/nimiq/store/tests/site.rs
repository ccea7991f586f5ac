//! What the website asks of the accounts.

use nimiq::{Height, Luna};

use super::on_both_stores;
use super::payouts::pay_all;
use super::stand::{Stand, TOTAL, address, hash};
use crate::UnixMillis;
use crate::nimiq::Sequence;
use crate::nimiq::payout_state::PayoutTurn;

on_both_stores!(a_block_tells_whom_it_credits, what_was_paid_is_added_up_by_time_once_it_is_confirmed,);

async fn a_block_tells_whom_it_credits(mut stand: Stand) {
    stand.earn().await;
    let credits = stand.accounts.credits_of(hash(0, 101), 0, 10).await.unwrap();
    let addresses: Vec<_> = credits.iter().map(|(address, _)| *address).collect();
    assert_eq!(addresses, [None, Some(address(1)), Some(address(2))], "the fee, then the greatest");
    assert_eq!(credits.iter().map(|(_, luna)| luna.0).sum::<u64>(), TOTAL);
    assert_eq!(stand.accounts.reward_of(hash(0, 101)).await.unwrap(), Luna(TOTAL));
    assert_eq!(credits[1].1.0, stand.balance(1).await.0.unsigned_abs());
    assert_eq!(stand.accounts.credits_of(hash(0, 101), 1, 1).await.unwrap(), credits[1..2]);
    assert_eq!(stand.accounts.credits_of(hash(0, 100), 0, 10).await.unwrap(), [], "it is not the pool's");

    let user = stand.accounts.user_of(address(2)).await.unwrap().unwrap();
    let found = stand.accounts.addresses_of(&[user]).await.unwrap();
    assert_eq!((found.len(), found.get(&user)), (1, Some(&address(2))));
    assert!(stand.accounts.addresses_of(&[]).await.unwrap().is_empty());
    let newest = stand.accounts.newest_share().await.unwrap();
    assert!(stand.accounts.accepted_at(newest).await.unwrap().is_some());
    assert_eq!(stand.accounts.accepted_at(Sequence(newest.0 + 1)).await.unwrap(), None);
}

async fn what_was_paid_is_added_up_by_time_once_it_is_confirmed(mut stand: Stand) {
    stand.earn().await;
    stand.bury(102, 111).await;
    let before = stand.time();
    let payouts = pay_all(&stand, 111).await;
    let paid = async |since: UnixMillis| stand.accounts.paid_since(since).await.unwrap();
    assert_eq!(paid(UnixMillis(0)).await, (0, Luna(0)), "nothing is confirmed");
    let mut sum = 0;
    for id in payouts {
        let (mined, head) = (Height(112), Height(122));
        for turn in [PayoutTurn::Send, PayoutTurn::Mine { height: mined }, PayoutTurn::Confirm { head }] {
            stand.accounts.turn_payout(&stand.payout, id, turn, 10, stand.time()).await.unwrap();
        }
        sum += 1;
    }
    let (count, value) = paid(before).await;
    assert!(count == sum && value.0 > 0, "{count} payments of {value:?}");
    assert_eq!(paid(UnixMillis(stand.time().0 + 1)).await, (0, Luna(0)), "none since");
}
