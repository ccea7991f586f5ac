//! Shares on their way to handlers that answer as each test says.

use packetcrypt::{
    Announcement, CanonicalTarget,
    block::{AnnouncementCount, Commitment, Header, Proof, TreeRoot},
};
use tokio_util::sync::DropGuard;

use super::*;
use crate::{
    blocks::test_chain::{followed, work},
    fake_pool::{FakePool, PAY_TO, Reaction, Seen, reply_for_share, reply_with_error},
    pool_client::known_chain::tests::hash,
};

fn share(work: &CurrentWork, nonce2: u32) -> FoundShare {
    let commitment = Commitment {
        least_work: CanonicalTarget::EASIEST,
        root: TreeRoot([3; 32]),
        count: AnnouncementCount::new(1).unwrap(),
    };
    let announcements = [0, 1, 2, 3].map(|byte| Announcement::from_bytes(&[byte; 1024]));
    let proof = Proof { nonce2, announcements, tree_proof: vec![0; 40] };
    let header = Header { nonce: 5, ..work.header };
    FoundShare { work: Arc::clone(work), post: SharePost { commitment, header, proof }, repeated: false }
}

fn nonces(queue: &ShareQueue) -> Vec<u32> {
    std::iter::from_fn(|| queue.take_newest()).map(|share| share.post.proof.nonce2).collect()
}

#[test]
fn r_b1_the_newest_share_goes_first_and_the_oldest_are_dropped() {
    let current = work(1, 21);
    let (_sender, receiver) = watch::channel(Some(Arc::clone(&current)));
    let queue = ShareQueue::new(receiver);
    for nonce2 in 0..MOST_WAITING as u32 {
        assert!(!queue.is_full());
        queue.add(share(&current, nonce2));
    }
    assert!(queue.is_full());
    queue.add(share(&current, 1000));
    assert_eq!(queue.counts().now().overflow, 1);
    let order = nonces(&queue);
    assert_eq!((order[0], order[1], order.len()), (1000, MOST_WAITING as u32 - 1, MOST_WAITING));
    assert_eq!(order.last(), Some(&1));
}

#[test]
fn r_b1_stale_shares_are_dropped() {
    let (old, other_branch, new) = (work(1, 21), work(2, 22), work(1, 22));
    let (sender, receiver) = watch::channel(Some(Arc::clone(&old)));
    let queue = ShareQueue::new(receiver);
    queue.add(share(&old, 1));
    sender.send_replace(Some(Arc::clone(&new)));
    queue.add(share(&new, 2));
    queue.add(share(&other_branch, 3));
    assert_eq!(nonces(&queue), [2]);
    assert_eq!(queue.counts().now().stale, 2);
}

struct Setup {
    fake: FakePool,
    queue: Arc<ShareQueue>,
    current: CurrentWork,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _sender: watch::Sender<Option<CurrentWork>>,
    _guard: DropGuard,
}

async fn setup() -> Setup {
    let (fake, pool, guard) = followed(20).await;
    let current = work(1, 21);
    let (sender, receiver) = watch::channel(Some(Arc::clone(&current)));
    let queue = Arc::new(ShareQueue::new(receiver));
    let uploader = ShareUploader {
        queue: Arc::clone(&queue),
        pool,
        pay_to: PktAddress::parse(PAY_TO).unwrap(),
        uploaders: NonZeroUsize::new(2).unwrap(),
        client: HttpClient::new(Duration::from_secs(20)).unwrap(),
    };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(uploader.run(shutdown.clone()));
    Setup { fake, queue, current, shutdown, task, _sender: sender, _guard: guard }
}

impl Setup {
    /// Sends a share that is answered so, and waits until its fate is known.
    async fn send(&self, reactions: Vec<Reaction>) -> ShareCounts {
        for reaction in reactions {
            self.fake.react("/blk/0/submit", reaction);
        }
        let settled = |counts: ShareCounts| counts.accepted + counts.stale + counts.rejected + counts.lost;
        let before = settled(self.queue.counts().now());
        self.queue.add(share(&self.current, before as u32));
        let known = async {
            while settled(self.queue.counts().now()) == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), known).await.expect("settled in time");
        self.queue.counts().now()
    }
}

fn parsed(seen: &Seen) -> SharePost {
    SharePost::parse(&seen.body).unwrap()
}

#[tokio::test]
async fn a_share_is_posted_in_the_protocols_form() {
    let setup = setup().await;
    let counts = setup.send(Vec::new()).await;
    assert_eq!((counts.accepted, counts.blocks), (1, 0));
    let seen = &setup.fake.seen("/blk/0/submit")[0];
    assert_eq!((seen.headers["x-pc-payto"].as_str(), seen.headers["x-pc-sver"].as_str()), (PAY_TO, "1"));
    assert_eq!(parsed(seen), share(&setup.current, 0).post);
    setup.shutdown.cancel();
    setup.task.await.unwrap();
}

#[tokio::test]
async fn answers_are_understood_as_the_protocol_says() {
    let setup = setup().await;
    let counts = setup.send(vec![Reaction::Answer(200, reply_for_share(Some(hash(1, 21))))]).await;
    assert_eq!((counts.accepted, counts.blocks), (1, 1));
    let mut already_have = reply_for_share(None);
    already_have.truncate(already_have.len() - r#""error":[],"warn":[]}"#.len());
    already_have.extend_from_slice(br#""error":["already have block"],"warn":[]}"#);
    assert_eq!(setup.send(vec![Reaction::Answer(409, already_have)]).await.accepted, 2);
    let stale = reply_with_error("Share is for wrong work, expecting previous hash [aa] but got [bb]");
    assert_eq!(setup.send(vec![Reaction::Answer(400, stale)]).await.stale, 1);
    let refused = reply_with_error("duplicate_share: duplicate share: it was accepted before");
    assert_eq!(setup.send(vec![Reaction::Answer(400, refused)]).await.rejected, 1);
    assert_eq!(setup.fake.seen("/submit").len(), 4, "none of them is repeated");
}

#[tokio::test]
async fn a_share_without_an_answer_is_sent_once_more() {
    let setup = setup().await;
    let bad = || Reaction::Answer(501, b"overloaded".to_vec());
    assert_eq!(setup.send(vec![bad()]).await.accepted, 1);
    assert_eq!(setup.send(vec![bad(), Reaction::Answer(200, b"<html>".to_vec())]).await.lost, 1);
    assert_eq!(setup.fake.seen("/submit").len(), 4);
}

#[tokio::test]
async fn the_share_id_selects_the_handler() {
    let setup = setup().await;
    let mut config = setup.fake.config(hash(1, 20), 20, &["a"]);
    config.submit_block_urls = (0..3).map(|number| setup.fake.at(&format!("/blk/{number}/submit"))).collect();
    let before = setup.fake.seen("config.json").len();
    setup.fake.serve_config(&config);
    setup.fake.wait_for("config.json", before + 3).await;
    for nonce2 in 0..12 {
        setup.queue.add(share(&setup.current, nonce2));
    }
    for seen in setup.fake.wait_for("/submit", 12).await {
        let post = parsed(&seen);
        let number = ShareId::new(&post.header, post.proof.nonce2).handler(3).unwrap();
        assert_eq!(seen.path, format!("/blk/{number}/submit"));
    }
}
