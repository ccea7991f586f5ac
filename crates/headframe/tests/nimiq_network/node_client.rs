//! Our client of a Nimiq node, against real nodes: heads, templates, submissions, payments, reorganisations.

use std::sync::Arc;
use std::time::Duration;

use nimiq::argon2d::Hasher;
use nimiq::reward::block_reward;
use nimiq::share::NextBlock;
use nimiq::transaction::Payment;
use nimiq::{Address, BlockHash, Height, Luna, Network as Chain, PrivateKey, Transaction};
use node::nimiq::{BlockId, BlockInfo, ChainChange, FollowSettings, Head, SendOutcome, SubmitOutcome};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::network::{Network, Pushed, mined, recorded_chain, without_work};
use crate::sandbox::PATIENCE;

fn key() -> PrivateKey {
    PrivateKey::new(&[7; 32])
}

fn pool() -> Address {
    key().public_key().address()
}

fn payment(value: Luna, validity_start: Height) -> Transaction {
    let recipient = Address([9; 20]);
    let payment = Payment { recipient, value, fee: Luna(138), validity_start, network: Chain::Dev.id() };
    payment.sign(&key()).into()
}

fn id(block: &BlockInfo) -> BlockId {
    BlockId { height: block.facts.height, hash: block.facts.hash }
}

#[test]
fn what_the_node_says_of_its_chain_is_what_its_blocks_say() {
    let Some(network) = Network::start("node client, reading") else { return };
    let chain = recorded_chain();
    network.extend(&chain);
    let client = network.client();
    network.wait(async {
        assert!(client.has_consensus().await.unwrap());
        let head = &chain.last().unwrap().header;
        assert_eq!(client.head_height().await.unwrap(), head.height);
        assert_eq!(client.block_at(head.height.next()).await.unwrap(), None);
        assert_eq!(client.block(&BlockHash([1; 32])).await.unwrap(), None);
        let mut hasher = Hasher::new();
        for block in std::iter::once(&Chain::Dev.genesis_block()).chain(&chain) {
            let hash = block.header.hash();
            let told = client.block_at(block.header.height).await.unwrap().unwrap();
            assert_eq!(client.block(&hash).await.unwrap().as_ref(), Some(&told));
            assert_eq!(told.facts.hash, hash);
            assert_eq!(told.facts.proof_of_work, hasher.hash(&block.header.to_bytes()));
            assert_eq!(told.facts.difficulty, block.header.target.difficulty());
            assert_eq!((told.facts.body_hash, told.facts.nonce), (block.body.hash(), block.header.nonce));
            assert_eq!((told.miner, &told.extra_data), (block.body.miner, &block.body.extra_data));
            assert_eq!(Some(told.fees), block.body.fees());
            for transaction in &block.body.transactions {
                let receipt = client.receipt(&transaction.hash()).await.unwrap().unwrap();
                assert_eq!((receipt.height, receipt.block), (block.header.height, hash));
                assert_eq!(receipt.confirmations, head.height.0 - block.header.height.0 + 1);
            }
        }
        let template = client.template(&pool()).await.unwrap();
        assert_eq!((template.previous, template.height), (head.hash(), head.height.next()));
        assert_eq!(client.waiting().await.unwrap(), []);
        assert_eq!(client.balance(&pool()).await.unwrap(), Luna(0));
    });
}

#[test]
fn the_head_is_followed_with_its_light_block() {
    let Some(network) = Network::start("node client, following") else { return };
    let chain = recorded_chain();
    let (before, after) = chain.split_at(chain.len() - 8);
    network.extend(before);
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let settings = FollowSettings { poll: Duration::from_millis(20), ..FollowSettings::default() };
    let workers = tokio::sync::watch::channel(1).1;
    let mut heads = network.wait(async { network.client().follow(pool(), settings, workers, stop) });
    // The first light block is put together from ancestors; the next follow from the templates before; that of the last
    // head, after one that was missed, from ancestors again.
    let mut light = before.last().unwrap().to_light();
    for (step, block) in after.iter().enumerate() {
        if step + 2 != after.len() {
            let head = until(&network, &mut heads, light.header.hash());
            assert_eq!(head.light.as_ref(), Some(&light));
            assert_eq!(head.next.previous, block.header.previous);
            assert_eq!(head.next.height, block.header.height);
            assert_eq!(head.next.target, block.header.target);
            assert_eq!(head.next.interlink, block.interlink);
            assert_eq!(head.next.interlink_hash, block.header.interlink_hash);
        }
        network.extend(std::slice::from_ref(block));
        light = block.to_light();
    }
    let head = until(&network, &mut heads, light.header.hash());
    assert_eq!(head.light, Some(light));
}

fn until(network: &Network, heads: &mut watch::Receiver<Option<Arc<Head>>>, hash: BlockHash) -> Arc<Head> {
    network.wait(async {
        let found = heads.wait_for(|head| head.as_ref().is_some_and(|head| head.block.facts.hash == hash));
        let found = tokio::time::timeout(PATIENCE, found).await.expect("the head is noticed").unwrap();
        found.clone().unwrap()
    })
}

