//! Payouts: durable before they are sent, sent as they were signed, back in the balance only when they cannot be mined.

use nimiq::{Height, Luna, PayoutNonce, PrivateKey};
use sqlx::Row;

use super::on_both_stores;
use super::stand::{Stand, TOTAL, address, payout_rules, sign};
use crate::nimiq::audit::audit;
use crate::nimiq::payout_plan::{self, Candidate, PlannedPayment, Surroundings};
use crate::nimiq::payout_state::{PayoutState, PayoutTurn};
use crate::nimiq::{AccountsError, PayoutId, RequestOutcome, SignedPayment};

on_both_stores!(
    a_payout_is_debited_when_it_is_prepared_and_paid_when_it_is_confirmed,
    an_expired_payout_is_back_in_the_balance,
    a_confirmed_payout_that_a_reorganisation_removes_is_sent_again,
    a_balance_that_shrank_stops_the_whole_batch,
    the_same_transaction_is_stored_once,
    the_owner_is_paid_from_the_fee,
    a_miner_is_paid_above_its_own_threshold,
);

/// Plans, signs and prepares everything that is due.
pub async fn pay_all(stand: &Stand, head: u32) -> Vec<PayoutId> {
    let signed: Vec<SignedPayment> = plan(stand, head).await.into_iter().map(sign).collect();
    stand.accounts.prepare_payouts(&stand.payout, &signed, &[], stand.time()).await.unwrap()
}

async fn plan(stand: &Stand, head: u32) -> Vec<PlannedPayment> {
    let surroundings = stand.accounts.surroundings(Height(head), Luna(10 * TOTAL)).await.unwrap();
    let candidates = stand.accounts.candidates(Luna(0)).await.unwrap();
    payout_plan::plan(&payout_rules(), Height(head), &candidates, &surroundings).unwrap().payments
}

async fn a_miner_is_paid_above_its_own_threshold(mut stand: Stand) {
    let key = PrivateKey::new(&[21; 32]);
    let address = key.public_key().address();
    earned(&mut stand).await;
    let credits = [stand.balance(1).await.1, stand.balance(2).await.1].map(i64::cast_unsigned);
    let rules = payout_rules();
    let due = |candidates: &[Candidate]| {
        let surroundings = Surroundings { on_chain: Luna(u64::MAX), ..Surroundings::default() };
        let plan = payout_plan::plan(&rules, Height(111), candidates, &surroundings).unwrap();
        plan.payments.iter().map(|payment| (payment.value.0, payment.above.unwrap().0)).collect::<Vec<_>>()
    };
    let candidates = stand.accounts.candidates(rules.thresholds.least_of_all()).await.unwrap();
    assert_eq!(due(&candidates), credits.map(|credit| (credit, 5_000_000)));

    // The addresses of the stand have no keys, so whose threshold it is does not matter to the store.
    let nonce = PayoutNonce::new(7).unwrap();
    let choose = async |address, luna, nonce: PayoutNonce| {
        let proof = nonce.sign_threshold(Luna(luna), &key).to_bytes();
        let outcome = stand.accounts.choose_threshold(address, Luna(luna), nonce.get(), &proof, stand.time());
        outcome.await.unwrap()
    };
    assert_eq!(choose(address, 0, nonce).await, RequestOutcome::Stored);
    assert_eq!(stand.accounts.balance(address).await.unwrap().chosen_threshold, Some(Luna(0)));
    stand.assert_sound().await;
    let above_both = 2 * credits[0];
    assert_eq!(choose(super::stand::address(1), above_both, nonce).await, RequestOutcome::Stored);
    assert_eq!(choose(super::stand::address(1), 5, nonce).await, RequestOutcome::NonceUsed);
    let view = stand.accounts.balance(super::stand::address(1)).await.unwrap();
    assert_eq!(view.chosen_threshold, Some(Luna(above_both)));
    let candidates = stand.accounts.candidates(rules.thresholds.least_of_all()).await.unwrap();
    assert_eq!(due(&candidates), [(credits[1], 5_000_000)]);
    let report = audit(&stand.accounts).await.unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(report.findings[0].contains("is not signed by its owner"));

    // Payouts name the threshold that they are above.
    assert_eq!(
        choose(super::stand::address(1), 0, PayoutNonce::new(8).unwrap()).await,
        RequestOutcome::Stored
    );
    pay_all(&stand, 111).await;
    let rules = sqlx::query("SELECT rule FROM entries WHERE kind = 'payout'");
    for row in rules.fetch_all(stand.accounts.reader()).await.unwrap() {
        assert_eq!(row.get::<String, _>(0), "automatic, above 5000000 luna");
    }
}

async fn turn(stand: &Stand, id: PayoutId, turn: PayoutTurn) -> Result<PayoutState, AccountsError> {
    stand.accounts.turn_payout(&stand.payout, id, turn, 10, stand.time()).await
}

async fn earned(stand: &mut Stand) -> i64 {
    stand.earn().await;
    stand.bury(102, 111).await;
    stand.balance(1).await.1
}

