//! The whole miner against a pool that judges its shares by the rules.

use std::num::NonZeroUsize;
use std::sync::Arc;

use nimiq::argon2d::Hasher;
use nimiq::share::{
    Announced, NanoJob, NanoShare, NextBlock, SmartShare, check_work, dumb, nano, smart::PoolLeaf,
};
use nimiq::{
    AccountsHash, Address, BodyHash, CompactTarget, DeviceId, ExtraData, Header, LightBlock, Luna, Network,
    PayoutNonce, ShareTarget,
};
use node::dev_chain::rpc::{RpcUsers, ServeLimits};
use node::{Credentials, NimiqDevChain, NodeAddress, TlsTrust};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;
use wire::nimiq::{
    Balance, DeviceName, Mode, NewBlock, NewNanoBlock, Reason, ServerMessage, Settings, Share,
};

use super::fake_pool::{Client, FakePool};
use super::mining::now;
use super::*;
use crate::mining_threads::Placement;

const POOL: Address = Address([5; 20]);
/// About one hash in 256 meets it.
const EASY: CompactTarget = CompactTarget(0x2000_ffff);
const NETWORK: Network = Network::Dev;

/// A running miner and what it says of itself.
struct Running {
    statuses: UnboundedReceiver<NimiqStatus>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), NimiqMinerError>>,
}

struct Statuses(UnboundedSender<NimiqStatus>);

impl StatusOutput for Statuses {
    fn status(&self, status: &Status) {
        if let Status::Nimiq(status) = status {
            let _ = self.0.send(status.clone());
        }
    }
}

fn start(pool: &FakePool, mode: MiningMode) -> Running {
    let config = NimiqMinerConfig {
        trust: pool.trust(),
        mode,
        network: NETWORK,
        device: DeviceName::new("rig"),
        placement: Placement::of(NonZeroUsize::new(2).unwrap()),
        reconnect_after: Duration::from_millis(20),
        status_interval: Duration::from_millis(20),
        ..NimiqMinerConfig::new(pool.url(), Address([9; 20]))
    };
    let (sender, statuses) = unbounded_channel();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(config, Arc::new(Statuses(sender)), shutdown.clone()));
    Running { statuses, shutdown, task }
}

impl Running {
    /// The first status that is so.
    async fn status(&mut self, is_so: impl Fn(&NimiqStatus) -> bool) -> NimiqStatus {
        let found = async {
            loop {
                let status = self.statuses.recv().await.expect("the miner runs");
                if is_so(&status) {
                    return status;
                }
            }
        };
        tokio::time::timeout(Duration::from_mins(2), found).await.expect("such a status")
    }

    /// The last status.
    async fn stop(mut self) -> NimiqStatus {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        let mut last = NimiqStatus::default();
        while let Ok(status) = self.statuses.try_recv() {
            last = status;
        }
        last
    }
}

fn share_target(compact: CompactTarget) -> ShareTarget {
    ShareTarget::new(compact).unwrap()
}

fn settings(extra_data: &[u8], target: CompactTarget) -> ServerMessage {
    let nonce = PayoutNonce::from_random(7);
    let fee = "0.01".parse().unwrap();
    ServerMessage::Settings(Settings::new(
        POOL,
        ExtraData::cut(extra_data),
        &share_target(target),
        nonce,
        fee,
    ))
}

/// What nano clients mine on the genesis block, told apart by `body`.
fn nano_job(body: u8, target: CompactTarget) -> NanoJob {
    NanoJob {
        body_hash: BodyHash([body; 32]),
        accounts_hash: AccountsHash([2; 32]),
        target: share_target(target),
    }
}

fn new_block(job: &NanoJob, previous: LightBlock) -> ServerMessage {
    ServerMessage::NewBlock(Box::new(NewBlock::Nano(NewNanoBlock {
        body_hash: job.body_hash,
        accounts_hash: job.accounts_hash,
        previous,
        next_target: Some(CompactTarget::EASIEST),
    })))
}

fn genesis() -> LightBlock {
    NETWORK.genesis_block().to_light()
}

fn next_on(block: &LightBlock) -> NextBlock {
    let proof_of_work = Hasher::new().hash(&block.header.to_bytes());
    NextBlock::on(block, proof_of_work, CompactTarget::EASIEST, &NETWORK.genesis_hash())
}

/// The next share, which must be a nano client's.
async fn nano_share(client: &mut Client) -> NanoShare {
    match client.share().await {
        Share::Nano(share) => share,
        other => panic!("not a nano share: {other:?}"),
    }
}

/// Panics unless the share is good for one of the jobs on a block.
fn judge_nano(share: &NanoShare, on: &LightBlock, jobs: &[NanoJob]) -> NanoJob {
    let mined = share.check(&next_on(on), jobs, now()).expect("a share on one of the jobs").clone();
    let proof_of_work = Hasher::new().hash(&share.block.header.to_bytes());
    assert_eq!(nano::check_work(&proof_of_work, &mined, &mined.target), Ok(()));
    mined
}

