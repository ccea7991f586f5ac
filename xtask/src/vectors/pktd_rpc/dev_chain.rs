//! What the dev chain answers to a recorded request.

use std::sync::Arc;

use node::dev_chain::rpc::{Access, Answer};
use node::dev_chain::rules::ChainRules;
use node::dev_chain::{DevChain, DevChainOptions};
use serde_json::{Value, json};

use super::Exchange;

/// The dev chain does not have these, or not alike.
const NOT_OFFERED: &[&str] = &["getblocktemplate", "getnettotals"];
/// Refusals of blocks that do not depend on the chain: the dev chain must refuse the same blocks for the same reason.
const FREE_OF_THE_CHAIN: &[&str] =
    &["ErrTimeTooNew", "is higher than max of", "ErrBadMerkleRoot", "ErrPowCannotVerify"];
/// Refusals of shares that do.
const SHARE_ON_A_CHAIN: &str = "Validate_";

/// What came of the comparison.
pub struct Outcome(Option<String>);

impl Outcome {
    /// What is wrong; `None` if nothing is.
    pub fn because(self) -> Option<String> {
        self.0
    }
}

/// How much of a recorded answer the dev chain's must repeat.
#[derive(Clone, Copy)]
enum Likeness {
    /// Every value.
    Equal,
    /// The same members with values of the same types.
    SameShape,
    /// The same error, or the same rule that refuses a block.
    SameRefusal,
}

/// Asks the dev chain; `None` where its answer cannot be compared.
pub fn problem(exchange: &Exchange) -> anyhow::Result<Option<Outcome>> {
    let over_http_only = exchange.http_method != "POST" || !matches!(exchange.http_status, 0 | 200);
    let request: Value = serde_json::from_str(&exchange.request_body).unwrap_or_default();
    let method = request["method"].as_str().unwrap_or_default();
    if over_http_only || NOT_OFFERED.contains(&method) {
        return Ok(None);
    }
    let recorded: Option<Value> = serde_json::from_str(&exchange.response_body).ok();
    let Some(likeness) = likeness(exchange, method, recorded.as_ref()) else { return Ok(None) };
    let folder = tempfile::tempdir()?;
    let clock = clock_for(&request, recorded.as_ref());
    let rules = ChainRules::public_with_period(20);
    let options = DevChainOptions { rules, clock: Arc::new(move || clock), ..DevChainOptions::default() };
    let chain = DevChain::open(folder.path(), options)?;
    let body = match prepare(&chain, exchange, &request, recorded.as_ref())? {
        Some(changed) => changed.to_string(),
        None => exchange.request_body.clone(),
    };
    let access = if exchange.name.starts_with("limited_user") { Access::Limited } else { Access::Full };
    let answer = match chain.answer(access, body.as_bytes()) {
        Answer::Json(answer) => Some(answer),
        Answer::HangUp => None,
    };
    Ok(Some(Outcome(compare(likeness, recorded.as_ref(), answer.as_ref()).err())))
}

/// How the answers can be compared; `None` where they depend on blocks that the dev chain does not have.
fn likeness(exchange: &Exchange, method: &str, recorded: Option<&Value>) -> Option<Likeness> {
    let Some(recorded) = recorded else { return Some(Likeness::Equal) };
    if let Some(message) = recorded["error"]["message"].as_str() {
        let needs_the_chain = method == "checkpcshare"
            && (message.contains(SHARE_ON_A_CHAIN) || message.contains("announcement signature"));
        return (!needs_the_chain).then_some(Likeness::SameRefusal);
    }
    match method {
        "submitblock" => {
            let text = recorded["result"].as_str().unwrap_or_default();
            FREE_OF_THE_CHAIN.iter().any(|rule| text.contains(rule)).then_some(Likeness::SameRefusal)
        }
        "checkpcshare" => None,
        // Times, and payees in random order, differ.
        "getrawblocktemplate" | "uptime" => Some(Likeness::SameShape),
        _ if exchange.name.starts_with("genesis_") => Some(Likeness::Equal),
        _ => Some(Likeness::SameShape),
    }
}

/// Brings the chain into a state in which the request makes sense; gives the request if it had to be changed.
fn prepare(
    chain: &DevChain,
    exchange: &Exchange,
    request: &Value,
    recorded: Option<&Value>,
) -> anyhow::Result<Option<Value>> {
    let about_a_fresh_chain = exchange.name.starts_with("genesis_") || recorded.is_none();
    if about_a_fresh_chain || request["method"] == "submitblock" {
        return Ok(None);
    }
    chain.extend(3)?;
    let Some(reply) =
        recorded.filter(|_| matches!(request["method"].as_str(), Some("getblock" | "getblockheader")))
    else {
        return Ok(None);
    };
    // The recorded block is unknown here; one in the same position takes its place.
    let message = reply["error"]["message"].as_str().unwrap_or_default();
    let tip = chain.tip().hash;
    let block = if message.contains("errNotInMainChain") {
        chain.reorganise(1)?;
        tip
    } else if reply["error"].is_null() {
        tip
    } else {
        return Ok(None);
    };
    let mut changed = request.clone();
    changed["params"][0] = json!(block.to_string());
    Ok(Some(changed))
}

