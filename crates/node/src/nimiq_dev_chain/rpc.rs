//! The node's JSON-RPC over the dev chain: what is asked, what is answered.
//!
//! Source: `docs/protocol/nimiq-pool.md` 3 and the recordings in `vectors/nimiq/rpc.json`. Commands of the dev chain's own,
//! for tests: `devchain_mine [address]`, `devchain_extend [address, count]`, `devchain_reorganise [address, depth]`,
//! `devchain_stall [ms]`, `devchain_slow [ms]`, `devchain_refuse [ms]`, `devchain_lose [calls]`,
//! `devchain_consensus [established]`, `devchain_behave []`. They are answered whatever fault is in force.
//!
//! Invariant: any bytes get an answer, never a panic, and cost no more than their length.

mod blocks;
mod commands;
mod http;
mod mining;
mod params;
mod transactions;

use serde_json::{Value, json};

use self::params::Params;
use super::NimiqDevChain;

/// Calls in one request at most.
const LONGEST_BATCH: usize = 100;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    code: i64,
    message: String,
}

impl Refusal {
    const NOT_FOUND: i64 = -32601;
    const INVALID_REQUEST: i64 = -32600;
    const NO_TEMPLATE: i64 = 501;

    /// What the node makes of an exception.
    fn exception(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    fn invalid_request() -> Self {
        Self { code: Self::INVALID_REQUEST, message: "Invalid Request".to_owned() }
    }

    fn to_json(&self) -> Value {
        json!({"code": self.code, "message": self.message})
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, or 400 for what is no request.
    pub status: u16,
    /// The JSON text; empty where no call wanted an answer.
    pub body: String,
}

impl NimiqDevChain {
    /// Answers the body of a request. Checks of proofs and writing of blocks happen in here.
    pub fn answer(&self, body: &[u8]) -> Answer {
        match serde_json::from_slice(body) {
            Ok(Value::Array(calls)) if calls.len() <= LONGEST_BATCH => {
                let answers = calls.iter().filter_map(|call| self.answer_call(call)).collect();
                Answer { status: 200, body: Value::Array(answers).to_string() }
            }
            Ok(call @ Value::Object(_)) => {
                let body = self.answer_call(&call).map(|answer| answer.to_string()).unwrap_or_default();
                Answer { status: 200, body }
            }
            _ => {
                let error = Refusal::invalid_request().to_json();
                Answer {
                    status: 400,
                    body: json!({"jsonrpc": "2.0", "error": error, "id": null}).to_string(),
                }
            }
        }
    }

    /// The answer to a call; none for one whose id is none.
    fn answer_call(&self, call: &Value) -> Option<Value> {
        let id = call["id"].clone();
        let wants_answer = id.is_string() || id.is_i64() || id.is_u64();
        let result = match (call["jsonrpc"].as_str(), call["method"].as_str()) {
            (Some("2.0"), Some(method)) => {
                let params = Params::new(call.get("params").cloned());
                self.result_of(method, &params)
            }
            _ => Err(Refusal::invalid_request()),
        };
        let answer = match result {
            // What returns nothing has neither result nor error.
            Ok(None) => json!({"jsonrpc": "2.0", "id": id}),
            Ok(Some(result)) => json!({"jsonrpc": "2.0", "result": result, "id": id}),
            Err(refusal) => json!({"jsonrpc": "2.0", "error": refusal.to_json(), "id": id}),
        };
        wants_answer.then_some(answer)
    }

    fn result_of(&self, method: &str, params: &Params) -> Result<Option<Value>, Refusal> {
        let result = match method {
            "consensus" => json!(if *self.shared.consensus.borrow() { "established" } else { "syncing" }),
            // It has no peers; a pool must not mind.
            "peerCount" | "hashrate" | "minFeePerByte" | "poolConfirmedBalance" => json!(0),
            "peerList" | "accounts" => json!([]),
            "syncing" | "mining" => json!(false),
            "pool" => Value::Null,
            "minerThreads" => json!(1),
            "poolConnectionState" => json!(2),
            "log" => json!(true),
            "blockNumber" => json!(self.head().height.0),
            "getBlockByNumber" => self.get_block_by_number(params)?,
            "getBlockByHash" => self.get_block_by_hash(params)?,
            "getBlockTransactionCountByNumber" => self.count_by_number(params)?,
            "getBlockTransactionCountByHash" => self.count_by_hash(params)?,
            "getBlockTemplate" => self.get_block_template(params)?,
            "getWork" => self.get_work(params)?,
            "submitBlock" => return self.submit_block(params).map(|()| None),
            "getBalance" => self.get_balance(params)?,
            "getAccount" => self.get_account(params)?,
            "sendRawTransaction" => self.send_raw_transaction(params)?,
            "mempool" => self.mempool(),
            "mempoolContent" => self.mempool_content(params),
            "getTransactionByHash" => self.get_transaction_by_hash(params)?,
            "getTransactionByBlockNumberAndIndex" => self.transaction_at_number(params)?,
            "getTransactionByBlockHashAndIndex" => self.transaction_at_hash(params)?,
            "getTransactionReceipt" => self.get_transaction_receipt(params)?,
            "getTransactionsByAddress" => self.get_transactions_by_address(params)?,
            _ if method.starts_with(commands::PREFIX) => self.command(method, params)?,
            _ => return Err(Refusal { code: Refusal::NOT_FOUND, message: "Method not found".to_owned() }),
        };
        Ok(Some(result))
    }
}

/// Whether a request is one command to the dev chain itself, which no ordered fault may keep from being answered.
fn is_command(body: &[u8]) -> bool {
    let call: Value = serde_json::from_slice(body).unwrap_or_default();
    call["method"].as_str().is_some_and(|method| method.starts_with(commands::PREFIX))
}
