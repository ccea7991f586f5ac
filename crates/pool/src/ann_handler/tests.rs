//! The handler behind a Master of our making, with the recorded posts of the reference and posts of our own.

mod grouping;

use std::net::UdpSocket;
use std::path::Path;
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use crossbeam_channel::bounded;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use packetcrypt::{BlockHash, CompactTarget};
use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::oneshot;
use tower::ServiceExt;
use wire::announcement_post::PostHeaders;
use wire::batch::{BatchIndex, BatchName};
use wire::block_info::BlockInfo;
use wire::pool_config::PoolConfig;
use wire::sprayer::{Datagram, Subscription};
use wire::{Event, EventId};

use super::hashing::Prefixes;
use super::*;
use crate::fake_master::{self, FakeMaster};
use crate::http_client;
use crate::listener::Client;

const OWN_URL: &str = "http://127.0.0.1:19081/submit";
const OTHER_URL: &str = "http://127.0.0.1:19091/submit";
const PAY_TO: &str = "pkt1q5lhplx6swyfq6h7202u6lmfhw3ey26d7m5qm9w";
const BITS: CompactTarget = CompactTarget(0x2020_0000);
const TIP: u32 = 62;

struct Pool {
    master: Arc<FakeMaster>,
    handler: AnnHandler,
    config: AnnHandlerConfig,
    dir: tempfile::TempDir,
    shutdown: CancellationToken,
}

/// The answer to a post.
struct Answered {
    status: StatusCode,
    json: Value,
    retry_after: bool,
}

impl Answered {
    fn count(&self, field: &str) -> u64 {
        assert_eq!(self.status, StatusCode::OK, "{}", self.json);
        self.json["result"][field].as_u64().unwrap()
    }

    fn error(&self) -> &str {
        self.json["error"][0].as_str().unwrap_or("")
    }
}

impl Pool {
    /// A handler whose Master says what is in `master`.
    async fn start_with(
        master: Arc<FakeMaster>,
        url: &str,
        dir: tempfile::TempDir,
        change: impl FnOnce(&mut AnnHandlerConfig),
    ) -> Self {
        let mut config = AnnHandlerConfig::new("a", OWN_URL, dir.path(), url, Rules::NEW_CHAIN);
        config.master.poll_time = Duration::from_millis(5);
        config.workers = NonZeroUsize::new(2).unwrap();
        config.event_segment_time = Duration::from_hours(1);
        change(&mut config);
        let shutdown = CancellationToken::new();
        let http = http_client::client().unwrap();
        let handler =
            AnnHandler::start(config.clone(), http, &Metrics::new(), shutdown.clone()).await.unwrap();
        Self { master, handler, config, dir, shutdown }
    }

