//! A PayMaker on a fake node: what handlers, readers and the node see of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use ledger::UNITS;
use ledger::book::{Book, PayoutOutcome};
use node::NodeError;
use serde_json::Value;
use tower::ServiceExt;
use wire::template::BlockTemplate;
use wire::who_to_pay::WhoToPay;
use wire::{Decimal, PktAddress};

use super::*;
use crate::listener::Client;

const MINER: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";
const OTHER: &str = "pKTcgnvpPdXQ6HztTC5snBc69887g471zE";
const THIRD: &str = "pBCoKBuCBYzqiHDwdvqE2pusa7XhdhJSPw";
const DEFAULT: &str = "pkt1qa6l3hd3ttfrvjjq3ee8vw6rpmhzmhsw69ytecrvad02jqmhz0jxq0rs86s";
const ERROR: &str = "pkt1qyfjw9x9wcqlkc2w2eq2angjr66wms6xygur9vkk2tpy03ycvj6ns5fqpef";
const NOW: UnixMillis = UnixMillis(1_600_000_100_000);
/// So long a test that fails is waited for.
const OCCUPIED_AT_MOST: Duration = Duration::from_secs(20);

/// A node that takes tables without the addresses that it `refuses`, and nothing while it is `down`.
#[derive(Clone, Default)]
struct FakeNode {
    state: Arc<Mutex<FakeState>>,
    calls: Arc<AtomicU64>,
}

#[derive(Default)]
struct FakeState {
    refuses: Vec<PktAddress>,
    is_down: bool,
    pays_miner_nothing: bool,
    /// The next table occupies the thread that brings it until a word comes.
    occupied_until: Option<mpsc::Receiver<()>>,
    is_occupied: bool,
    table: Vec<(PktAddress, Decimal)>,
}

impl FakeNode {
    fn with<T>(&self, action: impl FnOnce(&mut FakeState) -> T) -> T {
        action(&mut self.state.lock().unwrap())
    }

    fn part(&self, address: &str) -> Option<String> {
        let address: PktAddress = address.parse().unwrap();
        self.with(|state| {
            state.table.iter().find(|(one, _)| *one == address).map(|(_, part)| part.to_string())
        })
    }
}

impl PayoutNode for FakeNode {
    async fn configure(&self, table: &[(PktAddress, Decimal)]) -> Result<(), NodeError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(word) = self.with(|state| state.occupied_until.take()) {
            self.with(|state| state.is_occupied = true);
            let _ = word.recv_timeout(OCCUPIED_AT_MOST);
            self.with(|state| state.is_occupied = false);
        }
        self.with(|state| {
            if state.is_down {
                return Err(NodeError::Unreachable { what: "down".into() });
            }
            if table.iter().any(|(address, _)| state.refuses.contains(address)) {
                return Err(NodeError::Rpc { code: Some(-32603), message: "unknown address type".into() });
            }
            state.table = table.to_vec();
            Ok(())
        })
    }

    async fn template(&self) -> Result<BlockTemplate, NodeError> {
        let outputs: Vec<(Vec<u8>, i64)> = self.with(|state| {
            let paid = |address: &PktAddress| !state.pays_miner_nothing || address.to_string() != MINER;
            let units = |part: &Decimal| (part.to_f64() * 1e12) as i64;
            let table = state.table.iter().filter(|(address, _)| paid(address));
            table.map(|(address, part)| (address.script(), units(part))).collect()
        });
        Ok(template(&outputs))
    }

    async fn place_of(&self, _hash: &packetcrypt::BlockHash) -> Result<ChainPlace, NodeError> {
        Ok(ChainPlace::Main { height: 7, confirmations: 3 })
    }
}

