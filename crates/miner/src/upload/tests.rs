//! Uploads to a pool that answers as each test says.

use packetcrypt::{Announcement, AnnouncementHash, BlockHash, CompactTarget, Height, SigningKey};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::{
    announcements::Job,
    fake_pool::{FakePool, PAY_TO, Reaction, Seen, reply_for_announcements, reply_with_error},
    pool_client::{
        FollowOptions, follow,
        known_chain::tests::{hash, info},
    },
};

struct Setup {
    fake: FakePool,
    uploads: Arc<PoolUploads>,
    _guard: DropGuard,
}

const POLL: Duration = Duration::from_millis(20);

fn settings() -> UploadSettings {
    UploadSettings {
        pay_to: PktAddress::parse(PAY_TO).unwrap(),
        uploaders: NonZeroUsize::new(2).unwrap(),
        timeout: Duration::from_secs(20),
        batch_age: Duration::from_millis(30),
        drain: Duration::from_secs(20),
    }
}

fn job(height: u32) -> Arc<Job> {
    Arc::new(Job {
        parent: hash(1, height),
        parent_height: Height(height),
        target: CompactTarget(0x207f_ffff),
        signing_key: None,
    })
}

fn found(job: &Arc<Job>, number: u32) -> Found {
    let mut bytes = [0; 1024];
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    bytes[12..16].copy_from_slice(&job.parent_height.0.to_le_bytes());
    Found::new(Announcement::from_bytes(&bytes), Arc::clone(job))
}

/// A pool with its tip at height 20 that is known completely, and uploads to it.
async fn setup(handlers: &[&str], is_primary: bool, settings: UploadSettings) -> Setup {
    let fake = FakePool::start().await;
    for height in 0..=26 {
        let previous = if height == 0 { BlockHash::default() } else { hash(1, height - 1) };
        fake.serve_block(&info(1, height, previous));
    }
    fake.serve_config(&fake.config(hash(1, 20), 20, handlers));
    let shutdown = CancellationToken::new();
    let options = FollowOptions { poll: POLL, depth: 6 };
    let pool = follow(fake.url(), options, shutdown.clone()).unwrap();
    wait_for_view(&pool, 20).await;
    let uploads = Arc::new(PoolUploads::new(pool, is_primary, settings).unwrap());
    Setup { fake, uploads, _guard: shutdown.drop_guard() }
}

async fn wait_for_view(pool: &FollowedPool, height: u32) {
    let mut views = pool.views();
    let known = views.wait_for(|view| {
        view.as_ref().is_some_and(|view| view.tip().0 == Height(height) && view.chain.from_tip().count() >= 6)
    });
    tokio::time::timeout(Duration::from_mins(1), known).await.unwrap().unwrap();
}

impl Setup {
    /// Waits until the fate of so many announcements is known.
    async fn settled(&self, announcements: u64) -> CountsAt {
        let settled = async {
            while self.uploads.counts().now().settled() < announcements {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), settled).await.expect("settled in time");
        self.uploads.counts().now()
    }

    fn offer(&self, job: &Arc<Job>, numbers: std::ops::Range<u32>) {
        numbers.for_each(|number| self.uploads.offer(&found(job, number)));
    }
}

/// The hashes of the announcements of a post.
fn posted(seen: &Seen) -> Vec<AnnouncementHash> {
    Announcement::all_in(&seen.body).unwrap().map(|announcement| announcement.announcement_hash()).collect()
}

#[tokio::test]
async fn uploads_are_split_over_the_handlers_by_hash() {
    let setup = setup(&["a", "b"], true, settings()).await;
    setup.offer(&job(18), 0..100);
    let counts = setup.settled(100).await;
    assert_eq!(counts.accepted, 100);
    for (number, name) in [(0, "/ann/a/submit"), (1, "/ann/b/submit")] {
        let posts = setup.fake.seen(name);
        assert!(!posts.is_empty());
        for post in posts {
            assert!(posted(&post).iter().all(|hash| hash.prefix() % 2 == number));
            assert_eq!(post.headers["x-pc-sver"], "1");
            assert_eq!(post.headers["x-pc-annver"], "1");
            assert_eq!(post.headers["x-pc-worknum"], "19");
            assert_eq!(post.headers["x-pc-payto"], PAY_TO);
        }
    }
    assert_eq!(setup.uploads.counts().uploading(), 0);
}

#[tokio::test]
async fn r_n1_a_trickle_is_uploaded_without_another_announcement() {
    let setup = setup(&["a"], true, settings()).await;
    setup.offer(&job(18), 0..1);
    assert_eq!(setup.settled(1).await.accepted, 1);
    assert_eq!(setup.fake.seen("/submit")[0].body.len(), 1024);
}

