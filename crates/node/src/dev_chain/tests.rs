//! The dev chain as a whole: mined blocks from the genesis block on, every refusal, side chains, persistence, and
//! the replies of the real node.

#![allow(clippy::needless_pass_by_value, reason = "parameters are written in place, by json!")]

mod miner;
mod recordings;
mod refusals;

use packetcrypt::{BlockHash, Height};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::broadcast::error::TryRecvError;

use self::miner::Miner;
use super::rpc::{Access, Answer};
use super::*;

/// A chain of its own, gone with its folder.
pub struct TestChain {
    pub chain: DevChain,
    folder: TempDir,
    rules: ChainRules,
}

impl TestChain {
    pub fn new(rules: ChainRules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { chain: Self::open(folder.path(), rules), folder, rules }
    }

    fn open(folder: &Path, rules: ChainRules) -> DevChain {
        DevChain::open(folder, DevChainOptions { rules, ..DevChainOptions::default() }).unwrap()
    }

    /// Closes and opens it.
    fn reopened(self) -> Self {
        let Self { chain, folder, rules } = self;
        drop(chain);
        Self { chain: Self::open(folder.path(), rules), folder, rules }
    }

    /// The whole reply to a call.
    pub fn reply(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "1.0", "id": 1, "method": method, "params": params}).to_string();
        match self.chain.answer(Access::Full, body.as_bytes()) {
            Answer::Json(reply) => reply,
            Answer::HangUp => panic!("{method} hung up"),
        }
    }

    /// The result of a call that succeeds.
    pub fn result(&self, method: &str, params: Value) -> Value {
        let reply = self.reply(method, params);
        assert_eq!(reply["error"], Value::Null, "{method}");
        reply["result"].clone()
    }

    /// The text of a call that is refused.
    pub fn error(&self, method: &str, params: Value) -> String {
        self.reply(method, params)["error"]["message"].as_str().expect("an error").to_owned()
    }
}

fn height(chain: &TestChain) -> u32 {
    chain.chain.tip().height.0
}

#[test]
fn blocks_are_mined_from_the_genesis_block_on() {
    let (chain, mut miner) = (TestChain::new(ChainRules::instant()), Miner::default());
    for expected in 1..=5 {
        let found = miner.mine(&chain.chain);
        assert_eq!(chain.result("submitblock", json!([hex::encode(found.block())])), Value::Null);
        assert_eq!(height(&chain), expected);
    }
}

#[test]
fn w7_everybody_who_listens_hears_of_a_block_at_once() {
    let (chain, mut miner) = (TestChain::new(ChainRules::instant()), Miner::default());
    let (mut events, mut tip) = (chain.chain.events(), chain.chain.watch_tip());
    tip.mark_unchanged();
    let found = miner.mine(&chain.chain);
    chain.chain.submit(&found.block()).unwrap();
    let event = events.try_recv().unwrap();
    assert_eq!((event.connected, event.block), (true, chain.chain.tip()));
    assert!(tip.has_changed().unwrap());
}

#[test]
fn w7_whoever_hears_of_a_block_finds_it_when_he_asks() {
    let chain = TestChain::new(ChainRules::instant());
    let (mut events, listening) = (chain.chain.events(), chain.chain.clone());
    let blocks = 300;
    let listener = std::thread::spawn(move || {
        for _ in 0..blocks {
            let event = loop {
                match events.try_recv() {
                    Ok(event) => break event,
                    Err(TryRecvError::Empty) => std::hint::spin_loop(),
                    // Too slow for some: the next one will do.
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Closed) => return,
                }
            };
            assert!(listening.tip().height >= event.block.height, "{event:?}");
            if event.block.height.0 == blocks {
                return;
            }
        }
    });
    (0..blocks).for_each(|_| drop(chain.chain.extend(1).unwrap()));
    listener.join().unwrap();
}

