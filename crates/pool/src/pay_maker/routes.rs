//! The PayMaker's answers (`docs/protocol/packetcrypt-pool.md` 11.1).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use ledger::{AcceptError, AcceptTimes, Accepted, DurableLedger, UnixMillis, Warnings};
use wire::pay_maker::{MemoryStats, PayMakerStats, REALM, UPLOAD_LIMIT, UploadReceipt};
use wire::refusal::Role;
use wire::reply::EmptyResult;
use wire::{Decimal, Refusal, Reply};

use super::Shared;
use super::bookkeeping::{self, Entry};
use super::password::Verdict;
use super::site_routes;
use crate::listener::{BodyFault, BodyLimits, Client, read_body};
use crate::metrics::resident_bytes;

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Rule R-P3.
const UPLOAD_TIME: Duration = Duration::from_secs(30);

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Ok(_place) = Arc::clone(&shared.requests).try_acquire_owned() else {
        shared.refusals.count(&Refusal::Overloaded { role: Role::PayMaker });
        return text(StatusCode::NOT_IMPLEMENTED, "overloaded");
    };
    match request.uri().path().rsplit('/').next().unwrap_or_default() {
        "events" => {
            let asked = Instant::now();
            let answer = events(&shared, request).await;
            shared.stages.reply.since(asked);
            answer
        }
        "whotopay" => {
            let newest = max_time(request.uri().query().unwrap_or_default());
            who_to_pay(&shared, request.method().clone(), newest).await
        }
        "stats" => statistics(&shared, request.method()),
        name if site_routes::NAMES.contains(&name) => {
            let query = request.uri().query().unwrap_or_default();
            site_routes::answer(&shared, request.method(), name, query).await
        }
        _ => text(StatusCode::NOT_FOUND, "not found"),
    }
}

async fn events(shared: &Shared, request: Request) -> Response {
    let client = Client::of(request.extensions());
    if !shared.may_upload(client.address) {
        return shared.refuse(&Refusal::ForeignNetwork, Vec::new());
    }
    match shared.password.check(request.headers(), client) {
        Verdict::Right => {}
        Verdict::Wrong(delay) => {
            shared.refusals.count(&Refusal::Unauthorized);
            tracing::info!(code = Refusal::Unauthorized.code(), "an upload was refused");
            tokio::time::sleep(delay).await;
            return unauthorized();
        }
        Verdict::TooMany(retry_after_seconds) => {
            return shared.refuse(&Refusal::TooManyRequests { retry_after_seconds }, Vec::new());
        }
        Verdict::Banned(retry_after_seconds) => {
            return shared.refuse(&Refusal::Banned { retry_after_seconds }, Vec::new());
        }
    }
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    let Some(ledger) = shared.ledger.get() else { return not_ready() };
    let Ok(_place) = shared.uploads.try_acquire() else {
        shared.refusals.count(&Refusal::Overloaded { role: Role::PayMaker });
        return text(StatusCode::NOT_IMPLEMENTED, "overloaded");
    };
    let limits = BodyLimits { bytes: UPLOAD_LIMIT, time: UPLOAD_TIME };
    let receiving = Instant::now();
    let body = read_body(request.into_body(), limits).await;
    shared.stages.receive.since(receiving);
    match body {
        Ok(body) => upload(shared, Arc::clone(ledger), body).await,
        Err(fault) => shared.refuse(&of_body(&fault), Vec::new()),
    }
}

/// The body is complete, so a client that goes away now stops nothing (rule R-P3).
async fn upload(shared: &Shared, ledger: Arc<DurableLedger>, body: Bytes) -> Response {
    let now = (shared.clock)();
    let accepting = tokio::task::spawn_blocking(move || ledger.accept(&body, now));
    match accepting.await {
        Ok(Ok(accepted)) => {
            shared.count_accepted(&accepted);
            if !accepted.was_known {
                shared.time_accepted(accepted.times);
                shared.accepted_work.note(&accepted.kept);
                shared.charts.record(shared.ledger.get(), &accepted.kept);
                bookkeeping::send(&shared.book_queue, Entry::of(&accepted)).await;
            }
            let reply = Reply {
                warn: accepted.receipt.warnings.texts(),
                error: Vec::new(),
                result: Some(UploadReceipt { event_id: accepted.id }),
            };
            json(StatusCode::OK, reply.to_json(EmptyResult::EmptyText))
        }
        Ok(Err(AcceptError::Refused { refusal, warnings })) => {
            shared.count_warnings(&warnings);
            shared.refuse(&refusal, warnings.texts())
        }
        Ok(Err(fault @ AcceptError::Disk(_))) => {
            tracing::error!(fault = &fault as &dyn std::error::Error, "an upload was not accepted");
            shared.refuse(&Refusal::StorageFailed, Vec::new())
        }
        Err(fault) => {
            tracing::error!(%fault, "accepting an upload ended badly");
            shared.refuse(&Refusal::StorageFailed, Vec::new())
        }
    }
}