#[test]
fn what_our_proof_of_work_finds_is_taken_and_what_it_earns_is_paid_and_mined() {
    let Some(network) = Network::start("node client, mining and paying") else { return };
    network.extend(&recorded_chain());
    let client = network.client();
    network.wait(async {
        // A block without work, one whose body is another's, and one that is good: the node tells only of the second.
        let template = client.template(&pool()).await.unwrap();
        let idle = without_work(&template, b"no work");
        assert_eq!(client.submit(&idle).await.unwrap(), SubmitOutcome::NotTaken);
        let mut torn = idle.clone();
        torn.body.miner = Address([1; 20]);
        assert!(matches!(client.submit(&torn).await.unwrap(), SubmitOutcome::Refused(_)));
        let good = mined(&template, b"mined by headframe");
        assert_eq!(client.submit(&good).await.unwrap(), SubmitOutcome::Accepted);
        assert_eq!(client.submit(&good).await.unwrap(), SubmitOutcome::Accepted);
        let told = client.block(&good.header.hash()).await.unwrap().unwrap();
        assert_eq!((told.miner, told.extra_data), (pool(), good.body.extra_data));
        let earned = block_reward(template.height);
        assert_eq!(client.balance(&pool()).await.unwrap(), earned);

        // What it earned is paid on at once.
        let paid = payment(Luna(500_000), template.height);
        assert_eq!(client.send(&paid).await.unwrap(), SendOutcome::Waiting);
        assert_eq!(client.send(&paid).await.unwrap(), SendOutcome::Waiting, "twice does no harm");
        assert_eq!(client.waiting().await.unwrap(), [paid.hash()]);
        let refused = client.send(&payment(earned, template.height)).await.unwrap();
        assert!(matches!(refused, SendOutcome::Refused(_)), "it is worth more than there is: {refused:?}");
        assert_eq!(client.receipt(&paid.hash()).await.unwrap(), None);

        let next = client.template(&pool()).await.unwrap();
        assert_eq!(next.body.transactions, std::slice::from_ref(&paid));
        assert_eq!(client.submit(&mined(&next, b"again")).await.unwrap(), SubmitOutcome::Accepted);
        let SendOutcome::Mined(receipt) = client.send(&paid).await.unwrap() else { panic!("it is mined") };
        assert_eq!((receipt.height, receipt.confirmations), (next.height, 1));
        assert_eq!(client.block(&receipt.block).await.unwrap().unwrap().fees, Luna(138));
        assert_eq!(client.balance(&Address([9; 20])).await.unwrap(), Luna(500_000));
        let left = earned.0 + block_reward(next.height).0 - 500_000;
        assert_eq!(client.balance(&pool()).await.unwrap(), Luna(left), "the fee has come back as reward");
    });
}

#[test]
fn blocks_that_a_longer_branch_takes_away_are_told_once() {
    let Some(network) = Network::start("node client, reorganisation") else { return };
    let chain = recorded_chain();
    let (common, rivals) = chain.split_at(chain.len() - 3);
    network.extend(common);
    let client = network.client();
    let look = |known: &[BlockId]| network.wait(client.changes(known)).unwrap();
    let mut known: Vec<BlockId> = look(&[]).adopted.iter().map(id).collect();
    assert_eq!(known.last().unwrap().hash, common.last().unwrap().header.hash());

    // Two blocks of ours, and then three of another network's on the same predecessor.
    let ours = [0, 1].map(|_| {
        let block = mined(&network.wait(client.template(&pool())).unwrap(), b"soon forgotten");
        assert_eq!(network.wait(client.submit(&block)).unwrap(), SubmitOutcome::Accepted);
        block
    });
    known.extend(look(&known).adopted.iter().map(id));
    assert_eq!(known.last().unwrap().hash, ours[1].header.hash());
    let pushed: Vec<Pushed> = rivals.iter().map(|block| network.push(block)).collect();
    assert_eq!(pushed, [Pushed::Forked, Pushed::Forked, Pushed::Rebranched]);

    let change = look(&known);
    let orphaned: Vec<BlockHash> = change.orphaned.iter().map(|block| block.hash).collect();
    assert_eq!(orphaned, [ours[1].header.hash(), ours[0].header.hash()]);
    let adopted: Vec<BlockHash> = change.adopted.iter().map(|block| block.facts.hash).collect();
    assert_eq!(adopted, rivals.iter().map(|block| block.header.hash()).collect::<Vec<_>>());
    known.truncate(known.len() - orphaned.len());
    known.extend(change.adopted.iter().map(id));
    assert_eq!(look(&known), ChainChange::default());

    let lost = ours[0].header;
    network.wait(async {
        assert!(client.block(&lost.hash()).await.unwrap().is_some(), "the node still finds it");
        assert!(!client.is_in_chain(lost.height, &lost.hash()).await.unwrap());
        assert_eq!(client.balance(&pool()).await.unwrap(), Luna(0));
        assert_eq!(client.submit(&ours[0]).await.unwrap(), SubmitOutcome::NotTaken);
    });
    assert_eq!(network.block(lost.height), rivals[0]);
}

#[test]
fn the_next_block_is_what_the_node_says() {
    let Some(network) = Network::start("node client, next block") else { return };
    let (client, mut hasher) = (network.client(), Hasher::new());
    for block in recorded_chain() {
        network.extend(std::slice::from_ref(&block));
        let template = network.wait(client.template(&pool())).unwrap();
        let base = nimiq::interlink::Base {
            hash: block.header.hash(),
            proof_of_work: hasher.hash(&block.header.to_bytes()),
            target: block.header.target.target(),
            interlink: &block.interlink,
        };
        assert_eq!(template.interlink, base.next(&template.target.target()));
        let next = NextBlock {
            previous: template.previous,
            height: template.height,
            target: template.target,
            interlink: template.interlink,
            interlink_hash: template.interlink_hash,
            earliest: block.header.timestamp,
        };
        assert_eq!(next.interlink.hash(&Chain::Dev.genesis_hash()), next.interlink_hash);
    }
}