async fn a_payout_is_debited_when_it_is_prepared_and_paid_when_it_is_confirmed(mut stand: Stand) {
    let credit = earned(&mut stand).await;
    let ids = pay_all(&stand, 111).await;
    stand.restart().await;
    assert_eq!(stand.balance(1).await, (0, 0));
    let fee = TOTAL as i64 / 100 - 2 * 138;
    assert_eq!(stand.accounts.fee_balance().await.unwrap(), fee);
    let under_way = stand.accounts.payouts_under_way().await.unwrap();
    assert_eq!(under_way.iter().map(|payout| payout.id).collect::<Vec<_>>(), ids);
    assert_eq!((under_way[0].value, under_way[0].debit), (Luna(credit as u64), Luna(credit as u64)));
    assert_eq!(under_way[0].signed.len(), 138);
    let surroundings = stand.accounts.surroundings(Height(111), Luna(5)).await.unwrap();
    assert_eq!((surroundings.pending, surroundings.same_height.len()), (2, 2));
    for id in &ids {
        assert_eq!(turn(&stand, *id, PayoutTurn::Send).await.unwrap(), PayoutState::Broadcast);
        turn(&stand, *id, PayoutTurn::Mine { height: Height(113) }).await.unwrap();
        assert!(turn(&stand, *id, PayoutTurn::Confirm { head: Height(122) }).await.is_err());
        stand.assert_sound().await;
        turn(&stand, *id, PayoutTurn::Confirm { head: Height(123) }).await.unwrap();
        stand.assert_sound().await;
    }
    assert_eq!(stand.accounts.payouts_under_way().await.unwrap(), []);
    let totals = stand.accounts.totals().await.unwrap();
    assert_eq!((totals["outgoing"], totals["network_fees"]), (0, 2 * 138));
    assert_eq!(totals["paid"], TOTAL as i64 - TOTAL as i64 / 100);
    let figures = stand.accounts.payout_figures().await.unwrap();
    assert_eq!((figures.by_state["confirmed"].0, figures.oldest_under_way), (2, None));
    assert_eq!(stand.accounts.payouts_to(address(1), 10).await.unwrap().len(), 1);
    assert_eq!(stand.accounts.payouts_settled_since(Height(113)).await.unwrap().len(), 2);
    assert_eq!(stand.accounts.payouts_settled_since(Height(114)).await.unwrap().len(), 0);
}

async fn an_expired_payout_is_back_in_the_balance(mut stand: Stand) {
    let credit = earned(&mut stand).await;
    let id = pay_all(&stand, 111).await[0];
    turn(&stand, id, PayoutTurn::Send).await.unwrap();
    assert!(turn(&stand, id, PayoutTurn::Expire { head: Height(240) }).await.is_err());
    assert_eq!(stand.balance(1).await, (0, 0));
    turn(&stand, id, PayoutTurn::Expire { head: Height(241) }).await.unwrap();
    assert_eq!(stand.balance(1).await, (credit, credit));
    stand.assert_sound().await;
    // It is found in a block after all: nothing is booked, a person must look.
    let review = turn(&stand, id, PayoutTurn::Mine { height: Height(200) }).await.unwrap();
    assert_eq!(review, PayoutState::Review);
    assert_eq!(stand.balance(1).await, (credit, credit));
    stand.assert_sound().await;
}

async fn a_confirmed_payout_that_a_reorganisation_removes_is_sent_again(mut stand: Stand) {
    earned(&mut stand).await;
    let id = pay_all(&stand, 111).await[0];
    for step in [
        PayoutTurn::Mine { height: Height(112) },
        PayoutTurn::Confirm { head: Height(122) },
        PayoutTurn::Remove,
        PayoutTurn::Send,
        PayoutTurn::Mine { height: Height(115) },
        PayoutTurn::Remove,
        PayoutTurn::Mine { height: Height(116) },
        PayoutTurn::Confirm { head: Height(126) },
    ] {
        turn(&stand, id, step).await.unwrap();
        stand.assert_sound().await;
    }
    assert_eq!(stand.balance(1).await, (0, 0));
    assert!(turn(&stand, PayoutId(99), PayoutTurn::Send).await.is_err());
}

async fn a_balance_that_shrank_stops_the_whole_batch(mut stand: Stand) {
    earned(&mut stand).await;
    let planned = plan(&stand, 111).await;
    let twice: Vec<_> = planned
        .iter()
        .chain(&planned)
        .enumerate()
        .map(|(number, payment)| {
            sign(PlannedPayment { validity_start: Height(111 + number as u32), ..*payment })
        })
        .collect();
    let error = stand.accounts.prepare_payouts(&stand.payout, &twice, &[], stand.time()).await.unwrap_err();
    assert!(matches!(error, AccountsError::BalanceTooSmall { balance: 0, .. }), "{error}");
    assert_eq!(stand.accounts.payouts_under_way().await.unwrap(), []);
    assert_eq!(pay_all(&stand, 111).await.len(), 2);
    stand.assert_sound().await;
}

async fn the_same_transaction_is_stored_once(mut stand: Stand) {
    earned(&mut stand).await;
    let small: Vec<_> = plan(&stand, 111)
        .await
        .into_iter()
        .take(1)
        .map(|payment| sign(PlannedPayment { value: Luna(1000), above: None, ..payment }))
        .collect();
    let prepare = || stand.accounts.prepare_payouts(&stand.payout, &small, &[], stand.time());
    assert_eq!(prepare().await.unwrap().len(), 1);
    assert!(prepare().await.unwrap_err().is_fault_of_row());
    assert_eq!(stand.accounts.payouts_under_way().await.unwrap().len(), 1);
    stand.assert_sound().await;
}

async fn the_owner_is_paid_from_the_fee(mut stand: Stand) {
    earned(&mut stand).await;
    let fee = stand.accounts.fee_balance().await.unwrap();
    let surroundings = stand.accounts.surroundings(Height(111), Luna(10 * TOTAL)).await.unwrap();
    let value = Luna(fee as u64 - 138);
    let planned =
        payout_plan::plan_owner(&payout_rules(), Height(111), address(0x77), value, fee, &surroundings);
    let signed = sign(planned.unwrap().unwrap());
    stand.accounts.prepare_payouts(&stand.payout, &[signed], &[], stand.time()).await.unwrap();
    assert_eq!(stand.accounts.fee_balance().await.unwrap(), 0);
    stand.assert_sound().await;
}
