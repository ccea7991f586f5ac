//! Orders of miners to be told when their work stops arriving: what must be signed, and the order itself.
//!
//! The only thing that is not just read; `docs/operators/monitor.md` describes how an order is signed.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Fault, Whole};
use super::miners::read;
use super::parameters::{self, MOST, Parameters};
use crate::site::facts::{Chain, Moment};
use crate::site::subscriptions::{
    Action, MOST_OF_ADDRESS, Order, OrderFault, Reply, Subscriptions, Target, TargetFault,
};

/// Bytes of an order.
const LONGEST: usize = 4096;

/// What an address has, and what must be signed for the order that is asked about.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationsState {
    /// The address, without spaces.
    address: String,
    /// Targets that are told about it. Which, nobody is told.
    targets: usize,
    /// So many it may have.
    most: usize,
    /// How to order it.
    how: &'static str,
    /// The line that the key of the address must sign (`signmessage`), if an order was asked about.
    sign: Option<String>,
}

const HOW: &str = "Ask here with ?action=subscribe&kind=ntfy&url=https://ntfy.sh/TOPIC (or kind=webhook, or kind=email with an \
                   address for the URL): `sign` is the line that your wallet signs. POST {action, kind, url, time, signature} here within ten minutes; for Nimiq also `key`, \
                   the public key. E-mail is sent a code first, and comes once {action: confirm, kind, url, code} was sent here.";

/// An order, signed by the key of the address; or the reply of who was sent a code by e-mail.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "action": "subscribe", "kind": "ntfy", "url": "https://ntfy.sh/my-miner", "time": 1793534400,
    "signature": "H2y0vZbF0l3eWc8Qm7b0j8uYk3m1s2f4x6c8b0n2m4q6w8e0r2t4y6u8i0o2p4a6s8d0f2g4h6j8k0l2z4x6c8="
}))]
pub(super) struct NotificationsOrder {
    /// `subscribe` or `unsubscribe`; `confirm` with a code.
    #[schema(pattern = "^(subscribe|unsubscribe|confirm)$")]
    action: String,
    /// `webhook`, `ntfy` or `email`.
    #[schema(pattern = "^(webhook|ntfy|email)$")]
    kind: String,
    /// Where to tell: a public https URL, or an e-mail address.
    url: String,
    /// When it was signed, in seconds since 1970; each order of an address is later than the one before.
    #[serde(default)]
    #[schema(maximum = 9007199254740991_u64)]
    time: u64,
    /// What the wallet made of the line: base64 for PKT, hexadecimal digits or base64 for Nimiq.
    #[serde(default)]
    signature: String,
    /// In place of time and signature: the code that was sent by e-mail.
    #[serde(default)]
    code: Option<String>,
    /// Of Nimiq: the public key, in hexadecimal digits.
    #[serde(default)]
    key: String,
}

/// What an address has after an order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationsObeyed {
    /// The address, without spaces.
    address: String,
    /// Its targets.
    targets: usize,
    /// The secret that bodies for a new webhook are signed with; it is told only now.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// What is still to be done, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
}

const NEXT: &str =
    "A code is on its way to that address; nothing else is sent there until it was sent here within a day.";

/// How many targets are told about an address; with `url` and `kind` also the line to be signed for that order.
#[utoipa::path(get, path = "/api/v1/{chain}/miners/{address}/notifications", tag = "miners",
    params(
        ("chain" = Chain, Path, description = "Which chain"),
        ("address" = String, Path, description = "The address, with or without spaces"),
        ("action" = Option<String>, Query, description = "subscribe (if it is left out) or unsubscribe"),
        ("kind" = Option<String>, Query, description = "webhook, ntfy or email"),
        ("url" = Option<String>, Query, description = "Where to tell: a public https URL, or an e-mail address"),
        ("time" = Option<u64>, Query, description = "Seconds since 1970 (now)"),
    ),
    responses(
        (status = 200, description = "What the address has, and the line to be signed", body = NotificationsState),
        (status = 304, description = "Nothing has changed since the ETag that was sent"),
        (status = 400, description = "Asked wrongly", body = Fault),
        (status = 404, description = "Not a chain of this pool", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
    )
)]
pub(super) async fn notifications(
    State(api): State<Arc<Api>>,
    Path((chain, address)): Path<(String, String)>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Fault> {
    parameters.only(&["action", "kind", "url", "time"])?;
    let address = read(&api, parameters::chain(&chain)?, &address)?;
    let time = parameters.number("time", 0, MOST)?.unwrap_or(Moment::now().0 / 1000);
    let sign = match parameters.decoded("url")? {
        None => None,
        Some(url) => {
            let action = parameters.decoded("action")?.unwrap_or_else(|| "subscribe".to_owned());
            let target = target(&api, &parameters.decoded("kind")?.unwrap_or_default(), &url)?;
            let order = Order { address, action: action_of(&action)?, target, time };
            Some(order.text(&api.facts.now().identity.url))
        }
    };
    let targets = api.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.count(&address));
    let state =
        NotificationsState { address: address.compact(), targets, most: MOST_OF_ADDRESS, how: HOW, sign };
    Ok(Whole::json(&state)?.answer(&headers))
}