#[test]
fn pitfall_9_13_a_good_share_stays_one_when_it_is_stale() {
    let (chain, mut miner) = (TestChain::new(ChainRules::instant()), Miner::default());
    let found = miner.mine(&chain.chain);
    assert_eq!(chain.result("checkpcshare", json!([found.share(0x207f_ffff)])), "RESUBMIT_AS_BLOCK");
    assert_eq!(chain.result("checkpcshare", json!([found.share(0)])), "RESUBMIT_AS_BLOCK");
    chain.chain.extend(3).unwrap();
    assert_eq!(chain.result("checkpcshare", json!([found.share(0)])), "RESUBMIT_AS_BLOCK");
}

#[test]
fn a_share_that_is_no_block_is_a_share_only() {
    // With the real limit and two announcements a block takes millions of attempts, an easy share two.
    let (chain, mut miner) = (TestChain::new(ChainRules::public()), Miner::default());
    let found = miner.mine_for(&chain.chain, 0x207f_ffff);
    assert_eq!(chain.result("checkpcshare", json!([found.share(0x207f_ffff)])), "OK");
    assert!(chain.error("checkpcshare", json!([found.share(0)])).ends_with("Validate_checkBlock_INSUF_POW"));
    let refused = chain.result("submitblock", json!([hex::encode(found.block())]));
    assert!(
        refused
            .as_str()
            .unwrap()
            .contains("ErrBadPow: Error validating PacketCrypt proof [Validate_checkBlock_INSUF_POW]")
    );
}

#[test]
fn a_sibling_is_kept_aside_until_its_branch_has_more_work() {
    let (chain, mut miner) = (TestChain::new(ChainRules::instant()), Miner::default());
    let (first, second) = (miner.mine(&chain.chain), miner.mine(&chain.chain));
    for found in [&first, &second] {
        assert_eq!(chain.result("submitblock", json!([hex::encode(found.block())])), Value::Null);
    }
    assert_eq!(chain.chain.tip().hash, first.hash());
    for method in ["getblockheader", "getblock"] {
        assert!(chain.error(method, json!([second.hash().to_string()])).contains("errNotInMainChain"));
    }
    let mut events = chain.chain.events();
    let child = miner.mine_on(&second, &chain.chain);
    assert_eq!(chain.result("submitblock", json!([hex::encode(child.block())])), Value::Null);
    assert_eq!(chain.chain.tip(), Tip { hash: child.hash(), height: Height(2) });
    let heard: Vec<(bool, BlockHash)> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|event| (event.connected, event.block.hash))
        .collect();
    assert_eq!(heard, [(false, first.hash()), (true, second.hash()), (true, child.hash())]);
}

#[test]
fn the_chain_is_the_same_after_a_restart() {
    let (chain, mut miner) = (TestChain::new(ChainRules::instant()), Miner::default());
    let found = miner.mine(&chain.chain);
    chain.chain.submit(&found.block()).unwrap();
    chain.chain.extend(4).unwrap();
    chain.chain.reorganise(2).unwrap();
    let tip = chain.chain.tip();
    let block = chain.result("getblock", json!([found.hash().to_string()]));
    let chain = chain.reopened();
    assert_eq!(chain.chain.tip(), tip);
    assert_eq!(chain.result("getblock", json!([found.hash().to_string()])), block);
    assert!(miner.accepted_by(&chain.chain));
}

#[test]
fn a_torn_tail_costs_only_what_was_torn() {
    let chain = TestChain::new(ChainRules::instant());
    chain.chain.extend(3).unwrap();
    let third = chain.chain.tip();
    chain.chain.extend(1).unwrap();
    let TestChain { chain, folder, rules } = chain;
    drop(chain);
    let file = folder.path().join("blocks.dat");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 7]).unwrap();
    let chain = TestChain { chain: TestChain::open(folder.path(), rules), folder, rules };
    assert_eq!(chain.chain.tip(), third);
    assert_eq!(chain.chain.extend(1).unwrap().connected.len(), 1);
}