#[tokio::test]
async fn r_n2_a_failed_upload_is_repeated_once() {
    let setup = setup(&["a"], true, settings()).await;
    setup.fake.react("/ann/a/submit", Reaction::Answer(502, b"bad gateway".to_vec()));
    setup.offer(&job(18), 0..3);
    let counts = setup.settled(3).await;
    assert_eq!((counts.accepted, counts.lost, counts.repeated), (3, 0, 3));
    let posts = setup.fake.seen("/submit");
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0].body, posts[1].body);
}

#[tokio::test]
async fn r_n2_a_second_failure_is_final() {
    let setup = setup(&["a"], true, settings()).await;
    for _ in 0..2 {
        setup.fake.react("/ann/a/submit", Reaction::Answer(200, b"<html>".to_vec()));
    }
    setup.offer(&job(18), 0..3);
    let counts = setup.settled(3).await;
    assert_eq!((counts.accepted, counts.lost), (0, 3));
    assert_eq!(counts.good_rate_percent(true), 0);
    setup.offer(&job(18), 3..5);
    assert_eq!(setup.settled(5).await.accepted, 2, "the handler is tried again after a pause");
    assert_eq!(setup.fake.seen("/submit").len(), 3);
}

#[tokio::test]
async fn r_n2_an_overloaded_handler_is_left_alone_for_a_while() {
    let setup = setup(&["a"], true, settings()).await;
    setup.fake.react("/ann/a/submit", Reaction::Answer(503, reply_with_error("overloaded")));
    setup.fake.react("/ann/a/submit", Reaction::Answer(400, reply_with_error("overloaded")));
    setup.offer(&job(18), 0..4);
    let counts = setup.settled(4).await;
    assert_eq!((counts.overload, counts.repeated), (4, 4));
    assert_eq!(setup.fake.seen("/submit").len(), 2);
}

#[tokio::test]
async fn r_n2_what_no_handler_takes_any_more_is_not_repeated() {
    let setup = setup(&["a"], true, settings()).await;
    setup.fake.react("/ann/a/submit", Reaction::Answer(500, Vec::new()));
    setup.offer(&job(14), 0..4);
    assert_eq!(setup.settled(4).await.lost, 4);
    assert_eq!(setup.fake.seen("/submit").len(), 0, "14 is more than five below 20");
    setup.offer(&job(15), 4..8);
    setup.settled(8).await;
    assert_eq!(setup.fake.seen("/submit").len(), 2, "15 is not");
}

#[tokio::test]
async fn answers_are_counted_as_they_are_not_as_one_hopes() {
    let setup = setup(&["a"], true, settings()).await;
    for reaction in [
        Reaction::Answer(200, reply_for_announcements(1, 2)),
        Reaction::Answer(400, reply_with_error("submit_elsewhere: submit elsewhere: announcement 0")),
        Reaction::Answer(200, reply_for_announcements(u32::MAX, u32::MAX)),
    ] {
        setup.fake.react("/ann/a/submit", reaction);
    }
    for round in 0..3 {
        setup.offer(&job(18), round * 4..round * 4 + 4);
        setup.settled(u64::from(round) * 4 + 4).await;
    }
    let counts = setup.uploads.counts().now();
    assert_eq!((counts.accepted, counts.duplicate), (1 + 4, 2));
    assert_eq!(counts.rejected["submit_elsewhere"], 4);
    assert_eq!(counts.rejected_in_all(), 1 + 4);
    assert_eq!(setup.fake.seen("/submit").len(), 3, "what was refused is not repeated");
}

#[tokio::test]
async fn the_newest_batch_goes_first_and_the_oldest_overflow() {
    let mut settings = settings();
    settings.uploaders = NonZeroUsize::MIN;
    settings.batch_age = Duration::from_hours(1);
    settings.drain = Duration::from_mins(1);
    let setup = setup(&["a"], true, settings).await;
    // Each change of the parent closes a batch of one; the first failure makes the others wait.
    setup.fake.react("/ann/a/submit", Reaction::Answer(500, Vec::new()));
    for number in 0..110 {
        setup.offer(&job(17 + number % 2), number..number + 1);
    }
    let overflowed = setup.settled(8).await;
    assert_eq!(overflowed.accepted, 0);
    setup.uploads.drain().await;
    let counts = setup.uploads.counts().now();
    assert_eq!(counts.settled(), 110);
    assert_eq!(counts.accepted + counts.overflow, 110);
    assert!(counts.overflow >= 8, "{counts:?}");
    let posts = setup.fake.seen("/submit");
    let newest = posted(&posts[1]);
    assert_eq!(newest, [found(&job(18), 109).hash], "after the pause the newest of all is sent");
}

