//! `POST …/submit` (`docs/protocol/packetcrypt-pool.md` 9.2 and 15).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use wire::Refusal;
use wire::refusal::Role;
use wire::reply::EmptyResult;
use wire::share_post::{BODY_LIMIT, ShareHeaders, SharePost};

use super::admission::Answer;
use super::{BlockNode, Shared};
use crate::listener::{BodyFault, BodyLimits, read_body};

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Rule R-K9.
const BODY_TIME: Duration = Duration::from_secs(10);

pub(super) fn router<Node: BlockNode>(shared: Arc<Shared<Node>>) -> Router {
    Router::new().fallback(answer::<Node>).with_state(shared)
}

async fn answer<Node: BlockNode>(State(shared): State<Arc<Shared<Node>>>, request: Request) -> Response {
    if !request.uri().path().trim_end_matches('/').ends_with("/submit") {
        shared.refusals.count(&Refusal::NotFound);
        return response(StatusCode::NOT_FOUND, JSON, r#"{"error":"not found"}"#);
    }
    if request.method() != Method::POST {
        shared.refusals.count(&Refusal::MethodNotAllowed);
        return response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "");
    }
    let asked = Instant::now();
    let response = submit(&shared, request).await;
    shared.figures.reply.since(asked);
    response
}

async fn submit<Node: BlockNode>(shared: &Arc<Shared<Node>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let limits = BodyLimits { bytes: BODY_LIMIT, time: BODY_TIME };
    let receiving = Instant::now();
    let body = match read_body(body, limits).await {
        Ok(body) => body,
        Err(fault) => return refused(shared, of_body(&fault)),
    };
    shared.figures.receive.since(receiving);
    // A place is taken by a whole body only: half-sent ones keep nobody out.
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        return overloaded(shared);
    };
    let (headers, post) = match parse(&head.headers, &body) {
        Ok(parsed) => parsed,
        Err(refusal) => return refused(shared, refusal),
    };
    drop(body);
    let admitting = Arc::clone(shared);
    // A task of its own, so that a client that goes away stops nothing half-way.
    let admission = shared.under_way.spawn(async move {
        let _place = place;
        admitting.admit(headers, post).await
    });
    match admission.await {
        Ok(Answer { refusal: Some(Refusal::Overloaded { .. }), .. }) => overloaded(shared),
        Ok(answer) => reply(shared, &answer),
        Err(fault) => {
            tracing::error!(%fault, "looking at a share ended badly");
            refused(shared, Refusal::StorageFailed)
        }
    }
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

fn refused<Node: BlockNode>(shared: &Shared<Node>, refusal: Refusal) -> Response {
    reply(shared, &Answer::from(refusal))
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
    response(status, JSON, answer.reply.to_json(EmptyResult::EmptyText))
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
