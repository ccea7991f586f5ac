//! What the handler answers over HTTP (`docs/protocol/packetcrypt-pool.md` 5.1 and 6.1).

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use packetcrypt::announcement::ANNOUNCEMENT_SIZE;
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;
use wire::announcement_post::{AnnouncementReply, PAY_TO_HEADER, PostHeaders};
use wire::batch::BatchName;
use wire::refusal::Role;
use wire::reply::EmptyResult;
use wire::{AnnsEvent, PktAddress, Refusal};

use super::checking::Job;
use super::hashing::Prefixes;
use super::{Shared, by_parent, served};
use crate::listener::{BodyFault, Client, drain_body, read_body_into};
use crate::received_work;

const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";
const CACHE_INDEX: &str = "max-age=3";
const CACHE_FILE: &str = "max-age=31536000, immutable";

/// What the end of the path asks for, under any prefix (rule R-H1).
enum Asked {
    Submit,
    Index,
    File(BatchName),
    /// The website's questions.
    Parents,
    Served,
    Conduct,
    Unknown,
}

impl Asked {
    fn parse(path: &str) -> Self {
        let mut parts = path.trim_end_matches('/').rsplit('/');
        let (name, folder) = (parts.next().unwrap_or_default(), parts.next());
        match (name, folder) {
            ("submit", _) => Self::Submit,
            ("index.json", Some("anns")) => Self::Index,
            (by_parent::NAME, _) => Self::Parents,
            (served::NAME, _) => Self::Served,
            (received_work::NAME, _) => Self::Conduct,
            (name, Some("anns")) => name.parse().map_or(Self::Unknown, Self::File),
            _ => Self::Unknown,
        }
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match Asked::parse(request.uri().path()) {
        Asked::Submit if request.method() == Method::POST => {
            let (asked, client) = (Instant::now(), Client::of(request.extensions()));
            let sender = Sender::of(request.headers());
            let outcome = submit(&shared, request).await;
            shared.figures.reply.since(asked);
            match &outcome {
                Ok(event) => {
                    shared.admission.accepted(client);
                    shared.received.accepted(event.pay_to, event.accepted.into(), event.duplicate.into());
                }
                Err(refusal) => {
                    shared.figures.refusals.count(refusal);
                    shared.admission.refused(client, refusal);
                    sender.is_refused(&shared, refusal);
                }
            }
            reply(outcome)
        }
        Asked::Index if reading => document(JSON, CACHE_INDEX, shared.batches.index()),
        Asked::File(name) if reading => file(&shared, &name, &request),
        Asked::Parents if reading => axum::Json(shared.by_parent.all()).into_response(),
        Asked::Served if reading => axum::Json(shared.served.sum()).into_response(),
        Asked::Conduct if reading => shared.received.answer(request.uri().query()),
        Asked::Unknown => reply(Err(Refusal::NotFound)),
        Asked::Submit | Asked::Index | Asked::File(_) | Asked::Parents | Asked::Served | Asked::Conduct => {
            reply(Err(Refusal::MethodNotAllowed))
        }
    }
}

/// Who sent a post, as far as its head says so: for the sender's own page.
struct Sender {
    pay_to: Option<HeaderValue>,
    announcements: u64,
}

impl Sender {
    fn of(headers: &HeaderMap) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let announcements = length.map_or(1, |length| (length / ANNOUNCEMENT_SIZE as u64).max(1));
        Self { pay_to: headers.get(PAY_TO_HEADER).cloned(), announcements }
    }

    fn is_refused(&self, shared: &Shared, refusal: &Refusal) {
        let text = self.pay_to.as_ref().and_then(|text| text.to_str().ok());
        if let Some(address) = text.and_then(|text| text.parse::<PktAddress>().ok()) {
            // No post has more.
            let most = (shared.body_limits.bytes / ANNOUNCEMENT_SIZE) as u64;
            shared.received.refused(address, refusal.code(), self.announcements.min(most));
        }
    }
}

