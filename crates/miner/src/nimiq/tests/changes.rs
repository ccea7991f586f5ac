//! Another difficulty, another head, another connection: what is sent afterwards.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_difficulty_shares_meet_the_new_target() {
    let pool = FakePool::start().await;
    let miner = start(&pool, MiningMode::Nano { node: None });
    let mut client = pool.registered().await;
    let harder = CompactTarget(0x2000_1fff);
    let jobs = [nano_job(1, EASY), nano_job(2, harder)];
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&jobs[0], genesis())).await;
    judge_nano(&nano_share(&mut client).await, &genesis(), &jobs[..1]);
    client.say(&settings(b"two", harder)).await;
    client.say(&new_block(&jobs[1], genesis())).await;
    // Shares of the job before are still good, by its target; soon all are of the new one.
    let mut of_the_new = 0;
    while of_the_new < 5 {
        let mined = judge_nano(&nano_share(&mut client).await, &genesis(), &jobs);
        of_the_new += u32::from(mined == jobs[1]);
    }
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_for_a_head_that_is_over() {
    let (pool, node) = (FakePool::start().await, node().await);
    let miner = start(&pool, MiningMode::Nano { node: None });
    let mut client = pool.registered().await;
    let jobs = [nano_job(1, EASY), nano_job(2, EASY)];
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&jobs[0], genesis())).await;
    judge_nano(&nano_share(&mut client).await, &genesis(), &jobs[..1]);
    node.chain.extend(Address([1; 20]), 1).unwrap();
    let head = node.chain.light_head();
    client.say(&new_block(&jobs[1], head.clone())).await;
    let on_head = loop {
        let share = nano_share(&mut client).await;
        if share.block.header.previous == head.header.hash() {
            break share;
        }
    };
    judge_nano(&on_head, &head, &jobs[1..]);
    for _ in 0..20 {
        judge_nano(&nano_share(&mut client).await, &head, &jobs[1..]);
    }
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_pool_is_found_again_and_gets_only_shares_of_its_new_work() {
    let pool = FakePool::start().await;
    let mut miner = start(&pool, MiningMode::Nano { node: None });
    let jobs = [nano_job(1, EASY), nano_job(2, EASY)];
    let mut client = pool.registered().await;
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&jobs[0], genesis())).await;
    judge_nano(&nano_share(&mut client).await, &genesis(), &jobs[..1]);
    miner.status(|status| status.registered).await;
    drop(client);
    let status = miner.status(|status| !status.registered).await;
    assert_eq!(status.height, None);

    let mut client = pool.registered().await;
    client.say(&settings(b"two", EASY)).await;
    client.say(&new_block(&jobs[1], genesis())).await;
    for _ in 0..10 {
        judge_nano(&nano_share(&mut client).await, &genesis(), &jobs[1..]);
    }
    let shares = miner.stop().await.shares;
    assert!(shares.lost > 0, "the first share's fate is unknown: {shares:?}");
}
