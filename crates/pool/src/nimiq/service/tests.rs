//! The service over a dev chain: blocks credited, matured, orphaned; a node that fails; a standby.

use std::time::Duration;

use ledger::nimiq::found_block::FoundState;

use crate::nimiq::test_pool::{Conduct, STRANGER, TestPool, on_both_stores, pool_address};

on_both_stores!(
    a_block_is_credited_matures_and_is_taken_back,
    reorganisations_around_the_depth_leave_the_book_balanced,
    a_stop_of_any_length_is_caught_up_with,
    a_node_that_answers_late_twice_or_never_is_waited_for,
    a_node_without_consensus_is_not_believed,
    a_standby_takes_over,
);

/// What both miners have together.
async fn credited(pool: &TestPool) -> i64 {
    pool.balance(1).await.0 + pool.balance(2).await.0
}

async fn a_block_is_credited_matures_and_is_taken_back(pool: TestPool) {
    let service = pool.service("host-1");
    pool.bury(3);
    pool.until_followed().await;
    pool.earn().await;
    pool.until("the block to be credited", async || credited(&pool).await > 0).await;
    let total = credited(&pool).await;
    assert_eq!(pool.balance(1).await.1, 0, "nothing can be paid yet");
    pool.bury(10);
    pool.until("the credits to mature", async || pool.balance(1).await.1 > 0).await;
    assert_eq!(pool.balance(1).await.0, pool.balance(1).await.1);
    assert_eq!(credited(&pool).await, total);
    pool.until("the figures", async || {
        pool.metric(r#"headframe_nimiq_blocks{role="nimiq_service",state="mature"}"#) == Some(1.0)
    })
    .await;
    let lag = pool.metric(r#"headframe_nimiq_lag_blocks{role="nimiq_service"}"#);
    assert_eq!(lag, Some(0.0));
    assert_eq!(pool.metric(r#"headframe_nimiq_window_shares{role="nimiq_service"}"#), Some(10.0));
    pool.chain.reorganise(STRANGER, 11).unwrap();
    pool.until("the credits to be taken back", async || credited(&pool).await == 0).await;
    pool.assert_sound().await;
    service.end().await;
}

async fn reorganisations_around_the_depth_leave_the_book_balanced(pool: TestPool) {
    let mut service = pool.service("host-1");
    pool.bury(40);
    pool.until_followed().await;
    for depth in [1, 9, 30] {
        for (running, again) in [(true, false), (false, false), (true, true)] {
            let before = credited(&pool).await;
            let found = pool.earn().await;
            pool.bury(depth);
            pool.until("the block to be credited", async || credited(&pool).await > before).await;
            pool.until_followed().await;
            let after = credited(&pool).await;
            if running {
                pool.chain.reorganise(STRANGER, depth + 1).unwrap();
            } else {
                service.end().await;
                pool.chain.reorganise(STRANGER, depth + 1).unwrap();
                service = pool.service("host-1");
            }
            pool.until_followed().await;
            assert_eq!(credited(&pool).await, before, "depth {depth}");
            if again {
                // The branch wins after all: what was booked is booked again.
                pool.chain.extend_from(found, STRANGER, depth + 3).unwrap();
                pool.until_followed().await;
                assert_eq!(credited(&pool).await, after, "depth {depth}");
            }
            pool.assert_sound().await;
        }
    }
    service.end().await;
    let states = pool.accounts.blocks_by_state().await.unwrap();
    assert_eq!(states[&FoundState::Orphaned], 6);
}

async fn a_stop_of_any_length_is_caught_up_with(pool: TestPool) {
    let service = pool.service("host-1");
    pool.bury(2);
    pool.until_followed().await;
    service.end().await;
    // Nobody looks while more blocks come than one look takes, the pool's among them.
    for _ in 0..3 {
        pool.earn().await;
        pool.bury(200);
    }
    let service = pool.service("host-1");
    pool.until("all to be credited and mature", async || {
        let states = pool.accounts.blocks_by_state().await.unwrap();
        states.get(&FoundState::Mature) == Some(&3)
    })
    .await;
    pool.until_followed().await;
    pool.until("the service to be ready", async || service.role.health().is_ready()).await;
    assert!(pool.balance(1).await.1 > pool.balance(2).await.1);
    pool.assert_sound().await;
    service.end().await;
}

async fn a_node_that_answers_late_twice_or_never_is_waited_for(pool: TestPool) {
    let service = pool.service("host-1");
    pool.bury(2);
    pool.until_followed().await;
    let mut before = 0;
    for conduct in [Conduct::Late(Duration::from_millis(200)), Conduct::Twice, Conduct::Ignore] {
        pool.service_front.treat("getBlockByNumber", conduct);
        pool.earn().await;
        pool.bury(1);
        if conduct == Conduct::Ignore {
            pool.until("the trouble to be noticed", async || !service.role.health().is_ready()).await;
            pool.service_front.behave();
        }
        pool.until("the block to be credited", async || credited(&pool).await > before).await;
        pool.service_front.behave();
        pool.until_followed().await;
        before = credited(&pool).await;
    }
    pool.until("the service to be well", async || service.role.health().is_ready()).await;
    pool.assert_sound().await;
    service.end().await;
}

async fn a_node_without_consensus_is_not_believed(pool: TestPool) {
    let service = pool.service("host-1");
    pool.bury(2);
    pool.until_followed().await;
    pool.until("the service to be ready", async || service.role.health().is_ready()).await;
    pool.chain.set_consensus(false);
    pool.until("the trouble to be noticed", async || !service.role.health().is_ready()).await;
    let known = pool.accounts.main_chain(1).await.unwrap();
    pool.chain.extend(pool_address(), 1).unwrap();
    let reason = service.role.health().state().reason.unwrap();
    assert!(reason.contains("no node has consensus"), "{reason}");
    assert_eq!(pool.accounts.main_chain(1).await.unwrap(), known);
    pool.chain.set_consensus(true);
    pool.until_followed().await;
    service.end().await;
}

async fn a_standby_takes_over(pool: TestPool) {
    let first = pool.service("host-1");
    pool.bury(2);
    pool.until_followed().await;
    let second = pool.service("host-2");
    pool.until("the second to stand by", async || second.role.health().is_ready()).await;
    // A crash: the first neither writes nor gives its duty back.
    first.role.parts.kill("duty");
    pool.earn().await;
    pool.until("the second to go on", async || credited(&pool).await > 0).await;
    // A stop: the third need not wait for the lease to run out.
    let third = pool.service("host-3");
    pool.until("the third to stand by", async || third.role.health().is_ready()).await;
    second.end().await;
    pool.bury(11);
    pool.until("the third to go on", async || pool.balance(1).await.1 > 0).await;
    pool.assert_sound().await;
    third.end().await;
}