#[test]
fn a_reorganisation_by_command_abandons_as_many_blocks_as_asked() {
    for rules in [ChainRules::instant(), ChainRules::steady(), ChainRules::public_with_period(20)] {
        let chain = TestChain::new(rules);
        chain.chain.extend(6).unwrap();
        let abandoned = chain.chain.tip();
        let change = chain.result("devchain_reorganise", json!([3]));
        let count = |name: &str| change[name].as_array().unwrap().len();
        assert_eq!(count("disconnected"), 3);
        assert!(count("connected") > 3);
        assert_ne!(chain.chain.tip(), abandoned);
        assert!(
            chain.error("getblockheader", json!([abandoned.hash.to_string()])).contains("errNotInMainChain")
        );
        assert!(chain.error("devchain_reorganise", json!([1000])).contains("cannot abandon"));
    }
}

#[test]
fn payouts_take_effect_in_the_next_template_and_are_forgotten_at_a_restart() {
    let chain = TestChain::new(ChainRules::instant());
    let before = chain.result("getrawblocktemplate", json!([]));
    let (first, second) =
        ("pkt1qx75waswwr9586ye0u2g9rh9x98gkfckye4h5gc", "pkt1qa8vsc5g3dgnujkdvhy8xthscknzdgqa5dps9ex");
    chain.result("configureminingpayouts", json!([{first: 0.8, second: 0.2}]));
    let after = chain.result("getrawblocktemplate", json!([]));
    assert_ne!(before["coinbase_no_witness"], after["coinbase_no_witness"]);
    assert_eq!(
        chain.result("getrawblocktemplate", json!([]))["coinbase_no_witness"],
        after["coinbase_no_witness"]
    );
    assert_eq!(chain.result("getminingpayouts", json!([])), json!({first: 2668.84375, second: 667.2109375}));
    let chain = chain.reopened();
    let forgotten = chain.result("getrawblocktemplate", json!([]));
    assert_eq!(before["coinbase_no_witness"], forgotten["coinbase_no_witness"]);
}

#[test]
fn pitfall_9_12_weights_that_pay_less_than_nothing_are_noticed_by_the_template_only() {
    let chain = TestChain::new(ChainRules::instant());
    let (first, second, third) = (
        "pkt1qx75waswwr9586ye0u2g9rh9x98gkfckye4h5gc",
        "pkt1qa8vsc5g3dgnujkdvhy8xthscknzdgqa5dps9ex",
        "pkt1qz9d5f8326g6yfyu537rxq6ezhw8jpjwzh7w350",
    );
    chain.result("configureminingpayouts", json!([{first: -10, second: -10, third: 1}]));
    chain.result("configureminingpayouts", json!([{first: -1, second: -1, third: 3}]));
    let text = chain.error("getrawblocktemplate", json!([]));
    assert!(text.contains("Failed to create new block template: ErrNegativeTxOutValue"), "{text}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[0-9a-f]{0,200}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{1,12}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "getrawblocktemplate",
        "checkpcshare",
        "submitblock",
        "configureminingpayouts",
        "getminingpayouts",
        "getblock",
        "getblockheader",
        "getblockhash",
        "getblockcount",
        "getblockchaininfo",
        "getmininginfo",
        "validateaddress",
        "uptime",
        "devchain_slow",
        "devchain_reorganise",
        "devchain_nonsense",
        "",
        "x",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_body_is_answered_or_hung_up_on(bodies in proptest::collection::vec(any::<Vec<u8>>(), 1..100)) {
        let chain = TestChain::new(ChainRules::instant());
        for body in bodies {
            let _ = chain.chain.answer(Access::Full, &body);
        }
        prop_assert_eq!(height(&chain), 0);
    }

    #[test]
    fn any_parameters_are_answered_without_panic(
        calls in proptest::collection::vec((any_method(), proptest::collection::vec(any_json(), 0..4)), 1..100),
    ) {
        let chain = TestChain::new(ChainRules::instant());
        for (method, params) in calls {
            let body = json!({"method": method, "params": params}).to_string();
            let answer = chain.chain.answer(Access::Full, body.as_bytes());
            let hangs_up = method == "getblockchaininfo" && params.is_empty();
            prop_assert_eq!(answer == Answer::HangUp, hangs_up, "{}", body);
        }
    }
}
