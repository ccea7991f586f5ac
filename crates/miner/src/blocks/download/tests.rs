//! Downloads from handlers that serve what each test says.

use tokio_util::sync::DropGuard;

use super::*;
use crate::{
    blocks::test_chain::followed,
    fake_pool::{FakePool, Reaction},
    pool_client::known_chain::tests::hash,
};

fn name(parent: u32, number: u64) -> BatchName {
    BatchName { parent_height: Height(parent), handler: 0, file_number: number }
}

fn index(numbers: std::ops::Range<u64>) -> BatchIndex {
    BatchIndex::of(&numbers.map(|number| name(18, number)).collect::<Vec<_>>())
}

#[test]
fn the_newest_files_are_taken_first_and_nothing_twice() {
    let mut wanted = Wanted::default();
    wanted.take_index(&index(0..5), Height(0));
    assert_eq!(wanted.take_newest(), Some(name(18, 4)));
    wanted.take_index(&index(3..8), Height(0));
    let rest: Vec<u64> = std::iter::from_fn(|| wanted.take_newest()).map(|name| name.file_number).collect();
    assert_eq!(rest, [7, 6, 5, 3], "4 is known, and 0 to 2 are no longer there");
    wanted.take_index(&index(3..8), Height(0));
    assert_eq!(wanted.take_newest(), None);
}

#[test]
fn old_parents_and_overlong_indexes_are_cut() {
    let mut wanted = Wanted::default();
    let old = BatchIndex::of(&[name(5, 1), name(18, 2)]);
    wanted.take_index(&old, Height(6));
    assert_eq!((wanted.take_newest(), wanted.take_newest()), (Some(name(18, 2)), None));
    wanted.take_index(&index(10..10 + 2 * MOST_WANTED as u64), Height(0));
    assert_eq!(wanted.waiting.len(), MOST_WANTED);
    assert_eq!(wanted.take_newest(), Some(name(18, 9 + 2 * MOST_WANTED as u64)));
}

#[test]
fn a_file_that_cannot_be_had_is_asked_for_three_times() {
    let mut wanted = Wanted::default();
    let mut tries = 0;
    for _ in 0..10 {
        wanted.take_index(&index(0..1), Height(0));
        if let Some(name) = wanted.take_newest() {
            tries += 1;
            wanted.try_again(name);
        }
    }
    assert_eq!(tries, MOST_TRIES);
    wanted.take_index(&index(1..2), Height(0));
    assert!(wanted.failures.is_empty(), "what is gone is forgotten");
}

struct Setup {
    fake: FakePool,
    arrivals: mpsc::Receiver<Arrival>,
    _guards: [DropGuard; 2],
}

async fn setup(password: Option<&str>) -> Setup {
    let (fake, pool, guard) = followed(20).await;
    let (sender, arrivals) = mpsc::channel(4);
    let source = HttpSource {
        password: password.map(str::to_owned),
        downloaders: std::num::NonZeroUsize::MIN,
        index_interval: Duration::from_millis(20),
    };
    let shutdown = CancellationToken::new();
    tokio::spawn(Downloads::new(pool, source, sender).unwrap().run(shutdown.clone()));
    Setup { fake, arrivals, _guards: [guard, shutdown.drop_guard()] }
}

impl Setup {
    fn serve_file(&self, handler: &str, name: BatchName, byte: u8) {
        self.fake.serve_bytes(&format!("/ann/{handler}/anns/{name}"), vec![byte; 1024]);
    }

    fn serve_index(&self, handler: &str, index: &BatchIndex) {
        self.fake.serve_bytes(&format!("/ann/{handler}/anns/index.json"), index.to_json());
    }

    async fn next(&mut self) -> u8 {
        let arrival = tokio::time::timeout(Duration::from_mins(1), self.arrivals.recv()).await;
        arrival.expect("in time").expect("a file").bytes[0]
    }
}

#[tokio::test]
async fn r_b4_files_of_the_index_are_fetched_newest_first() {
    let mut setup = setup(None).await;
    (1..=3).for_each(|number| setup.serve_file("a", name(18, number.into()), number));
    setup.serve_index("a", &index(1..4));
    let mut got = [setup.next().await, setup.next().await, setup.next().await];
    // The first index may be read when only some files are served.
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3]);
    setup.serve_file("a", name(18, 4), 4);
    setup.serve_index("a", &index(2..5));
    assert_eq!(setup.next().await, 4);
    assert_eq!(setup.fake.seen("/anns/anns_").len(), 4);
    assert!(setup.fake.seen("/anns/").iter().all(|seen| !seen.headers.contains_key("x-pc-passwd")));
}

#[tokio::test]
async fn the_password_is_sent_for_files_only() {
    let mut setup = setup(Some("secret")).await;
    setup.serve_file("a", name(18, 1), 1);
    setup.serve_index("a", &index(1..2));
    assert_eq!(setup.next().await, 1);
    assert_eq!(setup.fake.seen("/anns/anns_")[0].headers["x-pc-passwd"], "secret");
    assert!(!setup.fake.seen("index.json")[0].headers.contains_key("x-pc-passwd"));
}

#[tokio::test]
async fn bad_answers_do_not_stop_the_downloads() {
    let mut setup = setup(None).await;
    for bad in [
        b"".to_vec(),
        b"{\"files\":7}".to_vec(),
        b"{\"highestAnnFile\":1,\"files\":[\"../../etc/passwd\"]}".to_vec(),
    ] {
        let before = setup.fake.seen("index.json").len();
        setup.fake.serve_bytes("/ann/a/anns/index.json", bad);
        setup.fake.wait_for("index.json", before + 2).await;
    }
    setup.fake.serve("/ann/a/anns/anns_18_0_2.bin", Reaction::Answer(500, Vec::new()));
    setup.serve_file("a", name(18, 1), 1);
    setup.serve_index("a", &index(1..4));
    assert_eq!(setup.next().await, 1);
    setup.fake.wait_for("anns_18_0_2", usize::from(MOST_TRIES)).await;
    assert_eq!(setup.fake.seen("anns_18_0_3").len(), 1, "what is not there is not asked for again");
}

#[tokio::test]
async fn handlers_come_and_go_with_the_configuration() {
    let mut setup = setup(None).await;
    setup.serve_file("a", name(18, 1), 1);
    setup.serve_index("a", &index(1..2));
    assert_eq!(setup.next().await, 1);
    setup.serve_file("b", name(18, 7), 7);
    setup.serve_index("b", &index(7..8));
    setup.fake.serve_config(&setup.fake.config(hash(1, 20), 20, &["b"]));
    assert_eq!(setup.next().await, 7);
    let before = setup.fake.seen("/ann/b/anns/index.json").len();
    let at_a = setup.fake.seen("/ann/a/anns/index.json").len();
    setup.fake.wait_for("/ann/b/anns/index.json", before + 5).await;
    assert!(setup.fake.seen("/ann/a/anns/index.json").len() <= at_a + 1);
}