/// The time at which a block is judged: its own, or an hour before where it was refused for being early.
fn clock_for(request: &Value, recorded: Option<&Value>) -> u32 {
    /// Of the recordings.
    const SOME_TIME: u32 = 1_795_222_000;
    let block = request["params"][0].as_str().and_then(|text| hex::decode(text.get(..160)?).ok());
    let time = block.and_then(|header| Some(u32::from_le_bytes(header.get(68..72)?.try_into().ok()?)));
    let refusal = recorded.and_then(|reply| reply["result"].as_str()).unwrap_or_default();
    let early = if refusal.contains("ErrTimeTooNew") { 3600 } else { 0 };
    time.unwrap_or(SOME_TIME).saturating_sub(early)
}

fn compare(likeness: Likeness, recorded: Option<&Value>, answer: Option<&Value>) -> Result<(), String> {
    let (recorded, answer) = match (recorded, answer) {
        (None, None) => return Ok(()),
        (Some(recorded), Some(answer)) => (recorded, answer),
        (None, Some(answer)) => return Err(format!("the node hung up, the dev chain said {answer}")),
        (Some(recorded), None) => return Err(format!("the node said {recorded}, the dev chain hung up")),
    };
    let (recorded, answer) = (&numbers_as_doubles(recorded), &numbers_as_doubles(answer));
    let alike = match likeness {
        Likeness::Equal => recorded == answer,
        Likeness::SameShape => return same_shape("", recorded, answer),
        Likeness::SameRefusal => {
            // Without a code, the text only says where the reader of transactions stopped.
            let unnamed = recorded["error"].is_object() && recorded["error"]["code"].is_null();
            recorded["error"]["code"] == answer["error"]["code"]
                && (unnamed || refusal(recorded) == refusal(answer))
        }
    };
    if alike { Ok(()) } else { Err(format!("the node said {recorded}, the dev chain {answer}")) }
}

/// What identifies a refusal: the text without version and without details, which stand in brackets, after the name
/// of a rule or after a colon.
fn refusal(reply: &Value) -> String {
    let text = reply["error"]["message"].as_str().or(reply["result"].as_str()).unwrap_or_default();
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("rejected: ").unwrap_or(text);
    let without_version = text.split_once(' ').map_or("", |(_, rest)| rest);
    let end = without_version.find("): ").map_or(without_version.len(), |at| at + 3);
    let name = without_version.get(..end).unwrap_or_default();
    let stable: String = name.split(['[', ':']).next().unwrap_or_default().to_owned();
    stable.chars().filter(|character| !character.is_ascii_digit()).collect()
}

fn same_shape(place: &str, recorded: &Value, answer: &Value) -> Result<(), String> {
    match (recorded, answer) {
        (Value::Object(recorded), Value::Object(answer)) => {
            let missing = recorded.keys().find(|name| !answer.contains_key(*name) && is_needed(name));
            let extra = answer.keys().find(|name| !recorded.contains_key(*name) && is_needed(name));
            if let Some(name) = missing.or(extra) {
                return Err(format!("{place}/{name} is only in one of the answers"));
            }
            let both = recorded.iter().filter_map(|(name, value)| Some((name, value, answer.get(name)?)));
            both.into_iter().try_for_each(|(name, recorded, answer)| {
                same_shape(&format!("{place}/{name}"), recorded, answer)
            })
        }
        (Value::Array(recorded), Value::Array(answer)) => {
            let pairs = recorded.iter().zip(answer).enumerate();
            pairs.into_iter().try_for_each(|(index, (recorded, answer))| {
                same_shape(&format!("{place}/{index}"), recorded, answer)
            })
        }
        _ if std::mem::discriminant(recorded) == std::mem::discriminant(answer) => Ok(()),
        _ => Err(format!("{place}: the node said {recorded}, the dev chain {answer}")),
    }
}

/// Members that come and go: addresses are keys of the payouts, the end of the chain has no next block, the first
/// block of a period no estimate, and nobody looks at the soft forks of another chain.
fn is_needed(name: &str) -> bool {
    !name.starts_with("pkt1") && !matches!(name, "nextblockhash" | "retargetestimate" | "dummy")
}

/// The same value with numbers that compare by value: the recorded 1e-07 is our 1e-7.
fn numbers_as_doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, |number| json!(number)),
        Value::Array(values) => values.iter().map(numbers_as_doubles).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), numbers_as_doubles(value))).collect()
        }
        other => other.clone(),
    }
}