fn template(outputs: &[(Vec<u8>, i64)]) -> BlockTemplate {
    let mut coinbase = vec![1, 0, 0, 0, 1];
    coinbase.extend([0; 32]);
    coinbase.extend([0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff]);
    coinbase.push(outputs.len() as u8);
    for (script, value) in outputs {
        coinbase.extend(value.to_le_bytes());
        coinbase.push(script.len() as u8);
        coinbase.extend(script);
    }
    coinbase.extend([0; 4]);
    BlockTemplate {
        height: packetcrypt::Height(1),
        header: packetcrypt::block::Header::from_bytes(&[0; 80]),
        coinbase_no_witness: coinbase,
        branch: Vec::new(),
        transactions: Vec::new(),
    }
}

fn rules() -> RulesConfig {
    let decimal = |text: &str| text.parse().unwrap();
    RulesConfig {
        has_private_seed: false,
        block_payout_fraction: decimal("0.5"),
        pplns_block_constant: decimal("2"),
        pplns_announcement_constant: decimal("0.125"),
        history_depth_ms: 172_800_000,
        slot_span_ms: 60_000,
        slots_to_keep_events: None,
        pool_fee: None,
        pool_fee_address: None,
        default_address: DEFAULT.parse().unwrap(),
        most_payees: 10_000,
    }
}

fn config(dir: &std::path::Path) -> PayMakerConfig {
    let config = PayMakerConfig::new(dir, rules(), ERROR.parse().unwrap(), "pw");
    PayMakerConfig { clock: || NOW, ..config }
}

/// A running PayMaker that has loaded its ledger.
struct Running {
    pay_maker: PayMaker,
    node: FakeNode,
    metrics: Metrics,
    shutdown: CancellationToken,
}

impl Running {
    async fn start(config: PayMakerConfig, node: FakeNode) -> Self {
        let (metrics, shutdown) = (Metrics::new(), CancellationToken::new());
        let pay_maker = loop {
            match PayMaker::start(config.clone(), node.clone(), &metrics, shutdown.clone()).await {
                // A hook that another test is just starting holds the lock of the PayMaker before until it runs.
                Err(PayMakerStartFault::Folder(OpenError::InUse(_))) => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                started => break started.unwrap(),
            }
        };
        let running = Self { pay_maker, node, metrics, shutdown };
        running.until(|running| running.pay_maker.shared.ledger.get().is_some()).await;
        running
    }