async fn submit(shared: &Arc<Shared>, request: Request) -> Result<AnnsEvent, Refusal> {
    let client = Client::of(request.extensions());
    let client = Client { exempt: shared.admission.is_exempt(client), ..client };
    let (head, body) = request.into_parts();
    let headers = match check_head(shared, client, &head.headers) {
        Ok(headers) => headers,
        Err(refusal) => {
            // A client that is still sending would see a broken connection instead of the reason.
            drain_body(body, shared.body_limits).await;
            return Err(refusal);
        }
    };
    let receiving = Instant::now();
    let coming = shared.intake.coming_one();
    let mut reservation = shared.budget.reservation();
    let limits = shared.body_limits;
    let mut prefixes = Prefixes::default();
    let reserve = |bytes| reservation.grow(bytes);
    let look = |so_far: &[u8]| prefixes.extend_to(so_far);
    let body = read_body_into(shared.buffers.take(), body, limits, reserve, look)
        .await
        .map_err(|fault| refusal(&fault))?;
    let prefixes = prefixes.of_whole(&body);
    shared.figures.receive.since(receiving);
    let (reply, outcome) = oneshot::channel();
    let received = Instant::now();
    let job = Job { headers, body, prefixes, client, received, reply, reservation };
    shared.intake.offer(job).map_err(|_full| Refusal::Overloaded { role: Role::AnnHandler })?;
    drop(coming);
    // The job is dropped unanswered only if the role is stopping.
    outcome.await.unwrap_or(Err(Refusal::NotReady { role: Role::AnnHandler }))
}

/// Everything that can be said without the body.
fn check_head(shared: &Shared, client: Client, headers: &HeaderMap) -> Result<PostHeaders, Refusal> {
    if let Some(wait) = shared.conduct.must_wait(client, Instant::now()) {
        return Err(Refusal::TooManyRequests { retry_after_seconds: wait.as_secs() + 1 });
    }
    shared.admission.enter(client, super::Request::Announcements)?;
    let headers = PostHeaders::read(|name| headers.get(name).map(HeaderValue::as_bytes))?;
    shared.admission.payee_not_banned(&headers.pay_to)?;
    shared.check_budget(client, &headers.pay_to)?;
    shared.slots.load().at(headers.parent_height(), i64::from(headers.work_number) - 1)?;
    Ok(headers)
}

fn refusal(fault: &BodyFault) -> Refusal {
    match fault {
        BodyFault::TooLarge { limit } => Refusal::BodyTooLarge { role: Role::AnnHandler, limit: *limit },
        BodyFault::TooSlow { time } => Refusal::BodyTimeout { seconds: time.as_secs() },
        BodyFault::NoRoom => Refusal::Overloaded { role: Role::AnnHandler },
        BodyFault::Broken { .. } => Refusal::BodyIncomplete,
    }
}

fn reply(outcome: Result<AnnsEvent, Refusal>) -> Response {
    let mut wait = None;
    let (status, reply) = match outcome {
        Ok(event) => (200, AnnouncementReply::accepted(event)),
        Err(refusal) => {
            wait = wait_of(&refusal);
            (refusal.status(), AnnouncementReply::refused(&refusal))
        }
    };
    let mut answer = json(reply.to_json(EmptyResult::Null).into());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    if let Some(seconds) = wait {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// How long a client shall wait before it sends the same again, in seconds; `None` if that would be of no use.
fn wait_of(refusal: &Refusal) -> Option<u64> {
    refusal.retry_after_seconds().or(refusal.is_temporary().then_some(1))
}

/// Rules R-D1 and R-D4.
fn file(shared: &Shared, name: &BatchName, request: &Request) -> Response {
    if !shared.block_miner_password.is_empty() {
        let refused = match request.headers().get("x-pc-passwd") {
            None => Some("\"x-pc-passwd missing\""),
            Some(given) => {
                let same = given.as_bytes().ct_eq(shared.block_miner_password.as_bytes());
                (!bool::from(same)).then_some("\"x-pc-passwd incorrect\"")
            }
        };
        if let Some(text) = refused {
            let mut answer = json(Bytes::from_static(text.as_bytes()));
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
            return answer;
        }
    }
    match shared.batches.file(name) {
        Some(file) => {
            if request.method() == Method::GET {
                shared.figures.served.inc_by((file.len() / ANNOUNCEMENT_SIZE) as u64);
                shared.served.file(file.len());
            }
            document(BINARY, CACHE_FILE, file)
        }
        None => reply(Err(Refusal::NotFound)),
    }
}

fn document(content_type: &'static str, cache: &'static str, body: Bytes) -> Response {
    let mut answer = Response::new(Body::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    answer
}

fn json(body: Bytes) -> Response {
    let mut answer = Response::new(Body::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    answer
}