fn header(share: &Share) -> Header {
    match share {
        Share::Nano(share) => share.block.header,
        Share::Smart(share) => share.header,
        Share::Dumb { .. } => panic!("a nonce alone"),
    }
}

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
    let balance =
        Balance { balance: Luna(150_000), confirmed_balance: Luna(100_000), payout_request_active: false };
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

/// A dev chain that answers RPC.
struct Node {
    chain: NimiqDevChain,
    address: NodeAddress,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

async fn node() -> Node {
    let folder = tempfile::tempdir().unwrap();
    let chain = NimiqDevChain::open(folder.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (served, stop) = (chain.clone(), CancellationToken::new());
    let stopped = stop.clone();
    tokio::spawn(async move {
        served.serve(listener, RpcUsers::default(), ServeLimits::default(), stopped).await;
    });
    let address = NodeAddress { url, credentials: Credentials::None, trust: TlsTrust::default() };
    Node { chain, address, _stop: stop.drop_guard(), _folder: folder }
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
    let smart_share = |share| match share {
        Share::Smart(share) => share,
        other => panic!("not a smart share: {other:?}"),
    };
    let judge = |share: &SmartShare, announced: &Announced| {
        let next = next_on(&genesis());
        let mined = share.check(&next, &PoolLeaf::new(&POOL), [announced], now());
        let mined = mined.expect("a block that pays the pool");
        let proof_of_work = Hasher::new().hash(&share.header.to_bytes());
        assert_eq!(check_work(&proof_of_work, mined.target()), Ok(()));
    };
    for _ in 0..5 {
        judge(&smart_share(client.share().await), &announced[0]);
    }
    // At the network's own difficulty, every share is a block.
    client.say(&settings(second.as_bytes(), CompactTarget::EASIEST)).await;
    let is_second = |share: &SmartShare| share.check_proofs(&PoolLeaf::new(&POOL), [&announced[1]]).is_ok();
    let share = loop {
        let share = smart_share(client.share().await);
        if is_second(&share) {
            break share;
        }
    };
    judge(&share, &announced[1]);
    let block = nimiq::Block::parse(share.block.as_deref().expect("the whole block")).unwrap();
    assert!(block.header == share.header && block.has_its_body());
    let mut heads = node.chain.watch_head();
    let taken = heads.wait_for(|head| head.hash == block.header.hash());
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
        previous: head.clone(),
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

#[tokio::test(flavor = "multi_thread")]
async fn refused_shares_are_counted_by_reason() {
    let pool = FakePool::start().await;
    let mut miner = start(&pool, MiningMode::Nano { node: None });
    let mut client = pool.registered().await;
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&nano_job(1, EASY), genesis())).await;
    use nimiq::share::Refusal;
    for refusal in [Refusal::BadPrevious, Refusal::BadPrevious, Refusal::Duplicate, Refusal::Expired] {
        client.share().await;
        client.say(&Reason::Share(refusal).into()).await;
    }
    client.say(&Reason::AlreadyRegistered.into()).await;
    let status = miner.status(|status| status.shares.expired == 1).await;
    let refused: Vec<_> = status.shares.refused.into_iter().collect();
    assert_eq!(refused, [("bad_prev", 2), ("duplicate_share", 1)]);
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_talks_nonsense_is_left_and_tried_again() {
    let pool = FakePool::start().await;
    let miner = start(&pool, MiningMode::Nano { node: None });
    let too_long = format!(r#"{{"message":"error","reason":"{}"}}"#, "x".repeat(1 << 17));
    for nonsense in [
        "no json",
        "[]",
        "{}",
        r#"{"message":7}"#,
        r#"{"message":"settings"}"#,
        r#"{"message":"settings","address":"nobody","extraData":"AA==","targetCompact":520159232}"#,
        r#"{"message":"new-block","bodyHash":"AA==","accountsHash":"AA==","previousBlock":"AA=="}"#,
        r#"{"message":"balance"}"#,
        &settings(b"one", EASY).to_text().replace("\"targetCompact\":536936447", "\"targetCompact\":1"),
        &ServerMessage::NewBlock(Box::new(NewBlock::Dumb(genesis().header))).to_text(),
        &too_long,
    ] {
        let mut client = pool.registered().await;
        client.say_text(nonsense).await;
        client.until_gone().await;
    }
    // A message that is only unknown is no nonsense.
    let mut client = pool.registered().await;
    client.say_text(r#"{"message":"maintenance","at":[1]}"#).await;
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&nano_job(1, EASY), genesis())).await;
    assert_eq!(header(&client.share().await).previous, NETWORK.genesis_hash());
    miner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_a_certificate_of_its_own_is_believed_where_the_certificate_is_given() {
    let pool = FakePool::start_with_tls().await;
    let miner = start(&pool, MiningMode::Nano { node: None });
    let mut client = pool.registered().await;
    client.say(&settings(b"one", EASY)).await;
    client.say(&new_block(&nano_job(1, EASY), genesis())).await;
    client.share().await;
    miner.stop().await;

    let url = pool.url();
    let untrusted = connection::open(&url, &TlsTrust::PublicAuthorities);
    let (opened, handshake) = tokio::join!(untrusted, pool.stream());
    assert!(matches!(opened, Err(ConnectionFault::Open(_))));
    assert!(handshake.is_err());
}