    /// Waits for something that other tasks do; the test ends with a word if it never comes.
    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        for _ in 0..3000 {
            if condition(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain");
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.pay_maker.routes().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn upload(&self, body: impl Into<Body>) -> (StatusCode, Value) {
        let request =
            Request::post("/events").header(AUTHORIZATION, "Basic eDpwdw==").body(body.into()).unwrap();
        let (status, text) = self.ask(request).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    async fn document(&self) -> WhoToPay {
        let (status, text) = self.get("/whotopay").await;
        assert_eq!(status, StatusCode::OK);
        WhoToPay::parse(text.as_bytes()).unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.pay_maker.stopped().await;
    }
}

fn block(time: u64) -> String {
    format!(
        r#"{{"type":"block","hash":"{0}{0}","height":1,"difficulty":1,"time":{time},"eventId":"{0}"}}"#,
        "a2a53eaa619e0a27c6f53e7033786cab"
    )
}

fn anns(id: u32, pay_to: &str, time: u64) -> String {
    format!(
        r#"{{"type":"anns","accepted":1000,"dup":0,"inval":0,"badHash":0,"runt":0,"internalErr":0,"payTo":"{pay_to}","unsigned":1000,"totalLen":0,"target":537001984,"time":{time},"eventId":"{id:032x}"}}"#
    )
}

/// A block, and work of two miners after it.
fn some_work() -> String {
    [block(1_600_000_000_000), anns(1, MINER, 1_600_000_001_000), anns(2, OTHER, 1_600_000_002_000)]
        .join("\n")
}

#[tokio::test]
async fn what_was_uploaded_is_in_the_next_document() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    let (status, reply) = running.upload(some_work()).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    assert_eq!(reply["result"]["eventId"], wire::EventId::of_upload(some_work().as_bytes()).to_string());
    let document = running.document().await;
    let units = document.units.unwrap();
    assert_eq!(units.0.iter().map(|(_, units)| units).sum::<u64>(), UNITS);
    assert!(units.get(&MINER.parse().unwrap()).is_some_and(|units| *units > 0));
    running.stop().await;
}

#[tokio::test]
async fn answers_of_all_endpoints_have_the_documented_status() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    for (path, status) in [
        ("/stats", 200),
        ("/paymaker/stats?x=1", 200),
        ("/whotopay?maxtime=5", 200),
        ("/x/whotopay", 200),
        ("/poolfacts", 200),
        ("/wonblocks?limit=1&before=9", 200),
        ("/payouttables", 200),
        ("/payees?offset=1", 200),
        ("/acceptedwork?since=0", 200),
        ("/series?name=bandwidth&range=1h", 200),
        ("/series?name=bandwidth&range=2y", 400),
        ("/series?name=hash_rate", 400),
        ("/minerfacts", 400),
        ("/minerfacts?address=nobody", 400),
        ("/nothing", 404),
        ("/events", 401),
    ] {
        assert_eq!(running.get(path).await.0.as_u16(), status, "{path}");
    }
    let posted = Request::post("/whotopay").body(Body::empty()).unwrap();
    assert_eq!(running.ask(posted).await, (StatusCode::METHOD_NOT_ALLOWED, String::new()));
    let wrong = Request::post("/events").header(AUTHORIZATION, "Basic eDpiYWQ=").body(Body::empty()).unwrap();
    assert_eq!(running.ask(wrong).await, (StatusCode::UNAUTHORIZED, "401 Unauthorized".into()));
    let got = Request::get("/events").header(AUTHORIZATION, "Basic eDpwdw==").body(Body::empty()).unwrap();
    assert_eq!(running.ask(got).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let (status, reply) = running.upload("{\"a\":1}\n").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(reply["error"][0].as_str().unwrap().contains("could not get most recent timestamp from file"));
    let (status, reply) = running.upload(vec![b'{', 0xff]).await;
    assert_eq!(
        (status, reply["error"][0].as_str().unwrap()),
        (StatusCode::BAD_REQUEST, "not_utf8: not UTF-8 from byte 1 on")
    );
    running.stop().await;
}

#[tokio::test]
async fn r_p20_only_listed_networks_and_this_machine_may_upload() {
    let dir = tempfile::tempdir().unwrap();
    let upload_networks = vec!["10.1.0.0/16".parse().unwrap()];
    let config = PayMakerConfig { upload_networks, ..config(dir.path()) };
    let running = Running::start(config, FakeNode::default()).await;
    for (sender, status) in
        [("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("127.0.0.1", 200), ("10.2.0.1", 403), ("::2", 403)]
    {
        let mut request = Request::post("/events")
            .header(AUTHORIZATION, "Basic eDpwdw==")
            .body(Body::from(some_work()))
            .unwrap();
        request.extensions_mut().insert(Client { address: sender.parse().unwrap(), exempt: false });
        let (answered, text) = running.ask(request).await;
        assert_eq!(answered.as_u16(), status, "{sender}: {text}");
    }
    assert!(running.metrics.text().contains(r#"reason="foreign_network"} 2"#));
    running.stop().await;
}

#[tokio::test]
async fn a14_what_the_update_hook_changes_is_shown_and_sent() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(config(dir.path()), FakeNode::default()).await.with_work_then_stop().await;
    let hook = ["sed", &format!("s/{OTHER}/{THIRD}/")].map(str::to_owned);
    let config = PayMakerConfig { update_hook: UpdateHook::new(&hook), ..config(dir.path()) };
    let running = Running::start(config, FakeNode::default()).await;
    running.until(|running| running.node.part(THIRD).is_some()).await;
    let document = running.document().await;
    assert_eq!(document.result.get(&OTHER.parse().unwrap()), None);
    for (address, part) in &document.result.0 {
        assert_eq!(running.node.part(&address.to_string()), Some(part.to_string()));
    }
    assert_eq!(document.warn.iter().filter(|warning| warning.contains("hook")).count(), 0);
    running.stop().await;
}

#[tokio::test]
async fn a14_an_update_hook_that_fails_changes_nothing_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(config(dir.path()), FakeNode::default()).await.with_work_then_stop().await;
    let hook = UpdateHook::new(&["there-is-no-such-program".to_owned()]);
    let config = PayMakerConfig { update_hook: hook, ..config(dir.path()) };
    let running = Running::start(config, FakeNode::default()).await;
    running.until(|running| running.node.part(OTHER).is_some()).await;
    let document = running.document().await;
    assert_eq!(document.units.unwrap().0.iter().map(|(_, units)| units).sum::<u64>(), UNITS);
    assert!(document.warn.iter().any(|warning| warning.contains("there-is-no-such-program")));
    let text = running.metrics.text();
    assert!(!text.contains("headframe_update_hook_failures_total{role=\"pay_maker\"} 0"), "{text}");
    running.stop().await;
}

#[tokio::test]
async fn r_p2_bad_lines_are_warnings_with_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    let (status, reply) = running.upload(format!("null\n{}\n", some_work())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(reply["warn"][0], "bad_event: line 1: an event is a JSON object, not null");
    assert!(
        running.metrics.text().contains(r#"headframe_refusals_total{role="pay_maker",reason="bad_event"} 1"#)
    );
    running.stop().await;
}

#[tokio::test]
async fn each_bad_event_is_named_with_what_was_expected_and_credits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    running.upload(some_work()).await;
    let before = running.document().await.units;
    let time = 1_600_000_003_000;
    for (line, code, words) in [
        (block(time).replace("block", "blok"), "bad_event", "`type`"),
        (anns(9, MINER, time).replace("payTo", "payTwo"), "bad_event", "`payTo`"),
        (anns(9, "pkt1sj0s7u", time), "bad_event", "`payTo`"),
        (anns(9, MINER, time).replace(":1000,", ":-1,"), "bad_event", "`accepted`"),
        (anns(9, MINER, time).replace('{', "{{"), "bad_event", "JSON"),
        (anns(9, MINER, NOW.0 + 301_000), "event_from_the_future", "five minutes"),
        (anns(9, MINER, NOW.0 - 172_900_000), "event_too_old", "older"),
        (anns(1, OTHER, 1_600_000_001_000), "event_id_reused", "`eventId`"),
    ] {
        let (_, reply) = running.upload(line.clone()).await;
        let warning = reply["warn"][0].as_str().unwrap_or_default();
        assert!(
            warning.starts_with(&format!("{code}: line 1: ")) && warning.contains(words),
            "{line}\n{reply}"
        );
        assert!(running.metrics.text().contains(&format!("reason=\"{code}\"")), "{code}");
    }
    assert_eq!(running.document().await.units, before);
    running.stop().await;
}

#[tokio::test]
async fn r_p3_uploads_are_bounded_and_one_that_is_given_up_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    let endless = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let given_up = tokio::time::timeout(Duration::from_millis(50), running.upload(endless)).await;
    assert!(given_up.is_err());
    assert_eq!(
        running.upload(vec![b'x'; wire::pay_maker::UPLOAD_LIMIT + 1]).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(running.upload(some_work()).await.0, StatusCode::OK);
    running.stop().await;
}

#[tokio::test]
async fn r_p4_too_many_requests_at_once_are_told_overloaded() {
    let dir = tempfile::tempdir().unwrap();
    let running =
        Running::start(PayMakerConfig { requests: 1, ..config(dir.path()) }, FakeNode::default()).await;
    let busy = Arc::clone(&running.pay_maker.shared.requests).try_acquire_owned().unwrap();
    assert_eq!(running.get("/whotopay").await, (StatusCode::NOT_IMPLEMENTED, "overloaded".into()));
    drop(busy);
    running.stop().await;
}

#[tokio::test]
async fn r_p5_a_restart_keeps_what_was_answered_and_fills_the_book() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    running.upload(some_work()).await;
    let before = running.document().await;
    running.stop().await;
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    assert_eq!(running.document().await, before);
    let (status, reply) = running.upload(some_work()).await;
    assert_eq!((status, reply["warn"].as_array().unwrap().len()), (StatusCode::OK, 0), "sent again, known");
    assert_eq!(running.document().await, before);
    running.stop().await;
    let book = SqlBook::open_sqlite(&dir.path().join("book.sqlite")).await.unwrap();
    let uploads = book.newest_uploads(9).await.unwrap();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].counts.unwrap().credited, 3);
}

#[tokio::test]
async fn only_one_pay_maker_works_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    let (metrics, shutdown) = (Metrics::new(), CancellationToken::new());
    let second = PayMaker::start(config(dir.path()), FakeNode::default(), &metrics, shutdown).await;
    assert!(matches!(second, Err(PayMakerStartFault::Folder(OpenError::InUse(_)))));
    running.stop().await;
}

