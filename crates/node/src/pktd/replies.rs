//! The replies of pktd's methods, each read into our types or refused with what was expected.

use packetcrypt::BlockHash;
use serde::Deserialize;
use serde_json::{Map, Value};
use wire::{Decimal, block_info::BlockInfoHeader};

use crate::json_rpc::{NodeError, first_line};

/// What the node's text for a block off its best chain contains.
const NOT_IN_MAIN_CHAIN: &str = "errNotInMainChain";
/// Error code for a block that the node does not know.
const BLOCK_NOT_FOUND: i64 = -5;

/// A block's header and its place in the best chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainHeader {
    /// The part that never changes, as a pool's block info carries it.
    pub header: BlockInfoHeader,
    /// 1 for the newest block.
    pub confirmations: i64,
    /// The next block of the best chain, if there is one.
    pub next: Option<BlockHash>,
}

/// What a pool reports of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Hash of the block.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// The node's difficulty figure, exactly as written.
    pub difficulty: Decimal,
    /// Unix seconds in its header.
    pub time: u32,
}

/// One line of the node's payout table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MiningPayout {
    /// The address, as the node writes it.
    pub address: String,
    /// PKT in the next block.
    pub amount: Decimal,
}

/// What the node thinks of a share that it does not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareOpinion {
    /// A share.
    Ok,
    /// Good enough for a block: it is to be submitted as one.
    ResubmitAsBlock,
}

/// What became of a submitted block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// Stored, on the best chain or on a side chain.
    Accepted,
    /// The node had it already: from us earlier, or from the network.
    AlreadyKnown,
    /// Refused, with the first line of the reason.
    Rejected(String),
}

/// Reads a block hash.
pub fn block_hash(reply: &Value) -> Result<BlockHash, NodeError> {
    let text = reply.as_str().ok_or_else(|| expected("a block hash as a string", reply))?;
    BlockHash::from_display_hex(text).map_err(|error| NodeError::bad_reply(error.to_string()))
}

/// Reads `getblockheader`; it must be the block that was asked for.
pub fn block_header(reply: Value, asked: &BlockHash) -> Result<ChainHeader, NodeError> {
    #[derive(Deserialize)]
    struct Volatile {
        confirmations: i64,
        #[serde(default)]
        nextblockhash: Option<String>,
    }
    let volatile: Volatile = read("a block header", reply.clone())?;
    let header: BlockInfoHeader = read("a block header", reply)?;
    if header.hash != *asked {
        return Err(NodeError::bad_reply(format!("asked for header {asked}, got {}", header.hash)));
    }
    let next = volatile.nextblockhash.map(|text| BlockHash::from_display_hex(&text)).transpose();
    let next = next.map_err(|error| NodeError::bad_reply(format!("nextblockhash: {error}")))?;
    Ok(ChainHeader { header, confirmations: volatile.confirmations, next })
}

/// Reads `getblock` in its verbose form.
pub fn block(reply: Value) -> Result<BlockSummary, NodeError> {
    #[derive(Deserialize)]
    struct Block {
        hash: String,
        height: u32,
        difficulty: Decimal,
        time: u32,
    }
    let Block { hash, height, difficulty, time } = read("a block", reply)?;
    let hash = BlockHash::from_display_hex(&hash).map_err(|error| NodeError::bad_reply(error.to_string()))?;
    Ok(BlockSummary { hash, height, difficulty, time })
}

