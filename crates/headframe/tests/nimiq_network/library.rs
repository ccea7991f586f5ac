//! Our Nimiq primitives against the published library, on random inputs: each reads what the other writes, and both make
//! the same of it.

use std::sync::Arc;

use nimiq::argon2d::Hasher;
use nimiq::interlink::Base;
use nimiq::transaction::{Content, ExtendedTransaction, Party, Payment};
use nimiq::{
    AccountsHash, Address, Block, BlockHash, Body, CompactTarget, ExtraData, Header, Height, Interlink, Luna,
    Network as Chain, PayoutNonce, PrivateKey, SignatureProof, Timestamp, Transaction,
};
use node::NimiqDevChain;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::network::{Network, recorded_chain};

const NOW: u32 = 1_800_000_000;

fn random() -> StdRng {
    StdRng::seed_from_u64(0x6e69_6d69)
}

fn key(random: &mut StdRng) -> PrivateKey {
    PrivateKey::new(&random.random())
}

fn bytes(random: &mut StdRng, most: usize) -> Vec<u8> {
    let length = random.random_range(0..=most);
    (0..length).map(|_| random.random()).collect()
}

/// A signed transaction in one of both forms.
fn transaction(random: &mut StdRng) -> Transaction {
    let key = key(random);
    let payment = Payment {
        recipient: Address(random.random()),
        value: Luna(random.random_range(1..=1 << 50)),
        fee: Luna(random.random_range(0..=1 << 40)),
        validity_start: Height(random.random()),
        network: Chain::Dev.id(),
    };
    if random.random() {
        return payment.sign(&key).into();
    }
    let content = Content {
        data: bytes(random, 64),
        sender: Party::basic(key.public_key().address()),
        ..payment.content(key.public_key().address())
    };
    let proof = SignatureProof::sign(&key, &content.to_bytes()).to_bytes();
    ExtendedTransaction { content, proof }.into()
}

/// A block without work. Its next interlink is asked for its own target: other steps need work, as recorded blocks have.
fn block(random: &mut StdRng) -> (Block, CompactTarget) {
    let target =
        CompactTarget(random.random_range(0x1d..=0x1e_u32) << 24 | random.random_range(0x0080..=0x7f_ffff));
    let previous = BlockHash(random.random());
    let choices = [previous, BlockHash(random.random()), BlockHash(random.random())];
    let length = random.random_range(0..40);
    let interlink =
        Interlink::new((0..length).map(|_| choices[random.random_range(0..3)]).collect(), previous);
    let count = random.random_range(0..6);
    let body = Body {
        miner: Address(random.random()),
        extra_data: ExtraData::cut(&bytes(random, 255)),
        transactions: (0..count).map(|_| transaction(random)).collect(),
        pruned_accounts: Vec::new(),
    };
    let header = Header {
        previous,
        interlink_hash: interlink.hash(&Chain::Dev.genesis_hash()),
        body_hash: body.hash(),
        accounts_hash: AccountsHash(random.random()),
        target,
        height: Height(random.random()),
        timestamp: Timestamp(random.random()),
        nonce: random.random(),
    };
    (Block { header, interlink, body }, target)
}

/// What [`Network::call`] of `test.blocks` must say of a block.
fn facts(block: &Block, next_target: CompactTarget, hasher: &mut Hasher) -> Value {
    let (header, body) = (&block.header, &block.body);
    let proof_of_work = hasher.hash(&header.to_bytes());
    let target = header.target.target();
    let base = Base { hash: header.hash(), proof_of_work, target, interlink: &block.interlink };
    let texts = |hashes: &[BlockHash]| hashes.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "serialized": hex::encode(block.to_bytes()),
        "light": hex::encode(block.to_light().to_bytes()),
        "hash": header.hash().to_string(),
        "pow": proof_of_work.to_string(),
        "provesWork": target.is_met_by(&proof_of_work),
        "difficulty": header.target.difficulty().to_string(),
        "height": header.height.0,
        "timestamp": header.timestamp.0,
        "nonce": header.nonce,
        "nBits": header.target.0,
        "interlink": texts(block.interlink.hashes()),
        "interlinkHash": block.interlink.hash(&Chain::Dev.genesis_hash()).to_string(),
        "bodyHash": body.hash().to_string(),
        "miner": body.miner.to_string(),
        "extraData": hex::encode(body.extra_data.as_bytes()),
        "transactions": body.transactions.iter().map(|transaction| transaction.hash().to_string()).collect::<Vec<_>>(),
        "fees": body.fees().unwrap().0,
        "minerProof": hex::encode(body.miner_proof().to_bytes()),
        "extraDataProof": hex::encode(body.extra_data_proof().to_bytes()),
        "nextInterlink": hex::encode(base.next(&next_target.target()).to_bytes()),
    })
}

fn agree_about(network: &Network, blocks: &[(Block, CompactTarget)]) {
    let mut hasher = Hasher::new();
    let asked = |(block, next): &(Block, CompactTarget)| json!({"block": hex::encode(block.to_bytes()), "nextTarget": next.0});
    let told = network.call("test.blocks", &json!([blocks.iter().map(asked).collect::<Vec<_>>()]));
    assert_eq!(told.as_array().unwrap().len(), blocks.len());
    for ((block, next), told) in blocks.iter().zip(told.as_array().unwrap()) {
        assert_eq!(*told, facts(block, *next, &mut hasher));
    }
}

