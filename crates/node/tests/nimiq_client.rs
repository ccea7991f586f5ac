//! The client of a Nimiq node against the dev chain over HTTP: heads, light blocks, submissions, payments, faults.

#![allow(clippy::unwrap_used, reason = "a test may end when its stage cannot be set")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nimiq::transaction::Payment;
use nimiq::{Address, BlockHash, Height, Luna, Network, PrivateKey, Timestamp, Transaction};
use node::dev_chain::rpc::{RpcUsers, ServeLimits};
use node::nimiq::{BlockId, FollowSettings, Head, NimiqConfig, SendOutcome, SubmitOutcome};
use node::{Credentials, NodeAddress, NodeError, TlsTrust};
use node::{NimiqClient, NimiqDevChain};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

const NOW: u32 = 1_800_000_000;
/// With these, a template without transactions on the genesis block is mined.
const LUCKY_TIME: Timestamp = Timestamp(1_799_990_457);
const LUCKY_NONCE: u32 = 5;

struct Node {
    chain: NimiqDevChain,
    address: SocketAddr,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

async fn node() -> Node {
    let folder = tempfile::tempdir().unwrap();
    let chain = NimiqDevChain::open_with_clock(folder.path(), Arc::new(|| NOW)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let (served, stopped) = (chain.clone(), stop.clone());
    tokio::spawn(async move {
        served.serve(listener, RpcUsers::default(), ServeLimits::default(), stopped).await;
    });
    Node { chain, address, _stop: stop.drop_guard(), _folder: folder }
}

fn client(nodes: &[&Node]) -> NimiqClient {
    let address = |node: &&Node| NodeAddress {
        url: format!("http://{}", node.address),
        credentials: Credentials::None,
        trust: TlsTrust::default(),
    };
    let config = NimiqConfig::new(nodes.iter().map(address).collect(), Network::Dev);
    let times =
        NimiqConfig { query_time: Duration::from_secs(2), work_time: Duration::from_secs(2), ..config };
    NimiqClient::new(times).unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::new(&[7; 32])
}

fn pool() -> Address {
    key().public_key().address()
}

fn payment(value: u64, validity_start: u32) -> Transaction {
    let payment = Payment {
        recipient: Address([9; 20]),
        value: Luna(value),
        fee: Luna(138),
        validity_start: Height(validity_start),
        network: Network::Dev.id(),
    };
    payment.sign(&key()).into()
}

fn follow(client: &NimiqClient) -> (watch::Receiver<Option<Arc<Head>>>, DropGuard) {
    let stop = CancellationToken::new();
    let settings = FollowSettings { poll: Duration::from_millis(5), ..FollowSettings::default() };
    // One works on it, for as long as this test lasts.
    let workers = watch::channel(1).1;
    (client.follow(pool(), settings, workers, stop.clone()), stop.drop_guard())
}

async fn until(heads: &mut watch::Receiver<Option<Arc<Head>>>, hash: BlockHash) -> Arc<Head> {
    let found = heads.wait_for(|head| head.as_ref().is_some_and(|head| head.block.facts.hash == hash));
    let found =
        tokio::time::timeout(Duration::from_secs(20), found).await.expect("the head is noticed").unwrap();
    found.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_head_comes_with_its_light_block() {
    let node = node().await;
    node.chain.extend(pool(), 40).unwrap();
    let client = client(&[&node]);
    let (mut heads, _stop) = follow(&client);
    // The first is put together from ancestors, those that follow from the template before.
    for step in 0..6 {
        let head = until(&mut heads, node.chain.head().hash).await;
        assert_eq!(head.light, Some(node.chain.light_head()), "step {step}");
        assert_eq!(head.next.earliest, node.chain.light_head().header.timestamp);
        assert_eq!(head.body.miner, pool());
        match step {
            2 => node.chain.reorganise(Address([3; 20]), 5).unwrap(),
            _ => node.chain.extend(pool(), 1).unwrap(),
        };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_work_does_not_wait_for_a_seldom_look() {
    let node = node().await;
    let client = client(&[&node]);
    let (stop, (workers, counted)) = (CancellationToken::new(), watch::channel(0));
    let settings = FollowSettings { idle_poll: Duration::from_hours(1), ..FollowSettings::default() };
    let mut heads = client.follow(pool(), settings, counted, stop.clone());
    until(&mut heads, node.chain.head().hash).await;
    node.chain.extend(pool(), 1).unwrap();
    workers.send_replace(1);
    until(&mut heads, node.chain.head().hash).await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_consensus_there_is_nothing_to_mine_on() {
    let node = node().await;
    let client = client(&[&node]);
    let (mut heads, _stop) = follow(&client);
    until(&mut heads, node.chain.head().hash).await;
    node.chain.set_consensus(false);
    heads.wait_for(Option::is_none).await.unwrap();
    node.chain.set_consensus(true);
    until(&mut heads, node.chain.head().hash).await;
    node.chain.faults().refuse(Duration::from_mins(1));
    heads.wait_for(Option::is_none).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_block_is_accepted_or_not_whatever_the_node_says() {
    let node = node().await;
    let client = client(&[&node]);
    let template = client.template(&pool()).await.unwrap();
    let mut block = node.chain.template(pool(), template.body.extra_data.clone()).block(LUCKY_TIME, 0);
    assert_eq!(
        (block.header.previous, block.header.accounts_hash),
        (template.previous, template.accounts_hash)
    );
    assert_eq!(client.submit(&block).await.unwrap(), SubmitOutcome::NotTaken);
    block.body.extra_data = nimiq::ExtraData::default();
    assert!(matches!(client.submit(&block).await.unwrap(), SubmitOutcome::Refused(_)));
    block.header.body_hash = block.body.hash();
    block.header.nonce = LUCKY_NONCE;
    // The node takes it, but its answer is lost.
    node.chain.faults().lose(1);
    assert_eq!(client.submit(&block).await.unwrap(), SubmitOutcome::Accepted);
    assert_eq!(client.head_height().await.unwrap(), Height(2));
    assert_eq!(client.balance(&pool()).await.unwrap(), nimiq::reward::block_reward(Height(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_followed_from_waiting_to_mined() {
    let node = node().await;
    node.chain.extend(pool(), 3).unwrap();
    let client = client(&[&node]);
    let paid = payment(5000, 4);
    assert_eq!(client.send(&paid).await.unwrap(), SendOutcome::Waiting);
    assert_eq!(client.waiting().await.unwrap(), [paid.hash()]);
    assert_eq!(client.receipt(&paid.hash()).await.unwrap(), None);
    assert!(matches!(client.send(&payment(u64::MAX / 4, 4)).await.unwrap(), SendOutcome::Refused(_)));
    node.chain.extend(pool(), 2).unwrap();
    let SendOutcome::Mined(receipt) = client.send(&paid).await.unwrap() else { panic!("it is mined") };
    assert_eq!((receipt.height, receipt.confirmations), (Height(5), 2));
    let block = client.block(&receipt.block).await.unwrap().unwrap();
    assert_eq!((block.fees, block.miner), (Luna(138), pool()));
    assert!(client.is_in_chain(Height(5), &receipt.block).await.unwrap());
    node.chain.reorganise(pool(), 3).unwrap();
    assert!(!client.is_in_chain(Height(5), &receipt.block).await.unwrap());
    assert!(client.block(&receipt.block).await.unwrap().is_some(), "the node still finds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_gains_and_loses_is_told_once() {
    let node = node().await;
    node.chain.extend(pool(), 10).unwrap();
    let client = client(&[&node]);
    let first = client.changes(&[]).await.unwrap();
    assert_eq!((first.orphaned.len(), first.adopted.len()), (0, 1));
    let id = |block: &node::nimiq::BlockInfo| BlockId { height: block.facts.height, hash: block.facts.hash };
    let mut known: Vec<_> = first.adopted.iter().map(id).collect();
    for (depth, orphaned) in [(0, 0), (2, 2), (5, 5)] {
        if depth == 0 {
            node.chain.extend(pool(), 7).unwrap();
        } else {
            node.chain.reorganise(Address([3; 20]), depth).unwrap();
        }
        let change = client.changes(&known).await.unwrap();
        assert_eq!(change.orphaned.len(), orphaned);
        known.truncate(known.len() - orphaned);
        known.extend(change.adopted.iter().map(id));
        assert_eq!(known.last().unwrap().hash, node.chain.head().hash);
        assert!(known.windows(2).all(|pair| pair[1].height == pair[0].height.next()));
        assert_eq!(client.changes(&known).await.unwrap(), node::nimiq::ChainChange::default());
    }
    node.chain.reorganise(pool(), 15).unwrap();
    assert!(matches!(client.changes(&known).await, Err(NodeError::BadReply { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_is_asked_where_one_fails() {
    let (first, second) = (node().await, node().await);
    second.chain.extend(pool(), 5).unwrap();
    let client = client(&[&first, &second]);
    assert_eq!(client.head_height().await.unwrap(), Height(1));
    first.chain.faults().refuse(Duration::from_mins(1));
    assert_eq!(client.head_height().await.unwrap(), Height(6));
    second.chain.faults().refuse(Duration::from_mins(1));
    assert_eq!(client.head_height().await, Err(NodeError::TooBusy));
    first.chain.faults().end();
    assert_eq!(client.head_height().await.unwrap(), Height(1));
}
