//! A pool for tests: a Master and handlers that answer exactly what a test tells them to.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    response::Response,
};
use packetcrypt::{BlockHash, CompactTarget, Height};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use wire::{block_info::BlockInfo, pool_config::PoolConfig};

use crate::pool_client::PoolUrl;

/// What happens to a request.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// This status and body.
    Answer(u16, Vec<u8>),
    /// What was posted is accepted completely.
    Accept,
    /// No answer for longer than any test waits.
    Hang,
}

/// A request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Bytes,
}

#[derive(Default)]
struct Script {
    documents: HashMap<String, Reaction>,
    posts: HashMap<String, VecDeque<Reaction>>,
    seen: Vec<Seen>,
}

struct Shared {
    script: Mutex<Script>,
    request_came: Notify,
}

/// The pool; it ends with the test.
pub(crate) struct FakePool {
    shared: Arc<Shared>,
    base: String,
    server: JoinHandle<()>,
}

impl Drop for FakePool {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakePool {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared { script: Mutex::default(), request_came: Notify::new() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, base, server }
    }

    pub(crate) fn url(&self) -> PoolUrl {
        format!("{}/master", self.base).parse().unwrap()
    }

    /// The URL of a path on this server.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap()
    }

    /// From now on `GET path` is answered so.
    pub(crate) fn serve(&self, path: &str, reaction: Reaction) {
        self.script().documents.insert(path.to_owned(), reaction);
    }

    pub(crate) fn serve_bytes(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.serve(path, Reaction::Answer(200, body.into()));
    }

    pub(crate) fn serve_config(&self, config: &PoolConfig) {
        self.serve_bytes("/master/config.json", config.to_json());
    }

    pub(crate) fn serve_block(&self, info: &BlockInfo) {
        let path = format!("/master/{}", BlockInfo::file_name(&info.header.hash));
        self.serve_bytes(&path, info.to_json());
    }

    /// The next `POST path` that has no reaction yet gets this one; without any, posts are accepted.
    pub(crate) fn react(&self, path: &str, reaction: Reaction) {
        self.script().posts.entry(path.to_owned()).or_default().push_back(reaction);
    }

    /// The requests so far whose path contains `part`.
    pub(crate) fn seen(&self, part: &str) -> Vec<Seen> {
        self.seen_after(part, 0)
    }

    /// As [`FakePool::seen`], without the first `known` of them.
    pub(crate) fn seen_after(&self, part: &str, known: usize) -> Vec<Seen> {
        self.script().seen.iter().filter(|seen| seen.path.contains(part)).skip(known).cloned().collect()
    }

    /// How many requests there are so far whose path contains `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.script().seen.iter().filter(|seen| seen.path.contains(part)).count()
    }

    /// Waits until `count` requests have come whose path contains `part`.
    pub(crate) async fn wait_for(&self, part: &str, count: usize) -> Vec<Seen> {
        self.wait_until(part, count).await;
        self.seen(part)
    }

    /// As [`FakePool::wait_for`], where the requests are not looked at.
    pub(crate) async fn wait_until(&self, part: &str, count: usize) {
        loop {
            let came = self.shared.request_came.notified();
            if self.count(part) >= count {
                return;
            }
            tokio::time::timeout(Duration::from_mins(1), came).await.expect("a request in time");
        }
    }

    /// A configuration with a tip and handlers on this server.
    pub(crate) fn config(&self, tip: BlockHash, tip_height: u32, handlers: &[&str]) -> PoolConfig {
        PoolConfig {
            tip_hash: tip,
            current_height: Height(tip_height + 1),
            master_url: self.url().to_string(),
            submit_ann_urls: handlers.iter().map(|name| self.at(&format!("/ann/{name}/submit"))).collect(),
            download_ann_urls: handlers.iter().map(|name| self.at(&format!("/ann/{name}"))).collect(),
            submit_block_urls: vec![self.at("/blk/0/submit")],
            paymaker_url: self.at("/paymaker"),
            version: wire::pool_config::VERSION,
            soft_version: wire::pool_config::SOFT_VERSION,
            ann_versions: vec![1],
            mine_old_anns: 2,
            ann_target: Some(CompactTarget(0x207f_ffff)),
            blkinfo_url: None,
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_post = request.method() == "POST";
    let path = request.uri().path().to_owned();
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = to_bytes(request.into_body(), 1 << 24).await.unwrap_or_default();
    let reaction = {
        let mut script = shared.script.lock().unwrap();
        script.seen.push(Seen { path: path.clone(), headers, body: body.clone() });
        if is_post {
            script.posts.get_mut(&path).and_then(VecDeque::pop_front).unwrap_or(Reaction::Accept)
        } else {
            script.documents.get(&path).cloned().unwrap_or(Reaction::Answer(404, b"not found".to_vec()))
        }
    };
    shared.request_came.notify_waiters();
    let (status, body) = match reaction {
        Reaction::Answer(status, body) => (status, body),
        Reaction::Accept if path.contains("/blk/") => (200, reply_for_share(None)),
        Reaction::Accept => (200, reply_for_announcements(body.len() as u32 / 1024, 0)),
        Reaction::Hang => std::future::pending().await,
    };
    Response::builder().status(status).body(body.into()).unwrap()
}

/// The reply of an announcement handler with these counts.
pub(crate) fn reply_for_announcements(accepted: u32, dup: u32) -> Vec<u8> {
    format!(
        r#"{{"warn":[],"error":[],"result":{{"type":"anns","accepted":{accepted},"dup":{dup},"inval":0,"badHash":0,
        "runt":0,"internalErr":0,"payTo":"{PAY_TO}","unsigned":0,"totalLen":0,"target":545259519,
        "time":1600000000000,"eventId":"00112233445566778899aabbccddeeff"}}}}"#
    )
    .into_bytes()
}

/// The reply of a block handler that credits a share, which may have become a block.
pub(crate) fn reply_for_share(block: Option<BlockHash>) -> Vec<u8> {
    let hash = block.map_or(String::new(), |hash| format!(r#","headerHash":"{hash}""#));
    format!(
        r#"{{"result":{{"type":"share","payTo":"{PAY_TO}","block":{},"time":1600000000000,
        "eventId":"00112233445566778899aabbccddeeff"{hash},"target":545259519,"annCount":"1","annMinWork":545259519,
        "encryptions":0}},"error":[],"warn":[]}}"#,
        block.is_some()
    )
    .into_bytes()
}

/// A reply that refuses a post.
pub(crate) fn reply_with_error(text: &str) -> Vec<u8> {
    format!(r#"{{"warn":[],"error":["{text}"],"result":null}}"#).into_bytes()
}

/// Some address.
pub(crate) const PAY_TO: &str = "pkt1q6hqsqhqdgqfd8t3xwgceulu7k9d9w5t2amath0qxyfjlvl3s3u4sjza2g2";
