//! pktd's JSON-RPC over the dev chain: what is asked, what is answered.
//!
//! Source: `docs/protocol/packetcrypt-blocks.md` 7 and the recordings in `vectors/pktd-rpc`. Results, error codes
//! and texts are pktd's; the version in front of each text is [`VERSION`]. What cannot be answered in JSON (a
//! broken body, `getblockchaininfo` on the genesis block) closes the connection, as pktd does.
//!
//! Commands of the dev chain's own, for tests: `devchain_extend [count]`, `devchain_reorganise [depth]`,
//! `devchain_stall [ms]`, `devchain_slow [ms]`, `devchain_refuse [ms]`, `devchain_lose [calls]`, `devchain_behave []`. They are answered
//! whatever fault is in force. The first two return `{"disconnected": [hash], "connected": [hash]}`.
//!
//! Invariant: any bytes get an answer or a closed connection, never a panic, and cost no more than their length.

pub mod access;
mod blocks;
mod commands;
mod mining;
mod params;
mod refusal;
mod server;
mod websocket;

use serde_json::{Value, json};

pub use self::access::{Access, RpcUsers};
use self::{params::Params, refusal::Refusal};
use super::DevChain;
pub use crate::rpc_server::ServeLimits;

/// The version that stands in front of texts.
pub const VERSION: &str = "0.0.0-headframe";

/// Calls in one request at most.
const LONGEST_BATCH: usize = 1000;

/// What a request gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A JSON text, with status 200.
    Json(Value),
    /// Nothing: the connection is closed.
    HangUp,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    id: Value,
    method: String,
    params: Params,
}

/// The calls of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// One call.
    One(Call),
    /// Several, answered by an array.
    Several(Vec<Call>),
}

impl Request {
    /// Reads a request; `None` for what pktd would hang up on.
    pub fn parse(body: &[u8]) -> Option<Self> {
        match serde_json::from_slice(body).ok()? {
            Value::Array(calls) if calls.len() <= LONGEST_BATCH => {
                calls.into_iter().map(Call::parse).collect::<Option<_>>().map(Self::Several)
            }
            call @ Value::Object(_) => Call::parse(call).map(Self::One),
            _ => None,
        }
    }

    /// Whether it is a command to the dev chain itself, which no ordered fault may keep from being answered.
    pub fn is_command(&self) -> bool {
        matches!(self, Self::One(call) if call.method.starts_with(commands::PREFIX))
    }
}

impl Call {
    fn parse(call: Value) -> Option<Self> {
        let Value::Object(mut call) = call else { return None };
        let Some(Value::String(method)) = call.remove("method") else { return None };
        let id = call.remove("id").unwrap_or_default();
        let params = match call.remove("params") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(params)) => params,
            Some(_) => return None,
        };
        Some(Self { id, method, params: Params::new(params) })
    }
}

/// What becomes of a call that has no result.
#[derive(Clone, Debug, PartialEq)]
enum NoResult {
    /// An error object.
    Refused(Refusal),
    /// The connection is closed.
    HangUp,
}

impl From<Refusal> for NoResult {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl DevChain {
    /// Answers the body of a request. Checks of proofs and writing of blocks happen in here: it may take some
    /// milliseconds for each call.
    pub fn answer(&self, access: Access, body: &[u8]) -> Answer {
        match Request::parse(body) {
            Some(request) => self.answer_request(access, &request),
            None => Answer::HangUp,
        }
    }

    /// Answers a request that was read already.
    pub fn answer_request(&self, access: Access, request: &Request) -> Answer {
        let answer = match request {
            Request::One(call) => self.answer_call(access, call),
            Request::Several(calls) => calls
                .iter()
                .map(|call| self.answer_call(access, call))
                .collect::<Option<_>>()
                .map(Value::Array),
        };
        answer.map_or(Answer::HangUp, Answer::Json)
    }

    fn answer_call(&self, access: Access, call: &Call) -> Option<Value> {
        let result = if access.allows(&call.method) {
            self.result_of(&call.method, &call.params)
        } else {
            Err(Refusal::invalid_params("limited user not authorized for this method").into())
        };
        match result {
            Ok(result) => Some(json!({"result": result, "error": null, "id": call.id})),
            Err(NoResult::Refused(refusal)) => {
                Some(json!({"result": null, "error": refusal.to_json(), "id": call.id}))
            }
            Err(NoResult::HangUp) => None,
        }
    }

    fn result_of(&self, method: &str, params: &Params) -> Result<Value, NoResult> {
        Ok(match method {
            "getrawblocktemplate" => self.get_raw_block_template(params)?,
            "checkpcshare" => self.check_pc_share(params)?,
            "submitblock" => self.submit_block(params)?,
            "configureminingpayouts" => self.configure_mining_payouts(params)?,
            "getminingpayouts" => self.get_mining_payouts(params)?,
            "getnetworksteward" => self.get_network_steward(params)?,
            "getmininginfo" => self.get_mining_info(params)?,
            "getbestblock" => self.get_best_block(params)?,
            "getbestblockhash" => self.get_best_block_hash(params)?,
            "getblockcount" => self.get_block_count(params)?,
            "getblockhash" => self.get_block_hash(params)?,
            "getblockheader" => self.get_block_header(params)?,
            "getblock" => self.get_block(params)?,
            "getdifficulty" => self.get_difficulty(params)?,
            "getblockchaininfo" => self.get_block_chain_info(params)?,
            "getinfo" => self.get_info(params)?,
            "version" => {
                params.none()?;
                json!({"pktdjsonrpcapi": {"versionstring": "1.3.0", "major": 1, "minor": 3, "patch": 0,
                    "prerelease": "", "buildmetadata": ""}})
            }
            "uptime" => {
                params.none()?;
                json!(self.shared.started.elapsed().as_secs())
            }
            // The magic of the main network.
            "getcurrentnet" => {
                params.none()?;
                json!(137_298_172)
            }
            "validateaddress" => blocks::validate_address(params)?,
            // It has no peers and no transactions waiting.
            "getconnectioncount" | "getnetworkhashps" => {
                params.none()?;
                json!(0)
            }
            "getpeerinfo" | "getrawmempool" => {
                params.none()?;
                json!([])
            }
            "getmempoolinfo" => {
                params.none()?;
                json!({"size": 0, "bytes": 0})
            }
            _ if method.starts_with(commands::PREFIX) => self.command(method, params)?,
            _ => return Err(Refusal::method_not_found().into()),
        })
    }
}