#[tokio::test]
async fn r_p18_the_node_is_told_at_start_and_what_is_shown_is_what_it_pays() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(config(dir.path()), FakeNode::default()).await.with_work_then_stop().await;
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    running.until(|running| running.node.part(MINER).is_some()).await;
    let document = running.document().await;
    for (address, part) in &document.result.0 {
        assert_eq!(running.node.part(&address.to_string()), Some(part.to_string()));
    }
    running
        .until(|running| running.metrics.text().contains("headframe_payout_differs{role=\"pay_maker\"} 0"))
        .await;
    assert!(running.pay_maker.health().is_ready());
    running.stop().await;
}

impl Running {
    async fn with_work_then_stop(self) {
        assert_eq!(self.upload(some_work()).await.0, StatusCode::OK);
        self.stop().await;
    }
}

#[tokio::test]
async fn requests_are_answered_while_a_table_is_worked_on() {
    let dir = tempfile::tempdir().unwrap();
    let node = FakeNode::default();
    let (word, occupied_until) = mpsc::channel();
    node.with(|state| state.occupied_until = Some(occupied_until));
    // All requests are answered by the one thread of this test.
    let running = Running::start(config(dir.path()), node).await;
    running.until(|running| running.node.with(|state| state.is_occupied)).await;
    let (status, _) = running.get("/whotopay").await;
    assert_eq!(status, StatusCode::OK);
    assert!(running.node.with(|state| state.is_occupied && state.table.is_empty()));
    word.send(()).unwrap();
    running.until(|running| running.node.part(DEFAULT).is_some()).await;
    running.stop().await;
}

