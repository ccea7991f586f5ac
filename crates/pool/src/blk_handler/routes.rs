//! `POST …/submit` (`docs/protocol/packetcrypt-pool.md` 9.2 and 15), and for the website `GET …/conduct.json?address=`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use wire::announcement_post::PAY_TO_HEADER;
use wire::refusal::Role;
use wire::reply::EmptyResult;
use wire::share_post::{BODY_LIMIT, ShareHeaders, SharePost};
use wire::{PktAddress, Refusal};

use super::admission::Answer;
use super::{BlockNode, Shared, price};
use crate::listener::{BodyFault, BodyLimits, Client, drain_body, read_body};
use crate::received_work;
use crate::request_context::carry;

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Rule R-K9.
const BODY_TIME: Duration = Duration::from_secs(10);

pub(super) fn router<Node: BlockNode>(shared: Arc<Shared<Node>>) -> Router {
    Router::new().fallback(answer::<Node>).with_state(shared)
}

async fn answer<Node: BlockNode>(State(shared): State<Arc<Shared<Node>>>, request: Request) -> Response {
    let path = request.uri().path().trim_end_matches('/');
    if path.rsplit('/').next() == Some(received_work::NAME) && request.method() == Method::GET {
        return shared.received.answer(request.uri().query());
    }
    if !path.ends_with("/submit") {
        shared.refusals.count(&Refusal::NotFound);
        return response(StatusCode::NOT_FOUND, JSON, r#"{"error":"not found"}"#);
    }
    if request.method() != Method::POST {
        shared.refusals.count(&Refusal::MethodNotAllowed);
        return response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "");
    }
    let (asked, client) = (Instant::now(), Client::of(request.extensions()));
    let pay_to = request.headers().get(PAY_TO_HEADER).cloned();
    let answer = submit(&shared, request).await.unwrap_or_else(Answer::from);
    note(&shared, pay_to.as_ref(), &answer);
    settle(&shared, client, answer.refusal.as_ref());
    let response = match answer.refusal {
        Some(Refusal::Overloaded { .. }) => overloaded(&shared),
        _ => reply(&shared, &answer),
    };
    shared.figures.reply.since(asked);
    response
}

/// For the sender's own page.
fn note<Node: BlockNode>(shared: &Shared<Node>, pay_to: Option<&HeaderValue>, answer: &Answer) {
    let address = pay_to.and_then(|text| text.to_str().ok()?.parse::<PktAddress>().ok());
    let Some(address) = address else { return };
    match &answer.refusal {
        None => shared.received.accepted(address, 1, 0),
        Some(Refusal::DuplicateShare) => shared.received.accepted(address, 0, 1),
        Some(refusal) => shared.received.refused(address, refusal.code(), 1),
    }
}

/// What a share means for the client that sent it.
fn settle<Node: BlockNode>(shared: &Shared<Node>, client: Client, refusal: Option<&Refusal>) {
    let admission = &shared.config.admission;
    match refusal {
        None => admission.accepted(client),
        Some(refusal) => {
            if matches!(refusal, Refusal::InvalidShare { .. }) {
                admission.pay(client, price::SHARE_PROOF);
            }
            admission.refused(client, refusal);
        }
    }
}

async fn submit<Node: BlockNode>(shared: &Arc<Shared<Node>>, request: Request) -> Result<Answer, Refusal> {
    let client = Client::of(request.extensions());
    let (head, body) = request.into_parts();
    let limits = BodyLimits { bytes: BODY_LIMIT, time: BODY_TIME };
    if let Err(refusal) = shared.config.admission.enter(client, super::Request::Share) {
        // A client that is still sending would see a broken connection instead of the reason.
        drain_body(body, limits).await;
        return Err(refusal);
    }
    let receiving = Instant::now();
    let body = read_body(body, limits).await.map_err(|fault| of_body(&fault))?;
    shared.figures.receive.since(receiving);
    // A place is taken by a whole body only: half-sent ones keep nobody out.
    let place = Arc::clone(&shared.places).try_acquire_owned();
    let place = place.map_err(|_| Refusal::Overloaded { role: Role::BlkHandler })?;
    let (headers, post) = parse(&head.headers, &body)?;
    shared.config.admission.payee_not_banned(&headers.pay_to)?;
    drop(body);
    let admitting = Arc::clone(shared);
    // A task of its own, so that a client that goes away stops nothing half-way.
    let admission = shared.under_way.spawn(carry(async move {
        let _place = place;
        admitting.admit(headers, post).await
    }));
    admission.await.map_err(|fault| {
        tracing::error!(%fault, "looking at a share ended badly");
        Refusal::StorageFailed
    })
}

fn parse(headers: &HeaderMap, body: &Bytes) -> Result<(ShareHeaders, SharePost), Refusal> {
    let headers = ShareHeaders::read(|name| headers.get(name).map(HeaderValue::as_bytes))?;
    Ok((headers, SharePost::parse(body)?))
}

fn of_body(fault: &BodyFault) -> Refusal {
    match fault {
        BodyFault::TooLarge { limit } => Refusal::BodyTooLarge { role: Role::BlkHandler, limit: *limit },
        BodyFault::TooSlow { time } => Refusal::BodyTimeout { seconds: time.as_secs() },
        BodyFault::NoRoom => Refusal::Overloaded { role: Role::BlkHandler },
        BodyFault::Broken { .. } => Refusal::BodyIncomplete,
    }
}

/// Plain text, as reference clients know it.
fn overloaded<Node: BlockNode>(shared: &Shared<Node>) -> Response {
    shared.refusals.count(&Refusal::Overloaded { role: Role::BlkHandler });
    response(StatusCode::NOT_IMPLEMENTED, PLAIN, "overloaded")
}

fn reply<Node: BlockNode>(shared: &Shared<Node>, answer: &Answer) -> Response {
    let status = match &answer.refusal {
        None => StatusCode::OK,
        Some(refusal) => {
            shared.refusals.count(refusal);
            tracing::info!(code = refusal.code(), %refusal, "a share was refused");
            StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST)
        }
    };
    let mut response = response(status, JSON, answer.reply.to_json(EmptyResult::EmptyText));
    if let Some(seconds) = answer.refusal.as_ref().and_then(Refusal::retry_after_seconds) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
