//! A payout that dies at each of its calls to the node, whether the node still did what it was asked or not: whoever
//! goes on pays exactly once.

use super::super::{PayoutFault, once};
use super::rich;
use crate::nimiq::payout::signer::Signer;
use crate::nimiq::test_pool::{Conduct, TestPool, key, on_both_stores};

on_both_stores!(a_crash_at_any_call_pays_once, a_crash_at_any_call_that_the_node_still_carried_out_pays_once);

async fn a_crash_at_any_call_pays_once(pool: TestPool) {
    sweep(&pool, Conduct::Ignore).await;
}

async fn a_crash_at_any_call_that_the_node_still_carried_out_pays_once(pool: TestPool) {
    sweep(&pool, Conduct::Swallow).await;
}

/// The life of two payouts from the plan to the end, in one pool after the other; each time the process dies one call
/// later, until it has lived through all of them.
async fn sweep(first: &TestPool, conduct: Conduct) {
    for call in 0.. {
        let pool = first.another().await;
        let service = rich(&pool).await;
        let death = pool.front.die_at(call, conduct);
        let lived = tokio::select! {
            () = death.cancelled() => false,
            lived = life(&pool) => { lived.unwrap(); true }
        };
        pool.front.behave();
        let next = pool.payout("host-1");
        pool.until_final(2).await;
        pool.assert_paid_once(&[1, 2]).await;
        next.end().await;
        service.end().await;
        if lived {
            assert!(call > 15, "only {call} calls: the sweep has not met them");
            println!("{call} deaths, each payout paid once");
            return;
        }
    }
}

/// Plans, signs, stores and sends; sees the payouts mined; sees them final.
async fn life(pool: &TestPool) -> Result<(), PayoutFault> {
    for blocks in [1, 10, 0] {
        let config = TestPool::payout_config("host-1");
        let signer = Signer::Key(key());
        once(config, signer, pool.accounts.clone(), pool.node(), &pool.metrics).await?;
        if blocks > 0 {
            pool.bury(blocks);
        }
    }
    Ok(())
}