    /// A handler in the pool of the recordings: tip 62, real block hashes.
    async fn recorded(config_file: &str, change: impl FnOnce(&mut AnnHandlerConfig)) -> Self {
        let (master, url) = FakeMaster::start().await;
        let folder = vectors("master");
        for entry in std::fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(hash) =
                name.strip_prefix("blkinfo_").and_then(|name| name.split_once('_')).map(|(_, hash)| hash)
            else {
                continue;
            };
            if name != "blkinfo_with_key.json" {
                master.put(&format!("blkinfo_{hash}"), std::fs::read(folder.join(&name)).unwrap());
            }
        }
        master.put("config.json", std::fs::read(vectors(config_file)).unwrap());
        let pool = Self::start_with(master, &url, tempfile::tempdir().unwrap(), change).await;
        pool.ready().await;
        pool
    }

    /// A handler that does not check proofs of work, on a chain of our making.
    async fn unchecked() -> Self {
        let (master, url) = FakeMaster::start().await;
        (50..=70).for_each(|height| master.put_block(1, height));
        (50..=70).for_each(|height| master.put_block(2, height));
        put_config(&master, |_| {});
        let change = |config: &mut AnnHandlerConfig| config.skip_check_chance = 1.0;
        let pool = Self::start_with(master, &url, tempfile::tempdir().unwrap(), change).await;
        pool.ready().await;
        pool
    }

    async fn ready(&self) {
        self.until(|slots| slots.has_height(TIP)).await;
    }

    async fn until(&self, wanted: impl Fn(&Slots) -> bool) {
        while !wanted(&self.handler.shared.slots.load()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The handler as a new process finds it: same folder, same Master.
    async fn restart(self) -> Self {
        self.shutdown.cancel();
        self.handler.stopped().await;
        let (master, url, dir) = (self.master, self.config.master.pool_url.clone(), self.dir);
        let before = self.config;
        // The writer's thread gives the folder free a moment after the last user is gone.
        let config = AnnHandlerConfig { workers: before.workers, ..before };
        let shutdown = CancellationToken::new();
        let handler = loop {
            let http = http_client::client().unwrap();
            match AnnHandler::start(config.clone(), http, &Metrics::new(), shutdown.clone()).await {
                Err(AnnHandlerFault::Outbox(OutboxError::InUse { .. })) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                started => break started.unwrap(),
            }
        };
        assert_eq!(config.master.pool_url, url);
        let pool = Self { master, handler, config, dir, shutdown };
        pool.ready().await;
        pool
    }

    async fn request(&self, request: Request<Body>) -> Response {
        self.handler.routes().oneshot(request).await.unwrap()
    }

    async fn submit_headers(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> Answered {
        let mut request = Request::builder().method(Method::POST).uri("/submit");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.submit(request.body(body.into()).unwrap()).await
    }

    async fn submit(&self, mut request: Request<Body>) -> Answered {
        let address = "127.0.0.1".parse().unwrap();
        request.extensions_mut().insert(Client { address, exempt: true });
        let answer = self.request(request).await;
        let (status, retry_after) = (answer.status(), answer.headers().contains_key("retry-after"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Answered { status, json: serde_json::from_slice(&body).unwrap(), retry_after }
    }

    /// Posts announcements for parent height 60 in the usual way.
    async fn post(&self, announcements: &[[u8; 1024]]) -> Answered {
        self.post_for(60, announcements).await
    }

    async fn post_for(&self, height: u32, announcements: &[[u8; 1024]]) -> Answered {
        let number = (height + 1).to_string();
        let headers = [("x-pc-sver", "1"), ("x-pc-worknum", &number), ("x-pc-payto", PAY_TO)];
        self.submit_headers(&headers, announcements.as_flattened().to_vec()).await
    }

    async fn get(&self, path: &str, password: Option<&str>) -> (Response<()>, Bytes) {
        let mut request = Request::builder().uri(path);
        if let Some(password) = password {
            request = request.header("x-pc-passwd", password);
        }
        let (parts, body) = self.request(request.body(Body::empty()).unwrap()).await.into_parts();
        (Response::from_parts(parts, ()), body.collect().await.unwrap().to_bytes())
    }

    /// All events on disk.
    async fn batch_names(&self) -> Vec<BatchName> {
        let (_, index) = self.get("/anns/index.json", None).await;
        BatchIndex::parse(&index).unwrap().names().collect()
    }

    fn events(&self) -> Vec<AnnsEventSeen> {
        let mut seen = Vec::new();
        for entry in std::fs::read_dir(self.dir.path().join("events")).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            for start in text.match_indices("{\"type\":\"anns\"").map(|(start, _)| start) {
                let line = &text[start..=start + text[start..].find('}').unwrap()];
                let Event::Anns(event) = Event::parse_line(line.as_bytes()).unwrap() else {
                    panic!("{line}")
                };
                seen.push(AnnsEventSeen { accepted: event.accepted, id: event.event_id });
            }
        }
        seen
    }
}

struct AnnsEventSeen {
    accepted: u32,
    id: EventId,
}

impl Slots {
    fn has_height(&self, height: u32) -> bool {
        self.at(Some(Height(height)), i64::from(height)).is_ok()
    }
}

fn vectors(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/pool")).join(name)
}

fn config_on(branch: u8, tip: u32, change: impl FnOnce(&mut PoolConfig)) -> String {
    let mut config = fake_master::config(branch, tip);
    config.submit_ann_urls = vec![OWN_URL.to_owned()];
    config.paymaker_url = "http://127.0.0.1:1".to_owned();
    change(&mut config);
    config.to_json()
}

fn put_config(master: &FakeMaster, change: impl FnOnce(&mut PoolConfig)) {
    master.put("config.json", config_on(1, TIP, change));
}

/// An announcement for parent height 60 without proof of work; `number` makes it distinct.
fn made(number: u32) -> [u8; 1024] {
    made_for(60, number)
}

fn made_for(height: u32, number: u32) -> [u8; 1024] {
    let mut bytes = [0x5a; 1024];
    bytes[..4].copy_from_slice(&[1, 0, 0, 0]);
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..12].copy_from_slice(&BITS.0.to_le_bytes());
    bytes[12..16].copy_from_slice(&height.to_le_bytes());
    bytes[16..88].fill(0);
    bytes
}

fn many(numbers: std::ops::Range<u32>) -> Vec<[u8; 1024]> {
    numbers.map(made).collect()
}

/// Announcements of a recorded body.
fn recorded_body(name: &str) -> Vec<[u8; 1024]> {
    let bytes = std::fs::read(vectors("annhandler/body").join(name)).unwrap();
    bytes.as_chunks().0.to_vec()
}

/// Whether we are to answer otherwise than the reference, by a rule or by the case's own word.
fn is_defect(case: &Value) -> bool {
    let name = case["name"].as_str().unwrap();
    let note = case["note"].as_str().unwrap_or("");
    let ours_differ = ["prefix", "get_index", "root", "payto_63_alnum", "empty"].contains(&name);
    note.contains("DEFECT") || name.starts_with("dup_inside") || ours_differ
}

/// Runs the recorded posts of a file in order and compares verdicts.
async fn replay(pool: &Pool, file: &str) -> usize {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(vectors(file)).unwrap()).unwrap();
    let mut compared = 0;
    for case in cases.iter().filter(|case| !is_defect(case)) {
        let asked = &case["request"];
        let method = asked["method"].as_str().unwrap();
        let mut request = Request::builder().method(method).uri(asked["path"].as_str().unwrap());
        for (name, value) in asked["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let body = asked["body_file"]
            .as_str()
            .map(|name| std::fs::read(vectors("annhandler/body").join(name)).unwrap());
        let answered = pool.submit(request.body(Body::from(body.unwrap_or_default())).unwrap()).await;
        let expected = &case["response"];
        assert_eq!(
            u64::from(answered.status.as_u16()),
            expected["status"].as_u64().unwrap(),
            "{case} {}",
            answered.json
        );
        let text = expected["body"].as_str().unwrap();
        if let Some(mut event) =
            serde_json::from_str::<Value>(text).ok().filter(|reply| reply["result"].is_object())
        {
            event["result"]["time"] = answered.json["result"]["time"].clone();
            assert_eq!(answered.json, event, "{case}");
        } else {
            let first = serde_json::from_str::<Value>(text)
                .map_or(text.to_owned(), |reply| reply["error"][0].as_str().unwrap().to_owned());
            assert!(agrees(answered.error(), &first), "{case}: {:?} for {first:?}", answered.error());
        }
        compared += 1;
    }
    compared
}

/// Whether our sentence has the words of the reference, apart from what ours says more precisely.
fn agrees(ours: &str, reference: &str) -> bool {
    let same_words = ours.contains(reference);
    let more_precise = [
        ("HTTP method not allowed", "method_not_allowed"),
        ("payto too long", "invalid_pay_to"),
        ("invalid payto", "invalid_pay_to"),
        ("Invalid request header \"x-pc-payto\"", "invalid_pay_to"),
        ("block number out of range", "height_out_of_range"),
    ];
    same_words
        || more_precise.iter().any(|(theirs, code)| reference.starts_with(theirs) && ours.starts_with(code))
}

#[tokio::test]
async fn recorded_posts_get_the_verdicts_of_the_reference() {
    let pool = Pool::recorded("annhandler/config.json", |_| {}).await;
    assert!(replay(&pool, "annhandler/submit.json").await > 30);
}

#[tokio::test]
async fn recorded_posts_to_one_of_two_handlers_get_the_verdicts_of_the_reference() {
    let pool = Pool::recorded("master/config_two_handlers.json", |_| {}).await;
    assert_eq!(replay(&pool, "annhandler/submit_two_handlers.json").await, 4);
}

#[tokio::test]
async fn recorded_posts_to_a_signing_pool_get_the_verdicts_of_the_reference() {
    let pool = Pool::recorded("annhandler/config.json", |_| {}).await;
    let seed = wire::signing_key::PrivateSeed::new("correct horse battery staple").unwrap();
    let hash = pool.handler.shared.slots.load().at(Some(Height(60)), 60).unwrap().parent;
    drop(pool);
    let (master, url) = FakeMaster::start().await;
    for height in 57..=62 {
        let name = std::fs::read_dir(vectors("master")).unwrap().map(|entry| entry.unwrap().path());
        let path = name
            .into_iter()
            .find(|path| path.to_string_lossy().contains(&format!("blkinfo_{height}_")))
            .unwrap();
        let mut info = BlockInfo::parse(&std::fs::read(path).unwrap()).unwrap();
        info.signing_key = seed.signing_key(Height(height + 1));
        master.put(&BlockInfo::file_name(&info.header.hash), info.to_json());
    }
    master.put("config.json", std::fs::read(vectors("annhandler/config.json")).unwrap());
    let pool = Pool::start_with(master, &url, tempfile::tempdir().unwrap(), |_| {}).await;
    pool.ready().await;
    assert!(pool.handler.shared.slots.load().has(Height(60), &hash));
    assert_eq!(replay(&pool, "annhandler/submit_signed_pool.json").await, 4);
}

fn recorded_case(name: &str) -> Vec<[u8; 1024]> {
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(vectors("annhandler/submit.json")).unwrap()).unwrap();
    let case = cases.iter().find(|case| case["name"] == name).unwrap();
    recorded_body(case["request"]["body_file"].as_str().unwrap())
}

#[tokio::test]
async fn r_a1_repeated_announcements_do_not_hide_unchecked_ones() {
    let pool = Pool::recorded("annhandler/config.json", |_| {}).await;
    let answered = pool.post(&recorded_case("hidden_bad")).await;
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
    assert!(answered.error().starts_with("invalid_announcement: check_ann() -> "), "{}", answered.error());
    assert!(pool.events().is_empty());
}

#[tokio::test]
async fn w2_announcements_repeated_inside_a_post_are_counted_as_duplicates() {
    let pool = Pool::recorded("annhandler/config.json", |_| {}).await;
    let twice = pool.post(&recorded_case("dup_inside")).await;
    assert_eq!((twice.count("accepted"), twice.count("dup"), twice.count("unsigned")), (1, 1, 2));
    let thrice = pool.post(&recorded_case("dup_inside_3")).await;
    assert_eq!(thrice.count("accepted") + thrice.count("dup"), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the shape of a post: it is accepted only if every announcement in it is valid.
    #[test]
    fn w1_pitfall_21_no_shape_of_a_post_gets_an_unchecked_announcement_accepted(
        picks in prop::collection::vec((0usize..6, 0usize..3), 1..12),
    ) {
        let good = recorded_case("accepted_4");
        let shape: Vec<[u8; 1024]> = picks
            .iter()
            .flat_map(|(which, copies)| {
                let announcement = good.get(*which).copied().unwrap_or_else(|| made(*which as u32));
                vec![announcement; copies + 1]
            })
            .collect();
        let all_good = picks.iter().all(|(which, _)| *which < 4);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pool = Pool::recorded("annhandler/config.json", |_| {}).await;
            let answered = pool.post(&shape).await;
            prop_assert_eq!(answered.status == StatusCode::OK, all_good, "{}", answered.json);
            if all_good {
                let distinct: std::collections::BTreeSet<_> = shape.iter().collect();
                prop_assert_eq!(answered.count("accepted"), distinct.len() as u64);
                prop_assert_eq!(answered.count("dup"), (shape.len() - distinct.len()) as u64);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn r_a2_before_the_first_work_every_post_is_refused() {
    let (master, url) = FakeMaster::start().await;
    let pool = Pool::start_with(master, &url, tempfile::tempdir().unwrap(), |_| {}).await;
    for height in [0, 60] {
        let answered = pool.post_for(height, &[[0; 1024]]).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST);
        assert!(answered.error().starts_with("not_ready: server not ready"), "{}", answered.error());
    }
    assert!(!pool.handler.health().is_ready());
}

#[tokio::test]
async fn r_a3_empty_odd_and_huge_bodies_have_their_own_answers() {
    let pool = Pool::unchecked().await;
    let headers = [("x-pc-sver", "1"), ("x-pc-worknum", "61"), ("x-pc-payto", PAY_TO)];
    for (body, status, code) in [
        (vec![], 400, "no_announcements"),
        (vec![0; 1025], 400, "not_aligned"),
        (vec![0; (4 << 20) + 1], 413, "body_too_large"),
    ] {
        let answered = pool.submit_headers(&headers, body).await;
        assert_eq!(answered.status.as_u16(), status);
        assert!(answered.error().starts_with(code), "{}", answered.error());
        assert_eq!(answered.json["result"], Value::Null);
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let pool = Pool::unchecked().await;
    let url = pool.config.master.pool_url.clone();
    let change = |config: &mut AnnHandlerConfig| config.body.time = Duration::from_millis(20);
    let pool = Pool::start_with(pool.master, &url, tempfile::tempdir().unwrap(), change).await;
    pool.ready().await;
    let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let headers = [("x-pc-sver", "1"), ("x-pc-worknum", "61"), ("x-pc-payto", PAY_TO)];
    let answered = pool.submit_headers(&headers, endless).await;
    assert_eq!(answered.status, StatusCode::REQUEST_TIMEOUT);
    assert!(answered.error().starts_with("body_timeout"), "{}", answered.error());
}

#[tokio::test]
async fn r_a4_an_address_that_cannot_be_paid_is_refused_before_any_work() {
    let pool = Pool::unchecked().await;
    let address = "a".repeat(63);
    let headers = [("x-pc-sver", "1"), ("x-pc-worknum", "61"), ("x-pc-payto", address.as_str())];
    let answered = pool.submit_headers(&headers, made(1).to_vec()).await;
    assert!(answered.error().starts_with("invalid_pay_to: invalid payto aaa"), "{}", answered.error());
    assert_eq!(pool.post(&[made(1)]).await.count("accepted"), 1, "nothing was remembered");
}

#[tokio::test]
async fn r_a5_a_height_keeps_the_handler_list_it_was_first_seen_with() {
    let pool = Pool::unchecked().await;
    put_config(&pool.master, |config| config.submit_ann_urls = vec![OWN_URL.into(), OTHER_URL.into()]);
    let in_list = |height: u32, count: usize| {
        move |slots: &Slots| slots.at(Some(Height(height)), 0).is_ok_and(|slot| slot.place.count == count)
    };
    pool.master.put(
        "config.json",
        config_on(1, TIP + 1, |config| {
            config.submit_ann_urls = vec![OWN_URL.into(), OTHER_URL.into()];
        }),
    );
    pool.until(in_list(63, 2)).await;
    assert_eq!(pool.post(&many(0..64)).await.count("accepted"), 64, "all of height 60 are still ours");
    let answered = pool.post_for(63, &(0..64).map(|number| made_for(63, number)).collect::<Vec<_>>()).await;
    assert!(answered.error().starts_with("submit_elsewhere: "), "{}", answered.error());
    let pool = pool.restart_at(63).await;
    assert!(
        in_list(60, 1)(&pool.handler.shared.slots.load())
            && in_list(63, 2)(&pool.handler.shared.slots.load())
    );
}

impl Pool {
    async fn restart_at(self, height: u32) -> Self {
        let pool = self.restart().await;
        pool.until(|slots| slots.has_height(height)).await;
        pool
    }
}

#[tokio::test]
async fn r_a7_a_post_that_cannot_be_stored_is_refused_and_forgotten() {
    let pool = Pool::unchecked().await;
    let events = pool.dir.path().join("events");
    std::fs::rename(&events, pool.dir.path().join("gone")).unwrap();
    let refused = pool.post(&many(0..10)).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.error().starts_with("storage_failed") && refused.retry_after, "{}", refused.error());
    std::fs::create_dir(&events).unwrap();
    assert_eq!(pool.post(&many(0..10)).await.count("accepted"), 10);
    assert_eq!(pool.events().len(), 1);
}

#[tokio::test]
async fn r_a7_what_was_accepted_is_on_disk_before_the_answer() {
    let pool = Pool::unchecked().await;
    let body = many(0..10);
    let answered = pool.post(&body).await;
    let events = pool.events();
    assert_eq!((events.len(), events[0].accepted), (1, 10));
    assert_eq!(events[0].id, EventId::of_announcement_post(body.as_flattened()));
    assert_eq!(answered.json["result"]["eventId"].as_str(), Some(events[0].id.to_string().as_str()));
}

#[tokio::test]
async fn r_a8_a_post_of_duplicates_is_not_logged() {
    let pool = Pool::unchecked().await;
    pool.post(&many(0..10)).await;
    let again = pool.post(&many(0..10)).await;
    assert_eq!((again.count("accepted"), again.count("dup")), (0, 10));
    assert_eq!(pool.events().len(), 1);
}

#[tokio::test]
async fn r_a9_a_handler_that_is_not_listed_keeps_running_and_refuses() {
    let (master, url) = FakeMaster::start().await;
    (50..=70).for_each(|height| master.put_block(1, height));
    put_config(&master, |config| config.submit_ann_urls = vec![OTHER_URL.into()]);
    let change = |config: &mut AnnHandlerConfig| config.skip_check_chance = 1.0;
    let pool = Pool::start_with(master, &url, tempfile::tempdir().unwrap(), change).await;
    while !pool
        .handler
        .health()
        .state()
        .reason
        .is_some_and(|reason| reason.contains("is not in the pool's list"))
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(pool.post(&[made(1)]).await.error().starts_with("not_ready"));
}

#[tokio::test]
async fn r_a9_a_pool_without_a_target_is_refused_until_it_has_one() {
    let (master, url) = FakeMaster::start().await;
    (50..=70).for_each(|height| master.put_block(1, height));
    put_config(&master, |config| config.ann_target = None);
    let change = |config: &mut AnnHandlerConfig| config.skip_check_chance = 1.0;
    let pool = Pool::start_with(master, &url, tempfile::tempdir().unwrap(), change).await;
    while !pool.handler.health().state().reason.is_some_and(|reason| reason.contains("annTarget")) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(pool.post(&[made(1)]).await.error().starts_with("not_ready"));
    put_config(&pool.master, |_| {});
    pool.ready().await;
    assert_eq!(pool.post(&[made(1)]).await.count("accepted"), 1);
}

#[tokio::test]
async fn r_a10_a_post_whose_client_has_gone_is_dropped_without_a_trace() {
    let pool = Pool::unchecked().await;
    let shared = Arc::clone(&pool.handler.shared);
    let (jobs, queue) = bounded(1);
    let (reply, gone) = oneshot::channel();
    drop(gone);
    let headers = PostHeaders { share_version: 1, work_number: 61, pay_to: PAY_TO.parse().unwrap() };
    let client = Client { address: "127.0.0.1".parse().unwrap(), exempt: true };
    let reservation = shared.budget.reservation();
    let body: Bytes = many(0..10).as_flattened().to_vec().into();
    let prefixes = Prefixes::default().of_whole(&body);
    jobs.send(Job { headers, body, prefixes, client, received: Instant::now(), reply, reservation })
        .unwrap_or_else(|_| panic!("the queue has room"));
    drop(jobs);
    tokio::task::spawn_blocking(move || checking::work(&shared, &queue, &Metrics::new().busy_threads(1)))
        .await
        .unwrap();
    assert!(pool.events().is_empty());
    assert_eq!(pool.post(&many(0..10)).await.count("accepted"), 10);
}

#[tokio::test]
async fn w9_r_a11_duplicates_are_known_after_a_restart_however_they_are_cut() {
    let pool = Pool::unchecked().await;
    assert_eq!(pool.post(&many(0..30)).await.count("accepted"), 30);
    let pool = pool.restart().await;
    let cut = pool.post(&many(10..40)).await;
    assert_eq!((cut.count("accepted"), cut.count("dup")), (10, 20));
    let pool = pool.restart().await;
    assert_eq!(pool.post(&many(0..40)).await.count("accepted"), 0);
    assert_eq!(pool.events().iter().map(|event| event.accepted).sum::<u32>(), 40);
}

#[tokio::test]
async fn duplicates_survive_a_chain_that_leaves_a_block_and_comes_back() {
    let pool = Pool::unchecked().await;
    let on = |branch: u8| move |slots: &Slots| slots.has(Height(60), &fake_master::hash(branch, 60));
    assert_eq!(pool.post(&many(0..5)).await.count("accepted"), 5);
    pool.master.put("config.json", config_on(2, TIP, |_| {}));
    pool.until(on(2)).await;
    pool.master.put("config.json", config_on(1, TIP, |_| {}));
    pool.until(on(1)).await;
    assert_eq!(pool.post(&many(0..5)).await.count("accepted"), 0);
}

#[tokio::test]
async fn heights_that_were_given_up_are_not_taken_again() {
    let pool = Pool::unchecked().await;
    assert_eq!(pool.post_for(57, &[made_for(57, 1)]).await.count("accepted"), 1);
    pool.master.put("config.json", config_on(1, 70, |_| {}));
    pool.until(|slots| slots.has_height(70)).await;
    pool.master.put("config.json", config_on(1, TIP, |_| {}));
    pool.until(|slots| !slots.has_height(70)).await;
    let answered = pool.post_for(57, &[made_for(57, 1)]).await;
    assert!(answered.error().starts_with("not_ready"), "its duplicate table is gone: {}", answered.error());
}

#[tokio::test]
async fn r_a12_a_height_takes_the_easiest_target_that_was_published_meanwhile() {
    let pool = Pool::unchecked().await;
    let with_bits = |number, bits: u32| {
        let mut bytes = made(number);
        bytes[8..12].copy_from_slice(&bits.to_le_bytes());
        bytes
    };
    let easiest = |bits: u32| {
        move |slots: &Slots| slots.at(Some(Height(60)), 0).is_ok_and(|slot| slot.easiest.0 == bits)
    };
    assert!(pool.post(&[with_bits(1, 0x2040_0000)]).await.error().starts_with("not_enough_work"));
    put_config(&pool.master, |config| config.ann_target = Some(CompactTarget(0x2040_0000)));
    pool.until(easiest(0x2040_0000)).await;
    assert_eq!(pool.post(&[with_bits(1, 0x2040_0000)]).await.count("target"), 0x2040_0000);
    put_config(&pool.master, |config| config.ann_target = Some(CompactTarget(0x2010_0000)));
    let view = pool.master.asked("config.json");
    while pool.master.asked("config.json") < view + 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(pool.post(&[with_bits(2, 0x2040_0000)]).await.count("accepted"), 1);
}

#[tokio::test]
async fn r_a13_work_bits_that_only_look_easy_neither_pass_nor_raise_the_credit() {
    let pool = Pool::unchecked().await;
    put_config(&pool.master, |config| config.ann_target = Some(CompactTarget(0x207f_ffff)));
    pool.until(|slots| slots.at(Some(Height(60)), 0).is_ok_and(|slot| slot.easiest.0 == 0x207f_ffff)).await;
    for bits in [0x2000_0001_u32, 0, 0x2080_0001, 0x0100_0001, 0x2100_ffff, 0x207f_ffff + 1] {
        let mut crafted = made(7);
        crafted[8..12].copy_from_slice(&bits.to_le_bytes());
        let answered = pool.post(&[made(1), crafted]).await;
        assert!(answered.error().starts_with("not_enough_work"), "{bits:08x}: {}", answered.error());
    }
    let mut harder = made(2);
    harder[8..12].copy_from_slice(&0x1f7f_ffff_u32.to_le_bytes());
    assert_eq!(pool.post(&[harder, made(1)]).await.count("target"), u64::from(BITS.0), "the easiest counts");
}

#[tokio::test]
async fn both_soft_versions_are_taken_by_their_own_rule() {
    let pool = Pool::unchecked().await;
    let mut with_content = made(1);
    with_content[24] = 1;
    let headers = |version| [("x-pc-sver", version), ("x-pc-worknum", "61"), ("x-pc-payto", PAY_TO)];
    for (version, announcement, accepted) in
        [("1", made(2), true), ("1", with_content, false), ("2", made(3), false), ("2", with_content, true)]
    {
        let answered = pool.submit_headers(&headers(version), announcement.to_vec()).await;
        assert_eq!(answered.status == StatusCode::OK, accepted, "{version}: {}", answered.json);
        assert!(accepted || answered.error().starts_with("submit_elsewhere"));
    }
}

#[tokio::test]
async fn a_replaced_parent_is_refused_when_the_post_is_judged() {
    let pool = Pool::recorded("annhandler/config.json", |_| {}).await;
    let slots = pool.handler.shared.slots.load_full();
    assert!(!slots.has(Height(60), &BlockHash::default()));
    assert!(
        slots.replaced(Height(60), &BlockHash::default())
            && slots.replaced(Height(63), &BlockHash::default())
    );
    assert!(!slots.replaced(Height(40), &BlockHash::default()), "nothing is known of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_posted_by_many_at_once_is_accepted_once() {
    let pool = Arc::new(Pool::unchecked().await);
    let posts = (0..16).map(|start| {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move { pool.post(&many(start * 8..start * 8 + 64)).await.count("accepted") })
    });
    let mut accepted = 0;
    for post in posts.collect::<Vec<_>>() {
        accepted += post.await.unwrap();
    }
    assert_eq!(accepted, 15 * 8 + 64);
    assert_eq!(pool.events().iter().map(|event| u64::from(event.accepted)).sum::<u64>(), accepted);
}

#[tokio::test]
async fn v7_too_many_bytes_are_answered_overloaded_in_the_words_of_the_reference() {
    let pool = Pool::unchecked().await;
    let url = pool.config.master.pool_url.clone();
    let change = |config: &mut AnnHandlerConfig| {
        config.queue_bytes = 2048;
        config.skip_check_chance = 1.0;
    };
    let pool = Pool::start_with(pool.master, &url, tempfile::tempdir().unwrap(), change).await;
    pool.ready().await;
    let refused = pool.post(&many(0..3)).await;
    assert_eq!((refused.status, refused.error()), (StatusCode::SERVICE_UNAVAILABLE, "overloaded"));
    assert!(refused.retry_after);
    assert_eq!(pool.post(&many(0..2)).await.count("accepted"), 2, "the room came back");
}

#[tokio::test]
async fn v7_a_full_duplicate_table_is_overload_too() {
    let pool = Pool::unchecked().await;
    let url = pool.config.master.pool_url.clone();
    let change = |config: &mut AnnHandlerConfig| {
        config.announcements_per_height = 10;
        config.skip_check_chance = 1.0;
    };
    let pool = Pool::start_with(pool.master, &url, tempfile::tempdir().unwrap(), change).await;
    pool.ready().await;
    assert_eq!(pool.post(&many(0..8)).await.count("accepted"), 8);
    assert_eq!(pool.post(&many(8..11)).await.error(), "overloaded");
}

#[tokio::test]
async fn r_a6_a_sample_finds_what_is_bad_and_its_sender_has_to_wait() {
    let pool = Pool::unchecked().await;
    let url = pool.config.master.pool_url.clone();
    let change = |config: &mut AnnHandlerConfig| config.skip_check_chance = 0.5;
    let pool = Pool::start_with(pool.master, &url, tempfile::tempdir().unwrap(), change).await;
    pool.ready().await;
    let post = || {
        let mut request = Request::builder().method(Method::POST).uri("/x/submit");
        for (name, value) in [("x-pc-sver", "1"), ("x-pc-worknum", "61"), ("x-pc-payto", PAY_TO)] {
            request = request.header(name, value);
        }
        request.body(Body::from(many(0..64).as_flattened().to_vec())).unwrap()
    };
    let first = pool.request(post()).await;
    assert_eq!(first.status(), StatusCode::BAD_REQUEST);
    let second = pool.request(post()).await;
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(second.headers().contains_key("retry-after"));
    assert!(pool.events().is_empty());
}

#[tokio::test]
async fn r_d1_accepted_announcements_are_served_to_block_miners_as_immutable_files() {
    let pool = Pool::unchecked().await;
    let url = pool.config.master.pool_url.clone();
    let change = |config: &mut AnnHandlerConfig| {
        config.block_miner_password = "bmpass".to_owned();
        config.skip_check_chance = 1.0;
    };
    let pool = Pool::start_with(pool.master, &url, tempfile::tempdir().unwrap(), change).await;
    pool.ready().await;
    let body = many(0..1024);
    pool.post(&body).await;
    let (answer, index) = pool.get("/any/anns/index.json", None).await;
    assert_eq!(
        (answer.status(), &answer.headers()["cache-control"]),
        (StatusCode::OK, &"max-age=3".parse().unwrap())
    );
    let index = BatchIndex::parse(&index).unwrap();
    let [name] = index.names().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((name.parent_height, name.handler, index.highest_file), (Height(60), 0, name.file_number));
    let path = format!("/anns/{name}");
    let (answer, file) = pool.get(&path, Some("bmpass")).await;
    assert_eq!(file, body.as_flattened());
    assert_eq!(answer.headers()["cache-control"], "max-age=31536000, immutable");
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    let (_, served) = pool.get("/served.json", None).await;
    let served: ServedAnnouncements = serde_json::from_slice(&served).unwrap();
    assert_eq!(served.bytes, 1024 * 1024, "what was sent is told");
    for (password, text) in [(None, "\"x-pc-passwd missing\""), (Some("x"), "\"x-pc-passwd incorrect\"")] {
        let (answer, body) = pool.get(&path, password).await;
        assert_eq!((answer.status(), &body[..]), (StatusCode::UNAUTHORIZED, text.as_bytes()));
    }
    assert_eq!(pool.get("/anns/anns_1_2_3.bin", Some("bmpass")).await.0.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn r_d3_a_name_is_not_used_again_after_a_restart() {
    let pool = Pool::unchecked().await;
    pool.post(&many(0..1024)).await;
    let [before] = pool.batch_names().await.try_into().unwrap();
    assert!(before.file_number > 1_700_000_000_000, "milliseconds of the start");
    let pool = pool.restart().await;
    pool.post(&many(1024..2048)).await;
    let [after] = pool.batch_names().await.try_into().unwrap();
    assert!(after.file_number > before.file_number, "{before} and {after}");
}

#[tokio::test]
async fn r_d4_without_a_password_none_is_asked_for() {
    let pool = Pool::unchecked().await;
    let body = many(0..1024);
    pool.post(&body).await;
    let [name] = pool.batch_names().await.try_into().unwrap();
    for password in [None, Some("whatever")] {
        let (answer, file) = pool.get(&format!("/anns/{name}"), password).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(file, body.as_flattened());
    }
}

#[tokio::test]
async fn r_h1_prefixes_slashes_and_query_strings_are_accepted() {
    let pool = Pool::unchecked().await;
    for (number, path) in ["/submit", "/submit/", "/submit?x=1", "/ann/one/submit"].into_iter().enumerate() {
        let mut request = Request::builder().method(Method::POST).uri(path);
        for (name, value) in [("x-pc-sver", "1"), ("x-pc-worknum", "61"), ("x-pc-payto", PAY_TO)] {
            request = request.header(name, value);
        }
        let answered = pool.submit(request.body(Body::from(made(number as u32).to_vec())).unwrap()).await;
        assert_eq!(answered.count("accepted"), 1, "{path}");
    }
}

#[tokio::test]
async fn r_s1_accepted_announcements_are_sprayed() {
    let pool = Pool::unchecked().await;
    let url = pool.config.master.pool_url.clone();
    let change = |config: &mut AnnHandlerConfig| {
        config.sprayer = Some(SprayerConfig::new("127.0.0.1:0".parse().unwrap(), "bmpass"));
        config.skip_check_chance = 1.0;
    };
    let pool = Pool::start_with(pool.master, &url, tempfile::tempdir().unwrap(), change).await;
    pool.ready().await;
    let miner = UdpSocket::bind("127.0.0.1:0").unwrap();
    miner.set_nonblocking(true).unwrap();
    let miner = tokio::net::UdpSocket::from_std(miner).unwrap();
    let sprayer = pool.handler.sprayer_address().unwrap();
    let mut datagram = vec![0; 70_000];
    let received = async {
        let mut number = 0;
        loop {
            miner.send_to(&Subscription::new("bmpass").to_datagram(), sprayer).await.unwrap();
            pool.post(&[made(number)]).await;
            number += 1;
            let arrived = tokio::time::timeout(Duration::from_millis(20), miner.recv(&mut datagram)).await;
            if let Ok(Ok(length)) = arrived {
                break Datagram::split(&datagram[..length]).records().next().unwrap();
            }
        }
    };
    let record = received.await;
    assert_eq!((record.counter, record.announcement.header().parent_height), (0, Height(60)));
}

#[test]
fn a_chance_that_is_none_is_refused_at_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for chance in [-0.1, 1.1, f64::NAN] {
        let mut config =
            AnnHandlerConfig::new("a", OWN_URL, dir.path(), "http://127.0.0.1:1", Rules::NEW_CHAIN);
        config.skip_check_chance = chance;
        let started = runtime.block_on(AnnHandler::start(
            config,
            http_client::client().unwrap(),
            &Metrics::new(),
            CancellationToken::new(),
        ));
        assert!(matches!(started, Err(AnnHandlerFault::SkipCheckChance(_))), "{chance}");
    }
}

#[tokio::test]
async fn a_handler_of_which_any_part_dies_ends_and_another_goes_on() {
    let mut pool = Pool::unchecked().await;
    for part in pool.handler.parts.names() {
        pool.handler.parts.kill(part);
        pool.handler.parts.stop().cancelled().await;
        // Nobody else is told to stop.
        assert!(!pool.shutdown.is_cancelled());
        pool = pool.restart().await;
    }
    pool.handler.shared.outbox.kill_writer();
    pool.handler.parts.stop().cancelled().await;
    assert!(!pool.shutdown.is_cancelled());
    pool.restart().await;
}
