//! The dev chain: blocks, transactions, reorganisations, restarts.

use std::sync::Arc;

use nimiq::transaction::Payment;
use nimiq::{Network, PrivateKey};
use serde_json::{Value, json};

use super::*;

const NOW: u32 = 1_800_000_000;
/// With these, the second block is one without 65,536 attempts.
const LUCKY_TIME: Timestamp = Timestamp(1_799_990_457);
const LUCKY_NONCE: u32 = 5;

fn miner() -> PrivateKey {
    PrivateKey::new(&[7; 32])
}

fn miner_address() -> Address {
    miner().public_key().address()
}

fn opened(folder: &Path) -> NimiqDevChain {
    NimiqDevChain::open_with_clock(folder, Arc::new(|| NOW)).unwrap()
}

fn payment(value: u64, validity_start: Height) -> Transaction {
    let network = Network::Dev.id();
    let payment =
        Payment { recipient: Address([9; 20]), value: Luna(value), fee: Luna(138), validity_start, network };
    payment.sign(&miner()).into()
}

fn call(chain: &NimiqDevChain, method: &str, params: &Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    serde_json::from_str(&chain.answer(request.to_string().as_bytes()).body).unwrap()
}

#[test]
fn a_mined_block_is_accepted_once_and_a_changed_one_never() {
    let folder = tempfile::tempdir().unwrap();
    let chain = opened(folder.path());
    let template = chain.template(miner_address(), ExtraData::default());
    let block = template.block(LUCKY_TIME, LUCKY_NONCE);
    let bytes = block.to_bytes();
    let refused = |change: &dyn Fn(&mut Block)| {
        let mut changed = block.clone();
        change(&mut changed);
        chain.submit(&changed.to_bytes()).unwrap_err().to_string()
    };
    assert!(refused(&|block| block.header.nonce += 1).contains("misses the target"));
    assert!(refused(&|block| block.header.timestamp = Timestamp(NOW + 601)).contains("bad_timestamp"));
    assert!(refused(&|block| block.body.miner = Address([1; 20])).contains("mismatch"));
    assert!(matches!(chain.submit(&block.to_light().to_bytes()), Err(SubmitFault::Light)));
    assert!(matches!(chain.submit(&[0]), Err(SubmitFault::Unreadable)));
    assert_eq!(chain.submit(&bytes).unwrap(), block.header.hash());
    assert_eq!(chain.head(), Head { height: Height(2), hash: block.header.hash() });
    assert_eq!(chain.balance(&miner_address()), nimiq::reward::block_reward(Height(2)));
    assert!(chain.submit(&bytes).is_err(), "it is stale");
}

#[test]
fn a_transaction_is_mined_once_and_survives_a_reorganisation() {
    let folder = tempfile::tempdir().unwrap();
    let chain = opened(folder.path());
    chain.extend(miner_address(), 3).unwrap();
    let transaction = payment(1000, Height(4));
    assert_eq!(chain.send(transaction.clone()), Sent::Waiting);
    assert_eq!(chain.send(payment(u64::MAX / 2, Height(4))), Sent::Invalid);
    assert_eq!(chain.send(payment(1, Height(6))), Sent::Invalid, "not valid yet");
    let other = Address([3; 20]);
    chain.extend(other, 1).unwrap();
    assert_eq!(chain.balance(&Address([9; 20])), Luna(1000));
    assert_eq!(chain.send(transaction.clone()), Sent::Mined);
    let before = chain.head();
    let change = chain.reorganise(other, 2).unwrap();
    assert_eq!((change.abandoned.len(), change.adopted.len()), (2, 3));
    assert_eq!(chain.balance(&Address([9; 20])), Luna(1000), "it was mined again");
    let hash = transaction.hash().to_string();
    let receipt = call(&chain, "getTransactionReceipt", &json!([hash]));
    assert_eq!(receipt["result"]["blockNumber"], 4);
    // The abandoned branch comes back.
    chain.extend_from(before.hash, other, 2).unwrap();
    let receipt = call(&chain, "getTransactionReceipt", &json!([hash]));
    assert_eq!(receipt["result"]["blockNumber"], 5);
}