#[test]
fn both_make_the_same_of_blocks() {
    let Some(network) = Network::start("library, blocks") else { return };
    let mut random = random();
    let blocks: Vec<_> = (0..200).map(|_| block(&mut random)).collect();
    agree_about(&network, &blocks);
    let chain = recorded_chain();
    agree_about(
        &network,
        &chain.into_iter().map(|block| (block, CompactTarget(0x1f01_0000))).collect::<Vec<_>>(),
    );
}

#[test]
fn the_library_reads_the_blocks_of_our_dev_chain() {
    let Some(network) = Network::start("library, dev chain") else { return };
    let folder = tempfile::tempdir().unwrap();
    let chain = NimiqDevChain::open_with_clock(folder.path(), Arc::new(|| NOW)).unwrap();
    let key = PrivateKey::new(&[7; 32]);
    let miner = key.public_key().address();
    let mut blocks = Vec::new();
    for step in 0..40_u8 {
        if step % 10 == 9 {
            chain.reorganise(Address([step; 20]), 3).unwrap();
        } else {
            chain.extend(miner, 1).unwrap();
        }
        for value in 0..u64::from(step % 4) {
            let payment = Payment {
                recipient: Address([step; 20]),
                value: Luna(1000 + value),
                fee: Luna(138),
                validity_start: chain.head().height,
                network: Chain::Dev.id(),
            };
            chain.send(payment.sign(&key).into());
        }
        let template = chain.template(miner, ExtraData::cut(&[step; 30]));
        let next = template.next.target;
        blocks.push((template.block(Timestamp(NOW), u32::from(step)), next));
    }
    assert!(blocks.iter().any(|(block, _)| block.body.transactions.len() > 2));
    agree_about(&network, &blocks);
}

#[test]
fn both_make_the_same_of_transactions() {
    let Some(network) = Network::start("library, transactions") else { return };
    let mut random = random();
    let transactions: Vec<_> = (0..200)
        .map(|index| match (transaction(&mut random), index % 4) {
            // Somebody else's signature.
            (Transaction::Basic(mut basic), 0) => {
                basic.payment.fee = Luna(basic.payment.fee.0 + 1);
                Transaction::Basic(basic)
            }
            (transaction, _) => transaction,
        })
        .collect();
    let digits: Vec<_> = transactions.iter().map(|transaction| hex::encode(transaction.to_bytes())).collect();
    let told = network.call("test.transactions", &json!([digits]));
    let ours: Vec<Value> = transactions
        .iter()
        .map(|transaction| {
            let content = transaction.content();
            json!({
                "serialized": hex::encode(transaction.to_bytes()),
                "hash": transaction.hash().to_string(),
                "sender": content.sender.address.to_string(),
                "recipient": content.recipient.address.to_string(),
                "value": content.value.0,
                "fee": content.fee.0,
                "validityStartHeight": content.validity_start.0,
                "verifies": transaction.check(Chain::Dev.id()).is_ok(),
            })
        })
        .collect();
    assert!(ours.iter().any(|facts| facts["verifies"] == false));
    assert_eq!(told, Value::Array(ours));
}

#[test]
fn both_make_the_same_of_addresses() {
    let Some(network) = Network::start("library, addresses") else { return };
    let mut random = random();
    let addresses: Vec<_> = (0..300).map(|_| Address(random.random())).collect();
    let digits: Vec<_> = addresses.iter().map(Address::to_hex).collect();
    let told = network.call("test.addresses", &json!([digits]));
    let texts = |address: &Address| json!({"friendly": address.to_string(), "base64": address.to_base64()});
    assert_eq!(told, Value::Array(addresses.iter().map(texts).collect()));
    let friendly: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(network.call("test.readAddresses", &json!([friendly])), json!(digits));
    for (text, address) in friendly.iter().zip(&addresses) {
        assert_eq!(Address::parse(text).as_ref(), Ok(address));
    }
}

#[test]
fn each_accepts_the_others_payout_requests() {
    let Some(network) = Network::start("library, payout requests") else { return };
    let mut random = random();
    let cases: Vec<([u8; 32], PayoutNonce)> =
        (0..100).map(|_| (random.random(), PayoutNonce::from_random(random.random()))).collect();
    let asked = cases.iter().map(
        |(seed, nonce)| json!({"privateKey": hex::encode(seed), "message": hex::encode(nonce.message())}),
    );
    let theirs = network.call("test.payoutRequests", &json!([asked.collect::<Vec<_>>()]));
    let mut proofs = Vec::new();
    for ((seed, nonce), theirs) in cases.iter().zip(theirs.as_array().unwrap()) {
        let key = PrivateKey::new(seed);
        let address = key.public_key().address();
        assert_eq!(theirs["address"], address.to_string());
        let proof = hex::decode(theirs["proof"].as_str().unwrap()).unwrap();
        assert_eq!(nonce.check(&proof, &address), Ok(()));
        // Signatures are deterministic, so both make the same.
        assert_eq!(nonce.sign(&key).to_bytes(), proof);
        let other = PayoutNonce::from_random(nonce.get() ^ 1);
        for message in [nonce.message(), other.message()] {
            proofs.push(json!({"proof": hex::encode(&proof), "address": address.to_string(), "message": hex::encode(message)}));
        }
    }
    let verdicts = network.call("test.proofs", &json!([proofs]));
    assert_eq!(verdicts, Value::Array((0..200).map(|index| json!(index % 2 == 0)).collect()));
}