#[tokio::test]
async fn r_p17_pitfall_9_8_an_address_that_the_node_refuses_is_found_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(config(dir.path()), FakeNode::default()).await.with_work_then_stop().await;
    let node = FakeNode::default();
    node.with(|state| state.refuses.push(MINER.parse().unwrap()));
    let running = Running::start(config(dir.path()), node).await;
    running.until(|running| running.node.part(OTHER).is_some() && running.node.part(DEFAULT).is_some()).await;
    let document = running.document().await;
    assert!(
        document.warn.iter().any(|warning| warning.contains("the node refuses") && warning.contains(MINER))
    );
    assert_eq!(document.result.get(&MINER.parse().unwrap()), None);
    let moved = document.result.get(&ERROR.parse().unwrap()).unwrap();
    assert_eq!(running.node.part(ERROR), Some(moved.to_string()), "its part goes to the error address");
    assert_eq!(document.units.unwrap().0.iter().map(|(_, units)| units).sum::<u64>(), UNITS);
    running.stop().await;
}

#[tokio::test]
async fn r_p18_after_three_cycles_without_success_the_error_address_is_paid() {
    let dir = tempfile::tempdir().unwrap();
    let node = FakeNode::default();
    node.with(|state| state.refuses.push(DEFAULT.parse().unwrap()));
    node.with(|state| state.is_down = true);
    // Shorter than the first wait: one try in each cycle.
    let cycle = Duration::from_millis(200);
    let running = Running::start(PayMakerConfig { update_cycle: cycle, ..config(dir.path()) }, node).await;
    running.until(|running| running.node.calls.load(Ordering::SeqCst) >= 5).await;
    assert!(!running.pay_maker.health().is_ready());
    running.node.with(|state| state.is_down = false);
    running.until(|running| running.node.part(ERROR).is_some()).await;
    running.stop().await;
}

