//! `rpc.json`: recorded calls of the real node.
//!
//! Every exchange is looked at twice. The pool's client must read the reply as what it means. And the dev chain, asked the
//! same in the same order, must answer alike: the same code and text where it refuses, the same members of the same types
//! otherwise. What is asked by a hash that only the recorded chain has is asked by one of the dev chain's.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use http::StatusCode;
use nimiq::{Address, Network, Transaction, TransactionHash};
use node::NimiqDevChain;
use node::json_rpc::{NodeError, parse_reply};
use node::nimiq::replies;
use serde::Deserialize;
use serde_json::Value;

use super::super::Tally;
use super::read;

/// Calls of people and wallets, which the dev chain does not have.
const NOT_OFFERED: &[&str] = &["constant", "getRawTransactionInfo", "getTransactionByHash2", "minerAddress"];
/// The dev chain's clock: about when the file was recorded.
const NOW: u32 = 1_795_221_700;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    calls: Vec<Exchange>,
    #[serde(default)]
    flow: Vec<Exchange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Exchange {
    label: Option<String>,
    request: String,
    response: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(rename = "tookMs")]
    _took_ms: Option<f64>,
}

fn ok() -> u16 {
    200
}

pub fn run(path: &Path) -> anyhow::Result<Tally> {
    let File { calls, flow, .. } = read(path)?;
    let folder = tempfile::tempdir()?;
    let stage = Stage::set(folder.path(), &calls)?;
    let mut tally = Tally::default();
    for (number, exchange) in calls.iter().chain(&flow).enumerate() {
        let name =
            exchange.label.as_deref().unwrap_or(&exchange.request).chars().take(100).collect::<String>();
        tally.row(format_args!("{number}, {name}, as the client reads it"), client_problem(exchange).err());
        // A page of somebody else's asked: the body does not say so.
        if exchange.status != StatusCode::FORBIDDEN.as_u16() {
            let problem = stage.problem(exchange);
            tally.row(format_args!("{number}, {name}, as the dev chain answers it"), problem);
            if name.starts_with("submit valid") {
                // The recorded block is on another chain; this one goes on as well.
                stage.chain.extend(stage.payer, 1)?;
            }
        }
    }
    Ok(tally)
}

/// The reply must be readable as what its method returns.
fn client_problem(exchange: &Exchange) -> Result<(), String> {
    let (request, response) = (json(&exchange.request), json(&exchange.response));
    let status = StatusCode::from_u16(exchange.status).map_err(|error| error.to_string())?;
    if !response.is_object() || (response.get("result").is_none() && response.get("error").is_none()) {
        return Ok(());
    }
    match parse_reply(status, exchange.response.as_bytes()) {
        Ok(result) => check_result(&request, &result).map_err(|error| error.to_string()),
        Err(NodeError::Rpc { code, message }) => {
            let expected = &response["error"];
            let agrees = code == expected["code"].as_i64() && expected["message"] == message.as_str();
            agrees.then_some(()).ok_or_else(|| format!("expected {expected}, read {code:?} {message:?}"))
        }
        Err(other) => Err(other.to_string()),
    }
}

fn check_result(request: &Value, result: &Value) -> Result<(), NodeError> {
    let (method, params) = (request["method"].as_str().unwrap_or_default(), &request["params"]);
    let unexpected = |what: &str| NodeError::BadReply { what: format!("{method}: {what}: {result}") };
    let agrees = |holds: bool, what: &str| if holds { Ok(()) } else { Err(unexpected(what)) };
    match method {
        _ if result.is_null() => Ok(()),
        "blockNumber" => agrees(*result == replies::height(result)?.0, "height"),
        "getBalance" => agrees(*result == replies::luna(result)?.0, "amount"),
        "getBlockByNumber" | "getBlockByHash"
            if params[1] == true || result["transactions"] == Value::Array(vec![]) =>
        {
            let block = replies::block(result.clone())?;
            let same =
                result["hash"] == block.facts.hash.to_string() && result["miner"] == block.miner.to_hex();
            agrees(same, "block")
        }
        "getBlockTemplate" => {
            let miner = result["body"]["minerAddr"].as_str().unwrap_or_default();
            let miner = Address::parse_any(miner).map_err(|error| unexpected(&error.to_string()))?;
            let template = replies::template(result.clone(), &miner, &Network::Dev.genesis_hash())?;
            let siblings = template.body.miner_proof();
            let siblings =
                siblings.siblings().iter().skip(1).map(|sibling| Value::from(sibling.hash.to_string()));
            agrees(result["body"]["merkleHashes"] == siblings.collect::<Value>(), "siblings")
        }
        "getTransactionReceipt" => {
            let hash = TransactionHash::from_hex(params[0].as_str().unwrap_or_default());
            let hash = hash.map_err(|error| unexpected(&error.to_string()))?;
            agrees(
                replies::receipt(result.clone(), &hash)?.block.to_string() == result["blockHash"],
                "receipt",
            )
        }
        "mempoolContent" => replies::transaction_hashes(result).map(|_| ()),
        _ => Ok(()),
    }
}

