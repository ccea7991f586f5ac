//! The Master on top of a node of our making.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use node::{NodeError, Tip};
use packetcrypt::block::{Header, MerkleRoot};
use packetcrypt::{CompactTarget, Height};
use tower::ServiceExt;
use wire::block_info::{BlockInfo, BlockInfoHeader};
use wire::pool_config::PoolConfig;
use wire::signing_key::PrivateSeed;
use wire::template::BlockTemplate;
use wire::work::WorkFile;

use super::settings::tests::settings;
use super::*;

/// A node whose chain the test decides: branch and height of the tip; all branches part above height 5.
#[derive(Clone)]
struct FakeNode {
    tip: Arc<watch::Sender<Option<Tip>>>,
    templates: Arc<AtomicUsize>,
    /// Differs between templates for the same block, as payouts do.
    coinbase: Arc<AtomicUsize>,
    /// Whether templates stay on the first tip.
    stuck: Arc<Mutex<Option<BlockHash>>>,
}

const FORK: u32 = 5;

fn hash(branch: u8, height: u32) -> BlockHash {
    let mut bytes = [0x77; 32];
    bytes[0] = if height <= FORK { 0 } else { branch };
    bytes[1..5].copy_from_slice(&height.to_le_bytes());
    BlockHash::from_internal(bytes)
}

fn of_hash(hash: &BlockHash) -> (u8, u32) {
    let bytes = hash.as_internal();
    (bytes[0], u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]))
}

impl FakeNode {
    fn new() -> Self {
        Self {
            tip: Arc::new(watch::Sender::new(None)),
            templates: Arc::default(),
            coinbase: Arc::default(),
            stuck: Arc::default(),
        }
    }

    fn set_tip(&self, branch: u8, height: u32) {
        self.tip.send_replace(Some(Tip { hash: hash(branch, height), height: Height(height) }));
    }
}

impl NodeSource for FakeNode {
    fn tip(&self) -> watch::Receiver<Option<Tip>> {
        self.tip.subscribe()
    }

    async fn template(&self) -> Result<BlockTemplate, NodeError> {
        self.templates.fetch_add(1, Ordering::Relaxed);
        let unreachable = NodeError::Unreachable { what: "not there".to_owned() };
        let tip = self.tip.borrow().as_ref().map(|tip| tip.hash).ok_or(unreachable)?;
        let previous = self.stuck.lock().unwrap().unwrap_or(tip);
        let header = Header {
            version: 0x2000_0000,
            previous,
            merkle_root: MerkleRoot::default(),
            time: 1,
            bits: CompactTarget(0x1f00_ffff),
            nonce: 0,
        };
        let coinbase = vec![self.coinbase.load(Ordering::Relaxed) as u8];
        Ok(BlockTemplate {
            height: Height(of_hash(&previous).1 + 1),
            header,
            coinbase_no_witness: coinbase.clone(),
            branch: Vec::new(),
            transactions: vec![coinbase],
        })
    }

    async fn header(&self, asked: BlockHash) -> Result<BlockInfoHeader, NodeError> {
        let (branch, height) = of_hash(&asked);
        Ok(BlockInfoHeader {
            hash: asked,
            height: Height(height),
            version: 1,
            version_hex: 1,
            merkle_root: BlockHash::default(),
            time: 0,
            nonce: 0,
            bits: CompactTarget(0x1f00_ffff),
            difficulty: "1".parse().unwrap(),
            previous_block_hash: height
                .checked_sub(1)
                .map_or_else(BlockHash::default, |below| hash(branch, below)),
        })
    }
}

