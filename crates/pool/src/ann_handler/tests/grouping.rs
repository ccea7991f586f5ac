//! Posts that are checked together, and clients whose announcements cannot be.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use packetcrypt::AnnouncementHeader;
use packetcrypt::mine::Miner;

use super::*;
use crate::ann_handler::checking::{Job, Outcome};
use crate::ann_handler::round::Round;

const ADDRESS: [u8; 4] = [192, 0, 2, 1];

/// Announcements of three hard nonces for parent height 60, with a proof of work.
static MINED: LazyLock<[Vec<[u8; 1024]>; 3]> = LazyLock::new(|| [1, 2, 3].map(mined));

fn mined(hard_nonce: u32) -> Vec<[u8; 1024]> {
    let header = AnnouncementHeader {
        version: 1,
        hard_nonce,
        work_bits: BITS,
        parent_height: Height(60),
        content_type: 0,
        content_length: 0,
        content_hash: [0; 32],
        signing_key: None,
    };
    let mut found = Vec::new();
    let mut take = |announcement: Announcement| found.push(*announcement.as_bytes());
    Miner::new().mine(&header, &fake_master::hash(1, 60), &AtomicBool::new(false), &mut take);
    found
}

/// A handler that checks every announcement.
async fn checking() -> Pool {
    let pool = Pool::unchecked().await;
    let url = pool.config.master.pool_url.clone();
    // Debts are paid back so slowly that a slow test still sees them.
    let change = |config: &mut AnnHandlerConfig| config.ungrouped_share = 1e-6;
    let pool = Pool::start_with(pool.master, &url, tempfile::tempdir().unwrap(), change).await;
    pool.ready().await;
    pool
}

impl Pool {
    /// A post from an address, and where its outcome will be told.
    fn job(&self, address: [u8; 4], announcements: &[[u8; 1024]]) -> (Job, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        let headers = PostHeaders { share_version: 1, work_number: 61, pay_to: PAY_TO.parse().unwrap() };
        let client = Client { address: IpAddr::from(address), exempt: false };
        let reservation = self.handler.shared.budget.reservation();
        let body = announcements.as_flattened();
        let prefixes = Prefixes::default().of_whole(body);
        let body = body.to_vec().into();
        (Job { headers, body, prefixes, client, received: Instant::now(), reply, reservation }, outcome)
    }

    /// Deals with posts in one round.
    async fn round(&self, jobs: Vec<(Job, oneshot::Receiver<Outcome>)>) -> Vec<Outcome> {
        let (jobs, outcomes): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        let shared = Arc::clone(&self.handler.shared);
        tokio::task::spawn_blocking(move || Round::new(&shared).deal_with(jobs)).await.unwrap();
        let mut told = Vec::new();
        for outcome in outcomes {
            told.push(outcome.await.unwrap());
        }
        told
    }

