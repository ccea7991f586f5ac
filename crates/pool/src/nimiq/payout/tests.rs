//! The payout over a dev chain: mined, expired, dropped, reorganised away; two at once; the reserve; a dry run.

mod crashes;

use std::time::Duration;

use ledger::nimiq::payout_state::PayoutState;
use ledger::nimiq::store::RequestOutcome;
use nimiq::transaction::Payment;
use nimiq::{Height, Luna, Network, PrivateKey, Transaction};

use super::signer::Signer;
use super::{OwnerPayout, PayoutConfig, PayoutFault};
use crate::nimiq::test_pool::{
    Conduct, Running, STRANGER, TestPool, key, miner, on_both_stores, pool_address,
};

on_both_stores!(
    balances_above_the_limit_are_paid_and_confirmed,
    who_asks_is_paid_whatever_the_schedule_says,
    a_node_that_answers_late_twice_or_never_pays_once,
    what_the_node_forgets_is_sent_again,
    what_can_never_be_mined_returns_to_the_balance,
    a_reorganisation_leaves_a_payout_paid_once,
    a_payout_that_loses_its_block_is_sent_again_with_the_same_bytes,
    of_two_at_once_one_pays,
    a_dry_run_shows_what_is_then_paid,
    a_reserve_that_is_too_small_stops_payouts_and_says_so,
    an_agent_that_lies_is_paid_no_attention,
    the_operator_is_paid_from_the_fee,
    what_the_node_demands_for_a_byte_is_paid,
);

const CONFIRMED: PayoutState = PayoutState::Confirmed { height: Height(0) };

/// A pool whose miners 1 and 2 can be paid, with a service that follows the chain.
async fn rich(pool: &TestPool) -> Running {
    let service = pool.service("host-1");
    pool.bury(3);
    pool.until_followed().await;
    pool.earn().await;
    pool.bury(10);
    pool.until("the credits to mature", async || pool.balance(2).await.1 > 0).await;
    service
}

async fn balances_above_the_limit_are_paid_and_confirmed(pool: TestPool) {
    let service = rich(&pool).await;
    let due = [pool.balance(1).await.1, pool.balance(2).await.1];
    let payout = pool.payout("host-1");
    pool.until_payouts_are(2, PayoutState::Broadcast).await;
    assert_eq!(pool.balance(1).await.0, 0, "the debit comes first");
    pool.until_final(2).await;
    // The pool bears the fee of automatic payouts.
    assert_eq!([pool.received(1) as i64, pool.received(2) as i64], due);
    pool.assert_paid_once(&[1, 2]).await;
    let confirmed = r#"headframe_nimiq_payouts{role="nimiq_payout",state="confirmed"}"#;
    pool.until("the figures", async || pool.metric(confirmed) == Some(2.0)).await;
    assert!(payout.role.health().is_ready());
    payout.end().await;
    service.end().await;
}

async fn who_asks_is_paid_whatever_the_schedule_says(pool: TestPool) {
    let service = rich(&pool).await;
    let now = crate::pay_maker::system_clock();
    // So that nobody is above the limit, and the next run is far away.
    let mut config = TestPool::payout_config("host-1");
    config.every = Duration::from_hours(24 * 365 * 100);
    config.rules.thresholds.usual = Luna(u64::MAX >> 1);
    let payout = pool.payout_with(config);
    pool.until("the payout to be ready", async || payout.role.health().is_ready()).await;
    assert!(pool.payouts().await.is_empty());
    let due = pool.balance(2).await.1;
    let stored = pool.accounts.request_payout(miner(2), 5, b"proof", now).await.unwrap();
    assert_eq!(stored, RequestOutcome::Stored);
    pool.until_payouts_are(1, PayoutState::Broadcast).await;
    pool.until_final(1).await;
    // Who asks bears the fee.
    assert_eq!(pool.received(2) as i64, due - 138);
    assert_eq!(pool.balance(2).await, (0, 0));
    assert!(!pool.accounts.balance(miner(2)).await.unwrap().payout_request_active);
    // A request of somebody without a balance is answered with nothing.
    pool.accounts.request_payout(miner(9), 6, b"proof", now).await.unwrap();
    pool.until("the request to be answered", async || {
        !pool.accounts.balance(miner(9)).await.unwrap().payout_request_active
    })
    .await;
    pool.assert_paid_once(&[1, 2, 9]).await;
    payout.end().await;
    service.end().await;
}

