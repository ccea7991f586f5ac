//! Nothing acknowledged is lost, nothing is sent twice, whatever happens to process, disk and PayMaker.

use std::path::Path;
use std::sync::Mutex as StdMutex;
use std::sync::mpsc;

use axum::Router;
use axum::extract::State as Shared;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::nudge::Nudge;

fn config(dir: &Path) -> OutboxConfig {
    OutboxConfig { segment_time: Duration::from_hours(1), ..OutboxConfig::new(dir) }
}

/// Whoever it is that ends with the writer.
fn nobody() -> DropGuard {
    CancellationToken::new().drop_guard()
}

fn open(dir: &Path) -> Outbox {
    Outbox::open(&config(dir), &Metrics::new(), nobody(), |_, _| {}).unwrap()
}

/// Opens as a new process would, after the folder was left by another one.
fn reopen(dir: &Path) -> (Outbox, Vec<(u32, Vec<u8>)>) {
    let mut replayed = Vec::new();
    let outbox = loop {
        // The writer of the outbox before may still be ending.
        match Outbox::open(&config(dir), &Metrics::new(), nobody(), |scope, keys| {
            replayed.push((scope, keys.to_vec()));
        }) {
            Err(OutboxError::InUse { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    (outbox, replayed)
}

fn record(number: u32) -> Record {
    Record {
        scope: number,
        event: format!(r#"{{"number":{number}}}"#).into_bytes(),
        keys: number.to_le_bytes().repeat(3),
    }
}

impl Outbox {
    /// The thread dies while it tells of an append.
    pub(crate) fn kill_writer(&self) {
        let last = Record { scope: 0, event: br#"{"type":"last"}"#.to_vec(), keys: Vec::new() };
        self.append_then(last, |_| panic!("a test has killed the writer"));
    }
}

fn append(outbox: &Outbox, record: Record) -> Result<(), OutboxError> {
    let (told, outcome) = mpsc::channel();
    outbox.append_then(record, move |result| told.send(result).unwrap());
    outcome.recv().unwrap()
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn events_in(path: &Path) -> Vec<String> {
    let mut events = Vec::new();
    reading::read(path, |stored| events.push(String::from_utf8(stored.event.to_vec()).unwrap())).unwrap();
    events
}

#[test]
fn what_was_acknowledged_is_there_after_the_process_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    (1..=3).for_each(|number| append(&outbox, record(number)).unwrap());
    // As `kill -9` leaves it: the open segment as it lies on disk, seen by another process.
    let killed = tempfile::tempdir().unwrap();
    let [left] = files(dir.path(), "open").try_into().unwrap();
    std::fs::copy(&left, killed.path().join(left.file_name().unwrap())).unwrap();
    let (_after, replayed) = reopen(killed.path());
    assert_eq!(replayed, (1..=3).map(|number| (number, record(number).keys)).collect::<Vec<_>>());
    assert_eq!(files(killed.path(), "closed").len(), 1);
}

#[test]
fn a_clean_end_closes_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    append(&outbox, record(1)).unwrap();
    drop(outbox);
    let (outbox, replayed) = reopen(dir.path());
    assert_eq!((outbox.unconfirmed(), replayed.len()), (1, 1));
}

#[test]
fn a_sync_that_waits_for_others_makes_all_of_them_durable() {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig { gather_time: Duration::from_millis(2), ..config(dir.path()) };
    let outbox = Outbox::open(&config, &Metrics::new(), nobody(), |_, _| {}).unwrap();
    let (told, outcomes) = mpsc::channel();
    for number in 1..=300 {
        let told = told.clone();
        outbox.append_then(record(number), move |result| told.send(result).unwrap());
    }
    drop(told);
    assert_eq!(outcomes.iter().map(Result::unwrap).count(), 300);
    drop(outbox);
    let (_outbox, replayed) = reopen(dir.path());
    assert_eq!(replayed.len(), 300);
}

#[tokio::test]
async fn the_death_of_the_writer_ends_whoever_stands_on_it_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ends = CancellationToken::new();
    let outbox = Outbox::open(&config(dir.path()), &Metrics::new(), ends.clone().drop_guard(), |_, _| {});
    let outbox = outbox.unwrap();
    outbox.append(record(1)).await.unwrap();
    assert!(!ends.is_cancelled());
    outbox.kill_writer();
    ends.cancelled().await;
    assert!(matches!(outbox.append(record(3)).await, Err(OutboxError::Closed)));
    drop(outbox);
    // What killed it was on disk, though nobody was told so.
    let (_outbox, replayed) = reopen(dir.path());
    assert_eq!(replayed.iter().map(|(scope, _)| *scope).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _outbox = open(dir.path());
    let second = Outbox::open(&config(dir.path()), &Metrics::new(), nobody(), |_, _| {});
    assert!(matches!(second, Err(OutboxError::InUse { .. })));
}

#[test]
fn segments_are_cut_before_an_upload_grows_past_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig { segment_event_bytes: 40, ..config(dir.path()) };
    let outbox = Outbox::open(&config, &Metrics::new(), nobody(), |_, _| {}).unwrap();
    (1..=9).for_each(|number| append(&outbox, record(number)).unwrap());
    drop(outbox);
    drop(reopen(dir.path()));
    let mut events = Vec::new();
    for file in files(dir.path(), "closed") {
        let of_file = events_in(&file);
        assert!(of_file.iter().map(|event| event.len() + 1).sum::<usize>() <= 40, "{of_file:?}");
        events.extend(of_file);
    }
    assert_eq!(events, (1..=9).map(|number| format!(r#"{{"number":{number}}}"#)).collect::<Vec<_>>());
}

#[test]
fn r_a7_a_disk_that_refuses_makes_the_append_fail_and_later_ones_work_again() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("outbox");
    let outbox = open(&dir);
    std::fs::rename(&dir, parent.path().join("gone")).unwrap();
    let refused = append(&outbox, record(1)).unwrap_err();
    assert!(matches!(refused, OutboxError::Disk { doing: "making", .. }), "{refused}");
    std::fs::create_dir(&dir).unwrap();
    append(&outbox, record(2)).unwrap();
    let [file] = files(&dir, "open").try_into().unwrap();
    assert_eq!(events_in(&file), [r#"{"number":2}"#]);
}

#[test]
fn r_a7_a_record_that_could_not_be_written_whole_is_not_uploaded() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    append(&outbox, record(1)).unwrap();
    // What a failed write may leave behind the acknowledged bytes, as far as this process knows.
    let [file] = files(dir.path(), "open").try_into().unwrap();
    let mut left = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    let mut unacknowledged = Vec::new();
    record(2).encode(&mut unacknowledged).unwrap();
    std::io::Write::write_all(&mut left, &unacknowledged).unwrap();
    drop(outbox);
    drop(reopen(dir.path()));
    let [closed] = files(dir.path(), "closed").try_into().unwrap();
    assert_eq!(events_in(&closed), [r#"{"number":1}"#]);
}

#[test]
fn a_record_of_any_length_from_outside_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let huge = Record { scope: 0, event: vec![b'x'; 2 << 20], keys: Vec::new() };
    assert!(matches!(append(&outbox, huge), Err(OutboxError::TooLarge { .. })));
    append(&outbox, record(1)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut the file at any byte: exactly the records that were whole before the cut come back.
    #[test]
    fn a_file_cut_anywhere_gives_back_every_whole_record(count in 1u32..12, cut in 0.0f64..1.0, noise: Vec<u8>) {
        let mut bytes = record::MAGIC.to_vec();
        let mut ends = Vec::new();
        for number in 0..count {
            record(number).encode(&mut bytes).unwrap();
            ends.push(bytes.len());
        }
        let cut = (bytes.len() as f64 * cut) as usize;
        bytes.truncate(cut);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        bytes.extend_from_slice(&noise);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(segment::path(dir.path(), 1, State::Open), &bytes).unwrap();
        let (outbox, replayed) = reopen(dir.path());
        prop_assert_eq!(replayed.len(), whole);
        prop_assert_eq!(outbox.unconfirmed(), whole as u64);
        // A second start finds the same.
        drop(outbox);
        prop_assert_eq!(reopen(dir.path()).1.len(), whole);
    }

    /// Change any byte: no record is invented or altered.
    #[test]
    fn a_damaged_file_never_yields_an_altered_record(count in 1u32..6, at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = record::MAGIC.to_vec();
        (0..count).for_each(|number| record(number).encode(&mut bytes).unwrap());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(segment::path(dir.path(), 1, State::Open), &bytes).unwrap();
        let (_outbox, replayed) = reopen(dir.path());
        for (position, (scope, keys)) in replayed.iter().enumerate() {
            prop_assert_eq!(*scope, position as u32);
            prop_assert_eq!(keys, &record(position as u32).keys);
        }
    }
}

/// A PayMaker that answers as told.
#[derive(Default)]
struct PayMaker {
    bodies: StdMutex<Vec<Bytes>>,
    authorizations: StdMutex<Vec<String>>,
    /// Statuses of the first answers; afterwards 200.
    statuses: StdMutex<Vec<StatusCode>>,
    wrong_ids: StdMutex<usize>,
}

impl PayMaker {
    async fn start(self) -> (Arc<Self>, String) {
        let paymaker = Arc::new(self);
        let router = Router::new().route("/pool/events", post(events)).with_state(Arc::clone(&paymaker));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/pool", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (paymaker, url)
    }
}

async fn events(
    Shared(paymaker): Shared<Arc<PayMaker>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let mut id = hex::encode(&Sha256::digest(&body)[..16]);
    paymaker.bodies.lock().unwrap().push(body);
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    paymaker.authorizations.lock().unwrap().push(authorization);
    let mut wrong_ids = paymaker.wrong_ids.lock().unwrap();
    if *wrong_ids > 0 {
        *wrong_ids -= 1;
        id = "00".repeat(16);
    }
    let mut statuses = paymaker.statuses.lock().unwrap();
    let status = if statuses.is_empty() { StatusCode::OK } else { statuses.remove(0) };
    (status, format!(r#"{{"result":{{"eventId":"{id}"}},"warn":[],"error":[]}}"#))
}

/// Runs the upload until `done`, with waits that pass at once.
async fn upload_until(outbox: &Outbox, url: String, done: impl Fn() -> bool) {
    let (_told, paymaker_url) = watch::channel(Some(url));
    let config = UploadConfig {
        paymaker_url,
        password: "pw".to_owned(),
        timeout: Duration::from_secs(20),
        now: Nudge::default(),
    };
    let shutdown = CancellationToken::new();
    let uploading = tokio::spawn(upload(
        outbox.clone(),
        config,
        reqwest::Client::new(),
        Metrics::new(),
        shutdown.clone(),
    ));
    while !done() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    uploading.await.unwrap();
}

#[tokio::test]
async fn r_l1_closed_segments_go_up_oldest_first_and_are_kept_for_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    for number in 1..=2 {
        outbox.append(record(number)).await.unwrap();
        outbox.rotate().await;
    }
    outbox.append(record(3)).await.unwrap();
    let (paymaker, url) = PayMaker::default().start().await;
    upload_until(&outbox, url, || outbox.unconfirmed() == 0).await;
    assert_eq!(*paymaker.bodies.lock().unwrap(), ["{\"number\":1}\n", "{\"number\":2}\n"]);
    assert_eq!(paymaker.authorizations.lock().unwrap()[0], "Basic eDpwdw==");
    assert_eq!(files(dir.path(), "confirmed").len(), 2);
    outbox.keys_needed_from(2);
    assert_eq!(files(dir.path(), "confirmed").len(), 1, "keys of scope 2 are still needed");
    outbox.keys_needed_from(3);
    assert_eq!(files(dir.path(), "confirmed").len(), 0);
    assert_eq!(files(dir.path(), "open").len(), 1, "the open one stays");
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_repeated_with_the_same_bytes_until_it_is_confirmed_by_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.append(record(1)).await.unwrap();
    outbox.rotate().await;
    let statuses =
        StdMutex::new(vec![StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::UNAUTHORIZED]);
    let trouble = PayMaker { statuses, wrong_ids: StdMutex::new(1), ..PayMaker::default() };
    let (paymaker, url) = trouble.start().await;
    upload_until(&outbox, url, || outbox.unconfirmed() == 0).await;
    let bodies = paymaker.bodies.lock().unwrap();
    assert_eq!(bodies.len(), 4, "wrong id, 500, 401, confirmed");
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(start_paused = true)]
async fn r_l1_a_refused_segment_is_moved_aside_after_ten_attempts_and_the_next_goes_up() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    for number in 1..=2 {
        outbox.append(record(number)).await.unwrap();
        outbox.rotate().await;
    }
    let refusing =
        PayMaker { statuses: StdMutex::new(vec![StatusCode::BAD_REQUEST; 10]), ..PayMaker::default() };
    let (paymaker, url) = refusing.start().await;
    upload_until(&outbox, url, || outbox.unconfirmed() == 0).await;
    assert_eq!(paymaker.bodies.lock().unwrap().len(), 11);
    assert_eq!(events_in(&files(dir.path(), "refused")[0]), [r#"{"number":1}"#]);
    assert_eq!(events_in(&files(dir.path(), "confirmed")[0]), [r#"{"number":2}"#]);
    outbox.keys_needed_from(u32::MAX);
    assert_eq!(files(dir.path(), "refused").len(), 1, "kept for the operator");
}

#[tokio::test]
async fn confirmed_segments_are_not_sent_again_after_a_restart_but_their_keys_are_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.append(record(7)).await.unwrap();
    outbox.rotate().await;
    let (paymaker, url) = PayMaker::default().start().await;
    upload_until(&outbox, url, || outbox.unconfirmed() == 0).await;
    drop(outbox);
    let (outbox, replayed) = reopen(dir.path());
    assert_eq!(outbox.unconfirmed(), 0);
    assert_eq!(replayed, [(7, record(7).keys)]);
    assert_eq!(paymaker.bodies.lock().unwrap().len(), 1);
}