async fn who_to_pay(shared: &Shared, method: Method, newest: Option<UnixMillis>) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    let Some(ledger) = shared.ledger.get() else { return not_ready() };
    match newest {
        None => match shared.documents.current(ledger).await {
            Some(document) => json(StatusCode::OK, document),
            None => text(StatusCode::INTERNAL_SERVER_ERROR, "the document could not be made"),
        },
        Some(newest) => match shared.documents.past(ledger, newest).await {
            Some(document) => json(StatusCode::OK, document),
            None => text(StatusCode::NOT_IMPLEMENTED, "overloaded"),
        },
    }
}

/// `maxtime=<ms>`: an empty value is 0, and text that is no number is ignored (11.6).
fn max_time(query: &str) -> Option<UnixMillis> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("maxtime="))?;
    if value.is_empty() {
        return Some(UnixMillis(0));
    }
    let number: Decimal = value.parse().ok()?;
    Some(UnixMillis(u64::try_from(number.floor_saturating()).unwrap_or(u64::MAX)))
}

/// Answered also before the ledger is loaded.
fn statistics(shared: &Shared, method: &Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    let holdings = shared.ledger.get().map(|ledger| ledger.read().holdings());
    let count = |count: usize| count as u64;
    let statistics = PayMakerStats {
        blocks: holdings.map_or(0, |holdings| count(holdings.blocks)),
        compressed_ann_slots: holdings.map_or(0, |holdings| count(holdings.announcement_slots)),
        shares: holdings.map_or(0, |holdings| count(holdings.shares)),
        memory: MemoryStats { rss: resident_bytes().unwrap_or_default(), ..MemoryStats::default() },
    };
    json(StatusCode::OK, statistics.to_json())
}

fn of_body(fault: &BodyFault) -> Refusal {
    match fault {
        BodyFault::TooLarge { limit } => Refusal::BodyTooLarge { role: Role::PayMaker, limit: *limit },
        BodyFault::TooSlow { time } => Refusal::BodyTimeout { seconds: time.as_secs() },
        BodyFault::NoRoom => Refusal::Overloaded { role: Role::PayMaker },
        BodyFault::Broken { .. } => Refusal::BodyIncomplete,
    }
}

impl Shared {
    /// Rule R-P20. Loopback is not a network that anybody else can come from.
    fn may_upload(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.upload_networks.is_empty()
            || address.is_loopback()
            || self.upload_networks.iter().any(|network| network.contains(&address))
    }

    fn refuse(&self, refusal: &Refusal, warn: Vec<String>) -> Response {
        self.refusals.count(refusal);
        tracing::info!(code = refusal.code(), %refusal, "an upload was refused");
        let reply: Reply<UploadReceipt> = Reply { warn, ..Reply::refused(refusal) };
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let mut answer = json(status, reply.to_json(EmptyResult::EmptyText));
        if let Some(seconds) = refusal.retry_after_seconds() {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }

    fn time_accepted(&self, times: AcceptTimes) {
        self.stages.check.took(times.check);
        self.stages.store.took(times.store);
        self.stages.duplicate.took(times.duplicate);
    }

    fn count_accepted(&self, accepted: &Accepted) {
        let receipt = &accepted.receipt;
        self.metrics.counter("uploads_accepted", "Uploads of events accepted").inc();
        self.metrics.counter("events_credited", "Events that count").inc_by(receipt.credited.into());
        self.metrics
            .counter("events_repeated", "Events that had counted before")
            .inc_by(receipt.repeated.into());
        self.count_warnings(&receipt.warnings);
    }

    fn count_warnings(&self, warnings: &Warnings) {
        warnings.counts().for_each(|(code, count)| self.refusals.count_code(code, count));
    }
}

fn unauthorized() -> Response {
    let mut answer = text(StatusCode::UNAUTHORIZED, "401 Unauthorized");
    if let Ok(challenge) = HeaderValue::from_str(&format!("Basic realm={REALM}")) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

pub(super) fn not_ready() -> Response {
    text(StatusCode::INTERNAL_SERVER_ERROR, "500 Not ready")
}

pub(super) fn json(status: StatusCode, document: impl Into<Body>) -> Response {
    with_type(status, JSON, document.into())
}

pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    with_type(status, PLAIN, Body::from(text))
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maxtime_is_read_as_the_reference_reads_it() {
        for (query, expected) in [
            ("", None),
            ("maxtime=abc", None),
            ("maxtime=", Some(0)),
            ("maxtime=1e12", Some(1_000_000_000_000)),
            ("foo=1&maxtime=1600000100000", Some(1_600_000_100_000)),
            ("maxtime=-5", Some(0)),
            ("maxtime=1e300", Some(u64::MAX)),
        ] {
            assert_eq!(max_time(query), expected.map(UnixMillis), "{query}");
        }
    }
}