async fn a_node_that_answers_late_twice_or_never_pays_once(pool: TestPool) {
    let service = rich(&pool).await;
    let mut count = 0;
    for conduct in
        [Conduct::Late(Duration::from_millis(300)), Conduct::Twice, Conduct::Swallow, Conduct::Ignore]
    {
        pool.front.treat("sendRawTransaction", conduct);
        let payout = pool.payout("host-1");
        count += 2;
        pool.until("payouts to be stored", async || pool.payouts().await.values().sum::<u64>() == count)
            .await;
        if conduct == Conduct::Swallow || conduct == Conduct::Ignore {
            pool.until("the silence to be noticed", async || !payout.role.health().is_ready()).await;
        }
        pool.front.behave();
        pool.until_final(count).await;
        pool.assert_paid_once(&[1, 2]).await;
        payout.end().await;
        pool.earn().await;
        pool.bury(10);
        pool.until("the credits to mature", async || pool.balance(2).await.1 > 0).await;
    }
    service.end().await;
}

async fn what_the_node_forgets_is_sent_again(pool: TestPool) {
    let service = rich(&pool).await;
    // It says that it has taken them, and has not.
    pool.front.treat("sendRawTransaction", Conduct::Pretend);
    let payout = pool.payout("host-1");
    pool.until_payouts_are(2, PayoutState::Broadcast).await;
    pool.bury(3);
    pool.until("several tries", async || {
        pool.metric(r#"headframe_nimiq_payout_sends_total{role="nimiq_payout",outcome="dropped"}"#)
            >= Some(6.0)
    })
    .await;
    assert_eq!([pool.received(1), pool.received(2)], [0, 0]);
    let before = pool.accounts.payouts_under_way().await.unwrap();
    pool.front.behave();
    pool.until_final(2).await;
    for payout in before {
        // The very bytes that were stored are in the chain.
        assert!(pool.node().receipt(&payout.hash).await.unwrap().is_some());
    }
    pool.assert_paid_once(&[1, 2]).await;
    payout.end().await;
    service.end().await;
}

async fn what_can_never_be_mined_returns_to_the_balance(pool: TestPool) {
    let service = rich(&pool).await;
    let due = pool.balance(1).await;
    for conduct in [Conduct::Pretend, Conduct::Refuse] {
        pool.front.treat("sendRawTransaction", conduct);
        let mut config = TestPool::payout_config("host-1");
        config.every = Duration::from_hours(24 * 365 * 100);
        let payout = pool.payout_with(config);
        pool.until("payouts to be sent", async || pool.payouts().await.contains_key("broadcast")).await;
        pool.bury(119);
        pool.until_followed().await;
        // A block can no longer take them, but a reorganisation might still bring one that has.
        pool.bury(10);
        pool.until_followed().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(pool.payouts().await.contains_key("broadcast"));
        pool.bury(1);
        pool.until("the payouts to expire", async || !pool.payouts().await.contains_key("broadcast")).await;
        assert_eq!(pool.balance(1).await, due);
        pool.assert_paid_once(&[1, 2]).await;
        payout.end().await;
        pool.front.behave();
    }
    // What returned is paid by new transactions.
    let payout = pool.payout("host-1");
    pool.until("new payouts", async || pool.payouts().await.contains_key("broadcast")).await;
    pool.bury(12);
    pool.until("the new payouts to be final", async || pool.payouts().await.get("confirmed") == Some(&2))
        .await;
    assert_eq!(pool.payouts().await["expired"], 4);
    assert_eq!(pool.received(1) as i64, due.0);
    pool.assert_paid_once(&[1, 2]).await;
    payout.end().await;
    service.end().await;
}

async fn a_reorganisation_leaves_a_payout_paid_once(pool: TestPool) {
    let service = rich(&pool).await;
    let payout = pool.payout("host-1");
    let mut count = 0;
    for depth in [1, 9, 30] {
        count += 2;
        pool.until("payouts to be sent", async || pool.payouts().await.get("broadcast") == Some(&2)).await;
        pool.bury(depth);
        pool.until("payouts to be mined", async || !pool.payouts().await.contains_key("broadcast")).await;
        pool.chain.reorganise(STRANGER, depth).unwrap();
        pool.until_followed().await;
        pool.assert_sound().await;
        pool.bury(11);
        pool.until_payouts_are(count, CONFIRMED).await;
        pool.assert_paid_once(&[1, 2]).await;
        pool.earn().await;
        pool.bury(10);
        pool.until("the next payouts", async || pool.payouts().await.values().sum::<u64>() == count + 2)
            .await;
    }
    payout.end().await;
    service.end().await;
}

async fn a_payout_that_loses_its_block_is_sent_again_with_the_same_bytes(pool: TestPool) {
    let service = rich(&pool).await;
    let payout = pool.payout("host-1");
    pool.until_payouts_are(2, PayoutState::Broadcast).await;
    let sent = pool.accounts.payouts_under_way().await.unwrap();
    pool.bury(12);
    pool.until_payouts_are(2, CONFIRMED).await;
    // The pool's own block goes with them, and with it the money: no block can take them now.
    pool.chain.reorganise(STRANGER, 23).unwrap();
    pool.until_payouts_are(2, PayoutState::Broadcast).await;
    pool.until("the credits to be taken back", async || pool.balance(1).await.0 < 0).await;
    pool.assert_sound().await;
    // Money comes again.
    pool.chain.extend(pool_address(), 1).unwrap();
    pool.until_final(2).await;
    for payout in &sent {
        assert_eq!(pool.chain.balance(&payout.recipient), payout.value);
    }
    pool.assert_paid_once(&[1, 2]).await;
    payout.end().await;
    service.end().await;
}

async fn of_two_at_once_one_pays(pool: TestPool) {
    let service = rich(&pool).await;
    let first = pool.payout("host-1");
    let second = pool.payout("host-2");
    pool.until_payouts_are(2, PayoutState::Broadcast).await;
    pool.until("both to be well", async || first.role.health().is_ready() && second.role.health().is_ready())
        .await;
    // A run by hand meanwhile is told so.
    let by_hand = super::once(
        TestPool::payout_config("host-3"),
        Signer::Key(key()),
        pool.accounts.clone(),
        pool.node(),
        &pool.metrics,
    );
    assert!(matches!(by_hand.await, Err(PayoutFault::StandBy)));
    // One of them crashes; the other one goes on.
    first.role.parts.kill("duty");
    pool.until_final(2).await;
    pool.assert_paid_once(&[1, 2]).await;
    second.end().await;
    service.end().await;
}

async fn a_dry_run_shows_what_is_then_paid(pool: TestPool) {
    let service = rich(&pool).await;
    pool.accounts.request_payout(miner(9), 1, b"proof", crate::pay_maker::system_clock()).await.unwrap();
    let config = TestPool::payout_config("host-1");
    let planned = config.planning().plan_now(&pool.accounts, &pool.node()).await.unwrap();
    let again = config.planning().plan_now(&pool.accounts, &pool.node()).await.unwrap();
    assert_eq!(planned, again, "a dry run changes nothing");
    assert!(pool.payouts().await.is_empty());
    let (table, lines) = (planned.table(), planned.json_lines());
    let batched = PayoutConfig { batch: 1, ..config };
    let report = super::once(batched, Signer::Key(key()), pool.accounts.clone(), pool.node(), &pool.metrics)
        .await
        .unwrap();
    let paid: Vec<_> = report.prepared.iter().map(|(_, payment)| *payment).collect();
    assert_eq!(paid, planned.payments());
    assert_eq!(paid.len(), 2);
    for payment in &paid {
        let (recipient, value) = (payment.recipient.to_string(), payment.value);
        assert!(table.contains(&recipient) && table.contains(&value.to_string()), "{table}");
        let line = lines.lines().find(|line| line.contains(&recipient)).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((line["value"].as_u64(), line["fee"].as_u64()), (Some(value.0), Some(138)));
    }
    // Who is passed over is named, too.
    assert!(table.contains(&format!("{}  not paid", miner(9))), "{table}");
    assert_eq!(lines.lines().count(), 3);
    pool.until_payouts_are(2, PayoutState::Broadcast).await;
    service.end().await;
}

async fn a_reserve_that_is_too_small_stops_payouts_and_says_so(pool: TestPool) {
    let service = rich(&pool).await;
    // The operator has taken the money elsewhere.
    let elsewhere = PrivateKey::new(&[0x77; 32]);
    let spent = Payment {
        recipient: elsewhere.public_key().address(),
        value: Luna(pool.chain.balance(&pool_address()).0 - 1_000_000),
        fee: Luna(138),
        validity_start: pool.chain.head().height,
        network: Network::Dev.id(),
    };
    pool.chain.send(Transaction::from(spent.sign(&key())));
    pool.bury(1);
    let planned =
        TestPool::payout_config("x").planning().plan_now(&pool.accounts, &pool.node()).await.unwrap();
    assert!(planned.table().contains("nothing is paid") && planned.payments().is_empty());
    let payout = pool.payout("host-1");
    pool.until("the trouble to be said", async || {
        let state = payout.role.health().state();
        state.reason.is_some_and(|reason| reason.contains("nothing is paid"))
    })
    .await;
    assert_eq!(pool.metric(r#"headframe_nimiq_payout_reserve_short{role="nimiq_payout"}"#), Some(1.0));
    assert!(pool.payouts().await.is_empty());
    // And brings it back. Blocks would not do: what they bring is owed to miners as well.
    let returned = Payment {
        recipient: pool_address(),
        value: Luna(spent.value.0 - 138),
        validity_start: pool.chain.head().height,
        ..spent
    };
    pool.chain.send(Transaction::from(returned.sign(&elsewhere)));
    pool.bury(1);
    pool.until_final(2).await;
    pool.until("the trouble to be over", async || payout.role.health().is_ready()).await;
    assert_eq!(pool.metric(r#"headframe_nimiq_payout_reserve_short{role="nimiq_payout"}"#), Some(0.0));
    pool.assert_paid_once(&[1, 2]).await;
    payout.end().await;
    // What must stay at the address counts as not there.
    pool.earn().await;
    pool.bury(10);
    pool.until("the credits to mature", async || pool.balance(2).await.1 > 0).await;
    let mut config = TestPool::payout_config("host-1");
    config.reserve = pool.chain.balance(&pool_address());
    let planned = config.planning().plan_now(&pool.accounts, &pool.node()).await.unwrap();
    assert!(planned.outcome.is_err());
    service.end().await;
}

async fn an_agent_that_lies_is_paid_no_attention(pool: TestPool) {
    let service = rich(&pool).await;
    let agent = super::signer::Agent {
        program: "sh".to_owned(),
        arguments: vec![
            "-c".to_owned(),
            format!(
                r#"cat >/dev/null; echo '{{"publicKey": "{}", "signature": "{}"}}'"#,
                hex::encode(key().public_key().0),
                "5a".repeat(64)
            ),
        ],
        time: Duration::from_secs(60),
    };
    let once = |signer| {
        let config = TestPool::payout_config("host-1");
        super::once(config, signer, pool.accounts.clone(), pool.node(), &pool.metrics)
    };
    let due = pool.balance(1).await;
    assert!(matches!(once(Signer::Agent(agent)).await, Err(PayoutFault::Sign(_))));
    // Nothing was stored, nothing debited, and the honest key still pays.
    assert!(pool.payouts().await.is_empty());
    assert_eq!(pool.balance(1).await, due);
    assert_eq!(once(Signer::Key(key())).await.unwrap().prepared.len(), 2);
    service.end().await;
}

async fn the_operator_is_paid_from_the_fee(pool: TestPool) {
    let service = rich(&pool).await;
    let fee = pool.accounts.fee_balance().await.unwrap();
    let mut config = TestPool::payout_config("host-1");
    config.owner = Some(OwnerPayout { recipient: miner(0x55), above: Luna(1_000) });
    let payout = pool.payout_with(config);
    pool.until_final(3).await;
    // The fee account bore the network's fee of all three.
    assert_eq!(pool.received(0x55) as i64, fee - 3 * 138);
    assert_eq!(pool.accounts.fee_balance().await.unwrap(), 0);
    pool.assert_sound().await;
    payout.end().await;
    service.end().await;
}

async fn what_the_node_demands_for_a_byte_is_paid(pool: TestPool) {
    let service = rich(&pool).await;
    let once = || {
        let config = TestPool::payout_config("host-1");
        super::once(config, Signer::Key(key()), pool.accounts.clone(), pool.node(), &pool.metrics)
    };
    // The configuration has 1; a node that wants less is paid that.
    pool.front.treat("minFeePerByte", Conduct::Say(3));
    let prepared = once().await.unwrap().prepared;
    assert_eq!(prepared.len(), 2);
    assert!(prepared.iter().all(|(_, payment)| payment.network_fee == Luna(3 * 138)), "{prepared:?}");
    pool.earn().await;
    pool.bury(10);
    pool.until("the credits to mature", async || pool.balance(2).await.1 > 0).await;
    pool.front.treat("minFeePerByte", Conduct::Say(0));
    let prepared = once().await.unwrap().prepared;
    assert_eq!(prepared.len(), 2);
    assert!(prepared.iter().all(|(_, payment)| payment.network_fee == Luna(138)), "{prepared:?}");
    service.end().await;
}
