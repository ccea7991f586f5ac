//! What the pool's client makes of a recorded reply.

use http::StatusCode;
use node::failover::parse_best_block;
use node::json_rpc::{NodeError, parse_reply};
use node::pktd::{ShareOpinion, SubmitOutcome, replies, template};
use packetcrypt::BlockHash;
use serde_json::Value;

use super::Exchange;

/// What is wrong with how the reply was read; `None` if nothing is.
pub fn problem(exchange: &Exchange) -> Option<String> {
    let calls = match serde_json::from_str(&exchange.request_body) {
        Ok(Value::Array(calls)) => calls,
        Ok(call) => vec![call],
        Err(_) => vec![Value::Null],
    };
    let Ok(status) = StatusCode::from_u16(exchange.http_status) else {
        // The node closed the connection: there is no reply to read.
        return (!exchange.response_body.is_empty()).then(|| "a body without a status".to_owned());
    };
    match serde_json::from_str(&exchange.response_body) {
        Ok(Value::Array(replies)) if replies.len() == calls.len() => calls
            .iter()
            .zip(&replies)
            .find_map(|(call, reply)| check_reply(call, status, reply.to_string().as_bytes()).err()),
        _ => check_reply(calls.first()?, status, exchange.response_body.as_bytes()).err(),
    }
}

/// The reply as the client reads it must agree with the recorded body.
fn check_reply(call: &Value, status: StatusCode, body: &[u8]) -> Result<(), String> {
    let recorded: Value = serde_json::from_slice(body).unwrap_or_default();
    let expected_error = &recorded["error"];
    match parse_reply(status, body) {
        Ok(result) => check_result(call, &result).map_err(|error| error.to_string()),
        Err(NodeError::Unauthorized { .. }) if status == StatusCode::UNAUTHORIZED => Ok(()),
        Err(NodeError::TooBusy) if status == StatusCode::SERVICE_UNAVAILABLE => Ok(()),
        Err(NodeError::Rpc { code, message }) => {
            let text = expected_error["message"].as_str().unwrap_or_default();
            let agrees = code == expected_error["code"].as_i64()
                && !message.is_empty()
                && text.starts_with(&message)
                && !message.contains('\n');
            if agrees { Ok(()) } else { Err(format!("expected {expected_error}, read {code:?} {message:?}")) }
        }
        Err(other) => Err(other.to_string()),
    }
}

/// A result must be readable as what its method returns.
fn check_result(call: &Value, result: &Value) -> Result<(), NodeError> {
    let (method, params) = (call["method"].as_str().unwrap_or_default(), &call["params"]);
    let reads_as = |holds: bool| if holds { Ok(()) } else { Err(unexpected(method, result)) };
    match method {
        "getrawblocktemplate" => {
            let template = template::read(result.clone());
            let template = template.map_err(|fault| NodeError::BadReply { what: fault.to_string() })?;
            reads_as(result["height"] == template.height.0)
        }
        "checkpcshare" => match replies::share_opinion(result)? {
            ShareOpinion::Ok => reads_as(result == "OK"),
            ShareOpinion::ResubmitAsBlock => reads_as(result == "RESUBMIT_AS_BLOCK"),
        },
        "submitblock" => {
            let text = result.as_str().unwrap_or_default();
            match replies::submit_outcome(result)? {
                SubmitOutcome::Accepted => reads_as(result.is_null()),
                SubmitOutcome::AlreadyKnown => reads_as(text.contains("already have block")),
                SubmitOutcome::Rejected(why) => {
                    reads_as(text.starts_with(&why) && !text.contains("already have block"))
                }
            }
        }
        "configureminingpayouts" => reads_as(result.is_null()),
        "getminingpayouts" => replies::mining_payouts(result.clone()).map(|_| ()),
        "getbestblock" => parse_best_block(result.clone()).map(|_| ()),
        "getbestblockhash" | "getblockhash" => replies::block_hash(result).map(|_| ()),
        "getblockheader" | "getblock" if params[1] == false => reads_as(
            result.as_str().is_some_and(|text| hex::decode(text).is_ok_and(|bytes| bytes.len() >= 80)),
        ),
        "getblockheader" => {
            let asked = params[0].as_str().and_then(|text| BlockHash::from_display_hex(text).ok());
            replies::block_header(result.clone(), &asked.unwrap_or_default()).map(|_| ())
        }
        "getblock" => {
            let block = replies::block(result.clone())?;
            reads_as(result["height"] == block.height && result["difficulty"] == number(&block.difficulty))
        }
        _ => Ok(()),
    }
}

fn number(decimal: &wire::Decimal) -> Value {
    serde_json::from_str(&decimal.to_string()).unwrap_or_default()
}

fn unexpected(method: &str, result: &Value) -> NodeError {
    let result: String = result.to_string().chars().take(80).collect();
    NodeError::BadReply { what: format!("{method} was read as something else than {result}") }
}