    async fn submit_from(&self, address: [u8; 4], announcements: &[[u8; 1024]]) -> Answered {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/submit")
            .header("x-pc-sver", "1")
            .header("x-pc-worknum", "61")
            .header("x-pc-payto", PAY_TO)
            .extension(Client { address: IpAddr::from(address), exempt: false })
            .body(Body::from(announcements.as_flattened().to_vec()))
            .unwrap();
        let answer = self.request(request).await;
        let (status, retry_after) = (answer.status(), answer.headers().contains_key("retry-after"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Answered { status, json: serde_json::from_slice(&body).unwrap(), retry_after }
    }
}

#[tokio::test]
async fn posts_checked_together_get_each_its_own_reply() {
    let pool = checking().await;
    let posts = (0..24).map(|number| {
        let part = |hard_nonce: usize| MINED[hard_nonce][5 * number..5 * number + 5].to_vec();
        let mut announcements = [part(0), part(1)].concat();
        match number {
            7 => announcements[3][100] ^= 1,
            11 => announcements[8][1000] ^= 1,
            13 => announcements = MINED[0][..5].to_vec(), // those of post 0 once more
            17 => announcements[0][12] ^= 1,
            _ => {}
        }
        pool.job(ADDRESS, &announcements)
    });
    let outcomes = pool.round(posts.collect()).await;
    let mut accepted = 0;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        accepted += outcome.as_ref().map_or(0, |event| event.accepted);
        match (number, outcome) {
            (7, Err(refusal)) => {
                assert_eq!(refusal, Refusal::InvalidAnnouncement { index: 3, fault: "INVAL_MERKLE" });
            }
            (11, Err(refusal)) => {
                assert_eq!(refusal, Refusal::InvalidAnnouncement { index: 8, fault: "INVAL_ITEM4" });
            }
            (0 | 13, Ok(event)) => assert!(event.duplicate == 0 || event.duplicate == 5),
            (17, Err(Refusal::WrongParentHeight { index: 0, .. })) => {}
            (number, Ok(event)) => assert_eq!((event.accepted, event.duplicate), (10, 0), "post {number}"),
            (number, Err(refusal)) => panic!("post {number}: {refusal}"),
        }
    }
    assert_eq!(accepted, 20 * 10);
    let figures = &pool.handler.shared.figures;
    // The announcements of post 7 that were still to come when its bad one was found are spared.
    assert_eq!((figures.checked.get(), figures.ungrouped.get()), (220, 0));
    assert_eq!(figures.programs_kept.get(), 2);
}

#[tokio::test]
async fn the_rest_of_a_bad_post_is_spared() {
    let pool = checking().await;
    let mut bad = MINED[0][..200].to_vec();
    for announcement in &mut bad {
        announcement[1000] ^= 1;
    }
    let outcomes = pool.round(vec![pool.job(ADDRESS, &bad), pool.job(ADDRESS, &MINED[1][..100])]).await;
    assert!(matches!(outcomes[0], Err(Refusal::InvalidAnnouncement { fault: "INVAL_ITEM4", .. })));
    assert_eq!(outcomes[1].as_ref().map(|event| event.accepted), Ok(100));
    assert_eq!(pool.handler.shared.figures.checked.get(), 164);
}

#[tokio::test]
async fn r_a14_ungrouped_announcements_are_charged_to_their_sender() {
    let pool = checking().await;
    let miner = [198, 51, 100, 2];
    let lonely = vec![MINED[0][0], MINED[1][0], MINED[2][0]];
    let outcomes = pool.round(vec![pool.job(ADDRESS, &lonely), pool.job(miner, &MINED[1][1..60])]).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let owes = |address: [u8; 4]| {
        let client = Client { address: address.into(), exempt: false };
        // An allowance that bears nothing: whatever is owed is a debt.
        let nothing = Allowance::new(1e-9, 1.0);
        pool.handler.shared.admission.debt(Counted::Ungrouped, client, nothing).is_some()
    };
    assert!(owes(ADDRESS));
    assert!(!owes([198, 51, 100, 2]));
}

#[tokio::test]
async fn r_a14_a_client_of_too_many_hard_nonces_waits_and_the_one_beside_it_does_not() {
    let pool = checking().await;
    let hostile = Client { address: IpAddr::from(ADDRESS), exempt: false };
    let second = Duration::from_secs(1);
    let pay_to = PAY_TO.parse().unwrap();
    (0..60).for_each(|_| pool.handler.shared.charge_ungrouped(hostile, &pay_to, 1000, second));
    let refused = pool.submit_from(ADDRESS, &MINED[0][..2]).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.error().starts_with("too_many_hard_nonces: ") && refused.retry_after);
    assert_eq!(pool.submit_from([192, 0, 2, 2], &MINED[0][..2]).await.count("accepted"), 2);
    // What it had posted before is not checked either.
    let outcomes = pool.round(vec![pool.job(ADDRESS, &MINED[0][2..4])]).await;
    assert!(matches!(outcomes[0], Err(Refusal::TooManyHardNonces { .. })));
}

#[tokio::test]
async fn a_stop_while_a_post_waits_for_others_loses_nothing() {
    let pool = checking().await;
    // Another post trickles in, and this one would gain by its company.
    let coming = pool.handler.shared.intake.coming_one();
    let (job, outcome) = pool.job(ADDRESS, &[MINED[0][0], MINED[1][0]]);
    assert!(pool.handler.shared.intake.offer(job).is_ok());
    pool.shutdown.cancel();
    pool.handler.stopped().await;
    assert_eq!(outcome.await.unwrap().map(|event| event.accepted), Ok(2));
    drop(coming);
}