#[test]
fn an_abandoned_block_is_still_found_by_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let chain = opened(folder.path());
    chain.extend(miner_address(), 2).unwrap();
    let abandoned = chain.head();
    chain.reorganise(Address([3; 20]), 1).unwrap();
    let found = call(&chain, "getBlockByHash", &json!([abandoned.hash.to_string()]));
    assert_eq!(found["result"]["number"], abandoned.height.0);
    let now = call(&chain, "getBlockByNumber", &json!([abandoned.height.0]));
    assert_ne!(now["result"]["hash"], found["result"]["hash"]);
    assert!(chain.reorganise(miner_address(), 100).is_err());
    assert!(chain.extend(miner_address(), 0).is_err());
}

#[test]
fn a_chain_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let chain = opened(folder.path());
    chain.extend(miner_address(), 130).unwrap();
    chain.send(payment(5000, Height(130)));
    chain.reorganise(miner_address(), 3).unwrap();
    let (head, balance) = (chain.head(), chain.balance(&miner_address()));
    let template = chain.template(miner_address(), ExtraData::default());
    drop(chain);
    let chain = opened(folder.path());
    assert_eq!((chain.head(), chain.balance(&miner_address())), (head, balance));
    let again = chain.template(miner_address(), ExtraData::default());
    assert_eq!((again.next, again.accounts_hash), (template.next, template.accounts_hash));
    assert_eq!(chain.balance(&Address([9; 20])), Luna(5000));
}

#[test]
fn a_template_is_what_the_next_block_must_be() {
    let folder = tempfile::tempdir().unwrap();
    let chain = opened(folder.path());
    chain.extend(miner_address(), 3).unwrap();
    chain.send(payment(5000, Height(4)));
    let answer = call(&chain, "getBlockTemplate", &json!([miner_address().to_string(), "7465"]));
    let template = &answer["result"];
    assert_eq!(template["header"]["height"], 5);
    assert_eq!(template["header"]["prevHash"], chain.head().hash.to_string());
    assert_eq!(template["body"]["transactions"].as_array().unwrap().len(), 1);
    assert_eq!(template["body"]["extraData"], "7465");
    let siblings = template["body"]["merkleHashes"].as_array().unwrap();
    let siblings = siblings.iter().map(|hash| nimiq::MerkleHash::from_hex(hash.as_str().unwrap()).unwrap());
    let body = nimiq::work::BodyTemplate::new(&miner_address(), siblings.collect());
    let hash = body.body_hash(&ExtraData::cut(b"te"));
    assert_eq!(template["body"]["hash"], hash.to_string());
    chain.set_consensus(false);
    assert_eq!(call(&chain, "getBlockTemplate", &json!([]))["error"]["code"], 501);
    assert_eq!(call(&chain, "consensus", &json!([]))["result"], "syncing");
}

#[test]
fn strange_requests_are_answered_as_the_node_does() {
    let folder = tempfile::tempdir().unwrap();
    let chain = opened(folder.path());
    for (request, status, expected) in [
        ("{bad", 400, r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}"#),
        ("[]", 200, "[]"),
        (r#"[1, null, "x", [], {}]"#, 200, "[]"),
        (r#"{"jsonrpc":"2.0","method":"blockNumber"}"#, 200, ""),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"blockNumber"}"#, 200, ""),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"submitBlock","params":"00"}"#,
            200,
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":"Offset is outside the bounds of the DataView"},"id":3}"#,
        ),
        (
            r#"[{"jsonrpc":"2.0","id":"a","method":"blockNumber"}]"#,
            200,
            r#"[{"jsonrpc":"2.0","result":1,"id":"a"}]"#,
        ),
    ] {
        let answer = chain.answer(request.as_bytes());
        assert_eq!((answer.status, answer.body.as_str()), (status, expected), "{request}");
    }
}