#[tokio::test]
async fn a13_a_template_that_pays_otherwise_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(config(dir.path()), FakeNode::default()).await.with_work_then_stop().await;
    let node = FakeNode::default();
    node.with(|state| state.pays_miner_nothing = true);
    let running = Running::start(config(dir.path()), node).await;
    running
        .until(|running| running.metrics.text().contains("headframe_payout_differs{role=\"pay_maker\"} 1"))
        .await;
    running.pay_maker.shared.documents.forget();
    let document = running.document().await;
    assert!(document.warn.iter().any(|warning| warning.contains(MINER)), "{:?}", document.warn);
    running.stop().await;
    let book = SqlBook::open_sqlite(&dir.path().join("book.sqlite")).await.unwrap();
    let (_, _, outcomes) = book.newest_payout_table().await.unwrap().unwrap();
    assert!(
        matches!(outcomes.as_slice(), [PayoutOutcome::Configured, PayoutOutcome::PaidOtherwise(_)]),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn before_the_ledger_is_loaded_only_stats_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (metrics, shutdown) = (Metrics::new(), CancellationToken::new());
    let pay_maker = PayMaker::start(config(dir.path()), FakeNode::default(), &metrics, shutdown.clone());
    let pay_maker = pay_maker.await.unwrap();
    // The same routes over state without a ledger, as it is in the first moments.
    let shared = Shared {
        payouts: Nudge::default(),
        ledger: OnceLock::new(),
        documents: Arc::clone(&pay_maker.shared.documents),
        reports: Reports::default(),
        accepted_work: AcceptedWork::default(),
        charts: Arc::default(),
        won_blocks: Arc::default(),
        book: pay_maker.shared.book.clone(),
        password: Password::new("pw", Arc::default()).unwrap(),
        upload_networks: Vec::new(),
        requests: Arc::clone(&pay_maker.shared.requests),
        uploads: Semaphore::new(1),
        book_queue: pay_maker.shared.book_queue.clone(),
        clock: || NOW,
        refusals: Refusals::new(&metrics),
        stages: UploadStages::new(&metrics),
        metrics: Metrics::new(),
        health: Health::starting("pay_maker", ""),
    };
    let routes = routes::router(Arc::new(shared));
    for (path, status) in [("/whotopay", 500), ("/poolfacts", 500), ("/wonblocks", 200), ("/stats", 200)] {
        let response = routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
    shutdown.cancel();
    pay_maker.stopped().await;
}

#[tokio::test]
async fn the_site_is_told_of_pool_and_miners() {
    use crate::site::facts::{MinerFacts, MinerState, PacketCryptFacts, Payee};
    let dir = tempfile::tempdir().unwrap();
    let config = PayMakerConfig { clock: || NOW, ..config(dir.path()) };
    let running = Running::start(config, FakeNode::default()).await;
    running.upload(some_work()).await;
    let ask = async |path: String| {
        let (status, body) = running.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    };
    let document = running.document().await;
    let body = ask("/poolfacts".to_owned()).await;
    let facts: PacketCryptFacts = serde_json::from_str(&body).unwrap();
    let table = facts.payout_table.unwrap();
    let units: Vec<(String, u64)> =
        document.units.unwrap().0.iter().map(|(address, units)| (address.to_string(), *units)).collect();
    let shown: Vec<(String, u64)> =
        table.payees.iter().map(|payee| (payee.address.clone(), payee.part.0)).collect();
    assert_eq!(shown, units, "the page, the document and the node are told the same");
    let payees: Vec<Payee> = serde_json::from_str(&ask("/payees?offset=1".to_owned()).await).unwrap();
    assert_eq!(payees, table.payees[1..]);
    let of = async |address: &str| -> MinerFacts {
        serde_json::from_str(&ask(format!("/minerfacts?address={address}")).await).unwrap()
    };
    let own = of(MINER).await.packetcrypt.unwrap();
    let part = own.next_part.unwrap();
    let (announcements, shares) = (own.announcements_part.unwrap(), own.shares_part.unwrap());
    assert!((announcements.0 + shares.0).abs_diff(part.0) <= 2, "the parts are the whole, but for roundings");
    assert_eq!(Some(part.0), units.iter().find(|(address, _)| address == MINER).map(|(_, units)| *units));
    assert_eq!(of(THIRD).await.state, MinerState::Unknown);
    running.stop().await;
}

#[tokio::test]
async fn r_p23_whom_a_block_has_no_place_for_is_told_that_it_pays_nothing() {
    use crate::site::facts::{MinerFacts, PacketCryptFacts, Part};
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let rules = RulesConfig { most_payees: 1, ..config.rules };
    let running = Running::start(PayMakerConfig { rules, ..config }, FakeNode::default()).await;
    let lines = [
        block(1_600_000_000_000),
        anns(1, MINER, 1_600_000_001_000),
        anns(2, MINER, 1_600_000_061_000),
        anns(3, OTHER, 1_600_000_002_000),
        anns(4, OTHER, 1_600_000_062_000),
        anns(5, OTHER, 1_600_000_063_000),
    ];
    running.upload(lines.join("\n")).await;
    let of = async |address: &str| -> MinerFacts {
        let (_, body) = running.get(&format!("/minerfacts?address={address}")).await;
        serde_json::from_str(&body).unwrap()
    };
    let [miner, other] = [of(MINER).await, of(OTHER).await].map(|facts| facts.packetcrypt.unwrap());
    assert!(other.next_part.unwrap().0 > 0);
    assert_eq!((miner.next_part, miner.announcements_part), (Some(Part(0)), Some(Part(0))));
    let facts: PacketCryptFacts = serde_json::from_str(&running.get("/poolfacts").await.1).unwrap();
    assert!(facts.warnings.iter().any(|warning| warning.contains("no place for 1 more")));
    running.stop().await;
}

#[tokio::test]
async fn figures_for_charts_survive_a_restart() {
    use crate::site::facts::Series;
    let dir = tempfile::tempdir().unwrap();
    let day = async |running: &Running, address: &str| -> Vec<Option<f64>> {
        let (status, body) = running.get(&format!("/series?name=bandwidth&range=24h{address}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str::<Series>(&body).unwrap().points
    };
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    running.upload(some_work()).await;
    let before = day(&running, "").await;
    let sum = |points: &[Option<f64>]| points.iter().flatten().sum::<f64>();
    assert!(sum(&before) > 0.0, "{before:?}");
    assert!(before.contains(&None), "what nobody recorded is not known");
    running.stop().await;
    let running = Running::start(config(dir.path()), FakeNode::default()).await;
    // The minute that was not full comes again from the ledger.
    let mut after = day(&running, "").await;
    while after != before {
        tokio::time::sleep(Duration::from_millis(5)).await;
        after = day(&running, "").await;
    }
    let own = day(&running, &format!("&address={MINER}")).await;
    assert!(sum(&own) <= sum(&after));
    running.stop().await;
}

#[tokio::test]
async fn a_pay_maker_of_which_any_part_dies_ends_and_another_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["bookkeeping", "payouts"] {
        let running = Running::start(config(dir.path()), FakeNode::default()).await;
        running.pay_maker.parts.kill(part);
        running.pay_maker.stopped().await;
    }
    Running::start(config(dir.path()), FakeNode::default()).await;
}