struct Running {
    master: Master,
    node: FakeNode,
    dir: tempfile::TempDir,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Running {
    async fn start(node: FakeNode, settings: MasterSettings) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), node, settings).await
    }

    async fn start_in(dir: tempfile::TempDir, node: FakeNode, settings: MasterSettings) -> Self {
        let long_poll = FeedLimits::default();
        let config =
            MasterConfig { dir: dir.path().to_owned(), settings, long_poll, admission: Arc::default() };
        Self::start_with(config, dir, node).await
    }

    async fn start_with(config: MasterConfig, dir: tempfile::TempDir, node: FakeNode) -> Self {
        let (metrics, stop) = (Metrics::new(), CancellationToken::new());
        let master = Master::start(config, node.clone(), &metrics, stop.clone()).await.unwrap();
        Self { master, node, dir, metrics, stop }
    }

    async fn at(branch: u8, height: u32) -> Self {
        let node = FakeNode::new();
        node.set_tip(branch, height);
        let running = Self::start(node, settings()).await;
        running.config_where(|config| config.tip_hash == hash(branch, height)).await;
        running
    }

    /// Stops the Master and gives back its folder.
    async fn stop(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.master.stopped().await;
        self.dir
    }

    async fn ask(&self, method: &str, path: &str) -> Response {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        self.master.routes().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Bytes) {
        let answer = self.ask("GET", path).await;
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
    }

    async fn work(&self, height: u32) -> Option<WorkFile> {
        let (status, body) = self.get(&format!("/work_{height}.bin")).await;
        (status == StatusCode::OK).then(|| WorkFile::parse(&body).unwrap())
    }

    /// How often something was refused with this code, by the metrics.
    fn refusals(&self, code: &str) -> u64 {
        let series = format!("headframe_refusals_total{{role=\"master\",reason=\"{code}\"}} ");
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.expect("a series for each code").parse().unwrap()
    }

    async fn config_where(&self, wanted: impl Fn(&PoolConfig) -> bool) -> PoolConfig {
        loop {
            let (status, body) = self.get("/config.json").await;
            if status == StatusCode::OK {
                let config = PoolConfig::parse(&body).unwrap();
                if wanted(&config) {
                    return config;
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn move_to(&self, branch: u8, height: u32) {
        self.node.set_tip(branch, height);
        self.config_where(|config| config.tip_hash == hash(branch, height)).await;
    }
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn before_the_first_template_everything_is_500_with_the_text_of_the_reference() {
    let running = Running::start(FakeNode::new(), settings()).await;
    for path in ["/config.json", "/work_1.bin", "/nonsense"] {
        let (status, body) = running.get(path).await;
        assert_eq!((status.as_u16(), &body[..]), (500, &b"Server not ready"[..]), "{path}");
    }
    assert!(!running.master.health().is_ready());
    running.node.set_tip(1, 7);
    running.config_where(|_| true).await;
    assert!(running.master.health().is_ready());
}

#[tokio::test]
async fn r_h1_any_prefix_is_accepted_and_query_strings_are_ignored() {
    let running = Running::at(1, 10).await;
    for path in ["/config.json", "/master/config.json", "/a/b/config.json?x=1"] {
        assert_eq!(running.get(path).await.0, StatusCode::OK, "{path}");
    }
    for path in ["/xconfig.json", "/", "/work_.bin", "/work_99999999999.bin", "/blkinfo_abc.json"] {
        let (status, body) = running.get(path).await;
        assert_eq!((status, &body[..]), (StatusCode::NOT_FOUND, &b"Not found"[..]), "{path}");
    }
}

#[tokio::test]
async fn r_m4_only_get_and_head_are_answered() {
    let running = Running::at(1, 10).await;
    assert_eq!(running.ask("POST", "/config.json").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(running.ask("HEAD", "/config.json").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn answers_carry_the_headers_that_caches_go_by() {
    let running = Running::at(1, 10).await;
    running.move_to(1, 11).await;
    let blkinfo = format!("/{}", BlockInfo::file_name(&hash(1, 9)));
    for (path, content_type, cache) in [
        ("/config.json", "application/json", "max-age=8 stale-while-revalidate=2"),
        ("/work_12.bin", "application/octet-stream", "max-age=5"),
        ("/bt_12.bin", "application/octet-stream", "max-age=5"),
        ("/work_11.bin", "application/octet-stream", "max-age=1000"),
        ("/bt_11.bin", "application/octet-stream", "max-age=1000"),
        (&blkinfo, "application/json", "max-age=999999999"),
    ] {
        let answer = running.ask("GET", path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(
            (header(&answer, "content-type"), header(&answer, "cache-control")),
            (content_type, cache),
            "{path}"
        );
    }
    for path in ["/bt_13.bin", "/bt_3.bin", "/work_14.bin"] {
        let (status, body) = running.get(path).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_FOUND, 0), "{path}");
    }
}

#[tokio::test]
async fn work_says_what_the_template_and_the_settings_say() {
    let node = FakeNode::new();
    node.set_tip(1, 61);
    let seed = PrivateSeed::new("correct horse battery staple").unwrap();
    let signing = MasterSettings { private_seed: Some(seed.clone()), ..settings() };
    let running = Running::start(node, signing).await;
    running.config_where(|_| true).await;
    let work = running.work(62).await.unwrap();
    assert_eq!((work.height, work.header.previous), (Height(62), hash(1, 61)));
    assert_eq!((work.ann_target.0, work.share_target.0), (0x2020_0000, 0x1f01_fffe));
    assert_eq!(work.signing_key, seed.signing_key(Height(62)));
    let (_, body) = running.get(&format!("/{}", BlockInfo::file_name(&hash(1, 61)))).await;
    let info = BlockInfo::parse(&body).unwrap();
    assert_eq!(info.signing_key, seed.signing_key(Height(62)), "of the block's children");
}

#[tokio::test]
async fn r_m7_work_below_the_first_height_names_the_blocks_that_are_there() {
    let running = Running::at(1, 30).await;
    for height in 1..=30 {
        // Older infos are fetched in the background.
        let work = loop {
            if let Some(work) = running.work(height).await {
                break work;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!((work.header.previous, work.height), (hash(1, height - 1), Height(height)));
        assert_eq!((work.coinbase.len(), work.branch.len()), (0, 0));
    }
}

#[tokio::test]
async fn p8_the_next_work_is_answered_when_the_node_has_a_new_block() {
    let running = Running::at(1, 10).await;
    let (answer, ()) = tokio::join!(running.get("/work_12.bin"), async { running.node.set_tip(1, 11) });
    assert_eq!(answer.0, StatusCode::OK);
    assert_eq!(WorkFile::parse(&answer.1).unwrap().header.previous, hash(1, 11));
    let config = PoolConfig::parse(&running.get("/config.json").await.1).unwrap();
    assert_eq!(config.current_height, Height(12), "the configuration is never behind the work");
    let info = running.get(&format!("/{}", BlockInfo::file_name(&hash(1, 11)))).await;
    assert_eq!(info.0, StatusCode::OK, "nor are the block infos");
}

#[tokio::test(start_paused = true)]
async fn r_m5_an_empty_long_poll_ends_after_30_seconds_with_status_300() {
    let running = Running::at(1, 10).await;
    let before = tokio::time::Instant::now();
    let answer = running.ask("GET", "/work_12.bin").await;
    assert!(before.elapsed() >= Duration::from_secs(30));
    assert_eq!(answer.status(), StatusCode::MULTIPLE_CHOICES);
    assert_eq!(
        (header(&answer, "x-pc-longpoll"), header(&answer, "cache-control")),
        ("try-again", "no-store")
    );
}

#[tokio::test]
async fn r_m5_too_many_waiting_clients_are_sent_away_without_a_300() {
    let node = FakeNode::new();
    node.set_tip(1, 10);
    let dir = tempfile::tempdir().unwrap();
    let long_poll = FeedLimits { waiting: 0, ..FeedLimits::default() };
    let config = MasterConfig {
        dir: dir.path().to_owned(),
        settings: settings(),
        long_poll,
        admission: Arc::default(),
    };
    let running = Running::start_with(config, dir, node).await;
    running.config_where(|_| true).await;
    let answer = running.ask("GET", "/work_12.bin").await;
    assert_eq!((answer.status(), header(&answer, "cache-control")), (StatusCode::NOT_FOUND, "no-store"));
    assert_eq!(running.refusals("overloaded"), 1);
}

#[tokio::test]
async fn p13_each_refusal_is_counted_by_its_code() {
    let running = Running::start(FakeNode::new(), settings()).await;
    running.get("/config.json").await;
    assert_eq!(running.refusals("not_ready"), 1);
    running.move_to(1, 10).await;
    running.ask("POST", "/config.json").await;
    let unknown_block = format!("/{}", BlockInfo::file_name(&hash(9, 9)));
    for path in ["/nonsense", "/work_14.bin", "/bt_3.bin", &unknown_block] {
        running.get(path).await;
    }
    assert_eq!((running.refusals("method_not_allowed"), running.refusals("not_found")), (1, 4));
}

#[tokio::test]
async fn r_m2_a_reorganisation_of_the_same_height_makes_new_work_at_once_and_asks_the_node_once() {
    let running = Running::at(1, 10).await;
    let first = running.work(11).await.unwrap();
    let templates = running.node.templates.load(Ordering::Relaxed);
    running.move_to(2, 10).await;
    let second = running.work(11).await.unwrap();
    assert_eq!((first.header.previous, second.header.previous), (hash(1, 10), hash(2, 10)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(running.node.templates.load(Ordering::Relaxed), templates + 1);
    let on_disk = std::fs::read(running.dir.path().join("work_11.bin")).unwrap();
    assert_eq!(WorkFile::parse(&on_disk).unwrap(), second);
}

#[tokio::test(start_paused = true)]
async fn r_m2_work_above_a_fallen_height_is_gone() {
    let running = Running::at(1, 12).await;
    running.move_to(2, 10).await;
    while running.dir.path().join("work_13.bin").exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(
        running.ask("GET", "/work_12.bin").await.status(),
        StatusCode::MULTIPLE_CHOICES,
        "a long poll again"
    );
    assert_eq!(running.get("/work_13.bin").await.0, StatusCode::NOT_FOUND);
    assert_eq!(running.work(11).await.unwrap().header.previous, hash(2, 10));
}

#[tokio::test]
async fn work_of_an_abandoned_branch_is_not_served_for_its_height() {
    let running = Running::at(1, 10).await;
    running.move_to(1, 11).await;
    running.move_to(2, 12).await;
    // Height 12 was mined on block 11 of branch 1; the chain has that of branch 2 there now.
    assert_eq!(running.work(12).await.unwrap().header.previous, hash(2, 11));
    assert_eq!(running.get("/bt_12.bin").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_restart_hands_out_the_same_bytes() {
    let running = Running::at(1, 10).await;
    let before = (running.get("/work_11.bin").await, running.get("/bt_11.bin").await);
    let node = running.node.clone();
    let dir = running.stop().await;
    node.coinbase.store(9, Ordering::Relaxed);
    let running = Running::start_in(dir, node, settings()).await;
    running.config_where(|_| true).await;
    assert_eq!((running.get("/work_11.bin").await, running.get("/bt_11.bin").await), before);
}

#[tokio::test]
async fn r_m3_old_files_are_deleted() {
    let running = Running::at(1, 10).await;
    running.move_to(1, 311).await;
    while running.dir.path().join("work_11.bin").exists() || running.dir.path().join("bt_11.bin").exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(running.dir.path().join("work_312.bin").exists());
}

#[tokio::test]
async fn settings_change_without_a_restart_and_wrong_ones_change_nothing() {
    let running = Running::at(1, 10).await;
    let wrong = MasterSettings { ann_target: CompactTarget(0x2000_0001), ..settings() };
    assert!(running.master.handle().apply_settings(wrong).is_err());
    let right = MasterSettings { ann_target: CompactTarget(0x2000_ffff), mine_old_anns: 4, ..settings() };
    running.master.handle().apply_settings(right).unwrap();
    let config = running.config_where(|config| config.mine_old_anns == 4).await;
    assert_eq!((config.ann_target, config.current_height), (Some(CompactTarget(0x2000_ffff)), Height(11)));
    assert_eq!(running.work(11).await.unwrap().ann_target, CompactTarget(0x2020_0000), "work never changes");
    running.move_to(1, 11).await;
    assert_eq!(running.work(12).await.unwrap().ann_target, CompactTarget(0x2000_ffff));
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_template_stays_behind_is_not_asked_in_a_tight_loop() {
    let running = Running::at(1, 10).await;
    *running.node.stuck.lock().unwrap() = Some(hash(1, 10));
    running.node.set_tip(1, 11);
    let before = running.node.templates.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let asked = running.node.templates.load(Ordering::Relaxed) - before;
    assert!((2..20).contains(&asked), "{asked} templates in 20 s");
    assert!(!running.master.health().is_ready());
    *running.node.stuck.lock().unwrap() = None;
    running.config_where(|config| config.tip_hash == hash(1, 11)).await;
}

#[tokio::test(start_paused = true)]
async fn the_stop_signal_lets_waiting_clients_go() {
    let running = Running::at(1, 10).await;
    let before = tokio::time::Instant::now();
    let (answer, ()) = tokio::join!(running.get("/work_12.bin"), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.stop.cancel();
    });
    assert_eq!(answer.0, StatusCode::MULTIPLE_CHOICES);
    assert!(before.elapsed() < Duration::from_secs(10));
    running.master.stopped().await;
}

#[tokio::test]
async fn a_master_whose_production_dies_ends_and_another_goes_on() {
    let running = Running::at(1, 10).await;
    running.master.parts.kill("production");
    running.master.stopped().await;
    let next = Running::start_in(running.dir, running.node, settings()).await;
    next.config_where(|config| config.tip_hash == hash(1, 10)).await;
}
