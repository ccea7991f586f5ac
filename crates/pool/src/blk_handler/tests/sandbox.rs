//! A block handler with everybody around it: a Master, a PayMaker and a node that do as they are told.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use node::NodeError;
use node::pktd::{ShareOpinion, ShareToCheck, SubmitOutcome};
use packetcrypt::check::Rules;
use packetcrypt::{BlockHash, Height};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wire::block_info::BlockInfo;
use wire::pool_config::PoolConfig;
use wire::{Event, EventId, template, work};

use super::super::{BlkHandler, BlkHandlerConfig, BlkHandlerStartFault, BlockNode};
use super::recorded::Chain;
use crate::http_client;
use crate::metrics::Metrics;
use crate::outbox::OutboxError;

/// Master and PayMaker.
#[derive(Default)]
pub(super) struct Server {
    documents: Mutex<BTreeMap<String, Vec<u8>>>,
    events: Mutex<Vec<Event>>,
    url: Mutex<String>,
}

impl Server {
    async fn start() -> Arc<Self> {
        let server = Arc::new(Self::default());
        let router = Router::new()
            .route("/master/{name}", get(document))
            .route("/pay/events", post(events))
            .with_state(Arc::clone(&server));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        *server.url.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn url(&self) -> String {
        self.url.lock().unwrap().clone()
    }

    /// Shows a chain, with work on top of it.
    pub(super) fn show(&self, chain: &Chain) {
        self.put(&work::file_name(chain.height()), chain.work.clone());
        self.show_without_work(chain);
    }

    fn show_without_work(&self, chain: &Chain) {
        self.put(&template::file_name(chain.height()), chain.template.clone());
        for block in &chain.blocks {
            self.put(&BlockInfo::file_name(&block.header.hash), block.to_json().into_bytes());
        }
        let tip = chain.blocks[0].header.clone();
        let config = PoolConfig {
            tip_hash: tip.hash,
            current_height: chain.height(),
            master_url: format!("{}/master", self.url()),
            submit_ann_urls: Vec::new(),
            download_ann_urls: Vec::new(),
            submit_block_urls: vec!["http://elsewhere/submit".to_owned()],
            paymaker_url: format!("{}/pay", self.url()),
            version: 3,
            soft_version: 1,
            ann_versions: vec![1],
            mine_old_anns: 2,
            ann_target: None,
            blkinfo_url: None,
        };
        self.put("config.json", config.to_json().into_bytes());
    }

    fn put(&self, name: &str, document: Vec<u8>) {
        self.documents.lock().unwrap().insert(name.to_owned(), document);
    }
}

async fn document(State(server): State<Arc<Server>>, Path(name): Path<String>) -> (StatusCode, Vec<u8>) {
    match server.documents.lock().unwrap().get(&name) {
        Some(document) => (StatusCode::OK, document.clone()),
        None => (StatusCode::NOT_FOUND, Vec::new()),
    }
}

async fn events(State(server): State<Arc<Server>>, body: Bytes) -> String {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    server.events.lock().unwrap().extend(lines.map(|line| Event::parse_line(line).unwrap()));
    let id = EventId::of_upload(&body).to_string();
    json!({"result": {"eventId": id}, "warn": [], "error": []}).to_string()
}

/// A node: by default it takes every block, likes every share, and knows no block hash.
#[derive(Clone, Default)]
pub(super) struct FakeNode {
    state: Arc<Mutex<NodeState>>,
}

#[derive(Default)]
struct NodeState {
    submissions: VecDeque<Result<SubmitOutcome, NodeError>>,
    opinions: VecDeque<Result<ShareOpinion, NodeError>>,
    hashes: BTreeMap<Height, BlockHash>,
    /// Whether questions for block hashes are never answered.
    is_silent: bool,
    blocks: Vec<Vec<u8>>,
    checked: Vec<ShareToCheck>,
}

impl FakeNode {
    pub(super) fn answer_submission(&self, answer: Result<SubmitOutcome, NodeError>) {
        self.state.lock().unwrap().submissions.push_back(answer);
    }

    pub(super) fn answer_check(&self, answer: Result<ShareOpinion, NodeError>) {
        self.state.lock().unwrap().opinions.push_back(answer);
    }

    /// Questions for block hashes are never answered from now on.
    pub(super) fn fall_silent(&self) {
        self.state.lock().unwrap().is_silent = true;
    }

    pub(super) fn tell_block(&self, height: Height, hash: BlockHash) {
        self.state.lock().unwrap().hashes.insert(height, hash);
    }

    /// Blocks that were submitted.
    pub(super) fn blocks(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().blocks.clone()
    }

    /// Shares that the node was asked about.
    pub(super) fn checked(&self) -> Vec<ShareToCheck> {
        self.state.lock().unwrap().checked.clone()
    }
}

impl BlockNode for FakeNode {
    async fn check_share(&self, share: ShareToCheck) -> Result<ShareOpinion, NodeError> {
        let mut state = self.state.lock().unwrap();
        state.checked.push(share);
        state.opinions.pop_front().unwrap_or(Ok(ShareOpinion::Ok))
    }

    async fn submit_block(&self, block: &[u8]) -> Result<SubmitOutcome, NodeError> {
        let mut state = self.state.lock().unwrap();
        state.blocks.push(block.to_vec());
        state.submissions.pop_front().unwrap_or(Ok(SubmitOutcome::Accepted))
    }