/// Reads from an answer about a block whether that block is on the best chain.
pub fn in_main_chain(answer: Result<ChainHeader, NodeError>) -> Result<bool, NodeError> {
    match answer {
        Ok(header) => Ok(header.confirmations > 0),
        Err(NodeError::Rpc { message, .. }) if message.contains(NOT_IN_MAIN_CHAIN) => Ok(false),
        Err(NodeError::Rpc { code: Some(BLOCK_NOT_FOUND), .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Reads `checkpcshare`.
pub fn share_opinion(reply: &Value) -> Result<ShareOpinion, NodeError> {
    match reply.as_str() {
        Some("OK") => Ok(ShareOpinion::Ok),
        Some("RESUBMIT_AS_BLOCK") => Ok(ShareOpinion::ResubmitAsBlock),
        _ => Err(expected("\"OK\" or \"RESUBMIT_AS_BLOCK\"", reply)),
    }
}

/// Reads `submitblock`: null, or a text with the reason.
///
/// *Already known* is recognised anywhere in the text (rule R-K6): nodes put their version in front.
pub fn submit_outcome(reply: &Value) -> Result<SubmitOutcome, NodeError> {
    match reply {
        Value::Null => Ok(SubmitOutcome::Accepted),
        Value::String(text) => {
            let reason = first_line(text);
            let lower = reason.to_ascii_lowercase();
            if lower.contains("already have block")
                || lower.contains("duplicateblock")
                || lower == "duplicate"
            {
                Ok(SubmitOutcome::AlreadyKnown)
            } else {
                Ok(SubmitOutcome::Rejected(reason))
            }
        }
        other => Err(expected("null, or why the block is refused", other)),
    }
}

/// Reads `getminingpayouts`.
pub fn mining_payouts(reply: Value) -> Result<Vec<MiningPayout>, NodeError> {
    let table: Map<String, Value> = read("an object of address and amount", reply)?;
    table
        .into_iter()
        .map(|(address, amount)| {
            let amount = read(&format!("the amount for {address}"), amount)?;
            Ok(MiningPayout { address, amount })
        })
        .collect()
}

fn read<T: for<'de> Deserialize<'de>>(what: &str, reply: Value) -> Result<T, NodeError> {
    serde_json::from_value(reply).map_err(|error| NodeError::bad_reply(format!("expected {what}: {error}")))
}

fn expected(what: &str, got: &Value) -> NodeError {
    let got: String = got.to_string().chars().take(80).collect();
    NodeError::bad_reply(format!("expected {what}, got {got}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn r_k6_a_known_block_is_recognised_anywhere_in_the_text() {
        let texts = [
            "rejected: already have block 00",
            "rejected: 0.0.0-custom ErrDuplicateBlock: already have block abcd\n\n  trace",
            "duplicate",
        ];
        for text in texts {
            assert_eq!(submit_outcome(&json!(text)), Ok(SubmitOutcome::AlreadyKnown), "{text}");
        }
    }

    #[test]
    fn r_k7_a_refusal_is_cut_to_its_first_line() {
        let reply = json!("rejected: 1.0 ErrBadPow: no [x\n\n  btcutil/er/er.go:359\n]");
        let expected = SubmitOutcome::Rejected("rejected: 1.0 ErrBadPow: no [x".to_owned());
        assert_eq!(submit_outcome(&reply), Ok(expected));
    }

    #[test]
    fn a_duplicate_transaction_is_no_known_block() {
        let reply = json!("rejected: 1.0 ErrDuplicateTx: block contains duplicate transaction");
        assert!(matches!(submit_outcome(&reply), Ok(SubmitOutcome::Rejected(_))));
    }

    #[test]
    fn a_side_chain_block_and_an_unknown_one_are_not_in_the_main_chain() {
        let refusal = |code, message: &str| {
            in_main_chain(Err(NodeError::Rpc { code: Some(code), message: message.to_owned() }))
        };
        assert_eq!(refusal(-32603, "x errNotInMainChain: block y"), Ok(false));
        assert_eq!(refusal(-5, "Block not found"), Ok(false));
        assert!(refusal(-1, "something else").is_err());
    }

    #[test]
    fn unexpected_replies_are_faults_of_the_node() {
        for reply in [json!(5), json!({"a": 1}), json!(["OK"]), json!(true)] {
            assert!(matches!(share_opinion(&reply), Err(NodeError::BadReply { .. })));
            assert!(matches!(submit_outcome(&reply), Err(NodeError::BadReply { .. })));
            assert!(matches!(block_hash(&reply), Err(NodeError::BadReply { .. })));
            assert!(matches!(block(reply), Err(NodeError::BadReply { .. })));
        }
    }
}
