//! Every mode against a pool that judges its shares by the rules: what is registered, what is sent, what it needs.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_nano_miner_registers_and_sends_good_shares() {
    let pool = FakePool::start().await;
    let mut miner = start(&pool, MiningMode::Nano { node: None });
    let mut client = pool.accept().await;
    let register = client.register().await;
    assert_eq!((register.mode, register.address), (Mode::Nano, Address([9; 20])));
    assert_eq!(register.genesis_hash, NETWORK.genesis_hash());
    assert_eq!(register.device_name, DeviceName::new("rig"));
    assert_ne!(register.device_id, DeviceId(0));

    let job = nano_job(1, EASY);
    client.say(&ServerMessage::Registered).await;
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&job, genesis())).await;
    let balance = Balance {
        balance: Luna(150_000),
        confirmed_balance: Luna(100_000),
        payout_request_active: false,
        payout_threshold: None,
    };
    client.say(&ServerMessage::Balance(balance)).await;
    let mut hashes = std::collections::HashSet::new();
    for _ in 0..20 {
        let share = nano_share(&mut client).await;
        judge_nano(&share, &genesis(), std::slice::from_ref(&job));
        assert!(hashes.insert(share.block.header.hash()), "a share came twice");
    }
    let status = miner.status(|status| status.hashes_per_second > 0).await;
    assert!(status.registered);
    assert_eq!(status.height, Some(2));
    let status = miner.status(|status| status.balance.is_some()).await;
    assert_eq!(status.balance, Some(NimiqBalance { luna: 150_000, confirmed_luna: 100_000 }));
    let last = miner.stop().await;
    assert!(last.shares.sent >= 20 && last.shares.found >= last.shares.sent, "{:?}", last.shares);
    client.until_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dumb_miner_sends_nonces_that_are_good() {
    let pool = FakePool::start().await;
    let miner = start(&pool, MiningMode::Dumb);
    let mut client = pool.registered().await;
    let header = Header { height: nimiq::Height(2), ..NETWORK.genesis_block().header };
    client.say(&settings(b"one", EASY)).await;
    client.say(&ServerMessage::NewBlock(Box::new(NewBlock::Dumb(header)))).await;
    let job = nimiq::share::DumbJob { header, target: share_target(EASY) };
    for _ in 0..10 {
        let Share::Dumb { nonce } = client.share().await else { panic!("not a nonce") };
        let tried = dumb::candidates(nonce, [&job]).next().unwrap();
        let proof_of_work = Hasher::new().hash(&tried.header.to_bytes());
        assert_eq!(check_work(&proof_of_work, &job.target), Ok(()));
    }
    miner.stop().await;
}

/// The next share, which must be a smart client's, on one of the heads, and good for something that was announced: for
/// which. A block that comes with it is a head from then on.
async fn smart_share(
    client: &mut Client,
    announced: &[Announced],
    heads: &mut Vec<LightBlock>,
) -> (SmartShare, Announced) {
    let share = match client.share().await {
        Share::Smart(share) => share,
        other => panic!("not a smart share: {other:?}"),
    };
    let on = heads.iter().find(|head| head.header.hash() == share.header.previous).expect("a known head");
    let mined = share.check(&next_on(on), &PoolLeaf::new(&POOL), announced, now());
    let mined = mined.expect("a block that pays the pool").clone();
    let proof_of_work = Hasher::new().hash(&share.header.to_bytes());
    assert_eq!(check_work(&proof_of_work, mined.target()), Ok(()));
    if let Some(bytes) = &share.block {
        heads.push(nimiq::Block::parse(bytes).unwrap().to_light());
    }
    (share, mined)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smart_miner_proves_whom_its_block_pays_and_gives_it_to_its_node() {
    let (pool, node) = (FakePool::start().await, node().await);
    let miner = start(&pool, MiningMode::Smart { node: node.address.clone() });
    let mut client = pool.registered().await;
    let (first, second) = (ExtraData::cut(b"one"), ExtraData::cut(b"two"));
    client.say(&settings(first.as_bytes(), EASY)).await;
    let announced = [
        Announced::new(&first, share_target(EASY)),
        Announced::new(&second, share_target(CompactTarget::EASIEST)),
    ];
    let mut heads = vec![genesis()];
    for _ in 0..5 {
        smart_share(&mut client, &announced[..1], &mut heads).await;
    }
    // At the network's own difficulty, every share is a block.
    client.say(&settings(second.as_bytes(), CompactTarget::EASIEST)).await;
    let share = loop {
        let (share, mined) = smart_share(&mut client, &announced, &mut heads).await;
        if mined == announced[1] {
            break share;
        }
    };
    let block = nimiq::Block::parse(share.block.as_deref().expect("the whole block")).unwrap();
    assert!(block.header == share.header && block.has_its_body());
    let mut heads = node.chain.watch_head();
    let taken = heads.wait_for(|head| head.height >= block.header.height);
    tokio::time::timeout(Duration::from_mins(1), taken).await.expect("the node takes the block").unwrap();
    assert!(miner.stop().await.shares.blocks >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nano_miner_with_a_node_needs_no_word_of_the_next_target() {
    let (pool, node) = (FakePool::start().await, node().await);
    node.chain.extend(Address([1; 20]), 3).unwrap();
    let mut miner = start(&pool, MiningMode::Nano { node: Some(node.address.clone()) });
    let mut client = pool.registered().await;
    let (job, head) = (nano_job(1, EASY), node.chain.light_head());
    let block = NewNanoBlock {
        body_hash: job.body_hash,
        accounts_hash: job.accounts_hash,
        previous: head.clone().into(),
        next_target: None,
    };
    client.say(&settings(b"one", EASY)).await;
    client.say(&ServerMessage::NewBlock(Box::new(NewBlock::Nano(block)))).await;
    judge_nano(&nano_share(&mut client).await, &head, &[job]);
    assert_eq!(miner.status(|status| status.height.is_some()).await.height, Some(5));
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_that_needs_a_node_says_so() {
    let pool = FakePool::start().await;
    let mut miner = start(&pool, MiningMode::Nano { node: None });
    let mut client = pool.registered().await;
    let mut block = new_block(&nano_job(1, EASY), genesis());
    if let ServerMessage::NewBlock(block) = &mut block
        && let NewBlock::Nano(block) = &mut **block
    {
        block.next_target = None;
    }
    client.say(&settings(b"one", EASY)).await;
    client.say(&block).await;
    let status = miner.status(|status| status.waiting_for.is_some_and(|what| what.contains("--node"))).await;
    assert_eq!(status.height, None);
    miner.stop().await;
}
