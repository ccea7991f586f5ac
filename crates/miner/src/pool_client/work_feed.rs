//! The pool's current work: the long poll brings the next block's work at once, the configuration tells of
//! everything else.

use std::{sync::Arc, time::Duration};

use packetcrypt::Height;
use reqwest::StatusCode;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::info;
use wire::work::{WorkFile, WorkId};

use super::{FollowedPool, PoolUrl};
use crate::{
    http_client::{HttpClient, HttpFault, HttpSetupFault},
    trouble::Trouble,
};

/// A Master holds a long poll for 30 s; more than that, the connection is dead.
const LONG_POLL_TIMEOUT: Duration = Duration::from_secs(45);
const WORK_TIMEOUT: Duration = Duration::from_secs(10);
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// The file at the pool's address is not yet (or no longer) that of the configured tip.
const AFTER_MISMATCH: Duration = Duration::from_secs(1);
/// Long polls that are answered faster than this are no long polls: then they are not repeated at once.
const SHORTEST_LONG_POLL: Duration = Duration::from_secs(1);

/// Work to be mined, and nothing that is older.
pub type CurrentWork = Arc<WorkFile>;

#[derive(Debug, thiserror::Error)]
enum WorkFault {
    #[error(transparent)]
    Http(#[from] HttpFault),
    #[error(transparent)]
    Format(#[from] wire::FormatError),
    #[error("work_{expected}.bin holds the work of height {found}")]
    Height { expected: Height, found: Height },
    #[error("the work of height {0} is not on top of the pool's tip")]
    NotOnTip(Height),
}

/// Starts to follow the work of a pool until `shutdown`; `None` until there is any.
pub fn follow_work(
    pool: FollowedPool,
    shutdown: CancellationToken,
) -> Result<watch::Receiver<Option<CurrentWork>>, HttpSetupFault> {
    let (sender, receiver) = watch::channel(None);
    let feed = WorkFeed {
        http: HttpClient::new(WORK_TIMEOUT)?,
        long_poll: LongPoll::new(&pool)?,
        trouble: Trouble::with(format!("work of pool {}", pool.url())),
        pool,
        sender,
    };
    tokio::spawn(shutdown.run_until_cancelled_owned(feed.run()));
    Ok(receiver)
}

/// Reads the pool's configuration as soon as there is a new block, until `shutdown`, for those who need no work. Where a
/// pool has no long poll, its blocks are noticed at the usual interval.
pub fn notice_blocks(pool: FollowedPool, shutdown: CancellationToken) -> Result<(), HttpSetupFault> {
    let long_poll = LongPoll::new(&pool)?;
    let notice = async move {
        let mut views = pool.views();
        loop {
            let current = views.borrow_and_update().as_ref().map(|view| view.config.current_height);
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                _ = long_poll.wait_for(current.and_then(|height| height.checked_add(1))) => {
                    pool.read_now();
                    // The next block to wait for is known once the configuration knows this one.
                    let newer = |height: Height| current.is_none_or(|current| height > current);
                    let waited = views.wait_for(|view| {
                        view.as_ref().is_some_and(|view| newer(view.config.current_height))
                    });
                    if tokio::time::timeout(AFTER_FAILURE, waited).await.is_ok_and(|view| view.is_err()) {
                        return;
                    }
                }
            }
        }
    };
    tokio::spawn(shutdown.run_until_cancelled_owned(notice));
    Ok(())
}

struct WorkFeed {
    pool: FollowedPool,
    http: HttpClient,
    long_poll: LongPoll,
    trouble: Trouble,
    sender: watch::Sender<Option<CurrentWork>>,
}

impl WorkFeed {
    async fn run(mut self) {
        let mut views = self.pool.views();
        let mut acted_on = None;
        let mut retry_at = None;
        loop {
            let Some(view) = views.borrow_and_update().clone() else {
                if views.changed().await.is_err() {
                    return;
                }
                continue;
            };
            // An unchanged configuration may come from a cache and be older than the work that a long poll brought.
            let wanted = WorkId { height: view.config.current_height, previous: view.config.tip_hash };
            if acted_on != Some(wanted) || retry_at.is_some_and(|time| Instant::now() >= time) {
                acted_on = Some(wanted);
                retry_at = self.fetch(wanted).await;
            }
            let next = self.held_height().unwrap_or(view.config.current_height).checked_add(1);
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                () = sleep_until(retry_at) => {}
                work = self.long_poll.wait_for(next) => self.publish(work),
            }
        }
    }

    fn held_height(&self) -> Option<Height> {
        self.sender.borrow().as_ref().map(|work| work.height)
    }

    /// Gets the work that the configuration speaks of, unless it is held already. The result: when to try again.
    async fn fetch(&mut self, wanted: WorkId) -> Option<Instant> {
        if self.sender.borrow().as_ref().is_some_and(|work| work.id() == wanted) {
            return None;
        }
        match self.read(wanted.height).await {
            Ok(work) if work.id() == wanted => {
                self.trouble.over();
                self.publish(work);
                None
            }
            Ok(work) => {
                self.trouble.happened(WorkFault::NotOnTip(work.height));
                self.pool.read_now();
                Some(Instant::now() + AFTER_MISMATCH)
            }
            Err(fault) => {
                self.trouble.happened(fault);
                Some(Instant::now() + AFTER_FAILURE)
            }
        }
    }

    async fn read(&self, height: Height) -> Result<WorkFile, WorkFault> {
        let url = self.pool.url().work(height);
        parse(height, &self.http.get_document(&url, &[], wire::work::LIMIT).await?)
    }

    fn publish(&self, work: WorkFile) {
        info!(height = %work.height, previous = %work.header.previous, "new work");
        self.sender.send_replace(Some(Arc::new(work)));
        self.pool.read_now();
    }
}

/// Asks a pool for work that does not exist yet; it answers when it does.
struct LongPoll {
    http: HttpClient,
    url: PoolUrl,
}

impl LongPoll {
    fn new(pool: &FollowedPool) -> Result<Self, HttpSetupFault> {
        Ok(Self { http: HttpClient::new(LONG_POLL_TIMEOUT)?, url: pool.url().clone() })
    }

    /// Waits until the work of `height` exists. Never returns without it.
    async fn wait_for(&self, height: Option<Height>) -> WorkFile {
        let Some(height) = height else { return std::future::pending().await };
        let url = self.url.work(height);
        loop {
            let asked = Instant::now();
            let pause = match self.http.get(&url, &[], wire::work::LIMIT).await {
                Ok(answer) if answer.status == StatusCode::OK => match parse(height, &answer.body) {
                    Ok(work) => return work,
                    Err(_) => AFTER_FAILURE,
                },
                Ok(answer) if answer.status == StatusCode::MULTIPLE_CHOICES => {
                    SHORTEST_LONG_POLL.saturating_sub(asked.elapsed())
                }
                _ => AFTER_FAILURE,
            };
            tokio::time::sleep(pause).await;
        }
    }
}

fn parse(height: Height, body: &[u8]) -> Result<WorkFile, WorkFault> {
    let work = WorkFile::parse(body)?;
    if work.height == height {
        Ok(work)
    } else {
        Err(WorkFault::Height { expected: height, found: work.height })
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