/// Tells a webhook, a topic of ntfy or an e-mail address when the work of an address stops arriving, and when it is back; or not any more.
#[utoipa::path(post, path = "/api/v1/{chain}/miners/{address}/notifications", tag = "miners",
    params(
        ("chain" = Chain, Path, description = "Which chain"),
        ("address" = String, Path, description = "The address, with or without spaces"),
    ),
    request_body = NotificationsOrder,
    responses(
        (status = 200, description = "It is done", body = NotificationsObeyed),
        (status = 400, description = "Asked wrongly, or signed too long ago", body = Fault),
        (status = 403, description = "The signature is not that of the address, or the code not the one that was sent", body = Fault),
        (status = 404, description = "Not a chain of this pool, or it tells nobody about an address", body = Fault),
        (status = 409, description = "An order that was obeyed already, a target too many, or one that is not there", body = Fault),
        (status = 414, description = "The question is too long", body = Fault),
        (status = 429, description = "Asked too often", body = Fault),
        (status = 503, description = "There is no room for more, or it cannot be stored", body = Fault),
    )
)]
pub(super) async fn order(
    State(api): State<Arc<Api>>,
    Path((chain, address)): Path<(String, String)>,
    parameters: Parameters,
    body: Bytes,
) -> Result<Response, Fault> {
    parameters.only(&[])?;
    let address = read(&api, parameters::chain(&chain)?, &address)?;
    let subscriptions = subscriptions(&api)?;
    if body.len() > LONGEST {
        return Err(Fault::bad(format!("an order has at most {LONGEST} bytes")));
    }
    let asked: NotificationsOrder =
        serde_json::from_slice(&body).map_err(|error| Fault::bad(format!("this is no order: {error}")))?;
    let target = target(&api, &asked.kind, &asked.url)?;
    let (pool, now) = (api.facts.now(), Moment::now());
    let standing = if let Some(code) = asked.code {
        let reply = reply_of(&asked.action)?;
        Arc::clone(subscriptions).reply(address, target, code, reply, now).await?
    } else {
        let order = Order { address, action: action_of(&asked.action)?, target, time: asked.time };
        let url = &pool.identity.url;
        order
            .check(url, &asked.signature, &asked.key, now)
            .map_err(|fault| Fault::from(fault).suggesting(order.text(url)))?;
        Arc::clone(subscriptions).obey(order, &pool.identity, now).await?
    };
    let obeyed = NotificationsObeyed {
        address: address.compact(),
        targets: standing.targets,
        secret: standing.secret,
        next: standing.is_asked.then_some(NEXT),
    };
    let mut response = Whole::json(&obeyed)?.answer(&HeaderMap::new());
    // A secret may be in it.
    response.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    Ok(response.into_response())
}

fn subscriptions(api: &Api) -> Result<&Arc<Subscriptions>, Fault> {
    api.subscriptions.as_ref().ok_or_else(|| Fault::not_found("this pool tells nobody about an address"))
}

/// Where no pool is, the strictest rules hold.
fn target(api: &Api, kind: &str, url: &str) -> Result<Target, Fault> {
    let target = match &api.subscriptions {
        Some(subscriptions) => subscriptions.target(kind, url),
        None => Target::read(kind, url, false),
    };
    target.map_err(Fault::from)
}

fn action_of(text: &str) -> Result<Action, Fault> {
    Action::read(text).ok_or_else(|| Fault::bad("action is one of subscribe, unsubscribe"))
}

fn reply_of(text: &str) -> Result<Reply, Fault> {
    match text {
        "confirm" => Ok(Reply::Confirm),
        "unsubscribe" => Ok(Reply::End),
        _ => Err(Fault::bad("with a code, action is one of confirm, unsubscribe")),
    }
}

impl From<TargetFault> for Fault {
    fn from(fault: TargetFault) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_target", fault.to_string())
    }
}

impl From<OrderFault> for Fault {
    fn from(fault: OrderFault) -> Self {
        let (status, code) = match fault {
            OrderFault::Time => (StatusCode::BAD_REQUEST, "bad_time"),
            OrderFault::NimiqForm => (StatusCode::BAD_REQUEST, "bad_signature"),
            OrderFault::Signature(_) => (StatusCode::FORBIDDEN, "bad_signature"),
            OrderFault::Code => (StatusCode::FORBIDDEN, "bad_code"),
            OrderFault::Asked => (StatusCode::CONFLICT, "asked"),
            OrderFault::TooManyAsked => (StatusCode::SERVICE_UNAVAILABLE, "too_many_asked"),
            OrderFault::Repeated => (StatusCode::CONFLICT, "repeated"),
            OrderFault::TooMany => (StatusCode::CONFLICT, "too_many"),
            OrderFault::Unknown => (StatusCode::CONFLICT, "unknown_target"),
            OrderFault::Full => (StatusCode::SERVICE_UNAVAILABLE, "full"),
            OrderFault::Storage => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, code, fault.to_string())
    }
}
