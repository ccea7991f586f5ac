//! What the real node answered, answered by the dev chain.

use packetcrypt::BlockHash;
use serde_json::{Value, json};

use super::TestChain;
use crate::dev_chain::{
    GENESIS,
    rpc::{Access, Answer},
    rules::ChainRules,
};

/// The request and the reply of a recording in `vectors/pktd-rpc`; no reply where the node hung up.
fn recording(text: &str) -> (String, Option<Value>) {
    let recording: Value = serde_json::from_str(text).unwrap();
    let body = recording["response_body"].as_str().unwrap();
    (recording["request_body"].as_str().unwrap().to_owned(), serde_json::from_str(body).ok())
}

macro_rules! recordings {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../../../vectors/pktd-rpc/", $name, ".json")))),+]
    };
}

#[test]
fn a_fresh_chain_answers_exactly_as_the_real_node_did() {
    let chain = TestChain::new(ChainRules::public());
    let recordings = recordings![
        "genesis_getbestblock",
        "genesis_getbestblockhash",
        "genesis_getblock_default",
        "genesis_getblock_raw",
        "genesis_getblock_verbosetx",
        "genesis_getblockchaininfo",
        "genesis_getblockcount",
        "genesis_getblockhash",
        "genesis_getblockheader_default",
        "genesis_getblockheader_raw",
        "genesis_getblockheader_verbose",
        "genesis_getconnectioncount",
        "genesis_getcurrentnet",
        "genesis_getdifficulty",
        "genesis_getmempoolinfo",
        "genesis_getnetworkhashps",
        "genesis_getpeerinfo",
        "genesis_getrawmempool",
        "genesis_version",
        "err_batch_empty",
        "cfgpay_one_address",
        "cfgpay_base58_address",
        "cfgpay_negative_value",
        "cfgpay_three_addresses",
        "err_configureminingpayouts_other_network",
        "err_empty_body",
        "err_malformed_json",
    ];
    for (name, text) in recordings {
        let (request, expected) = recording(text);
        let answer = match chain.chain.answer(Access::Full, request.as_bytes()) {
            Answer::Json(reply) => Some(reply),
            Answer::HangUp => None,
        };
        assert_eq!(answer, expected, "{name}");
    }
}

/// A text of the node without its version, up to the first detail in brackets or after a colon.
fn stable_part(message: &str) -> &str {
    let without_version = message.split_once(' ').map_or("", |(_, rest)| rest);
    without_version.split_inclusive("): ").next().unwrap_or_default().split('[').next().unwrap_or_default()
}

#[test]
fn refused_calls_have_the_codes_and_texts_of_the_real_node() {
    let chain = TestChain::new(ChainRules::public());
    let recordings = recordings![
        "err_configureminingpayouts_bad_address",
        "err_configureminingpayouts_no_params",
        "err_configureminingpayouts_not_object",
        "err_configureminingpayouts_string_value",
        "err_getblock_unknown",
        "err_getblockhash_beyond_tip",
        "err_getblockhash_negative",
        "err_getblockhash_no_params",
        "err_getblockhash_string_param",
        "err_getblockheader_bad_hex",
        "err_getblockheader_too_long",
        "err_getblockheader_unknown",
        "err_too_many_params",
        "err_unknown_method",
        "cfgpay_empty_object",
        "cfgpay_zero_value",
        "share_block_bad_hex",
        "share_block_no_tx_count",
        "share_block_truncated",
        "share_coinbase_bad_hex",
        "share_coinbase_commit_altered",
        "share_empty_object",
        "share_merkle_bad_hex",
        "share_merkle_extra_branch",
        "share_no_params",
        "share_param_not_object",
        "share_sharetarget_negative",
        "share_ann_parent_beyond_tip",
        "share_ann_parent_negative",
        "submit_bad_hex",
        "submit_header_only",
        "submit_no_params",
        "submit_param_not_string",
        "submit_truncated",
    ];
    for (name, text) in recordings {
        let (request, expected) = recording(text);
        let Answer::Json(answer) = chain.chain.answer(Access::Full, request.as_bytes()) else {
            panic!("{name}: hung up");
        };
        let (answer, expected) = (&answer["error"], &expected.unwrap()["error"]);
        assert_eq!(answer["code"], expected["code"], "{name}");
        let [answer, expected] = [answer, expected].map(|error| error["message"].as_str().unwrap());
        assert_eq!(stable_part(answer), stable_part(expected), "{name}: {answer}");
    }
}

#[test]
fn the_limited_user_is_refused_in_the_same_words() {
    let chain = TestChain::new(ChainRules::public());
    let recordings = recordings![
        "limited_user_checkpcshare",
        "limited_user_configureminingpayouts",
        "limited_user_getrawblocktemplate",
    ];
    for (name, text) in recordings {
        let (request, expected) = recording(text);
        let Answer::Json(answer) = chain.chain.answer(Access::Limited, request.as_bytes()) else {
            panic!("{name}: hung up");
        };
        let message = expected.unwrap()["error"]["message"].as_str().unwrap().replace("custom", "headframe");
        assert_eq!(answer["error"]["message"], message, "{name}");
    }
}

#[test]
fn the_genesis_block_is_the_public_one() {
    let (_, reply) = recording(include_str!("../../../../../vectors/pktd-rpc/genesis_getblock_raw.json"));
    assert_eq!(hex::encode(GENESIS), reply.unwrap()["result"].as_str().unwrap());
    let hash = "0bdc1712a46194e552cf417ab0439c2d4f456c35cf63a0a406964c6f93432d85";
    assert_eq!(super::genesis_header().block_hash(), BlockHash::from_display_hex(hash).unwrap());
}

#[test]
fn the_first_block_of_a_real_chain_is_accepted_and_described_as_there() {
    let block: Value =
        serde_json::from_str(include_str!("../../../../../vectors/blocks-real/gates-open-1.json")).unwrap();
    let chain = TestChain::new(ChainRules::public_with_period(20));
    let mut altered = hex::decode(block["block"].as_str().unwrap()).unwrap();
    altered[76] ^= 1;
    let refused = chain.result("submitblock", json!([hex::encode(altered)]));
    assert!(refused.as_str().unwrap().contains("ErrBadPow: Error validating PacketCrypt proof [Validate_"));
    assert_eq!(chain.result("submitblock", json!([block["block"]])), Value::Null);
    let described = chain.result("getblock", json!([block["block_hash"]]));
    for (name, expected) in block["getblock"].as_object().unwrap() {
        assert_eq!(&described[name], expected, "{name}");
    }
    assert_eq!(chain.result("getblock", json!([block["block_hash"], false])), block["block"]);
}