/// A dev chain as like to the recorded one as can be.
struct Stage {
    chain: NimiqDevChain,
    /// Who gets all rewards, and pays.
    payer: Address,
    /// What names things of the recorded chain, and what stands for it here.
    stand_ins: Vec<(String, String)>,
}

impl Stage {
    /// A chain of the recorded length, whose last block holds the payments that waited in the recording.
    fn set(folder: &Path, calls: &[Exchange]) -> anyhow::Result<Self> {
        let results: Vec<(Value, Value)> =
            calls.iter().map(|call| (json(&call.request), json(&call.response)["result"].clone())).collect();
        let of = |method: &str| {
            let found =
                results.iter().find(|(request, result)| request["method"] == method && !result.is_null());
            found.map(|(_, result)| result).with_context(|| format!("no recorded {method}"))
        };
        let waiting =
            of("getBlockTemplate")?["body"]["transactions"].as_array().context("no transactions")?;
        let waiting = waiting.iter().map(|digits| -> anyhow::Result<Transaction> {
            let bytes = hex::decode(digits.as_str().unwrap_or_default())?;
            Transaction::parse(&bytes).map_err(|error| anyhow!("{error}"))
        });
        let waiting = waiting.collect::<Result<Vec<_>, _>>()?;
        let payment = waiting.first().context("no payment waited")?;
        let chain = NimiqDevChain::open_with_clock(folder, Arc::new(|| NOW))?;
        let height = of("blockNumber")?.as_u64().context("no height")? as u32;
        let payer = payment.content().sender.address;
        chain.extend(payer, height.saturating_sub(2))?;
        for transaction in &waiting {
            chain.send(transaction.clone());
        }
        chain.extend(payer, 1)?;
        let receipt = of("getTransactionReceipt")?;
        let recorded = |member: &str| receipt[member].as_str().unwrap_or_default().to_owned();
        let stand_ins = vec![
            (recorded("transactionHash"), payment.hash().to_string()),
            (recorded("blockHash"), chain.head().hash.to_string()),
            // The first transaction of its block, asked for by height.
            (format!("[{}, 0]", receipt["blockNumber"]), format!("[{height}, 0]")),
        ];
        Ok(Self { chain, payer, stand_ins })
    }

    fn problem(&self, exchange: &Exchange) -> Option<String> {
        let mut request = exchange.request.clone();
        for (recorded, ours) in &self.stand_ins {
            request = request.replace(recorded, ours);
        }
        let answer = self.chain.answer(request.as_bytes());
        let (call, expected, got) = (json(&request), json(&exchange.response), json(&answer.body));
        let method = call["method"].as_str().unwrap_or_default();
        let by_unknown_hash =
            got["result"].is_null() && call["params"][0].as_str().is_some_and(|text| text.len() == 64);
        let same = answer.status == exchange.status
            && if NOT_OFFERED.contains(&method) {
                got["error"]["code"] == -32601
            } else {
                by_unknown_hash || is_alike(&expected, &got)
            };
        (!same).then(|| {
            format!("expected the like of {}, got {} {}", exchange.response, answer.status, answer.body)
        })
    }
}

/// Whether two answers have the same members of the same types, and errors that say the same.
fn is_alike(expected: &Value, got: &Value) -> bool {
    // Counts by fee have the fees that there are as members.
    let members = |object: &serde_json::Map<String, Value>| {
        object.keys().filter(|key| key.parse::<u32>().is_err()).cloned().collect::<Vec<_>>()
    };
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) if expected.contains_key("code") => expected == got,
        (Value::Object(expected), Value::Object(got)) => {
            let names = members(expected);
            names == members(got) && names.iter().all(|name| is_alike(&expected[name], &got[name]))
        }
        (Value::Array(expected), Value::Array(got)) => {
            let is_known = |got| expected.iter().any(|expected| is_alike(expected, got));
            expected.is_empty() || got.iter().all(is_known)
        }
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) => true,
        _ => expected == got,
    }
}

/// The text as JSON; null where it is none.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
