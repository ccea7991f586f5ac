//! Our dev chain and a real node are asked the same: their replies have the same members of the same kinds, in the same
//! order, and the same words where they refuse.

use nimiq::transaction::Payment;
use nimiq::{Address, Height, Luna, Network as Chain, PrivateKey, Transaction};
use node::NimiqDevChain;
use node::nimiq::SendOutcome;
use serde_json::{Value, json};

use crate::network::{Network, mined, recorded_chain};

/// The members of a value and their kinds; of a list, that of its first item.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), shape(member))).collect::<Value>()
        }
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => json!("digits"),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("boolean"),
        Value::Null => Value::Null,
    }
}

#[test]
fn the_dev_chain_answers_like_a_real_node() {
    let Some(network) = Network::start("reply shapes") else { return };
    let folder = tempfile::tempdir().unwrap();
    let dev = NimiqDevChain::open(folder.path()).unwrap();
    let ask_dev = |method: &str, params: &Value| -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        serde_json::from_str(&dev.answer(call.to_string().as_bytes()).body).unwrap()
    };
    let key = PrivateKey::new(&[7; 32]);
    let miner = key.public_key().address();
    let text = miner.to_string();
    let same = |method: &str, real: &Value, ours: &Value| {
        let (theirs, ours) = (network.reply(method, real), ask_dev(method, ours));
        if theirs["error"].is_null() {
            let (theirs, ours) = (shape(&theirs["result"]), shape(&ours["result"]));
            assert_eq!(theirs.to_string(), ours.to_string(), "{method} {real}");
        } else {
            assert_eq!(theirs["error"], ours["error"], "{method} {real}");
        }
    };

    // Both have a chain whose last block holds a transaction, and one that waits.
    network.extend(&recorded_chain());
    dev.extend(miner, network.call("blockNumber", &json!([])).as_u64().unwrap() as u32 - 1).unwrap();
    let client = network.client();
    let mine = || {
        let template = network.wait(client.template(&miner)).unwrap();
        network.wait(client.submit(&mined(&template, b"shapes"))).unwrap();
        dev.extend(miner, 1).unwrap();
    };
    let pay = |value: u64| -> Transaction {
        let payment = Payment {
            recipient: Address([9; 20]),
            value: Luna(value),
            fee: Luna(138),
            validity_start: Height(40),
            network: Chain::Dev.id(),
        };
        let transaction: Transaction = payment.sign(&key).into();
        assert_eq!(network.wait(client.send(&transaction)).unwrap(), SendOutcome::Waiting);
        dev.send(transaction.clone());
        transaction
    };
    mine();
    let paid = pay(1000);
    mine();
    pay(2000);

    let head = dev.head().height.0;
    assert_eq!(network.call("blockNumber", &json!([])), head);
    for params in [
        json!([head, true]),
        json!([head, false]),
        json!(["latest", true]),
        json!([1, true]),
        json!([0, true]),
        json!([head + 1, true]),
    ] {
        same("getBlockByNumber", &params, &params);
    }
    let real_hash = network.call("getBlockByNumber", &json!([head, false]))["hash"].clone();
    same("getBlockByHash", &json!([real_hash, true]), &json!([dev.head().hash.to_string(), true]));
    let hash = paid.hash().to_string();
    let unknown = "00".repeat(32);
    for (method, params) in [
        ("consensus", json!([])),
        ("blockNumber", json!([])),
        ("getBlockByHash", json!([unknown, true])),
        ("getBlockTemplate", json!([text, "00"])),
        ("getBalance", json!([text])),
        ("getBalance", json!([Address([9; 20]).to_string()])),
        ("mempoolContent", json!([false])),
        ("mempoolContent", json!([true])),
        ("getTransactionReceipt", json!([hash])),
        ("getTransactionReceipt", json!([unknown])),
        ("sendRawTransaction", json!([hex::encode(paid.to_bytes())])),
        ("noSuchMethod", json!([])),
    ] {
        same(method, &params, &params);
    }
    assert_eq!(
        network.call("getBalance", &json!([Address([9; 20]).to_string()])),
        ask_dev("getBalance", &json!([Address([9; 20]).to_string()]))["result"]
    );
}