    async fn block_hash(&self, height: Height) -> Result<BlockHash, NodeError> {
        let is_silent = self.state.lock().unwrap().is_silent;
        if is_silent {
            std::future::pending::<()>().await;
        }
        let unknown = NodeError::Rpc { code: Some(-8), message: "Block number out of range".into() };
        self.state.lock().unwrap().hashes.get(&height).copied().ok_or(unknown)
    }
}

/// An answer of the handler.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub text: String,
    pub json: Value,
}

/// A running handler and its surroundings.
pub(super) struct Sandbox {
    pub handler: BlkHandler,
    pub node: FakeNode,
    pub master: Arc<Server>,
    pub metrics: Metrics,
    dir: TempDir,
    stop: CancellationToken,
}

/// The surroundings of a handler that does not run.
pub(super) struct Stopped {
    pub master: Arc<Server>,
    node: FakeNode,
    dir: TempDir,
}

impl Sandbox {
    /// The handler's clock.
    pub(super) const NOW: u64 = 1_800_000_000_000;

    /// A handler that has work.
    pub(super) async fn start(chain: Chain, change: impl FnOnce(&mut BlkHandlerConfig)) -> Self {
        let master = Server::start().await;
        master.show(&chain);
        let (node, dir) = (FakeNode::default(), tempfile::tempdir().unwrap());
        let sandbox = Stopped { master, node, dir }.start(change).await;
        sandbox
            .until(|sandbox| {
                sandbox.handler.health().state().reason.is_none_or(|it| !it.contains("starting"))
            })
            .await;
        sandbox
    }

    /// A handler whose Master has no work yet.
    pub(super) async fn start_without_work(chain: Chain) -> Self {
        let master = Server::start().await;
        master.show_without_work(&chain);
        let (node, dir) = (FakeNode::default(), tempfile::tempdir().unwrap());
        Stopped { master, node, dir }.start(|_| {}).await
    }

    pub(super) async fn stop(self) -> Stopped {
        self.stop.cancel();
        self.handler.stopped().await;
        Stopped { master: self.master, node: self.node, dir: self.dir }
    }

    pub(super) async fn restart(self) -> Self {
        let sandbox = self.stop().await.start(|_| {}).await;
        sandbox.until_it_has_work().await;
        sandbox
    }

    /// The Master goes on to another chain, and the handler has noticed.
    pub(super) async fn move_to(&self, chain: Chain) {
        self.master.show(&chain);
        let tip = chain.blocks[0].header.height.0;
        self.until(|sandbox| sandbox.block_events_now().iter().any(|(height, _)| *height == tip)).await;
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.handler.routes().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answer { status, json: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    /// Everything that the PayMaker was told, once all is uploaded.
    async fn events(&self) -> Vec<Event> {
        self.handler.outbox.rotate().await;
        self.until(|sandbox| sandbox.handler.outbox.unconfirmed() == 0).await;
        self.master.events.lock().unwrap().clone()
    }

    pub(super) async fn share_events(&self) -> Vec<Event> {
        self.events().await.into_iter().filter(|event| matches!(event, Event::Share(_))).collect()
    }

    /// Height and time of the blocks that the PayMaker was told of, once there are so many.
    pub(super) async fn block_events(&self, count: usize) -> Vec<(u32, u64)> {
        self.until(|sandbox| sandbox.block_events_now().len() >= count).await;
        self.events().await;
        self.block_events_now()
    }

    fn block_events_now(&self) -> Vec<(u32, u64)> {
        let events = self.master.events.lock().unwrap();
        let block = |event: &Event| match event {
            Event::Block(block) => Some((block.height.0, block.time_ms)),
            _ => None,
        };
        events.iter().filter_map(block).collect()
    }

    /// The Master here does not know all the blocks that are wanted, so the handler is never quite healthy.
    async fn until_it_has_work(&self) {
        let is_starting = |reason: String| reason.contains("starting");
        self.until(|sandbox| !sandbox.handler.health().state().reason.is_some_and(is_starting)).await;
    }

    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !reached(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("it happens within a minute");
    }

    /// Nothing can be written any more: everything before is uploaded, so no file is open.
    pub(super) async fn break_disk(&self) {
        self.block_events(1).await;
        std::fs::rename(self.events_dir(), self.dir.path().join("gone")).unwrap();
    }

    pub(super) fn mend_disk(&self) {
        std::fs::rename(self.dir.path().join("gone"), self.events_dir()).unwrap();
    }

    fn events_dir(&self) -> PathBuf {
        self.dir.path().join("events")
    }
}

impl Stopped {
    /// Starts a handler. It may not have work yet.
    pub(super) async fn start(self, change: impl FnOnce(&mut BlkHandlerConfig)) -> Sandbox {
        let Self { master, node, dir } = self;
        let pool_url = format!("{}/master", master.url());
        let mut config = BlkHandlerConfig {
            rules: Rules::NEW_CHAIN,
            poll_time: Duration::from_millis(5),
            event_segment_time: Duration::from_millis(20),
            checking_threads: 1,
            grace: Duration::from_mins(10),
            clock: || Sandbox::NOW,
            ..BlkHandlerConfig::new("b", dir.path().join("events"), pool_url, "password")
        };
        change(&mut config);
        let metrics = Metrics::new();
        loop {
            let stop = CancellationToken::new();
            let http = http_client::client().unwrap();
            let started = BlkHandler::start(config.clone(), node.clone(), http, &metrics, stop.clone()).await;
            match started {
                // The writer of the handler before may still be ending.
                Err(BlkHandlerStartFault::Outbox(OutboxError::InUse { .. })) => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                started => return Sandbox { handler: started.unwrap(), node, master, metrics, dir, stop },
            }
        }
    }
}
