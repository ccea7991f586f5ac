//! A payout that dies at each of its calls to the node, whether the node still did what it was asked or not: whoever
//! goes on pays exactly once.

use super::rich;
use crate::nimiq::test_pool::{Conduct, TestPool, on_both_stores};

on_both_stores!(a_crash_at_any_call_pays_once, a_crash_at_any_call_that_the_node_still_carried_out_pays_once);

async fn a_crash_at_any_call_pays_once(pool: TestPool) {
    sweep(&pool, Conduct::Ignore).await;
}

async fn a_crash_at_any_call_that_the_node_still_carried_out_pays_once(pool: TestPool) {
    sweep(&pool, Conduct::Swallow).await;
}

/// The life of two payouts, from the plan to the end, again and again: each time the process dies one call later.
async fn sweep(pool: &TestPool, conduct: Conduct) {
    let service = rich(pool).await;
    let mut paid = 0;
    for call in 0.. {
        paid += 2;
        let death = pool.front.die_at(call, conduct);
        let dying = pool.payout("host-1");
        // The blocks come as in life, whatever the process has got to.
        let lived = tokio::select! {
            () = death.cancelled() => false,
            () = pool.until_final(paid) => true,
        };
        dying.role.work.abort();
        pool.front.behave();
        let next = pool.payout("host-1");
        pool.until_final(paid).await;
        pool.assert_paid_once(&[1, 2]).await;
        next.end().await;
        if lived {
            assert!(call > 10, "only {call} calls: the sweep has not met them");
            println!("{call} deaths, each payout paid once");
            break;
        }
        pool.earn().await;
        pool.bury(10);
        pool.until("the credits to mature", async || pool.balance(2).await.1 > 0).await;
    }
    service.end().await;
}
