//! The Master's answers (`docs/protocol/packetcrypt-pool.md` 4.1 and 4.2).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use packetcrypt::{BlockHash, Height};
use wire::block_info::BlockInfo;
use wire::refusal::Role;
use wire::work::WorkFile;
use wire::{Refusal, template, work};

use super::block_infos::header_of;
use super::{Published, Shared};
use crate::admission::Request;
use crate::listener::Client;
use crate::work_feed::Next;

const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";
const PLAIN: &str = "text/plain; charset=utf-8";

/// `config.json`: as the reference writes it, without the comma.
const CACHE_CONFIG: &str = "max-age=8 stale-while-revalidate=2";
/// Work that may still be replaced by a reorganisation of the same height (rule R-M2).
const CACHE_NEWEST: &str = "max-age=5";
const CACHE_OLDER: &str = "max-age=1000";
const CACHE_BLOCK_INFO: &str = "max-age=999999999";
const NO_STORE: &str = "no-store";

const LONG_POLL_HEADER: &str = "x-pc-longpoll";

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

/// What the end of the path asks for.
enum Asked {
    Config,
    Work(Height),
    Template(Height),
    BlockInfo(BlockHash),
    Unknown,
}

impl Asked {
    fn parse(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name == "config.json" {
            Self::Config
        } else if let Some(height) = work::parse_file_name(name) {
            Self::Work(height)
        } else if let Some(height) = template::parse_file_name(name) {
            Self::Template(height)
        } else if let Some(hash) = BlockInfo::parse_file_name(name) {
            Self::BlockInfo(hash)
        } else {
            Self::Unknown
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return refuse(&shared, &Refusal::MethodNotAllowed, "HTTP method not allowed");
    }
    let (asked, client) = (Asked::parse(request.uri().path()), Client::of(request.extensions()));
    // A waiting request shall cost no more than it must.
    drop(request);
    if let Err(refusal) = shared.admission.enter(client, Request::Document) {
        return turned_away(&shared, &refusal);
    }
    let Some(published) = shared.published.load_full() else {
        let refusal = Refusal::NotReady { role: Role::Master };
        return refuse(&shared, &refusal, "Server not ready");
    };
    match asked {
        Asked::Config => document(JSON, CACHE_CONFIG, published.config_json.clone()),
        Asked::Work(height) if Some(height) == published.id.height.checked_add(1) => {
            drop(published);
            long_poll(&shared, height, client).await
        }
        Asked::Work(height) => work(&shared, &published, height).await,
        Asked::Template(height) => template(&shared, &published, height).await,
        Asked::BlockInfo(hash) => block_info(&shared, hash),
        Asked::Unknown => refuse(&shared, &Refusal::NotFound, "Not found"),
    }
}

/// Rule R-M5.
async fn long_poll(shared: &Shared, height: Height, client: Client) -> Response {
    match shared.feed.next(height, client).await {
        Next::Work(file) => document(BINARY, CACHE_NEWEST, file),
        Next::Passed => match shared.published.load_full() {
            Some(published) => work(shared, &published, height).await,
            None => not_there(shared),
        },
        Next::TryAgain => {
            let mut answer = document(BINARY, NO_STORE, Bytes::new());
            *answer.status_mut() = StatusCode::MULTIPLE_CHOICES;
            answer.headers_mut().insert(LONG_POLL_HEADER, HeaderValue::from_static("try-again"));
            answer
        }
        Next::TooMany => {
            shared.refusals.count(&Refusal::Overloaded { role: Role::Master });
            let mut answer = empty(StatusCode::NOT_FOUND);
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
            answer
        }
    }
}

async fn work(shared: &Shared, published: &Published, height: Height) -> Response {
    if height == published.id.height {
        return document(BINARY, CACHE_NEWEST, published.work.clone());
    }
    let stored = if height < published.id.height {
        shared.files.work(height, parent(shared, height)).await
    } else {
        None
    };
    match stored.or_else(|| work_of_known_block(shared, published, height)) {
        Some(work) => document(BINARY, CACHE_OLDER, work),
        None => not_there(shared),
    }
}

async fn template(shared: &Shared, published: &Published, height: Height) -> Response {
    if height == published.id.height {
        return document(BINARY, CACHE_NEWEST, published.template.clone());
    }
    let stored = if height < published.id.height {
        shared.files.template(height, parent(shared, height)).await
    } else {
        None
    };
    match stored {
        Some(template) => document(BINARY, CACHE_OLDER, template),
        None => not_there(shared),
    }
}

/// The block that work of a height must build on, where it is known.
fn parent(shared: &Shared, height: Height) -> Option<BlockHash> {
    shared.with_block_infos(|infos| infos.at(height).map(|block| block.previous_block_hash))
}

/// Work of a height that was mined before this Master was there (rule R-M7): only its previous hash is of use.
fn work_of_known_block(shared: &Shared, published: &Published, height: Height) -> Option<Bytes> {
    if height >= published.id.height {
        return None;
    }
    let header = shared.with_block_infos(|infos| infos.at(height).map(header_of))?;
    let settings = shared.settings.borrow();
    let work = WorkFile {
        header,
        signing_key: settings.private_seed.as_ref().and_then(|seed| seed.signing_key(height)),
        share_target: settings.share_target.of_block(header.bits),
        ann_target: settings.ann_target,
        height,
        coinbase: Vec::new(),
        branch: Vec::new(),
    };
    Some(work.to_bytes().into())
}

fn block_info(shared: &Shared, hash: BlockHash) -> Response {
    let Some(header) = shared.with_block_infos(|infos| infos.get(&hash).cloned()) else {
        return refuse(shared, &Refusal::NotFound, "Not found");
    };
    let settings = Arc::clone(&shared.settings.borrow());
    let child = header.height.checked_add(1);
    let signing_key = settings.private_seed.as_ref().and_then(|seed| seed.signing_key(child?));
    document(JSON, CACHE_BLOCK_INFO, BlockInfo { header, signing_key }.to_json().into())
}

fn document(content_type: &'static str, cache: &'static str, body: Bytes) -> Response {
    let mut answer = Response::new(Body::from(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    answer
}

/// The texts are those that clients know.
fn refuse(shared: &Shared, refusal: &Refusal, text: &'static str) -> Response {
    shared.refusals.count(refusal);
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::NOT_FOUND);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN));
    answer
}

/// A client that has to wait; a cache must not tell others so.
fn turned_away(shared: &Shared, refusal: &Refusal) -> Response {
    let mut answer = refuse(shared, refusal, "Too many requests");
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    if let Some(seconds) = refusal.retry_after_seconds() {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// 404 with an empty body: a file that is not (yet) there.
fn not_there(shared: &Shared) -> Response {
    shared.refusals.count(&Refusal::NotFound);
    empty(StatusCode::NOT_FOUND)
}

fn empty(status: StatusCode) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}