#[tokio::test]
async fn an_invalid_handler_counts_as_rejected_without_sending() {
    let setup = setup(&["a"], true, settings()).await;
    let mut config = setup.fake.config(hash(1, 21), 21, &["a"]);
    config.submit_ann_urls = vec!["http://invalid/1/submit".into(), "http://invalid/2/submit".into()];
    setup.fake.serve_config(&config);
    wait_for_view(setup.uploads.pool(), 21).await;
    setup.offer(&job(21), 0..10);
    let counts = setup.settled(10).await;
    assert_eq!(counts.rejected["handler_invalid"], 10);
    assert_eq!(setup.fake.seen("/submit").len(), 0);
}

#[tokio::test]
async fn r_n8_after_a_change_of_handlers_old_parents_keep_their_assignment() {
    let setup = setup(&["a"], true, settings()).await;
    setup.fake.serve_config(&setup.fake.config(hash(1, 21), 21, &["b", "c"]));
    wait_for_view(setup.uploads.pool(), 21).await;
    setup.uploads.retire_handlers(&setup.uploads.pool().view().unwrap());
    setup.offer(&job(20), 0..50);
    setup.settled(50).await;
    let to = |name: &str| setup.fake.seen(name).iter().map(|post| post.body.len() / 1024).sum::<usize>();
    assert_eq!((to("/ann/a/"), to("/ann/b/") + to("/ann/c/")), (50, 0));
    setup.offer(&job(21), 50..100);
    setup.settled(100).await;
    assert_eq!((to("/ann/a/"), to("/ann/b/") + to("/ann/c/")), (50, 50));
}

#[tokio::test]
async fn r_n6_signed_announcements_go_to_the_primary_pool_only() {
    let signed = Arc::new(Job { signing_key: SigningKey::new([7; 32]), ..(*job(18)).clone() });
    let primary = setup(&["a"], true, settings()).await;
    let other = setup(&["a"], false, settings()).await;
    primary.offer(&signed, 0..5);
    other.offer(&signed, 0..5);
    assert_eq!(primary.settled(5).await.accepted, 5);
    assert_eq!(other.settled(5).await.rejected["signed_for_another_pool"], 5);
    assert_eq!(other.fake.seen("/submit").len(), 0);
}

#[tokio::test]
async fn another_pool_gets_only_what_it_can_take() {
    let other = setup(&["a"], false, settings()).await;
    other.offer(&job(18), 0..5);
    assert_eq!(other.settled(5).await.accepted, 5);
    let elsewhere = Arc::new(Job { parent: hash(2, 18), ..(*job(18)).clone() });
    other.offer(&elsewhere, 5..10);
    assert_eq!(other.settled(10).await.rejected["on_another_chain"], 5);
    let mut config = other.fake.config(hash(1, 21), 21, &["a"]);
    config.ann_target = Some(CompactTarget(0x203f_ffff));
    other.fake.serve_config(&config);
    wait_for_view(other.uploads.pool(), 21).await;
    other.offer(&job(18), 10..15);
    assert_eq!(other.settled(15).await.rejected["too_easy"], 5);
}

#[tokio::test]
async fn an_unreachable_pool_loses_everything_and_says_so() {
    let shutdown = CancellationToken::new();
    let options = FollowOptions { poll: POLL, depth: 6 };
    let pool = follow("http://127.0.0.1:9/master".parse().unwrap(), options, shutdown.clone()).unwrap();
    let uploads = PoolUploads::new(pool, true, settings()).unwrap();
    (0..10).for_each(|number| uploads.offer(&found(&job(18), number)));
    let counts = uploads.counts().now();
    assert_eq!(counts.lost, 10);
    assert_eq!(counts.good_rate_percent(uploads.pool().is_reachable()), 0);
    shutdown.cancel();
}

#[tokio::test]
async fn stopping_sends_what_is_left_but_does_not_wait_for_ever() {
    let mut settings = settings();
    settings.batch_age = Duration::from_hours(1);
    let first = setup(&["a"], true, settings.clone()).await;
    first.offer(&job(18), 0..3);
    first.uploads.drain().await;
    assert_eq!(first.uploads.counts().now().accepted, 3);

    settings.drain = Duration::from_millis(50);
    let second = setup(&["a"], true, settings).await;
    second.fake.react("/ann/a/submit", Reaction::Hang);
    second.offer(&job(18), 0..3);
    second.uploads.drain().await;
    let counts = second.uploads.counts().now();
    assert_eq!((counts.lost, counts.settled()), (3, 3));
    assert_eq!(second.uploads.counts().uploading(), 0);
}
